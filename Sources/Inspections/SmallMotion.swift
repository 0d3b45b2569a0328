import Explanations
import Foundation

/// A small shift, turn and change of size of an input, and the way back of its gradient.
///
/// Output place p reads the input at `centre + M (p − centre) + shift`, linearly between voxels; beyond the edge the outermost
/// voxels hold. Axes are those of the tensor, slowest first; with two of them there is one turn, with three there are three.
struct SmallMotion {
    /// Extents, always three: a 2D input has one slice.
    let shape: [Int]
    let matrix: [Double]
    let shift: [Double]

    /// - Parameters:
    ///   - jitter: whole voxels to either side along every axis.
    ///   - scale: largest share by which the size changes.
    ///   - rotation: largest turn in degrees.
    init(_ spatial: [Int], jitter: Int, scale: Double, rotation: Double, using random: inout RandomSource) {
        shape = [Int](repeating: 1, count: 3 - spatial.count) + spatial
        let first = 3 - spatial.count
        shift = (0..<3).map { axis in
            axis < first || jitter == 0
                ? 0 : Double(Int(random.uniform() * Double(2 * jitter + 1)) - jitter)
        }
        let factor = scale > 0 ? 1 + scale * (2 * random.uniform() - 1) : 1
        var m: [Double] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
        for axis in first..<3 { m[axis * 4] = factor }
        // A turn about axis a mixes the two others; in 2D only that about the missing axis is in the plane.
        for axis in 0..<3 where rotation > 0 && (first == 0 || (first == 1 && axis == 0)) {
            let angle = (2 * random.uniform() - 1) * rotation * .pi / 180
            var turn: [Double] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
            let (u, v) = axis == 0 ? (1, 2) : axis == 1 ? (0, 2) : (0, 1)
            turn[u * 4] = cos(angle)
            turn[v * 4] = cos(angle)
            turn[u * 3 + v] = -sin(angle)
            turn[v * 3 + u] = sin(angle)
            m = Self.product(turn, m)
        }
        matrix = m
    }

    init(shape: [Int], matrix: [Double], shift: [Double]) {
        precondition(shape.count == 3 && matrix.count == 9 && shift.count == 3)
        (self.shape, self.matrix, self.shift) = (shape, matrix, shift)
    }

    private static func product(_ a: [Double], _ b: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: 9)
        for row in 0..<3 {
            for column in 0..<3 {
                for k in 0..<3 { result[row * 3 + column] += a[row * 3 + k] * b[k * 3 + column] }
            }
        }
        return result
    }

    var isIdentity: Bool { matrix == [1, 0, 0, 0, 1, 0, 0, 0, 1] && shift == [0, 0, 0] }

    /// One channel, moved.
    func forward(_ values: [Float]) -> [Float] {
        if isIdentity { return values }
        var result = [Float](repeating: 0, count: values.count)
        values.withUnsafeBufferPointer { source in
            result.withUnsafeMutableBufferPointer { target in
                forEachTap { place, from, weight in target[place] += weight * source[from] }
            }
        }
        return result
    }

    /// The gradient of one channel with respect to what ``forward(_:)`` was given.
    func adjoint(_ gradient: [Float]) -> [Float] {
        if isIdentity { return gradient }
        var result = [Float](repeating: 0, count: gradient.count)
        gradient.withUnsafeBufferPointer { source in
            result.withUnsafeMutableBufferPointer { target in
                forEachTap { place, from, weight in target[from] += weight * source[place] }
            }
        }
        return result
    }

    @inline(__always)
    private func forEachTap(_ body: (_ place: Int, _ from: Int, _ weight: Float) -> Void) {
        let centre = shape.map { Double($0 - 1) / 2 }
        let (height, width) = (shape[1], shape[2])
        struct Pair {
            var low: Int
            var high: Int
            var share: Float
        }
        func pair(_ value: Double, _ extent: Int) -> Pair {
            let held = max(0, min(Double(extent - 1), value))
            let low = Int(held)
            return Pair(low: low, high: min(low + 1, extent - 1), share: Float(held - Double(low)))
        }
        var place = 0
        for z in 0..<shape[0] {
            for y in 0..<height {
                for x in 0..<width {
                    let (dz, dy, dx) = (Double(z) - centre[0], Double(y) - centre[1], Double(x) - centre[2])
                    let a = pair(matrix[0] * dz + matrix[1] * dy + matrix[2] * dx + centre[0] + shift[0], shape[0])
                    let b = pair(matrix[3] * dz + matrix[4] * dy + matrix[5] * dx + centre[1] + shift[1], height)
                    let c = pair(matrix[6] * dz + matrix[7] * dy + matrix[8] * dx + centre[2] + shift[2], width)
                    for (plane, planeShare) in [(a.low, 1 - a.share), (a.high, a.share)] where planeShare > 0 {
                        for (row, rowShare) in [(b.low, 1 - b.share), (b.high, b.share)] where rowShare > 0 {
                            let start = (plane * height + row) * width
                            let share = planeShare * rowShare
                            if c.share < 1 { body(place, start + c.low, share * (1 - c.share)) }
                            if c.share > 0 { body(place, start + c.high, share * c.share) }
                        }
                    }
                    place += 1
                }
            }
        }
    }
}

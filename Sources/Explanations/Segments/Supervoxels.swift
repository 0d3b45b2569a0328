import Tensors
import Workers

/// SLIC in millimetres, over any number of spatial axes: parts of about one size that follow edges of the scan.
///
/// Achanta et al., "SLIC Superpixels Compared to State-of-the-Art Superpixel Methods", PAMI 2012: k-means over grey value and place with
/// centres that see their neighbourhood only; the distance is `Δvalue² + compactness²·(Δplace / edge)²`, values scaled to 0…1 and
/// places in mm, so that voxels of unequal edges give parts of equal ones. Afterwards pieces that are cut off from their part, and
/// smaller than a quarter of one, go to a neighbour. Places outside of the body are one part of their own.
struct Supervoxels {
    /// How many parts, about.
    let count: Int
    let compactness: Double
    private static let rounds = 10

    /// - Parameters:
    ///   - map: `[1, channels, spatial…]`.
    ///   - spacing: mm along each axis.
    ///   - inside: where the body is; nil or empty for everywhere.
    func segment(_ map: Tensor<Float>, shape: [Int], spacing: [Double], inside: [Bool]?) -> Segmentation {
        let size = shape.elementCount
        let body = inside.flatMap { $0.contains(true) ? $0 : nil }
        let volume = Double(body.map { $0.count { $0 } } ?? size) * spacing.reduce(1, *)
        // The edge of a cube of one part's volume (of a square, in 2D).
        let edge = Self.root(volume / Double(max(1, count)), shape.count { $0 > 1 })
        let cells = zip(shape, spacing).map { max(1, Int((Double($0) * $1 / edge).rounded())) }
        let features = Self.scaled(map, size: size)
        let strides = shape.rowMajorStrides
        let rank = shape.count
        // Flat arrays: a scan has millions of places.
        var cellOf = [Int32](repeating: 0, count: size)
        var positions = [Double](repeating: 0, count: size * rank)
        for index in 0..<size {
            var number = 0
            for axis in 0..<rank {
                let place = index / strides[axis] % shape[axis]
                number = number * cells[axis] + min(cells[axis] - 1, place * cells[axis] / shape[axis])
                positions[index * rank + axis] = Double(place) * spacing[axis]
            }
            cellOf[index] = Int32(number)
        }
        var part = [Int32](repeating: -1, count: size)
        for index in 0..<size where body?[index] ?? true { part[index] = cellOf[index] }

        let channels = features.count
        let width = rank + channels
        let cellCount = cells.elementCount
        let neighbours = Odometer(cells).map { cell in
            Odometer([Int](repeating: 3, count: rank)).compactMap { step -> Int? in
                var number = 0
                for axis in 0..<rank {
                    let index = cell[axis] + step[axis] - 1
                    guard index >= 0, index < cells[axis] else { return nil }
                    number = number * cells[axis] + index
                }
                return number
            }
        }
        let weight = compactness * compactness / (edge * edge)
        var centres = [Double](repeating: 0, count: cellCount * width)
        var members = [Int](repeating: 0, count: cellCount)
        for _ in 0..<Self.rounds {
            centres = [Double](repeating: 0, count: cellCount * width)
            members = [Int](repeating: 0, count: cellCount)
            for index in 0..<size where part[index] >= 0 {
                let base = Int(part[index]) * width
                members[Int(part[index])] += 1
                for axis in 0..<rank { centres[base + axis] += positions[index * rank + axis] }
                for channel in 0..<channels { centres[base + rank + channel] += Double(features[channel][index]) }
            }
            for cell in 0..<cellCount where members[cell] > 0 {
                for column in 0..<width { centres[cell * width + column] /= Double(members[cell]) }
            }
            let old = part
            let (cellOf, positions) = (cellOf, positions)
            let current = centres
            let filled = members
            part.withUnsafeMutableBufferPointer { buffer in
                let part = UncheckedPointer(buffer.baseAddress!)
                Workers.shared.forEachRange(size, grain: 4096) { range in
                    for index in range where old[index] >= 0 {
                        var best = old[index]
                        var least = Double.infinity
                        for cell in neighbours[Int(cellOf[index])] where filled[cell] > 0 {
                            let base = cell * width
                            var distance = 0.0
                            for axis in 0..<rank {
                                let step = positions[index * rank + axis] - current[base + axis]
                                distance += weight * step * step
                            }
                            for channel in 0..<channels {
                                let step = Double(features[channel][index]) - current[base + rank + channel]
                                distance += step * step
                            }
                            if distance < least {
                                least = distance
                                best = Int32(cell)
                            }
                        }
                        part[index] = best
                    }
                }
            }
        }
        let total = body.map { $0.count { $0 } } ?? size
        let joined = Self.joined(part, shape: shape, smallest: total / max(1, count) / 4)
        return Segmentation(keys: joined.map { Int($0) + 1 })
    }

    /// Channels scaled so that their values run from 0 to 1.
    private static func scaled(_ map: Tensor<Float>, size: Int) -> [[Float]] {
        let channels = map.count / max(1, size)
        return map.withUnsafeBuffer { values in
            (0..<channels).map { channel in
                let own = values[channel * size..<(channel + 1) * size]
                let (low, high) = (own.min() ?? 0, own.max() ?? 0)
                return own.map { high > low ? ($0 - low) / (high - low) : 0 }
            }
        }
    }

    private static func root(_ value: Double, _ degree: Int) -> Double {
        switch degree {
        case 0, 1: value
        case 2: value.squareRoot()
        default: value.cubeRoot
        }
    }

    /// Connected pieces, with those below `smallest` given to the neighbour found first. −1 stays what it is.
    private static func joined(_ parts: [Int32], shape: [Int], smallest: Int) -> [Int32] {
        let strides = shape.rowMajorStrides
        var result = [Int32](repeating: -2, count: parts.count)
        var next: Int32 = 0
        var stack: [Int] = []
        func neighbours(_ index: Int, _ body: (Int) -> Void) {
            for axis in shape.indices {
                let place = index / strides[axis] % shape[axis]
                if place > 0 { body(index - strides[axis]) }
                if place + 1 < shape[axis] { body(index + strides[axis]) }
            }
        }
        for start in parts.indices where result[start] == -2 {
            if parts[start] < 0 {
                result[start] = -1
                continue
            }
            var adjacent: Int32 = -1
            var piece = [start]
            stack = [start]
            result[start] = next
            while let index = stack.popLast() {
                neighbours(index) { other in
                    if result[other] == -2, parts[other] == parts[start] {
                        result[other] = next
                        stack.append(other)
                        piece.append(other)
                    } else if result[other] >= 0, result[other] != next {
                        adjacent = result[other]
                    }
                }
            }
            if piece.count < smallest, adjacent >= 0 {
                for index in piece { result[index] = adjacent }
            } else {
                next += 1
            }
        }
        return result
    }
}

extension Double {
    /// By Newton from above: the same bits with every C library.
    fileprivate var cubeRoot: Double {
        guard self > 0 else { return 0 }
        var root = self > 1 ? self : 1
        for _ in 0..<200 {
            let next = (2 * root + self / (root * root)) / 3
            if abs(next - root) <= 1e-15 * root { return next }
            root = next
        }
        return root
    }
}

import Foundation
import Workers

/// Smoothing along one axis with a sampled Gaussian; beyond the ends the outermost voxel goes on.
public struct GaussianFilter: Sendable {
    /// Weights for the offsets −radius … radius; they sum to 1.
    public let kernel: [Float]
    public var radius: Int { kernel.count / 2 }

    /// - Parameter sigma: Standard deviation in voxels. Each weight is the integral of the Gaussian over its voxel; the
    ///   kernel ends at four standard deviations.
    public init(sigma: Double) {
        precondition(sigma > 0 && sigma.isFinite, "a positive standard deviation")
        let radius = max(1, Int((4 * sigma + 0.5).rounded(.down)))
        let scale = 1 / (sigma * 2.0.squareRoot())
        let raw = (-radius...radius).map { offset in
            erf((Double(offset) + 0.5) * scale) - erf((Double(offset) - 0.5) * scale)
        }
        let sum = raw.reduce(0, +)
        kernel = raw.map { Float($0 / sum) }
    }

    public func callAsFunction(_ voxels: [Float], shape: Index3, axis: Int) -> [Float] {
        precondition(voxels.count == shape.x * shape.y * shape.z && (0..<3).contains(axis))
        let radius = radius
        return [Float](unsafeUninitializedCapacity: voxels.count) { out, initialized in
            voxels.withUnsafeBufferPointer { voxels in
                let source = voxels.baseAddress!
                let target = out.baseAddress!
                if axis == 0 {
                    Workers.shared.forEachRange(shape.y * shape.z, grain: 64) { rows in
                        withUnsafeTemporaryAllocation(of: Float.self, capacity: shape.x + 2 * radius) { line in
                            for row in rows {
                                let from = source + row * shape.x
                                for i in 0..<radius {
                                    line[i] = from[0]
                                    line[radius + shape.x + i] = from[shape.x - 1]
                                }
                                (line.baseAddress! + radius).update(from: from, count: shape.x)
                                accumulate(target + row * shape.x, count: shape.x) {
                                    UnsafePointer(line.baseAddress! + $0)
                                }
                            }
                        }
                    }
                } else {
                    // Whole rows at a time: the neighbours along j or k are rows themselves.
                    let extent = axis == 1 ? shape.y : shape.z
                    let step = axis == 1 ? shape.x : shape.x * shape.y
                    Workers.shared.forEachRange(shape.y * shape.z, grain: 64) { rows in
                        for row in rows {
                            let place = axis == 1 ? row % shape.y : row / shape.y
                            let from = source + row * shape.x
                            accumulate(target + row * shape.x, count: shape.x) { tap in
                                from + (min(max(place + tap - radius, 0), extent - 1) - place) * step
                            }
                        }
                    }
                }
            }
            initialized = voxels.count
        }
    }

    /// `out = Σ kernel[tap] · rows(tap)`.
    @inline(__always)
    private func accumulate(_ out: UnsafeMutablePointer<Float>, count: Int, _ rows: (Int) -> UnsafePointer<Float>) {
        let first = rows(0)
        let weight = kernel[0]
        for i in 0..<count { out[i] = weight * first[i] }
        for tap in 1..<kernel.count {
            let row = rows(tap)
            let weight = kernel[tap]
            for i in 0..<count { out[i] += weight * row[i] }
        }
    }
}

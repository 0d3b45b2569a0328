import Tensors
import Workers

/// Arithmetic over the channels of a feature map `[batch 1, channels, spatial…]`, shared by the CAM family.
enum ChannelReduction {
    /// Voxels a piece of parallel work takes; fixed, so that sums never depend on the number of threads.
    private static let grain = 16384

    static func spatialShape(_ map: Tensor<Float>) -> [Int] { Array(map.shape.dropFirst(2)) }

    /// The largest `f(channel value)` over channels at every place.
    static func maximum(of map: Tensor<Float>, _ transform: (Float) -> Float) -> Tensor<Float> {
        let channels = map.shape[1]
        return reduce(map) { values, size, range, sums in
            for channel in 0..<channels {
                for index in range {
                    let value = Double(transform(values[channel * size + index]))
                    let place = index - range.lowerBound
                    if channel == 0 || value > sums[place] { sums[place] = value }
                }
            }
        }
    }

    /// `Σ_c map[c]` at every place.
    static func sum(of map: Tensor<Float>) -> Tensor<Float> {
        weightedSum(of: map, weights: [Double](repeating: 1, count: map.shape[1]))
    }

    /// `mean over space of f(channel value)` for each channel, accumulated in double precision.
    static func means(of map: Tensor<Float>, _ transform: @Sendable (Float) -> Double = { Double($0) }) -> [Double] {
        let channels = map.shape[1]
        let size = map.count / max(1, channels)
        var means = [Double](repeating: 0, count: channels)
        guard channels > 0 else { return [] }
        means.withUnsafeMutableBufferPointer { means in
            let means = UncheckedPointer(means.baseAddress!)
            map.withUnsafeBuffer { values in
                let values = UncheckedPointer(values.baseAddress!)
                Workers.shared.forEach(channels) { channel in
                    let first = channel * size
                    let sum = Accumulation.sum(size) { transform(values[first + $0]) }
                    means[channel] = sum / Double(size)
                }
            }
        }
        return means
    }

    /// `Σ_xyz f(a, b, channel)` for each channel of two maps of one shape, in double precision.
    static func channelSums(
        of a: Tensor<Float>, with b: Tensor<Float>, _ combine: @Sendable (Float, Float, _ channel: Int) -> Double
    ) -> [Double] {
        precondition(a.shape == b.shape, "maps of shapes \(a.shape) and \(b.shape)")
        let channels = a.shape[1]
        let size = a.count / max(1, channels)
        var sums = [Double](repeating: 0, count: channels)
        sums.withUnsafeMutableBufferPointer { sums in
            let sums = UncheckedPointer(sums.baseAddress!)
            a.withUnsafeBuffer { a in
                b.withUnsafeBuffer { b in
                    Workers.shared.forEach(channels) { channel in
                        let first = channel * size
                        sums[channel] = Accumulation.sum(size) { combine(a[first + $0], b[first + $0], channel) }
                    }
                }
            }
        }
        return sums
    }

    /// `Σ_c weights[c] · map[c]` at every place.
    static func weightedSum(of map: Tensor<Float>, weights: [Double]) -> Tensor<Float> {
        reduce(map) { values, size, range, sums in
            for channel in 0..<weights.count where weights[channel] != 0 {
                let weight = weights[channel]
                let base = channel * size
                for index in range { sums[index - range.lowerBound] += weight * Double(values[base + index]) }
            }
        }
    }

    /// `Σ_c f(a[c], b[c])` at every place, for two maps of one shape.
    static func sum(
        of a: Tensor<Float>, with b: Tensor<Float>, _ combine: @Sendable (Float, Float) -> Double
    ) -> Tensor<Float> {
        precondition(a.shape == b.shape, "maps of shapes \(a.shape) and \(b.shape)")
        let channels = a.shape[1]
        return b.withUnsafeBuffer { other in
            let other = UncheckedPointer(UnsafeMutablePointer(mutating: other.baseAddress!))
            return reduce(a) { values, size, range, sums in
                for channel in 0..<channels {
                    let base = channel * size
                    for index in range {
                        sums[index - range.lowerBound] += combine(values[base + index], other[base + index])
                    }
                }
            }
        }
    }

    private static func reduce(
        _ map: Tensor<Float>,
        _ body: (UncheckedPointer<Float>, Int, Range<Int>, inout [Double]) -> Void
    ) -> Tensor<Float> {
        precondition(map.rank >= 2 && map.shape[0] == 1, "a feature map [1, channels, …], not \(map.shape)")
        let size = map.count / max(1, map.shape[1])
        return Tensor(shape: spatialShape(map)) { result in
            guard size > 0 else { return }
            let result = UncheckedPointer(result.baseAddress!)
            map.withUnsafeBuffer { values in
                let values = UncheckedPointer(UnsafeMutablePointer(mutating: values.baseAddress!))
                Workers.shared.forEachRange(size, grain: grain) { range in
                    var sums = [Double](repeating: 0, count: range.count)
                    body(values, size, range, &sums)
                    for index in range { result[index] = Float(sums[index - range.lowerBound]) }
                }
            }
        }
    }
}

/// A pointer that the pieces of one parallel call share; each piece writes places of its own.
struct UncheckedPointer<Element>: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Element>
    init(_ base: UnsafeMutablePointer<Element>) { self.base = base }
    init(_ base: UnsafePointer<Element>) { self.base = UnsafeMutablePointer(mutating: base) }
    subscript(index: Int) -> Element {
        get { base[index] }
        nonmutating set { base[index] = newValue }
    }
}

extension Tensor where Scalar == Float {
    /// The same shape with every element transformed.
    func mapped(_ transform: (Float) -> Float) -> Tensor {
        withUnsafeBuffer { values in
            Tensor(shape: shape) { result in
                for index in values.indices { result[index] = transform(values[index]) }
            }
        }
    }
}

import Workers

/// Rows of a dense tensor brought to mean 0 and variance 1: the core of layer, instance and group normalization.
///
/// Mean μ and biased variance σ² of each row are summed in double precision; x̂ = (x − μ) / √(σ² + ε).
struct Standardization {
    let rows: Int
    let length: Int
    let epsilon: Float

    /// What a row is shifted and scaled by.
    struct Statistics {
        let mean: Float
        /// What `mean` lacks to the exact one: in a row far from zero its rounding would shift every element.
        let rest: Float
        /// 1 / √(σ² + ε).
        let inverse: Float

        /// x − the exact mean.
        @inline(__always) func centred(_ x: Float) -> Float { (x - mean) - rest }
    }

    func statistics(_ row: UnsafeBufferPointer<Float>) -> Statistics {
        let mean = Accumulation.sum(row) / Double(row.count)
        let variance = Accumulation.sum(row) { (Double($0) - mean) * (Double($0) - mean) } / Double(row.count)
        let rounded = Float(mean)
        return Statistics(
            mean: rounded, rest: Float(mean - Double(rounded)),
            inverse: Float(1 / (variance + Double(epsilon)).squareRoot()))
    }

    /// Calls `body` with each row's number, statistics, elements, and where to write.
    @inline(__always)
    func map(
        _ x: Tensor<Float>,
        _ body: (Int, Statistics, UnsafeBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) -> Void
    ) -> Tensor<Float> {
        Tensor(shape: x.shape) { result in
            x.withUnsafeBuffer { x in
                Workers.shared.forEachRange(rows, grain: max(1, (1 << 14) / max(1, length))) { range in
                    for row in range {
                        let places = row * length..<(row + 1) * length
                        let values = UnsafeBufferPointer(rebasing: x[places])
                        body(row, statistics(values), values, UnsafeMutableBufferPointer(rebasing: result[places]))
                    }
                }
            }
        }
    }

    /// x̂, for the gradients of scales.
    func standardized(_ x: Tensor<Float>) -> Tensor<Float> {
        map(x) { _, statistics, row, result in
            result.fill(from: row) { statistics.centred($0) * statistics.inverse }
        }
    }

    /// The mean and 1 / √(σ² + ε) of every row.
    func statistics(_ x: Tensor<Float>) -> (means: [Float], inverses: [Float]) {
        let all = x.withUnsafeBuffer { x in
            (0..<rows).map { statistics(UnsafeBufferPointer(rebasing: x[$0 * length..<($0 + 1) * length])) }
        }
        return (all.map(\.mean), all.map(\.inverse))
    }

    /// The gradient of x from that of x̂·w, w being `weight` of a row and a place in it: with ĝ = g·w,
    /// (ĝ − mean ĝ − x̂ · mean(ĝ x̂)) / √(σ² + ε).
    @inline(__always)
    func pullback(
        _ x: Tensor<Float>, _ gradient: Tensor<Float>, weight: (_ row: Int, _ place: Int) -> Float
    ) -> Tensor<Float> {
        gradient.withUnsafeBuffer { gradients in
            map(x) { row, statistics, x, result in
                let g = UnsafeBufferPointer(rebasing: gradients[row * length..<(row + 1) * length])
                for i in x.indices { result[i] = g[i] * weight(row, i) }
                let count = Double(length)
                let inverse = statistics.inverse
                let flow = Float(Accumulation.sum(UnsafeBufferPointer(result)) / count)
                let tilt = Float(
                    Accumulation.sum(x.count) { Double(result[$0]) * Double(statistics.centred(x[$0]) * inverse) }
                        / count)
                for i in x.indices {
                    result[i] = inverse * (result[i] - flow - statistics.centred(x[i]) * inverse * tilt)
                }
            }
        }
    }
}

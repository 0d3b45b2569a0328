import Foundation

/// An operator that turns scores along an axis (before opset 13: all from an axis on) into probabilities or their logarithms.
protocol ScoreNormalization: Operator {
    var node: NodeDescription { get }
    func normalize(_ scores: UnsafeBufferPointer<Float>, into result: UnsafeMutableBufferPointer<Float>)
    /// The gradient of the scores from the result and its gradient.
    func gradient(
        _ y: UnsafeBufferPointer<Float>, _ g: UnsafeBufferPointer<Float>,
        into result: UnsafeMutableBufferPointer<Float>)
}

extension ScoreNormalization {
    private func reduction(_ shape: [Int]) throws -> Reduction {
        if node.opset >= 13 {
            let axis = try node.axis(node.int("axis", default: -1), rank: shape.count)
            return Reduction(shape: shape, axes: [axis])
        }
        let axis = try node.axis(node.int("axis", default: 1), rank: shape.count)
        return Reduction(shape: shape, axes: Array(axis..<shape.count))
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the scores")
        let reduction = try reduction(value.shape)
        guard let scores = try node.float(value, "the scores") else { return [value] }
        return [.float(reduction.mapRows(scores) { normalize($1, into: $2) })]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let reduction = try reduction(call.shape(0))
        return call.results { index in
            guard index == 0 else { return nil }
            return reduction.mapRows(call.floatOutput(0), call.gradient) { gradient($1, $2, into: $3) }
        }
    }
}

/// exp(x) / Σ exp(x).
struct Softmax: ScoreNormalization {
    static let types = ["Softmax"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func normalize(_ scores: UnsafeBufferPointer<Float>, into result: UnsafeMutableBufferPointer<Float>) {
        Softmax.normalize(scores, into: result)
    }

    func gradient(
        _ y: UnsafeBufferPointer<Float>, _ g: UnsafeBufferPointer<Float>,
        into result: UnsafeMutableBufferPointer<Float>
    ) {
        Softmax.gradient(y, g, into: result)
    }

    static func normalize(_ scores: UnsafeBufferPointer<Float>, into result: UnsafeMutableBufferPointer<Float>) {
        let peak = scores.peak
        for i in scores.indices { result[i] = exp(scores[i] - peak) }
        let scale = Float(1 / Accumulation.sum(UnsafeBufferPointer(result)))
        for i in scores.indices { result[i] *= scale }
    }

    static func gradient(
        _ y: UnsafeBufferPointer<Float>, _ g: UnsafeBufferPointer<Float>,
        into result: UnsafeMutableBufferPointer<Float>
    ) {
        let flow = Float(Accumulation.sum(y.count) { Double(y[$0]) * Double(g[$0]) })
        for i in y.indices { result[i] = y[i] * (g[i] - flow) }
    }
}

/// x − log Σ exp(x).
struct LogSoftmax: ScoreNormalization {
    static let types = ["LogSoftmax"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func normalize(_ scores: UnsafeBufferPointer<Float>, into result: UnsafeMutableBufferPointer<Float>) {
        let peak = scores.peak
        let rest = Float(log(Accumulation.sum(scores) { Double(exp($0 - peak)) }))
        for i in scores.indices { result[i] = scores[i] - peak - rest }
    }

    func gradient(
        _ y: UnsafeBufferPointer<Float>, _ g: UnsafeBufferPointer<Float>,
        into result: UnsafeMutableBufferPointer<Float>
    ) {
        let total = Float(Accumulation.sum(g))
        for i in y.indices { result[i] = g[i] - exp(y[i]) * total }
    }
}

extension UnsafeBufferPointer<Float> {
    /// The largest element, −∞ of none.
    var peak: Float {
        var peak = -Float.infinity
        for value in self { peak = value > peak ? value : peak }
        return peak
    }
}

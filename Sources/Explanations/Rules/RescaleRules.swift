import Networks
import Tensors

/// DeepLIFT's multipliers as propagation rules: what a change from a reference's activations to the scan's contributes.
///
/// Every rule keeps the sum: `Σ m_in · Δin = Σ m_out · Δout`, so the contributions at the input add up to the change of the target.
/// Shrikumar, Greenside & Kundaje, ICML 2017: the linear rule for what is linear, the rescale rule `m = Δy / Δx` for functions of one
/// element, the change of the maximum at the places that hold it for pools. Beyond the paper: products take the mean of the other
/// operand (exact, since Δ(ab) = Δa·b̄ + Δb·ā), and what mixes elements in a curved way (softmax, normalization over a volume, a
/// quotient) takes its gradient averaged along the straight line between the two inputs, of which the rescale rule is the case
/// of one element.
struct RescaleRules {
    /// The network's run on the reference.
    let reference: Recording
    /// Below this an input counts as unchanged, and the gradient holds.
    private static let unchanged: Float = 1e-10
    /// Points of the quadrature for curved operators.
    private static let points = 16

    var rules: PropagationRules {
        var rules = PropagationRules()
        rules.everywhere = { call, node in try multipliers(call, node) }
        return rules
    }

    private func multipliers(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        switch OperatorKind(type: node.type) {
        case .movement, .sum: return try node.operation.pullback(call)
        case .weighted, .product:
            return call.wanted.count { $0 } > 1
                ? try node.operation.pullback(average(call, node)) : try node.operation.pullback(call)
        case .quotient:
            // Over a constant it is linear.
            return call.wanted.count > 1 && call.wanted[1]
                ? try alongTheLine(call, node) : try node.operation.pullback(call)
        case .maximum: return try maximum(call, node)
        case .pointwise: return try rescale(call, node)
        case .normalization, .softmax, .attention, .other: return try alongTheLine(call, node)
        }
    }

    /// `m = g · Δy / Δx`, or the gradient where Δx vanishes.
    private func rescale(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        guard let gradient = call.gradients[0], let x = call.inputs[0]?.floats, let y = call.outputs[0].floats,
            let x0 = try before(node.inputs[0]), let y0 = try before(node.outputs[0])
        else { return try node.operation.pullback(call) }
        var result = try node.operation.pullback(call)
        guard let slope = result[0] else { return result }
        let changed = y.combined(with: y0) { $0 - $1 }.combined(with: gradient) { $0 * $1 }
        result[0] = ratio(changed, x.combined(with: x0) { $0 - $1 }, otherwise: slope)
        return result
    }

    /// The rise of the maximum goes to the place that holds it on the scan, its fall to the place that held it on the reference.
    private func maximum(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        guard let gradient = call.gradients[0], let y = call.outputs[0].floats, let y0 = try before(node.outputs[0])
        else { return try node.operation.pullback(call) }
        let slopes = try node.operation.pullback(call)
        var there = call
        there.inputs = node.inputs.enumerated().map { index, name in
            guard let value = call.inputs[index] else { return nil }
            return value.floats == nil ? value : reference.value(name) ?? value
        }
        there.outputs = node.outputs.enumerated().compactMap { index, name in
            index < call.outputs.count ? reference.value(name) ?? call.outputs[index] : nil
        }
        let change = y.combined(with: y0) { $0 - $1 }
        var here = call
        here.gradients[0] = gradient.combined(with: change) { $0 * max($1, 0) }
        there.gradients[0] = gradient.combined(with: change) { $0 * min($1, 0) }
        let risen = try node.operation.pullback(here)
        let fallen = try node.operation.pullback(there)
        return try slopes.indices.map { index in
            guard let slope = slopes[index], var sum = risen[index], let x = call.inputs[index]?.floats,
                let x0 = try before(node.inputs[index])
            else { return slopes[index] }
            if let fallen = fallen[index] { sum = sum.combined(with: fallen) { $0 + $1 } }
            return ratio(sum, x.combined(with: x0) { $0 - $1 }, otherwise: slope)
        }
    }

    /// The gradient's mean along the straight line from the reference's operands to the scan's.
    private func alongTheLine(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        var sums = [Tensor<Float>?](repeating: nil, count: call.inputs.count)
        let (points, weights) = GaussLegendre.rule(Self.points)
        for (point, weight) in zip(points, weights) {
            let part = Float(weight)
            let between = try self.between(call, node, at: Float(point))
            for (index, gradient) in try node.operation.pullback(between).enumerated() {
                guard let gradient else { continue }
                sums[index] =
                    sums[index].map { $0.combined(with: gradient) { $0 + part * $1 } }
                    ?? gradient.transformed { part * $0 }
            }
        }
        return sums
    }

    /// The call with every operand that carries data halfway between reference and scan.
    private func average(_ call: PullbackCall, _ node: Node) throws -> PullbackCall {
        try between(call, node, at: 0.5, withOutputs: false)
    }

    private func between(
        _ call: PullbackCall, _ node: Node, at place: Float, withOutputs: Bool = true
    ) throws -> PullbackCall {
        var between = call
        for (index, name) in node.inputs.enumerated() where call.wanted[index] {
            guard let x = call.inputs[index]?.floats, let x0 = try before(name) else { continue }
            between.inputs[index] = .float(x0.combined(with: x) { $0 + place * ($1 - $0) })
        }
        if withOutputs {
            between.outputs = Array(try node.operation.forward(between.inputs).prefix(call.outputs.count))
        }
        return between
    }

    private func before(_ name: String) throws -> Tensor<Float>? { reference.value(name)?.floats }

    private func ratio(_ change: Tensor<Float>, _ step: Tensor<Float>, otherwise slope: Tensor<Float>) -> Tensor<Float>
    {
        let limit = Self.unchanged
        let quotient = change.combined(with: step) { abs($1) < limit ? .nan : $0 / $1 }
        return quotient.combined(with: slope) { $0.isNaN ? $1 : $0 }
    }
}

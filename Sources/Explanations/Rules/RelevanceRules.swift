import Failures
import Networks
import Tensors

/// Layer-wise relevance propagation as propagation rules: what flows back is the target's score itself, handed out to the operands
/// of each operator in the shares in which they made its result.
///
/// Bach et al., PLoS ONE 2015 (ε rule); Montavon et al., "Layer-Wise Relevance Propagation: An Overview", 2019 (γ rule, z⁺ rule and
/// composites). For an operator linear in x, `z = f(x)`, the ε rule is `R_in = x ⊙ fᵀ(R_out / (z + ε·sign z))`; the γ rule uses
/// weights `w + γ·w⁺`; the z⁺ rule keeps positive contributions only, of positive and of negative operands. Rectifiers and other
/// functions of one element hand relevance through, pools hand it to the place that won. Where two operands are multiplied and one
/// is a gate (a sigmoid, a softmax), the other one gets all (Arras et al. 2019; for attention and normalization, whose spread counts
/// as constant, Ali et al., ICML 2022); without a gate, half each.
struct RelevanceRules {
    enum Rule: String, CaseIterable, Sendable {
        case epsilon
        case gamma
        case zplus
        /// z⁺ for convolutions, ε for linear layers.
        case composite
    }

    let rule: Rule
    let epsilon: Float
    let gamma: Float
    /// Whether biases take their share of the relevance, which is lost then; else it goes to the operands.
    let absorbsBias: Bool
    let network: Network
    /// Biases that an addition of their own brings, by the name of the matrix product that they belong to: how a linear layer is
    /// written down must not matter.
    private let biases: [String: Tensor<Float>]

    init(rule: Rule, epsilon: Float, gamma: Float, absorbsBias: Bool, network: Network) {
        self.rule = rule
        self.epsilon = epsilon
        self.gamma = gamma
        self.absorbsBias = absorbsBias
        self.network = network
        biases = Self.biases(network)
    }

    var rules: PropagationRules {
        var rules = PropagationRules()
        rules.everywhere = { call, node in try relevance(call, node) }
        return rules
    }

    private func relevance(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        switch OperatorKind(type: node.type) {
        case .movement, .maximum: return try node.operation.pullback(call)
        case .pointwise: return handedThrough(call, to: 0)
        case .softmax: return call.inputs.map { _ in nil }
        case .weighted:
            return call.wanted.count { $0 } > 1 ? try product(call, node) : try weighted(call, node)
        case .product: return try product(call, node)
        case .quotient:
            // The numerator is the signal. What divides is a spread or a sum: it gates.
            return call.wanted[0] ? handedThrough(call, to: 0) : call.inputs.map { _ in nil }
        case .sum: return try sum(call, node)
        case .normalization: return try normalization(call, node)
        case .attention:
            // The weights are a gate: all goes to the values.
            var values = call
            values.wanted = call.wanted.indices.map { call.wanted[$0] && ($0 == 2 || $0 == 5) }
            return try shares(values, node, of: output(call))
        case .other: return try shares(call, node, of: output(call))
        }
    }

    // MARK: The rules

    /// All relevance to one operand of an elementwise operator; what was broadcast gets the sum.
    private func handedThrough(_ call: PullbackCall, to index: Int) -> [Tensor<Float>?] {
        var result = [Tensor<Float>?](repeating: nil, count: call.inputs.count)
        guard let relevance = call.gradients[0], let x = call.inputs[index]?.floats else { return result }
        result[index] = relevance.shape == x.shape ? relevance : relevance.summed(overBroadcastFrom: x.shape)
        return result
    }

    /// Sums of operands: each gets what it contributed; a constant's share is lost, or not given.
    private func sum(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        let data = call.wanted.indices.filter { call.wanted[$0] }
        if ["Add", "Sub"].contains(node.type), data.count == 1, !absorbsBias || biases[node.inputs[data[0]]] != nil {
            return handedThrough(call, to: data[0])
        }
        if node.type == "Neg" || (node.type == "BatchNormalization" && !absorbsBias) {
            return handedThrough(call, to: 0)
        }
        return try shares(call, node, of: output(call))
    }

    /// Convolutions and linear layers.
    private func weighted(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        guard let data = call.wanted.firstIndex(of: true), data < 2,
            let weights = call.inputs[1 - data]?.floats, let x = call.inputs[data]?.floats,
            let relevance = call.gradients[0]
        else { return try shares(call, node, of: output(call)) }
        let isConvolution = node.type.hasPrefix("Conv")
        let chosen: Rule = rule == .composite ? (isConvolution ? .zplus : .epsilon) : rule
        let bias = call.inputs.count > 2 ? call.inputs[2]?.floats : nil
        let added = biases[node.outputs[0]]
        if chosen == .epsilon, added == nil, absorbsBias || bias == nil {
            return try shares(call, node, of: output(call))
        }
        // An operator of its own, so that the network's keeps its packed weights.
        guard let operation = try OperatorCatalogue.make(node.description) else {
            preconditionFailure("\(node.type) ran before")
        }
        /// The call with other operands, and what it computes.
        func variant(_ x: Tensor<Float>, _ weights: Tensor<Float>, _ bias: Tensor<Float>?) throws -> PullbackCall {
            var variant = call
            variant.inputs[data] = .float(x)
            variant.inputs[1 - data] = .float(weights)
            if call.inputs.count > 2 { variant.inputs[2] = bias.map { .float($0) } }
            variant.outputs = try operation.forward(variant.inputs)
            return variant
        }
        var variants: [PullbackCall] = []
        switch chosen {
        case .epsilon, .composite: variants = [try variant(x, weights, absorbsBias ? bias : nil)]
        case .gamma:
            let gamma = gamma
            let raise: @Sendable (Float) -> Float = { $0 + gamma * max($0, 0) }
            let raised = absorbsBias ? bias?.transformed(raise) : nil
            variants = [try variant(x, weights.transformed(raise), raised)]
        case .zplus:
            let positive = absorbsBias ? bias?.transformed { max($0, 0) } : nil
            variants = [try variant(x.transformed { max($0, 0) }, weights.transformed { max($0, 0) }, positive)]
            if x.withUnsafeBuffer({ $0.contains { $0 < 0 } }) {
                variants.append(
                    try variant(x.transformed { min($0, 0) }, weights.transformed { min($0, 0) }, nil))
            }
        }
        var z = output(variants[0])
        if absorbsBias, let added {
            let gamma = gamma
            switch chosen {
            case .epsilon, .composite: z = z.adding(alongLastAxis: added)
            case .gamma: z = z.adding(alongLastAxis: added.transformed { $0 + gamma * max($0, 0) })
            case .zplus: z = z.adding(alongLastAxis: added.transformed { max($0, 0) })
            }
        }
        for other in variants.dropFirst() { z = z.combined(with: output(other)) { $0 + $1 } }
        let quotient = stabilized(relevance, by: z)
        var sum: Tensor<Float>?
        for variant in variants {
            var variant = variant
            variant.gradients = [quotient]
            guard let back = try operation.pullback(variant)[data], let x = variant.inputs[data]?.floats else {
                continue
            }
            let share = back.combined(with: x) { $0 * $1 }
            sum = sum.map { $0.combined(with: share) { $0 + $1 } } ?? share
        }
        return call.inputs.indices.map { $0 == data ? sum : nil }
    }

    /// Products of operands that both carry data, or one and a constant.
    private func product(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        let data = call.wanted.indices.filter { call.wanted[$0] }
        let isElementwise = node.type == "Mul"
        guard data.count == 2 else {
            return isElementwise && data.count == 1
                ? handedThrough(call, to: data[0]) : try shares(call, node, of: output(call))
        }
        let gates = data.filter { isGate(node.inputs[$0]) }
        if !gates.isEmpty {
            let signal = data.first { gates.count == 2 || $0 != gates[0] } ?? data[0]
            if isElementwise { return handedThrough(call, to: signal) }
            var single = call
            single.wanted = call.wanted.indices.map { $0 == signal }
            return try shares(single, node, of: output(call))
        }
        return try shares(call, node, of: output(call)).map { $0?.transformed { 0.5 * $0 } }
    }

    /// `y = scale · (x − mean) / spread + shift`, the spread held constant: linear in x.
    private func normalization(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        guard let x = call.inputs[0]?.floats, let relevance = call.gradients[0] else {
            return handedThrough(call, to: 0)
        }
        let rows = StandardizedRows(node, shape: x.shape)
        let quotient = stabilized(relevance, by: output(call))
        let slope = rows.slope(
            of: x, scale: call.inputs.count > 1 ? call.inputs[1]?.floats : nil, gradient: quotient)
        return call.inputs.indices.map { $0 == 0 ? slope.combined(with: x) { $0 * $1 } : nil }
    }

    /// `x ⊙ fᵀ(R / (z + ε·sign z))` for every operand that is asked for.
    private func shares(_ call: PullbackCall, _ node: Node, of z: Tensor<Float>) throws -> [Tensor<Float>?] {
        guard let relevance = call.gradients[0] else { return call.inputs.map { _ in nil } }
        var back = call
        back.gradients[0] = stabilized(relevance, by: z)
        let slopes = try node.operation.pullback(back)
        return slopes.indices.map { index in
            guard call.wanted[index], let slope = slopes[index], let x = call.inputs[index]?.floats else { return nil }
            return slope.combined(with: x) { $0 * $1 }
        }
    }

    private func output(_ call: PullbackCall) -> Tensor<Float> {
        guard let z = call.outputs[0].floats else { preconditionFailure("relevance arrived at floats") }
        return z
    }

    private func stabilized(_ relevance: Tensor<Float>, by z: Tensor<Float>) -> Tensor<Float> {
        let epsilon = epsilon
        return relevance.combined(with: z) { $0 == 0 ? 0 : $0 / ($1 + ($1 < 0 ? -epsilon : epsilon)) }
    }

    private static func biases(_ network: Network) -> [String: Tensor<Float>] {
        var uses: [String: Int] = [:]
        for node in network.nodes { for name in node.inputs { uses[name, default: 0] += 1 } }
        var biases: [String: Tensor<Float>] = [:]
        for node in network.nodes where node.type == "Add" && node.inputs.count == 2 {
            for (data, other) in [(0, 1), (1, 0)] {
                let name = node.inputs[data]
                guard let bias = network.constant(node.inputs[other])?.floats, uses[name] == 1,
                    let product = network.producer(of: name), product.type == "MatMul",
                    let weights = network.constant(product.inputs[1]), weights.shape.count == 2,
                    bias.count == weights.shape[1]
                else { continue }
                biases[name] = bias
            }
        }
        return biases
    }

    // MARK: Gates

    private static let gateTypes: Set<String> = ["Sigmoid", "HardSigmoid", "Softmax", "Tanh", "Erf"]

    /// Whether a tensor is a function with bounds, possibly moved, scaled or shifted by constants: a factor that lets something pass.
    private func isGate(_ tensor: String) -> Bool {
        var name = tensor
        for _ in 0..<12 {
            guard let node = network.producer(of: name) else { return false }
            if Self.gateTypes.contains(node.type) { return true }
            let data = node.inputs.filter { !$0.isEmpty && network.constant($0) == nil }
            let isScaling = ["Add", "Mul", "Div"].contains(node.type) && data.count == 1
            guard isScaling || OperatorKind(type: node.type) == .movement, let next = data.first else { return false }
            name = next
        }
        return false
    }
}

/// The rows that a normalization standardizes, and the scales of their elements.
struct StandardizedRows {
    private let count: Int
    private let length: Int
    /// The channel of a row's element, for scales of one number a channel; nil where scales run over the row itself.
    private let channel: ((_ row: Int, _ place: Int) -> Int)?
    private let epsilon: Double

    init(_ node: Node, shape: [Int]) {
        let attributes = node.description.attributes
        epsilon = Double(attributes.float("epsilon") ?? 1e-5)
        let channels = shape.count > 1 ? shape[1] : 1
        let inner = shape.dropFirst(2).reduce(1, *)
        switch node.type {
        case "LayerNormalization":
            let axis = attributes.int("axis") ?? -1
            count = shape[..<(axis < 0 ? axis + shape.count : axis)].reduce(1, *)
            channel = nil
        case "GroupNormalization":
            let groups = max(1, attributes.int("num_groups") ?? 1)
            count = shape[0] * groups
            let perGroup = channels / groups
            channel = { row, place in row % groups * perGroup + place / max(1, inner) }
        default:
            count = shape[0] * channels
            channel = { row, _ in row % channels }
        }
        length = shape.elementCount / max(1, count)
    }

    /// What flows to x from a gradient of the result when the spread is constant: `(ĝ − mean ĝ) / spread`, with `ĝ = gradient · scale`.
    func slope(of x: Tensor<Float>, scale: Tensor<Float>?, gradient: Tensor<Float>) -> Tensor<Float> {
        let scales = scale?.values ?? [1]
        return x.withUnsafeBuffer { x in
            gradient.withUnsafeBuffer { gradient in
                Tensor(shape: [x.count]) { result in
                    for row in 0..<count {
                        let places = row * length..<(row + 1) * length
                        let mean = places.reduce(0.0) { $0 + Double(x[$1]) } / Double(length)
                        let variance =
                            places.reduce(0.0) { $0 + (Double(x[$1]) - mean) * (Double(x[$1]) - mean) } / Double(length)
                        var sum = 0.0
                        for place in 0..<length {
                            let number = channel.map { $0(row, place) } ?? place
                            let value = Double(gradient[row * length + place]) * Double(scales[number % scales.count])
                            result[row * length + place] = Float(value)
                            sum += value
                        }
                        let flow = Float(sum / Double(length))
                        let inverse = Float(1 / (variance + epsilon).squareRoot())
                        for index in places { result[index] = (result[index] - flow) * inverse }
                    }
                }
            }
        }.reshaped(x.shape)
    }
}

extension Tensor where Scalar == Float {
    /// One number for each index of the last axis, added.
    func adding(alongLastAxis numbers: Tensor) -> Tensor {
        precondition(numbers.count == shape.last, "\(numbers.count) numbers along the last axis of \(shape)")
        return withUnsafeBuffer { values in
            numbers.withUnsafeBuffer { numbers in
                Tensor(shape: shape) { result in
                    for index in values.indices { result[index] = values[index] + numbers[index % numbers.count] }
                }
            }
        }
    }

    /// Summed over the axes along which a tensor of `shape` was broadcast to this one's.
    func summed(overBroadcastFrom shape: [Int]) -> Tensor {
        let padded = [Int](repeating: 1, count: rank - shape.count) + shape
        let strides = padded.rowMajorStrides
        var result = Tensor(shape: shape, repeating: 0)
        result.withUnsafeMutableBuffer { sums in
            withUnsafeBuffer { values in
                for (number, place) in Odometer(self.shape).enumerated() {
                    var index = 0
                    for axis in padded.indices where padded[axis] > 1 { index += place[axis] * strides[axis] }
                    sums[index] += values[number]
                }
            }
        }
        return result
    }
}

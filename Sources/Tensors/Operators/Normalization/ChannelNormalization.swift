import Workers

/// A tensor as `[batch, channels, everything else]`, and numbers of each channel.
struct ChannelForm {
    let batch: Int
    let channels: Int
    /// Elements of one channel of one sample.
    let inner: Int
    let shape: [Int]

    init(_ value: Value, _ node: NodeDescription) throws {
        shape = value.shape
        guard shape.count >= 2 else { throw node.mismatch("[batch, channels, …]", [value]) }
        batch = shape[0]
        channels = shape[1]
        inner = shape.elementCount(2...)
    }

    /// The gradient of a channel's shift from one of every element.
    func summed(_ gradient: Tensor<Float>) -> Tensor<Float> {
        Reduction(shape: [batch, channels, inner], axes: [0, 2]).sum(gradient.reshaped([batch, channels, inner]))
    }

    /// Checks that an input has one number a channel (or for each of `count` groups).
    func check(_ value: Value, _ role: String, count: Int? = nil, _ node: NodeDescription) throws {
        guard value.shape == [count ?? channels] else {
            throw node.mismatch("\(role) of shape [\(count ?? channels)]", [value])
        }
    }

    /// y = x · factor[channel] + shift[channel].
    func affine(_ x: Tensor<Float>, factor: [Float], shift: [Float]) -> Tensor<Float> {
        let block = 1 << 15
        let blocks = (inner + block - 1) / block
        return Tensor(shape: x.shape) { result in
            x.withUnsafeBuffer { x in
                guard let x = x.baseAddress, let y = result.baseAddress else { return }
                Workers.shared.forEachRange(batch * channels * blocks, grain: max(1, block / max(1, inner))) { pieces in
                    for piece in pieces {
                        let row = piece / blocks
                        let first = row * inner + piece % blocks * block
                        let (factor, shift) = (factor[row % channels], shift[row % channels])
                        for index in first..<min((row + 1) * inner, first + block) {
                            y[index] = x[index] * factor + shift
                        }
                    }
                }
            }
        }
    }
}

/// Each channel shifted and scaled by what training has measured: (x − mean) / √(variance + ε) · scale + bias.
struct BatchNormalization: Operator {
    static let types = ["BatchNormalization"]
    private let node: NodeDescription
    private let epsilon: Double

    init(_ node: NodeDescription) throws {
        self.node = node
        epsilon = Double(try node.float("epsilon", default: 1e-5))
        if try node.flag("training_mode", default: false) {
            throw node.failure(
                expected: NodeDescription.inferenceMode, found: "training_mode = 1",
                remedy: "Export the network after calling eval() on it")
        }
        if try !node.flag("spatial", default: true) {
            throw node.failure(expected: "statistics of whole channels", found: "spatial = 0")
        }
    }

    /// What each channel is multiplied by and then raised by, where the four inputs after the first are known numbers of as
    /// many channels.
    func affine(_ inputs: [Value?]) -> (factors: [Float], shifts: [Float])? {
        guard inputs.count >= 5 else { return nil }
        var tensors: [Tensor<Float>] = []
        for case .float(let tensor)? in inputs[1...4] where tensor.rank == 1 { tensors.append(tensor) }
        guard tensors.count == 4, tensors.allSatisfy({ $0.count == tensors[0].count }) else { return nil }
        let channel = Parameters(tensors, epsilon)
        return (channel.factors, channel.shifts)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let form = try ChannelForm(value, node)
        let roles = ["scales", "biases", "means", "variances"]
        var values = [value]
        for (index, role) in roles.enumerated() {
            values.append(try node.input(inputs, index + 1, role))
            try form.check(values[index + 1], role, node)
        }
        guard let tensors = try node.floats(values, "inputs") else { return [.pending(value.shape)] }
        let channel = Parameters(Array(tensors.dropFirst()), epsilon)
        return [.float(form.affine(tensors[0], factor: channel.factors, shift: channel.shifts))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let form = try ChannelForm(.pending(call.shape(0)), node)
        let channel = Parameters((1...4).map { call.float($0) }, epsilon)
        let gradient = call.gradient
        let zeros = [Float](repeating: 0, count: form.channels)
        // Σ g and Σ g (x − mean), which the parameters' gradients share.
        func total() -> [Float] { form.summed(gradient).values }
        func moment() -> [Float] {
            let centred = form.affine(
                call.float(0), factor: [Float](repeating: 1, count: form.channels), shift: channel.means.map { -$0 })
            return form.summed(gradient.map(centred) { $0 * $1 }).values
        }
        return call.results { index in
            let values: [Float]
            switch index {
            case 0: return form.affine(gradient, factor: channel.factors, shift: zeros)
            case 1: values = zip(moment(), channel.inverses).map { $0 * Float($1) }
            case 2: values = total()
            case 3: values = zip(total(), channel.factors).map { -$0 * $1 }
            default:
                values = zip(moment(), zip(channel.factors, channel.inverses)).map {
                    -0.5 * $0 * $1.0 * Float($1.1 * $1.1)
                }
            }
            return Tensor(shape: [form.channels], values: values)
        }
    }

    /// What each channel is multiplied by and then raised by.
    private struct Parameters {
        let factors: [Float]
        let shifts: [Float]
        let inverses: [Double]
        let means: [Float]

        init(_ tensors: [Tensor<Float>], _ epsilon: Double) {
            let (scales, biases, variances) = (tensors[0].values, tensors[1].values, tensors[3].values)
            means = tensors[2].values
            inverses = variances.map { 1 / (Double($0) + epsilon).squareRoot() }
            let exact = zip(scales, inverses).map { Double($0) * $1 }
            factors = exact.map { Float($0) }
            shifts = zip(biases, zip(means, exact)).map { Float(Double($0) - Double($1.0) * $1.1) }
        }
    }
}

/// Each channel of each sample standardized over its own elements, then scaled and shifted.
struct InstanceNormalization: Operator {
    static let types = ["InstanceNormalization"]
    private let node: NodeDescription
    private let epsilon: Float

    init(_ node: NodeDescription) throws {
        self.node = node
        epsilon = try node.float("epsilon", default: 1e-5)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [
            try node.input(inputs, 0, "the tensor"), try node.input(inputs, 1, "scales"),
            try node.input(inputs, 2, "biases"),
        ]
        let form = try ChannelForm(values[0], node)
        try form.check(values[1], "scales", node)
        try form.check(values[2], "biases", node)
        guard let tensors = try node.floats(values, "inputs") else { return [.pending(form.shape)] }
        let (scales, biases, channels) = (tensors[1].values, tensors[2].values, form.channels)
        return [
            .float(
                core(form).map(tensors[0]) { row, statistics, x, result in
                    let factor = statistics.inverse * scales[row % channels]
                    let bias = biases[row % channels]
                    result.fill(from: x) { statistics.centred($0) * factor + bias }
                })
        ]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let x = call.float(0)
        let form = try ChannelForm(.pending(x.shape), node)
        let (scales, channels) = (call.float(1).values, form.channels)
        let gradient = call.gradient
        return call.results { index in
            switch index {
            case 0: return core(form).pullback(x, gradient) { row, _ in scales[row % channels] }
            case 1: return form.summed(gradient.map(core(form).standardized(x)) { $0 * $1 })
            default: return form.summed(gradient)
            }
        }
    }

    private func core(_ form: ChannelForm) -> Standardization {
        Standardization(rows: form.batch * form.channels, length: form.inner, epsilon: epsilon)
    }
}

/// Groups of channels of each sample standardized together, then scaled and shifted channel by channel (since opset 21) or
/// group by group (before).
struct GroupNormalization: Operator {
    static let types = ["GroupNormalization"]
    private let node: NodeDescription
    private let groups: Int
    private let epsilon: Float

    init(_ node: NodeDescription) throws {
        self.node = node
        epsilon = try node.float("epsilon", default: 1e-5)
        groups = try node.int("num_groups", default: 0)
        guard groups > 0 else { throw node.failure(expected: "a positive 'num_groups'", found: "\(groups)") }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [
            try node.input(inputs, 0, "the tensor"), try node.input(inputs, 1, "scales"),
            try node.input(inputs, 2, "biases"),
        ]
        let form = try form(values[0])
        try form.check(values[1], "scales", count: parameterCount(form), node)
        try form.check(values[2], "biases", count: parameterCount(form), node)
        guard let tensors = try node.floats(values, "inputs") else { return [.pending(form.shape)] }
        let (scales, biases) = (perChannel(tensors[1], form), perChannel(tensors[2], form))
        let (groups, inner) = (groups, form.inner)
        let width = form.channels / groups
        return [
            .float(
                core(form).map(tensors[0]) { row, statistics, x, result in
                    for place in 0..<width {
                        let channel = row % groups * width + place
                        let factor = statistics.inverse * scales[channel]
                        let bias = biases[channel]
                        for i in place * inner..<(place + 1) * inner {
                            result[i] = statistics.centred(x[i]) * factor + bias
                        }
                    }
                })
        ]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let x = call.float(0)
        let form = try form(.pending(x.shape))
        let scales = perChannel(call.float(1), form)
        let gradient = call.gradient
        let (groups, inner) = (groups, form.inner)
        let width = form.channels / groups
        return call.results { index in
            switch index {
            case 0: return core(form).pullback(x, gradient) { scales[$0 % groups * width + $1 / inner] }
            case 1: return perParameter(form.summed(gradient.map(core(form).standardized(x)) { $0 * $1 }), form)
            default: return perParameter(form.summed(gradient), form)
            }
        }
    }

    private func form(_ value: Value) throws -> ChannelForm {
        let form = try ChannelForm(value, node)
        guard form.channels % groups == 0 else {
            throw node.mismatch("channels that \(groups) groups can share", [value])
        }
        return form
    }

    private func parameterCount(_ form: ChannelForm) -> Int { node.opset >= 21 ? form.channels : groups }

    private func perChannel(_ parameters: Tensor<Float>, _ form: ChannelForm) -> [Float] {
        let values = parameters.values
        return (0..<form.channels).map { values[$0 * values.count / form.channels] }
    }

    private func perParameter(_ channels: Tensor<Float>, _ form: ChannelForm) -> Tensor<Float> {
        if node.opset >= 21 { return channels }
        return Reduction(shape: [groups, form.channels / groups], axes: [1])
            .sum(channels.reshaped([groups, form.channels / groups]))
    }

    private func core(_ form: ChannelForm) -> Standardization {
        Standardization(
            rows: form.batch * groups, length: form.channels / groups * form.inner, epsilon: epsilon)
    }
}

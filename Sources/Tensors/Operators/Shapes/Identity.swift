/// The input as it is.
struct Identity: Operator {
    static let types = ["Identity"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func forward(_ inputs: [Value?]) throws -> [Value] { [try node.input(inputs, 0, "the tensor")] }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { $0 == 0 ? call.gradient : nil } }
}

/// Dropout as it is outside of training: the input, and a mask that keeps everything.
struct Dropout: Operator {
    static let types = ["Dropout"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        if case .boolean(let flag)? = node.optional(inputs, 2), flag.values.contains(true), try dropsAny(inputs) {
            // A network exported in training mode drops at random: its answers could not be explained.
            throw node.failure(
                expected: NodeDescription.inferenceMode, found: "training_mode = true",
                remedy: "Export the network after calling eval() on it")
        }
        if node.outputs.count < 2 { return [value] }
        return [value, .boolean(Tensor(shape: value.shape, repeating: true))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { $0 == 0 ? call.gradient : nil } }

    /// Whether anything would be dropped in training.
    private func dropsAny(_ inputs: [Value?]) throws -> Bool {
        guard let ratio = node.optional(inputs, 1) else { return true }
        return try node.float(ratio, "the ratio")?.values.contains { $0 != 0 } ?? false
    }
}

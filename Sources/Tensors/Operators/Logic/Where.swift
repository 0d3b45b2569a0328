/// One of two tensors, element by element, as a condition says; all three are broadcast.
struct Where: Operator {
    static let types = ["Where"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [
            try node.input(inputs, 0, "the condition"), try node.input(inputs, 1, "the tensor where it holds"),
            try node.input(inputs, 2, "the tensor elsewhere"),
        ]
        let condition = try node.boolean(values[0], "the condition")
        let broadcast = try Broadcast(values, node)
        switch (values[1], values[2]) {
        case (.float(let a), .float(let b)): return [.float(broadcast.map(condition, a, b) { $0 ? $1 : $2 })]
        case (.integer(let a), .integer(let b)): return [.integer(broadcast.map(condition, a, b) { $0 ? $1 : $2 })]
        case (.boolean(let a), .boolean(let b)): return [.boolean(broadcast.map(condition, a, b) { $0 ? $1 : $2 })]
        case (.pending, .pending), (.float, .pending), (.pending, .float): return [.pending(broadcast.shape)]
        default: throw node.mismatch("two tensors of one kind", Array(values.dropFirst()))
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard case .boolean(let condition)? = call.inputs[0] else { preconditionFailure("a condition of booleans") }
        let gradient = call.gradient
        let broadcast = Broadcast([gradient.shape, condition.shape], to: gradient.shape)
        return call.results { index in
            let chosen = index == 1
            return broadcast.map(gradient, condition) { $1 == chosen ? $0 : 0 }.summed(to: call.shape(index))
        }
    }
}

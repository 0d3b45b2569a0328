/// Slices of a tensor along one axis, chosen by indices of any shape.
struct Gather: Operator {
    static let types = ["Gather"]
    private let node: NodeDescription
    private let axis: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: 0)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        return [value.moved(by: try take(value.shape, inputs))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let take = try take(call.shape(0), call.inputs)
        return call.results { $0 == 0 ? take.adjoint(call.gradient, of: call.shape(0)) : nil }
    }

    private func take(_ shape: [Int], _ inputs: [Value?]) throws -> AxisTake {
        let axis = try node.axis(axis, rank: shape.count)
        let indices = try node.integer(node.input(inputs, 1, "the indices"), "the indices")
        _ = try node.possible(shape[..<axis] + indices.shape + shape[(axis + 1)...])
        return AxisTake(
            shape, axis: axis, indices: try node.places(indices, shape[axis]), indexShape: indices.shape)
    }
}

extension NodeDescription {
    /// Indices counted from the front, from ones that may be counted from the back.
    func places(_ indices: Tensor<Int64>, _ extent: Int) throws -> [Int] {
        try indices.values.map { try place(Int($0), extent) }
    }

    func place(_ index: Int, _ extent: Int) throws -> Int {
        guard index >= -extent, index < extent else {
            throw failure(expected: "indices in an axis of extent \(extent)", found: "\(index)")
        }
        return index < 0 ? index + extent : index
    }
}

/// Several tensors one after the other along an axis.
struct Concat: Operator {
    static let types = ["Concat"]
    private let node: NodeDescription
    private let axis: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        guard let axis = try node.int("axis") ?? (node.opset < 4 ? 1 : nil) else {
            throw node.failure(expected: "attribute 'axis'", found: "none")
        }
        self.axis = axis
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = try node.all(inputs, "tensors")
        var shape = values[0].shape
        let axis = try node.axis(axis, rank: shape.count)
        for value in values.dropFirst() {
            var other = value.shape
            guard other.count == shape.count else { throw node.mismatch("tensors of one rank", values) }
            let (sum, overflow) = shape[axis].addingReportingOverflow(other[axis])
            shape[axis] = 0
            other[axis] = 0
            guard shape == other, !overflow else {
                throw node.mismatch("extents that agree on all axes but \(axis)", values)
            }
            shape[axis] = sum
        }
        _ = try node.possible(shape)
        switch values[0] {
        case .integer: return [.integer(Concat.joined(try values.map { try node.integer($0, "tensors") }, shape, axis))]
        case .boolean: return [.boolean(Concat.joined(try values.map { try node.boolean($0, "tensors") }, shape, axis))]
        case .float, .pending:
            guard let tensors = try node.floats(values, "tensors") else { return [.pending(shape)] }
            return [.float(Concat.joined(tensors, shape, axis))]
        }
    }

    /// The tensors side by side along `axis`, in a tensor of `shape`.
    static func joined<Scalar>(_ tensors: [Tensor<Scalar>], _ shape: [Int], _ axis: Int) -> Tensor<Scalar> {
        Tensor(shape: shape) { result in
            guard let base = result.baseAddress, result.count > 0 else { return }
            var start = 0
            for tensor in tensors where tensor.count > 0 {
                let count = tensor.shape[axis]
                StridedView(shape).sliced(axis, from: start, step: 1, count: count).write(tensor, to: base)
                start += count
            }
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let gradient = call.gradient
        let axis = try node.axis(axis, rank: gradient.rank)
        var starts = [0]
        for index in call.inputs.indices { starts.append(starts[index] + call.shape(index)[axis]) }
        return call.results { index in
            StridedView(gradient.shape)
                .sliced(axis, from: starts[index], step: 1, count: call.shape(index)[axis])(gradient)
        }
    }
}

/// A tensor in several parts along an axis: of given extents, or as equal as can be.
struct Split: Operator {
    static let types = ["Split"]
    private let node: NodeDescription
    private let axis: Int
    private let extents: [Int]?

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: 0)
        extents = try node.ints("split")
        if let count = try node.int("num_outputs"), count != node.outputs.count {
            throw node.failure(
                expected: "as many outputs as 'num_outputs'", found: "\(node.outputs.count) and \(count)")
        }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        return try views(value.shape, inputs).map { value.moved(by: $0) }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let shape = call.shape(0)
        let views = try views(shape, call.inputs)
        return call.results { index in
            guard index == 0 else { return nil }
            return Tensor(shape: shape) { result in
                result.initialize(repeating: 0)
                for (view, gradient) in zip(views, call.gradients) {
                    if let gradient, let base = result.baseAddress { view.write(gradient, to: base) }
                }
            }
        }
    }

    private func views(_ shape: [Int], _ inputs: [Value?]) throws -> [StridedView] {
        let axis = try node.axis(axis, rank: shape.count)
        let total = shape[axis]
        let parts = node.outputs.count
        let given = try node.optional(inputs, 1).map { try node.list($0, "the extents") } ?? extents
        let extents: [Int]
        if let given {
            guard given.allSatisfy({ (0...total).contains($0) }), given.reduce(0, +) == total, given.count == parts
            else {
                throw node.failure(expected: "\(parts) extents that sum to \(total)", found: "\(given)")
            }
            extents = given
        } else {
            guard parts > 0 else { throw node.failure(expected: "outputs", found: "none") }
            let each = (total + parts - 1) / parts
            extents = (0..<parts).map { min(each, max(0, total - $0 * each)) }
        }
        var start = 0
        return extents.map { extent in
            defer { start += extent }
            return StridedView(shape).sliced(axis, from: start, step: 1, count: extent)
        }
    }
}

/// For each index a row of one value with another at the index's place.
struct OneHot: Operator {
    static let types = ["OneHot"]
    private let node: NodeDescription
    private let axis: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: -1)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let plan = try plan(inputs)
        switch plan.values {
        case .float where inputs[0]?.isPending == true: return [.pending(plan.shape)]
        case .float(let pair): return [.float(plan.filled(pair))]
        case .integer(let pair): return [.integer(plan.filled(pair))]
        case .boolean(let pair): return [.boolean(plan.filled(pair))]
        case .pending: return [.pending(plan.shape)]
        }
    }

    /// The values' gradient: what fell on cold places and what fell on hot ones.
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let plan = try plan(call.inputs)
        return call.results { index in
            guard index == 2 else { return nil }
            let hot = plan.filled(Tensor<Float>(shape: [2], values: [0, 1]))
            let cold = plan.filled(Tensor<Float>(shape: [2], values: [1, 0]))
            let sums = [cold, hot].map { call.gradient.map($0) { $0 * $1 }.summed(to: [])[flat: 0] }
            return Tensor(shape: [2], values: sums)
        }
    }

    private func plan(_ inputs: [Value?]) throws -> Plan {
        let indices = try numbers(node.input(inputs, 0, "the indices"), "the indices")
        let depths = try numbers(node.input(inputs, 1, "the depth"), "the depth")
        let values = try node.input(inputs, 2, "the values off and on")
        guard depths.count == 1, values.shape == [2], depths[flat: 0] > 0 else {
            throw node.failure(
                expected: "one positive depth and the values off and on",
                found: "depth \(depths.values) and \(values.summary)")
        }
        let depth = Int(depths[flat: 0])
        let axis = try node.axis(axis, rank: indices.rank + 1)
        var shape = indices.shape
        shape.insert(depth, at: axis)
        return Plan(
            shape: try node.possible(shape), values: values, indices: indices, depth: depth,
            inner: shape.rowMajorStrides[axis])
    }

    /// Indices may be floats.
    private func numbers(_ value: Value, _ role: String) throws -> Tensor<Int64> {
        switch value {
        case .float(let tensor): return tensor.map { Int64(saturating: $0) }
        case .pending where role == "the depth": throw UndeterminedShape(node.mismatch("a known depth", [value]))
        case .pending(let shape): return Tensor(shape: shape, repeating: 0)
        case .integer, .boolean: break
        }
        return try node.integer(value, role)
    }

    private struct Plan {
        let shape: [Int]
        let values: Value
        let indices: Tensor<Int64>
        let depth: Int
        /// Stride of the new axis.
        let inner: Int

        /// Indices outside of the depth, counted from either end, leave their row cold.
        func filled<Scalar>(_ pair: Tensor<Scalar>) -> Tensor<Scalar> {
            Tensor(shape: shape) { result in
                result.initialize(repeating: pair[flat: 0])
                for (flat, index) in indices.values.enumerated() where index >= -depth && index < depth {
                    let place = index < 0 ? Int(index) + depth : Int(index)
                    result[(flat / inner * depth + place) * inner + flat % inner] = pair[flat: 1]
                }
            }
        }
    }
}

/// The index tuples of the elements that are not 0, as columns.
struct NonZero: Operator {
    static let types = ["NonZero"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let places: [Int]
        switch value {
        case .float(let x): places = x.values.indices(where: { $0 != 0 })
        case .integer(let x): places = x.values.indices(where: { $0 != 0 })
        case .boolean(let x): places = x.values.indices(where: { $0 })
        case .pending:
            throw UndeterminedShape(
                node.mismatch("a tensor whose numbers are known, because the output's shape depends on them", [value]))
        }
        let strides = value.shape.rowMajorStrides
        let columns = value.shape.indices.flatMap { axis in
            places.map { Int64($0 / strides[axis] % value.shape[axis]) }
        }
        return [.integer(Tensor(shape: [value.shape.count, places.count], values: columns))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

extension Array {
    fileprivate func indices(where holds: (Element) -> Bool) -> [Int] { indices.filter { holds(self[$0]) } }
}

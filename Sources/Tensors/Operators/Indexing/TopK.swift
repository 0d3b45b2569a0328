/// The k largest (or smallest) elements along an axis, and where they stand; of equal ones the first.
struct TopK: Operator {
    static let types = ["TopK"]
    private let node: NodeDescription
    private let axis: Int
    private let largest: Bool
    private let k: Int?

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: -1)
        largest = try node.flag("largest", default: true)
        k = try node.int("k")
        // `sorted = 0` leaves the order open; sorted is one of the orders.
        _ = try node.flag("sorted", default: true)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let axis = try node.axis(axis, rank: value.shape.count)
        guard let k = try node.optional(inputs, 1).map({ try node.single($0, "k") }) ?? k else {
            throw node.failure(expected: "k", found: "none")
        }
        guard k >= 0, k <= value.shape[axis] else {
            throw node.failure(expected: "k of at most \(value.shape[axis])", found: "\(k)")
        }
        var shape = value.shape
        shape[axis] = k
        let reduction = Reduction(shape: value.shape, axes: [axis])
        let result = Reduction(shape: shape, axes: [axis])
        let largest = largest
        switch value {
        case .float(let x):
            let (values, places) = best(reduction.rows(x), reduction, k) { a, b in
                // NaN counts as the largest.
                if a.isNaN || b.isNaN { return largest ? a.isNaN && !b.isNaN : b.isNaN && !a.isNaN }
                return largest ? a > b : a < b
            }
            return [.float(result.unrowed(values)), .integer(result.unrowed(places))]
        case .integer(let x):
            let (values, places) = best(reduction.rows(x), reduction, k) { largest ? $0 > $1 : $0 < $1 }
            return [.integer(result.unrowed(values)), .integer(result.unrowed(places))]
        case .pending: return [.pending(shape), .integerPlaceholder(shape)]
        case .boolean: throw node.mismatch("floats or integers", [value])
        }
    }

    private func best<Scalar>(
        _ rows: Tensor<Scalar>, _ reduction: Reduction, _ k: Int, _ precedes: (Scalar, Scalar) -> Bool
    ) -> (Tensor<Scalar>, Tensor<Int64>) {
        let length = reduction.rowLength
        var values: [Scalar] = []
        var places: [Int64] = []
        rows.withUnsafeBuffer { all in
            for row in 0..<reduction.rowCount {
                let start = row * length
                let order = (0..<length).sorted { a, b in
                    let (x, y) = (all[start + a], all[start + b])
                    return precedes(x, y) || (a < b && !precedes(y, x))
                }
                for place in order.prefix(k) {
                    values.append(all[start + place])
                    places.append(Int64(place))
                }
            }
        }
        let shape = reduction.squeezed + [k]
        return (Tensor(shape: shape, values: values), Tensor(shape: shape, values: places))
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        // A network that does not use the places does not keep them.
        guard case .integer(let indices) = try forward(call.inputs)[1] else {
            preconditionFailure("places are integers")
        }
        return try call.results { index in
            guard index == 0 else { return nil }
            let axis = try node.axis(axis, rank: call.shape(0).count)
            return try Places(elements: indices, axis: axis, of: call.shape(0), node)
                .adjoint(call.gradient, of: call.shape(0))
        }
    }
}

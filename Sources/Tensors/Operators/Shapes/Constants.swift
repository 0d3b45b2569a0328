import Failures

/// A value that the network file holds.
struct Constant: Operator {
    static let types = ["Constant"]
    private let value: Value

    init(_ node: NodeDescription) throws {
        if let value = try node.tensor("value") {
            self.value = value
        } else if let number = try node.float("value_float") {
            value = .float(Tensor(shape: [], repeating: number))
        } else if let numbers = try node.floats("value_floats") {
            value = .float(Tensor(shape: [numbers.count], values: numbers))
        } else if let number = try node.int("value_int") {
            value = .integer(Tensor(shape: [], repeating: Int64(number)))
        } else if let numbers = try node.ints("value_ints") {
            value = .integer(Tensor(shape: [numbers.count], values: numbers.map(Int64.init)))
        } else {
            throw node.failure(
                expected: "an attribute value, value_float, value_floats, value_int or value_ints",
                found: node.attributes.names.isEmpty ? "none" : node.attributes.names.joined(separator: ", "))
        }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] { [value] }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// One number repeated over a given shape; float 0 unless the node says otherwise.
struct ConstantOfShape: Operator {
    static let types = ["ConstantOfShape"]
    private let node: NodeDescription
    private let value: Value

    init(_ node: NodeDescription) throws {
        self.node = node
        value = try node.tensor("value") ?? .float(Tensor(shape: [1], repeating: 0))
        guard value.shape.elementCount == 1 else {
            throw node.failure(expected: "attribute 'value' of one element", found: value.summary)
        }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let shape = try node.possible(node.list(node.input(inputs, 0, "the shape"), "the shape"))
        return [value.reshaped([]).moved(by: StridedView([]).expanded(to: shape))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// The numbers from `start` by `delta` up to but without `limit`.
struct NumberRange: Operator {
    static let types = ["Range"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [
            try node.input(inputs, 0, "the start"), try node.input(inputs, 1, "the limit"),
            try node.input(inputs, 2, "the step"),
        ]
        switch (values[0], values[1], values[2]) {
        case (.integer, .integer, .integer):
            let start = try node.single(values[0], "the start")
            let limit = try node.single(values[1], "the limit")
            let delta = try node.single(values[2], "the step")
            let (span, overflow) = limit.subtractingReportingOverflow(start)
            guard delta != 0, !overflow, span != .min, delta != .min else { throw endless(values) }
            let whole = span / delta
            let count = try node.possible([max(0, whole + (span % delta != 0 && (span < 0) == (delta < 0) ? 1 : 0))])
            return [.integer(Tensor(shape: count, values: (0..<count[0]).lazy.map { Int64(start + $0 * delta) }))]
        case (.float(let start), .float(let limit), .float(let delta)):
            guard start.count == 1, limit.count == 1, delta.count == 1 else {
                throw node.mismatch("three single numbers", values)
            }
            let (first, step) = (Double(start[flat: 0]), Double(delta[flat: 0]))
            let count = ((Double(limit[flat: 0]) - first) / step).rounded(.up)
            guard count.isFinite, count <= 0x1p40 else { throw endless(values) }
            let shape = try node.possible([max(0, Int(count))])
            return [.float(Tensor(shape: shape, values: (0..<shape[0]).lazy.map { Float(first + Double($0) * step) }))]
        default:
            if values.contains(where: \.isPending) {
                throw UndeterminedShape(node.mismatch("three known numbers", values))
            }
            throw node.mismatch("three numbers of one kind", values)
        }
    }

    private func endless(_ values: [Value]) -> Failure {
        func text(_ value: Value) -> String {
            switch value {
            case .integer(let tensor): tensor.values.map { "\($0)" }.joined()
            case .float(let tensor): tensor.values.map { "\($0)" }.joined()
            default: value.summary
            }
        }
        return node.failure(
            expected: "a start, limit and step with an end", found: values.map(text).joined(separator: ", "))
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// The extents of a tensor, all or those of a range of axes.
struct Shape: Operator {
    static let types = ["Shape"]
    private let node: NodeDescription
    private let start: Int
    private let end: Int?

    init(_ node: NodeDescription) throws {
        self.node = node
        start = try node.int("start", default: 0)
        end = try node.int("end")
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let shape = try node.input(inputs, 0, "the tensor").shape
        let rank = shape.count
        func place(_ axis: Int) -> Int { axis < 0 ? max(axis, -rank) + rank : min(axis, rank) }
        let first = place(start)
        let last = max(first, end.map(place) ?? rank)
        return [.integer(Tensor(shape: [last - first], values: shape[first..<last].map(Int64.init)))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// The number of elements.
struct Size: Operator {
    static let types = ["Size"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let count = try node.input(inputs, 0, "the tensor").shape.elementCount
        return [.integer(Tensor(shape: [], repeating: Int64(count)))]
    }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// An operator of two broadcast inputs whose outputs are yes or no. No gradient passes.
protocol Comparison: Operator {
    var node: NodeDescription { get }
    func holds(_ a: Float, _ b: Float) -> Bool
    func holds(_ a: Int64, _ b: Int64) -> Bool
    /// Nil where the comparison has no meaning for booleans.
    func holds(_ a: Tensor<Bool>, _ b: Tensor<Bool>, _ broadcast: Broadcast) -> Tensor<Bool>?
}

extension Comparison {
    func holds(_ a: Tensor<Bool>, _ b: Tensor<Bool>, _ broadcast: Broadcast) -> Tensor<Bool>? { nil }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "the left operand"), try node.input(inputs, 1, "the right operand")]
        let broadcast = try Broadcast(values, node)
        switch (values[0], values[1]) {
        case (.float(let a), .float(let b)): return [.boolean(broadcast.map(a, b) { holds($0, $1) })]
        case (.integer(let a), .integer(let b)): return [.boolean(broadcast.map(a, b) { holds($0, $1) })]
        case (.pending, .pending), (.float, .pending), (.pending, .float):
            return [.booleanPlaceholder(broadcast.shape)]
        case (.boolean(let a), .boolean(let b)):
            if let result = holds(a, b, broadcast) { return [.boolean(result)] }
            fallthrough
        default: throw node.mismatch("operands of one kind that can be compared", values)
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

extension Value {
    /// Stands for booleans that depend on numbers not known yet, while only shapes are asked: all false.
    static func booleanPlaceholder(_ shape: [Int]) -> Value { .boolean(Tensor(shape: shape, repeating: false)) }

    /// Stands for integers that depend on numbers not known yet, while only shapes are asked: all 0.
    static func integerPlaceholder(_ shape: [Int]) -> Value { .integer(Tensor(shape: shape, repeating: 0)) }
}

struct Equal: Comparison {
    static let types = ["Equal"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func holds(_ a: Float, _ b: Float) -> Bool { a == b }
    func holds(_ a: Int64, _ b: Int64) -> Bool { a == b }
    func holds(_ a: Tensor<Bool>, _ b: Tensor<Bool>, _ broadcast: Broadcast) -> Tensor<Bool>? {
        broadcast.map(a, b) { $0 == $1 }
    }
}

struct Greater: Comparison {
    static let types = ["Greater"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func holds(_ a: Float, _ b: Float) -> Bool { a > b }
    func holds(_ a: Int64, _ b: Int64) -> Bool { a > b }
}

struct GreaterOrEqual: Comparison {
    static let types = ["GreaterOrEqual"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func holds(_ a: Float, _ b: Float) -> Bool { a >= b }
    func holds(_ a: Int64, _ b: Int64) -> Bool { a >= b }
}

struct Less: Comparison {
    static let types = ["Less"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func holds(_ a: Float, _ b: Float) -> Bool { a < b }
    func holds(_ a: Int64, _ b: Int64) -> Bool { a < b }
}

struct LessOrEqual: Comparison {
    static let types = ["LessOrEqual"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func holds(_ a: Float, _ b: Float) -> Bool { a <= b }
    func holds(_ a: Int64, _ b: Int64) -> Bool { a <= b }
}

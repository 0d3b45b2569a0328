/// An operator of two broadcast boolean inputs.
protocol Connective: Operator {
    var node: NodeDescription { get }
    func value(_ a: Bool, _ b: Bool) -> Bool
}

extension Connective {
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "the left operand"), try node.input(inputs, 1, "the right operand")]
        let a = try node.boolean(values[0], "the left operand")
        let b = try node.boolean(values[1], "the right operand")
        return [.boolean(try Broadcast(values, node).map(a, b) { value($0, $1) })]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

struct And: Connective {
    static let types = ["And"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Bool, _ b: Bool) -> Bool { a && b }
}

struct Or: Connective {
    static let types = ["Or"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Bool, _ b: Bool) -> Bool { a || b }
}

struct Xor: Connective {
    static let types = ["Xor"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Bool, _ b: Bool) -> Bool { a != b }
}

struct Not: Operator {
    static let types = ["Not"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let x = try node.boolean(node.input(inputs, 0, "the tensor"), "the tensor")
        return [.boolean(x.map { !$0 })]
    }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// Which elements are not a number.
struct IsNaN: Operator {
    static let types = ["IsNaN"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        guard let x = try node.float(value, "the tensor") else { return [.booleanPlaceholder(value.shape)] }
        return [.boolean(x.map { $0.isNaN })]
    }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

/// Which elements are infinite, of either sign or of one.
struct IsInf: Operator {
    static let types = ["IsInf"]
    private let node: NodeDescription
    private let positive: Bool
    private let negative: Bool
    init(_ node: NodeDescription) throws {
        self.node = node
        positive = try node.flag("detect_positive", default: true)
        negative = try node.flag("detect_negative", default: true)
    }
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        guard let x = try node.float(value, "the tensor") else { return [.booleanPlaceholder(value.shape)] }
        return [.boolean(x.map { (positive && $0 == .infinity) || (negative && $0 == -.infinity) })]
    }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

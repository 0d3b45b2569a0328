/// An operator that folds any number of broadcast inputs, element by element, from left to right.
protocol VariadicPointwise: Operator {
    var node: NodeDescription { get }
    func combine(_ a: Float, _ b: Float) -> Float
    func combine(_ a: Int64, _ b: Int64) -> Int64
}

extension VariadicPointwise {
    /// The fold of all inputs.
    func folded(_ inputs: [Value?]) throws -> Value {
        let values = try node.all(inputs, "operands")
        guard let shape = Broadcast.shape(values.map(\.shape)) else {
            throw node.mismatch("shapes that broadcast to one", values)
        }
        _ = try node.possible(shape)
        var result = values[0]
        for value in values.dropFirst() {
            let broadcast = try Broadcast([result, value], node)
            switch (result, value) {
            case (.float(let a), .float(let b)): result = .float(broadcast.map(a, b) { combine($0, $1) })
            case (.integer(let a), .integer(let b)): result = .integer(broadcast.map(a, b) { combine($0, $1) })
            case (.pending, .pending), (.float, .pending), (.pending, .float): result = .pending(broadcast.shape)
            default: throw node.mismatch("operands of one kind", values)
            }
        }
        if case .boolean = result { throw node.mismatch("floats or integers", values) }
        return result
    }
}

struct Sum: VariadicPointwise {
    static let types = ["Sum"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func combine(_ a: Float, _ b: Float) -> Float { a + b }
    func combine(_ a: Int64, _ b: Int64) -> Int64 { a &+ b }
    func forward(_ inputs: [Value?]) throws -> [Value] { [try folded(inputs)] }
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { call.gradient.summed(to: call.shape($0)) }
    }
}

struct Mean: VariadicPointwise {
    static let types = ["Mean"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func combine(_ a: Float, _ b: Float) -> Float { a + b }
    func combine(_ a: Int64, _ b: Int64) -> Int64 { a &+ b }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let sum = try folded(inputs)
        guard let sum = try node.float(sum, "operands") else { return [sum] }
        let count = Float(inputs.count)
        return [.float(sum.map { $0 / count })]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let count = Float(call.inputs.count)
        return call.results { call.gradient.summed(to: call.shape($0)).map { $0 / count } }
    }
}

/// An operator whose every output element is one of the input elements; equal ones share the gradient.
protocol Selection: VariadicPointwise {}

extension Selection {
    func forward(_ inputs: [Value?]) throws -> [Value] { [try folded(inputs)] }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let gradient = call.gradient
        let output = call.floatOutput(0)
        var ties = Tensor<Float>(shape: output.shape, repeating: 0)
        for index in call.inputs.indices {
            let input = call.float(index)
            ties = Broadcast([output.shape, output.shape, input.shape], to: output.shape)
                .map(ties, output, input) { $2 == $1 ? $0 + 1 : $0 }
        }
        let share = gradient.map(ties) { $1 > 0 ? $0 / $1 : 0 }
        return call.results { index in
            let input = call.float(index)
            return Broadcast([output.shape, output.shape, input.shape], to: output.shape)
                .map(share, output, input) { $2 == $1 ? $0 : 0 }.summed(to: input.shape)
        }
    }
}

/// The largest operand; NaN where one is NaN.
struct Max: Selection {
    static let types = ["Max"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func combine(_ a: Float, _ b: Float) -> Float { a > b || a.isNaN ? a : b }
    func combine(_ a: Int64, _ b: Int64) -> Int64 { max(a, b) }
}

/// The smallest operand; NaN where one is NaN.
struct Min: Selection {
    static let types = ["Min"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func combine(_ a: Float, _ b: Float) -> Float { a < b || a.isNaN ? a : b }
    func combine(_ a: Int64, _ b: Int64) -> Int64 { min(a, b) }
}

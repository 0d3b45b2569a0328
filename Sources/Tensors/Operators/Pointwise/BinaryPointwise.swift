/// An operator of two broadcast inputs, element by element.
///
/// A conforming type states the function and both partial derivatives; forward and pullback follow.
protocol BinaryPointwise: Operator {
    var node: NodeDescription { get }
    func value(_ a: Float, _ b: Float) -> Float
    /// ∂y/∂a and ∂y/∂b.
    func derivativeA(_ a: Float, _ b: Float) -> Float
    func derivativeB(_ a: Float, _ b: Float) -> Float
    func value(_ a: Int64, _ b: Int64) -> Int64
    /// Refuses integers for which ``value(_:_:)-(Int64,_)`` has no answer.
    func check(_ a: Tensor<Int64>, _ b: Tensor<Int64>) throws
}

extension BinaryPointwise {
    func check(_ a: Tensor<Int64>, _ b: Tensor<Int64>) throws {}

    func forward(_ inputs: [Value?]) throws -> [Value] {
        try forwardSameKind(inputs)
    }

    func forwardSameKind(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "the left operand"), try node.input(inputs, 1, "the right operand")]
        let broadcast = try Broadcast(values, node)
        switch (values[0], values[1]) {
        case (.float(let a), .float(let b)):
            return [.float(broadcast.map(a, b) { value($0, $1) })]
        case (.integer(let a), .integer(let b)):
            try check(a, b)
            return [.integer(broadcast.map(a, b) { value($0, $1) })]
        case (.pending, .pending), (.float, .pending), (.pending, .float):
            return [.pending(broadcast.shape)]
        default: throw node.mismatch("two float or two integer operands", values)
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { gradient(of: $0, call.gradient, call.float(0), call.float(1)) }
    }

    /// The gradient of one operand, summed over the axes along which it was repeated.
    func gradient(of index: Int, _ gradient: Tensor<Float>, _ a: Tensor<Float>, _ b: Tensor<Float>) -> Tensor<Float> {
        let broadcast = Broadcast([gradient.shape, a.shape, b.shape], to: gradient.shape)
        if index == 0 {
            return broadcast.map(gradient, a, b) { $0 * derivativeA($1, $2) }.summed(to: a.shape)
        }
        return broadcast.map(gradient, a, b) { $0 * derivativeB($1, $2) }.summed(to: b.shape)
    }
}

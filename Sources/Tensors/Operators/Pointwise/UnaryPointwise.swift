/// An operator of one input whose every output element is a function of the input element in its place.
///
/// A conforming type states the function and its derivative; forward and pullback follow.
protocol UnaryPointwise: Operator {
    var node: NodeDescription { get }
    func value(_ x: Float) -> Float
    /// dy/dx at x, where y is the value there.
    func derivative(_ x: Float, _ y: Float) -> Float
}

extension UnaryPointwise {
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "the tensor")
        guard let x = try node.float(input, "the tensor") else { return [.pending(input.shape)] }
        return [.float(x.map { value($0) })]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { index in
            guard index == 0 else { return nil }
            return call.gradient.map(call.float(0), call.floatOutput(0)) { gradient, x, y in
                gradient * derivative(x, y)
            }
        }
    }
}

/// A pointwise operator that integers have too.
protocol UnaryIntegerPointwise: UnaryPointwise {
    func value(_ x: Int64) -> Int64
}

extension UnaryIntegerPointwise {
    func forward(_ inputs: [Value?]) throws -> [Value] {
        switch try node.input(inputs, 0, "the tensor") {
        case .float(let x): return [.float(x.map { value($0) })]
        case .integer(let x): return [.integer(x.map { value($0) })]
        case .pending(let shape): return [.pending(shape)]
        case .boolean(let x): throw node.mismatch("floats or integers", [.boolean(x)])
        }
    }
}

import Workers

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
        return [.float(values(x))]
    }

    /// ``value(_:)`` of every element. A loop of its own and not ``Tensor/map(_:)``: a call for every element, which that leaves, would take
    /// several times as long as a rectifier's comparison.
    fileprivate func values(_ x: Tensor<Float>) -> Tensor<Float> {
        Tensor(shape: x.shape) { result in
            x.withUnsafeBuffer { x in
                guard let x = x.baseAddress, let y = result.baseAddress else { return }
                Workers.shared.forEachRange(result.count, grain: 1 << 15) { range in
                    for index in range { y[index] = value(x[index]) }
                }
            }
        }
    }

    /// The gradient's elements times the derivatives in their places.
    private func gradients(_ gradient: Tensor<Float>, _ x: Tensor<Float>, _ y: Tensor<Float>) -> Tensor<Float> {
        precondition(gradient.shape == x.shape && x.shape == y.shape, "tensors of one shape")
        return Tensor(shape: gradient.shape) { result in
            gradient.withUnsafeBuffer { gradient in
                x.withUnsafeBuffer { x in
                    y.withUnsafeBuffer { y in
                        guard let g = gradient.baseAddress, let x = x.baseAddress, let y = y.baseAddress,
                            let out = result.baseAddress
                        else { return }
                        Workers.shared.forEachRange(result.count, grain: 1 << 15) { range in
                            for index in range { out[index] = g[index] * derivative(x[index], y[index]) }
                        }
                    }
                }
            }
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { index in
            guard index == 0 else { return nil }
            return gradients(call.gradient, call.float(0), call.floatOutput(0))
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
        case .float(let x): return [.float(values(x))]
        case .integer(let x): return [.integer(x.map { value($0) })]
        case .pending(let shape): return [.pending(shape)]
        case .boolean(let x): throw node.mismatch("floats or integers", [.boolean(x)])
        }
    }
}

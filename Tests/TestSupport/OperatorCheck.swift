import Tensors

/// What can be checked of any operator without knowing what it computes: that the pullback is the derivative of the
/// forward, and that shape inference agrees with both.
public struct OperatorCheck {
    /// The largest disagreement between pullback and finite differences, relative to the gradient's size; over all inputs
    /// asked for and several random directions. Infinite where a gradient is missing, has another shape or is not finite.
    public var gradientError: Double
    /// Whether forward on ``Value/pending(_:)`` inputs gives pending outputs of the shapes that the numbers give.
    public var shapesAgree: Bool

    /// - Parameters:
    ///   - wanted: the inputs whose gradient is checked; the first where nil. They must be float tensors, at a place where
    ///     the operator is smooth within a few times `step`.
    ///   - outputs: which outputs take part; all float ones where nil.
    ///   - step: half the width of the widest central difference, on elements of about unit size.
    public init(
        _ operation: any Operator, inputs: [Value?], wanted: [Int]? = nil, outputs: [Int]? = nil,
        step: Float = 1 / 32, seed: UInt64 = 1
    ) throws {
        var numbers = SeededNumbers(seed)
        let wanted = wanted ?? [0]
        let results = try operation.forward(inputs)

        // A scalar: random weights on every float output.
        var weights: [Tensor<Float>?] = []
        for (index, result) in results.enumerated() {
            guard case .float(let y) = result, outputs?.contains(index) ?? true else {
                weights.append(nil)
                continue
            }
            weights.append(numbers.tensor(y.shape))
        }
        func scalar(_ inputs: [Value?]) throws -> Double {
            var sum = 0.0
            for (result, weight) in zip(try operation.forward(inputs), weights) {
                guard let weight, case .float(let y) = result else { continue }
                for (a, b) in zip(y.values, weight.values) { sum += Double(a) * Double(b) }
            }
            return sum
        }
        let gradients = try operation.pullback(
            PullbackCall(
                gradients: weights, inputs: inputs, outputs: results,
                wanted: inputs.indices.map { wanted.contains($0) }))

        var error = 0.0
        for index in wanted {
            guard case .float(let x)? = inputs[index] else { preconditionFailure("input \(index) is no float tensor") }
            guard let gradient = gradients[index], gradient.shape == x.shape,
                gradient.values.allSatisfy(\.isFinite)
            else {
                error = .infinity
                continue
            }
            for _ in 0..<4 {
                let direction = numbers.tensor(x.shape)
                func moved(_ amount: Float) throws -> Double {
                    var inputs = inputs
                    let values = zip(x.values, direction.values).map { $0 + amount * $1 }
                    inputs[index] = .float(Tensor(shape: x.shape, values: values))
                    return try scalar(inputs)
                }
                func difference(_ h: Float) throws -> Double { (try moved(h) - moved(-h)) / Double(2 * h) }
                // Two widths, extrapolated: the error is of fourth order.
                let measured = (4 * (try difference(step / 2)) - (try difference(step))) / 3
                let terms = zip(gradient.values, direction.values).map { Double($0) * Double($1) }
                let size = terms.reduce(0) { $0 + $1 * $1 }.squareRoot()
                error = max(error, abs(measured - terms.reduce(0, +)) / max(size, 1e-3))
            }
        }
        gradientError = error

        let pending = inputs.enumerated().map { index, value -> Value? in
            if case .float(let x)? = value, wanted.contains(index) { return .pending(x.shape) }
            return value
        }
        let inferred = try operation.forward(pending)
        shapesAgree =
            inferred.count == results.count
            && zip(inferred, results).allSatisfy { inferred, result in
                if case .float = result, !inferred.isPending { return false }
                return inferred.shape == result.shape
            }
    }
}

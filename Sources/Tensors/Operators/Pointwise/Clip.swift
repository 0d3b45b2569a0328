/// Each element held between two bounds; where the lower one is the greater, everything becomes the upper one.
///
/// The bounds are attributes up to opset 10 and inputs since. A gradient passes to the tensor only, where it is not clipped.
struct Clip: Operator {
    static let types = ["Clip"]
    private let node: NodeDescription
    private let lower: Float?
    private let upper: Float?

    init(_ node: NodeDescription) throws {
        self.node = node
        lower = try node.float("min")
        upper = try node.float("max")
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        switch try node.input(inputs, 0, "the tensor") {
        case .float(let x):
            guard let (low, high) = try bounds(inputs) else { return [.pending(x.shape)] }
            return [
                .float(
                    x.map { x in
                        let y = x < low ? low : x; return y > high ? high : y
                    })
            ]
        case .integer(let x):
            let low = try node.optional(inputs, 1).map { try node.single($0, "the lower bound") } ?? .min
            let high = try node.optional(inputs, 2).map { try node.single($0, "the upper bound") } ?? .max
            return [.integer(x.map { Int64(min(max(Int($0), low), high)) })]
        case .pending(let shape): return [.pending(shape)]
        case .boolean(let x): throw node.mismatch("floats or integers", [.boolean(x)])
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard let (low, high) = try bounds(call.inputs) else { preconditionFailure("bounds without numbers") }
        return call.results { index in
            guard index == 0 else { return nil }
            return call.gradient.map(call.float(0)) { $1 >= low && $1 <= high ? $0 : 0 }
        }
    }

    /// Nil where a bound has no number yet.
    private func bounds(_ inputs: [Value?]) throws -> (Float, Float)? {
        guard let low = try bound(inputs, 1, lower ?? -.infinity), let high = try bound(inputs, 2, upper ?? .infinity)
        else { return nil }
        return (low, high)
    }

    private func bound(_ inputs: [Value?], _ index: Int, _ absent: Float) throws -> Float? {
        guard let value = node.optional(inputs, index) else { return absent }
        guard let tensor = try node.float(value, "the bound") else { return nil }
        guard tensor.count == 1 else { throw node.failure(expected: "a bound of one element", found: value.summary) }
        return tensor[flat: 0]
    }
}

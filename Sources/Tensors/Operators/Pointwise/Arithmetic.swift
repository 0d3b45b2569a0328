import Foundation

struct Add: BinaryPointwise {
    static let types = ["Add"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Float, _ b: Float) -> Float { a + b }
    func value(_ a: Int64, _ b: Int64) -> Int64 { a &+ b }
    func derivativeA(_ a: Float, _ b: Float) -> Float { 1 }
    func derivativeB(_ a: Float, _ b: Float) -> Float { 1 }

    // The gradient itself, without a pass over the operands.
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { call.gradient.summed(to: call.shape($0)) }
    }
}

struct Sub: BinaryPointwise {
    static let types = ["Sub"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Float, _ b: Float) -> Float { a - b }
    func value(_ a: Int64, _ b: Int64) -> Int64 { a &- b }
    func derivativeA(_ a: Float, _ b: Float) -> Float { 1 }
    func derivativeB(_ a: Float, _ b: Float) -> Float { -1 }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { index in
            let sum = call.gradient.summed(to: call.shape(index))
            return index == 0 ? sum : sum.map { -$0 }
        }
    }
}

struct Mul: BinaryPointwise {
    static let types = ["Mul"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Float, _ b: Float) -> Float { a * b }
    func value(_ a: Int64, _ b: Int64) -> Int64 { a &* b }
    func derivativeA(_ a: Float, _ b: Float) -> Float { b }
    func derivativeB(_ a: Float, _ b: Float) -> Float { a }
}

/// Division; of integers, towards zero.
struct Div: BinaryPointwise {
    static let types = ["Div"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ a: Float, _ b: Float) -> Float { a / b }
    func value(_ a: Int64, _ b: Int64) -> Int64 { a.dividedReportingOverflow(by: b).partialValue }
    func derivativeA(_ a: Float, _ b: Float) -> Float { 1 / b }
    func derivativeB(_ a: Float, _ b: Float) -> Float { -a / (b * b) }

    func check(_ a: Tensor<Int64>, _ b: Tensor<Int64>) throws {
        if b.values.contains(0) { throw node.failure(expected: "integer divisors other than 0", found: "0") }
    }
}

/// The remainder: with the divisor's sign, or (`fmod`) with the dividend's.
struct Mod: BinaryPointwise {
    static let types = ["Mod"]
    let node: NodeDescription
    private let dividendSign: Bool
    init(_ node: NodeDescription) throws {
        self.node = node
        dividendSign = try node.flag("fmod", default: false)
    }

    func value(_ a: Float, _ b: Float) -> Float {
        let remainder = fmod(a, b)
        if dividendSign || remainder == 0 || (remainder < 0) == (b < 0) { return remainder }
        return remainder + b
    }

    func value(_ a: Int64, _ b: Int64) -> Int64 {
        let remainder = a.remainderReportingOverflow(dividingBy: b).partialValue
        if dividendSign || remainder == 0 || (remainder < 0) == (b < 0) { return remainder }
        return remainder &+ b
    }

    func derivativeA(_ a: Float, _ b: Float) -> Float { 1 }
    func derivativeB(_ a: Float, _ b: Float) -> Float {
        dividendSign ? -(a / b).rounded(.towardZero) : -(a / b).rounded(.down)
    }

    func check(_ a: Tensor<Int64>, _ b: Tensor<Int64>) throws {
        if b.values.contains(0) { throw node.failure(expected: "integer divisors other than 0", found: "0") }
    }
}

/// a to the power b; the result has the kind of a.
struct Pow: BinaryPointwise {
    static let types = ["Pow"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func value(_ a: Float, _ b: Float) -> Float { b == 2 ? a * a : pow(a, b) }

    /// By squaring, wrapping on overflow; a negative power is the whole part of the fraction.
    func value(_ a: Int64, _ b: Int64) -> Int64 {
        if b < 0 { return a == 1 ? 1 : a == -1 ? (b & 1 == 0 ? 1 : -1) : 0 }
        var (result, base, rest) = (Int64(1), a, b)
        while rest > 0 {
            if rest & 1 == 1 { result = result &* base }
            base = base &* base
            rest >>= 1
        }
        return result
    }

    func derivativeA(_ a: Float, _ b: Float) -> Float { b == 0 ? 0 : b == 2 ? 2 * a : b * pow(a, b - 1) }
    func derivativeB(_ a: Float, _ b: Float) -> Float { a == 0 && b >= 0 ? 0 : pow(a, b) * log(a) }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        switch (inputs.first ?? nil, node.optional(inputs, 1)) {
        case (.float?, .integer(let exponent)?), (.pending?, .integer(let exponent)?):
            return try forwardSameKind([inputs[0], .float(exponent.map { Float($0) })])
        case (.integer(let base)?, .float?):
            let result = try forwardSameKind([.float(base.map { Float($0) }), inputs[1]])
            guard case .float(let power) = result[0] else { return result }
            return [.integer(power.map { Int64(saturating: $0) })]
        default: return try forwardSameKind(inputs)
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard case .float(let base)? = call.inputs[0] else { return [nil, nil] }
        let exponent: Tensor<Float>
        switch call.inputs[1] {
        case .float(let tensor)?: exponent = tensor
        case .integer(let tensor)?: exponent = tensor.map { Float($0) }
        default: preconditionFailure("an exponent that the forward pass refuses")
        }
        return call.results { gradient(of: $0, call.gradient, base, exponent) }
    }
}

/// x where positive, slope · x below; the slope is broadcast to x.
struct PRelu: BinaryPointwise {
    static let types = ["PRelu"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float, _ slope: Float) -> Float { x < 0 ? slope * x : x }
    func value(_ x: Int64, _ slope: Int64) -> Int64 { x < 0 ? slope &* x : x }
    func derivativeA(_ x: Float, _ slope: Float) -> Float { x > 0 ? 1 : slope }
    func derivativeB(_ x: Float, _ slope: Float) -> Float { x > 0 ? 0 : x }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let result = try forwardSameKind(inputs)
        guard result[0].shape == inputs[0]?.shape else {
            throw node.mismatch("a slope that broadcasts to the tensor", inputs.compactMap { $0 })
        }
        return result
    }
}

extension Int64 {
    /// Towards zero, clamped to what 64 bits hold; NaN becomes the smallest.
    init(saturating value: Float) {
        self = value.isNaN ? .min : value >= 0x1p63 ? .max : value < -0x1p63 ? .min : Int64(value)
    }
}

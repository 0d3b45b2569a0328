import Foundation

/// 1 / (1 + exp(−x)).
struct Sigmoid: UnaryPointwise {
    static let types = ["Sigmoid"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { Sigmoid.of(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { y * (1 - y) }

    static func of(_ x: Float) -> Float { 1 / (1 + exp(-x)) }
}

struct Tanh: UnaryPointwise {
    static let types = ["Tanh"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { tanh(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 - y * y }
}

/// log(1 + exp(x)), without overflow.
struct Softplus: UnaryPointwise {
    static let types = ["Softplus"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { Softplus.of(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { Sigmoid.of(x) }

    static func of(_ x: Float) -> Float { (x < 0 ? 0 : x) + log1p(exp(-abs(x))) }
}

/// x / (1 + |x|).
struct Softsign: UnaryPointwise {
    static let types = ["Softsign"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x / (1 + abs(x)) }
    func derivative(_ x: Float, _ y: Float) -> Float {
        let scale = 1 + abs(x)
        return 1 / (scale * scale)
    }
}

/// x · sigmoid(α x); with α = 1 it is known as SiLU.
struct Swish: UnaryPointwise {
    static let types = ["Swish"]
    let node: NodeDescription
    private let alpha: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 1)
    }
    func value(_ x: Float) -> Float { x * Sigmoid.of(alpha * x) }
    func derivative(_ x: Float, _ y: Float) -> Float {
        let gate = Sigmoid.of(alpha * x)
        return gate + alpha * x * gate * (1 - gate)
    }
}

/// x · tanh(softplus(x)) (Misra 2019).
struct Mish: UnaryPointwise {
    static let types = ["Mish"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x * tanh(Softplus.of(x)) }
    func derivative(_ x: Float, _ y: Float) -> Float {
        let gate = tanh(Softplus.of(x))
        return gate + x * (1 - gate * gate) * Sigmoid.of(x)
    }
}

/// x · Φ(x), Φ the normal distribution function; or its tanh approximation (Hendrycks and Gimpel 2016).
struct Gelu: UnaryPointwise {
    static let types = ["Gelu"]
    let node: NodeDescription
    private let isTanh: Bool

    private enum Approximation: String, CaseIterable { case none, tanh }

    init(_ node: NodeDescription) throws {
        self.node = node
        isTanh = try node.choice("approximate", default: Approximation.none) == .tanh
    }

    func value(_ x: Float) -> Float {
        isTanh ? 0.5 * x * (1 + tanh(inner(x))) : 0.5 * x * (1 + erf(x * 0.707_106_77))
    }

    func derivative(_ x: Float, _ y: Float) -> Float {
        if isTanh {
            let t = tanh(inner(x))
            let slope: Float = 0.797_884_6 * (1 + 3 * 0.044_715 * x * x)
            return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope
        }
        return 0.5 * (1 + erf(x * 0.707_106_77)) + x * 0.398_942_3 * exp(-0.5 * x * x)
    }

    private func inner(_ x: Float) -> Float { 0.797_884_6 * (x + 0.044_715 * x * x * x) }
}

import Foundation

// Activations with a kink, and their smooth exponential relatives. At a kink the derivative is the one that PyTorch takes,
// so that maps agree to the last bit there too. NaN stays NaN.

/// max(x, 0); derivative 0 at 0.
struct Relu: UnaryIntegerPointwise {
    static let types = ["Relu"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x < 0 ? 0 : x }
    func value(_ x: Int64) -> Int64 { max(x, 0) }
    func derivative(_ x: Float, _ y: Float) -> Float { x > 0 ? 1 : 0 }
}

/// x above 0, α x below; derivative α at 0.
struct LeakyRelu: UnaryPointwise {
    static let types = ["LeakyRelu"]
    let node: NodeDescription
    let alpha: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 0.01)
    }
    func value(_ x: Float) -> Float { x < 0 ? alpha * x : x }
    func derivative(_ x: Float, _ y: Float) -> Float { x > 0 ? 1 : alpha }
}

/// x above α, else 0.
struct ThresholdedRelu: UnaryPointwise {
    static let types = ["ThresholdedRelu"]
    let node: NodeDescription
    private let alpha: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 1)
    }
    func value(_ x: Float) -> Float { x <= alpha ? 0 : x }
    func derivative(_ x: Float, _ y: Float) -> Float { x > alpha ? 1 : 0 }
}

/// x above 0, α (exp(x) − 1) below.
struct Elu: UnaryPointwise {
    static let types = ["Elu"]
    let node: NodeDescription
    private let alpha: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 1)
    }
    func value(_ x: Float) -> Float { x <= 0 ? alpha * expm1(x) : x }
    func derivative(_ x: Float, _ y: Float) -> Float { x <= 0 ? y + alpha : 1 }
}

/// γ x above 0, γ α (exp(x) − 1) below (Klambauer et al. 2017).
struct Selu: UnaryPointwise {
    static let types = ["Selu"]
    let node: NodeDescription
    private let alpha: Float
    private let gamma: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 1.673_263_2)
        gamma = try node.float("gamma", default: 1.050_701)
    }
    func value(_ x: Float) -> Float { x <= 0 ? gamma * alpha * expm1(x) : gamma * x }
    func derivative(_ x: Float, _ y: Float) -> Float { x <= 0 ? y + gamma * alpha : gamma }
}

/// x above 0, α (exp(x/α) − 1) below.
struct Celu: UnaryPointwise {
    static let types = ["Celu"]
    let node: NodeDescription
    private let alpha: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 1)
    }
    func value(_ x: Float) -> Float { x <= 0 ? alpha * expm1(x / alpha) : x }
    func derivative(_ x: Float, _ y: Float) -> Float { x <= 0 ? exp(x / alpha) : 1 }
}

/// Towards 0 by `bias` where |x| passes `lambd`, 0 elsewhere.
struct Shrink: UnaryPointwise {
    static let types = ["Shrink"]
    let node: NodeDescription
    private let bias: Float
    private let lambda: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        bias = try node.float("bias", default: 0)
        lambda = try node.float("lambd", default: 0.5)
    }
    func value(_ x: Float) -> Float { x < -lambda ? x + bias : x > lambda ? x - bias : x.isNaN ? x : 0 }
    func derivative(_ x: Float, _ y: Float) -> Float { abs(x) > lambda ? 1 : 0 }
}

/// max(0, min(1, α x + β)).
struct HardSigmoid: UnaryPointwise {
    static let types = ["HardSigmoid"]
    let node: NodeDescription
    private let alpha: Float
    private let beta: Float
    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 0.2)
        beta = try node.float("beta", default: 0.5)
    }
    func value(_ x: Float) -> Float {
        let y = alpha * x + beta
        return y < 0 ? 0 : y > 1 ? 1 : y
    }
    func derivative(_ x: Float, _ y: Float) -> Float { y > 0 && y < 1 ? alpha : 0 }
}

/// x · max(0, min(1, x/6 + 1/2)).
struct HardSwish: UnaryPointwise {
    static let types = ["HardSwish"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float {
        let gate = x + 3
        return x * (gate < 0 ? 0 : gate > 6 ? 6 : gate) / 6
    }
    func derivative(_ x: Float, _ y: Float) -> Float { x < -3 ? 0 : x <= 3 ? x / 3 + 0.5 : 1 }
}

import Foundation

/// Negation.
struct Neg: UnaryIntegerPointwise {
    static let types = ["Neg"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { -x }
    func value(_ x: Int64) -> Int64 { 0 &- x }
    func derivative(_ x: Float, _ y: Float) -> Float { -1 }
}

/// Magnitude; its derivative at 0 is taken as 0.
struct Abs: UnaryIntegerPointwise {
    static let types = ["Abs"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { abs(x) }
    func value(_ x: Int64) -> Int64 { x < 0 ? 0 &- x : x }
    func derivative(_ x: Float, _ y: Float) -> Float { x > 0 ? 1 : x < 0 ? -1 : 0 }
}

/// −1, 0 or 1; flat almost everywhere.
struct Sign: UnaryIntegerPointwise {
    static let types = ["Sign"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x > 0 ? 1 : x < 0 ? -1 : x }
    func value(_ x: Int64) -> Int64 { x.signum() }
    func derivative(_ x: Float, _ y: Float) -> Float { 0 }
}

struct Sqrt: UnaryPointwise {
    static let types = ["Sqrt"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x.squareRoot() }
    func derivative(_ x: Float, _ y: Float) -> Float { 0.5 / y }
}

struct Reciprocal: UnaryPointwise {
    static let types = ["Reciprocal"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { 1 / x }
    func derivative(_ x: Float, _ y: Float) -> Float { -y * y }
}

struct Exp: UnaryPointwise {
    static let types = ["Exp"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { exp(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { y }
}

struct Log: UnaryPointwise {
    static let types = ["Log"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { log(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 / x }
}

/// The error function, 2/√π ∫₀ˣ exp(−t²) dt.
struct Erf: UnaryPointwise {
    static let types = ["Erf"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { erf(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1.128_379_2 * exp(-x * x) }
}

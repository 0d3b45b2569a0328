import Foundation

struct Sin: UnaryPointwise {
    static let types = ["Sin"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { sin(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { cos(x) }
}

struct Cos: UnaryPointwise {
    static let types = ["Cos"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { cos(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { -sin(x) }
}

struct Tan: UnaryPointwise {
    static let types = ["Tan"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { tan(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 + y * y }
}

struct Asin: UnaryPointwise {
    static let types = ["Asin"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { asin(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 / (1 - x * x).squareRoot() }
}

struct Acos: UnaryPointwise {
    static let types = ["Acos"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { acos(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { -1 / (1 - x * x).squareRoot() }
}

struct Atan: UnaryPointwise {
    static let types = ["Atan"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { atan(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 / (1 + x * x) }
}

struct Sinh: UnaryPointwise {
    static let types = ["Sinh"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { sinh(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { cosh(x) }
}

struct Cosh: UnaryPointwise {
    static let types = ["Cosh"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { cosh(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { sinh(x) }
}

struct Asinh: UnaryPointwise {
    static let types = ["Asinh"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { asinh(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 / (x * x + 1).squareRoot() }
}

struct Acosh: UnaryPointwise {
    static let types = ["Acosh"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { acosh(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 / (x * x - 1).squareRoot() }
}

struct Atanh: UnaryPointwise {
    static let types = ["Atanh"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { atanh(x) }
    func derivative(_ x: Float, _ y: Float) -> Float { 1 / (1 - x * x) }
}

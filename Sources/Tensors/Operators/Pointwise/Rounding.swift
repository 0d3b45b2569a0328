/// Operators with steps: flat almost everywhere, so that no gradient passes.
struct Floor: UnaryPointwise {
    static let types = ["Floor"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x.rounded(.down) }
    func derivative(_ x: Float, _ y: Float) -> Float { 0 }
}

struct Ceil: UnaryPointwise {
    static let types = ["Ceil"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x.rounded(.up) }
    func derivative(_ x: Float, _ y: Float) -> Float { 0 }
}

/// To the nearest whole number, halves to the even one.
struct Round: UnaryPointwise {
    static let types = ["Round"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }
    func value(_ x: Float) -> Float { x.rounded(.toNearestOrEven) }
    func derivative(_ x: Float, _ y: Float) -> Float { 0 }
}

/// A reduction that picks one of the row's elements; equal ones share the gradient, as PyTorch's amax and amin do.
protocol Extreme: AxisReduction {}

extension Extreme {
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        let ties = row.reduce(0) { $1 == y ? $0 + 1 : $0 }
        result.fill(from: row) { $0 == y ? g / Float(ties) : 0 }
    }
}

/// The largest; NaN where there is one, −∞ of nothing.
struct ReduceMax: Extreme {
    static let types = ["ReduceMax"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float {
        row.reduce(-.infinity) { $0 > $1 || $0.isNaN ? $0 : $1 }
    }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 { row.max() ?? .min }
    func fold(_ row: UnsafeBufferPointer<Bool>) -> Bool? { row.contains(true) }
}

/// The smallest; NaN where there is one, ∞ of nothing.
struct ReduceMin: Extreme {
    static let types = ["ReduceMin"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { row.reduce(.infinity) { $0 < $1 || $0.isNaN ? $0 : $1 } }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 { row.min() ?? .max }
    func fold(_ row: UnsafeBufferPointer<Bool>) -> Bool? { !row.contains(false) }
}

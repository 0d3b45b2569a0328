import Foundation

extension UnsafeMutableBufferPointer<Float> {
    /// Writes f of each element of a row as long as this one.
    @inline(__always)
    func fill(from row: UnsafeBufferPointer<Float>, _ f: (Float) -> Float) {
        for i in 0..<count { self[i] = f(row[i]) }
    }
}

extension UnsafeBufferPointer<Int64> {
    /// Σ f(x), wrapping.
    @inline(__always)
    func wrappingSum(_ f: (Int64) -> Int64) -> Int64 { reduce(0) { $0 &+ f($1) } }
}

struct ReduceSum: AxisReduction {
    static let types = ["ReduceSum"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { Float(Accumulation.sum(row)) }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 { row.wrappingSum { $0 } }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.update(repeating: g)
    }
}

struct ReduceMean: AxisReduction {
    static let types = ["ReduceMean"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { Float(Accumulation.sum(row) / Double(row.count)) }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 {
        row.isEmpty ? 0 : row.wrappingSum { $0 } / Int64(row.count)
    }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.update(repeating: g / Float(row.count))
    }
}

/// Σ x².
struct ReduceSumSquare: AxisReduction {
    static let types = ["ReduceSumSquare"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { Float(Accumulation.sum(row) { Double($0) * Double($0) }) }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 { row.wrappingSum { $0 &* $0 } }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.fill(from: row) { 2 * g * $0 }
    }
}

/// Σ |x|.
struct ReduceL1: AxisReduction {
    static let types = ["ReduceL1"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { Float(Accumulation.sum(row) { Double(abs($0)) }) }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 { row.wrappingSum { $0 < 0 ? 0 &- $0 : $0 } }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.fill(from: row) { $0 > 0 ? g : $0 < 0 ? -g : 0 }
    }
}

/// √Σ x²; its gradient at the origin is taken as 0.
struct ReduceL2: AxisReduction {
    static let types = ["ReduceL2"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float {
        Float(Accumulation.sum(row) { Double($0) * Double($0) }.squareRoot())
    }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 {
        Int64(saturating: Float(Double(row.wrappingSum { $0 &* $0 }).squareRoot()))
    }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.fill(from: row) { y == 0 ? 0 : g * $0 / y }
    }
}

/// log Σ x.
struct ReduceLogSum: AxisReduction {
    static let types = ["ReduceLogSum"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { Float(log(Accumulation.sum(row))) }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 {
        Int64(saturating: Float(log(Double(row.wrappingSum { $0 }))))
    }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.update(repeating: g / exp(y))
    }
}

/// log Σ exp(x), the largest x taken out first so that nothing overflows.
struct ReduceLogSumExp: AxisReduction {
    static let types = ["ReduceLogSumExp"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float {
        let peak = Double(row.reduce(-.infinity) { $1 > $0 || $1.isNaN ? $1 : $0 })
        if !peak.isFinite { return Float(peak) }
        return Float(peak + log(Accumulation.sum(row) { exp(Double($0) - peak) }))
    }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 {
        guard let peak = row.max() else { return .min }
        return Int64(saturating: Float(Double(peak) + log(row.reduce(0.0) { $0 + exp(Double($1) - Double(peak)) })))
    }
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        result.fill(from: row) { g * exp($0 - y) }
    }
}

/// The product.
struct ReduceProd: AxisReduction {
    static let types = ["ReduceProd"]
    let node: NodeDescription
    let form: ReductionForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ReductionForm(node)
    }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float { Float(row.reduce(1.0) { $0 * Double($1) }) }
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64 { row.reduce(1) { $0 &* $1 } }

    /// The product of all others: of those before, then times those after, so that zeros do no harm.
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>
    ) {
        var running = 1.0
        var before = [Double](repeating: 1, count: row.count)
        for i in row.indices {
            before[i] = running
            running *= Double(row[i])
        }
        running = Double(g)
        for i in row.indices.reversed() {
            result[i] = Float(before[i] * running)
            running *= Double(row[i])
        }
    }
}

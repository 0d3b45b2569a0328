/// An operator that finds where along an axis the extreme element stands. No gradient passes.
protocol ArgumentOfExtreme: Operator {
    var node: NodeDescription { get }
    var form: ArgumentForm { get }
    /// Whether `a` goes before `b`.
    func precedes(_ a: Float, _ b: Float) -> Bool
    func precedes(_ a: Int64, _ b: Int64) -> Bool
}

struct ArgumentForm: Sendable {
    let axis: Int
    let keepsAxis: Bool
    /// Of equal elements the last instead of the first.
    let takesLast: Bool

    init(_ node: NodeDescription) throws {
        axis = try node.int("axis", default: 0)
        keepsAxis = try node.flag("keepdims", default: true)
        takesLast = try node.flag("select_last_index", default: false)
    }
}

extension ArgumentOfExtreme {
    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let axis = try node.axis(form.axis, rank: value.shape.count)
        let reduction = Reduction(shape: value.shape, axes: [axis])
        let shape = form.keepsAxis ? reduction.withOnes : reduction.squeezed
        guard value.shape[axis] > 0 || shape.elementCount == 0 else {
            throw node.mismatch("elements along axis \(axis)", [value])
        }
        let last = form.takesLast
        switch value {
        case .float(let x):
            // NaN goes before everything, so that it is found.
            let result = reduction.fold(x) { row in
                var best = 0
                for i in row.indices.dropFirst() {
                    if row[best].isNaN && !(last && row[i].isNaN) { continue }
                    if row[i].isNaN || precedes(row[i], row[best]) || (last && row[i] == row[best]) { best = i }
                }
                return Int64(best)
            }
            return [.integer(result.reshaped(shape))]
        case .integer(let x):
            let result = reduction.fold(x) { row in
                var best = 0
                for i in row.indices.dropFirst() where precedes(row[i], row[best]) || (last && row[i] == row[best]) {
                    best = i
                }
                return Int64(best)
            }
            return [.integer(result.reshaped(shape))]
        case .pending: return [.integerPlaceholder(shape)]
        case .boolean: throw node.mismatch("floats or integers", [value])
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] { call.results { _ in nil } }
}

struct ArgMax: ArgumentOfExtreme {
    static let types = ["ArgMax"]
    let node: NodeDescription
    let form: ArgumentForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ArgumentForm(node)
    }
    func precedes(_ a: Float, _ b: Float) -> Bool { a > b }
    func precedes(_ a: Int64, _ b: Int64) -> Bool { a > b }
}

struct ArgMin: ArgumentOfExtreme {
    static let types = ["ArgMin"]
    let node: NodeDescription
    let form: ArgumentForm
    init(_ node: NodeDescription) throws {
        self.node = node
        form = try ArgumentForm(node)
    }
    func precedes(_ a: Float, _ b: Float) -> Bool { a < b }
    func precedes(_ a: Int64, _ b: Int64) -> Bool { a < b }
}

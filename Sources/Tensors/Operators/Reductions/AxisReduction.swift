/// An operator that folds the elements along some axes into one number.
///
/// A conforming type states how it folds a row of floats and a row of integers, and the gradient of a row; which axes, and
/// whether they stay as extents of 1, is read here.
protocol AxisReduction: Operator {
    var node: NodeDescription { get }
    var form: ReductionForm { get }
    func fold(_ row: UnsafeBufferPointer<Float>) -> Float
    func fold(_ row: UnsafeBufferPointer<Int64>) -> Int64
    /// Nil where booleans cannot be folded.
    func fold(_ row: UnsafeBufferPointer<Bool>) -> Bool?
    /// The gradient of `row`, whose fold is `y` with gradient `g`.
    func gradient(
        _ row: UnsafeBufferPointer<Float>, _ y: Float, _ g: Float, into result: UnsafeMutableBufferPointer<Float>)
}

/// The attributes that all reductions share.
struct ReductionForm: Sendable {
    private let axes: [Int]?
    private let keepsAxes: Bool
    private let emptyMeansNone: Bool

    init(_ node: NodeDescription) throws {
        axes = try node.ints("axes")
        keepsAxes = try node.flag("keepdims", default: true)
        emptyMeansNone = try node.flag("noop_with_empty_axes", default: false)
    }

    /// The axes as the node or its second input names them; all where none are named, unless the node says otherwise.
    func reduction(_ shape: [Int], _ inputs: [Value?], _ node: NodeDescription) throws -> Reduction {
        let asked = try node.optional(inputs, 1).map { try node.list($0, "the axes") } ?? axes ?? []
        if asked.isEmpty {
            return Reduction(shape: shape, axes: emptyMeansNone ? [] : Array(shape.indices))
        }
        return Reduction(shape: shape, axes: try node.axes(asked, rank: shape.count))
    }

    func shape(_ reduction: Reduction) -> [Int] { keepsAxes ? reduction.withOnes : reduction.squeezed }
}

extension AxisReduction {
    func fold(_ row: UnsafeBufferPointer<Bool>) -> Bool? { nil }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let reduction = try form.reduction(value.shape, inputs, node)
        let shape = try node.possible(form.shape(reduction))
        switch value {
        case .float(let x): return [.float(reduction.fold(x) { fold($0) }.reshaped(shape))]
        case .integer(let x): return [.integer(reduction.fold(x) { fold($0) }.reshaped(shape))]
        case .boolean(let x):
            guard fold(UnsafeBufferPointer<Bool>(start: nil, count: 0)) != nil else {
                throw node.mismatch("floats or integers", [value])
            }
            return [
                .boolean(
                    reduction.fold(x) { (row: UnsafeBufferPointer<Bool>) -> Bool in fold(row) ?? false }.reshaped(shape)
                )
            ]
        case .pending: return [.pending(shape)]
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        try call.results { index in
            guard index == 0 else { return nil }
            let x = call.float(0)
            let reduction = try form.reduction(x.shape, call.inputs, node)
            let y = call.floatOutput(0)
            let gradient = call.gradient
            return reduction.mapRows(x) { row, values, result in
                self.gradient(values, y[flat: row], gradient[flat: row], into: result)
            }
        }
    }
}

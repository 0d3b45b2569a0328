/// Elements added (or, where negative, cut off) before and after each axis.
struct Pad: Operator {
    static let types = ["Pad"]
    private let node: NodeDescription
    private let mode: Mode
    private let pads: [Int]?
    private let fill: Float

    private enum Mode: String, CaseIterable {
        /// One number everywhere.
        case constant
        /// Mirrored at the first and last element, which are not repeated.
        case reflect
        /// The first and last element repeated.
        case edge
        /// From the other end.
        case wrap
    }

    init(_ node: NodeDescription) throws {
        self.node = node
        mode = try node.choice("mode", default: .constant)
        pads = try node.ints("pads") ?? node.ints("paddings")
        fill = try node.float("value", default: 0)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let margins = try margins(value.shape, inputs)
        if mode != .constant {
            return [try takes(value.shape, margins).reduce(value) { $0.moved(by: $1) }]
        }
        let frame = Frame(value.shape, margins)
        let constant = node.optional(inputs, 2)
        switch value {
        case .pending: return [.pending(frame.shape)]
        case .float(let x):
            guard let constant else { return [.float(frame.around(x, fill))] }
            guard let number = try node.float(constant, "the constant") else { return [.pending(frame.shape)] }
            return [.float(frame.around(x, try single(number)))]
        case .integer(let x):
            return [.integer(frame.around(x, Int64(try constant.map { try node.single($0, "the constant") } ?? 0)))]
        case .boolean(let x):
            let number = try constant.map { try single(node.boolean($0, "the constant")) } ?? false
            return [.boolean(frame.around(x, number))]
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let shape = call.shape(0)
        let margins = try margins(shape, call.inputs)
        return try call.results { index in
            guard index == 0 else { return nil }
            if mode == .constant { return Frame(shape, margins).adjoint(call.gradient, of: shape) }
            var gradient = call.gradient
            var shapes = [shape]
            let takes = try takes(shape, margins)
            for take in takes { shapes.append(take.shape) }
            for (take, before) in zip(takes, shapes).reversed() { gradient = take.adjoint(gradient, of: before) }
            return gradient
        }
    }

    private func single<Scalar>(_ tensor: Tensor<Scalar>) throws -> Scalar {
        guard tensor.count == 1 else {
            throw node.failure(expected: "a constant of one element", found: "shape \(tensor.shape)")
        }
        return tensor[flat: 0]
    }

    /// What is added before and after each axis.
    private func margins(_ shape: [Int], _ inputs: [Value?]) throws -> [(before: Int, after: Int)] {
        guard let pads = try node.optional(inputs, 1).map({ try node.list($0, "the pads") }) ?? pads else {
            throw node.failure(expected: "pads", found: "none")
        }
        let axes = try node.optional(inputs, 3).map { try node.list($0, "the axes") } ?? Array(shape.indices)
        guard pads.count == 2 * axes.count else {
            throw node.failure(expected: "two pads for each of \(axes.count) axes", found: "\(pads.count)")
        }
        _ = try node.axes(axes, rank: shape.count)
        var margins = [(before: Int, after: Int)](repeating: (0, 0), count: shape.count)
        for (index, axis) in axes.enumerated() {
            let axis = try node.axis(axis, rank: shape.count)
            let margin = (before: pads[index], after: pads[axes.count + index])
            guard abs(Double(margin.before)) < 0x1p40, abs(Double(margin.after)) < 0x1p40,
                shape[axis] + min(0, margin.before) + min(0, margin.after) >= 0
            else {
                throw node.failure(expected: "pads that leave something of axis \(axis) of \(shape)", found: "\(pads)")
            }
            margins[axis] = margin
        }
        _ = try node.possible(zip(shape, margins).map { $0 + $1.before + $1.after })
        return margins
    }

    /// The modes that repeat elements, as places taken axis by axis.
    private func takes(_ shape: [Int], _ margins: [(before: Int, after: Int)]) throws -> [AxisTake] {
        var takes: [AxisTake] = []
        var current = shape
        for (axis, margin) in margins.enumerated() where margin != (0, 0) {
            let extent = shape[axis]
            let places = -margin.before..<extent + margin.after
            guard extent > 0 || places.isEmpty else {
                throw node.failure(expected: "an axis with elements to repeat", found: "\(shape)")
            }
            let take = AxisTake(current, axis: axis, indices: places.map { source($0, extent) })
            current = take.shape
            takes.append(take)
        }
        return takes
    }

    /// Where place `p` of an axis, inside or outside of it, takes its element from.
    private func source(_ p: Int, _ extent: Int) -> Int {
        switch mode {
        case .constant, .edge: return min(max(p, 0), extent - 1)
        case .wrap: return (p % extent + extent) % extent
        case .reflect:
            if extent == 1 { return 0 }
            let period = 2 * (extent - 1)
            let phase = (p % period + period) % period
            return min(phase, period - phase)
        }
    }

    /// A constant frame around a tensor, or the tensor cropped, or both.
    private struct Frame {
        let shape: [Int]
        /// The part of the tensor that stays, and where it stands in the result.
        private var kept: StridedView
        private var placed: StridedView

        init(_ original: [Int], _ margins: [(before: Int, after: Int)]) {
            shape = zip(original, margins).map { $0 + $1.before + $1.after }
            kept = StridedView(original)
            placed = StridedView(shape)
            for (axis, margin) in margins.enumerated() {
                let count = original[axis] + min(0, margin.before) + min(0, margin.after)
                kept = kept.sliced(axis, from: max(0, -margin.before), step: 1, count: count)
                placed = placed.sliced(axis, from: max(0, margin.before), step: 1, count: count)
            }
        }

        func around<Scalar>(_ tensor: Tensor<Scalar>, _ fill: Scalar) -> Tensor<Scalar> {
            Tensor(shape: shape) { result in
                result.initialize(repeating: fill)
                if let base = result.baseAddress { placed.write(kept(tensor), to: base) }
            }
        }

        func adjoint(_ gradient: Tensor<Float>, of original: [Int]) -> Tensor<Float> {
            kept.adjoint(placed(gradient), of: original)
        }
    }
}

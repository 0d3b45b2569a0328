/// An operator whose output is a strided view of its first input.
protocol Viewing: Operator {
    var node: NodeDescription { get }
    /// How the output reads an input of `shape`.
    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView
    /// The output's shape, where it is not the view's own.
    func shape(_ view: StridedView) -> [Int]
}

extension Viewing {
    func shape(_ view: StridedView) -> [Int] { view.shape }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let view = try view(value.shape, inputs)
        return [value.moved(by: view).reshaped(shape(view))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        try call.results { index in
            guard index == 0 else { return nil }
            return try view(call.shape(0), call.inputs).adjoint(call.gradient, of: call.shape(0))
        }
    }
}

/// The axes in another order; reversed unless `perm` says otherwise.
struct Transpose: Viewing {
    static let types = ["Transpose"]
    let node: NodeDescription
    private let permutation: [Int]?

    init(_ node: NodeDescription) throws {
        self.node = node
        permutation = try node.ints("perm")
    }

    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView {
        let permutation = permutation ?? Array(shape.indices.reversed())
        guard permutation.sorted() == Array(shape.indices) else {
            throw node.failure(expected: "an order of the axes of \(shape)", found: "\(permutation)")
        }
        return StridedView(shape).permuted(permutation)
    }
}

/// A box of the tensor, by start, end and step on each of some axes; negative places count from the back.
struct Slice: Viewing {
    static let types = ["Slice"]
    let node: NodeDescription
    private let starts: [Int]?
    private let ends: [Int]?
    private let axes: [Int]?

    init(_ node: NodeDescription) throws {
        self.node = node
        starts = try node.ints("starts")
        ends = try node.ints("ends")
        axes = try node.ints("axes")
    }

    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView {
        func numbers(_ index: Int, _ role: String, _ attribute: [Int]?) throws -> [Int]? {
            try node.optional(inputs, index).map { try node.list($0, role) } ?? attribute
        }
        guard let starts = try numbers(1, "the starts", starts), let ends = try numbers(2, "the ends", ends) else {
            throw node.failure(expected: "starts and ends", found: "none")
        }
        let axes = try numbers(3, "the axes", axes) ?? Array(starts.indices)
        let steps = try numbers(4, "the steps", nil) ?? [Int](repeating: 1, count: starts.count)
        guard starts.count == ends.count, starts.count == axes.count, starts.count == steps.count else {
            throw node.failure(
                expected: "as many starts as ends, axes and steps",
                found: "\(starts.count), \(ends.count), \(axes.count) and \(steps.count)")
        }
        _ = try node.axes(axes, rank: shape.count)
        var view = StridedView(shape)
        for index in axes.indices {
            let axis = try node.axis(axes[index], rank: shape.count)
            let extent = shape[axis]
            let step = steps[index]
            guard step != 0, step != .min else { throw node.failure(expected: "steps other than 0", found: "\(step)") }
            // From the back where negative, then clamped to where a walk in the step's direction may begin or end.
            let range = step > 0 ? 0...extent : -1...max(extent - 1, -1)
            func place(_ p: Int) -> Int { min(max(p < 0 ? p + extent : p, range.lowerBound), range.upperBound) }
            let (start, end) = (place(starts[index]), place(ends[index]))
            let span = step > 0 ? end - start : start - end
            let count = span <= 0 ? 0 : (span - 1) / abs(step) + 1
            view = view.sliced(axis, from: start, step: count > 1 ? step : 1, count: count)
        }
        return view
    }
}

/// Repeated to the shape that the tensor's own and a given one broadcast to.
struct Expand: Viewing {
    static let types = ["Expand"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView {
        let asked = try node.possible(node.list(node.input(inputs, 1, "the shape"), "the shape"))
        guard let result = Broadcast.shape([shape, asked]) else {
            throw node.failure(expected: "a shape that \(shape) broadcasts with", found: "\(asked)")
        }
        return StridedView(shape).expanded(to: try node.possible(result))
    }
}

/// The whole tensor repeated along each axis.
struct Tile: Viewing {
    static let types = ["Tile"]
    let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView {
        let repeats = try node.list(node.input(inputs, 1, "the repeats"), "the repeats")
        guard repeats.count == shape.count, repeats.allSatisfy({ $0 >= 0 }) else {
            throw node.failure(expected: "a number of repeats for each axis of \(shape)", found: "\(repeats)")
        }
        _ = try node.possible(repeats)
        // Each axis as (repeat, place): an axis that reads the same again and one that walks.
        let view = StridedView(
            shape: zip(repeats, shape).flatMap { [$0, $1] }, strides: shape.rowMajorStrides.flatMap { [0, $0] })
        _ = try node.possible(view.shape)
        return view
    }

    func shape(_ view: StridedView) -> [Int] {
        stride(from: 0, to: view.shape.count, by: 2).map { view.shape[$0] * view.shape[$0 + 1] }
    }
}

/// Channels laid out as blocks of pixels (pixel shuffle).
struct DepthToSpace: Viewing {
    static let types = ["DepthToSpace"]
    let node: NodeDescription
    private let block: Int
    private let mode: BlockOrder

    init(_ node: NodeDescription) throws {
        self.node = node
        block = try node.blockSize()
        mode = try node.choice("mode", default: .depthFirst)
    }

    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView {
        guard shape.count == 4, shape[1] % (block * block) == 0 else {
            throw node.failure(
                expected: "[batch, channels divisible by \(block * block), height, width]", found: "\(shape)")
        }
        let channels = shape[1] / (block * block)
        let (height, width) = (shape[2], shape[3])
        switch mode {
        case .depthFirst:
            return StridedView([shape[0], block, block, channels, height, width]).permuted([0, 3, 4, 1, 5, 2])
        case .columnFirst:
            return StridedView([shape[0], channels, block, block, height, width]).permuted([0, 1, 4, 2, 5, 3])
        }
    }

    func shape(_ view: StridedView) -> [Int] {
        [view.shape[0], view.shape[1], view.shape[2] * block, view.shape[4] * block]
    }
}

/// Blocks of pixels laid out as channels.
struct SpaceToDepth: Viewing {
    static let types = ["SpaceToDepth"]
    let node: NodeDescription
    private let block: Int
    private let mode: BlockOrder

    init(_ node: NodeDescription) throws {
        self.node = node
        block = try node.blockSize()
        mode = try node.choice("mode", default: .depthFirst)
    }

    func view(_ shape: [Int], _ inputs: [Value?]) throws -> StridedView {
        guard shape.count == 4, shape[2] % block == 0, shape[3] % block == 0 else {
            throw node.failure(expected: "[batch, channels, height, width] divisible by \(block)", found: "\(shape)")
        }
        let view = StridedView([shape[0], shape[1], shape[2] / block, block, shape[3] / block, block])
        return view.permuted(mode == .depthFirst ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4])
    }

    func shape(_ view: StridedView) -> [Int] {
        [view.shape[0], view.shape[1] * view.shape[2] * view.shape[3], view.shape[4], view.shape[5]]
    }
}

/// Whether a pixel's place in its block stands before the channel (depth, column, row) or after it.
private enum BlockOrder: String, CaseIterable {
    case depthFirst = "DCR"
    case columnFirst = "CRD"
}

extension NodeDescription {
    fileprivate func blockSize() throws -> Int {
        let block = try int("blocksize", default: 0)
        guard (1...(1 << 15)).contains(block) else {
            throw failure(expected: "attribute 'blocksize' of at least 1", found: "\(block)")
        }
        return block
    }
}

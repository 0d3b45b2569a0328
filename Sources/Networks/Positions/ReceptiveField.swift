import Failures
import Tensors

/// Where the voxels of a layer lie in the network's input, and how much of it each one sees.
///
/// Voxel `i` of the layer, along one axis, lies at input voxel index `centre + i · jump`. These two numbers make the exact
/// affine of a heatmap: `A_input · [diag(jump), centre]`.
public struct ReceptiveField: Sendable, Equatable {
    public struct Axis: Sendable, Equatable {
        /// Which axis of the layer's tensor; for tokens, the axis that runs over them all.
        public let tapAxis: Int
        /// Which axis of the input's tensor it runs along.
        public let inputAxis: Int
        /// How many places there are.
        public let extent: Int
        /// Input voxels from one place to the next. Negative on a flipped axis.
        public let jump: Double
        /// The input index of the first place; may lie between voxels or outside.
        public let centre: Double
        /// Input voxels that one place sees through kernels and pools; may exceed the input.
        public let size: Double
        /// Whether something on the way (normalisation over the volume, attention, a gate) lets it see the whole axis.
        public let seesWhole: Bool
    }

    /// Tokens of a transformer that stand for places: one axis of the tensor runs over a grid, row by row.
    public struct Tokens: Sendable, Equatable {
        /// The axis of the layer's tensor that counts tokens.
        public let axis: Int
        /// Tokens before the first that has a place: class and register tokens.
        public let first: Int
        /// All tokens, those without a place too.
        public let count: Int
    }

    /// The input that positions refer to.
    public let input: String
    public let tensor: String
    /// Shape of the layer's tensor.
    public let shape: [Int]
    /// In the order of the input's axes; batch and channels are not among them. Empty after global pooling.
    public let axes: [Axis]
    /// Set when the places are tokens; ``axes`` then give the grid, slowest first.
    public let tokens: Tokens?
    /// The axis of the layer's tensor that counts channels.
    public let channelAxis: Int?
    /// What was decided where branches disagree.
    public let notes: [String]
}

/// Which axes of an input are which.
public struct InputLayout: Sendable, Equatable {
    public let batch: Int
    /// nil where the input has no axis left for channels.
    public let channels: Int?
    /// In the order in which they stand.
    public let spatial: [Int]
}

extension Network {
    /// The batch, channel and spatial axes of an input, from what its convolutions and pools slide over; where there are
    /// none, channels come first.
    public func layout(of input: String, inputShapes: [String: [Int]]? = nil) throws -> InputLayout {
        guard let port = inputs.first(where: { $0.name == input }) else { throw unknownInput(input) }
        return try positions(in: port.name, inputShapes).layout
    }

    /// Where the voxels of a tap lie in `input` (the first input when nil).
    ///
    /// - Throws: a ``Failure`` with the reason, where they have no place: behind a linear layer, inside shifted windows.
    public func receptiveField(
        of tap: String, input: String? = nil, inputShapes: [String: [Int]]? = nil
    ) throws -> ReceptiveField {
        guard let name = input ?? inputs.first(where: { $0.elementType.kind == .float })?.name,
            inputs.contains(where: { $0.name == name })
        else { throw unknownInput(input ?? "") }
        let tensor = try self.tap(tap, inputShapes: inputShapes).tensor
        return try positions(in: name, inputShapes).receptiveField(tensorIDs[tensor]!)
    }

    private func positions(in input: String, _ inputShapes: [String: [Int]]?) throws -> Positions {
        let analysis = try analysis(inputShapes)
        return analysis.positions.input == input
            ? analysis.positions : Positions(self, input: input, values: analysis.values)
    }
}

/// The traced network: positions of all tensors in one input.
struct Positions: Sendable {
    let input: String
    let placings: [Placing]
    let layout: InputLayout
    private let values: [Value?]
    private let tensorNames: [String]

    init(_ network: Network, input: String, values: [Value?]) {
        self.input = input
        tensorNames = network.tensorNames
        self.values = values
        let id = network.tensorIDs[input]!
        placings = Tracer(network: network, values: values).trace(from: id)
        let rank = values[id]!.shape.count
        var slid: Set<Int> = []
        for node in network.nodes where Self.windowTypes.contains(node.type) {
            guard let id = node.inputIDs.first ?? nil, let trace = placings[id].trace else { continue }
            for axis in trace.axes.dropFirst(2) { slid.formUnion(axis.digits.compactMap(\.axis)) }
        }
        let spatial = slid.subtracting([0]).sorted()
        if spatial.isEmpty {
            layout = InputLayout(batch: 0, channels: rank > 1 ? 1 : nil, spatial: Array(min(2, rank)..<rank))
        } else {
            layout = InputLayout(batch: 0, channels: (1..<rank).first { !spatial.contains($0) }, spatial: spatial)
        }
    }

    private static let windowTypes: Set<String> = [
        "Conv", "MaxPool", "AveragePool", "LpPool", "ConvTranspose", "GlobalAveragePool", "GlobalMaxPool",
    ]

    /// Axes of a tensor that run over places, one place an index, with the input axes they run along.
    func spatialAxes(_ id: Int) -> [(tensor: Int, input: Int)] {
        guard let trace = placings[id].trace else { return [] }
        return trace.axes.enumerated().compactMap { index, axis in
            guard let a = axis.single?.axis, layout.spatial.contains(a) else { return nil }
            return (index, a)
        }
    }

    /// Places of a tensor: the product of its spatial extents, or its tokens. 1 when it has none.
    func placeCount(_ id: Int) -> Int {
        guard let trace = placings[id].trace else { return 1 }
        return trace.axes.flatMap(\.digits).filter { $0.axis.map(layout.spatial.contains) ?? false }
            .reduce(1) { $0 * $1.extent }
    }

    /// The axis that counts tokens, where one axis of the tensor runs over a whole grid.
    func tokenAxis(_ id: Int) -> Int? {
        guard let trace = placings[id].trace else { return nil }
        return trace.axes.firstIndex { axis in
            (axis.digits.count > 1 || axis.shift != 0)
                && axis.digits.allSatisfy { $0.axis.map(layout.spatial.contains) ?? ($0.extent == 1) }
        }
    }

    /// Whether some axis runs over channels and places at once, as after a flattening.
    func isFlattened(_ id: Int) -> Bool {
        guard let trace = placings[id].trace else { return false }
        return trace.axes.contains { axis in
            axis.digits.contains { $0.axis == nil && $0.extent > 1 }
                && axis.digits.contains { $0.extent > 1 && ($0.axis.map(layout.spatial.contains) ?? false) }
        }
    }

    func receptiveField(_ id: Int) throws -> ReceptiveField {
        let name = tensorNames[id]
        func failure(_ found: String, _ remedy: String = "") -> Failure {
            Failure(
                .network, "tap '\(name)'", expected: "a layer whose voxels have a place in input '\(input)'",
                found: found,
                remedy: remedy)
        }
        let earlier = "Choose an earlier layer"
        guard let shape = values[id]?.shape else { throw failure("a layer without a shape") }
        let trace: Trace
        switch placings[id] {
        case .free: throw failure("one that does not depend on it")
        case .lost(let reason): throw failure("none: \(reason)", "Choose a layer before or after it")
        case .placed(let placed): trace = placed
        }
        if let axis = tokenAxis(id) {
            let places = trace.axes[axis].digits.reduce(1) { $0 * $1.extent }
            guard trace.axes[axis].shift >= 0, trace.axes[axis].shift + places <= shape[axis] else {
                throw failure("a part of the tokens only", earlier)
            }
        }
        if isFlattened(id) { throw failure("channels and voxels flattened into one axis", earlier) }
        let tokenAxis = tokenAxis(id)
        var axes: [ReceptiveField.Axis] = []
        for (index, axis) in trace.axes.enumerated() {
            let located = axis.digits.filter { $0.axis.map(layout.spatial.contains) ?? false }
            if located.isEmpty { continue }
            guard axis.single != nil || index == tokenAxis else {
                throw failure("an axis that runs over several at once", "Choose a layer before or after it")
            }
            for digit in located {
                let a = digit.axis!
                guard !axes.contains(where: { $0.inputAxis == a }) else {
                    throw failure(
                        "windows: one input axis runs over several axes of the layer",
                        "Choose a layer before or after it")
                }
                axes.append(
                    ReceptiveField.Axis(
                        tapAxis: index, inputAxis: a, extent: digit.extent, jump: digit.jump, centre: trace.centre[a],
                        size: trace.size[a], seesWhole: trace.whole.contains(a)))
            }
        }
        let used = Set(axes.map(\.tapAxis))
        let free = shape.indices.filter {
            !used.contains($0) && trace.axes[$0].digits.allSatisfy { $0.axis != layout.batch }
        }
        let channels = free.contains(1) && tokenAxis == nil ? 1 : free.last
        return ReceptiveField(
            input: input, tensor: name, shape: shape,
            axes: tokenAxis == nil ? axes.sorted { $0.inputAxis < $1.inputAxis } : axes,
            tokens: tokenAxis.map { .init(axis: $0, first: trace.axes[$0].shift, count: shape[$0]) },
            channelAxis: channels, notes: trace.notes)
    }
}

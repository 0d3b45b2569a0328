import Failures
import Networks
import Preparations
import Tensors
import Volumes

/// A network made ready to be asked: which input is the scan, which output is the answer, how its values are named.
public struct Explainer: Sendable {
    /// What is asked of every scan.
    public struct Request: Sendable {
        /// Empty: the method that is right for the network's head.
        public var methods: [MethodChoice]
        /// Names or aliases; empty: the network's default tap.
        public var taps: [String]
        public var targets: [Target]
        /// Explain the value after the final softmax or sigmoid instead of the logit before it.
        public var explainsProbability: Bool

        public init(
            methods: [MethodChoice] = [], taps: [String] = [], targets: [Target] = [.highest],
            explainsProbability: Bool = false
        ) {
            self.methods = methods
            self.taps = taps
            self.targets = targets
            self.explainsProbability = explainsProbability
        }
    }

    public let network: Network
    public let inputName: String
    public let outputName: String
    /// The network's further inputs.
    public let otherInputs: [String: Value]
    public let classNames: [String]
    /// Overrides what the graph shows.
    public let activation: Answer.Activation?

    /// - Throws: ``Failure`` when the named input or output does not exist, or a further input has no value.
    public init(
        network: Network, inputName: String? = nil, outputName: String? = nil, otherInputs: [String: Value] = [:],
        classNames: [String] = [], activation: Answer.Activation? = nil
    ) throws {
        self.network = network
        self.otherInputs = otherInputs
        self.classNames = classNames
        self.activation = activation
        let names = network.inputs.map(\.name)
        if let inputName {
            guard names.contains(inputName) else {
                throw Failure(
                    .network, network.name, expected: "an input named '\(inputName)'",
                    found: "inputs \(names.joined(separator: ", "))", remedy: Nearest.suggestion(inputName, in: names))
            }
            self.inputName = inputName
        } else {
            let open = names.filter { otherInputs[$0] == nil }
            guard let first = open.first else {
                throw Failure(.network, network.name, expected: "an input for the scan", found: "none left")
            }
            self.inputName = first
        }
        for name in names where name != self.inputName && otherInputs[name] == nil {
            throw Failure(
                .network, network.name, expected: "a value for the further input '\(name)'", found: "none",
                remedy: "Give it in the pipeline under network.inputs.")
        }
        if let outputName {
            guard network.outputs.contains(where: { $0.name == outputName }) else {
                throw Failure(
                    .network, network.name, expected: "an output named '\(outputName)'",
                    found: "outputs \(network.outputs.map(\.name).joined(separator: ", "))",
                    remedy: Nearest.suggestion(outputName, in: network.outputs.map(\.name)))
            }
            self.outputName = outputName
        } else {
            guard let first = network.outputs.first else {
                throw Failure(.network, network.name, expected: "an output", found: "none")
            }
            self.outputName = first.name
        }
    }

    /// The method that is right for this head: HiResCAM where Grad-CAM's averaging over places misleads, Grad-CAM otherwise.
    public func defaultMethod(inputShapes: [String: [Int]]? = nil) throws -> (choice: MethodChoice, note: String?) {
        standardMethod(try network.head(of: outputName, inputShapes: inputShapes))
    }

    private func standardMethod(_ head: Head) -> (choice: MethodChoice, note: String?) {
        guard head.averagingMisleads else { return (MethodChoice("gradcam"), nil) }
        return (
            MethodChoice("hirescam"), "\(Self.misleading(head)); HiResCAM is used instead (ask for gradcam to see it)"
        )
    }

    private static func misleading(_ head: Head) -> String {
        let reason =
            switch head.kind {
            case .flattenLinear: "the classifier reads a flattened feature map, with weights of its own for every place"
            case .globalMax: "the classifier reads maxima, each decided at one place"
            default: "the score is taken from one place of a map of scores"
            }
        return "\(reason), so the averaged gradients of Grad-CAM mislead"
    }

    /// Runs the network once on `input` and answers every method, tap and target of the request.
    ///
    /// - Parameters:
    ///   - mask: for mask targets: a volume on any grid of the same world, set where it is above 0.5.
    ///   - regions: labels and body, for methods that hide parts of the scan.
    ///   - interrupted: asked between nodes; methods that sample give their best so far, others end in a failure.
    public func explain(
        _ input: PreparedInput, _ request: Request, mask: Volume? = nil, regions: ScanRegions = .none,
        interrupted: Interruption? = nil
    ) throws -> ScanExplanation {
        var notes: [String] = []
        let inputs = allInputs(input)
        let inputShapes = inputs.mapValues(\.shape)
        var choices = request.methods
        let head = try network.head(of: outputName, inputShapes: inputShapes)
        if choices.isEmpty {
            let standard = standardMethod(head)
            choices = [standard.choice]
            if let note = standard.note { notes.append(note) }
        } else if choices.contains(where: { $0.name.hasPrefix("gradcam") }), head.averagingMisleads {
            notes.append(Self.misleading(head) + "; compare with hirescam")
        }
        let made = try choices.map { (choice: $0, method: try MethodCatalogue.make($0)) }
        let needsTaps = made.contains { type(of: $0.method).descriptor.needsTap }
        let scope = NetworkScope(
            network: network, inputName: inputName, outputName: outputName, inputShapes: inputShapes, head: head,
            taps: needsTaps ? try self.taps(request.taps, inputShapes: inputShapes) : [])
        let methods = try made.map { Use(choice: $0.choice, method: $0.method, layers: try $0.method.layers(scope)) }
        // Keeping every activation down to the input is dear: only methods that map the input ask for it.
        let kept = methods.flatMap { $0.layers.maps + $0.layers.kept }
        let taps = unique(scope.taps + methods.flatMap(\.layers.maps)).filter { $0 != inputName }
        let layouts = try layouts(of: taps + [inputName], inputShapes: inputShapes)
        let logits = try network.logits(of: outputName, inputShapes: inputShapes)
        let answerTensor = request.explainsProbability ? outputName : logits.tensor

        let recording = try network.record(
            inputs: inputs, targets: unique([answerTensor, logits.tensor]),
            taps: unique(taps + kept), interrupted: interrupted)
        let answer = try answer(recording, logits, inputShapes: inputShapes)
        var explained = answer
        if answerTensor != logits.tensor {
            explained = Answer(
                tensor: answerTensor, logits: try recording.tensor(answerTensor), classAxis: answer.classAxis,
                activation: .none, classNames: classNames)
        }

        let maskOnAnswer = try mask.map {
            try self.mask($0, onAnswer: explained, input: input, inputShapes: inputShapes)
        }
        var explanations: [Explanation] = []
        let places = places(of: input)
        asking: for target in request.targets {
            for resolved in try explained.resolve(target, mask: maskOnAnswer) {
                let question = Question(
                    network: network, inputs: inputs, inputName: inputName, target: resolved, head: head,
                    recording: recording, regions: regions, places: places, taps: taps, layouts: layouts,
                    interrupted: interrupted)
                for use in methods {
                    explanations.append(try explain(question, use, input: input))
                    // Stopped: what was found is given, what comes after is not begun.
                    if explanations.last!.isPartial { break asking }
                }
            }
        }
        return ScanExplanation(answer: answer, explanations: explanations, seen: input.grid, notes: notes)
    }

    /// What the network says of `input`, without explaining it.
    public func answer(_ input: PreparedInput, interrupted: Interruption? = nil) throws -> Answer {
        let inputs = allInputs(input)
        let inputShapes = inputs.mapValues(\.shape)
        let logits = try network.logits(of: outputName, inputShapes: inputShapes)
        let recording = try network.record(inputs: inputs, targets: [logits.tensor], taps: [], interrupted: interrupted)
        return try answer(recording, logits, inputShapes: inputShapes)
    }

    /// The tensors of the taps asked for, or of the network's default tap.
    public func taps(_ names: [String], inputShapes: [String: [Int]]? = nil) throws -> [String] {
        if names.isEmpty { return [try network.defaultTap(for: outputName, inputShapes: inputShapes).tensor] }
        return unique(try names.map { try network.tap($0, inputShapes: inputShapes).tensor })
    }

    /// How each tap's tensor becomes a feature map with a place in the world.
    ///
    /// - Throws: a ``Failure`` for a tap whose voxels have no place, or that has a batch of more than one.
    public func layouts(of taps: [String], inputShapes: [String: [Int]]) throws -> [String: FeatureLayout] {
        let axes = try network.layout(of: inputName, inputShapes: inputShapes).spatial
        var layouts: [String: FeatureLayout] = [:]
        for tap in taps {
            let field = try network.receptiveField(of: tap, input: inputName, inputShapes: inputShapes)
            guard !field.axes.isEmpty else {
                throw Failure(
                    .network, "tap '\(tap)'", expected: "a layer with spatial extent",
                    found: "\(field.shape), pooled away",
                    remedy: "Choose a tap before pooling or flattening; `tomolens inspect MODEL` lists them.")
            }
            let layout = FeatureLayout(field, inputSpatialAxes: axes, inputShape: inputShapes[inputName]!)
            guard layout.channels * layout.spatial.elementCount <= field.shape.elementCount else {
                throw Failure(.network, "tap '\(tap)'", expected: "one feature map", found: "\(field.shape)")
            }
            layouts[tap] = layout
        }
        return layouts
    }

    /// One of the methods of a request, and the layers it is about.
    private struct Use {
        let choice: MethodChoice
        let method: any ExplanationMethod
        let layers: MethodLayers
    }

    private func explain(_ question: Question, _ use: Use, input: PreparedInput) throws -> Explanation {
        let method = use.method
        let descriptor = type(of: method).descriptor
        var isPartial = false
        var matrices: [NamedMatrix] = []
        var notes = question.target.notes
        var figures: [String: Double] = [:]
        var maps: [TapMap] = []
        for tap in use.layers.maps {
            let found = try method.explain(question, at: tap)
            try check(found, method: descriptor, tap: tap)
            notes += found.notes
            if let note = blankness(found.values) { notes.append("\(descriptor.title) at \(tap): \(note)") }
            figures.merge(found.figures) { _, new in new }
            isPartial = isPartial || found.isPartial
            matrices += found.matrices
            let layout = question.layout(of: tap)
            maps.append(
                TapMap(
                    tap: tap, values: found.values,
                    volume: try input.volume(
                        fromTensorSpatial: found.values.values, shape: found.values.shape, jump: layout.jump,
                        centre: layout.centre),
                    jump: layout.jump, centre: layout.centre))
        }
        return Explanation(
            method: descriptor, options: use.choice.options, target: question.target, maps: maps, notes: notes,
            figures: figures, isPartial: isPartial, matrices: matrices)
    }

    private func places(of input: PreparedInput) -> InputPlaces {
        let spacing = input.grid.spacing
        return InputPlaces(spacing: input.layout.axes.map { spacing[$0] }) { volume in
            let sampled =
                volume.grid == input.grid
                ? volume : Resampler(.nearest, outside: .constant(0)).resample(volume, onto: input.grid)
            return input.tensorSpatial(from: sampled)
        }
    }

    /// Values for all inputs of the network, the scan's among them.
    public func allInputs(_ input: PreparedInput) -> [String: Value] {
        var inputs = otherInputs
        inputs[inputName] = .float(input.tensor)
        return inputs
    }

    private func answer(_ recording: Recording, _ logits: Logits, inputShapes: [String: [Int]]) throws -> Answer {
        let values = try recording.tensor(logits.tensor)
        var classAxis: Int?
        var found: Answer.Activation?
        switch logits.activation {
        case .softmax(let axis), .logSoftmax(let axis): (classAxis, found) = (axis, .softmax)
        case .sigmoid: found = .sigmoid
        case .argMax(let axis): classAxis = axis
        case .none: break
        }
        if classAxis == nil, values.rank > 2 {
            // A dense answer: its places are known, and classes are the axis that is left.
            classAxis = try? network.receptiveField(of: logits.tensor, input: inputName, inputShapes: inputShapes)
                .channelAxis
        }
        let classCount = values.rank < 2 ? 1 : values.shape[classAxis ?? 1]
        // A network that ends in several logits was trained with softmax unless the pipeline says otherwise.
        let assumed: Answer.Activation = classCount > 1 ? .softmax : .none
        return Answer(
            tensor: logits.tensor, logits: values, classAxis: classAxis, activation: activation ?? found ?? assumed,
            activationIsAssumed: activation == nil && found == nil, classNames: classNames)
    }

    /// A map must be finite and have the extent it claims before anybody sees it.
    private func check(_ map: AttributionMap, method: MethodDescriptor, tap: String) throws {
        guard !map.values.shape.isEmpty, map.values.count > 0 else {
            throw Failure(
                .network, "tap '\(tap)'", expected: "a layer with spatial extent", found: "none",
                remedy: "Choose a tap before pooling or flattening; `tomolens inspect MODEL` lists them.")
        }
        guard map.values.values.allSatisfy(\.isFinite) else {
            throw Failure(
                .network, "\(method.title) at '\(tap)'", expected: "a finite map", found: "NaN or infinity",
                remedy: "The network's values overflow on this scan; check the preparation.")
        }
    }

    /// What to say of a map that would be drawn blank.
    private func blankness(_ values: Tensor<Float>) -> String? {
        let values = values.values
        guard let highest = values.max(), let lowest = values.min() else { return nil }
        if highest == 0, lowest == 0 { return "the map is zero everywhere: no gradient reaches this layer" }
        if highest <= 0 {
            return
                "every value is negative or zero: nothing here speaks for the target, so a rectified picture is blank"
        }
        return nil
    }

    /// The mask sampled at the centre of every voxel of a dense answer.
    private func mask(
        _ mask: Volume, onAnswer answer: Answer, input: PreparedInput, inputShapes: [String: [Int]]
    ) throws -> [Bool] {
        let layout = try layouts(of: [answer.tensor], inputShapes: inputShapes)[answer.tensor]!
        let grid = try input.volume(
            fromTensorSpatial: [Float](repeating: 0, count: layout.spatial.elementCount), shape: layout.spatial,
            jump: layout.jump, centre: layout.centre
        ).grid
        let sampled = Resampler(.nearest, outside: .constant(0)).resample(mask, onto: grid)
        return input.tensorSpatial(from: sampled).map { $0 > 0.5 }
    }

    private func unique(_ names: [String]) -> [String] {
        var seen = Set<String>()
        return names.filter { seen.insert($0).inserted }
    }
}

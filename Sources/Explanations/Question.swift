import Failures
import Networks
import Synchronization
import Tensors

/// One scan, one target: what a method may ask of the network.
///
/// The forward pass is recorded once and shared by every method and target of the scan; gradients are computed when first
/// asked for and kept.
public final class Question: Sendable {
    public let network: Network
    /// All inputs of the network by name, the scan's among them.
    public let inputs: [String: Value]
    /// Which of them is the scan.
    public let inputName: String
    public let target: ResolvedTarget
    /// How the scores are made from the last feature map.
    public let head: Head
    public let recording: Recording
    /// Labels and body of the scan.
    public let regions: ScanRegions
    /// Where the input's places lie.
    public let places: InputPlaces
    /// Asked between nodes and evaluations; throws to stop.
    public let interrupted: Interruption?
    /// Layers whose gradients are computed together, in one way back.
    private let taps: [String]
    private let layouts: [String: FeatureLayout]
    private let knownBatch = Mutex<Int?>(nil)
    /// The run that changes in a region start from, once one was asked for; none where it cannot be kept.
    private let regional = Mutex<RegionalRun??>(nil)
    private let gradients = Mutex<[String: Tensor<Float>]>([:])

    /// - Parameters:
    ///   - taps: recorded layers of which maps will be asked.
    ///   - layouts: for each of them, and for the input, how its tensor becomes a feature map.
    public init(
        network: Network, inputs: [String: Value], inputName: String, target: ResolvedTarget, head: Head,
        recording: Recording, regions: ScanRegions, places: InputPlaces, taps: [String],
        layouts: [String: FeatureLayout], interrupted: Interruption? = nil
    ) {
        self.network = network
        self.inputs = inputs
        self.inputName = inputName
        self.target = target
        self.head = head
        self.recording = recording
        self.regions = regions
        self.places = places
        self.taps = taps
        self.layouts = layouts
        self.interrupted = interrupted
    }

    /// So many inputs go through the network together where a method asks for many scores.
    public var batch: Int {
        knownBatch.withLock { known in
            let batch = known ?? Self.batch(network, inputs: inputs, inputName: inputName, target: target)
            known = batch
            return batch
        }
    }

    /// Elements of the inputs that go through the network together, at most: small inputs share the cost of each layer's start. Where one
    /// input keeps all processors busy, several together were measured to be slower.
    private static let elementsOfABatch = 1 << 17
    private static let largestBatch = 16

    /// More than 1 where the file leaves the batch open, there is no other input, and the target's tensor grows with the batch and
    /// in nothing else.
    private static func batch(
        _ network: Network, inputs: [String: Value], inputName: String, target: ResolvedTarget
    ) -> Int {
        guard inputs.count == 1, let shape = inputs[inputName]?.shape, shape.first == 1, target.seed.shape.first == 1,
            let port = network.inputs.first(where: { $0.name == inputName }), case .symbolic? = port.dims?.first
        else { return 1 }
        let batch = min(largestBatch, elementsOfABatch / max(1, shape.elementCount))
        guard batch > 1, let shapes = try? network.shapes(for: [inputName: [batch] + shape.dropFirst()]),
            shapes[target.tensor] == [batch] + target.seed.shape.dropFirst()
        else { return 1 }
        return batch
    }

    /// The scan as the network sees it, in the network's own layout.
    public var input: Tensor<Float> {
        guard case .float(let tensor)? = inputs[inputName] else { preconditionFailure("the scan is a float tensor") }
        return tensor
    }

    /// How the tensor at `tap` (or the input) becomes a feature map.
    public func layout(of tap: String) -> FeatureLayout {
        guard let layout = layouts[tap] else { preconditionFailure("no layout for '\(tap)'") }
        return layout
    }

    /// The first recorded layer below the head, for methods that combine a layer's map with the input's.
    public var camTap: String? { taps.first { $0 != inputName } }

    public var inputLayout: FeatureLayout { layout(of: inputName) }

    /// What the forward pass computed at `tap`, as a feature map `[1, channels, spatial…]`.
    public func activation(at tap: String) throws -> Tensor<Float> {
        layout(of: tap).featureMap(tap == inputName ? input : try recording.tensor(tap))
    }

    /// The target's gradient with respect to the activation at `tap`, as a feature map.
    ///
    /// - Throws: a ``Failure`` when the target does not depend on the tap.
    public func gradient(at tap: String) throws -> Tensor<Float> {
        if let known = gradients.withLock({ $0[tap] }) { return known }
        // All taps of the scan share one way back; the input, far below them, is fetched only by those who need it.
        let together = taps.contains(tap) ? taps : [tap]
        let found = try recording.pullback(seeds: [target.tensor: target.seed], to: together)
        let maps = Dictionary(uniqueKeysWithValues: found.map { ($0.key, layout(of: $0.key).featureMap($0.value)) })
        gradients.withLock { $0.merge(maps) { _, new in new } }
        return maps[tap]!
    }

    /// As ``gradient(at:)`` with other rules of propagation.
    public func gradient(at tap: String, rules: PropagationRules) throws -> Tensor<Float> {
        layout(of: tap).featureMap(
            try recording.pullback(seeds: [target.tensor: target.seed], to: [tap], rules: rules)[tap]!)
    }

    /// The target's score handed back to `tap` by rules of relevance, as a feature map: what starts back is the score itself, not 1.
    public func relevance(at tap: String, rules: PropagationRules) throws -> Tensor<Float> {
        let score = try recording.tensor(target.tensor).combined(with: target.seed) { $0 * $1 }
        return layout(of: tap).featureMap(
            try recording.pullback(seeds: [target.tensor: score], to: [tap], rules: rules)[tap]!)
    }

    /// A run on another input in the place of the scan, of which as much is kept as a pullback to the input needs.
    public func record(_ input: Tensor<Float>) throws -> Recording {
        var inputs = inputs
        inputs[inputName] = .float(input)
        return try network.record(
            inputs: inputs, targets: [target.tensor], taps: [inputName], interrupted: interrupted)
    }

    /// An input as a feature map `[1, channels, spatial…]`.
    public func activation(of input: Tensor<Float>) -> Tensor<Float> { inputLayout.featureMap(input) }

    /// How far contributions that should add up to the target's change from a baseline miss it.
    ///
    /// - Parameter score: the target on the scan; nil for the one that was recorded.
    func completeness(of total: Double, to score: Double? = nil, from baseline: Double) -> [String: Double] {
        let change = (score ?? target.score) - baseline
        return ["completeness residual": total - change, "target minus baseline": change]
    }

    /// Smaller inputs are as soon computed whole, and together.
    private static let leastRegional = 1 << 15

    /// Where an input differs from the scan, if that is a small part of it.
    private func region(of other: Tensor<Float>) -> Box? {
        let input = input
        guard input.count >= Self.leastRegional, (3...5).contains(input.rank), other.shape == input.shape,
            let box = other.difference(from: input), 3 * box.count <= input.shape[2...].reduce(1, *)
        else { return nil }
        return box
    }

    private func regionalRun() throws -> RegionalRun? {
        try regional.withLock { known in
            if let known { return known }
            let run = try RegionalRun(
                network, inputs: inputs, changing: inputName, target: target.tensor, interrupted: interrupted)
            known = .some(run)
            return run
        }
    }

    /// The target's scalar for another input in the place of the scan: one forward pass, or as much of it as the change reaches.
    public func score(of input: Tensor<Float>) throws -> Double {
        if let box = region(of: input), let run = try regionalRun() {
            return try scalar(from: run.target(for: input, differingIn: box, interrupted: interrupted))
        }
        var inputs = inputs
        inputs[inputName] = .float(input)
        let values = try network.run(inputs: inputs, wanting: [target.tensor], interrupted: interrupted)
        return try scalar(from: values[target.tensor])
    }

    /// The target's scalar for each of several inputs in the place of the scan, at most ``batch`` of them: one forward pass.
    public func scores(of several: [Tensor<Float>]) throws -> [Double] {
        precondition(several.count <= batch, "\(several.count) inputs in a batch of \(batch)")
        if several.count == 1 || several.allSatisfy({ region(of: $0) != nil }) {
            return try several.map { try score(of: $0) }
        }
        let size = several[0].count
        let together = Tensor<Float>(shape: [several.count] + several[0].shape.dropFirst()) { result in
            for (number, one) in several.enumerated() {
                one.withUnsafeBuffer { one in
                    for index in 0..<size { result[number * size + index] = one[index] }
                }
            }
        }
        let found = try network.run(
            inputs: [inputName: .float(together)], wanting: [target.tensor], interrupted: interrupted)
        guard case .float(let logits)? = found[target.tensor], logits.count == several.count * target.seed.count else {
            preconditionFailure("a tensor that grows with the batch")
        }
        let length = target.seed.count
        return try several.indices.map { number in
            let own = logits.withUnsafeBuffer { Array($0[number * length..<(number + 1) * length]) }
            return try scalar(from: .float(Tensor(shape: target.seed.shape, values: own)))
        }
    }

    /// The target's scalar when the feature map at `tap` is replaced: the network runs only from there on.
    public func score(replacing tap: String, by map: Tensor<Float>) throws -> Double {
        let tensor = layout(of: tap).replacing(try recording.tensor(tap), by: map)
        let values = try recording.replay(replacing: [tap: tensor], wanting: [target.tensor])
        return try scalar(from: values[target.tensor])
    }

    /// The target's scalar and its gradient with respect to another input in the place of the scan; both tensors in the
    /// network's own layout.
    public func scoreAndGradient(
        of input: Tensor<Float>, rules: PropagationRules = .standard
    ) throws -> (score: Double, gradient: Tensor<Float>) {
        let other = try record(input)
        let score = try scalar(from: other.value(target.tensor))
        let result = try other.pullback(seeds: [target.tensor: target.seed], to: [inputName], rules: rules)
        return (score, result[inputName]!)
    }

    func scalar(from value: Value?) throws -> Double {
        guard case .float(let logits)? = value, logits.count == target.seed.count else {
            throw Failure(
                .network, "tensor '\(target.tensor)'", expected: "logits of shape \(target.seed.shape)",
                found: value?.summary ?? "nothing")
        }
        var sum = 0.0
        logits.withUnsafeBuffer { logits in
            target.seed.withUnsafeBuffer { seed in
                for index in seed.indices where seed[index] != 0 { sum += Double(seed[index]) * Double(logits[index]) }
            }
        }
        guard sum.isFinite else {
            throw Failure(.network, "tensor '\(target.tensor)'", expected: "finite logits", found: "\(sum)")
        }
        return sum
    }
}

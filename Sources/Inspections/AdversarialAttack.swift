import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Tensors

/// What a voxel of the network's input is worth in the scan's unit, and which may be changed.
public struct AttackSpace: Sendable {
    /// Prepared value a unit of the scan (HU; grey levels of a picture), for each channel of the input.
    public let scale: [Float]
    /// Whether all channels are made from the same voxel, and so change together (CT); else each by itself (pictures).
    public let isShared: Bool
    /// In the order of the tensor's places.
    public let allowed: [Bool]
    /// The scan's own values at the places (channel after channel where not shared), and how far they may go.
    public let original: [Float]
    public let limits: ClosedRange<Float>

    public init(
        scale: [Float], isShared: Bool, allowed: [Bool], original: [Float], limits: ClosedRange<Float>
    ) {
        precondition(original.count == allowed.count * (isShared ? 1 : scale.count))
        self.scale = scale
        self.isShared = isShared
        self.allowed = allowed
        self.original = original
        self.limits = limits
    }

    /// Values that may be changed.
    public var count: Int { allowed.filter { $0 }.count * (isShared ? 1 : scale.count) }
}

/// Small changes of an input that change the answer.
///
/// FGSM (Goodfellow, Shlens & Szegedy, ICLR 2015) is one step along the sign of the loss's gradient; PGD (Madry et al., ICLR
/// 2018) several smaller ones, each brought back into the ball around the scan. The loss is the cross-entropy of the answer
/// (binary for sigmoids): raised for the class that wins, or lowered for a class that is wanted. All lengths are in the scan's
/// own unit, so that a bound can be read.
public struct AdversarialAttack: Sendable {
    public enum Norm: String, Sendable, CaseIterable {
        /// No voxel changes by more than ε.
        case linf
        /// The root mean square of the change over the voxels that may change is at most ε.
        case l2
    }

    public enum Goal: Sendable, Hashable {
        /// Any other answer than this class.
        case away(from: Int)
        case toward(Int)

        var classIndex: Int {
            switch self {
            case .away(let index), .toward(let index): index
            }
        }

        /// The sign with which the loss is climbed.
        var sign: Float { if case .away = self { 1 } else { -1 } }
    }

    public struct Settings: Sendable {
        public var norm = Norm.linf
        /// In the scan's unit.
        public var epsilon = 4.0
        /// 1 with a step of ε is FGSM.
        public var steps = 20
        /// In the scan's unit; nil: 2.5 ε / steps, ε for one step.
        public var stepSize: Double?
        /// Begin at a random point of the ball.
        public var randomStart = false
        public var seed = 0

        public init() {}
    }

    public struct Outcome: Sendable {
        /// The change in the scan's unit, in the order of the tensor's places.
        public let change: [Float]
        /// The changed input, in the network's own layout.
        public let input: Tensor<Float>
        public let before: Answer
        public let after: Answer
        /// The loss before the first step and after each.
        public let losses: [Double]
        public let isReached: Bool
        /// Largest and root mean square change over the places that may change.
        public let largest: Double
        public let rootMeanSquare: Double
    }

    public let explainer: Explainer
    public let space: AttackSpace
    public let settings: Settings

    public init(_ explainer: Explainer, _ space: AttackSpace, _ settings: Settings = Settings()) {
        self.explainer = explainer
        self.space = space
        self.settings = settings
    }

    /// - Parameter goal: nil: away from the class that wins.
    /// - Throws: a ``Failure`` for a class that does not exist or where nothing may be changed.
    public func run(
        _ input: PreparedInput, goal given: Goal? = nil, interrupted: Interruption? = nil
    ) throws -> Outcome {
        let inputs = explainer.allInputs(input)
        let shapes = inputs.mapValues(\.shape)
        let layout = try explainer.layouts(of: [explainer.inputName], inputShapes: shapes)[explainer.inputName]!
        let places = layout.spatial.elementCount
        precondition(space.allowed.count == places && space.scale.count == layout.channels)
        guard space.count > 0 else {
            throw Failure(
                .scan, "voxels that may change", expected: "at least one", found: "none",
                remedy: "Leave out --body, or check that the preparation does not clip the whole scan")
        }
        let before = try explainer.answer(input, interrupted: interrupted)
        let goal = given ?? .away(from: Self.winner(before))
        guard goal.classIndex >= 0, goal.classIndex < before.classCount else {
            throw Failure(
                .usage, "class \(goal.classIndex)", expected: "a class from 0 to \(before.classCount - 1)",
                found: "\(goal.classIndex)")
        }
        let own = layout.featureMap(input.tensor).values
        let epsilon = Float(settings.epsilon)
        let step = Float(
            settings.stepSize
                ?? (settings.steps == 1 ? settings.epsilon : 2.5 * settings.epsilon / Double(settings.steps)))
        let radius = epsilon * Float(space.count).squareRoot()
        var change = [Float](repeating: 0, count: space.original.count)
        if settings.randomStart {
            var random = RandomSource(seed: UInt64(settings.seed))
            for index in change.indices where space.allowed[index % places] {
                change[index] =
                    settings.norm == .linf ? epsilon * Float(2 * random.uniform() - 1) : Float(random.normal())
            }
            if settings.norm == .l2 {
                let length = Self.length(change)
                let factor = length > 0 ? radius * Float(random.uniform()) / length : 0
                for index in change.indices { change[index] *= factor }
            }
            hold(&change)
        }
        func changed(_ change: [Float]) -> Tensor<Float> {
            var values = own
            for index in values.indices {
                let (channel, place) = (index / places, index % places)
                values[index] += space.scale[channel] * change[space.isShared ? place : index]
            }
            return layout.replacing(
                input.tensor, by: Tensor(shape: [1, layout.channels] + layout.spatial, values: values))
        }
        var losses: [Double] = []
        for _ in 0..<settings.steps {
            let (loss, gradient) = try lossAndGradient(changed(change), goal, before, inputs, interrupted)
            losses.append(loss)
            let slopes = layout.featureMap(gradient).values
            // In the scan's unit: what the channels of one voxel say is added.
            var ascent = [Float](repeating: 0, count: change.count)
            for index in slopes.indices {
                let place = index % places
                guard space.allowed[place] else { continue }
                ascent[space.isShared ? place : index] += goal.sign * space.scale[index / places] * slopes[index]
            }
            switch settings.norm {
            case .linf:
                for index in change.indices where ascent[index] != 0 {
                    let moved = change[index] + (ascent[index] > 0 ? step : -step)
                    change[index] = max(-epsilon, min(epsilon, moved))
                }
            case .l2:
                let length = Self.length(ascent)
                if length > 0 {
                    let factor = step * Float(space.count).squareRoot() / length
                    for index in change.indices { change[index] += factor * ascent[index] }
                }
                let size = Self.length(change)
                if size > radius { for index in change.indices { change[index] *= radius / size } }
            }
            hold(&change)
        }
        let final = changed(change)
        losses.append(try lossAndGradient(final, goal, before, inputs, interrupted).loss)
        let after = try explainer.answer(
            PreparedInput(tensor: final, grid: input.grid, layout: input.layout, slice: input.slice),
            interrupted: interrupted)
        let now = Self.winner(after)
        let isReached: Bool
        switch goal {
        case .away(let index): isReached = before.classCount == 1 ? Self.sign(after) != Self.sign(before) : now != index
        case .toward(let index): isReached = now == index
        }
        return Outcome(
            change: change, input: final, before: before, after: after, losses: losses, isReached: isReached,
            largest: Double(change.reduce(0) { max($0, abs($1)) }),
            rootMeanSquare: Double(Self.length(change)) / Double(space.count).squareRoot())
    }

    /// Within what the scan's values can be.
    private func hold(_ change: inout [Float]) {
        for index in change.indices where change[index] != 0 {
            let value = space.original[index]
            let held = max(space.limits.lowerBound, min(space.limits.upperBound, value + change[index]))
            // Voxels that lie beyond the limits already may come back and not go further.
            if value >= space.limits.lowerBound && value <= space.limits.upperBound { change[index] = held - value }
        }
    }

    private static func length(_ values: [Float]) -> Float {
        Float(values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot())
    }

    /// The class that wins: of a dense answer the one with most voxels but the first.
    static func winner(_ answer: Answer) -> Int {
        if answer.isDense {
            let counts = answer.winners().reduce(into: [Int](repeating: 0, count: answer.classCount)) { $0[$1] += 1 }
            return counts.indices.dropFirst().max { counts[$0] < counts[$1] } ?? 0
        }
        let logits = answer.logits.values
        return logits.indices.max { logits[$0] < logits[$1] || (logits[$0] == logits[$1] && $0 > $1) } ?? 0
    }

    private static func sign(_ answer: Answer) -> Bool { answer.logits[flat: 0] > 0 }

    private func lossAndGradient(
        _ input: Tensor<Float>, _ goal: Goal, _ before: Answer, _ inputs: [String: Value],
        _ interrupted: Interruption?
    ) throws -> (loss: Double, gradient: Tensor<Float>) {
        var inputs = inputs
        inputs[explainer.inputName] = .float(input)
        let recording = try explainer.network.record(
            inputs: inputs, targets: [before.tensor], taps: [explainer.inputName], interrupted: interrupted)
        let logits = try recording.tensor(before.tensor)
        let (loss, seed) = Self.crossEntropy(logits, before, goal.classIndex)
        guard loss.isFinite else {
            throw Failure(.network, before.tensor, expected: "finite logits", found: "a loss of \(loss)")
        }
        let gradients = try recording.pullback(seeds: [before.tensor: seed], to: [explainer.inputName])
        return (loss, gradients[explainer.inputName]!)
    }

    /// Cross-entropy of one class, and its gradient with respect to the logits: softmax − one-hot, or sigmoid − truth. A dense
    /// answer's is the mean over the voxels that the class had at first (all, where it had none).
    static func crossEntropy(_ logits: Tensor<Float>, _ before: Answer, _ target: Int) -> (Double, Tensor<Float>) {
        let values = logits.values
        var seed = Tensor<Float>(shape: logits.shape, repeating: 0)
        let classes = before.classCount
        if classes == 1 || before.activation == .sigmoid {
            // One class by itself: true where its own logit says so at first.
            let truth: Double = before.isDense ? 1 : before.logits[flat: classes == 1 ? 0 : target] > 0 ? 1 : 0
            let chosen = classes == 1 ? Array(values.indices) : [target]
            var loss = 0.0
            seed.withUnsafeMutableBuffer { seed in
                for index in chosen {
                    let z = Double(values[index])
                    loss += max(z, 0) - z * truth + log1p(exp(-abs(z)))
                    seed[index] = Float((1 / (1 + exp(-z)) - truth) / Double(chosen.count))
                }
            }
            return (loss / Double(chosen.count), seed)
        }
        let axis = before.classAxis ?? 1
        let inner = logits.shape[(axis + 1)...].reduce(1, *)
        let outer = values.count / (classes * inner)
        var selected = [Bool](repeating: true, count: outer * inner)
        if before.isDense {
            let winners = before.winners()
            if winners.contains(target) { selected = winners.map { $0 == target } }
        }
        let count = Double(selected.filter { $0 }.count)
        var loss = 0.0
        seed.withUnsafeMutableBuffer { seed in
            for voxel in 0..<outer * inner where selected[voxel] {
                let base = (voxel / inner) * classes * inner + voxel % inner
                let own = (0..<classes).map { Double(values[base + $0 * inner]) }
                let highest = own.max()!
                let powers = own.map { exp($0 - highest) }
                let sum = powers.reduce(0, +)
                loss -= own[target] - highest - log(sum)
                for index in 0..<classes {
                    let share = powers[index] / sum - (index == target ? 1 : 0)
                    seed[base + index * inner] = Float(share / count)
                }
            }
        }
        return (loss / count, seed)
    }
}

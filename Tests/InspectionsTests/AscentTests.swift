import Explanations
import Failures
import Foundation
import Networks
import Preparations
import TestSupport
import Tensors
import Testing
import Volumes

@testable import Inspections

/// Activation maximization and attacks against PyTorch's optimizers (Tests/Reference/inspections.py).
@Suite struct AscentTests {
    static let reference = try! SafeTensors(contentsOf: Fixtures.reference("inspections/ascents.safetensors"))

    static func load(_ name: String) throws -> (explainer: Explainer, input: PreparedInput) {
        let network = try Network(contentsOf: Fixtures.reference("inspections/\(name).onnx"))
        let tensor = reference.float("\(name)|input")!
        let spatial = Array(tensor.shape.dropFirst(2))
        let grid = Grid(
            shape: Index3(spatial[0], spatial[1], spatial.count > 2 ? spatial[2] : 1),
            affine: Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, 1], origin: .zero))
        let layout = NetworkLayout(axes: spatial.count == 3 ? [0, 1, 2] : [0, 1])
        return (try Explainer(network: network), PreparedInput(tensor: tensor, grid: grid, layout: layout))
    }

    static func objective(
        _ explainer: Explainer, _ what: String, _ input: PreparedInput
    ) throws -> ActivationObjective {
        switch what {
        case "logit": return try ActivationObjective(explainer, layer: "logits", channel: 1, input: input.tensor)
        case "channel": return try ActivationObjective(explainer, layer: "last-conv", channel: 2, input: input.tensor)
        default:
            let rank = input.tensor.rank - 2
            return try ActivationObjective(
                explainer, layer: "last-conv", channel: 4, unit: Array([1, 2, 3].prefix(rank)), input: input.tensor)
        }
    }

    // MARK: Maximization

    @Test(arguments: ["small3d", "small2d"], ["logit", "channel", "unit"])
    func voxelsClimbAsPyTorchsAdamDoes(_ name: String, _ what: String) throws {
        let (explainer, input) = try Self.load(name)
        var settings = ActivationMaximization.Settings()
        settings.steps = 15
        settings.parameters = .voxels
        settings.jitter = 0
        settings.scale = 0
        settings.rotation = 0
        settings.totalVariation = 0.3
        settings.l2 = 0.2
        let channels = input.tensor.shape[1]
        settings.range = Array(repeating: 0...(what == "channel" ? 2 : 1), count: channels)
        let ascent = ActivationMaximization(try Self.objective(explainer, what, input), settings)
        let outcome = try ascent.run(from: input.tensor, shape: input.tensor.shape)
        let curve = Self.reference.float("\(name)|\(what)|curve")!
        for (step, record) in outcome.curve.enumerated() {
            let expected = [record.activation, record.totalVariation, record.l2, record.loss]
            for (column, value) in expected.enumerated() {
                #expect(abs(Float(value) - curve[step, column]) < 1e-4 * max(1, abs(curve[step, column])), "\(step)")
            }
        }
        #expect(relativeError(outcome.input, Self.reference.float("\(name)|\(what)|found")!) < 1e-3)
        #expect(outcome.curve.count == 15 && outcome.activation > outcome.startActivation)
    }

    @Test(arguments: ["small3d", "small2d"]) func theObjectivesGradientIsItsDerivative(_ name: String) throws {
        let (explainer, input) = try Self.load(name)
        for what in ["logit", "channel", "unit"] {
            let objective = try Self.objective(explainer, what, input)
            let (value, gradient) = try objective.valueAndGradient(of: input.tensor)
            #expect(value == (try objective.value(of: input.tensor)))
            var numbers = SeededNumbers(9)
            let direction = numbers.tensor(input.tensor.shape)
            func moved(_ amount: Float) throws -> Double {
                let values = zip(input.tensor.values, direction.values).map { $0 + amount * $1 }
                return try objective.value(of: Tensor(shape: input.tensor.shape, values: values))
            }
            let slope = (try moved(1e-2) - moved(-1e-2)) / 2e-2
            let expected = zip(gradient.values, direction.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            #expect(abs(slope - expected) < 2e-3 * max(0.1, abs(expected)), "\(what)")
        }
    }

    /// With everything on, from noise: higher than before, within the range, and the same for the same seed only.
    @Test(arguments: ["small3d", "small2d"]) func ascendsReproducibly(_ name: String) throws {
        let (explainer, input) = try Self.load(name)
        let objective = try Self.objective(explainer, "logit", input)
        for parameters in [ActivationMaximization.Parameters.fourier(decay: 1), .fourier(decay: 0), .voxels] {
            var settings = ActivationMaximization.Settings()
            settings.steps = 80
            settings.learningRate = 0.1
            settings.parameters = parameters
            settings.jitter = 1
            settings.totalVariation = 0.01
            settings.l2 = 0
            settings.range = Array(repeating: 0...1, count: input.tensor.shape[1])
            settings.blurEvery = parameters == .voxels ? 8 : 0
            settings.seed = 3
            let first = try ActivationMaximization(objective, settings).run(shape: input.tensor.shape)
            let again = try ActivationMaximization(objective, settings).run(shape: input.tensor.shape)
            #expect(first.input == again.input)
            #expect(first.activation > first.startActivation + 0.02, "\(parameters)")
            #expect(first.input.values.allSatisfy { $0 >= 0 && $0 <= 1 })
            settings.seed = 4
            #expect(try ActivationMaximization(objective, settings).run(shape: input.tensor.shape).input != first.input)
        }
    }

    /// The reached activation beats every random input and the real one.
    @Test func reachesMoreThanInputsThatWereTried() throws {
        let (explainer, input) = try Self.load("small3d")
        let objective = try Self.objective(explainer, "channel", input)
        var settings = ActivationMaximization.Settings()
        settings.steps = 150
        settings.jitter = 0
        settings.scale = 0
        settings.rotation = 0
        settings.totalVariation = 0
        settings.l2 = 0
        settings.range = [0...1]
        let reached = try ActivationMaximization(objective, settings).run(shape: input.tensor.shape).activation
        var numbers = SeededNumbers(1)
        var best = try objective.value(of: input.tensor)
        for _ in 0..<30 { best = max(best, try objective.value(of: numbers.tensor(input.tensor.shape, 0...1))) }
        #expect(reached > best)
    }

    @Test func decayPrefersLowFrequencies() {
        let basis = FrequencyBasis(shape: [8, 8])
        let weights = ActivationMaximization.weights(basis, decay: 1)
        let order = basis.frequencies.indices.sorted { basis.frequencies[$0] < basis.frequencies[$1] }
        #expect(weights[order.first!] > weights[order.last!] * 3)
        #expect(ActivationMaximization.weights(basis, decay: 0).allSatisfy { abs($0 - 1) < 1e-6 })
        let squares = weights.reduce(0) { $0 + $1 * $1 } / Float(weights.count)
        #expect(abs(squares - 1) < 1e-5)
    }

    @Test func whatCannotBeMaximizedIsRefused() throws {
        let (explainer, input) = try Self.load("small3d")
        for (layer, channel, unit) in [
            ("logits", 9, nil), ("last-conv", 6, nil), ("last-conv", 0, [9, 0, 0]), ("last-conv", 0, [0, 0]),
            ("logits", 0, [0]), ("nowhere", 0, nil),
        ] as [(String, Int, [Int]?)] {
            #expect(throws: Failure.self) {
                try ActivationObjective(explainer, layer: layer, channel: channel, unit: unit, input: input.tensor)
            }
        }
    }

    // MARK: Attacks

    static func space(_ name: String, _ input: PreparedInput, limits: ClosedRange<Float> = -1e6...1e6) -> AttackSpace {
        let mask = reference.float("\(name)|mask")!
        let channels = input.tensor.shape[1]
        let places = input.tensor.count / channels
        return AttackSpace(
            scale: Array(repeating: 0.01, count: channels), isShared: channels == 1,
            allowed: mask.values.prefix(places).map { $0 > 0 },
            original: [Float](repeating: 0, count: channels == 1 ? places : channels * places), limits: limits)
    }

    @Test(arguments: ["small3d", "small2d"], ["linf", "l2"])
    func changesEqualPyTorchs(_ name: String, _ norm: String) throws {
        let (explainer, input) = try Self.load(name)
        let own = Int(Self.reference.integer("\(name)|own")!.values[0])
        for goal in ["away", "toward"] {
            for kind in ["fgsm", "pgd"] {
                var settings = AdversarialAttack.Settings()
                settings.norm = AdversarialAttack.Norm(rawValue: norm)!
                settings.epsilon = 4
                settings.steps = kind == "fgsm" ? 1 : 8
                let attack = AdversarialAttack(explainer, Self.space(name, input), settings)
                let outcome = try attack.run(
                    input, goal: goal == "away" ? .away(from: own) : .toward((own + 1) % 3))
                let key = "\(name)|\(norm)|\(goal)|\(kind)"
                let expected = Self.reference.float("\(key)|change")!.values
                if norm == "l2" {
                    #expect(relativeError(outcome.change, expected) < 1e-3, "\(key)")
                } else {
                    // A gradient of nearly zero may fall to either side.
                    let wrong = zip(outcome.change, expected).filter { abs($0 - $1) > 1e-3 }.count
                    #expect(wrong * 200 <= expected.count, "\(key): \(wrong) of \(expected.count)")
                }
                let loss = Double(Self.reference.float("\(key)|loss")!.values[0])
                #expect(abs(outcome.losses.last! - loss) < 1e-3 * max(0.1, loss), "\(key)")
                #expect(
                    relativeError(outcome.after.logits.values, Self.reference.float("\(key)|answer")!.values) < 1e-3)
                if kind == "pgd" {
                    let first = outcome.losses.first!
                    #expect(goal == "away" ? outcome.losses.last! > first : outcome.losses.last! < first)
                }
            }
        }
    }

    @Test func boundsHold() throws {
        let (explainer, input) = try Self.load("small3d")
        let space = Self.space("small3d", input, limits: -2...3)
        for norm in AdversarialAttack.Norm.allCases {
            var settings = AdversarialAttack.Settings()
            settings.norm = norm
            settings.epsilon = 4
            settings.randomStart = true
            settings.seed = 1
            let outcome = try AdversarialAttack(explainer, space, settings).run(input)
            for (place, change) in outcome.change.enumerated() {
                if !space.allowed[place] { #expect(change == 0) }
                #expect(change >= -2 && change <= 3)
            }
            #expect(norm == .linf ? outcome.largest <= 4 : outcome.rootMeanSquare <= 4 + 1e-4)
            // What the network saw is the scan and the change, and nothing else.
            let seen = zip(outcome.input.values, input.tensor.values).map { $0 - $1 }
            #expect(zip(seen, outcome.change).allSatisfy { abs($0 - 0.01 * $1) < 1e-5 })
            let again = try AdversarialAttack(explainer, space, settings).run(input)
            #expect(again.change == outcome.change)
        }
    }

    @Test func nothingToChangeIsRefused() throws {
        let (explainer, input) = try Self.load("small3d")
        var space = Self.space("small3d", input)
        space = AttackSpace(
            scale: space.scale, isShared: true, allowed: space.allowed.map { _ in false }, original: space.original,
            limits: space.limits)
        #expect(throws: Failure.self) { try AdversarialAttack(explainer, space).run(input) }
        #expect(throws: Failure.self) {
            try AdversarialAttack(explainer, Self.space("small3d", input)).run(input, goal: .toward(7))
        }
    }

    /// Cross-entropy's gradient for softmax, for sigmoids and for dense answers, by finite differences.
    @Test func theLossesGradientIsItsDerivative() throws {
        var numbers = SeededNumbers(2)
        let cases: [(shape: [Int], activation: Answer.Activation, target: Int)] = [
            ([1, 3], .softmax, 1), ([1, 4], .sigmoid, 2), ([1, 1], .none, 0), ([1, 3, 2, 2], .softmax, 2),
        ]
        for (shape, activation, target) in cases {
            let logits = numbers.tensor(shape)
            let before = Answer(tensor: "logits", logits: logits, classAxis: 1, activation: activation)
            let (_, gradient) = AdversarialAttack.crossEntropy(logits, before, target)
            for index in 0..<logits.count {
                func loss(_ step: Float) -> Double {
                    var moved = logits
                    moved.withUnsafeMutableBuffer { $0[index] += step }
                    return AdversarialAttack.crossEntropy(moved, before, target).0
                }
                let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
                #expect(abs(slope - Double(gradient[flat: index])) < 1e-3, "\(shape) \(activation)")
            }
        }
    }

    @Test func featuresOfTheSameInputDoNotMove() throws {
        let (explainer, input) = try Self.load("small3d")
        for shift in try FeatureShift.between(input.tensor, input.tensor, explainer) {
            #expect(shift.relativeDistance == 0)
            if let alignment = shift.alignment { #expect(abs(alignment - 1) < 1e-9) }
        }
        let other = Tensor(shape: input.tensor.shape, values: input.tensor.values.map { $0 * 0.5 + 0.1 })
        let moved = try FeatureShift.between(input.tensor, other, explainer)
        #expect(moved.count >= 3 && moved.allSatisfy { $0.relativeDistance > 0.01 })
    }
}

import Failures
import Foundation
import Networks
import Preparations
import Synchronization
import Tensors
import TestSupport
import Testing
import Volumes

@testable import Explanations

/// Methods that hide parts of the scan, against Captum and scikit-learn on a label map of six blocks, and what they promise. The
/// references are made by `Tests/Reference/explanations_segments.py`.
@Suite struct SegmentTests {
    static let networks = ["vgg2d", "vgg3d", "resnet3d"]

    struct Setup {
        let reference: SafeTensors
        let explainer: Explainer
        let input: PreparedInput
        let regions: ScanRegions
        let target: Target

        /// The value of every part, from a map that is constant on each.
        func values(_ map: Tensor<Float>) -> [Float] {
            let parts = reference.float("parts")!.values
            return (0..<6).map { part in map[flat: parts.firstIndex(of: Float(part))!] }
        }

        func explain(
            _ name: String, _ options: [String: OptionValue], interrupted: Interruption? = nil
        ) throws -> Explanation {
            let takesParts = try MethodCatalogue.descriptor(name).options.contains { $0.name == "segments" }
            let options =
                takesParts
                ? options.merging(["segments": .word("labels"), "fill": .word("minimum")]) { given, _ in given }
                : options
            return try explainer.explain(
                input, .init(methods: [MethodChoice(name, options: options)], targets: [target]), regions: regions,
                interrupted: interrupted
            ).explanations[0]
        }
    }

    static func setup(_ name: String) throws -> Setup {
        let reference = try SafeTensors(contentsOf: Fixtures.reference("explanations/\(name).segments.safetensors"))
        let explainer = try Explainer(network: Network(contentsOf: Fixtures.reference("explanations/\(name).onnx")))
        let input = PreparedInput(testing: reference.float("input")!)
        let parts = reference.float("parts")!
        let ones = [Double](repeating: 1, count: parts.rank)
        let labels = try input.volume(
            fromTensorSpatial: parts.values, shape: parts.shape, jump: ones, centre: ones.map { _ in 0 })
        return Setup(
            reference: reference, explainer: explainer, input: input, regions: ScanRegions(labels: labels),
            target: .index(Int(reference.integer("target")!.values[0])))
    }

    @Test(arguments: networks) func ablationMatchesCaptum(_ name: String) throws {
        let setup = try Self.setup(name)
        let found = try setup.explain("feature-ablation", [:])
        #expect(found.figures["evaluations"] == 6)
        #expect(relativeError(setup.values(found.maps[0].values), setup.reference.float("ablation")!.values) < 1e-4)
    }

    /// All 62 choices: the regression's solution is the Shapley values themselves.
    @Test(arguments: networks) func exhaustiveKernelSHAPIsExact(_ name: String) throws {
        let setup = try Self.setup(name)
        let found = try setup.explain("kernelshap", ["samples": .number(64)])
        let exact = setup.reference.float("shapley")!.values
        #expect(relativeError(setup.values(found.maps[0].values), exact) < 1e-4)
        #expect(found.figures["mean standard error"] == 0)
        let residual = try #require(found.figures["completeness residual"])
        #expect(abs(residual) < 1e-6 * 10)
        #expect(found.matrices[0].columns == ["segment", "voxels", "value", "standard error"])
    }

    @Test(arguments: networks) func samplingAgreesWithinItsError(_ name: String) throws {
        let setup = try Self.setup(name)
        let exact = setup.reference.float("shapley")!.values
        for (method, options): (String, [String: OptionValue]) in [
            ("kernelshap", ["samples": .number(50)]), ("shapley-sampling", ["orders": .number(40)]),
        ] {
            let found = try setup.explain(method, options)
            let table = found.matrices[0].values
            for part in 0..<6 {
                let value = table[flat: part * 4 + 2]
                let error = table[flat: part * 4 + 3]
                #expect(
                    abs(value - exact[part]) < 5 * error + 1e-5,
                    "\(method) part \(part): \(value) ± \(error), \(exact[part])")
                #expect(error < 0.5 * (exact.map { abs($0) }.max() ?? 1), "an error that says something")
            }
            #expect(abs(try #require(found.figures["completeness residual"])) < 1e-5)
        }
    }

    @Test(arguments: networks) func limeMatchesRidgeRegressionOverAllChoices(_ name: String) throws {
        let setup = try Self.setup(name)
        let found = try setup.explain("lime", ["samples": .number(64)])
        #expect(relativeError(setup.values(found.maps[0].values), setup.reference.float("lime")!.values) < 1e-4)
        let fit = try #require(found.figures["surrogate fit"])
        #expect(fit > 0.2 && fit <= 1)
    }

    /// With as many parts as a scan is usually cut into: shares whose errors say what they are worth, and words where they are worth
    /// nothing.
    @Test func sharesOfManyPartsAreTrustworthyOrSaidNotToBe() throws {
        let setup = try Self.setup("resnet3d")
        let explained: (String) throws -> Explanation = { words in
            var options: [String: OptionValue] = ["count": .number(30), "segments": .word("supervoxels")]
            for word in words.split(separator: " ") {
                let sides = word.split(separator: "=").map(String.init)
                options[sides[0]] = OptionValue(parsing: sides[1])
            }
            return try setup.explain("kernelshap", options)
        }
        let standard = try explained("fill=own")
        let count = Int(try #require(standard.figures["segments"]))
        #expect(count > 20 && standard.figures["evaluations"] == Double(max(512, 16 * count) + 1))
        #expect(try #require(standard.figures["surrogate fit"]) > 0.9)
        #expect(!standard.notes.contains { $0.contains("not to be trusted") })
        // Against ten times the choices and another seed: within the errors that are printed.
        let better = try explained("fill=own samples=\(160 * count) seed=7").matrices[0].values
        let table = standard.matrices[0].values
        var worst = 0.0
        for part in 0..<count {
            let error = Double(table[flat: part * 4 + 3] + better[flat: part * 4 + 3])
            worst = max(worst, Double(abs(table[flat: part * 4 + 2] - better[flat: part * 4 + 2])) / error)
        }
        #expect(worst < 5, "\(worst) standard errors apart")
        // Choices come in pairs of one equation: a fit through all of them has no errors to tell, and says so.
        for samples in [count - 5, count + count / 2] {
            let poor = try explained("fill=own samples=\(samples)")
            #expect(poor.notes.contains { $0.contains("not to be trusted: fewer than two samples a part") })
            #expect(poor.figures["mean standard error"] == nil)
            #expect(poor.matrices[0].columns == ["segment", "voxels", "value"])
        }
    }

    @Test func wholeSizesComeFirstAndWeighWhatTheKernelSays() {
        let plan = KernelPlan(parts: 10, samples: 200, random: RandomSource(seed: 1))
        var drawing = plan
        let shown = (0..<plan.count).map { drawing.next($0) }
        let weights = plan.weights(taken: plan.count)
        #expect(plan.count == 200 && !plan.isExhaustive)
        // All of one and nine parts: ten each.
        #expect(Set(shown.prefix(20)).count == 20)
        #expect(shown.prefix(20).allSatisfy { [1, 9].contains($0.count { $0 }) })
        // The weights are the kernel's mass, 9 / (s (10 − s)) a size, in all and for the first size alone.
        let mass = (1...9).reduce(0.0) { $0 + 9 / Double($1 * (10 - $1)) }
        #expect(abs(weights.reduce(0, +) - mass) < 1e-9)
        #expect(abs(weights.prefix(20).reduce(0, +) - 2) < 1e-9)
        // What is drawn comes in pairs of complements.
        for number in stride(from: 120, to: 198, by: 2) where plan.group(number, taken: 200) != nil {
            #expect(shown[number + 1] == shown[number].map { !$0 })
            #expect(plan.group(number, taken: 200) == plan.group(number + 1, taken: 200))
        }
        #expect(Coalitions.every(2, of: 5).count == 10 && Coalitions.number(3, of: 7) == 35)
    }

    @Test func hiddenPartsShowWhatWasAsked() throws {
        // Two parts side by side, 1 and 3 in them, 5 in the corner of the second.
        let segmentation = Segmentation(keys: [0, 0, 1, 1])
        #expect(segmentation.means([1, 1, 3, 5]) == [1, 4])
        #expect(segmentation.borderMeans([1, 2, 3, 5], shape: [1, 4]) == [3, 2])
    }

    @Test func labelsAreAskedForWhereThereAreNone() throws {
        let setup = try Self.setup("vgg3d")
        let request = Explainer.Request(methods: [
            MethodChoice("kernelshap", options: ["segments": .word("labels")])
        ])
        #expect {
            try setup.explainer.explain(setup.input, request)
        } throws: { ("\($0)").contains("--labels") }
    }

    /// A stop in the midst of sampling gives the best so far, and says so; one before anything was found ends in a failure.
    @Test func aStopGivesTheBestSoFar() throws {
        let setup = try Self.setup("vgg3d")
        let asked = Mutex(0)
        let limit = 2000
        let count: @Sendable () -> Bool = {
            asked.withLock {
                $0 += 1
                return $0 > limit
            }
        }
        let found = try setup.explain("rise", ["masks": .number(5000)], interrupted: count)
        #expect(found.isPartial)
        let evaluations = try #require(found.figures["evaluations"])
        #expect(evaluations > 10 && evaluations < 5000)
        #expect(found.notes.contains { $0.contains("a stop was asked for") })
        #expect(throws: Failure.self) { try setup.explain("shapley-sampling", [:], interrupted: { true }) }
    }

    @Test func secondsAreABudget() throws {
        let setup = try Self.setup("vgg3d")
        let found = try setup.explain("shapley-sampling", ["orders": .number(100_000), "seconds": .number(0.3)])
        #expect(!found.isPartial)
        #expect(found.notes.contains { $0.contains("the time was over") })
    }

    // MARK: Supervoxels

    @Test func supervoxelsFollowEdgesAndKeepTheirSize() {
        // A bright ball of radius 8 mm in voxels of 1 × 1 × 2 mm.
        let shape = [20, 40, 40]
        let spacing = [2.0, 1, 1]
        var values: [Float] = []
        for z in 0..<shape[0] {
            for y in 0..<shape[1] {
                for x in 0..<shape[2] {
                    let far = [Double(z) * 2 - 19, Double(y) - 19.5, Double(x) - 19.5].reduce(0) { $0 + $1 * $1 }
                    values.append(far < 64 ? 1 : 0)
                }
            }
        }
        let map = Tensor<Float>(shape: [1, 1] + shape, values: values)
        let parts = Supervoxels(count: 27, compactness: 0.3).segment(map, shape: shape, spacing: spacing, inside: nil)
        #expect((15...45).contains(parts.count))
        // No part lies on both sides of the ball's surface but for a few voxels.
        var bright = [Int](repeating: 0, count: parts.count)
        for (index, part) in parts.parts.enumerated() where values[index] == 1 { bright[Int(part)] += 1 }
        let mixed = zip(bright, parts.sizes).reduce(0) { $0 + min($1.0, $1.1 - $1.0) }
        #expect(mixed < values.count / 100, "\(mixed) voxels across the edge")
        // The same again.
        let again = Supervoxels(count: 27, compactness: 0.3).segment(map, shape: shape, spacing: spacing, inside: nil)
        #expect(again.parts == parts.parts)
        // Extents in mm, not in voxels: cubes are half as many voxels deep.
        let even = Supervoxels(count: 32, compactness: 50).segment(map, shape: shape, spacing: spacing, inside: nil)
        var low = [Int](repeating: 99, count: even.count)
        var high = [Int](repeating: -1, count: even.count)
        for (index, part) in even.parts.enumerated() {
            low[Int(part)] = min(low[Int(part)], index / 1600)
            high[Int(part)] = max(high[Int(part)], index / 1600)
        }
        let depth = zip(low, high).map { Double($1 - $0 + 1) }.reduce(0, +) / Double(even.count)
        #expect(depth < 9, "parts are \(depth) slices deep on average")
    }

    @Test func outsideOfTheBodyIsOnePart() {
        let shape = [24, 24]
        let inside = (0..<576).map { $0 % 24 >= 6 && $0 % 24 < 18 }
        let map = Tensor<Float>(shape: [1, 1] + shape, values: (0..<576).map { Float($0 % 7) })
        let parts = Supervoxels(count: 9, compactness: 1).segment(map, shape: shape, spacing: [1, 1], inside: inside)
        let outside = Set(parts.parts.indices.filter { !inside[$0] }.map { parts.parts[$0] })
        #expect(outside.count == 1)
        #expect(parts.parts.indices.allSatisfy { inside[$0] == (parts.parts[$0] != outside.first!) })
    }
}

/// How heat and labels meet, on cases that can be counted by hand.
@Suite struct LabelEvidenceTests {
    private let grid = Grid(
        shape: [10, 10, 10], affine: Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, 2], origin: [0, 0, 0]))

    private func volume(_ value: (Int, Int, Int) -> Float) -> Volume {
        var voxels: [Float] = []
        for k in 0..<10 { for j in 0..<10 { for i in 0..<10 { voxels.append(value(i, j, k)) } } }
        return Volume(grid: grid, voxels: voxels)
    }

    @Test func countsWhatLiesWhere() {
        // Label 2 is a slab of 200 voxels with heat 3; elsewhere heat 1 in the body (half the scan) and −1 outside of it.
        let labels = volume { i, _, _ in i < 2 ? 2 : i == 9 ? 7 : 0 }
        let body = Mask(grid: grid, isSet: volume { i, _, _ in i < 5 ? 1 : 0 }.voxels.map { $0 > 0 })
        let heat = volume { i, _, _ in i < 2 ? 3 : i < 5 ? 1 : -1 }
        let evidence = LabelEvidence(heat, labels: labels, body: body)
        #expect(evidence.regions.map(\.label) == [2, 7, nil])
        let slab = evidence.regions[0]
        #expect(slab.voxels == 200 && abs(slab.millilitres - 0.4) < 1e-12)
        #expect(abs(slab.share - 600.0 / 900) < 1e-12)
        #expect(abs(slab.sharePerMl - 600.0 / 900 / 0.4) < 1e-12)
        #expect(abs(slab.enrichment - (600.0 / 900) / (200.0 / 500)) < 1e-12)
        #expect(slab.holdsPeak && slab.distance == 0)
        // Above 40 % of the peak only the slab is left; up to 30 % all of the body is hot.
        #expect(slab.dice[3] == 1 && slab.iou[3] == 1)
        #expect(abs(slab.dice[2] - 2 * 200.0 / 700) < 1e-12 && abs(slab.iou[2] - 200.0 / 500) < 1e-12)
        #expect(slab.bestDice.value == 1 && slab.bestDice.threshold == 0.4)
        let other = evidence.regions[1]
        #expect(other.share == 0 && !other.holdsPeak && other.dice.allSatisfy { $0 == 0 })
        #expect(other.distance == 9)
        #expect(evidence.outsideBody == 0)
        let words = evidence.sentences(for: "nodule (1)")
        #expect(
            words[0].hasPrefix(
                "67 % of the heat for nodule (1) lies in label 2 (0.40 ml), 1.7 times as dense as on average; the peak lies inside"
            ))
        #expect(words.last == "0 % of the heat lies outside of the body.")
    }

    @Test func blankHeatIsNoEvidence() {
        let labels = volume { i, _, _ in i < 2 ? 1 : 0 }
        let evidence = LabelEvidence(volume { _, _, _ in -1 }, labels: labels)
        #expect(evidence.outsideBody == nil)
        #expect(evidence.regions[0].share == 0 && !evidence.regions[0].holdsPeak)
        #expect(evidence.regions[0].dice.allSatisfy { $0 == 0 })
    }

    @Test func onlyCountedLabelsAreRegions() {
        let labels = volume { i, _, _ in Float(i) }
        let evidence = LabelEvidence(volume { _, _, _ in 1 }, labels: labels, counted: [3, 5])
        #expect(evidence.regions.map(\.label) == [3, 5, nil])
    }
}

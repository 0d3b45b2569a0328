import Explanations
import Foundation
import Networks
import Pipelines
import Preparations
import TestSupport
import Tensors
import Testing
import Volumes

/// Does a map depend on what the network has learned? Every method on the trained sample networks, and on the same with weights drawn
/// anew from the output down (Adebayo et al., NeurIPS 2018): what stays the same was never the network's.
@Suite struct SanityTests {
    static let names = MethodCatalogue.names

    /// Options with which a method takes seconds.
    private static let quick: [String: [String: OptionValue]] = [
        "rise": ["masks": .number(300)], "lime": ["count": .number(30), "samples": .number(300)],
        "kernelshap": ["count": .number(30)], "shapley-sampling": ["count": .number(30), "orders": .number(10)],
        "occlusion": ["size": .number(12), "stride": .number(6)], "feature-ablation": ["count": .number(60)],
        "integrated-gradients": ["steps": .number(16)], "expected-gradients": ["samples": .number(24)],
        "smoothgrad": ["samples": .number(10)], "vargrad": ["samples": .number(10)],
    ]

    private struct Setup {
        let plan: Plan
        let url: URL
        let input: PreparedInput
        let body: Mask?
    }

    private static func setup(_ network: String) throws -> Setup {
        let root = Fixtures.root.appendingPathComponent("pipelines")
        let url = root.appendingPathComponent("\(network).onnx")
        let words = try PipelineFile.read(root.appendingPathComponent("slice-nodule-2d.json5"))
        let plan = try Plan(words, model: url)
        let scan = try plan.prepare(Fixtures.root.appendingPathComponent("volumes/phantom-01.nii.gz"))
        // The slice that is most surely one with a nodule.
        let scores = try scan.inputs.map { input -> Float in
            let logits = try plan.explainer.answer(input).classLogits!
            return logits[1] - logits[0]
        }
        let best = scores.indices.max { scores[$0] < scores[$1] }!
        return Setup(plan: plan, url: url, input: scan.inputs[best], body: BodyMask()(scan.scan))
    }

    private static let setups: [String: Setup] = {
        var found: [String: Setup] = [:]
        for name in ["slice-nodule-2d", "slice-nodule-vit"] { found[name] = try! setup(name) }
        return found
    }()

    private static func map(_ method: String, _ explainer: Explainer, _ setup: Setup) throws -> [Float] {
        let body = setup.body
        return try explainer.explain(
            setup.input, .init(methods: [MethodChoice(method, options: quick[method] ?? [:])], targets: [.index(1)]),
            regions: ScanRegions { body }
        ).explanations[0].maps[0].values.values
    }

    /// Spearman's rank correlation of magnitudes, ties sharing their mean rank.
    static func similarity(_ a: [Float], _ b: [Float]) -> Double {
        func ranks(_ values: [Float]) -> [Double] {
            let order = values.indices.sorted { abs(values[$0]) < abs(values[$1]) }
            var ranks = [Double](repeating: 0, count: values.count)
            var start = 0
            while start < order.count {
                var end = start
                while end + 1 < order.count, abs(values[order[end + 1]]) == abs(values[order[start]]) { end += 1 }
                for place in start...end { ranks[order[place]] = Double(start + end) / 2 }
                start = end + 1
            }
            return ranks
        }
        let (x, y) = (ranks(a), ranks(b))
        let mean = Double(a.count - 1) / 2
        var (xy, xx, yy) = (0.0, 0.0, 0.0)
        for (p, q) in zip(x, y) {
            xy += (p - mean) * (q - mean)
            xx += (p - mean) * (p - mean)
            yy += (q - mean) * (q - mean)
        }
        return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : 0
    }

    /// How alike a map and that of the network with weights drawn anew are, in the mean over three draws.
    private static func measured(_ method: String, share: Double) throws -> Double {
        let isAttention = try MethodCatalogue.descriptor(method).family == .attention
        let setup = setups[isAttention ? "slice-nodule-vit" : "slice-nodule-2d"]!
        let trained = try map(method, setup.plan.explainer, setup)
        let randomizer = try WeightRandomizer(contentsOf: setup.url)
        var sum = 0.0
        for seed in 1...3 {
            let file = Fixtures.temporaryFolder("sanity").appendingPathComponent("random.onnx")
            try randomizer.write(share: share, seed: UInt64(seed), to: file)
            let explainer = try Explainer(network: Network(contentsOf: file), inputName: "ct")
            sum += abs(similarity(trained, try map(method, explainer, setup)))
        }
        return sum / 3
    }

    @Test func theCorrelationIsSpearmans() {
        #expect(abs(Self.similarity([1, 2, 3, 4], [10, 20, 25, 90]) - 1) < 1e-12)
        #expect(abs(Self.similarity([1, 2, 3, 4], [4, 3, 2, 1]) + 1) < 1e-12)
        // scipy.stats.spearmanr([1, 2, 2, 5], [3, 1, 4, 4]).statistic
        #expect(abs(Self.similarity([1, 2, 2, 5], [3, 1, 4, 4]) - 0.5) < 1e-12)
    }

    @Test func weightsAreDrawnFromTheOutputDown() throws {
        let setup = Self.setups["slice-nodule-2d"]!
        let randomizer = try WeightRandomizer(contentsOf: setup.url)
        #expect(randomizer.count == 14)
        let file = Fixtures.temporaryFolder("sanity").appendingPathComponent("random.onnx")
        try randomizer.write(share: 0.1, seed: 1, to: file)
        let (before, after) = (setup.plan.network, try Network(contentsOf: file))
        let convolutions = before.nodes.filter { $0.type == "Conv" }
        for node in convolutions {
            #expect(before.constant(node.inputs[1])?.floatValues == after.constant(node.inputs[1])?.floatValues)
        }
        let head = before.nodes.last { $0.type == "Gemm" }!
        #expect(before.constant(head.inputs[1])?.floatValues != after.constant(head.inputs[1])?.floatValues)
    }

    private static let file = Fixtures.reference("explanations/sanity.json")

    /// The measured figures are those that the documentation shows (`TOMOLENS_UPDATE_DOCS=1 swift test` writes them anew), and bear out
    /// what `tomolens methods` says: a map of a method that passes is another one when nothing of the weights is left.
    @Test func mapsDependOnTheWeights() throws {
        var found: [(String, JSON)] = []
        for name in Self.names {
            let (head, all) = (try Self.measured(name, share: 0.1), try Self.measured(name, share: 1))
            print("sanity \(name): head \(head), all \(all)")
            func rounded(_ value: Double) -> JSON { .number((value * 1000).rounded() / 1000) }
            found.append((name, .object([("head", rounded(head)), ("all", rounded(all))])))
            // What multiplies by the scan keeps some of the scan whatever the weights, and so does what hides parts of it: where there is
            // little to hide, little changes. Attention follows places.
            let descriptor = try MethodCatalogue.descriptor(name)
            if descriptor.sanity == .passes, descriptor.family != .attention, !Self.scanBound.contains(name) {
                #expect(all < Self.threshold, "\(name) says that it passes, and is \(all) alike")
            }
        }
        if ProcessInfo.processInfo.environment["TOMOLENS_UPDATE_DOCS"] != nil {
            try Data(JSON.object(found).serialized().utf8).write(to: Self.file)
        }
        let written = try JSON5Parser.parse(Data(contentsOf: Self.file), named: "sanity.json")
        for (name, figures) in found {
            for key in ["head", "all"] {
                let (old, new) = (written[name]?[key]?.number ?? .nan, figures[key]!.number!)
                #expect(abs(old - new) < 0.05, "\(name), \(key): \(new), and \(old) in the table")
            }
        }
    }

    /// Rank correlation of magnitudes below which a map counts as another one.
    private static let threshold = 0.5
    private static let scanBound = ["inputxgradient", "integrated-gradients", "deeplift", "lrp", "feature-ablation"]
}

extension Value {
    fileprivate var floatValues: [Float]? { if case .float(let tensor) = self { tensor.values } else { nil } }
}

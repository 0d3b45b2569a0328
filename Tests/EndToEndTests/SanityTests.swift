import Explanations
import Foundation
import Inspections
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
    /// The sample networks that are asked, and on what.
    enum Basis: String, CaseIterable {
        case slices = "2D"
        case volumes = "3D"
        case transformer = "ViT"

        var network: String {
            switch self {
            case .slices: "slice-nodule-2d"
            case .volumes: "lung-nodule"
            case .transformer: "slice-nodule-vit"
            }
        }
        var pipeline: String { self == .volumes ? "lung-nodule" : "slice-nodule-2d" }
        /// Of each sample scan the slice that is most surely one with a nodule; volumes whole.
        var scans: [Int] { self == .volumes ? [1, 2] : [1, 2, 3, 4, 5, 6] }
        var draws: Int { self == .volumes ? 4 : 6 }

        var methods: [String] {
            MethodCatalogue.names.filter {
                (try? MethodCatalogue.descriptor($0).family == .attention) == (self == .transformer)
            }
        }

        /// Options with which a method takes seconds.
        var quick: [String: [String: OptionValue]] {
            let common: [String: [String: OptionValue]] = [
                "lime": ["count": .number(30), "samples": .number(300)], "kernelshap": ["count": .number(30)],
                "shapley-sampling": ["count": .number(30), "orders": .number(10)],
                "feature-ablation": ["count": .number(60)],
                "integrated-gradients": ["steps": .number(16)], "smoothgrad": ["samples": .number(10)],
                "vargrad": ["samples": .number(10)],
            ]
            let own: [String: [String: OptionValue]] =
                self == .volumes
                ? [
                    "rise": ["masks": .number(150)], "occlusion": ["size": .number(16), "stride": .number(12)],
                    "expected-gradients": ["samples": .number(12)],
                    "lime": ["count": .number(30), "samples": .number(150)],
                    "kernelshap": ["count": .number(30), "samples": .number(240)],
                    "shapley-sampling": ["count": .number(30), "orders": .number(6)],
                ]
                : [
                    "rise": ["masks": .number(300)], "occlusion": ["size": .number(12), "stride": .number(6)],
                    "expected-gradients": ["samples": .number(24)],
                ]
            return common.merging(own) { $1 }
        }
    }

    private struct Setup {
        let explainer: Explainer
        let input: PreparedInput
        let body: Mask?
    }

    private static func model(_ basis: Basis) -> URL {
        Fixtures.root.appendingPathComponent("pipelines/\(basis.network).onnx")
    }

    private static func setup(_ basis: Basis, scan number: Int) throws -> Setup {
        let words = try PipelineFile.read(Fixtures.root.appendingPathComponent("pipelines/\(basis.pipeline).json5"))
        let plan = try Plan(words, model: model(basis))
        let scan = try plan.prepare(Fixtures.root.appendingPathComponent("volumes/phantom-0\(number).nii.gz"))
        let scores = try scan.inputs.map { input -> Float in
            let logits = try plan.explainer.answer(input).classLogits!
            return logits[1] - logits[0]
        }
        let best = scores.indices.max { scores[$0] < scores[$1] }!
        return Setup(explainer: plan.explainer, input: scan.inputs[best], body: BodyMask()(scan.scan))
    }

    private static func map(_ method: String, _ basis: Basis, _ explainer: Explainer, _ setup: Setup) throws -> Tensor<
        Float
    > {
        let body = setup.body
        return try explainer.explain(
            setup.input,
            .init(methods: [MethodChoice(method, options: basis.quick[method] ?? [:])], targets: [.index(1)]),
            regions: ScanRegions { body }
        ).explanations[0].maps[0].values
    }

    /// Ranks from 0, ties sharing their mean.
    private static func ranks(_ values: [Float]) -> [Double] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Double](repeating: 0, count: values.count)
        var start = 0
        while start < order.count {
            var end = start
            while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
            for place in start...end { ranks[order[place]] = Double(start + end) / 2 }
            start = end + 1
        }
        return ranks
    }

    /// Spearman's rank correlation.
    static func rankCorrelation(_ a: [Float], _ b: [Float]) -> Double {
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

    /// How alike two maps are: rank correlation of their values and of their magnitudes, and structural similarity of the magnitudes,
    /// each scaled to its largest.
    ///
    /// A method that multiplies by the scan is zero where the scan is at its floor (the air), whatever the network: there it does not
    /// speak, and two silences are no likeness. So ranks are compared where the input is above its floor; `everywhere` is for comparison.
    private static func likeness(_ a: Tensor<Float>, _ b: Tensor<Float>, input: [Float]?) -> [(String, Double)] {
        let (p, q) = (a.values, b.values)
        let (m, n) = (p.map(abs), q.map(abs))
        func scaled(_ values: [Float]) -> [Float] {
            let most = values.max() ?? 0
            return most > 0 ? values.map { $0 / most } : values
        }
        let floor = input?.min() ?? -.infinity
        let spoken = p.indices.filter { (input?[$0] ?? .infinity) > floor }
        func correlation(_ x: [Float], _ y: [Float]) -> Double {
            rankCorrelation(spoken.map { x[$0] }, spoken.map { y[$0] })
        }
        return [
            ("signed", correlation(p, q)), ("magnitude", correlation(m, n)), ("everywhere", rankCorrelation(m, n)),
            ("structure", Similarity.structural(scaled(m), scaled(n), shape: a.shape, range: 1)),
        ]
    }

    private static let shares = [("head", 0.1), ("all", 1.0)]

    /// Every method's map of one scan, and how like the trained network's it is with so many draws of random weights.
    ///
    /// - Parameter found: told of each likeness in turn.
    private static func compare(
        _ basis: Basis, scan number: Int, draws: Int, methods: [String],
        found: (_ method: String, _ share: String, _ draw: Int, _ likeness: [(String, Double)]) -> Void
    ) throws {
        let setup = try setup(basis, scan: number)
        let trained = try methods.map { try map($0, basis, setup.explainer, setup) }
        let randomizer = try WeightRandomizer(contentsOf: model(basis))
        for (name, share) in shares {
            for draw in 1...draws {
                let file = Fixtures.temporaryFolder("sanity").appendingPathComponent("random.onnx")
                try randomizer.write(share: share, seed: UInt64(draw), to: file)
                let explainer = try Explainer(network: Network(contentsOf: file), inputName: "ct")
                for (method, trained) in zip(methods, trained) {
                    let isFine = try MethodCatalogue.descriptor(method).mapsInput
                    let other = try map(method, basis, explainer, setup)
                    found(method, name, draw, likeness(trained, other, input: isFine ? setup.input.tensor.values : nil))
                }
            }
        }
    }

    private static let file = Fixtures.reference("explanations/sanity.json")

    private static func rounded(_ value: Double) -> JSON { .number((value * 1000).rounded() / 1000) }

    /// Measures anew what the variable names (`all`, or some of `2D,3D,ViT`; 2D takes five minutes, 3D half an hour) and keeps the rest.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["TOMOLENS_MEASURE_SANITY"] != nil))
    func measure() throws {
        let wanted = ProcessInfo.processInfo.environment["TOMOLENS_MEASURE_SANITY"]!.split(separator: ",").map(
            String.init)
        let known = try? JSON5Parser.parse(Data(contentsOf: Self.file), named: "sanity.json")
        var methods: [String: [(String, JSON)]] = [:]
        for basis in Basis.allCases {
            guard wanted.contains(basis.rawValue) || wanted == ["all"] else {
                for method in basis.methods {
                    if let kept = known?[method]?[basis.rawValue] {
                        methods[method, default: []].append((basis.rawValue, kept))
                    }
                }
                continue
            }
            /// By method, share and measure: of every scan and draw, in order.
            var values: [String: [String: [String: [Double]]]] = [:]
            for number in basis.scans {
                try Self.compare(basis, scan: number, draws: basis.draws, methods: basis.methods) {
                    for (measure, value) in $3 {
                        values[$0, default: [:]][$1, default: [:]][measure, default: []].append(value)
                    }
                }
                print("sanity: \(basis.rawValue), scan \(number) of \(basis.scans)")
            }
            for (method, shares) in values {
                let figures = shares.sorted { $0.key < $1.key }.map { share, measures in
                    (share, JSON.object(measures.sorted { $0.key < $1.key }.map(Self.summary)))
                }
                methods[method, default: []].append((basis.rawValue, .object(figures)))
            }
        }
        let all = JSON.object(MethodCatalogue.names.map { ($0, .object(methods[$0] ?? [])) })
        try Data(all.serialized().utf8).write(to: Self.file)
    }

    /// Mean and standard deviation over scans and draws, and the first of them.
    private static func summary(_ measure: String, _ values: [Double]) -> (String, JSON) {
        let mean = values.reduce(0, +) / Double(values.count)
        let spread = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
        return (
            measure,
            .object([("mean", rounded(mean)), ("spread", rounded(spread)), ("first", rounded(values[0]))])
        )
    }

    /// The first scan and draw give what the documented figures were made from: in 3D of the methods that need few passes.
    @Test(arguments: Basis.allCases)
    func theFirstFigureIsTheDocumentedOne(_ basis: Basis) throws {
        let written = try JSON5Parser.parse(Data(contentsOf: Self.file), named: "sanity.json")
        let methods = basis.methods.filter { basis != .volumes || Self.isQuick($0) }
        #expect(methods.count >= 3)
        try Self.compare(basis, scan: basis.scans[0], draws: 1, methods: methods) { method, share, _, likeness in
            for (measure, value) in likeness {
                let known = written[method]?[basis.rawValue]?[share]?[measure]?["first"]?.number ?? .nan
                #expect(
                    abs(known - value) < 0.02, "\(method), \(share), \(measure): \(value), and \(known) in the table")
            }
        }
    }

    private static func isQuick(_ method: String) -> Bool {
        ![
            "scorecam", "integrated-gradients", "expected-gradients", "smoothgrad", "vargrad", "occlusion", "rise",
            "feature-ablation", "lime", "kernelshap", "shapley-sampling",
        ].contains(method)
    }

    /// What `tomolens methods` says is borne out: the map of a method that passes is another one when nothing of the weights is left, in
    /// 2D and 3D.
    @Test func whatIsSaidToPassPasses() throws {
        let written = try JSON5Parser.parse(Data(contentsOf: Self.file), named: "sanity.json")
        for basis in Basis.allCases {
            for method in basis.methods {
                func figure(_ measure: String, _ name: String) throws -> Double {
                    try #require(written[method]?[basis.rawValue]?["all"]?[measure]?[name]?.number)
                }
                if try MethodCatalogue.descriptor(method).sanity == .passes {
                    let (mean, spread) = (try figure("signed", "mean"), try figure("signed", "spread"))
                    // A map that comes back with all signs turned is no other map: means alone would hide it.
                    let usual = (mean * mean + spread * spread).squareRoot()
                    let magnitude = try figure("magnitude", "mean")
                    #expect(usual < 0.4 && magnitude < 0.5, "\(method), \(basis.rawValue): \(usual), \(magnitude)")
                }
            }
            // What is known to fail is seen to: it hardly changes with the classifier.
            if basis != .transformer {
                let head = written["guided-backprop"]?[basis.rawValue]?["head"]?["magnitude"]?["mean"]?.number ?? 0
                #expect(head > 0.5, "\(basis.rawValue): \(head)")
            }
        }
    }

    @Test func theCorrelationIsSpearmans() {
        #expect(abs(Self.rankCorrelation([1, 2, 3, 4], [10, 20, 25, 90]) - 1) < 1e-12)
        #expect(abs(Self.rankCorrelation([1, 2, 3, 4], [4, 3, 2, 1]) + 1) < 1e-12)
        // scipy.stats.spearmanr([1, 2, 2, 5], [3, 1, 4, 4]).statistic
        #expect(abs(Self.rankCorrelation([1, 2, 2, 5], [3, 1, 4, 4]) - 0.5) < 1e-12)
    }

    @Test func weightsAreDrawnFromTheOutputDown() throws {
        let randomizer = try WeightRandomizer(contentsOf: Self.model(.slices))
        #expect(randomizer.count == 14)
        let file = Fixtures.temporaryFolder("sanity").appendingPathComponent("random.onnx")
        try randomizer.write(share: 0.1, seed: 1, to: file)
        let (before, after) = (try Network(contentsOf: Self.model(.slices)), try Network(contentsOf: file))
        let convolutions = before.nodes.filter { $0.type == "Conv" }
        for node in convolutions {
            #expect(before.constant(node.inputs[1])?.floatValues == after.constant(node.inputs[1])?.floatValues)
        }
        let head = before.nodes.last { $0.type == "Gemm" }!
        #expect(before.constant(head.inputs[1])?.floatValues != after.constant(head.inputs[1])?.floatValues)
    }
}

extension Value {
    fileprivate var floatValues: [Float]? { if case .float(let tensor) = self { tensor.values } else { nil } }
}

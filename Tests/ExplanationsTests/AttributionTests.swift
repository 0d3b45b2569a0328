import Foundation
import Networks
import Preparations
import Tensors
import TestSupport
import Testing
import Volumes

@testable import Explanations

/// DeepLIFT, LRP, CAM and its kin, and attention against Captum and PyTorch's autograd. The references are made by
/// `Tests/Reference/explanations_rules.py`.
@Suite struct RuleReferenceTests {
    static let networks = ReferenceMapTests.networks + ["vit2d", "vit3d"]

    static let cases: [ReferenceMapTests.Case] = networks.flatMap { network in
        try! SafeTensors(contentsOf: Fixtures.reference("explanations/\(network).rules.safetensors")).names
            .filter { $0.hasPrefix("map ") }.map {
                ReferenceMapTests.Case(network: network, map: String($0.dropFirst(4)))
            }
    }

    @Test(arguments: cases) func matchesTheReference(_ test: ReferenceMapTests.Case) throws {
        let (reference, explainer) = try Self.network(test.network)
        try check(test.map, reference, explainer)
    }

    /// The same network with attention as an operator of its own (opset 23) has the maps of the one that has it in parts.
    @Test func attentionIsFoundInItsOperator() throws {
        let (reference, _) = try Self.network("vit2d")
        let explainer = try Explainer(
            network: Network(contentsOf: Fixtures.reference("explanations/vit2d.fused.onnx")))
        let layers = try explainer.network.attentionLayers()
        #expect(layers.count == 3 && layers.allSatisfy { $0.heads == 3 && $0.keys == 31 && $0.leadingTokens == 1 })
        let maps = Self.cases.filter { $0.network == "vit2d" && $0.map.hasPrefix("attention") }.map(\.map)
        #expect(maps.count >= 3)
        for map in maps { try check(map, reference, explainer) }
    }

    private func check(_ name: String, _ reference: SafeTensors, _ explainer: Explainer) throws {
        let words = name.split(separator: " ").map(String.init)
        var options: [String: OptionValue] = [:]
        for word in words.dropFirst() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            options[parts[0]] = OptionValue(parsing: parts[1])
        }
        let target = Int(reference.integer("target")!.values[0])
        let result = try explainer.explain(
            PreparedInput(testing: reference.float("input")!),
            .init(
                methods: [MethodChoice(words[0], options: options)], taps: ["last-spatial"], targets: [.index(target)]))
        #expect(relativeError(result.answer.logits, reference.float("output")!) < 1e-5)
        let map = result.explanations[0].maps[0].values
        let expected = reference.float("map \(name)")!
        let error = relativeError(map.reshaped(expected.shape), expected)
        #expect(error < 1e-4, "\(name): \(error)")
    }

    static func network(_ name: String) throws -> (SafeTensors, Explainer) {
        (
            try SafeTensors(contentsOf: Fixtures.reference("explanations/\(name).rules.safetensors")),
            try Explainer(network: Network(contentsOf: Fixtures.reference("explanations/\(name).onnx")))
        )
    }

    private func figures(_ name: String, _ choice: MethodChoice) throws -> [String: Double] {
        let (reference, explainer) = try Self.network(name)
        let result = try explainer.explain(
            PreparedInput(testing: reference.float("input")!), .init(methods: [choice]))
        return result.explanations[0].figures
    }

    @Test(arguments: networks) func deepLIFTIsComplete(_ name: String) throws {
        for baseline in ["zero", "minimum"] {
            let figures = try figures(name, MethodChoice("deeplift", options: ["baseline": .word(baseline)]))
            let residual = try #require(figures["completeness residual"])
            let change = try #require(figures["target minus baseline"])
            print("deeplift \(name) \(baseline): residual \(residual) of \(change)")
            #expect(abs(residual) < 1e-6 + 1e-4 * abs(change))
        }
    }

    /// With no share for biases, all of the score arrives at the input. (Under z⁺ it is lost where a sum hands relevance to a layer
    /// none of whose contributions are positive, as it happens behind shortcuts: there γ is held to it.)
    @Test(arguments: ReferenceMapTests.networks) func relevanceIsConserved(_ name: String) throws {
        for rule in name.hasPrefix("resnet") ? ["gamma"] : ["gamma", "zplus", "composite"] {
            let figures = try figures(
                name,
                MethodChoice("lrp", options: ["rule": .word(rule), "bias": .flag(false), "epsilon": .number(1e-9)]))
            let residual = try #require(figures["completeness residual"])
            let score = try #require(figures["target minus baseline"])
            print("lrp \(rule) \(name): residual \(residual) of \(score)")
            #expect(abs(residual) < 2e-3 * abs(score), "\(rule)")
        }
    }

    /// On rectifiers, the ε rule with a vanishing ε is input × gradient.
    @Test func epsilonRuleIsInputTimesGradient() throws {
        let (reference, explainer) = try Self.network("vgg3d")
        let result = try explainer.explain(
            PreparedInput(testing: reference.float("input")!),
            .init(methods: [
                MethodChoice("lrp", options: ["rule": .word("epsilon"), "epsilon": .number(1e-9)]),
                MethodChoice("inputxgradient"),
            ]))
        let maps = result.explanations.map { $0.maps[0].values }
        #expect(relativeError(maps[0], maps[1]) < 1e-3)
    }

    @Test(arguments: ReferenceMapTests.networks.filter { $0 != "vggflat3d" }) func camsMeanIsTheLogit(_ name: String)
        throws
    {
        for method in ["cam", "saliency-tubes"] {
            let figures = try figures(name, MethodChoice(method))
            #expect(abs(try #require(figures["completeness residual"])) < 1e-5)
        }
    }

    @Test func camIsRefusedWhereThereIsNoAveragePool() throws {
        for (name, advice) in [("vggflat3d", "hirescam"), ("vit2d", "attention")] {
            let (reference, explainer) = try Self.network(name)
            let input = PreparedInput(testing: reference.float("input")!)
            #expect {
                try explainer.explain(input, .init(methods: [MethodChoice("cam")]))
            } throws: { ("\($0)").contains(advice) }
        }
    }

    @Test func attentionIsRefusedWhereThereIsNone() throws {
        let (reference, explainer) = try Self.network("resnet3d")
        let input = PreparedInput(testing: reference.float("input")!)
        for method in ["attention", "attention-rollout", "attention-gradient"] {
            #expect {
                try explainer.explain(input, .init(methods: [MethodChoice(method)]))
            } throws: { ("\($0)").contains("Use hirescam or gradcam") }
        }
    }

    @Test func attentionIsFoundByItsForm() throws {
        for (name, places, leading) in [("vit2d", 30, 1), ("vit3d", 120, 0)] {
            let (_, explainer) = try Self.network(name)
            let layers = try explainer.network.attentionLayers()
            #expect(layers.count == 3)
            for layer in layers {
                #expect(layer.heads == 3 && layer.windows == 1 && layer.keys == places + leading)
                #expect(layer.leadingTokens == leading && layer.placedTokens == places)
            }
        }
    }

    /// Expected gradients from zeros alone are integrated gradients, but for the sampling.
    @Test func expectedGradientsApproachIntegratedGradients() throws {
        let (reference, explainer) = try Self.network("vgg3d")
        let result = try explainer.explain(
            PreparedInput(testing: reference.float("input")!),
            .init(methods: [
                MethodChoice("expected-gradients", options: ["samples": .number(400), "references": .word("zero")]),
                MethodChoice("integrated-gradients"),
            ]))
        let maps = result.explanations.map { $0.maps[0].values }
        #expect(relativeError(maps[0], maps[1]) < 0.1)
        let figures = result.explanations[0].figures
        let residual = try #require(figures["completeness residual"])
        let error = try #require(figures["standard error of the residual"])
        #expect(abs(residual) < 4 * error)
        for references in ["grey", "blurred"] {
            let figures = try self.figures(
                "resnet2d",
                MethodChoice("expected-gradients", options: ["samples": .number(60), "references": .word(references)]))
            let residual = try #require(figures["completeness residual"])
            let error = try #require(figures["standard error of the residual"])
            #expect(abs(residual) < 5 * error + 1e-6)
        }
    }
}

import Foundation
import Networks
import Preparations
import Tensors
import TestSupport
import Testing
import Volumes

@testable import Explanations

/// Every deterministic method against pytorch-grad-cam, Captum or PyTorch's autograd, on small VGG, ResNet and DenseNet
/// networks in 2D and 3D. The references are made by `Tests/Reference/explanations.py`.
@Suite struct ReferenceMapTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let network: String
        let map: String
        var testDescription: String { "\(map) on \(network)" }
    }

    static let networks = ["vgg2d", "vgg3d", "vggflat3d", "resnet2d", "resnet3d", "densenet2d", "densenet3d"]

    static let cases: [Case] = networks.flatMap { network in
        try! SafeTensors(contentsOf: Fixtures.reference("explanations/\(network).safetensors")).names
            .filter { $0.hasPrefix("map ") }.map { Case(network: network, map: String($0.dropFirst(4))) }
    }

    @Test(arguments: cases) func matchesTheReference(_ test: Case) throws {
        let reference = try SafeTensors(contentsOf: Fixtures.reference("explanations/\(test.network).safetensors"))
        let network = try Network(contentsOf: Fixtures.reference("explanations/\(test.network).onnx"))
        let explainer = try Explainer(network: network)
        let words = test.map.split(separator: " ")
        let choice = MethodChoice(String(words[0]), options: words.count > 1 ? ["signed": .flag(true)] : [:])
        let target = Int(reference.integer("target")!.values[0])
        let result = try explainer.explain(
            PreparedInput(testing: reference.float("input")!),
            .init(methods: [choice], taps: ["last-spatial"], targets: [.index(target)]))
        #expect(relativeError(result.answer.logits, reference.float("output")!) < 1e-5)
        let map = result.explanations[0].maps[0].values
        let expected = reference.float("map \(test.map)")!
        #expect(relativeError(map.reshaped(expected.shape), expected) < 1e-4)
    }

    @Test func integratedGradientsAreComplete() throws {
        for name in Self.networks {
            let reference = try SafeTensors(contentsOf: Fixtures.reference("explanations/\(name).safetensors"))
            let explainer = try Explainer(network: Network(contentsOf: Fixtures.reference("explanations/\(name).onnx")))
            let result = try explainer.explain(
                PreparedInput(testing: reference.float("input")!),
                .init(methods: [MethodChoice("integrated-gradients")]))
            let figures = result.explanations[0].figures
            let residual = try #require(figures["completeness residual"])
            let difference = try #require(figures["target minus baseline"])
            #expect(abs(residual) < 0.02 * max(abs(difference), 0.1), "\(name): \(residual) of \(difference)")
        }
    }

    @Test func hiResCAMSumsToTheLogitOnAFlattenHead() throws {
        let reference = try SafeTensors(contentsOf: Fixtures.reference("explanations/vggflat3d.safetensors"))
        let network = try Network(contentsOf: Fixtures.reference("explanations/vggflat3d.onnx"))
        let result = try Explainer(network: network).explain(PreparedInput(testing: reference.float("input")!), .init())
        // No method was asked for: the head decides, and says so.
        #expect(result.explanations[0].method.name == "hirescam")
        #expect(result.notes.contains { $0.contains("Grad-CAM mislead") })
        let sum = result.explanations[0].maps[0].volume.voxels.reduce(0.0) { $0 + Double($1) }
        let classifier = try #require(network.nodes.last)
        guard case .float(let biases)? = network.constant(classifier.inputs[2]) else {
            Issue.record("no bias")
            return
        }
        let bias = biases.values[result.explanations[0].target.classIndex]
        #expect(abs(sum + Double(bias) - result.explanations[0].target.score) < 1e-5)
    }
}

import Failures
import Foundation
import TestSupport
import Tensors
import Testing

@testable import Networks

/// Names of layers, logits and heads.
@Suite struct LayerTests {
    struct Expectation: Sendable {
        var name: String
        var head: Head.Kind
        var activation: Logits.Activation = .none
        /// PyTorch modules whose outputs the aliases mean.
        var lastSpatial: String
        var defaultTap: String
        var spatialRank = 3
    }

    static let expectations: [Expectation] = [
        .init(name: "vgg3d", head: .globalAverageLinear, lastSpatial: "features.7", defaultTap: "features.7"),
        .init(
            name: "vgg2d", head: .flattenLinear, activation: .softmax(axis: 1), lastSpatial: "features.4",
            defaultTap: "features.4", spatialRank: 2),
        .init(name: "resnet3d", head: .globalAverageLinear, lastSpatial: "layer3", defaultTap: "layer3"),
        .init(name: "densenet3d", head: .globalAverageLinear, lastSpatial: "relu", defaultTap: "relu"),
        .init(name: "unet3d", head: .dense, lastSpatial: "merge1", defaultTap: "middle"),
        .init(
            name: "mobilenet2d", head: .globalAverageLinear, activation: .sigmoid, lastSpatial: "top",
            defaultTap: "top",
            spatialRank: 2),
        .init(name: "vit3d", head: .classToken, lastSpatial: "blocks.0", defaultTap: "blocks.0"),
        .init(name: "meshnet3d", head: .dense, lastSpatial: "layers.11", defaultTap: "layers.11"),
        .init(
            name: "monai_unet", head: .dense, lastSpatial: "model.1", defaultTap: "model.1.submodule.1"),
        .init(name: "monai_segresnet", head: .dense, lastSpatial: "conv_final.act_mod", defaultTap: "down_layers.1"),
    ]

    @Test(arguments: expectations.indices, ["legacy", "dynamo"])
    func headsAndDefaultTaps(_ index: Int, _ exporter: String) throws {
        let expected = Self.expectations[index]
        let (network, reference) = try SmallNetworkTests.load(expected.name, exporter)
        let shapes = ["input": reference.float("input")!.shape]
        let head = try network.head(inputShapes: shapes)
        #expect(head.kind == expected.head)
        #expect(head.logits.activation == expected.activation)
        // The exporters name a module that is registered twice each in its own way.
        let last = exporter == "dynamo" && expected.name == "monai_segresnet" ? "conv_final.1" : expected.lastSpatial
        #expect(try network.tap(.lastSpatial, inputShapes: shapes).tensor == network.tap(last).tensor)
        #expect(try network.defaultTap(inputShapes: shapes).tensor == network.tap(expected.defaultTap).tensor)
        #expect(head.averagingMisleads == (expected.head == .flattenLinear))
        #expect(try network.layout(of: "input", inputShapes: shapes).spatial == Array(2..<2 + expected.spatialRank))
    }

    /// Where the head is mean and linear layer, weights · mean(features) + bias is the logit.
    @Test(arguments: ["vgg3d", "resnet3d", "densenet3d", "mobilenet2d", "swin2d"], ["legacy", "dynamo"])
    func weightsOfALinearHeadGiveTheLogits(_ name: String, _ exporter: String) throws {
        let (network, reference) = try SmallNetworkTests.load(name, exporter)
        let x = reference.float("input")!
        let head = try network.head(inputShapes: ["input": x.shape])
        #expect(head.kind == .globalAverageLinear)
        let weights = try #require(head.weights)
        let bias = try #require(head.bias)
        let values = try network.run(inputs: ["input": .float(x)], wanting: [head.features!, head.logits.tensor])
        guard case .float(let features)? = values[head.features!], case .float(let logits)? = values[head.logits.tensor]
        else {
            Issue.record("floats")
            return
        }
        let (batch, channels, classes) = (features.shape[0], features.shape[1], logits.shape[1])
        #expect(weights.shape == [classes, channels])
        let places = features.count / batch / channels
        let f = features.values
        var expected: [Float] = []
        for n in 0..<batch {
            let means = (0..<channels).map { c in
                f[(n * channels + c) * places..<(n * channels + c + 1) * places].reduce(0, +) / Float(places)
            }
            for k in 0..<classes {
                expected.append(
                    zip(means, weights.values[k * channels..<(k + 1) * channels]).reduce(bias.values[k]) {
                        $0 + $1.0 * $1.1
                    })
            }
        }
        #expect(relativeError(logits.values, expected) < 1e-5)
    }

    @Test func aliasesNameWhatTheySay() throws {
        let (network, _) = try SmallNetworkTests.load("vgg2d", "legacy")
        #expect(try network.tap("input") == Tap(name: "input", tensor: "input", node: nil))
        #expect(try network.tap("first-conv").node == "/features/features.0/Conv")
        #expect(try network.tap("last-conv").node == "/features/features.3/Conv")
        #expect(try network.tap("penultimate").node == "/classifier/classifier.1/Relu")
        #expect(try network.tap("logits").node == "/classifier/classifier.3/Gemm")
        #expect(try network.tap("/features/features.3/Conv").tensor == network.tap("features.3").tensor)
        #expect(try network.tap("features").node == "/features/features.5/MaxPool")
        let (residual, reference) = try SmallNetworkTests.load("resnet3d", "dynamo")
        let shapes = ["input": reference.float("input")!.shape]
        #expect(try residual.tap("layer2.relu1").node == "node_relu_3")
        // The shortcut's convolution comes last in the file; the block's own is deeper.
        #expect(try residual.tap("last-conv", inputShapes: shapes).tensor == residual.tap("layer3.bn2").tensor)
        #expect(residual.nodes.last { $0.type == "Conv" }?.modulePath?.hasPrefix("layer3.shortcut") ?? false)
    }

    @Test func theLikeliestNameIsOffered() throws {
        let (network, _) = try SmallNetworkTests.load("vgg2d", "legacy")
        for (wrong, right) in [
            ("last-conf", "last-conv"), ("feature.3", "features.3"),
            ("/features/features.3/Cnv", "/features/features.3/Conv"),
        ] {
            let failure = #expect(throws: Failure.self) { try network.tap(wrong) }
            #expect(failure?.remedy == "Did you mean '\(right)'?")
        }
        // A layer's own name, which an exporter has put a prefix before and an ending behind.
        let part = #expect(throws: Failure.self) { try network.tap("4/relu") }
        #expect(part?.remedy == "Did you mean '/features/features.4/Relu_output_0'?")
        let failure = #expect(throws: Failure.self) { try network.tap("nothing of the sort") }
        #expect(failure?.remedy.contains("last-spatial") ?? false)
        let output = #expect(throws: Failure.self) { try network.logits(of: "outputt") }
        #expect(output?.remedy == "Did you mean 'output'?")
    }

    @Test func tapsAreListedWithTheirShapes() throws {
        let (network, _) = try SmallNetworkTests.load("vgg2d", "legacy")
        let taps = try network.taps()
        #expect(
            taps.map(\.type) == [
                "input", "Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Flatten", "Gemm", "Relu", "Gemm",
                "Softmax",
            ])
        #expect(taps[5].shape == [1, 8, 12, 12])
        #expect(taps[5].spatialShape == [12, 12])
        #expect(taps[5].channels == 8)
        #expect(taps[5].aliases == [.lastSpatial, .bottleneck])
        #expect(taps[5].modulePath == "features.4")
        #expect(taps[7].spatialShape == [])
        #expect(taps[10].aliases == [.logits])
        let (vit, _) = try SmallNetworkTests.load("vit3d", "legacy")
        let tokens = try #require(vit.taps().first { $0.aliases.contains(.lastSpatial) })
        #expect(tokens.isTokens)
        #expect(tokens.shape == [1, 25, 12])
        #expect(tokens.channels == 12)
    }

    @Test func logitsAreFoundBehindReshapesAndTheArgMax() throws {
        func logits(_ nodes: [Message], _ output: Message) throws -> Logits {
            let graph = ONNX.graph(
                nodes, inputs: [ONNX.port("x", [.fixed(1), .fixed(3), .fixed(2), .fixed(2)])], outputs: [output],
                initializers: [ONNX.floats("w", [3, 3, 1, 1], [Float](repeating: 1, count: 9))])
            return try ONNX.network(ONNX.model(graph)).logits()
        }
        let conv = ONNX.node("Conv", ["x", "w"], ["c"])
        let dense = try logits(
            [
                conv, ONNX.node("Softmax", ["c"], ["p"], [("axis", .int(1))]),
                ONNX.node("ArgMax", ["p"], ["y"], [("axis", .int(1))]),
            ],
            ONNX.port("y", nil, type: .int64))
        #expect(dense == Logits(output: "y", tensor: "c", activation: .softmax(axis: 1)))
        let labels = try logits(
            [conv, ONNX.node("ArgMax", ["c"], ["y"], [("axis", .int(-3))])], ONNX.port("y", nil, type: .int64))
        #expect(labels == Logits(output: "y", tensor: "c", activation: .argMax(axis: 1)))
        let flat = try logits(
            [conv, ONNX.node("Sigmoid", ["c"], ["s"]), ONNX.node("Flatten", ["s"], ["y"])], ONNX.port("y", nil))
        #expect(flat == Logits(output: "y", tensor: "c", activation: .sigmoid))
        let plain = try logits([conv, ONNX.node("Flatten", ["c"], ["y"])], ONNX.port("y", nil))
        #expect(plain == Logits(output: "y", tensor: "y", activation: .none))
    }

    @Test(.enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to the folder of real scans and networks"))
    func headsOfRealNetworks() throws {
        func network(_ name: String) throws -> Network {
            try Network(contentsOf: Fixtures.realData!.appendingPathComponent("models/\(name).onnx"))
        }
        let nodule = try network("luna_nodule")
        #expect(try nodule.head().kind == .flattenLinear)
        #expect(try nodule.defaultTap().tensor == "/block4/relu2/Relu_output_0")
        let convolutional = try network("luna_nodule_fcn")
        #expect(try convolutional.head().kind == .densePooled)
        #expect(try convolutional.head(of: "logit_map").kind == .dense)
        #expect(try convolutional.defaultTap().tensor == "/block4/relu2/Relu_output_0")
        let tumour = try network("brain_tumour_vgg16")
        #expect(try tumour.head().kind == .flattenLinear)
        #expect(try tumour.logits().activation == .softmax(axis: 1))
        #expect(try tumour.layout(of: "input") == InputLayout(batch: 0, channels: 3, spatial: [1, 2]))
        #expect(try tumour.defaultTap().tensor == "functional_1/block5_conv3_1/Relu:0")
        #expect(try network("meshnet_t1").head().kind == .dense)
    }
}

import Failures
import Foundation
import TestSupport
import Tensors
import Testing

@testable import Networks

/// Where voxels of layers lie: predicted from the graph, and found by pulling single voxels back to the input.
@Suite struct ReceptiveFieldTests {
    /// A chain of nodes on an input of one channel and two spatial axes; weights are ones, so that each window's gradient
    /// is symmetric about its centre.
    struct Chain: Sendable {
        var name: String
        var extent = [64, 64]
        var nodes: [Message] = []
        var weights: [Message] = []
        var tensor = "x"
        var count = 0

        init(_ name: String, extent: [Int] = [64, 64]) {
            self.name = name
            self.extent = extent
        }

        mutating func add(
            _ type: String, _ more: [String] = [], _ attributes: [(String, ONNX.Attribute)] = [], input: String? = nil
        ) {
            count += 1
            nodes.append(ONNX.node(type, [input ?? tensor] + more, ["t\(count)"], name: "n\(count)", attributes))
            tensor = "t\(count)"
        }

        mutating func conv(
            _ kernel: Int, stride: Int = 1, pads: [Int]? = nil, dilation: Int = 1, transposed: Bool = false,
            extra: Int = 0,
            input: String? = nil
        ) {
            weights.append(
                ONNX.floats("w\(count)", [1, 1, kernel, kernel], [Float](repeating: 1, count: kernel * kernel)))
            let same = dilation * (kernel - 1) / 2
            var attributes: [(String, ONNX.Attribute)] = [
                ("strides", .ints([stride, stride])), ("dilations", .ints([dilation, dilation])),
                ("pads", .ints(pads ?? [same, same, same, same])),
            ]
            if transposed { attributes.append(("output_padding", .ints([extra, extra]))) }
            add(transposed ? "ConvTranspose" : "Conv", ["w\(count)"], attributes, input: input)
        }

        mutating func pool(_ kernel: Int, stride: Int, pads: [Int] = [0, 0, 0, 0]) {
            add(
                "AveragePool", [],
                [
                    ("kernel_shape", .ints([kernel, kernel])), ("strides", .ints([stride, stride])),
                    ("pads", .ints(pads)), ("count_include_pad", .int(1)),
                ])
        }

        mutating func resize(
            _ scale: Float, _ mode: String, _ transformation: String, nearest: String = "round_prefer_floor"
        ) {
            weights.append(ONNX.floats("s\(count)", [4], [1, 1, scale, scale]))
            add(
                "Resize", ["", "s\(count)"],
                [
                    ("mode", .string(mode)), ("coordinate_transformation_mode", .string(transformation)),
                    ("nearest_mode", .string(nearest)),
                ])
        }

        mutating func integers(_ name: String, _ values: [Int]) { weights.append(ONNX.integers(name, values)) }

        func network() throws -> Network {
            let input = ONNX.port("x", [.fixed(1), .fixed(1)] + extent.map(Extent.fixed))
            return try ONNX.network(
                ONNX.model(ONNX.graph(nodes, inputs: [input], outputs: [ONNX.port(tensor, nil)], initializers: weights))
            )
        }
    }

    static func chain(_ name: String, extent: [Int] = [64, 64], _ body: (inout Chain) -> Void) -> Chain {
        var chain = Chain(name, extent: extent)
        body(&chain)
        return chain
    }

    /// With jump, centre and size, where they are known by other means (formats.md).
    static let chains: [(chain: Chain, jump: Double, centre: Double, size: Double?)] = [
        (chain("VGG, four pools") { c in for _ in 0..<4 { c.conv(3); c.pool(2, stride: 2) } }, 16, 7.5, 46),
        (
            chain("four strided convolutions", extent: [96, 96]) { c in for _ in 0..<4 { c.conv(3, stride: 2) } }, 16,
            0, 31
        ),
        (
            chain("ResNet stem", extent: [80, 80]) { c in
                c.conv(7, stride: 2); c.pool(3, stride: 2, pads: [1, 1, 1, 1]); c.conv(3)
            }, 4, 0, 19
        ),
        (
            chain("dilated") { c in
                c.conv(3, dilation: 2); c.conv(3, dilation: 4)
            }, 1, 0, 13
        ),
        (
            chain("no padding") { c in
                c.conv(5, pads: [0, 0, 0, 0]); c.conv(4, stride: 2, pads: [0, 0, 0, 0])
            }, 2, 3.5, 8
        ),
        (chain("padded in front only") { c in c.conv(4, stride: 2, pads: [3, 3, 0, 0]) }, 2, -1.5, 4),
        (
            chain("even kernel") { c in
                c.conv(2, stride: 2, pads: [0, 0, 0, 0]); c.conv(3)
            }, 2, 0.5, 6
        ),
        (
            chain("down and up, kernel 2") { c in
                c.pool(2, stride: 2); c.conv(2, stride: 2, pads: [0, 0, 0, 0], transposed: true)
            }, 1, 0, nil
        ),
        (
            chain("down and up, kernel 3") { c in
                c.conv(3, stride: 2); c.conv(3, stride: 2, pads: [1, 1, 1, 1], transposed: true, extra: 1)
            }, 1, 0, nil
        ),
        (
            chain("transposed, kernel 4") { c in c.conv(4, stride: 2, pads: [1, 1, 1, 1], transposed: true) }, 0.5,
            -0.25, nil
        ),
        (
            chain("linear, half pixel") { c in
                c.pool(2, stride: 2); c.resize(2, "linear", "half_pixel")
            }, 1, 0, nil
        ),
        (
            chain("linear, asymmetric") { c in
                c.pool(2, stride: 2); c.resize(2, "linear", "asymmetric")
            }, 1, 0.5, nil
        ),
        (chain("linear, aligned corners") { c in c.resize(2, "linear", "align_corners") }, 63.0 / 127, 0, nil),
        (
            chain("nearest, asymmetric, floor") { c in c.resize(2, "nearest", "asymmetric", nearest: "floor") }, 0.5,
            -0.25, 1
        ),
        (chain("nearest, half pixel") { c in c.resize(3, "nearest", "half_pixel") }, 1.0 / 3, -1.0 / 3, 1),
        (chain("shrunk by linear resampling") { c in c.resize(0.5, "linear", "half_pixel") }, 2, 0.5, nil),
        (
            chain("padded and cropped") { c in
                c.integers("pads", [0, 0, 3, 5, 0, 0, 1, 2])
                c.add("Pad", ["pads"])
                c.integers("starts", [1, 2]); c.integers("ends", [1000, 1000]); c.integers("axes", [2, 3]);
                c.integers("steps", [2, 2])
                c.add("Slice", ["starts", "ends", "axes", "steps"])
                c.conv(3)
            }, 2, -2, 5
        ),
        (
            chain("depth to space") { c in
                c.weights.append(ONNX.floats("deep", [4, 1, 1, 1], [1, 1, 1, 1]))
                c.add("Conv", ["deep"])
                c.add("DepthToSpace", [], [("blocksize", .int(2))])
            }, 0.5, -0.25, 1
        ),
        (
            chain("residual with a strided shortcut") { c in
                c.conv(3, stride: 2)
                let main = c.tensor
                c.conv(1, stride: 2, pads: [0, 0, 0, 0], input: "x")
                c.add("Add", [main])
            }, 2, 0, 3
        ),
        (
            chain("windows and back") { c in
                c.pool(2, stride: 2)
                c.integers("cut", [1, 8, 4, 8, 4]); c.integers("back", [1, 1, 32, 32])
                c.add("Reshape", ["cut"])
                c.add("Transpose", [], [("perm", .ints([0, 1, 3, 2, 4]))])
                c.add("Sigmoid")
                c.add("Transpose", [], [("perm", .ints([0, 1, 3, 2, 4]))])
                c.add("Reshape", ["back"])
            }, 2, 0.5, 2
        ),
    ]

    @Test(arguments: chains.indices) func predictionsAreTheFormulas(_ index: Int) throws {
        let (chain, jump, centre, size) = Self.chains[index]
        let field = try chain.network().receptiveField(of: chain.tensor)
        #expect(field.axes.map(\.inputAxis) == [2, 3], "\(chain.name)")
        #expect(field.axes.map(\.tapAxis) == [2, 3])
        for axis in field.axes {
            #expect(abs(axis.jump - jump) < 1e-9, "\(chain.name): jump \(axis.jump)")
            let own = chain.name == "padded and cropped" && axis.inputAxis == 3 ? centre - 1 : centre
            #expect(abs(axis.centre - own) < 1e-9, "\(chain.name): centre \(axis.centre)")
            if let size { #expect(axis.size == size, "\(chain.name): size \(axis.size)") }
        }
    }

    @Test(arguments: chains.indices) func gradientsLieWhereItIsPredicted(_ index: Int) throws {
        let chain = Self.chains[index].chain
        let network = try chain.network()
        let field = try network.receptiveField(of: chain.tensor)
        let shape = [1, 1] + chain.extent
        let x = Tensor<Float>(shape: shape, values: (0..<shape.elementCount).map { 1 + Float($0 % 7) / 100 })
        let recording = try network.record(inputs: ["x": .float(x)], targets: [chain.tensor], taps: ["x"])
        // Voxels whose whole window lies inside the input.
        var errors: [[Double]] = [[], []]
        let extents = field.axes.map(\.extent)
        for step in 0..<24 {
            let place = extents.map { $0 / 4 + (step * 5) % max(1, $0 / 2) }
            var seed = [Float](repeating: 0, count: field.shape.elementCount)
            seed[place[0] * extents[1] + place[1]] = 1
            let inside = zip(field.axes, place).allSatisfy { axis, i in
                let at = axis.centre + Double(i) * axis.jump
                return at - axis.size / 2 >= 0 && at + axis.size / 2 <= Double(chain.extent[axis.inputAxis - 2] - 1)
            }
            if !inside { continue }
            let gradient = try recording.pullback(
                seeds: [chain.tensor: Tensor(shape: field.shape, values: seed)], to: ["x"])["x"]!
            let centroid = Self.centroid(gradient.values, chain.extent)
            for (k, axis) in field.axes.enumerated() {
                errors[k].append(centroid[k] - axis.centre - Double(place[k]) * axis.jump)
            }
        }
        for axis in errors {
            #expect(axis.count >= 4, "\(chain.name): enough voxels to tell")
            // Upsampling by nearest neighbours moves single voxels by up to half a step; on average nothing moves.
            #expect(abs(axis.reduce(0, +) / Double(max(1, axis.count))) < 0.1, "\(chain.name): \(axis)")
            #expect(axis.allSatisfy { abs($0) < 0.51 }, "\(chain.name): \(axis)")
        }
    }

    static func centroid(_ values: [Float], _ extent: [Int]) -> [Double] {
        var sum = 0.0
        var moments = [Double](repeating: 0, count: extent.count)
        let strides = extent.rowMajorStrides
        for (index, value) in values.enumerated() where value != 0 {
            let weight = Double(abs(value))
            sum += weight
            for axis in extent.indices { moments[axis] += weight * Double(index / strides[axis] % extent[axis]) }
        }
        return moments.map { $0 / sum }
    }

    struct Layer: Sendable {
        var network: String
        var module: String
        var jump: [Double]
        var centre: [Double]
        var tokens: ReceptiveField.Tokens?
        var notes = 0
    }

    static let layers: [Layer] = [
        .init(network: "vgg3d", module: "features.7", jump: [4, 4, 4], centre: [1.5, 1.5, 1.5]),
        .init(network: "vgg2d", module: "features.5", jump: [4, 4], centre: [1.5, 1.5]),
        .init(network: "resnet3d", module: "layer3", jump: [16, 16, 16], centre: [0, 0, 0]),
        .init(network: "densenet3d", module: "relu", jump: [4, 4, 4], centre: [1, 1, 1]),
        .init(network: "unet3d", module: "middle", jump: [4, 4, 4], centre: [1.5, 1.5, 1.5]),
        // A transposed convolution of kernel 3 undoes a pool half a voxel off: the skip's place counts, and it is said.
        .init(network: "unet3d", module: "merge1", jump: [1, 1, 1], centre: [0, 0, 0], notes: 3),
        .init(network: "mobilenet2d", module: "top", jump: [4, 4], centre: [0, 0]),
        .init(
            network: "vit3d", module: "blocks.0", jump: [4, 4, 4], centre: [1.5, 1.5, 1.5],
            tokens: .init(axis: 1, first: 1, count: 25)),
        .init(network: "vit3d", module: "patches", jump: [4, 4, 4], centre: [1.5, 1.5, 1.5]),
        .init(network: "swin2d", module: "blocks.0", jump: [2, 2], centre: [0.5, 0.5]),
        .init(network: "meshnet3d", module: "layers.11", jump: [1, 1, 1], centre: [0, 0, 0]),
        .init(network: "monai_unet", module: "model.1.submodule.1.submodule", jump: [4, 4, 4], centre: [0, 0, 0]),
        .init(network: "monai_segresnet", module: "down_layers.1", jump: [2, 2, 2], centre: [0, 0, 0]),
        .init(network: "monai_attention", module: "model.0", jump: [1, 1, 1], centre: [0, 0, 0]),
    ]

    @Test(arguments: layers.indices, ["legacy", "dynamo"]) func layersOfExportedNetworks(
        _ index: Int, _ exporter: String
    ) throws {
        let layer = Self.layers[index]
        let (network, reference) = try SmallNetworkTests.load(layer.network, exporter)
        let shape = reference.float("input")!.shape
        let field = try network.receptiveField(of: layer.module, inputShapes: ["input": shape])
        #expect(field.axes.map(\.jump) == layer.jump)
        #expect(field.axes.map(\.centre) == layer.centre)
        #expect(field.axes.map(\.inputAxis) == Array(2..<2 + layer.jump.count))
        #expect(field.tokens == layer.tokens)
        #expect(field.notes.count == layer.notes, "\(field.notes)")
        if let tokens = layer.tokens {
            #expect(field.axes.map(\.extent) == [2, 3, 4])
            #expect(field.axes.allSatisfy { $0.tapAxis == tokens.axis })
            #expect(field.channelAxis == 2)
        } else {
            #expect(field.channelAxis == (layer.network == "swin2d" && layer.module != "patches" ? 3 : 1))
        }
    }

    @Test func placesAreTokensOneByOne() throws {
        // Before any attention a token's gradient lies in its patch.
        let (network, reference) = try SmallNetworkTests.load("vit3d", "dynamo")
        let first = try #require(network.nodes.first { $0.type == "Concat" })
        let tap = first.outputs[0]
        let field = try network.receptiveField(of: first.name)
        let recording = try network.record(
            inputs: ["input": .float(reference.float("input")!)], targets: [tap], taps: ["input"])
        let extent = [8, 12, 16]
        for token in [1, 5, 12, 24] {
            var seed = [Float](repeating: 0, count: 25 * 12)
            seed[token * 12 + 3] = 1
            let gradient = try recording.pullback(
                seeds: [tap: Tensor(shape: [1, 25, 12], values: seed)], to: ["input"])["input"]!
            let place = token - field.tokens!.first
            let digits = [place / 12, place / 4 % 3, place % 4]
            let found = Self.centroid(gradient.values.map { $0 == 0 ? 0 : 1 }, extent)
            for (k, axis) in field.axes.enumerated() {
                #expect(abs(found[k] - axis.centre - Double(digits[k]) * axis.jump) < 1e-6)
            }
        }
    }

    @Test func shiftedWindowsHaveNoPlaceButWhatFollowsThemHas() throws {
        let (network, _) = try SmallNetworkTests.load("swin2d", "legacy")
        let inside = network.nodes.last { $0.type == "Softmax" }!
        let failure = #expect(throws: Failure.self) { try network.receptiveField(of: inside.name) }
        #expect(failure?.found.hasPrefix("none: node") ?? false, "\(failure!)")
        let field = try network.receptiveField(of: "blocks.1")
        #expect(field.axes.map(\.jump) == [2, 2])
        #expect(field.axes.map(\.centre) == [0.5, 0.5])
        #expect(field.notes.contains { $0.contains("is not followed") })
    }

    @Test func channelsLastIsFollowedThroughTheTranspose() throws {
        let nodes = [
            ONNX.node("Transpose", ["x"], ["t"], [("perm", .ints([0, 3, 1, 2]))]),
            ONNX.node("Conv", ["t", "w"], ["c"], [("strides", .ints([2, 1])), ("pads", .ints([1, 1, 1, 1]))]),
            ONNX.node("Transpose", ["c"], ["y"], [("perm", .ints([0, 2, 3, 1]))]),
        ]
        let graph = ONNX.graph(
            nodes, inputs: [ONNX.port("x", [.fixed(1), .fixed(8), .fixed(6), .fixed(3)])],
            outputs: [ONNX.port("y", nil)],
            initializers: [ONNX.floats("w", [2, 3, 3, 3], [Float](repeating: 1, count: 54))])
        let network = try ONNX.network(ONNX.model(graph))
        #expect(try network.layout(of: "x") == InputLayout(batch: 0, channels: 3, spatial: [1, 2]))
        let c = try network.receptiveField(of: "c")
        #expect(c.axes.map(\.inputAxis) == [1, 2])
        #expect(c.axes.map(\.tapAxis) == [2, 3])
        #expect(c.axes.map(\.jump) == [2, 1])
        #expect(c.channelAxis == 1)
        let y = try network.receptiveField(of: "y")
        #expect(y.axes.map(\.tapAxis) == [1, 2])
        #expect(y.channelAxis == 3)
        let x = try network.receptiveField(of: "x")
        #expect(x.axes.map(\.inputAxis) == [1, 2])
        #expect(x.channelAxis == 3)
    }

    @Test func behindPoolingAndFlatteningThereAreNoPlaces() throws {
        let (pooled, reference) = try SmallNetworkTests.load("vgg3d", "legacy")
        let field = try pooled.receptiveField(of: "pool", inputShapes: ["input": reference.float("input")!.shape])
        #expect(field.axes.isEmpty)
        let (flat, _) = try SmallNetworkTests.load("vgg2d", "legacy")
        let failure = #expect(throws: Failure.self) { try flat.receptiveField(of: "/Flatten") }
        #expect(failure?.found == "channels and voxels flattened into one axis")
    }

    @Test func normalisationOverTheVolumeIsSaid() throws {
        let (network, _) = try SmallNetworkTests.load("unet3d", "legacy")
        let field = try network.receptiveField(of: "down2")
        #expect(field.axes.allSatisfy { $0.seesWhole })
        let (plain, reference) = try SmallNetworkTests.load("vgg3d", "legacy")
        let local = try plain.receptiveField(of: "features.7", inputShapes: ["input": reference.float("input")!.shape])
        #expect(local.axes.allSatisfy { !$0.seesWhole && $0.size == 18 })
    }
}

import Foundation
import Tensors
import TestSupport
import Testing

@testable import Networks

/// Convolutions joined with what follows them give what the nodes give one by one, and only where nobody looks between.
@Suite struct ChainTests {
    /// x → conv a → normalization → relu → conv b → + (conv c of x) → leaky relu → conv d, + a constant of one channel.
    private func network() throws -> Network {
        func weights(_ name: String, _ shape: [Int], _ seed: UInt64, above least: Float = -1) -> Message {
            var numbers = SeededNumbers(seed)
            return ONNX.floats(name, shape, numbers.tensor(shape, least...1).values)
        }
        let padded: [(String, ONNX.Attribute)] = [("pads", .ints([1, 1, 1, 1]))]
        let constants = [
            weights("wa", [16, 8, 3, 3], 1), weights("ba", [16], 2), weights("scale", [16], 3),
            weights("shift", [16], 4), weights("mean", [16], 5), weights("variance", [16], 6, above: 0.2),
            weights("wb", [16, 16, 3, 3], 7), weights("wc", [16, 8, 1, 1], 8), weights("wd", [16, 16, 3, 3], 9),
            weights("one", [1, 16, 1, 1], 10),
        ]
        let nodes = [
            ONNX.node("Conv", ["x", "wa", "ba"], ["a"], padded),
            ONNX.node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["n"]),
            ONNX.node("Relu", ["n"], ["r"]),
            ONNX.node("Conv", ["r", "wb"], ["b"], padded),
            ONNX.node("Conv", ["x", "wc"], ["c"]),
            ONNX.node("Add", ["b", "c"], ["s"]),
            ONNX.node("LeakyRelu", ["s"], ["l"], [("alpha", .float(0.1))]),
            ONNX.node("Conv", ["l", "wd"], ["d"], padded),
            ONNX.node("Add", ["one", "d"], ["y"]),
        ]
        func port(_ name: String, _ channels: Int) -> Message {
            ONNX.port(name, [.fixed(1), .fixed(channels), .fixed(12), .fixed(12)])
        }
        return try ONNX.network(
            ONNX.model(
                ONNX.graph(nodes, inputs: [port("x", 8)], outputs: [port("y", 16)], initializers: constants)))
    }

    private static func noise(_ shape: [Int], _ seed: UInt64) -> Tensor<Float> {
        var numbers = SeededNumbers(seed)
        return numbers.tensor(shape)
    }

    private func chains(_ network: Network, keeping names: [String]) -> [[String]] {
        let schedule = Array(network.nodes.indices)
        var uses = [Int](repeating: 0, count: network.tensorNames.count)
        for index in schedule { for id in network.nodes[index].inputIDs { if let id { uses[id] += 1 } } }
        return network.stages(of: schedule, uses: uses, kept: Set(names.map { network.tensorIDs[$0]! })).map { stage in
            stage.nodes.map { network.nodes[$0].outputs[0] }
        }
    }

    @Test func convolutionsTakeWhatFollows() throws {
        let network = try network()
        #expect(chains(network, keeping: ["y"]) == [["a", "n", "r"], ["b"], ["c", "s", "l"], ["d", "y"]])
        #expect(
            chains(network, keeping: ["y", "a", "s"]) == [["a"], ["n"], ["r"], ["b"], ["c", "s"], ["l"], ["d", "y"]])
    }

    /// x → conv a → relu → pool 2, 2 → conv b → pool 3, 2 → conv c → pool 2, 2 of odd extents.
    private func poolingNetwork() throws -> Network {
        func weights(_ name: String, _ channels: Int, _ seed: UInt64) -> Message {
            var numbers = SeededNumbers(seed)
            return ONNX.floats(name, [16, channels, 3, 3], numbers.tensor([16, channels, 3, 3]).values)
        }
        let padded: [(String, ONNX.Attribute)] = [("pads", .ints([1, 1, 1, 1]))]
        func pool(_ input: String, _ output: String, _ extent: Int) -> Message {
            ONNX.node(
                "MaxPool", [input], [output],
                [("kernel_shape", .ints([extent, extent])), ("strides", .ints([2, 2]))])
        }
        let nodes = [
            ONNX.node("Conv", ["x", "wa"], ["a"], padded), ONNX.node("Relu", ["a"], ["r"]), pool("r", "p", 2),
            ONNX.node("Conv", ["p", "wb"], ["b"], padded), pool("b", "q", 3),
            ONNX.node("Conv", ["q", "wc"], ["c"], padded), pool("c", "y", 2),
        ]
        return try ONNX.network(
            ONNX.model(
                ONNX.graph(
                    nodes, inputs: [ONNX.port("x", [.fixed(1), .fixed(8), .fixed(46), .fixed(31)])],
                    outputs: [ONNX.port("y", [.fixed(1), .fixed(16), .fixed(5), .fixed(3)])],
                    initializers: [weights("wa", 8, 1), weights("wb", 16, 2), weights("wc", 16, 3)])))
    }

    @Test func poolsThatHalveJoin() throws {
        let network = try poolingNetwork()
        #expect(chains(network, keeping: ["y"]) == [["a", "r", "p"], ["b"], ["q"], ["c", "y"]])
        #expect(chains(network, keeping: ["y", "r", "c"]) == [["a", "r"], ["p"], ["b"], ["q"], ["c"], ["y"]])
        let x = ["x": Value.float(Self.noise([1, 8, 46, 31], 11))]
        let apart = try network.run(inputs: x, wanting: ["a", "r", "p", "b", "q", "c", "y"])
        let joined = try network.run(inputs: x, wanting: ["p", "y"])
        // Where convolutions are kept to their definition the two take two passes.
        let kept = try ConvolutionEngine.keepingToDefinition { try network.run(inputs: x, wanting: ["p", "y"]) }
        for name in ["p", "y"] {
            guard case .float(let one)? = joined[name], case .float(let expected)? = apart[name],
                case .float(let definition)? = kept[name]
            else {
                Issue.record("no floats for \(name)")
                continue
            }
            #expect(one == expected, "\(name)")
            #expect(relativeError(definition, expected) < 1e-5, "\(name)")
        }
    }

    @Test func resultsAreThoseOfTheNodes() throws {
        let network = try network()
        let x = ["x": Value.float(Self.noise([1, 8, 12, 12], 11))]
        let all = network.nodes.map { $0.outputs[0] }
        let apart = try network.run(inputs: x, wanting: all)
        for name in ["r", "l", "y"] {
            let joined = try network.run(inputs: x, wanting: [name])
            guard case .float(let expected)? = apart[name], case .float(let actual)? = joined[name] else {
                Issue.record("no floats for \(name)")
                continue
            }
            #expect(relativeError(actual, expected) < 1e-6, "\(name)")
        }
        // Without a folded normalization there is no difference at all.
        let from = Tensor<Float>(shape: [1, 16, 12, 12], repeating: 0.25)
        let recording = try network.record(inputs: x, targets: ["y"], taps: ["r"])
        guard case .float(let joined)? = try recording.replay(replacing: ["r": from], wanting: ["y"])["y"],
            case .float(let separate)? = try recording.replay(replacing: ["r": from], wanting: ["y", "b", "s", "d"])[
                "y"]
        else {
            Issue.record("no floats")
            return
        }
        #expect(joined == separate)
    }

    /// A gradient that passes a decision and then a convolution asks for the definition forward; one that stops before does not.
    @Test func deepTapsKeepToTheDefinition() throws {
        let network = try network()
        func decides(_ tap: String) -> Bool {
            Path(network, from: [network.tensorIDs[tap]!], to: [network.tensorIDs["y"]!])
                .decidesBelowConvolutions(in: network)
        }
        #expect(decides("x") && decides("a") && decides("r"))
        #expect(!decides("b") && !decides("s") && !decides("l") && !decides("d"))
    }

    /// Below a tap nothing is joined that a pullback looks at.
    @Test func gradientsAreThoseOfTheNodes() throws {
        let network = try network()
        let x = ["x": Value.float(Self.noise([1, 8, 12, 12], 12))]
        let seeds = ["y": Self.noise([1, 16, 12, 12], 13)]
        let near = try network.record(inputs: x, targets: ["y"], taps: ["l"]).pullback(seeds: seeds, to: ["l"])
        let far = try network.record(inputs: x, targets: ["y"], taps: ["x", "l"]).pullback(seeds: seeds, to: ["l"])
        #expect(relativeError(near["l"]!, far["l"]!) < 1e-6)
    }
}

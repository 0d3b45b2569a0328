import Failures
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Networks

/// Tile by tile a network gives what it gives at once, within the bytes that were promised.
@Suite struct MemoryPlanTests {
    /// Two blocks of convolutions with a residual, a strided one, pools of every kind that can be cut, then a global pool.
    private func network(pool: String = "MaxPool", skipping: Bool = false) throws -> Network {
        func weights(_ name: String, _ shape: [Int], _ seed: UInt64, above least: Float = -1) -> Message {
            var numbers = SeededNumbers(seed)
            return ONNX.floats(name, shape, numbers.tensor(shape, least...1).values)
        }
        func conv(_ inputs: [String], _ output: String, stride: Int = 1, kernel: Int = 3, pads: [Int]? = nil) -> Message
        {
            ONNX.node(
                "Conv", inputs, [output],
                [
                    ("pads", .ints(pads ?? [Int](repeating: kernel / 2, count: 6))),
                    ("strides", .ints([stride, stride, stride])),
                ])
        }
        let window: [(String, ONNX.Attribute)] = [
            ("kernel_shape", .ints([3, 2, 2])), ("strides", .ints([2, 2, 2])), ("pads", .ints([1, 0, 0, 0, 0, 0])),
        ]
        var nodes = [
            conv(["x", "wa", "ba"], "a"), ONNX.node("Relu", ["a"], ["ra"]), conv(["ra", "wb"], "b"),
            ONNX.node("BatchNormalization", ["b", "scale", "shift", "mean", "variance"], ["n"]),
            ONNX.node("Add", ["n", "ra"], ["s"]), ONNX.node("LeakyRelu", ["s"], ["l"], [("alpha", .float(0.1))]),
            ONNX.node(pool, ["l"], ["p"], window + (pool == "MaxPool" ? [("ceil_mode", .int(1))] : [])),
            conv(["p", "wc"], "c", stride: 2, pads: [1, 1, 1, 0, 1, 1]),
            ONNX.node("Concat", ["c", "c"], ["cc"], [("axis", .int(1))]), ONNX.node("Sigmoid", ["cc"], ["g"]),
            ONNX.node("Mul", ["g", "one"], ["m"]), conv(["m", "wd"], "d"), ONNX.node("Relu", ["d"], ["rd"]),
            ONNX.node("GlobalAveragePool", ["rd"], ["y"]),
        ]
        if skipping {
            nodes += [
                ONNX.node("GlobalMaxPool", ["ra"], ["u"]), ONNX.node("Add", ["y", "u"], ["z"]),
            ]
        }
        let constants = [
            weights("wa", [8, 1, 3, 3, 3], 1), weights("ba", [8], 2), weights("wb", [8, 8, 3, 3, 3], 3),
            weights("scale", [8], 4), weights("shift", [8], 5), weights("mean", [8], 6),
            weights("variance", [8], 7, above: 0.2), weights("wc", [4, 8, 3, 3, 3], 8),
            weights("one", [1, 8, 1, 1, 1], 9), weights("wd", [8, 8, 3, 3, 3], 10),
        ]
        let output = skipping ? "z" : "y"
        return try ONNX.network(
            ONNX.model(
                ONNX.graph(
                    nodes,
                    inputs: [ONNX.port("x", [.fixed(1), .fixed(1), .symbolic("d"), .symbolic("h"), .symbolic("w")])],
                    outputs: [ONNX.port(output, [.fixed(1), .fixed(8), .fixed(1), .fixed(1), .fixed(1)])],
                    initializers: constants)))
    }

    private func plan(
        _ network: Network, _ shape: [Int], kept names: [String], limit: Int?, search: MemoryPlan.Search = .slabs
    ) throws -> MemoryPlan {
        let shapes = try network.interpret(["x": shape]).map { $0?.shape }
        let schedule = Array(network.nodes.indices)
        var uses = [Int](repeating: 0, count: network.tensorNames.count)
        for index in schedule { for case let id? in network.nodes[index].inputIDs { uses[id] += 1 } }
        let kept = Set(names.map { network.tensorIDs[$0]! })
        return try MemoryPlan(
            network, stages: network.stages(of: schedule, uses: uses, kept: kept), shapes: shapes,
            given: [network.tensorIDs["x"]!], kept: kept, limit: limit, search: search)
    }

    private func first(_ shape: [Int]) -> Box { Box(shape[2...].map { _ in 0..<1 }) }

    /// Every thickness of slabs, and tiles cut along two and three axes at once.
    private func tiles(_ shape: [Int]) -> [[Int]] {
        let extents = Array(shape[2...])
        let slabs = (1...extents[0]).map { [$0] + extents[1...] }
        let others = [
            [1, 1, 1], [2, 3, 2], [3, 2, 5], [5, 4, 4], [extents[0], 2, 3], [extents[0], extents[1], 1],
        ]
        return slabs + others.map { zip($0, extents).map { min($0, $1) } }
    }

    /// Every tensor that can end a part; odd extents, so that pools and strides leave something over.
    @Test(arguments: ["MaxPool", "AveragePool"], [[1, 1, 27, 8, 9], [1, 1, 16, 7, 6]])
    func tilesGiveTheWhole(_ pool: String, _ shape: [Int]) throws {
        let network = try network(pool: pool)
        var numbers = SeededNumbers(5)
        let x = numbers.tensor(shape)
        let shapes = try network.interpret(["x": shape]).map { $0?.shape }
        let whole = try plan(network, shape, kept: ["y"], limit: nil)
        let stages = whole.pieces.map { piece -> Stage in
            guard case .whole(let stage) = piece else { fatalError("a plan without a limit") }
            return stage
        }
        let input = network.tensorIDs["x"]!
        var checked = 0
        for end in 1..<stages.count {
            let id = network.nodes[stages[end - 1].nodes.last!].outputIDs[0]!
            guard try network.partSteps(Array(stages[..<end]), first(shapes[id]!), shapes: shapes) != nil,
                case .float(let expected)? = try network.run(
                    inputs: ["x": .float(x)], wanting: [network.tensorNames[id]])[network.tensorNames[id]]
            else { continue }
            for tile in tiles(shapes[id]!) {
                let segment = Segment(stages: Array(stages[..<end]), result: id, tile: tile)
                let value = try segment.run(
                    network, shapes: shapes, source: { $0 == input ? .float(x) : nil }, interruption: {})
                guard case .float(let actual) = value else { fatalError("floats") }
                #expect(relativeError(actual, expected) < 1e-5, "\(network.tensorNames[id]), tiles of \(tile)")
                checked += 1
            }
        }
        #expect(checked > 50)
    }

    /// Without a bound large tensors go tile by tile all the same, but where rounding may decide.
    @Test func largeTensorsAreCutForTheCaches() throws {
        let network = try network()
        func isCut(_ extent: Int) throws -> Bool {
            var execution = Execution(network, interrupted: nil)
            try execution.supply(["x": .float(Tensor(shape: [1, 1, extent, 128, 128], repeating: 0))])
            let y = network.tensorIDs["y"]!
            var uses = [Int](repeating: 0, count: network.tensorNames.count)
            for node in network.nodes { for case let id? in node.inputIDs { uses[id] += 1 } }
            let stages = network.stages(of: Array(network.nodes.indices), uses: uses, kept: [y])
            let pieces = try execution.pieces(of: stages, given: [network.tensorIDs["x"]!], kept: [y])
            return pieces.contains { (piece, _) -> Bool in
                if case .tiles = piece { return true }
                return false
            }
        }
        #expect(try isCut(128) && !isCut(32))
        #expect(try !ConvolutionEngine.keepingToDefinition { try isCut(128) })
        var numbers = SeededNumbers(6)
        let x = Value.float(numbers.tensor([1, 1, 128, 128, 128]))
        func answer() throws -> Tensor<Float> {
            guard case .float(let y)? = try network.run(inputs: ["x": x], wanting: ["y"])["y"] else {
                fatalError("floats")
            }
            return y
        }
        let cut = try answer()
        let whole = try ConvolutionEngine.keepingToDefinition { try answer() }
        #expect(relativeError(cut, whole) < 1e-5)
    }

    @Test func aBoundIsKept() throws {
        let network = try network()
        let shape = [1, 1, 64, 32, 32]
        let free = try plan(network, shape, kept: ["y"], limit: nil)
        #expect(free.isWhole)
        // Two tensors of eight channels at the input's size.
        #expect(free.peak >= 2 * 8 * 4 * 65536)
        let bound = try plan(network, shape, kept: ["y"], limit: free.peak / 3)
        #expect(!bound.isWhole && bound.peak <= free.peak / 3)
        #expect(bound.summary.contains("slabs to '"))
        #expect {
            _ = try plan(network, shape, kept: ["y"], limit: 1000)
        } throws: { error in
            let failure = error as? Failure
            return failure?.kind == .resources && failure?.found.contains("at least") == true
        }
    }

    /// A part ends where the next one's margins would cost more than a tensor between them that is written and read again.
    @Test func aPartEndsBeforeMarginsGrow() throws {
        func conv(_ from: String, _ to: String, _ weight: String) -> Message {
            ONNX.node("Conv", [from, weight], [to], [("pads", .ints([Int](repeating: 1, count: 6)))])
        }
        func pool(_ from: String, _ to: String) -> Message {
            ONNX.node("MaxPool", [from], [to], [("kernel_shape", .ints([2, 2, 2])), ("strides", .ints([2, 2, 2]))])
        }
        let nodes = [
            conv("x", "a", "first"), conv("a", "b", "next"), pool("b", "p1"), conv("p1", "c", "next"),
            conv("c", "d", "next"), pool("d", "p2"), ONNX.node("GlobalAveragePool", ["p2"], ["y"]),
        ]
        let port = { (name: String, channels: Int, extent: Int) in
            ONNX.port(name, ([1, channels] + [Int](repeating: extent, count: 3)).map { .fixed($0) })
        }
        let network = try ONNX.network(
            ONNX.model(
                ONNX.graph(
                    nodes, inputs: [port("x", 1, 64)], outputs: [port("y", 16, 1)],
                    initializers: [
                        ONNX.floats("first", [16, 1, 3, 3, 3], [Float](repeating: 0.1, count: 16 * 27)),
                        ONNX.floats("next", [16, 16, 3, 3, 3], [Float](repeating: 0.1, count: 256 * 27)),
                    ])))
        let shape = [1, 1, 64, 64, 64]
        let free = try plan(network, shape, kept: ["y"], limit: nil)
        let bound = try plan(network, shape, kept: ["y"], limit: free.peak / 2)
        #expect(bound.summary.hasSuffix("slabs to 'p1'"), "\(bound.summary)")
        #expect(try bound.repetition() < 1.01)
    }

    /// Where a slab of one plane is too much, tiles along several axes are not; and what is promised is kept: the most that large tensors
    /// took at once while a run went on.
    @Test func tilesAlongSeveralAxesStayWithinLess() throws {
        let network = try network()
        let shape = [1, 1, 8, 96, 96]
        let slabs = { (limit: Int) in try self.plan(network, shape, kept: ["y"], limit: limit) }
        let free = try plan(network, shape, kept: ["y"], limit: nil)
        let limit = free.peak / 4
        #expect(throws: Failure.self) { _ = try slabs(limit) }
        let tiles = try plan(network, shape, kept: ["y"], limit: limit, search: .everything)
        #expect(!tiles.isWhole && tiles.peak <= limit)
        #expect(tiles.summary.contains(" × ") && tiles.summary.contains("tiles to '"), "\(tiles.summary)")
        // Measured, the tiles hold what the plan says and no more.
        var numbers = SeededNumbers(7)
        var values = [network.tensorIDs["x"]!: Value.float(numbers.tensor(shape))]
        let shapes = try network.interpret(["x": shape]).map { $0?.shape }
        var measured = 0
        for case .tiles(let segment) in tiles.pieces {
            let before = values.filter { $0.key != network.tensorIDs["x"]! }.values.reduce(0) {
                $0 + 4 * $1.shape.elementCount
            }
            let result = try segment.run(network, shapes: shapes, source: { values[$0] }, interruption: {}) {
                measured = max(measured, before + 4 * shapes[segment.result]!.elementCount + $0)
            }
            values[segment.result] = result
        }
        #expect(measured > tiles.peak / 2 && measured <= tiles.peak)
        // Where slabs do, they are taken unless tiles compute less.
        let roomy = try plan(network, [1, 1, 64, 32, 32], kept: ["y"], limit: free.peak / 3, search: .everything)
        let slabbed = try plan(network, [1, 1, 64, 32, 32], kept: ["y"], limit: free.peak / 3)
        #expect(try roomy.repetition() <= slabbed.repetition())
    }

    /// A large tensor that is read again much later cannot be cut away, and the message says where it ends.
    @Test func whatIsReadAgainIsNoPartsInside() throws {
        let network = try network(skipping: true)
        let shape = [1, 1, 64, 32, 32]
        let free = try plan(network, shape, kept: ["z"], limit: nil)
        #expect {
            _ = try plan(network, shape, kept: ["z"], limit: free.peak / 3)
        } throws: { error in
            (error as? Failure)?.kind == .resources
        }
        // A layer that is asked for is one, too.
        let tapped = try plan(try self.network(), shape, kept: ["y", "p"], limit: free.peak / 2)
        #expect(tapped.peak <= free.peak / 2 && !tapped.isWhole)
    }
}

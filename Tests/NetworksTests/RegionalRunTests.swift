import Tensors
import TestSupport
import Testing

@testable import Networks

/// A run on an input that differs in a region gives what a whole run does.
@Suite struct RegionalRunTests {
    /// A residual, a dilated and a strided convolution, pools with and without a rest, a concatenation, a global pool, a classifier.
    private func network(_ rank: Int) throws -> Network {
        func weights(_ name: String, _ shape: [Int], _ seed: UInt64) -> Message {
            var numbers = SeededNumbers(seed)
            return ONNX.floats(name, shape, numbers.tensor(shape).values)
        }
        func each(_ value: Int) -> ONNX.Attribute { .ints([Int](repeating: value, count: rank)) }
        func pads(_ begin: Int, _ end: Int) -> ONNX.Attribute {
            .ints([Int](repeating: begin, count: rank) + [Int](repeating: end, count: rank))
        }
        let three = [Int](repeating: 3, count: rank)
        let names = ["d", "h", "w"].suffix(rank)
        let nodes = [
            ONNX.node("Conv", ["x", "wa"], ["a"], [("pads", pads(1, 1))]), ONNX.node("Relu", ["a"], ["ra"]),
            ONNX.node("Conv", ["ra", "wb"], ["b"], [("pads", pads(2, 2)), ("dilations", each(2))]),
            ONNX.node("Add", ["b", "ra"], ["s"]), ONNX.node("Relu", ["s"], ["rs"]),
            ONNX.node(
                "MaxPool", ["rs"], ["p"],
                [("kernel_shape", each(3)), ("strides", each(2)), ("pads", pads(1, 0)), ("ceil_mode", .int(1))]),
            ONNX.node("Conv", ["p", "wc"], ["c"], [("pads", pads(0, 1)), ("strides", each(2))]),
            ONNX.node("Sigmoid", ["c"], ["g"]), ONNX.node("Concat", ["c", "g"], ["cg"], [("axis", .int(1))]),
            ONNX.node(
                "AveragePool", ["cg"], ["q"], [("kernel_shape", each(2)), ("strides", each(1)), ("pads", pads(0, 1))]),
            ONNX.node("GlobalAveragePool", ["q"], ["v"]), ONNX.node("Flatten", ["v"], ["f"]),
            ONNX.node("Gemm", ["f", "wf"], ["y"]),
        ]
        return try ONNX.network(
            ONNX.model(
                ONNX.graph(
                    nodes,
                    inputs: [ONNX.port("x", [.fixed(1), .fixed(2)] + names.map { .symbolic($0) })],
                    outputs: [ONNX.port("y", [.fixed(1), .fixed(3)])],
                    initializers: [
                        weights("wa", [6, 2] + three, 1), weights("wb", [6, 6] + three, 2),
                        weights("wc", [4, 6] + three, 3), weights("wf", [8, 3], 4),
                    ])))
    }

    @Test(arguments: [[31, 26, 29], [45, 52], [24, 24, 24]])
    func aChangedRegionGivesWhatTheWholeDoes(_ extents: [Int]) throws {
        let network = try network(extents.count)
        var numbers = SeededNumbers(8)
        let x = numbers.tensor([1, 2] + extents)
        let run = try #require(
            try RegionalRun(network, inputs: ["x": .float(x)], changing: "x", target: "y"))
        // In the middle, in the corners, at an end, a single place, a long row, and nearly everything.
        let boxes = [
            extents.map { $0 / 3..<$0 / 2 }, extents.map { _ in 0..<4 }, extents.map { $0 - 3..<$0 },
            extents.map { $0 / 2..<$0 / 2 + 1 }, extents.dropLast().map { 7..<min(9, $0) } + [0..<extents.last!],
            extents.map { 1..<$0 },
        ].map { Box($0) }
        for box in boxes {
            var changed = x
            let other = numbers.tensor([1, 2] + box.extents)
            changed.withUnsafeMutableBuffer { other.write(at: box, of: extents, to: $0) }
            #expect(changed.difference(from: x) == box && x.difference(from: x) == nil)
            #expect(changed.part(box) == other)
            var reached: [String: Box?] = [:]
            let value = try run.target(for: changed, differingIn: box, reaching: { reached[$0] = $1 })
            guard case .float(let actual) = value,
                case .float(let expected)? = try network.run(inputs: ["x": .float(changed)], wanting: ["y"])["y"],
                case .float(let before)? = try network.run(inputs: ["x": .float(x)], wanting: ["y"])["y"]
            else { fatalError("floats") }
            #expect(relativeError(actual, expected) < 1e-5, "\(box)")
            #expect(relativeError(before, expected) > 1e-4, "the region matters")
            // A small region stays one through the layers that allow it.
            if box.count * 20 < extents.elementCount {
                let convolved = try #require(reached["ra"] ?? nil)
                #expect(convolved.extents.elementCount < extents.elementCount / 2)
                #expect(zip(convolved.ranges, box.ranges).allSatisfy { $0.contains($1.lowerBound) })
            }
            #expect(reached["y"] == .some(nil))
        }
    }

    /// Tensors on which the region has no say stay as they were.
    @Test func whatIsNotReachedIsNotComputed() throws {
        let network = try ONNX.network(
            ONNX.model(
                ONNX.graph(
                    [
                        ONNX.node(
                            "MaxPool", ["x"], ["p"], [("kernel_shape", .ints([1, 1])), ("strides", .ints([4, 4]))]),
                        ONNX.node("GlobalMaxPool", ["p"], ["y"]),
                    ],
                    inputs: [ONNX.port("x", [.fixed(1), .fixed(1), .symbolic("h"), .symbolic("w")])],
                    outputs: [ONNX.port("y", [.fixed(1), .fixed(1), .fixed(1), .fixed(1)])], initializers: [])))
        var numbers = SeededNumbers(9)
        let x = numbers.tensor([1, 1, 16, 16])
        let run = try #require(
            try RegionalRun(network, inputs: ["x": .float(x)], changing: "x", target: "y"))
        var changed = x
        changed.withUnsafeMutableBuffer { $0[16 * 5 + 6] = 100 }
        // Between the places that the stride takes.
        let value = try run.target(
            for: changed, differingIn: Box([5..<6, 6..<7]),
            reaching: { tensor, _ in Issue.record("\(tensor) was computed") })
        #expect(try network.run(inputs: ["x": .float(x)], wanting: ["y"])["y"]?.summary == value.summary)
    }
}

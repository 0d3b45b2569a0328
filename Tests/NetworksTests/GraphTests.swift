import Failures
import Foundation
import TestSupport
import Tensors
import Testing

@testable import Networks

/// What a file may hold and how it is read: built by hand, field by field.
@Suite struct GraphTests {
    static let x = ONNX.port("x", [.fixed(1), .fixed(2)])
    static let y = ONNX.port("y", [.fixed(1), .fixed(2)])

    static func run(_ bytes: [UInt8], _ values: [Float] = [1, -2]) throws -> [Float] {
        let network = try ONNX.network(bytes)
        let input = network.inputs[0].name
        let output = network.outputs[0].name
        guard
            case .float(let y)? = try network.run(
                inputs: [input: .float(Tensor(shape: [1, values.count], values: values))], wanting: [output])[output]
        else { return [] }
        return y.values
    }

    static func addition(_ weights: Message, inputs: [Message] = [x], opset: Int = 18) -> [UInt8] {
        ONNX.model(
            ONNX.graph([ONNX.node("Add", ["x", "w"], ["y"])], inputs: inputs, outputs: [y], initializers: [weights]),
            opset: opset)
    }

    @Test func weightsOfEveryForm() throws {
        let raw: [(ElementType, [UInt8])] = [
            (.float32, [0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]), (.float16, [0, 0x3c, 0, 0x40]),
            (.bfloat16, [0x80, 0x3f, 0, 0x40]),
            (.float64, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40]),
        ]
        for (type, bytes) in raw {
            let tensor = ONNX.tensor("w", type, [2]) { $0.data(9, bytes) }
            #expect(try Self.run(Self.addition(tensor)) == [2, 0], "\(type) raw")
        }
        let float = ONNX.tensor("w", .float32, [2]) { $0.floats(4, [1, 2]) }
        #expect(try Self.run(Self.addition(float)) == [2, 0])
        let unpacked = ONNX.tensor("w", .float32, [2]) { message in
            message.float(4, 1)
            message.float(4, 2)
        }
        #expect(try Self.run(Self.addition(unpacked)) == [2, 0])
        let half = ONNX.tensor("w", .float16, [2]) { $0.ints(5, [0x3c00, 0x4000], packed: true) }
        #expect(try Self.run(Self.addition(half)) == [2, 0])
        let brain = ONNX.tensor("w", .bfloat16, [2]) { $0.ints(5, [0x3f80, 0x4000]) }
        #expect(try Self.run(Self.addition(brain)) == [2, 0])
        let double = ONNX.tensor("w", .float64, [2]) { message in
            message.data(10, [1.0, 2.0].flatMap { withUnsafeBytes(of: $0.bitPattern, Array.init) })
        }
        #expect(try Self.run(Self.addition(double)) == [2, 0])
    }

    /// Long weights are copied in pieces, whose pages are given back to the file, unless they lie on a boundary.
    @Test func longWeightsAnywhereInTheFile() throws {
        let count = 9 << 20
        let numbers = (0..<count).map { Float($0 & 0xfffff) }
        let bytes = numbers.withUnsafeBytes { Array($0) }
        for name in ["w", "ww", "www", "wwww"] {
            let tensor = ONNX.tensor(name, .float32, [count / 2, 2]) { $0.data(9, bytes) }
            let network = try ONNX.network(
                ONNX.model(
                    ONNX.graph(
                        [ONNX.node("Add", ["x", name], ["y"])], inputs: [Self.x], outputs: [Self.y],
                        initializers: [tensor])))
            for _ in 0..<2 {
                guard case .float(let weights)? = network.constantValues[network.tensorIDs[name]!] else {
                    Issue.record("no weights '\(name)'")
                    continue
                }
                #expect(weights.values == numbers)
            }
        }
    }

    @Test func integersOfEveryForm() throws {
        let forms: [(ElementType, (inout Message) -> Void, [Int64])] = [
            (.int64, { $0.ints(7, [-1, 300]) }, [-1, 300]),
            (.int32, { $0.ints(5, [-1, 300], packed: true) }, [-1, 300]),
            (.int8, { $0.data(9, [0xff, 0x7f]) }, [-1, 127]), (.uint8, { $0.data(9, [0xff, 0x7f]) }, [255, 127]),
            (.int16, { $0.data(9, [0xff, 0xff, 0, 1]) }, [-1, 256]),
            (.uint16, { $0.data(9, [0xff, 0xff, 0, 1]) }, [65535, 256]),
            (.uint32, { $0.ints(11, [7, 1 << 31]) }, [7, 1 << 31]),
            (.uint64, { $0.ints(11, [7, 1 << 40]) }, [7, 1 << 40]),
        ]
        for (type, fill, expected) in forms {
            let tensor = try TensorFile(WireReader(Self.mapped(ONNX.tensor("t", type, [2], fill).bytes)))
            guard case .integer(let value) = try tensor.value(files: ExternalFiles(besides: URL(fileURLWithPath: "/")))
            else {
                Issue.record("\(type) is an integer")
                continue
            }
            #expect(value.values == expected, "\(type)")
        }
        let flags = ONNX.tensor("t", .bool, [3]) { $0.data(9, [0, 1, 2]) }
        guard
            case .boolean(let value) = try TensorFile(WireReader(Self.mapped(flags.bytes)))
                .value(files: ExternalFiles(besides: URL(fileURLWithPath: "/")))
        else {
            Issue.record("booleans")
            return
        }
        #expect(value.values == [false, true, true])
    }

    static func mapped(_ bytes: [UInt8]) throws -> MappedBytes {
        let file = try MappedFile(ONNX.file(bytes))
        return MappedBytes(file: file, range: 0..<bytes.count)
    }

    @Test func groupsAndUnknownFieldsAreSteppedOver() throws {
        var message = Message()
        message.raw(Message.key(60, 3) + Message.key(3, 0) + Message.varint(5) + Message.key(7, 3) + Message.key(7, 4))
        message.raw(Message.key(60, 4))
        message.int(61, 12)
        message.raw(Self.addition(ONNX.floats("w", [2], [1, 2])))
        #expect(try Self.run(message.bytes) == [2, 0])
    }

    @Test func float32WeightsAreBorrowedWhereTheyAreAligned() throws {
        for shift in 0..<4 {
            let name = String(repeating: "w", count: shift + 1)
            let graph = ONNX.graph(
                [ONNX.node("Add", ["x", name], ["y"])], inputs: [Self.x], outputs: [Self.y],
                initializers: [ONNX.floats(name, [2], [1, 2])])
            #expect(try Self.run(ONNX.model(graph)) == [2, 0])
        }
    }

    @Test func initializersThatAreInputsTooAreDefaults() throws {
        let bytes = Self.addition(ONNX.floats("w", [2], [1, 2]), inputs: [Self.x, ONNX.port("w", [.fixed(2)])])
        #expect(try ONNX.network(bytes).inputs.map(\.name) == ["x"])
        #expect(try Self.run(bytes) == [2, 0])
    }

    @Test func externalData() throws {
        let folder = Fixtures.temporaryFolder("external")
        _ = try ONNX.file([9, 9, 9, 9, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40], name: "weights.bin", in: folder)
        func model(_ entries: [(String, String)]) throws -> Network {
            let tensor = ONNX.tensor("w", .float32, [2]) { message in
                for (key, value) in entries { message.message(13, ONNX.entry(key, value)) }
                message.int(14, 1)
            }
            return try Network(contentsOf: ONNX.file(Self.addition(tensor), in: folder))
        }
        let network = try model([("location", "weights.bin"), ("offset", "4"), ("length", "8")])
        guard case .float(let w)? = network.constant("w") else {
            Issue.record("w")
            return
        }
        #expect(w.values == [1, 2])
        let without = try model([("location", "weights.bin"), ("offset", "4")])
        guard case .float(let w)? = without.constant("w") else {
            Issue.record("w")
            return
        }
        #expect(w.values == [1, 2])
        for (entries, found) in [
            ([("location", "/etc/passwd")], "/etc/passwd"), ([("location", "../weights.bin")], "../weights.bin"),
            ([("location", "a/../../w.bin")], "a/../../w.bin"), ([("location", "")], "''"), ([], "none"),
            ([("location", "weight.bin")], "no such file"),
            ([("location", "weights.bin"), ("offset", "8")], "12 bytes"),
            ([("location", "weights.bin"), ("offset", "-4")], "-4"),
            ([("location", "weights.bin"), ("offset", "4"), ("length", "4")], "4 bytes"),
            ([("location", "weights.bin"), ("offset", "9223372036854775807"), ("length", "8")], "12 bytes"),
        ] as [([(String, String)], String)] {
            let failure = #expect(throws: Failure.self) { try model(entries) }
            #expect(failure?.kind == .network)
            #expect(failure?.found.contains(found) ?? false, "\(failure!)")
        }
    }

    @Test func functionsAreInlined() throws {
        // scaled(a; factor = 2) = a · factor + a, nested in twice(b) = scaled(scaled(b; factor = 3)).
        let scaled = ONNX.function(
            "scaled", domain: "own", inputs: ["a"], outputs: ["r"],
            defaults: [("factor", .float(2))],
            [
                ONNX.node("Constant", [], ["f"], [("value_float", .reference("factor", type: 1))]),
                ONNX.node("Mul", ["a", "f"], ["m"]), ONNX.node("Add", ["m", "a"], ["r"]),
            ])
        let twice = ONNX.function(
            "twice", domain: "own", inputs: ["b"], outputs: ["s"],
            [
                ONNX.node("scaled", ["b"], ["t"], name: "inner", domain: "own", [("factor", .float(3))]),
                ONNX.node("scaled", ["t"], ["s"], domain: "own"),
            ])
        let graph = ONNX.graph(
            [ONNX.node("twice", ["x"], ["y"], name: "call", domain: "own")], inputs: [Self.x], outputs: [Self.y])
        let bytes = ONNX.model(graph, domains: ["own"], functions: [scaled, twice])
        #expect(try Self.run(bytes) == [12, -24])
        #expect(try ONNX.network(bytes).nodes.map(\.type) == ["Mul", "Add", "Mul", "Add"])
        #expect(try ONNX.network(bytes).nodes[0].name.hasPrefix("call/inner/Mul"))
    }

    @Test func aFunctionMayHandItsInputThrough() throws {
        let same = ONNX.function(
            "same", domain: "own", inputs: ["a"], outputs: ["a"], [ONNX.node("Relu", ["a"], ["unused"])])
        let graph = ONNX.graph([ONNX.node("same", ["x"], ["y"], domain: "own")], inputs: [Self.x], outputs: [Self.y])
        #expect(try Self.run(ONNX.model(graph, domains: ["own"], functions: [same])) == [1, -2])
    }

    @Test func decidedBranchesAreInlined() throws {
        for (flag, expected) in [(1, [Float(1), 0]), (0, [-1, 2])] {
            let yes = ONNX.graph(
                [ONNX.node("Relu", ["x"], ["r"])], outputs: [ONNX.port("r", [.fixed(1), .fixed(2)])], name: "yes")
            let no = ONNX.graph(
                [ONNX.node("Neg", ["x"], ["r"])], outputs: [ONNX.port("r", [.fixed(1), .fixed(2)])], name: "no")
            let condition = ONNX.tensor("c", .bool, []) { $0.data(9, [UInt8(flag)]) }
            let graph = ONNX.graph(
                [ONNX.node("If", ["c"], ["y"], [("then_branch", .graph(yes)), ("else_branch", .graph(no))])],
                inputs: [Self.x],
                outputs: [Self.y], initializers: [condition])
            #expect(try Self.run(ONNX.model(graph)) == expected)
        }
    }

    @Test func aBranchMayHangOnAShape() throws {
        // As the older exporter writes squeeze: if the extent is 1, squeeze, else leave.
        let yes = ONNX.graph([ONNX.node("Relu", ["x"], ["r"])], outputs: [ONNX.port("r", nil)])
        let no = ONNX.graph([ONNX.node("Neg", ["x"], ["r"])], outputs: [ONNX.port("r", nil)])
        let nodes = [
            ONNX.node("Shape", ["x"], ["s"]), ONNX.node("Gather", ["s", "zero"], ["n"]),
            ONNX.node("Equal", ["n", "one"], ["c"]),
            ONNX.node("If", ["c"], ["y"], name: "choice", [("then_branch", .graph(yes)), ("else_branch", .graph(no))]),
        ]
        let constants = [ONNX.integers("zero", [0], scalar: true), ONNX.integers("one", [1], scalar: true)]
        let fixed = ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y], initializers: constants)
        #expect(try Self.run(ONNX.model(fixed)) == [1, 0])
        let open = ONNX.graph(
            nodes, inputs: [ONNX.port("x", [.symbolic("n"), .fixed(2)])], outputs: [Self.y], initializers: constants)
        let failure = #expect(throws: Failure.self) { try ONNX.network(ONNX.model(open)) }
        #expect(
            failure?.found.contains("node 'choice' (If, opset 18; its condition is known only while the network runs")
                ?? false)
    }

    @Test func whatDependsOnConstantsIsComputedOnce() throws {
        let nodes = [
            ONNX.node("Shape", ["x"], ["s"]), ONNX.node("Constant", [], ["two"], [("value_int", .int(2))]),
            ONNX.node("Mul", ["s", "two"], ["double"]), ONNX.node("ConstantOfShape", ["double"], ["zeros"]),
            ONNX.node("Relu", ["zeros"], ["still"]), ONNX.node("ReduceSum", ["still"], ["sum"]),
            ONNX.node("Add", ["x", "sum"], ["y"]), ONNX.node("Sigmoid", ["x"], ["unused"]),
        ]
        let network = try ONNX.network(ONNX.model(ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y])))
        #expect(network.nodes.map(\.type) == ["Add"])
    }

    @Test func placeholdersOfIntegersAreNotTakenForConstants() throws {
        // The best class depends on the data even where all shapes are fixed.
        let nodes = [
            ONNX.node("ArgMax", ["x"], ["best"], [("axis", .int(1)), ("keepdims", .int(1))]),
            ONNX.node("Cast", ["best"], ["y"], [("to", .int(1))]),
        ]
        let graph = ONNX.graph(nodes, inputs: [Self.x], outputs: [ONNX.port("y", [.fixed(1), .fixed(1)])])
        #expect(try Self.run(ONNX.model(graph), [1, 5]) == [1])
        #expect(try Self.run(ONNX.model(graph), [7, 5]) == [0])
    }

    @Test func nodesAreSortedAndNamed() throws {
        let nodes = [
            ONNX.node("Neg", ["b"], ["y"]), ONNX.node("Relu", ["a"], ["b"], name: "same"),
            ONNX.node("Abs", ["x"], ["a"], name: "same"), ONNX.node("Exp", ["x"], ["unused"]),
        ]
        let network = try ONNX.network(ONNX.model(ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y])))
        #expect(network.nodes.map(\.type) == ["Abs", "Relu", "Neg"])
        #expect(network.nodes.map(\.name) == ["same", "same_0", "Neg_0"])
    }

    @Test func aNetworkCanBeCutBeforeAnOperatorThatIsMissing() throws {
        let nodes = [ONNX.node("Neg", ["x"], ["a"]), ONNX.node("Mystery", ["a"], ["y"])]
        let bytes = ONNX.model(ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y]))
        #expect(throws: Failure.self) { try ONNX.network(bytes) }
        let network = try ONNX.network(bytes, outputs: ["a"])
        guard
            case .float(let a)? = try network.run(
                inputs: ["x": .float(Tensor(shape: [1, 2], values: [1, 2]))], wanting: ["a"])["a"]
        else {
            Issue.record("a")
            return
        }
        #expect(a.values == [-1, -2])
    }

    @Test func everyOperatorThatIsMissingIsNamedAtOnce() throws {
        let nodes = [
            ONNX.node("Neg", ["x"], ["a"], name: "before"), ONNX.node("Mystery", ["a"], ["b"], name: "first"),
            ONNX.node("FusedConv", ["b"], ["c"], name: "second", domain: "com.microsoft"),
            ONNX.node("Neg", ["c"], ["y"]),
        ]
        let graph = ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y])
        let failure = #expect(throws: Failure.self) { try ONNX.network(ONNX.model(graph, domains: ["com.microsoft"])) }
        let text = "\(failure!)"
        #expect(text.contains("node 'first' (Mystery, opset 18)"))
        #expect(text.contains("node 'second' (com.microsoft.FusedConv, opset 18; an operator of onnxruntime's own"))
        #expect(text.contains("the last of them 'before'"))
    }

    @Test func inputsAreCheckedBeforeAnythingRuns() throws {
        let nodes = [ONNX.node("Add", ["a", "b"], ["y"])]
        let inputs = [ONNX.port("a", [.symbolic("n"), .fixed(2)]), ONNX.port("b", [.symbolic("n"), .fixed(2)])]
        let network = try ONNX.network(ONNX.model(ONNX.graph(nodes, inputs: inputs, outputs: [ONNX.port("y", nil)])))
        func tensor(_ shape: [Int]) -> Value { .float(Tensor(shape: shape, repeating: 1)) }
        for (given, part) in [
            (["a": tensor([1, 2])], "input 'b': expected a value"),
            (["a": tensor([1, 2]), "c": tensor([1, 2])], "Did you mean 'a'?"),
            (["a": tensor([1, 3]), "b": tensor([1, 2])], "expected a shape of [n, 2], found [1, 3]"),
            (["a": tensor([1, 2, 1]), "b": tensor([1, 2])], "found 3 axes"),
            (["a": tensor([1, 2]), "b": tensor([2, 2])], "but 'n' is 1 elsewhere"),
            (["a": .integer(Tensor(shape: [1, 2], repeating: 1)), "b": tensor([1, 2])], "expected float elements"),
        ] as [([String: Value], String)] {
            let failure = #expect(throws: Failure.self) { try network.run(inputs: given, wanting: ["y"]) }
            #expect("\(failure!)".contains(part), "\(failure!)")
        }
    }

    @Test func noNumbersAreSaidToBeNone() throws {
        let nodes = [
            ONNX.node("Sub", ["x", "big"], ["a"], name: "inf"), ONNX.node("Sub", ["a", "a"], ["y"], name: "nan"),
        ]
        let graph = ONNX.graph(
            nodes, inputs: [Self.x], outputs: [Self.y], initializers: [ONNX.floats("big", [1], [.infinity])])
        let network = try ONNX.network(ONNX.model(graph))
        func failure(_ values: [Float]) -> Failure? {
            #expect(throws: Failure.self) {
                try network.run(inputs: ["x": .float(Tensor(shape: [1, 2], values: values))], wanting: ["y"])
            }
        }
        #expect(failure([1, 2])?.found == "NaN, first computed by node 'nan' (Sub)")
        #expect(failure([1, .nan])?.found == "NaN, because input 'x' holds NaN")
    }

    @Test func aRunCanBeInterrupted() throws {
        let nodes = (0..<5).map { ONNX.node("Neg", ["t\($0)"], ["t\($0 + 1)"]) }
        let graph = ONNX.graph(nodes, inputs: [ONNX.port("t0", [.fixed(2)])], outputs: [ONNX.port("t5", [.fixed(2)])])
        let network = try ONNX.network(ONNX.model(graph))
        let input = ["t0": Value.float(Tensor(shape: [2], values: [1, 2]))]
        let failure = #expect(throws: Failure.self) {
            try network.run(inputs: input, wanting: ["t5"], interrupted: { true })
        }
        #expect(failure?.kind == .interrupted)
        let recording = try network.record(inputs: input, targets: ["t5"], taps: ["t2"], interrupted: { false })
        #expect(
            try recording.pullback(seeds: ["t5": Tensor(shape: [2], repeating: 1)], to: ["t2"])["t2"]!.values == [
                -1, -1,
            ])
    }

    @Test func rulesReplacePullbacks() throws {
        let nodes = [ONNX.node("Relu", ["x"], ["a"], name: "one"), ONNX.node("Relu", ["a"], ["y"], name: "two")]
        let network = try ONNX.network(ONNX.model(ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y])))
        let recording = try network.record(
            inputs: ["x": .float(Tensor(shape: [1, 2], values: [3, -3]))], targets: ["y"], taps: ["x"])
        let seed = Tensor<Float>(shape: [1, 2], values: [-1, -1])
        func gradient(_ rules: PropagationRules) throws -> [Float] {
            try recording.pullback(seeds: ["y": seed], to: ["x"], rules: rules)["x"]!.values
        }
        #expect(try gradient(.standard) == [-1, 0])
        // The deconvnet's rule: what comes back is rectified, whatever went forward.
        var rules = PropagationRules()
        rules[type: "Relu"] = { call, _ in
            [call.gradients[0].map { Tensor(shape: $0.shape, values: $0.values.map { max(0, $0) }) }]
        }
        #expect(try gradient(rules) == [0, 0])
        rules[type: "Relu"] = nil
        rules[node: "two"] = { call, node in
            #expect(node.name == "two")
            return [call.gradients[0].map { Tensor(shape: $0.shape, values: $0.values.map { $0 * 10 }) }]
        }
        #expect(try gradient(rules) == [-10, 0])
    }

    @Test func aTensorReadTwiceGetsBothGradients() throws {
        let nodes = [ONNX.node("Mul", ["x", "x"], ["a"]), ONNX.node("Add", ["a", "x"], ["y"])]
        let network = try ONNX.network(ONNX.model(ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y])))
        let recording = try network.record(
            inputs: ["x": .float(Tensor(shape: [1, 2], values: [3, -3]))], targets: ["y"], taps: ["x", "a"])
        let gradients = try recording.pullback(seeds: ["y": Tensor(shape: [1, 2], repeating: 1)], to: ["x", "a"])
        #expect(gradients["x"]!.values == [7, -5])
        #expect(gradients["a"]!.values == [1, 1])
    }

    @Test func aTapThatDoesNotLeadToTheTargetIsRefused() throws {
        let nodes = [ONNX.node("Neg", ["x"], ["y"]), ONNX.node("Abs", ["x"], ["z"])]
        let graph = ONNX.graph(nodes, inputs: [Self.x], outputs: [Self.y, ONNX.port("z", [.fixed(1), .fixed(2)])])
        let network = try ONNX.network(ONNX.model(graph))
        let recording = try network.record(
            inputs: ["x": .float(Tensor(shape: [1, 2], values: [3, -3]))], targets: ["y"], taps: ["z"])
        let failure = #expect(throws: Failure.self) {
            try recording.pullback(seeds: ["y": Tensor(shape: [1, 2], repeating: 1)], to: ["z"])
        }
        #expect(failure?.expected == "a layer on which 'y' depends")
    }

    @Test func metadataAndPorts() throws {
        let graph = ONNX.graph(
            [ONNX.node("Neg", ["x"], ["y"])], inputs: [ONNX.port("x", [.symbolic("N"), .fixed(-1), .fixed(3)])],
            outputs: [ONNX.port("y", nil)], name: "little")
        let network = try ONNX.network(ONNX.model(graph, metadata: [("classes", "a,b")]))
        #expect(network.name == "little")
        #expect(network.producer == "test 1.0")
        #expect(network.opset == 18)
        #expect(network.metadata == ["classes": "a,b"])
        #expect(network.inputs[0].shapeText == "[N, x_1, 3]")
        #expect(network.outputs[0].dims == nil)
    }
}

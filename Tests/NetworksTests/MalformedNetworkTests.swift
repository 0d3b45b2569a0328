import Failures
import Foundation
import Networks
import TestSupport
import Testing

/// Files that are no network, or a broken one: each must be refused with a message that names the file and the fault.
@Suite struct MalformedNetworkTests {
    static let x = ONNX.port("x", [.fixed(1), .fixed(2)])
    static let y = ONNX.port("y", [.fixed(1), .fixed(2)])

    static func model(
        _ nodes: [Message], inputs: [Message] = [x], outputs: [Message] = [y], initializers: [Message] = [],
        opset: Int = 18
    ) -> [UInt8] {
        ONNX.model(ONNX.graph(nodes, inputs: inputs, outputs: outputs, initializers: initializers), opset: opset)
    }

    static let relu = ONNX.node("Relu", ["x"], ["y"], name: "only")
    static func adding(_ weights: Message) -> [UInt8] {
        model([ONNX.node("Add", ["x", "w"], ["y"])], initializers: [weights])
    }

    /// What the file holds, what is wrong with it, and a part of the message.
    static let cases: [(kind: String, bytes: [UInt8], part: String)] = [
        ("empty", [], "found an empty file"),
        ("PyTorch archive", Array("PK\u{3}\u{4}      model/data.pkl".utf8), "torch.onnx.export"),
        ("plain zip", Array("PK\u{3}\u{4}      notes.txt".utf8), "a zip archive"),
        ("pickle", [0x80, 2, 0x7d, 0x71, 0], "a Python pickle"),
        ("Keras HDF5", [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, 0], "format='onnx'"),
        ("SavedModel", [0x08, 1, 0x12, 20] + Array("saved_model_schema..".utf8), "tf2onnx.convert --saved-model"),
        (
            "frozen graph", [0x0a, 20, 0x0a, 1, 0x78, 0x12, 11] + Array("Placeholder".utf8),
            "tf2onnx.convert --graphdef"
        ),
        ("TFLite", [0x1c, 0, 0, 0] + Array("TFL3".utf8), "tf2onnx.convert --tflite"),
        (
            "safetensors", [16, 0, 0, 0, 0, 0, 0, 0] + Array("{\"a\":{\"dtype\":\"F32\"}}".utf8),
            "holds weights and no graph"
        ),
        ("OpenVINO", Array("<?xml version=\"1.0\"?><net name=\"m\">".utf8), "OpenVINO"),
        ("ORT", [0x20, 0, 0, 0] + Array("ORTM    ".utf8), "onnxruntime's own form"),
        ("Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\noid sha256:0".utf8), "git lfs pull"),
        ("gzip", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "a gzip file"),
        ("PNG", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], "an image"),
        ("text", Array("this is not a network at all".utf8), "found text"),
        (
            "random bytes", (0..<400).map { UInt8(truncatingIfNeeded: ($0 * 7919 + 13) ^ ($0 >> 3) | 0xc0) },
            "expected an ONNX model"
        ),
        ("truncated", Array(model([relu]).dropLast(30)), "truncated or damaged"),
        ("length past the end", [0x08, 8, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], "a length of 4294967295 bytes"),
        ("endless varint", [0x08] + [UInt8](repeating: 0xff, count: 12), "expected an ONNX model"),
        ("no graph", ONNX.model(nil), "an ONNX file without one"),
        ("old opset", model([relu], opset: 6), "found version 6"),
        ("no outputs", model([relu], outputs: []), "at least one output"),
        ("missing input", model([ONNX.node("Relu", ["z"], ["y"], name: "only")]), "expected tensor 'z'"),
        ("missing output", model([ONNX.node("Relu", ["x"], ["yy"])]), "output 'y': expected tensor 'y'"),
        (
            "cycle",
            model([
                ONNX.node("Add", ["x", "b"], ["a"], name: "p"), ONNX.node("Relu", ["a"], ["b"], name: "q"),
                ONNX.node("Neg", ["b"], ["y"]),
            ]), "a cycle through 'p', 'q'"
        ),
        ("duplicate tensor", model([relu, ONNX.node("Neg", ["x"], ["y"])]), "tensor 'y': expected one definition"),
        (
            "output named as input", model([ONNX.node("Relu", ["x"], ["x"]), ONNX.node("Relu", ["x"], ["y"])]),
            "tensor 'x': expected one definition"
        ),
        (
            "duplicate initializer",
            model([relu], initializers: [ONNX.floats("w", [1], [1]), ONNX.floats("w", [1], [1])]),
            "two of the same name"
        ),
        ("duplicate input", model([relu], inputs: [x, x]), "input 'x': expected one declaration"),
        ("duplicate output", model([relu], outputs: [y, y]), "output 'y': expected one declaration"),
        ("negative extent", adding(ONNX.floats("w", [-2], [1, 2])), "extents of at least 0"),
        ("absurd extents", adding(ONNX.floats("w", [1 << 40, 1 << 40], [1, 2])), "fits in memory"),
        (
            "lying extents", adding(ONNX.floats("w", [1, 3], [1, 2])),
            "expected 12 bytes for float32 [1, 3], found 8 bytes"
        ),
        (
            "too few typed values", adding(ONNX.tensor("w", .float32, [3]) { $0.floats(4, [1, 2]) }),
            "expected 3 elements"
        ),
        (
            "torn packed floats", adding(ONNX.tensor("w", .float32, [1]) { $0.data(4, [0, 0, 0, 0, 0]) }),
            "packed numbers of 4 bytes"
        ),
        ("strings as weights", adding(ONNX.tensor("w", .string, [1]) { $0.text(6, "a") }), "found string"),
        ("float8 weights", adding(ONNX.tensor("w", .float8e4m3fn, [2]) { $0.data(9, [1, 2]) }), "found float8e4m3fn"),
        (
            "unknown element type", model([relu], inputs: [ONNX.port("x", [.fixed(2)], type: .complex64)]),
            "found complex64"
        ),
        ("absurd input extent", model([relu], inputs: [ONNX.port("x", [.fixed(1 << 50)])]), "extents of at least 1"),
        (
            "unknown operator", model([ONNX.node("Frobnicate", ["x"], ["y"], name: "f")]),
            "node 'f' (Frobnicate, opset 18)"
        ),
        (
            "loop",
            model([ONNX.node("Loop", ["", "", "x"], ["y"], name: "l", [("body", .graph(ONNX.graph([], outputs: [])))])]
            ), "node 'l' (Loop, opset 18"
        ),
        ("shapes that do not fit", adding(ONNX.floats("w", [3], [1, 2, 3])), "Add"),
        (
            "attribute of the wrong type",
            model([ONNX.node("LeakyRelu", ["x"], ["y"], name: "leaky", [("alpha", .string("much"))])]),
            "node 'leaky' (LeakyRelu"
        ),
        (
            "function that calls itself",
            ONNX.model(
                ONNX.graph([ONNX.node("f", ["x"], ["y"], domain: "own")], inputs: [x], outputs: [y]), domains: ["own"],
                functions: [
                    ONNX.function(
                        "f", domain: "own", inputs: ["a"], outputs: ["b"], [ONNX.node("f", ["a"], ["b"], domain: "own")]
                    )
                ]), "do not call themselves"
        ),
        (
            "attribute out of nowhere",
            model([ONNX.node("LeakyRelu", ["x"], ["y"], [("alpha", .reference("beta", type: 1))])]),
            "outside any function"
        ),
        (
            "sparse weights",
            ONNX.model(
                {
                    var graph = ONNX.graph([relu], inputs: [x], outputs: [y]); graph.data(15, []); return graph
                }()), "sparse initializers"
        ),
        (
            "sequence as input",
            model(
                [relu],
                inputs: [
                    {
                        var port = Message(); port.text(1, "x"); var kind = Message(); kind.data(4, []);
                        port.message(2, kind); return port
                    }()
                ]), "a sequence"
        ),
    ]

    @Test(arguments: cases.indices) func isRefusedWithItsReason(_ index: Int) throws {
        let (kind, bytes, part) = Self.cases[index]
        let url = try ONNX.file(bytes)
        let failure = #expect(throws: Failure.self, "\(kind)") { try Network(contentsOf: url) }
        guard let failure else { return }
        #expect(failure.kind == .network)
        #expect(failure.subject.hasPrefix(url.path), "\(kind): \(failure)")
        #expect("\(failure)".contains(part), "\(kind): \(failure)")
    }

    @Test func foldersAndAbsentFiles() throws {
        let folder = Fixtures.temporaryFolder("folder")
        _ = try ONNX.file(Self.model([Self.relu]), name: "net.onnx", in: folder)
        let directory = #expect(throws: Failure.self) { try Network(contentsOf: folder) }
        #expect(directory?.remedy == "It holds 'net.onnx'; name that file")
        let absent = #expect(throws: Failure.self) {
            try Network(contentsOf: folder.appendingPathComponent("nett.onnx"))
        }
        #expect(absent?.found == "no such file")
        #expect(absent?.remedy == "Did you mean 'net.onnx'?")
    }

    @Test func graphsNestedWithoutEndAreRefused() throws {
        var graph = ONNX.graph([], outputs: [])
        for _ in 0..<2000 {
            graph = ONNX.graph([ONNX.node("If", ["c"], ["r"], [("then_branch", .graph(graph))])], outputs: [])
        }
        let url = try ONNX.file(ONNX.model(graph))
        let failure = #expect(throws: Failure.self) { try Network(contentsOf: url) }
        #expect("\(failure!)".contains("nested graphs"))
    }

    /// Any single byte of a real network may be wrong, and it may end anywhere: it is refused or it loads, and nothing else.
    @Test(arguments: ["vgg2d.legacy", "vit3d.dynamo"]) func damagedFilesNeverCrash(_ name: String) throws {
        let original = [UInt8](try Data(contentsOf: Fixtures.reference("networks/\(name).onnx")))
        let folder = Fixtures.temporaryFolder("damaged")
        var random = SystemSeed(state: 7)
        var refused = 0
        for trial in 0..<400 {
            var bytes = original
            if trial % 4 == 0 {
                bytes = Array(bytes.prefix(Int(random.next() % UInt64(bytes.count))))
            } else {
                for _ in 0...trial % 3 {
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                }
            }
            let url = try ONNX.file(bytes, in: folder)
            do { _ = try Network(contentsOf: url) } catch is Failure { refused += 1 }
        }
        #expect(refused > 100)
    }
}

/// A small generator with a fixed seed (SplitMix64).
struct SystemSeed: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

import Foundation
@testable import Networks
import TestSupport
import Tensors
import Testing

/// ONNX's own conformance cases, run by `script/onnx-node-cases`.
@Suite struct NodeCaseTests {
    static let folder = ProcessInfo.processInfo.environment["TOMOLENS_ONNX_NODE_CASES"].map { URL(fileURLWithPath: $0) }

    @Test(.enabled(if: folder != nil, "set TOMOLENS_ONNX_NODE_CASES, or run script/onnx-node-cases"))
    func everyClaimedCasePasses() throws {
        let report = try NodeCases.run(Self.folder!)
        print(report)
        #expect(report.failed.isEmpty)
        #expect(report.passed.count > 400)
    }

    @Test func sixteenBitsAreComparedAtTheirOwnResolution() {
        func difference(_ actual: Float, _ type: ElementType) -> String? {
            NodeCases.difference(
                .float(Tensor(shape: [1], values: [actual])), .float(Tensor(shape: [1], values: [0.5])), type: type)
        }
        // Units in the last place of 0.5: 2⁻¹¹ and 2⁻⁸.
        #expect(difference(0.5 + 0.0009, .float16) == nil)
        #expect(difference(0.5 + 0.0011, .float16) != nil)
        #expect(difference(0.5 + 0.0077, .bfloat16) == nil)
        #expect(difference(0.5 + 0.0079, .bfloat16) != nil)
        #expect(difference(0.5 + 0.0006, .float32) != nil)
    }

    @Test func outcomesAreToldApart() throws {
        let folder = Fixtures.temporaryFolder("cases")
        func add(_ name: String, _ type: String, expected: [Float]) throws {
            let place = folder.appendingPathComponent("\(name)/test_data_set_0")
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            let graph = ONNX.graph(
                [ONNX.node(type, ["x"], ["y"])], inputs: [ONNX.port("x", [.fixed(2)])],
                outputs: [ONNX.port("y", [.fixed(2)])])
            _ = try ONNX.file(ONNX.model(graph), in: folder.appendingPathComponent(name))
            _ = try ONNX.file(ONNX.floats("x", [2], [-1, 2]).bytes, name: "input_0.pb", in: place)
            _ = try ONNX.file(ONNX.floats("y", [2], expected).bytes, name: "output_0.pb", in: place)
        }
        try add("right", "Relu", expected: [0, 2])
        try add("wrong", "Relu", expected: [0, 2.1])
        try add("unknown", "Reluctant", expected: [0, 2])
        // An operator that is claimed, of which a node is refused: not to be hidden among what is not claimed.
        try add("refused", "Concat", expected: [0, 2])
        let report = try NodeCases.run(folder)
        #expect(report.passed.map(\.name) == ["right"])
        #expect(report.failed.map(\.name) == ["refused", "wrong"])
        #expect(report.notClaimed.map(\.name) == ["unknown"])
        #expect(report.description.hasSuffix("1 passed, 2 failed of 3 claimed; 1 not claimed"))
    }
}

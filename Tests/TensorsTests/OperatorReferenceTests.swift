import Foundation
import TestSupport
import Testing

@testable import Tensors

/// One case of `Tests/Reference/operators.py`.
struct OperatorReference: CustomTestStringConvertible, Sendable {
    let name: String
    private let node: Node

    private struct Node: Decodable, Sendable {
        var type: String
        var opset: Int
        var attributes: [String: Number]
        var inputs: [String?]
        var outputs: Int
    }

    private struct Number: Decodable, Sendable {
        var i: Int?
        var f: Float?
        var s: String?
        var `is`: [Int]?
        var fs: [Float]?
    }

    var testDescription: String { name }

    private static let file = try! SafeTensors(contentsOf: Fixtures.reference("operators/operators.safetensors"))
    static let all: [OperatorReference] = file.metadata.sorted { $0.key < $1.key }.map { name, json in
        OperatorReference(name: name, node: try! JSONDecoder().decode(Node.self, from: Data(json.utf8)))
    }

    func makeOperator() throws -> any Operator {
        var attributes: [String: Attributes.Attribute] = [:]
        for (name, number) in node.attributes {
            if let value = number.i { attributes[name] = .int(value) }
            if let value = number.f { attributes[name] = .float(value) }
            if let value = number.s { attributes[name] = .string(value) }
            if let value = number.is { attributes[name] = .ints(value) }
            if let value = number.fs { attributes[name] = .floats(value) }
        }
        let description = NodeDescription(
            name: name, type: node.type, opset: node.opset, attributes: Attributes(attributes),
            inputs: node.inputs.map { $0 ?? "" }, outputs: (0..<node.outputs).map { "out\($0)" })
        return try #require(try OperatorCatalogue.make(description))
    }

    var inputs: [Value?] {
        node.inputs.enumerated().map { index, kind in
            switch kind {
            case "f": .float(tensor("in\(index)")!)
            case "i": .integer(Self.file.integer("\(name).in\(index)")!)
            case "b":
                .boolean(
                    Tensor(
                        shape: Self.file.shape("\(name).in\(index)")!,
                        values: Self.file.integer("\(name).in\(index)")!.values.map { $0 != 0 }))
            default: nil
            }
        }
    }

    func tensor(_ role: String) -> Tensor<Float>? { Self.file.float("\(name).\(role)") }
    func integers(_ role: String) -> Tensor<Int64>? { Self.file.integer("\(name).\(role)") }
}

/// Operators against PyTorch, and their gradients against its autograd, of which the reference is computed in double precision.
@Suite("Operators beside PyTorch")
struct OperatorReferenceTests {
    /// Relative to the largest magnitude.
    private static let tolerance = 2e-6

    @Test func allCasesAreThere() { #expect(OperatorReference.all.count >= 150) }

    @Test(arguments: OperatorReference.all)
    func forward(_ reference: OperatorReference) throws {
        let outputs = try reference.makeOperator().forward(reference.inputs)
        for (index, output) in outputs.enumerated() {
            switch output {
            case .float(let y):
                let expected = try #require(reference.tensor("out\(index)"))
                #expect(relativeError(y, expected) < Self.tolerance)
            case .integer(let y): #expect(y == reference.integers("out\(index)"))
            default: Issue.record("a reference of numbers")
            }
        }
    }

    @Test(arguments: OperatorReference.all)
    func pullback(_ reference: OperatorReference) throws {
        let operation = try reference.makeOperator()
        let inputs = reference.inputs
        let outputs = try operation.forward(inputs)
        let wanted = inputs.indices.map { reference.tensor("gin\($0)") != nil }
        guard wanted.contains(true) else { return }
        let gradients = try operation.pullback(
            PullbackCall(
                gradients: outputs.indices.map { reference.tensor("gout\($0)") }, inputs: inputs, outputs: outputs,
                wanted: wanted))
        for index in inputs.indices where wanted[index] {
            let expected = try #require(reference.tensor("gin\(index)"))
            let gradient = try #require(gradients[index])
            #expect(relativeError(gradient, expected) < Self.tolerance, "input \(index)")
        }
    }
}

import Foundation
import TestSupport
import Testing

@testable import Tensors

/// One case of `Tests/Reference/convolutions.py`.
struct ConvolutionCase: CustomTestStringConvertible, Sendable {
    static let file = try! SafeTensors(contentsOf: Fixtures.reference("convolutions/operators.safetensors"))
    static let all: [ConvolutionCase] = file.metadata.keys.sorted().map { ConvolutionCase(name: $0) }

    let name: String
    var testDescription: String { name }

    private var json: [String: Any] {
        try! JSONSerialization.jsonObject(with: Data(Self.file.metadata[name]!.utf8)) as! [String: Any]
    }
    var type: String { json["type"] as! String }

    func node(outputs: Int = 1) -> NodeDescription {
        var attributes = Attributes()
        for (key, value) in json where key != "type" {
            if let values = value as? [NSNumber] {
                attributes[key] = .ints(values.map(\.intValue))
            } else if let value = value as? NSNumber {
                attributes[key] = .int(value.intValue)
            }
        }
        return NodeDescription(
            name: name, type: type, opset: 18, attributes: attributes, inputs: ["x", "w", "b"],
            outputs: (0..<outputs).map { "y\($0)" })
    }

    func tensor(_ key: String) -> Tensor<Float>? { Self.file.float("\(name).\(key)") }
    func integers(_ key: String) -> Tensor<Int64>? { Self.file.integer("\(name).\(key)") }

    var inputs: [Value?] { ["x", "w", "b"].compactMap { tensor($0) }.map { .float($0) } }

    /// How large a rounding error may be: sums of up to a few thousand products in single precision.
    static let tolerance = 5e-6
}

/// Values from -1 to 1 that depend on `seed` alone.
func noise(_ shape: [Int], seed: UInt64) -> Tensor<Float> {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return Tensor(shape: shape) { buffer in
        for index in buffer.indices {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            buffer[index] = Float(Int32(truncatingIfNeeded: state >> 32)) / Float(1 << 31)
        }
    }
}

extension Operator {
    func floats(_ inputs: [Value?], _ output: Int = 0) throws -> Tensor<Float> {
        guard case .float(let tensor) = try forward(inputs)[output] else { fatalError("not a float output") }
        return tensor
    }
}

func node(_ type: String, _ attributes: [String: Attributes.Attribute] = [:], outputs: Int = 1) -> NodeDescription {
    NodeDescription(
        name: "n", type: type, opset: 18, attributes: Attributes(attributes), inputs: ["x", "w", "b"],
        outputs: (0..<outputs).map { "y\($0)" })
}

extension Value {
    var floats: Tensor<Float>? { if case .float(let tensor) = self { tensor } else { nil } }
}

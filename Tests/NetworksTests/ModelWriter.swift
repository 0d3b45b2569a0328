import Foundation
import TestSupport
import Tensors

@testable import Networks

/// Writes ONNX files field by field, so that tests can say exactly what stands in one, wrong things too.
struct Message {
    private(set) var bytes: [UInt8] = []

    static func varint(_ value: UInt64) -> [UInt8] {
        var value = value
        var bytes: [UInt8] = []
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7f) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
        return bytes
    }

    static func key(_ field: Int, _ type: Int) -> [UInt8] { varint(UInt64(field << 3 | type)) }

    mutating func raw(_ more: [UInt8]) { bytes += more }
    mutating func int(_ field: Int, _ value: Int) {
        bytes += Self.key(field, 0) + Self.varint(UInt64(bitPattern: Int64(value)))
    }
    mutating func data(_ field: Int, _ value: [UInt8]) {
        bytes += Self.key(field, 2) + Self.varint(UInt64(value.count)) + value
    }
    mutating func text(_ field: Int, _ value: String) { data(field, Array(value.utf8)) }
    mutating func message(_ field: Int, _ value: Message) { data(field, value.bytes) }
    mutating func float(_ field: Int, _ value: Float) {
        bytes += Self.key(field, 5) + withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
    }
    mutating func ints(_ field: Int, _ values: [Int], packed: Bool = false) {
        if packed {
            data(field, values.flatMap { Self.varint(UInt64(bitPattern: Int64($0))) })
        } else {
            for value in values { int(field, value) }
        }
    }
    mutating func floats(_ field: Int, _ values: [Float]) {
        data(field, values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) })
    }
}

/// The parts of a model, with the fields' numbers of onnx.proto.
enum ONNX {
    static func tensor(
        _ name: String, _ type: ElementType, _ dims: [Int], _ fill: (inout Message) -> Void
    ) -> Message {
        var message = Message()
        message.ints(1, dims)
        message.int(2, type.rawValue)
        message.text(8, name)
        fill(&message)
        return message
    }

    /// float32 elements as raw bytes.
    static func floats(_ name: String, _ dims: [Int], _ values: [Float]) -> Message {
        tensor(name, .float32, dims) { message in
            message.data(9, values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) })
        }
    }

    static func integers(_ name: String, _ values: [Int], scalar: Bool = false) -> Message {
        tensor(name, .int64, scalar ? [] : [values.count]) { $0.ints(7, values, packed: true) }
    }

    enum Attribute {
        case int(Int), float(Float), string(String), ints([Int]), floats([Float]), tensor(Message), graph(Message)
        case reference(String, type: Int)
    }

    static func attribute(_ name: String, _ value: Attribute) -> Message {
        var message = Message()
        message.text(1, name)
        switch value {
        case .float(let value):
            message.float(2, value)
            message.int(20, 1)
        case .int(let value):
            message.int(3, value)
            message.int(20, 2)
        case .string(let value):
            message.text(4, value)
            message.int(20, 3)
        case .tensor(let value):
            message.message(5, value)
            message.int(20, 4)
        case .graph(let value):
            message.message(6, value)
            message.int(20, 5)
        case .floats(let values):
            message.floats(7, values)
            message.int(20, 6)
        case .ints(let values):
            message.ints(8, values)
            message.int(20, 7)
        case .reference(let name, let type):
            message.text(21, name)
            message.int(20, type)
        }
        return message
    }

    static func node(
        _ type: String, _ inputs: [String], _ outputs: [String], name: String = "", domain: String = "",
        _ attributes: [(String, Attribute)] = [], metadata: [(String, String)] = []
    ) -> Message {
        var message = Message()
        for input in inputs { message.text(1, input) }
        for output in outputs { message.text(2, output) }
        if !name.isEmpty { message.text(3, name) }
        message.text(4, type)
        for (name, value) in attributes { message.message(5, attribute(name, value)) }
        if !domain.isEmpty { message.text(7, domain) }
        for (key, value) in metadata { message.message(9, entry(key, value)) }
        return message
    }

    static func entry(_ key: String, _ value: String) -> Message {
        var message = Message()
        message.text(1, key)
        message.text(2, value)
        return message
    }

    static func port(_ name: String, _ dims: [Extent]?, type: ElementType = .float32) -> Message {
        var shape = Message()
        for dimension in dims ?? [] {
            var extent = Message()
            switch dimension {
            case .fixed(let value): extent.int(1, value)
            case .symbolic(let name): extent.text(2, name)
            }
            shape.message(1, extent)
        }
        var tensor = Message()
        tensor.int(1, type.rawValue)
        if dims != nil { tensor.message(2, shape) }
        var kind = Message()
        kind.message(1, tensor)
        var message = Message()
        message.text(1, name)
        message.message(2, kind)
        return message
    }

    static func graph(
        _ nodes: [Message], inputs: [Message] = [], outputs: [Message], initializers: [Message] = [], name: String = "g"
    ) -> Message {
        var message = Message()
        for node in nodes { message.message(1, node) }
        message.text(2, name)
        for tensor in initializers { message.message(5, tensor) }
        for input in inputs { message.message(11, input) }
        for output in outputs { message.message(12, output) }
        return message
    }

    static func function(
        _ name: String, domain: String, inputs: [String], outputs: [String], attributes: [String] = [],
        defaults: [(String, Attribute)] = [], _ nodes: [Message]
    ) -> Message {
        var message = Message()
        message.text(1, name)
        for input in inputs { message.text(4, input) }
        for output in outputs { message.text(5, output) }
        for attribute in attributes { message.text(6, attribute) }
        for node in nodes { message.message(7, node) }
        message.message(9, operatorSet("", 18))
        message.text(10, domain)
        for (name, value) in defaults { message.message(11, attribute(name, value)) }
        return message
    }

    static func operatorSet(_ domain: String, _ version: Int) -> Message {
        var message = Message()
        if !domain.isEmpty { message.text(1, domain) }
        message.int(2, version)
        return message
    }

    static func model(
        _ graph: Message?, opset: Int = 18, domains: [String] = [], functions: [Message] = [],
        metadata: [(String, String)] = []
    ) -> [UInt8] {
        var message = Message()
        message.int(1, 8)
        message.text(2, "test")
        message.text(3, "1.0")
        if let graph { message.message(7, graph) }
        message.message(8, operatorSet("", opset))
        for domain in domains { message.message(8, operatorSet(domain, 1)) }
        for (key, value) in metadata { message.message(14, entry(key, value)) }
        for function in functions { message.message(25, function) }
        return message.bytes
    }

    /// Writes the bytes to a file of its own.
    static func file(_ bytes: [UInt8], name: String = "model.onnx", in folder: URL? = nil) throws -> URL {
        let url = (folder ?? temporary()).appendingPathComponent(name)
        try Data(bytes).write(to: url)
        return url
    }

    static func network(_ bytes: [UInt8], outputs: [String]? = nil) throws -> Network {
        try Network(contentsOf: file(bytes), outputs: outputs)
    }

    private static func temporary() -> URL { Fixtures.temporaryFolder("onnx") }
}

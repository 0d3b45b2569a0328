import Failures

// The messages of onnx.proto that inference needs, as they stand in the file. Numbers are the fields' numbers there.

struct ModelFile {
    var irVersion = 0
    var producerName = ""
    var producerVersion = ""
    var operatorSets: [(domain: String, version: Int)] = []
    var metadata: [String: String] = [:]
    var graph: GraphFile?
    var functions: [FunctionFile] = []

    init(_ bytes: MappedBytes) throws {
        var reader = WireReader(bytes)
        while let field = try reader.next() {
            switch field.number {
            case 1: irVersion = try field.integer()
            case 2: producerName = try field.text()
            case 3: producerVersion = try field.text()
            case 7: graph = try GraphFile(field.message(), depth: 0)
            case 8: operatorSets.append(try decodeOperatorSet(field.message()))
            case 14:
                let (key, value) = try decodeEntry(field.message())
                metadata[key] = value
            case 25: functions.append(try FunctionFile(field.message()))
            default: break
            }
        }
    }
}

struct GraphFile {
    var name = ""
    var nodes: [NodeFile] = []
    var initializers: [TensorFile] = []
    var sparseInitializers = 0
    var inputs: [ValueInfoFile] = []
    var outputs: [ValueInfoFile] = []

    /// Subgraphs nest; deeper than this no exporter goes, and a hostile file must not exhaust the stack.
    static let deepest = 32

    init(_ message: WireReader, depth: Int) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: nodes.append(try NodeFile(field.message(), depth: depth))
            case 2: name = try field.text()
            case 5: initializers.append(try TensorFile(field.message()))
            case 11: inputs.append(try ValueInfoFile(field.message()))
            case 12: outputs.append(try ValueInfoFile(field.message()))
            case 15: sparseInitializers += 1
            default: break
            }
        }
    }
}

struct FunctionFile {
    var name = ""
    var domain = ""
    var overload = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var nodes: [NodeFile] = []
    var operatorSets: [(domain: String, version: Int)] = []
    /// Attributes with a default value; those without one need no entry here.
    var defaults: [AttributeFile] = []

    init(_ message: WireReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try field.text()
            case 4: inputs.append(try field.text())
            case 5: outputs.append(try field.text())
            case 7: nodes.append(try NodeFile(field.message(), depth: 0))
            case 9: operatorSets.append(try decodeOperatorSet(field.message()))
            case 10: domain = try field.text()
            case 11: defaults.append(try AttributeFile(field.message(), depth: 0))
            case 13: overload = try field.text()
            default: break
            }
        }
    }
}

struct NodeFile {
    var name = ""
    var type = ""
    var domain = ""
    var overload = ""
    var inputs: [String] = []
    var outputs: [String] = []
    var attributes: [AttributeFile] = []
    var metadata: [String: String] = [:]

    init(_ message: WireReader, depth: Int) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: inputs.append(try field.text())
            case 2: outputs.append(try field.text())
            case 3: name = try field.text()
            case 4: type = try field.text()
            case 5: attributes.append(try AttributeFile(field.message(), depth: depth))
            case 7: domain = try field.text()
            case 8: overload = try field.text()
            case 9:
                let (key, value) = try decodeEntry(field.message())
                metadata[key] = value
            default: break
            }
        }
        if domain == "ai.onnx" { domain = "" }
    }
}

struct AttributeFile {
    enum Content {
        case int(Int)
        case float(Float)
        case string(String)
        case ints([Int])
        case floats([Float])
        case strings([String])
        case tensor(TensorFile)
        case graph(GraphFile)
        /// The value of the enclosing function's attribute of this name.
        case reference(String)
        /// A kind that no supported operator takes (sparse tensors, lists of graphs, types).
        case other(String)
    }

    var name = ""
    var content = Content.other("nothing")

    init(_ message: WireReader, depth: Int) throws {
        var reader = message
        var type: Int?
        var reference = ""
        var int: Int?
        var float: Float?
        var string: String?
        var ints: [Int] = []
        var floats: [Float] = []
        var strings: [String] = []
        var tensor: TensorFile?
        var graph: GraphFile?
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try field.text()
            case 2: float = try field.float()
            case 3: int = try field.integer()
            case 4: string = try field.text()
            case 5: tensor = try TensorFile(field.message())
            case 6:
                guard depth < GraphFile.deepest else {
                    throw Failure(
                        .network, "attribute '\(name)'", expected: "at most \(GraphFile.deepest) nested graphs",
                        found: "more")
                }
                graph = try GraphFile(field.message(), depth: depth + 1)
            case 7: try field.appendFloats(to: &floats)
            case 8: try field.appendIntegers(to: &ints)
            case 9: strings.append(try field.text())
            case 20: type = try field.integer()
            case 21: reference = try field.text()
            default: break
            }
        }
        if !reference.isEmpty {
            content = .reference(reference)
            return
        }
        switch type ?? 0 {
        case 1: content = .float(float ?? 0)
        case 2: content = .int(int ?? 0)
        case 3: content = .string(string ?? "")
        case 4: content = tensor.map(Content.tensor) ?? .other("no tensor")
        case 5: content = graph.map(Content.graph) ?? .other("no graph")
        case 6: content = .floats(floats)
        case 7: content = .ints(ints)
        case 8: content = .strings(strings)
        case 0:
            // Files of the first format versions carry no type: what is there tells.
            if let float { content = .float(float) }
            if let int { content = .int(int) }
            if let string { content = .string(string) }
            if let tensor { content = .tensor(tensor) }
            if let graph { content = .graph(graph) }
            if !floats.isEmpty { content = .floats(floats) }
            if !ints.isEmpty { content = .ints(ints) }
            if !strings.isEmpty { content = .strings(strings) }
        case let other: content = .other("attribute kind \(other)")
        }
    }
}

/// A graph's input or output: its name and, where given, its type.
struct ValueInfoFile {
    enum Extent: Equatable {
        case fixed(Int)
        case symbolic(String)
        case unknown
    }

    var name = ""
    /// ONNX's number of the element type; nil when the value is not a dense tensor or no type is given.
    var elementType: Int?
    /// nil when the file gives no shape.
    var extents: [Extent]?
    /// "sequence", "map", … when the value is no dense tensor.
    var otherKind: String?

    init(_ message: WireReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try field.text()
            case 2: try readType(field.message())
            default: break
            }
        }
    }

    private mutating func readType(_ message: WireReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: try readTensorType(field.message())
            case 4: otherKind = "sequence"
            case 5: otherKind = "map"
            case 8: otherKind = "sparse tensor"
            case 9: otherKind = "optional"
            default: break
            }
        }
    }

    private mutating func readTensorType(_ message: WireReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: elementType = try field.integer()
            case 2:
                var shape = try field.message()
                var list: [Extent] = []
                while let dimension = try shape.next() {
                    if dimension.number == 1 { list.append(try Self.extent(dimension.message())) }
                }
                extents = list
            default: break
            }
        }
    }

    private static func extent(_ message: WireReader) throws -> Extent {
        var reader = message
        var extent = Extent.unknown
        while let field = try reader.next() {
            switch field.number {
            case 1: extent = .fixed(try field.integer())
            case 2:
                let symbol = try field.text()
                extent = symbol.isEmpty ? .unknown : .symbolic(symbol)
            default: break
            }
        }
        return extent
    }
}

private func decodeOperatorSet(_ message: WireReader) throws -> (domain: String, version: Int) {
    var reader = message
    var domain = ""
    var version = 0
    while let field = try reader.next() {
        switch field.number {
        case 1: domain = try field.text()
        case 2: version = try field.integer()
        default: break
        }
    }
    return (domain == "ai.onnx" ? "" : domain, version)
}

/// A StringStringEntryProto.
func decodeEntry(_ message: WireReader) throws -> (key: String, value: String) {
    var reader = message
    var key = ""
    var value = ""
    while let field = try reader.next() {
        switch field.number {
        case 1: key = try field.text()
        case 2: value = try field.text()
        default: break
        }
    }
    return (key, value)
}

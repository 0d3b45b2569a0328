import Failures
import Foundation
import Tensors

/// A trained network, read from an ONNX file and ready to run.
///
/// Reading checks everything that can be checked without data: the file's structure, every operator, every shape that is
/// fixed. What depends on constants alone is computed then and there. Afterwards nothing changes any more: one network
/// serves any number of threads.
public final class Network: Sendable {
    /// The file it came from.
    public let url: URL
    /// The graph's name in the file.
    public let name: String
    /// The program that wrote the file, with its version: "pytorch 2.13.0".
    public let producer: String
    /// Version of the default operator set.
    public let opset: Int
    public let metadata: [String: String]
    public let inputs: [NetworkInput]
    public let outputs: [NetworkOutput]
    /// In an order in which they can be computed. Nodes that no output needs, and those whose values are constant, are
    /// not among them.
    public let nodes: [Node]
    /// Number of floats among the weights and other constants.
    public let parameterCount: Int

    /// Every tensor's name, by number.
    let tensorNames: [String]
    let tensorIDs: [String: Int]
    /// Weights and folded constants, by tensor number.
    let constantValues: [Value?]
    /// The node that computes a tensor, by tensor number.
    let producers: [Int?]
    /// The nodes that read a tensor, by tensor number.
    let consumers: [[Int]]
    /// Whether a tensor depends on what the inputs hold, and not on their shapes alone; by tensor number.
    let carriesData: [Bool]
    let analyses = AnalysisBox()
    let chains = ChainBox()

    /// Reads the network in `url`.
    ///
    /// - Parameter outputs: the tensors to compute, where they are not the file's own outputs. Operators that only the
    ///   file's other outputs need may then be missing.
    /// - Throws: a ``Failure`` of kind `.network` that names the file.
    public convenience init(contentsOf url: URL, outputs: [String]? = nil) throws {
        do {
            try self.init(MappedFile(url), outputs: outputs)
        } catch let failure as Failure {
            throw failure.subject.hasPrefix(url.path) ? failure : failure.within(url.path)
        }
    }

    private init(_ file: MappedFile, outputs wanted: [String]?) throws {
        url = file.url
        if let foreign = ForeignFormat.recognise(file.bytes) {
            throw Failure(
                .network, file.url.path, expected: "an ONNX model", found: foreign.name, remedy: foreign.remedy)
        }
        let model: ModelFile
        do {
            model = try ModelFile(MappedBytes(file: file, range: 0..<file.bytes.count))
        } catch let failure as Failure {
            throw Self.unreadable(file, failure)
        }
        if model.graph == nil, model.operatorSets.isEmpty, model.producerName.isEmpty {
            throw Failure(
                .network, file.url.path, expected: "an ONNX model", found: "a file of another kind",
                remedy: ForeignFormat.torchArchive.remedy)
        }
        let opset = model.operatorSets.last { $0.domain.isEmpty }?.version ?? 0
        guard opset >= Self.oldestOpset else {
            throw Failure(
                .network, "operator set", expected: Self.opsetExpected,
                found: opset == 0 ? "none" : "version \(opset)",
                remedy:
                    "Export again with opset_version=18, or convert: onnx.version_converter.convert_version(model, 18)")
        }
        var builder = try GraphBuilder(model, opset: opset, files: ExternalFiles(besides: file.url))
        let graph = try builder.build(wanted: wanted)

        self.opset = opset
        name = model.graph?.name ?? ""
        producer = [model.producerName, model.producerVersion].filter { !$0.isEmpty }.joined(separator: " ")
        metadata = model.metadata
        inputs = graph.inputs
        outputs =
            wanted.map { names in
                names.map { name in
                    graph.outputs.first { $0.name == name } ?? NetworkPort(name: name, elementType: .float32, dims: nil)
                }
            } ?? graph.outputs
        parameterCount = graph.parameterCount

        var names: [String] = []
        var ids: [String: Int] = [:]
        func id(_ name: String) -> Int? {
            if name.isEmpty { return nil }
            if let known = ids[name] { return known }
            ids[name] = names.count
            names.append(name)
            return names.count - 1
        }
        for input in graph.inputs { _ = id(input.name) }
        var nodes: [Node] = []
        for (index, node) in graph.nodes.enumerated() {
            nodes.append(
                Node(
                    index: index, description: node.description, operation: node.operation, modulePath: node.modulePath,
                    inputIDs: node.description.inputs.map(id), outputIDs: node.description.outputs.map(id)))
        }
        for name in graph.constants.keys.sorted() { _ = id(name) }
        var constants = [Value?](repeating: nil, count: names.count)
        for (name, value) in graph.constants { constants[ids[name]!] = value }
        var producers = [Int?](repeating: nil, count: names.count)
        var consumers = [[Int]](repeating: [], count: names.count)
        var data = [Bool](repeating: false, count: names.count)
        for input in graph.inputs { data[ids[input.name]!] = true }
        for node in nodes {
            let carries = !node.description.readsShapesOnly && node.inputIDs.contains { $0.map { data[$0] } ?? false }
            for id in node.outputIDs {
                guard let id else { continue }
                producers[id] = node.index
                data[id] = carries
            }
            for id in Set(node.inputIDs.compactMap { $0 }) { consumers[id].append(node.index) }
        }
        self.nodes = nodes
        tensorNames = names
        tensorIDs = ids
        constantValues = constants
        self.producers = producers
        self.consumers = consumers
        carriesData = data
    }

    /// Operators changed their meaning too much before this version to be read.
    static let oldestOpset = 7
    static let opsetExpected = "version \(oldestOpset) or later"

    /// A file whose bytes are no protobuf message may be of another kind, or cut off.
    private static func unreadable(_ file: MappedFile, _ failure: Failure) -> Failure {
        // Every ONNX file in use begins with its format version: field 1, a small varint.
        let looksLikeONNX = file.bytes.count > 2 && file.bytes[0] == 0x08 && (3...20).contains(file.bytes[1])
        if looksLikeONNX { return failure }
        return Failure(
            .network, file.url.path, expected: "an ONNX model",
            found: "a file of another kind (\(failure.found) at \(failure.subject))",
            remedy: ForeignFormat.torchArchive.remedy)
    }

    /// A weight or another constant by its tensor name.
    public func constant(_ tensor: String) -> Value? { tensorIDs[tensor].flatMap { constantValues[$0] } }

    /// The node that computes a tensor; nil for inputs and constants.
    public func producer(of tensor: String) -> Node? { tensorIDs[tensor].flatMap { producers[$0] }.map { nodes[$0] } }

    /// The nodes that read a tensor.
    public func consumers(of tensor: String) -> [Node] {
        (tensorIDs[tensor].map { consumers[$0] } ?? []).map { nodes[$0] }
    }
}

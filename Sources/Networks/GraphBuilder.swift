import Failures
import Foundation
import Tensors

/// Turns the messages of a file into a graph that can run: functions and decided branches inlined, nodes in an order in
/// which they can be computed, everything that depends on constants alone computed, and every operator made.
struct GraphBuilder {
    /// A node before its operator is made.
    struct Draft {
        var name: String
        var type: String
        var domain: String
        var opset: Int
        var attributes: [AttributeFile]
        var inputs: [String]
        var outputs: [String]
        var modulePath: String?
    }

    struct Result {
        var nodes: [(description: NodeDescription, operation: any Operator, modulePath: String?)] = []
        var constants: [String: Value] = [:]
        var inputs: [NetworkInput] = []
        var outputs: [NetworkOutput] = []
        var parameterCount = 0
    }

    /// More nodes than any network has; nested functions could multiply without end.
    static let mostNodes = 1_000_000

    private let model: ModelFile
    private let graph: GraphFile
    private let files: ExternalFiles
    private let opset: Int
    private var functions: [FunctionKey: FunctionFile] = [:]
    /// What is known of tensors: constants, or, for those in ``data``, values of which only the shape counts.
    private var known: [String: Value] = [:]
    /// Tensors that depend on what the inputs hold.
    private var data: Set<String> = []
    /// Data that are integers or booleans, and what depends on them: their placeholders may have misled about shapes.
    private var shaky: Set<String> = []
    private var result = Result()
    private var lacking: [(draft: Draft, reason: String)] = []
    /// Tensors that come after an operator we lack.
    private var tainted: Set<String> = []
    private var nodeNames: Set<String> = []

    private struct FunctionKey: Hashable {
        var domain: String
        var name: String
        var overload: String
    }

    init(_ model: ModelFile, opset: Int, files: ExternalFiles) throws {
        guard let graph = model.graph else {
            throw Failure(
                .network, "", expected: "a graph", found: "an ONNX file without one",
                remedy: "The file may be truncated, or no ONNX model; export it again")
        }
        self.model = model
        self.graph = graph
        self.files = files
        self.opset = opset
        for function in model.functions {
            let key = FunctionKey(domain: function.domain, name: function.name, overload: function.overload)
            functions[key] = function
        }
    }

    /// - Parameter wanted: tensors that must be computable; the file's outputs when nil.
    mutating func build(wanted: [String]?) throws -> Result {
        guard graph.sparseInitializers == 0 else {
            throw Failure(
                .network, "graph '\(graph.name)'", expected: "dense weights",
                found: "\(graph.sparseInitializers) sparse initializers", remedy: "Export the weights as dense tensors")
        }
        var drafts: [Draft] = []
        for node in graph.nodes {
            try flatten(Draft(node, opset: opset, path: modulePath(node)), into: &drafts, depth: 0)
        }
        let initializers = try collectInitializers(graph)
        try declareInputs(initializers)
        try declareOutputs()
        for draft in drafts where draft.name.isEmpty == false { nodeNames.insert(draft.name) }

        let targets = wanted ?? result.outputs.map(\.name)
        let order = try sorted(
            drafts, available: Set(initializers.keys).union(result.inputs.map(\.name)), targets: targets)
        try loadConstants(initializers, usedBy: order, targets: targets)
        var usedNames: Set<String> = []
        for var draft in order {
            draft.name = uniqueName(draft, &usedNames)
            try place(draft, depth: 0)
        }
        if !lacking.isEmpty { throw lackingFailure() }
        dropUnneeded(targets)
        countParameters()
        return result
    }

    // MARK: What the graph declares

    private func collectInitializers(_ graph: GraphFile) throws -> [String: TensorFile] {
        var initializers: [String: TensorFile] = [:]
        for tensor in graph.initializers {
            guard initializers.updateValue(tensor, forKey: tensor.name) == nil else {
                throw Failure(
                    .network, "initializer '\(tensor.name)'", expected: "one definition", found: "two of the same name")
            }
        }
        return initializers
    }

    private mutating func declareInputs(_ initializers: [String: TensorFile]) throws {
        var seen: Set<String> = []
        for input in graph.inputs {
            guard seen.insert(input.name).inserted else {
                throw Failure(.network, "input '\(input.name)'", expected: "one declaration", found: "two")
            }
            // Before format version 4 every initializer was declared as an input too; its value is then the default.
            if initializers[input.name] != nil { continue }
            let port = try port(input, "input")
            result.inputs.append(port)
            data.insert(port.name)
            if let shape = port.fixedShape, port.elementType.kind == .float { known[port.name] = .pending(shape) }
        }
    }

    private mutating func declareOutputs() throws {
        guard !graph.outputs.isEmpty else {
            throw Failure(.network, "graph '\(graph.name)'", expected: "at least one output", found: "none")
        }
        for output in graph.outputs { result.outputs.append(try port(output, "output")) }
        let names = result.outputs.map(\.name)
        if let twice = names.first(where: { name in names.filter { $0 == name }.count > 1 }) {
            throw Failure(.network, "output '\(twice)'", expected: "one declaration", found: "two")
        }
    }

    private func port(_ info: ValueInfoFile, _ role: String) throws -> NetworkPort {
        let subject = "\(role) '\(info.name)'"
        if let kind = info.otherKind {
            throw Failure(.network, subject, expected: NodeCases.tensorExpected, found: "a \(kind)")
        }
        let number = info.elementType ?? (role == "output" ? ElementType.float32.rawValue : 0)
        guard let type = ElementType(rawValue: number), type.kind != nil else {
            throw Failure(
                .network, subject, expected: NodeCases.elementsExpected, found: ElementType.name(number))
        }
        let dims = try info.extents?.enumerated().map { axis, extent -> Extent in
            switch extent {
            case .symbolic(let name): return .symbolic(name)
            case .unknown: return .symbolic("\(info.name)_\(axis)")
            case .fixed(let extent):
                // Some exporters write -1 or 0 where they mean "any".
                if extent == -1 || extent == 0 { return .symbolic("\(info.name)_\(axis)") }
                guard extent > 0, extent <= 1 << 40 else {
                    throw Failure(
                        .network, subject, expected: "extents of at least 1", found: "\(extent) on axis \(axis)")
                }
                return .fixed(extent)
            }
        }
        return NetworkPort(name: info.name, elementType: type, dims: dims)
    }

    // MARK: Functions

    /// Appends `draft`, or the body of the model-local function that it calls.
    private func flatten(_ draft: Draft, into list: inout [Draft], depth: Int) throws {
        func append(_ draft: Draft) throws {
            guard list.count < Self.mostNodes else {
                throw Failure(
                    .network, "graph '\(graph.name)'", expected: "at most \(Self.mostNodes) nodes", found: "more")
            }
            list.append(draft)
        }
        guard !functions.isEmpty, let function = function(for: draft) else { return try append(draft) }
        guard depth < 64 else {
            throw Failure(
                .network, "function '\(function.name)'", expected: "functions that do not call themselves",
                found: "a call more than 64 deep")
        }
        let subject = "function '\(function.name)' called by node '\(draft.name)'"
        guard draft.inputs.count <= function.inputs.count, draft.outputs.count <= function.outputs.count else {
            throw Failure(
                .network, subject,
                expected: "at most \(function.inputs.count) inputs and \(function.outputs.count) outputs",
                found: "\(draft.inputs.count) and \(draft.outputs.count)")
        }
        let prefix = draft.name.isEmpty ? "\(function.name)_\(list.count)" : draft.name
        var renamed: [String: String] = ["": ""]
        for (formal, actual) in zip(function.inputs, draft.inputs) { renamed[formal] = actual }
        for formal in function.inputs.dropFirst(draft.inputs.count) { renamed[formal] = "" }
        for (formal, actual) in zip(function.outputs, draft.outputs) where !actual.isEmpty {
            // An output that is an input unchanged needs a node to carry the name.
            if let source = renamed[formal] {
                try append(
                    Draft(
                        name: prefix + "/" + formal, type: "Identity", domain: "", opset: draft.opset, attributes: [],
                        inputs: [source], outputs: [actual], modulePath: draft.modulePath))
            } else {
                renamed[formal] = actual
            }
        }
        let rename = { (name: String) in renamed[name] ?? prefix + "/" + name }
        var attributes: [String: AttributeFile.Content] = [:]
        for attribute in function.defaults + draft.attributes { attributes[attribute.name] = attribute.content }
        let innerOpset = function.operatorSets.last { $0.domain.isEmpty }?.version ?? draft.opset
        for node in function.nodes {
            var inner = Draft(node, opset: innerOpset, path: modulePath(node) ?? draft.modulePath)
            inner.name = prefix + "/" + (node.name.isEmpty ? "\(node.type)_\(list.count)" : node.name)
            inner.inputs = node.inputs.map(rename)
            inner.outputs = node.outputs.map(rename)
            inner.attributes = try node.attributes.compactMap { try substitute($0, attributes, rename) }
            try flatten(inner, into: &list, depth: depth + 1)
        }
    }

    private func function(for draft: Draft) -> FunctionFile? {
        functions[FunctionKey(domain: draft.domain, name: draft.type, overload: "")]
            ?? functions.first { $0.key.domain == draft.domain && $0.key.name == draft.type }?.value
    }

    /// `attribute` with the caller's value in place of a reference; nil when the caller gives none, and the operator's
    /// own default holds.
    private func substitute(
        _ attribute: AttributeFile, _ values: [String: AttributeFile.Content], _ rename: (String) -> String
    ) throws -> AttributeFile? {
        var copy = attribute
        switch attribute.content {
        case .reference(let name):
            guard let value = values[name] else { return nil }
            copy.content = value
        case .graph(var graph):
            let inside = Set(graph.nodes.flatMap(\.outputs) + graph.initializers.map(\.name))
            graph.nodes = try graph.nodes.map { node in
                var node = node
                node.inputs = node.inputs.map { $0.isEmpty || inside.contains($0) ? $0 : rename($0) }
                node.attributes = try node.attributes.compactMap { try substitute($0, values, rename) }
                return node
            }
            copy.content = .graph(graph)
        default: break
        }
        return copy
    }

    // MARK: Order

    /// The nodes that `targets` need, each after those that it depends on and otherwise in the file's order.
    private func sorted(_ drafts: [Draft], available: Set<String>, targets: [String]) throws -> [Draft] {
        var producer: [String: Int] = [:]
        for (index, draft) in drafts.enumerated() {
            for output in draft.outputs where !output.isEmpty {
                if available.contains(output) || producer.updateValue(index, forKey: output) != nil {
                    throw Failure(
                        .network, "tensor '\(output)'", expected: "one definition",
                        found: "another by node '\(draft.name)' (\(draft.type))")
                }
            }
        }
        func unknown(_ name: String, _ subject: String) -> Failure {
            Failure(
                .network, subject, expected: "tensor '\(name)' to be an input, a weight or some node's output",
                found: "nothing of that name",
                remedy: Nearest.suggestion(name, in: Array(available) + producer.keys.sorted()))
        }
        // 0 untouched, 1 waiting for what it depends on, 2 done.
        var state = [UInt8](repeating: 0, count: drafts.count)
        var needed = [Bool](repeating: false, count: drafts.count)
        var stack: [Int] = []
        for target in targets {
            if let index = producer[target] {
                stack.append(index)
            } else if !available.contains(target) {
                throw unknown(target, "output '\(target)'")
            }
        }
        let dependencies = drafts.map(\.dependencies)
        while let index = stack.popLast() {
            if needed[index] { continue }
            needed[index] = true
            for name in dependencies[index] {
                if let other = producer[name] {
                    stack.append(other)
                } else if !available.contains(name) {
                    throw unknown(name, "node '\(drafts[index].name)' (\(drafts[index].type))")
                }
            }
        }
        var order: [Draft] = []
        for root in drafts.indices where needed[root] && state[root] == 0 {
            var path: [(index: Int, next: Int)] = [(root, 0)]
            state[root] = 1
            while let (index, next) = path.last {
                if next == dependencies[index].count {
                    state[index] = 2
                    order.append(drafts[index])
                    path.removeLast()
                    continue
                }
                path[path.count - 1].next += 1
                guard let other = producer[dependencies[index][next]], state[other] != 2 else { continue }
                if state[other] == 1 {
                    let cycle = path.drop { $0.index != other }.map { "'\(drafts[$0.index].name)'" }
                    throw Failure(
                        .network, "graph '\(graph.name)'", expected: "nodes that do not depend on themselves",
                        found: "a cycle through \(cycle.prefix(6).joined(separator: ", "))")
                }
                state[other] = 1
                path.append((other, 0))
            }
        }
        return order
    }

    private mutating func loadConstants(
        _ initializers: [String: TensorFile], usedBy order: [Draft], targets: [String]
    ) throws {
        var used = Set(targets)
        for draft in order { used.formUnion(draft.dependencies) }
        for (name, tensor) in initializers where used.contains(name) {
            known[name] = try tensor.value(files: files)
        }
    }

    private mutating func uniqueName(_ draft: Draft, _ used: inout Set<String>) -> String {
        var name = draft.name
        if name.isEmpty || used.contains(name) {
            let stem = name.isEmpty ? draft.type : name
            var number = 0
            repeat {
                name = "\(stem)_\(number)"
                number += 1
            } while nodeNames.contains(name) || used.contains(name)
        }
        used.insert(name)
        return name
    }

    // MARK: Making operators, folding constants

    private mutating func place(_ draft: Draft, depth: Int) throws {
        if draft.inputs.contains(where: tainted.contains) || draft.dependencies.contains(where: tainted.contains) {
            tainted.formUnion(draft.outputs)
        }
        if draft.domain.isEmpty, draft.type == "If" { return try placeBranch(draft, depth: depth) }
        guard let description = try describe(draft) else { return }
        if description.type == "Constant" {
            known[draft.outputs.first ?? ""] = try constant(description)
            return
        }
        guard let operation = try OperatorCatalogue.make(description) else {
            return lack(draft, draft.type == "Loop" || draft.type == "Scan" ? "loops are not run" : "")
        }
        let carriesData = description.inputs.contains(where: data.contains) && !description.readsShapesOnly
        if carriesData { data.formUnion(description.outputs) }
        let isShaky = carriesData && description.inputs.contains(where: shaky.contains)
        if isShaky { shaky.formUnion(description.outputs) }
        do {
            if let outputs = try folded(description, operation) {
                for (name, value) in zip(description.outputs, outputs) where !name.isEmpty {
                    known[name] = value
                    if carriesData, value.kind != .float { shaky.insert(name) }
                }
                if !carriesData { return }
            }
        } catch  where isShaky {
            // The run will tell: there the values are real.
        }
        result.nodes.append((description, operation, draft.modulePath))
    }

    /// The node's outputs where everything it reads is known, as values or as shapes.
    private func folded(_ node: NodeDescription, _ operation: any Operator) throws -> [Value]? {
        var inputs: [Value?] = []
        for name in node.inputs {
            if name.isEmpty {
                inputs.append(nil)
            } else if let value = known[name] {
                inputs.append(value)
            } else {
                return nil
            }
        }
        return try node.locating {
            do { return try operation.forward(inputs) } catch is UndeterminedShape { return nil }
        }
    }

    /// The node as operators read it, or nil when an attribute can't be (the node then counts as lacking).
    private mutating func describe(_ draft: Draft) throws -> NodeDescription? {
        guard draft.domain.isEmpty || (draft.domain == "com.microsoft" && draft.type == "Gelu") else {
            lack(
                draft,
                draft.domain == "com.microsoft"
                    ? "an operator of onnxruntime's own: use the model from before its optimizer ran" : "")
            return nil
        }
        var attributes = Attributes()
        for attribute in draft.attributes {
            switch attribute.content {
            case .int(let value): attributes[attribute.name] = .int(value)
            case .float(let value): attributes[attribute.name] = .float(value)
            case .string(let value): attributes[attribute.name] = .string(value)
            case .ints(let value): attributes[attribute.name] = .ints(value)
            case .floats(let value): attributes[attribute.name] = .floats(value)
            case .strings(let value): attributes[attribute.name] = .strings(value)
            case .tensor(let tensor):
                do {
                    attributes[attribute.name] = .tensor(try tensor.value(files: files))
                } catch let failure as Failure {
                    throw failure.within("node '\(draft.name)' (\(draft.type)), attribute '\(attribute.name)'")
                }
            case .reference(let name):
                throw Failure(
                    .network, "node '\(draft.name)' (\(draft.type))",
                    expected: "attribute '\(attribute.name)' to have a value",
                    found: "a reference to attribute '\(name)' outside any function")
            case .graph, .other:
                lack(draft, "attribute '\(attribute.name)' is not read")
                return nil
            }
        }
        // onnxruntime's Gelu is that of opset 20 under another domain.
        let opset = draft.domain.isEmpty ? draft.opset : max(20, draft.opset)
        return NodeDescription(
            name: draft.name, type: draft.type, opset: opset, attributes: attributes, inputs: draft.inputs,
            outputs: draft.outputs)
    }

    private func constant(_ node: NodeDescription) throws -> Value {
        let attributes = node.attributes
        if let value = attributes.tensor("value") { return value }
        if let value = attributes.float("value_float") { return .float(Tensor(shape: [], values: [value])) }
        if let value = attributes.int("value_int") { return .integer(Tensor(shape: [], values: [Int64(value)])) }
        if let list = attributes.floats("value_floats") { return .float(Tensor(shape: [list.count], values: list)) }
        if let list = attributes.ints("value_ints") {
            return .integer(Tensor(shape: [list.count], values: list.map(Int64.init)))
        }
        throw node.failure(
            expected: "a value of numbers or booleans", found: attributes.names.joined(separator: ", "))
    }

    /// Puts the branch that a constant condition chooses in place of an If.
    private mutating func placeBranch(_ draft: Draft, depth: Int) throws {
        guard let name = draft.inputs.first, !data.contains(name), case .boolean(let condition)? = known[name],
            condition.count == 1
        else {
            return lack(draft, "its condition is known only while the network runs; export with fixed input shapes")
        }
        let key = condition[flat: 0] ? "then_branch" : "else_branch"
        guard case .graph(let branch)? = draft.attributes.first(where: { $0.name == key })?.content else {
            throw Failure(.network, "node '\(draft.name)' (If)", expected: "a \(key)", found: "none")
        }
        guard depth < GraphFile.deepest, draft.outputs.count <= branch.outputs.count else {
            throw Failure(
                .network, "node '\(draft.name)' (If)", expected: "as many outputs as its branch has",
                found: "\(draft.outputs.count) and \(branch.outputs.count)")
        }
        let inside = Set(branch.nodes.flatMap(\.outputs) + branch.initializers.map(\.name)).subtracting([""])
        let rename = { (name: String) in inside.contains(name) ? draft.name + "/" + name : name }
        for tensor in branch.initializers { known[rename(tensor.name)] = try tensor.value(files: files) }
        var flat: [Draft] = []
        for (index, node) in branch.nodes.enumerated() {
            var inner = Draft(node, opset: draft.opset, path: modulePath(node) ?? draft.modulePath)
            inner.name = draft.name + "/" + (node.name.isEmpty ? "\(node.type)_\(index)" : node.name)
            inner.inputs = node.inputs.map(rename)
            inner.outputs = node.outputs.map(rename)
            inner.attributes = try node.attributes.compactMap { try substitute($0, [:], rename) }
            try flatten(inner, into: &flat, depth: 0)
        }
        for (formal, actual) in zip(branch.outputs, draft.outputs) where !actual.isEmpty {
            flat.append(
                Draft(
                    name: draft.name + "/output " + formal.name, type: "Identity", domain: "", opset: draft.opset,
                    attributes: [], inputs: [rename(formal.name)], outputs: [actual], modulePath: draft.modulePath))
        }
        let inner = Set(flat.flatMap(\.outputs))
        let outside = Set(flat.flatMap(\.dependencies)).subtracting(inner)
        for node in try sorted(flat, available: outside, targets: draft.outputs.filter { !$0.isEmpty }) {
            try place(node, depth: depth + 1)
        }
    }

    private mutating func lack(_ draft: Draft, _ reason: String) {
        lacking.append((draft, reason))
        tainted.formUnion(draft.outputs)
    }

    /// One failure for all operators that we lack, so that nobody mends a network one message at a time.
    private func lackingFailure() -> Failure {
        let list = lacking.map { draft, reason in
            let type = draft.domain.isEmpty ? draft.type : "\(draft.domain).\(draft.type)"
            return "node '\(draft.name)' (\(type), opset \(draft.opset)\(reason.isEmpty ? "" : "; \(reason)"))"
        }
        let shown = list.prefix(12).joined(separator: ", ") + (list.count > 12 ? " and \(list.count - 12) more" : "")
        let before = result.nodes.filter { node in !node.description.outputs.contains(where: tainted.contains) }
        let taps = before.suffix(4).map { "'\($0.description.name)'" }.joined(separator: ", ")
        return Failure(
            .network, "graph '\(graph.name)'", expected: "operators that TomoLens runs",
            found: "\(lacking.count == 1 ? "one" : "\(lacking.count)") that it lacks: \(shown)",
            remedy: taps.isEmpty
                ? "No layer can be reached without it"
                : "Layers before it can be reached, the last of them \(taps); export without it, or cut the network there"
        )
    }

    // MARK: What is left

    /// Drops nodes whose outputs only fed what has been folded.
    private mutating func dropUnneeded(_ targets: [String]) {
        var needed = Set(targets)
        var kept: [(description: NodeDescription, operation: any Operator, modulePath: String?)] = []
        for node in result.nodes.reversed() where node.description.outputs.contains(where: needed.contains) {
            needed.formUnion(node.description.inputs)
            kept.append(node)
        }
        result.nodes = kept.reversed()
        for (name, value) in known where needed.contains(name) && !data.contains(name) {
            result.constants[name] = value
        }
    }

    private mutating func countParameters() {
        result.parameterCount = result.constants.values.reduce(0) { sum, value in
            if case .float(let tensor) = value { return sum + tensor.count }
            return sum
        }
    }

    /// The PyTorch module of a node: from the dynamo exporter's metadata, or from the name that the older exporter builds
    /// of the modules' names ("/layer4/layer4.1/conv2/Conv" is `layer4.1.conv2`).
    private func modulePath(_ node: NodeFile) -> String? {
        if let scopes = node.metadata["pkg.torch.onnx.name_scopes"] {
            // A Python list of strings: ['', 'layer4', 'layer4.1', 'layer4.1.conv2', 'conv2d_19'].
            let parts = scopes.split(separator: "'", omittingEmptySubsequences: false).enumerated()
                .compactMap { $0.offset % 2 == 1 ? String($0.element) : nil }
            return parts.dropLast().last { !$0.isEmpty }
        }
        guard node.name.hasPrefix("/") else { return nil }
        var path: [String] = []
        for part in node.name.dropFirst().split(separator: "/").dropLast().map(String.init) {
            if let last = path.last, part.hasPrefix(last + ".") {
                path[path.count - 1] = part
            } else {
                path.append(part)
            }
        }
        return path.isEmpty ? nil : path.joined(separator: ".")
    }
}

extension GraphBuilder.Draft {
    init(_ node: NodeFile, opset: Int, path: String?) {
        self.init(
            name: node.name, type: node.type, domain: node.domain, opset: opset, attributes: node.attributes,
            inputs: node.inputs, outputs: node.outputs, modulePath: path)
    }

    /// Everything the node reads: its inputs, and what its subgraphs take from around them.
    var dependencies: [String] {
        var names = inputs.filter { !$0.isEmpty }
        for attribute in attributes {
            if case .graph(let graph) = attribute.content { names += graph.captures.sorted() }
        }
        return names
    }
}

extension GraphFile {
    /// Tensors that the graph reads and does not define.
    var captures: Set<String> {
        var read: Set<String> = Set(outputs.map(\.name))
        var defined: Set<String> = Set(initializers.map(\.name) + inputs.map(\.name))
        for node in nodes {
            read.formUnion(node.inputs)
            defined.formUnion(node.outputs)
            for attribute in node.attributes {
                if case .graph(let graph) = attribute.content { read.formUnion(graph.captures) }
            }
        }
        return read.subtracting(defined).subtracting([""])
    }
}

extension NodeDescription {
    /// Whether the outputs depend on the inputs' shapes alone.
    var readsShapesOnly: Bool { type == "Shape" || type == "Size" }

    /// Runs `body`; a failure that does not name this node yet gets its name.
    func locating<Result>(_ body: () throws -> Result) throws -> Result {
        func located(_ failure: Failure) -> Failure {
            failure.subject.contains("'\(name)'")
                ? failure : failure.within("node '\(name)' (\(type), opset \(opset))")
        }
        do { return try body() } catch let failure as Failure {
            throw located(failure)
        } catch let undetermined as UndeterminedShape {
            throw located(undetermined.failure)
        }
    }
}

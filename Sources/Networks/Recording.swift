import Failures
import Tensors
import Workers

/// A forward pass of which enough is kept to go back: from targets to taps, any number of times, under any rule.
///
/// Kept are the tensors on the paths from the taps to the targets; what lies before the taps is gone.
public struct Recording: Sendable {
    public let network: Network
    /// What was given.
    public let inputs: [String: Value]
    private let values: [Int: Value]
    /// Whether convolutions kept to their definition; a replay does as the recording did.
    private let keptToDefinition: Bool
    private let interrupted: Interruption?

    init(
        _ network: Network, inputs: [String: Value], values: [Int: Value], keptToDefinition: Bool,
        interrupted: Interruption?
    ) {
        self.network = network
        self.keptToDefinition = keptToDefinition
        self.inputs = inputs
        self.values = values
        self.interrupted = interrupted
    }

    /// A target, a tap, or another tensor that was kept.
    public func value(_ name: String) -> Value? {
        guard let id = try? network.tensorID(name) else { return nil }
        return values[id] ?? network.constantValues[id]
    }

    /// As ``value(_:)`` for a tensor of floats.
    ///
    /// - Throws: a ``Failure`` when nothing of that name was kept, or it holds no floats.
    public func tensor(_ name: String) throws -> Tensor<Float> {
        guard let value = value(name) else {
            throw Failure(.network, "tensor '\(name)'", expected: "a recorded tensor", found: "none of that name")
        }
        guard case .float(let tensor) = value else {
            throw Failure(.network, "tensor '\(name)'", expected: "floats", found: value.summary)
        }
        return tensor
    }

    /// The gradient of a scalar with respect to each of `taps`, from its gradient with respect to the targets.
    ///
    /// Only nodes on a path from a tap to a target are visited, and no gradient for weights is ever computed.
    /// - Parameters:
    ///   - seeds: for each target its gradient, in the target's shape: one at the chosen logit and zero elsewhere.
    ///   - taps: recorded taps, or inputs of the network if they were recorded as taps.
    ///   - rules: replacements for the gradient at chosen nodes.
    /// - Returns: one gradient for each tap, in the tap's shape, under the name asked for.
    /// - Throws: a ``Failure`` when a target does not depend on a tap or was not recorded.
    public func pullback(
        seeds: [String: Tensor<Float>], to taps: [String], rules: PropagationRules = .standard
    ) throws -> [String: Tensor<Float>] {
        let tapIDs = try taps.map { try network.tensorID($0) }
        var gradients: [Int: Tensor<Float>] = [:]
        for (name, seed) in seeds.sorted(by: { $0.key < $1.key }) {
            let target = try tensor(name)
            precondition(seed.shape == target.shape, "a seed \(seed.shape) for target '\(name)' \(target.shape)")
            gradients[try network.tensorID(name)] = seed
        }
        let path = Path(network, from: tapIDs, to: Array(gradients.keys))
        for (name, id) in zip(taps, tapIDs) where !path.connects(id) && gradients[id] == nil {
            throw Failure(
                .network, "tap '\(name)'",
                expected: "a layer on which \(seeds.keys.sorted().map { "'\($0)'" }.joined(separator: ", ")) depends",
                found: "one that does not lead there")
        }
        let kept = Set(tapIDs)
        for index in path.nodes.reversed() {
            if let interrupted, interrupted() { throw Failure.interruption }
            let node = network.nodes[index]
            let arrived = node.outputIDs.map { $0.flatMap { gradients[$0] } }
            for id in node.outputIDs { if let id, !kept.contains(id) { gradients[id] = nil } }
            if arrived.allSatisfy({ $0 == nil }) { continue }
            let wanted = node.inputIDs.map { $0.map { path.isInfluenced($0) } ?? false }
            let call = PullbackCall(
                gradients: arrived, inputs: try recorded(node.inputIDs, of: node),
                outputs: try recorded(node.outputIDs, of: node).compactMap { $0 }, wanted: wanted)
            let given = try node.description.locating {
                try rules.rule(for: node)?(call, node) ?? node.operation.pullback(call)
            }
            precondition(given.count == node.inputIDs.count, "\(node.type) gives a gradient for each of its inputs")
            for (position, id) in node.inputIDs.enumerated() where wanted[position] {
                guard let id, let gradient = given[position] else { continue }
                precondition(
                    gradient.shape == call.inputs[position]!.shape, "\(node.type) gives gradients in its inputs' shapes"
                )
                if gradients[id] == nil { gradients[id] = gradient } else { gradients[id]!.add(gradient) }
            }
        }
        var results: [String: Tensor<Float>] = [:]
        for (name, id) in zip(taps, tapIDs) {
            // No gradient arrived where an operator on the way passes none (a rounding, a comparison).
            results[name] =
                gradients[id] ?? Tensor(shape: (values[id] ?? network.constantValues[id])!.shape, repeating: 0)
        }
        return results
    }

    /// Runs forward again with some tensors replaced, from there to `wanting` and no further.
    ///
    /// - Parameter replacing: new values for recorded taps or inputs, in the recorded shape.
    /// - Returns: the wanted values under the names asked for.
    public func replay(replacing: [String: Tensor<Float>], wanting: [String]) throws -> [String: Value] {
        var known = values
        for (id, value) in values where network.constantValues[id] == nil { known[id] = value }
        let replaced = try replacing.map { (try network.tensorID($0.key), $0.value) }
        let path = Path(network, from: replaced.map(\.0), to: [])
        for id in values.keys where path.isInfluenced(id) { known[id] = nil }
        for (name, tensor) in replacing {
            guard let before = value(name) else {
                throw Failure(.network, "tap '\(name)'", expected: "a recorded tap", found: "one that was not recorded")
            }
            precondition(tensor.shape == before.shape, "a replacement \(tensor.shape) for '\(name)' \(before.shape)")
        }
        for (id, tensor) in replaced { known[id] = .float(tensor) }
        let wanted = try wanting.map { try network.tensorID($0) }
        var execution = Execution(network, known: known, interrupted: interrupted)
        // Node by node, as the recording: an unchanged replacement gives the recorded values to the last bit.
        try ConvolutionEngine.keepingToDefinition(keptToDefinition) {
            try execution.compute(wanted, keeping: Set(wanted), joining: false)
        }
        var results: [String: Value] = [:]
        for (name, id) in zip(wanting, wanted) { results[name] = execution.value(id)! }
        return results
    }

    private func recorded(_ ids: [Int?], of node: Node) throws -> [Value?] {
        try ids.map { id in
            guard let id else { return nil }
            guard let value = values[id] ?? network.constantValues[id] else {
                throw Failure(
                    .network, "node '\(node.name)' (\(node.type))", expected: "its tensors to be recorded",
                    found: "'\(network.tensorNames[id])' missing", remedy: "Record this tap and this target together")
            }
            return value
        }
    }
}

extension Network {
    /// Runs forward to `targets` and keeps what a pullback from them to `taps` needs.
    ///
    /// - Parameters:
    ///   - targets: tensors of which a scalar will be made, the logits for example.
    ///   - taps: tensors whose gradients will be asked for; inputs of the network too.
    /// - Throws: as ``run(inputs:wanting:interrupted:)``.
    public func record(
        inputs: [String: Value], targets: [String], taps: [String], interrupted: Interruption? = nil
    ) throws -> Recording {
        let targetIDs = try targets.map { try tensorID($0) }
        let tapIDs = try taps.map { try tensorID($0) }
        let path = Path(self, from: tapIDs, to: targetIDs)
        var kept = Set(targetIDs + tapIDs)
        for index in path.nodes { kept.formUnion((nodes[index].inputIDs + nodes[index].outputIDs).compactMap { $0 }) }
        var execution = Execution(self, interrupted: interrupted)
        try execution.supply(inputs)
        execution.returning = path
        // Unused second outputs of a node on the path are kept too: its pullback may look at them.
        let decides = path.decidesBelowConvolutions(in: self)
        try ConvolutionEngine.keepingToDefinition(decides) {
            try execution.compute(targetIDs + tapIDs, keeping: kept)
        }
        for id in targetIDs { try checkNumbers(execution.value(id)!, id, inputs: inputs) }
        var values: [Int: Value] = [:]
        for id in kept { if let value = execution.values[id] { values[id] = value } }
        for input in self.inputs { if let value = inputs[input.name] { values[tensorIDs[input.name]!] = value } }
        return Recording(
            self, inputs: inputs, values: values, keptToDefinition: decides, interrupted: interrupted)
    }
}

/// The part of a graph that lies between some tensors and others.
struct Path {
    /// Nodes that read something influenced by the sources and lead to a target, in order.
    private(set) var nodes: [Int] = []
    private let influenced: [Bool]
    private let leads: [Bool]

    /// - Parameter targets: where to go; nowhere in particular when empty, and then ``nodes`` is empty too.
    init(_ network: Network, from sources: [Int], to targets: [Int]) {
        var influenced = [Bool](repeating: false, count: network.tensorNames.count)
        for id in sources { influenced[id] = true }
        for node in network.nodes where node.inputIDs.contains(where: { $0.map { influenced[$0] } ?? false }) {
            for id in node.outputIDs { if let id { influenced[id] = true } }
        }
        var leads = [Bool](repeating: false, count: network.tensorNames.count)
        for id in targets { leads[id] = true }
        for node in network.nodes.reversed() where node.outputIDs.contains(where: { $0.map { leads[$0] } ?? false }) {
            for id in node.inputIDs { if let id { leads[id] = true } }
            if node.inputIDs.contains(where: { $0.map { influenced[$0] } ?? false }) { nodes.append(node.index) }
        }
        nodes.reverse()
        self.influenced = influenced
        self.leads = leads
    }

    /// Bytes that tensors on the way take while a gradient goes back: what is kept of them, and the gradients that a node is given and
    /// gives.
    ///
    /// - Parameter shapes: of all tensors, by number.
    func bytes(_ shapes: [[Int]?], in network: Network) -> Int {
        func bytes(_ ids: [Int?]) -> Int {
            ids.reduce(0) { sum, id in sum + 4 * (id.flatMap { shapes[$0] }?.elementCount ?? 0) }
        }
        var kept: Set<Int> = []
        var gradients = 0
        for index in nodes {
            let node = network.nodes[index]
            let inputs = node.inputIDs.filter { $0.map { network.constantValues[$0] == nil } ?? false }
            kept.formUnion((inputs + node.outputIDs).compactMap { $0 })
            let wanted = inputs.filter { $0.map(isInfluenced) ?? false }
            gradients = max(gradients, bytes(node.outputIDs + wanted))
        }
        let given = Set(network.inputs.compactMap { network.tensorIDs[$0.name] })
        return bytes(Array(kept.subtracting(given))) + gradients
    }

    /// Whether the way back passes a decision (which side of a kink, which of several is largest) and then a convolution, which
    /// carries what was decided to other places.
    ///
    /// Where two values all but tie, rounding decides, and the maps of layers below show it. Without a convolution after it a
    /// decision stays where it was made, and there the tied values are alike.
    func decidesBelowConvolutions(in network: Network) -> Bool {
        guard let first = nodes.firstIndex(where: { ["Conv", "ConvTranspose"].contains(network.nodes[$0].type) }) else {
            return false
        }
        return nodes[first...].contains { Self.deciders.contains(network.nodes[$0].type) }
    }

    private static let deciders: Set<String> = [
        "Abs", "Celu", "Clip", "GlobalMaxPool", "HardSigmoid", "HardSwish", "LeakyRelu", "Max", "MaxPool", "Min",
        "PRelu",
        "ReduceMax", "ReduceMin", "Relu", "Selu", "Shrink", "ThresholdedRelu", "TopK",
    ]

    /// Whether a tensor depends on a source, or is one.
    func isInfluenced(_ id: Int) -> Bool { influenced[id] }

    /// Whether a target depends on the tensor, or is it.
    func connects(_ id: Int) -> Bool { leads[id] }
}

extension Tensor where Scalar == Float {
    /// Adds `other`, element by element, in place where nobody else holds the elements.
    mutating func add(_ other: Tensor<Float>) {
        withUnsafeMutableBuffer { sum in
            other.withUnsafeBuffer { term in
                Workers.shared.forEachRange(sum.count, grain: 1 << 16) { range in
                    for index in range { sum[index] += term[index] }
                }
            }
        }
    }
}

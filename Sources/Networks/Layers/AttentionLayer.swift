import Failures
import Tensors

/// One attention of a network: weights from a softmax over products of queries and keys, by which values are summed.
public struct AttentionLayer: Sendable {
    /// Where the weights are.
    public enum Weights: Sendable, Hashable {
        /// In a tensor of the graph.
        case tensor(String)
        /// Inside an `Attention` operator (opset 23), by its result: to be computed from its operands.
        case within(result: String)
    }

    /// The softmax, or the operator that holds it.
    public let node: String
    /// The PyTorch module that it was exported from, where the file tells.
    public let modulePath: String?
    public let weights: Weights
    /// Of the weights: `[windows, heads, queries, keys]`, or `[heads, queries, keys]`.
    public let shape: [Int]
    /// Tensors that a recording must keep: the values, and the weights or what they are computed from.
    public let kept: [String]
    /// Tensor of the values that are summed.
    public let values: String
    public let valuesShape: [Int]
    /// Which axis of the values runs over keys.
    public let keyAxis: Int
    /// The last tensor before the values that holds all they know of the input and whose elements have a place in it.
    public let stream: String
    /// Tokens before the first that has a place: a class token, where it is not 0.
    public let leadingTokens: Int
    /// Places of the stream's tokens.
    public let placedTokens: Int

    public var heads: Int { shape[shape.count - 3] }
    public var queries: Int { shape[shape.count - 2] }
    public var keys: Int { shape[shape.count - 1] }
    /// Groups of tokens that attend among themselves only; 1 where every token sees every other one.
    public var windows: Int { shape.dropLast(3).reduce(1, *) }
}

extension Network {
    /// The attentions on the way to an output (the first when nil), in the order of computation, by their form in the graph: a softmax
    /// between two products of tensors that both carry data, whoever exported it and whatever it is called; or an operator that is
    /// all of that.
    ///
    /// - Throws: as ``head(of:inputShapes:)``. A network without attention gives an empty list.
    public func attentionLayers(
        to output: String? = nil, inputShapes: [String: [Int]]? = nil
    ) throws -> [AttentionLayer] {
        let analysis = try analysis(inputShapes)
        let logits = tensorIDs[try logits(of: output, analysis).tensor]!
        let path = Path(self, from: [tensorIDs[analysis.positions.input]!], to: [logits])
        return path.nodes.compactMap { index in
            switch nodes[index].type {
            case "Softmax": attention(nodes[index], analysis)
            case "Attention": attention(operator: nodes[index], analysis)
            default: nil
            }
        }
    }

    /// Scores and softmax in one operator. One that looks back at tokens of earlier calls is no attention among places.
    private func attention(operator node: Node, _ analysis: Analysis) -> AttentionLayer? {
        guard node.inputIDs.count >= 3, let queries = node.inputIDs[0], let values = node.inputIDs[2],
            let result = node.outputIDs[0], analysis.carriesData(queries), analysis.carriesData(values),
            let queriesShape = analysis.values[queries]?.shape, let valuesShape = analysis.values[values]?.shape,
            queriesShape.count == valuesShape.count, node.inputIDs.dropFirst(4).allSatisfy({ $0 == nil }),
            let stream = stream(of: values, analysis)
        else { return nil }
        // `[batch, heads, tokens, size]`, or `[batch, tokens, heads · size]`.
        let isFlat = queriesShape.count == 3
        let heads = isFlat ? node.description.attributes.int("q_num_heads") ?? 1 : queriesShape[1]
        let axis = isFlat ? 1 : 2
        return AttentionLayer(
            node: node.name, modulePath: node.modulePath, weights: .within(result: tensorNames[result]),
            shape: [queriesShape[0], heads, queriesShape[axis], valuesShape[axis]],
            kept: (node.inputIDs.compactMap { $0 } + [result]).map { tensorNames[$0] },
            values: tensorNames[values], valuesShape: valuesShape, keyAxis: axis, stream: tensorNames[stream.id],
            leadingTokens: stream.field.tokens?.first ?? 0,
            placedTokens: stream.field.axes.map(\.extent).reduce(1, *))
    }

    private static let productTypes: Set<String> = ["MatMul", "Einsum"]

    private func attention(_ softmax: Node, _ analysis: Analysis) -> AttentionLayer? {
        guard let weights = softmax.outputIDs[0], let scores = softmax.inputIDs[0], comesFromProduct(scores, analysis),
            let shape = analysis.values[weights]?.shape, shape.count >= 3,
            let (product, operand) = product(reading: weights, analysis),
            let values = nodes[product].inputIDs[1 - operand], let valuesShape = analysis.values[values]?.shape,
            valuesShape.count >= 2, let keyAxis = keyAxis(nodes[product], weights: operand, rank: valuesShape.count),
            valuesShape[keyAxis] == shape[shape.count - 1], let stream = stream(of: values, analysis)
        else { return nil }
        return AttentionLayer(
            node: softmax.name, modulePath: softmax.modulePath, weights: .tensor(tensorNames[weights]), shape: shape,
            kept: [tensorNames[weights], tensorNames[values]], values: tensorNames[values], valuesShape: valuesShape,
            keyAxis: keyAxis, stream: tensorNames[stream.id],
            leadingTokens: stream.field.tokens?.first ?? 0,
            placedTokens: stream.field.axes.map(\.extent).reduce(1, *))
    }

    /// Whether scores are a product of two tensors that carry data, scaled, shifted or masked.
    private func comesFromProduct(_ id: Int, _ analysis: Analysis) -> Bool {
        var id = id
        for _ in 0..<24 {
            guard let index = producers[id] else { return false }
            let data = analysis.dataInputs(index)
            if Self.productTypes.contains(nodes[index].type) { return data.count == 2 }
            guard let next = data.first, !nodes[index].type.hasPrefix("Conv"), nodes[index].type != "Gemm" else {
                return false
            }
            // Of several operands (a bias that depends on the input), the one that comes latest is the scores.
            id = data.max { (producers[$0] ?? -1) < (producers[$1] ?? -1) } ?? next
        }
        return false
    }

    /// The product that reads `id`, and which of its operands it is, through nodes that only move or drop nothing.
    private func product(reading id: Int, _ analysis: Analysis) -> (node: Int, operand: Int)? {
        var id = id
        for _ in 0..<8 {
            guard
                let next = consumers[id].first(where: {
                    analysis.carriesData(nodes[$0].outputIDs.first.flatMap { $0 } ?? id)
                })
            else { return nil }
            let node = nodes[next]
            if Self.productTypes.contains(node.type), node.inputIDs.count == 2,
                let operand = node.inputIDs.firstIndex(of: id),
                let other = node.inputIDs[1 - operand], analysis.carriesData(other)
            {
                return (next, operand)
            }
            guard ["Identity", "Dropout", "Cast"].contains(node.type), let out = node.outputIDs.first ?? nil else {
                return nil
            }
            id = out
        }
        return nil
    }

    /// The axis of the values that the product sums over.
    private func keyAxis(_ node: Node, weights operand: Int, rank: Int) -> Int? {
        if node.type == "MatMul" { return operand == 0 ? rank - 2 : rank - 1 }
        guard let equation = node.description.attributes.string("equation") else { return nil }
        let sides = equation.replacing(" ", with: "").components(on: "->")
        guard sides.count == 2 else { return nil }
        let terms = sides[0].components(on: ",")
        guard terms.count == 2, let key = terms[operand].last else { return nil }
        let other = Array(terms[1 - operand])
        guard other.count == rank, !sides[1].contains(key) else { return nil }
        return other.firstIndex(of: key)
    }

    private func stream(of values: Int, _ analysis: Analysis) -> (id: Int, field: ReceptiveField)? {
        let rank = analysis.positions.layout.spatial.count
        for id in analysis.cuts(from: values) where producers[id] != nil {
            guard let field = try? analysis.positions.receptiveField(id), field.axes.count == rank else { continue }
            let places = field.tokens?.count ?? field.axes.map(\.extent).reduce(1, *)
            let channels = field.channelAxis.map { field.shape[$0] } ?? 1
            // Every element belongs to one place and one channel, and nothing is left over.
            if field.shape.elementCount == places * channels { return (id, field) }
        }
        return nil
    }
}

extension String {
    fileprivate func components(on separator: String) -> [String] {
        split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }
}

import Failures
import Networks
import Tensors

/// Attention as it is: how much each place is attended to at one layer, by the class token, by one token, or by all.
public struct Attention: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "attention", title: "Attention", family: .attention,
        summary:
            "How much each place is attended to at one layer: by the class token, one token, or all of them on average.",
        source: "Vaswani et al., arXiv 1706.03762", needs: "attention in the graph (ViT, UNETR, SwinUNETR)",
        cost: "1 forward",
        trust:
            "Shows where a layer reads from, whatever the class: not what the decision rests on. In windows, the mean over each window's tokens.",
        sanity: .notApplicable, mapsInput: false, needsTap: false,
        options: AttentionOptions.layer + AttentionOptions.query)

    private let layer: Int
    private let head: Int
    private let query: Int

    public init(_ options: MethodOptions) {
        layer = options.integer("layer")
        head = options.integer("head")
        query = options.integer("query")
    }

    public func layers(_ scope: NetworkScope) throws -> MethodLayers {
        let layers = try AttentionTokens.layers(scope, for: Self.descriptor.title)
        let chosen = try AttentionTokens.layer(layer, of: layers, for: Self.descriptor.title)
        return MethodLayers(maps: [chosen.stream], kept: chosen.kept)
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let title = Self.descriptor.title
        let layers = try question.attentionLayers()
        let chosen = try AttentionTokens.layer(layer, of: layers, for: title)
        let tokens = AttentionTokens(question: question, layers: [chosen])
        guard head <= chosen.heads else {
            throw Failure(
                .usage, "method '\(title)', option 'head'",
                expected: "at most \(chosen.heads), for so many heads there are",
                found: "\(head)")
        }
        let matrix = AttentionTokens.heads(try tokens.weights(chosen), head: head)
        let query = try AttentionTokens.query(query, chosen, for: title)
        let map = try tokens.placed(AttentionTokens.received(matrix, chosen, query: query), chosen)
        let number = layer == 0 ? layers.count : layer
        return AttributionMap(
            map,
            figures: [
                "attention layers": Double(layers.count), "heads": Double(chosen.heads),
                "windows": Double(chosen.windows),
            ],
            matrices: AttentionTokens.matrix("layer\(number)_\(head == 0 ? "mean" : "head\(head)")", matrix, chosen))
    }
}

/// Attention rollout: attention through all layers, with the shortcut around each counted as half.
///
/// Abnar & Zuidema, ACL 2020: the product over layers of `(mean over heads + identity) / 2`.
public struct AttentionRollout: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "attention-rollout", title: "Attention rollout", family: .attention,
        summary: "Which places reach the class token, or all tokens, through the attention of all layers.",
        source: "Abnar & Zuidema, arXiv 2005.00928", needs: "attention among all tokens in every layer (ViT, UNETR)",
        cost: "1 forward",
        trust: "Knows nothing of the class, and takes every head for equally important: a first look.",
        sanity: .notApplicable, mapsInput: false, needsTap: false, options: AttentionOptions.query)

    private let query: Int

    public init(_ options: MethodOptions) { query = options.integer("query") }

    public func layers(_ scope: NetworkScope) throws -> MethodLayers {
        let layers = try AttentionTokens.layers(scope, for: Self.descriptor.title)
        try TokenMatrix.check(layers, for: Self.descriptor.title)
        return MethodLayers(maps: [layers[0].stream], kept: layers.flatMap(\.kept))
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let layers = try question.attentionLayers()
        let tokens = AttentionTokens(question: question, layers: layers)
        let count = layers[0].keys
        var rollout = TokenMatrix.identity(count)
        for layer in layers {
            var step = AttentionTokens.heads(try tokens.weights(layer), head: 0)
            for index in step.indices { step[index] /= 2 }
            for token in 0..<count { step[token * count + token] += 0.5 }
            rollout = TokenMatrix.product(step, rollout, count)
        }
        let query = try AttentionTokens.query(query, layers[0], for: Self.descriptor.title)
        return AttributionMap(
            try tokens.placed(AttentionTokens.received(rollout, layers[0], query: query), layers[0]),
            figures: ["attention layers": Double(layers.count)],
            matrices: AttentionTokens.matrix("rollout", rollout, layers[0]))
    }
}

/// Gradient-weighted attention: attention that raises the target, through all layers.
///
/// Chefer, Gur & Wolf, "Generic Attention-model Explainability", ICCV 2021, equations 5 and 6, for self-attention: from R = identity,
/// `R ← R + mean over heads of (∂y/∂A ⊙ A)⁺ · R` layer by layer. The identity, each token's share in itself, is not drawn. In networks
/// whose tokens attend within windows there is no one matrix to roll through: each layer gives a map of its own, and the maps are fused.
public struct AttentionGradient: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "attention-gradient", title: "Gradient-weighted attention", family: .attention,
        summary: "Which places reach the decision through attention that raises the target.",
        source: "Chefer et al., arXiv 2103.15679", needs: "attention in the graph (ViT, UNETR, SwinUNETR)",
        cost: "1 forward, 1 pullback to the first attention",
        trust: "Depends on the class, unlike rollout. Shows evidence for the target only, none against it.",
        sanity: .passes, mapsInput: false, needsTap: false,
        options: [
            MethodOption(
                "layer", .integer(0...1000), standard: .number(0), "that attention alone, from 1; 0 is all of them")
        ] + AttentionOptions.query)

    private let layer: Int
    private let query: Int

    public init(_ options: MethodOptions) {
        layer = options.integer("layer")
        query = options.integer("query")
    }

    public func layers(_ scope: NetworkScope) throws -> MethodLayers {
        let layers = try chosen(AttentionTokens.layers(scope, for: Self.descriptor.title))
        let kept = layers.flatMap(\.kept)
        return MethodLayers(maps: Self.rolls(layers) ? [layers[0].stream] : layers.map(\.stream), kept: kept)
    }

    private func chosen(_ layers: [AttentionLayer]) throws -> [AttentionLayer] {
        layer == 0 ? layers : [try AttentionTokens.layer(layer, of: layers, for: Self.descriptor.title)]
    }

    private static func rolls(_ layers: [AttentionLayer]) -> Bool {
        layers.allSatisfy { $0.windows == 1 && $0.queries == $0.keys && $0.keys == layers[0].keys }
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let all = try chosen(question.attentionLayers())
        let rolls = Self.rolls(all)
        let layers = rolls ? all : all.filter { $0.stream == tap }
        let tokens = AttentionTokens(question: question, layers: layers)
        var matrix: [Double] = []
        let count = layers[0].keys
        try tokens.forEach(layers) { layer in
            let step = layer.gradient.withUnsafeBuffer { gradient in
                AttentionTokens.heads(layer.weights, head: 0) { max(0, Double(gradient[$0]) * Double($1)) }
            }
            if !rolls || layers.count == 1 {
                matrix = step
            } else {
                if matrix.isEmpty { matrix = TokenMatrix.identity(count) }
                let further = TokenMatrix.product(step, matrix, count)
                for index in matrix.indices { matrix[index] += further[index] }
            }
        }
        if rolls, layers.count > 1 { for token in 0..<count { matrix[token * count + token] -= 1 } }
        let query = try AttentionTokens.query(query, layers[0], for: Self.descriptor.title)
        let name =
            layer == 0
            ? (rolls ? "relevance" : "relevance_\(all.firstIndex { $0.stream == tap }! + 1)")
            : "layer\(layer)_relevance"
        return AttributionMap(
            try tokens.placed(AttentionTokens.received(matrix, layers[0], query: query), layers[0]),
            figures: ["attention layers": Double(all.count)],
            matrices: AttentionTokens.matrix(name, matrix, layers[0]))
    }
}

enum AttentionOptions {
    static let layer = [
        MethodOption(
            "layer", .integer(0...1000), standard: .number(0), "which attention, from 1 in order; 0 is the last"),
        MethodOption("head", .integer(0...1000), standard: .number(0), "which head, from 1; 0 is their mean"),
    ]
    static let query = [
        MethodOption(
            "query", .integer(-1...1_000_000), standard: .number(-1),
            "whose attention: a token from 0; -1 is the class token, or the mean of all where there is none")
    ]
}

/// Square matrices over tokens, row-major, in double precision.
enum TokenMatrix {
    static func identity(_ count: Int) -> [Double] {
        var matrix = [Double](repeating: 0, count: count * count)
        for token in 0..<count { matrix[token * count + token] = 1 }
        return matrix
    }

    static func product(_ a: [Double], _ b: [Double], _ count: Int) -> [Double] { Scatter.product(a, b, size: count) }

    /// - Throws: a ``Failure`` where layers do not attend among the same tokens.
    static func check(_ layers: [AttentionLayer], for title: String) throws {
        if let odd = layers.first(where: { $0.windows > 1 || $0.queries != $0.keys || $0.keys != layers[0].keys }) {
            throw Failure(
                .network, "method '\(title)'", expected: "attention among the same tokens in every layer",
                found: odd.windows > 1
                    ? "\(odd.windows) windows at '\(odd.node)'"
                    : "\(odd.queries) × \(odd.keys) tokens at '\(odd.node)'",
                remedy: "Use attention, which shows one layer, or attention-gradient, which fuses the layers' maps.")
        }
    }
}

extension Question {
    /// The network's attentions on the way to the target.
    func attentionLayers() throws -> [AttentionLayer] {
        try network.attentionLayers(to: head.logits.output, inputShapes: inputs.mapValues(\.shape))
    }
}

import Failures
import Networks
import Tensors

/// A network's attention, brought from tokens to places.
struct AttentionTokens {
    let question: Question
    let layers: [AttentionLayer]

    /// - Throws: a ``Failure`` that says what to use instead, where the graph has no attention.
    static func layers(_ scope: NetworkScope, for title: String) throws -> [AttentionLayer] {
        let layers = try scope.network.attentionLayers(to: scope.outputName, inputShapes: scope.inputShapes)
        guard !layers.isEmpty else {
            throw Failure(
                .network, "method '\(title)'",
                expected:
                    "attention in the graph: a softmax between two products of tensors that depend on the scan, or an Attention operator",
                found: "none on the way to '\(scope.outputName)'",
                remedy:
                    "Use hirescam or gradcam at a layer, or a method that maps the input: deeplift, occlusion, kernelshap."
            )
        }
        return layers
    }

    /// The layer of that number, from 1; 0 is the last.
    static func layer(_ number: Int, of layers: [AttentionLayer], for title: String) throws -> AttentionLayer {
        guard number <= layers.count else {
            throw Failure(
                .usage, "method '\(title)', option 'layer'",
                expected: "at most \(layers.count), for so many attentions there are",
                found: "\(number)")
        }
        return layers[(number == 0 ? layers.count : number) - 1]
    }

    /// Weights as `[windows, heads, queries, keys]`.
    func weights(_ layer: AttentionLayer) throws -> Tensor<Float> {
        let tensor: Tensor<Float> =
            switch layer.weights {
            case .tensor(let name): try question.recording.tensor(name)
            case .within(let result): try AttentionOperator(result, in: question.recording).weights
            }
        return tensor.reshaped([layer.windows, layer.heads, layer.queries, layer.keys])
    }

    /// A layer's weights, and the target's gradient with respect to them: `[windows, heads, queries, keys]`.
    struct Weighted {
        let weights: Tensor<Float>
        let gradient: Tensor<Float>
    }

    /// Of every given layer in turn, after one way back for them all.
    func forEach(_ layers: [AttentionLayer], _ body: (Weighted) throws -> Void) throws {
        let target = question.target
        func place(_ layer: AttentionLayer) -> String {
            switch layer.weights {
            case .tensor(let name), .within(let name): name
            }
        }
        let found = try question.recording.pullback(
            seeds: [target.tensor: target.seed], to: layers.map(place))
        for layer in layers {
            var gradient = found[place(layer)]!
            let weights: Tensor<Float>
            switch layer.weights {
            case .tensor(let name): weights = try question.recording.tensor(name)
            case .within(let result):
                // Both from one computation of the operator's inside.
                let inside = try AttentionOperator(result, in: question.recording)
                weights = inside.weights
                gradient = inside.gradient(ofWeightsFrom: gradient)
            }
            let shape = [layer.windows, layer.heads, layer.queries, layer.keys]
            try body(Weighted(weights: weights.reshaped(shape), gradient: gradient.reshaped(shape)))
        }
    }

    /// Heads averaged, or one head (from 1): `[windows, queries, keys]`, in double precision.
    static func heads(_ weights: Tensor<Float>, head: Int, _ transform: (Int, Float) -> Double = { Double($1) })
        -> [Double]
    {
        let (windows, heads) = (weights.shape[0], weights.shape[1])
        let size = weights.shape[2] * weights.shape[3]
        var sums = [Double](repeating: 0, count: windows * size)
        weights.withUnsafeBuffer { weights in
            for window in 0..<windows {
                for number in 0..<heads where head == 0 || number == head - 1 {
                    let base = (window * heads + number) * size
                    for index in 0..<size {
                        sums[window * size + index] += transform(base + index, weights[base + index])
                    }
                }
            }
        }
        return head == 0 ? sums.map { $0 / Double(heads) } : sums
    }

    /// What each key receives: the row of one query, or the mean over all queries; for each window.
    ///
    /// - Parameter query: nil for the mean.
    static func received(_ matrix: [Double], _ layer: AttentionLayer, query: Int?) -> [Double] {
        var received = [Double](repeating: 0, count: layer.windows * layer.keys)
        for window in 0..<layer.windows {
            for row in 0..<layer.queries where query == nil || query == row {
                let base = (window * layer.queries + row) * layer.keys
                let share = query == nil ? 1 / Double(layer.queries) : 1
                for key in 0..<layer.keys { received[window * layer.keys + key] += share * matrix[base + key] }
            }
        }
        return received
    }

    /// Numbers of keys, as a map on the grid of the layer's stream.
    ///
    /// They are handed back from the values to the stream by rules that keep the sum and move nothing from place to place but what
    /// the network moves: windows are put together, shifts undone, padding dropped.
    func placed(_ received: [Double], _ layer: AttentionLayer) throws -> Tensor<Float> {
        let seed = try spread(received, layer)
        let mass = try question.recording.pullback(
            seeds: [layer.values: seed], to: [layer.stream], rules: PlaceRules.rules)
        return ChannelReduction.sum(of: question.layout(of: layer.stream).featureMap(mass[layer.stream]!))
    }

    /// `[windows, keys]` as numbers on the values' tensor, each key's divided evenly among its elements.
    private func spread(_ received: [Double], _ layer: AttentionLayer) throws -> Tensor<Float> {
        let shape = layer.valuesShape
        let keys = layer.keys
        let inner = shape[(layer.keyAxis + 1)...].reduce(1, *)
        let outer = shape[..<layer.keyAxis].reduce(1, *)
        // Leading axes of the values are windows, then heads; a window's elements lie together.
        guard outer % layer.windows == 0, received.count == layer.windows * keys else {
            throw Failure(
                .network, "attention '\(layer.node)'", expected: "values in \(layer.windows) windows",
                found: "values of shape \(shape)", remedy: "Use another layer or method.")
        }
        let perWindow = outer / layer.windows
        let share = 1 / Double(perWindow * inner)
        return Tensor(shape: shape) { result in
            for block in 0..<outer {
                for key in 0..<keys {
                    let value = Float(received[block / perWindow * keys + key] * share)
                    let base = (block * keys + key) * inner
                    for index in base..<base + inner { result[index] = value }
                }
            }
        }
    }

    /// A query's number from a word: the class token, the mean over all, or a token.
    static func query(_ option: Int, _ layer: AttentionLayer, for title: String) throws -> Int? {
        if option < 0 { return layer.leadingTokens > 0 && layer.windows == 1 ? 0 : nil }
        guard option < layer.queries, layer.windows == 1 else {
            throw Failure(
                .usage, "method '\(title)', option 'query'",
                expected: layer.windows == 1
                    ? "a token from 0 to \(layer.queries - 1)" : "-1, for attention within windows",
                found: "\(option)")
        }
        return option
    }

    /// Largest matrix that is written.
    private static let largest = 2048

    static func matrix(_ name: String, _ values: [Double], _ layer: AttentionLayer) -> [NamedMatrix] {
        guard max(layer.queries, layer.keys) <= largest else { return [] }
        let size = layer.queries * layer.keys
        // Windows have one pattern in common: their mean.
        var mean = [Float](repeating: 0, count: size)
        for index in 0..<size {
            var sum = 0.0
            for window in 0..<layer.windows { sum += values[window * size + index] }
            mean[index] = Float(sum / Double(layer.windows))
        }
        return [NamedMatrix(name, Tensor(shape: [layer.queries, layer.keys], values: mean))]
    }
}

/// Rules under which what flows back is an amount at a place: sums are kept, channels do not matter.
enum PlaceRules {
    static var rules: PropagationRules {
        var rules = PropagationRules()
        rules.everywhere = { call, node in try amount(call, node) }
        return rules
    }

    private static func amount(_ call: PullbackCall, _ node: Node) throws -> [Tensor<Float>?] {
        let kind = OperatorKind(type: node.type)
        if kind == .movement { return try node.operation.pullback(call) }
        guard let arrived = call.gradients.compactMap({ $0 }).first else { return call.inputs.map { _ in nil } }
        var result = [Tensor<Float>?](repeating: nil, count: call.inputs.count)
        if kind == .weighted, let data = call.wanted.firstIndex(of: true), let shape = call.inputs[data]?.shape {
            if !node.type.hasPrefix("Conv"), shape.dropLast() == arrived.shape.dropLast() {
                result[data] = evened(arrived, to: shape)
            }
            return result
        }
        // Elementwise and normalizing operators: the operand that has the result's extents carries the places.
        if let index = call.wanted.indices.first(where: { call.wanted[$0] && call.inputs[$0]?.shape == arrived.shape })
        {
            result[index] = arrived
        }
        return result
    }

    /// The sum along the last axis, evenly over as many channels as the operand has.
    private static func evened(_ arrived: Tensor<Float>, to shape: [Int]) -> Tensor<Float> {
        let (from, to) = (arrived.shape.last ?? 1, shape.last ?? 1)
        return arrived.withUnsafeBuffer { arrived in
            Tensor(shape: shape) { result in
                for row in 0..<(result.count / max(1, to)) {
                    var sum = 0.0
                    for index in row * from..<(row + 1) * from { sum += Double(arrived[index]) }
                    for index in row * to..<(row + 1) * to { result[index] = Float(sum / Double(to)) }
                }
            }
        }
    }
}

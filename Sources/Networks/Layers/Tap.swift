import Failures
import Tensors

/// A layer of a network, by the tensor that comes out of it.
public struct Tap: Sendable, Hashable {
    /// The name by which it was asked for.
    public let name: String
    public let tensor: String
    /// The node that computes it; nil for an input of the network.
    public let node: String?
}

/// Short names for layers, so that nobody has to know an exporter's naming.
public enum TapAlias: String, Sendable, CaseIterable {
    /// The network's first input.
    case input
    /// The first convolution's output.
    case firstConv = "first-conv"
    /// The output of the deepest convolution before the classifier that still has more than one place.
    ///
    /// Taken before normalisation and activation, and inside a residual block it misses what the shortcut carries.
    case lastConv = "last-conv"
    /// The last feature map that still has places and through which everything passes that the classifier sees: behind
    /// activations and additions, before pooling and flattening. In a ResNet the last block's output, in a DenseNet the
    /// final normalised and rectified map. Where the classifier reads a class token only, it is the stream of tokens that
    /// enters the last attention: behind that, no other token has any influence.
    case lastSpatial = "last-spatial"
    /// The last of the layers with the fewest places: the bottom of a U-Net.
    case bottleneck
    /// What the last linear layer or classifying convolution reads.
    case penultimate
    /// The classifier's output before a final softmax or sigmoid.
    case logits
}

/// A layer as `tomolens inspect` lists it.
public struct TapDescription: Sendable {
    public let tap: Tap
    /// ONNX type of the node.
    public let type: String
    public let modulePath: String?
    public let shape: [Int]
    /// Extents of the axes that run over places; empty behind pooling and flattening.
    public let spatialShape: [Int]
    /// Whether places are tokens along one axis.
    public let isTokens: Bool
    public let channels: Int
    public let aliases: [TapAlias]
}

extension Network {
    /// The tap of this name: an input or output, a node, a PyTorch module ("layer4.1.conv2", whose last node is meant),
    /// a tensor, or an alias (``TapAlias``), in this order.
    ///
    /// - Parameter inputShapes: shapes under which aliases are resolved, where the file leaves extents open.
    /// - Throws: a ``Failure`` of kind `.network`, with the likeliest name that was meant.
    public func tap(_ name: String, inputShapes: [String: [Int]]? = nil) throws -> Tap {
        if (inputs + outputs).contains(where: { $0.name == name }), let id = tensorIDs[name] { return tap(name, id) }
        if let node = nodes.first(where: { $0.name == name }), let tensor = node.outputs.first(where: { !$0.isEmpty }) {
            return Tap(name: name, tensor: tensor, node: node.name)
        }
        let inside = { (node: Node) in node.modulePath == name || node.modulePath?.hasPrefix(name + ".") ?? false }
        if let node = nodes.last(where: inside), let id = node.outputIDs.first ?? nil { return tap(name, id) }
        if let id = tensorIDs[name] { return tap(name, id) }
        if let alias = TapAlias(rawValue: name) { return try tap(alias, inputShapes: inputShapes) }
        let modules = Set(nodes.compactMap(\.modulePath)).sorted()
        let names = TapAlias.allCases.map(\.rawValue) + modules + nodes.map(\.name) + tensorNames
        // Exporters put prefixes and endings around a layer's own name.
        let whole = nodes.compactMap(\.outputs.first).filter { $0.lowercased().contains(name.lowercased()) }
        throw Failure(
            .network, "tap '\(name)'", expected: "a layer of the network", found: "a name that it does not have",
            remedy: Nearest.match(name, in: names).map { "Did you mean '\($0)'?" }
                ?? whole.last.map { "Did you mean '\($0)'?" }
                ?? "Names are listed by 'tomolens inspect'; aliases are "
                + TapAlias.allCases.map(\.rawValue).joined(separator: ", "))
    }

    /// The tap of an alias.
    ///
    /// - Throws: a ``Failure`` when the network has no such layer.
    public func tap(_ alias: TapAlias, inputShapes: [String: [Int]]? = nil) throws -> Tap {
        let analysis = try analysis(inputShapes)
        guard let id = try resolve(alias, analysis) else {
            throw Failure(
                .network, "tap '\(alias.rawValue)'", expected: "such a layer in the network", found: "none",
                remedy: "Name a layer that 'tomolens inspect' lists")
        }
        return tap(alias.rawValue, id)
    }

    /// The layer at which a class activation map says most: ``TapAlias/lastSpatial``; for a network that answers for every
    /// voxel and has a coarser middle, ``TapAlias/bottleneck``, since at the last layer the map would repeat the answer.
    public func defaultTap(for output: String? = nil, inputShapes: [String: [Int]]? = nil) throws -> Tap {
        let analysis = try analysis(inputShapes)
        let head = try head(of: output, analysis)
        if head.kind == .dense, let low = bottleneck(head, analysis), let last = lastSpatial(head, analysis),
            analysis.positions.placeCount(low) < analysis.positions.placeCount(last)
        {
            return tap(TapAlias.bottleneck.rawValue, low)
        }
        guard let id = lastSpatial(head, analysis) else {
            throw Failure(
                .network, "tap '\(TapAlias.lastSpatial.rawValue)'", expected: "a layer with more than one place",
                found: "none",
                remedy: "Name a layer that 'tomolens inspect' lists")
        }
        return tap(TapAlias.lastSpatial.rawValue, id)
    }

    /// The layers between input and outputs that can be tapped, in the order of computation; the input comes first.
    public func taps(inputShapes: [String: [Int]]? = nil) throws -> [TapDescription] {
        let analysis = try analysis(inputShapes)
        var aliases: [Int: [TapAlias]] = [:]
        for alias in TapAlias.allCases {
            if let id = try resolve(alias, analysis) { aliases[id, default: []].append(alias) }
        }
        let input = tensorIDs[analysis.positions.input]!
        var list = [describe(input, tap(tensorNames[input], input), nil, aliases[input] ?? [], analysis)]
        for node in nodes {
            guard let id = node.outputIDs.first ?? nil, analysis.carriesData(id),
                analysis.values[id]?.isPending ?? false
            else { continue }
            let tap = Tap(name: node.name, tensor: tensorNames[id], node: node.name)
            list.append(describe(id, tap, node, aliases[id] ?? [], analysis))
        }
        return list
    }

    private func describe(
        _ id: Int, _ tap: Tap, _ node: Node?, _ aliases: [TapAlias], _ analysis: Analysis
    ) -> TapDescription {
        let shape = analysis.values[id]!.shape
        let tokens = analysis.positions.tokenAxis(id)
        let spatial = analysis.positions.spatialAxes(id).map(\.tensor)
        let channelAxis = tokens != nil || spatial.contains(1) ? shape.count - 1 : min(1, shape.count - 1)
        return TapDescription(
            tap: tap, type: node?.type ?? "input", modulePath: node?.modulePath, shape: shape,
            spatialShape: tokens.map { [shape[$0]] } ?? spatial.map { shape[$0] }, isTokens: tokens != nil,
            channels: shape.isEmpty ? 1 : shape[channelAxis], aliases: aliases)
    }

    private func tap(_ name: String, _ id: Int) -> Tap {
        Tap(name: name, tensor: tensorNames[id], node: producers[id].map { nodes[$0].name })
    }

    private func resolve(_ alias: TapAlias, _ analysis: Analysis) throws -> Int? {
        if alias == .input { return tensorIDs[analysis.positions.input] }
        let head = try head(of: nil, analysis)
        let logits = tensorIDs[head.logits.tensor]!
        let path = Path(self, from: [tensorIDs[analysis.positions.input]!], to: [logits])
        func isConvolution(_ index: Int) -> Bool {
            guard nodes[index].type == "Conv" || nodes[index].type == "ConvTranspose",
                let id = nodes[index].outputIDs[0]
            else {
                return false
            }
            return analysis.positions.placeCount(id) > 1
        }
        switch alias {
        case .input: return nil
        case .firstConv: return path.nodes.first(where: isConvolution).flatMap { nodes[$0].outputIDs[0] }
        case .lastConv:
            let end = head.classifier.flatMap { name in nodes.first { $0.name == name } }?.index ?? nodes.count
            let depths = analysis.depths()
            let deepest = path.nodes.filter { $0 < end && isConvolution($0) }.max {
                (depths[$0], $0) < (depths[$1], $1)
            }
            return deepest.flatMap { nodes[$0].outputIDs[0] }
        case .lastSpatial: return lastSpatial(head, analysis)
        case .bottleneck: return bottleneck(head, analysis)
        case .penultimate: return head.penultimate.flatMap { tensorIDs[$0] }
        case .logits: return logits
        }
    }

    /// Operators behind which a map is the same or a coarser one, and not a layer of its own.
    private static let poolTypes: Set<String> = [
        "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Identity",
        "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather",
    ]

    /// Operators whose result an activation or a sum still follows.
    private static let unfinishedTypes: Set<String> = [
        "Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "GroupNormalization",
        "LayerNormalization",
        "Transpose",
    ]

    private func lastSpatial(_ head: Head, _ analysis: Analysis) -> Int? {
        guard let penultimate = head.penultimate.flatMap({ tensorIDs[$0] }) else { return nil }
        // Behind the last attention only the class token matters to a head that reads nothing else.
        var before = nodes.count
        if head.kind == .classToken {
            let path = Path(self, from: [tensorIDs[analysis.positions.input]!], to: [penultimate])
            before =
                path.nodes.last {
                    ["MatMul", "Einsum"].contains(nodes[$0].type) && analysis.dataInputs($0).count > 1
                } ?? before
        }
        let cuts = analysis.cuts(from: penultimate)
        let found = cuts.firstIndex { id in
            guard let producer = producers[id], producer < before else { return false }
            return analysis.positions.placeCount(id) > 1 && !analysis.positions.isFlattened(id)
                && nodes[producer].type != "Transpose" && !Self.poolTypes.contains(nodes[producer].type)
        }
        guard let found else { return nil }
        // Of the same map with channels last and channels first, the latter: what follows a map may turn it round.
        let channelsLast = analysis.positions.spatialAxes(cuts[found]).contains { $0.tensor == 1 }
        if channelsLast, found > 0, let turned = producers[cuts[found - 1]], nodes[turned].type == "Transpose" {
            return cuts[found - 1]
        }
        return cuts[found]
    }

    private func bottleneck(_ head: Head, _ analysis: Analysis) -> Int? {
        guard let penultimate = head.penultimate.flatMap({ tensorIDs[$0] }) else { return nil }
        let rank = analysis.positions.layout.spatial.count
        let path = Path(self, from: [tensorIDs[analysis.positions.input]!], to: [penultimate])
        var best: (id: Int, places: Int)?
        for index in path.nodes {
            guard let id = nodes[index].outputIDs.first ?? nil, analysis.carriesData(id),
                analysis.positions.spatialAxes(id).count == rank
            else { continue }
            if Self.unfinishedTypes.contains(nodes[index].type) || Self.poolTypes.contains(nodes[index].type) {
                continue
            }
            let places = analysis.positions.placeCount(id)
            if places > 1, places <= best?.places ?? .max { best = (id, places) }
        }
        return best?.id
    }
}

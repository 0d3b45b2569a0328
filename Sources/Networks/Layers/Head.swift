import Tensors

/// How a network gets from its last feature map to its scores, as far as that matters to an explanation.
public struct Head: Sendable {
    public enum Kind: String, Sendable {
        /// Feature map → mean over places → one linear layer. A class activation map is exact here: the voxels of
        /// `weights · features`, averaged, plus the bias are the logit.
        case globalAverageLinear
        /// As above with something between the mean and the last linear layer. Every place still has the same weight.
        case globalAverage
        /// Feature map → maximum over places → …: each channel is decided at one place.
        case globalMax
        /// Feature map → flattened → linear: each place has weights of its own. Averaging a channel's gradient over places,
        /// as Grad-CAM does, mixes weights that belong to different places and can point anywhere.
        case flattenLinear
        /// A score for every place (segmentation).
        case dense
        /// Scores for places, reduced to one over places afterwards.
        case densePooled
        /// Tokens → the class token → linear.
        case classToken
        /// Tokens → mean over tokens → linear.
        case averageToken
        /// None of these, or not recognised.
        case other
    }

    public let kind: Kind
    public let logits: Logits
    /// The node that computes the scores: the last linear layer or classifying convolution.
    public let classifier: String?
    /// The tensor that the classifier reads.
    public let penultimate: String?
    /// The node that pools or flattens, where there is one.
    public let pool: String?
    /// The tensor that goes into the pooling or flattening (for dense heads, into the classifier).
    public let features: String?
    /// Of a classifier without hidden layers before it: `[classes, channels]`.
    public let weights: Tensor<Float>?
    /// `[classes]`, where the classifier has one.
    public let bias: Tensor<Float>?

    /// Whether Grad-CAM's averaging over places can mislead, and a method that keeps places apart (HiResCAM) is right.
    public var averagingMisleads: Bool { kind == .flattenLinear || kind == .globalMax || kind == .densePooled }
}

extension Network {
    /// How an output (the first when nil) is computed from the last feature map.
    public func head(of output: String? = nil, inputShapes: [String: [Int]]? = nil) throws -> Head {
        try head(of: output, analysis(inputShapes))
    }

    func head(of output: String?, _ analysis: Analysis) throws -> Head {
        let logits = try logits(of: output, analysis)
        let start = tensorIDs[logits.tensor]!
        let cuts = analysis.cuts(from: start)
        let linear = cuts.lazy.compactMap { self.producers[$0] }.first {
            self.linearWeights(self.nodes[$0], analysis) != nil
        }
        guard let linear, let source = analysis.dataInputs(linear).first else {
            return Head(
                kind: .other, logits: logits, classifier: nil, penultimate: nil, pool: nil, features: nil, weights: nil,
                bias: nil)
        }
        let node = nodes[linear]
        let positions = analysis.positions
        func head(_ kind: Head.Kind, pool: Int? = nil, features: Int?, direct: Bool = false) -> Head {
            let classifier = direct ? linearClassifier(node, analysis) : nil
            let exact = kind != .globalAverage || classifier == nil ? kind : .globalAverageLinear
            return Head(
                kind: exact, logits: logits, classifier: node.name, penultimate: tensorNames[source],
                pool: pool.map { nodes[$0].name }, features: features.map { tensorNames[$0] },
                weights: classifier?.weights,
                bias: classifier?.bias)
        }
        let result = node.outputIDs[0]!
        if node.type.hasPrefix("Conv") {
            if positions.placeCount(result) > 1 {
                return head(positions.placeCount(start) > 1 ? .dense : .densePooled, features: source)
            }
            if positions.placeCount(source) > 1 { return head(.flattenLinear, pool: linear, features: source) }
        } else if positions.placeCount(result) > 1, !positions.isFlattened(result) {
            // A linear layer on every token or voxel.
            return head(positions.placeCount(start) > 1 ? .dense : .densePooled, features: source)
        }
        var id = source
        var direct = true
        while let index = producers[id] {
            let data = analysis.dataInputs(index)
            guard let before = data.first else { break }
            let step = nodes[index]
            let (placesBefore, places) = (positions.placeCount(before), positions.placeCount(id))
            if placesBefore > 1, places == 1 || (positions.isFlattened(id) && !positions.isFlattened(before)) {
                let overTokens = positions.tokenAxis(before) != nil
                switch step.type {
                case "GlobalAveragePool", "AveragePool", "ReduceMean", "ReduceSum":
                    return head(
                        overTokens ? .averageToken : .globalAverage, pool: index, features: before, direct: direct)
                case "GlobalMaxPool", "MaxPool", "ReduceMax":
                    return head(.globalMax, pool: index, features: before)
                case "Gather", "Slice", "GatherElements", "GatherND", "Split":
                    return head(overTokens ? .classToken : .other, pool: index, features: before)
                case "Flatten", "Reshape", "Gemm", "MatMul", "Conv", "Einsum":
                    return head(.flattenLinear, pool: index, features: before)
                default: return head(.other, features: before)
                }
            }
            if data.count > 1 { break }
            switch step.type {
            case "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Transpose": break
            case "Gather" where isIdentity(step, analysis): break
            default: direct = false
            }
            id = before
        }
        return head(.other, features: nil)
    }

    /// Whether a Gather picks everything in its own order, as an exporter's stride tricks come out.
    private func isIdentity(_ node: Node, _ analysis: Analysis) -> Bool {
        guard node.inputIDs.count == 2, let source = node.inputIDs[0], let indices = node.inputIDs[1],
            case .integer(let tensor)? = analysis.values[indices], let shape = analysis.values[source]?.shape,
            tensor.rank == 1 || shape.count == 1
        else { return false }
        let axis = node.description.attributes.int("axis") ?? 0
        return tensor.values == Array(0..<Int64(shape[axis < 0 ? axis + shape.count : axis]))
    }

    /// The constant operand of a linear operator, or nil for any other node.
    private func linearWeights(_ node: Node, _ analysis: Analysis) -> Int? {
        switch node.type {
        case "Conv", "ConvTranspose", "Gemm", "MatMul":
            guard node.inputIDs.count >= 2, let weights = node.inputIDs[1], analysis.dataInputs(node.index).count == 1,
                let data = node.inputIDs[0], analysis.carriesData(data)
            else { return nil }
            return weights
        default: return nil
        }
    }

    /// Weights as `[classes, channels]` and the bias of a layer that maps channels to scores.
    private func linearClassifier(_ node: Node, _ analysis: Analysis) -> (weights: Tensor<Float>, bias: Tensor<Float>?)?
    {
        guard let id = linearWeights(node, analysis), case .float(let stored)? = analysis.values[id] else { return nil }
        func vector(_ id: Int?, _ count: Int) -> Tensor<Float>? {
            guard let id, case .float(let tensor)? = analysis.values[id], tensor.count == count else { return nil }
            return tensor.reshaped([count])
        }
        switch node.type {
        case "Gemm":
            guard stored.rank == 2, node.description.attributes.float("alpha") ?? 1 == 1,
                node.description.attributes.float("beta") ?? 1 == 1, node.description.attributes.int("transA") ?? 0 == 0
            else { return nil }
            let weights = node.description.attributes.int("transB") == 1 ? stored : stored.transposedMatrix
            return (weights, vector(node.inputIDs.count > 2 ? node.inputIDs[2] : nil, weights.shape[0]))
        case "MatMul":
            guard stored.rank == 2 else { return nil }
            let weights = stored.transposedMatrix
            let next = consumers[node.outputIDs[0]!]
            var bias: Tensor<Float>?
            if next.count == 1, nodes[next[0]].type == "Add" {
                bias = nodes[next[0]].inputIDs.lazy.compactMap { vector($0, weights.shape[0]) }.first
            }
            return (weights, bias)
        case "Conv":
            guard stored.rank >= 3, stored.shape.dropFirst(2).allSatisfy({ $0 == 1 }),
                node.description.attributes.int("group") ?? 1 == 1
            else { return nil }
            let weights = stored.reshaped(Array(stored.shape.prefix(2)))
            return (weights, vector(node.inputIDs.count > 2 ? node.inputIDs[2] : nil, weights.shape[0]))
        default: return nil
        }
    }
}

extension Tensor where Scalar == Float {
    /// Rows and columns exchanged.
    fileprivate var transposedMatrix: Tensor {
        let (rows, columns) = (shape[0], shape[1])
        return withUnsafeBuffer { source in
            Tensor(shape: [columns, rows]) { target in
                for row in 0..<rows {
                    for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
                }
            }
        }
    }
}

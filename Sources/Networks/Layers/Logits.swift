import Failures
import Tensors

/// The scores behind an output: what the classifier computed before a final softmax or sigmoid made them probabilities.
public struct Logits: Sendable, Equatable {
    public enum Activation: Sendable, Equatable {
        /// The output itself holds the scores (or the numbers of a regression).
        case none
        /// Probabilities over an axis of the logits' tensor.
        case softmax(axis: Int)
        case logSoftmax(axis: Int)
        /// A probability for every label by itself.
        case sigmoid
        /// The output holds only the number of the best class, along an axis of the logits' tensor.
        case argMax(axis: Int)
    }

    public let output: String
    /// The tensor that holds the scores. Its shape may differ from the output's.
    public let tensor: String
    public let activation: Activation
}

extension Network {
    /// The scores behind an output (the first when nil), found by walking back over reshapes and the activation.
    public func logits(of output: String? = nil, inputShapes: [String: [Int]]? = nil) throws -> Logits {
        try logits(of: output, analysis(inputShapes))
    }

    func logits(of output: String?, _ analysis: Analysis) throws -> Logits {
        let name = output ?? outputs[0].name
        guard let start = tensorIDs[name], outputs.contains(where: { $0.name == name }) else {
            throw Failure(
                .network, "output '\(name)'", expected: "one of the network's outputs",
                found: "a name that it does not have",
                remedy: Nearest.suggestion(name, in: outputs.map(\.name)))
        }
        var found: (id: Int, activation: Logits.Activation)?
        var id = start
        while let index = producers[id] {
            let node = nodes[index]
            guard let source = node.inputIDs.first ?? nil else { break }
            let rank = analysis.values[source]?.shape.count ?? 2
            func axis(default fallback: Int) -> Int {
                let axis = node.description.attributes.int("axis") ?? fallback
                return axis < 0 ? axis + rank : axis
            }
            switch node.type {
            case "Softmax": found = (source, .softmax(axis: axis(default: node.description.opset < 13 ? 1 : -1)))
            case "LogSoftmax": found = (source, .logSoftmax(axis: axis(default: node.description.opset < 13 ? 1 : -1)))
            case "Sigmoid": found = (source, .sigmoid)
            case "ArgMax": found = (source, .argMax(axis: axis(default: 0)))
            case "Identity", "Cast", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose": break
            default: return logits(name, start, found)
            }
            if let found, case .argMax = found.activation {} else if found != nil { break }
            id = source
        }
        return logits(name, start, found)
    }

    private func logits(_ output: String, _ start: Int, _ found: (id: Int, activation: Logits.Activation)?) -> Logits {
        Logits(output: output, tensor: tensorNames[found?.id ?? start], activation: found?.activation ?? .none)
    }
}

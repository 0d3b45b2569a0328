import Failures
import Networks
import Tensors

/// The inside of an `Attention` operator (ONNX opset 23), which gives its result only: the weights, computed once more from the
/// recorded operands, and their gradient from that of the result.
struct AttentionOperator {
    /// `[batch, heads, queries, keys]`.
    let weights: Tensor<Float>
    /// `[batch, key heads, keys, size]`.
    private let values: Tensor<Float>

    /// - Parameter result: the operator's first output, by name; it and the operands were recorded.
    init(_ result: String, in recording: Recording) throws {
        guard let node = recording.network.producer(of: result) else {
            preconditionFailure("an attention's result is computed")
        }
        var description = node.description
        // The fourth output is what the scores have become: after the softmax, the weights.
        description.attributes["qk_matmul_output_mode"] = .int(3)
        description.outputs = ["result", "keys", "values", "weights"]
        guard let operation = try OperatorCatalogue.make(description) else {
            preconditionFailure("\(node.type) ran before")
        }
        let operands = try node.inputs.map { name -> Value? in
            if name.isEmpty { return nil }
            guard let value = recording.value(name) else {
                throw Failure(.network, "tensor '\(name)'", expected: "a recorded tensor", found: "none of that name")
            }
            return value
        }
        let outputs = try operation.forward(operands)
        guard case .float(let values) = outputs[2], case .float(let weights) = outputs[3] else {
            preconditionFailure("\(node.type) computes floats")
        }
        self.values = values
        self.weights = weights
    }

    /// `∂y/∂A[b, h, q, k] = Σ_d gradient[b, h, q, d] · V[b, h, k, d]`.
    ///
    /// - Parameter gradient: of the result, `[batch, heads, queries, size]` or `[batch, queries, heads · size]`.
    func gradient(ofWeightsFrom gradient: Tensor<Float>) -> Tensor<Float> {
        let (heads, queries, keys) = (weights.shape[1], weights.shape[2], weights.shape[3])
        let (keyHeads, size) = (values.shape[1], values.shape[3])
        let isFlat = gradient.rank == 3
        return gradient.withUnsafeBuffer { gradient in
            values.withUnsafeBuffer { values in
                Tensor(shape: weights.shape) { result in
                    var index = 0
                    for batch in 0..<weights.shape[0] {
                        for head in 0..<heads {
                            // Several heads of queries may share one of keys.
                            let own = (batch * keyHeads + head / (heads / keyHeads)) * keys * size
                            for query in 0..<queries {
                                let row =
                                    isFlat
                                    ? ((batch * queries + query) * heads + head) * size
                                    : ((batch * heads + head) * queries + query) * size
                                for key in 0..<keys {
                                    var sum: Float = 0
                                    for place in 0..<size {
                                        sum += gradient[row + place] * values[own + key * size + place]
                                    }
                                    result[index] = sum
                                    index += 1
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

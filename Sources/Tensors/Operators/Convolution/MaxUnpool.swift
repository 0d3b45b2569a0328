import Failures

/// ONNX `MaxUnpool`: puts each value back where a MaxPool found it, zeros elsewhere.
///
/// Inputs: X, I (flat indices into the output, as MaxPool's second output gives them), optionally output_shape.
public struct MaxUnpool: Operator {
    public static let types = ["MaxUnpool"]

    private let node: NodeDescription
    private let window: WindowAttributes

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "X")
        let indices = try node.input(inputs, 1, "I")
        guard indices.shape == input.shape else {
            throw node.failure(expected: "indices of the shape of X, \(input.shape)", found: indices.summary)
        }
        let (shape, pooled) = try shapes(input.shape, node.optional(inputs, 2))
        guard let x = try node.float(input, "X"), !indices.isPending else { return [.pending(shape)] }
        let targets = try targets(try node.integer(indices, "I"), pooled: pooled, output: shape)
        return [
            .float(
                try Tensor(shape: shape) { to in
                    to.initialize(repeating: 0)
                    for (index, target) in targets.enumerated() {
                        guard to.indices.contains(target) else {
                            throw node.failure(expected: "indices below \(to.count)", found: "\(target)")
                        }
                        to[target] = x[flat: index]
                    }
                })
        ]
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        var results = [Tensor<Float>?](repeating: nil, count: call.inputs.count)
        guard call.wants(0), case .integer(let places)? = call.inputs[1] else { return results }
        let gradient = call.gradient
        let (shape, pooled) = try shapes(call.shape(0), node.optional(call.inputs, 2))
        let targets = try targets(places, pooled: pooled, output: shape)
        results[0] = Tensor(shape: call.shape(0), values: targets.map { gradient[flat: $0] })
        return results
    }

    /// The output's shape, and the shape that the indices count in (they differ where output_shape is given).
    private func shapes(_ input: [Int], _ requested: Value?) throws -> (output: [Int], pooled: [Int]) {
        guard let kernelShape = window.kernel else {
            throw node.failure(expected: "an attribute kernel_shape", found: "none")
        }
        let spatial = try window.spatialExtents(of: input)
        let rank = spatial.count
        let kernel = try window.lifted("kernel_shape", kernelShape, rank: rank, fallback: 1)
        let stride = try window.lifted("strides", window.strides, rank: rank, fallback: 1)
        let (begin, end) = try window.liftedPads(rank: rank)
        let extents = (SIMD3(lifting: spatial) &- 1) &* stride &- begin &- end &+ kernel
        let pooled = Array(input[..<2]) + (3 - rank..<3).map { extents[$0] }
        guard pooled.allSatisfy({ $0 > 0 }) else {
            throw node.failure(expected: "pads that leave some of the output", found: "shape \(pooled)")
        }
        guard case .integer(let shape)? = requested else { return (try node.possible(pooled), pooled) }
        let output = shape.values.map(Int.init)
        guard output.count == input.count, output.allSatisfy({ $0 > 0 }), zip(output, pooled).allSatisfy({ $0 >= $1 })
        else { throw node.failure(expected: "an output_shape of at least \(pooled)", found: "\(output)") }
        return (try node.possible(output), pooled)
    }

    /// Indices into the output, row-major.
    private func targets(_ places: Tensor<Int64>, pooled: [Int], output: [Int]) throws -> [Int] {
        let count = pooled.elementCount
        return try places.values.map { place in
            guard place >= 0, place < count else {
                throw node.failure(expected: "indices from 0 to \(count - 1)", found: "\(place)")
            }
            if pooled == output { return Int(place) }
            // The same index on every axis, in the larger shape.
            var rest = Int(place)
            var flat = 0
            var step = 1
            for axis in pooled.indices.reversed() {
                flat += rest % pooled[axis] * step
                rest /= pooled[axis]
                step *= output[axis]
            }
            return flat
        }
    }
}

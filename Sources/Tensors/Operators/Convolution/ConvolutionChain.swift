/// A convolution and the operators after it that fit into its pass over the output: a batch normalization (as other weights), an
/// addend, a (leaky) rectifier, a maximum pool that halves, in this order, each of them or none (an addend or a pool, not both).
///
/// One pass instead of up to four saves reading and writing the largest tensors of a network, and the memory for them. Sums are
/// made in the same order as one by one; only a folded normalization rounds a little differently.
public struct ConvolutionChain: Sendable {
    private var conv: Conv
    private let folded: (weight: Value, bias: Value)?
    private let addsResidual: Bool
    private var pool: MaxPool?

    /// nil where the operators are not such a chain, or where a normalization's or its convolution's numbers are not constant.
    ///
    /// - Parameters:
    ///   - head: the convolution.
    ///   - constants: for each input of the convolution its value where that is constant.
    ///   - links: what follows, in order, each with the constants among its inputs.
    public init?(
        _ head: any Operator, constants: [Value?], links: [(operation: any Operator, constants: [Value?])]
    ) {
        guard var conv = head as? Conv else { return nil }
        var folded: (weight: Value, bias: Value)?
        var slope: Float?
        var addsResidual = false
        var pool: MaxPool?
        for (position, link) in links.enumerated() {
            guard pool == nil, slope == nil || link.operation is MaxPool else { return nil }
            switch link.operation {
            case let normalization as BatchNormalization:
                guard position == 0, let (factors, shifts) = normalization.affine(link.constants),
                    let weights = Self.folded(constants, factors, shifts)
                else { return nil }
                folded = weights
                conv = conv.withOwnWeights()
            case is Add:
                guard !addsResidual else { return nil }
                addsResidual = true
            case is Relu: slope = 0
            case let rectifier as LeakyRelu:
                guard rectifier.alpha >= 0, rectifier.alpha.isFinite else { return nil }
                slope = rectifier.alpha
            case let halving as MaxPool:
                guard !addsResidual, halving.isHalving, conv.hasSmallKernel(constants) else { return nil }
                pool = halving
            default: return nil
            }
        }
        self.conv = conv.followed(bySlope: slope ?? 1, addingResidual: addsResidual)
        self.folded = folded
        self.addsResidual = addsResidual
        self.pool = pool
    }

    /// Whether an operator of this ONNX type may be a link.
    public static func canJoin(_ type: String) -> Bool {
        ["BatchNormalization", "Add", "Relu", "LeakyRelu", "MaxPool"].contains(type)
    }

    /// What the last link gives, or nil where the addend has another shape and the operators must run one by one.
    ///
    /// - Parameter inputs: the convolution's.
    public func forward(_ inputs: [Value?], addend: Value?) throws -> Value? {
        var inputs = inputs + [Value?](repeating: nil, count: max(0, 3 - inputs.count))
        if let folded {
            inputs[1] = folded.weight
            inputs[2] = folded.bias
        }
        if addsResidual {
            guard case .float(let tensor)? = addend, tensor.shape == (try conv.outputShape(inputs)) else { return nil }
            inputs.append(addend)
        }
        return try conv.forward(inputs, pooledBy: pool)
    }

    /// Bytes of a tensor that exists for a while between what is read and what comes out, for inputs of these shapes: what is pooled,
    /// where the convolution and its pool take two passes after all.
    public func bytesBetween(_ shapes: [[Int]?]) throws -> Int {
        guard let pool, let shape = try conv.outputShape(shapes: shapes) else { return 0 }
        return try conv.pools(by: pool, shapes: shapes) ? 0 : 4 * shape.elementCount
    }

    /// Places of the convolution's output for each place of the result.
    public var placesOfAResult: Int { pool?.placesOfAResult ?? 1 }

    /// What a box of the result reads of the convolution's input, and the chain that gives just this box from just that one (and
    /// this box of the addend); see ``PartialOperator``.
    public func part(_ outputs: Box, shapes: [[Int]?]) throws -> (box: Box, chain: ConvolutionChain)? {
        var outputs = outputs
        var chain = self
        if let pool {
            guard let shape = try conv.outputShape(shapes: shapes), let part = try pool.partialPool(outputs, of: shape)
            else { return nil }
            outputs = part.box
            chain.pool = part.operation
        }
        guard let part = try conv.partialConvolution(outputs, shapes: shapes) else { return nil }
        chain.conv = part.operation
        return (part.box, chain)
    }

    /// The weights and bias of a convolution after which each output channel is multiplied and shifted.
    private static func folded(_ constants: [Value?], _ factors: [Float], _ shifts: [Float]) -> (
        weight: Value, bias: Value
    )? {
        guard constants.count >= 2, case .float(let weight)? = constants[1], weight.rank >= 3,
            weight.shape[0] == factors.count
        else { return nil }
        var biases = [Float](repeating: 0, count: factors.count)
        if constants.count > 2, let bias = constants[2] {
            guard case .float(let tensor) = bias, tensor.shape == [factors.count] else { return nil }
            biases = tensor.values
        }
        let step = weight.count / max(1, factors.count)
        let scaled = Tensor<Float>(shape: weight.shape) { to in
            weight.withUnsafeBuffer { from in
                for index in 0..<weight.count { to[index] = from[index] * factors[index / step] }
            }
        }
        let moved = factors.indices.map { Float(Double(biases[$0]) * Double(factors[$0]) + Double(shifts[$0])) }
        return (.float(scaled), .float(Tensor(shape: [moved.count], values: moved)))
    }
}

import Networks

/// What an operator does to its operands, as far as it matters to a rule that replaces its gradient.
enum OperatorKind: Sendable {
    /// Moves values and changes none.
    case movement
    /// Linear in the operand that carries data, with weights and a bias that may be changed.
    case weighted
    /// Linear in all operands that carry data, up to a constant.
    case sum
    /// Linear in each of its operands alone.
    case product
    case quotient
    /// Picks the largest of several values.
    case maximum
    /// A function of every element by itself.
    case pointwise
    /// Brings rows to mean 0 and variance 1.
    case normalization
    case softmax
    /// A softmax and two products in one.
    case attention
    case other

    init(type: String) { self = Self.byType[type] ?? .other }

    private static let byType: [String: OperatorKind] = {
        let groups: [(OperatorKind, [String])] = [
            (
                .movement,
                [
                    "Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Concat",
                    "Split", "Slice", "Gather", "GatherElements", "GatherND", "Expand", "Tile", "Pad", "DepthToSpace",
                    "SpaceToDepth", "Trilu",
                ]
            ),
            (.weighted, ["Conv", "ConvTranspose", "Gemm", "MatMul"]),
            (
                .sum,
                [
                    "Add", "Sub", "Sum", "Mean", "Neg", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum",
                    "BatchNormalization", "Resize", "Upsample", "CumSum",
                ]
            ),
            (.product, ["Mul", "Einsum"]),
            (.quotient, ["Div"]),
            (.maximum, ["MaxPool", "GlobalMaxPool", "ReduceMax", "Max"]),
            (
                .pointwise,
                [
                    "Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Shrink", "HardSigmoid",
                    "HardSwish", "Sigmoid", "Tanh", "Softplus", "Softsign", "Swish", "Mish", "Gelu", "Clip", "Erf",
                    "Abs", "Sign", "Sqrt", "Exp", "Log", "Reciprocal", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan",
                    "Sinh", "Cosh", "Asinh", "Acosh", "Atanh",
                ]
            ),
            (.normalization, ["LayerNormalization", "InstanceNormalization", "GroupNormalization"]),
            (.softmax, ["Softmax", "LogSoftmax"]), (.attention, ["Attention"]),
        ]
        var table: [String: OperatorKind] = [:]
        for (kind, types) in groups { for type in types { table[type] = kind } }
        return table
    }()
}

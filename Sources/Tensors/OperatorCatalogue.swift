/// Every operator that TomoLens runs, by ONNX type. A new operator is one line here and one file beside the others.
public enum OperatorCatalogue {
    /// The types in the order of their files; two may not claim the same name.
    public static let all: [any Operator.Type] = [
        // Pointwise
        Add.self, Sub.self, Mul.self, Div.self, Mod.self, Pow.self, PRelu.self, Clip.self, Neg.self, Abs.self,
        Sign.self, Sqrt.self, Reciprocal.self, Exp.self, Log.self, Erf.self, Relu.self, LeakyRelu.self,
        ThresholdedRelu.self, Elu.self, Selu.self, Celu.self, Shrink.self, HardSigmoid.self, HardSwish.self,
        Floor.self, Ceil.self, Round.self, Sigmoid.self, Tanh.self, Softplus.self, Softsign.self, Swish.self,
        Mish.self, Gelu.self, Sin.self, Cos.self, Tan.self, Asin.self, Acos.self, Atan.self, Sinh.self, Cosh.self,
        Asinh.self, Acosh.self, Atanh.self, Sum.self, Mean.self, Max.self, Min.self,
        // Logic
        Equal.self, Greater.self, GreaterOrEqual.self, Less.self, LessOrEqual.self, And.self, Or.self, Xor.self,
        Not.self, IsNaN.self, IsInf.self, Where.self,
        // Shapes
        Cast.self, CastLike.self, Constant.self, ConstantOfShape.self, NumberRange.self, Identity.self, Dropout.self,
        Reshape.self, Flatten.self, Squeeze.self, Unsqueeze.self, Shape.self, Size.self,
        // Movement
        Concat.self, Split.self, Pad.self, Trilu.self, Transpose.self, Slice.self, Expand.self, Tile.self,
        DepthToSpace.self, SpaceToDepth.self,
        // Indexing
        Gather.self, GatherElements.self, GatherND.self, ScatterElements.self, ScatterND.self, OneHot.self,
        NonZero.self, TopK.self,
        // Reductions
        ArgMax.self, ArgMin.self, CumSum.self, ReduceMax.self, ReduceMin.self, ReduceSum.self, ReduceMean.self,
        ReduceSumSquare.self, ReduceL1.self, ReduceL2.self, ReduceLogSum.self, ReduceLogSumExp.self, ReduceProd.self,
        // Products
        Attention.self, Einsum.self, Gemm.self, MatMul.self,
        // Normalization
        BatchNormalization.self, InstanceNormalization.self, GroupNormalization.self, LayerNormalization.self,
        RMSNormalization.self, LpNormalization.self, MeanVarianceNormalization.self, LRN.self, Softmax.self,
        LogSoftmax.self,
        // Convolution
        Conv.self, ConvTranspose.self, MaxPool.self, AveragePool.self, LpPool.self, GlobalPool.self, MaxUnpool.self,
        // Resampling
        Resize.self, GridSample.self, AffineGrid.self,
    ]

    private static let byType: [String: any Operator.Type] = {
        var table: [String: any Operator.Type] = [:]
        for type in all {
            for name in type.types {
                precondition(table[name] == nil, "two operators claim \(name)")
                table[name] = type
            }
        }
        return table
    }()

    /// The names of all ONNX operator types that can be run, sorted.
    public static var supportedTypes: [String] { byType.keys.sorted() }

    /// The operator for a node, or nil where TomoLens has none of that type.
    public static func make(_ node: NodeDescription) throws -> (any Operator)? {
        try byType[node.type]?.init(node)
    }
}

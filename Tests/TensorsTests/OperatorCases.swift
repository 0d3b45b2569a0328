import TestSupport
import Tensors
import Testing

/// One use of an operator whose pullback is compared with finite differences.
///
/// To add a case, add a line to a table in `OperatorCases`: the ONNX type, what tells it from other cases, the attributes,
/// and the inputs. Choose inputs where the operator is smooth: `away` from zero where there is a kink at zero, `distinct`
/// where an order decides. Say which inputs get a gradient unless it is the first alone. The tolerance is relative to the
/// gradient's length; float32 forwards leave about 1e-4, so 1e-3 serves nearly all.
struct OperatorCase: CustomTestStringConvertible, Sendable {
    var type: String
    var label: String
    var opset = 23
    var attributes: [String: Attributes.Attribute] = [:]
    var inputs: [Value?]
    var wanted: [Int] = [0]
    var outputCount = 1
    var tolerance = 1e-3

    init(
        _ type: String, _ label: String = "", opset: Int = 23, with attributes: [String: Attributes.Attribute] = [:],
        on inputs: [Value?], wanted: [Int] = [0], outputs: Int = 1, tolerance: Double = 1e-3
    ) {
        self.type = type
        self.label = label
        self.opset = opset
        self.attributes = attributes
        self.inputs = inputs
        self.wanted = wanted
        outputCount = outputs
        self.tolerance = tolerance
    }

    var testDescription: String { label.isEmpty ? type : "\(type) \(label)" }

    func makeOperator() throws -> any Operator {
        let node = NodeDescription(
            name: "case", type: type, opset: opset, attributes: Attributes(attributes),
            inputs: inputs.indices.map { inputs[$0] == nil ? "" : "in\($0)" },
            outputs: (0..<outputCount).map { "out\($0)" })
        guard let operation = try OperatorCatalogue.make(node) else { throw MissingOperator(type: type) }
        return operation
    }

    struct MissingOperator: Error { let type: String }
}

/// The table of cases, by family.
enum OperatorCases {
    static let all: [OperatorCase] = [
        smooth, unary, arithmetic, binary, shapes, indexing, sums, reductions, products, einsums, attentions,
        normalizations,
        interpolations, resampling, gridSamples, affineGrids,
    ].flatMap { $0 }

    private static func uniform(_ shape: [Int], _ range: ClosedRange<Float> = -1...1, seed: UInt64 = 7) -> Value {
        var numbers = SeededNumbers(seed)
        return .float(numbers.tensor(shape, range))
    }

    private static func away(_ shape: [Int], _ range: ClosedRange<Float> = 0.1...1.5, seed: UInt64 = 7) -> Value {
        var numbers = SeededNumbers(seed)
        return .float(numbers.tensorAwayFromZero(shape, range))
    }

    private static func distinct(_ shape: [Int], seed: UInt64 = 7) -> Value {
        var numbers = SeededNumbers(seed)
        return .float(numbers.distinct(shape))
    }

    static func integers(_ values: [Int64], _ shape: [Int]? = nil) -> Value {
        .integer(Tensor(shape: shape ?? [values.count], values: values))
    }

    private static func floats(_ values: [Float], _ shape: [Int]? = nil) -> Value {
        .float(Tensor(shape: shape ?? [values.count], values: values))
    }

    private static func mask(_ values: [Int], _ shape: [Int]) -> Value {
        .boolean(Tensor(shape: shape, values: values.map { $0 != 0 }))
    }

    // MARK: - Tables

    static let smooth: [OperatorCase] =
        [
            "Neg", "Abs", "Erf", "Exp", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Tanh", "Sigmoid", "Relu",
            "LeakyRelu", "Elu", "Selu", "Celu", "Softplus", "Softsign", "HardSwish", "Swish", "Mish", "Gelu",
            "Identity", "Dropout", "Floor", "Ceil", "Round", "Sign",
        ].map { OperatorCase($0, on: [away([3, 5], 0.1...0.4)]) }

    static let unary: [OperatorCase] = [
        OperatorCase("Sqrt", on: [uniform([7], 0.5...2)]),
        OperatorCase("Log", on: [uniform([7], 0.5...2)]),
        OperatorCase("Reciprocal", on: [away([7], 0.5...2)]),
        OperatorCase("Asin", on: [uniform([7], -0.8...0.8)]),
        OperatorCase("Acos", on: [uniform([7], -0.8...0.8)]),
        OperatorCase("Acosh", on: [uniform([7], 1.5...3)]),
        OperatorCase("Atanh", on: [uniform([7], -0.7...0.7)]),
        OperatorCase("LeakyRelu", "slope 0.3", with: ["alpha": .float(0.3)], on: [away([9])]),
        OperatorCase("Elu", "α 2", with: ["alpha": .float(2)], on: [away([9])]),
        OperatorCase("Celu", "α 2", with: ["alpha": .float(2)], on: [away([9])]),
        OperatorCase("Selu", "α 2 γ 1.5", with: ["alpha": .float(2), "gamma": .float(1.5)], on: [away([9])]),
        OperatorCase("ThresholdedRelu", with: ["alpha": .float(0.05)], on: [away([9])]),
        OperatorCase("Shrink", with: ["lambd": .float(0.05), "bias": .float(0.02)], on: [away([9])]),
        OperatorCase("HardSigmoid", on: [floats([-4, -3, -1, 0.3, 1, 2, 3, 5])]),
        OperatorCase("HardSwish", "both ends", on: [floats([-5, -4, -2, 0.3, 1, 2, 3.5, 5])]),
        OperatorCase("Swish", "α 1.7", with: ["alpha": .float(1.7)], on: [uniform([9], -3...3)]),
        OperatorCase("Gelu", "tanh", with: ["approximate": .string("tanh")], on: [uniform([9], -3...3)]),
        OperatorCase("Gelu", "wide", on: [uniform([9], -3...3)]),
        OperatorCase("Mish", "wide", on: [uniform([9], -3...3)]),
        OperatorCase("Softplus", "wide", on: [uniform([9], -3...3)]),
        OperatorCase("Clip", on: [floats([-2, -1, -0.4, 0.1, 0.4, 1]), floats([-0.5], []), floats([0.6], [])]),
        OperatorCase(
            "Clip", "attributes", opset: 10, with: ["min": .float(-0.5), "max": .float(0.6)],
            on: [floats([-2, -1, -0.4, 0.1, 0.4, 1])]),
        OperatorCase("Cast", "to float16", with: ["to": .int(1)], on: [uniform([5])]),
        OperatorCase("CastLike", on: [uniform([5]), uniform([1])]),
    ]

    static let arithmetic: [OperatorCase] =
        ["Add", "Sub", "Mul", "Div"].flatMap { type -> [OperatorCase] in
            [
                OperatorCase(
                    type, "same shape", on: [away([2, 3, 4]), away([2, 3, 4], 0.5...1.5, seed: 8)], wanted: [0, 1]),
                OperatorCase(type, "scalar", on: [away([2, 3]), away([], 0.5...1.5, seed: 8)], wanted: [0, 1]),
                OperatorCase(
                    type, "channels", on: [away([2, 3, 2, 2]), away([3, 1, 1], 0.5...1.5, seed: 8)], wanted: [0, 1]),
                OperatorCase(
                    type, "both ways", on: [away([2, 1, 4]), away([3, 1], 0.5...1.5, seed: 8)], wanted: [0, 1]),
            ]
        }

    static let binary: [OperatorCase] = [
        OperatorCase("Pow", on: [uniform([2, 3], 0.5...1.5), away([3], 0.5...2, seed: 8)], wanted: [0, 1]),
        OperatorCase("Pow", "square", on: [away([2, 3]), floats([2], [])]),
        OperatorCase("Pow", "integer exponent", on: [away([2, 3], 0.5...1.5), integers([3], [])]),
        OperatorCase(
            "Mod", "fmod", with: ["fmod": .int(1)],
            on: [floats([1.7, -1.7, 2.6, -2.6]), floats([0.9, 0.9, -1.1, -1.1])], wanted: [0, 1]),
        OperatorCase("Mod", on: [floats([1.7, -1.7, 2.6, -2.6]), floats([0.9, 0.9, -1.1, -1.1])], wanted: [0, 1]),
        OperatorCase("PRelu", on: [away([2, 3, 2, 2]), away([3, 1, 1], seed: 8)], wanted: [0, 1]),
        OperatorCase("PRelu", "one slope", on: [away([2, 3]), away([1], seed: 8)], wanted: [0, 1]),
        OperatorCase("Sum", on: [away([2, 3]), away([3], seed: 8), away([2, 1], seed: 9)], wanted: [0, 1, 2]),
        OperatorCase("Mean", on: [away([2, 3]), away([3], seed: 8), away([2, 1], seed: 9)], wanted: [0, 1, 2]),
        OperatorCase(
            "Max", on: [distinct([2, 6]), floats([0.075]), floats([0.275, -0.325], [2, 1])], wanted: [0, 1, 2]),
        OperatorCase(
            "Min", on: [distinct([2, 6]), floats([0.075]), floats([0.275, -0.325], [2, 1])], wanted: [0, 1, 2]),
        OperatorCase(
            "Where", on: [mask([1, 0, 1], [3, 1]), uniform([1, 4]), uniform([3, 4], seed: 8)], wanted: [1, 2]),
    ]

    static let shapes: [OperatorCase] = [
        OperatorCase("Reshape", on: [uniform([2, 3, 4]), integers([0, -1])]),
        OperatorCase("Flatten", on: [uniform([2, 3, 4])]),
        OperatorCase("Squeeze", on: [uniform([2, 1, 4]), integers([1])]),
        OperatorCase("Squeeze", "attribute", opset: 11, with: ["axes": .ints([1])], on: [uniform([2, 1, 4])]),
        OperatorCase("Unsqueeze", on: [uniform([2, 4]), integers([0, -1])]),
        OperatorCase("Transpose", on: [uniform([2, 3, 4])]),
        OperatorCase("Transpose", "order", with: ["perm": .ints([1, 2, 0, 3])], on: [uniform([2, 3, 4, 5])]),
        OperatorCase(
            "Concat", with: ["axis": .int(-2)],
            on: [uniform([2, 3, 2]), uniform([2, 1, 2], seed: 8), uniform([2, 2, 2], seed: 9)], wanted: [0, 1, 2]),
        OperatorCase("Split", with: ["axis": .int(1)], on: [uniform([2, 5]), integers([2, 3])], outputs: 2),
        OperatorCase(
            "Split", "equal", with: ["axis": .int(-1), "num_outputs": .int(3)], on: [uniform([2, 7])], outputs: 3),
        OperatorCase(
            "Slice",
            on: [
                uniform([4, 5, 6]), integers([1, -1, 0]), integers([3, -6, 6]), integers([0, 1, 2]),
                integers([1, -2, 2]),
            ]),
        OperatorCase(
            "Slice", "attributes", opset: 9, with: ["starts": .ints([1, 0]), "ends": .ints([3, -1])],
            on: [uniform([4, 5])]),
        OperatorCase("Expand", on: [uniform([3, 1]), integers([2, 1, 4])]),
        OperatorCase("Tile", on: [uniform([2, 3]), integers([2, 2])]),
        OperatorCase("Pad", on: [uniform([3, 4]), integers([1, 2, 0, 1]), floats([0.5], [])]),
        OperatorCase("Pad", "cropping", on: [uniform([3, 4]), integers([-1, 2, 0, -1])]),
        OperatorCase("Pad", "edge", with: ["mode": .string("edge")], on: [uniform([3, 4]), integers([1, 2, 2, 1])]),
        OperatorCase(
            "Pad", "reflect", with: ["mode": .string("reflect")], on: [uniform([3, 4]), integers([2, 2, 5, 1])]),
        OperatorCase("Pad", "wrap", with: ["mode": .string("wrap")], on: [uniform([3, 4]), integers([1, 6, 2, 1])]),
        OperatorCase(
            "Pad", "some axes", on: [uniform([3, 4, 2]), integers([1, 2, 2, 1]), floats([0], []), integers([-1, 0])]),
        OperatorCase("Pad", "attributes", opset: 10, with: ["pads": .ints([0, 1, 2, 0])], on: [uniform([3, 4])]),
        OperatorCase("DepthToSpace", with: ["blocksize": .int(2)], on: [uniform([1, 8, 2, 3])]),
        OperatorCase(
            "DepthToSpace", "columns first", with: ["blocksize": .int(2), "mode": .string("CRD")],
            on: [uniform([1, 8, 2, 3])]),
        OperatorCase("SpaceToDepth", with: ["blocksize": .int(2)], on: [uniform([1, 2, 4, 6])]),
        OperatorCase(
            "SpaceToDepth", "columns first", with: ["blocksize": .int(2), "mode": .string("CRD")],
            on: [uniform([1, 2, 4, 6])]),
        OperatorCase("Trilu", on: [uniform([2, 3, 4]), integers([1], [])]),
        OperatorCase("Trilu", "lower", with: ["upper": .int(0)], on: [uniform([2, 3, 4])]),
    ]

    static let indexing: [OperatorCase] = [
        OperatorCase("Gather", on: [uniform([4, 3]), integers([0, -1, 0, 2], [2, 2])]),
        OperatorCase("Gather", "axis 1", with: ["axis": .int(1)], on: [uniform([2, 4, 3]), integers([3], [])]),
        OperatorCase(
            "GatherElements", with: ["axis": .int(1)], on: [uniform([3, 4]), integers([0, 0, 3, -1, 1, 2], [3, 2])]),
        OperatorCase("GatherND", on: [uniform([3, 4, 2]), integers([0, 1, 2, -1, 0, 1], [3, 2])]),
        OperatorCase(
            "GatherND", "batch", with: ["batch_dims": .int(1)], on: [uniform([2, 4, 2]), integers([1, -1], [2, 1])]),
        OperatorCase(
            "ScatterElements", with: ["axis": .int(1)],
            on: [uniform([3, 4]), integers([0, 1, 3, -1, 1, 2], [3, 2]), uniform([3, 2], seed: 8)], wanted: [0, 2]),
        OperatorCase(
            "ScatterElements", "twice", with: ["axis": .int(0)],
            on: [uniform([4]), integers([1, 2, 1]), uniform([3], seed: 8)], wanted: [0, 2]),
        OperatorCase(
            "ScatterElements", "add", with: ["axis": .int(0), "reduction": .string("add")],
            on: [uniform([4]), integers([1, 2, 1]), uniform([3], seed: 8)], wanted: [0, 2]),
        OperatorCase(
            "ScatterND", on: [uniform([3, 4, 2]), integers([0, 1, 2, -1], [2, 2]), uniform([2, 2], seed: 8)],
            wanted: [0, 2]),
        OperatorCase(
            "ScatterND", "add", with: ["reduction": .string("add")],
            on: [uniform([3, 4]), integers([1, 1], [2, 1]), uniform([2, 4], seed: 8)], wanted: [0, 2]),
        OperatorCase("TopK", with: ["axis": .int(1)], on: [distinct([3, 5]), integers([2])], outputs: 2),
        OperatorCase(
            "TopK", "smallest", with: ["axis": .int(0), "largest": .int(0)], on: [distinct([5, 3]), integers([2])],
            outputs: 2),
        OperatorCase(
            "OneHot", with: ["axis": .int(0)], on: [integers([1, 3, 1, -1]), integers([4], []), floats([0.2, 0.7])],
            wanted: [2]),
    ]

    static let sums: [OperatorCase] =
        ["ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceProd"].flatMap
    { type -> [OperatorCase] in
        [
            OperatorCase(type, "all", on: [away([2, 3], 0.3...1.2)]),
            OperatorCase(type, "last", with: ["keepdims": .int(0)], on: [away([2, 3, 4], 0.3...1.2), integers([-1])]),
            OperatorCase(type, "first and last", on: [away([2, 3, 4], 0.3...1.2), integers([0, 2])]),
            OperatorCase(type, "attribute", opset: 12, with: ["axes": .ints([1])], on: [away([2, 3, 4], 0.3...1.2)]),
        ]
    }

    static let reductions: [OperatorCase] = [
        OperatorCase("ReduceSum", "nothing", with: ["noop_with_empty_axes": .int(1)], on: [uniform([2, 3])]),
        OperatorCase("ReduceLogSum", on: [uniform([2, 3], 0.5...2), integers([1])]),
        OperatorCase("ReduceMax", on: [distinct([2, 3, 4]), integers([0, 2])]),
        OperatorCase("ReduceMin", on: [distinct([2, 3, 4]), integers([1])]),
        OperatorCase("CumSum", on: [uniform([2, 5]), integers([1], [])]),
        OperatorCase("CumSum", "exclusive", with: ["exclusive": .int(1)], on: [uniform([4, 2]), integers([0], [])]),
        OperatorCase("CumSum", "reverse", with: ["reverse": .int(1)], on: [uniform([2, 5]), integers([-1], [])]),
    ]

    static let products: [OperatorCase] =
        [
            OperatorCase("MatMul", on: [uniform([3, 4]), uniform([4, 5], seed: 8)], wanted: [0, 1]),
            OperatorCase("MatMul", "stack", on: [uniform([2, 3, 4]), uniform([2, 4, 5], seed: 8)], wanted: [0, 1]),
            OperatorCase(
                "MatMul", "stack by one", on: [uniform([2, 3, 4]), uniform([4, 5], seed: 8)], wanted: [0, 1]),
            OperatorCase(
                "MatMul", "one by stack", on: [uniform([3, 4]), uniform([2, 4, 5], seed: 8)], wanted: [0, 1]),
            OperatorCase(
                "MatMul", "broadcast", on: [uniform([2, 1, 3, 4]), uniform([3, 4, 2], seed: 8)], wanted: [0, 1]),
            OperatorCase("MatMul", "row", on: [uniform([4]), uniform([2, 4, 5], seed: 8)], wanted: [0, 1]),
            OperatorCase("MatMul", "column", on: [uniform([2, 3, 4]), uniform([4], seed: 8)], wanted: [0, 1]),
            OperatorCase("MatMul", "dot", on: [uniform([4]), uniform([4], seed: 8)], wanted: [0, 1]),
            OperatorCase(
                "Gemm", on: [uniform([2, 4]), uniform([4, 3], seed: 8), uniform([3], seed: 9)], wanted: [0, 1, 2]),
            OperatorCase("Gemm", "no bias", on: [uniform([2, 4]), uniform([4, 3], seed: 8)], wanted: [0, 1]),
            OperatorCase(
                "Gemm", "both transposed",
                with: ["transA": .int(1), "transB": .int(1), "alpha": .float(0.5), "beta": .float(2)],
                on: [uniform([4, 2]), uniform([3, 4], seed: 8), uniform([2, 1], seed: 9)], wanted: [0, 1, 2]),
            OperatorCase(
                "Gemm", "one row", with: ["transB": .int(1)],
                on: [uniform([1, 4]), uniform([3, 4], seed: 8), uniform([3], seed: 9)], wanted: [0, 1, 2]),
            OperatorCase(
                "Gemm", "A transposed", with: ["transA": .int(1)], on: [uniform([4, 1]), uniform([4, 3], seed: 8)],
                wanted: [0, 1]),
        ]

    static let einsums: [OperatorCase] = equations.map { equation, shapes in
        OperatorCase(
            "Einsum", equation, with: ["equation": .string(equation)],
            on: shapes.enumerated().map { uniform($0.element, seed: 7 + UInt64($0.offset)) },
            wanted: Array(shapes.indices))
    }

    private static let equations: [(String, [[Int]])] = [
        ("bhxy,bhyd->bhxd", [[2, 2, 3, 4], [2, 2, 4, 5]]), ("blxd,blyd->blxy", [[2, 2, 3, 4], [2, 2, 5, 4]]),
        ("ij->ji", [[2, 3]]), ("ij->i", [[2, 3]]), ("ij->", [[2, 3]]), ("i,i", [[4], [4]]), ("ii->i", [[3, 3]]),
        ("...ii->...i", [[2, 3, 3]]), ("bij,jk,ck->bic", [[2, 3, 4], [4, 5], [2, 5]]),
        ("...ij,...jk->...ik", [[2, 1, 3, 4], [3, 4, 2]]), ("i,j->ij", [[3], [4]]),
        ("ij,kl->jl", [[2, 3], [4, 5]]),
    ]

    static let attentions: [OperatorCase] = [
        OperatorCase(
            "Attention",
            on: [uniform([1, 2, 3, 4]), uniform([1, 2, 5, 4], seed: 8), uniform([1, 2, 5, 3], seed: 9)],
            wanted: [0, 1, 2]),
        OperatorCase(
            "Attention", "flat, grouped, capped, masked, with a past",
            with: ["q_num_heads": .int(4), "kv_num_heads": .int(2), "softcap": .float(1.5), "is_causal": .int(1)],
            on: [
                uniform([2, 3, 8]), uniform([2, 3, 4], seed: 8), uniform([2, 3, 6], seed: 9),
                uniform([2, 1, 3, 4], seed: 10), uniform([2, 2, 2, 2], seed: 11), uniform([2, 2, 2, 3], seed: 12),
            ], wanted: [0, 1, 2, 3, 4, 5], outputs: 3),
        OperatorCase(
            "Attention", "window and lengths",
            with: ["left_window_size": .int(2), "right_window_size": .int(1), "scale": .float(0.7)],
            on: [
                uniform([2, 2, 3, 4]), uniform([2, 2, 5, 4], seed: 8), uniform([2, 2, 5, 4], seed: 9), nil, nil, nil,
                integers([5, 3]),
            ], wanted: [0, 1, 2]),
    ]

    static let normalizations: [OperatorCase] = [
        OperatorCase("Softmax", on: [uniform([2, 5])]),
        OperatorCase("Softmax", "axis 1", with: ["axis": .int(1)], on: [uniform([2, 5, 3])]),
        OperatorCase("Softmax", "flattened", opset: 11, on: [uniform([2, 2, 3])]),
        OperatorCase("LogSoftmax", on: [uniform([2, 5])]),
        OperatorCase("LogSoftmax", "axis 1", with: ["axis": .int(1)], on: [uniform([2, 5, 3])]),
        OperatorCase(
            "BatchNormalization",
            on: [
                uniform([2, 3, 2, 2]), uniform([3], 0.5...1.5, seed: 8), uniform([3], seed: 9), uniform([3], seed: 10),
                uniform([3], 0.5...1.5, seed: 11),
            ], wanted: [0, 1, 2, 3, 4]),
        OperatorCase(
            "InstanceNormalization",
            on: [uniform([2, 3, 2, 5]), uniform([3], 0.5...1.5, seed: 8), uniform([3], seed: 9)], wanted: [0, 1, 2]),
        OperatorCase(
            "GroupNormalization", with: ["num_groups": .int(2)],
            on: [uniform([2, 4, 2, 3]), uniform([4], 0.5...1.5, seed: 8), uniform([4], seed: 9)], wanted: [0, 1, 2]),
        OperatorCase(
            "GroupNormalization", "by group", opset: 18, with: ["num_groups": .int(2)],
            on: [uniform([2, 4, 2, 3]), uniform([2], 0.5...1.5, seed: 8), uniform([2], seed: 9)], wanted: [0, 1, 2]),
        OperatorCase(
            "LayerNormalization", on: [uniform([2, 3, 6]), uniform([6], 0.5...1.5, seed: 8), uniform([6], seed: 9)],
            wanted: [0, 1, 2]),
        OperatorCase(
            "LayerNormalization", "axis 1", with: ["axis": .int(1)],
            on: [uniform([2, 3, 4]), uniform([3, 4], 0.5...1.5, seed: 8)], wanted: [0, 1]),
        OperatorCase(
            "LayerNormalization", "with statistics", on: [uniform([2, 3, 6]), uniform([6], 0.5...1.5, seed: 8)],
            wanted: [0, 1], outputs: 3),
        OperatorCase("RMSNormalization", on: [uniform([2, 3, 6]), uniform([6], 0.5...1.5, seed: 8)], wanted: [0, 1]),
        OperatorCase("LpNormalization", on: [away([2, 3, 4])]),
        OperatorCase("LpNormalization", "p 1", with: ["p": .int(1), "axis": .int(1)], on: [away([2, 3, 4])]),
        OperatorCase("MeanVarianceNormalization", on: [uniform([2, 3, 2, 3])]),
        OperatorCase(
            "LRN", with: ["size": .int(3), "alpha": .float(0.5), "beta": .float(0.6), "bias": .float(1.5)],
            on: [uniform([2, 5, 3])]),
        OperatorCase("LRN", "even", with: ["size": .int(4), "alpha": .float(0.8)], on: [uniform([1, 6, 3])]),
    ]

    static let interpolations: [OperatorCase] =
        [
            "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
        ].flatMap { coordinates -> [OperatorCase] in
            ["nearest", "linear", "cubic"].map { mode -> OperatorCase in
                OperatorCase(
                    "Resize", "\(mode) \(coordinates)",
                    with: ["mode": .string(mode), "coordinate_transformation_mode": .string(coordinates)],
                    on: [uniform([1, 2, 4, 5]), nil, floats([1, 1, 1.6, 0.7])])
            }
        }

    static let resampling: [OperatorCase] = [
        OperatorCase(
            "GridSample", "three axes", on: [uniform([1, 2, 3, 4, 5]), grid(0, cells: [5, 4, 3])], wanted: [0, 1]),
        OperatorCase(
            "Resize", "three axes", with: ["mode": .string("linear")],
            on: [uniform([1, 2, 2, 3, 4]), nil, nil, integers([1, 2, 4, 5, 3])]),
        OperatorCase(
            "Resize", "one axis", with: ["mode": .string("linear"), "axes": .ints([2])],
            on: [uniform([1, 2, 5]), nil, floats([2.5])]),
        OperatorCase(
            "Resize", "antialias", with: ["mode": .string("linear"), "antialias": .int(1)],
            on: [uniform([1, 1, 6, 7]), nil, floats([1, 1, 0.5, 0.4])]),
        OperatorCase(
            "Resize", "cubic antialias",
            with: ["mode": .string("cubic"), "antialias": .int(1), "exclude_outside": .int(1)],
            on: [uniform([1, 1, 6, 7]), nil, floats([1, 1, 0.5, 0.4])]),
        OperatorCase(
            "Resize", "crop",
            with: [
                "mode": .string("linear"), "coordinate_transformation_mode": .string("tf_crop_and_resize"),
                "extrapolation_value": .float(3),
            ], on: [uniform([1, 1, 4, 5]), floats([0, 0, 0.3, -0.2, 1, 1, 0.8, 1.2]), nil, integers([1, 1, 5, 6])]),
        OperatorCase(
            "Upsample", opset: 9, with: ["mode": .string("linear")],
            on: [uniform([1, 2, 3, 3]), floats([1, 1, 2, 2])]),
        OperatorCase(
            "Upsample", "attributes", opset: 7, with: ["scales": .floats([1, 1, 2, 2])], on: [uniform([1, 2, 3, 3])]),
    ]

    static let affineGrids: [OperatorCase] = [
        OperatorCase("AffineGrid", on: [uniform([2, 2, 3]), integers([2, 1, 3, 4])]),
        OperatorCase(
            "AffineGrid", "three axes", with: ["align_corners": .int(1)],
            on: [uniform([1, 3, 4]), integers([1, 1, 2, 3, 4])]),
    ]

    static let gridSamples: [OperatorCase] =
        ["zeros", "border", "reflection"].flatMap { padding -> [OperatorCase] in
            [0, 1].flatMap { corners -> [OperatorCase] in
                [
                    OperatorCase(
                        "GridSample", "linear \(padding) \(corners)",
                        with: ["padding_mode": .string(padding), "align_corners": .int(corners)],
                        on: [uniform([2, 2, 4, 5]), grid(corners, cells: [5, 4])], wanted: [0, 1]),
                    OperatorCase(
                        "GridSample", "cubic \(padding) \(corners)",
                        with: [
                            "padding_mode": .string(padding), "align_corners": .int(corners), "mode": .string("cubic"),
                        ], on: [uniform([2, 2, 4, 5]), grid(corners, cells: [5, 4])], wanted: [0, 1]),
                    OperatorCase(
                        "GridSample", "nearest \(padding) \(corners)",
                        with: [
                            "padding_mode": .string(padding), "align_corners": .int(corners),
                            "mode": .string("nearest"),
                        ], on: [uniform([2, 2, 4, 5]), grid(corners, cells: [5, 4])]),
                ]
            }
        }

    /// Sampling places that keep a quarter of a cell away from the lattice, where interpolation has kinks, and from the
    /// halves, where the nearest element changes; some lie outside.
    private static func grid(_ corners: Int, cells: [Int]) -> Value {
        var numbers = SeededNumbers(21)
        let batch = cells.count == 2 ? 2 : 1
        let shape = [batch] + [Int](repeating: 2, count: cells.count - 1) + [3, cells.count]
        var values: [Float] = []
        for _ in 0..<shape.dropLast().reduce(1, *) {
            for extent in cells {
                let whole = Float(Int.random(in: -2...extent, using: &numbers))
                let place = whole + (Bool.random(using: &numbers) ? 0.25 : 0.75) + numbers.float(-0.08...0.08)
                let size = Float(extent)
                values.append(corners == 1 ? 2 * place / (size - 1) - 1 : (2 * place + 1) / size - 1)
            }
        }
        return .float(Tensor(shape: shape, values: values))
    }
}

import Failures
import TestSupport
import Testing

@testable import Tensors

/// What a malformed network can ask of operators ends in a failure that names the node, never in a crash.
@Suite("Malformed nodes")
struct MalformedOperatorTests {
    /// To add a case, add a line to the table: the type, what is wrong, attributes, inputs.
    struct Case: CustomTestStringConvertible, Sendable {
        var type: String
        var label: String
        var opset: Int
        var attributes: [String: Attributes.Attribute]
        var inputs: [Value?]
        var outputs: Int

        init(
            _ type: String, _ label: String, opset: Int = 23, with attributes: [String: Attributes.Attribute] = [:],
            on inputs: [Value?], outputs: Int = 1
        ) {
            self.type = type
            self.label = label
            self.opset = opset
            self.attributes = attributes
            self.inputs = inputs
            self.outputs = outputs
        }

        var testDescription: String { "\(type): \(label)" }
    }

    private static func zeros(_ shape: [Int]) -> Value { .float(Tensor(shape: shape, repeating: 0)) }
    private static func list(_ values: Int64...) -> Value { .integer(Tensor(shape: [values.count], values: values)) }
    private static func one(_ value: Int64) -> Value { .integer(Tensor(shape: [], repeating: value)) }
    private static func floats(_ values: Float...) -> Value { .float(Tensor(shape: [values.count], values: values)) }
    private static let flags = Value.boolean(Tensor(shape: [2], repeating: true))

    static let cases: [Case] = [elementwise, shaping, indexing, folding, sampling].flatMap { $0 }

    static let elementwise: [Case] = [
        Case("Relu", "nothing", on: []),
        Case("Relu", "omitted", on: [nil]),
        Case("Sigmoid", "integers", on: [list(1)]),
        Case("Relu", "booleans", on: [flags]),
        Case("LeakyRelu", "alpha of text", with: ["alpha": .string("x")], on: [zeros([2])]),
        Case("Gelu", "approximation", with: ["approximate": .string("fast")], on: [zeros([2])]),
        Case("Add", "shapes", on: [zeros([2, 3]), zeros([4])]),
        Case("Add", "kinds", on: [zeros([2]), list(1, 2)]),
        Case("Add", "one input", on: [zeros([2])]),
        Case("Add", "too much", on: [.pending([1 << 25, 1]), .pending([1, 1 << 25])]),
        Case("Div", "by zero", on: [list(1), list(0)]),
        Case("Mod", "by zero", on: [list(1), list(0)]),
        Case("PRelu", "slope larger than the tensor", on: [zeros([3]), zeros([2, 3])]),
        Case("Sum", "nothing", on: []),
        Case("Max", "kinds", on: [zeros([2]), list(1, 2)]),
        Case("Max", "booleans", on: [flags]),
        Case("Clip", "bounds of two elements", on: [zeros([2]), zeros([2])]),
        Case("Clip", "booleans", on: [flags]),
        Case("Equal", "kinds", on: [zeros([2]), list(1, 2)]),
        Case("Less", "booleans", on: [flags, flags]),
        Case("And", "floats", on: [zeros([2]), flags]),
        Case("Not", "floats", on: [zeros([2])]),
        Case("Where", "condition of floats", on: [zeros([2]), zeros([2]), zeros([2])]),
        Case("Where", "kinds", on: [flags, zeros([2]), list(1, 2)]),
        Case("Cast", "no type", on: [zeros([2])]),
        Case("Cast", "to text", with: ["to": .int(8)], on: [zeros([2])]),
        Case("Dropout", "training", on: [zeros([2]), floats(0.5), flags]),
    ]

    static let shaping: [Case] = [
        Case("Constant", "no value", on: []),
        Case("ConstantOfShape", "negative", on: [list(-1)]),
        Case("ConstantOfShape", "absurd", on: [list(1 << 40, 1 << 40)]),
        Case("ConstantOfShape", "overflow", on: [list(.max, .max)]),
        Case("ConstantOfShape", "overflow with a zero", on: [list(.max, .max, 0)]),
        Case("ConstantOfShape", "two values", with: ["value": .tensor(zeros([2]))], on: [list(1)]),
        Case("Range", "endless", on: [one(0), one(5), one(0)]),
        Case("Range", "too long", on: [one(0), one(.max), one(1)]),
        Case("Range", "overflow", on: [one(.min), one(.max), one(1)]),
        Case(
            "Range", "not a number",
            on: [.float(Tensor(shape: [], repeating: .nan)), zeros([]), .float(Tensor(shape: [], repeating: 1))]),
        Case("Reshape", "other count", on: [zeros([2, 3]), list(5)]),
        Case("Reshape", "two unknowns", on: [zeros([2, 3]), list(-1, -1)]),
        Case("Reshape", "negative", on: [zeros([2, 3]), list(-2, 3)]),
        Case("Reshape", "zero past the end", on: [zeros([2, 3]), list(2, 3, 0)]),
        Case("Reshape", "overflow", on: [zeros([2, 3]), list(.max, .max)]),
        Case("Reshape", "shape of floats", on: [zeros([2]), zeros([1])]),
        Case("Reshape", "unknown beside zero", with: ["allowzero": .int(1)], on: [zeros([0]), list(0, -1)]),
        Case("Flatten", "axis", with: ["axis": .int(4)], on: [zeros([2, 3])]),
        Case("Squeeze", "not 1", on: [zeros([2, 3]), list(0)]),
        Case("Squeeze", "axis", on: [zeros([1, 3]), list(.min)]),
        Case("Unsqueeze", "twice", on: [zeros([2]), list(0, 0)]),
        Case("Unsqueeze", "no axes", on: [zeros([2])]),
        Case("Transpose", "order", with: ["perm": .ints([0, 0])], on: [zeros([2, 3])]),
        Case("Transpose", "rank", with: ["perm": .ints([0, 1, 2])], on: [zeros([2, 3])]),
        Case("Concat", "no axis", on: [zeros([2])]),
        Case("Concat", "scalars", with: ["axis": .int(0)], on: [zeros([]), zeros([])]),
        Case("Concat", "ranks", with: ["axis": .int(0)], on: [zeros([2]), zeros([2, 2])]),
        Case("Concat", "extents", with: ["axis": .int(0)], on: [zeros([2, 3]), zeros([2, 2])]),
        Case("Concat", "kinds", with: ["axis": .int(0)], on: [zeros([2]), list(1)]),
        Case("Split", "sum", on: [zeros([5]), list(2, 2)], outputs: 2),
        Case("Split", "negative", on: [zeros([5]), list(-1, 6)], outputs: 2),
        Case("Split", "outputs", on: [zeros([5]), list(5)], outputs: 2),
        Case("Slice", "counts", on: [zeros([5]), list(0, 0), list(1)]),
        Case("Slice", "step", on: [zeros([5]), list(0), list(1), list(0), list(0)]),
        Case("Slice", "axis", on: [zeros([5]), list(0), list(1), list(3)]),
        Case("Slice", "axis twice", on: [zeros([5]), list(0, 0), list(1, 1), list(0, 0)]),
        Case("Slice", "nothing said", on: [zeros([5])]),
        Case("Expand", "shape", on: [zeros([2, 3]), list(4, 3)]),
        Case("Expand", "negative", on: [zeros([1]), list(-3)]),
        Case("Expand", "absurd", on: [zeros([1]), list(1 << 41)]),
        Case("Tile", "count", on: [zeros([2, 3]), list(2)]),
        Case("Tile", "negative", on: [zeros([2]), list(-1)]),
        Case("Tile", "absurd", on: [zeros([2]), list(.max)]),
        Case("Pad", "count", on: [zeros([2, 3]), list(1, 1)]),
        Case("Pad", "nothing left", on: [zeros([2]), list(-2, -1)]),
        Case("Pad", "absurd", on: [zeros([2]), list(.max, 1)]),
        Case("Pad", "mode", with: ["mode": .string("fancy")], on: [zeros([2]), list(1, 1)]),
        Case("Pad", "edge of nothing", with: ["mode": .string("edge")], on: [zeros([0]), list(1, 1)]),
        Case("Pad", "axis", on: [zeros([2]), list(1, 1), nil, list(7)]),
        Case("DepthToSpace", "no block", on: [zeros([1, 4, 2, 2])]),
        Case("DepthToSpace", "channels", with: ["blocksize": .int(2)], on: [zeros([1, 3, 2, 2])]),
        Case("SpaceToDepth", "height", with: ["blocksize": .int(2)], on: [zeros([1, 3, 3, 2])]),
        Case("SpaceToDepth", "block", with: ["blocksize": .int(.max)], on: [zeros([1, 3, 3, 2])]),
        Case("Trilu", "vector", on: [zeros([3])]),
    ]

    static let indexing: [Case] = [
        Case("Gather", "index", on: [zeros([3]), list(3)]),
        Case("Gather", "negative index", on: [zeros([3]), list(-4)]),
        Case("Gather", "far index", on: [zeros([3]), list(.min)]),
        Case("Gather", "axis", with: ["axis": .int(1)], on: [zeros([3]), list(0)]),
        Case("Gather", "scalar", on: [zeros([]), list(0)]),
        Case("Gather", "indices of floats", on: [zeros([3]), zeros([1])]),
        Case("GatherElements", "rank", on: [zeros([3, 3]), list(0)]),
        Case("GatherElements", "index", on: [zeros([3]), list(5)]),
        Case("GatherND", "tuple too long", on: [zeros([3]), .integer(Tensor(shape: [1, 2], values: [0, 0]))]),
        Case("GatherND", "index", on: [zeros([3]), .integer(Tensor(shape: [1, 1], values: [9]))]),
        Case("GatherND", "batch", with: ["batch_dims": .int(5)], on: [zeros([3]), list(0)]),
        Case("ScatterElements", "updates", on: [zeros([3]), list(0), zeros([2])]),
        Case("ScatterElements", "index", on: [zeros([3]), list(7), zeros([1])]),
        Case("ScatterElements", "kinds", on: [zeros([3]), list(0), list(1)]),
        Case(
            "ScatterElements", "reduction", with: ["reduction": .string("xor")], on: [zeros([3]), list(0), zeros([1])]),
        Case(
            "ScatterND", "updates", on: [zeros([3, 2]), .integer(Tensor(shape: [1, 1], values: [0])), zeros([1, 3])]),
        Case("ScatterND", "index", on: [zeros([3]), .integer(Tensor(shape: [1, 1], values: [-4])), zeros([1])]),
        Case("TopK", "k too large", on: [zeros([3]), list(4)], outputs: 2),
        Case("TopK", "negative k", on: [zeros([3]), list(-1)], outputs: 2),
        Case("TopK", "no k", on: [zeros([3])], outputs: 2),
        Case("OneHot", "depth", on: [list(0), one(-1), zeros([2])]),
        Case("OneHot", "absurd depth", on: [list(0), one(1 << 50), zeros([2])]),
        Case("OneHot", "values", on: [list(0), one(3), zeros([3])]),
    ]

    static let folding: [Case] = [
        Case("ReduceSum", "axis", on: [zeros([2, 3]), list(2)]),
        Case("ReduceSum", "axis twice", on: [zeros([2, 3]), list(1, -1)]),
        Case("ReduceMean", "axes of floats", on: [zeros([2]), zeros([1])]),
        Case("ReduceSum", "booleans", on: [flags]),
        Case("ArgMax", "axis", with: ["axis": .int(1)], on: [zeros([3])]),
        Case("ArgMax", "nothing", on: [zeros([0])]),
        Case("ArgMax", "booleans", on: [flags]),
        Case("CumSum", "axis", on: [zeros([3]), one(1)]),
        Case("CumSum", "axes", on: [zeros([3]), list(0, 1)]),
        Case("MatMul", "inner", on: [zeros([2, 3]), zeros([4, 2])]),
        Case("MatMul", "scalar", on: [zeros([]), zeros([2, 2])]),
        Case("MatMul", "stacks", on: [zeros([2, 2, 3]), zeros([3, 3, 2])]),
        Case("MatMul", "kinds", on: [zeros([1, 1]), .integer(Tensor(shape: [1, 1], repeating: 0))]),
        Case("MatMul", "absurd", on: [.pending([1 << 30, 1]), .pending([1, 1 << 30])]),
        Case("MatMul", "extents", on: [.pending([1, 1 << 32]), .pending([1 << 32, 1])]),
        Case("Gemm", "inner", on: [zeros([2, 3]), zeros([4, 2])]),
        Case("Gemm", "rank", on: [zeros([2]), zeros([2, 2])]),
        Case("Gemm", "bias", on: [zeros([2, 3]), zeros([3, 2]), zeros([3])]),
        Case("Einsum", "no equation", on: [zeros([2])]),
        Case("Einsum", "equation", with: ["equation": .string("i->j->k")], on: [zeros([2])]),
        Case("Einsum", "digits", with: ["equation": .string("1->1")], on: [zeros([2])]),
        Case("Einsum", "operands", with: ["equation": .string("i,j->ij")], on: [zeros([2])]),
        Case("Einsum", "rank", with: ["equation": .string("ij->ij")], on: [zeros([2])]),
        Case("Einsum", "extents", with: ["equation": .string("i,i->i")], on: [zeros([2]), zeros([3])]),
        Case("Einsum", "output", with: ["equation": .string("i->k")], on: [zeros([2])]),
        Case("Attention", "heads", on: [zeros([1, 3, 2, 4]), zeros([1, 2, 2, 4]), zeros([1, 2, 2, 4])]),
        Case("Attention", "flat without heads", on: [zeros([1, 2, 4]), zeros([1, 2, 4]), zeros([1, 2, 4])]),
        Case(
            "Attention", "mask",
            on: [zeros([1, 2, 2, 4]), zeros([1, 2, 2, 4]), zeros([1, 2, 2, 4]), zeros([3, 2])]),
        Case(
            "Attention", "one past",
            on: [zeros([1, 2, 2, 4]), zeros([1, 2, 2, 4]), zeros([1, 2, 2, 4]), nil, zeros([1, 2, 1, 4])]),
        Case("Softmax", "axis", with: ["axis": .int(2)], on: [zeros([2])]),
        Case("Softmax", "integers", on: [list(1)]),
        Case("BatchNormalization", "training", with: ["training_mode": .int(1)], on: [zeros([1, 2])]),
        Case("BatchNormalization", "channels", on: [zeros([1, 2]), zeros([3]), zeros([2]), zeros([2]), zeros([2])]),
        Case("BatchNormalization", "rank", on: [zeros([2]), zeros([2]), zeros([2]), zeros([2]), zeros([2])]),
        Case("InstanceNormalization", "channels", on: [zeros([1, 2, 3]), zeros([3]), zeros([2])]),
        Case("GroupNormalization", "no groups", on: [zeros([1, 2, 3]), zeros([2]), zeros([2])]),
        Case(
            "GroupNormalization", "groups", with: ["num_groups": .int(3)],
            on: [zeros([1, 4, 3]), zeros([4]), zeros([4])]),
        Case("LayerNormalization", "scale", on: [zeros([2, 3]), zeros([2])]),
        Case("LayerNormalization", "axis", with: ["axis": .int(2)], on: [zeros([2, 3]), zeros([3])]),
        Case("RMSNormalization", "scale", on: [zeros([2, 3]), zeros([2])]),
        Case("LpNormalization", "p", with: ["p": .int(3)], on: [zeros([2, 3])]),
        Case("LRN", "size", on: [zeros([1, 2, 3])]),
        Case("MeanVarianceNormalization", "axes", on: [zeros([2, 3])]),
    ]

    static let sampling: [Case] = [
        Case("Resize", "nothing said", on: [zeros([1, 1, 2])]),
        Case("Resize", "scales of another rank", on: [zeros([1, 1, 2]), nil, floats(2)]),
        Case("Resize", "negative scale", on: [zeros([1, 1, 2]), nil, floats(1, 1, -2)]),
        Case("Resize", "not a number", on: [zeros([1, 1, 2]), nil, floats(1, 1, .nan)]),
        Case("Resize", "absurd sizes", on: [zeros([1, 1, 2]), nil, nil, list(1, 1, 1 << 50)]),
        Case("Resize", "negative sizes", on: [zeros([1, 1, 2]), nil, nil, list(1, 1, -1)]),
        Case("Resize", "mode", with: ["mode": .string("best")], on: [zeros([1]), nil, floats(2)]),
        Case("Resize", "of nothing", on: [zeros([0]), nil, nil, list(2)]),
        Case("Resize", "integers in between", with: ["mode": .string("linear")], on: [list(1, 2), nil, floats(2)]),
        Case(
            "Resize", "no region", with: ["coordinate_transformation_mode": .string("tf_crop_and_resize")],
            on: [zeros([2]), nil, floats(2)]),
        Case("GridSample", "coordinates", on: [zeros([1, 1, 2, 2]), zeros([1, 2, 2, 3])]),
        Case("GridSample", "batch", on: [zeros([1, 1, 2, 2]), zeros([2, 2, 2, 2])]),
        Case("GridSample", "mode", with: ["mode": .string("best")], on: [zeros([1, 1, 2, 2]), zeros([1, 2, 2, 2])]),
        Case("Resize", "an axis without end", on: [.pending([2]), nil, nil, list(1 << 25)]),
        Case("AffineGrid", "rows", on: [zeros([1, 3, 3]), list(1, 1, 2, 2)]),
        Case("AffineGrid", "negative", on: [zeros([1, 2, 3]), list(1, 1, -2, 2)]),
        Case("GridSample", "of nothing", on: [zeros([1, 1, 0, 2]), zeros([1, 2, 2, 2])]),
    ]

    @Test(arguments: cases)
    func isRefused(_ example: Case) throws {
        let node = NodeDescription(
            name: "node 7", type: example.type, opset: example.opset, attributes: Attributes(example.attributes),
            inputs: example.inputs.map { $0 == nil ? "" : "x" },
            outputs: (0..<example.outputs).map { "out\($0)" })
        let failure = #expect(throws: Failure.self) {
            let operation = try #require(try OperatorCatalogue.make(node))
            _ = try operation.forward(example.inputs)
        }
        #expect(failure?.subject.contains("node 7") == true)
        #expect(failure?.expected.isEmpty == false)
        #expect(failure?.found.isEmpty == false)
    }

    /// A shape that depends on numbers not known yet is no mistake of the network.
    @Test(arguments: [
        Case("NonZero", "unknown numbers", on: [.pending([3])]),
        Case("Resize", "unknown scales", on: [zeros([2]), nil, .pending([1])]),
        Case("Range", "unknown limit", on: [zeros([]), .pending([]), zeros([])]),
        Case("OneHot", "unknown depth", on: [list(0), .pending([]), zeros([2])]),
    ])
    func undeterminedShapesAreToldApart(_ example: Case) throws {
        let node = NodeDescription(name: "node 7", type: example.type, opset: 18, outputs: ["y"])
        let operation = try #require(try OperatorCatalogue.make(node))
        #expect(throws: UndeterminedShape.self) { try operation.forward(example.inputs) }
    }

    /// What has no elements, or sees numbers that are not finite, still has an answer.
    @Test func emptyTensorsPass() throws {
        let empty = Value.float(Tensor(shape: [2, 0, 3], repeating: 0))
        for type in [
            "Relu", "Neg", "Softmax", "LogSoftmax", "Identity", "Transpose", "Shape", "Flatten", "LpNormalization",
        ] {
            let node = NodeDescription(name: "empty", type: type, opset: 18, outputs: ["y"])
            let operation = try #require(try OperatorCatalogue.make(node))
            let outputs = try operation.forward([empty])
            #expect(outputs.count == 1)
        }
        let sum = try #require(try OperatorCatalogue.make(NodeDescription(name: "sum", type: "ReduceSum", opset: 18)))
        guard case .float(let total) = try sum.forward([empty])[0] else { return }
        #expect(total.values == [0])
        let casting = NodeDescription(
            name: "cast", type: "Cast", opset: 18, attributes: Attributes(["to": .int(7)]), outputs: ["y"])
        let cast = try #require(try OperatorCatalogue.make(casting))
        let odd = Value.float(Tensor(shape: [4], values: [Float.nan, .infinity, -.infinity, -1.9]))
        guard case .integer(let whole) = try cast.forward([odd])[0] else { return }
        #expect(whole.values == [.min, .max, .min, -1])
    }
}

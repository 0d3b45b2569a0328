import TestSupport
import Testing
import Workers

@testable import Tensors

/// The same bits, however many threads share the work.
///
/// Serialized: the width of the shared workers belongs to the whole process.
@Suite("Bits do not depend on threads", .serialized)
struct BitIdentityTests {
    struct Job: CustomTestStringConvertible, Sendable {
        var type: String
        var attributes: [String: Attributes.Attribute] = [:]
        var shapes: [[Int]]
        var lists: [[Int64]] = []
        var testDescription: String { "\(type) \(shapes)" }
    }

    /// Large enough that every one is split.
    static let jobs: [Job] = [
        Job(type: "MatMul", shapes: [[300, 257], [257, 310]]),
        Job(type: "MatMul", shapes: [[6, 70, 65], [6, 65, 90]]),
        Job(type: "Gemm", attributes: ["transB": .int(1)], shapes: [[1, 3000], [1000, 3000], [1000]]),
        Job(type: "Add", shapes: [[2, 8, 40, 50, 3], [8, 1, 1, 1]]),
        Job(type: "Gelu", shapes: [[200_003]]),
        Job(type: "ReduceMean", shapes: [[2, 8, 30, 31, 32]], lists: [[2, 3, 4]]),
        Job(type: "ReduceSum", shapes: [[3, 500, 211]], lists: [[1]]),
        Job(type: "Softmax", attributes: ["axis": .int(1)], shapes: [[2, 20, 5000]]),
        Job(type: "LayerNormalization", shapes: [[300, 257], [257], [257]]),
        Job(type: "InstanceNormalization", shapes: [[2, 8, 20, 21, 22], [8], [8]]),
        Job(type: "GroupNormalization", attributes: ["num_groups": .int(4)], shapes: [[2, 8, 20, 21, 22], [8], [8]]),
        Job(type: "BatchNormalization", shapes: [[2, 8, 20, 21, 22], [8], [8], [8], [8]]),
        Job(type: "Transpose", attributes: ["perm": .ints([0, 2, 3, 1])], shapes: [[2, 64, 50, 60]]),
        Job(
            type: "Einsum", attributes: ["equation": .string("bhxy,bhyd->bhxd")],
            shapes: [[2, 8, 50, 60], [2, 8, 60, 70]]),
        Job(type: "Attention", shapes: [[2, 4, 90, 16], [2, 4, 90, 16], [2, 4, 90, 16]]),
    ]

    @Test(arguments: jobs)
    func forwardAndPullback(_ job: Job) throws {
        var numbers = SeededNumbers(11)
        let inputs: [Value?] =
            job.shapes.map { .float(numbers.tensor($0, 0.1...1)) }
            + job.lists.map { .integer(Tensor(shape: [$0.count], values: $0)) }
        try expectSameBits(job.type, job.attributes, inputs, wanted: job.shapes.count)
    }

    @Test(arguments: ["linear", "cubic", "nearest"])
    func resize(_ mode: String) throws {
        var numbers = SeededNumbers(12)
        let inputs: [Value?] = [
            .float(numbers.tensor([1, 6, 20, 21, 22])), nil, nil,
            .integer(Tensor(shape: [5], values: [1, 6, 40, 30, 44])),
        ]
        try expectSameBits("Resize", ["mode": .string(mode)], inputs, wanted: 1)
    }

    private func expectSameBits(
        _ type: String, _ attributes: [String: Attributes.Attribute], _ inputs: [Value?], wanted: Int
    ) throws {
        defer { Workers.setWidth(Workers.defaultWidth) }
        let node = NodeDescription(
            name: type, type: type, opset: 21, attributes: Attributes(attributes), outputs: ["y"])
        let operation = try #require(try OperatorCatalogue.make(node))
        var results: [[Tensor<Float>]] = []
        for width in [1, 2, 8] {
            Workers.setWidth(width)
            let outputs = try operation.forward(inputs)
            guard case .float(let y) = outputs[0] else { continue }
            let gradients = try operation.pullback(
                PullbackCall(
                    gradients: [y], inputs: inputs, outputs: outputs, wanted: inputs.indices.map { $0 < wanted }))
            results.append([y] + gradients.compactMap { $0 })
        }
        #expect(results.count == 3)
        #expect(results[0].count == wanted + 1)
        for other in results.dropFirst() {
            for (a, b) in zip(results[0], other) {
                #expect(a.shape == b.shape)
                #expect(a.values.elementsEqual(b.values) { $0.bitPattern == $1.bitPattern })
            }
        }
    }
}

import Failures
import TestSupport
import Testing
import Workers

@testable import Tensors

/// What holds for every convolution: derivatives, thread counts, refusals.
@Suite struct ConvolutionPropertyTests {
    struct Shape: CustomTestStringConvertible, Sendable {
        var type = "Conv"
        var input: [Int]
        var weight: [Int]
        var attributes: [String: Attributes.Attribute] = [:]
        var testDescription: String { "\(type) \(input) \(weight)" }
    }

    static let shapes = [
        Shape(input: [1, 3, 6, 7], weight: [4, 3, 3, 3], attributes: ["pads": .ints([1, 1, 1, 1])]),
        Shape(
            input: [2, 4, 5, 6, 5], weight: [6, 2, 2, 3, 3],
            attributes: ["group": .int(2), "strides": .ints([1, 2, 2])]),
        Shape(
            type: "ConvTranspose", input: [1, 4, 3, 4, 3], weight: [4, 3, 3, 3, 3],
            attributes: ["strides": .ints([2, 2, 1])]),
        Shape(
            type: "MaxPool", input: [1, 2, 6, 6, 6], weight: [],
            attributes: [
                "kernel_shape": .ints([3, 3, 3]), "strides": .ints([2, 2, 2]), "pads": .ints([1, 1, 1, 1, 1, 1]),
            ]),
        Shape(
            type: "AveragePool", input: [1, 2, 7, 6], weight: [],
            attributes: ["kernel_shape": .ints([3, 2]), "dilations": .ints([2, 1]), "pads": .ints([1, 0, 0, 1])]),
        Shape(
            type: "LpPool", input: [1, 2, 6, 6], weight: [], attributes: ["kernel_shape": .ints([2, 3]), "p": .int(3)]),
        Shape(type: "GlobalLpPool", input: [1, 3, 4, 5], weight: []),
    ]

    /// Central differences of Σ g · f(x) along random directions.
    @Test(arguments: shapes) func pullbackIsTheDerivative(_ shape: Shape) throws {
        let operation = try #require(try OperatorCatalogue.make(node(shape.type, shape.attributes)))
        let x = noise(shape.input, seed: 1)
        let rest: [Value?] = shape.weight.isEmpty ? [] : [.float(noise(shape.weight, seed: 2))]
        let y = try operation.floats([.float(x)] + rest)
        let g = noise(y.shape, seed: 3)
        let gradient = try #require(
            try operation.pullback(
                PullbackCall(
                    gradients: [g], inputs: [.float(x)] + rest, outputs: [.float(y)],
                    wanted: [true] + rest.map { _ in false }))[0])
        let step: Float = 1e-3
        for trial in 0..<4 {
            let direction = noise(shape.input, seed: UInt64(10 + trial))
            func value(_ sign: Float) throws -> Double {
                let moved = Tensor<Float>(
                    shape: x.shape, values: zip(x.values, direction.values).map { $0 + sign * step * $1 })
                return zip(try operation.floats([.float(moved)] + rest).values, g.values)
                    .reduce(0) { $0 + Double($1.0) * Double($1.1) }
            }
            let numeric = (try value(1) - value(-1)) / Double(2 * step)
            let exact = zip(gradient.values, direction.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            #expect(abs(numeric - exact) < 4e-3 * max(1, abs(exact)))
        }
    }

    /// The same bits at widths of 1, 2 and 8, on shapes that are cut in slabs, channels and images.
    @Test(arguments: [
        Shape(
            input: [1, 16, 20, 24, 24], weight: [32, 16, 3, 3, 3], attributes: ["pads": .ints([1, 1, 1, 1, 1, 1])]),
        Shape(input: [1, 128, 6, 6], weight: [256, 128, 3, 3], attributes: ["pads": .ints([1, 1, 1, 1])]),
        Shape(input: [3, 8, 30, 31], weight: [24, 8, 5, 5], attributes: ["strides": .ints([2, 2])]),
        Shape(input: [1, 64, 12, 12, 12], weight: [64, 64, 1, 1, 1]),
        Shape(
            type: "ConvTranspose", input: [1, 32, 12, 12, 12], weight: [32, 16, 2, 2, 2],
            attributes: ["strides": .ints([2, 2, 2])]),
        Shape(
            type: "ConvTranspose", input: [1, 16, 31, 29], weight: [16, 16, 3, 3],
            attributes: ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])]),
    ]) func bitsDoNotDependOnThreads(_ shape: Shape) throws {
        let x = noise(shape.input, seed: 4)
        let inputs: [Value?] = [.float(x), .float(noise(shape.weight, seed: 5))]
        var results: [[Tensor<Float>]] = []
        defer { Workers.setWidth(Workers.defaultWidth) }
        for width in [1, 2, 8] {
            Workers.setWidth(width)
            let operation = try #require(try OperatorCatalogue.make(node(shape.type, shape.attributes)))
            let y = try operation.floats(inputs)
            let gradients = try operation.pullback(
                PullbackCall(
                    gradients: [noise(y.shape, seed: 6)], inputs: inputs, outputs: [.float(y)], wanted: [true, true]))
            results.append([y] + gradients.map { $0! })
        }
        for other in results.dropFirst() { #expect(other == results[0]) }
    }

    /// A second tensor of weights in the same operator is not taken for the first.
    @Test func newWeightsArePackedAnew() throws {
        let conv = try Conv(node("Conv"))
        let x = noise([1, 8, 9, 9], seed: 1)
        for seed in 1..<5 {
            let w = noise([16, 8, 3, 3], seed: UInt64(seed))
            let fresh = try Conv(node("Conv")).floats([.float(x), .float(w)])
            #expect(try conv.floats([.float(x), .float(w)]) == fresh)
        }
    }

    @Test func automaticPaddingSplitsAsNamed() throws {
        let x = noise([1, 2, 8], seed: 1)
        let w = noise([3, 2, 4], seed: 2)
        let cases: [(String, [Int])] = [("SAME_UPPER", [1, 2]), ("SAME_LOWER", [2, 1]), ("VALID", [0, 0])]
        for (name, pads) in cases {
            let automatic = try Conv(node("Conv", ["auto_pad": .string(name)]))
            let explicit = try Conv(node("Conv", ["pads": .ints(pads)]))
            #expect(try automatic.floats([.float(x), .float(w)]) == explicit.floats([.float(x), .float(w)]))
        }
        let strided = try Conv(node("Conv", ["auto_pad": .string("SAME_UPPER"), "strides": .ints([3])]))
        #expect(try strided.forward([.pending([1, 2, 8]), .float(w)])[0].shape == [1, 3, 3])
    }

    @Test func transposedOutputShapes() throws {
        let w = Value.pending([4, 5, 3, 3])
        func shape(_ attributes: [String: Attributes.Attribute]) throws -> [Int] {
            try ConvTranspose(node("ConvTranspose", attributes)).forward([.pending([1, 4, 3, 3]), w])[0].shape
        }
        #expect(try shape(["strides": .ints([3, 2])]) == [1, 5, 9, 7])
        #expect(try shape(["strides": .ints([3, 2]), "output_shape": .ints([10, 8])]) == [1, 5, 10, 8])
        #expect(try shape(["strides": .ints([2, 2]), "auto_pad": .string("SAME_UPPER")]) == [1, 5, 6, 6])
        // More than there is: the surplus is bias.
        let wide = try ConvTranspose(node("ConvTranspose", ["output_shape": .ints([9])]))
        let y = try wide.floats([
            .float(noise([1, 1, 3], seed: 1)), .float(noise([1, 1, 2], seed: 2)),
            .float(Tensor(shape: [1], values: [0.5])),
        ])
        #expect(y.values[4...] == [0.5, 0.5, 0.5, 0.5, 0.5])
    }

    @Test func notANumberPassesThroughPools() throws {
        var x = noise([1, 1, 6, 6], seed: 1)
        x.withUnsafeMutableBuffer { $0[7] = .nan }
        let attributes: [String: Attributes.Attribute] = ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]
        #expect(try MaxPool(node("MaxPool", attributes)).floats([.float(x)])[flat: 0].isNaN)
        #expect(try MaxPool(node("MaxPool", attributes, outputs: 2)).floats([.float(x)])[flat: 0].isNaN)
        #expect(try GlobalPool(node("GlobalMaxPool")).floats([.float(x)])[flat: 0].isNaN)
    }

    /// Attributes and shapes that make no sense are refused with the node's name, never computed.
    @Test(arguments: [
        Shape(input: [1, 3, 8, 8], weight: [4, 2, 3, 3]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3]),
        Shape(input: [8, 8], weight: [4, 8]),
        Shape(input: [1, 3, 4, 4, 4, 4], weight: [4, 3, 1, 1, 1, 1]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 9, 3]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 0, 3]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["strides": .ints([0, 1])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["strides": .ints([1])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["strides": .int(1)]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["dilations": .ints([-1, 1])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["dilations": .ints([1 << 40, 1])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["pads": .ints([-9, 0, 0, 0])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["pads": .ints([1, 1])]),
        Shape(
            input: [1, 3, 8, 8], weight: [4, 3, 3, 3],
            attributes: ["pads": .ints([1 << 29, 1 << 29, 1 << 29, 1 << 29])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["group": .int(0)]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["group": .int(2)]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["kernel_shape": .ints([5, 5])]),
        Shape(input: [1, 3, 8, 8], weight: [4, 3, 3, 3], attributes: ["auto_pad": .string("SAME")]),
        Shape(input: [1, 3, 0, 8], weight: [4, 3, 1, 1]),
        Shape(type: "ConvTranspose", input: [1, 3, 8, 8], weight: [4, 3, 3, 3]),
        Shape(
            type: "ConvTranspose", input: [1, 4, 2, 2], weight: [4, 3, 3, 3], attributes: ["pads": .ints([3, 3, 3, 3])]),
        Shape(
            type: "ConvTranspose", input: [1, 4, 1 << 29, 2], weight: [4, 3, 3, 3],
            attributes: ["strides": .ints([1 << 29, 1])]),
        Shape(type: "ConvTranspose", input: [1, 4, 8, 8], weight: [4, 3, 3, 3], attributes: ["group": .int(3)]),
        Shape(type: "MaxPool", input: [1, 4, 8, 8], weight: []),
        Shape(type: "MaxPool", input: [1, 4, 8, 8], weight: [], attributes: ["kernel_shape": .ints([0, 1])]),
        Shape(type: "MaxPool", input: [1, 4, 8, 8], weight: [], attributes: ["kernel_shape": .ints([9, 9])]),
        Shape(type: "MaxPool", input: [1, 4, 8, 8], weight: [], attributes: ["kernel_shape": .ints([3])]),
        Shape(
            type: "AveragePool", input: [1, 4, 8, 8], weight: [],
            attributes: ["kernel_shape": .ints([2, 2]), "count_include_pad": .float(1)]),
        Shape(
            type: "LpPool", input: [1, 4, 8, 8], weight: [], attributes: ["kernel_shape": .ints([2, 2]), "p": .int(0)]),
        Shape(type: "GlobalAveragePool", input: [4], weight: []),
        Shape(type: "GlobalMaxPool", input: [1, 4, 0], weight: []),
    ]) func nonsenseIsRefused(_ shape: Shape) throws {
        #expect {
            let operation = try #require(try OperatorCatalogue.make(node(shape.type, shape.attributes)))
            let weight: [Value?] = shape.weight.isEmpty ? [] : [.pending(shape.weight)]
            _ = try operation.forward([.pending(shape.input)] + weight)
        } throws: { error in
            (error as? Failure)?.subject.contains("'n'") == true
        }
    }

    @Test func missingAndIntegerInputsAreRefused() throws {
        let conv = try Conv(node("Conv"))
        let x = Value.float(noise([1, 2, 5], seed: 1))
        #expect(throws: Failure.self) { _ = try conv.forward([x]) }
        #expect(throws: Failure.self) { _ = try conv.forward([nil, x]) }
        #expect(throws: Failure.self) { _ = try conv.forward([x, .integer(Tensor(shape: [1, 2, 3], repeating: 1))]) }
        #expect(throws: Failure.self) { _ = try conv.forward([x, .pending([3, 2, 3]), .pending([4])]) }
    }

    @Test func anEmptyBatchIsEmpty() throws {
        let y = try Conv(node("Conv")).floats([.float(noise([0, 2, 5], seed: 1)), .float(noise([3, 2, 3], seed: 1))])
        #expect(y.shape == [0, 3, 3])
    }

    /// A convolution joined with an addition and a rectifier is the three one after the other, and so is its pullback.
    @Test(arguments: [Float(0), 0.2]) func joinedOperatorsEqualSeparateOnes(_ slope: Float) throws {
        let conv = try Conv(node("Conv", ["pads": .ints([1, 1, 1, 1])]))
        let joined = conv.followed(bySlope: slope, addingResidual: true)
        let inputs: [Value?] = [
            .float(noise([1, 16, 9, 11], seed: 1)), .float(noise([24, 16, 3, 3], seed: 2)),
            .float(noise([24], seed: 3)),
        ]
        let residual = noise([1, 24, 9, 11], seed: 4)
        let gradient = noise([1, 24, 9, 11], seed: 5)
        let sum = try Add(node("Add")).floats([.float(try conv.floats(inputs)), .float(residual)])
        let rectifier = try LeakyRelu(node("LeakyRelu", ["alpha": .float(slope)]))
        let y = try rectifier.floats([.float(sum)])
        #expect(relativeError(try joined.floats(inputs + [.float(residual)]), y) == 0)
        let back = try #require(
            try rectifier.pullback(
                PullbackCall(gradients: [gradient], inputs: [.float(sum)], outputs: [.float(y)], wanted: [true]))[0])
        let separate = try conv.pullback(
            PullbackCall(gradients: [back], inputs: inputs, outputs: [.float(sum)], wanted: [true, true, true]))
        let together = try joined.pullback(
            PullbackCall(
                gradients: [gradient], inputs: inputs + [.float(residual)], outputs: [.float(y)],
                wanted: [true, true, true, true]))
        for (a, b) in zip(together, separate + [back]) { #expect(relativeError(a!, b!) == 0) }
        #expect(try joined.forward([.pending([1, 16, 9, 11])] + inputs[1...] + [.float(residual)])[0].isPending)
        #expect(throws: Failure.self) { _ = try joined.forward(inputs + [.float(noise([1, 24, 9, 10], seed: 1))]) }
    }
}

import CKernels
import TestSupport
import Testing
import Workers

@testable import Tensors

/// Row convolution against PyTorch on every kind of processor that runs here, and against the definition.
@Suite struct ConvolutionRowsTests {
    static let applicable: [ConvolutionCase] = ConvolutionCase.all.filter { reference in
        guard reference.type == "Conv", let c = try? ConvolutionFilteringTests.convolution(reference) else {
            return false
        }
        return RowConvolution(c, .forward, always: true) != nil
    }

    @Test func manyCasesApply() { #expect(Self.applicable.count >= 25) }

    @Test(arguments: applicable, ConvolutionFilteringTests.processors)
    func agreesWithReference(_ reference: ConvolutionCase, _ processor: Int32) throws {
        let convolution = try ConvolutionFilteringTests.convolution(reference)
        let w = reference.tensor("w")!
        let forward = try #require(RowConvolution(convolution, .forward, processor: processor, always: true))
        let y = forward.run(
            from: reference.tensor("x")!, weight: w, epilogue: Epilogue(bias: reference.tensor("b")),
            shape: convolution.outputShape, cache: PackedWeights())
        #expect(relativeError(y, reference.tensor("y")!) < ConvolutionCase.tolerance)
        guard convolution.window.dilation == .one else { return }
        let backward = try #require(RowConvolution(convolution, .backwardData, processor: processor, always: true))
        let gx = backward.run(
            from: reference.tensor("gy")!, weight: w, epilogue: .none, shape: convolution.inputShape,
            cache: PackedWeights())
        #expect(relativeError(gx, reference.tensor("gx")!) < ConvolutionCase.tolerance)
    }

    /// Inputs that no output reaches get the bias, residuals and rectifiers reach every remainder of the stride.
    @Test func epiloguesReachEveryGrid() throws {
        let window = SpatialWindow(
            rank: 2, input: SIMD3(1, 9, 11), output: SIMD3(1, 3, 4), kernel: SIMD3(1, 1, 2), stride: SIMD3(1, 3, 3),
            dilation: .one, padBegin: .zero, padEnd: .zero)
        let c = Convolution(batch: 2, groups: 1, inputChannels: 3, outputChannels: 5, window: window)
        let (g, w) = (noise(c.outputShape, seed: 1), noise(c.weightShape, seed: 2))
        let epilogue = Epilogue(bias: noise([3], seed: 3), residual: noise(c.inputShape, seed: 4), slope: 0.25)
        let rows = try #require(RowConvolution(c, .backwardData, always: true))
        let y = rows.run(from: g, weight: w, epilogue: epilogue, shape: c.inputShape, cache: PackedWeights())
        let expected = ConvolutionEngine.byDefinition(c, .backwardData, from: g, weight: w, epilogue: epilogue)
        #expect(relativeError(y, expected) < 1e-6)
    }

    @Test(arguments: [Convolution.Direction.forward, .backwardData])
    func bitsDoNotDependOnThreads(_ direction: Convolution.Direction) throws {
        let window = SpatialWindow(
            rank: 3, input: SIMD3(17, 30, 41), output: SIMD3(9, 15, 21), kernel: SIMD3(3, 3, 3), stride: SIMD3(2, 2, 2),
            dilation: .one, padBegin: .one, padEnd: .one)
        let c = Convolution(batch: 1, groups: 1, inputChannels: 2, outputChannels: 20, window: window)
        let from = noise(direction == .forward ? c.inputShape : c.outputShape, seed: 1)
        let w = noise(c.weightShape, seed: 2)
        let rows = try #require(RowConvolution(c, direction))
        var results: [Tensor<Float>] = []
        defer { Workers.setWidth(Workers.defaultWidth) }
        for width in [1, 2, 8] {
            Workers.setWidth(width)
            results.append(
                rows.run(
                    from: from, weight: w, epilogue: .none,
                    shape: direction == .forward ? c.outputShape : c.inputShape, cache: PackedWeights()))
        }
        #expect(results[1] == results[0] && results[2] == results[0])
    }
}

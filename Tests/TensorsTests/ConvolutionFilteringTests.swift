import CKernels
import Failures
import TestSupport
import Testing
import Workers

@testable import Tensors

/// Minimal filtering against PyTorch and against sums in double precision, on every kind of processor that runs here.
@Suite struct ConvolutionFilteringTests {
    static let processors = [TOMO_PORTABLE, TOMO_AVX2, TOMO_AVX512].map { Int32($0) }.filter {
        tomo_processor_runs($0) != 0
    }

    static func convolution(_ reference: ConvolutionCase) throws -> Convolution {
        let (x, w) = (reference.tensor("x")!.shape, reference.tensor("w")!.shape)
        let window = try WindowAttributes(reference.node())
        return Convolution(
            batch: x[0], groups: reference.node().attributes.int("group")!, inputChannels: x[1], outputChannels: w[0],
            window: try window.window(over: Array(x[2...]), kernel: Array(w[2...])))
    }

    static let applicable: [ConvolutionCase] = ConvolutionCase.all.filter { reference in
        guard reference.type == "Conv", let convolution = try? convolution(reference) else { return false }
        return MinimalFiltering(convolution, .forward, always: true) != nil
    }

    @Test func manyCasesApply() { #expect(Self.applicable.count >= 9) }

    @Test(arguments: applicable, processors)
    func agreesWithReference(_ reference: ConvolutionCase, _ processor: Int32) throws {
        let convolution = try Self.convolution(reference)
        let w = reference.tensor("w")!
        let forward = try #require(MinimalFiltering(convolution, .forward, processor: processor, always: true))
        let y = forward.run(
            from: reference.tensor("x")!, weight: w, epilogue: Epilogue(bias: reference.tensor("b")),
            shape: convolution.outputShape, cache: PackedWeights())
        #expect(relativeError(y, reference.tensor("y")!) < ConvolutionCase.tolerance)
        let backward = try #require(MinimalFiltering(convolution, .backwardData, processor: processor, always: true))
        let gx = backward.run(
            from: reference.tensor("gy")!, weight: w, epilogue: .none, shape: convolution.inputShape,
            cache: PackedWeights())
        #expect(relativeError(gx, reference.tensor("gx")!) < ConvolutionCase.tolerance)
    }

    struct Shape: CustomTestStringConvertible, Sendable {
        var channels: (Int, Int)
        var spatial: [Int]
        var kernel: [Int]
        var pads: Int = 1
        var testDescription: String { "\(channels.0)→\(channels.1) \(spatial) kernel \(kernel) pads \(pads)" }

        var convolution: Convolution {
            let padded = kernel.map { $0 == 3 ? pads : 0 }
            let input = SIMD3(lifting: spatial)
            let pad = SIMD3(lifting: padded, filler: 0)
            let kernel = SIMD3(lifting: kernel)
            return Convolution(
                batch: 1, groups: 1, inputChannels: channels.0, outputChannels: channels.1,
                window: SpatialWindow(
                    rank: spatial.count, input: input, output: input &+ 2 &* pad &- kernel &+ 1, kernel: kernel,
                    stride: .one, dilation: .one, padBegin: pad, padEnd: pad))
        }
    }

    /// Odd extents, of which the pool leaves the last out; few tiles and many; channels that fill no vector.
    static let pooled = [
        Shape(channels: (8, 20), spatial: [9, 13, 21], kernel: [3, 3, 3]),
        Shape(channels: (16, 32), spatial: [24, 24, 40], kernel: [3, 3, 3]),
        Shape(channels: (8, 16), spatial: [6, 10, 70], kernel: [1, 3, 3]),
        Shape(channels: (8, 33), spatial: [57, 83], kernel: [3, 3]),
        Shape(channels: (8, 16), spatial: [12, 14], kernel: [3, 3], pads: 0),
    ]

    @Test(arguments: pooled, processors)
    func pools(_ shape: Shape, _ processor: Int32) throws {
        let convolution = shape.convolution
        let output = convolution.window.output
        let window = SIMD3(lifting: shape.kernel.map { $0 == 3 ? 2 : 1 })
        let pool = SpatialWindow(
            rank: shape.spatial.count, input: output, output: output / window, kernel: window, stride: window,
            dilation: .one, padBegin: .zero, padEnd: .zero)
        var random = SeededNumbers(11)
        let x = random.tensor(convolution.inputShape)
        let w = random.tensor(convolution.weightShape)
        let epilogue = Epilogue(bias: random.tensor([shape.channels.1]), slope: 0.1)
        let filtering = try #require(MinimalFiltering(convolution, .forward, processor: processor, always: true))
        let whole = filtering.run(
            from: x, weight: w, epilogue: epilogue, shape: convolution.outputShape, cache: PackedWeights())
        let pooledShape = [1, shape.channels.1] + pool.outputShape
        let expected = pool.mapPlanes(whole, pooledShape) { Self.maximum(&$0, processor, $1, $2) }
        let found = try #require(filtering.pooled(by: pool)).run(
            from: x, weight: w, epilogue: epilogue, shape: pooledShape, cache: PackedWeights())
        #expect(found == expected)
    }

    static func maximum(
        _ window: inout tomo_window, _ processor: Int32, _ from: UnsafePointer<Float>, _ to: UnsafeMutablePointer<Float>
    ) {
        var scratch = [Float](repeating: 0, count: Int(tomo_max_pool_scratch(&window)))
        tomo_max_pool(&window, processor, from, to, &scratch)
    }

    @Test func refusesOtherPools() throws {
        let convolution = Self.pooled[1].convolution
        let filtering = try #require(MinimalFiltering(convolution, .forward, always: true))
        let output = convolution.window.output
        func pool(_ kernel: Int, _ stride: Int, pad: Int = 0, roundedUp: Bool = false) -> SpatialWindow {
            let two = SIMD3(repeating: stride)
            return SpatialWindow(
                rank: 3, input: output, output: (output &+ (roundedUp ? 1 : 0)) / two &+ (roundedUp ? 1 : 0),
                kernel: SIMD3(repeating: kernel), stride: two, dilation: .one, padBegin: SIMD3(repeating: pad),
                padEnd: SIMD3(repeating: pad))
        }
        #expect(filtering.pooled(by: pool(2, 2)) != nil)
        #expect(filtering.pooled(by: pool(3, 2)) == nil)
        #expect(filtering.pooled(by: pool(2, 1)) == nil)
        #expect(filtering.pooled(by: pool(3, 3)) == nil)
        #expect(filtering.pooled(by: pool(2, 2, pad: 1)) == nil)
        #expect(filtering.pooled(by: pool(2, 2, roundedUp: true)) == nil)
    }

    /// The relative error at a sample of outputs, corners among them, against sums in double precision.
    static func error(_ y: Tensor<Float>, _ x: Tensor<Float>, _ w: Tensor<Float>, _ c: Convolution) -> Double {
        let exact = exact(x, w, c)
        let worst = exact.map { abs($0.value - Double(y[flat: $0.key])) }.max()!
        return worst / exact.values.map { abs($0) }.max()!
    }

    /// A sample of outputs in double precision, by flat index.
    static func exact(_ x: Tensor<Float>, _ w: Tensor<Float>, _ c: Convolution) -> [Int: Double] {
        let window = c.window
        let count = c.outputShape.elementCount
        var sums: [Int: Double] = [:]
        for sample in 0..<600 {
            let flat = sample < 8 ? (sample % 2 == 0 ? sample : count - sample) : sample &* 7_919_333 % count
            let (channel, place) = (flat / window.outputCount, flat % window.outputCount)
            let at = SIMD3(
                place / (window.output[1] * window.output[2]), place / window.output[2] % window.output[1],
                place % window.output[2])
            var sum = 0.0
            for input in 0..<c.inputChannels {
                for tap in 0..<window.kernel.product {
                    let k = SIMD3(
                        tap / (window.kernel[1] * window.kernel[2]), tap / window.kernel[2] % window.kernel[1],
                        tap % window.kernel[2])
                    let from = at &+ k &- window.padBegin
                    guard (0..<3).allSatisfy({ from[$0] >= 0 && from[$0] < window.input[$0] }) else { continue }
                    let index = (from[0] * window.input[1] + from[1]) * window.input[2] + from[2]
                    sum +=
                        Double(x[flat: input * window.inputCount + index])
                        * Double(w[flat: (channel * c.inputChannels + input) * window.kernel.product + tap])
                }
            }
            sums[flat] = sum
        }
        return sums
    }

    /// Bounds a little above what was measured; the definition itself in single precision errs by 0.4 to 1.4e-6.
    @Test(
        arguments: [
            Shape(channels: (64, 64), spatial: [28, 30], kernel: [3, 3]),
            Shape(channels: (48, 33), spatial: [57, 23], kernel: [3, 3], pads: 0),
            Shape(channels: (512, 64), spatial: [7, 7], kernel: [3, 3]),
            Shape(channels: (32, 32), spatial: [22, 24, 26], kernel: [3, 3, 3]),
            Shape(channels: (64, 64), spatial: [12, 13, 11], kernel: [3, 3, 3], pads: 2),
            Shape(channels: (128, 128), spatial: [6, 6, 6], kernel: [3, 3, 3]),
            Shape(channels: (256, 64), spatial: [2, 5, 3], kernel: [3, 3, 3]),
            Shape(channels: (32, 40), spatial: [9, 21, 18], kernel: [1, 3, 3]),
            Shape(channels: (40, 32), spatial: [19, 8, 9], kernel: [3, 1, 1]),
            Shape(channels: (64, 64), spatial: [70], kernel: [3]),
        ], processors)
    func accuracy(_ shape: Shape, _ processor: Int32) throws {
        let c = shape.convolution
        let filtering = try #require(MinimalFiltering(c, .forward, processor: processor, always: true))
        let x = noise(c.inputShape, seed: 1)
        let w = noise(c.weightShape, seed: 2)
        let y = filtering.run(from: x, weight: w, epilogue: .none, shape: c.outputShape, cache: PackedWeights())
        #expect(Self.error(y, x, w, c) < (shape.kernel.count == 3 ? 5e-6 : 3e-6))
    }

    /// Root of the mean square error against sums in double precision, relative to the outputs' own.
    static func rounding(_ y: Tensor<Float>, _ exact: [Int: Double]) -> Double {
        let (error, size) = exact.reduce((0.0, 0.0)) { sum, sample in
            let difference = Double(y[flat: sample.key]) - sample.value
            return (sum.0 + difference * difference, sum.1 + sample.value * sample.value)
        }
        return (error / size).squareRoot()
    }

    /// Sums of sixteen channels apart: rounding hardly grows with the channels, and for many stays about the definition's.
    @Test func roundingStaysLowWithManyChannels() throws {
        func rounding(_ channels: Int, _ spatial: [Int]) throws -> (filtered: Double, definition: Double) {
            let c = Shape(channels: (channels, 16), spatial: spatial, kernel: spatial.map { _ in 3 }).convolution
            let x = noise(c.inputShape, seed: 1).map { max($0, 0) }
            let w = noise(c.weightShape, seed: 2)
            let exact = Self.exact(x, w, c)
            let filtering = try #require(MinimalFiltering(c, .forward, always: true))
            let y = filtering.run(from: x, weight: w, epilogue: .none, shape: c.outputShape, cache: PackedWeights())
            let direct = ConvolutionEngine.byDefinition(c, .forward, from: x, weight: w, epilogue: .none)
            return (Self.rounding(y, exact), Self.rounding(direct, exact))
        }
        let few = try rounding(16, [10, 11, 9])
        let many = try rounding(256, [10, 11, 9])
        #expect(many.filtered < 1.6 * few.filtered)
        #expect(many.filtered < 1.5 * many.definition)
        let flat = try rounding(512, [14, 15])
        #expect(flat.filtered < 1.2 * flat.definition)
    }

    /// The process's choice, and a caller's wish to keep to the definition, reach the kernels.
    @Test func accuracyIsObeyed() throws {
        let c = Shape(channels: (32, 32), spatial: [12, 12, 12], kernel: [3, 3, 3]).convolution
        let (x, w) = (noise(c.inputShape, seed: 1), noise(c.weightShape, seed: 2))
        #expect(ConvolutionEngine.accuracy == .balanced)
        let filtered = try #require(MinimalFiltering(c, .forward)).run(
            from: x, weight: w, epilogue: .none, shape: c.outputShape, cache: PackedWeights())
        let schedule = try #require(OneDNNSchedule.of(c, .forward, bias: false))
        let direct = try schedule.run(from: x, weight: w, epilogue: .none, cache: PackedWeights())
        #expect(filtered != direct)
        #expect(try ConvolutionEngine.forward(c, input: x, weight: w, cache: PackedWeights()) == filtered)
        try ConvolutionEngine.keepingToDefinition {
            #expect(try ConvolutionEngine.forward(c, input: x, weight: w, cache: PackedWeights()) == direct)
            let back = try ConvolutionEngine.backwardData(c, gradient: x, weight: w, cache: PackedWeights())
            let filteredBack = try #require(MinimalFiltering(c, .backwardData)).run(
                from: x, weight: w, epilogue: .none, shape: c.inputShape, cache: PackedWeights())
            #expect(back == filteredBack)
        }
    }

    /// Bias, residual and rectifier in the same pass equal the same done one by one, whichever kernel runs.
    @Test(
        arguments: [
            Shape(channels: (16, 24), spatial: [13, 18], kernel: [3, 3]),
            Shape(channels: (20, 37), spatial: [9, 10, 7], kernel: [3, 3, 3]),
            Shape(channels: (3, 5), spatial: [9, 10], kernel: [3, 3]),
            Shape(channels: (24, 16), spatial: [6, 6, 6], kernel: [1, 1, 1]),
        ], [Float(1), 0, 0.1]) func epilogues(_ shape: Shape, _ slope: Float) throws
    {
        let c = shape.convolution
        let (x, w, b) = (
            noise(c.inputShape, seed: 1), noise(c.weightShape, seed: 2), noise([c.outputChannels], seed: 3)
        )
        let residual = noise(c.outputShape, seed: 4)
        let plain = try ConvolutionEngine.forward(
            c, input: x, weight: w, epilogue: Epilogue(bias: b), cache: PackedWeights())
        let fused = try ConvolutionEngine.forward(
            c, input: x, weight: w, epilogue: Epilogue(bias: b, residual: residual, slope: slope),
            cache: PackedWeights())
        let expected = zip(plain.values, residual.values).map { (a, r) in
            let sum = a + r
            return sum < 0 ? (slope == 0 ? 0 : sum * slope) : sum
        }
        #expect(fused.values == expected)
    }

    @Test(arguments: [
        Shape(channels: (32, 32), spatial: [25, 26, 24], kernel: [3, 3, 3]),
        Shape(channels: (32, 48), spatial: [90, 92], kernel: [3, 3]),
        Shape(channels: (64, 96), spatial: [10, 11, 6], kernel: [3, 3, 3]),
        Shape(channels: (256, 128), spatial: [7, 7], kernel: [3, 3]),
    ]) func bitsDoNotDependOnThreads(_ shape: Shape) throws {
        let c = shape.convolution
        #expect(MinimalFiltering(c, .forward) != nil)
        let (x, w) = (noise(c.inputShape, seed: 1), noise(c.weightShape, seed: 2))
        var results: [[Tensor<Float>]] = []
        defer { Workers.setWidth(Workers.defaultWidth) }
        for width in [1, 2, 8] {
            Workers.setWidth(width)
            let y = try ConvolutionEngine.forward(c, input: x, weight: w, cache: PackedWeights())
            let gx = try ConvolutionEngine.backwardData(c, gradient: y, weight: w, cache: PackedWeights())
            results.append([y, gx])
        }
        for other in results.dropFirst() { #expect(other == results[0]) }
    }

    /// A value that is not finite spoils the tiles it lies in, as it spoils its neighbours in the definition, and no more.
    @Test func notANumberStaysLocal() throws {
        let c = Shape(channels: (16, 16), spatial: [40, 40], kernel: [3, 3]).convolution
        var x = noise(c.inputShape, seed: 1)
        x.withUnsafeMutableBuffer { $0[20 * 40 + 20] = .nan }
        let filtering = try #require(MinimalFiltering(c, .forward, always: true))
        let y = filtering.run(
            from: x, weight: noise(c.weightShape, seed: 2), epilogue: .none, shape: c.outputShape,
            cache: PackedWeights())
        #expect(y[flat: 20 * 40 + 20].isNaN)
        #expect(
            (0..<40).allSatisfy { row in
                (0..<40).allSatisfy { column in
                    (16..<26).contains(row) && (16..<26).contains(column) || y[flat: row * 40 + column].isFinite
                }
            })
    }
}

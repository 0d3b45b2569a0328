import CKernels
import COneDNN
import Failures
import Synchronization
import Workers

/// Computes convolutions and their pullbacks by whichever kernel suits the extents.
///
/// Every engine cuts its work by the extents alone, so that the result has the same bits on any number of threads.
public enum ConvolutionEngine {
    /// How far convolutions may trade rounding for time.
    ///
    /// Forward, rounding decides which way a ReLU or a maximum pool goes where two values all but tie, and a gradient that
    /// passes there and then further convolutions shows it. Backward it decides nothing.
    public enum Accuracy: String, CaseIterable, Sendable {
        /// The fewest multiplications everywhere.
        case fast
        /// The fewest multiplications, except forward where ``keepingToDefinition(_:)`` asks otherwise.
        case balanced
        /// By the definition, forward and backward, in the order in which oneDNN (and so PyTorch) adds.
        case precise
    }

    /// How accurate every convolution is. Set once, early, for the whole process.
    public static var accuracy: Accuracy {
        get { Accuracy.allCases[accuracyIndex.load(ordering: .relaxed)] }
        set { accuracyIndex.store(Accuracy.allCases.firstIndex(of: newValue)!, ordering: .relaxed) }
    }
    private static let accuracyIndex = Atomic<Int>(Accuracy.allCases.firstIndex(of: .balanced)!)

    @TaskLocal private static var keepsForward = false

    /// Runs `body`, where `keeping` with forward convolutions by their definition, unless the process is to be fast.
    public static func keepingToDefinition<Result>(
        _ keeping: Bool = true, _ body: () throws -> Result
    ) rethrows -> Result {
        try $keepsForward.withValue(keeping && accuracy != .fast, operation: body)
    }

    /// Whether forward convolutions are computed by their definition at this moment.
    public static var isKeptToDefinition: Bool { keepsForward || accuracy == .precise }

    /// Whether oneDNN computes whatever it can, to compare with.
    @_spi(Benchmarks) public static var usesLibraryOnly: Bool {
        get { libraryOnly.load(ordering: .relaxed) }
        set { libraryOnly.store(newValue, ordering: .relaxed) }
    }
    private static let libraryOnly = Atomic<Bool>(false)

    /// What computes: for the record beside measured times.
    @_spi(Benchmarks) public static var about: [String: String] {
        let kinds = [TOMO_PORTABLE: "portable", TOMO_AVX2: "AVX2", TOMO_AVX512: "AVX-512"]
        return [
            "kernels": kinds[Int(tomo_best_processor())] ?? "?",
            "oneDNN": "\(tomo_dnn_version() / 1000).\(tomo_dnn_version() % 1000)",
        ]
    }

    /// The output `[batch, channels, spatial…]`.
    static func forward(
        _ convolution: Convolution, input: Tensor<Float>, weight: Tensor<Float>, epilogue: Epilogue = .none,
        cache: PackedWeights
    ) throws -> Tensor<Float> {
        try run(convolution, .forward, from: input, weight: weight, epilogue: epilogue, cache: cache)
    }

    /// The largest output in each window of a pool, without the outputs themselves; nil where no kernel has both in one pass.
    static func forward(
        _ convolution: Convolution, pooledBy window: SpatialWindow, input: Tensor<Float>, weight: Tensor<Float>,
        epilogue: Epilogue, cache: PackedWeights
    ) -> Tensor<Float>? {
        guard pools(convolution, window), epilogue.residual == nil, input.count > 0,
            let filtering = MinimalFiltering(convolution, .forward)?.pooled(by: window)
        else { return nil }
        let shape = Array(convolution.outputShape[..<2]) + window.outputShape
        guard shape.elementCount > 0 else { return nil }
        return filtering.run(from: input, weight: weight, epilogue: epilogue, shape: shape, cache: cache)
    }

    /// Whether a convolution and a maximum pool after it run in one pass, at the accuracy asked for at this moment.
    static func pools(_ convolution: Convolution, _ window: SpatialWindow) -> Bool {
        !isKeptToDefinition && !usesLibraryOnly
            && MinimalFiltering(convolution, .forward)?.pooled(by: window) != nil
    }

    /// The gradient with respect to the input; with a bias (one value an input channel), a transposed convolution.
    static func backwardData(
        _ convolution: Convolution, gradient: Tensor<Float>, weight: Tensor<Float>, epilogue: Epilogue = .none,
        cache: PackedWeights
    ) throws -> Tensor<Float> {
        try run(convolution, .backwardData, from: gradient, weight: weight, epilogue: epilogue, cache: cache)
    }

    private static func run(
        _ convolution: Convolution, _ direction: Convolution.Direction, from: Tensor<Float>, weight: Tensor<Float>,
        epilogue: Epilogue, cache: PackedWeights
    ) throws -> Tensor<Float> {
        let shape = direction == .forward ? convolution.outputShape : convolution.inputShape
        guard shape.elementCount > 0, from.count > 0 else { return Tensor(shape: shape, repeating: 0) }
        let byLibrary = accuracy == .precise || usesLibraryOnly || (keepsForward && direction == .forward)
        if !byLibrary, let filtering = MinimalFiltering(convolution, direction) {
            return filtering.run(from: from, weight: weight, epilogue: epilogue, shape: shape, cache: cache)
        }
        if !byLibrary, let rows = RowConvolution(convolution, direction) {
            return rows.run(from: from, weight: weight, epilogue: epilogue, shape: shape, cache: cache)
        }
        if let schedule = OneDNNSchedule.of(convolution, direction, bias: epilogue.bias != nil) {
            return try schedule.run(from: from, weight: weight, epilogue: epilogue, cache: cache)
        }
        return byDefinition(convolution, direction, from: from, weight: weight, epilogue: epilogue)
    }

    /// The loops of the definition: for what no library kernel takes, and for tests to compare with.
    static func byDefinition(
        _ convolution: Convolution, _ direction: Convolution.Direction, from: Tensor<Float>, weight: Tensor<Float>,
        epilogue: Epilogue
    ) -> Tensor<Float> {
        let forward = direction == .forward
        let channels = forward ? convolution.outputChannels : convolution.inputChannels
        let shape = forward ? convolution.outputShape : convolution.inputShape
        return Tensor(shape: shape) { to in
            from.withUnsafeBuffer { from in
                weight.withUnsafeBuffer { weight in
                    Workers.shared.forEach(convolution.batch * channels) { plane in
                        var c = convolution.description
                        let (image, channel) = (plane / channels, plane % channels)
                        let compute = forward ? tomo_direct_forward : tomo_direct_backward_data
                        compute(
                            &c, from.baseAddress, weight.baseAddress, epilogue.bias?[flat: channel] ?? 0,
                            to.baseAddress, Int64(image), Int64(channel))
                        let count = to.count / (convolution.batch * channels)
                        epilogue.finish(to.baseAddress!, plane * count, count)
                    }
                }
            }
        }
    }

    /// The gradient with respect to the weights.
    static func backwardWeights(
        _ convolution: Convolution, input: Tensor<Float>, gradient: Tensor<Float>
    ) -> Tensor<Float> {
        Tensor(shape: convolution.weightShape) { to in
            input.withUnsafeBuffer { input in
                gradient.withUnsafeBuffer { gradient in
                    Workers.shared.forEach(convolution.outputChannels) { channel in
                        var c = convolution.description
                        tomo_direct_backward_weights(
                            &c, input.baseAddress, gradient.baseAddress, to.baseAddress, Int64(channel))
                    }
                }
            }
        }
    }

    /// The gradient with respect to a bias: the sum over batch and space of each channel's gradient.
    static func biasGradient(_ gradient: Tensor<Float>) -> Tensor<Float> {
        let (batch, channels) = (gradient.shape[0], gradient.shape[1])
        let plane = gradient.shape[2...].reduce(1, *)
        return gradient.withUnsafeBuffer { gradient in
            Tensor(shape: [channels]) { to in
                Workers.shared.forEach(channels) { channel in
                    var sum = 0.0
                    for image in 0..<batch where plane > 0 {
                        sum += tomo_sum(gradient.baseAddress! + (image * channels + channel) * plane, Int64(plane))
                    }
                    to[channel] = Float(sum)
                }
            }
        }
    }
}

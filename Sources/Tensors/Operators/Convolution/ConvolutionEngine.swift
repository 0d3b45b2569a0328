import CKernels
import Failures
import Synchronization
import Workers

/// Computes convolutions and their pullbacks by whichever kernel suits the extents.
///
/// Every engine cuts its work by the extents alone, so that the result has the same bits on any number of threads.
public enum ConvolutionEngine {
    /// Whether every convolution is computed by its definition, which is the most accurate, rather than with fewer
    /// multiplications where that is faster. Set once, early, for the whole process.
    ///
    /// On by default. Minimal filtering rounds by about 2e-6 of the largest value, which is little for an answer but can turn
    /// the sign at a ReLU or the winner of a maximum pool; maps that keep the gradient at every place (HiResCAM) then
    /// differ from PyTorch's by more than 1e-4 on trained networks.
    public static var precise: Bool {
        get { preciseFlag.load(ordering: .relaxed) }
        set { preciseFlag.store(newValue, ordering: .relaxed) }
    }
    private static let preciseFlag = Atomic<Bool>(true)

    /// The output `[batch, channels, spatial…]`.
    static func forward(
        _ convolution: Convolution, input: Tensor<Float>, weight: Tensor<Float>, epilogue: Epilogue = .none,
        cache: PackedWeights
    ) throws -> Tensor<Float> {
        try run(convolution, .forward, from: input, weight: weight, epilogue: epilogue, cache: cache)
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
        if !precise, let filtering = MinimalFiltering(convolution, direction) {
            return filtering.run(from: from, weight: weight, epilogue: epilogue, shape: shape, cache: cache)
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

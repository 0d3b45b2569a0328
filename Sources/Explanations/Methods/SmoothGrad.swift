import Tensors

/// SmoothGrad and VarGrad: mean or variance of the gradient over noisy copies of the scan.
///
/// Smilkov et al., arXiv 1706.03825; Adebayo et al., arXiv 1810.03292 (VarGrad). Noise is Gaussian with a standard deviation
/// given as a share of the prepared scan's value range, from a seeded generator.
public struct SmoothGrad: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "smoothgrad", title: "SmoothGrad", family: .gradient,
        summary: "The input gradient averaged over noisy copies of the scan: saliency with less grain.",
        source: "Smilkov et al., arXiv 1706.03825", needs: "a differentiable network",
        cost: "samples × (1 forward, 1 full pullback)",
        trust: "Smoother than saliency, no more faithful; the standard error over samples is reported.",
        sanity: .passes,
        mapsInput: true, options: NoiseOptions.all)

    private let noise: NoiseOptions
    public init(_ options: MethodOptions) { noise = NoiseOptions(options) }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let moments = try noise.gradientMoments(question)
        let mean = Tensor(shape: moments.shape, values: moments.mean.map { Float($0) })
        return AttributionMap(
            ChannelReduction.maximum(of: question.inputLayout.featureMap(mean)) { abs($0) },
            figures: ["mean standard error": moments.standardError])
    }
}

public struct VarGrad: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "vargrad", title: "VarGrad", family: .gradient,
        summary: "Where the input gradient varies most over noisy copies of the scan.",
        source: "Adebayo et al., arXiv 1810.03292", needs: "a differentiable network",
        cost: "samples × (1 forward, 1 full pullback)",
        trust: "Marks edges of the decision; has no sign and no unit of contribution.", sanity: .passes,
        mapsInput: true,
        options: NoiseOptions.all)

    private let noise: NoiseOptions
    public init(_ options: MethodOptions) { noise = NoiseOptions(options) }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let moments = try noise.gradientMoments(question)
        let variance = Tensor(shape: moments.shape, values: moments.variance.map { Float($0) })
        return AttributionMap(ChannelReduction.sum(of: question.inputLayout.featureMap(variance)))
    }
}

/// What SmoothGrad and VarGrad share: noisy copies and the moments of their gradients.
struct NoiseOptions: Sendable {
    static let all = [
        MethodOption("samples", .integer(2...1000), standard: .number(25), "noisy copies"),
        MethodOption(
            "noise", .number(0.0001...10), standard: .number(0.15),
            "standard deviation as a share of the scan's value range"),
        MethodOption("seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of the noise"),
    ]

    let samples: Int
    let noise: Double
    let seed: Int

    init(_ options: MethodOptions) {
        samples = options.integer("samples")
        noise = options.number("noise")
        seed = options.integer("seed")
    }

    func gradientMoments(
        _ question: Question
    ) throws -> (shape: [Int], mean: [Double], variance: [Double], standardError: Double) {
        let input = question.input
        let values = input.values
        let deviation = noise * Double((values.max() ?? 0) - (values.min() ?? 0))
        var random = RandomSource(seed: UInt64(seed))
        var mean = [Double](repeating: 0, count: values.count)
        var squares = mean
        for sample in 1...samples {
            let noisy = Tensor(
                shape: input.shape, values: values.map { $0 + Float(deviation * random.normal()) })
            let gradient = try question.scoreAndGradient(of: noisy).gradient
            gradient.withUnsafeBuffer { gradient in
                for index in mean.indices {
                    // Welford's recurrence: no cancellation however many samples.
                    let delta = Double(gradient[index]) - mean[index]
                    mean[index] += delta / Double(sample)
                    squares[index] += delta * (Double(gradient[index]) - mean[index])
                }
            }
        }
        let variance = squares.map { $0 / Double(samples - 1) }
        let error = variance.reduce(0) { $0 + ($1 / Double(samples)).squareRoot() } / Double(max(1, variance.count))
        return (input.shape, mean, variance, error)
    }
}

import Tensors

/// Vanilla gradient saliency: `max_c |∂y/∂x|`.
///
/// Simonyan, Vedaldi & Zisserman, ICLR 2014 workshop, section 3.
public struct Saliency: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "saliency", title: "Saliency", family: .gradient,
        summary: "How strongly the target would react to a small change of each input voxel.",
        source: "Simonyan et al., arXiv 1312.6034", needs: "a differentiable network",
        cost: "1 forward, 1 full pullback",
        trust: "Shows sensitivity, not contribution; noisy, and blind to evidence that saturates.", sanity: .passes,
        mapsInput: true,
        options: [
            MethodOption(
                "signed", .flag, standard: .flag(false),
                "keep the sign: the sum of the gradient over channels instead of its largest magnitude")
        ])

    private let signed: Bool

    public init(_ options: MethodOptions) { signed = options.flag("signed") }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let gradient = try question.gradient(at: tap)
        return AttributionMap(
            signed ? ChannelReduction.sum(of: gradient) : ChannelReduction.maximum(of: gradient) { abs($0) })
    }
}

import Tensors

/// XGrad-CAM: channel weights `Σ_xyz g·A / Σ_xyz A`, which satisfy the axioms of sensitivity and conservation best.
///
/// Fu et al., "Axiom-based Grad-CAM", BMVC 2020, equation 8.
public struct XGradCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "xgradcam", title: "XGrad-CAM", family: .cam,
        summary: "Grad-CAM whose channel weights average the gradient where the channel is active.",
        source: "Fu et al., BMVC 2020", needs: "a tap with spatial extent, normally after a ReLU",
        cost: "1 forward, 1 pullback to the tap",
        trust:
            "Near to HiResCAM in sum, near to Grad-CAM in form; the weights are unstable for channels that sum to about zero.",
        sanity: .passes, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        try Self.map(question, at: tap)
    }

    static func map(_ question: Question, at tap: String) throws -> AttributionMap {
        let activation = try question.activation(at: tap)
        let products = ChannelReduction.channelSums(of: try question.gradient(at: tap), with: activation) { g, a, _ in
            Double(g) * Double(a)
        }
        let sums = ChannelReduction.channelSums(of: activation, with: activation) { a, _, _ in Double(a) }
        let weights = zip(products, sums).map { $0 / ($1 + 1e-7) }
        return AttributionMap(ChannelReduction.weightedSum(of: activation, weights: weights))
    }
}

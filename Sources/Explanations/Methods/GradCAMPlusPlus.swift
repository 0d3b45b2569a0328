import Tensors

/// Grad-CAM++: channel weights that count every place where a channel helps.
///
/// Chattopadhay et al., WACV 2018, equation 19 with `y = exp(S)`, whose derivatives reduce to powers of the first:
/// `α = g² / (2g² + g³ · Σ_xyz A)`, weight of a channel `Σ_xyz α · max(g, 0)`.
public struct GradCAMPlusPlus: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "gradcam++", title: "Grad-CAM++", family: .cam,
        summary: "Grad-CAM with weights that do justice to several or small findings of one kind.",
        source: "Chattopadhay et al., WACV 2018", needs: "a tap with spatial extent",
        cost: "1 forward, 1 pullback to the tap",
        trust:
            "Counts only positive gradients, so it cannot show evidence against the target; misleads on flatten heads as Grad-CAM does.",
        sanity: .passes, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let gradient = try question.gradient(at: tap)
        let activation = try question.activation(at: tap)
        let sums = ChannelReduction.channelSums(of: activation, with: activation) { a, _, _ in Double(a) }
        let weights = ChannelReduction.channelSums(of: gradient, with: activation) { value, _, channel in
            guard value > 0 else { return 0 }
            let g = Double(value)
            // The guard against a vanishing denominator is the field's 1e-6 in units of g.
            return g * g * g / (2 * g * g + sums[channel] * g * g * g + 1e-6)
        }
        return AttributionMap(ChannelReduction.weightedSum(of: activation, weights: weights))
    }
}

import Tensors

/// Input × gradient: `Σ_c x ⊙ ∂y/∂x`.
///
/// Shrikumar et al., arXiv 1605.01713; the first-order Taylor term of the target at the origin.
public struct InputTimesGradient: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "inputxgradient", title: "Input × gradient", family: .gradient,
        summary: "First-order share of each input voxel in the target.",
        source: "Shrikumar et al., arXiv 1605.01713", needs: "a differentiable network",
        cost: "1 forward, 1 full pullback",
        trust:
            "Bright voxels weigh more whatever the network does with them; 0 of the prepared input counts as absence.",
        sanity: .passes, mapsInput: true)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        AttributionMap(
            ChannelReduction.sum(
                of: try question.gradient(at: tap),
                with: try question.activation(at: tap)
            ) { Double($0) * Double($1) })
    }
}

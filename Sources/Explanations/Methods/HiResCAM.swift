import Tensors

/// HiResCAM: `Σ_c ∂y/∂A_c ⊙ A_c`, the gradient kept at every place.
///
/// Draelos & Carin, arXiv 2011.08891. On a head that is linear above the tap the map sums to the logit minus its bias.
public struct HiResCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "hirescam", title: "HiResCAM", family: .cam,
        summary: "Which places of a layer contribute to the target, each by its own gradient.",
        source: "Draelos & Carin, arXiv 2011.08891", needs: "a tap with spatial extent",
        cost: "1 forward, 1 pullback to the tap",
        trust: """
            Faithful by construction where the layers above the tap are linear (pool, flatten, linear): its voxels sum to \
            the logit minus the bias. Equal to Grad-CAM up to a factor on global-average heads.
            """,
        sanity: .passes, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        AttributionMap(
            ChannelReduction.sum(of: try question.gradient(at: tap), with: try question.activation(at: tap)) {
                Double($0) * Double($1)
            })
    }
}

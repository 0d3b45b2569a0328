import Tensors

/// LayerCAM: `Σ_c max(g, 0) ⊙ A`, made for shallow layers.
///
/// Jiang et al., IEEE TIP 2021, equations 5 and 6, without the final rectifier.
public struct LayerCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "layercam", title: "LayerCAM", family: .cam,
        summary: "HiResCAM from the positive gradients alone: fine maps from early layers.",
        source: "Jiang et al., IEEE TIP 2021", needs: "a tap with spatial extent",
        cost: "1 forward, 1 pullback to the tap",
        trust: "Sharp on early layers; leaves out evidence against the target, so it does not sum to the logit.",
        sanity: .passes, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        AttributionMap(
            ChannelReduction.sum(of: try question.gradient(at: tap), with: try question.activation(at: tap)) {
                $0 > 0 ? Double($0) * Double($1) : 0
            })
    }
}

import Tensors

/// Grad-CAM: `Σ_c mean_xyz(∂y/∂A_c) · A_c`.
///
/// Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2, without the rectifier: the map stays signed, and rectifying
/// belongs to rendering. The mean runs over every spatial axis the tap has, so depth needs no code of its own.
public struct GradCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "gradcam", title: "Grad-CAM", family: .cam,
        summary: "Which places of a layer, weighted by how much each channel matters on average, speak for the target.",
        source: "Selvaraju et al., ICCV 2017", needs: "a tap with spatial extent",
        cost: "1 forward, 1 pullback to the tap",
        trust: """
            Right where a global average pool feeds the classifier. On a flatten + linear head, or below the last block, \
            averaging the gradient can light up places the network did not use: compare with HiResCAM.
            """,
        sanity: .passes, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let weights = ChannelReduction.means(of: try question.gradient(at: tap))
        return AttributionMap(ChannelReduction.weightedSum(of: try question.activation(at: tap), weights: weights))
    }
}

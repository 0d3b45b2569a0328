import Tensors

/// Respond-CAM: channel weights `Σ_xyz A·g / Σ_xyz A`.
///
/// Zhao et al., "Respond-CAM: Analyzing Deep Models for 3D Imaging Data by Visualizations", MICCAI 2018, equation 3. It was made for
/// volumes: where the scores are linear in the layer, the map sums to the score without its bias. XGrad-CAM, two years later and
/// from axioms, has the same weights.
public struct RespondCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "respondcam", title: "Respond-CAM", family: .cam,
        summary: "Grad-CAM for volumes: weights that make the map's sum the score of a linear head.",
        source: "Zhao et al., MICCAI 2018, arXiv 1806.00102",
        needs: "a tap with spatial extent, normally after a ReLU", cost: "1 forward, 1 pullback to the tap",
        trust: "The same map as XGrad-CAM; unstable for channels that sum to about zero.", sanity: .passes,
        mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        try XGradCAM.map(question, at: tap)
    }
}

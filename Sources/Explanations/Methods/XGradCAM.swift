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
        let gradient = try question.gradient(at: tap)
        let activation = try question.activation(at: tap)
        let channels = gradient.shape[1]
        let size = gradient.count / max(1, channels)
        let weights = gradient.withUnsafeBuffer { gradient in
            activation.withUnsafeBuffer { activation in
                (0..<channels).map { channel in
                    var (product, sum) = (0.0, 0.0)
                    for index in channel * size..<(channel + 1) * size {
                        product += Double(gradient[index]) * Double(activation[index])
                        sum += Double(activation[index])
                    }
                    return product / (sum + 1e-7)
                }
            }
        }
        return AttributionMap(ChannelReduction.weightedSum(of: activation, weights: weights))
    }
}

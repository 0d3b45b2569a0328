import Tensors
import Workers

/// Ablation-CAM: channel weights `(y − y without the channel) / y`.
///
/// Desai & Ramaswamy, WACV 2020, equation 3. Each channel of the tap is set to zero in turn; only the layers above the tap
/// run again.
public struct AblationCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "ablationcam", title: "Ablation-CAM", family: .cam,
        summary: "Channels weighted by how much the target drops without them; no gradient is used.",
        source: "Desai & Ramaswamy, WACV 2020", needs: "a tap with spatial extent",
        cost: "1 forward, then the layers above the tap once a channel",
        trust:
            "Immune to saturated gradients; a channel's weight is one number, so it misleads on flatten heads as Grad-CAM does.",
        sanity: .passes, mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let activation = try question.activation(at: tap)
        let channels = activation.shape[1]
        let size = activation.count / max(1, channels)
        let whole = question.target.score
        let weights = try (0..<channels).map { channel in
            var ablated = activation
            ablated.withUnsafeMutableBuffer { values in
                for index in channel * size..<(channel + 1) * size { values[index] = 0 }
            }
            // Divided by |y| as a common scale only: the sign of a weight stays that of the drop.
            return (whole - (try question.score(replacing: tap, by: ablated))) / max(abs(whole), 1e-7)
        }
        return AttributionMap(
            ChannelReduction.weightedSum(of: activation, weights: weights), figures: ["evaluations": Double(channels)])
    }
}

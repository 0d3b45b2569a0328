import Foundation
import Tensors

/// Score-CAM: channels weighted by the target when the scan is seen through them.
///
/// Wang et al., CVPR 2020 workshops, equations 3 and 5: each channel's map, brought to the input's grid and scaled to 0…1,
/// masks the scan; the softmax over channels of the masked scores gives the weights.
public struct ScoreCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "scorecam", title: "Score-CAM", family: .cam,
        summary: "Channels weighted by the target's score when the scan is masked by them; no gradient is used.",
        source: "Wang et al., CVPR Workshops 2020", needs: "a tap with spatial extent", cost: "1 forward a channel",
        trust: "Free of gradient noise, dear, and blind to what only several channels together show.", sanity: .passes,
        mapsInput: false)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let activation = try question.activation(at: tap)
        let input = question.input
        let channels = activation.shape[1]
        let size = activation.count / max(1, channels)
        var scores: [Double] = []
        let budget = Budget(seconds: 0, planned: channels)
        try budget.scores(question, count: channels, least: channels) { channel in
            let map = activation.withUnsafeBuffer { Array($0[channel * size..<(channel + 1) * size]) }
            let (low, high) = (map.min() ?? 0, map.max() ?? 0)
            // A constant channel masks nothing out and nothing in.
            guard high > low else { return Tensor(shape: input.shape, repeating: 0) }
            let mask = question.onInput(map.map { ($0 - low) / (high - low) }, of: tap)
            return question.masked(by: mask)
        } take: { _, score in
            scores.append(score)
        }
        let highest = scores.max() ?? 0
        let powers = scores.map { exp($0 - highest) }
        let sum = powers.reduce(0, +)
        return AttributionMap(
            ChannelReduction.weightedSum(of: activation, weights: powers.map { $0 / sum }),
            figures: ["evaluations": Double(channels)])
    }
}

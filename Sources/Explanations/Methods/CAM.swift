import Failures
import Networks
import Tensors

/// CAM: `Σ_c w_c · A_c`, with w the classifier's weights of the target's class and A what its global average pool reads.
///
/// Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2. The layer and the weights are found
/// in the graph. The mean of the map plus the classifier's bias is the logit.
public struct CAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "cam", title: "CAM", family: .cam,
        summary: "The classifier's own weights, applied to every place before its average pool.",
        source: "Zhou et al., CVPR 2016", needs: "a global average pool followed by one linear layer",
        cost: "1 forward",
        trust: "Exact: the map's mean plus the bias is the logit. Only for heads of this one kind, at this one layer.",
        sanity: .passes, mapsInput: false, needsTap: false)

    public init(_ options: MethodOptions) {}

    public func layers(_ scope: NetworkScope) throws -> MethodLayers {
        MethodLayers(maps: [try ClassWeights.layer(scope, for: Self.descriptor.title)])
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let weights = try ClassWeights(question, title: Self.descriptor.title)
        let map = ChannelReduction.weightedSum(of: try question.activation(at: tap), weights: weights.values)
        return AttributionMap(map, figures: weights.figures(map, question))
    }
}

/// Saliency Tubes: the class's weights over the last feature volume, through depth and time as through height and width.
///
/// Stergiou et al., ICIP 2019. The sum is CAM's; the paper's contribution is to take it whole in three dimensions.
public struct SaliencyTubes: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "saliency-tubes", title: "Saliency Tubes", family: .cam,
        summary:
            "CAM through depth: the classifier's weights over the last feature volume, optionally of supporting channels only.",
        source: "Stergiou et al., ICIP 2019, arXiv 1902.01078",
        needs: "a global average pool followed by one linear layer", cost: "1 forward",
        trust:
            "As CAM. With supporting channels alone it is no longer exact, and cannot show evidence against the target.",
        sanity: .passes, mapsInput: false, needsTap: false,
        options: [
            MethodOption(
                "supporting", .flag, standard: .flag(false), "only channels whose weight for the class is positive")
        ])

    private let supporting: Bool

    public init(_ options: MethodOptions) { supporting = options.flag("supporting") }

    public func layers(_ scope: NetworkScope) throws -> MethodLayers {
        MethodLayers(maps: [try ClassWeights.layer(scope, for: Self.descriptor.title)])
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let weights = try ClassWeights(question, title: Self.descriptor.title)
        let chosen = supporting ? weights.values.map { max($0, 0) } : weights.values
        let map = ChannelReduction.weightedSum(of: try question.activation(at: tap), weights: chosen)
        return AttributionMap(map, figures: supporting ? [:] : weights.figures(map, question))
    }
}

/// The weights by which a linear layer behind a global average pool makes a target's score.
struct ClassWeights {
    /// One a channel.
    let values: [Double]
    private let bias: Double

    /// - Throws: a ``Failure`` that names what to use instead, where the head is of another kind.
    static func layer(_ scope: NetworkScope, for title: String) throws -> String {
        let head = scope.head
        if head.kind == .globalAverageLinear, head.weights != nil, let features = head.features { return features }
        let (found, remedy): (String, String) =
            switch head.kind {
            case .flattenLinear: ("a flattened feature map before the classifier", "Use hirescam: it is exact there.")
            case .dense, .densePooled:
                ("scores for every place", "The answer is a map already; use gradcam or hirescam at a coarser layer.")
            case .globalMax: ("a global maximum pool", "Use hirescam: it shows the places that were the maxima.")
            case .globalAverage, .globalAverageLinear:
                ("further layers between the pool and the scores", "Use gradcam, which CAM is a special case of.")
            case .classToken: ("a class token", "Use attention-rollout or attention-gradient.")
            case .averageToken, .other: ("a head of another kind (\(head.kind.rawValue))", "Use gradcam or hirescam.")
            }
        throw Failure(
            .network, "method '\(title)'", expected: "a global average pool and one linear layer behind it",
            found: found, remedy: remedy)
    }

    init(_ question: Question, title: String) throws {
        guard let weights = question.head.weights, question.head.logits.tensor == question.target.tensor,
            question.target.classIndex < weights.shape[0]
        else {
            throw Failure(
                .usage, "method '\(title)'", expected: "the logit as what is explained",
                found: "tensor '\(question.target.tensor)'", remedy: "Leave out --probability.")
        }
        let channels = weights.shape[1]
        let row = question.target.classIndex * channels
        values = (0..<channels).map { Double(weights[flat: row + $0]) }
        bias = question.head.bias.map { Double($0[flat: question.target.classIndex]) } ?? 0
    }

    /// The map's mean and the bias against the score.
    func figures(_ map: Tensor<Float>, _ question: Question) -> [String: Double] {
        question.completeness(of: map.total / Double(max(1, map.count)), from: bias)
    }
}

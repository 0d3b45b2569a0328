import Tensors

/// Feature ablation: how far the target falls when one part of the scan is hidden.
///
/// Zeiler & Fergus, ECCV 2014, with organs or supervoxels in the place of windows.
public struct FeatureAblation: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "feature-ablation", title: "Feature ablation", family: .perturbation,
        summary: "How far the target falls when one organ, region or supervoxel is hidden.",
        source: "Zeiler & Fergus, arXiv 1311.2901", needs: "any network", cost: "1 forward a part",
        trust:
            "Direct and model-free: a number for each region. Blind to evidence that two regions share, for hiding one of them changes nothing.",
        sanity: .passes, mapsInput: true, options: SegmentOptions.all + [Budget.option])

    private let segments: SegmentOptions
    private let seconds: Double

    public init(_ options: MethodOptions) {
        segments = SegmentOptions(options)
        seconds = options.number("seconds")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try segments.parts(of: question, title: Self.descriptor.title)
        let count = parts.segmentation.count
        let budget = Budget(seconds: seconds, planned: count)
        var falls = [Double](repeating: 0, count: count)
        // Large parts first: what an early end leaves out is small.
        let order = (0..<count).sorted {
            (parts.segmentation.sizes[$0], $1) > (parts.segmentation.sizes[$1], $0)
        }
        try budget.scores(question, count: count) { number in
            parts.input(showing: (0..<count).map { $0 != order[number] })
        } take: { number, score in
            falls[order[number]] = question.target.score - score
        }
        return parts.map(
            falls, notes: budget.notes, figures: ["evaluations": Double(budget.evaluations)],
            isPartial: budget.isInterrupted)
    }
}

import Networks
import Tensors

/// DeepLIFT with the rescale rule: `m ⊙ (x − x₀)`, summed over channels.
///
/// Shrikumar, Greenside & Kundaje, ICML 2017, sections 3.2 and 3.5.1; the rules are ``RescaleRules``.
public struct DeepLIFT: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "deeplift", title: "DeepLIFT", family: .gradient,
        summary:
            "Contribution of each voxel to the change of the target from a reference input, in one way back; the voxels sum to that change.",
        source: "Shrikumar et al., arXiv 1704.02685 (rescale rule)", needs: "a differentiable network",
        cost: "2 forward, 1 full pullback",
        trust:
            "Complete: its residual is printed. As cheap as a gradient and blind to no saturation, but not invariant to how a network is written down; the answer depends on the baseline.",
        sanity: .passes, mapsInput: true, options: [Baseline.option])

    private let baseline: Baseline

    public init(_ options: MethodOptions) { baseline = Baseline(options) }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let input = question.input
        let start = baseline.value(for: input)
        let empty = Tensor<Float>(shape: input.shape, repeating: start)
        let reference = try question.record(empty)
        let multipliers = try question.gradient(at: tap, rules: RescaleRules(reference: reference).rules)
        let steps = question.activation(of: input).transformed { $0 - start }
        let attribution = multipliers.combined(with: steps) { $0 * $1 }
        let before = try question.scalar(from: reference.value(question.target.tensor))
        return AttributionMap(
            ChannelReduction.sum(of: attribution),
            figures: question.completeness(of: attribution.total, from: before))
    }
}

/// Where a path from "nothing" to the scan begins.
struct Baseline: Sendable {
    static let option = MethodOption(
        "baseline", .choice(["zero", "minimum"]), standard: .word("zero"),
        "what stands for nothing: an input of zeros, or one of the scan's lowest value")

    private let word: String

    init(_ options: MethodOptions) { word = options.word("baseline") }

    func value(for input: Tensor<Float>) -> Float {
        word == "zero" ? 0 : input.withUnsafeBuffer { $0.min() ?? 0 }
    }
}

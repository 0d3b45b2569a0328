import Networks
import Tensors

/// Layer-wise relevance propagation: the target's score handed back, layer by layer, to the voxels that made it.
///
/// Bach et al., PLoS ONE 2015; Montavon et al. 2019. The rules are ``RelevanceRules``.
public struct LRP: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "lrp", title: "LRP", family: .gradient,
        summary:
            "The target's score, handed back from layer to layer to the voxels in the shares in which they made it.",
        source: "Bach et al., PLoS ONE 2015; Montavon et al. 2019", needs: "a network of layers with a rule",
        cost: "1 forward, 1 full pullback; with γ or z⁺ 1 forward more",
        trust:
            "Conserves the score but for what biases take: the residual is printed. z⁺ and composites are smooth and steady, and partly deaf to the weights of the last layers: compare classes before believing them; ε on a network of rectifiers is input × gradient.",
        sanity: .fails, mapsInput: true,
        options: [
            MethodOption(
                "rule", .choice(RelevanceRules.Rule.allCases.map(\.rawValue)), standard: .word("composite"),
                "ε, γ or z⁺ everywhere; composite: z⁺ on convolutions, ε on linear layers"),
            MethodOption(
                "epsilon", .number(1e-12...1e3), standard: .number(1e-6), "added to the magnitude of every denominator"),
            MethodOption("gamma", .number(0...1e6), standard: .number(0.25), "how much positive weights are favoured"),
            MethodOption(
                "bias", .flag, standard: .flag(true),
                "biases take their share, which is lost; false gives it to the operands"),
        ])

    private let rule: RelevanceRules.Rule
    private let epsilon: Double
    private let gamma: Double
    private let bias: Bool

    public init(_ options: MethodOptions) {
        rule = RelevanceRules.Rule(rawValue: options.word("rule"))!
        epsilon = options.number("epsilon")
        gamma = options.number("gamma")
        bias = options.flag("bias")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let rules = RelevanceRules(
            rule: rule, epsilon: Float(epsilon), gamma: Float(gamma), absorbsBias: bias, network: question.network)
        let relevance = try question.relevance(at: tap, rules: rules.rules)
        let score = question.target.score
        return AttributionMap(
            ChannelReduction.sum(of: relevance), figures: question.completeness(of: relevance.total, to: score, from: 0)
        )
    }
}

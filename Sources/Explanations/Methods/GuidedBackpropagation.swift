import Networks
import Tensors

/// Guided backpropagation: the gradient, stopped at every ReLU where either the activation or the gradient is negative.
///
/// Springenberg et al., ICLR 2015 workshop.
public struct GuidedBackpropagation: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "guided-backprop", title: "Guided backpropagation", family: .gradient,
        summary: "Crisp edges that excite the target through positive paths only.",
        source: "Springenberg et al., arXiv 1412.6806", needs: "ReLU layers", cost: "1 forward, 1 full pullback",
        trust:
            "FAILS sanity checks: it recovers edges of the scan nearly whatever the weights are. An illustration, no evidence.",
        sanity: .fails, mapsInput: true)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        try RectifierRules.explain(question, at: tap, rules: RectifierRules.guided, title: Self.descriptor.title)
    }
}

/// Deconvnet: the way back rectifies the gradient at every ReLU and forgets where the activation was negative.
///
/// Zeiler & Fergus, ECCV 2014, section 2.1.
public struct Deconvnet: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "deconvnet", title: "Deconvnet", family: .gradient,
        summary: "What pattern in the scan would drive the target, by a rectified way back.",
        source: "Zeiler & Fergus, arXiv 1311.2901", needs: "ReLU layers", cost: "1 forward, 1 full pullback",
        trust: "FAILS sanity checks as guided backpropagation does. An illustration, no evidence.", sanity: .fails,
        mapsInput: true)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        try RectifierRules.explain(question, at: tap, rules: RectifierRules.deconvnet, title: Self.descriptor.title)
    }
}

/// Guided Grad-CAM: guided backpropagation times the rectified Grad-CAM map, brought to the input by world position.
///
/// Selvaraju et al., ICCV 2017, section 3.2.
public struct GuidedGradCAM: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "guided-gradcam", title: "Guided Grad-CAM", family: .gradient,
        summary: "Fine edges where Grad-CAM at the network's default layer is hot.",
        source: "Selvaraju et al., ICCV 2017", needs: "ReLU layers and a last layer with spatial extent",
        cost: "1 forward, 1 full pullback",
        trust:
            "FAILS sanity checks through its guided factor: the fine detail is the scan's own. Trust the coarse place only.",
        sanity: .fails, mapsInput: true, needsTap: true)

    public init(_ options: MethodOptions) {}

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let guided = try RectifierRules.explain(
            question, at: tap, rules: RectifierRules.guided, title: Self.descriptor.title)
        guard let layer = question.camTap else { return guided }
        let cam = try GradCAM(MethodOptions(for: GradCAM.descriptor)).explain(question, at: layer)
        let coarse = question.onInput(cam.values.values.map { max($0, 0) }, of: layer)
        let product = zip(guided.values.values, coarse).map { $0 * $1 }
        return AttributionMap(Tensor(shape: guided.values.shape, values: product), notes: guided.notes)
    }
}

/// Replacement pullbacks of rectifiers.
enum RectifierRules {
    static let guided = rules { gradient, activation in activation > 0 && gradient > 0 ? gradient : 0 }
    static let deconvnet = rules { gradient, _ in gradient > 0 ? gradient : 0 }

    static func explain(
        _ question: Question, at tap: String, rules: PropagationRules, title: String
    ) throws -> AttributionMap {
        let gradient = try question.gradient(at: tap, rules: rules)
        let hasRectifier = question.network.nodes.contains { $0.type == "Relu" }
        return AttributionMap(
            ChannelReduction.sum(of: gradient),
            notes: ["\(title) fails sanity checks: the picture says little about what the network learned"]
                + (hasRectifier ? [] : ["the network has no ReLU, so this is the plain gradient"]))
    }

    private static func rules(_ rule: @escaping @Sendable (_ gradient: Float, _ activation: Float) -> Float)
        -> PropagationRules
    {
        var rules = PropagationRules()
        rules[type: "Relu"] = { call, _ in
            guard let gradient = call.gradients[0], case .float(let output) = call.outputs[0] else { return [nil] }
            let passed = gradient.withUnsafeBuffer { gradient in
                output.withUnsafeBuffer { output in
                    Tensor<Float>(shape: call.outputs[0].shape) { result in
                        for index in gradient.indices { result[index] = rule(gradient[index], output[index]) }
                    }
                }
            }
            return [passed]
        }
        return rules
    }
}

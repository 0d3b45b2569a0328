import Failures

/// Every method, by name. A new method is one line here and one file beside the others.
public enum MethodCatalogue {
    public static let all: [any ExplanationMethod.Type] = [
        CAM.self,
        GradCAM.self,
        HiResCAM.self,
        GradCAMPlusPlus.self,
        XGradCAM.self,
        RespondCAM.self,
        LayerCAM.self,
        EigenCAM.self,
        ScoreCAM.self,
        AblationCAM.self,
        SaliencyTubes.self,
        Saliency.self,
        InputTimesGradient.self,
        GuidedBackpropagation.self,
        Deconvnet.self,
        GuidedGradCAM.self,
        IntegratedGradients.self,
        ExpectedGradients.self,
        DeepLIFT.self,
        LRP.self,
        SmoothGrad.self,
        VarGrad.self,
        Occlusion.self,
        RISE.self,
        FeatureAblation.self,
        LIME.self,
        KernelSHAP.self,
        ShapleySampling.self,
        Attention.self,
        AttentionRollout.self,
        AttentionGradient.self,
    ]

    public static var descriptors: [MethodDescriptor] { all.map { $0.descriptor } }
    public static var names: [String] { descriptors.map(\.name) }

    public static func descriptor(_ name: String) throws -> MethodDescriptor { try type(name).descriptor }

    /// - Throws: ``Failure`` of kind `.usage` for an unknown method or wrong options.
    public static func make(_ choice: MethodChoice) throws -> any ExplanationMethod {
        let type = try type(choice.name)
        return try type.init(MethodOptions(choice.options, for: type.descriptor))
    }

    private static func type(_ name: String) throws -> any ExplanationMethod.Type {
        guard let type = all.first(where: { $0.descriptor.name == name }) else {
            throw Failure(
                .usage, "method '\(name)'", expected: "a method of `tomolens methods`", found: "'\(name)'",
                remedy: Nearest.suggestion(name, in: names))
        }
        return type
    }
}

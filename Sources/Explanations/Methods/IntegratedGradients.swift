import Tensors

/// Integrated gradients: `(x − x₀) ⊙ ∫ ∂y/∂x (x₀ + t(x − x₀)) dt`, summed over channels.
///
/// Sundararajan, Taly & Yan, ICML 2017. The integral is taken by Gauss–Legendre quadrature (exact for polynomials of degree
/// 2·steps − 1), so that few steps suffice. The residual `Σ map − (y(x) − y(x₀))` says how exact it is.
public struct IntegratedGradients: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "integrated-gradients", title: "Integrated gradients", family: .gradient,
        summary:
            "Contribution of each voxel on the way from a baseline to the scan; the voxels sum to the difference in the target.",
        source: "Sundararajan et al., arXiv 1703.01365", needs: "a differentiable network",
        cost: "steps × (1 forward, 1 full pullback)",
        trust:
            "Complete: its residual is printed. The answer depends on the baseline: here the lowest value of the prepared scan (air), or 0. The scan's brightness is in its magnitudes whatever the weights: read signs, not outlines.",
        sanity: .passes, mapsInput: true,
        options: [
            MethodOption("steps", .integer(2...512), standard: .number(50), "points of the quadrature"),
            Baseline.option,
        ])

    private let steps: Int
    private let baseline: Baseline

    public init(_ options: MethodOptions) {
        steps = options.integer("steps")
        baseline = Baseline(options)
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let input = question.input
        let start = baseline.value(for: input)
        let (points, weights) = GaussLegendre.rule(steps)
        var sums = [Double](repeating: 0, count: input.count)
        for (point, weight) in zip(points, weights) {
            let between = input.mapped { Float(Double(start) + point * Double($0 - start)) }
            let gradient = try question.scoreAndGradient(of: between).gradient
            gradient.withUnsafeBuffer { for index in sums.indices { sums[index] += weight * Double($0[index]) } }
        }
        let attribution = input.withUnsafeBuffer { values in
            Tensor<Float>(
                shape: input.shape, values: sums.indices.map { Float(sums[$0] * Double(values[$0] - start)) })
        }
        let before = try question.score(of: Tensor(shape: input.shape, repeating: start))
        return AttributionMap(
            ChannelReduction.sum(of: question.inputLayout.featureMap(attribution)),
            figures: question.completeness(of: attribution.total, from: before))
    }
}

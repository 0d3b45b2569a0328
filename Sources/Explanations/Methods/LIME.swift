import Foundation
import Tensors

/// LIME: a linear model of the target near the scan, from random choices of parts shown.
///
/// Ribeiro, Singh & Guestrin, KDD 2016, equation 1 and section 3.4: each part is shown with probability ½; a choice weighs
/// `exp(−d² / width²)` with d its cosine distance to the whole scan; the coefficients are those of a weighted ridge regression with an
/// intercept. Where all choices are no more than the samples asked for, each is taken once.
public struct LIME: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "lime", title: "LIME", family: .perturbation,
        summary: "A linear model of the target in which supervoxels or organs are shown or hidden.",
        source: "Ribeiro et al., arXiv 1602.04938", needs: "any network", cost: "1 forward a sample",
        trust:
            "Model-free. Believe it as far as the fit (R²) goes, which is printed with the coefficients' standard error; width and fill change it.",
        sanity: .passes, mapsInput: true,
        options: PartSampling.options(
            [
                MethodOption("samples", .integer(4...1_000_000), standard: .number(1000), "random choices of parts"),
                MethodOption(
                    "width", .number(0.01...100), standard: .number(0.25), "how near to the scan a choice counts"),
                MethodOption(
                    "ridge", .number(0...1e6), standard: .number(1), "penalty on the squares of coefficients"),
            ], drawn: "choices"))

    private let sampling: PartSampling
    private let samples: Int
    private let width: Double
    private let ridge: Double

    public init(_ options: MethodOptions) {
        sampling = PartSampling(options, Self.descriptor)
        samples = options.integer("samples")
        width = options.number("width")
        ridge = options.number("ridge")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try sampling.parts(of: question)
        let count = parts.segmentation.count
        let every = Coalitions.every(count, within: samples)
        let budget = sampling.budget(every?.count ?? samples)
        var random = sampling.random()
        var choices: [Int: [Bool]] = [:]
        var rows: [[Double]] = []
        var values: [Double] = []
        var weights: [Double] = []
        try budget.scores(question, count: budget.planned, least: 2) { number in
            // The scan itself comes first, as the point that the model is fitted near.
            let shown = every?[number] ?? (0..<count).map { _ in number == 0 || random.uniform() < 0.5 }
            choices[number] = shown
            return parts.input(showing: shown)
        } take: { number, score in
            let shown = choices.removeValue(forKey: number)!
            rows.append([1] + shown.map { $0 ? 1 : 0 })
            values.append(score)
            weights.append(weight(shown))
        }
        let penalties = [0] + [Double](repeating: max(ridge, 1e-10), count: count)
        guard
            let fit = LinearFit(
                rows: rows, values: values, weights: weights, ridge: penalties, groups: rows.indices.map { $0 },
                scores: values)
        else {
            return parts.map(
                [Double](repeating: 0, count: count), notes: budget.notes + ["too few samples for a fit"], figures: [:],
                isPartial: budget.isInterrupted)
        }
        let coefficients = Array(fit.coefficients.dropFirst())
        let errors = Array(fit.standardErrors.dropFirst())
        let doubts = HiddenParts.doubts(coefficients, errors, more: "take more samples, or fewer parts (count)")
        return parts.map(
            coefficients, errors: errors, notes: budget.notes + fit.notes + doubts,
            figures: [
                "evaluations": Double(budget.evaluations), "surrogate fit": fit.explained,
                "mean standard error": errors.reduce(0, +) / Double(count),
            ], isPartial: budget.isInterrupted)
    }

    private func weight(_ shown: [Bool]) -> Double {
        let part = Double(shown.count { $0 })
        // Cosine of a choice and the whole: √(shown / all).
        let distance = 1 - (part / Double(shown.count)).squareRoot()
        return exp(-distance * distance / (width * width))
    }
}

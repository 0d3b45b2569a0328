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
        options: SegmentOptions.all + [
            MethodOption("samples", .integer(4...1_000_000), standard: .number(500), "random choices of parts"),
            MethodOption("width", .number(0.01...100), standard: .number(0.25), "how near to the scan a choice counts"),
            MethodOption("ridge", .number(0...1e6), standard: .number(1), "penalty on the squares of coefficients"),
            MethodOption("seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of the choices"),
            Budget.option,
        ])

    private let segments: SegmentOptions
    private let samples: Int
    private let width: Double
    private let ridge: Double
    private let seed: Int
    private let seconds: Double

    public init(_ options: MethodOptions) {
        segments = SegmentOptions(options)
        samples = options.integer("samples")
        width = options.number("width")
        ridge = options.number("ridge")
        seed = options.integer("seed")
        seconds = options.number("seconds")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try segments.parts(of: question, title: Self.descriptor.title)
        let count = parts.segmentation.count
        let choices = Coalitions.every(count, within: samples)
        let planned = choices?.count ?? samples
        let budget = Budget(seconds: seconds, planned: planned)
        var random = RandomSource(seed: UInt64(seed))
        var rows: [[Double]] = []
        var values: [Double] = []
        var weights: [Double] = []
        for sample in 0..<planned {
            // The scan itself comes first, as the point that the model is fitted near.
            let shown =
                choices?[sample] ?? (0..<count).map { _ in sample == 0 || random.uniform() < 0.5 }
            guard let score = try budget.evaluate(least: 2, { try parts.score(showing: shown) }) else { break }
            rows.append([1] + shown.map { $0 ? 1 : 0 })
            values.append(score)
            weights.append(weight(shown))
        }
        let penalties = [0] + [Double](repeating: max(ridge, 1e-10), count: count)
        guard
            let fit = LinearFit(
                rows: rows, values: values, weights: weights, ridge: penalties, groups: Array(rows.indices))
        else {
            return parts.map(
                [Double](repeating: 0, count: count), notes: budget.notes + ["too few samples for a fit"], figures: [:],
                isPartial: budget.isInterrupted)
        }
        let errors = Array(fit.standardErrors.dropFirst())
        return parts.map(
            Array(fit.coefficients.dropFirst()), errors: errors, notes: budget.notes + fit.notes,
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

/// Which parts are shown.
enum Coalitions {
    /// Every choice of `count` parts, nothing and everything among them; nil where they are more than `limit`.
    static func every(_ count: Int, within limit: Int) -> [[Bool]]? {
        guard count < 30, 1 << count <= limit else { return nil }
        return (0..<(1 << count)).map { number in (0..<count).map { number >> $0 & 1 == 1 } }
    }
}

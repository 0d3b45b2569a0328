import Foundation
import Tensors

/// KernelSHAP: Shapley values of parts of the scan, as the regression that they solve.
///
/// Lundberg & Lee, NeurIPS 2017, theorem 2: over choices of parts weighted by the Shapley kernel, the linear model that is exact for
/// nothing and for everything has the Shapley values as coefficients. Where all choices are no more than the samples asked for, each is
/// taken once with its weight, and the values are exact. Otherwise, as in the authors' program, the smallest and largest choices, which
/// weigh most, are all taken as long as the samples suffice for whole sizes; the rest is drawn by the kernel in pairs with their
/// complements (Covert & Lee, AISTATS 2021).
public struct KernelSHAP: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "kernelshap", title: "KernelSHAP", family: .perturbation,
        summary:
            "Shapley values of supervoxels or organs: fair shares in the target's rise from nothing to the whole scan.",
        source: "Lundberg & Lee, arXiv 1705.07874", needs: "any network", cost: "1 forward a sample",
        trust:
            "Shares sum to the target's rise from the hidden scan; standard errors are printed, and are 0 where all choices were taken. Hidden parts make scans no network was trained on.",
        sanity: .passes, mapsInput: true,
        options: PartSampling.options(
            [
                MethodOption(
                    "samples", .integer(0...1_000_000), standard: .number(0),
                    "choices of parts; 0 is 16 for each part, and 512 at least")
            ], drawn: "choices"))

    private let sampling: PartSampling
    private let samples: Int

    public init(_ options: MethodOptions) {
        sampling = PartSampling(options, Self.descriptor)
        samples = options.integer("samples")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try sampling.parts(of: question)
        let count = parts.segmentation.count
        let nothing = try parts.score(showing: [Bool](repeating: false, count: count))
        let rise = question.target.score - nothing
        let samples = samples == 0 ? max(512, 16 * count) : samples
        let plan = KernelPlan(parts: count, samples: samples, random: sampling.random())
        let budget = sampling.budget(plan.count)
        var drawing = plan
        // The last part's share is what the others leave of the rise: the constraint, put in.
        var choices: [Int: [Bool]] = [:]
        var rows: [[Double]] = []
        var values: [Double] = []
        var scores: [Double] = []
        try budget.scores(question, count: plan.count, least: 2) { number in
            let shown = drawing.next(number)
            choices[number] = shown
            return parts.input(showing: shown)
        } take: { number, score in
            let shown = choices.removeValue(forKey: number)!
            let last = shown[count - 1] ? 1.0 : 0
            rows.append(shown.dropLast().map { ($0 ? 1 : 0) - last })
            values.append(score - nothing - last * rise)
            scores.append(score)
        }
        let tiny = [Double](repeating: 1e-9, count: count - 1)
        guard
            let fit = LinearFit(
                rows: rows, values: values, weights: plan.weights(taken: rows.count), ridge: tiny,
                groups: rows.indices.map { plan.group($0, taken: rows.count) }, scores: scores)
        else {
            return parts.map(
                [Double](repeating: 0, count: count), notes: budget.notes + ["too few samples for a fit"], figures: [:],
                isPartial: budget.isInterrupted)
        }
        let shares = fit.coefficients + [rise - fit.coefficients.reduce(0, +)]
        let isExact = plan.isExhaustive && !budget.isOver
        // A choice and its complement make the same equation for the shares: with fewer than two choices a part the fit goes through all
        // of them, and what it leaves over, nothing, says nothing of errors.
        let isDetermined = isExact || rows.count >= 2 * count
        // The last share's error is bounded by that of the sum of the others, taken as independent.
        let known = fit.standardErrors + [fit.standardErrors.reduce(0) { $0 + $1 * $1 }.squareRoot()]
        let errors = isDetermined ? (isExact ? known.map { _ in 0 } : known) : nil
        let more = "take more samples, or fewer parts (count)"
        let doubts =
            errors.map { HiddenParts.doubts(shares, $0, more: more) } ?? [
                "not to be trusted: fewer than two samples a part, so that errors are unknown; \(more)"
            ]
        let mean = errors.map { ["mean standard error": $0.reduce(0, +) / Double(count)] } ?? [:]
        return parts.map(
            shares, errors: errors, notes: budget.notes + doubts,
            figures: question.completeness(of: shares.reduce(0, +), from: nothing).merging([
                "evaluations": Double(budget.evaluations + 1), "surrogate fit": fit.explained,
            ]) { $1 }.merging(mean) { $1 }, isPartial: budget.isInterrupted)
    }
}

/// Which choices of parts KernelSHAP asks for, and what each weighs.
struct KernelPlan {
    /// Choices in all.
    let count: Int
    /// Whether every choice there is is among them.
    let isExhaustive: Bool
    private let parts: Int
    /// Choices that are taken once each, a choice and its complement side by side, with their weights.
    private var whole: [(shown: [Bool], weight: Double)] = []
    /// The kernel's mass over all choices of the sizes that are drawn from.
    private var restMass = 0.0
    private var restSizes: Range<Int>
    private var random: RandomSource
    private var latest: [Bool] = []

    init(parts: Int, samples: Int, random: RandomSource) {
        self.parts = parts
        self.random = random
        /// Mass of all choices of a size, up to a factor.
        func mass(_ size: Int) -> Double { Double(parts - 1) / (Double(size) * Double(parts - size)) }
        let isExhaustive = parts < 30 && (1 << parts) <= samples
        restMass = (1..<parts).reduce(0) { $0 + mass($1) }
        var left = Double(samples)
        var size = 1
        while size <= parts - size {
            let isMiddle = size == parts - size
            let number = Coalitions.number(size, of: parts) * (isMiddle ? 1 : 2)
            let own = mass(size) * (isMiddle ? 1 : 2)
            // Whole sizes as long as drawing would give each choice of the size at least once anyway.
            guard isExhaustive || left * own >= number * restMass * (1 - 1e-8) else { break }
            let weight = own / number
            for shown in Coalitions.every(size, of: parts) {
                whole.append((shown, weight))
                if !isMiddle { whole.append((shown.map { !$0 }, weight)) }
            }
            left -= number
            restMass -= own
            size += 1
        }
        restSizes = size..<max(size, parts - size + 1)
        self.isExhaustive = restSizes.isEmpty
        count = restSizes.isEmpty ? whole.count : max(whole.count, samples)
    }

    /// The choice of that number; asked for in order.
    mutating func next(_ number: Int) -> [Bool] {
        if number < whole.count { return whole[number].shown }
        latest = (number - whole.count) % 2 == 0 ? draw() : latest.map { !$0 }
        return latest
    }

    /// Weights of the first `taken` choices.
    func weights(taken: Int) -> [Double] {
        let drawn = max(0, taken - whole.count)
        return (0..<taken).map { $0 < whole.count ? whole[$0].weight : restMass / Double(drawn) }
    }

    /// The pair that a choice belongs to; nil for those that are not left to chance, which they are when all of them were taken.
    func group(_ number: Int, taken: Int) -> Int? {
        number < whole.count ? (taken < whole.count ? number / 2 : nil) : (whole.count + number) / 2
    }

    /// A choice drawn by the kernel: its size first, then which.
    private mutating func draw() -> [Bool] {
        let masses = restSizes.map { 1 / (Double($0) * Double(parts - $0)) }
        var rest = random.uniform() * masses.reduce(0, +)
        var size = restSizes.upperBound - 1
        for (index, mass) in masses.enumerated() {
            rest -= mass
            if rest < 0 {
                size = restSizes.lowerBound + index
                break
            }
        }
        var shown = [Bool](repeating: false, count: parts)
        for part in (0..<parts).shuffled(using: &random).prefix(size) { shown[part] = true }
        return shown
    }
}

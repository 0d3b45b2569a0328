import Foundation
import Tensors

/// KernelSHAP: Shapley values of parts of the scan, as the regression that they solve.
///
/// Lundberg & Lee, NeurIPS 2017, theorem 2: over choices of parts weighted by the Shapley kernel, the linear model that is exact for
/// nothing and for everything has the Shapley values as coefficients. Choices are drawn by the kernel in pairs with their complements
/// (Covert & Lee, AISTATS 2021); where all choices are no more than the samples asked for, each is taken once with its weight, and
/// the values are exact.
public struct KernelSHAP: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "kernelshap", title: "KernelSHAP", family: .perturbation,
        summary:
            "Shapley values of supervoxels or organs: fair shares in the target's rise from nothing to the whole scan.",
        source: "Lundberg & Lee, arXiv 1705.07874", needs: "any network", cost: "1 forward a sample",
        trust:
            "Shares sum to the target's rise from the hidden scan; standard errors are printed, and are 0 where all choices were taken. Hidden parts make scans no network was trained on.",
        sanity: .passes, mapsInput: true,
        options: SegmentOptions.all + [
            MethodOption("samples", .integer(4...1_000_000), standard: .number(512), "choices of parts"),
            MethodOption("seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of the choices"),
            Budget.option,
        ])

    private let segments: SegmentOptions
    private let samples: Int
    private let seed: Int
    private let seconds: Double

    public init(_ options: MethodOptions) {
        segments = SegmentOptions(options)
        samples = options.integer("samples")
        seed = options.integer("seed")
        seconds = options.number("seconds")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try segments.parts(of: question, title: Self.descriptor.title)
        let count = parts.segmentation.count
        let nothing = try parts.score(showing: [Bool](repeating: false, count: count))
        let rise = question.target.score - nothing
        let every = Coalitions.every(count, within: samples)?.filter { $0.contains(true) && $0.contains(false) }
        let planned = every?.count ?? samples
        let budget = Budget(seconds: seconds, planned: planned)
        var random = RandomSource(seed: UInt64(seed))
        // The last part's share is what the others leave of the rise: the constraint, put in.
        var rows: [[Double]] = []
        var values: [Double] = []
        var weights: [Double] = []
        var groups: [Int] = []
        var shown: [Bool] = []
        for sample in 0..<planned {
            if let every {
                shown = every[sample]
            } else {
                shown = sample % 2 == 0 ? draw(count, &random) : shown.map { !$0 }
            }
            guard let score = try budget.evaluate(least: 2, { try parts.score(showing: shown) }) else { break }
            let last = shown[count - 1] ? 1.0 : 0
            rows.append(shown.dropLast().map { ($0 ? 1 : 0) - last })
            values.append(score - nothing - last * rise)
            weights.append(every == nil ? 1 : Self.kernel(count, shown.count { $0 }))
            groups.append(every == nil ? sample / 2 : sample)
        }
        let tiny = [Double](repeating: 1e-9, count: count - 1)
        guard let fit = LinearFit(rows: rows, values: values, weights: weights, ridge: tiny, groups: groups) else {
            return parts.map(
                [Double](repeating: 0, count: count), notes: budget.notes + ["too few samples for a fit"], figures: [:],
                isPartial: budget.isInterrupted)
        }
        let shares = fit.coefficients + [rise - fit.coefficients.reduce(0, +)]
        let isExact = every != nil && !budget.isOver
        // The last share's error is bounded by that of the sum of the others, taken as independent.
        let known = fit.standardErrors + [fit.standardErrors.reduce(0) { $0 + $1 * $1 }.squareRoot()]
        let errors = isExact ? known.map { _ in 0 } : known
        let tooFew = rows.count < count ? ["fewer samples than parts: values are a guess"] : []
        return parts.map(
            shares, errors: errors, notes: budget.notes + (isExact ? [] : fit.notes) + tooFew,
            figures: question.completeness(of: shares.reduce(0, +), from: nothing).merging([
                "evaluations": Double(budget.evaluations + 1), "surrogate fit": fit.explained,
                "mean standard error": errors.reduce(0, +) / Double(count),
            ]) { $1 }, isPartial: budget.isInterrupted)
    }

    /// The Shapley kernel of one choice of `shown` among `count` parts, up to a factor.
    private static func kernel(_ count: Int, _ shown: Int) -> Double {
        var choose = 1.0
        for step in 0..<min(shown, count - shown) { choose *= Double(count - step) / Double(step + 1) }
        return Double(count - 1) / (choose * Double(shown) * Double(count - shown))
    }

    /// A choice drawn by the kernel: its size first, then which.
    private func draw(_ count: Int, _ random: inout RandomSource) -> [Bool] {
        let sizes = (1..<count).map { 1 / (Double($0) * Double(count - $0)) }
        var rest = random.uniform() * sizes.reduce(0, +)
        var size = count - 1
        for (index, weight) in sizes.enumerated() {
            rest -= weight
            if rest < 0 {
                size = index + 1
                break
            }
        }
        var shown = [Bool](repeating: false, count: count)
        for part in (0..<count).shuffled(using: &random).prefix(size) { shown[part] = true }
        return shown
    }
}

/// Shapley values by sampling orders in which the parts appear.
///
/// Castro, Gómez & Tejada, Computers & Operations Research 2009; every order is followed by its reverse (Mitchell et al., JMLR 2022),
/// whose errors partly cancel. Unbiased, with a standard error for every part.
public struct ShapleySampling: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "shapley-sampling", title: "Shapley sampling", family: .perturbation,
        summary: "Shapley values of supervoxels or organs from random orders in which they appear.",
        source: "Castro et al., Computers & Operations Research 2009", needs: "any network",
        cost: "orders × (parts − 1) forward",
        trust:
            "Unbiased, and sums to the target's rise exactly, whatever the number of orders; dearer than KernelSHAP.",
        sanity: .passes, mapsInput: true,
        options: SegmentOptions.all + [
            MethodOption(
                "orders", .integer(2...100_000), standard: .number(20), "random orders, half of them reversed ones"),
            MethodOption("seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of the orders"),
            Budget.option,
        ])

    private let segments: SegmentOptions
    private let orders: Int
    private let seed: Int
    private let seconds: Double

    public init(_ options: MethodOptions) {
        segments = SegmentOptions(options)
        orders = options.integer("orders")
        seed = options.integer("seed")
        seconds = options.number("seconds")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try segments.parts(of: question, title: Self.descriptor.title)
        let count = parts.segmentation.count
        let nothing = try parts.score(showing: [Bool](repeating: false, count: count))
        let budget = Budget(seconds: seconds, planned: orders * (count - 1))
        var random = RandomSource(seed: UInt64(seed))
        var order = Array(0..<count)
        // One observation is an order and its reverse: their mean, since they depend on each other.
        var moments = [Moments](repeating: Moments(), count: count)
        var first: [Double]?
        var done = 0
        sampling: for number in 0..<orders {
            if number % 2 == 0 { order.shuffle(using: &random) } else { order.reverse() }
            var shown = [Bool](repeating: false, count: count)
            var shares = [Double](repeating: 0, count: count)
            var before = nothing
            for (step, part) in order.enumerated() {
                shown[part] = true
                var score = question.target.score
                if step + 1 < count {
                    let found = try budget.evaluate(least: count - 1) { try parts.score(showing: shown) }
                    guard let found else { break sampling }
                    score = found
                }
                shares[part] = score - before
                before = score
            }
            done += 1
            if let mirrored = first {
                for part in 0..<count { moments[part].add((mirrored[part] + shares[part]) / 2) }
                first = nil
            } else {
                first = shares
            }
        }
        if let left = first { for part in 0..<count { moments[part].add(left[part]) } }
        let shares = moments.map(\.mean)
        let errors = moments.map(\.standardError)
        return parts.map(
            shares, errors: errors, notes: budget.notes,
            figures: question.completeness(of: shares.reduce(0, +), from: nothing).merging([
                "evaluations": Double(budget.evaluations + 1), "orders": Double(done),
                "mean standard error": errors.reduce(0, +) / Double(count),
            ]) { $1 }, isPartial: budget.isInterrupted)
    }
}

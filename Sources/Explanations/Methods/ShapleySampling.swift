import Foundation
import Tensors

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
        options: PartSampling.options(
            [
                MethodOption(
                    "orders", .integer(2...100_000), standard: .number(20), "random orders, half of them reversed ones")
            ], drawn: "orders"))

    private let sampling: PartSampling
    private let orders: Int

    public init(_ options: MethodOptions) {
        sampling = PartSampling(options, Self.descriptor)
        orders = options.integer("orders")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let parts = try sampling.parts(of: question)
        let count = parts.segmentation.count
        let nothing = try parts.score(showing: [Bool](repeating: false, count: count))
        let budget = sampling.budget(orders * (count - 1))
        var random = sampling.random()
        var order = Array(0..<count)
        // One observation is an order and its reverse: their mean, since they depend on each other.
        var moments = [Moments](repeating: Moments(), count: count)
        var first: [Double]?
        var done = 0
        for number in 0..<orders {
            if number % 2 == 0 { order.shuffle(using: &random) } else { order.reverse() }
            let appearing = order
            var shares = [Double](repeating: 0, count: count)
            var before = nothing
            var steps = 0
            try budget.scores(question, count: count - 1, least: count - 1) { step in
                var shown = [Bool](repeating: false, count: count)
                for part in appearing[0...step] { shown[part] = true }
                return parts.input(showing: shown)
            } take: { step, score in
                shares[appearing[step]] = score - before
                before = score
                steps += 1
            }
            guard steps == count - 1 else { break }
            shares[appearing[count - 1]] = question.target.score - before
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
            shares, errors: errors,
            notes: budget.notes + HiddenParts.doubts(shares, errors, more: "take more orders, or fewer parts (count)"),
            figures: question.completeness(of: shares.reduce(0, +), from: nothing).merging([
                "evaluations": Double(budget.evaluations + 1), "orders": Double(done),
                "mean standard error": errors.reduce(0, +) / Double(count),
            ]) { $1 }, isPartial: budget.isInterrupted)
    }
}

import Foundation
import Tensors

/// RISE: the mean of random soft masks, each weighted by the target of the scan seen through it.
///
/// Petsiuk, Das & Saenko, BMVC 2018. Masks are random cells (`cells` along the longest axis, kept with probability `keep`),
/// enlarged linearly with a random shift. The map is `Σ (y(mask) − ȳ)·mask / (N·p(1−p))`: subtracting the mean score changes
/// nothing in expectation and takes most of the sampling noise away.
public struct RISE: ExplanationMethod {
    public static let descriptor = MethodDescriptor(
        name: "rise", title: "RISE", family: .perturbation,
        summary: "Which places, when visible, go with a high target: an average over random masks, in 3D as in 2D.",
        source: "Petsiuk et al., arXiv 1806.07421", needs: "any network", cost: "1 forward a mask",
        trust: "Model-free; noisy with few masks: the standard error is reported.", sanity: .passes, mapsInput: true,
        options: [
            MethodOption("masks", .integer(2...100_000), standard: .number(400), "random masks"),
            MethodOption("cells", .integer(2...64), standard: .number(8), "cells along the longest axis"),
            MethodOption("keep", .number(0.01...0.99), standard: .number(0.5), "probability that a cell is visible"),
            MethodOption("seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of the masks"),
            MethodOption("fill", .choice(["minimum", "zero"]), standard: .word("minimum"), "what hidden places show"),
            Budget.option,
        ])

    private let masks: Int
    private let cells: Int
    private let keep: Double
    private let seed: Int
    private let fill: String
    private let seconds: Double

    public init(_ options: MethodOptions) {
        masks = options.integer("masks")
        cells = options.integer("cells")
        keep = options.number("keep")
        seed = options.integer("seed")
        fill = options.word("fill")
        seconds = options.number("seconds")
    }

    public func explain(_ question: Question, at tap: String) throws -> AttributionMap {
        let input = question.input
        let hidden: Float = fill == "zero" ? 0 : input.values.min() ?? 0
        let extents = question.inputLayout.spatial
        let longest = Double(extents.max() ?? 1)
        let cell = extents.map { _ in longest / Double(cells) }
        let grid = zip(extents, cell).map { Int((Double($0) / $1).rounded(.up)) + 2 }
        var random = RandomSource(seed: UInt64(seed))
        var weighted = [Double](repeating: 0, count: extents.elementCount)
        var sums = weighted
        var scores: [Double] = []
        let budget = Budget(seconds: seconds, planned: masks)
        // Masks whose score is awaited.
        var seen: [Int: [Float]] = [:]
        try budget.scores(question, count: masks, least: 2) { number in
            let coarse = (0..<grid.elementCount).map { _ in random.uniform() < keep ? Float(1) : 0 }
            // The coarse mask's voxel 0 lies up to one cell before the input's: that is the random shift.
            let centre = cell.map { -random.uniform() * $0 }
            let mask = question.onInput(coarse, shape: grid, jump: cell, centre: centre)
            seen[number] = mask
            return question.masked(by: mask, fill: hidden)
        } take: { number, score in
            let mask = seen.removeValue(forKey: number)!
            scores.append(score)
            for index in mask.indices {
                weighted[index] += score * Double(mask[index])
                sums[index] += Double(mask[index])
            }
        }
        let count = Double(budget.evaluations)
        let mean = scores.reduce(0, +) / count
        let scale = 1 / (count * keep * (1 - keep))
        let map = zip(weighted, sums).map { Float(($0 - mean * $1) * scale) }
        let variance = scores.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(1, count - 1)
        return AttributionMap(
            Tensor(shape: extents, values: map), notes: budget.notes,
            figures: [
                "evaluations": count, "standard error": (variance / (count * keep * (1 - keep))).squareRoot(),
            ], isPartial: budget.isInterrupted)
    }
}

import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Tensors
import Volumes

/// Explanations of a whole scan, whether the network saw it at once or slice by slice.
struct FoundExplanations {
    var explanations: [Explanation]
    /// The grid of what the network saw.
    var seen: Grid
    var notes: [String]
    /// The network's answer, for the results.
    var answer: JSON
}

extension ScanWorker {
    func explain(
        _ held: HeldScan, mask: Volume?, labels: Volume?, body: BodyOnce, _ watch: inout Stopwatch
    ) throws -> FoundExplanations {
        let inputs = try watch.time("prepare") { try plan.preparation.prepare(held.source()) }
        try stop.check()
        // A large part of the bound is better used by the network; reading once more takes a second or two.
        if let bound = MemoryLimit.bytes, held.bytes > bound / 16 { held.giveUp() }
        return try MemoryLimit.$heldBytes.withValue(held.bytes) {
            try explain(inputs, mask: mask, labels: labels, body: body, &watch)
        }
    }

    private func explain(
        _ inputs: [PreparedInput], mask: Volume?, labels: Volume?, body: BodyOnce, _ watch: inout Stopwatch
    ) throws -> FoundExplanations {
        let needsMask = plan.targets.contains { if case .masked = $0 { true } else { false } }
        if needsMask, mask == nil {
            throw Failure(
                .scan, scan.path, expected: "a label map for the target 'mask'", found: "none",
                remedy: "Name it with --labels or the pipeline's input.labels.")
        }
        let mask = needsMask ? mask : nil
        var regions = ScanRegions(labels: labels) { body.mask }
        if let references = plan.references { regions.references = { [plan] in try references.tensors(plan) } }
        if inputs.count == 1 {
            let found = try watch.time("explain") {
                try plan.explainer.explain(inputs[0], plan.request, mask: mask, regions: regions) { [stop] in
                    stop.isMade
                }
            }
            try checkClasses(found.answer)
            return FoundExplanations(
                explanations: found.explanations, seen: found.seen, notes: found.notes,
                answer: Self.describe(found.answer))
        }
        return try watch.time("explain") { try explainStack(inputs, mask: mask, regions: regions) }
    }

    /// The classes that the pipeline names must be as many as the network has.
    private func checkClasses(_ answer: Answer) throws {
        let names = plan.words.network.classes ?? []
        guard names.isEmpty || names.count == answer.classCount else {
            throw Failure(
                .pipeline, "network.classes",
                expected: "\(answer.classCount) names, for so many classes has the answer",
                found: "\(names.count)")
        }
    }

    // MARK: Slice by slice

    /// A 2D network sees one slice after the other; the maps are stacked along the slices.
    private func explainStack(
        _ inputs: [PreparedInput], mask: Volume?, regions: ScanRegions
    ) throws -> FoundExplanations {
        var request = plan.request
        var notes: [String] = []
        if request.targets.contains(.highest) {
            // One class for the whole stack, or slices could not be compared: the one with the highest score in any slice.
            let best = try strongestClass(inputs)
            request.targets = request.targets.map { $0 == .highest ? .index(best.index) : $0 }
            notes.append("argmax over a stack of slices: class \(best.index), highest in slice \(best.slice + 1)")
        }
        var stack: [ScanExplanation] = []
        for input in inputs {
            // A slice that was cut short ends the stack.
            if let last = stack.last, last.explanations.contains(where: \.isPartial) { break }
            do {
                try stop.check()
                stack.append(
                    try plan.explainer.explain(input, request, mask: mask, regions: regions) { [stop] in stop.isMade })
            } catch let failure as Failure where failure.kind == .interrupted {
                // What is dear is given as far as it came; the rest is as quickly done again.
                let isDear = stack.first?.explanations.contains { $0.method.samples } ?? false
                guard isDear else { throw failure }
                break
            }
        }
        try checkClasses(stack[0].answer)
        let isPartial = stack.count < inputs.count || stack.contains { $0.explanations.contains(where: \.isPartial) }
        if isPartial {
            notes.append(
                "ended in slice \(stack.count) of \(inputs.count): a stop was asked for; heat in slices after it is 0")
        }
        let seen = try SliceStack.grid(of: inputs.map(\.grid))
        // A slice that was cut short has the methods before the one that it was cut short in.
        let explanations = try (0..<stack.map(\.explanations.count).min()!).map { number in
            let slices = stack.map { $0.explanations[number] }
            // The slice that speaks loudest for the target stands for the scan's score.
            let strongest = slices.max { $0.target.score < $1.target.score }!
            let maps = try slices[0].maps.indices.map { tap in
                let found = slices.map { $0.maps[tap] }
                return try TapMap.stacked(found + inputs.dropFirst(found.count).map { try found[0].blank(on: $0) })
            }
            return Explanation(
                method: slices[0].method, options: slices[0].options, target: strongest.target, maps: maps,
                notes: Self.tally(slices.flatMap(\.notes), of: slices.count), figures: strongest.figures,
                isPartial: isPartial, matrices: strongest.matrices)
        }
        let answers = stack.map { Self.describe($0.answer) }
        let chosen = explanations.first.flatMap { first in
            stack.firstIndex { slice in slice.explanations[0].target.score == first.target.score }
        }
        return FoundExplanations(
            explanations: explanations, seen: seen, notes: notes + Self.tally(stack.flatMap(\.notes), of: stack.count),
            answer: answers[chosen ?? 0].setting(
                "summary", .text("slice by slice; scores are those of slice \((chosen ?? 0) + 1) of \(stack.count)")
            )
            .setting(
                "slices", .array(answers.map { .array(($0["classes"]?.array ?? []).map { $0["score"] ?? .null }) })))
    }

    private func strongestClass(_ inputs: [PreparedInput]) throws -> (index: Int, slice: Int) {
        var best = (index: 0, slice: 0)
        var highest = -Float.infinity
        for (slice, input) in inputs.enumerated() {
            try stop.check()
            let answer = try plan.explainer.answer(input) { [stop] in stop.isMade }
            guard let logits = answer.classLogits else { break }
            for (index, value) in logits.enumerated() where value > highest {
                highest = value
                best = (index, slice)
            }
        }
        return best
    }

    /// Each remark once, with how many slices it concerns.
    private static func tally(_ notes: [String], of count: Int) -> [String] {
        var order: [String] = []
        var counts: [String: Int] = [:]
        for note in notes {
            if counts[note] == nil { order.append(note) }
            counts[note, default: 0] += 1
        }
        return order.map { counts[$0] == count ? $0 : "\($0) (\(counts[$0]!) of \(count) slices)" }
    }

    // MARK: The answer

    static func describe(_ answer: Answer) -> JSON {
        var members: [(String, JSON)] = [
            ("tensor", .text(answer.tensor)), ("activation", .text(answer.activation.rawValue)),
            ("activationIsAssumed", .bool(answer.activationIsAssumed)),
            ("shape", .numbers(answer.logits.shape.map(Double.init))),
        ]
        if let logits = answer.classLogits {
            let probabilities = answer.probabilities
            members.append(
                (
                    "classes",
                    .array(
                        logits.enumerated().map { index, logit in
                            .object([
                                ("index", .number(index)), ("label", .text(answer.label(index))),
                                ("score", .number(logit)),
                                ("probability", .number(probabilities?[index])),
                            ])
                        })
                ))
        } else {
            // For every voxel a class: how many voxels each one wins.
            let counts = answer.winners().reduce(into: [Int](repeating: 0, count: answer.classCount)) { $0[$1] += 1 }
            members.append(
                (
                    "voxels",
                    .array(
                        counts.enumerated().map { index, count in
                            .object([
                                ("index", .number(index)), ("label", .text(answer.label(index))),
                                ("count", .number(count)),
                            ])
                        })
                ))
            members.append(("summary", .text("an answer for every voxel; results.json counts voxels by class")))
        }
        return .object(members)
    }
}

extension TapMap {
    /// No heat, where the map of another slice would lie.
    fileprivate func blank(on input: PreparedInput) throws -> TapMap {
        let zeros = Tensor<Float>(shape: values.shape, repeating: 0)
        return TapMap(
            tap: tap, values: zeros,
            volume: try input.volume(fromTensorSpatial: zeros.values, shape: zeros.shape, jump: jump, centre: centre),
            jump: jump, centre: centre)
    }
}

import Failures
import Foundation
import Tensors

/// What the network said: its logits, and how to read them.
public struct Answer: Sendable {
    /// How logits become probabilities.
    public enum Activation: String, Sendable, CaseIterable {
        case softmax
        case sigmoid
        case none
    }

    /// Name of the logits tensor in the network.
    public let tensor: String
    public let logits: Tensor<Float>
    /// The axis of `logits` that runs over classes; nil for a scalar a scan.
    public let classAxis: Int?
    public let activation: Activation
    /// Whether the activation is our assumption, for a network that ends in its logits.
    public let activationIsAssumed: Bool
    /// Class names; empty when nobody named them.
    public let classNames: [String]

    /// - Parameter classAxis: 1 by ONNX convention; the last axis for channels-last exports of dense answers.
    public init(
        tensor: String, logits: Tensor<Float>, classAxis: Int? = nil, activation: Activation,
        activationIsAssumed: Bool = false, classNames: [String] = []
    ) {
        self.tensor = tensor
        self.logits = logits
        self.classAxis = classAxis ?? (logits.rank >= 2 ? 1 : nil)
        self.activation = activation
        self.activationIsAssumed = activationIsAssumed
        self.classNames = classNames
    }

    public var classCount: Int { classAxis.map { logits.shape[$0] } ?? 1 }

    /// Whether there is an answer for every voxel rather than one for the scan.
    public var isDense: Bool { logits.count != classCount }

    /// One logit a class; nil for a dense answer.
    public var classLogits: [Float]? { isDense ? nil : logits.values }

    /// One probability a class; nil for a dense answer and where no activation is known.
    public var probabilities: [Double]? {
        guard let classLogits else { return nil }
        switch activation {
        case .none: return nil
        case .sigmoid: return classLogits.map { 1 / (1 + exp(-Double($0))) }
        case .softmax:
            let highest = Double(classLogits.max() ?? 0)
            let powers = classLogits.map { exp(Double($0) - highest) }
            let sum = powers.reduce(0, +)
            return powers.map { $0 / sum }
        }
    }

    public func label(_ index: Int) -> String {
        if index < classNames.count { return "\(classNames[index]) (\(index))" }
        return classCount == 1 ? "score" : "class \(index)"
    }

    /// Makes `target` concrete.
    ///
    /// - Parameter mask: for ``Target/masked(classIndex:)``: one value a voxel of the answer, in its spatial order.
    /// - Throws: ``Failure`` of kind `.usage` when the class does not exist or the target does not fit the answer.
    public func resolve(_ target: Target, mask: [Bool]? = nil) throws -> [ResolvedTarget] {
        switch target {
        case .highest:
            if isDense { return try resolve(.region(classIndex: nil)) }
            return [single(logits.values.firstIndexOfMaximum)]
        case .index(let index):
            try check(index)
            if isDense { return try resolve(.region(classIndex: index)) }
            return [single(index)]
        case .named(let name):
            guard let index = classNames.firstIndex(where: { $0.lowercased() == name.lowercased() }) else {
                throw Failure(
                    .usage, "target '\(name)'",
                    expected: classNames.isEmpty ? "a class index, for no class is named" : "a class of the network",
                    found: "'\(name)'",
                    remedy: classNames.isEmpty
                        ? "Give an index from 0 to \(classCount - 1), or name the classes in the pipeline."
                        : Nearest.suggestion(name, in: classNames))
            }
            return try resolve(.index(index))
        case .every:
            return try (0..<classCount).flatMap { try resolve(.index($0)) }
        case .region(let index):
            if let index { try check(index) }
            guard isDense else {
                throw Failure(
                    .usage, "target 'region'", expected: "a network that answers for every voxel",
                    found: "logits of shape \(logits.shape)", remedy: "Use 'argmax', a class index or a class name.")
            }
            let winners = winners()
            let counts = winners.reduce(into: [Int](repeating: 0, count: classCount)) { $0[$1] += 1 }
            var notes: [String] = []
            let chosen: Int
            if let index {
                chosen = index
            } else if classCount == 1 {
                chosen = 0
            } else {
                chosen = (1..<classCount).max { counts[$0] < counts[$1] || (counts[$0] == counts[$1] && $0 > $1) }!
            }
            var selected = winners.map { $0 == chosen }
            if classCount == 1 {
                // One logit a voxel: the foreground is where it is positive.
                selected = logits.values.map { $0 > 0 }
            }
            if !selected.contains(true) {
                notes.append("no voxel is labelled \(label(chosen)); its logits are summed over all voxels")
                selected = selected.map { _ in true }
            }
            return [dense(chosen, over: selected, notes: notes)]
        case .masked(let index):
            try check(index)
            guard isDense, let mask else {
                throw Failure(
                    .usage, "target 'mask:\(index)'",
                    expected: "a network that answers for every voxel and a mask of the scan",
                    found: isDense ? "no mask" : "logits of shape \(logits.shape)",
                    remedy: "Give the mask with --mask or the pipeline's input.labels.")
            }
            guard mask.count == voxelCount, mask.contains(true) else {
                throw Failure(
                    .scan, "mask", expected: "\(voxelCount) voxels, some of them set, on the answer's grid",
                    found: mask.contains(true) ? "\(mask.count) voxels" : "an empty mask")
            }
            return [dense(index, over: mask, notes: [])]
        }
    }

    /// Voxels of a dense answer.
    public var voxelCount: Int { logits.count / max(1, classCount) }

    /// The winning class of every voxel of a dense answer, in its spatial order.
    public func winners() -> [Int] {
        let (outer, inner) = extents
        return logits.withUnsafeBuffer { values in
            (0..<outer * inner).map { voxel in
                let base = (voxel / inner) * classCount * inner + voxel % inner
                var best = 0
                for index in 1..<max(1, classCount) where values[base + index * inner] > values[base + best * inner] {
                    best = index
                }
                return best
            }
        }
    }

    private var extents: (outer: Int, inner: Int) {
        guard let classAxis else { return (logits.count, 1) }
        return (logits.shape[..<classAxis].reduce(1, *), logits.shape[(classAxis + 1)...].reduce(1, *))
    }

    private func check(_ index: Int) throws {
        guard index >= 0, index < classCount else {
            throw Failure(
                .usage, "target \(index)", expected: "a class from 0 to \(classCount - 1)", found: "\(index)",
                remedy: "The network answers with \(classCount) value\(classCount == 1 ? "" : "s").")
        }
    }

    private func single(_ index: Int) -> ResolvedTarget {
        var seed = Tensor<Float>(shape: logits.shape, repeating: 0)
        seed.withUnsafeMutableBuffer { $0[index] = 1 }
        return ResolvedTarget(
            classIndex: index, label: label(index), slug: "class\(index)", tensor: tensor, seed: seed,
            score: Double(logits[flat: index]), probability: probabilities?[index])
    }

    private func dense(_ index: Int, over selected: [Bool], notes: [String]) -> ResolvedTarget {
        let (outer, inner) = extents
        var seed = Tensor<Float>(shape: logits.shape, repeating: 0)
        var score = 0.0
        seed.withUnsafeMutableBuffer { weights in
            logits.withUnsafeBuffer { values in
                for voxel in 0..<outer * inner where selected[voxel] {
                    let place = (voxel / inner) * classCount * inner + index * inner + voxel % inner
                    weights[place] = 1
                    score += Double(values[place])
                }
            }
        }
        return ResolvedTarget(
            classIndex: index, label: label(index), slug: "class\(index)", tensor: tensor, seed: seed, score: score,
            probability: nil, notes: notes)
    }
}

extension [Float] {
    /// Index of the first largest element; 0 for an empty array.
    var firstIndexOfMaximum: Int {
        var best = 0
        for index in indices where self[index] > self[best] { best = index }
        return best
    }
}

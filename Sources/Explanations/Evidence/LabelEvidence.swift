import Foundation
import Volumes

/// How the heat of one map meets the regions of a label map: what a reader may claim of "the network looked at the lesion".
///
/// Only what speaks for the target, the positive heat, counts. Energy in a region is the energy-based pointing game (Wang et al.,
/// CVPR Workshops 2020); whether the peak lies in it is the pointing game (Zhang et al., ECCV 2016), with and without a tolerance
/// in mm. Overlap is Dice and IoU of the region with the heat above 10 %, 20 %, … 90 % of the peak.
public struct LabelEvidence: Sendable, Equatable {
    /// One region.
    public struct Region: Sendable, Equatable {
        /// The label map's value; nil for all labels together.
        public let label: Int?
        public let voxels: Int
        public let millilitres: Double
        /// Sum of the positive heat in it, in the map's own unit times ml.
        public let mass: Double
        /// Its part of all positive heat, 0…1.
        public let share: Double
        /// ``share`` per ml.
        public let sharePerMl: Double
        /// How many times denser the heat is here than over the body (over the scan, where no body is known).
        public let enrichment: Double
        public let holdsPeak: Bool
        /// From the peak to the region, in mm; 0 inside.
        public let distance: Double
        /// Dice and IoU at each of ``LabelEvidence/thresholds``.
        public let dice: [Double]
        public let iou: [Double]

        /// The best Dice and at which part of the peak.
        public var bestDice: (value: Double, threshold: Double) {
            var best = 0
            for index in dice.indices where dice[index] > dice[best] { best = index }
            return (dice[best], LabelEvidence.thresholds[best])
        }
    }

    /// Parts of the peak above which heat is a region.
    public static let thresholds = (1...9).map { Double($0) / 10 }

    /// Every label in ascending order; where there are several, all of them together at the end.
    public let regions: [Region]
    /// Part of the positive heat that lies outside of the body; nil where no body is known.
    public let outsideBody: Double?

    /// - Parameters:
    ///   - heat: signed raw attribution on the scan's grid.
    ///   - labels: whole numbers on the same grid; 0 and below is no region.
    ///   - counted: which labels are regions; nil for all.
    ///   - body: the patient, on the same grid.
    public init(_ heat: Volume, labels: Volume, counted: Set<Int>? = nil, body: Mask? = nil) {
        precondition(labels.grid.shape == heat.grid.shape, "labels on the heat's grid")
        let grid = heat.grid
        let millilitre = grid.voxelVolume / 1000
        var highest: Float = 0
        var place = 0
        for (index, value) in heat.voxels.enumerated() where value > highest { (highest, place) = (value, index) }
        var sums: [Int: Tally] = [:]
        var whole = Tally()
        var bodyVoxels = 0
        var outside = 0.0
        for index in heat.voxels.indices {
            let value = heat.voxels[index]
            // Which of the thresholds it reaches: 0 for none, 9 for all.
            let level = highest > 0 ? min(9, max(0, Int((Double(value) / Double(highest)) * 10 + 1e-9))) : 0
            let energy = Double(max(value, 0))
            whole.add(energy, level)
            if let body {
                if body.isSet[index] { bodyVoxels += 1 } else { outside += energy }
            }
            let label = Self.whole(labels.voxels[index])
            if label > 0, counted?.contains(label) ?? true { sums[label, default: Tally()].add(energy, level) }
        }
        let total = whole.energy
        let reference = Double(body == nil || bodyVoxels == 0 ? heat.voxels.count : bodyVoxels)
        let shape = grid.shape
        let peak = Index3(place % shape.x, place / shape.x % shape.y, place / max(1, shape.x * shape.y))
        let nearest = Self.distances(labels, counted: counted, from: peak)
        func region(_ label: Int?, _ tally: Tally, distance: Double) -> Region {
            let volume = Double(tally.voxels) * millilitre
            let share = total > 0 ? tally.energy / total : 0
            var dice: [Double] = []
            var iou: [Double] = []
            for threshold in 1...9 {
                let hot = highest > 0 ? whole.levels[threshold...].reduce(0, +) : 0
                let both = highest > 0 ? tally.levels[threshold...].reduce(0, +) : 0
                let either = hot + tally.voxels - both
                dice.append(hot + tally.voxels > 0 ? 2 * Double(both) / Double(hot + tally.voxels) : 0)
                iou.append(either > 0 ? Double(both) / Double(either) : 0)
            }
            return Region(
                label: label, voxels: tally.voxels, millilitres: volume, mass: tally.energy * millilitre, share: share,
                sharePerMl: volume > 0 ? share / volume : 0,
                enrichment: tally.voxels > 0 ? share / (Double(tally.voxels) / reference) : 0,
                holdsPeak: highest > 0 && distance == 0, distance: distance, dice: dice, iou: iou)
        }
        var regions = sums.sorted { $0.key < $1.key }.map {
            region($0.key, $0.value, distance: nearest[$0.key] ?? .infinity)
        }
        if regions.count > 1 {
            var all = Tally()
            for tally in sums.values { all.add(tally) }
            regions.append(region(nil, all, distance: nearest.values.min() ?? .infinity))
        }
        self.regions = regions
        outsideBody = body == nil ? nil : total > 0 ? outside / total : 0
    }

    /// What a reader without statistics may take from it.
    ///
    /// - Parameter target: as titles name it: "nodule (1)".
    public func sentences(for target: String) -> [String] {
        func percent(_ value: Double) -> String {
            value > 0 && value < 0.01 ? "less than 1 %" : "\(Int((value * 100).rounded())) %"
        }
        func number(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
        var sentences = regions.map { region in
            let name = region.label.map { "label \($0)" } ?? "all labels together"
            let best = region.bestDice
            let times = region.enrichment
            let density =
                times >= 1
                ? "\(number(times, times < 10 ? 1 : 0)) times as dense as on average"
                : times > 0 ? "\(number(1 / times, 1)) times thinner than on average" : "none of it"
            let peak =
                region.holdsPeak
                ? "the peak lies inside"
                : region.distance.isFinite
                    ? "the peak lies \(number(region.distance, 1)) mm outside" : "there is no peak"
            return
                "\(percent(region.share)) of the heat for \(target) lies in \(name) (\(number(region.millilitres, 2)) ml), \(density); \(peak); "
                + "best overlap Dice \(number(best.value, 2)), with the heat above \(Int(best.threshold * 100)) % of its peak."
        }
        if regions.isEmpty { sentences = ["The label map holds no region on this scan."] }
        if let outsideBody { sentences.append("\(percent(outsideBody)) of the heat lies outside of the body.") }
        return sentences
    }

    private static func whole(_ value: Float) -> Int { abs(value) < 1e9 ? Int(value.rounded()) : 0 }

    /// From the peak to the nearest voxel centre of each label, in mm.
    private static func distances(_ labels: Volume, counted: Set<Int>?, from peak: Index3) -> [Int: Double] {
        let shape = labels.grid.shape
        var nearest: [Int: Double] = [:]
        var index = 0
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let label = whole(labels.voxels[index])
                    index += 1
                    guard label > 0, counted?.contains(label) ?? true else { continue }
                    let step = labels.grid.affine.direction(
                        Vector3(Double(i - peak.x), Double(j - peak.y), Double(k - peak.z)))
                    let squared = (step * step).sum()
                    if squared < nearest[label] ?? .infinity { nearest[label] = squared }
                }
            }
        }
        return nearest.mapValues { $0.squareRoot() }
    }

    /// Voxels, their heat, and how many reach which threshold and no higher one.
    private struct Tally {
        var voxels = 0
        var energy = 0.0
        var levels = [Int](repeating: 0, count: 10)

        mutating func add(_ energy: Double, _ level: Int) {
            voxels += 1
            self.energy += energy
            levels[level] += 1
        }

        mutating func add(_ other: Tally) {
            voxels += other.voxels
            energy += other.energy
            for level in levels.indices { levels[level] += other.levels[level] }
        }
    }
}

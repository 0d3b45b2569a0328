import Explanations
import Foundation
import Rendering
import Volumes

/// One map in words and numbers, for results, provenance and pictures.
struct MapDescription {
    let explanation: Explanation
    let measures: HeatMeasures
    let evidence: LabelEvidence?
    let heat: Volume
    let plan: Plan
    let inputs: [ScanLedger.Entry]
    let seen: Grid
    let stem: String

    private var target: JSON {
        .object([
            ("label", .text(explanation.target.label)), ("class", .number(explanation.target.classIndex)),
            ("tensor", .text(explanation.target.tensor)), ("score", .number(explanation.target.score)),
            ("probability", .number(explanation.target.probability)),
        ])
    }

    private var options: JSON {
        .object(explanation.options.sorted { $0.key < $1.key }.map { ($0.key, .text($0.value.description)) })
    }

    private static func json(_ map: TapMap) -> JSON {
        let shape = map.volume.grid.shape
        return .object([
            ("tap", .text(map.tap)), ("shape", .numbers([shape.x, shape.y, shape.z].map(Double.init))),
            ("jump", .numbers(map.jump)), ("centre", .numbers(map.centre)),
            ("affine", .array(map.volume.grid.affine.rows.map { .numbers($0) })),
        ])
    }

    func json(files: [String], pictures: [String]) -> JSON {
        let orientation = Orientation(heat.grid.affine)
        // Numbers as on the pictures: from 1 toward Superior, Anterior and Right, whichever way the scan is stored.
        func hottest(_ worldAxis: Int) -> JSON {
            let axis = orientation.storedAxis(alongWorld: worldAxis)
            let count = heat.grid.shape[axis]
            return .numbers(
                measures.hottestSlices[axis].map {
                    Double(orientation.directions[axis].isPositive ? $0 + 1 : count - $0)
                })
        }
        let peak: JSON =
            measures.peakVoxel.map { voxel in
                .object([
                    ("voxel", .numbers([voxel.x, voxel.y, voxel.z].map(Double.init))),
                    ("positionRAS", .numbers((0..<3).map { round(measures.peakPosition![$0] * 1000) / 1000 })),
                    ("direction", .text(measures.peakDirection)),
                ])
            } ?? .null
        let labels: JSON =
            measures.labels.map { labels in
                .object([
                    ("peakInside", measures.peakVoxel == nil ? .null : .bool(labels.peakIsInside)),
                    ("valueAtPeak", .number(labels.valueAtPeak)), ("distanceMm", .number(labels.distance)),
                    ("energyInside", .number(labels.energyInside)), ("voxels", .number(labels.voxels)),
                ])
            } ?? .null
        return .object([
            ("stem", .text(stem)), ("method", .text(explanation.method.name)),
            ("title", .text(explanation.method.title)),
            ("options", options), ("target", target), ("taps", .array(explanation.maps.map(Self.json))),
            ("highest", .number(Float(measures.peakValue))), ("lowest", .number(Float(measures.lowestValue))),
            ("peak", peak),
            (
                "hottestSlices",
                .object([("axial", hottest(2)), ("coronal", hottest(1)), ("sagittal", hottest(0))])
            ),
            ("halfMaximumMl", .number(measures.halfMaximumVolume)), ("labels", labels), ("evidence", evidenceJSON),
            ("figures", .object(explanation.figures.sorted { $0.key < $1.key }.map { ($0.key, .number($0.value)) })),
            ("notes", .array(explanation.notes.map { .text($0) })), ("seen", seen.json),
            ("files", .array(files.map { .text($0) })), ("pictures", .array(pictures.map { .text($0) })),
        ])
    }

    /// The table of how heat and label map meet, and what it says in words.
    private var evidenceJSON: JSON {
        guard let evidence else { return .null }
        func rounded(_ value: Double) -> JSON { value.isFinite ? .number((value * 1e6).rounded() / 1e6) : .null }
        let regions: [JSON] = evidence.regions.map { region in
            let best = region.bestDice
            let members: [(String, JSON)] = [
                ("label", region.label.map { JSON.number($0) } ?? .text("all")), ("voxels", .number(region.voxels)),
                ("ml", rounded(region.millilitres)), ("mass", .number(region.mass)), ("share", rounded(region.share)),
                ("sharePerMl", rounded(region.sharePerMl)), ("enrichment", rounded(region.enrichment)),
                ("holdsPeak", .bool(region.holdsPeak)), ("distanceMm", rounded(region.distance)),
                ("bestDice", rounded(best.value)), ("bestDiceAbove", .number(best.threshold)),
                ("dice", .array(region.dice.map(rounded))), ("iou", .array(region.iou.map(rounded))),
            ]
            return .object(members)
        }
        return .object([
            ("thresholds", .numbers(LabelEvidence.thresholds)), ("regions", .array(regions)),
            ("outsideBody", evidence.outsideBody.map { rounded($0) } ?? .null),
            ("sentences", .array(evidence.sentences(for: explanation.target.label).map { .text($0) })),
        ])
    }

    /// What a heatmap file tells about itself. No times and no paths: the same work gives the same bytes.
    func provenance(grid: String, tap: TapMap?) -> JSON {
        .object([
            ("generator", .text(Product.signature)), ("intendedUse", .text("research, not diagnosis")),
            ("pipeline", .text(plan.words.name)), ("settingsSha256", .text(plan.settingsHash)),
            ("inputs", .array(inputs.map(\.json))), ("network", .array(plan.networkFiles.map(\.json))),
            ("method", .text(explanation.method.name)), ("methodSource", .text(explanation.method.source)),
            ("options", options), ("target", target), ("explained", .text((plan.words.explain ?? .logit).rawValue)),
            ("grid", .text(grid)), ("taps", .array((tap.map { [$0] } ?? explanation.maps).map(Self.json))),
            (
                "values",
                .text(
                    tap == nil && explanation.maps.count > 1
                        ? "maps of several taps, each divided by its largest magnitude, averaged; signed"
                        : "raw attribution, signed, not rectified and not normalised")
            ),
            ("notes", .array(explanation.notes.map { .text($0) })),
        ])
    }

    func caption(_ scan: String) -> OverlayCaption { Self.caption(of: json(files: [], pictures: []), scan: scan) }

    static func caption(of map: JSON, scan: String) -> OverlayCaption {
        let taps = (map["taps"]?.array ?? []).compactMap { $0["tap"]?.text }
        let target = map["target"]
        var score = ""
        if let probability = target?["probability"]?.number {
            score = "p = \(rounded(probability, 3))"
        } else if let value = target?["score"]?.number {
            score = "score \(rounded(value, 3))"
        }
        let title = map["title"]?.text ?? ""
        return OverlayCaption(
            scan: scan, method: taps.count == 1 ? "\(title) at \(taps[0])" : "\(title) at \(taps.count) layers",
            target: target?["label"]?.text ?? "", score: score, quantity: title)
    }

    static func rounded(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
}

extension JSON {
    /// The object with one member's value replaced, or added at the end.
    func setting(_ key: String, _ value: JSON) -> JSON {
        guard case .object(var members) = content else { return self }
        if let index = members.firstIndex(where: { $0.key == key }) {
            members[index].value = value
        } else {
            members.append(Member(key, value))
        }
        return JSON(.object(members), line: line, column: column)
    }
}

extension Grid {
    var json: JSON {
        .object([
            ("shape", .numbers([shape.x, shape.y, shape.z].map(Double.init))),
            ("affine", .array(affine.rows.prefix(3).map { .numbers($0) })),
        ])
    }

    /// What ``json`` wrote; nil for anything else.
    static func read(_ json: JSON?) -> Grid? {
        guard let shape = json?["shape"]?.array, let rows = json?["affine"]?.array else { return nil }
        var extents: [Int] = []
        for value in shape {
            guard let number = value.number, number >= 1, number < 1e9 else { return nil }
            extents.append(Int(number))
        }
        var numbers: [Double] = []
        for row in rows {
            for value in row.array ?? [] {
                guard let number = value.number else { return nil }
                numbers.append(number)
            }
        }
        guard extents.count == 3, numbers.count == 12 else { return nil }
        return Grid(shape: Index3(extents[0], extents[1], extents[2]), affine: Affine(rows: numbers))
    }
}

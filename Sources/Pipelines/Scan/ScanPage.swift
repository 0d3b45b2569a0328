import Explanations
import Failures
import Foundation
import Preparations
import Rendering
import Reports
import Volumes

/// A scan's review page, filled while its maps are made: each map is packed as soon as it is placed on the scan.
struct ScanPage {
    /// In the scan's results folder, and for the folder's page in the output folder.
    static let fileName = "index.html"
    /// More classes than these are not listed, but for the highest and those that are explained.
    private static let listedClasses = 24

    private var page: ReviewPage
    private let count: Int
    private let seen: Grid
    private let drawing: Drawing

    /// - Parameter folderPage: the page of all scans, by a path relative to this one; nil where there is none.
    init(
        _ scan: FoundScan, _ source: ScanSource, _ found: FoundExplanations, labels: LabelMap?, plan: Plan,
        inputs: [ScanLedger.Entry], folderPage: String?
    ) {
        drawing = plan.drawing
        let volume: Volume
        switch source {
        case .volume(let image):
            volume = image.volume
            page = ReviewPage(title: scan.stem, scan: volume, unit: image.statistics.notCTReason == nil ? "HU" : "")
        case .picture(let picture):
            volume = picture.luminanceVolume
            page = ReviewPage(title: scan.stem, scan: volume, unit: "")
            page.isAnatomical = false
        }
        count = found.explanations.count
        seen = found.seen
        page.mask = labels?.mask
        page.subtitle = plan.words.name ?? ""
        page.folderPage = folderPage
        let style = plan.drawing.style(source, range: ScaleRange(of: Volume(grid: .unit, repeating: 0)))
        page.style = style
        page.style.scale = nil
        if case .hu(let window, _) = style.window { page.window = window }
        switch plan.drawing.scale {
        case .own: page.scale = .own
        case .folder: page.scale = .folder
        case .fixed(let top): page.scale = .fixed(top)
        }
        if let window = plan.preparation.window {
            page.presets = [ReviewWindow(name: "network", window: window)]
        }
        page.facts = [ReviewFact("file", scan.path)]
        page.answer = Self.answer(found)
        page.provenance = Self.provenance(plan, inputs)
    }

    /// Takes in one map.
    mutating func add(_ explanation: Explanation, heat: Volume, measures: HeatMeasures) throws {
        let method = explanation.method
        var entry = ReviewHeat(
            method: method.name, methodTitle: method.title, target: explanation.target.label, volume: heat)
        if explanation.maps.count == 1 { entry.cells = ReviewCells(map: explanation.maps[0].volume, seen: seen) }
        if method.sanity == .fails { entry.caution = method.trust }
        entry.notes = explanation.notes
        entry.peakIsInside = measures.peakVoxel == nil ? nil : measures.labels?.peakIsInside
        // As in the overlays: one scale a method for the whole folder.
        entry.scaleKey = method.name
        let tops = [false, true].map { drawing.ownRange(of: heat, by: method, signed: $0) }
        if tops.contains(where: { $0.origin == .clipped }) { entry.ownTops = tops.map(\.top) }
        entry.details = Self.details(explanation, measures, isAnatomical: page.isAnatomical)
        try page.pack(entry, of: count)
    }

    /// - Parameters:
    ///   - warnings: what the reader must know before looking.
    ///   - links: files beside the page.
    mutating func write(warnings: [String], links: [String], to folder: URL) throws -> URL {
        page.warnings = warnings
        page.links = links.map { ReviewLink($0, path: $0) }
        let url = folder.appendingPathComponent(Self.fileName)
        try page.write(to: url)
        return url
    }

    /// - Parameter isAnatomical: whether sides and volumes mean something; in a picture they do not.
    private static func details(
        _ explanation: Explanation, _ measures: HeatMeasures, isAnatomical: Bool
    ) -> [ReviewFact] {
        func rounded(_ value: Double) -> String { String(format: "%.4g", value) }
        var facts: [ReviewFact] = []
        if let probability = explanation.target.probability {
            facts.append(ReviewFact("probability", String(format: "%.4f", probability)))
        }
        facts.append(ReviewFact("score", rounded(explanation.target.score)))
        for map in explanation.maps {
            let shape = map.volume.grid.shape
            facts.append(ReviewFact("tap", "\(map.tap) (\(shape.x)×\(shape.y)×\(shape.z))"))
        }
        if isAnatomical, !measures.peakDirection.isEmpty { facts.append(ReviewFact("side", measures.peakDirection)) }
        if isAnatomical, measures.peakVoxel != nil {
            facts.append(ReviewFact("halfMaximum", "\(rounded(measures.halfMaximumVolume)) ml"))
        }
        if isAnatomical, let labels = measures.labels, measures.peakVoxel != nil, labels.voxels > 0 {
            facts.append(ReviewFact("maskDistance", "\(rounded(labels.distance)) mm"))
            facts.append(ReviewFact("maskEnergy", String(format: "%.1f %%", labels.energyInside * 100)))
        }
        for (name, value) in explanation.options.sorted(by: { $0.key < $1.key }) {
            facts.append(ReviewFact(name, value.description))
        }
        for (name, value) in explanation.figures.sorted(by: { $0.key < $1.key }) {
            facts.append(ReviewFact(name, rounded(value)))
        }
        return facts
    }

    private static func answer(_ found: FoundExplanations) -> ReviewAnswer {
        let explained = Set(found.explanations.map(\.target.classIndex))
        let dense = found.answer["voxels"]?.array
        var rows = (found.answer["classes"]?.array ?? dense ?? []).enumerated().map { index, item in
            ReviewAnswer.Row(
                label: item["label"]?.text ?? "", logit: item["score"]?.number,
                probability: item["probability"]?.number, voxels: item["count"]?.number.map { Int($0) },
                isExplained: explained.contains(index))
        }
        var notes: [String] = []
        if rows.count > listedClasses {
            let total = rows.count
            let ranked = rows.enumerated().sorted { left, right in
                let (a, b) = (left.element.logit ?? 0, right.element.logit ?? 0)
                return a != b ? a > b : left.offset < right.offset
            }
            rows = ranked.enumerated().filter { $0.offset < listedClasses || $0.element.element.isExplained }
                .map(\.element.element)
            notes.append("The highest \(listedClasses) of \(total) classes, and those explained.")
        }
        if let activation = found.answer["activation"]?.text, activation != "none", dense == nil {
            let assumed = found.answer["activationIsAssumed"]?.bool == true
            notes.append("Probabilities by \(activation)\(assumed ? ", which is an assumption" : "").")
        }
        if let summary = found.answer["summary"]?.text, dense == nil { notes.append(summary) }
        return ReviewAnswer(rows: rows, note: notes.isEmpty ? nil : notes.joined(separator: " "))
    }

    static func provenance(_ plan: Plan, _ inputs: [ScanLedger.Entry] = []) -> [ReviewFact] {
        var facts = [ReviewFact("program", Product.signature)]
        if let name = plan.words.name ?? plan.words.source?.lastPathComponent {
            facts.append(ReviewFact("pipeline", name))
        }
        func line(_ entry: ScanLedger.Entry) -> String { "\(entry.path), SHA-256 \(entry.sha256)" }
        facts += plan.networkFiles.map { ReviewFact("network", line($0)) }
        facts.append(ReviewFact("settings", "SHA-256 \(plan.settingsHash)"))
        facts += inputs.map { ReviewFact("input", line($0)) }
        facts += plan.preparation.summary.map { ReviewFact("preparation", $0) }
        return facts
    }
}

extension Grid {
    fileprivate static let unit = Grid(shape: [1, 1, 1], affine: .identity)
}

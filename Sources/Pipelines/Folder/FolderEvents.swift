import Failures
import Foundation
import Reports
import Volumes

/// A folder's results as TensorBoard shows them: one run a pipeline, in which the step is the number of the scan.
///
/// Written from the results on disk, so that scans of earlier runs are in it too.
struct FolderEvents {
    let job: FolderJob
    let lines: [FolderSummary.Line]

    /// Which scalars a run is judged by, in TensorBoard's table of hyperparameters.
    private static let metrics = ["summary/probability", "summary/peak_in_label", "summary/energy_in_label"]

    /// - Parameter root: what TensorBoard is started with; the run has a folder of its own in it, named for the pipeline and its
    ///   settings.
    func write(to root: URL) throws {
        let words = job.plan.words
        let pipeline = words.name ?? words.source?.deletingPathExtension().lastPathComponent ?? "run"
        let folder = root.appendingPathComponent(
            EventLog.folderName("\(pipeline)-\(job.plan.settingsHash.prefix(8))"))
        EventLog.removeEvents(from: folder)
        var log = EventLog(wallTime: EventLog.now)
        // Scan by scan: the pictures of thousands need not be in memory at once.
        try AtomicFile.write(to: log.url(in: folder)) { file in
            addSettings(to: &log)
            for (step, line) in lines.enumerated() {
                try add(line, step: step, to: &log)
                try file.write(log.drained())
            }
            addSummary(to: &log)
            try file.write(log.drained())
        }
    }

    private func addSettings(to log: inout EventLog) {
        let plan = job.plan
        let settings = plan.settings.serialized()
        log.addText("pipeline", "```json\n\(settings)\n```")
        func joined(_ key: String, _ name: String? = nil) -> String {
            let list = plan.settings[key]?.array ?? []
            return list.compactMap { name == nil ? $0.text : $0[name!]?.text }.joined(separator: ", ")
        }
        log.addHyperparameters(
            [
                "network": .text(plan.networkFiles.first?.path ?? ""), "methods": .text(joined("methods", "method")),
                "targets": .text(joined("targets")), "taps": .text(joined("taps")),
                "preparation": .text(plan.preparation.summary.joined(separator: "; ")),
                "explain": .text(plan.settings["explain"]?.text ?? ""), "scans": .number(Double(lines.count)),
            ], metrics: Self.metrics)
    }

    private func add(_ line: FolderSummary.Line, step: Int, to log: inout EventLog) throws {
        guard let results = line.results else {
            log.addText(
                "scans", "**\(EventLog.plain(line.scan.path))**: \(EventLog.plain(line.problem ?? line.status))",
                step: step)
            return
        }
        let folder = job.folder(of: line.scan)
        for item in results["answer"]?["classes"]?.array ?? [] {
            guard let label = item["label"]?.text else { continue }
            if let score = item["score"]?.number { log.addScalar("score/\(label)", Float(score), step: step) }
            if let share = item["probability"]?.number {
                log.addScalar("probability/\(label)", Float(share), step: step)
            }
        }
        for map in results["maps"]?.array ?? [] {
            guard let stem = map["stem"]?.text else { continue }
            let labels = map["labels"]
            let values: [(String, Double?)] = [
                ("highest", map["highest"]?.number), ("lowest", map["lowest"]?.number),
                ("half_maximum_ml", map["halfMaximumMl"]?.number), ("label_distance_mm", labels?["distanceMm"]?.number),
                ("energy_in_label", labels?["energyInside"]?.number),
                ("peak_in_label", labels?["peakInside"]?.bool.map { $0 ? 1 : 0 }),
            ]
            for (name, value) in values {
                if let value { log.addScalar("\(stem)/\(name)", Float(value), step: step) }
            }
            let heatmaps = (map["files"]?.array ?? []).compactMap(\.text).filter { $0.hasSuffix(".nii.gz") }
            // The layer's own cells where they were written: on the scan's grid most values are the background's.
            let taps = heatmaps.filter { $0.contains("_tap") }
            for (index, file) in (taps.isEmpty ? Array(heatmaps.prefix(1)) : taps).enumerated() {
                guard let heat = try? NIfTIFile.read(folder.appendingPathComponent(file)) else { continue }
                log.addHistogram("\(stem)/heat\(index == 0 ? "" : String(index + 1))", heat.volume.voxels, step: step)
            }
            let pictures = (map["pictures"]?.array ?? []).compactMap(\.text)
            let chosen = pictures.first { $0.hasSuffix("_montage.png") } ?? pictures.first
            if let chosen, let data = try? Data(contentsOf: folder.appendingPathComponent(chosen)) {
                try log.addImage("\(stem)/overlay", png: [UInt8](data), step: step)
            }
        }
        log.addText("scans", Self.words(line.scan, results), step: step)
    }

    private func addSummary(to log: inout EventLog) {
        let first = lines.compactMap { $0.results?["maps"]?.array?.first }
        func mean(_ values: [Double]) -> Float? {
            values.isEmpty ? nil : Float(values.reduce(0, +) / Double(values.count))
        }
        let means = [
            mean(first.compactMap { $0["target"]?["probability"]?.number }),
            mean(first.compactMap { $0["labels"]?["peakInside"]?.bool.map { $0 ? 1 : 0 } }),
            mean(first.compactMap { $0["labels"]?["energyInside"]?.number }),
        ]
        for (tag, value) in zip(Self.metrics, means) {
            if let value { log.addScalar(tag, value) }
        }
        log.addScalar("summary/failed", Float(lines.filter { $0.status == "failed" }.count))
    }

    /// One scan in Markdown.
    private static func words(_ scan: FoundScan, _ results: JSON) -> String {
        var text = "**\(EventLog.plain(scan.path))**\n\n| class | score | probability |\n|---|---|---|\n"
        for item in (results["answer"]?["classes"]?.array ?? []).prefix(20) {
            let share = item["probability"]?.number.map { String(format: "%.4f", $0) } ?? ""
            text +=
                "| \(EventLog.plain(item["label"]?.text ?? "")) | \(String(format: "%.4f", item["score"]?.number ?? 0)) | \(share) |\n"
        }
        let maps = results["maps"]?.array ?? []
        let notes = (results["warnings"]?.array ?? []) + maps.flatMap { $0["notes"]?.array ?? [] }
        for note in notes.compactMap(\.text) { text += "\n- \(EventLog.plain(note))" }
        return text
    }
}

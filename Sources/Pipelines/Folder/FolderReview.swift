import Foundation
import Reports

/// The page of a folder's scans, from what the summary knows of each.
struct FolderReview {
    let job: FolderJob
    let lines: [FolderSummary.Line]

    /// Of each scan's first map.
    private static let measures = ["highest", "halfMaximumMl", "maskDistanceMm", "maskEnergy"]

    /// Writes the page, or removes one that an earlier run wrote and this one was told not to.
    func write() throws {
        let url = job.output.appendingPathComponent(ScanPage.fileName)
        guard job.plan.writesPage else {
            if FolderPage.isOne(url) { try? FileManager.default.removeItem(at: url) }
            return
        }
        let words = job.plan.words
        let pipeline = words.name ?? words.source?.lastPathComponent
        let folder = job.input.standardizedFileURL.lastPathComponent
        var page = FolderPage(title: [folder, pipeline].compactMap { $0 }.joined(separator: " · "), entries: entries)
        page.measures = Self.measures
        page.provenance = ScanPage.provenance(job.plan)
        try page.write(to: url)
    }

    private var entries: [FolderPage.Entry] {
        lines.map { line in
            guard let results = line.results else {
                let why = line.problem ?? "not done: the run was stopped before"
                return FolderPage.Entry(name: line.scan.path, failure: why)
            }
            return entry(line.scan, results)
        }
    }

    private func entry(_ scan: FoundScan, _ results: JSON) -> FolderPage.Entry {
        let maps = results["maps"]?.array ?? []
        let first = maps.first
        let labels = first?["labels"]
        // The first of equals, as everywhere.
        let classes = results["answer"]?["classes"]?.array ?? []
        let best = classes.dropFirst().reduce(classes.first) { best, item in
            (item["score"]?.number ?? -.infinity) > (best?["score"]?.number ?? -.infinity) ? item : best
        }
        var notes = (results["warnings"]?.array ?? []).compactMap(\.text)
        for note in maps.flatMap({ $0["notes"]?.array ?? [] }).compactMap(\.text) where !notes.contains(note) {
            notes.append(note)
        }
        return FolderPage.Entry(
            name: scan.path, page: (results["page"]?.text).map { "\(scan.name)/\($0)" },
            thumbnail: (results["thumbnail"]?.text).flatMap { picture(scan, $0) },
            prediction: best?["label"]?.text ?? first?["target"]?["label"]?.text,
            probability: best?["probability"]?.number, score: first?["target"]?["score"]?.number,
            peakIsInside: labels?["peakInside"]?.bool,
            measures: [
                first?["highest"]?.number, first?["halfMaximumMl"]?.number, labels?["distanceMm"]?.number,
                labels?["energyInside"]?.number,
            ], notes: notes)
    }

    private func picture(_ scan: FoundScan, _ name: String) -> [UInt8]? {
        guard name == ScanWorker.thumbnailName else { return nil }
        return (try? Data(contentsOf: job.folder(of: scan).appendingPathComponent(name))).map { [UInt8]($0) }
    }
}

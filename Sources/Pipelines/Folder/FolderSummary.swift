import Failures
import Foundation
import Volumes

/// The folder's results: `summary.json`, `summary.csv` with a line a map, `answers.csv` with a line a scan, and the page.
struct FolderSummary {
    let job: FolderJob
    let summary: RunSummary
    let outcomes: [Result<FolderRunner.Outcome, Failure>?]

    static let csvColumns = [
        "scan", "name", "status", "problem", "method", "target", "class", "score", "probability", "highest", "lowest",
        "peak_i", "peak_j", "peak_k", "peak_x_mm", "peak_y_mm", "peak_z_mm", "peak_direction", "hottest_axial",
        "hottest_coronal", "hottest_sagittal", "half_maximum_ml", "peak_in_label", "label_distance_mm",
        "energy_in_label", "heatmap", "warnings", "scan_sha256", "network_sha256", "settings_sha256", "version",
        "seconds",
    ]

    /// The content of a scan's `results.json`, or nil.
    static func results(in folder: URL) -> JSON? {
        guard let data = try? Data(contentsOf: folder.appendingPathComponent("results.json")) else { return nil }
        return try? JSON5Parser.parse(data, named: "results.json")
    }

    /// A scan, how it went, and the content of its `results.json`.
    struct Line {
        let scan: FoundScan
        let status: String
        let problem: String?
        let results: JSON?
        let timings: [(stage: String, seconds: Double)]
    }

    var lines: [Line] {
        let failures = Dictionary(summary.failed.map { ($0.scan.path, $0.failure) }) { first, _ in first }
        return zip(job.scans, outcomes).map { scan, outcome in
            if let failure = failures[scan.path] {
                return Line(scan: scan, status: "failed", problem: failure.description, results: nil, timings: [])
            }
            switch outcome {
            case .success(.done(let report)):
                return Line(
                    scan: scan, status: report.isPartial ? "partial" : "done",
                    problem: report.isPartial ? "stopped early: the best so far was written" : nil,
                    results: Self.results(in: job.folder(of: scan)),
                    timings: report.timings)
            case .success(.skipped):
                return Line(
                    scan: scan, status: "unchanged", problem: nil, results: Self.results(in: job.folder(of: scan)),
                    timings: [])
            default: return Line(scan: scan, status: "not done", problem: nil, results: nil, timings: [])
            }
        }
    }

    func write() throws {
        let lines = lines
        try AtomicFile.write(json(lines).serialized(), to: job.output.appendingPathComponent("summary.json"))
        try AtomicFile.write(maps(lines).text, to: job.output.appendingPathComponent("summary.csv"))
        try AtomicFile.write(answers(lines).text, to: job.output.appendingPathComponent("answers.csv"))
        let evidence = evidence(lines)
        if !evidence.rows.isEmpty {
            try AtomicFile.write(evidence.text, to: job.output.appendingPathComponent("evidence.csv"))
        }
        try FolderReview(job: job, lines: lines).write()
    }

    private func json(_ lines: [Line]) -> JSON {
        .object([
            ("version", .number(1)), ("tool", .text(Product.signature)),
            ("pipeline", .text(job.plan.words.name ?? job.plan.words.source?.lastPathComponent)),
            ("network", .array(job.plan.networkFiles.map(\.json))),
            ("settingsSha256", .text(job.plan.settingsHash)), ("settings", job.plan.settings),
            ("assumed", .array(job.plan.assumptions.map { .text($0) })),
            ("done", .number(summary.done)), ("unchanged", .number(summary.skipped)),
            ("failed", .number(summary.failed.count)), ("notDone", .number(summary.stopped)),
            ("seconds", .number(round(summary.seconds * 1000) / 1000)),
            (
                "scans",
                .array(
                    lines.map { line in
                        .object([
                            ("scan", .text(line.scan.path)), ("name", .text(line.scan.name)),
                            ("status", .text(line.status)),
                            ("problem", .text(line.problem)),
                            (
                                "seconds",
                                .object(line.timings.map { ($0.stage, .number(round($0.seconds * 1000) / 1000)) })
                            ),
                            ("results", line.results ?? .null),
                        ])
                    })
            ),
        ])
    }

    private func maps(_ lines: [Line]) -> CSV {
        var csv = CSV(columns: Self.csvColumns)
        for line in lines {
            let start: [CSV.Field] = [
                .text(line.scan.path), .text(line.scan.name), .text(line.status), CSV.Field(line.problem),
            ]
            let results = line.results
            let seconds =
                line.timings.isEmpty
                ? CSV.Field.empty : .number(round(line.timings.reduce(0) { $0 + $1.seconds } * 1000) / 1000)
            let end: [CSV.Field] = [
                CSV.Field(results?["warnings"]?.array?.compactMap(\.text).joined(separator: " | ")),
                CSV.Field(results?["scan"]?["inputs"]?.array?.first?["sha256"]?.text),
                CSV.Field(job.plan.networkFiles.first?.sha256), .text(job.plan.settingsHash), .text(Product.version),
                seconds,
            ]
            let maps = results?["maps"]?.array ?? []
            for map in maps { csv.add(start + fields(map) + end) }
            if maps.isEmpty {
                csv.add(start + Array(repeating: .empty, count: Self.csvColumns.count - start.count - end.count) + end)
            }
        }
        return csv
    }

    private func fields(_ map: JSON) -> [CSV.Field] {
        func at(_ list: JSON?, _ index: Int) -> CSV.Field {
            guard let values = list?.array, index < values.count else { return .empty }
            return CSV.Field(values[index].number)
        }
        let target = map["target"]
        let peak = map["peak"]
        let slices = map["hottestSlices"]
        let labels = map["labels"]
        return [
            CSV.Field(map["method"]?.text), CSV.Field(target?["label"]?.text), CSV.Field(target?["class"]?.number),
            CSV.Field(target?["score"]?.number), CSV.Field(target?["probability"]?.number),
            CSV.Field(map["highest"]?.number),
            CSV.Field(map["lowest"]?.number), at(peak?["voxel"], 0), at(peak?["voxel"], 1), at(peak?["voxel"], 2),
            at(peak?["positionRAS"], 0), at(peak?["positionRAS"], 1), at(peak?["positionRAS"], 2),
            CSV.Field(peak?["direction"]?.text), at(slices?["axial"], 0), at(slices?["coronal"], 0),
            at(slices?["sagittal"], 0), CSV.Field(map["halfMaximumMl"]?.number), CSV.Field(labels?["peakInside"]?.bool),
            CSV.Field(labels?["distanceMm"]?.number), CSV.Field(labels?["energyInside"]?.number),
            CSV.Field(map["files"]?.array?.first?.text),
        ]
    }

    /// A line a scan, map and label: how much of the heat lies where.
    private func evidence(_ lines: [Line]) -> CSV {
        let percents = (1...9).map { "\($0 * 10)" }
        var csv = CSV(
            columns: [
                "scan", "name", "method", "target", "label", "voxels", "ml", "mass", "share", "share_per_ml",
                "enrichment",
                "holds_peak", "distance_mm", "best_dice", "best_dice_above", "outside_body",
            ] + percents.map { "dice_\($0)" } + percents.map { "iou_\($0)" })
        for line in lines {
            for map in line.results?["maps"]?.array ?? [] {
                guard let evidence = map["evidence"], let regions = evidence["regions"]?.array else { continue }
                for region in regions {
                    func number(_ key: String) -> CSV.Field { CSV.Field(region[key]?.number) }
                    func list(_ key: String) -> [CSV.Field] {
                        let values = region[key]?.array ?? []
                        return percents.indices.map { $0 < values.count ? CSV.Field(values[$0].number) : .empty }
                    }
                    let label = region["label"]?.number.map { CSV.Field.integer(Int($0)) } ?? .text("all")
                    let start: [CSV.Field] = [
                        .text(line.scan.path), .text(line.scan.name), CSV.Field(map["method"]?.text),
                        CSV.Field(map["target"]?["label"]?.text), label,
                    ]
                    let middle: [CSV.Field] = [
                        number("voxels"), number("ml"), number("mass"), number("share"), number("sharePerMl"),
                        number("enrichment"), CSV.Field(region["holdsPeak"]?.bool), number("distanceMm"),
                        number("bestDice"), number("bestDiceAbove"), CSV.Field(evidence["outsideBody"]?.number),
                    ]
                    csv.add(start + middle + list("dice") + list("iou"))
                }
            }
        }
        return csv
    }

    /// A line a scan, with a column for every class's score and probability.
    private func answers(_ lines: [Line]) -> CSV {
        let classes = lines.compactMap { $0.results?["answer"]?["classes"]?.array }.first ?? []
        let names = classes.map { $0["label"]?.text ?? "" }
        var csv = CSV(
            columns: ["scan", "name", "status"] + names.map { "score \($0)" } + names.map { "probability \($0)" })
        for line in lines {
            let values = line.results?["answer"]?["classes"]?.array ?? []
            func column(_ key: String) -> [CSV.Field] {
                names.indices.map { $0 < values.count ? CSV.Field(values[$0][key]?.number) : .empty }
            }
            csv.add(
                [.text(line.scan.path), .text(line.scan.name), .text(line.status)] + column("score")
                    + column("probability"))
        }
        return csv
    }
}

import Foundation
import Pipelines
import Synchronization

/// Turns what happens in a run into lines: a progress line with rate and time left on a terminal, plain lines otherwise, one
/// JSON object a line with `--json-log`, or nothing but failures with `--quiet`.
final class RunReporter: Sendable {
    enum Style: Sendable {
        case lines
        case json
        case quiet
    }

    private struct State {
        var total = 0
        var done = 0
        var skipped = 0
        var failed = 0
        var active: [String] = []
        var start = DispatchTime.now().uptimeNanoseconds
    }

    private let console: Console
    private let style: Style
    private let state = Mutex(State())

    init(console: Console, style: Style) {
        self.console = console
        self.style = style
    }

    /// What was assumed, in one short block.
    func assumed(_ assumptions: [String]) {
        guard !assumptions.isEmpty else { return }
        switch style {
        case .quiet: break
        case .json: log("assumed", [("assumptions", .array(assumptions.map { .text($0) }))])
        case .lines:
            console.note("Assumed, since nothing says otherwise (in brackets: what changes it):")
            for line in assumptions { console.note("  \(line.printable)") }
        }
    }

    func observe(_ event: RunEvent) {
        switch event {
        case .began(let scans, let jobs):
            state.withLock {
                $0.total = scans
                $0.start = DispatchTime.now().uptimeNanoseconds
            }
            if style == .json { log("began", [("scans", .number(scans)), ("jobs", .number(jobs))]) }
            if style == .lines { console.note("\(scans) scan\(scans == 1 ? "" : "s"), \(jobs) at a time") }
        case .scanBegan(let scan):
            state.withLock { $0.active.append(scan.path) }
            if style == .json { log("scan began", [("scan", .text(scan.path))]) }
        case .scanSkipped(let scan):
            finish(scan) { $0.skipped += 1 }
            if style == .json { log("scan unchanged", [("scan", .text(scan.path))]) }
            if style == .lines { line("unchanged", scan, "") }
        case .scanDone(let scan, let report):
            finish(scan) { $0.done += 1 }
            if style == .json {
                log(
                    "scan done",
                    [
                        ("scan", .text(scan.path)), ("seconds", .number(rounded(report.seconds))),
                        ("stages", .object(report.timings.map { ($0.stage, .number(rounded($0.seconds))) })),
                        ("warnings", .array(report.warnings.map { .text($0) })),
                    ])
            }
            if style == .lines {
                line("done", scan, "\(RunReporter.duration(report.seconds))  \(Self.headline(report.results))")
                for warning in report.warnings { console.note("            warning: \(warning.printable)") }
            }
        case .scanStopped(let scan, let report):
            finish(scan) { _ in }
            if style == .json {
                log("scan stopped", [("scan", .text(scan.path)), ("seconds", .number(rounded(report.seconds)))])
            }
            if style == .lines { line("partial", scan, "the best so far was written") }
        case .scanFailed(let scan, let failure):
            finish(scan) { $0.failed += 1 }
            if style == .json {
                log(
                    "scan failed",
                    [
                        ("scan", .text(scan.path)), ("kind", .text(failure.kind.rawValue)),
                        ("problem", .text(failure.description)),
                    ])
            } else {
                line("FAILED", scan, failure.description)
            }
        case .finishing(let scans, let drawsPictures):
            if style == .json { log("finishing", [("scans", .number(scans)), ("drawing", .bool(drawsPictures))]) }
            let noun = scans == 1 ? "scan" : "scans"
            if style == .lines, drawsPictures { console.note("Drawing \(scans) \(noun) on one scale") }
            if style == .lines, !drawsPictures, console.isInteractive {
                console.note("Telling the pages of \(scans) \(noun) the folder's scale")
            }
        case .ended(let summary): ended(summary)
        }
        if style == .lines { drawProgress() }
    }

    private func ended(_ summary: RunSummary) {
        console.clearProgress()
        state.withLock { $0.total = 0 }
        if style == .json {
            log(
                "ended",
                [
                    ("done", .number(summary.done)), ("unchanged", .number(summary.skipped)),
                    ("failed", .number(summary.failed.count)), ("notDone", .number(summary.stopped)),
                    ("seconds", .number(rounded(summary.seconds))), ("exitCode", .number(Int(summary.exitCode))),
                ])
            return
        }
        if style == .quiet, summary.failed.isEmpty, !summary.isInterrupted { return }
        var parts = ["\(summary.done) done"]
        if summary.skipped > 0 { parts.append("\(summary.skipped) unchanged") }
        if !summary.failed.isEmpty { parts.append("\(summary.failed.count) failed") }
        if summary.stopped > 0 { parts.append("\(summary.stopped) not done") }
        console.note("\(parts.joined(separator: ", ")) in \(Self.duration(summary.seconds))")
        if !summary.failed.isEmpty {
            console.note("Failed:")
            for (scan, failure) in summary.failed {
                console.note("  \(scan.path.printable): \(failure.description.printable)")
            }
        }
        if summary.isInterrupted { console.note("Stopped. The same command goes on where this one ended.") }
    }

    private func finish(_ scan: FoundScan, _ change: (inout State) -> Void) {
        state.withLock { state in
            if let index = state.active.firstIndex(of: scan.path) { state.active.remove(at: index) }
            change(&state)
        }
    }

    private func line(_ word: String, _ scan: FoundScan, _ text: String) {
        let count = state.withLock { "\($0.done + $0.skipped + $0.failed)/\($0.total)" }
        let padded = word + String(repeating: " ", count: max(0, 9 - word.count))
        console.note("\(padded) \(count)  \(scan.path.printable)\(text.isEmpty ? "" : "  \(text.printable)")")
    }

    private func drawProgress() {
        guard console.isInteractive else { return }
        let text = state.withLock { state -> String? in
            let finished = state.done + state.skipped + state.failed
            guard state.total > 0, finished < state.total else { return nil }
            var text = "\(finished)/\(state.total)"
            let seconds = Double(DispatchTime.now().uptimeNanoseconds - state.start) / 1e9
            // Only scans that were worked on tell how long one takes.
            let worked = state.done + state.failed
            if worked > 0 {
                let each = seconds / Double(worked)
                text +=
                    "  \(each < 1 ? String(format: "%.1f scans/s", 1 / each) : RunReporter.duration(each) + " a scan")"
                text += ", \(RunReporter.duration(each * Double(state.total - finished))) left"
            }
            if let scan = state.active.first { text += "  \(scan.printable)" }
            return text
        }
        if let text { console.showProgress(text) } else { console.clearProgress() }
    }

    private func log(_ event: String, _ fields: [(String, JSON)]) {
        let time = RunReporter.timestamp()
        console.printRaw(
            JSON.object([("time", .text(time)), ("event", .text(event))] + fields).serialized(pretty: false) + "\n")
    }

    private func rounded(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }

    private static func timestamp() -> String {
        let formatter = ISO8601DateFormatter()
        return formatter.string(from: Date())
    }

    /// What the network said and where the first map's heat peaks, in one line.
    static func headline(_ results: JSON) -> String {
        var parts: [String] = []
        for map in (results["maps"]?.array ?? []).prefix(3) {
            var text = "\(map["target"]?["label"]?.text ?? "")"
            if let probability = map["target"]?["probability"]?.number {
                text += String(format: " p %.3f", probability)
            }
            text += " \(map["method"]?.text ?? "")"
            if let direction = map["peak"]?["direction"]?.text {
                text += ": peak \(direction)"
                if let inside = map["labels"]?["peakInside"]?.bool {
                    text += inside ? ", in the label" : ", outside of the label"
                }
            } else {
                text += ": no positive heat"
            }
            parts.append(text)
        }
        return parts.joined(separator: "; ")
    }

    static func duration(_ seconds: Double) -> String {
        if seconds < 10 { return String(format: "%.1f s", seconds) }
        if seconds < 90 { return String(format: "%.0f s", seconds) }
        let minutes = Int((seconds / 60).rounded())
        return minutes < 90 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
    }
}

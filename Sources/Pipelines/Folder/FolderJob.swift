import Explanations
import Failures
import Foundation
import Rendering
import Volumes

/// `tomolens run`: a folder of scans, explained as a plan says.
public struct FolderJob: Sendable {
    public let plan: Plan
    public let input: URL
    public let output: URL
    public let scans: [FoundScan]
    /// Scans whose networks run at the same time. One more is being written meanwhile.
    public var jobs = 1
    public var force = false
    /// Where TensorBoard's event files go, if they are wanted.
    public var tensorboard: URL?
    /// Makes a scan's file, where it is not there from the beginning; called before a scan is looked at.
    public var fetch: (@Sendable (FoundScan) throws -> Void)?
    public var stop = StopRequest.process
    public var observe: @Sendable (RunEvent) -> Void = { _ in }

    /// Finds the scans and makes sure that no result can fall upon an input.
    ///
    /// - Parameters:
    ///   - given: the scans, where they are not to be sought in `input`.
    ///   - only: patterns; scans that fit none are left out.
    ///   - limit: so many scans at most.
    public init(
        plan: Plan, input: URL, scans given: [FoundScan]? = nil, output: URL, only: [String] = [], limit: Int? = nil
    ) throws {
        self.plan = plan
        self.input = input
        self.output = output
        try Self.refuse(input, as: output)
        var scans = try given ?? ScanFinder(input: input, settings: plan.words.input, skipping: output).find()
        if !only.isEmpty {
            let patterns = only.map(NamePattern.init)
            let chosen = scans.filter { scan in patterns.contains { $0.fits(scan.path) || $0.fits(scan.name) } }
            guard !chosen.isEmpty else {
                throw Failure(
                    .usage, "option '--only'", expected: "a pattern that fits a scan",
                    found: only.map { "'\($0)'" }.joined(separator: ", "),
                    remedy: Nearest.match(only[0], in: scans.map(\.path)).map { "Did you mean '\($0)'?" } ?? "")
            }
            scans = chosen
        }
        self.scans = Array(scans.prefix(limit ?? .max))
        try Self.protect(
            inputs: scans.map(\.url) + scans.compactMap(\.labels) + [plan.network.url], from: output, scans)
    }

    /// The results folder of a scan.
    public func folder(of scan: FoundScan) -> URL { output.appendingPathComponent(scan.name, isDirectory: true) }

    /// Whether a scan would be passed over, and if not, why.
    public func state(of scan: FoundScan) -> (isDone: Bool, reason: String) {
        if force { return (false, "--force") }
        guard let ledger = ScanLedger.read(from: folder(of: scan)) else { return (false, "no results yet") }
        let worker = worker(for: scan)
        guard let inputs = try? worker.inputs() else { return (false, "the scan cannot be read") }
        if ledger.inputs != inputs { return (false, "the scan has changed") }
        if ledger.network != plan.networkFiles { return (false, "the network has changed") }
        if ledger.settings != plan.settingsHash { return (false, "the settings have changed") }
        if !ledger.outputsAreWhole(in: folder(of: scan)) { return (false, "results are missing or changed") }
        return (true, "")
    }

    /// Runs all scans and writes the folder's summary.
    ///
    /// - Throws: only what concerns the folder as a whole; a scan's failure is in the summary.
    public func run() throws -> RunSummary {
        let start = DispatchTime.now().uptimeNanoseconds
        do {
            try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .output, output.path, expected: "a folder that exists or can be made",
                found: error.localizedDescription,
                remedy: "Choose another --output.")
        }
        removeLeftovers()
        let jobs = max(1, min(jobs, scans.count))
        observe(.began(scans: scans.count, jobs: jobs))
        let runner = FolderRunner(jobs: jobs + 1, stop: stop, observe: observe)
        let gate = Gate(places: jobs)
        let job = self
        var (summary, outcomes) = runner.run(scans) { scan in try job.work(scan, gate) }

        if !summary.isInterrupted { summary = finish(summary, outcomes) }
        summary.seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
        let written = FolderSummary(job: self, summary: summary, outcomes: outcomes)
        try written.write()
        if let tensorboard { try FolderEvents(job: self, lines: written.lines).write(to: tensorboard) }
        observe(.ended(summary))
        return summary
    }

    private func worker(for scan: FoundScan, _ gate: Gate? = nil) -> ScanWorker {
        ScanWorker(plan: plan, folder: folder(of: scan), scan: scan, isInFolder: true, gate: gate, stop: stop)
    }

    private func work(_ scan: FoundScan, _ gate: Gate) throws -> FolderRunner.Outcome {
        try fetch?(scan)
        let worker = worker(for: scan, gate)
        guard !force, let ledger = ScanLedger.read(from: folder(of: scan)) else { return .done(try worker.run()) }
        let inputs = try worker.inputs()
        return worker.isDone(ledger, inputs: inputs) ? .skipped : .done(try worker.run(inputs: inputs))
    }

    /// One scale a method over every scan that has results, then the pictures and pages of those that do not have it yet.
    private func finish(_ summary: RunSummary, _ outcomes: [Result<FolderRunner.Outcome, Failure>?]) -> RunSummary {
        guard scans.contains(where: { worker(for: $0).waitsForFolder }) else { return summary }
        let done = zip(scans, outcomes).filter { if case .success? = $0.1 { true } else { false } }.map(\.0)
        var ranges: [String: [ScaleRange]] = [:]
        for scan in done {
            guard let results = FolderSummary.results(in: folder(of: scan)) else { continue }
            for (method, top) in ScanWorker.tops(results, signed: plan.drawing.isSigned) where top > 0 {
                ranges[method, default: []].append(.fixed(top, signed: plan.drawing.isSigned))
            }
        }
        let shared = ranges.mapValues { ScaleRange.shared($0) }
        let scale = JSON.object(shared.sorted { $0.key < $1.key }.map { ($0.key, .number($0.value.top)) })
        let stale = done.filter { scan in ScanLedger.read(from: folder(of: scan)).map { $0.scale != scale } ?? false }
        if stale.isEmpty { return summary }
        observe(.finishing(scans: stale.count, drawsPictures: plan.drawsOverlays && plan.drawsOnFolderScale))
        let job = self
        // A drawing that fails counts against its scan like any other failure.
        let drawer = FolderRunner(jobs: jobs + 1, stop: stop) { event in
            if case .scanFailed = event { job.observe(event) }
        }
        let (drawn, _) = drawer.run(stale) { scan in
            try job.worker(for: scan).finish(shared, scale: scale)
            return .skipped
        }
        var summary = summary
        summary.failed += drawn.failed
        summary.done -= drawn.failed.count
        summary.stopped += drawn.stopped
        return summary
    }

    /// Temporary files that a killed run left behind.
    private func removeLeftovers() {
        guard let walker = FileManager.default.enumerator(at: output, includingPropertiesForKeys: nil) else { return }
        for case let url as URL in walker where url.lastPathComponent.hasPrefix(".") && url.pathExtension == "partial" {
            // Another run may be at work in the same folder: its process number is part of the name.
            let parts = url.lastPathComponent.split(separator: ".")
            guard parts.count >= 3, let process = Int32(parts[parts.count - 3]), process != getpid(),
                kill(process, 0) != 0
            else { continue }
            try? FileManager.default.removeItem(at: url)
        }
    }

    private static func real(_ url: URL) -> String { url.resolvingSymlinksInPath().standardizedFileURL.path }

    /// The output may not be the input folder itself. Asked before scans are sought, for the search passes over the output.
    private static func refuse(_ input: URL, as output: URL) throws {
        guard real(output) == real(input) else { return }
        throw Failure(
            .usage, "option '--output'", expected: "another folder than the input", found: "the input folder itself",
            remedy: "Results are never written among the scans; a folder inside it will do.")
    }

    /// No results folder may hold an input.
    private static func protect(inputs: [URL], from output: URL, _ scans: [FoundScan]) throws {
        let root = real(output)
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: output.path, isDirectory: &isFolder), !isFolder.boolValue {
            throw Failure(.usage, "option '--output'", expected: "a folder", found: "the file '\(output.path)'")
        }
        let results = Set(scans.map { root + "/" + $0.name })
        for input in inputs {
            let path = real(input)
            if let hit = results.first(where: { path.hasPrefix($0 + "/") }) {
                throw Failure(
                    .usage, "option '--output'", expected: "a folder in which no input lies",
                    found: "'\(path)' in '\(hit)'",
                    remedy: "Choose an output folder of its own.")
            }
        }
    }
}

import Failures
import Foundation

/// `tomolens explain`: one scan into one folder, done anew each time.
public struct ScanJob: Sendable {
    public let plan: Plan
    public let folder: URL
    private let scan: FoundScan
    public var stop = StopRequest.process

    /// - Throws: ``Failure`` of kind `.usage` when the output folder holds the scan itself.
    public init(plan: Plan, scan url: URL, output: URL, labels: URL? = nil) throws {
        self.plan = plan
        folder = output
        let name = url.lastPathComponent
        var labels = labels
        let stem = ScanFinder.stem(ofFile: name)
        if labels == nil, let pattern = plan.words.input.labels {
            let beside = url.deletingLastPathComponent().appendingPathComponent(pattern.replacing("{stem}", with: stem))
            if FileManager.default.fileExists(atPath: beside.path) { labels = beside }
        }
        scan = FoundScan(url: url, path: name, stem: stem, name: ScanFinder.names(for: [name])[name]!, labels: labels)
        func real(_ url: URL) -> String { url.resolvingSymlinksInPath().standardizedFileURL.path }
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: output.path, isDirectory: &isFolder), !isFolder.boolValue {
            throw Failure(.usage, "option '--output'", expected: "a folder", found: "the file '\(output.path)'")
        }
        let inputs = [url, plan.network.url] + (labels.map { [$0] } ?? [])
        if let hit = inputs.first(where: { real($0.deletingLastPathComponent()) == real(output) }) {
            throw Failure(
                .usage, "option '--output'", expected: "a folder in which no input lies",
                found: "'\(hit.lastPathComponent)' in it",
                remedy: "Choose a folder of its own.")
        }
    }

    public func run() throws -> ScanReport {
        let worker = ScanWorker(plan: plan, folder: folder, scan: scan, stop: stop)
        let report = try worker.run()
        // A folder of one scan shares its scale with nobody.
        if worker.waitsForFolder { try worker.finish([:], scale: .text("own")) }
        return report
    }
}

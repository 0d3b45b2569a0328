import Failures
import Foundation
import Synchronization
import Tensors

/// Other scans that an explained one is compared with; read and prepared once, when first asked for.
final class ReferenceScans: Sendable {
    let urls: [URL]
    private let prepared = Mutex<[Tensor<Float>]?>(nil)

    /// - Throws: a `Failure` when there is no scan at `url`.
    init(_ url: URL, _ settings: InputSettings) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw Failure(
                .pipeline, "input.references", expected: "a folder of scans, or a scan",
                found: "nothing at '\(url.path)'",
                remedy: "Paths in a pipeline are relative to the pipeline file.")
        }
        urls =
            isFolder.boolValue
            ? try ScanFinder(input: url, settings: settings, skipping: url.appendingPathComponent(".nowhere")).find()
                .map(\.url) : [url]
    }

    /// Every input that the network would be given: one a scan, or one a slice.
    func tensors(_ plan: Plan) throws -> [Tensor<Float>] {
        try prepared.withLock { known in
            if let known { return known }
            let found = try urls.flatMap { try plan.prepare($0).inputs.map(\.tensor) }
            known = found
            return found
        }
    }

    /// What results depend on.
    var hashes: [String] { urls.map { (try? SHA256.hex(ofFile: $0, kind: .scan)) ?? $0.path } }
}

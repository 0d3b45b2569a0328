import Failures
import Foundation
import Volumes

/// A folder's results as a BIDS derivative dataset: every heatmap under a BIDS name with a sidecar, and what describes the whole.
///
/// The results themselves lie in `tomolens/` of the dataset, as `tomolens run` writes them, and the BIDS names are further names
/// of the same files (hard links, or copies where a file system has none).
public struct BIDSDerivative: Sendable {
    /// The folder of the results within the dataset.
    public static let resultsFolder = "tomolens"
    private static let version = "1.10.0"

    public let root: URL
    let source: BIDSDataset

    public init(_ root: URL, of source: BIDSDataset) {
        self.root = root
        self.source = source
    }

    /// Writes the dataset from the results of a job whose output is `root`/`tomolens`.
    ///
    /// - Throws: ``Failure`` of kind `.output`.
    public func write(_ job: FolderJob) throws {
        removeHeatmaps()
        var descriptions: [String: String] = [:]
        for scan in job.scans {
            guard let results = FolderSummary.results(in: job.folder(of: scan)),
                let name = BIDSName(stem: scan.stem)
            else { continue }
            for map in results["maps"]?.array ?? [] { try add(map, of: scan, name, in: job, &descriptions) }
        }
        try AtomicFile.write(
            describe(job.plan).serialized(), to: root.appendingPathComponent("dataset_description.json"))
        // What is not of the standard: the results beside it, and CT, for which it has no suffix yet.
        let ignored = [Self.resultsFolder, "**/ct", "*_ct.nii.gz", "*_ct.json", "*_CT.nii.gz", "*_CT.json"]
        try AtomicFile.write(ignored.joined(separator: "\n") + "\n", to: root.appendingPathComponent(".bidsignore"))
        try AtomicFile.write(readme(job.plan), to: root.appendingPathComponent("README.md"))
        let rows = descriptions.sorted { $0.key < $1.key }.map { "desc-\($0.key)\t\($0.value)\n" }
        try AtomicFile.write(
            "desc_id\tdescription\n" + rows.joined(), to: root.appendingPathComponent("descriptions.tsv"))
        func column(_ text: String) -> JSON { .object([("Description", .text(text))]) }
        let columns = JSON.object([
            ("desc_id", column("The label in the names of heatmaps")),
            ("description", column("Method and explained answer")),
        ])
        try AtomicFile.write(columns.serialized(), to: root.appendingPathComponent("descriptions.json"))
    }

    private func add(
        _ map: JSON, of scan: FoundScan, _ name: BIDSName, in job: FolderJob, _ descriptions: inout [String: String]
    ) throws {
        guard let stem = map["stem"]?.text else { return }
        let label = BIDSName.label(stem)
        let target = map["target"]?["label"]?.text ?? ""
        let title = "\(map["title"]?.text ?? "") for \(target)".replacing("\t", with: " ").replacing("\n", with: " ")
        descriptions[label] = title
        let folder = (scan.path as NSString).deletingLastPathComponent
        for file in (map["files"]?.array ?? []).compactMap(\.text) where file.hasSuffix(".nii.gz") {
            let taps = file.range(of: "_tap", options: .backwards)
            let resolution = taps.map { BIDSName.label(String(file[$0.lowerBound...].dropLast(7))) }
            let place = root.appendingPathComponent(folder)
                .appendingPathComponent(name.derived(resolution: resolution, description: label))
            let origin = job.folder(of: scan).appendingPathComponent(file)
            try link(origin, to: place.appendingPathExtension("nii.gz"))
            let sidecar = origin.deletingPathExtension().deletingPathExtension().appendingPathExtension("json")
            let provenance = try JSON5Parser.parse(try Data(contentsOf: sidecar), named: sidecar.path, kind: .output)
            var members: [(String, JSON)] = [
                ("Description", .text("\(title): signed raw attribution of a neural network's answer")),
                ("Sources", .array([.text("bids:raw:\(scan.path)")])), ("SpatialReference", .text("orig")),
                ("SkullStripped", .bool(false)), ("Units", .text("arbitrary")),
            ]
            if let resolution {
                members.append(
                    (
                        "Resolution",
                        .object([(resolution, .text("the voxels of the network's layer, with their exact affine"))])
                    ))
            }
            members.append(("TomoLens", provenance))
            try AtomicFile.write(JSON.object(members).serialized(), to: place.appendingPathExtension("json"))
        }
    }

    /// Removes BIDS-named heatmaps of an earlier run, which are further names of files in the results.
    private func removeHeatmaps() {
        guard let walker = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil) else { return }
        let results = root.appendingPathComponent(Self.resultsFolder).standardizedFileURL.path
        var found: [URL] = []
        for case let url as URL in walker {
            if url.standardizedFileURL.path == results { walker.skipDescendants() }
            let name = url.lastPathComponent
            if name.hasPrefix("sub-"), name.contains("_desc-"), name.hasSuffix(".nii.gz") || name.hasSuffix(".json") {
                found.append(url)
            }
        }
        for url in found.filter(isOurs) { try? FileManager.default.removeItem(at: url) }
    }

    /// Whether a sidecar beside the file (or the file itself) says that this program made it.
    private func isOurs(_ url: URL) -> Bool {
        let name = url.lastPathComponent
        let stem = name.hasSuffix(".nii.gz") ? String(name.dropLast(7)) : String(name.dropLast(5))
        let sidecar = url.deletingLastPathComponent().appendingPathComponent("\(stem).json")
        guard let data = try? Data(contentsOf: sidecar) else { return false }
        return (try? JSON5Parser.parse(data, named: name))?["TomoLens"] != nil
    }

    private func link(_ origin: URL, to url: URL) throws {
        do {
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try? FileManager.default.removeItem(at: url)
            if (try? FileManager.default.linkItem(at: origin, to: url)) == nil {
                try AtomicFile.write(try Data(contentsOf: origin), to: url)
            }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                .output, url.path, expected: "a file that can be written", found: error.localizedDescription)
        }
    }

    private func describe(_ plan: Plan) -> JSON {
        let made = JSON.object([
            ("Name", .text("TomoLens")), ("Version", .text(Product.version)),
            ("Description", .text("Attribution maps of \(plan.networkFiles.first?.path ?? "a network")")),
        ])
        let name =
            (try? JSON5Parser.parse(
                try Data(contentsOf: source.root.appendingPathComponent("dataset_description.json")),
                named: "dataset_description.json"))?["Name"]?.text
        // By a relative path where the derivative lies in the dataset: then both can be moved.
        let raw = source.root.standardizedFileURL.path
        let here = root.standardizedFileURL.path
        let depth = here.hasPrefix(raw + "/") ? here.dropFirst(raw.count + 1).split(separator: "/").count : 0
        let address =
            depth > 0
            ? Array(repeating: "..", count: depth).joined(separator: "/") + "/" : source.root.absoluteURL.absoluteString
        return .object([
            ("Name", .text("Heatmaps of \(name ?? "a dataset")")), ("BIDSVersion", .text(Self.version)),
            ("DatasetType", .text("derivative")), ("GeneratedBy", .array([made])),
            ("SourceDatasets", .array([.object([("URL", .text(address))])])),
            ("DatasetLinks", .object([("raw", .text(address))])),
        ])
    }

    private func readme(_ plan: Plan) -> String {
        """
        # Heatmaps of a neural network's answers

        Made by \(Product.signature) with the network \(plan.networkFiles.first?.path ?? ""), for research.

        Each `_desc-` image is a map of what spoke for (positive) or against (negative) one answer of the network, as signed raw
        attribution: not rectified, not normalised. `res-tap` images lie on the voxels of the network's layer. The sidecars say
        what made them; `descriptions.tsv` says which method and answer each label stands for. `\(Self.resultsFolder)/` holds the
        same with pages to review, overlays and summaries.

        """
    }
}

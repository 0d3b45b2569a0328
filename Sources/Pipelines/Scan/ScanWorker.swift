import Explanations
import Failures
import Foundation
import Networks
import Rendering
import Reports
import Synchronization
import Tensors
import Volumes
import Workers

/// A scan as read, which can be given up while its memory is wanted for something else and is read once more when it is asked for.
final class HeldScan: Sendable {
    private let held: Mutex<ScanSource?>
    private let reading: @Sendable () throws -> ScanSource

    init(_ source: ScanSource, reading: @escaping @Sendable () throws -> ScanSource) {
        held = Mutex(source)
        self.reading = reading
    }

    func source() throws -> ScanSource {
        try held.withLock { held in
            if let source = held { return source }
            let source = try reading()
            held = source
            return source
        }
    }

    func giveUp() { held.withLock { $0 = nil } }

    /// Bytes of its voxels, as far as they are held.
    var bytes: Int { held.withLock { $0.map { 4 * $0.grid.count } ?? 0 } }
}

/// The patient's body in a scan, found when first asked for; nil where there is none to find.
final class BodyOnce: Sendable {
    private let scan: HeldScan
    private let found = Mutex<Mask??>(nil)

    init(_ scan: HeldScan) { self.scan = scan }

    var mask: Mask? {
        found.withLock { found in
            if let known = found { return known }
            var mask: Mask?
            if case .volume(let image)? = try? scan.source() { mask = BodyMask()(image.volume) }
            // Everything or nothing is no body: a picture, a scan of another kind, a crop within it.
            if let all = mask, !all.isSet.contains(true) || !all.isSet.contains(false) { mask = nil }
            found = .some(mask)
            return mask
        }
    }
}

/// Explains one scan: read, prepare, explain, place, write, draw.
struct ScanWorker: Sendable {
    let plan: Plan
    /// The scan's results folder.
    let folder: URL
    let scan: FoundScan
    /// Whether the scan is one of a folder's, whose page and scale it shares.
    var isInFolder = false
    /// What has to be passed before the network runs, where other scans are at work.
    var gate: Gate?
    var stop = StopRequest.process

    static let thumbnailName = "thumbnail.jpg"

    /// Whether something of this scan can only be finished when all maps of the folder are known.
    var waitsForFolder: Bool {
        plan.drawsOnFolderScale && (plan.drawsOverlays || plan.writesPage || !plan.viewers.isEmpty)
            || plan.writesPage && isInFolder
    }

    /// Hashes of what the results depend on.
    func inputs() throws -> [ScanLedger.Entry] {
        let files = ScanSource.files(of: scan.url) + (scan.labels.map { [$0] } ?? [])
        return try ScanLedger.Entry.entries(of: files.map { ($0, $0.lastPathComponent) }, kind: .scan)
    }

    /// Reads the scan, and hashes it meanwhile where that has not been done.
    private func read(_ known: [ScanLedger.Entry]?) throws -> (inputs: [ScanLedger.Entry], scan: HeldScan) {
        var inputs = known
        var source: ScanSource?
        try Workers.shared.forEachThrowing(2) { part in
            if part == 0 {
                if known == nil { inputs = try self.inputs() }
            } else {
                source = try ScanSource.read(scan.url, volume: plan.words.input.volume)
            }
        }
        return (
            inputs!,
            HeldScan(source!) { [scan, plan] in try ScanSource.read(scan.url, volume: plan.words.input.volume) }
        )
    }

    /// Whether a scan of this size is to be sparing of memory.
    private var isBounded: Bool { MemoryLimit.bytes != nil }

    /// Whether the ledger in the results folder says that this very work is done and whole.
    func isDone(_ ledger: ScanLedger, inputs: [ScanLedger.Entry]) -> Bool {
        ledger.inputs == inputs && ledger.network == plan.networkFiles && ledger.settings == plan.settingsHash
            && ledger.outputsAreWhole(in: folder)
    }

    /// Does everything for this scan but what ``finish(_:scale:)`` adds.
    ///
    /// The ledger is written last: without it, the folder's content counts as nothing.
    ///
    /// - Parameter known: what ``inputs()`` gives, where that has been asked for already.
    func run(inputs known: [ScanLedger.Entry]? = nil) throws -> ScanReport {
        let turn = gate?.take()
        try stop.check()
        var watch = Stopwatch()
        let (inputs, held) = try watch.time("read") {
            do { return try read(known) } catch {
                // What stands here from before says nothing about a scan that can no longer be read.
                ScanLedger.read(from: folder)?.removeOutputs(in: folder)
                throw error
            }
        }
        try prepareFolder()
        try stop.check()
        let labels: LabelMap? = try watch.time("read") {
            let grid = try held.source().grid
            return try scan.labels.map { try LabelMap($0, counted: plan.words.input.labelValues, on: grid) }
        }
        let body = BodyOnce(held)
        let found = try explain(held, mask: labels?.mask, labels: labels?.volume, body: body, &watch)
        // What comes now needs other memory than a network.
        TensorMemory.releaseAll()
        // Where memory is bounded the next scan comes when this one's is free again.
        if !isBounded { turn?.end() }
        defer { turn?.end() }
        let source = try watch.time("read") { try held.source() }
        // Stopped in the midst of sampling: what was found so far is written, as the best there is.
        let isPartial = found.explanations.contains(where: \.isPartial)
        func checkStop() throws { if !isPartial { try stop.check() } }
        try checkStop()

        var outputs: [URL] = []
        var maps: [JSON] = []
        var page = watch.time("page") {
            plan.writesPage
                ? ScanPage(
                    scan, source, found, labels: labels, plan: plan, inputs: inputs,
                    folderPage: isInFolder ? "../\(ScanPage.fileName)" : nil) : nil
        }
        let thumbnail =
            plan.writesPage && !found.explanations.isEmpty ? folder.appendingPathComponent(Self.thumbnailName) : nil
        outputs += try watch.time("write") { try writeSceneScan(source) }
        let stems = Self.stems(of: found.explanations)
        for (explanation, stem) in zip(found.explanations, stems) {
            let heat = try watch.time("place") { try explanation.placed(on: source.grid, seen: found.seen) }
            let measures = watch.time("measure") {
                HeatMeasures(heat, labels: labels?.volume, counted: labels?.counted)
            }
            let evidence = watch.time("measure") {
                labels.map { LabelEvidence(heat, labels: $0.volume, counted: $0.counted, body: body.mask) }
            }
            let description = MapDescription(
                explanation: explanation, measures: measures, evidence: evidence, heat: heat, plan: plan,
                inputs: inputs, seen: found.seen, stem: stem)
            let files = try watch.time("write") {
                try writeHeatmaps(explanation, heat: heat, stem: stem, description: description, header: source.header)
                    + explanation.matrices.flatMap {
                        try MatrixFiles.write($0, in: folder, stem: "\(scan.name)_\(stem)")
                    }
            }
            try checkStop()
            var pictures: [URL] = []
            if plan.drawsOverlays, plan.drawing.scale != .folder {
                pictures = try watch.time("draw") {
                    try draw(
                        heat, by: explanation.method, source, labels, caption: description.caption(scan.stem),
                        stem: stem,
                        shared: nil)
                }
            }
            try watch.time("page") {
                try page?.add(explanation, heat: heat, measures: measures)
                if let thumbnail, maps.isEmpty, !plan.drawsOnFolderScale {
                    try writeThumbnail(heat, by: explanation.method, source, labels, to: thumbnail, shared: nil)
                    outputs.append(thumbnail)
                }
            }
            var scenes: [URL] = []
            if !plan.drawsOnFolderScale {
                scenes = try watch.time("scenes") {
                    try writeScenes(heat, by: explanation.method, source, stem: stem, shared: nil)
                }
            }
            outputs += files + pictures + scenes
            maps.append(
                description.json(files: files.map(relative), pictures: pictures.map(relative))
                    .setting("scenes", .array(scenes.map { .text(relative($0)) })))
            try checkStop()
        }
        let warnings = warnings(source, found)
        let heatmaps = outputs.map(relative).filter { $0.hasSuffix(".nii.gz") }
        let pageURL = try watch.time("page") {
            try page?.write(warnings: warnings, links: heatmaps + ["results.json"], to: folder)
        }
        if let pageURL { outputs.append(pageURL) }
        var results = results(source, found, maps: maps, inputs: inputs, warnings: warnings)
        results = results.setting("page", .text(pageURL.map(relative)))
        results = results.setting("thumbnail", .text(thumbnail.map(relative)))
        let resultsURL = folder.appendingPathComponent("results.json")
        try AtomicFile.write(results.serialized(), to: resultsURL)
        outputs.append(resultsURL)
        let scale: JSON = waitsForFolder ? .text("pending") : .null
        // Results that were cut short are never taken for done.
        try ScanLedger(
            inputs: inputs, network: plan.networkFiles,
            settings: isPartial ? "stopped early: \(plan.settingsHash)" : plan.settingsHash, scale: scale,
            outputs: try ScanLedger.Entry.entries(of: outputs.map { ($0, relative($0)) }, kind: .output)
        ).write(to: folder)
        var report = ScanReport(results: results, timings: watch.stages)
        report.isPartial = isPartial
        return report
    }

    /// Removes what an earlier run left here, and refuses a folder in which something of the user's lies.
    private func prepareFolder() throws {
        if let ledger = ScanLedger.read(from: folder) { ledger.removeOutputs(in: folder) }
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .output, folder.path, expected: "a folder that can be made", found: error.localizedDescription,
                remedy: "Choose another --output.")
        }
    }

    private func relative(_ url: URL) -> String {
        String(url.standardizedFileURL.path.dropFirst(folder.standardizedFileURL.path.count + 1))
    }

    /// `gradcam_class1`, each once.
    private static func stems(of explanations: [Explanation]) -> [String] {
        var uses: [String: Int] = [:]
        return explanations.map { explanation in
            let stem = "\(explanation.method.name)_\(explanation.target.slug)"
            let count = uses[stem, default: 0] + 1
            uses[stem] = count
            return count == 1 ? stem : "\(stem)-\(count)"
        }
    }

    // MARK: Files

    private func writeHeatmaps(
        _ explanation: Explanation, heat: Volume, stem: String, description: MapDescription, header: NIfTIHeader?
    ) throws -> [URL] {
        var files: [URL] = []
        func write(_ volume: Volume, _ suffix: String, _ provenance: JSON) throws {
            let url = folder.appendingPathComponent("\(scan.name)_\(stem)\(suffix).nii.gz")
            var writer = NIfTIWriter()
            writer.encoding = plan.encoding
            writer.reference = header
            let statistics = VolumeStatistics(volume.voxels)
            let (top, lowest) = (max(0, statistics.maximum), min(0, statistics.minimum))
            if plan.drawing.isSigned, max(top, -lowest) > 0 {
                writer.displayRange = -Double(max(top, -lowest))...Double(max(top, -lowest))
            } else if top > 0 {
                writer.displayRange = 0...Double(top)
            }
            writer.intent = .estimate(String(explanation.method.name.prefix(15)))
            writer.description = "\(Product.signature) \(explanation.method.title)"
            writer.extensions = [NIfTIExtension(comment: provenance.serialized(pretty: false))]
            try writer.write(volume, to: url)
            let sidecar = folder.appendingPathComponent("\(scan.name)_\(stem)\(suffix).json")
            try AtomicFile.write(provenance.serialized(), to: sidecar)
            files += [url, sidecar]
        }
        for grid in plan.heatmaps {
            switch grid {
            case .scan: try write(heat, "", description.provenance(grid: "scan", tap: nil))
            case .tap:
                for (index, map) in explanation.maps.enumerated() {
                    let suffix = explanation.maps.count == 1 ? "_tap" : "_tap\(index + 1)"
                    try write(map.volume, suffix, description.provenance(grid: "tap", tap: map))
                }
            }
        }
        return files
    }

    private func draw(
        _ heat: Volume, by method: MethodDescriptor?, _ source: ScanSource, _ labels: LabelMap?,
        caption: OverlayCaption, stem: String,
        shared: ScaleRange?
    ) throws -> [URL] {
        try plan.drawing.draw(
            heat, over: source, labels: labels?.mask, caption: caption,
            range: plan.drawing.range(of: heat, by: method, shared: shared),
            folder: folder.appendingPathComponent("overlays").appendingPathComponent(stem),
            montage: folder.appendingPathComponent("\(scan.name)_\(stem)_montage.png"))
    }

    private func writeThumbnail(
        _ heat: Volume, by method: MethodDescriptor?, _ source: ScanSource, _ labels: LabelMap?, to url: URL,
        shared: ScaleRange?
    ) throws {
        let picture = try plan.drawing.thumbnail(
            heat, over: source, labels: labels?.mask, range: plan.drawing.range(of: heat, by: method, shared: shared))
        try AtomicFile.write(picture, to: url)
    }

    private func warnings(_ source: ScanSource, _ found: FoundExplanations) -> [String] {
        var warnings = source.warnings + found.notes
        if source.grid.count > 0, scan.labels == nil, let labels = plan.words.input.labels {
            warnings.append("no label map '\(labels.replacing("{stem}", with: scan.stem))' beside the scan")
        }
        return warnings
    }

    private func results(
        _ source: ScanSource, _ found: FoundExplanations, maps: [JSON], inputs: [ScanLedger.Entry], warnings: [String]
    ) -> JSON {
        let grid = source.grid
        return .object([
            ("version", .number(1)), ("tool", .text(Product.signature)),
            (
                "scan",
                .object([
                    ("file", .text(scan.path)), ("name", .text(scan.name)), ("inputs", .array(inputs.map(\.json))),
                    ("shape", .numbers([grid.shape.x, grid.shape.y, grid.shape.z].map(Double.init))),
                    ("spacing", .numbers([grid.spacing.x, grid.spacing.y, grid.spacing.z])),
                    ("orientation", .text(Orientation(grid.affine).code)),
                    ("affine", .array(grid.affine.rows.map { .numbers($0) })),
                ])
            ),
            ("network", .array(plan.networkFiles.map(\.json))),
            ("pipeline", .text(plan.words.name ?? plan.words.source?.lastPathComponent)),
            ("settings", .text(plan.settingsHash)),
            ("answer", found.answer),
            ("maps", .array(maps)),
            ("warnings", .array(warnings.map { .text($0) })),
        ])
    }

    // MARK: The shared scale

    /// The top of each map's own range, by the name of its method: what a folder's scale is made of.
    static func tops(_ results: JSON, signed: Bool) -> [String: Float] {
        var tops: [String: Float] = [:]
        for map in results["maps"]?.array ?? [] {
            guard let key = map["method"]?.text else { continue }
            var top = map["highest"]?.number ?? 0
            if signed { top = max(top, -(map["lowest"]?.number ?? 0)) }
            tops[key] = max(tops[key] ?? 0, Float(top))
        }
        return tops
    }

    /// Gives a scan that is done what had to wait for the folder: pictures on its scale, drawn from the written heatmaps, and
    /// the scale in the page.
    ///
    /// - Parameter scale: the scale as the ledger keeps it; nothing is done where the scan has it already.
    func finish(_ ranges: [String: ScaleRange], scale: JSON) throws {
        guard var ledger = ScanLedger.read(from: folder), ledger.scale != scale else { return }
        // From here on the folder is not whole until its new ledger is written.
        try? FileManager.default.removeItem(at: folder.appendingPathComponent(ScanLedger.fileName))
        if plan.drawsOnFolderScale { try drawShared(ranges, &ledger) }
        if plan.writesPage, isInFolder {
            let url = folder.appendingPathComponent(ScanPage.fileName)
            try ReviewPage.setFolderScales(ranges.mapValues { Double($0.top) }, inPageAt: url)
            try replace(url, in: &ledger)
        }
        ledger.scale = scale
        try ledger.write(to: folder)
    }

    private func replace(_ url: URL, in ledger: inout ScanLedger) throws {
        let entry = try ScanLedger.Entry(of: url, as: relative(url), kind: .output)
        ledger.outputs.removeAll { $0.path == entry.path }
        ledger.outputs.append(entry)
    }

    private func drawShared(_ ranges: [String: ScaleRange], _ ledger: inout ScanLedger) throws {
        let resultsURL = folder.appendingPathComponent("results.json")
        let results = try JSON5Parser.parse(try Data(contentsOf: resultsURL), named: resultsURL.path, kind: .output)
        let source = try ScanSource.read(scan.url, volume: plan.words.input.volume)
        let labels = try scan.labels.map { try LabelMap($0, counted: plan.words.input.labelValues, on: source.grid) }
        var maps: [JSON] = []
        for map in results["maps"]?.array ?? [] {
            try stop.check()
            let replaced = (map["pictures"]?.array ?? []) + (map["scenes"]?.array ?? [])
            for old in replaced.compactMap(\.text) {
                try? FileManager.default.removeItem(at: folder.appendingPathComponent(old))
                ledger.outputs.removeAll { $0.path == old }
            }
            if !plan.drawsOverlays, plan.viewers.isEmpty, !maps.isEmpty { break }
            let heat = try writtenHeat(map, on: source.grid)
            let shared = map["method"]?.text.flatMap { ranges[$0] }
            let method = map["method"]?.text.flatMap { try? MethodCatalogue.descriptor($0) }
            if plan.writesPage, maps.isEmpty {
                let url = folder.appendingPathComponent(Self.thumbnailName)
                try writeThumbnail(heat, by: method, source, labels, to: url, shared: shared)
                try replace(url, in: &ledger)
            }
            var pictures: [URL] = []
            if plan.drawsOverlays {
                pictures = try draw(
                    heat, by: method, source, labels, caption: MapDescription.caption(of: map, scan: scan.stem),
                    stem: map["stem"]?.text ?? "map", shared: shared)
            }
            let scenes = try writeScenes(
                heat, by: method, source, stem: map["stem"]?.text ?? "map", shared: shared)
            for url in pictures + scenes { try replace(url, in: &ledger) }
            maps.append(
                map.setting("pictures", .array(pictures.map { .text(relative($0)) }))
                    .setting("scenes", .array(scenes.map { .text(relative($0)) })))
        }
        if !plan.drawsOverlays, plan.viewers.isEmpty { return }
        try AtomicFile.write(results.setting("maps", .array(maps)).serialized(), to: resultsURL)
        try replace(resultsURL, in: &ledger)
    }

    /// A map on the scan's grid, from the files it was written to.
    private func writtenHeat(_ map: JSON, on grid: Grid) throws -> Volume {
        let files = map["files"]?.array?.compactMap(\.text).filter { $0.hasSuffix(".nii.gz") } ?? []
        if let whole = files.first(where: { !$0.contains("_tap") || plan.heatmaps == [.scan] }),
            plan.heatmaps.contains(.scan)
        {
            return try NIfTIFile.read(folder.appendingPathComponent(whole)).volume
        }
        let seen = Grid.read(map["seen"])
        let maps = try files.map { try NIfTIFile.read(folder.appendingPathComponent($0)).volume }
        guard let seen, !maps.isEmpty else {
            throw Failure(.output, folder.path, expected: "written heatmaps to draw from", found: "none")
        }
        return HeatPlacement.fuse(try maps.map { try HeatPlacement.place($0, on: grid, seen: seen) })
    }
}

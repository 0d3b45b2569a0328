import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Rendering
import Reports
import Tensors
import Volumes

/// Everything about a run that is the same for all scans: settings joined and checked, the network read and understood.
public struct Plan: Sendable {
    /// The words of the command line, the pipeline file and the network's metadata, joined.
    public let words: PipelineFile
    public let network: Network
    public let networkFiles: [ScanLedger.Entry]
    public let explainer: Explainer
    public let preparation: PreparationPlan
    public let targets: [Target]
    public let request: Explainer.Request
    public let drawing: Drawing
    public let heatmaps: [ExportSettings.HeatmapGrid]
    public let encoding: NIfTIWriter.Encoding
    public let drawsOverlays: Bool
    /// How accurately convolutions are to be computed; whoever runs the plan sets it for the process.
    public let accuracy: ConvolutionEngine.Accuracy
    public let writesPage: Bool
    /// For which scenes are written.
    public let viewers: [Viewer]
    /// What was decided because nobody said otherwise, and how to say it.
    public let assumptions: [String]
    /// Scans that the explained ones are compared with, if there are any.
    let references: ReferenceScans?
    /// Everything that matters for the results; its hash is in every ledger.
    public let settings: JSON
    public let settingsHash: String

    /// Reads the network and checks the words against it.
    ///
    /// - Parameters:
    ///   - model: the network given on the command line; it wins over the file's `network.file`.
    ///   - forPictures: whether the scans are images, for which other defaults hold.
    public init(_ given: PipelineFile, model: URL?, forPictures: Bool = false) throws {
        let url: URL
        if let model {
            url = model
        } else if let file = given.network.file {
            url = given.resolve(file)
            guard FileManager.default.fileExists(atPath: url.path) else {
                throw Failure(
                    .pipeline, given.source?.path ?? "pipeline", expected: "network.file to name an ONNX file",
                    found: "no file at '\(url.path)'",
                    remedy: "Paths in a pipeline are relative to the pipeline file; --model overrides it.")
            }
        } else {
            throw Failure(
                .pipeline, given.source?.path ?? "pipeline", expected: "network.file, the ONNX file", found: "none",
                remedy: "Name it there or with --model.")
        }
        let network = try Network(contentsOf: url)
        var words = given
        if let text = network.metadata["tomolens"] {
            words = given.completed(by: try .fromMetadata(text, of: url.lastPathComponent))
        }
        self.words = words
        self.network = network
        networkFiles = try Self.files(of: url).map {
            try ScanLedger.Entry(of: $0, as: $0.lastPathComponent, kind: .network)
        }
        let explainer = try Self.located(given, names: true) {
            try Explainer(
                network: network, inputName: words.network.input, outputName: words.network.output,
                otherInputs: try Self.otherInputs(words, network), classNames: words.network.classes ?? [],
                activation: words.network.activation)
        }
        var assumptions: [String] = []
        let preparation = try Self.located(given) {
            try PreparationPlan(
                words, network: network, inputName: explainer.inputName, forPictures: forPictures,
                assumptions: &assumptions)
        }
        self.explainer = explainer
        self.preparation = preparation
        let classNames = words.network.classes ?? []
        targets = try Self.located(given) {
            try (words.targets ?? [.highest]).map { try $0.target(classNames: classNames) }
        }
        let taps = words.taps ?? []
        try Self.located(given, names: true) { for tap in taps { _ = try network.tap(tap) } }
        request = Explainer.Request(
            methods: words.methods ?? [], taps: taps, targets: targets,
            explainsProbability: words.explain == .probability)
        if words.targets == nil { assumptions.append("target argmax: the class with the highest score (--target)") }
        if words.methods == nil {
            let standard = try explainer.defaultMethod()
            assumptions.append("method \(standard.choice.name)\(standard.note.map { ": \($0)" } ?? "") (--method)")
        }
        drawing = Drawing(words.rendering)
        heatmaps = words.exports.heatmaps ?? [.scan, .tap]
        encoding = NIfTIWriter.Encoding(rawValue: (words.exports.datatype ?? .float32).rawValue)!
        drawsOverlays = words.exports.overlays ?? true
        accuracy = words.accuracy ?? .balanced
        writesPage = words.exports.page ?? true
        let names = words.exports.viewers ?? []
        viewers = Viewer.allCases.filter { names.contains($0.rawValue) }
        if !viewers.isEmpty, !heatmaps.contains(.scan) {
            throw Failure(
                .pipeline, given.source?.path ?? "pipeline", expected: "exports.heatmaps with scan",
                found: "none on the scan's voxels, and viewers to write scenes for",
                remedy: "Viewers lay the heatmap on the scan's own voxels over the scan.")
        }
        if drawing.scale == .folder, drawsOverlays, heatmaps.isEmpty {
            throw Failure(
                .pipeline, given.source?.path ?? "pipeline", expected: "exports.heatmaps with scan or tap",
                found: "none, and rendering.scale is \"folder\"",
                remedy: "Overlays on the folder's scale are drawn from the written heatmaps.")
        }
        self.assumptions = assumptions
        references = try words.input.references.map { try ReferenceScans(words.resolve($0), words.input) }
        settings = Self.settings(
            words, explainer: explainer, preparation: preparation, drawing: drawing, heatmaps: heatmaps,
            encoding: encoding, drawsOverlays: drawsOverlays, writesPage: writesPage, viewers: viewers,
            references: references)
        settingsHash = SHA256.hex(settings.serialized(pretty: false))
    }

    /// Failures about the words name the file they stand in.
    /// Failures of `body` as failures of the pipeline file, where there is one.
    ///
    /// - Parameter names: whether what the network lacks was named by the file: an input, an output, a layer.
    private static func located<Result>(
        _ file: PipelineFile, names: Bool = false, _ body: () throws -> Result
    ) throws -> Result {
        do { return try body() } catch let failure as Failure {
            guard let source = file.source,
                failure.kind == .pipeline || failure.kind == .usage || (names && failure.kind == .network)
            else { throw failure }
            var failure = failure.within(source.path)
            failure.kind = .pipeline
            throw failure
        }
    }

    /// The model and the data file beside it that its exporter may have written.
    private static func files(of url: URL) -> [URL] {
        let data = url.appendingPathExtension("data")
        return FileManager.default.fileExists(atPath: data.path) ? [url, data] : [url]
    }

    private static func otherInputs(_ words: PipelineFile, _ network: Network) throws -> [String: Value] {
        var values: [String: Value] = [:]
        for (name, given) in words.network.inputs ?? [] {
            guard let port = network.inputs.first(where: { $0.name == name }) else {
                throw Failure(
                    .pipeline, "network.inputs.\(name)", expected: "an input of the network",
                    found: "no input '\(name)'",
                    remedy: Nearest.suggestion(name, in: network.inputs.map(\.name)))
            }
            values[name] = try value(given, for: port, words)
        }
        return values
    }

    /// The value in the port's shape, with open extents taken as 1.
    private static func value(
        _ given: NetworkSettings.OtherInput, for port: NetworkPort, _ words: PipelineFile
    ) throws -> Value {
        let key = "network.inputs.\(port.name)"
        var shape = (port.dims ?? []).map { if case .fixed(let extent) = $0 { extent } else { 1 } }
        let numbers: [Double]
        switch given {
        case .constant(let values): numbers = values
        case .file(let path):
            let url = words.resolve(path)
            if NIfTIFile.hasKnownName(url) {
                let volume = try NIfTIFile.read(url).volume
                // A network's axes are slowest first, a volume's fastest first.
                let turned = Rearrangement(axes: [2, 1, 0])(volume)
                numbers = turned.voxels.map(Double.init)
                let spatial = [volume.grid.shape.x, volume.grid.shape.y, volume.grid.shape.z]
                if port.fixedShape == nil { shape = Array(repeating: 1, count: max(0, shape.count - 3)) + spatial }
            } else {
                let tensor = try TensorReader.read(url)
                return tensor.value
            }
        }
        let count = shape.elementCount
        guard numbers.count == count || numbers.count == 1 else {
            throw Failure(
                .pipeline, key, expected: "1 or \(count) numbers, for the input is \(port.shapeText)",
                found: "\(numbers.count)")
        }
        let values = numbers.count == count ? numbers : [Double](repeating: numbers[0], count: count)
        switch port.elementType.kind {
        case .integer: return .integer(Tensor(shape: shape, values: values.map { Int64($0.rounded()) }))
        case .boolean: return .boolean(Tensor(shape: shape, values: values.map { $0 != 0 }))
        default: return .float(Tensor(shape: shape, values: values.map { Float($0) }))
        }
    }

    /// Whether pictures have to wait for the scale of the whole folder, and are then drawn from the written heatmaps.
    var drawsOnFolderScale: Bool { drawing.scale == .folder && !heatmaps.isEmpty }

    private static func settings(
        _ words: PipelineFile, explainer: Explainer, preparation: PreparationPlan, drawing: Drawing,
        heatmaps: [ExportSettings.HeatmapGrid], encoding: NIfTIWriter.Encoding, drawsOverlays: Bool,
        writesPage: Bool, viewers: [Viewer], references: ReferenceScans?
    ) -> JSON {
        let methods: [JSON] = (words.methods ?? []).map { choice in
            .object(
                [("method", .text(choice.name))]
                    + choice.options.sorted { $0.key < $1.key }.map { ($0.key, .text($0.value.description)) })
        }
        let inputs: [(String, JSON)] = (words.network.inputs ?? []).map { name, value in
            switch value {
            case .constant(let numbers): return (name, .numbers(numbers))
            case .file(let path):
                return (name, .text((try? SHA256.hex(ofFile: words.resolve(path), kind: .pipeline)) ?? path))
            }
        }
        // One member at a time: as a single literal this is more than the type checker unravels in reasonable time.
        let volume: JSON = words.input.volume.map { .number($0) } ?? .null
        let labelValues: JSON = words.input.labelValues.map { .numbers($0.map(Double.init)) } ?? .null
        var input: [(String, JSON)] = [
            ("volume", volume), ("labels", .text(words.input.labels)), ("labelValues", labelValues),
        ]
        if let references { input.append(("references", .array(references.hashes.map { .text($0) }))) }
        let classes: [JSON] = (words.network.classes ?? []).map { .text($0) }
        let network: [(String, JSON)] = [
            ("input", .text(explainer.inputName)), ("output", .text(explainer.outputName)), ("inputs", .object(inputs)),
            ("classes", .array(classes)), ("activation", .text(words.network.activation?.rawValue ?? "auto")),
        ]
        let targets: [JSON] = (words.targets ?? [.highest]).map { .text($0.text) }
        let taps: [JSON] = (words.taps ?? []).map { .text($0) }
        let exports: [(String, JSON)] = [
            ("heatmaps", .array(heatmaps.map { .text($0.rawValue) })), ("datatype", .text(encoding.rawValue)),
            ("overlays", .bool(drawsOverlays)), ("page", .bool(writesPage)),
            ("viewers", .array(viewers.map { .text($0.rawValue) })),
        ]
        let members: [(String, JSON)] = [
            ("tool", .text(Product.signature)), ("input", .object(input)), ("network", .object(network)),
            ("preparation", preparation.json), ("targets", .array(targets)), ("methods", .array(methods)),
            ("taps", .array(taps)), ("explain", .text((words.explain ?? .logit).rawValue)),
            ("accuracy", .text((words.accuracy ?? .balanced).rawValue)), ("rendering", drawing.json),
            ("exports", .object(exports)),
        ]
        return .object(members)
    }
}

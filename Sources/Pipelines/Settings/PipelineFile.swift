import Explanations
import Failures
import Foundation
import Tensors

/// What a pipeline file (or a network's own metadata) says; what it does not say is nil.
///
/// The same keys may come from three places. The command line wins over the pipeline file, and the pipeline file over the
/// block that a network carries in its metadata under the key `tomolens`; ``completed(by:)`` joins them.
public struct PipelineFile: Sendable {
    /// The file it was read from: paths inside it are relative to its folder.
    public var source: URL?
    public var name: String?
    public var description: String?
    public var input = InputSettings()
    public var network = NetworkSettings()
    public var layout = LayoutSettings()
    public var preparation: [StepSettings]?
    public var targets: [TargetSettings]?
    public var methods: [MethodChoice]?
    public var taps: [String]?
    public var explain: ExplainedValue?
    public var accuracy: ConvolutionEngine.Accuracy?
    public var rendering = RenderingSettings()
    public var exports = ExportSettings()
    /// What the command line changes in the preparation.
    public var shortcuts = PreparationShortcuts()

    public init() {}

    /// Whether the logit or the probability of a class is explained.
    public enum ExplainedValue: String, Sendable, CaseIterable {
        case logit
        case probability
    }

    /// Reads a pipeline file.
    ///
    /// - Throws: ``Failure`` of kind `.pipeline` that names the file, the key's path and its line.
    public static func read(_ url: URL) throws -> PipelineFile {
        let data: Data
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw Failure(
                .pipeline, url.path, expected: "a pipeline file (.json5)", found: "no such file",
                remedy: nearby(url))
        }
        guard !isFolder.boolValue else {
            throw Failure(.pipeline, url.path, expected: "a pipeline file (.json5)", found: "a folder")
        }
        do { data = try Data(contentsOf: url) } catch {
            throw Failure(.pipeline, url.path, expected: "a readable file", found: error.localizedDescription)
        }
        let json = try JSON5Parser.parse(data, named: url.path)
        do {
            var file = try PipelineFile(json)
            file.source = url
            return file
        } catch let failure as Failure { throw failure.within(url.path) }
    }

    /// A pipeline file with a similar name in the same folder.
    private static func nearby(_ url: URL) -> String {
        let folder = url.deletingLastPathComponent()
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let candidates = names.filter { $0.hasSuffix(".json5") || $0.hasSuffix(".json") }.sorted()
        return Nearest.match(url.lastPathComponent, in: candidates).map { "Did you mean '\($0)'?" } ?? ""
    }

    /// Reads the keys of a parsed file; unknown keys, wrong types and impossible values are refused.
    public init(_ json: JSON) throws {
        let keys = try KeyReader(json, at: "", group: PipelineKeys.root)
        guard let version = keys.value("version") else {
            throw KeyReader.failure(
                "version", json, expected: "version: 1", found: "no version",
                remedy: "Begin the file with { version: 1, … }.")
        }
        guard version.number == 1 else {
            throw keys.wrong("version", expected: "1, the only version of the format")
        }
        name = try keys.text("name")
        description = try keys.text("description")
        if let keys = try keys.object("input", PipelineKeys.input) { input = try InputSettings(keys) }
        if let keys = try keys.object("network", PipelineKeys.network) { network = try NetworkSettings(keys) }
        if let keys = try keys.object("layout", PipelineKeys.layout) { layout = try LayoutSettings(keys) }
        preparation = try keys.elements("preparation")?.flatMap { try StepSettings.read($0.json, at: $0.path) }
        targets = try keys.elements("targets")?.map { try TargetSettings($0.json, at: $0.path) }
        methods = try keys.elements("methods")?.map { try Self.method($0.json, at: $0.path) }
        taps = try keys.texts("taps")
        explain = try keys.choice("explain", ExplainedValue.self)
        accuracy = try keys.choice("accuracy", ConvolutionEngine.Accuracy.self)
        if let keys = try keys.object("rendering", PipelineKeys.rendering) { rendering = try RenderingSettings(keys) }
        if let keys = try keys.object("exports", PipelineKeys.exports) { exports = try ExportSettings(keys) }
        for (key, isEmpty) in [
            ("targets", targets?.isEmpty), ("methods", methods?.isEmpty), ("taps", taps?.isEmpty),
        ] where isEmpty == true {
            throw keys.wrong(key, expected: "at least one element", remedy: "Leave the key out for the default.")
        }
    }

    /// The block that a network carries in its metadata, in the words of a pipeline file.
    public static func fromMetadata(_ text: String, of network: String) throws -> PipelineFile {
        let subject = "\(network), metadata 'tomolens'"
        let json = try JSON5Parser.parse(Data(text.utf8), named: subject, kind: .network)
        do {
            return try PipelineFile(json)
        } catch var failure as Failure {
            failure.kind = .network
            throw failure.within(subject)
        }
    }

    /// `"gradcam"`, or `{method: "smoothgrad", samples: 20}`.
    private static func method(_ json: JSON, at path: String) throws -> MethodChoice {
        var choice: MethodChoice
        if let name = json.text {
            choice = MethodChoice(name)
        } else if let members = json.members, let name = json["method"]?.text {
            choice = MethodChoice(name)
            for member in members where member.key != "method" {
                switch member.value.content {
                case .number(let value): choice.options[member.key] = .number(value)
                case .text(let value): choice.options[member.key] = .word(value)
                case .bool(let value): choice.options[member.key] = .flag(value)
                default:
                    throw KeyReader.failure(
                        "\(path).\(member.key)", member.value, expected: "a number, a word, true or false")
                }
            }
        } else {
            throw KeyReader.failure(path, json, expected: "a method's name or {method: name, …}")
        }
        do {
            _ = try MethodCatalogue.make(choice)
        } catch let failure as Failure {
            throw KeyReader.failure(
                path, json, expected: failure.expected, found: failure.found, remedy: failure.remedy)
        }
        return choice
    }

    /// This file's words, and `other`'s where this one is silent.
    public func completed(by other: PipelineFile) -> PipelineFile {
        var result = self
        result.name = name ?? other.name
        result.description = description ?? other.description
        result.input = input.completed(by: other.input)
        result.network = network.completed(by: other.network)
        result.layout = layout.completed(by: other.layout)
        result.preparation = preparation ?? other.preparation
        result.targets = targets ?? other.targets
        result.methods = methods ?? other.methods
        result.taps = taps ?? other.taps
        result.explain = explain ?? other.explain
        result.accuracy = accuracy ?? other.accuracy
        result.rendering = rendering.completed(by: other.rendering)
        result.exports = exports.completed(by: other.exports)
        return result
    }

    /// A path of this file, relative to its folder.
    public func resolve(_ path: String) -> URL {
        if path.hasPrefix("/") { return URL(fileURLWithPath: path) }
        let folder =
            source?.deletingLastPathComponent() ?? URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
        return folder.appendingPathComponent(path).standardizedFileURL
    }
}

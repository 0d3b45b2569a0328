import Failures
import Foundation
import Volumes
import Workers

/// What was made of one scan, and from what: `ledger.json` in the scan's results folder.
///
/// It is written last, so that a folder with a ledger is complete. The next run compares hashes and passes over a scan for
/// which nothing has changed and whose outputs are whole.
public struct ScanLedger: Sendable, Equatable {
    public static let fileName = "ledger.json"

    /// A file by name, size and content.
    public struct Entry: Sendable, Equatable {
        public var path: String
        public var bytes: Int
        public var sha256: String

        public init(path: String, bytes: Int, sha256: String) {
            self.path = path
            self.bytes = bytes
            self.sha256 = sha256
        }

        /// - Parameter path: how the entry names the file.
        public init(of url: URL, as path: String, kind: Failure.Kind) throws {
            let size = (try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? NSNumber)?.intValue
            self.init(path: path, bytes: size ?? -1, sha256: try SHA256.hex(ofFile: url, kind: kind))
        }

        /// Entries of several files, in order, hashed on all threads.
        public static func entries(of files: [(url: URL, path: String)], kind: Failure.Kind) throws -> [Entry] {
            try Workers.shared.map(files.count) { try Entry(of: files[$0].url, as: files[$0].path, kind: kind) }
        }

        public var json: JSON {
            .object([("path", .text(path)), ("bytes", .number(bytes)), ("sha256", .text(sha256))])
        }

        init?(_ json: JSON) {
            guard let path = json["path"]?.text, let bytes = json["bytes"]?.number, let hash = json["sha256"]?.text,
                bytes == bytes.rounded(), abs(bytes) < 9e15
            else { return nil }
            self.init(path: path, bytes: Int(bytes), sha256: hash)
        }
    }

    /// The scan's file or files and its label map.
    public var inputs: [Entry]
    /// The network's file or files.
    public var network: [Entry]
    /// Hash of everything in the pipeline that matters for the results, and of the program's version.
    public var settings: String
    /// The colour scale of each overlay, where it was shared by the folder.
    public var scale: JSON
    /// Paths are relative to the scan's results folder.
    public var outputs: [Entry]

    public init(inputs: [Entry], network: [Entry], settings: String, scale: JSON = .null, outputs: [Entry]) {
        self.inputs = inputs
        self.network = network
        self.settings = settings
        self.scale = scale
        self.outputs = outputs
    }

    public func write(to folder: URL) throws {
        let json = JSON.object([
            ("version", .number(1)), ("inputs", .array(inputs.map(\.json))), ("network", .array(network.map(\.json))),
            ("settings", .text(settings)), ("scale", scale), ("outputs", .array(outputs.map(\.json))),
        ])
        try AtomicFile.write(json.serialized(), to: folder.appendingPathComponent(Self.fileName))
    }

    /// The ledger of a results folder, or nil where there is none that can be read: then the scan is done again.
    public static func read(from folder: URL) -> ScanLedger? {
        guard let data = try? Data(contentsOf: folder.appendingPathComponent(fileName)),
            let json = try? JSON5Parser.parse(data, named: fileName), json["version"] == .number(1),
            let settings = json["settings"]?.text
        else { return nil }
        func entries(_ key: String) -> [Entry]? {
            guard let list = json[key]?.array else { return nil }
            let entries = list.compactMap(Entry.init)
            return entries.count == list.count ? entries : nil
        }
        guard let inputs = entries("inputs"), let network = entries("network"), let outputs = entries("outputs") else {
            return nil
        }
        return ScanLedger(
            inputs: inputs, network: network, settings: settings, scale: json["scale"] ?? .null, outputs: outputs)
    }

    /// Whether every output is there with the bytes it was written with.
    public func outputsAreWhole(in folder: URL) -> Bool {
        let files = outputs.map { (url: folder.appendingPathComponent($0.path), path: $0.path) }
        return (try? Entry.entries(of: files, kind: .output)) == outputs
    }

    /// Removes the outputs that this ledger names and the ledger itself; nothing else.
    public func removeOutputs(in folder: URL) {
        try? FileManager.default.removeItem(at: folder.appendingPathComponent(Self.fileName))
        for entry in outputs where !entry.path.hasPrefix("/") && !entry.path.split(separator: "/").contains("..") {
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(entry.path))
        }
    }
}

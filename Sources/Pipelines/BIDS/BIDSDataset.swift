import Failures
import Foundation

/// A dataset in the Brain Imaging Data Structure (bids-specification.readthedocs.io) as an input: which scans of which
/// participants are taken.
public struct BIDSDataset: Sendable {
    public let root: URL
    /// Without `sub-`, sorted.
    public let participants: [String]

    /// - Throws: ``Failure`` of kind `.scan` when the folder is no BIDS dataset.
    public init(_ root: URL) throws {
        self.root = root
        let description = root.appendingPathComponent("dataset_description.json")
        guard FileManager.default.fileExists(atPath: description.path) else {
            throw Failure(
                .scan, root.path, expected: "a BIDS dataset, with dataset_description.json in it", found: "none",
                remedy: "For other folders use 'tomolens run'.")
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        participants = names.filter { name in
            var isFolder: ObjCBool = false
            return name.hasPrefix("sub-")
                && FileManager.default.fileExists(
                    atPath: root.appendingPathComponent(name).path, isDirectory: &isFolder)
                && isFolder.boolValue
        }.map { String($0.dropFirst(4)) }.sorted()
    }

    /// Patterns of the files to take, for ``InputSettings/patterns``.
    ///
    /// - Parameters:
    ///   - labels: participants, with or without `sub-`; empty: all.
    ///   - sessions: with or without `ses-`; empty: all.
    ///   - suffix: what the names end in before the extension, such as `ct` or `T1w`.
    /// - Throws: ``Failure`` of kind `.usage` for a participant that is not there.
    public func patterns(participants labels: [String], sessions: [String], suffix: String) throws -> [String] {
        let asked = labels.map { $0.hasPrefix("sub-") ? String($0.dropFirst(4)) : $0 }
        if let unknown = asked.first(where: { !participants.contains($0) }) {
            throw Failure(
                .usage, "option '--participant-label'", expected: "a participant of the dataset", found: "'\(unknown)'",
                remedy: Nearest.suggestion(unknown, in: participants))
        }
        let chosen = asked.isEmpty ? participants : asked
        let visits = sessions.map { $0.hasPrefix("ses-") ? String($0.dropFirst(4)) : $0 }
        var patterns: [String] = []
        for name in chosen.map(Self.literal) {
            let folders =
                visits.isEmpty
                ? ["sub-\(name)/*", "sub-\(name)/ses-*/*"] : visits.map { "sub-\(name)/ses-\(Self.literal($0))/*" }
            for folder in folders {
                for ending in [".nii", ".nii.gz"] {
                    patterns.append("\(folder)/sub-*_\(Self.literal(suffix))\(ending)")
                }
            }
        }
        return patterns
    }

    /// The text with what would be a wildcard taken literally.
    private static func literal(_ text: String) -> String {
        text.map { "*?[".contains($0) ? "[\($0)]" : String($0) }.joined()
    }
}

import Failures
import Foundation

/// A scan of the input folder and the name under which its results are kept.
public struct FoundScan: Sendable, Hashable {
    public let url: URL
    /// Relative to the input folder.
    public let path: String
    /// File name without the extension.
    public let stem: String
    /// Name of its results' folder and the beginning of their file names: safe on every file system, and its own.
    public let name: String
    /// The label map beside it, where the pipeline names one and it exists.
    public let labels: URL?
}

/// Finds the scans of a folder, always in the same order.
public struct ScanFinder {
    public static let standardPatterns = ["*.nii", "*.nii.gz", "*.hdr"]

    let input: URL
    let patterns: [NamePattern]
    let exclude: [NamePattern]
    let labels: String?
    /// Not searched: results of an earlier run may lie inside the input folder.
    let skipped: Set<String>

    public init(input: URL, settings: InputSettings, skipping output: URL) {
        self.input = input
        patterns = (settings.patterns ?? Self.standardPatterns).map(NamePattern.init)
        exclude = (settings.exclude ?? []).map(NamePattern.init)
        labels = settings.labels
        skipped = [output.resolvingSymlinksInPath().standardizedFileURL.path]
    }

    /// The scans, sorted by path.
    ///
    /// - Throws: ``Failure`` of kind `.scan` when the folder cannot be read or holds no scan.
    public func find() throws -> [FoundScan] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: input.path, isDirectory: &isFolder) else {
            throw Failure(.scan, input.path, expected: "a folder of scans", found: "nothing there")
        }
        guard isFolder.boolValue else {
            throw Failure(
                .scan, input.path, expected: "a folder of scans", found: "a file",
                remedy: "For one scan use 'tomolens explain SCAN'.")
        }
        var paths: [String] = []
        var visited = Set<String>()
        try walk(input, "", &paths, &visited)
        let known = Set(paths)
        var taken = paths.filter { path in
            patterns.contains { $0.fits(path) } && !exclude.contains { $0.fits(path) }
        }
        // A label map of a scan is no scan.
        let labelMaps = Set(taken.compactMap { labelPath(of: $0) }.filter(known.contains))
        taken.removeAll(where: labelMaps.contains)
        guard !taken.isEmpty else {
            throw Failure(
                .scan, input.path, expected: "at least one file that fits the pipeline's input.pattern",
                found: "\(paths.count) file\(paths.count == 1 ? "" : "s"), none of which does",
                remedy: paths.isEmpty ? "" : "There is, for example, '\(paths[0])'.")
        }
        let names = Self.names(for: taken)
        return taken.map { path in
            FoundScan(
                url: input.appendingPathComponent(path), path: path,
                stem: Self.stem(ofFile: (path as NSString).lastPathComponent),
                name: names[path]!,
                labels: labelPath(of: path).flatMap { known.contains($0) ? input.appendingPathComponent($0) : nil })
        }
    }

    /// Scans that are not sought but made: each a NIfTI file in `folder`, named for its path.
    public static func scans(named paths: [String], in folder: URL) -> [FoundScan] {
        let names = names(for: paths)
        return paths.map { path in
            let name = names[path]!
            return FoundScan(
                url: folder.appendingPathComponent("\(name).nii.gz"), path: path, stem: name, name: name, labels: nil)
        }
    }

    private func walk(_ folder: URL, _ prefix: String, _ paths: inout [String], _ visited: inout Set<String>) throws {
        let real = folder.resolvingSymlinksInPath().standardizedFileURL.path
        // Links may lead in circles.
        guard !skipped.contains(real), visited.insert(real).inserted else { return }
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder.path) } catch {
            if !prefix.isEmpty { return }
            throw Failure(.scan, folder.path, expected: "a readable folder", found: error.localizedDescription)
        }
        for name in names.sorted() where !name.hasPrefix(".") {
            let url = folder.appendingPathComponent(name)
            let path = prefix.isEmpty ? name : "\(prefix)/\(name)"
            var isFolder: ObjCBool = false
            // A dangling link counts as a file, so that it is reported and not passed over.
            let exists = FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder)
            if exists, isFolder.boolValue {
                try walk(url, path, &paths, &visited)
            } else {
                paths.append(path)
            }
        }
    }

    private func labelPath(of path: String) -> String? {
        guard let labels else { return nil }
        let folder = (path as NSString).deletingLastPathComponent
        let name = labels.replacing("{stem}", with: Self.stem(ofFile: (path as NSString).lastPathComponent))
        return folder.isEmpty ? name : "\(folder)/\(name)"
    }

    static let extensions =
        [".nii.gz", ".hdr.gz", ".img.gz", ".nii", ".hdr", ".img"] + PictureName.extensions.map { ".\($0)" }

    /// A file's name without the extension of a scan or an image.
    public static func stem(ofFile name: String) -> String {
        for ending in extensions where name.lowercased().hasSuffix(ending) && name.count > ending.count {
            return String(name.dropLast(ending.count))
        }
        return name
    }

    /// A name of its own for each path, made of letters, digits, `.`, `_`, `+`, `=` and `-` only.
    ///
    /// Folders are joined by `__`. Where characters had to be replaced, or two paths would share a name, a few digits of the
    /// path's hash follow, so that a name never depends on chance.
    public static func names(for paths: [String]) -> [String: String] {
        var plain: [String: String] = [:]
        var uses: [String: Int] = [:]
        for path in paths {
            let name = plainName(of: path)
            plain[path] = name.text
            if name.isExact { uses[name.text.lowercased(), default: 0] += 1 }
        }
        return plain.reduce(into: [:]) { result, entry in
            let (path, text) = entry
            let isOwn = plainName(of: path).isExact && uses[text.lowercased()] == 1
            result[path] = isOwn ? text : "\(text)-\(SHA256.hex(path).prefix(8))"
        }
    }

    private static func plainName(of path: String) -> (text: String, isExact: Bool) {
        let parts = path.split(separator: "/").map(String.init)
        let pieces = parts.dropLast() + [stem(ofFile: parts.last ?? "scan")]
        var isExact = !pieces.contains { $0.contains("__") }
        var text = ""
        for character in pieces.joined(separator: "__") {
            let isSafe = character.isLetter || character.isNumber || "._+=-".contains(character)
            text.append(isSafe ? character : "_")
            if !isSafe { isExact = false }
        }
        // Results of the folder itself bear these names.
        let isTaken = ["index.html", "summary.json", "summary.csv", "answers.csv"].contains(text.lowercased())
        if text.first == "-" || text.first == "." || isTaken {
            text = "_" + text
            isExact = false
        }
        // Most file systems end names at 255 bytes; endings such as `_gradcam_class1.nii.gz` need room.
        if text.utf8.count > 120 {
            while text.utf8.count > 110 { text.removeLast() }
            isExact = false
        }
        return (text, isExact)
    }
}

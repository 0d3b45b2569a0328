import Arguments
import Failures
import Foundation
import Networks
import Pipelines
import Preparations
import Rendering
import Volumes

/// What the commands that look at the network itself share.
enum LookingSupport {
    static let scan = Positional(.file("SCAN"), help: "A scan (.nii, .nii.gz, .hdr) or an image (.png, .jpg).")
    static let network = Positional(.file("MODEL"), help: "The network (.onnx).")
    static let output = Option("output", short: "o", .folder(), help: "Folder for the results.")
    static let seed = Option("seed", .integer(0...Int(Int32.max)), help: "Seed of the random numbers.", default: "0")
    static let running = OptionGroup("Running", [SharedOptions.threads.declaration, SharedOptions.quiet.declaration])

    /// A scan or image that the user named.
    static func scanURL(_ path: String) throws -> (url: URL, isPicture: Bool) {
        let url = URL(fileURLWithPath: path)
        let kind = try FileKind(of: url)
        guard kind != .network else {
            throw Failure(
                .usage, "SCAN", expected: "a scan or an image", found: "'\(url.path)'",
                remedy: url.pathExtension == "onnx" ? "A network goes after --model." : "")
        }
        return (url, kind == .picture)
    }

    /// The scans and images that paths stand for: files themselves, folders for all in them that the pipeline would take
    /// (images, where a folder holds no scan).
    static func scans(_ paths: [String], _ plan: Plan) throws -> [URL] {
        try paths.flatMap { path -> [URL] in
            let url = URL(fileURLWithPath: path)
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue else {
                return [try scanURL(path).url]
            }
            let nowhere = url.appendingPathComponent(".nowhere")
            do {
                let found = try ScanFinder(input: url, settings: plan.words.input, skipping: nowhere).find().map(\.url)
                return plan.words.input.patterns == nil ? withoutLabelMaps(found) : found
            } catch let failure as Failure {
                guard plan.words.input.patterns == nil else { throw failure }
                var settings = plan.words.input
                settings.patterns = PictureName.extensions.map { "*.\($0)" }
                guard let found = try? ScanFinder(input: url, settings: settings, skipping: nowhere).find() else {
                    throw failure
                }
                return found.map(\.url)
            }
        }
    }

    /// Whether paths stand for images: a file of that kind, or a folder that holds images and no scan.
    static func arePictures(_ paths: [String]) -> Bool {
        paths.contains { path in
            if PictureName.isPicture(path) { return true }
            let names = (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []
            let hasScan = names.contains { name in
                ScanFinder.standardPatterns.contains { name.lowercased().hasSuffix($0.dropFirst()) }
            }
            return !hasScan && names.contains(where: PictureName.isPicture)
        }
    }

    private static let labelMapEndings = ["mask", "masks", "label", "labels", "seg", "segmentation"]

    /// Without files that are called a label map of another one, such as `chest_mask` beside `chest`: no pipeline says what is a scan.
    static func withoutLabelMaps(_ urls: [URL]) -> [URL] {
        func place(_ url: URL) -> String {
            let stem = ScanFinder.stem(ofFile: url.lastPathComponent)
            return url.deletingLastPathComponent().appendingPathComponent(stem).path
        }
        let known = Set(urls.map(place))
        return urls.filter { url in
            let own = place(url)
            return !labelMapEndings.contains { ending in
                ["_", "-", "."].contains { sign in
                    own.lowercased().hasSuffix(sign + ending) && known.contains(String(own.dropLast(ending.count + 1)))
                }
            }
        }
    }

    /// The plan that the command line, a pipeline file and the network's metadata make, with what was assumed printed.
    static func plan(
        _ arguments: ParsedArguments, _ console: Console, command: String, model given: String? = nil,
        forPictures: Bool
    ) throws -> Plan {
        let (words, model) = try SharedOptions.request(arguments, command: command, model: given)
        let plan = try Plan(words, model: model, forPictures: forPictures)
        // What concerns targets and methods belongs to other commands.
        let concerned = plan.assumptions.filter { $0.hasPrefix("layout") || $0.hasPrefix("preparation") }
        SharedOptions.reporter(arguments, console).assumed(concerned)
        return plan
    }

    /// Makes the folder for results.
    static func folder(_ path: String) throws -> URL {
        // A name that begins with a dash would be an option to the next command.
        let url = URL(fileURLWithPath: path.hasPrefix("-") ? "./\(path)" : path, isDirectory: true)
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .output, url.path, expected: "a folder that can be made", found: error.localizedDescription,
                remedy: "Choose another --output.")
        }
        return url
    }

    static func stem(_ path: String) -> String {
        URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    }

    /// A layer's name as part of a file's: letters, digits and a few signs only.
    static func fileName(_ name: String) -> String {
        let safe = String(
            name.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._+=-".contains($0)) ? $0 : "_" })
        let trimmed = String(safe.drop { $0 == "_" || $0 == "." || $0 == "-" }.prefix(100))
        return trimmed.isEmpty ? "layer" : trimmed
    }

    /// A name of its own for each of several layers.
    static func fileNames(_ names: [String]) -> [String] {
        var uses: [String: Int] = [:]
        return names.map { name in
            let safe = fileName(name)
            uses[safe, default: 0] += 1
            return uses[safe]! == 1 ? safe : "\(safe)-\(uses[safe]!)"
        }
    }

    static func write(_ picture: Picture, _ name: String, in folder: URL, _ console: Console, quiet: Bool) throws {
        let url = folder.appendingPathComponent(name)
        try picture.writePNG(to: url)
        if !quiet { console.print("Picture: \(url.relativePath.printable)") }
    }

    static func write(_ text: String, _ name: String, in folder: URL) throws {
        try AtomicFile.write(text, to: folder.appendingPathComponent(name))
    }

    /// So many significant digits, plain where that is short.
    static func number(_ value: Double, _ digits: Int = 3) -> String {
        guard value.isFinite else { return value.isNaN ? "–" : value > 0 ? "∞" : "−∞" }
        return String(format: "%.\(digits)g", value)
    }

    static func percent(_ share: Double) -> String { String(format: "%.1f %%", share * 100) }

    /// Whole numbers and ranges with commas between: `0,3,8-11`.
    static func indices(_ name: String, _ help: String, default text: String? = nil) -> Option<[Int]> {
        Option(
            name,
            ValueReader<[Int]>(placeholder: "N[,N-M]", expected: "whole numbers or ranges such as 0,3,8-11") { text in
                var values: [Int] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
                    guard let low = ends[0], low >= 0 else { return nil }
                    if ends.count == 1 {
                        values.append(low)
                    } else if ends.count == 2, let high = ends[1], high >= low, high - low < 100_000 {
                        values += low...high
                    } else {
                        return nil
                    }
                }
                return values.isEmpty ? nil : values
            }, help: help, default: text)
    }

    /// A number within a range.
    static func number(_ range: ClosedRange<Double>, _ placeholder: String = "X") -> ValueReader<Double> {
        func words(_ value: Double) -> String { value == value.rounded() ? String(Int(value)) : "\(value)" }
        let rule =
            range.upperBound >= 1e12
            ? "a number of at least \(words(range.lowerBound))"
            : "a number from \(words(range.lowerBound)) to \(words(range.upperBound))"
        return ValueReader(placeholder: placeholder, expected: rule) { text in
            guard let value = Double(text), value.isFinite, range.contains(value) else { return nil }
            return value
        }
    }
}

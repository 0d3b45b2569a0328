import Arguments
import Failures
import Foundation
import Pipelines
import Rendering
import Volumes

/// `tomolens inspect MODEL|SCAN`
enum InspectCommand: Subcommand {
    static let file = Positional(
        .file("FILE"), help: "A network (.onnx), a scan (.nii, .nii.gz, .hdr) or an image (.png, .jpg).")
    static let json = Flag("json", help: "Print JSON.")
    static let all = Flag("all", help: "List all layers of a network, also those without places.")
    static let shape = Option(
        "shape",
        ValueReader<[Int]>(placeholder: "N,C,…", expected: "the shape of the network's input, such as 1,1,96,96,96") {
            text in
            let parts = text.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "x" }.map { Int($0) }
            let shape = parts.compactMap { $0 }
            guard shape.count == parts.count, (1...8).contains(shape.count) else { return nil }
            return shape.allSatisfy { (1...100_000).contains($0) } ? shape : nil
        }, help: "Show layers for an input of this shape, where the file leaves it open.")
    static let volume = Option("volume", .integer(0...Int(Int32.max)), help: "Which volume of a 4D scan.", default: "0")

    static let declaration = CommandDeclaration(
        "inspect", summary: "say what is in a network or a scan",
        discussion: [
            """
            Of a network: inputs, outputs, parameters, how it decides, and its layers with their shapes, receptive fields and \
            the names by which they can be tapped. Of a scan: grid, orientation, spacing, position, value range, and every \
            problem of its header with what is done about it.
            """
        ], positionals: [file.declaration],
        groups: [
            OptionGroup("Output", [json.declaration, all.declaration]),
            OptionGroup("What is looked at", [shape.declaration, volume.declaration]),
        ],
        examples: [
            Example("Which layers can be explained?", "tomolens inspect model.onnx"),
            Example("Where does this scan lie, and is it CT?", "tomolens inspect chest.nii.gz"),
            Example("For a script:", "tomolens inspect model.onnx --json"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        let url = URL(fileURLWithPath: arguments.required(file))
        switch try FileKind(of: url) {
        case .scan:
            let inspection = try ScanInspection(url, volume: arguments[volume])
            if arguments[json] {
                console.printRaw(inspection.json.serialized())
            } else {
                for line in inspection.lines() { console.print(line.printable) }
            }
        case .picture:
            let picture = try PictureReader.read(url)
            if arguments[json] {
                console.printRaw(
                    JSON.object([
                        ("file", .text(url.lastPathComponent)), ("kind", .text("image")),
                        ("width", .number(picture.width)),
                        ("height", .number(picture.height)), ("channels", .number(picture.channels)),
                    ]).serialized())
            } else {
                console.print(url.lastPathComponent.printable)
                console.print("  image        \(picture.width) × \(picture.height) pixels, \(picture.layout)")
            }
        case .network:
            let inspection = try NetworkInspection(url, shape: arguments[shape])
            if arguments[json] {
                console.printRaw(inspection.json.serialized())
            } else {
                for line in inspection.lines(all: arguments[all]) { console.print(line.printable) }
            }
        }
        return 0
    }
}

import Arguments
import Failures
import Foundation
import Pipelines
import Rendering
import Volumes

#if DICOM
    import DICOM
#endif

/// `tomolens dicom-import SERIES_DIR`
enum DICOMImportCommand: Subcommand {
    static let folder = Positional(
        .folder("SERIES_DIR"), help: "Folder with the DICOM files, searched with its subfolders.")
    static let output = Option(
        "output", short: "o", .file("FILE.nii.gz"), help: "The NIfTI file to write.",
        default: "SERIES_DIR's name, here")
    static let series = Option(
        "series", .text("UID", expected: "a SeriesInstanceUID"), help: "Which series, where there are several.")

    static let declaration = CommandDeclaration(
        "dicom-import", summary: "make one NIfTI volume of a DICOM CT series",
        discussion: [
            """
            Reads the series with DCMTK: rescaled to Hounsfield units, slices in the order of their places, the affine from position, \
            orientation and spacing. A tilted gantry, uneven or missing slices, and several images in one place are refused with the \
            reason. DICOM is an optional part of the program: it is there when it was built with TOMOLENS_DICOM=1 and libdcmtk-dev.
            """
        ], positionals: [folder.declaration],
        groups: [
            OptionGroup("Input and output", [output.declaration, series.declaration]),
            OptionGroup("Running", [SharedOptions.threads.declaration, SharedOptions.quiet.declaration]),
        ],
        examples: [
            Example("Then explain it:", "tomolens dicom-import PATIENT/CT --output ct.nii.gz")
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        #if DICOM
            let source = URL(fileURLWithPath: arguments.required(folder))
            let series = try CTSeries(folder: source, series: arguments[series])
            let name = arguments[output] ?? "\(source.standardizedFileURL.lastPathComponent).nii.gz"
            let url = URL(fileURLWithPath: name)
            try DICOMScans.write(series, to: url)
            if !arguments[SharedOptions.quiet] {
                let grid = series.volume.grid
                console.print(
                    "\(url.relativePath.printable): \(grid.shape.x)×\(grid.shape.y)×\(grid.shape.z) voxels, "
                        + "\(Orientation(grid.affine).code), series \(series.identifier.printable)")
            }
            return 0
        #else
            throw DICOMSupport.missing
        #endif
    }
}

/// `tomolens dicom-export HEATMAP SERIES_DIR`
enum DICOMExportCommand: Subcommand {
    static let heatmap = Positional(.file("HEATMAP"), help: "A heatmap volume on the voxels of the imported series.")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the DICOM files; made if need be.", required: true)
    static let map = Flag(
        "parametric-map", help: "Also write the raw values, as a Parametric Map in one file (map.dcm).")

    static let declaration = CommandDeclaration(
        "dicom-export", summary: "write a heatmap over its CT as a DICOM series",
        discussion: [
            """
            Writes a series of Secondary Capture images into the study of the CT, each in the place of the image it was made from: grey \
            CT with the heat in colour. Identifiers follow from the content, so that the same work gives the same files. Needs the \
            optional DICOM part, as dicom-import does.
            """
        ], positionals: [heatmap.declaration, DICOMImportCommand.folder.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [output.declaration, DICOMImportCommand.series.declaration, map.declaration]),
            OptionGroup(
                "Pictures",
                [
                    SharedOptions.view.declaration, SharedOptions.colormap.declaration, SceneCommand.top.declaration,
                    SceneCommand.threshold.declaration, SceneCommand.opacity.declaration,
                    SharedOptions.signed.declaration,
                ]),
            OptionGroup("Running", [SharedOptions.threads.declaration, SharedOptions.quiet.declaration]),
        ],
        examples: [
            Example(
                "Back to the viewer:",
                "tomolens dicom-export results/ct_gradcam_class1.nii.gz PATIENT/CT --output heat-series")
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        #if DICOM
            let heatURL = URL(fileURLWithPath: arguments.required(heatmap))
            var heat = try NIfTIFile.read(heatURL)
            heat.replaceNonFinite()
            let series = try CTSeries(
                folder: URL(fileURLWithPath: arguments.required(DICOMImportCommand.folder)),
                series: arguments[DICOMImportCommand.series])
            var style = try SceneCommand.style(arguments)
            style.window = Drawing.window(
                arguments[SharedOptions.view] ?? .named("auto"), of: series.volume, isCT: true)
            // What the heatmap says of itself in its header.
            let comment = heat.extensions.first { $0.code == NIfTIExtension.comment }.map(\.text) ?? ""
            let said = try? JSON5Parser.parse(Data(comment.utf8), named: "header extension")
            let method = said?["method"]?.text ?? ScanFinder.stem(ofFile: heatURL.lastPathComponent)
            let target = said?["target"]?["label"]?.text.map { " for \($0)" } ?? ""
            let hash = try SHA256.hex(ofFile: heatURL, kind: .scan)
            let settings = said?["settingsSha256"]?.text.map { "settings \($0)" } ?? "heatmap \(hash)"
            let captures = CaptureSeries(
                series: series, heat: heat.volume, window: style.window.ends(of: series.volume), style: style,
                title: "\(method)\(target), research only", provenance: settings, software: Product.signature)
            let folder = URL(fileURLWithPath: arguments.required(output))
            let files = try captures.write(to: folder) { DICOMSupport.identifier($0) }
            if arguments[map] {
                try captures.writeMap(to: folder.appendingPathComponent("map.dcm")) { DICOMSupport.identifier($0) }
            }
            if !arguments[SharedOptions.quiet] {
                let more = arguments[map] ? " and a parametric map" : ""
                console.print("\(files.count) images\(more): \(folder.relativePath.printable)")
            }
            return 0
        #else
            throw DICOMSupport.missing
        #endif
    }
}

enum DICOMSupport {
    static let missing = Failure(
        .usage, "DICOM", expected: "a program that was built with it", found: "one without",
        remedy: remedy)
    private static let remedy =
        "Install libdcmtk-dev and build with TOMOLENS_DICOM=1 set; or convert the series with dcm2niix."

    static func missing(_ folder: URL) -> Failure {
        Failure(
            .usage, folder.path, expected: "NIfTI files, or DICOM and a program that was built with it",
            found: "DICOM files, and a program without it", remedy: remedy)
    }

    /// A DICOM identifier from text: 2.25 and a number of 128 bits from the text's SHA-256, in the form of a UUID (version 8).
    static func identifier(_ text: String) -> String {
        var bytes = Array(SHA256.hex(text).utf8.prefix(32)).map {
            UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") ? $0 - 48 : $0 - 87
        }
        bytes[12] = 8
        bytes[16] = 8 | bytes[16] & 3
        // From base 16 to base 10.
        var digits: [UInt8] = [0]
        for byte in bytes {
            var carry = Int(byte)
            for index in digits.indices {
                carry += Int(digits[index]) * 16
                digits[index] = UInt8(carry % 10)
                carry /= 10
            }
            while carry > 0 {
                digits.append(UInt8(carry % 10))
                carry /= 10
            }
        }
        return "2.25." + digits.reversed().map { String($0) }.joined()
    }
}

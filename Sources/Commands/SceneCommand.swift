import Arguments
import Failures
import Foundation
import Pipelines
import Rendering
import Reports
import Volumes

/// `tomolens scene SCAN HEATMAP --for VIEWER`
enum SceneCommand: Subcommand {
    static let scan = Positional(.file("SCAN"), help: "The scan (.nii, .nii.gz).")
    static let heatmap = Positional(.file("HEATMAP"), help: "A heatmap volume on the scan's voxels (.nii, .nii.gz).")
    static let viewers: Option<[String]> = Option(
        "for", .list(of: .choice(Viewer.allCases.map(\.rawValue), "VIEWER")), help: "Viewers to write scenes for.",
        default: "all", repeatable: true)
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the scenes; made if need be.", default: "the HEATMAP's")
    static let top = Option(
        "top", .numbers([1], "VALUE", expected: "a number above 0"), help: "Raw heat at the warm end of the colours.",
        default: "the map's highest")
    static let threshold = Option(
        "threshold", .numbers([1], "PART", expected: "a number from 0 to below 1"),
        help: "Heat below this part of the scale has no colour.", default: "0.1")
    static let opacity = Option(
        "opacity", .numbers([1], "PART", expected: "a number from 0 to 1"), help: "Opacity of the heat.",
        default: "0.7")

    static let declaration = CommandDeclaration(
        "scene", summary: "write what viewers open: a scan with a heatmap over it",
        discussion: [
            """
            Writes a VolView session (.volview.zip), a 3D Slicer scene (.mrml), an ITK-SNAP workspace (.itksnap), a NiiVue document \
            (.nvd) with a page that opens it, and a script with FSLeyes' command line. Sessions and documents hold the data; the \
            others point to the files by relative paths, so that a folder can be moved as a whole. 'run' and 'explain' do the same \
            with --export.
            """
        ], positionals: [scan.declaration, heatmap.declaration],
        groups: [
            OptionGroup("Output", [viewers.declaration, output.declaration]),
            OptionGroup(
                "Pictures",
                [
                    SharedOptions.view.declaration, SharedOptions.colormap.declaration, top.declaration,
                    threshold.declaration, opacity.declaration, SharedOptions.signed.declaration,
                ]),
            OptionGroup("Running", [SharedOptions.quiet.declaration]),
        ],
        examples: [
            Example(
                "For 3D Slicer and ITK-SNAP:",
                "tomolens scene chest.nii.gz results/chest/chest_gradcam_class1.nii.gz --for slicer,itksnap"),
            Example(
                "Two heatmaps on one scale:", "tomolens scene chest.nii.gz heat.nii.gz --for niivue --top 0.08"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let scanURL = URL(fileURLWithPath: arguments.required(scan))
        let heatURL = URL(fileURLWithPath: arguments.required(heatmap))
        for url in [scanURL, heatURL] {
            let name = url.lastPathComponent.lowercased()
            guard name.hasSuffix(".nii") || name.hasSuffix(".nii.gz") else {
                throw Failure(
                    .usage, "'\(url.lastPathComponent)'", expected: "a NIfTI file in one piece (.nii, .nii.gz)",
                    found: "another name", remedy: "Viewers open such files; convert it first.")
            }
        }
        let image = try NIfTIFile.read(scanURL)
        var heat = try NIfTIFile.read(heatURL)
        heat.replaceNonFinite()
        var style = try style(arguments)
        let isCT = image.statistics.notCTReason == nil
        style.window = Drawing.window(arguments[SharedOptions.view] ?? .named("auto"), of: image.volume, isCT: isCT)
        let scene = ViewerScene(
            name: ScanFinder.stem(ofFile: heatURL.lastPathComponent), scanFile: scanURL, scan: image.volume,
            heatFile: heatURL, heat: heat.volume, window: style.window.ends(of: image.volume), style: style)
        let folder = arguments[output].map { URL(fileURLWithPath: $0) } ?? heatURL.deletingLastPathComponent()
        let chosen = arguments.all(viewers).flatMap { $0 }.compactMap(Viewer.init)
        for viewer in chosen.isEmpty ? Viewer.allCases : chosen {
            for url in try scene.write(for: viewer, toFolder: folder) where !arguments[SharedOptions.quiet] {
                console.print(url.relativePath.printable)
            }
        }
        return 0
    }

    /// Colours, scale and opacity as the command line says.
    static func style(_ arguments: ParsedArguments) throws -> OverlayStyle {
        var style = OverlayStyle()
        style.isSigned = arguments[SharedOptions.signed]
        style.colourMap = arguments[SharedOptions.colormap].flatMap(ColourMap.init(rawValue:))
        style.alpha.opacity = try number(arguments, opacity) { (0...1).contains($0) } ?? style.alpha.opacity
        style.alpha.threshold = try number(arguments, threshold) { (0..<1).contains($0) } ?? style.alpha.threshold
        if let top = try number(arguments, top, { $0 > 1e-30 && $0 < 1e30 }) {
            style.scale = .fixed(Float(top), signed: style.isSigned)
        }
        return style
    }

    private static func number(
        _ arguments: ParsedArguments, _ option: Option<[Double]>, _ fits: (Double) -> Bool
    ) throws -> Double? {
        guard let value = arguments[option]?.first else { return nil }
        guard fits(value) else {
            throw Failure(
                .usage, "option '--\(option.declaration.name)'", expected: option.declaration.expected,
                found: "'\(value)'")
        }
        return value
    }
}

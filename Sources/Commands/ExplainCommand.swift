import Arguments
import Failures
import Foundation
import Pipelines

/// `tomolens explain SCAN --model M.onnx`
enum ExplainCommand: Subcommand {
    static let scan = Positional(
        .file("SCAN"),
        help:
            "A scan (.nii, .nii.gz, .hdr), an image (.png, .jpg), or a folder with a DICOM CT series (in a program built with DICOM)."
    )
    static let pipeline = Option(
        "pipeline", short: "p", .file("FILE.json5"), help: "Take settings from a pipeline file.")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "SCAN's name and '-explained', here")

    static let declaration = CommandDeclaration(
        "explain", summary: "explain one scan or image",
        discussion: [
            """
            What neither the command line nor the pipeline nor the network's own metadata says is assumed and printed, with the \
            option that changes it. A 2D network explains a scan slice by slice.
            """
        ], positionals: [scan.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [
                    SharedOptions.model.declaration, pipeline.declaration, output.declaration,
                    SharedOptions.labels.declaration, SharedOptions.references.declaration,
                    DICOMImportCommand.series.declaration,
                ]),
            SharedOptions.explained, SharedOptions.preparation, SharedOptions.pictures,
            OptionGroup(
                "Running",
                [
                    SharedOptions.threads.declaration, SharedOptions.precise.declaration,
                    SharedOptions.fast.declaration, SharedOptions.maxMemory.declaration,
                    SharedOptions.quiet.declaration, SharedOptions.jsonLog.declaration,
                ]),
        ],
        examples: [
            Example("A first try:", "tomolens explain chest.nii.gz --model model.onnx"),
            Example(
                "A network with axes z, y, x in LPS order and HU clipped to ±1000:",
                "tomolens explain crop.nii.gz -m luna.onnx --axes zyx --orientation LPS --window=-1000,1000"),
            Example(
                "Two methods at two layers, for a named class:",
                "tomolens explain chest.nii.gz -p my.json5 --method gradcam,hirescam --tap block3,block4 --target nodule"
            ),
            Example("An image through a 2D network:", "tomolens explain dog.png --model vgg16.onnx"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let reporter = SharedOptions.reporter(arguments, console)
        var url = URL(fileURLWithPath: arguments.required(scan))
        let name = ScanFinder.stem(ofFile: url.standardizedFileURL.lastPathComponent)
        let given = arguments[output] ?? "\(name)-explained"
        let output = URL(fileURLWithPath: given.hasPrefix("-") ? "./\(given)" : given)
        if let file = try DICOMScans.imported(url, series: arguments[DICOMImportCommand.series], output: output) {
            url = file
        }
        let kind = try FileKind(of: url)
        guard kind != .network else {
            throw Failure(
                .usage, "SCAN", expected: "a scan or an image", found: "'\(url.path)'",
                remedy: url.pathExtension == "onnx" ? "A network goes after --model." : "")
        }
        let (words, model) = try SharedOptions.request(arguments, command: "explain")
        let plan = try SharedOptions.plan(words, arguments, model: model, forPictures: kind == .picture)
        SharedOptions.apply(plan, arguments, console: console)
        reporter.assumed(plan.assumptions)
        var job = try ScanJob(
            plan: plan, scan: url, output: output,
            labels: arguments[SharedOptions.labels].map { URL(fileURLWithPath: $0) })
        job.stop = console.stop
        let report = try job.run()
        if arguments[SharedOptions.jsonLog] {
            console.printRaw(report.results.serialized(pretty: false) + "\n")
        } else if !arguments[SharedOptions.quiet] {
            for line in lines(report, isPicture: kind == .picture) { console.print(line.printable) }
            console.print("Results: \(job.folder.relativePath.printable)")
            if report.results["page"]?.text != nil {
                console.print("Review:  \(job.folder.appendingPathComponent("index.html").relativePath.printable)")
            }
        }
        if report.isPartial {
            throw Failure(
                .interrupted, "'\(url.lastPathComponent)'", expected: "to go on", found: "a request to stop",
                remedy: "The best so far was written; the same command begins anew.")
        }
        return 0
    }

    /// What a reader wants to know first.
    private static func lines(_ report: ScanReport, isPicture: Bool) -> [String] {
        let results = report.results
        var lines: [String] = []
        var table = Table([.left, .right, .right])
        let classes = results["answer"]?["classes"]?.array ?? []
        let ranked = classes.sorted { ($0["score"]?.number ?? 0) > ($1["score"]?.number ?? 0) }
        for item in ranked.prefix(5) {
            let probability = item["probability"]?.number.map { String(format: "p %.4f", $0) } ?? ""
            table.add([item["label"]?.text ?? "", String(format: "%.4f", item["score"]?.number ?? 0), probability])
        }
        lines.append("Answer")
        lines += table.lines()
        if classes.count > 5 { lines.append("  … and \(classes.count - 5) more in results.json") }
        if let text = results["answer"]?["summary"]?.text { lines.append("  \(text)") }
        for map in results["maps"]?.array ?? [] { lines += describe(map, isPicture: isPicture) }
        for warning in report.warnings { lines.append("warning: \(warning)") }
        return lines
    }

    /// - Parameter isPicture: a picture has no sides and no millimetres.
    private static func describe(_ map: JSON, isPicture: Bool) -> [String] {
        var lines: [String] = []
        let taps = (map["taps"]?.array ?? []).compactMap { $0["tap"]?.text }.joined(separator: ", ")
        lines.append("\(map["title"]?.text ?? "") for \(map["target"]?["label"]?.text ?? "") at \(taps)")
        let voxel = (map["peak"]?["voxel"]?.array ?? []).compactMap(\.number)
        if voxel.isEmpty {
            lines.append("  no positive heat")
        } else {
            let index = voxel.map { String(Int($0)) }.joined(separator: ", ")
            let position = (map["peak"]?["positionRAS"]?.array ?? []).compactMap(\.number).map {
                String(format: "%.1f", $0)
            }
            let direction = map["peak"]?["direction"]?.text ?? ""
            let half = map["halfMaximumMl"]?.number ?? 0
            if isPicture {
                let pixel = voxel.prefix(2).map { String(Int($0)) }.joined(separator: ", ")
                lines.append("  peak at pixel (\(pixel)), from the left and from the top")
                lines.append("  above half of the peak: \(Int((half * 1000).rounded())) pixels")
            } else {
                lines.append("  peak at voxel (\(index)), RAS (\(position.joined(separator: ", "))) mm: \(direction)")
                lines.append("  above half of the peak: \(String(format: "%.2f", half)) ml")
            }
            if let inside = map["labels"]?["peakInside"]?.bool {
                lines.append("  \(place(inside, map["labels"]?["distanceMm"]?.number))")
            }
        }
        for sentence in (map["evidence"]?["sentences"]?.array ?? []).compactMap(\.text) {
            lines.append("  \(sentence)")
        }
        let figures = (map["figures"]?.members ?? []).compactMap { figure in
            figure.value.number.map { "\(figure.key) \(String(format: "%.4g", $0))" }
        }
        if !figures.isEmpty { lines.append("  \(figures.joined(separator: ", "))") }
        for note in (map["notes"]?.array ?? []).compactMap(\.text) { lines.append("  note: \(note)") }
        return lines
    }

    private static func place(_ inside: Bool, _ distance: Double?) -> String {
        if inside { return "the peak lies in the label" }
        return "the peak lies outside of the label, \(distance.map { String(format: "%.1f", $0) } ?? "?") mm from it"
    }
}

import Arguments
import Explanations
import Failures
import Foundation
import Networks
import Pipelines
import Rendering
import Reports
import Tensors
import Workers

/// Options that more than one command has, and how they change a pipeline's words.
enum SharedOptions {
    // MARK: What is explained

    static let model = Option("model", short: "m", .file("FILE.onnx"), help: "The network.")
    static let methods: Option<[String]> = Option(
        "method",
        .list(
            of: ValueReader<String>(
                placeholder: "NAME", expected: "a method's name", choices: MethodCatalogue.names,
                completion: .words(MethodCatalogue.names)
            ) { text in
                MethodCatalogue.names.contains(String(text.prefix { $0 != ":" })) ? text : nil
            }),
        help:
            "How to explain; options of a method follow a colon, as in occlusion:size=12. 'tomolens methods' lists them.",
        default: "what is right for the network's head", repeatable: true)
    static let targets: Option<[String]> = Option(
        "target",
        .list(of: .text("CLASS", expected: "argmax, every, a class index or name, region, region:CLASS or mask:CLASS")),
        help:
            "Which answer to explain: argmax, every, a class index or name; for segmentation region, region:CLASS, mask:CLASS.",
        default: "argmax", repeatable: true)
    static let taps: Option<[String]> = Option(
        "tap", .list(of: .text("LAYER", expected: "a layer's name or alias")),
        help: "At which layer; several are fused. 'tomolens inspect MODEL' lists names.",
        default: "the last layer with spatial extent", repeatable: true)
    static let probability = Flag(
        "probability", help: "Explain the value after the network's final softmax or sigmoid, not the logit before it.")

    // MARK: Preparation

    static let window = Option(
        "window", .numbers([2], "LOW,HIGH", expected: "two numbers, LOW,HIGH, with LOW below HIGH"),
        help: "HU window that becomes 0…1.", default: "-1000,400")
    static let spacing = Option(
        "spacing", .numbers([1, 3], "X,Y,Z", expected: "one or three lengths in mm above 0"),
        help: "Resample to this voxel size in mm.", default: "as stored")
    static let size = Option(
        "size", .numbers([1, 2, 3], "X,Y,Z", expected: "one, two or three whole numbers above 0"),
        help: "Resize to this many voxels.", default: "the network's fixed size, if it has one")
    static let axes = Option(
        "axes", .choice(["xyz", "xzy", "yxz", "yzx", "zxy", "zyx", "xy", "yx"], "ORDER"),
        help: "The network's spatial axes, slowest first.", default: "xyz")
    static let orientation = Option(
        "orientation",
        ValueReader<String>(
            placeholder: "CODE", expected: "three letters, one each of R/L, A/P and S/I, such as RAS or LPS"
        ) {
            LayoutSettings.isOrientation($0) ? $0.uppercased() : nil
        }, help: "Toward which side x, y and z grow for the network.", default: "RAS")
    static let volume = Option("volume", .integer(0...Int(Int32.max)), help: "Which volume of a 4D scan.")
    static let labels = Option(
        "labels", .file("FILE"),
        help: "A label map of the scan: how much of the heat lies in each label? Also the mask of mask targets.")

    static let references = Option(
        "references", .folder("FOLDER"),
        help: "Scans that expected-gradients:references=scans compares with: a folder, or one scan.")

    // MARK: Pictures

    static let colormap = Option(
        "colormap", .choice(RenderingSettings.colormaps), help: "Colours of the heat.", default: "inferno")
    static let view = Option(
        "view",
        ValueReader<RenderingSettings.Window>(
            placeholder: "WINDOW", expected: "one of \(RenderingSettings.windows.joined(separator: ", ")), or LOW,HIGH",
            choices: RenderingSettings.windows, completion: .words(RenderingSettings.windows)
        ) { text in
            if RenderingSettings.windows.contains(text) { return .named(text) }
            let numbers = text.split(separator: ",").compactMap { Double($0) }
            guard numbers.count == 2, numbers[0] < numbers[1], numbers.allSatisfy(\.isFinite) else { return nil }
            return .range(numbers[0]...numbers[1])
        }, help: "Grey window of the CT under the heat, in HU.", default: "auto")
    static let planes: Option<[String]> = Option(
        "planes", .list(of: .choice(Plane.allCases.map(\.rawValue), "PLANE")), help: "Planes to draw.",
        default: "all three")
    static let slices = Option(
        "slices",
        ValueReader<RenderingSettings.Slices>(
            placeholder: "all|K", expected: "'all' or how many of the hottest", choices: [], completion: .words(["all"])
        ) { text in
            if text == "all" { return .all }
            guard let count = Int(text), (1...100_000).contains(count) else { return nil }
            return .hottest(count)
        }, help: "Slices of each plane: all, or the K hottest.", default: "3")
    static let signed = Flag("signed", help: "Draw negative heat too, in a diverging colour map.")
    static let noOverlays = Flag("no-overlays", help: "Write no pictures.")
    static let export: Option<[String]> = Option(
        "export", .list(of: .choice(ExportSettings.viewerNames, "VIEWER")),
        help: "Write a scene of each map for these viewers: the scan with the heat over it.", repeatable: true)
    static let tensorboard = Option(
        "tensorboard", .folder(),
        help: "Also write TensorBoard event files (images, histograms, scalars, text, hyperparameters) into DIR.")
    static let noPage = Flag("no-page", help: "Write no page to review the results with in a browser.")
    static let datatype = Option(
        "datatype", .choice(ExportSettings.Datatype.allCases.map(\.rawValue)), help: "Numbers of the heatmap volumes.",
        default: "float32")

    // MARK: Running

    static let threads = Option(
        "threads", .integer(1...1024), help: "Threads that compute; results do not depend on it.",
        default: "all processors")
    static let maxMemory = Option(
        "max-memory",
        ValueReader<Int>(placeholder: "SIZE", expected: "a size from 256M up, such as 2G or 1500M") { text in
            let units = ["M": 20, "MB": 20, "G": 30, "GB": 30]
            let digits = text.prefix { $0.isNumber || $0 == "." }
            guard let number = Double(digits), let shift = units[text.dropFirst(digits.count).uppercased()],
                number > 0, number < 1e6
            else { return nil }
            let bytes = Int(number * Double(1 << shift))
            return bytes >= 256 << 20 ? bytes : nil
        },
        help:
            "Stay within this much memory: a large scan goes through the network tile by tile, if the network allows it.",
        default: "no bound")
    static let precise = Flag(
        "precise", help: "Compute every convolution by its definition, in the order in which PyTorch adds: slower.")
    static let fast = Flag(
        "fast",
        help: "Compute with the fewest multiplications everywhere, though near ties may fall otherwise than in PyTorch."
    )
    static let quiet = Flag("quiet", short: "q", help: "Say nothing but failures.")
    static let jsonLog = Flag("json-log", help: "Log one JSON object a line to standard output.")

    static let explained = OptionGroup(
        "What is explained",
        [targets.declaration, methods.declaration, taps.declaration, probability.declaration])
    static let preparation = OptionGroup(
        "Preparation (in place of the pipeline's)",
        [
            window.declaration, spacing.declaration, size.declaration, axes.declaration, orientation.declaration,
            volume.declaration,
        ])
    static let pictures = OptionGroup(
        "Pictures and files",
        [
            colormap.declaration, view.declaration, planes.declaration, slices.declaration, signed.declaration,
            noOverlays.declaration, noPage.declaration, export.declaration, datatype.declaration,
        ])

    /// Sets the width of the workers, and lets Ctrl-C end the command cleanly; to be called before any work.
    static func begin(_ arguments: ParsedArguments, _ console: Console) {
        if let threads = arguments[threads] { Workers.setWidth(threads) }
        if console.stop === StopRequest.process { StopRequest.watchSignals() }
    }

    /// How accurately convolutions are computed; both at once make no sense.
    private static func accuracy(_ arguments: ParsedArguments) throws -> ConvolutionEngine.Accuracy? {
        guard !(arguments[precise] && arguments[fast]) else {
            throw Failure(
                .usage, "option '--precise'", expected: "one of --precise and --fast", found: "both",
                remedy:
                    "Without either, convolutions are fast unless a gradient passes on through what they decide."
            )
        }
        return arguments[precise] ? .precise : arguments[fast] ? .fast : nil
    }

    /// The plan of `words`, with the command line's accuracy before the pipeline's.
    static func plan(
        _ words: PipelineFile, _ arguments: ParsedArguments, model: URL?, forPictures: Bool = false
    ) throws -> Plan {
        var words = words
        words.accuracy = try accuracy(arguments) ?? words.accuracy
        return try Plan(words, model: model, forPictures: forPictures)
    }

    /// What holds for the whole process from here on: a plan's accuracy, the bound on memory shared among scans at a time.
    static func apply(_ plan: Plan, _ arguments: ParsedArguments, jobs: Int = 1, console: Console) {
        ConvolutionEngine.accuracy = plan.accuracy
        MemoryLimit.bytes = arguments[maxMemory].map { $0 / max(1, jobs) }
        if !arguments[quiet], !arguments[jsonLog] { MemoryLimit.observe = { console.note($0) } }
    }

    static func reporter(_ arguments: ParsedArguments, _ console: Console) -> RunReporter {
        RunReporter(console: console, style: arguments[jsonLog] ? .json : arguments[quiet] ? .quiet : .lines)
    }

    /// What the command line says, in the words of a pipeline file.
    static func words(_ arguments: ParsedArguments) throws -> PipelineFile {
        var words = PipelineFile()
        let targets = arguments.all(targets).flatMap { $0 }
        if !targets.isEmpty { words.targets = try targets.map { try TargetSettings(parsing: $0) } }
        let methods = arguments.all(methods).flatMap { $0 }
        if !methods.isEmpty { words.methods = try methods.map(method) }
        let taps = arguments.all(taps).flatMap { $0 }
        if !taps.isEmpty { words.taps = taps }
        if arguments[probability] { words.explain = .probability }
        words.layout.axes = arguments[axes]
        words.layout.orientation = arguments[orientation]
        words.input.volume = arguments[volume]
        words.input.references = try arguments[references].map { path in
            guard FileManager.default.fileExists(atPath: path) else {
                throw Failure(
                    .usage, "option '--references'", expected: "a folder of scans, or a scan",
                    found: "nothing at '\(path)'")
            }
            return URL(fileURLWithPath: path).standardizedFileURL.path
        }
        words.rendering.colormap = arguments[colormap]
        words.rendering.window = arguments[view]
        words.rendering.planes = arguments[planes].map { $0.compactMap(Plane.init) }
        words.rendering.slices = arguments[slices]
        if arguments[signed] { words.rendering.signed = true }
        if arguments[noOverlays] { words.exports.overlays = false }
        exports(arguments, &words)
        words.exports.datatype = arguments[datatype].flatMap(ExportSettings.Datatype.init)
        words.shortcuts = try shortcuts(arguments)
        return words
    }

    /// What the command line and its pipeline file say together, and the network that is named besides.
    ///
    /// - Throws: ``Failure`` of kind `.usage` where neither names a network.
    static func request(
        _ arguments: ParsedArguments, command: String, model given: String? = nil
    ) throws -> (words: PipelineFile, model: URL?) {
        var words = try words(arguments)
        if let path = arguments[ExplainCommand.pipeline] {
            let file = try PipelineFile.read(URL(fileURLWithPath: path))
            words = words.completed(by: file)
            words.source = file.source
        }
        let model = (given ?? arguments[model]).map { URL(fileURLWithPath: $0) }
        guard model != nil || words.network.file != nil else {
            throw Failure(
                .usage, "'\(command)'", expected: "a network: --model FILE.onnx or --pipeline FILE.json5",
                found: "neither")
        }
        return (words, model)
    }

    /// What `--no-page` and `--export` say.
    static func exports(_ arguments: ParsedArguments, _ words: inout PipelineFile) {
        if arguments[noPage] { words.exports.page = false }
        let viewers = arguments.all(export).flatMap { $0 }
        if !viewers.isEmpty { words.exports.viewers = viewers }
    }

    /// Writes what `fill` adds as the run `name` in the folder of `--tensorboard`; does nothing without that option.
    ///
    /// Started again, a run replaces what it wrote before.
    static func log(_ arguments: ParsedArguments, run name: String, _ fill: (inout EventLog) throws -> Void) throws {
        guard let root = arguments[tensorboard] else { return }
        let folder = URL(fileURLWithPath: root).appendingPathComponent(EventLog.folderName(name))
        var log = EventLog(wallTime: EventLog.now)
        try fill(&log)
        EventLog.removeEvents(from: folder)
        try log.write(toFolder: folder)
    }

    private static func shortcuts(_ arguments: ParsedArguments) throws -> PreparationShortcuts {
        var shortcuts = PreparationShortcuts()
        if let window = arguments[window] {
            guard window[0] < window[1] else {
                throw Failure(
                    .usage, "option '--window'", expected: "LOW,HIGH with LOW below HIGH",
                    found: "\(JSON.numbers(window).summary)")
            }
            shortcuts.window = window[0]...window[1]
        }
        if let spacing = arguments[spacing] {
            guard spacing.allSatisfy({ $0 > 0 }) else {
                throw Failure(
                    .usage, "option '--spacing'", expected: "lengths in mm above 0",
                    found: JSON.numbers(spacing).summary)
            }
            shortcuts.spacing = spacing.count == 1 ? Array(repeating: spacing[0], count: 3) : spacing
        }
        if let size = arguments[size] {
            guard size.allSatisfy({ $0 >= 1 && $0 <= 100_000 && $0 == $0.rounded() }) else {
                throw Failure(
                    .usage, "option '--size'", expected: "whole numbers above 0", found: JSON.numbers(size).summary)
            }
            shortcuts.size = size.map { Int($0) }
        }
        return shortcuts
    }

    /// `occlusion:size=12:stride=4`
    static func method(_ text: String) throws -> MethodChoice {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var choice = MethodChoice(parts[0])
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2, !pair[0].isEmpty, !pair[1].isEmpty else {
                throw Failure(.usage, "method '\(text)'", expected: "NAME:option=value", found: "'\(part)'")
            }
            choice.options[pair[0]] = OptionValue(parsing: pair[1])
        }
        _ = try MethodCatalogue.make(choice)
        return choice
    }
}

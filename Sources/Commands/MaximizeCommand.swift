import Arguments
import Failures
import Foundation
import Inspections
import Networks
import Pipelines
import Preparations
import Rendering
import Tensors
import Volumes

/// `tomolens maximize MODEL --layer L --channel C`
enum MaximizeCommand: Subcommand {
    static let layer = Option(
        "layer", short: "l", .text("LAYER", expected: "a layer's name or alias"),
        help: "The layer; 'logits' for a class. 'tomolens inspect MODEL' lists names.", default: "logits")
    static let channel = Option(
        "channel", short: "c", .integer(0...Int(Int32.max)), help: "The channel, or the class at 'logits'.",
        required: true)
    static let unit = Option(
        "unit", .numbers([1, 2, 3], "Z,Y,X", expected: "one to three whole numbers, slowest axis first"),
        help: "One place of the channel, along the layer's axes as the network has them.",
        default: "the mean over all places")

    static let margin = Flag(
        "margin",
        help: "Maximize how far the class is above the best of the others, not its logit alone.")

    static let steps = Option("steps", .integer(1...100_000), help: "Steps of the ascent.", default: "256")
    static let rate = Option(
        "learning-rate", LookingSupport.number(1e-6...10), help: "Adam's learning rate.", default: "0.05")
    static let basis = Option(
        "basis", .choice(["fourier", "voxels"], "BASIS"), help: "What is varied.", default: "fourier")
    static let decay = Option(
        "decay", LookingSupport.number(0...4),
        help: "With the Fourier basis: coefficients are divided by their frequency to this power.", default: "1")
    static let jitter = Option(
        "jitter", .integer(0...256), help: "Shift by up to so many voxels at every step.", default: "4")
    static let scaling = Option(
        "scaling", LookingSupport.number(0...0.5), help: "Scale by up to this share at every step.", default: "0.05")
    static let rotation = Option(
        "rotation", LookingSupport.number(0...180, "DEGREES"), help: "Turn by up to so many degrees at every step.",
        default: "5")
    static let variation = Option(
        "tv", LookingSupport.number(0...1e6), help: "Weight of the total variation.", default: "0.1")
    static let l2 = Option(
        "l2", LookingSupport.number(0...1e6), help: "Weight of the squared distance from mid-grey.", default: "0.01")
    static let blur = Option(
        "blur", LookingSupport.number(0...20, "VOXELS"),
        help: "With --basis voxels: smooth by this much every 8 steps.", default: "0")
    static let range = Option(
        "range", .numbers([2], "LOW,HIGH", expected: "two numbers, LOW,HIGH, with LOW below HIGH"),
        help: "Hold the input's values within this range.",
        default: "what the preparation makes of −1024 and 3071 HU, or of black and white")
    static let free = Flag("unbounded", help: "Leave the input's values free.")
    static let noise = Option(
        "noise", LookingSupport.number(0.0001...10),
        help: "Deviation of the noise to start from, as a share of the range.",
        default: "0.1")
    static let start = Option("start", .file("SCAN"), help: "Start from a scan or image in place of noise.")
    static let startSlice = Option(
        "start-slice", .integer(1...100_000), help: "Of a scan for a 2D network: which slice.",
        default: "the middle one")
    static let seeds = Option(
        "seeds", .integer(1...64), help: "So many runs, with seeds that follow each other.", default: "1")
    static let compare: Option<[String]> = Option(
        "compare", .list(of: .file("SCAN")),
        help: "Scans or images to compare the reached activation with; a folder stands for all in it.", repeatable: true
    )
    static let image = Flag(
        "image", help: "Prepare as for images, not as for CT (2D networks of three channels: assumed).")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "MODEL's name and '-maximized', here"
    )

    static let declaration = CommandDeclaration(
        "maximize", summary: "find an input that a channel, unit or class answers to most",
        discussion: [
            """
            Gradient ascent on the input with Adam, from noise or from a scan. Random shifts, scales and turns at every step, a \
            Fourier basis with decay, total variation and L2 keep it from meaningless grain; each can be set to 0. The same seed \
            gives the same bytes. Writes the input found (PNG, NIfTI), the curve (PNG, CSV), and says what activation was reached, \
            beside that of real inputs where some are given.
            """
        ], positionals: [LookingSupport.network.declaration],
        groups: [
            OptionGroup(
                "What is maximized", [layer.declaration, channel.declaration, unit.declaration, margin.declaration]),
            OptionGroup(
                "How",
                [
                    steps.declaration, rate.declaration, basis.declaration, decay.declaration, jitter.declaration,
                    scaling.declaration, rotation.declaration, variation.declaration, l2.declaration,
                    blur.declaration, range.declaration, free.declaration,
                ]),
            OptionGroup(
                "Start and comparison",
                [
                    noise.declaration, start.declaration, startSlice.declaration, LookingSupport.seed.declaration,
                    seeds.declaration, compare.declaration,
                ]),
            SharedOptions.preparation,
            OptionGroup(
                "Files",
                [
                    ExplainCommand.pipeline.declaration, image.declaration, output.declaration,
                    SharedOptions.tensorboard.declaration,
                ]),
            LookingSupport.running,
        ],
        examples: [
            Example(
                "What is the most 'nodule' of all inputs?",
                "tomolens maximize model.onnx --channel 1 --pipeline my.json5 --compare scans"),
            Example(
                "A channel of a middle layer, from three seeds:",
                "tomolens maximize vgg16.onnx --layer features.17 --channel 5 --seeds 3"),
            Example(
                "One unit, from a scan, with voxels as parameters:",
                "tomolens maximize model.onnx -l last-conv -c 3 --unit 4,4,4 --start chest.nii.gz --basis voxels"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let path = arguments.required(LookingSupport.network)
        let quiet = arguments[SharedOptions.quiet]
        let isPicture = try takesPictures(arguments, path)
        let plan = try LookingSupport.plan(arguments, console, command: "maximize", model: path, forPictures: isPicture)
        let size = arguments[SharedOptions.size].map { $0.map { Int($0) } }
        let blank = try plan.blank(size: size, forPictures: isPicture)
        var input = blank.input
        if let scan = arguments[start] {
            let prepared = try plan.prepare(try LookingSupport.scanURL(scan).url)
            let slice = arguments[startSlice].map { $0 - 1 } ?? prepared.inputs.count / 2
            guard prepared.inputs.indices.contains(slice) else {
                throw Failure(
                    .usage, "option '--start-slice'", expected: "a slice from 1 to \(prepared.inputs.count)",
                    found: "\(slice + 1)")
            }
            input = prepared.inputs[slice]
        }
        let name = arguments[layer] ?? "logits"
        let unit = try arguments[unit].map { numbers in
            try numbers.map { number in
                guard number == number.rounded(), number >= 0, number < 1e6 else {
                    throw Failure(
                        .usage, "option '--unit'", expected: "whole numbers from 0", found: "\(number)")
                }
                return Int(number)
            }
        }
        let objective = try ActivationObjective(
            plan.explainer, layer: name, channel: arguments.required(channel), unit: unit,
            isMargin: arguments[margin], input: input.tensor)
        var settings = try settings(arguments, channels: objective.inputLayout.channels, blank: blank)
        let folder = try LookingSupport.folder(arguments[output] ?? "\(LookingSupport.stem(path))-maximized")
        let place = unit.map { "_unit" + $0.map(String.init).joined(separator: "-") } ?? ""
        let stem =
            "\(LookingSupport.fileName(name))_channel\(objective.channel)\(place)\(objective.isMargin ? "_margin" : "")"
        let stop = console.stop
        var found: [(seed: Int, outcome: ActivationMaximization.Outcome)] = []
        for seed in 0..<(arguments[seeds] ?? 1) {
            settings.seed = (arguments[LookingSupport.seed] ?? 0) + seed
            let ascent = ActivationMaximization(objective, settings)
            let total = settings.steps
            let outcome = try ascent.run(
                from: arguments[start] == nil ? nil : input.tensor, shape: input.tensor.shape,
                interrupted: { stop.isMade }
            ) { step in
                console.showProgress(
                    "seed \(settings.seed): step \(step.step)/\(total), activation \(LookingSupport.number(step.activation, 4))"
                )
            }
            console.clearProgress()
            found.append((settings.seed, outcome))
            if !quiet {
                console.print(
                    "seed \(settings.seed): activation \(LookingSupport.number(outcome.startActivation, 4)) at the start, \(LookingSupport.number(outcome.activation, 4)) reached"
                )
            }
        }
        let title =
            "\(LookingSupport.stem(path)) · \(name), channel \(objective.channel)"
            + (unit.map { " at \($0.map(String.init).joined(separator: ","))" } ?? "")
            + (objective.isMargin ? ", above all others" : "")
        let drawing = MaximizationDrawing(
            objective: objective, input: input, range: settings.range, title: title, isPicture: isPicture)
        for (seed, outcome) in found {
            try drawing.writeVolume(
                outcome, to: folder.appendingPathComponent("\(stem)_seed\(seed).nii.gz"), plan: plan)
            if let picture = drawing.plain(outcome) {
                try picture.writePNG(to: folder.appendingPathComponent("\(stem)_seed\(seed)_plain.png"))
            }
        }
        try LookingSupport.write(drawing.picture(found), "\(stem).png", in: folder, console, quiet: quiet)
        let real = try compared(arguments, plan, objective, console)
        let curve = curve(found, title: title, best: real.first)
        try LookingSupport.write(curve, "\(stem)_curve.png", in: folder, console, quiet: quiet)
        try LookingSupport.write(table(found), "\(stem)_curve.csv", in: folder)
        let summary = summary(found, real, objective, settings, plan)
        try LookingSupport.write(summary.serialized(), "\(stem).json", in: folder)
        try LookingEvents.maximize(
            arguments, found, real, summary, network: path, files: folder.appendingPathComponent(stem),
            name: "\(LookingSupport.stem(path))-\(stem)")
        if !quiet, let best = real.first {
            let reached = found.map(\.outcome.activation).max()!
            console.print(
                "best of \(real.count) real inputs: \(LookingSupport.number(best.activation, 4)) (\(best.name)); reached: \(LookingSupport.number(reached, 4))"
                    .printable)
        }
        return 0
    }

    /// Whether the network looks at pictures: said so, or two axes and three channels.
    private static func takesPictures(_ arguments: ParsedArguments, _ path: String) throws -> Bool {
        if arguments[image] { return true }
        if let scan = arguments[start] { return try LookingSupport.scanURL(scan).isPicture }
        if arguments[ExplainCommand.pipeline] != nil { return false }
        let network = try Network(contentsOf: URL(fileURLWithPath: path))
        guard let port = network.inputs.first(where: { $0.elementType.kind == .float }) else { return false }
        let layout = try network.layout(of: port.name)
        guard layout.spatial.count == 2, let axis = layout.channels, let dims = port.dims, axis < dims.count else {
            return false
        }
        return dims[axis] == .fixed(3)
    }

    private static func settings(
        _ arguments: ParsedArguments, channels: Int, blank: BlankInput
    ) throws -> ActivationMaximization.Settings {
        var settings = ActivationMaximization.Settings()
        settings.steps = arguments[steps] ?? settings.steps
        settings.learningRate = arguments[rate] ?? settings.learningRate
        settings.parameters = arguments[basis] == "voxels" ? .voxels : .fourier(decay: arguments[decay] ?? 1)
        settings.jitter = arguments[jitter] ?? settings.jitter
        settings.scale = arguments[scaling] ?? settings.scale
        settings.rotation = arguments[rotation] ?? settings.rotation
        settings.totalVariation = arguments[variation] ?? settings.totalVariation
        settings.l2 = arguments[l2] ?? settings.l2
        if let sigma = arguments[blur], sigma > 0 {
            guard settings.parameters == .voxels else {
                throw Failure(
                    .usage, "option '--blur'", expected: "--basis voxels", found: "the Fourier basis",
                    remedy: "Give --basis voxels, or a larger --decay.")
            }
            settings.blurEvery = 8
            settings.blurSigma = sigma
        }
        settings.noise = arguments[noise] ?? settings.noise
        settings.range = blank.range
        if let numbers = arguments[range] {
            guard numbers[0] < numbers[1] else {
                throw Failure(
                    .usage, "option '--range'", expected: "LOW,HIGH with LOW below HIGH",
                    found: JSON.numbers(numbers).summary)
            }
            settings.range = Array(repeating: Float(numbers[0])...Float(numbers[1]), count: channels)
        }
        if arguments[free] { settings.range = nil }
        return settings
    }

    /// The objective of real inputs, the highest first.
    private static func compared(
        _ arguments: ParsedArguments, _ plan: Plan, _ objective: ActivationObjective, _ console: Console
    ) throws -> [(name: String, activation: Double)] {
        var found: [(name: String, activation: Double)] = []
        let urls = try LookingSupport.scans(arguments.all(compare).flatMap { $0 }, plan)
        for (number, url) in urls.enumerated() {
            console.showProgress("comparing with \(url.lastPathComponent), \(number + 1)/\(urls.count)")
            let scan = try plan.prepare(url)
            for (slice, input) in scan.inputs.enumerated() {
                try console.stop.check()
                guard input.tensor.shape == objective.inputShapes[plan.explainer.inputName] || objective.unit == nil
                else { continue }
                let same = try ActivationObjective(
                    plan.explainer, layer: objective.layer, channel: objective.channel, unit: objective.unit,
                    isMargin: objective.isMargin, input: input.tensor)
                let name = scan.inputs.count > 1 ? "\(scan.stem), slice \(slice + 1)" : scan.stem
                found.append((name, try same.value(of: input.tensor) { [stop = console.stop] in stop.isMade }))
            }
        }
        console.clearProgress()
        return found.sorted { $0.activation == $1.activation ? $0.name < $1.name : $0.activation > $1.activation }
    }

    private static func curve(
        _ found: [(seed: Int, outcome: ActivationMaximization.Outcome)], title: String,
        best: (name: String, activation: Double)?
    ) -> Picture {
        var series = found.map { seed, outcome in
            Chart.Series(
                "seed \(seed)", outcome.curve.map { SIMD2(Double($0.step), $0.activation) })
        }
        if let best, let last = found[0].outcome.curve.last?.step {
            series.append(
                Chart.Series(
                    "best real input", [SIMD2(1, best.activation), SIMD2(Double(last), best.activation)],
                    colour: .white))
        }
        return Chart(
            title: title, parts: ["the activation of the moved input at every step"], xTitle: "step",
            yTitle: "activation", series: series
        ).picture()
    }

    private static func table(_ found: [(seed: Int, outcome: ActivationMaximization.Outcome)]) -> String {
        var csv = CSV(columns: ["seed", "step", "activation", "total_variation", "l2", "loss"])
        for (seed, outcome) in found {
            for step in outcome.curve {
                csv.add([
                    .integer(seed), .integer(step.step), .number(step.activation), .number(step.totalVariation),
                    .number(step.l2), .number(step.loss),
                ])
            }
        }
        return csv.text
    }

    private static func summary(
        _ found: [(seed: Int, outcome: ActivationMaximization.Outcome)], _ real: [(name: String, activation: Double)],
        _ objective: ActivationObjective, _ settings: ActivationMaximization.Settings, _ plan: Plan
    ) -> JSON {
        let runs: [JSON] = found.map { seed, outcome in
            .object([
                ("seed", .number(seed)), ("start", .number(outcome.startActivation)),
                ("reached", .number(outcome.activation)),
            ])
        }
        let compared: [JSON] = real.map {
            .object([("input", .text($0.name)), ("activation", .number($0.activation))])
        }
        let unit: JSON = objective.unit.map { .numbers($0.map(Double.init)) } ?? .null
        var how: [(String, JSON)] = [
            ("steps", .number(settings.steps)), ("learningRate", .number(settings.learningRate)),
            ("jitter", .number(settings.jitter)), ("scaling", .number(settings.scale)),
            ("rotation", .number(settings.rotation)), ("totalVariation", .number(settings.totalVariation)),
            ("l2", .number(settings.l2)), ("noise", .number(settings.noise)),
        ]
        if case .fourier(let decay) = settings.parameters {
            how.append(("decay", .number(decay)))
            how.append(("basis", .text("fourier")))
        } else {
            how.append(("basis", .text("voxels")))
            how.append(("blur", .number(settings.blurEvery > 0 ? settings.blurSigma : 0)))
        }
        let range: JSON =
            settings.range.map { ranges in
                .array(ranges.map { .numbers([Double($0.lowerBound), Double($0.upperBound)]) })
            } ?? .null
        how.append(("range", range))
        return .object([
            ("tool", .text(Product.signature)), ("network", .array(plan.networkFiles.map(\.json))),
            ("layer", .text(objective.layer)), ("tensor", .text(objective.tensor)),
            ("channel", .number(objective.channel)), ("unit", unit), ("margin", .bool(objective.isMargin)),
            ("settings", .object(how)),
            ("runs", .array(runs)), ("realInputs", .array(compared)),
        ])
    }
}

/// Optimized inputs as pictures and volumes.
struct MaximizationDrawing {
    let objective: ActivationObjective
    let input: PreparedInput
    let range: [ClosedRange<Float>]?
    let title: String
    let isPicture: Bool

    private func prepared(_ outcome: ActivationMaximization.Outcome) -> PreparedInput {
        PreparedInput(tensor: outcome.input, grid: input.grid, layout: input.layout, slice: input.slice)
    }

    private func volumes(_ outcome: ActivationMaximization.Outcome) -> [Volume] {
        let input = prepared(outcome)
        return (0..<objective.inputLayout.channels).map { input.volume(channel: $0) }
    }

    func writeVolume(_ outcome: ActivationMaximization.Outcome, to url: URL, plan: Plan) throws {
        var writer = NIfTIWriter()
        writer.intent = .estimate("optimized")
        writer.description = "\(Product.signature) activation maximization"
        if let range { writer.displayRange = Double(range[0].lowerBound)...Double(range[0].upperBound) }
        let provenance = JSON.object([
            ("generator", .text(Product.signature)), ("intendedUse", .text("research, not diagnosis")),
            ("network", .array(plan.networkFiles.map(\.json))), ("layer", .text(objective.layer)),
            ("channel", .number(objective.channel)), ("activation", .number(outcome.activation)),
            ("values", .text("the network's prepared input, no scan of anybody")),
        ])
        writer.extensions = [NIfTIExtension(comment: provenance.serialized(pretty: false))]
        let volumes = volumes(outcome)
        if volumes.count == 1 {
            try writer.write(volumes[0], to: url)
        } else {
            try writer.write(series: volumes, to: url)
        }
    }

    /// The range that is drawn from black to white.
    private func ends(_ volumes: [Volume]) -> [ClosedRange<Float>] {
        volumes.indices.map { channel in
            if let range { return range[channel] }
            let values = volumes[channel].voxels.sorted()
            let low = values[values.count / 100]
            return low...max(values[values.count - 1 - values.count / 100], low)
        }
    }

    /// A 2D input by itself, one pixel a pixel; nil for one with depth.
    func plain(_ outcome: ActivationMaximization.Outcome) -> Picture? {
        let volumes = volumes(outcome)
        let slices = VolumeSlices(volumes[0].grid, VolumeSlices.natural(for: volumes[0].grid))
        guard slices.count == 1 else { return nil }
        let shape = volumes[0].grid.shape
        return slice(volumes, slices, 0, longest: [shape.x, shape.y, shape.z].max()!)
    }

    private func slice(_ volumes: [Volume], _ slices: VolumeSlices, _ index: Int, longest: Int) -> Picture {
        let ends = ends(volumes)
        let grey = volumes.indices.map { channel in
            slices.grey(
                volumes[channel], index, longest: longest, from: ends[channel].lowerBound, to: ends[channel].upperBound)
        }
        guard grey.count == 3 else { return grey[0] }
        var pixels: [UInt8] = []
        for place in grey[0].pixels.indices { for channel in grey { pixels.append(channel.pixels[place]) } }
        return Picture(width: grey[0].width, height: grey[0].height, layout: .rgb, pixels: pixels)
    }

    /// All seeds: a tile each for 2D; for a volume a row each of slices along three planes through the unit or the middle.
    func picture(_ found: [(seed: Int, outcome: ActivationMaximization.Outcome)]) -> Picture {
        var tiles: [TileGrid.Tile] = []
        var rows: [String] = []
        var columns: Int?
        for (seed, outcome) in found {
            let volumes = volumes(outcome)
            let grid = volumes[0].grid
            let flat = VolumeSlices(grid, VolumeSlices.natural(for: grid))
            let label = "seed \(seed)  \(LookingSupport.number(outcome.activation, 4))"
            if flat.count == 1 {
                tiles.append(.init(slice(volumes, flat, 0, longest: 256), label: label))
                continue
            }
            rows.append("seed \(seed)")
            let centre = centre(grid)
            for plane in Plane.allCases {
                let slices = VolumeSlices(grid, plane)
                let index = slices.slice(through: centre)
                tiles.append(
                    .init(
                        slice(volumes, slices, index, longest: 176),
                        label: "\(plane.rawValue) \(index + 1)/\(slices.count)"))
            }
            // And evenly through the volume, from above.
            let axial = VolumeSlices(grid, .axial)
            for step in 1...3 {
                let index = axial.count - 1 - axial.count * step / 4
                tiles.append(
                    .init(
                        slice(volumes, axial, max(0, index), longest: 176), label: "axial \(index + 1)/\(axial.count)"))
            }
            columns = 6
        }
        var grid = TileGrid(
            title: title,
            parts: [
                "activation maximization",
                range.map {
                    "black \(LookingSupport.number(Double($0[0].lowerBound))), white \(LookingSupport.number(Double($0[0].upperBound)))"
                }
                    ?? "black and white at the 1st and 99th percentile",
            ], tiles: tiles, columns: columns)
        if columns != nil { grid.rowTitles = rows }
        return grid.picture()
    }

    /// The voxel that pictures of a volume go through.
    private func centre(_ grid: Grid) -> Index3 {
        var place = grid.shape / 2
        if let unit = objective.unitCentre {
            for (axis, target) in input.layout.axes.enumerated() where axis < unit.count {
                place[target] = max(0, min(grid.shape[target] - 1, Int(unit[axis].rounded())))
            }
        }
        return place
    }
}

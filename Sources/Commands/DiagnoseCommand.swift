import Arguments
import Explanations
import Failures
import Foundation
import Inspections
import Networks
import Pipelines
import Preparations
import Rendering
import Tensors
import Volumes

/// `tomolens diagnose MODEL --input SCANS`
enum DiagnoseCommand: Subcommand {
    static let input: Option<[String]> = Option(
        "input", short: "i", .list(of: .file("SCANS")),
        help: "Scans or images to run; a folder stands for all in it.", required: true, repeatable: true)
    static let limit = Option(
        "limit", .integer(1...100_000), help: "Run the first so many inputs (slices, for a 2D network) only.",
        default: "8")
    static let sigma = Option(
        "blur", LookingSupport.number(0.1...50, "VOXELS"), help: "Smoothing of the blur probe, in input voxels.",
        default: "2")
    static let noProbes = Flag("no-probes", help: "Leave out the probes for texture and the place of the heat.")
    static let check = Flag("check", help: "Exit with code 8 when something severe was found.")
    static let json = Flag("json", help: "Print JSON.")
    static let image = Flag("image", help: "Prepare as for images, not as for CT.")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "MODEL's name and '-diagnosis', here"
    )

    static let declaration = CommandDeclaration(
        "diagnose", summary: "look for what is wrong inside a network",
        discussion: [
            """
            Runs the network on scans and looks at every layer: the distribution of its values, dead and saturated channels, \
            sparsity, and the norm of the answer's gradient from the last layer to the first. Then asks whether kernels are smoother \
            than random ones, whether the answer survives blurring and scrambling of the input, and how much heat lies outside of \
            the body, on the table and at the border. Says in words what it found, beside the thresholds, and what usually helps.
            """
        ], positionals: [LookingSupport.network.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [
                    input.declaration, ExplainCommand.pipeline.declaration, image.declaration, limit.declaration,
                    output.declaration, SharedOptions.tensorboard.declaration,
                ]),
            OptionGroup(
                "What is looked for",
                [sigma.declaration, noProbes.declaration, LookingSupport.seed.declaration, check.declaration]),
            SharedOptions.preparation,
            OptionGroup(
                "Running",
                [json.declaration, SharedOptions.threads.declaration, SharedOptions.quiet.declaration]),
        ],
        examples: [
            Example(
                "The sample network on the sample scans:",
                "tomolens diagnose pipelines/lung-nodule.onnx --input volumes -p pipelines/lung-nodule.json5"),
            Example(
                "In a training script, after every epoch:",
                "tomolens diagnose epoch12.onnx --input validation --pipeline my.json5 --check --json"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let path = arguments.required(LookingSupport.network)
        let paths = arguments.all(input).flatMap { $0 }
        let quiet = arguments[SharedOptions.quiet] || arguments[json]
        let isPicture =
            arguments[image] || LookingSupport.arePictures(paths)
        let plan = try LookingSupport.plan(arguments, console, command: "diagnose", model: path, forPictures: isPicture)
        let most = arguments[limit] ?? 8
        let stop = console.stop

        var inputs: [PreparedInput] = []
        var scans: [PreparedScan] = []
        for url in try LookingSupport.scans(paths, plan) where inputs.count < most {
            let scan = try plan.prepare(url)
            for warning in scan.warnings { console.note("warning: \(url.lastPathComponent): \(warning)".printable) }
            let room = most - inputs.count
            // Of a stack of slices evenly chosen ones, the middle among them.
            let taken = min(room, scan.inputs.count)
            for place in 0..<taken {
                let index = (2 * place + 1) * scan.inputs.count / (2 * taken)
                inputs.append(scan.inputs[index])
            }
            scans.append(scan)
        }
        let total = inputs.count
        let health = try HealthCheck(plan.explainer, inputs, interrupted: { stop.isMade }) {
            console.showProgress("layers: input \($0 + 1)/\(total)")
        }
        console.clearProgress()
        let thresholds = DiagnosisThresholds()
        var findings = Finding.inputs(inputs, thresholds) + health.findings(thresholds)
        var kernels: [KernelTexture] = []
        for layer in KernelBank.layers(of: plan.network) {
            try stop.check()
            if let texture = KernelTexture(
                try KernelBank(plan.network, layer: layer), seed: arguments[LookingSupport.seed] ?? 0)
            {
                kernels.append(texture)
            }
        }
        findings += Finding.kernels(kernels, thresholds)
        var notes: [String] = []
        var probe: TextureProbe?
        var heat: [(name: String, places: HeatPlaces)] = []
        if !arguments[noProbes] {
            console.showProgress("probes")
            do {
                let found = try TextureProbe(
                    plan.explainer, inputs, sigma: arguments[sigma] ?? 2, seed: arguments[LookingSupport.seed] ?? 0,
                    interrupted: { stop.isMade })
                findings += Finding.texture(found, thresholds)
                probe = found
            } catch let failure as Failure where failure.kind != .interrupted {
                notes.append("texture probe left out: \(failure.description)")
            }
            for scan in scans {
                try stop.check()
                if let places = try heatPlaces(scan, plan, stop, &notes) { heat.append((scan.stem, places)) }
            }
            findings += Finding.heat(heat.map(\.places), thresholds)
            console.clearProgress()
        }
        findings.sort { $0.severity > $1.severity }

        let folder = try LookingSupport.folder(arguments[output] ?? "\(LookingSupport.stem(path))-diagnosis")
        let drawing = DiagnosisDrawing(title: LookingSupport.stem(path), health: health)
        try LookingSupport.write(drawing.flow(), "gradient_flow.png", in: folder, console, quiet: quiet)
        try LookingSupport.write(drawing.histograms(), "activations.png", in: folder, console, quiet: quiet)
        try LookingSupport.write(drawing.channels(), "channels.png", in: folder, console, quiet: quiet)
        if !kernels.isEmpty {
            try LookingSupport.write(drawing.kernels(kernels), "kernels.png", in: folder, console, quiet: quiet)
        }
        try LookingSupport.write(table(health), "layers.csv", in: folder)
        let report = DiagnosisReport(
            health: health, findings: findings, kernels: kernels, probe: probe, heat: heat, notes: notes)
        let text = report.json(plan, thresholds).serialized()
        try LookingSupport.write(text, "diagnosis.json", in: folder)
        try LookingSupport.write(report.lines(thresholds).joined(separator: "\n") + "\n", "diagnosis.txt", in: folder)
        try LookingEvents.diagnose(arguments, report, network: path, folder: folder)
        if arguments[json] {
            console.printRaw(text)
        } else if !quiet {
            for line in report.lines(thresholds) { console.print(line.printable) }
        }
        let isSevere = findings.contains { $0.severity == .severe }
        return arguments[check] && isSevere ? Failure.Kind.check.exitCode : 0
    }

    /// Where the heat of the winning class lies on a CT; nil for pictures and where a map has no positive heat.
    private static func heatPlaces(
        _ scan: PreparedScan, _ plan: Plan, _ stop: StopRequest, _ notes: inout [String]
    ) throws -> HeatPlaces? {
        guard scan.picture == nil else { return nil }
        if let reason = VolumeStatistics(scan.scan.voxels).notCTReason {
            notes.append("\(scan.stem): where the heat lies is not measured, for it does not look like CT (\(reason))")
            return nil
        }
        let explained = try scan.inputs.map { input in
            try plan.explainer.explain(input, Explainer.Request()) { stop.isMade }
        }
        let seen = try SliceStack.grid(of: explained.map(\.seen))
        let maps = explained.compactMap { $0.explanations.first?.maps.first?.volume }
        let map = maps.count == 1 ? maps[0] : try SliceStack.stack(maps)
        let heat = try HeatPlacement.place(map, on: scan.scan.grid, seen: seen)
        let ones = try HeatPlacement.place(Volume(grid: map.grid, repeating: 1), on: scan.scan.grid, seen: seen)
        return HeatPlaces(
            heat: heat, scan: scan.scan, seen: Mask(ones) { $0 > 0 }, body: BodyMask()(scan.scan))
    }

    private static func table(_ health: HealthCheck) -> String {
        var csv = CSV(columns: [
            "layer", "type", "channels", "minimum", "maximum", "mean", "deviation", "zeros", "dead_channels",
            "saturated", "saturated_channels", "constant_channels", "gradient_norm",
        ])
        for layer in health.layers {
            csv.add([
                .text(layer.name), .text(layer.type), .integer(layer.channels), .number(Double(layer.minimum)),
                .number(Double(layer.maximum)), .number(layer.mean), .number(layer.deviation), .number(layer.zeros),
                .integer(layer.deadChannels.count), .number(layer.saturated),
                .integer(layer.saturatedChannels.count), .integer(layer.constantChannels.count),
                layer.gradientNorm.map { .number($0) } ?? .empty,
            ])
        }
        return csv.text
    }
}

/// A diagnosis in words and for programs.
struct DiagnosisReport {
    let health: HealthCheck
    let findings: [Finding]
    let kernels: [KernelTexture]
    let probe: TextureProbe?
    let heat: [(name: String, places: HeatPlaces)]
    let notes: [String]

    func lines(_ thresholds: DiagnosisThresholds) -> [String] {
        func n(_ value: Double) -> String { LookingSupport.number(value, 3) }
        var lines = ["Layers, over \(health.scans) input\(health.scans == 1 ? "" : "s")"]
        var table = Table(
            [.left, .left, .right, .right, .right, .right, .right, .right],
            header: ["LAYER", "TYPE", "MEAN", "DEVIATION", "ZERO", "DEAD", "SATURATED", "GRADIENT"])
        for layer in health.layers {
            table.add([
                layer.name, layer.type, n(layer.mean), n(layer.deviation), LookingSupport.percent(layer.zeros),
                layer.role == .rectifier ? "\(layer.deadChannels.count)/\(layer.channels)" : "",
                layer.role == .squashing ? "\(layer.saturatedChannels.count)/\(layer.channels)" : "",
                layer.gradientNorm.map(n) ?? "",
            ])
        }
        lines += table.lines()
        if !kernels.isEmpty {
            lines += ["", "Kernels, beside random ones"]
            var rows = Table(
                [.left, .right, .right, .right, .right],
                header: [
                    "LAYER", "SMOOTHNESS (RANDOM)", "STANDARD ERRORS", "HIGH FREQUENCIES (RANDOM)", "ENTROPY (RANDOM)",
                ])
            for kernel in kernels {
                rows.add([
                    kernel.layer, "\(n(kernel.measured.smoothness)) (\(n(kernel.random.smoothness)))",
                    n(kernel.smoothnessZ),
                    "\(LookingSupport.percent(kernel.measured.highFrequencyShare)) (\(LookingSupport.percent(kernel.random.highFrequencyShare)))",
                    "\(n(kernel.measured.spectralEntropy)) (\(n(kernel.random.spectralEntropy)))",
                ])
            }
            lines += rows.lines()
        }
        if let probe, !probe.cases.isEmpty {
            lines += ["", "Answers that stay the same (\(probe.cases.count) inputs)"]
            lines.append("  blurred by \(n(probe.sigma)) voxels: \(LookingSupport.percent(probe.keptUnderBlur))")
            lines.append("  phases scrambled, texture kept: \(LookingSupport.percent(probe.keptScrambled))")
        }
        if !heat.isEmpty {
            lines += ["", "Where the positive heat lies (share of the heat; in brackets, of the scan)"]
            var rows = Table([.left, .right, .right, .right], header: ["SCAN", "OUTSIDE THE BODY", "TABLE", "BORDER"])
            func cell(_ share: Double, _ volume: Double) -> String {
                "\(LookingSupport.percent(share)) (\(LookingSupport.percent(volume)))"
            }
            for (name, places) in heat {
                rows.add([
                    name, cell(places.outside, places.outsideVolume), cell(places.table, places.tableVolume),
                    cell(places.border, places.borderVolume),
                ])
            }
            lines += rows.lines()
        }
        lines += ["", findings.isEmpty ? "Nothing suspicious was found." : "Findings"]
        for finding in findings {
            lines.append("  \(finding.severity.rawValue): \(finding.text)")
            lines.append("    usual remedy: \(finding.remedy)")
        }
        for note in notes { lines.append("note: \(note)") }
        return lines
    }

    func json(_ plan: Plan, _ thresholds: DiagnosisThresholds) -> JSON {
        let layers: [JSON] = health.layers.map { layer in
            let members: [(String, JSON)] = [
                ("layer", .text(layer.name)), ("tensor", .text(layer.tensor)), ("type", .text(layer.type)),
                ("channels", .number(layer.channels)), ("shape", .numbers(layer.shape.map(Double.init))),
                ("minimum", .number(layer.minimum)), ("maximum", .number(layer.maximum)),
                ("mean", .number(layer.mean)), ("deviation", .number(layer.deviation)),
                ("zeros", .number(layer.zeros)), ("saturated", .number(layer.saturated)),
                ("deadChannels", .numbers(layer.deadChannels.map(Double.init))),
                ("saturatedChannels", .numbers(layer.saturatedChannels.map(Double.init))),
                ("constantChannels", .numbers(layer.constantChannels.map(Double.init))),
                ("gradientNorm", .number(layer.gradientNorm)),
                (
                    "histogram",
                    .object([
                        ("from", .number(layer.histogramRange.lowerBound)),
                        ("to", .number(layer.histogramRange.upperBound)),
                        ("counts", .numbers(layer.histogram.map(Double.init))),
                    ])
                ),
            ]
            return .object(members)
        }
        let textures: [JSON] = kernels.map { kernel in
            func measures(_ m: KernelTexture.Measures) -> JSON {
                .object([
                    ("smoothness", .number(m.smoothness)), ("highFrequencyShare", .number(m.highFrequencyShare)),
                    ("spectralEntropy", .number(m.spectralEntropy)),
                ])
            }
            return .object([
                ("layer", .text(kernel.layer)), ("pairs", .number(kernel.pairs)),
                ("measured", measures(kernel.measured)), ("random", measures(kernel.random)),
                ("smoothnessZ", .number(kernel.smoothnessZ)),
            ])
        }
        let probes: JSON =
            probe.map { probe in
                .object([
                    ("sigma", .number(probe.sigma)), ("keptUnderBlur", .number(probe.keptUnderBlur)),
                    ("keptScrambled", .number(probe.keptScrambled)),
                    (
                        "cases",
                        .array(
                            probe.cases.map {
                                .object([
                                    ("class", .number($0.classIndex)), ("original", .number($0.original)),
                                    ("blurred", .number($0.blurred)), ("scrambled", .number($0.scrambled)),
                                ])
                            })
                    ),
                ])
            } ?? .null
        let places: [JSON] = heat.map { name, places in
            .object([
                ("scan", .text(name)), ("outside", .number(places.outside)), ("table", .number(places.table)),
                ("border", .number(places.border)), ("outsideVolume", .number(places.outsideVolume)),
                ("tableVolume", .number(places.tableVolume)), ("borderVolume", .number(places.borderVolume)),
            ])
        }
        let found: [JSON] = findings.map {
            .object([
                ("kind", .text($0.kind.rawValue)), ("severity", .text($0.severity.rawValue)),
                ("layers", .array($0.layers.map { .text($0) })), ("text", .text($0.text)),
                ("remedy", .text($0.remedy)),
            ])
        }
        let limits: [(String, JSON)] = [
            ("deadChannels", .numbers([thresholds.dead.warning, thresholds.dead.severe])),
            ("saturatedChannels", .numbers([thresholds.saturated.warning, thresholds.saturated.severe])),
            ("vanishing", .numbers([thresholds.vanishing.warning, thresholds.vanishing.severe])),
            ("exploding", .numbers([thresholds.exploding.warning, thresholds.exploding.severe])),
            ("smoothnessZ", .number(thresholds.smoothnessZ)), ("keptUnderBlur", .number(thresholds.keepsUnderBlur)),
            ("heatOutside", .number(thresholds.heatOutside)), ("inputContrast", .number(thresholds.inputContrast)),
        ]
        return .object([
            ("tool", .text(Product.signature)), ("network", .array(plan.networkFiles.map(\.json))),
            ("inputs", .number(health.scans)), ("findings", .array(found)), ("layers", .array(layers)),
            ("kernels", .array(textures)), ("texture", probes), ("heat", .array(places)),
            ("thresholds", .object(limits)), ("notes", .array(notes.map { .text($0) })),
        ])
    }
}

/// A diagnosis as charts.
struct DiagnosisDrawing {
    let title: String
    let health: HealthCheck

    private func spread(_ chart: inout Chart) { chart.width = max(420, min(1600, 18 * chart.categories.count)) }

    func flow() -> Picture {
        let flow = health.flow
        var chart = Chart(
            title: "\(title) · gradient norm from the first layer to the last",
            parts: ["Euclidean norm of the answer's gradient, mean over \(health.scans) inputs"], xTitle: "",
            yTitle: "gradient norm",
            series: [
                .init(
                    "", flow.enumerated().map { SIMD2(Double($0.offset), max($0.element.norm, 1e-30)) },
                    form: .markedLine)
            ])
        chart.yScaling = .logarithmic
        chart.categories = flow.map(\.name)
        spread(&chart)
        return chart.picture()
    }

    /// A histogram a layer, counts on a logarithmic scale.
    func histograms() -> Picture {
        let shown =
            health.layers.count > 40
            ? stride(from: 0, to: 40, by: 1).map { health.layers[$0 * health.layers.count / 40] } : health.layers
        let tiles = shown.map { layer -> TileGrid.Tile in
            let (low, high) = (layer.histogramRange.lowerBound, layer.histogramRange.upperBound)
            let width = (high - low) / Double(layer.histogram.count)
            let total = Double(max(1, layer.histogram.reduce(0, +)))
            var chart = Chart(
                title: "", xTitle: "", yTitle: "",
                series: [
                    .init(
                        "",
                        layer.histogram.enumerated().map {
                            SIMD2(low + (Double($0.offset) + 0.5) * width, log10(1 + Double($0.element) / total * 1e4))
                        }, form: .bars, colour: Self.colour(layer.role))
                ])
            chart.width = 150
            chart.height = 70
            return .init(chart.picture(), label: "\(layer.name)  \(layer.type)")
        }
        return TileGrid(
            title: "\(title) · distribution of activations",
            parts: [
                "over \(health.scans) inputs", "bars: log10 of 1 + the share in ten thousandths",
                shown.count < health.layers.count ? "\(shown.count) of \(health.layers.count) layers" : "",
            ], tiles: tiles
        ).picture()
    }

    private static func colour(_ role: LayerHealth.Role) -> Colour {
        switch role {
        case .linear: Chart.colours[0]
        case .rectifier: Chart.colours[1]
        case .squashing: Chart.colours[3]
        case .activation: Chart.colours[2]
        }
    }

    func channels() -> Picture {
        let layers = health.layers
        func series(_ label: String, _ share: (LayerHealth) -> Double?) -> Chart.Series {
            .init(
                label,
                layers.enumerated().compactMap { place, layer in
                    share(layer).map { SIMD2(Double(place), $0 * 100) }
                }, form: .points)
        }
        var chart = Chart(
            title: "\(title) · silent channels and values", parts: ["over \(health.scans) inputs"], xTitle: "",
            yTitle: "per cent",
            series: [
                series("zero values") { $0.role == .rectifier ? $0.zeros : nil },
                series("dead channels") {
                    $0.role == .rectifier ? Double($0.deadChannels.count) / Double($0.channels) : nil
                },
                series("saturated channels") {
                    $0.role == .squashing ? Double($0.saturatedChannels.count) / Double($0.channels) : nil
                },
            ])
        chart.yRange = -2...102
        chart.categories = layers.map(\.name)
        spread(&chart)
        return chart.picture()
    }

    func kernels(_ kernels: [KernelTexture]) -> Picture {
        func series(_ label: String, _ value: (KernelTexture) -> Double) -> Chart.Series {
            .init(label, kernels.enumerated().map { SIMD2(Double($0.offset), value($0.element)) }, form: .markedLine)
        }
        var chart = Chart(
            title: "\(title) · kernels beside random ones",
            parts: ["smoothness: correlation of neighbouring weights"], xTitle: "", yTitle: "",
            series: [
                series("smoothness") { $0.measured.smoothness },
                series("smoothness, random") { $0.random.smoothness },
                series("high frequencies") { $0.measured.highFrequencyShare },
                series("high frequencies, random") { $0.random.highFrequencyShare },
            ])
        chart.categories = kernels.map(\.layer)
        spread(&chart)
        return chart.picture()
    }
}

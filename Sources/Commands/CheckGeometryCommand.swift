import Arguments
import Explanations
import Failures
import Foundation
import Networks
import Pipelines
import Preparations
import Tensors
import Volumes

/// `tomolens check-geometry MODEL [SCAN]`
enum CheckGeometryCommand: Subcommand {
    static let model = Positional(.file("MODEL"), help: "The network (.onnx).")
    static let scan = Positional(
        .file("SCAN"), help: "A scan: its prepared voxels go through the network, and markers lie on its grid.",
        required: false)
    static let pipeline = Option(
        "pipeline", short: "p", .file("FILE.json5"), help: "Take the preparation from a pipeline file.")
    static let taps: Option<[String]> = Option(
        "tap", .list(of: .text("LAYER", expected: "a layer's name or alias")), help: "Layers to check.",
        default: "first-conv, last-spatial, and two between", repeatable: true)
    static let positions = Option(
        "positions", .integer(2...10_000), help: "Voxels of each layer that are pulled back.", default: "24")
    static let size = Option(
        "size", .numbers([1, 2, 3], "X,Y,Z", expected: "one, two or three whole numbers above 0"),
        help: "Voxels of the input, where the network leaves them open and no scan is given.", default: "64")
    static let tolerance = Option(
        "tolerance",
        ValueReader<Double>(placeholder: "VOXELS", expected: "a number above 0") { text in
            Double(text).flatMap { $0 > 0 && $0.isFinite ? $0 : nil }
        }, help: "Largest bias that passes, in input voxels.", default: "0.5")
    static let json = Flag("json", help: "Print JSON.")

    /// Markers must be found within a hundredth of a voxel.
    static let markerTolerance = 0.01

    static let declaration = CommandDeclaration(
        "check-geometry", summary: "prove where a network's heat lies",
        discussion: [
            """
            Pulls single voxels of layers back to the input and compares the centroid of the gradient with the place that the \
            receptive field predicts; beside it stand the errors of corner-aligned and half-pixel upsampling, the habits of other \
            tools. Then carries markers at known world positions through the preparation, onto the layer's grid and back, on \
            flipped, permuted, oblique and anisotropic grids. Exit code 8 when an error is too large.
            """
        ], positionals: [model.declaration, scan.declaration],
        groups: [
            OptionGroup(
                "What is checked",
                [
                    pipeline.declaration, taps.declaration, positions.declaration, size.declaration,
                    tolerance.declaration,
                ]),
            OptionGroup("Output", [json.declaration, SharedOptions.threads.declaration]),
        ],
        examples: [
            Example("With noise as input:", "tomolens check-geometry model.onnx"),
            Example(
                "On a scan, with the pipeline's preparation:",
                "tomolens check-geometry model.onnx chest.nii.gz --pipeline my.json5"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        var words = PipelineFile()
        if let file = arguments[pipeline] { words = try PipelineFile.read(URL(fileURLWithPath: file)) }
        let plan = try Plan(words, model: URL(fileURLWithPath: arguments.required(model)))
        let report = try GeometryReport(
            plan, scan: arguments[scan].map { URL(fileURLWithPath: $0) }, taps: arguments.all(taps).flatMap { $0 },
            positions: arguments[positions] ?? 24, size: (arguments[size] ?? [64]).map { Int($0) }, stop: console.stop)
        let limit = arguments[tolerance] ?? 0.5
        if arguments[json] {
            console.printRaw(report.json.serialized())
        } else {
            for line in report.lines(tolerance: limit) { console.print(line.printable) }
        }
        let holds = report.worstBias <= limit && report.worstMarker <= markerTolerance
        return holds ? 0 : Failure.Kind.check.exitCode
    }
}

/// What `tomolens check-geometry` measures.
struct GeometryReport {
    let taps: [GeometryCheck.TapReport]
    let markers: [MarkerCheck.Report]
    let markerTap: String
    /// Layers that could not be checked, and why.
    let skipped: [(tap: String, reason: String)]

    var worstBias: Double { taps.map(\.worstBias).max() ?? 0 }
    var worstMarker: Double { markers.map { max($0.preparedVoxels, $0.placedVoxels) }.max() ?? 0 }

    init(_ plan: Plan, scan url: URL?, taps names: [String], positions: Int, size: [Int], stop: StopRequest) throws {
        let network = plan.network
        let inputName = plan.explainer.inputName
        var inputs = plan.explainer.otherInputs
        var grid = Grid(
            shape: [96, 88, 48],
            affine: Affine(i: [-1.5, 0, 0], j: [0, -1.5, 0], k: [0, 0, 3], origin: [70, 60, -70]))
        if let url {
            let image = try NIfTIFile.read(url, volume: plan.words.input.volume)
            grid = image.volume.grid
            let prepared = try plan.preparation.preparation.prepareSlices(image.volume)
            inputs[inputName] = .float(prepared[prepared.count / 2].tensor)
        } else {
            inputs[inputName] = .float(try Self.noise(network, inputName, size: size))
        }
        let shapes = inputs.mapValues(\.shape)

        var chosen = try plan.explainer.taps(names, inputShapes: shapes)
        if names.isEmpty {
            // From the first convolution to the last layer with places, and two between.
            let spatial = try network.taps(inputShapes: shapes).filter {
                $0.spatialShape.reduce(1, *) > 1 && $0.type != "input" && !$0.isTokens
            }
            let last = spatial.firstIndex { $0.tap.tensor == chosen[0] } ?? max(0, spatial.count - 1)
            let picks = [0, last / 3, 2 * last / 3, last].filter { spatial.indices.contains($0) }
            var seen = Set<String>()
            chosen = (picks.map { spatial[$0].tap.tensor } + chosen).filter { seen.insert($0).inserted }
        }
        let check = GeometryCheck(network: network, inputName: inputName, positions: positions)
        var reports: [GeometryCheck.TapReport] = []
        var skipped: [(tap: String, reason: String)] = []
        for tap in chosen {
            try stop.check()
            do { reports.append(try check.check(tap: tap, inputs: inputs)) } catch let failure as Failure {
                // What was asked for by name must be answered; a layer of our own choosing may be passed over.
                guard names.isEmpty, failure.kind == .network else { throw failure }
                skipped.append((tap, failure.description))
            }
        }
        taps = reports
        self.skipped = skipped

        let tap = chosen.last!
        markerTap = tap
        let preparation = plan.preparation.preparation
        let marker = MarkerCheck(preparation: preparation)
        markers = try MarkerCheck.variations(of: grid).map { name, grid in
            try stop.check()
            return try marker.check(name, scan: grid) { seen in
                try Self.tapGrid(plan.explainer, tap: tap, seen: seen, layout: preparation.layout)
            }
        }
    }

    /// The grid of a layer for a prepared volume; for a 2D network that of all slices.
    private static func tapGrid(_ explainer: Explainer, tap: String, seen: Volume, layout: NetworkLayout) throws -> Grid
    {
        var slice = seen.grid
        if let axis = layout.sliceAxis { slice.shape[axis] = 1 }
        let spatial = layout.spatialShape(seen.grid.shape)
        let shape = layout.isChannelsLast ? [1] + spatial + [1] : [1, 1] + spatial
        let input = PreparedInput(tensor: Tensor(shape: shape, repeating: 0), grid: slice, layout: layout)
        var shapes = explainer.otherInputs.mapValues(\.shape)
        shapes[explainer.inputName] = try inputShape(explainer, spatial: spatial, isChannelsLast: layout.isChannelsLast)
        let features = try explainer.layouts(of: [tap], inputShapes: shapes)[tap]!
        var grid = try input.volume(
            fromTensorSpatial: [Float](repeating: 0, count: features.spatial.elementCount), shape: features.spatial,
            jump: features.jump, centre: features.centre
        ).grid
        if let axis = layout.sliceAxis { grid.shape[axis] = seen.grid.shape[axis] }
        return grid
    }

    private static func inputShape(_ explainer: Explainer, spatial: [Int], isChannelsLast: Bool) throws -> [Int] {
        let usual = try explainer.network.usualShapes()[explainer.inputName] ?? []
        let layout = try explainer.network.layout(of: explainer.inputName)
        var shape = usual
        for (axis, extent) in zip(layout.spatial, spatial) { shape[axis] = extent }
        return shape
    }

    /// Even noise from 0 to 1 in the input's fixed shape, or `size` where it is open.
    private static func noise(_ network: Network, _ inputName: String, size: [Int]) throws -> Tensor<Float> {
        var shape = try network.usualShapes()[inputName] ?? []
        let layout = try network.layout(of: inputName)
        let port = network.inputs.first { $0.name == inputName }
        for (number, axis) in layout.spatial.enumerated() {
            if let dims = port?.dims, axis < dims.count, case .fixed = dims[axis] { continue }
            shape[axis] = size[min(number, size.count - 1)]
        }
        var random = RandomSource(seed: 42)
        return Tensor(shape: shape, values: (0..<shape.elementCount).map { _ in Float(random.uniform()) })
    }

    func lines(tolerance: Double) -> [String] {
        func f(_ value: Double, _ digits: Int = 3) -> String { String(format: "%.\(digits)f", value) }
        var lines = [
            "Single voxels of a layer pulled back to the input: how far the gradient's centroid lies from the prediction,",
            "in input voxels along each axis (bias: mean over positions; error: mean distance).",
        ]
        var table = Table(
            [.left, .right, .right, .right, .right, .right, .right, .right],
            header: ["LAYER", "AXIS", "JUMP", "CENTRE", "BIAS", "ERROR", "CORNER-ALIGNED BIAS", "HALF-PIXEL BIAS"])
        for report in taps {
            for (number, axis) in report.axes.enumerated() {
                table.add([
                    number == 0 ? "\(report.tap) (\(report.positions))\(report.isTruncated ? " *" : "")" : "",
                    String(axis.inputAxis), ScanInspection.number(axis.jump, 3), ScanInspection.number(axis.centre, 3),
                    f(axis.bias),
                    f(axis.meanError), f(axis.cornerAlignedBias), f(axis.halfPixelBias),
                ])
            }
        }
        lines += table.lines()
        if taps.contains(where: \.isTruncated) {
            lines.append("  * no position sees only the inside of the input; positions come in mirrored pairs")
        }
        for (tap, reason) in skipped { lines.append("  not checked: \(tap): \(reason)") }
        lines += ["", "Markers at known positions through preparation, layer '\(markerTap)' and back: largest error"]
        var rows = Table(
            [.left, .right, .right, .right, .right],
            header: ["GRID", "PREPARED, VOXELS", "MM", "BACK ON THE SCAN, VOXELS", "MM"])
        for report in markers {
            rows.add([
                report.grid, f(report.preparedVoxels, 5), f(report.preparedMillimetres, 5), f(report.placedVoxels, 5),
                f(report.placedMillimetres, 5),
            ])
        }
        lines += rows.lines()
        lines.append("")
        lines.append(
            "\(worstBias <= tolerance ? "holds" : "DOES NOT HOLD"): largest bias \(f(worstBias)) input voxels (at most \(ScanInspection.number(tolerance, 3)))"
        )
        lines.append(
            "\(worstMarker <= CheckGeometryCommand.markerTolerance ? "holds" : "DOES NOT HOLD"): largest marker error \(f(worstMarker, 5)) voxels (at most \(CheckGeometryCommand.markerTolerance))"
        )
        return lines
    }

    var json: JSON {
        .object([
            (
                "layers",
                .array(
                    taps.map { report in
                        .object([
                            ("tap", .text(report.tap)), ("positions", .number(report.positions)),
                            ("truncated", .bool(report.isTruncated)),
                            (
                                "axes",
                                .array(
                                    report.axes.map { axis in
                                        .object([
                                            ("inputAxis", .number(axis.inputAxis)), ("jump", .number(axis.jump)),
                                            ("centre", .number(axis.centre)), ("fieldSize", .number(axis.fieldSize)),
                                            ("bias", .number(axis.bias)), ("meanError", .number(axis.meanError)),
                                            ("cornerAlignedBias", .number(axis.cornerAlignedBias)),
                                            ("cornerAlignedError", .number(axis.cornerAlignedError)),
                                            ("halfPixelBias", .number(axis.halfPixelBias)),
                                            ("halfPixelError", .number(axis.halfPixelError)),
                                        ])
                                    })
                            ),
                        ])
                    })
            ),
            (
                "markers",
                .array(
                    markers.map { report in
                        .object([
                            ("grid", .text(report.grid)), ("markers", .number(report.markers)),
                            ("preparedVoxels", .number(report.preparedVoxels)),
                            ("preparedMm", .number(report.preparedMillimetres)),
                            ("placedVoxels", .number(report.placedVoxels)),
                            ("placedMm", .number(report.placedMillimetres)),
                        ])
                    })
            ),
            ("worstBias", .number(worstBias)), ("worstMarker", .number(worstMarker)),
            ("notChecked", .array(skipped.map { .object([("tap", .text($0.tap)), ("reason", .text($0.reason))]) })),
        ])
    }
}

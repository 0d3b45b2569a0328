import Arguments
import Failures
import Foundation
import Inspections
import Networks
import Pipelines
import Rendering
import Volumes

/// `tomolens features SCAN --model M --layer L…`
enum FeaturesCommand: Subcommand {
    static let layers: Option<[String]> = Option(
        "layer", short: "l", .list(of: .text("LAYER", expected: "a layer's name or alias")),
        help: "Layers to show; 'tomolens inspect MODEL' lists names.", default: "first-conv and last-spatial",
        repeatable: true)
    static let channels = LookingSupport.indices("channels", "Show these channels.", default: "the strongest")
    static let count = Option(
        "count", .integer(1...4096), help: "Show so many channels, the largest root mean square first.", default: "16")
    static let scale = Option(
        "scale", .choice(["shared", "own"], "SCALE"),
        help: "One scale for a layer's channels, or each channel its own.", default: "shared")
    static let slices = Option(
        "slices",
        ValueReader<SliceChoice>(
            placeholder: "hottest|mosaic|N", expected: "'hottest', 'mosaic' or a slice's number from 1",
            completion: .words(["hottest", "mosaic"])
        ) { text in
            switch text {
            case "hottest": return .hottest
            case "mosaic": return .mosaic
            default: return Int(text).flatMap { (1...100_000).contains($0) ? .numbered($0) : nil }
            }
        },
        help:
            "Of a map with depth: each channel's strongest slice, all slices of each channel, or one slice by number.",
        default: "hottest")
    static let plane = Option(
        "plane", .choice(Plane.allCases.map(\.rawValue), "PLANE"), help: "In which plane slices are cut.",
        default: "axial")
    static let volumes = Option(
        "volumes", .choice(["shown", "all", "none"], "WHICH"),
        help: "Channels written as a 4D NIfTI on the layer's own grid.", default: "shown")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "SCAN's name and '-features', here")

    enum SliceChoice: Sendable { case hottest, mosaic, numbered(Int) }

    static let declaration = CommandDeclaration(
        "features", summary: "draw what the channels of layers do on a scan",
        discussion: [
            """
            Runs the network on one scan or image and draws the activations of layers as labelled grids: of every channel its \
            number, its largest value and the slice. Each layer's channels are also written as a 4D NIfTI on the layer's own grid, \
            with its exact affine, and a table (CSV) sums up all channels.
            """
        ], positionals: [LookingSupport.scan.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [
                    SharedOptions.model.declaration, ExplainCommand.pipeline.declaration, output.declaration,
                    SharedOptions.tensorboard.declaration,
                ]),
            OptionGroup(
                "What is shown",
                [
                    layers.declaration, channels.declaration, count.declaration, slices.declaration,
                    plane.declaration,
                ]),
            SharedOptions.preparation,
            OptionGroup(
                "Pictures and files",
                [scale.declaration, SharedOptions.colormap.declaration, volumes.declaration]),
            LookingSupport.running,
        ],
        examples: [
            Example(
                "First and last features of a scan:",
                "tomolens features chest.nii.gz --pipeline pipelines/lung-nodule.json5"),
            Example(
                "Three layers of a VGG16 on an image:",
                "tomolens features dog.png -m vgg16.onnx -l features.0,features.10,features.28"),
            Example(
                "All slices of two channels:",
                "tomolens features chest.nii.gz -p my.json5 -l last-conv --channels 3,7 --slices mosaic"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let (url, isPicture) = try LookingSupport.scanURL(arguments.required(LookingSupport.scan))
        let plan = try LookingSupport.plan(arguments, console, command: "features", forPictures: isPicture)
        let scan = try plan.prepare(url)
        for warning in scan.warnings { console.note("warning: \(warning.printable)") }
        var names = arguments.all(layers).flatMap { $0 }
        if names.isEmpty { names = ["first-conv", "last-spatial"] }
        let choice: FeatureMaps.Choice =
            arguments[channels].map { .listed($0) } ?? .strongest(arguments[count] ?? 16)
        let keepsAll = arguments[volumes] == "all"
        let stop = console.stop
        let found = try FeatureMaps.read(
            plan.explainer, scan.inputs, layers: names, choice: keepsAll ? .all : choice
        ) { stop.isMade }
        let folder = try LookingSupport.folder(arguments[output] ?? "\(scan.stem)-features")
        let quiet = arguments[SharedOptions.quiet]
        let files = LookingSupport.fileNames(names)
        var events: [LookingEvents.Layer] = []
        for (maps, file) in zip(found, files) {
            try stop.check()
            let drawing = FeatureDrawing(
                maps: maps, scan: scan, isShared: arguments[scale] != "own",
                map: try arguments[SharedOptions.colormap].map { try ColourMap(named: $0) },
                plane: arguments[plane].flatMap(Plane.init))
            let shown = keepsAll ? try drawing.chosen(choice) : maps.channels
            var pictures: [(step: Int, file: URL)] = []
            func write(_ picture: Picture, _ name: String, step: Int = 0) throws {
                try LookingSupport.write(picture, name, in: folder, console, quiet: quiet)
                pictures.append((step, folder.appendingPathComponent(name)))
            }
            switch arguments[slices] ?? .hottest {
            case .mosaic:
                for channel in shown {
                    try write(
                        drawing.mosaic(channel), "\(scan.stem)_\(file)_channel\(channel.index).png",
                        step: channel.index)
                }
            case .hottest:
                try write(drawing.grid(shown, slice: nil), "\(scan.stem)_\(file).png")
            case .numbered(let number):
                try drawing.check(number)
                try write(drawing.grid(shown, slice: number - 1), "\(scan.stem)_\(file).png")
            }
            try LookingSupport.write(table(maps), "\(scan.stem)_\(file).csv", in: folder)
            if arguments[volumes] != "none" {
                try writeVolumes(maps, scan, plan, to: folder.appendingPathComponent("\(scan.stem)_\(file).nii.gz"))
            }
            events.append(.init(maps: maps, shown: shown, pictures: pictures, words: summary(maps)))
            if !quiet { console.print(summary(maps)) }
        }
        let network = plan.networkFiles.first?.path ?? ""
        try LookingEvents.features(
            arguments, events, scan: scan.stem, network: network,
            settings: [
                ("layers", .text(names.joined(separator: ", "))), ("scale", .text(arguments[scale] ?? "shared")),
            ])
        return 0
    }

    private static func writeVolumes(_ maps: FeatureMaps, _ scan: PreparedScan, _ plan: Plan, to url: URL) throws {
        var writer = NIfTIWriter()
        writer.reference = scan.header
        writer.intent = .estimate("activation")
        writer.description = "\(Product.signature) activations"
        let top = maps.channels.flatMap { [$0.volume.voxels.max() ?? 0] }.max() ?? 0
        if top > 0 { writer.displayRange = 0...Double(top) }
        let provenance = JSON.object([
            ("generator", .text(Product.signature)), ("intendedUse", .text("research, not diagnosis")),
            ("network", .array(plan.networkFiles.map(\.json))), ("layer", .text(maps.layer)),
            ("tensor", .text(maps.tensor)), ("channels", .numbers(maps.channels.map { Double($0.index) })),
            ("jump", .numbers(maps.jump)), ("centre", .numbers(maps.centre)),
            ("preparation", .array(plan.preparation.summary.map { .text($0) })),
        ])
        writer.extensions = [NIfTIExtension(comment: provenance.serialized(pretty: false))]
        try writer.write(series: maps.channels.map(\.volume), to: url)
    }

    private static func table(_ maps: FeatureMaps) -> String {
        var csv = CSV(columns: ["channel", "minimum", "maximum", "mean", "root_mean_square", "zeros"])
        for (channel, summary) in maps.summaries.enumerated() {
            csv.add([
                .integer(channel), .number(Double(summary.minimum)), .number(Double(summary.maximum)),
                .number(summary.mean), .number(summary.rootMeanSquare), .number(summary.zeros),
            ])
        }
        return csv.text
    }

    private static func summary(_ maps: FeatureMaps) -> String {
        let silent = maps.summaries.filter { $0.minimum == 0 && $0.maximum == 0 }.count
        let shape = maps.channels[0].volume.grid.shape
        return "\(maps.layer): \(maps.summaries.count) channels of \(shape.x)×\(shape.y)×\(shape.z)"
            + (silent > 0 ? ", \(silent) of them zero everywhere on this scan" : "")
    }
}

/// Feature maps as pictures.
struct FeatureDrawing {
    let maps: FeatureMaps
    let scan: PreparedScan
    let isShared: Bool
    let map: ColourMap?
    private let plane: Plane
    private let slices: VolumeSlices
    private let isSigned: Bool

    private static let tile = 112

    init(maps: FeatureMaps, scan: PreparedScan, isShared: Bool, map: ColourMap?, plane: Plane?) {
        self.maps = maps
        self.scan = scan
        self.isShared = isShared
        self.map = map
        let grid = maps.channels[0].volume.grid
        self.plane = plane ?? VolumeSlices.natural(for: grid)
        slices = VolumeSlices(grid, self.plane)
        isSigned = maps.summaries.contains { $0.minimum < 0 }
    }

    func chosen(_ choice: FeatureMaps.Choice) throws -> [FeatureMaps.Channel] {
        switch choice {
        case .all: return maps.channels
        case .listed(let list): return list.map { maps.channels[$0] }
        case .strongest(let count):
            let strength = maps.summaries.map(\.rootMeanSquare)
            return strength.indices.sorted {
                strength[$0] == strength[$1] ? $0 < $1 : strength[$0] > strength[$1]
            }.prefix(count).map { maps.channels[$0] }
        }
    }

    func check(_ number: Int) throws {
        guard number <= slices.count else {
            throw Failure(
                .usage, "option '--slices'", expected: "a slice from 1 to \(slices.count) of layer '\(maps.layer)'",
                found: "\(number)")
        }
    }

    private func scale(_ channel: FeatureMaps.Channel) -> ScaleRange {
        ScaleRange(of: channel.volume, signed: isSigned)
    }

    private var parts: [String] {
        let shape = maps.channels[0].volume.grid.shape
        return [
            "\(maps.summaries.count) channels of \(shape.x)×\(shape.y)×\(shape.z)",
            slices.count > 1 ? "\(plane.rawValue) slices" : "",
            "\(maps.jump.map { LookingSupport.number($0, 4) }.joined(separator: "×")) input voxels apart",
        ]
    }

    private func hottest(_ volume: Volume) -> Int {
        let sums = slices.sums(volume)
        return sums.indices.max { sums[$0] < sums[$1] || (sums[$0] == sums[$1] && $0 > $1) } ?? 0
    }

    /// One tile a channel, behind a tile of the input.
    func grid(_ shown: [FeatureMaps.Channel], slice: Int?) -> Picture {
        let bar: Palette? = isShared ? Palette(map, scale: .shared(shown.map(scale))) : nil
        var tiles: [TileGrid.Tile] = []
        for channel in shown {
            let index = slice ?? hottest(channel.volume)
            let palette = bar ?? Palette(map, scale: scale(channel))
            let top = LookingSupport.number(Double(isSigned ? palette.scale.top : scale(channel).top), 2)
            let place = slices.count > 1 ? "  \(index + 1)/\(slices.count)" : ""
            tiles.append(
                .init(
                    palette.slice(channel.volume, plane: plane, index: index, longest: Self.tile),
                    label: "\(channel.index)\(place)" + (isShared ? "" : "  to \(top)")))
        }
        if let input = inputTile(at: slice ?? shown.first.map { hottest($0.volume) } ?? 0) {
            tiles.insert(input, at: 0)
        }
        var grid = TileGrid(title: "\(scan.stem) · \(maps.layer)", parts: parts, tiles: tiles)
        grid.palette = bar
        grid.quantity = "activation"
        if !isShared { grid.parts.append("each channel on its own scale") }
        return grid.picture()
    }

    /// All slices of one channel, or evenly spaced ones of many.
    func mosaic(_ channel: FeatureMaps.Channel) -> Picture {
        let palette = Palette(map, scale: scale(channel))
        let most = 48
        let step = max(1, (slices.count + most - 1) / most)
        let tiles = stride(from: slices.count - 1, through: 0, by: -step).map { index in
            TileGrid.Tile(
                palette.slice(channel.volume, plane: plane, index: index, longest: Self.tile),
                label: slices.count > 1 ? "\(index + 1)/\(slices.count)  \(slices.label(index))" : "")
        }
        var grid = TileGrid(
            title: "\(scan.stem) · \(maps.layer), channel \(channel.index)",
            parts: parts + (step > 1 ? ["every \(step)th slice"] : []), tiles: tiles)
        grid.palette = palette
        grid.quantity = "activation"
        return grid.picture()
    }

    /// The scan at the world position of a slice of the layer.
    private func inputTile(at index: Int) -> TileGrid.Tile? {
        if let picture = scan.picture {
            let own = VolumeSlices(picture.grid, .axial)
            return .init(own.grey(picture.luminanceVolume, 0, longest: Self.tile), label: "the image")
        }
        let grid = maps.channels[0].volume.grid
        let through = Orientation(grid.affine).storedAxis(alongWorld: plane == .axial ? 2 : plane == .coronal ? 1 : 0)
        // Into the scan's own index by world coordinates.
        var place = Vector3(Double(grid.shape.x - 1), Double(grid.shape.y - 1), Double(grid.shape.z - 1)) / 2
        let stored = (0..<grid.shape[through]).first { candidate in
            var index3 = Index3(0, 0, 0)
            index3[through] = candidate
            return slices.slice(through: index3) == index
        }
        place[through] = Double(stored ?? 0)
        guard let inverse = scan.scan.grid.affine.inverse else { return nil }
        let there = inverse(grid.affine(place))
        let shape = scan.scan.grid.shape
        let nearest = Index3(
            max(0, min(shape.x - 1, Int(there.x.rounded()))), max(0, min(shape.y - 1, Int(there.y.rounded()))),
            max(0, min(shape.z - 1, Int(there.z.rounded()))))
        let own = VolumeSlices(scan.scan.grid, plane)
        let slice = own.slice(through: nearest)
        return .init(own.grey(scan.scan, slice, longest: Self.tile), label: "scan \(slice + 1)/\(own.count)")
    }
}

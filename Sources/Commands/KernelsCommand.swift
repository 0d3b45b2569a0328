import Arguments
import Failures
import Foundation
import Inspections
import Networks
import Pipelines
import Rendering
import Tensors

/// `tomolens kernels MODEL --layer L`
enum KernelsCommand: Subcommand {
    static let layer = Option(
        "layer", short: "l", .text("LAYER", expected: "a layer's name or alias"),
        help: "The convolution; 'tomolens inspect MODEL' lists names.", default: "first-conv")
    static let by = Option(
        "by", .choice(["channel", "norm", "rgb"], "VIEW"),
        help:
            "How kernels of several channels are shown: each channel, their Euclidean norm, or three channels as red, green and blue.",
        default: "rgb for three channels, channel for one, norm for others")
    static let scale = Option(
        "scale", .choice(["kernel", "layer"], "SCALE"),
        help: "Whose largest weight ends the colours: each kernel's own, or the layer's.", default: "kernel")
    static let sort = Option(
        "sort", .choice(KernelBank.Sorting.allCases.map(\.rawValue), "ORDER"),
        help: "Order of the kernels: as stored, largest norm first, or each next to the one most like it.",
        default: "stored")
    static let count = Option("count", .integer(1...4096), help: "Show the first so many in that order.", default: "64")
    static let only = LookingSupport.indices("kernels", "Show these kernels, by number.", default: "all")
    static let channels = LookingSupport.indices(
        "channels", "With --by channel: which input channels.", default: "the first 8")
    static let axes = Option(
        "axes", .choice(["xyz", "xzy", "yxz", "yzx", "zxy", "zyx", "xy", "yx"], "ORDER"),
        help: "The network's spatial axes, slowest first: x is drawn to the right, y down, z slice by slice.",
        default: "the pipeline's or the network's own, else xyz or yx")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "MODEL's name and '-kernels', here")

    static let declaration = CommandDeclaration(
        "kernels", summary: "draw the kernels of a convolution",
        discussion: [
            """
            Draws the weights of one layer as a labelled grid. A 3D kernel is a row of depth slices. Zero is the middle of the \
            colours; over each kernel stand its number and its Euclidean norm. Beside the picture a table (CSV) gives norm, mean, \
            extremes, and the kernel most like each one.
            """
        ], positionals: [LookingSupport.network.declaration],
        groups: [
            OptionGroup(
                "What is shown",
                [
                    layer.declaration, by.declaration, scale.declaration, sort.declaration, count.declaration,
                    only.declaration, channels.declaration,
                ]),
            OptionGroup(
                "Pictures and files",
                [
                    SharedOptions.colormap.declaration, axes.declaration, ExplainCommand.pipeline.declaration,
                    output.declaration, SharedOptions.tensorboard.declaration,
                ]),
            LookingSupport.running,
        ],
        examples: [
            Example("The first layer:", "tomolens kernels model.onnx"),
            Example(
                "A later one, the strongest first, on one scale:",
                "tomolens kernels model.onnx --layer features.3 --sort norm --scale layer"),
            Example(
                "What each of the first four input channels gets:",
                "tomolens kernels model.onnx --layer last-conv --by channel --channels 0-3"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let path = arguments.required(LookingSupport.network)
        let network = try Network(contentsOf: URL(fileURLWithPath: path))
        let name = arguments[layer] ?? "first-conv"
        let bank = try KernelBank(network, layer: name)
        let view = try View(bank, axes: try letters(arguments, network, bank))
        let order = try order(arguments, bank)
        let shown = Array(order.prefix(arguments[count] ?? 64))
        let mode = try mode(arguments, bank)
        let drawing = KernelDrawing(
            bank: bank, view: view, isShared: arguments[scale] == "layer",
            map: try arguments[SharedOptions.colormap].map { try ColourMap(named: $0) })
        var parts = [
            bank.isTransposed ? "transposed convolution" : "convolution",
            "\(bank.count) kernels, \(bank.channels) channel\(bank.channels == 1 ? "" : "s")"
                + (bank.groups > 1 ? " in \(bank.groups) groups" : ""),
            bank.spatial.map(String.init).joined(separator: "×") + " (\(view.letters), slowest first)",
        ]
        let sorting = arguments[sort] ?? "stored"
        if sorting != "stored" { parts.append("sorted by \(sorting)") }
        if shown.count < bank.count { parts.append("\(shown.count) of \(bank.count)") }
        if view.depth > 1 { parts.append("slices along z from left to right") }
        let picture: Picture
        switch mode {
        case "rgb": picture = drawing.colours(shown, title: "\(LookingSupport.stem(path)) · \(name)", parts: parts)
        case "norm": picture = drawing.norms(shown, title: "\(LookingSupport.stem(path)) · \(name)", parts: parts)
        default:
            let wanted = arguments[channels] ?? Array(0..<min(8, bank.channels))
            if let wrong = wanted.first(where: { $0 >= bank.channels }) {
                throw Failure(
                    .usage, "option '--channels'", expected: "channels from 0 to \(bank.channels - 1)",
                    found: "\(wrong)")
            }
            picture = drawing.channels(
                shown, wanted, title: "\(LookingSupport.stem(path)) · \(name)", parts: parts)
        }
        let folder = try LookingSupport.folder(arguments[output] ?? "\(LookingSupport.stem(path))-kernels")
        let file = LookingSupport.fileName(name)
        let nearest = bank.nearest
        try LookingSupport.write(table(bank, order, nearest), "\(file)_kernels.csv", in: folder)
        let quiet = arguments[SharedOptions.quiet]
        try LookingSupport.write(picture, "\(file)_kernels.png", in: folder, console, quiet: quiet)
        try LookingEvents.kernels(
            arguments, bank, nearest, shown: shown, network: path,
            picture: folder.appendingPathComponent("\(file)_kernels.png"),
            settings: [
                ("layer", .text(name)), ("by", .text(mode)), ("sort", .text(sorting)),
                ("scale", .text(arguments[scale] ?? "kernel")),
            ], words: summary(bank, nearest))
        if !quiet { for line in summary(bank, nearest) { console.print(line) } }
        return 0
    }

    private static func letters(
        _ arguments: ParsedArguments, _ network: Network, _ bank: KernelBank
    ) throws -> String {
        var words = PipelineFile()
        words.layout.axes = arguments[axes]
        if let file = arguments[ExplainCommand.pipeline] {
            words = words.completed(by: try PipelineFile.read(URL(fileURLWithPath: file)))
        }
        if let text = network.metadata["tomolens"] {
            words = words.completed(by: try .fromMetadata(text, of: network.url.lastPathComponent))
        }
        let fallback = bank.spatial.count == 3 ? "xyz" : bank.spatial.count == 2 ? "yx" : "x"
        let letters = words.layout.axes ?? fallback
        guard letters.count == bank.spatial.count else {
            if arguments[axes] == nil { return fallback }
            throw Failure(
                .usage, "option '--axes'", expected: "\(bank.spatial.count) axes, as the kernels have",
                found: "'\(letters)'")
        }
        return letters
    }

    private static func order(_ arguments: ParsedArguments, _ bank: KernelBank) throws -> [Int] {
        let order = bank.order(KernelBank.Sorting(rawValue: arguments[sort] ?? "stored")!)
        guard let only = arguments[only] else { return order }
        if let wrong = only.first(where: { $0 >= bank.count }) {
            throw Failure(
                .usage, "option '--kernels'", expected: "kernels from 0 to \(bank.count - 1)", found: "\(wrong)")
        }
        if arguments[sort] == nil { return only }
        let wanted = Set(only)
        return order.filter(wanted.contains)
    }

    private static func mode(_ arguments: ParsedArguments, _ bank: KernelBank) throws -> String {
        let mode = arguments[by] ?? (bank.channels == 3 ? "rgb" : bank.channels == 1 ? "channel" : "norm")
        guard mode != "rgb" || bank.channels == 3 else {
            throw Failure(
                .usage, "option '--by rgb'", expected: "kernels of three channels", found: "\(bank.channels)",
                remedy: "Use --by channel or --by norm.")
        }
        return mode
    }

    private static func table(
        _ bank: KernelBank, _ order: [Int], _ nearest: [(kernel: Int, cosine: Double)?]
    ) -> String {
        var csv = CSV(columns: ["kernel", "norm", "mean", "minimum", "maximum", "most_like", "cosine"])
        let norms = bank.norms
        for kernel in order {
            let values = bank.values(kernel)
            let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count)
            csv.add([
                .integer(kernel), .number(norms[kernel]), .number(mean), .number(Double(values.min()!)),
                .number(Double(values.max()!)), nearest[kernel].map { .integer($0.kernel) } ?? .empty,
                nearest[kernel].map { .number($0.cosine) } ?? .empty,
            ])
        }
        return csv.text
    }

    private static func summary(_ bank: KernelBank, _ nearest: [(kernel: Int, cosine: Double)?]) -> [String] {
        let norms = bank.norms.sorted()
        let silent = norms.filter { $0 < 1e-3 * norms[norms.count - 1] }.count
        let twins = nearest.filter { ($0?.cosine ?? 0) > 0.95 }.count
        var lines = [
            "Norms: smallest \(LookingSupport.number(norms[0])), median \(LookingSupport.number(norms[norms.count / 2])), largest \(LookingSupport.number(norms[norms.count - 1]))"
        ]
        if silent > 0 { lines.append("\(silent) of \(norms.count) kernels are below a thousandth of the largest norm") }
        if twins > 0 { lines.append("\(twins) of \(norms.count) kernels have another one with a cosine above 0.95") }
        return lines
    }

    /// Which spatial axis of the tensor runs where in the picture.
    struct View {
        let letters: String
        let across: Int
        let down: Int?
        let through: Int?
        let depth: Int

        init(_ bank: KernelBank, axes letters: String) throws {
            self.letters = letters
            let places = Array(letters)
            guard places.count <= 3, let x = places.firstIndex(of: "x") else {
                throw Failure(
                    .usage, "layer '\(bank.layer)'", expected: "kernels of one to three spatial axes",
                    found: "\(bank.spatial.count)")
            }
            across = x
            down = places.firstIndex(of: "y")
            through = places.firstIndex(of: "z")
            depth = through.map { bank.spatial[$0] } ?? 1
        }
    }
}

/// Kernels as pictures.
struct KernelDrawing {
    let bank: KernelBank
    let view: KernelsCommand.View
    let isShared: Bool
    let map: ColourMap?

    private static let cell = 44

    private func slices(_ values: [Float]) -> [[Float]] {
        bank.slices(values, across: view.across, down: view.down, through: view.through)
    }

    private var width: Int { bank.spatial[view.across] }
    private var height: Int { view.down.map { bank.spatial[$0] } ?? 1 }

    private func tile(_ values: [Float], _ palette: Palette) -> Picture {
        // A layer of 1×1 kernels has single squares; they need not be large.
        let longest = bank.places == 1 ? 16 : Self.cell
        return .row(slices(values).map { palette.cells($0, width: width, height: height, longest: longest) })
    }

    private func label(_ kernel: Int, _ norms: [Double]) -> String {
        "\(kernel)  |w| \(LookingSupport.number(norms[kernel], 2))"
    }

    /// The scale of one kernel's tiles, and the one that the bar shows.
    private func palettes(_ shown: [Int], signed: Bool, _ values: (Int) -> [Float]) -> (
        of: [Int: Palette], bar: Palette, quantity: String
    ) {
        let own = Dictionary(uniqueKeysWithValues: shown.map { ($0, ScaleRange(of: values($0), signed: signed)) })
        let what = signed ? "weight" : "norm over channels"
        if isShared {
            let shared = Palette(map, scale: .shared(own.values))
            return (own.mapValues { _ in shared }, shared, what)
        }
        let relative = Palette(map, scale: .fixed(1, signed: signed))
        return (own.mapValues { Palette(map, scale: $0) }, relative, "\(what) / the kernel's largest")
    }

    func norms(_ shown: [Int], title: String, parts: [String]) -> Picture {
        let norms = bank.norms
        let maps = Dictionary(uniqueKeysWithValues: shown.map { ($0, bank.channelNorm($0)) })
        let (of, bar, quantity) = palettes(shown, signed: false) { maps[$0]! }
        var grid = TileGrid(
            title: title, parts: parts,
            tiles: shown.map { .init(tile(maps[$0]!, of[$0]!), label: label($0, norms)) })
        grid.palette = bar
        grid.quantity = quantity
        return grid.picture()
    }

    func channels(_ shown: [Int], _ channels: [Int], title: String, parts: [String]) -> Picture {
        let norms = bank.norms
        let (of, bar, quantity) = palettes(shown, signed: true) { kernel in
            channels.flatMap { bank.values(kernel, channel: $0) }
        }
        let tiles = shown.flatMap { kernel in
            channels.map { channel in
                TileGrid.Tile(
                    tile(bank.values(kernel, channel: channel), of[kernel]!),
                    label: channels.count == 1 ? label(kernel, norms) : "")
            }
        }
        var grid = TileGrid(title: title, parts: parts, tiles: tiles)
        if channels.count > 1 {
            grid.columns = channels.count
            grid.columnTitles = channels.map { "channel \($0)" }
            grid.rowTitles = shown.map { label($0, norms) }
        }
        grid.palette = bar
        grid.quantity = quantity
        return grid.picture()
    }

    /// Three channels as red, green and blue; the middle grey is zero, and the largest magnitude is 0 or 255.
    func colours(_ shown: [Int], title: String, parts: [String]) -> Picture {
        let norms = bank.norms
        func top(_ values: [Float]) -> Float { values.reduce(0) { max($0, abs($1)) } }
        let shared = shown.map { top(bank.values($0)) }.max() ?? 1
        let tiles = shown.map { kernel in
            let largest = isShared ? shared : top(bank.values(kernel))
            let channels = (0..<3).map { slices(bank.values(kernel, channel: $0)) }
            let pictures = channels[0].indices.map { slice in
                var pixels: [UInt8] = []
                for place in channels[0][slice].indices {
                    for channel in 0..<3 {
                        let relative = largest > 0 ? channels[channel][slice][place] / largest : 0
                        pixels.append(UInt8((max(-1, min(1, relative)) + 1) * 127.5 + 0.5))
                    }
                }
                return Picture(width: width, height: height, layout: .rgb, pixels: pixels)
                    .enlarged(by: max(1, Self.cell / max(width, height)))
            }
            return TileGrid.Tile(.row(pictures), label: label(kernel, norms))
        }
        return TileGrid(
            title: title, parts: parts + ["three channels as RGB, grey is zero"], tiles: tiles
        ).picture()
    }
}

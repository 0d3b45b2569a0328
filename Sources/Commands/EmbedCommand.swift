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

/// `tomolens embed DIR`
enum EmbedCommand: Subcommand {
    static let folder = Positional(
        .folder("DIR"),
        help:
            "Folder with scans or images, searched with its subfolders; a label map beside its scan (a_mask) is left out."
    )
    static let layer = Option(
        "layer", short: "l", .text("LAYER", expected: "a layer's name or alias"),
        help: "Where vectors are taken; a feature map is averaged over its places.", default: "penultimate")
    static let labels = Option(
        "labels", .file("FILE.csv"),
        help: "What belongs together: a table with the columns 'scan' (file name, with or without ending) and 'label'.")
    static let augment = Option(
        "augment", .integer(1...100),
        help: "Add so many slightly changed copies of each scan; without --labels, copies of one scan belong together.")
    static let neighbours = Option(
        "neighbours", .integer(1...1000), help: "List so many most similar scans of each.", default: "5")
    static let perplexity = Option(
        "perplexity", LookingSupport.number(1...1000), help: "Of t-SNE.", default: "30, or a third of the others")
    static let pair: Option<[String]> = Option(
        "pair", .list(of: .text("SCAN", expected: "a scan's name")),
        help: "Explain why these two, A,B, are alike: a map on each.")
    static let pairMap = Option(
        "pair-map", .choice(PairMaps.Kind.allCases.map(\.rawValue), "KIND"),
        help: "Each place's share in the cosine, or the cosine's gradient times the activation.", default: "share")
    static let tap = Option(
        "pair-layer", .text("LAYER", expected: "a layer's name or alias"), help: "Where the pair's maps are taken.",
        default: "the last layer with spatial extent")
    static let limit = Option("limit", .integer(1...2000), help: "Take the first so many scans only.", default: "500")
    static let image = Flag(
        "images", help: "Take images (.png, .jpg) and prepare as for them; needless where DIR holds no scan.")
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results.", default: "DIR's name and '-embedded', here")

    static let declaration = CommandDeclaration(
        "embed", summary: "see how scans lie to each other inside a network",
        discussion: [
            """
            Takes a vector of every scan at one layer and writes them (CSV), the most similar scans of each by cosine, the matrix of \
            all similarities, and maps of the whole by principal components and t-SNE. With labels, or copies of the same scan as a \
            contrastive network sees them: the hardest negatives and positives, alignment and uniformity, silhouette. For a pair: a \
            map on both scans of what makes them alike.
            """
        ], positionals: [folder.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [
                    SharedOptions.model.declaration, ExplainCommand.pipeline.declaration, image.declaration,
                    limit.declaration, output.declaration,
                ]),
            OptionGroup(
                "What is looked at",
                [
                    layer.declaration, labels.declaration, augment.declaration, neighbours.declaration,
                    perplexity.declaration, LookingSupport.seed.declaration,
                ]),
            OptionGroup("A pair", [pair.declaration, pairMap.declaration, tap.declaration]),
            SharedOptions.preparation, LookingSupport.running,
        ],
        examples: [
            Example(
                "The sample scans:", "tomolens embed volumes --pipeline pipelines/lung-nodule.json5"),
            Example(
                "With labels, and a pair explained:",
                "tomolens embed scans -p my.json5 --labels labels.csv --pair case03,case11"),
            Example(
                "As a contrastive network sees it:", "tomolens embed scans -m encoder.onnx --augment 6"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let path = arguments.required(folder)
        let plan = try LookingSupport.plan(
            arguments, console, command: "embed", forPictures: arguments[image] || LookingSupport.arePictures([path]))
        let urls = Array(try LookingSupport.scans([path], plan).prefix(arguments[limit] ?? 500))
        let known = try arguments[labels].map { try LabelTable(URL(fileURLWithPath: $0)) }
        let pair = try arguments[pair].map { try located($0, urls) }
        let stop = console.stop
        let embedder = Embedder(plan.explainer, layer: arguments[layer] ?? "penultimate")
        var names: [String] = []
        var vectors: [[Double]] = []
        var marks: [String?] = []
        var copies: [Bool] = []
        var random = RandomSource(seed: UInt64(arguments[LookingSupport.seed] ?? 0))
        for (number, url) in urls.enumerated() {
            try stop.check()
            console.showProgress("\(url.lastPathComponent), \(number + 1)/\(urls.count)")
            let scan = try plan.prepare(url)
            let label = try known?.label(of: url)
            func add(_ name: String, _ inputs: [PreparedInput], isCopy: Bool) throws {
                names.append(name)
                vectors.append(try embedder.vector(of: inputs) { stop.isMade })
                marks.append(known == nil && arguments[augment] != nil ? scan.stem : label)
                copies.append(isCopy)
            }
            try add(scan.stem, scan.inputs, isCopy: false)
            for copy in 0..<(arguments[augment] ?? 0) {
                let changed = try scan.inputs.map { try Embedder.augmented($0, plan.explainer, using: &random) }
                try add("\(scan.stem)~\(copy + 1)", changed, isCopy: true)
            }
        }
        console.clearProgress()
        if let missing = known?.unused(names), !missing.isEmpty {
            console.note(
                "warning: \(missing.count) labels fit no scan, such as '\(missing[0])'".printable)
        }
        let space = EmbeddingSpace(names: names, vectors: vectors, labels: marks)
        let target = try LookingSupport.folder(
            arguments[output] ?? "\(URL(fileURLWithPath: path).lastPathComponent)-embedded")
        let quiet = arguments[SharedOptions.quiet]
        let (components, shares) = space.principalComponents(min(2, max(1, space.count - 1)))
        let start = components.map { $0.count > 1 ? $0 : [$0[0], 0] }
        let distances = space.squaredDistances
        // Distances are those on the unit sphere, and so is the start.
        let onSphere = EmbeddingSpace(names: names, vectors: space.unit, labels: marks).principalComponents(2)
        let map = NeighbourEmbedding(distances, start: onSphere.coordinates, perplexity: arguments[perplexity])
        let drawing = EmbeddingDrawing(
            space: space, copies: copies,
            title: "\(plan.network.url.deletingPathExtension().lastPathComponent) · \(embedder.layer)")
        try LookingSupport.write(
            drawing.scatter(
                start, what: "principal components",
                parts: [
                    "\(vectors[0].count) dimensions",
                    "share of the variance \(shares.map { LookingSupport.percent($0) }.joined(separator: ", "))",
                ], axes: ("first component", "second component")), "pca.png", in: target, console, quiet: quiet)
        try LookingSupport.write(
            drawing.scatter(
                map.coordinates, what: "t-SNE",
                parts: [
                    "distances on the unit sphere", "perplexity \(LookingSupport.number(map.perplexity))",
                    "divergence \(LookingSupport.number(map.divergence))",
                ], axes: ("", "")), "tsne.png", in: target, console, quiet: quiet)
        try LookingSupport.write(drawing.matrix(), "similarity.png", in: target, console, quiet: quiet)
        try LookingSupport.write(vectorTable(space, start, map), "embeddings.csv", in: target)
        try LookingSupport.write(
            neighbourTable(space, arguments[neighbours] ?? 5), "neighbours.csv", in: target)
        let measures = Measures(space)
        try LookingSupport.write(
            measures.json(space, plan, embedder, shares, map).serialized(), "embedding.json", in: target)
        if let pair {
            try explain(pair, plan, embedder, arguments, to: target, console, quiet: quiet)
        }
        if !quiet { for line in measures.lines(space) { console.print(line.printable) } }
        return 0
    }

    private static func vectorTable(_ space: EmbeddingSpace, _ pca: [[Double]], _ map: NeighbourEmbedding) -> String {
        var csv = CSV(
            columns: ["scan", "label", "pca1", "pca2", "tsne1", "tsne2"]
                + space.vectors[0].indices.map { "v\($0)" })
        for (index, name) in space.names.enumerated() {
            let label: CSV.Field = space.labels[index].map { .text($0) } ?? .empty
            let places = [pca[index][0], pca[index][1], map.coordinates[index][0], map.coordinates[index][1]]
            csv.add([.text(name), label] + (places + space.vectors[index]).map { .number($0) })
        }
        return csv.text
    }

    private static func neighbourTable(_ space: EmbeddingSpace, _ count: Int) -> String {
        var csv = CSV(columns: [
            "scan", "label", "rank", "neighbour", "neighbour_label", "cosine", "silhouette", "hardest_negative",
            "hardest_negative_cosine", "hardest_positive", "hardest_positive_cosine",
        ])
        let hardest = space.hardest
        let silhouettes = space.silhouettes
        func text(_ value: String?) -> CSV.Field { value.map { .text($0) } ?? .empty }
        func number(_ value: Double?) -> CSV.Field { value.map { .number($0) } ?? .empty }
        for (index, found) in space.neighbours(count).enumerated() {
            for (rank, neighbour) in found.enumerated() {
                csv.add([
                    .text(space.names[index]), text(space.labels[index]), .integer(rank + 1),
                    .text(space.names[neighbour.index]), text(space.labels[neighbour.index]),
                    .number(neighbour.cosine), number(silhouettes[index]),
                    text(hardest[index].negative.map { space.names[$0.index] }),
                    number(hardest[index].negative?.cosine),
                    text(hardest[index].positive.map { space.names[$0.index] }),
                    number(hardest[index].positive?.cosine),
                ])
            }
        }
        return csv.text
    }

    /// The files of a pair that was named.
    private static func located(_ pair: [String], _ urls: [URL]) throws -> [URL] {
        guard pair.count == 2 else {
            throw Failure(
                .usage, "option '--pair'", expected: "two scans, A,B", found: pair.joined(separator: ","))
        }
        let stems = urls.map { ScanFinder.stem(ofFile: $0.lastPathComponent) }
        return try pair.map { name in
            guard let index = stems.firstIndex(of: ScanFinder.stem(ofFile: name)) else {
                throw Failure(
                    .usage, "option '--pair'", expected: "a scan of the folder", found: "'\(name)'",
                    remedy: Nearest.suggestion(name, in: stems))
            }
            return urls[index]
        }
    }

    private static func explain(
        _ pair: [URL], _ plan: Plan, _ embedder: Embedder, _ arguments: ParsedArguments, to target: URL,
        _ console: Console, quiet: Bool
    ) throws {
        let scans = try pair.map { try plan.prepare($0) }
        let kind = PairMaps.Kind(rawValue: arguments[pairMap] ?? "share")!
        let maps = try PairMaps(
            embedder, scans[0].inputs, scans[1].inputs, tap: arguments[tap], kind: kind
        ) { [stop = console.stop] in stop.isMade }
        let names = scans.map(\.stem)
        for (number, scan) in scans.enumerated() {
            let seen = try SliceStack.grid(of: scan.inputs.map(\.grid))
            let heat = try HeatPlacement.place(maps.maps[number].volume, on: scan.scan.grid, seen: seen)
            var style = OverlayStyle()
            style.isSigned = true
            style.colourMap = .diverging
            style.montageTileSize = 240
            let caption = OverlayCaption(
                scan: "\(names[number]), alike to \(names[1 - number])",
                method: "cosine at \(embedder.layer), map at \(maps.maps[number].tap)",
                score: "cosine \(LookingSupport.number(maps.cosine))",
                quantity: kind == .share ? "share in the cosine" : "gradient × activation")
            let renderer =
                try scan.picture.map { try OverlayRenderer(picture: $0, heat: heat, style: style, caption: caption) }
                ?? OverlayRenderer(scan: scan.scan, heat: heat, style: style, caption: caption)
            let stem = "pair_\(LookingSupport.fileName(names[0]))_\(LookingSupport.fileName(names[1]))_on_\(number + 1)"
            let url = target.appendingPathComponent("\(stem).png")
            try renderer.writeMontage(.axial, count: 6, to: url)
            if !quiet { console.print("Picture: \(url.relativePath.printable)") }
            var writer = NIfTIWriter()
            writer.reference = scan.header
            writer.intent = .estimate("similarity")
            writer.description = "\(Product.signature) similarity"
            try writer.write(heat, to: target.appendingPathComponent("\(stem).nii.gz"))
        }
        if !quiet {
            console.print(
                "\(names[0]) and \(names[1]): cosine \(LookingSupport.number(maps.cosine, 4))".printable)
        }
    }

    /// The figures of a whole space.
    struct Measures {
        let alignment: Double?
        let uniformity: Double?
        let silhouette: Double?
        let silhouettes: [String: Double]

        init(_ space: EmbeddingSpace) {
            alignment = space.alignment
            uniformity = space.uniformity
            let each = space.silhouettes
            let known = each.compactMap { $0 }
            silhouette = known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
            var sums: [String: (sum: Double, count: Int)] = [:]
            for (value, label) in zip(each, space.labels) {
                guard let value, let label else { continue }
                sums[label, default: (0, 0)].sum += value
                sums[label, default: (0, 0)].count += 1
            }
            silhouettes = sums.mapValues { $0.sum / Double($0.count) }
        }

        func lines(_ space: EmbeddingSpace) -> [String] {
            var lines = ["\(space.count) vectors of \(space.vectors[0].count) numbers"]
            if let uniformity {
                lines.append("uniformity \(LookingSupport.number(uniformity)) (0 all alike, −4 evenly spread)")
            }
            if let alignment {
                lines.append(
                    "alignment \(LookingSupport.number(alignment)) (mean squared distance of what belongs together)")
            }
            if let silhouette {
                lines.append("silhouette \(LookingSupport.number(silhouette)) (1 apart, 0 touching, below 0 mixed)")
                for (label, value) in silhouettes.sorted(by: { $0.key < $1.key }).prefix(20) {
                    lines.append("  \(label): \(LookingSupport.number(value))")
                }
            }
            lines += hardest("negative", space, { $0.negative }, first: >)
            lines += hardest("positive", space, { $0.positive }, first: <)
            return lines
        }

        /// The three that stand out most, each pair once.
        private func hardest(
            _ kind: String, _ space: EmbeddingSpace,
            _ choose: ((negative: EmbeddingSpace.Neighbour?, positive: EmbeddingSpace.Neighbour?)) ->
                EmbeddingSpace.Neighbour?,
            first: (Double, Double) -> Bool
        ) -> [String] {
            var seen = Set<[Int]>()
            let found = space.hardest.enumerated().compactMap { index, hardest in choose(hardest).map { (index, $0) } }
                .sorted { first($0.1.cosine, $1.1.cosine) }
                .filter { seen.insert([min($0.0, $0.1.index), max($0.0, $0.1.index)]).inserted }
            return found.prefix(3).map { index, other in
                func name(_ index: Int) -> String { "\(space.names[index]) (\(space.labels[index] ?? ""))" }
                return
                    "hardest \(kind): \(name(index)) and \(name(other.index)), cosine \(LookingSupport.number(other.cosine, 5))"
            }
        }

        func json(
            _ space: EmbeddingSpace, _ plan: Plan, _ embedder: Embedder, _ shares: [Double], _ map: NeighbourEmbedding
        ) -> JSON {
            .object([
                ("tool", .text(Product.signature)), ("network", .array(plan.networkFiles.map(\.json))),
                ("layer", .text(embedder.layer)), ("vectors", .number(space.count)),
                ("dimensions", .number(space.vectors[0].count)), ("alignment", .number(alignment)),
                ("uniformity", .number(uniformity)), ("silhouette", .number(silhouette)),
                (
                    "silhouettes",
                    .object(silhouettes.sorted { $0.key < $1.key }.map { ($0.key, .number($0.value)) })
                ),
                ("varianceShares", .numbers(shares)), ("perplexity", .number(map.perplexity)),
                ("divergence", .number(map.divergence)),
            ])
        }
    }
}

/// Labels of scans from a table.
struct LabelTable {
    private let labels: [String: String]

    /// Reads comma- or semicolon-separated values with a header line that names the columns.
    ///
    /// - Throws: a `Failure` when the file cannot be read, or a column is missing.
    init(_ url: URL) throws {
        guard let text = try? String(contentsOf: url, encoding: .utf8) else {
            throw Failure(.usage, url.path, expected: "a readable table in UTF-8", found: "something else or nothing")
        }
        let lines = text.split(whereSeparator: \.isNewline).map(String.init).filter {
            !$0.trimmingCharacters(in: .whitespaces).isEmpty
        }
        guard let header = lines.first else {
            throw Failure(.usage, url.path, expected: "a table with a header line", found: "an empty file")
        }
        let separator: Character = header.contains(";") && !header.contains(",") ? ";" : ","
        func fields(_ line: String) -> [String] {
            var fields: [String] = []
            var field = ""
            var isQuoted = false
            for character in line {
                if character == "\"" {
                    isQuoted.toggle()
                } else if character == separator, !isQuoted {
                    fields.append(field)
                    field = ""
                } else {
                    field.append(character)
                }
            }
            return (fields + [field]).map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let columns = fields(header).map { $0.lowercased().trimmingCharacters(in: ["\u{FEFF}"]) }
        guard let scan = columns.firstIndex(where: { ["scan", "file", "name", "image", "id"].contains($0) }),
            let label = columns.firstIndex(where: { ["label", "class", "diagnosis", "group"].contains($0) })
        else {
            throw Failure(
                .usage, url.path, expected: "the columns 'scan' and 'label'",
                found: columns.joined(separator: ", "))
        }
        var labels: [String: String] = [:]
        for line in lines.dropFirst() {
            let values = fields(line)
            guard values.count > max(scan, label), !values[scan].isEmpty, !values[label].isEmpty else { continue }
            labels[ScanFinder.stem(ofFile: (values[scan] as NSString).lastPathComponent)] = values[label]
        }
        guard !labels.isEmpty else {
            throw Failure(.usage, url.path, expected: "at least one scan with a label", found: "none")
        }
        self.labels = labels
    }

    func label(of url: URL) throws -> String? { labels[ScanFinder.stem(ofFile: url.lastPathComponent)] }

    func unused(_ names: [String]) -> [String] { labels.keys.filter { !names.contains($0) }.sorted() }
}

/// Vectors as maps of points and as a matrix.
struct EmbeddingDrawing {
    let space: EmbeddingSpace
    /// Which of them are changed copies of a scan.
    let copies: [Bool]
    let title: String

    func scatter(
        _ coordinates: [[Double]], what: String, parts: [String], axes: (x: String, y: String)
    ) -> Picture {
        let groups = Array(Set(space.labels.compactMap { $0 })).sorted()
        var series: [Chart.Series] = []
        let isNamed = space.count - copies.filter { $0 }.count <= 40
        for (number, label) in (groups.map { Optional($0) } + [nil]).enumerated() {
            let members = (0..<space.count).filter { space.labels[$0] == label }
            if members.isEmpty { continue }
            series.append(
                Chart.Series(
                    label ?? (groups.isEmpty ? "" : "no label"),
                    members.map { SIMD2(coordinates[$0][0], coordinates[$0][1]) }, form: .points,
                    colour: label == nil && !groups.isEmpty
                        ? Colour(hex: 0x808080) : Chart.colours[number % Chart.colours.count],
                    names: isNamed ? members.map { copies[$0] ? "" : space.names[$0] } : []))
        }
        var chart = Chart(
            title: "\(title) · \(what)", parts: parts, xTitle: axes.x, yTitle: axes.y, series: series)
        chart.width = 560
        chart.height = 480
        return chart.picture()
    }

    /// All cosines, those of one label side by side.
    func matrix() -> Picture {
        let order = (0..<space.count).sorted { a, b in
            let (x, y) = (space.labels[a] ?? "\u{FFFF}", space.labels[b] ?? "\u{FFFF}")
            return x == y ? a < b : x < y
        }
        let cosines = space.cosines
        let values = order.flatMap { a in order.map { Float(max(0, 1 - cosines[a][$0])) } }
        let palette = Palette(.magma, scale: ScaleRange(of: values))
        let tile = TileGrid.Tile(palette.cells(values, width: space.count, height: space.count, longest: 480))
        var grid = TileGrid(
            title: "\(title) · how far all pairs are from each other",
            parts: ["\(space.count) vectors", space.labels.contains { $0 != nil } ? "sorted by label" : ""],
            tiles: [tile])
        grid.palette = palette
        grid.quantity = "1 − cosine"
        return grid.picture()
    }
}

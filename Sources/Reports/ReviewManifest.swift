import Foundation
import Rendering
import Volumes

/// What a review page knows beside its voxels: the JSON that its script reads.
struct ReviewManifest: Encodable {
    struct Layer: Encodable {
        struct Part: Encodable {
            let id: String
            let first: Int
            let slices: Int
            let isBackground: Bool
        }

        struct Cells: Encodable {
            let id: String
            let shape: [Int]
            let seen: [Int]
            /// Rows of 3×4 matrices.
            let toCells: [[Double]]
            let toSeen: [[Double]]
        }

        let shape: [Int]
        let blocks: [Int]
        let bytes: Int
        let parts: [Part]
        let cells: Cells?
        var slope: Double?
        var intercept: Double?
        var tolerance: Double?
        var levels: [Float]?
        var tolerances: [Float]?
        var least: Float?
        var most: Float?
        var zero: Int?
        var step: Double?

        init(_ layer: PageLayer) {
            shape = layer.shape.elements
            blocks = layer.blocks.elements
            bytes = layer.coding.bytes
            parts = layer.parts.enumerated().map { index, part in
                Part(
                    id: "\(layer.id)-\(index)", first: part.first, slices: part.slices,
                    isBackground: part.text.isEmpty && layer.cells == nil)
            }
            cells = layer.cells.map { cells in
                Cells(
                    id: "\(layer.id)-cells", shape: cells.placement.shape.elements,
                    seen: cells.placement.seenShape.elements, toCells: Array(cells.placement.toCells.rows.prefix(3)),
                    toSeen: Array(cells.placement.toSeen.rows.prefix(3)))
            }
            switch layer.coding {
            case .values(let slope, let intercept, let tolerance):
                self.slope = slope
                self.intercept = intercept
                self.tolerance = tolerance
            case .levels(let codebook):
                levels = codebook.levels
                tolerances = codebook.tolerances
                least = codebook.tolerances.min()
                // The last levels, for metal, lie far apart and would only alarm.
                most = codebook.tolerances.prefix(252).max()
            case .steps(let zero, let step):
                self.zero = zero
                self.step = step
            }
        }
    }

    struct Scan: Encodable { let layer: Layer }

    struct Grid: Encodable {
        /// Scan voxels along Right, Anterior, Superior.
        let shape: [Int]
        let spacing: [Double]
        /// Rows of the affine from RAS-ordered voxel indices to mm.
        let affine: [[Double]]
        let axes: [Int]
        let flipped: [Bool]
        let isAnatomical: Bool
    }

    struct Peak: Encodable {
        /// As stored in the file.
        let voxel: [Int]
        let world: [Double]
        let value: Float
    }

    struct Heat: Encodable {
        let id: String
        let method: String
        let methodTitle: String
        let target: String
        let layer: Layer
        let lowest: Float
        let highest: Float
        let ownTops: [Float]?
        let peak: Peak?
        let peakIsInside: Bool?
        let caution: String?
        let notes: [String]
        let details: [ReviewFact]
    }

    struct Answer: Encodable {
        struct Row: Encodable {
            let label: String
            let logit: Double?
            let probability: Double?
            let voxels: Int?
            let isExplained: Bool
        }

        let rows: [Row]
        let note: String?
    }

    struct Window: Encodable {
        let name: String
        let level: Double
        let width: Double
    }

    struct Map: Encodable {
        let name: String
        let isDiverging: Bool
        /// 256 × red, green, blue, in base64.
        let colours: String
    }

    struct Style: Encodable {
        let opacity: Double
        let threshold: Double
        let exponent: Double
        let isSigned: Bool
        let colourMap: String
        /// "own", "folder" or "fixed".
        let scale: String
        let fixedTop: Double?
    }

    struct Link: Encodable {
        let label: String
        let address: String
    }

    let format = "tomolens-review-1"
    let title: String
    let subtitle: String
    let unit: String
    let isCT: Bool
    let language: String?
    let range: [Float]
    /// The span that windows are dragged over.
    let windowRange: Double
    let window: Window
    let presets: [Window]
    let scan: Scan
    let mask: Scan?
    let grid: Grid
    let heats: [Heat]
    let answer: Answer?
    let warnings: [String]
    let skew: Double?
    let facts: [ReviewFact]
    let provenance: [ReviewFact]
    let links: [Link]
    let folderPage: String?
    let colourMaps: [Map]
    let style: Style

    init(
        _ page: ReviewPage, order: Rearrangement, range: ClosedRange<Float>, scan: PageLayer, heats: [Heat],
        mask: PageLayer?
    ) {
        let ras = order(page.scan.grid)
        title = PageText.visible(page.title)
        subtitle = PageText.visible(page.subtitle)
        unit = PageText.visible(page.unit)
        isCT = page.unit == "HU"
        language = page.settings.language
        self.range = [range.lowerBound, range.upperBound]
        windowRange = max(1e-6, Double(range.upperBound) - Double(range.lowerBound))
        let usual: [ReviewWindow] =
            isCT
            ? [
                ReviewWindow(name: "lung", window: .lung), ReviewWindow(name: "mediastinum", window: .mediastinum),
                ReviewWindow(name: "bone", window: .bone), ReviewWindow(name: "brain", window: .brain),
                ReviewWindow(name: "abdomen", window: .abdomen),
            ] : [ReviewWindow(name: "automatic", window: ReviewManifest.automatic(page.scan.voxels, range))]
        let all = (page.presets + usual).map {
            Window(name: PageText.visible($0.name), level: Double($0.window.level), width: Double($0.window.width))
        }
        presets = all
        window =
            page.window.map { Window(name: "", level: Double($0.level), width: Double($0.width)) }
            ?? all[page.presets.isEmpty ? 0 : page.presets.count]
        self.scan = Scan(layer: Layer(scan))
        self.mask = mask.map { Scan(layer: Layer($0)) }
        grid = Grid(
            shape: ras.shape.elements, spacing: ras.spacing.elements, affine: Array(ras.affine.rows.prefix(3)),
            axes: order.axes, flipped: order.isFlipped, isAnatomical: page.isAnatomical)
        self.heats = heats
        answer = page.answer.map { answer in
            Answer(
                rows: answer.rows.map {
                    Answer.Row(
                        label: PageText.visible($0.label), logit: $0.logit, probability: $0.probability,
                        voxels: $0.voxels, isExplained: $0.isExplained)
                }, note: answer.note.map(PageText.visible))
        }
        warnings = page.warnings.map(PageText.visible)
        skew = ReviewManifest.skew(page)
        facts = page.facts.map(\.visible) + ReviewManifest.gridFacts(page)
        provenance = page.provenance.map(\.visible)
        links = page.links.map { Link(label: PageText.visible($0.label), address: PageText.address($0.path)) }
        folderPage = page.folderPage.map(PageText.address)
        colourMaps = ColourMap.allCases.map { map in
            let colours = (0..<256).flatMap { step -> [UInt8] in
                let colour = map.colour(at: Double(step) / 255)
                return [colour.red, colour.green, colour.blue]
            }
            return Map(
                name: map.rawValue, isDiverging: map == .diverging, colours: Data(colours).base64EncodedString())
        }
        let isSigned = page.style.scale?.isSigned ?? page.style.isSigned
        style = Style(
            opacity: page.style.alpha.opacity, threshold: page.style.alpha.threshold,
            exponent: page.style.alpha.exponent, isSigned: isSigned,
            colourMap: (page.style.colourMap ?? (isSigned ? .diverging : .inferno)).rawValue,
            scale: page.scale.name, fixedTop: page.scale.fixedTop)
    }

    private static func gridFacts(_ page: ReviewPage) -> [ReviewFact] {
        let grid = page.scan.grid
        var facts = [ReviewFact("size", grid.shape.text)]
        guard page.isAnatomical else { return facts }
        let spacing = grid.spacing.elements.map { String(format: "%.3g", $0) }.joined(separator: " × ")
        facts.append(ReviewFact("spacing", "\(spacing) mm"))
        facts.append(ReviewFact("orientation", Orientation(grid.affine).code))
        return facts
    }

    /// By how many degrees the axes are from square to each other (a tilted gantry), where that is worth a word: the views show
    /// them as if they were square.
    private static func skew(_ page: ReviewPage) -> Double? {
        let affine = page.scan.grid.affine
        let size = affine.spacing
        let cosines = [
            (affine.i * affine.j).sum() / (size.x * size.y), (affine.i * affine.k).sum() / (size.x * size.z),
            (affine.j * affine.k).sum() / (size.y * size.z),
        ]
        let skew = cosines.map { abs(90 - acos(max(-1, min(1, $0))) * 180 / .pi) }.max()!
        return page.isAnatomical && skew > 0.5 ? skew : nil
    }

    /// From the 1st to the 99th percentile of a sample of the finite values above the smallest.
    private static func automatic(_ voxels: [Float], _ range: ClosedRange<Float>) -> HUWindow {
        let step = max(1, voxels.count / 100_003)
        let sample = stride(from: 0, to: voxels.count, by: step).map { voxels[$0] }
            .filter { $0.isFinite && $0 > range.lowerBound }.sorted()
        guard let first = sample.first, let last = sample.last, first < last else {
            return HUWindow(lower: range.lowerBound - 0.5, upper: range.lowerBound + 0.5)
        }
        let low = sample[sample.count / 100]
        let high = sample[sample.count - 1 - sample.count / 100]
        return low < high ? HUWindow(lower: low, upper: high) : HUWindow(lower: first, upper: last)
    }
}

extension ReviewPage.Scale {
    fileprivate var name: String {
        switch self {
        case .own: "own"
        case .folder: "folder"
        case .fixed: "fixed"
        }
    }

    fileprivate var fixedTop: Double? { if case .fixed(let top) = self, top > 0, top.isFinite { top } else { nil } }
}

extension SIMD3 {
    var elements: [Scalar] { [x, y, z] }
}

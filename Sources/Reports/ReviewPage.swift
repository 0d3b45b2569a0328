import Failures
import Foundation
import Rendering
import Volumes
import Workers

/// One self-contained page to review a scan with: linked slices, a 3D view, heat of every method and target, the answer and
/// where all of it comes from. It opens from disk in a browser and loads nothing.
///
/// The scan goes into the page exactly (16 bits a voxel) when that is small, else in 8 bits a voxel with finer steps in soft
/// tissue, else in blocks of voxels; the page says which. Heat is 8 bits a voxel. Volumes lie on the scan's stored grid, turned
/// to the nearest RAS axes and never interpolated; positions in millimetres come from the affine as it is.
public struct ReviewPage: Sendable {
    /// Shown as heading and window title: the scan's name.
    public var title: String
    /// A second line, before the answer.
    public var subtitle = ""
    public var scan: Volume
    /// "HU" for CT; empty for images whose values have no unit.
    public var unit: String
    /// Whether the volume lies in a patient; a picture does not, and gets no letters and no millimetres.
    public var isAnatomical = true
    /// All on the scan's grid; those given to ``pack(_:of:)`` come first.
    public var heats: [ReviewHeat] = []
    /// On the scan's grid; values above 0 count. Its outline is drawn.
    public var mask: Volume?
    public var answer: ReviewAnswer?
    /// What the reader must know before looking.
    public var warnings: [String] = []
    /// Facts on the scan beside those that the page finds by itself (size, spacing, orientation).
    public var facts: [ReviewFact] = []
    /// What was made from what with which settings.
    public var provenance: [ReviewFact] = []
    /// Files beside the page, by paths relative to it.
    public var links: [ReviewLink] = []
    /// The folder's page, by a path relative to this one.
    public var folderPage: String?
    /// The grey window that the page opens with; nil: lung for CT, percentiles for others.
    public var window: HUWindow?
    /// More window presets, before the usual ones; "network" is shown as "as the network saw it".
    public var presets: [ReviewWindow] = []
    /// Opacity, threshold, colour map and sign to begin with.
    public var style = OverlayStyle()
    /// The scale to begin with.
    public var scale = Scale.own
    public var settings = Settings()
    private var packed: [PackedHeat] = []

    /// Up to which raw value the colours run.
    public enum Scale: Sendable, Hashable {
        /// Each map's own largest value.
        case own
        /// The folder's, where it is known.
        case folder
        /// This value.
        case fixed(Double)
    }

    public struct Settings: Sendable {
        /// Bytes that the whole page should stay under.
        public var byteLimit = 38 << 20
        /// Bytes up to which the scan is carried exactly.
        public var exactLimit = 14 << 20
        /// "en" or "zh"; nil: as the browser prefers.
        public var language: String?

        public init() {}
    }

    /// What was written, for logs and tests.
    public struct Summary: Sendable, Equatable {
        public let bytes: Int
        /// "exact", "16 bits", "8 bits, steps from 5.0".
        public let scanCoding: String
        /// Scan voxels in one of the page's.
        public let blocks: Index3
    }

    public init(title: String, scan: Volume, unit: String = "HU") {
        self.title = title
        self.scan = scan
        self.unit = unit
    }

    /// Takes a map into the page and lets its volume go, so that a scan with many maps needs the memory of one.
    ///
    /// - Parameter count: how many maps the page will have in all; each gets an equal share of its size.
    /// - Throws: ``Failure`` of kind `.scan` when the heat is not on the scan's grid.
    public mutating func pack(_ heat: ReviewHeat, of count: Int) throws {
        packed.append(try PackedHeat(heat, number: packed.count, on: scan.grid, share: share(of: count)))
    }

    private func share(of count: Int) -> Int { settings.byteLimit / 2 / max(1, count) }

    /// Writes the page atomically; the same bytes for the same content.
    ///
    /// - Throws: ``Failure`` of kind `.output` when it cannot be written, and `.scan` when a heat or the mask is not on the
    ///   scan's grid.
    @discardableResult
    public func write(to url: URL) throws -> Summary {
        if let mask { try ReviewPage.check(mask, "mask", on: scan.grid) }
        let order = Orientation(scan.grid.affine).rearrangement(to: .ras)
        let count = packed.count + heats.count
        let packed =
            try packed
            + heats.enumerated().map { index, heat in
                try PackedHeat(heat, number: self.packed.count + index, on: scan.grid, share: share(of: count))
            }
        let maskLayer = try mask.map { mask in
            try PageLayer(
                id: "mask", mask, order: order, blending: .strongest, coding: .steps(zero: 0, step: 1),
                content: .general)
        }
        let taken = packed.reduce(maskLayer?.size ?? 0) { $0 + $1.layer.size }
        let range = finiteRange
        // 200 kB for the page's script and words.
        let scanLayer = try packedScan(
            order, range: range, limit: max(settings.byteLimit / 4, settings.byteLimit - taken - 200_000))
        let manifest = PageText.json(
            ReviewManifest(
                self, order: order, range: range, scan: scanLayer, heats: packed.map(\.manifest), mask: maskLayer))
        let template = PageTemplate(kind: .review, title: title)
        var bytes = 0
        try AtomicFile.write(to: url) { file in
            try template.write(
                manifest: manifest, pieces: ["folderScale": PageText.json(ReviewPage.folderScale(packed))],
                data: [scanLayer] + packed.map(\.layer) + (maskLayer.map { [$0] } ?? []), to: &file)
            bytes = file.position
        }
        return Summary(bytes: bytes, scanCoding: scanLayer.coding.name, blocks: scanLayer.blocks)
    }

    /// Puts the folder's scales (by ``ReviewHeat/scaleKey``) into a page that is already written, once all scans are done.
    ///
    /// - Throws: ``Failure`` of kind `.output` when the file is no such page or cannot be replaced.
    public static func setFolderScales(_ scales: [String: Double], inPageAt url: URL) throws {
        let open = Array("<script type=\"application/json\" id=\"folder-scale\">".utf8)
        let close = Array("</script>".utf8)
        guard let data = try? Data(contentsOf: url, options: .mappedIfSafe),
            let start = data.range(of: Data(open)),
            let end = data.range(of: Data(close), in: start.upperBound..<data.endIndex)
        else {
            throw Failure(.output, url.path, expected: "a review page", found: "another file or none")
        }
        let text = PageText.json(scales.filter { $0.value > 0 && $0.value.isFinite })
        try AtomicFile.write(to: url) { file in
            try data[..<start.upperBound].withUnsafeBytes { try file.write($0) }
            try file.write(text)
            try data[end.lowerBound...].withUnsafeBytes { try file.write($0) }
        }
    }

    private static func folderScale(_ heats: [PackedHeat]) -> [String: Double] {
        var scales: [String: Double] = [:]
        for heat in heats {
            if let top = heat.folderTop, top > 0, top.isFinite { scales[heat.manifest.id] = top }
        }
        return scales
    }

    static func check(_ volume: Volume, _ name: String, on grid: Grid) throws {
        guard volume.grid.shape == grid.shape else {
            throw Failure(
                .scan, name, expected: "a volume of \(grid.shape.text) voxels, as the scan",
                found: "\(volume.grid.shape.text)", remedy: "Place it on the scan's grid first.")
        }
    }

    private var finiteRange: ClosedRange<Float> {
        let grain = 1 << 20
        let voxels = scan.voxels
        let pieces = (voxels.count + grain - 1) / grain
        // A body that cannot throw makes a call that does not.
        let extremes = try! Workers.shared.map(pieces) { piece in
            var (low, high) = (Float.infinity, -Float.infinity)
            for value in voxels[piece * grain..<min(voxels.count, (piece + 1) * grain)] where value.isFinite {
                low = min(low, value)
                high = max(high, value)
            }
            return (low, high)
        }
        let low = extremes.map(\.0).min()!
        let high = extremes.map(\.1).max()!
        return low <= high ? low...high : 0...1
    }

    private func packedScan(_ order: Rearrangement, range: ClosedRange<Float>, limit: Int) throws -> PageLayer {
        let isCT = unit == "HU"
        let exact: PageLayer.Coding
        if scan.isWhole, range.lowerBound >= -32768, range.upperBound <= 32767 {
            exact = .values(slope: 1, intercept: 0, tolerance: 0)
        } else {
            let slope = max(Double(range.upperBound) - Double(range.lowerBound), 1e-30) / 65535
            exact = .values(slope: slope, intercept: Double(range.lowerBound) + 32768 * slope, tolerance: slope / 2)
        }
        var candidates: [(coding: PageLayer.Coding, blocks: Index3, limit: Int)] = [
            (exact, [1, 1, 1], min(limit, settings.exactLimit))
        ]
        let coarser: [PageLayer.Coding] =
            isCT ? [1, 2, 3, 4].map { .levels(.hounsfield(factor: $0)) } : [.levels(.even(range))]
        var blocks: Index3 = [1, 1, 1]
        let grid = order(scan.grid)
        for _ in 0..<8 {
            candidates += coarser.map { ($0, blocks, limit) }
            // The axes with most voxels give way first: 512×512 slices before slices are joined.
            let left = (0..<3).map { grid.shape[$0] / blocks[$0] }
            for axis in 0..<3 where left[axis] * 4 > left.max()! * 3 && left[axis] > 1 { blocks[axis] *= 2 }
        }
        for candidate in candidates {
            let size = try PageLayer.estimatedSize(
                scan, order: order, blocks: candidate.blocks, blending: .mean, coding: candidate.coding, content: .noise
            )
            // The estimate comes from some of the slices.
            if Double(size) * 1.03 > Double(candidate.limit) { continue }
            let layer = try PageLayer(
                id: "scan", scan, order: order, blocks: candidate.blocks, blending: .mean, coding: candidate.coding,
                content: .noise)
            if layer.size <= candidate.limit { return layer }
        }
        let last = candidates[candidates.count - 1]
        return try PageLayer(
            id: "scan", scan, order: order, blocks: last.blocks, blending: .mean, coding: last.coding, content: .noise)
    }
}

extension PageLayer.Coding {
    fileprivate var name: String {
        switch self {
        case .values(_, _, let tolerance): tolerance == 0 ? "exact" : "16 bits"
        case .levels(let codebook): "8 bits, steps from \(codebook.leastStep)"
        case .steps: "8 bits"
        }
    }
}

extension Index3 {
    var text: String { "\(x)×\(y)×\(z)" }
}

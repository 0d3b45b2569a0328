import Failures
import Volumes

/// Draws a scan's slices with heat over them.
///
/// The scan may be stored in any orientation; slices are cut along its stored axes, each taken for the anatomical axis it lies
/// closest to, and shown with square pixels. Slices are numbered from 0 toward Superior (axial), Anterior (coronal) and Right
/// (sagittal) whatever the stored order; pictures and file names print the number plus one. Heat may lie on any grid: it is
/// read by world coordinates, and nothing is drawn beyond half a voxel from its outermost voxel centres.
///
/// ```swift
/// var style = OverlayStyle()
/// style.window = .lung
/// let renderer = try OverlayRenderer(scan: scan, heat: map, style: style, caption: .init(scan: "case 7"))
/// try renderer.writeSlices(.hottest(5), to: folder)
/// ```
public struct OverlayRenderer: Sendable {
    /// What lies under the heat.
    enum Base: Sendable {
        case scan(Volume, GreyWindow)
        /// A 2D picture's channels, on ``Picture/grid``.
        case picture([Volume])
    }

    public let style: OverlayStyle
    public let caption: OverlayCaption
    public let scale: ScaleRange
    let base: Base
    /// The grid that slices are cut along.
    let grid: Grid
    let heat: Volume
    let mask: Volume?
    let lookup: HeatLookup
    /// nil where the volume lies on `grid` itself.
    let heatSampler: WorldSampler?
    let maskSampler: WorldSampler?

    /// - Parameters:
    ///   - scan: what the slices show, in HU or any other unit that `style.window` fits.
    ///   - heat: raw, signed heat on any grid; values that are not finite count as 0.
    ///   - mask: a label map on any grid whose non-zero voxels are outlined.
    /// - Throws: a `Failure` of kind `scan` when a grid has no place in the world (an affine that cannot be inverted).
    public init(
        scan: Volume, heat: Volume, mask: Volume? = nil, style: OverlayStyle = OverlayStyle(),
        caption: OverlayCaption = OverlayCaption()
    ) throws {
        try self.init(
            base: .scan(scan, GreyWindow(style.window, of: scan)), grid: scan.grid, heat: heat, mask: mask,
            style: style,
            caption: caption)
    }

    /// Over a 2D picture, which is an axial slice of its own (see ``Picture/grid(width:height:)``); `style.window` is not used.
    public init(
        picture: Picture, heat: Volume, mask: Volume? = nil, style: OverlayStyle = OverlayStyle(),
        caption: OverlayCaption = OverlayCaption()
    ) throws {
        try self.init(
            base: .picture(picture.layout == .gray ? [picture.luminanceVolume] : picture.colourVolumes),
            grid: picture.grid,
            heat: heat, mask: mask, style: style, caption: caption)
    }

    private init(
        base: Base, grid: Grid, heat: Volume, mask: Volume?, style: OverlayStyle, caption: OverlayCaption
    ) throws {
        for (name, grid) in [("scan", grid), ("heat", heat.grid), ("mask", mask?.grid ?? grid)] {
            guard grid.affine.inverse != nil else {
                throw Failure(
                    .scan, "the \(name)'s affine", expected: "a matrix that can be inverted",
                    found: "\(grid.affine.rows)",
                    remedy: "Repair the file's qform or sform")
            }
        }
        self.base = base
        self.grid = grid
        self.style = style
        self.caption = caption
        self.heat = OverlayRenderer.finite(heat)
        self.mask = mask
        scale = style.scale ?? ScaleRange(of: heat, signed: style.isSigned)
        lookup = HeatLookup(map: style.colourMap(for: scale), scale: scale, alpha: style.alpha)
        heatSampler = heat.grid == grid ? nil : WorldSampler(self.heat, from: grid)
        maskSampler = mask.flatMap { $0.grid == grid ? nil : WorldSampler($0, from: grid) }
    }

    /// The volume itself, or a copy with 0 for what is not finite.
    private static func finite(_ volume: Volume) -> Volume {
        if volume.voxels.allSatisfy(\.isFinite) { return volume }
        var copy = volume
        for index in copy.voxels.indices where !copy.voxels[index].isFinite { copy.voxels[index] = 0 }
        return copy
    }

    /// How many slices there are in a plane.
    public func sliceCount(_ plane: Plane) -> Int { frame(plane).sliceCount }

    /// Signed distance of a slice from the world's origin along the slices' normal, in mm; positive toward S, A or R.
    public func position(_ plane: Plane, _ index: Int) -> Double { frame(plane).position(slice: index) }

    /// The stored axis (0 = i, 1 = j, 2 = k) that a plane's slices are stacked along, and a slice's voxel index on it.
    public func storedIndex(_ plane: Plane, _ index: Int) -> (axis: Int, index: Int) {
        let through = frame(plane).through
        return (through.stored, through.isReversed ? through.count - 1 - index : index)
    }

    /// Per slice of a plane the sum of positive heat (see ``SliceRanking``).
    public func heatPerSlice(_ plane: Plane) -> [Double] {
        SliceRanking.heatPerSlice(heat, frame(plane), sampler: heatSampler)
    }

    /// The `count` slices of a plane with the most heat that can be seen, hottest first: positive heat of at least the style's
    /// threshold, as a part of the map's highest value. Of slices with equally much the one with more heat in all; slices without
    /// positive heat are left out.
    ///
    /// - Parameter apart: mm that lie between any two of them at least; 0: neighbours may both be taken.
    public func hottest(_ plane: Plane, count: Int, apart: Double = 0) -> [Int] {
        hottest(heatPerSlice(plane), plane, count: count, apart: apart)
    }

    func hottest(_ heat: [Double], _ plane: Plane, count: Int, apart: Double = 0) -> [Int] {
        let frame = frame(plane)
        let distance = frame.sliceCount > 1 ? frame.position(slice: 1) - frame.position(slice: 0) : 1
        // A hair less, so that slices exactly so far apart count as far enough.
        let slices = (apart / distance - 1e-6).rounded(.up)
        let floor = ScaleRange(of: self.heat).top * Float(style.alpha.threshold)
        let visible = SliceRanking.heatPerSlice(self.heat, frame, sampler: heatSampler, from: floor)
        return SliceRanking.hottest(
            visible: visible, heat, count: count, apart: slices < 1e9 ? max(1, Int(slices)) : 1_000_000_000)
    }

    /// One slice with its text, letters and colour bar, as the style says.
    public func slice(_ plane: Plane, _ index: Int) -> Picture {
        let frame = frame(plane)
        precondition((0..<frame.sliceCount).contains(index), "slice \(index) of \(frame.sliceCount)")
        let display = DisplayGrid(frame: frame, minimum: style.minimumSize, maximum: style.maximumSize)
        let panels = panels(frame, index, display)
        let face = OverlayRenderer.face(for: display)
        let gap = 8
        let width = panels.reduce(-gap) { $0 + $1.width + gap }
        var layout = FrameLayout(
            content: (width, display.height), title: caption.scan, parts: textParts(frame, slice: index),
            bar: colourBar(face), face: face, style: style)
        var x = layout.contentX
        for panel in panels {
            layout.canvas.draw(panel, x: x, y: layout.contentY)
            x += panel.width + gap
        }
        return layout.canvas.picture
    }

    func frame(_ plane: Plane) -> SliceFrame {
        SliceFrame(grid: grid, plane: plane, radiological: style.isRadiological)
    }

    var isPicture: Bool { if case .picture = base { true } else { false } }

    static func face(for display: DisplayGrid) -> Typeface {
        max(display.width, display.height) >= 640 ? .large : .small
    }

    func colourBar(_ face: Typeface) -> ColourBar? {
        guard style.showsColourBar else { return nil }
        let title = caption.quantity.isEmpty ? caption.method : caption.quantity
        return ColourBar(lookup: lookup, title: title, contours: style.contours, face: face)
    }

    /// What the lines above a picture say; without a slice, what holds for all of them.
    func textParts(_ frame: SliceFrame, slice: Int?) -> [TextBlock.Part] {
        var parts: [TextBlock.Part] = []
        if isPicture {
            parts.append(.init("\(grid.shape.x) × \(grid.shape.y) pixels"))
        } else {
            let count = frame.sliceCount
            if let slice {
                parts.append(
                    .init(
                        "\(frame.plane.rawValue) \(slice + 1)/\(count)",
                        widest: "\(frame.plane.rawValue) \(count)/\(count)"))
                let ends = [frame.positionLabel(slice: 0), frame.positionLabel(slice: count - 1)]
                parts.append(
                    .init(frame.positionLabel(slice: slice), widest: ends.max { $0.count < $1.count }))
            } else {
                parts.append(.init("\(frame.plane.rawValue), \(count) slices"))
            }
            if frame.tilt >= 1 { parts.append(.init("oblique \(Numbers.fixed(frame.tilt, decimals: 0))°")) }
            if case .scan(_, let window) = base { parts.append(.init(window.label)) }
        }
        return parts + [caption.method, caption.target, caption.score].map { TextBlock.Part($0) }
    }
}

import Volumes

/// A colour map on a scale, as opaque colours: what a set of tiles shares, and what the bar beside them shows.
public struct Palette: Sendable {
    public let scale: ScaleRange
    let lookup: HeatLookup

    /// - Parameter map: nil: diverging for signed scales, viridis for others.
    public init(_ map: ColourMap? = nil, scale: ScaleRange) {
        self.scale = scale
        lookup = HeatLookup(opaque: map ?? (scale.isSigned ? .diverging : .viridis), scale: scale)
    }

    /// Values as a picture: rows from the top, each value a square of as many whole pixels as make the longer side reach
    /// `longest` (at least one).
    public func cells(_ values: [Float], width: Int, height: Int, longest: Int) -> Picture {
        precondition(width >= 1 && values.count == width * height, "\(values.count) values in \(width)×\(height)")
        let factor = max(1, longest / max(width, height))
        return colours(
            (0..<height * factor).flatMap { y in
                (0..<width * factor).map { x in values[y / factor * width + x / factor] }
            }, width: width * factor, height: height * factor)
    }

    /// One slice of a volume with square pixels, its longer side `longest` pixels.
    public func slice(
        _ volume: Volume, plane: Plane, index: Int, longest: Int,
        interpolation: Resampler.Interpolation = .nearest
    ) -> Picture {
        let (values, display) = VolumeSlices(volume.grid, plane).display(volume, index, longest, interpolation)
        return colours(values, width: display.width, height: display.height)
    }

    private func colours(_ values: [Float], width: Int, height: Int) -> Picture {
        var canvas = Canvas(width: width, height: height, background: .black)
        canvas.blend(values, width: width, height: height, lookup)
        return canvas.picture
    }
}

/// The slices of a grid in one plane, numbered as everywhere: from 0 toward Superior, Anterior or Right.
public struct VolumeSlices: Sendable {
    private let frame: SliceFrame
    public let plane: Plane

    public init(_ grid: Grid, _ plane: Plane, radiological: Bool = true) {
        self.plane = plane
        frame = SliceFrame(grid: grid, plane: plane, radiological: radiological)
    }

    /// The plane in which a grid of one slice lies flat; axial for all others.
    public static func natural(for grid: Grid) -> Plane {
        let orientation = Orientation(grid.affine)
        let thin = [(Plane.axial, 2), (.coronal, 1), (.sagittal, 0)].filter {
            grid.shape[orientation.storedAxis(alongWorld: $0.1)] == 1
        }
        return thin.count == 1 ? thin[0].0 : .axial
    }

    public var count: Int { frame.sliceCount }

    /// "S 12.5 mm".
    public func label(_ index: Int) -> String { frame.positionLabel(slice: index) }

    /// Per slice the sum of `measure` over its voxels.
    public func sums(_ volume: Volume, _ measure: (Float) -> Double = { abs(Double($0)) }) -> [Double] {
        (0..<count).map { slice in frame.extract(volume, slice: slice).values.reduce(0) { $0 + measure($1) } }
    }

    /// The slice that holds the voxel at stored index `index`.
    public func slice(through index: Index3) -> Int {
        let through = frame.through
        let place = index[through.stored]
        return through.isReversed ? through.count - 1 - place : place
    }

    /// A slice in grey from the 1st to the 99th percentile of the whole volume, its longer side `longest` pixels.
    public func grey(_ volume: Volume, _ index: Int, longest: Int) -> Picture {
        grey(volume, index, longest: longest, GreyWindow(.automatic, of: volume))
    }

    /// A slice in grey from `lower` (black) to `upper` (white).
    public func grey(_ volume: Volume, _ index: Int, longest: Int, from lower: Float, to upper: Float) -> Picture {
        let upper = upper > lower ? upper : lower + 1
        let window = OverlayStyle.Window.hu(HUWindow(lower: lower, upper: upper), name: "")
        return grey(volume, index, longest: longest, GreyWindow(window, of: volume))
    }

    private func grey(_ volume: Volume, _ index: Int, longest: Int, _ window: GreyWindow) -> Picture {
        let (values, display) = display(volume, index, longest, .linear)
        return Picture(width: display.width, height: display.height, layout: .gray, pixels: values.map(window.grey))
    }

    func display(
        _ volume: Volume, _ index: Int, _ longest: Int, _ interpolation: Resampler.Interpolation
    ) -> (values: [Float], display: DisplayGrid) {
        let display = DisplayGrid(frame: frame, size: longest)
        return (frame.extract(volume, slice: index).sampled(on: display, interpolation), display)
    }
}

import Volumes

/// How a grid is cut in slices of one plane: which stored axis runs across the picture, down it, and through the stack.
///
/// Every stored axis is taken for the anatomical axis it lies closest to, so an oblique volume is shown along its own axes and
/// nothing is interpolated between slices. Letters are those of the closest directions.
struct SliceFrame: Sendable {
    /// A stored axis (0 = i, 1 = j, 2 = k) and whether the picture runs along it backwards.
    struct Axis: Sendable, Hashable {
        var stored: Int
        var isReversed: Bool
        var count: Int
        /// Millimetres per voxel.
        var spacing: Double
    }

    let plane: Plane
    let grid: Grid
    let across: Axis
    let down: Axis
    /// Counted toward the positive end of the plane's normal: feet to head, back to front, left to right.
    let through: Axis
    /// What is at the picture's right edge and at its bottom; the opposites are across.
    let right: Orientation.Direction
    let bottom: Orientation.Direction
    /// Unit vector across the slices, toward the end they are counted to.
    let normal: Vector3
    /// Degrees between `normal` and the anatomical axis.
    let tilt: Double

    var left: Orientation.Direction { right.opposite }
    var top: Orientation.Direction { bottom.opposite }
    var sliceCount: Int { through.count }

    init(grid: Grid, plane: Plane, radiological: Bool) {
        self.plane = plane
        self.grid = grid
        let orientation = Orientation(grid.affine)
        func axis(_ direction: Orientation.Direction) -> Axis {
            let stored = orientation.storedAxis(alongWorld: direction.worldAxis)
            return Axis(
                stored: stored, isReversed: orientation.directions[stored] != direction, count: grid.shape[stored],
                spacing: grid.spacing[stored])
        }
        right = plane.across(radiological: radiological)
        bottom = plane.down
        across = axis(right)
        down = axis(bottom)
        through = axis(plane.through)

        let columns = [grid.affine.i, grid.affine.j, grid.affine.k]
        var normal = columns[across.stored].cross(columns[down.stored])
        normal /= normal.length
        let step = columns[through.stored] * (through.isReversed ? -1 : 1)
        if (normal * step).sum() < 0 { normal = -normal }
        self.normal = normal
        // The sine is precise near zero, where the cosine is not.
        let cosine = normal[plane.through.worldAxis]
        tilt = Numbers.arcSineDegrees(max(0, 1 - cosine * cosine).squareRoot())
    }

    /// The voxel index of the slice's first pixel's voxel, and the index steps one native pixel to the right and down.
    func indices(slice: Int) -> (origin: Vector3, right: Vector3, down: Vector3) {
        var origin = Vector3.zero
        var (right, downward) = (Vector3.zero, Vector3.zero)
        origin[across.stored] = across.isReversed ? Double(across.count - 1) : 0
        origin[down.stored] = down.isReversed ? Double(down.count - 1) : 0
        origin[through.stored] = Double(through.isReversed ? through.count - 1 - slice : slice)
        right[across.stored] = across.isReversed ? -1 : 1
        downward[down.stored] = down.isReversed ? -1 : 1
        return (origin, right, downward)
    }

    /// Signed distance of the slice from the world's origin along the slices' normal, in mm.
    func position(slice: Int) -> Double {
        (grid.affine(indices(slice: slice).origin) * normal).sum()
    }

    /// The position with the letter of its side: "S 123.5 mm" lies 123.5 mm toward Superior.
    func positionLabel(slice: Int) -> String {
        let position = position(slice: slice)
        let rounded = (abs(position) * 10).rounded() / 10
        let side = position < 0 && rounded > 0 ? plane.through.opposite : plane.through
        return "\(side.rawValue) \(Numbers.fixed(rounded, decimals: 1)) mm"
    }
}

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
    /// Letters at the picture's edges.
    let left: Character
    let right: Character
    let top: Character
    let bottom: Character
    /// Unit vector across the slices, toward the positive end.
    let normal: Vector3
    /// Degrees between `normal` and the anatomical axis.
    let tilt: Double

    var sliceCount: Int { through.count }

    init(grid: Grid, plane: Plane, radiological: Bool) {
        self.plane = plane
        self.grid = grid
        let closest = SliceFrame.closestAxes(grid.affine)
        func axis(_ world: Int, positive: Bool) -> Axis {
            let (stored, pointsPositive) = closest[world]
            return Axis(
                stored: stored, isReversed: pointsPositive != positive, count: grid.shape[stored],
                spacing: grid.spacing[stored])
        }
        let (acrossWorld, rightIsPositive) = plane.across(radiological: radiological)
        across = axis(acrossWorld, positive: rightIsPositive)
        down = axis(plane.down, positive: false)
        through = axis(plane.normal, positive: true)
        let letters = Plane.letters(acrossWorld)
        right = rightIsPositive ? letters.positive : letters.negative
        left = rightIsPositive ? letters.negative : letters.positive
        (top, bottom) = Plane.letters(plane.down)

        let columns = [grid.affine.i, grid.affine.j, grid.affine.k]
        let (a, b) = (columns[across.stored], columns[down.stored])
        var normal: Vector3 = [a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x]
        normal /= (normal * normal).sum().squareRoot()
        // Toward the end that the slices are counted to.
        let step = columns[through.stored] * (through.isReversed ? -1 : 1)
        if (normal * step).sum() < 0 { normal = -normal }
        self.normal = normal
        tilt = SliceFrame.degrees(cosine: abs(normal[plane.normal]))
    }

    /// For each world axis the stored axis that lies closest to it, each used once, and whether that axis points to the
    /// positive end: the assignment with the largest sum of |cosines|.
    static func closestAxes(_ affine: Affine) -> [(stored: Int, pointsPositive: Bool)] {
        let columns = [affine.i, affine.j, affine.k]
        let spacing = affine.spacing
        func cosine(_ world: Int, _ stored: Int) -> Double { columns[stored][world] / spacing[stored] }
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        var best = orders[0]
        var bestSum = -1.0
        for order in orders {
            let sum = (0..<3).reduce(0.0) { $0 + abs(cosine($1, order[$1])) }
            // Rounding must not decide between two equally good assignments.
            if sum > bestSum + 1e-9 { (best, bestSum) = (order, sum) }
        }
        return (0..<3).map { (best[$0], cosine($0, best[$0]) >= 0) }
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
        let letters = Plane.letters(plane.normal)
        let rounded = (abs(position) * 10).rounded() / 10
        let letter = position < 0 && rounded > 0 ? letters.negative : letters.positive
        return "\(letter) \(Numbers.fixed(rounded, decimals: 1)) mm"
    }

    private static func degrees(cosine: Double) -> Double {
        // asin of the sine is precise near zero, where acos is not.
        let sine = max(0, 1 - cosine * cosine).squareRoot()
        return Numbers.arcSineDegrees(sine)
    }
}

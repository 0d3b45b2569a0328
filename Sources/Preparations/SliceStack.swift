import Volumes

/// Slices of one scan, one behind the other along the axis on which each of them has depth 1.
public enum SliceStack {
    /// The axis that the slices are stacked along, and the step from one to the next in mm.
    private static func axis(_ grids: [Grid]) throws -> (axis: Int, step: Vector3) {
        let first = grids[0]
        let axis = (0..<3).last { first.shape[$0] == 1 } ?? 2
        let step =
            grids.count > 1
            ? grids[1].affine.origin - first.affine.origin : [first.affine.i, first.affine.j, first.affine.k][axis]
        return (axis, step)
    }

    /// The grid that holds all slices; one alone, which may be a whole volume, is its own.
    public static func grid(of grids: [Grid]) throws -> Grid {
        if grids.count == 1 { return grids[0] }
        let (axis, step) = try axis(grids)
        var shape = grids[0].shape
        shape[axis] = grids.count
        var affine = grids[0].affine
        switch axis {
        case 0: affine.i = step
        case 1: affine.j = step
        default: affine.k = step
        }
        return Grid(shape: shape, affine: affine)
    }

    /// The volumes of all slices as one, in order; each lies on a grid one thick.
    public static func stack(_ volumes: [Volume]) throws -> Volume {
        let (axis, _) = try axis(volumes.map(\.grid))
        let grid = try grid(of: volumes.map(\.grid))
        var voxels = [Float](repeating: 0, count: grid.count)
        for (number, volume) in volumes.enumerated() {
            var index = 0
            for k in 0..<volume.grid.shape.z {
                for j in 0..<volume.grid.shape.y {
                    for i in 0..<volume.grid.shape.x {
                        var place = Index3(i, j, k)
                        place[axis] = number
                        voxels[place.x + grid.shape.x * (place.y + grid.shape.y * place.z)] = volume.voxels[index]
                        index += 1
                    }
                }
            }
        }
        return Volume(grid: grid, voxels: voxels)
    }
}

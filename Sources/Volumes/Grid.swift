/// Where the voxels of a volume lie: how many there are along i, j, k, and where each one is in the world.
public struct Grid: Sendable, Hashable {
    public var shape: Index3
    public var affine: Affine

    public init(shape: Index3, affine: Affine) {
        precondition(shape.min() >= 1, "a grid has at least one voxel along every axis")
        self.shape = shape
        self.affine = affine
    }

    public var count: Int { shape.x * shape.y * shape.z }
    public var spacing: Vector3 { affine.spacing }
    /// Volume of one voxel in mm³.
    public var voxelVolume: Double { abs(affine.determinant) }
}

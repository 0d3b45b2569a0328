import Volumes

/// Reads a volume at the places of another grid's voxels, by world coordinates.
///
/// The outermost voxels reach to their own outer edge, half a voxel beyond their centres; further out there is nothing, 0.
struct WorldSampler: Sendable {
    let volume: Volume
    /// From a voxel index of the other grid to one of the volume's.
    private let transform: Affine

    /// nil when the volume's affine cannot be inverted.
    init?(_ volume: Volume, from grid: Grid) {
        guard let inverse = volume.grid.affine.inverse else { return nil }
        self.volume = volume
        transform = inverse.composed(with: grid.affine)
    }

    /// The values on a lattice of the other grid's indices: at `origin + x · right + y · down`, rows of `width`.
    func sample(
        origin: Vector3, right: Vector3, down: Vector3, width: Int, height: Int,
        _ interpolation: Resampler.Interpolation
    ) -> [Float] {
        let lattice = Affine(i: right, j: down, k: right.cross(down), origin: origin)
        return Resampler(interpolation, outside: .constant(0)).resample(
            volume.voxels, shape: volume.grid.shape, map: transform.composed(with: lattice), onto: [width, height, 1])
    }
}

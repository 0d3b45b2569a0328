import Failures
import Tensors
import Volumes

/// What a network is shown of a scan, and where it lies.
public struct PreparedInput: Sendable {
    /// `[1, C, spatial…]` or `[1, spatial…, C]`.
    public var tensor: Tensor<Float>
    /// The grid of the prepared volume (for a 2D network: of the slice).
    public var grid: Grid
    /// The volume axis of each spatial axis of the tensor, slowest first.
    public var axes: [Int]

    public init(tensor: Tensor<Float>, grid: Grid, axes: [Int]) {
        self.tensor = tensor
        self.grid = grid
        self.axes = axes
    }

    /// A map on a layer's grid as a volume in the world.
    ///
    /// - Parameters:
    ///   - values: row-major over the tensor's spatial axes, one value a place of the layer.
    ///   - shape: places along each spatial axis.
    ///   - jump: prepared voxels from one place to the next, along each spatial axis; negative where the layer is flipped.
    ///   - centre: prepared-voxel index of the first place.
    /// - Returns: a volume whose affine is `A_prepared · [diag(jump), centre]`, with axes in the prepared volume's order.
    /// - Throws: ``Failure`` when the layer has another number of spatial axes than the input.
    public func volume(
        fromTensorSpatial values: [Float], shape: [Int], jump: [Double], centre: [Double]
    ) throws -> Volume {
        guard shape.count == axes.count, jump.count == axes.count, centre.count == axes.count else {
            throw Failure(
                .network, "map", expected: "\(axes.count) spatial axes, as the input has", found: "\(shape.count)")
        }
        precondition(values.count == shape.elementCount)
        var extent = Index3(1, 1, 1)
        var scale = Vector3(1, 1, 1)
        var offset = Vector3(0, 0, 0)
        for (number, axis) in axes.enumerated() {
            extent[axis] = shape[number]
            scale[axis] = jump[number]
            offset[axis] = centre[number]
        }
        let inner = Affine(i: [scale.x, 0, 0], j: [0, scale.y, 0], k: [0, 0, scale.z], origin: offset)
        let strides = axes.map { [1, extent.x, extent.x * extent.y][$0] }
        var voxels = [Float](repeating: 0, count: values.count)
        NetworkLayout.forEachPlace(shape, strides) { place, voxel in voxels[voxel] = values[place] }
        return Volume(grid: Grid(shape: extent, affine: grid.affine.composed(with: inner)), voxels: voxels)
    }

    /// A volume with the prepared axes' order, row-major over the tensor's spatial axes: the inverse of
    /// ``volume(fromTensorSpatial:shape:jump:centre:)``.
    public func tensorSpatial(from volume: Volume) -> [Float] {
        let shape = axes.map { volume.grid.shape[$0] }
        let strides = axes.map { [1, volume.grid.shape.x, volume.grid.shape.x * volume.grid.shape.y][$0] }
        var values = [Float](repeating: 0, count: volume.voxels.count)
        NetworkLayout.forEachPlace(shape, strides) { place, voxel in values[place] = volume.voxels[voxel] }
        return values
    }
}

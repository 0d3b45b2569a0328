import Failures
import Tensors
import Volumes

/// What a network is given, and where in the world each of its voxels lies.
public struct PreparedInput: Sendable {
    /// `[1, channels, spatial…]`, or `[1, spatial…, channels]` where the layout says so.
    public let tensor: Tensor<Float>
    /// The grid of the prepared volume, in volume order (i, j, k), before it was laid out as a tensor.
    public let grid: Grid
    public let layout: NetworkLayout
    /// For one slice of a volume its index along ``NetworkLayout/sliceAxis``; else nil.
    public let slice: Int?
    /// What each step of the preparation did.
    public let records: [PreparationRecord]

    /// Any tensor with a grid: for inputs that were prepared elsewhere.
    public init(
        tensor: Tensor<Float>, grid: Grid, layout: NetworkLayout = NetworkLayout(), slice: Int? = nil,
        records: [PreparationRecord] = []
    ) {
        self.tensor = tensor
        self.grid = grid
        self.layout = layout
        self.slice = slice
        self.records = records
    }

    /// A tensor of one spatial axis order, channels second: for inputs that no pipeline made.
    public init(tensor: Tensor<Float>, grid: Grid, axes: [Int]) {
        self.init(tensor: tensor, grid: grid, layout: NetworkLayout(axes: axes))
    }

    /// One channel of the tensor as a volume on ``grid``.
    ///
    /// - Precondition: the tensor has the extents of the grid.
    public func volume(channel: Int = 0) -> Volume {
        let count = grid.count
        let channels = tensor.count / count
        precondition(
            channels * count == tensor.count && (0..<channels).contains(channel), "\(tensor.shape) on \(grid.shape)")
        let spatial = tensor.withUnsafeBuffer { all in
            layout.isChannelsLast
                ? (0..<count).map { all[$0 * channels + channel] } : Array(all[channel * count..<(channel + 1) * count])
        }
        return Volume(grid: grid, voxels: fromTensor(spatial, shape: grid.shape))
    }

    /// The voxels of a map on the grid of a layer, as a volume that lies where the layer's voxels lie.
    ///
    /// Along tensor axis d, map voxel n lies at input index `centre[d] + n · jump[d]` (formulas of the receptive field). With A
    /// the affine of the prepared grid the result's affine is exactly A ∘ [diag(jump), centre], axes taken back to volume
    /// order. For a slice, the result is one slice thick.
    ///
    /// - Parameters:
    ///   - values: in row-major order of `shape`.
    ///   - shape: spatial extents of the map in the tensor's axis order; as many as the input has.
    /// - Throws: a `Failure` of kind `network` when the map has not as many spatial axes as the input, or a jump of zero.
    public func volume(
        fromTensorSpatial values: [Float], shape: [Int], jump: [Double], centre: [Double]
    ) throws -> Volume {
        let rank = layout.spatialRank
        precondition(values.count == shape.elementCount, "\(values.count) values for \(shape)")
        guard shape.count == rank, jump.count == rank, centre.count == rank else {
            throw Failure(
                .network, "layer of spatial extents \(shape)", expected: "\(rank) spatial axes, as the input has",
                found: "\(shape.count)", remedy: "Choose a layer before axes are merged or dropped")
        }
        guard jump.allSatisfy({ $0.isFinite && $0 != 0 }), centre.allSatisfy(\.isFinite), shape.allSatisfy({ $0 >= 1 })
        else {
            throw Failure(
                .network, "layer of spatial extents \(shape)", expected: "steps other than zero from voxel to voxel",
                found: "jump \(jump), centre \(centre)")
        }
        var extents = Index3(1, 1, 1)
        var step = Vector3(1, 1, 1)
        var origin = Vector3.zero
        for (axis, target) in layout.axes.enumerated() {
            extents[target] = shape[axis]
            step[target] = jump[axis]
            origin[target] = centre[axis]
        }
        let inner = Affine(i: [step.x, 0, 0], j: [0, step.y, 0], k: [0, 0, step.z], origin: origin)
        return Volume(
            grid: Grid(shape: extents, affine: grid.affine.composed(with: inner)),
            voxels: fromTensor(values, shape: extents))
    }

    /// The voxels of a volume in the row-major order of the tensor's spatial axes: the inverse of
    /// ``volume(fromTensorSpatial:shape:jump:centre:)``.
    public func tensorSpatial(from volume: Volume) -> [Float] {
        layout.toTensor(volume.voxels, shape: volume.grid.shape)
    }

    /// Tensor memory order to volume order, for a volume of extents `shape`.
    private func fromTensor(_ values: [Float], shape: Index3) -> [Float] {
        let turn = layout.toTensor
        return turn.inverse(values, shape: Index3(shape[turn.axes[0]], shape[turn.axes[1]], shape[turn.axes[2]]))
    }
}

import Preparations
import Tensors
import Volumes

extension PreparedInput {
    /// A tensor as it is, on a grid of unit voxels.
    init(testing tensor: Tensor<Float>, channelsLast: Bool = false) {
        let axes = Array([2, 1, 0].suffix(tensor.rank - 2))
        var shape = Index3(1, 1, 1)
        for (number, axis) in axes.enumerated() { shape[axis] = tensor.shape[number + (channelsLast ? 1 : 2)] }
        self.init(tensor: tensor, grid: Grid(shape: shape, affine: .identity), axes: axes)
    }
}

import Failures
import Tensors
import Volumes

/// How a network wants a volume's voxels laid out in its input tensor.
///
/// MONAI's networks read `[1, C, x, y, z]` of a volume oriented RAS; most ITK-based code reads `[1, C, z, y, x]` in LPS. The
/// orientation is a preparation step; the order of axes is this.
public struct NetworkLayout: Sendable, Hashable {
    /// The volume axis (0 = i, 1 = j, 2 = k) of each spatial axis of the tensor, slowest first. Two for a 2D network, whose
    /// input is one slice across the third.
    public var axes: [Int]
    /// `[1, spatial…, C]` instead of `[1, C, spatial…]`.
    public var channelsLast: Bool
    /// How often a single volume is repeated as channels (a grey scan for a network that expects RGB).
    public var channels: Int

    public init(axes: [Int] = [0, 1, 2], channelsLast: Bool = false, channels: Int = 1) {
        precondition(
            (2...3).contains(axes.count) && Set(axes).count == axes.count && axes.allSatisfy { (0...2).contains($0) })
        precondition(channels >= 1)
        self.axes = axes
        self.channelsLast = channelsLast
        self.channels = channels
    }

    /// From "xyz" (MONAI), "zyx" (ITK), or any order; two letters for a 2D network: "yx" rows down, columns along x.
    ///
    /// - Throws: ``Failure`` of kind `.pipeline` for anything else.
    public init(axes text: String, channelsLast: Bool = false, channels: Int = 1) throws {
        let letters = text.lowercased().map {
            "xyz".firstIndex(of: $0).map { "xyz".distance(from: "xyz".startIndex, to: $0) }
        }
        let known = letters.compactMap { $0 }
        guard known.count == letters.count, (2...3).contains(known.count), Set(known).count == known.count else {
            throw Failure(
                .pipeline, "layout.axes",
                expected: "an order of x, y and z such as \"xyz\" (MONAI) or \"zyx\" (ITK), or two of them",
                found: "\"\(text)\"")
        }
        self.init(axes: known, channelsLast: channelsLast, channels: channels)
    }

    /// "xyz".
    public var axesText: String { String(axes.map { Array("xyz")[$0] }) }

    /// The volume axis across which a 2D network sees slices; nil for a 3D network.
    public var sliceAxis: Int? { axes.count == 2 ? (0...2).first { !axes.contains($0) } : nil }

    /// Packs volumes on one grid as the channels of an input tensor; one volume is repeated to ``channels``.
    ///
    /// - Precondition: for a 2D layout the volumes have extent 1 across the slice.
    public func pack(_ volumes: [Volume]) -> PreparedInput {
        precondition(!volumes.isEmpty && volumes.allSatisfy { $0.grid == volumes[0].grid }, "channels on one grid")
        let grid = volumes[0].grid
        if let sliceAxis { precondition(grid.shape[sliceAxis] == 1, "one slice at a time") }
        let count = volumes.count == 1 ? channels : volumes.count
        let spatial = axes.map { grid.shape[$0] }
        let strides = axes.map { [1, grid.shape.x, grid.shape.x * grid.shape.y][$0] }
        let size = spatial.elementCount
        let shape = channelsLast ? [1] + spatial + [count] : [1, count] + spatial
        let tensor = Tensor<Float>(shape: shape) { result in
            for channel in 0..<count {
                volumes[volumes.count == 1 ? 0 : channel].voxels.withUnsafeBufferPointer { voxels in
                    let (base, step) = channelsLast ? (channel, count) : (channel * size, 1)
                    Self.forEachPlace(spatial, strides) { place, voxel in result[base + place * step] = voxels[voxel] }
                }
            }
        }
        return PreparedInput(tensor: tensor, grid: grid, axes: axes)
    }

    /// Visits places in row-major order of the tensor's spatial axes, with the voxel that each one is.
    static func forEachPlace(_ spatial: [Int], _ strides: [Int], _ body: (_ place: Int, _ voxel: Int) -> Void) {
        let inner = spatial[spatial.count - 1]
        let innerStride = strides[strides.count - 1]
        let rows = spatial.dropLast().reduce(1, *)
        let rowStrides = Array(spatial.dropLast()).rowMajorStrides
        for row in 0..<rows {
            var voxel = 0
            for axis in rowStrides.indices { voxel += row / rowStrides[axis] % spatial[axis] * strides[axis] }
            for column in 0..<inner { body(row * inner + column, voxel + column * innerStride) }
        }
    }
}

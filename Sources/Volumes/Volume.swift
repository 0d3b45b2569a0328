import CVoxels
import Workers

/// One scalar per voxel of a grid: HU for CT, whatever the file says for other images, raw attribution for a heatmap.
///
/// Voxels are stored with i fastest, then j, then k, as in a NIfTI file: element `i + nx * (j + ny * k)`.
public struct Volume: Sendable {
    public var grid: Grid
    public var voxels: [Float]

    public init(grid: Grid, voxels: [Float]) {
        precondition(voxels.count == grid.count, "\(voxels.count) voxels on a grid of \(grid.shape)")
        self.grid = grid
        self.voxels = voxels
    }

    public init(grid: Grid, repeating value: Float) {
        self.grid = grid
        voxels = [Float](repeating: value, count: grid.count)
    }

    public subscript(i: Int, j: Int, k: Int) -> Float {
        get { voxels[i + grid.shape.x * (j + grid.shape.y * k)] }
        set { voxels[i + grid.shape.x * (j + grid.shape.y * k)] = newValue }
    }
}

extension Volume {
    /// Whether every voxel is a whole number.
    public var isWhole: Bool {
        let grain = 1 << 18
        return voxels.withUnsafeBufferPointer { voxels in
            // Nothing in the body throws.
            try! Workers.shared.map((voxels.count + grain - 1) / grain) { piece in
                let range = piece * grain..<min(voxels.count, (piece + 1) * grain)
                return tomo_are_whole(voxels.baseAddress! + range.lowerBound, Int64(range.count)) != 0
            }
        }.allSatisfy { $0 }
    }
}

import Failures
import Foundation
import Volumes

/// The label map beside a scan, on the scan's grid.
struct LabelMap: Sendable {
    /// Values as in the file, resampled by nearest neighbour where the grids differ.
    let volume: Volume
    /// Which values count; nil takes all above 0.
    let counted: Set<Int>?

    init(_ url: URL, counted: [Int]?, on grid: Grid) throws {
        let labels = try NIfTIFile.read(url).volume
        volume = labels.grid == grid ? labels : Resampler(.nearest, outside: .constant(0)).resample(labels, onto: grid)
        self.counted = counted.map { Set($0) }
    }

    /// 1 where a value counts and 0 elsewhere.
    var mask: Volume {
        var mask = volume
        for index in mask.voxels.indices {
            let value = mask.voxels[index]
            let isSet = counted.map { abs(value) < 1e9 && $0.contains(Int(value.rounded())) } ?? (value > 0)
            mask.voxels[index] = isSet ? 1 : 0
        }
        return mask
    }
}

import Volumes
import Workers

/// How much positive heat every slice of a plane holds.
enum SliceRanking {
    /// Per slice of `frame` the sum of positive heat over the slice's voxels, of heat from `floor` on.
    ///
    /// Heat on a grid of its own is read at the slice's voxel centres, at most about 128 a direction (every second, third …),
    /// each counted for the voxels it stands for.
    static func heatPerSlice(_ heat: Volume, _ frame: SliceFrame, sampler: WorldSampler?, from floor: Float = 0)
        -> [Double]
    {
        guard let sampler else {
            let stored = sums(of: heat, along: frame.through.stored, from: floor)
            return frame.through.isReversed ? stored.reversed() : stored
        }
        // Centred: as much is left out at the beginning as at the end.
        func lattice(_ count: Int) -> (stride: Int, count: Int, shift: Double) {
            let stride = (count + 127) / 128
            let taken = (count + stride - 1) / stride
            return (stride, taken, Double(count - 1 - (taken - 1) * stride) / 2)
        }
        let (across, down) = (lattice(frame.across.count), lattice(frame.down.count))
        return Workers.shared.results(frame.sliceCount) { slice in
            let (origin, right, below) = frame.indices(slice: slice)
            let values = sampler.sample(
                origin: origin + right * across.shift + below * down.shift, right: right * Double(across.stride),
                down: below * Double(down.stride), width: across.count, height: down.count, .linear)
            return values.reduce(0.0) { $0 + ($1 >= floor ? Double(max($1, 0)) : 0) }
                * Double(across.stride * down.stride)
        }
    }

    /// For every index on one stored axis the sum of positive values. Slices of k are summed apart and then in order, so that
    /// memory is read once and straight through whatever the axis.
    private static func sums(of heat: Volume, along axis: Int, from floor: Float) -> [Double] {
        let shape = heat.grid.shape
        func counted(_ value: Float) -> Float { value >= floor ? max(value, 0) : 0 }
        let rows = Workers.shared.results(shape.z) { k in
            heat.voxels.withUnsafeBufferPointer { voxels in
                var sums = [Double](repeating: 0, count: axis == 2 ? 1 : shape[axis])
                sums.withUnsafeMutableBufferPointer { sums in
                    for j in 0..<shape.y {
                        let start = shape.x * (j + shape.y * k)
                        if axis == 0 {
                            for i in 0..<shape.x { sums[i] += Double(counted(voxels[start + i])) }
                        } else {
                            var sum = 0.0
                            for i in 0..<shape.x { sum += Double(counted(voxels[start + i])) }
                            sums[axis == 1 ? j : 0] += sum
                        }
                    }
                }
                return sums
            }
        }
        if axis == 2 { return rows.map { $0[0] } }
        return rows.reduce(into: [Double](repeating: 0, count: shape[axis])) { total, row in
            for index in row.indices { total[index] += row[index] }
        }
    }

    /// The `count` slices with the most positive heat, hottest first; slices without any are left out, and of equally hot
    /// ones the lower comes first. A slice nearer than `apart` slices to one already taken is passed over.
    ///
    /// - Parameters:
    ///   - visible: per slice the heat strong enough to be seen, which counts first: thousands of voxels of faint grain, as gradient
    ///     maps have them, do not outweigh a peak.
    ///   - heat: per slice all positive heat.
    static func hottest(visible: [Double], _ heat: [Double], count: Int, apart: Int = 1) -> [Int] {
        let ranked = heat.indices.filter { heat[$0] > 0 }
            .sorted { (visible[$0], heat[$0], -$0) > (visible[$1], heat[$1], -$1) }
        var taken: [Int] = []
        for slice in ranked where taken.count < count && taken.allSatisfy({ abs($0 - slice) >= apart }) {
            taken.append(slice)
        }
        return taken
    }
}

import Volumes
import Workers

/// How much positive heat every slice of a plane holds.
enum SliceRanking {
    /// Per slice of `frame` the sum of positive heat over the slice's voxels.
    ///
    /// Heat on a grid of its own is read at the slice's voxel centres, at most about 128 a direction (every second, third …),
    /// each counted for the voxels it stands for.
    static func heatPerSlice(_ heat: Volume, _ frame: SliceFrame, sampler: WorldSampler?) -> [Double] {
        guard let sampler else {
            let stored = sums(of: heat, along: frame.through.stored)
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
            return values.reduce(0.0) { $0 + Double(max($1, 0)) } * Double(across.stride * down.stride)
        }
    }

    /// For every index on one stored axis the sum of positive values. Slices of k are summed apart and then in order, so that
    /// memory is read once and straight through whatever the axis.
    private static func sums(of heat: Volume, along axis: Int) -> [Double] {
        let shape = heat.grid.shape
        let rows = Workers.shared.results(shape.z) { k in
            heat.voxels.withUnsafeBufferPointer { voxels in
                var sums = [Double](repeating: 0, count: axis == 2 ? 1 : shape[axis])
                sums.withUnsafeMutableBufferPointer { sums in
                    for j in 0..<shape.y {
                        let start = shape.x * (j + shape.y * k)
                        if axis == 0 {
                            for i in 0..<shape.x { sums[i] += Double(max(voxels[start + i], 0)) }
                        } else {
                            var sum = 0.0
                            for i in 0..<shape.x { sum += Double(max(voxels[start + i], 0)) }
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
    static func hottest(_ heat: [Double], count: Int, apart: Int = 1) -> [Int] {
        let ranked = heat.indices.filter { heat[$0] > 0 }
            .sorted { heat[$0] == heat[$1] ? $0 < $1 : heat[$0] > heat[$1] }
        var taken: [Int] = []
        for slice in ranked where taken.count < count && taken.allSatisfy({ abs($0 - slice) >= apart }) {
            taken.append(slice)
        }
        return taken
    }
}

import Volumes
import Workers

/// How much positive heat every slice of a plane holds.
enum SliceRanking {
    /// Per slice of `frame` the sum of positive heat over the slice's voxels.
    ///
    /// Heat on a grid of its own is read at the slice's voxel centres, at most about 128 a direction (every second, third …),
    /// each counted for the voxels it stands for.
    static func heatPerSlice(_ heat: Volume, _ frame: SliceFrame, sampler: WorldSampler?) -> [Double] {
        func sum(_ values: [Float]) -> Double {
            var sum = 0.0
            for value in values where value > 0 { sum += Double(value) }
            return sum
        }
        return try! Workers.shared.map(frame.sliceCount) { slice in
            guard let sampler else { return sum(frame.extract(heat, slice: slice).values) }
            let (origin, right, down) = frame.indices(slice: slice)
            let strideX = (frame.across.count + 127) / 128
            let strideY = (frame.down.count + 127) / 128
            // Centred: as much is left out at the beginning as at the end.
            let countX = (frame.across.count + strideX - 1) / strideX
            let countY = (frame.down.count + strideY - 1) / strideY
            let shiftX = Double(frame.across.count - 1 - (countX - 1) * strideX) / 2
            let shiftY = Double(frame.down.count - 1 - (countY - 1) * strideY) / 2
            let values = sampler.sample(
                origin: origin + right * shiftX + down * shiftY, right: right * Double(strideX),
                down: down * Double(strideY), width: countX, height: countY, .linear)
            return sum(values) * Double(strideX * strideY)
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

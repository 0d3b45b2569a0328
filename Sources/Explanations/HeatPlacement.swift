import Failures
import Preparations
import Volumes
import Workers

/// Brings maps from a layer's grid to the scan's, by world coordinates and nothing else.
public enum HeatPlacement {
    /// `map`, on a tap's grid, resampled trilinearly onto `scan`.
    ///
    /// Between the outermost tap centres and the edge of what the network saw the nearest values hold; outside of what it
    /// saw (cropped away by the preparation) the map is exactly 0. Values stay signed and in their own unit.
    ///
    /// - Parameters:
    ///   - map: raw attribution on the tap's own grid.
    ///   - scan: the grid to write.
    ///   - seen: the prepared volume's grid: the extent of the network's input.
    public static func place(_ map: Volume, on scan: Grid, seen: Grid) throws -> Volume {
        var placed = Resampler(.linear, outside: .border).resample(map, onto: scan)
        guard let toSeen = seen.affine.inverse else {
            throw Failure(.scan, "prepared grid", expected: "an invertible affine", found: "\(seen.affine.rows)")
        }
        let step = toSeen.composed(with: scan.affine)
        let high = Vector3(Double(seen.shape.x), Double(seen.shape.y), Double(seen.shape.z)) - 0.5
        // A hair of tolerance keeps voxels whose centre lies exactly on the edge, whatever the rounding.
        let slack = 1e-6
        let shape = scan.shape
        placed.voxels.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            Workers.shared.forEach(shape.z) { k in
                for j in 0..<shape.y {
                    let start = step([0, Double(j), Double(k)])
                    let row = base + shape.x * (j + shape.y * k)
                    func isInside(_ i: Int) -> Bool {
                        let place = start + step.i * Double(i)
                        return place.x >= -0.5 - slack && place.y >= -0.5 - slack && place.z >= -0.5 - slack
                            && place.x <= high.x + slack && place.y <= high.y + slack && place.z <= high.z + slack
                    }
                    // A straight row meets the box in one stretch: what is outside lies before or behind it.
                    var (first, end) = (0, shape.x)
                    while first < end, !isInside(first) { first += 1 }
                    while end > first, !isInside(end - 1) { end -= 1 }
                    row.update(repeating: 0, count: first)
                    (row + end).update(repeating: 0, count: shape.x - end)
                }
            }
        }
        return placed
    }

    /// Several maps on one grid as one: each divided by its largest magnitude, then averaged, so that no layer drowns
    /// another; blank maps count as zeros. The result lies within ±1.
    public static func fuse(_ maps: [Volume]) -> Volume {
        precondition(!maps.isEmpty && maps.allSatisfy { $0.grid == maps[0].grid }, "maps on one grid")
        if maps.count == 1 { return maps[0] }
        var sum = Volume(grid: maps[0].grid, repeating: 0)
        for map in maps {
            let largest = map.voxels.reduce(0) { max($0, abs($1)) }
            if largest == 0 { continue }
            let factor = 1 / (largest * Float(maps.count))
            for index in sum.voxels.indices { sum.voxels[index] += map.voxels[index] * factor }
        }
        return sum
    }
}

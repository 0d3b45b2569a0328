import Workers

/// Copies a strided 3D view into dense memory: `out[a + na·(b + nb·c)] = source[a·sa + b·sb + c·sc]`.
///
/// Where the first axis is not the one that lies densely in the source, the copy goes in square tiles over it and the dense
/// one, so that each cache line that is fetched is used up before it is evicted.
func gather<Voxel: BitwiseCopyable>(
    _ source: UnsafePointer<Voxel>, _ strides: [Int], _ extents: [Int], _ out: UnsafeMutablePointer<Voxel>
) {
    let (na, nb, nc) = (extents[0], extents[1], extents[2])
    let (sa, sb, sc) = (strides[0], strides[1], strides[2])
    if abs(sa) == 1 {
        Workers.shared.forEach(nc) { c in
            for b in 0..<nb {
                let row = source + b * sb + c * sc
                let target = out + na * (b + nb * c)
                if sa == 1 {
                    target.update(from: row, count: na)
                } else {
                    for a in 0..<na { target[a] = row[-a] }
                }
            }
        }
        return
    }
    let tile = 32
    let tilesA = (na + tile - 1) / tile
    if abs(sb) == 1 {
        Workers.shared.forEach(nc) { c in
            let plane = source + c * sc
            let target = out + na * nb * c
            for b0 in stride(from: 0, to: nb, by: tile) {
                for tileA in 0..<tilesA {
                    let range = tileA * tile..<min(na, (tileA + 1) * tile)
                    for b in b0..<min(nb, b0 + tile) {
                        for a in range { target[a + na * b] = plane[a * sa + b * sb] }
                    }
                }
            }
        }
        return
    }
    // The dense axis of the source is the slowest of the result: a piece takes 32 of its slices.
    Workers.shared.forEachRange(nc, grain: tile) { range in
        for b in 0..<nb {
            for tileA in 0..<tilesA {
                for c in range {
                    let row = source + b * sb + c * sc
                    let target = out + na * (b + nb * c)
                    for a in tileA * tile..<min(na, (tileA + 1) * tile) { target[a] = row[a * sa] }
                }
            }
        }
    }
}

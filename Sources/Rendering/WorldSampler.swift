import Volumes

/// Reads a volume at the places of another grid's voxels, by world coordinates.
///
/// Between voxel centres as `interpolation` says; the outermost voxels reach to their own outer edge, half a voxel beyond their
/// centres; further out there is nothing, 0.
struct WorldSampler: Sendable {
    let volume: Volume
    /// From a voxel index of the other grid to one of the volume's.
    private let transform: Affine

    /// nil when the volume's affine cannot be inverted.
    init?(_ volume: Volume, from grid: Grid) {
        guard let inverse = volume.grid.affine.inverse else { return nil }
        self.volume = volume
        transform = inverse.composed(with: grid.affine)
    }

    /// The values on a lattice of the other grid's indices: at `origin + x · right + y · down`, rows of `width`.
    func sample(
        origin: Vector3, right: Vector3, down: Vector3, width: Int, height: Int,
        _ interpolation: OverlayStyle.Interpolation
    ) -> [Float] {
        let start = transform(origin)
        let (stepX, stepY) = (transform.direction(right), transform.direction(down))
        let shape = volume.grid.shape
        let last = Vector3(Double(shape.x - 1), Double(shape.y - 1), Double(shape.z - 1))
        // Rounding must not cut off the edge of a grid that ends where the other one does.
        let (low, high) = (Vector3(repeating: -0.5 - 1e-6), last + (0.5 + 1e-6))
        return [Float](unsafeUninitializedCapacity: width * height) { target, initialized in
            volume.voxels.withUnsafeBufferPointer { voxels in
                for y in 0..<height {
                    let row = start + stepY * Double(y)
                    for x in 0..<width {
                        let place = row + stepX * Double(x)
                        let outside = (place .< low) .| (place .> high)
                        if any(outside) {
                            target[y * width + x] = 0
                            continue
                        }
                        let inside = place.clamped(lowerBound: .zero, upperBound: last)
                        target[y * width + x] =
                            interpolation == .linear
                            ? WorldSampler.linear(voxels, shape, inside) : WorldSampler.nearest(voxels, shape, inside)
                    }
                }
            }
            initialized = width * height
        }
    }

    @inline(__always)
    private static func nearest(_ voxels: UnsafeBufferPointer<Float>, _ shape: Index3, _ place: Vector3) -> Float {
        let (i, j, k) = (Int(place.x.rounded()), Int(place.y.rounded()), Int(place.z.rounded()))
        return voxels[i + shape.x * (j + shape.y * k)]
    }

    @inline(__always)
    private static func linear(_ voxels: UnsafeBufferPointer<Float>, _ shape: Index3, _ place: Vector3) -> Float {
        let (i, j, k) = (Int(place.x), Int(place.y), Int(place.z))
        let weight = SIMD3<Float>(place - Vector3(Double(i), Double(j), Double(k)))
        let base = i + shape.x * (j + shape.y * k)
        let toI = i + 1 < shape.x ? 1 : 0
        let toJ = j + 1 < shape.y ? shape.x : 0
        let toK = k + 1 < shape.z ? shape.x * shape.y : 0
        @inline(__always)
        func along(_ at: Int) -> Float { voxels[at] + (voxels[at + toI] - voxels[at]) * weight.x }
        let (a, b) = (along(base), along(base + toJ))
        let (c, d) = (along(base + toK), along(base + toJ + toK))
        let near = a + (b - a) * weight.y
        let far = c + (d - c) * weight.y
        return near + (far - near) * weight.z
    }
}

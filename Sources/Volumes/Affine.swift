/// A point or direction in world millimetres (RAS+, see ``Affine``), or a continuous voxel index.
public typealias Vector3 = SIMD3<Double>

/// A voxel index or extent along the three stored axes (i, j, k).
public typealias Index3 = SIMD3<Int>

/// Maps continuous voxel indices (i, j, k) to world millimetres in NIfTI's RAS+ frame: x grows toward the patient's Right,
/// y toward Anterior, z toward Superior.
///
/// Voxel centres have integer indices: (0, 0, 0) is the centre of the first voxel.
public struct Affine: Sendable, Hashable {
    /// Millimetres per step along i, j and k: the columns of the linear part.
    public var i: Vector3
    public var j: Vector3
    public var k: Vector3
    /// World position of voxel (0, 0, 0), in mm.
    public var origin: Vector3

    public init(i: Vector3, j: Vector3, k: Vector3, origin: Vector3) {
        self.i = i
        self.j = j
        self.k = k
        self.origin = origin
    }

    public static let identity = Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 0, 1], origin: [0, 0, 0])

    /// The world position of a continuous voxel index.
    public func callAsFunction(_ index: Vector3) -> Vector3 {
        origin + i * index.x + j * index.y + k * index.z
    }

    /// The linear part applied to a difference of indices.
    public func direction(_ step: Vector3) -> Vector3 { i * step.x + j * step.y + k * step.z }

    /// `self ∘ inner`: indices go through `inner` first. `A.composed(with: B)(v) == A(B(v))`.
    public func composed(with inner: Affine) -> Affine {
        Affine(
            i: direction(inner.i), j: direction(inner.j), k: direction(inner.k), origin: self(inner.origin))
    }

    public var determinant: Double {
        i.x * (j.y * k.z - j.z * k.y) - j.x * (i.y * k.z - i.z * k.y) + k.x * (i.y * j.z - i.z * j.y)
    }

    /// World to index, or nil when the linear part is singular or not finite.
    public var inverse: Affine? {
        let determinant = determinant
        guard determinant.isFinite, abs(determinant) > 1e-30 else { return nil }
        func cross(_ a: Vector3, _ b: Vector3) -> Vector3 {
            [a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x]
        }
        let r0 = cross(j, k) / determinant
        let r1 = cross(k, i) / determinant
        let r2 = cross(i, j) / determinant
        let linear = Affine(
            i: [r0.x, r1.x, r2.x], j: [r0.y, r1.y, r2.y], k: [r0.z, r1.z, r2.z], origin: .zero)
        var result = linear
        result.origin = -linear.direction(origin)
        return result
    }

    /// Voxel size along i, j, k in mm: the lengths of the columns.
    public var spacing: Vector3 { [i.length, j.length, k.length] }

    /// The 4×4 matrix, row by row.
    public var rows: [[Double]] {
        [
            [i.x, j.x, k.x, origin.x], [i.y, j.y, k.y, origin.y], [i.z, j.z, k.z, origin.z], [0, 0, 0, 1],
        ]
    }

    /// From the first three rows of a 4×4 matrix (12 or 16 numbers, row by row).
    public init(rows m: [Double]) {
        precondition(m.count >= 12)
        self.init(
            i: [m[0], m[4], m[8]], j: [m[1], m[5], m[9]], k: [m[2], m[6], m[10]], origin: [m[3], m[7], m[11]])
    }
}

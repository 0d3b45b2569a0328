import Failures
import Foundation
import Preparations
import Volumes

/// Carries markers at known world positions through the preparation, onto a tap's grid and back to the scan.
///
/// A marker is a smooth blob about a known place in millimetres. Its centroid is measured on the prepared grid, and that
/// of a blob drawn on the tap's grid is measured after placement on the scan's. Interpolation leaves the centroid of a
/// smooth blob where it is, so any difference is an error of geometry.
public struct MarkerCheck: Sendable {
    public struct Report: Sendable {
        /// "as stored", "oblique", "flipped": how the scan's grid was varied.
        public let grid: String
        public let markers: Int
        /// Largest distance between where the marker is and where it was found, in voxels of the grid looked at and in mm.
        public let preparedVoxels: Double
        public let preparedMillimetres: Double
        public let placedVoxels: Double
        public let placedMillimetres: Double
    }

    public let preparation: Preparation
    public let markers: Int

    public init(preparation: Preparation, markers: Int = 5) {
        self.preparation = preparation
        self.markers = markers
    }

    /// Grids like `grid` that are hard to get right: flipped, permuted, oblique, anisotropic.
    public static func variations(of grid: Grid) -> [(name: String, grid: Grid)] {
        let middle = Vector3(Double(grid.shape.x - 1), Double(grid.shape.y - 1), Double(grid.shape.z - 1)) / 2
        let centre = grid.affine(middle)
        func around(_ i: Vector3, _ j: Vector3, _ k: Vector3, _ shape: Index3) -> Grid {
            let half = Vector3(Double(shape.x - 1), Double(shape.y - 1), Double(shape.z - 1)) / 2
            return Grid(
                shape: shape, affine: Affine(i: i, j: j, k: k, origin: centre - i * half.x - j * half.y - k * half.z))
        }
        func turn(_ v: Vector3) -> Vector3 {
            let (a, b) = (12 * Double.pi / 180, 7 * Double.pi / 180)
            let x = Vector3(v.x, v.y * cos(a) - v.z * sin(a), v.y * sin(a) + v.z * cos(a))
            return [x.x * cos(b) - x.y * sin(b), x.x * sin(b) + x.y * cos(b), x.z]
        }
        let (i, j, k, shape) = (grid.affine.i, grid.affine.j, grid.affine.k, grid.shape)
        return [
            ("as stored", grid),
            ("flipped", around(-i, j, -k, shape)),
            ("permuted", around(k, i, j, Index3(shape.z, shape.x, shape.y))),
            ("oblique", around(turn(i), turn(j), turn(k), shape)),
            ("anisotropic", around(i, j * 0.8, k * 1.7, shape)),
        ]
    }

    /// - Parameters:
    ///   - tapGrid: the tap's grid for a prepared volume: the map's exact affine.
    public func check(
        _ name: String, scan: Grid, background: Float = -1000, peak: Float = 200,
        tapGrid: (Volume) throws -> Grid
    ) throws -> Report {
        var preparedVoxels = 0.0
        var preparedMillimetres = 0.0
        var placedVoxels = 0.0
        var placedMillimetres = 0.0
        var random = RandomSource(seed: 7)
        for _ in 0..<markers {
            // Inner places, so that no blob is cut by the border.
            let fraction = Vector3(random.uniform(), random.uniform(), random.uniform()) * 0.1 + 0.45
            let extent = Vector3(Double(scan.shape.x - 1), Double(scan.shape.y - 1), Double(scan.shape.z - 1))
            let position = scan.affine(extent * fraction)

            let widest = (scan.spacing * extent).min() / 12
            let sigma = max(widest, scan.spacing.max())
            let blob = Self.blob(on: scan, background: background, peak: peak) { world in
                let offset = (world - position) / sigma
                return (offset * offset).sum()
            }
            let seen = try preparation.volume(from: blob).volume
            let found = try Self.centroid(of: seen)
            let error = seen.grid.affine(found) - position
            preparedMillimetres = max(preparedMillimetres, error.length)
            preparedVoxels = max(preparedVoxels, try Self.voxels(error, seen.grid))

            let tap = try tapGrid(seen)
            // On the tap's grid the blob is as wide as a voxel allows: samples of a Gaussian of 0.7 voxels keep its centroid to
            // 1e-4 of a voxel, and four deviations of it stay inside small layers.
            guard let toTap = tap.affine.inverse else {
                throw Failure(.network, "tap", expected: "a grid with extent", found: "\(tap.affine.rows)")
            }
            let tapBlob = Self.blob(on: tap, background: 0, peak: 1) { world in
                let offset = (toTap(world) - toTap(position)) / 0.7
                return (offset * offset).sum()
            }
            // What interpolation between the tap's voxels keeps is the blob's centroid on the tap's own grid.
            let expected = tap.affine(try Self.centroid(of: tapBlob))
            let fine = Self.close(to: position, on: scan, tap: tap)
            let placed = try HeatPlacement.place(tapBlob, on: fine, seen: seen.grid)
            let back = fine.affine(try Self.centroid(of: placed)) - expected
            placedMillimetres = max(placedMillimetres, back.length)
            placedVoxels = max(placedVoxels, try Self.voxels(back, scan))
        }
        return Report(
            grid: name, markers: markers, preparedVoxels: preparedVoxels, preparedMillimetres: preparedMillimetres,
            placedVoxels: placedVoxels, placedMillimetres: placedMillimetres)
    }

    /// The part of the scan's grid about a position that a blob on the tap's grid can reach, with each voxel divided until eight
    /// of them fit into the tap's smallest.
    ///
    /// A map that is linear between the tap's voxels has kinks there. On coarse samples of it the centroid wanders, by a
    /// sixtieth of a voxel where three fit into the tap's, though every sample is right.
    private static func close(to position: Vector3, on scan: Grid, tap: Grid) -> Grid {
        let spacing = scan.spacing
        let reach = 4.5 * tap.spacing.max()
        let centre = scan.affine.inverse?(position) ?? .zero
        var first = Vector3.zero
        var shape: [Int] = []
        var parts: [Double] = []
        for axis in 0..<3 {
            let last = Double(scan.shape[axis] - 1)
            first[axis] = min(max((centre[axis] - reach / spacing[axis]).rounded(.down), 0), last)
            let end = min(max((centre[axis] + reach / spacing[axis]).rounded(.up), first[axis]), last)
            let divided = max(1, (8 * spacing[axis] / tap.spacing.min()).rounded(.up))
            shape.append(Int((end - first[axis]) * divided) + 1)
            parts.append(divided)
        }
        let affine = scan.affine
        return Grid(
            shape: Index3(shape[0], shape[1], shape[2]),
            affine: Affine(
                i: affine.i / parts[0], j: affine.j / parts[1], k: affine.k / parts[2], origin: affine(first)))
    }

    private static func voxels(_ error: Vector3, _ grid: Grid) throws -> Double {
        guard let inverse = grid.affine.inverse else {
            throw Failure(.scan, "grid", expected: "an invertible affine", found: "\(grid.affine.rows)")
        }
        let step = inverse.direction(error)
        return step.length
    }

    /// A Gaussian of the squared distance (in deviations) that `distance` gives for a world position, cut to exact background
    /// beyond four deviations.
    static func blob(on grid: Grid, background: Float, peak: Float, _ distance: (Vector3) -> Double) -> Volume {
        var volume = Volume(grid: grid, repeating: background)
        for k in 0..<grid.shape.z {
            for j in 0..<grid.shape.y {
                for i in 0..<grid.shape.x {
                    let squared = distance(grid.affine([Double(i), Double(j), Double(k)]))
                    if squared < 16 { volume[i, j, k] = background + (peak - background) * Float(exp(-squared / 2)) }
                }
            }
        }
        return volume
    }

    /// Centroid, in voxel indices, of what rises above the volume's lowest value.
    static func centroid(of volume: Volume) throws -> Vector3 {
        let lowest = volume.voxels.min() ?? 0
        var total = 0.0
        var moment = Vector3.zero
        let shape = volume.grid.shape
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let weight = Double(volume[i, j, k] - lowest)
                    if weight <= 0 { continue }
                    total += weight
                    moment += Vector3(Double(i), Double(j), Double(k)) * weight
                }
            }
        }
        guard total > 0 else {
            throw Failure(
                .check, "marker", expected: "a blob that survives the preparation", found: "a constant volume",
                remedy: "A crop or window of the preparation removes the middle of the scan.")
        }
        return moment / total
    }
}

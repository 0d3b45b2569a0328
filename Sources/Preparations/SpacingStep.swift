import Failures
import Volumes

/// MONAI's `Spacing`: resamples to voxels of a given size in mm along i, j, k, keeping the directions of the axes.
///
/// Shape and affine are MONAI's: the outermost voxel centres stay where they are, as far as whole voxels allow
/// (`scale_extent=False`); shear is removed. Axes whose spacing is within a micrometre of the one asked for keep theirs.
public struct SpacingStep: PreparationStep {
    /// What stands beyond the outermost voxel centres.
    public enum PaddingMode: String, Sendable, CaseIterable {
        case border
        case zeros
    }

    public let pixdim: [Double]
    public let mode: Resampler.Interpolation
    public let paddingMode: PaddingMode
    /// Resample to axes along the world's, losing the orientation of the scan.
    public let isDiagonal: Bool
    /// Smooth before taking fewer samples; see `Resampler.antialias`. MONAI has no such option here.
    public let antialias: Bool

    public let name = "Spacing"
    public var summary: String {
        let method = mode == .linear ? "bilinear" : "nearest"
        return "pixdim \(Parameter.text(pixdim)), \(method), \(paddingMode)"
            + (isDiagonal ? ", diagonal" : "") + (antialias ? ", antialias" : "")
    }

    /// - Parameter pixdim: Millimetres along i, j, k; a shorter list goes on with its last number. Zero or less keeps the
    ///   scan's own spacing along that axis.
    /// - Throws: a `Failure` of kind `pipeline` for more than three numbers, none, or one that is not finite.
    public init(
        pixdim: [Double], mode: Resampler.Interpolation = .linear, paddingMode: PaddingMode = .border,
        diagonal: Bool = false, antialias: Bool = false
    ) throws {
        self.pixdim = try Parameter.forAxes(pixdim, "pixdim")
        if let bad = pixdim.first(where: { !$0.isFinite }) {
            throw Failure(.pipeline, "pixdim", expected: "spacings in mm", found: "\(bad)")
        }
        self.mode = mode
        self.paddingMode = paddingMode
        isDiagonal = diagonal
        self.antialias = antialias
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        let target = try targetGrid(image.grid)
        if target == image.grid { return image }
        let outside: Resampler.Outside =
            switch paddingMode {
            case .border: .border
            case .zeros: mode == .linear ? .fading(0) : .constant(0)
            }
        let resampler = Resampler(mode, outside: outside, antialias: antialias)
        return image.moved(to: target) { resampler.resample(Volume(grid: image.grid, voxels: $0), onto: target).voxels }
    }

    /// MONAI's `AFFINE_TOL`, in mm.
    private static let tolerance = 1e-3

    /// The grid that a volume on `grid` is resampled to.
    public func targetGrid(_ grid: Grid) throws -> Grid {
        let source = grid.affine
        var steps = grid.spacing
        for axis in 0..<3 where pixdim[axis] > 0 && abs(pixdim[axis] - steps[axis]) > Self.tolerance {
            steps[axis] = pixdim[axis]
        }
        var affine = isDiagonal ? Affine.identity : source.withoutShear
        affine.i *= steps.x
        affine.j *= steps.y
        affine.k *= steps.z
        guard let toTarget = affine.inverse?.composed(with: source) else {
            preconditionFailure("an affine from a rotation and positive steps can be inverted")
        }

        // The box of all corners in target steps; where one corner is the first along every target axis it becomes voxel 0.
        let corners = Self.corners(grid.shape).map { (index: $0, target: toTarget($0)) }
        let low = corners.dropFirst().reduce(corners[0].target) { pointwiseMin($0, $1.target) }
        let high = corners.dropFirst().reduce(corners[0].target) { pointwiseMax($0, $1.target) }
        let extent = (high - low + 1).rounded(.toNearestOrEven)
        guard extent.max() < 1_048_576 else {
            throw Failure(
                .scan, name, expected: "at most 1048576 voxels along an axis",
                found: "\(extent.max()) at \(summary)",
                remedy: "Check the scan's spacing and the step's pixdim")
        }
        let shape = Index3(Int(extent.x), Int(extent.y), Int(extent.z))
        try Parameter.check(shape, step: name)
        if let first = corners.first(where: { ($0.target - low).max() <= 1e-8 }) {
            affine.origin = source(first.index)
        } else {
            affine.origin =
                source(Vector3(Double(grid.shape.x), Double(grid.shape.y), Double(grid.shape.z)) / 2)
                - affine.direction(extent / 2)
        }
        let result = Grid(shape: shape, affine: affine)
        return shape == grid.shape && isUnchanged(source, affine) ? grid : result
    }

    /// Indices of the corner voxels, the last axis running fastest: the order in which MONAI looks for the first corner.
    private static func corners(_ shape: Index3) -> [Vector3] {
        (0..<8).map { corner in
            Vector3(
                corner & 4 == 0 ? 0 : Double(shape.x - 1), corner & 2 == 0 ? 0 : Double(shape.y - 1),
                corner & 1 == 0 ? 0 : Double(shape.z - 1))
        }
    }

    /// MONAI leaves the voxels alone when affine and target agree within the tolerance, directly or as an index map.
    private func isUnchanged(_ source: Affine, _ target: Affine) -> Bool {
        func isClose(_ a: Affine, _ b: Affine) -> Bool {
            zip(a.rows.joined(), b.rows.joined()).allSatisfy { abs($0 - $1) <= Self.tolerance + 1e-5 * abs($1) }
        }
        guard let toSource = source.inverse else { return false }
        return isClose(source, target) || isClose(toSource.composed(with: target), .identity)
    }
}

extension Affine {
    /// The orthonormal directions nearest in order: i keeps its direction, j loses what it has along i, k along both
    /// (Gram–Schmidt; the rotation of MONAI's `zoom_affine`). Handedness stays.
    fileprivate var withoutShear: Affine {
        func unit(_ v: Vector3) -> Vector3 { v / v.length }
        func dot(_ a: Vector3, _ b: Vector3) -> Double { (a * b).sum() }
        let a = unit(i)
        let b = unit(j - a * dot(a, j))
        let c = unit(k - a * dot(a, k) - b * dot(b, k))
        return Affine(i: a, j: b, k: c, origin: .zero)
    }
}

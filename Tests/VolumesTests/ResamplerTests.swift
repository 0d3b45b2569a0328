import Foundation
import TestSupport
import Testing
import Volumes
import Workers

@Suite struct ResamplerTests {
    static let targets: [GridReference.Named] = GridReference.note("resampled")

    @Test(
        "values are SciPy's on oblique, finer and swapped grids",
        arguments: targets.map(\.name), ["border", "fading", "constant", "nearest"])
    func agreesWithSciPy(target: String, rule: String) throws {
        let item = try #require(Self.targets.first { $0.name == target })
        let grid = Grid(shape: Index3(item.shape[0], item.shape[1], item.shape[2]), affine: Affine(rows: item.affine))
        let resampler =
            switch rule {
            case "fading": Resampler(outside: .fading(-3))
            case "constant": Resampler(outside: .constant(-3))
            case "nearest": Resampler(.nearest)
            default: Resampler()
            }
        let result = resampler.resample(GridReference.volume, onto: grid)
        let expected = try #require(GridReference.file.float("resampled.\(target).\(rule)")).values
        #expect(result.grid == grid)
        #expect(relativeError(result.voxels, expected) < 1e-6)
    }

    @Test("smoothing is MONAI's kernel along each axis", arguments: [0.3, 1.0, 2.7], [0, 1, 2])
    func smoothing(sigma: Double, axis: Int) throws {
        let volume = GridReference.volume
        let result = GaussianFilter(sigma: sigma)(volume.voxels, shape: volume.grid.shape, axis: axis)
        let expected = try #require(GridReference.file.float("smoothed.\(sigma).\(axis)")).values
        #expect(relativeError(result, expected) < 1e-6)
    }

    /// A grid of waves, the same formula at any world position.
    static func waves(_ shape: Index3, _ affine: Affine) -> Volume {
        var volume = Volume(grid: Grid(shape: shape, affine: affine), repeating: 0)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let p = affine([Double(i), Double(j), Double(k)])
                    volume[i, j, k] = Float(sin(p.x / 9) + cos(p.y / 11) + p.z / 40)
                }
            }
        }
        return volume
    }

    @Test("the same place has the same value on any grid: the general and the separable path agree")
    func paths() throws {
        let source = Self.waves([40, 44, 20], NIfTIWritingTests.oblique)
        let inner = Affine(i: [0, 0, 0.3], j: [0.8, 0, 0], k: [0, -0.6, 0], origin: [2, 40, 1])
        let aligned = Grid(shape: [50, 40, 60], affine: source.grid.affine.composed(with: inner))
        // A tilt of a hundredth of a voxel over the whole grid sends it through the general path.
        var tilted = inner
        tilted.i.x += 0.0002
        let oblique = Grid(shape: aligned.shape, affine: source.grid.affine.composed(with: tilted))
        let a = Resampler().resample(source, onto: aligned)
        let b = Resampler().resample(source, onto: oblique)
        #expect(relativeError(a.voxels, b.voxels) < 1e-3)
        let truth = Self.waves(aligned.shape, aligned.affine)
        #expect(relativeError(a.voxels, truth.voxels) < 2e-3)
    }

    @Test("its own grid gives back every voxel exactly, and a constant stays constant")
    func identity() {
        let volume = GridReference.volume
        for rule in [Resampler.Outside.border, .constant(9), .fading(9)] {
            let same = Resampler(outside: rule).resample(volume, onto: volume.grid)
            let isSame = same.voxels == volume.voxels
            #expect(isSame)
        }
        let flat = Volume(grid: volume.grid, repeating: 1234.567)
        let finer = Grid(
            shape: [19, 17, 13],
            affine: volume.grid.affine.composed(
                with: Affine(i: [0.3, 0.02, 0], j: [0, 0.31, 0.01], k: [0.01, 0, 0.33], origin: [0.1, 0.1, 0.1])))
        #expect(Resampler().resample(flat, onto: finer).voxels.allSatisfy { $0 == 1234.567 })
    }

    @Test("antialiasing averages detail that the target cannot hold, and leaves finer targets alone")
    func antialiasing() {
        var checkers = Volume(grid: Grid(shape: [64, 64, 64], affine: .identity), repeating: 0)
        for k in 0..<64 { for j in 0..<64 { for i in 0..<64 { checkers[i, j, k] = Float((i + j + k) % 2) } } }
        let coarse = Grid(
            shape: [6, 6, 6], affine: Affine(i: [8, 0, 0], j: [0, 8, 0], k: [0, 0, 8], origin: [12, 12, 12]))
        let plain = Resampler().resample(checkers, onto: coarse)
        #expect(plain.voxels.allSatisfy { $0 == 0 })
        let smooth = Resampler(antialias: true).resample(checkers, onto: coarse)
        #expect(smooth.voxels.allSatisfy { abs($0 - 0.5) < 0.01 })
        let finer = Grid(
            shape: [30, 30, 30],
            affine: Affine(i: [0.5, 0, 0], j: [0, 0.5, 0], k: [0, 0, 0.5], origin: [10.2, 9, 8]))
        #expect(
            Resampler(antialias: true).resample(checkers, onto: finer).voxels
                == Resampler().resample(checkers, onto: finer).voxels)
    }

    @Test("the same bits at any number of threads")
    func deterministic() {
        let source = Self.waves([33, 29, 18], NIfTIWritingTests.oblique)
        let target = Grid(
            shape: [40, 31, 22],
            affine: Affine(i: [0.7, 0, 0], j: [0, 0.7, 0], k: [0, 0, 2], origin: [80, -90, -300]))
        var seen: Set<[Float]> = []
        for width in [1, 3] {
            Workers.setWidth(width)
            seen.insert(Resampler(antialias: true).resample(source, onto: target).voxels)
        }
        Workers.setWidth(Workers.defaultWidth)
        #expect(seen.count == 1)
    }
}

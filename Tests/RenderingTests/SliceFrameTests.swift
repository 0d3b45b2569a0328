import Foundation
import TestSupport
import Testing
import Volumes

@testable import Rendering

struct SliceFrameTests {
    static let ras = Grid(
        shape: [10, 12, 14], affine: Affine(i: [2, 0, 0], j: [0, 3, 0], k: [0, 0, 5], origin: [-7, 11, 100]))

    func letters(_ plane: Plane, radiological: Bool = true) -> String {
        let frame = SliceFrame(grid: SliceFrameTests.ras, plane: plane, radiological: radiological)
        return String([frame.left, frame.right, frame.top, frame.bottom].map(\.rawValue))
    }

    @Test func lettersOfBothConventions() {
        #expect(letters(.axial) == "RLAP")
        #expect(letters(.coronal) == "RLSI")
        #expect(letters(.sagittal) == "APSI")
        #expect(letters(.axial, radiological: false) == "LRAP")
        #expect(letters(.coronal, radiological: false) == "LRSI")
        #expect(letters(.sagittal, radiological: false) == "APSI")
    }

    /// The letters promise where voxels are: step through the picture and see which way the world position moves.
    @Test(arguments: Phantom.allOrders.indices, Plane.allCases)
    func lettersAgreeWithTheAffine(_ index: Int, _ plane: Plane) {
        let (order, flips) = Phantom.allOrders[index]
        let volume = Phantom.reordered(
            Volume(grid: SliceFrameTests.ras, repeating: 0), order: order, flips: flips)
        for radiological in [true, false] {
            let frame = SliceFrame(grid: volume.grid, plane: plane, radiological: radiological)
            let (origin, right, down) = frame.indices(slice: 3)
            func letter(_ step: Vector3) -> Character {
                let axis = (0..<3).max { abs(step[$0]) < abs(step[$1]) }!
                return Array(step[axis] > 0 ? "RAS" : "LPI")[axis]
            }
            #expect(letter(volume.grid.affine.direction(right)) == frame.right.rawValue)
            #expect(letter(-volume.grid.affine.direction(right)) == frame.left.rawValue)
            #expect(letter(volume.grid.affine.direction(down)) == frame.bottom.rawValue)
            #expect(letter(-volume.grid.affine.direction(down)) == frame.top.rawValue)
            // Slice 3 counted toward S, A or R.
            let world = volume.grid.affine(origin)[plane.through.worldAxis]
            let expected = SliceFrameTests.ras.affine([3, 3, 3])[plane.through.worldAxis]
            #expect(abs(world - expected) < 1e-9)
            #expect(abs(frame.position(slice: 3) - expected) < 1e-9)
            #expect(frame.tilt < 1e-6)
        }
    }

    @Test func positionsAreAlongTheNormal() {
        let frame = SliceFrame(grid: SliceFrameTests.ras, plane: .axial, radiological: true)
        #expect(frame.positionLabel(slice: 0) == "S 100.0 mm")
        #expect(frame.positionLabel(slice: 2) == "S 110.0 mm")
        let sagittal = SliceFrame(grid: SliceFrameTests.ras, plane: .sagittal, radiological: true)
        #expect(sagittal.positionLabel(slice: 0) == "L 7.0 mm")
        #expect(sagittal.positionLabel(slice: 9) == "R 11.0 mm")
        var near = SliceFrameTests.ras
        near.affine.origin = [0, 0, -0.04]
        #expect(SliceFrame(grid: near, plane: .axial, radiological: true).positionLabel(slice: 0) == "S 0.0 mm")
    }

    /// A gantry tilted by 20° about the left–right axis: every voxel of a slice has one position, neighbours lie one slice apart.
    @Test func obliqueVolumesKeepTheirOwnSlices() {
        let (c, s) = (cos(20 * Double.pi / 180), sin(20 * Double.pi / 180))
        let affine = Affine(
            i: [-0.7, 0, 0], j: [0, -0.7 * c, -0.7 * s], k: [0, -2.5 * s, 2.5 * c], origin: [80, 90, -300])
        let grid = Grid(shape: [30, 30, 12], affine: affine)
        let frame = SliceFrame(grid: grid, plane: .axial, radiological: true)
        #expect(abs(frame.tilt - 20) < 1e-9)
        #expect(String([frame.left, frame.right, frame.top, frame.bottom].map(\.rawValue)) == "RLAP")
        for index in [Vector3(0, 0, 4), Vector3(29, 0, 4), Vector3(13, 29, 4)] {
            #expect(abs((affine(index) * frame.normal).sum() - frame.position(slice: 4)) < 1e-9)
        }
        #expect(abs(frame.position(slice: 5) - frame.position(slice: 4) - 2.5) < 1e-9)
    }

    /// Slices that are shifted against each other (sheared): the distance along the normal is what counts.
    @Test func shearedVolumes() {
        let affine = Affine(i: [1, 0, 0], j: [0, 1, 0], k: [0, 1, 3], origin: .zero)
        let frame = SliceFrame(grid: Grid(shape: [5, 5, 5], affine: affine), plane: .axial, radiological: true)
        #expect(abs(frame.position(slice: 4) - 12) < 1e-12)
        #expect(frame.tilt == 0)
    }
}

struct DisplayGridTests {
    func display(_ shape: Index3, _ spacing: Vector3, _ plane: Plane, minimum: Int = 1, maximum: Int = 4000)
        -> DisplayGrid
    {
        let affine = Affine(i: [-spacing.x, 0, 0], j: [0, -spacing.y, 0], k: [0, 0, spacing.z], origin: .zero)
        let frame = SliceFrame(grid: Grid(shape: shape, affine: affine), plane: plane, radiological: true)
        return DisplayGrid(frame: frame, minimum: minimum, maximum: maximum)
    }

    @Test func pixelsAreSquare() {
        let coronal = display([512, 400, 48], [0.7, 0.7, 5], .coronal)
        #expect(coronal.width == 512 && coronal.height == 343)
        #expect(abs(coronal.pixel - 0.7) < 1e-12)
        let thin = display([100, 40, 300], [2, 2, 0.5], .sagittal)
        #expect(thin.width == 160 && thin.height == 300)
    }

    @Test func smallSlicesGrowByAWholeFactor() {
        let crop = display([48, 48, 32], [0.57, 0.57, 2.5], .axial, minimum: 384)
        #expect(crop.width == 384 && crop.height == 384)
        let odd = display([50, 31, 4], [1, 1, 1], .axial, minimum: 384)
        #expect(odd.width == 400 && odd.height == 248)
        #expect(display([512, 512, 4], [1, 1, 1], .axial, minimum: 384).width == 512)
    }

    @Test func absurdSpacingsStayWithinTheLargestSize() {
        let slab = display([500, 500, 100], [0.01, 0.01, 100], .coronal, minimum: 384, maximum: 1000)
        #expect(slab.height == 1000 && slab.width == 1)
        #expect(display([1, 1, 1], [1, 1, 1], .axial, minimum: 384).width == 384)
    }

    /// Display pixel centres and native ones share the outer edges: −½ and n − ½ on both.
    @Test func edgesCoincide() {
        let grid = display([48, 30, 32], [0.5, 0.5, 2], .coronal, minimum: 384)
        #expect(abs(grid.native(x: -0.5) + 0.5) < 1e-12)
        #expect(abs(grid.native(x: Double(grid.width) - 0.5) - 47.5) < 1e-9)
        #expect(abs(grid.native(y: Double(grid.height) - 0.5) - 31.5) < 1e-9)
        let back = grid.display(SIMD2(Float(grid.native(x: 17)), Float(grid.native(y: 29))))
        #expect(abs(back.x - 17) < 1e-3 && abs(back.y - 29) < 1e-3)
    }

    /// Rows stretched once and blended are, bit for bit, what the four neighbours of each pixel give.
    @Test func samplingIsTheBilinearFormula() {
        var numbers = SeededNumbers(5)
        let image = SliceImage(width: 37, height: 23, values: (0..<37 * 23).map { _ in numbers.float(-900...900) })
        for (minimum, maximum) in [(384, 2048), (20, 20), (1, 30)] {
            let grid = display([37, 23, 1], [1, 1.3, 1], .axial, minimum: minimum, maximum: maximum)
            let expected = (0..<grid.width * grid.height).map { pixel -> Float in
                let x = min(max(grid.native(x: Double(pixel % grid.width)), 0), 36)
                let y = min(max(grid.native(y: Double(pixel / grid.width)), 0), 22)
                let (i, j) = (Int(x), Int(y))
                let (u, v) = (Float(x - Double(i)), Float(y - Double(j)))
                func value(_ i: Int, _ j: Int) -> Float { image.values[min(j, 22) * 37 + min(i, 36)] }
                let top = value(i, j) + (value(i + 1, j) - value(i, j)) * u
                let bottom = value(i, j + 1) + (value(i + 1, j + 1) - value(i, j + 1)) * u
                return top + (bottom - top) * v
            }
            #expect(image.sampled(on: grid, .linear) == expected)
        }
    }

    /// A ramp is reproduced exactly by linear sampling; nearest keeps the voxel's own value over the whole voxel.
    @Test func samplingARamp() {
        let image = SliceImage(width: 6, height: 4, values: (0..<24).map { Float($0 % 6) * 10 + Float($0 / 6) * 100 })
        let grid = display([6, 4, 1], [1, 1, 1], .axial, minimum: 24)
        let linear = image.sampled(on: grid, .linear)
        let nearest = image.sampled(on: grid, .nearest)
        for y in 0..<grid.height {
            for x in 0..<grid.width {
                let (nx, ny) = (min(max(grid.native(x: Double(x)), 0), 5), min(max(grid.native(y: Double(y)), 0), 3))
                #expect(abs(linear[y * grid.width + x] - Float(nx * 10 + ny * 100)) < 1e-3)
                #expect(nearest[y * grid.width + x] == Float(x / 4 * 10 + y / 4 * 100))
            }
        }
    }
}

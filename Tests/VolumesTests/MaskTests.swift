import Foundation
import TestSupport
import Testing
import Volumes

@Suite struct MaskTests {
    static let mask = GridReference.mask("mask")

    @Test("largest component, holes, erosion and dilation are SciPy's")
    func agreesWithSciPy() {
        #expect(Self.mask.largestComponent().isSet == GridReference.mask("mask.largest").isSet)
        for axis in 0..<3 {
            #expect(Self.mask.holesFilled(across: axis).isSet == GridReference.mask("mask.filled.\(axis)").isSet)
        }
        #expect(Self.mask.eroded(by: [1, 2, 0]).isSet == GridReference.mask("mask.eroded").isSet)
        #expect(Self.mask.dilated(by: [1, 2, 0]).isSet == GridReference.mask("mask.dilated").isSet)
    }

    @Test("a box reaches from the first set voxel to behind the last")
    func boundingBox() throws {
        var mask = Mask(grid: Grid(shape: [9, 8, 7], affine: .identity), isSet: [Bool](repeating: false, count: 504))
        #expect(mask.boundingBox == nil)
        #expect(mask.largestComponent().count == 0)
        mask[3, 4, 5] = true
        mask[7, 2, 5] = true
        let box = try #require(mask.boundingBox)
        #expect(box.start == [3, 2, 5])
        #expect(box.end == [8, 5, 6])
    }

    /// A torso with two lungs on a curved table that touches its back.
    static func torso(_ orientation: Orientation) -> (volume: Volume, body: Mask, table: Mask) {
        let shape = Index3(96, 80, 20)
        let affine = Affine(i: [4, 0, 0], j: [0, 4, 0], k: [0, 0, 6], origin: [-190, -160, -60])
        var volume = Volume(grid: Grid(shape: shape, affine: affine), repeating: -1000)
        var body = Mask(volume) { _ in false }
        var table = body
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let p = affine([Double(i), Double(j), Double(k)])
                    let inTorso = (p.x / 150) * (p.x / 150) + (p.y / 100) * (p.y / 100) < 1
                    let inLung = [-60.0, 60].contains { pow((p.x - $0) / 40, 2) + pow((p.y - 10) / 60, 2) < 1 }
                    if inTorso {
                        volume[i, j, k] = inLung ? -850 : 40
                        body[i, j, k] = true
                    } else if p.y < -100, p.y > -106, abs(p.x) < 180 {
                        volume[i, j, k] = 200
                        table[i, j, k] = true
                    }
                }
            }
        }
        let turn = volume.orientation.rearrangement(to: orientation)
        func turned(_ mask: Mask) -> Mask {
            Mask(grid: turn(mask.grid), isSet: turn(mask.isSet, shape: mask.grid.shape))
        }
        return (turn(volume), turned(body), turned(table))
    }

    @Test("the body comes with its lungs and without the table, in any orientation", arguments: ["RAS", "SLP", "AIR"])
    func body(code: String) throws {
        let (volume, body, table) = Self.torso(try #require(Orientation(code)))
        let found = BodyMask()(volume)
        let both = found.intersection(body).count
        #expect(Double(both) > 0.99 * Double(body.count))
        #expect(Double(found.intersection(table).count) < 0.1 * Double(table.count))
        #expect(Double(found.count - both) < 0.01 * Double(body.count))
    }

    @Test(
        "a piece cut out within the chest is all patient; the same shapes in air, or in clipped air, are not",
        arguments: [(Float(-860), true), (-995, false), (-900, false)])
    func pieceOfLung(around: Float, isAll: Bool) {
        var numbers = SeededNumbers(5)
        let shape = Index3(24, 24, 16)
        // Air that was clipped has no noise below; everything else has, and lung's vessels and air cells reach far.
        let spread: Float = around == -900 ? 0 : around == -860 ? 60 : 10
        let noise = numbers.tensor([16, 24, 24]).values
        var volume = Volume(grid: Grid(shape: shape, affine: .identity), voxels: noise.map { around + spread * $0 })
        for k in 5..<11 { for j in 8..<16 { for i in 8..<16 { volume[i, j, k] = 30 } } }
        let mask = BodyMask()(volume)
        #expect(mask.count == (isAll ? shape.x * shape.y * shape.z : 8 * 8 * 6))
    }

    @Test("a scan with nothing denser than air has no body")
    func noBody() {
        #expect(BodyMask()(Volume(grid: Grid(shape: [8, 8, 8], affine: .identity), repeating: -1000)).count == 0)
    }

    @Test(
        "in a real chest the mask is the patient: most of the middle, filled lungs, no corner",
        .enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to a folder that holds scans/"))
    func realChest() throws {
        let url = try #require(Fixtures.realData).appendingPathComponent("scans/lung1_chest.nii.gz")
        let volume = try NIfTIFile.read(url).volume
        let mask = BodyMask()(volume)
        let shape = volume.grid.shape
        #expect(mask[shape.x / 2, shape.y / 2, shape.z / 2])
        for k in 0..<shape.z { #expect(!mask[2, 2, k] && !mask[shape.x - 3, 2, k]) }
        // Air inside the body: lungs. They are part of it.
        let air = Mask(volume) { $0 < -600 }
        #expect(Double(mask.intersection(air).count) > 0.1 * Double(mask.count))
        let share = Double(mask.count) / Double(volume.grid.count)
        #expect(share > 0.2 && share < 0.7)
    }

    @Test(
        "a real piece of lung is all patient",
        .enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to a folder that holds scans/"))
    func realPiece() throws {
        let url = try #require(Fixtures.realData).appendingPathComponent("scans/lung1_nodule_crop.nii.gz")
        let volume = try NIfTIFile.read(url).volume
        #expect(BodyMask()(volume).count == volume.grid.count)
    }
}

import Foundation
import TestSupport
import Testing
import Volumes

@Suite struct OrientationTests {
    @Test("axis codes of oblique and sheared affines are nibabel's")
    func axisCodes() {
        let cases: [GridReference.Codes] = GridReference.note("axcodes")
        #expect(cases.count == 120)
        for item in cases { #expect(Orientation(Affine(rows: item.affine)).code == item.code) }
    }

    @Test("codes are read in any case, and nothing but codes")
    func codes() {
        #expect(Orientation("las")?.code == "LAS")
        for code in ["", "RA", "RASR", "RLS", "XYZ", "R-S", "RRS"] { #expect(Orientation(code) == nil) }
        #expect(Set(Orientation.all.map(\.code)).count == 48)
        for orientation in Orientation.all { #expect(Orientation(orientation.code) == orientation) }
    }

    @Test("reoriented voxels and affines are nibabel's")
    func reorientation() throws {
        let cases: [GridReference.Named] = GridReference.note("reoriented")
        for (index, item) in cases.enumerated() {
            let result = GridReference.volume.reoriented(to: try #require(Orientation(item.name)))
            #expect(result.grid.shape == GridReference.shape("reoriented.\(index)"))
            #expect(result.voxels == GridReference.file.float("reoriented.\(index)")?.values)
            #expect(result.grid.affine.distance(to: Affine(rows: item.affine).rows) < 1e-10)
        }
    }

    @Test("from any of the 48 orders to any other and back moves no voxel in the world", arguments: Orientation.all)
    func roundTrips(from: Orientation) {
        // Extents beyond one tile of the transposing copy.
        let shape = Index3(37, 5, 70)
        let volume = Volume(
            grid: Grid(shape: shape, affine: NIfTIWritingTests.oblique),
            voxels: (0..<shape.x * shape.y * shape.z).map(Float.init))
        let start = volume.reoriented(to: from)
        for to in Orientation.all {
            let there = start.reoriented(to: to)
            #expect(there.orientation == to)
            let back = there.reoriented(to: from)
            #expect(back.voxels == start.voxels)
            #expect(back.grid.affine.distance(to: start.grid.affine.rows) < 1e-9)
            // One voxel followed by its place in the world.
            let world = volume.grid.affine([30, 2, 61])
            let index = there.grid.affine.inverse!(world)
            #expect(
                there[Int(index.x.rounded()), Int(index.y.rounded()), Int(index.z.rounded())] == volume[30, 2, 61])
        }
    }

    @Test(
        "one image stored in all 48 orders is one image",
        .enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to a folder that holds nifti/spaces"))
    func spaces() throws {
        let folder = try #require(Fixtures.realData).appendingPathComponent("nifti/spaces")
        let reference = try NIfTIFile.read(folder.appendingPathComponent("RAS.nii.gz")).volume.closestCanonical
        var seen = 0
        for orientation in Orientation.all {
            let volume = try NIfTIFile.read(folder.appendingPathComponent("\(orientation.code).nii.gz")).volume
            let canonical = volume.closestCanonical
            #expect(canonical.voxels == reference.voxels, "\(orientation)")
            #expect(canonical.grid.affine.distance(to: reference.grid.affine.rows) < 1e-3, "\(orientation)")
            seen += 1
        }
        #expect(seen == 48)
    }
}

import Foundation
import TestSupport
import Testing
import Volumes

/// Compares every file of a dump that `Tests/Reference/volumes.py --dump` made; `script/compare-nibabel` runs both.
@Suite struct NibabelComparisonTests {
    static let dump = ProcessInfo.processInfo.environment["TOMOLENS_NIBABEL_DUMP"].map { URL(fileURLWithPath: $0) }

    struct Entry: Decodable {
        var path: String
        var volume: Int
        var shape: [Int]
        var affine: [[Double]]
        var axcodes: String
        var voxels: String
    }

    @Test(.enabled(if: dump != nil, "run script/compare-nibabel FOLDER..."))
    func everyVoxel() throws {
        let folder = try #require(Self.dump)
        let entries = try JSONDecoder().decode(
            [Entry].self, from: Data(contentsOf: folder.appendingPathComponent("dump.json")))
        #expect(!entries.isEmpty)
        var voxelError: Float = 0
        var affineError = 0.0
        var voxels = 0
        for entry in entries {
            let image = try NIfTIFile.read(URL(fileURLWithPath: entry.path), volume: entry.volume)
            let shape = image.volume.grid.shape
            #expect([shape.x, shape.y, shape.z] == entry.shape, "\(entry.path)")
            let data = try Data(contentsOf: folder.appendingPathComponent(entry.voxels))
            let expected = data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
            try #require(expected.count == image.volume.voxels.count)
            for (a, b) in zip(image.volume.voxels, expected) where a != b && !(a.isNaN && b.isNaN) {
                voxelError = max(voxelError, a.isFinite && b.isFinite ? abs(a - b) : .infinity)
            }
            affineError = max(affineError, image.volume.grid.affine.distance(to: entry.affine))
            #expect(Orientation(image.volume.grid.affine).code == entry.axcodes, "\(entry.path)")
            voxels += expected.count
        }
        let files = Set(entries.map(\.path)).count
        print(
            "compared \(files) files, \(entries.count) volumes, \(voxels) voxels: largest voxel difference \(voxelError), "
                + "largest affine difference \(affineError)")
        #expect(voxelError == 0)
        #expect(affineError <= 1e-5)
    }
}

import Foundation
import Pipelines
import Testing
import Volumes

/// Viewer scenes as `run`, `explain` and `scene` write them. Their content is tested in ReportsTests and Tests/Viewers.
@Suite struct SceneRunTests {
    private static let endings = [".volview.zip", ".mrml", ".itksnap", "_niivue.html", ".nvd", "_fsleyes.sh"]

    @Test func runWritesScenesThatItsLedgerKnows() throws {
        for scale in ["own", "folder"] {
            let text = Sandbox.standardPipeline.replacing("montage: 2", with: "montage: 2, scale: \"\(scale)\"")
            let sandbox = try Sandbox(pipeline: text)
            try sandbox.addScan("a.nii.gz")
            try sandbox.addScan("b.nii.gz", Sandbox.ball(radius: 4))
            let outcome = sandbox.run("--export", "volview,slicer,itksnap", "--export", "niivue,fsleyes")
            #expect(outcome.code == 0, "\(outcome.errors)")
            let files = Set(sandbox.outputs())
            let ledger = try #require(sandbox.json("b/ledger.json")["outputs"]?.array).compactMap { $0["path"]?.text }
            for ending in Self.endings {
                #expect(files.contains("b/b_gradcam_class1\(ending)"))
                #expect(ledger.contains("b_gradcam_class1\(ending)"))
            }
            let map = try #require(sandbox.json("b/results.json")["maps"]?.array?.first)
            #expect(map["scenes"]?.array?.count == Self.endings.count)
            let scene = String(decoding: try sandbox.content("b/b_gradcam_class1.mrml"), as: UTF8.self)
            #expect(
                scene.contains("fileName=\"../../scans/b.nii.gz\"")
                    && scene.contains("fileName=\"b_gradcam_class1.nii.gz\""))
            // The colours run to the map's own highest value, or to the folder's.
            let tops = try ["a", "b"].map { name in
                Float(try #require(sandbox.json("\(name)/results.json")["maps"]?.array?[0]["highest"]?.number))
            }
            #expect(scene.contains("window=\"\(scale == "own" ? tops[1] : max(tops[0], tops[1]))\""))
            #expect(
                sandbox.run("--export", "volview,slicer,itksnap,niivue,fsleyes").errors.contains("0 done, 2 unchanged"))
            // Without them the settings are others, and the files go.
            #expect(sandbox.run().errors.contains("2 done"))
            #expect(!sandbox.outputs().contains { $0.hasSuffix(".mrml") })
        }
    }

    @Test func scenesNeedHeatOnTheScansVoxels() throws {
        let text = Sandbox.standardPipeline.replacing(
            "methods:", with: "exports: { heatmaps: [\"tap\"], viewers: [\"slicer\"] }, methods:")
        let sandbox = try Sandbox(pipeline: text)
        try sandbox.addScan("a.nii.gz")
        let outcome = sandbox.run()
        #expect(outcome.code == 3 && outcome.errors.contains("exports.heatmaps"), "\(outcome.errors)")
    }

    @Test func aPairOfFilesIsCopiedForViewers() throws {
        let sandbox = try Sandbox()
        let single = try sandbox.addScan("a.nii")
        // The same file in two: 348 bytes of header with the magic of a pair, and the voxels.
        var header = try Data(contentsOf: single)
        let voxels = header[352...]
        header = header.prefix(348)
        header.replaceSubrange(344..<348, with: Data("ni1\0".utf8))
        header.replaceSubrange(108..<112, with: Data([0, 0, 0, 0]))
        try header.write(to: sandbox.scans.appendingPathComponent("p.hdr"))
        try Data(voxels).write(to: sandbox.scans.appendingPathComponent("p.img"))
        try FileManager.default.removeItem(at: single)
        let outcome = sandbox.run("--export", "slicer")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let scene = String(decoding: try sandbox.content("p/p_gradcam_class1.mrml"), as: UTF8.self)
        #expect(scene.contains("fileName=\"p_scan.nii.gz\""))
        let copy = try NIfTIFile.read(sandbox.output.appendingPathComponent("p/p_scan.nii.gz")).volume
        #expect(copy.grid.shape == Sandbox.ball().grid.shape && copy.voxels == Sandbox.ball().voxels)
    }

    @Test func sceneCommand() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan("a.nii.gz")
        #expect(sandbox.run("--no-page").code == 0)
        let heat = sandbox.output.appendingPathComponent("a/a_gradcam_class1.nii.gz").path
        let folder = sandbox.root.appendingPathComponent("scenes")
        let outcome = tomolens(["scene", scan.path, heat, "--output", folder.path, "--top", "0.5"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let found = Set(try FileManager.default.contentsOfDirectory(atPath: folder.path))
        #expect(found == Set(Self.endings.map { "a_gradcam_class1\($0)" }))
        let text = try String(contentsOf: folder.appendingPathComponent("a_gradcam_class1.mrml"), encoding: .utf8)
        #expect(text.contains("window=\"0.5\""))
        #expect(text.contains("fileName=\"../out/a/a_gradcam_class1.nii.gz\""))
        // The layer's own grid is not the scan's.
        let tap = heat.replacing("class1.nii.gz", with: "class1_tap.nii.gz")
        #expect(tomolens(["scene", scan.path, tap, "--output", folder.path]).code == 4)
        #expect(tomolens(["scene", scan.path, heat, "--threshold", "1"]).code == 2)
        #expect(tomolens(["scene", scan.path, heat, "--for", "paint"]).code == 2)
    }
}

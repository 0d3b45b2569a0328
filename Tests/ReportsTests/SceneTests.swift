import Failures
import Foundation
import Rendering
import TestSupport
import Testing
import Volumes

@testable import Reports

@Suite struct SceneTests {
    static func scene(in folder: URL, signed: Bool, name: String, scanName: String = "scan.nii.gz") throws
        -> ViewerScene
    {
        let page = try SyntheticScan.oblique()
        let heat = page.heats[signed ? 2 : 0].volume
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let scanFile = folder.appendingPathComponent(scanName)
        let heatFile = folder.appendingPathComponent(signed ? "signed.nii.gz" : "heat.nii.gz")
        try NIfTIWriter().write(page.scan, to: scanFile)
        try NIfTIWriter().write(heat, to: heatFile)
        var style = OverlayStyle()
        style.isSigned = signed
        style.alpha = .init(opacity: 0.6, threshold: 0.05)
        return ViewerScene(
            name: name, scanFile: scanFile, scan: page.scan, heatFile: heatFile, heat: heat, window: .lung, style: style
        )
    }

    @Test func everyViewerHasItsFilesAndTheSameBytesTwice() throws {
        let folder = Fixtures.temporaryFolder("scenes")
        let scene = try Self.scene(in: folder, signed: false, name: "case")
        var names: [String] = []
        for viewer in Viewer.allCases {
            let files = try scene.write(for: viewer, toFolder: folder)
            let first = try files.map { try Data(contentsOf: $0) }
            try scene.write(for: viewer, toFolder: folder)
            #expect(try files.map { try Data(contentsOf: $0) } == first, "\(viewer)")
            names += files.map(\.lastPathComponent)
        }
        #expect(
            names == [
                "case.volview.zip", "case.mrml", "case.itksnap", "case_niivue.html", "case.nvd", "case_fsleyes.sh",
            ])
    }

    @Test func pathsAreRelative() throws {
        let folder = Fixtures.temporaryFolder("scenes")
        let scene = try Self.scene(in: folder.appendingPathComponent("scans"), signed: false, name: "case")
        let results = folder.appendingPathComponent("results/a")
        for viewer in [Viewer.slicer, .itksnap, .fsleyes] {
            let url = try scene.write(for: viewer, toFolder: results)[0]
            let text = try String(contentsOf: url, encoding: .utf8)
            #expect(!text.contains(folder.lastPathComponent), "\(viewer): nothing of where the folder stands")
            // ITK-SNAP's way is worked out from two made-up places.
            #expect(text.contains(viewer == .itksnap ? "/scans/scan.nii.gz" : "../../scans/scan.nii.gz"), "\(viewer)")
        }
    }

    @Test func relativeWays() {
        func way(_ file: String, _ folder: String) -> String {
            RelativePath.of(URL(fileURLWithPath: file), from: URL(fileURLWithPath: folder))
        }
        #expect(way("/a/b/c.nii", "/a/b") == "c.nii")
        #expect(way("/a/b/c.nii", "/a") == "b/c.nii")
        #expect(way("/a/c.nii", "/a/b/d") == "../../c.nii")
        #expect(way("/c.nii", "/a") == "../c.nii")
        #expect(way("/a/b", "/a/b") == "../b")
    }

    @Test func namesCannotBreakOut() throws {
        let folder = Fixtures.temporaryFolder("scenes")
        let name = "a'\";$(touch hacked)&<b>\u{202E}"
        let scene = try Self.scene(in: folder, signed: false, name: name, scanName: "-s '$(touch hacked)'.nii.gz")
        for viewer in Viewer.allCases {
            for url in try scene.write(for: viewer, toFolder: folder) where url.pathExtension != "zip" {
                let text = try String(contentsOf: url, encoding: .utf8)
                #expect(!text.unicodeScalars.contains("\u{202E}"), "\(url.lastPathComponent)")
                // Between a shell's single quotes nothing acts.
                if viewer != .fsleyes { #expect(!text.contains("<b>"), "\(url.lastPathComponent)") }
            }
        }
        #expect(FSLeyesCommand.quoted("a'b $(c)") == "'a'\\''b $(c)'")
        #expect(throws: Failure.self) { try XML.attribute("a\u{1}") }
    }

    @Test func heatMustLieOnTheScansGrid() throws {
        let folder = Fixtures.temporaryFolder("scenes")
        var scene = try Self.scene(in: folder, signed: false, name: "case")
        scene.heat = Volume(grid: Grid(shape: [2, 2, 2], affine: .identity), repeating: 0)
        for viewer in Viewer.allCases {
            #expect(throws: Failure.self) { try scene.write(for: viewer, toFolder: folder) }
        }
    }

    @Test func aBlankMapMakesScenesToo() throws {
        let folder = Fixtures.temporaryFolder("scenes")
        var scene = try Self.scene(in: folder, signed: false, name: "blank")
        scene.heat = Volume(grid: scene.scan.grid, repeating: 0)
        for viewer in Viewer.allCases { try scene.write(for: viewer, toFolder: folder) }
    }
}

/// Scenes for the tests with viewers (`Tests/Viewers`, run by `script/test-browser`).
@Suite(
    .enabled(if: SyntheticScan.pages != nil, "set TOMOLENS_PAGES to write the scenes that script/test-browser opens"))
struct SceneSamples {
    @Test(arguments: [false, true]) func write(signed: Bool) throws {
        let folder = SyntheticScan.pages!.appendingPathComponent("scenes")
        let scene = try SceneTests.scene(in: folder, signed: signed, name: signed ? "signed" : "phantom")
        for viewer in Viewer.allCases { try scene.write(for: viewer, toFolder: folder) }
    }
}

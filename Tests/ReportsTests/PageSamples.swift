import Foundation
import Testing
import TestSupport
import Volumes

@testable import Reports

/// Pages for the browser tests (`script/test-browser`), each beside the NIfTI files that it must agree with.
///
/// `TOMOLENS_PAGES` names the folder to write to; without it there is nothing to do.
@Suite(
    .serialized,
    .enabled(if: SyntheticScan.pages != nil, "set TOMOLENS_PAGES to write the pages that script/test-browser drives"))
struct PageSamples {
    static let hostile =
        "<script>hacked=1</script> \"quoted\" 'n' &amp; \u{202E}gpj.nii</title>\u{2028}<img src=x onerror=hacked=2>"

    func place(_ name: String) -> URL { SyntheticScan.pages!.appendingPathComponent(name) }

    /// Oblique, flipped, anisotropic, three heats of two methods and two targets, a mask, hostile text everywhere.
    @Test func oblique() throws {
        let page = try SyntheticScan.oblique()
        try SyntheticScan.write(page, to: place("oblique"))
        let summary = try page.write(to: place("oblique/index.html"))
        #expect(summary.scanCoding == "exact")
    }

    @Test func eightBits() throws {
        var page = try SyntheticScan.oblique()
        page.settings.exactLimit = 0
        try SyntheticScan.write(page, to: place("eight-bits"))
        let summary = try page.write(to: place("eight-bits/index.html"))
        #expect(summary.scanCoding == "8 bits, steps from 5.0")
        #expect(summary.blocks == [1, 1, 1])
    }

    @Test func blocks() throws {
        var page = try SyntheticScan.oblique()
        page.settings.exactLimit = 0
        page.settings.byteLimit = 60_000
        page.heats = [page.heats[0]]
        try SyntheticScan.write(page, to: place("blocks"))
        let summary = try page.write(to: place("blocks/index.html"))
        #expect(summary.blocks != [1, 1, 1])
    }

    /// Heat by cells: the page interpolates what the NIfTI file holds.
    @Test func cells() throws {
        let page = try SyntheticScan.withCells()
        try SyntheticScan.write(page, to: place("cells"))
        try page.write(to: place("cells/index.html"))
    }

    @Test func picture() throws {
        let grid = Grid(
            shape: [60, 40, 1], affine: Affine(i: [-1, 0, 0], j: [0, -1, 0], k: [0, 0, 1], origin: .zero))
        var scan = Volume(grid: grid, repeating: 0)
        for j in 0..<40 { for i in 0..<60 { scan[i, j, 0] = Float(i * 3 + j) } }
        var page = ReviewPage(title: "picture.png", scan: scan, unit: "")
        page.isAnatomical = false
        var heat = Volume(grid: grid, repeating: 0)
        heat[7, 5, 0] = 2
        page.heats = [ReviewHeat(method: "gradcam", methodTitle: "Grad-CAM", target: "cat (3)", volume: heat)]
        try SyntheticScan.write(page, to: place("picture"))
        try page.write(to: place("picture/index.html"))
    }

    @Test func withoutHeat() throws {
        var page = try SyntheticScan.oblique()
        page.heats = []
        page.mask = nil
        page.answer = nil
        page.warnings = []
        try page.write(to: place("plain/index.html"))
    }

    @Test func folder() throws {
        var random = SplitMix(seed: 5)
        let picture = try SyntheticScan.thumbnail()
        let entries = (0..<2000).map { index -> FolderPage.Entry in
            let name = index == 7 ? PageSamples.hostile : "scan-\(index)"
            if index % 37 == 5 {
                return FolderPage.Entry(
                    name: name,
                    failure: "scan-\(index).nii.gz: expected a gzip stream with a valid checksum, found one cut short. "
                        + "Copy the file again.")
            }
            let probability = random.unit()
            return FolderPage.Entry(
                name: name, page: index == 7 ? "javascript:hacked=3" : "scan-\(index)/index.html", thumbnail: picture,
                prediction: probability > 0.5 ? "nodule (1)" : "non-nodule (0)",
                probability: max(probability, 1 - probability), score: 4 * probability - 2,
                peakIsInside: index % 3 == 0 ? nil : random.unit() > 0.3,
                measures: [random.unit() * 0.01, index % 5 == 0 ? nil : random.unit()],
                notes: index % 11 == 0
                    ? ["Grad-CAM misleads on a flattened head: its peak is not where the answer comes from."] : [])
        }
        var page = FolderPage(title: "lung screening \(PageSamples.hostile)", entries: entries)
        page.measures = ["peak", "energy inside"]
        page.provenance = [ReviewFact("network", "luna_nodule.onnx"), ReviewFact("program", "tomolens")]
        try page.write(to: place("folder/index.html"))
    }

    /// A real chest scan with a synthetic heat at its tumour.
    @Test(.enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA for the page of a real scan"))
    func chest() throws {
        let (scan, mask) = try SyntheticScan.chest()
        try SyntheticScan.page(of: scan, mask: mask, title: "lung1_chest").write(to: place("chest/index.html"))
    }

    /// As many voxels as a thin-slice chest CT has, with its noise.
    @Test(.enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA for the page of a large scan"))
    func large() throws {
        let (scan, mask) = try SyntheticScan.chest()
        let (thin, thinMask) = SyntheticScan.thin(scan, mask, slices: 300)
        // The real run's own scans (script/test-browser).
        let scans = SyntheticScan.pages!.appendingPathComponent("run-real-scans")
        var writer = NIfTIWriter()
        writer.encoding = .int16
        try writer.write(thin, to: scans.appendingPathComponent("thin.nii.gz"))
        try writer.write(scan, to: scans.appendingPathComponent("lung1_chest.nii.gz"))
        let page = SyntheticScan.page(of: thin, mask: thinMask, title: "512×512×300")
        let began = Date()
        let summary = try page.write(to: place("large/index.html"))
        print("512×512×300: \(summary), \(Date().timeIntervalSince(began)) s to write")
        #expect(summary.bytes < 40_000_000)
        #expect(summary.blocks == [1, 1, 1])
    }
}

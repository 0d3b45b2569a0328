import CZlib
import Failures
import Foundation
import Testing
import TestSupport
import Volumes

@testable import Reports

@Suite struct PageTextTests {
    @Test func markupIsText() {
        #expect(PageText.html("<b a=\"1\">&'</b>") == "&lt;b a=&quot;1&quot;&gt;&amp;&#39;&lt;/b&gt;")
    }

    @Test func whatActsIsShown() {
        #expect(PageText.visible("a\u{202E}gpj\u{0}\u{200B}") == "a⟨U+202E⟩gpj⟨U+0000⟩⟨U+200B⟩")
        #expect(PageText.visible("扫描 é ✓\n\t") == "扫描 é ✓\n\t")
    }

    @Test func jsonCannotEndItsElement() throws {
        let value = ["</script><!--": "\u{2028}&\u{2029}"]
        let json = PageText.json(value)
        #expect(!json.contains(where: { "<>&".utf8.contains($0) }))
        #expect(!String(decoding: json, as: UTF8.self).unicodeScalars.contains("\u{2028}"))
        #expect(try JSONDecoder().decode([String: String].self, from: Data(json)) == value)
    }

    @Test func numbersThatAreNoneDoNotBreakJSON() {
        #expect(
            String(decoding: PageText.json([Double.nan, .infinity, 1]), as: UTF8.self) == "[\"not a number\",\"∞\",1]")
    }

    @Test(arguments: [
        ("a/b c.png", "./a/b%20c.png"), ("../x/index.html", "../x/index.html"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//host/x", "./host/x"), ("a#b?c%", "./a%23b%3Fc%25"), ("./y", "./y"), ("\\\\host\\x", "./%5C%5Chost%5Cx"),
    ])
    func addressesStayBeside(_ path: String, _ address: String) {
        #expect(PageText.address(path) == address)
    }
}

@Suite struct PageLayerTests {
    /// The page's own decoder, in Swift: what the browser tests check in JavaScript.
    func decode(_ layer: PageLayer) throws -> [Int] {
        var result: [Int] = []
        let (width, height) = (layer.shape.x, layer.shape.y)
        for part in layer.parts {
            if part.text.isEmpty, case .steps(let zero, _) = layer.coding {
                result += [Int](repeating: zero, count: width * height * part.slices)
                continue
            }
            let packed = [UInt8](try #require(Data(base64Encoded: part.text)))
            let count = width * height * part.slices
            var bytes = [UInt8](repeating: 0, count: count * layer.coding.bytes)
            var length = UInt(bytes.count)
            #expect(uncompress(&bytes, &length, packed, UInt(packed.count)) == Z_OK)
            #expect(length == UInt(bytes.count))
            var codes = (0..<count).map { index -> Int in
                if layer.coding.bytes == 1 { return Int(bytes[index]) }
                let folded = Int(bytes[index]) | Int(bytes[count + index]) << 8
                return folded & 1 == 1 ? -(folded >> 1) - 1 : folded >> 1
            }
            func wrap(_ value: Int) -> Int {
                layer.coding.bytes == 1 ? value & 255 : Int(Int16(truncatingIfNeeded: value))
            }
            for slice in 0..<part.slices {
                for y in 0..<height {
                    for x in 0..<width {
                        let at = (slice * height + y) * width + x
                        let guess: Int
                        if x == 0 && y == 0 {
                            guess = 0
                        } else if y == 0 {
                            guess = codes[at - 1]
                        } else if x == 0 {
                            guess = codes[at - width]
                        } else {
                            let (a, b, c) = (codes[at - 1], codes[at - width], codes[at - width - 1])
                            guess = c >= max(a, b) ? min(a, b) : c <= min(a, b) ? max(a, b) : a + b - c
                        }
                        codes[at] = wrap(codes[at] + guess)
                    }
                }
            }
            result += codes
        }
        return result
    }

    func noise(_ shape: Index3, _ range: ClosedRange<Double>) -> Volume {
        var random = SplitMix(seed: 9)
        var volume = Volume(grid: Grid(shape: shape, affine: .identity), repeating: 0)
        for index in volume.voxels.indices {
            volume.voxels[index] = Float(
                (range.lowerBound + random.unit() * (range.upperBound - range.lowerBound)).rounded())
        }
        return volume
    }

    @Test func wholeValuesComeBackExactly() throws {
        let volume = noise([31, 17, 5], -32768...32767)
        let order = Orientation("LPS")!.rearrangement(to: .ras)
        let layer = try PageLayer(
            id: "scan", volume, order: order, blending: .mean, coding: .values(slope: 1, intercept: 0, tolerance: 0),
            content: .noise)
        #expect(try decode(layer).map(Float.init) == order(volume).voxels)
    }

    @Test func everyOrderOfAxes() throws {
        let volume = noise([7, 5, 4], -500...500)
        for orientation in Orientation.all {
            let order = orientation.rearrangement(to: .ras)
            let layer = try PageLayer(
                id: "scan", volume, order: order, blending: .mean,
                coding: .values(slope: 1, intercept: 0, tolerance: 0),
                content: .noise)
            #expect(try decode(layer).map(Float.init) == order(volume).voxels, "\(orientation)")
        }
    }

    @Test func levelsLieWithinTheirTolerance() throws {
        for codebook in [1, 2, 3, 4].map({ Codebook.hounsfield(factor: $0) }) {
            for step in 0..<16380 {
                let value = -1024 + Float(step) / 4
                let code = Int(codebook.code(value))
                #expect(abs(codebook.levels[code] - value) <= codebook.tolerances[code], "\(value)")
            }
            #expect(codebook.code(-5000) == 0 && codebook.code(.nan) == 0)
            #expect(Int(codebook.code(9999)) == codebook.levels.count - 1)
        }
        let fine = Codebook.hounsfield()
        // Finest where soft tissue is looked at.
        #expect(fine.tolerances[Int(fine.code(40))] < 2.7)
    }

    @Test func eightBitVolumes() throws {
        let volume = noise([40, 30, 6], -1024...2000)
        let codebook = Codebook.hounsfield()
        let layer = try PageLayer(
            id: "scan", volume, order: Rearrangement(axes: [0, 1, 2]), blending: .mean, coding: .levels(codebook),
            content: .noise)
        #expect(try decode(layer) == volume.voxels.map { Int(codebook.code($0)) })
    }

    @Test func blocksAreMeansOrTheStrongest() throws {
        let volume = noise([5, 4, 3], -100...100)
        let order = Rearrangement(axes: [0, 1, 2])
        let mean = LayerSource(volume, order: order, blocks: [2, 2, 2], blending: .mean)
        let strongest = LayerSource(volume, order: order, blocks: [2, 2, 2], blending: .strongest)
        #expect(mean.shape == [3, 2, 2])
        var means = [Float](repeating: 0, count: 6)
        var peaks = means
        mean.read(1, into: &means)
        strongest.read(1, into: &peaks)
        // The last block along i and k is cut by the edge: one column of one slice.
        let edge = [volume[4, 2, 2], volume[4, 3, 2]]
        #expect(means[5] == (edge[0] + edge[1]) / 2)
        #expect(peaks[5] == edge.max { abs($0) < abs($1) })
    }

    @Test func cellsStandForTheVolumeTheyGave() throws {
        let page = try SyntheticScan.withCells()
        let order = Orientation(page.scan.grid.affine).rearrangement(to: .ras)
        let heat = page.heats[0]
        let cells = try #require(heat.cells)
        let layer = try #require(try cells.layer(id: "heat0", of: heat, order: order, coding: heat.coding))
        #expect(layer.size < 4000)
        var other = heat
        // One changed slice is enough to carry the volume itself.
        for index in 0..<other.volume.grid.shape.x * other.volume.grid.shape.y { other.volume.voxels[index] += 0.002 }
        #expect(try cells.layer(id: "heat0", of: other, order: order, coding: other.coding) == nil)
    }

    @Test func backgroundTakesNoRoom() throws {
        var volume = Volume(grid: Grid(shape: [1500, 1400, 3], affine: .identity), repeating: 0)
        volume[700, 5, 2] = 1
        let order = Rearrangement(axes: [0, 1, 2])
        let layer = try PageLayer(
            id: "mask", volume, order: order, blending: .strongest, coding: .steps(zero: 7, step: 0.5),
            content: .general)
        #expect(layer.parts.map(\.text.isEmpty) == [true, true, false])
        #expect(try decode(layer) == volume.voxels.map { Int($0 * 2) + 7 })
    }

    @Test func heatKeepsZeroAndItsEnds() {
        for (low, high) in [(-3 as Float, 5 as Float), (0, 0.02), (-4, 0), (-1e-9, 7), (-7, 1e-9)] {
            var volume = Volume(grid: Grid(shape: [3, 1, 1], affine: .identity), repeating: 0)
            volume.voxels = [low, 0, high]
            let heat = ReviewHeat(method: "m", methodTitle: "M", target: "t", volume: volume)
            guard case .steps(let zero, let step) = heat.coding else {
                Issue.record("heat is coded in steps")
                continue
            }
            #expect((0...255).contains(zero))
            for value in volume.voxels {
                let code = (Double(value) / step).rounded() + Double(zero)
                #expect((0...255).contains(code), "\(low) … \(high)")
                #expect(abs((code - Double(zero)) * step - Double(value)) <= step / 2 * 1.000001)
            }
        }
    }
}

@Suite struct ReviewPageTests {
    @Test func samePageSameBytes() throws {
        let folder = Fixtures.temporaryFolder("page")
        let page = try SyntheticScan.oblique()
        try page.write(to: folder.appendingPathComponent("a.html"))
        try page.write(to: folder.appendingPathComponent("b.html"))
        let bytes = try Data(contentsOf: folder.appendingPathComponent("a.html"))
        #expect(try bytes == Data(contentsOf: folder.appendingPathComponent("b.html")))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["a.html", "b.html"])
    }

    @Test func nothingFromOutside() throws {
        let url = Fixtures.temporaryFolder("page").appendingPathComponent("index.html")
        try SyntheticScan.oblique().write(to: url)
        let text = try String(contentsOf: url, encoding: .utf8)
        #expect(text.contains("default-src 'none'"))
        for word in ["http:", "https:", "src=\"", "<link", "@import", "url("] {
            #expect(!text.contains(word), "\(word)")
        }
        // Hostile text has neither ended its element nor the title.
        #expect(text.components(separatedBy: "<title>").count == 2)
        #expect(text.components(separatedBy: "</title>").count == 2)
        #expect(!text.contains("<img"))
        #expect(!text.unicodeScalars.contains("\u{202E}"))
    }

    @Test func heatMustLieOnTheScansGrid() throws {
        var page = try SyntheticScan.oblique()
        page.heats[1].volume = Volume(grid: Grid(shape: [2, 2, 2], affine: .identity), repeating: 0)
        let url = Fixtures.temporaryFolder("page").appendingPathComponent("index.html")
        #expect(throws: Failure.self) { try page.write(to: url) }
        #expect(!FileManager.default.fileExists(atPath: url.path))
    }

    @Test func folderScalesArePutInLater() throws {
        let folder = Fixtures.temporaryFolder("page")
        let url = folder.appendingPathComponent("index.html")
        var page = try SyntheticScan.oblique()
        page.heats[0].folderTop = nil
        try page.write(to: url)
        try ReviewPage.setFolderScales(["gradcam|class1": 0.025], inPageAt: url)
        page.heats[0].folderTop = 0.025
        let other = folder.appendingPathComponent("other.html")
        try page.write(to: other)
        #expect(try Data(contentsOf: url) == Data(contentsOf: other))
        let stranger = folder.appendingPathComponent("stranger.html")
        try Data("<p>".utf8).write(to: stranger)
        #expect(throws: Failure.self) { try ReviewPage.setFolderScales([:], inPageAt: stranger) }
    }

    @Test func valuesThatAreNotNumbers() throws {
        var page = try SyntheticScan.oblique()
        page.scan.voxels[5] = .nan
        page.scan.voxels[6] = .infinity
        page.heats[0].volume.voxels[9] = .nan
        let url = Fixtures.temporaryFolder("page").appendingPathComponent("index.html")
        #expect(try page.write(to: url).scanCoding == "16 bits")
    }

    @Test func bothLanguagesHaveEveryWord() throws {
        let text = String(decoding: PackageResources.words_js, as: UTF8.self)
        let halves = text.components(separatedBy: "  zh: {")
        try #require(halves.count == 2)
        func keys(_ part: String) -> Set<String> {
            Set(part.matches(of: /(?:^|[\s,{])"?([A-Za-z-]+)"?: "/).map { String($0.output.1) })
        }
        #expect(keys(halves[0]) == keys(halves[1]))
        #expect(keys(halves[0]).count > 120)
    }
}

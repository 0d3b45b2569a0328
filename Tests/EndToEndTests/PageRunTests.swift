import Foundation
import Pipelines
import Testing
import Volumes

/// The review pages that `run` and `explain` write. What they show in a browser is tested by script/test-browser.
@Suite struct PageRunTests {
    /// The JSON within a page's element.
    private func json(_ page: Data, _ id: String) throws -> JSON {
        let text = String(decoding: page, as: UTF8.self)
        let open = "<script type=\"application/json\" id=\"\(id)\">"
        let start = try #require(text.range(of: open)).upperBound
        let end = try #require(text.range(of: "</script>", range: start..<text.endIndex)).lowerBound
        return try JSON5Parser.parse(Data(text[start..<end].utf8), named: id)
    }

    @Test func everyScanAndTheFolderHaveAPage() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii.gz", Sandbox.ball(radius: 2))
        try Data("no scan".utf8).write(to: sandbox.scans.appendingPathComponent("broken.nii"))
        var mask = Sandbox.ball()
        for index in mask.voxels.indices { mask.voxels[index] = mask.voxels[index] == 300 ? 1 : 0 }
        try sandbox.addScan("a_mask.nii.gz", mask)
        let outcome = sandbox.run()
        #expect(outcome.code == 1)
        #expect(outcome.output.contains("out/index.html"))

        let results = try sandbox.json("a/results.json")
        #expect(results["page"]?.text == "index.html" && results["thumbnail"]?.text == "thumbnail.jpg")
        let outputs = try #require(sandbox.json("a/ledger.json")["outputs"]?.array).compactMap { $0["path"]?.text }
        #expect(Set(outputs).isSuperset(of: ["index.html", "thumbnail.jpg"]))

        let page = try sandbox.content("a/index.html")
        let manifest = try json(page, "manifest")
        #expect(manifest["title"]?.text == "a" && manifest["unit"]?.text == "HU")
        #expect(manifest["folderPage"]?.text == "../index.html")
        #expect(manifest["grid"]?["shape"] == .numbers([16, 16, 12]))
        let heat = try #require(manifest["heats"]?.array?.first)
        let map = try #require(results["maps"]?.array?.first)
        #expect(heat["method"] == map["method"] && heat["target"] == map["target"]?["label"])
        #expect(heat["peak"]?["voxel"] == map["peak"]?["voxel"])
        #expect(heat["highest"]?.number.map { Float($0) } == map["highest"]?.number.map { Float($0) })
        #expect(heat["peakIsInside"]?.bool == true)
        #expect(manifest["mask"] != nil)
        let rows = try #require(manifest["answer"]?["rows"]?.array)
        #expect(rows.map { $0["label"]?.text } == ["dark (0)", "bright (1)"])
        #expect(rows.map { $0["isExplained"]?.bool } == [false, true])
        #expect(rows[1]["logit"] == results["answer"]?["classes"]?.array?[1]["score"])
        // The window that the network sees is offered.
        #expect(manifest["presets"]?.array?.first?["name"]?.text == "network")
        #expect(manifest["presets"]?.array?.first?["width"]?.number == 1400)
        let links = (manifest["links"]?.array ?? []).compactMap { $0["address"]?.text }
        #expect(links.contains("./a_gradcam_class1.nii.gz"))
        for link in links {
            #expect(
                FileManager.default.fileExists(atPath: sandbox.output.appendingPathComponent("a/\(link)").path),
                "\(link)")
        }

        let folder = try json(sandbox.content("index.html"), "manifest")
        let entries = try #require(folder["entries"]?.array)
        #expect(entries.map { $0["name"]?.text } == ["a.nii.gz", "b.nii.gz", "broken.nii"])
        #expect(entries.map { $0["page"]?.text } == ["./a/index.html", "./b/index.html", nil])
        #expect(entries.map { $0["peakIsInside"]?.bool } == [true, nil, nil])
        #expect(entries[0]["thumbnail"]?.text?.hasPrefix("data:image/jpeg;base64,/9j/") == true)
        #expect(entries[0]["score"] == map["target"]?["score"])
        #expect(entries[2]["failure"]?.text?.contains("broken.nii") == true)
    }

    /// What the largest value of any map of a method is, every page knows: by then all scans are done.
    @Test(arguments: ["\"own\"", "\"folder\"", "0.75"])
    func pagesKnowTheFoldersScale(scale: String) throws {
        let text = Sandbox.standardPipeline.replacing("montage: 2", with: "montage: 0, scale: \(scale)")
        let sandbox = try Sandbox(pipeline: text)
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii.gz", Sandbox.ball(radius: 2))
        #expect(sandbox.run().code == 0)
        func top(_ names: String...) throws -> Float {
            try names.map { name in
                Float(try #require(sandbox.json("\(name)/results.json")["maps"]?.array?[0]["highest"]?.number))
            }.max()!
        }
        func folderScale(_ name: String) throws -> Float {
            Float(try #require(json(sandbox.content("\(name)/index.html"), "folder-scale")["gradcam"]?.number))
        }
        for name in ["a", "b"] { #expect(try folderScale(name) == top("a", "b")) }
        let style = try #require(json(sandbox.content("a/index.html"), "manifest")["style"])
        switch scale {
        case "\"own\"": #expect(style["scale"]?.text == "own")
        case "\"folder\"": #expect(style["scale"]?.text == "folder")
        default: #expect(style["scale"]?.text == "fixed" && style["fixedTop"]?.number == 0.75)
        }
        let before = try sandbox.content("a/ledger.json")
        #expect(sandbox.run().errors.contains("0 done, 2 unchanged"))
        #expect(try sandbox.content("a/ledger.json") == before)
        // A hotter scan changes the scale in the pages of the others, and nothing else of them.
        let heat = try sandbox.content("a/a_gradcam_class1.nii.gz")
        try sandbox.addScan("c.nii.gz", Sandbox.ball(radius: 5))
        #expect(sandbox.run().errors.contains("1 done, 2 unchanged"))
        #expect(try top("a", "b") < top("c"))
        for name in ["a", "b", "c"] { #expect(try folderScale(name) == top("c")) }
        #expect(try sandbox.content("a/a_gradcam_class1.nii.gz") == heat)
        #expect(sandbox.run().errors.contains("0 done, 3 unchanged"))
    }

    @Test func noPageWhereNoneIsWanted() throws {
        for isSaidInPipeline in [true, false] {
            let text = Sandbox.standardPipeline
            let sandbox = try Sandbox(
                pipeline: isSaidInPipeline
                    ? text.replacing("methods:", with: "exports: { page: false }, methods:") : text)
            try sandbox.addScan("a.nii.gz")
            let outcome = isSaidInPipeline ? sandbox.run() : sandbox.run("--no-page")
            #expect(outcome.code == 0 && outcome.output.contains("out/summary.csv"))
            #expect(!sandbox.outputs().contains { $0.hasSuffix(".html") || $0.hasSuffix(".jpg") })
            #expect(try sandbox.json("a/results.json")["page"] == .null)
        }
    }

    @Test func pagesComeAndGoWithTheSetting() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        #expect(sandbox.run("--no-page").code == 0)
        #expect(sandbox.run().errors.contains("1 done"))
        #expect(sandbox.outputs().contains("index.html") && sandbox.outputs().contains("a/index.html"))
        #expect(sandbox.run("--no-page").errors.contains("1 done"))
        #expect(!sandbox.outputs().contains { $0.hasSuffix(".html") || $0.hasSuffix(".jpg") })
        // A page that somebody else put there stays.
        try Data("<p>mine</p>".utf8).write(to: sandbox.output.appendingPathComponent("index.html"))
        #expect(sandbox.run("--no-page").code == 0)
        #expect(sandbox.outputs().contains("index.html"))
    }

    @Test func explainWritesAPageWithoutAFolder() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan("a.nii.gz")
        let outcome = tomolens([
            "explain", scan.path, "--model", sandbox.model.path, "--output", sandbox.output.path, "--method",
            "gradcam,guided-backprop", "--tap", "features2",
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("out/index.html"))
        let manifest = try json(sandbox.content("index.html"), "manifest")
        #expect(manifest["folderPage"] == nil)
        let heats = try #require(manifest["heats"]?.array)
        #expect(heats.map { $0["method"]?.text } == ["gradcam", "guided-backprop"])
        // What misleads says so.
        #expect(heats[0]["caution"] == nil && heats[1]["caution"]?.text?.contains("FAILS sanity checks") == true)
        #expect(try json(sandbox.content("index.html"), "folder-scale") == .object([]))
    }

    /// What the events hold is tested with TensorBoard's own reader (Tests/Viewers).
    @Test func tensorBoardEventsOfAllScansReplaceEarlierOnes() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        let root = sandbox.root.appendingPathComponent("events")
        func files() throws -> [String] {
            let run = try #require(FileManager.default.contentsOfDirectory(atPath: root.path).only)
            #expect(run.hasPrefix("tiny-"))
            let folder = root.appendingPathComponent(run)
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).map {
                folder.appendingPathComponent($0).path
            }
        }
        #expect(sandbox.run("--tensorboard", root.path).code == 0)
        let first = try #require(try files().only)
        let size = try Data(contentsOf: URL(fileURLWithPath: first)).count
        try sandbox.addScan("b.nii.gz", Sandbox.ball(radius: 4))
        #expect(sandbox.run("--tensorboard", root.path).errors.contains("1 done, 1 unchanged"))
        let second = try #require(try files().only)
        #expect(try Data(contentsOf: URL(fileURLWithPath: second)).count > size + 1000)
    }

    @Test func aScanNamedLikeThePageHasAFolderOfItsOwn() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("index.html.nii.gz")
        #expect(sandbox.run().code == 0)
        #expect(sandbox.outputs().contains("index.html"))
        #expect(sandbox.outputs().filter { $0.hasSuffix("/ledger.json") }.count == 1)
    }

    /// A page holds the scan's name as text, whatever it is.
    @Test func hostileNamesStayText() throws {
        let name = "<script>alert(1)<\u{202E}.nii.gz"
        let sandbox = try Sandbox()
        try sandbox.addScan(name)
        #expect(sandbox.run().code == 0)
        for path in sandbox.outputs() where path.hasSuffix("index.html") {
            let text = String(decoding: try sandbox.content(path), as: UTF8.self)
            #expect(!text.contains("<script>alert") && !text.unicodeScalars.contains("\u{202E}"), "\(path)")
            #expect(text.contains("\\u003cscript\\u003ealert(1)"), "\(path)")
        }
    }
}

extension Array {
    /// The element of an array that has one.
    fileprivate var only: Element? { count == 1 ? self[0] : nil }
}

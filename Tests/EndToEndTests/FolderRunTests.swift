import Foundation
import Pipelines
import Testing
import Volumes

@Suite struct FolderRunTests {
    @Test func aFolderBecomesHeatmapsPicturesAndResults() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii", Sandbox.ball(centre: [11, 4, 3]))
        let outcome = sandbox.run()
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(
            sandbox.outputs().filter { $0.hasPrefix("a/") && !$0.contains("overlays") } == [
                "a/a_gradcam_class1.json", "a/a_gradcam_class1.nii.gz", "a/a_gradcam_class1_montage.png",
                "a/a_gradcam_class1_tap.json", "a/a_gradcam_class1_tap.nii.gz", "a/index.html", "a/ledger.json",
                "a/results.json", "a/thumbnail.jpg",
            ])
        #expect(sandbox.outputs().filter { $0.contains("overlays/") }.count == 2)
        #expect(
            sandbox.outputs().filter { !$0.contains("/") } == [
                "answers.csv", "index.html", "summary.csv", "summary.json",
            ])
        #expect(!sandbox.outputs().contains { $0.contains(".partial") })
    }

    /// The heat of a bright ball peaks in the ball, in the scan's own voxels, whatever the preparation did.
    @Test(arguments: [Vector3(4, 11, 8), Vector3(11, 4, 3)]) func theHeatLiesOnTheBall(centre: Vector3) throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz", Sandbox.ball(centre: centre))
        #expect(sandbox.run().code == 0)
        let results = try sandbox.json("a/results.json")
        let map = try #require(results["maps"]?.array?.first)
        let voxel = try #require(map["peak"]?["voxel"]?.array)
        let peak = voxel.compactMap(\.number)
        for axis in 0..<3 { #expect(abs(peak[axis] - centre[axis]) <= 2, "axis \(axis): \(peak)") }
        let heat = try NIfTIFile.read(sandbox.output.appendingPathComponent("a/a_gradcam_class1.nii.gz"))
        let scan = try NIfTIFile.read(sandbox.scans.appendingPathComponent("a.nii.gz"))
        #expect(heat.volume.grid == scan.volume.grid)
        #expect(heat.header.qformCode == scan.header.qformCode && heat.header.srow == scan.header.srow)
        let tap = try NIfTIFile.read(sandbox.output.appendingPathComponent("a/a_gradcam_class1_tap.nii.gz"))
        #expect(tap.volume.grid.count == scan.volume.grid.count / 8)
        #expect(heat.extensions.first?.code == NIfTIExtension.comment)
        let provenance = try JSON5Parser.parse(Data(heat.extensions[0].text.utf8), named: "extension")
        #expect(provenance["method"] == .text("gradcam"))
        #expect(provenance["target"]?["label"]?.text == "bright (1)")
    }

    @Test func labelsSayWhetherThePeakIsInside() throws {
        let sandbox = try Sandbox()
        let scan = Sandbox.ball()
        try sandbox.addScan("a.nii.gz", scan)
        var mask = Volume(grid: scan.grid, repeating: 0)
        for index in mask.voxels.indices where scan.voxels[index] == 300 { mask.voxels[index] = 2 }
        try sandbox.addScan("a_mask.nii.gz", mask)
        #expect(sandbox.run().code == 0)
        let results = try sandbox.json("a/results.json")
        let labels = try #require(results["maps"]?.array?.first?["labels"])
        #expect(labels["peakInside"]?.bool == true)
        #expect(labels["valueAtPeak"]?.number == 2)
        #expect(!sandbox.outputs().contains { $0.contains("a_mask") })
        #expect(String(decoding: try sandbox.content("summary.csv"), as: UTF8.self).contains(",true,0,"))
    }

    @Test func theSameWorkGivesTheSameBytes() throws {
        let first = try Sandbox()
        let second = try Sandbox()
        for sandbox in [first, second] {
            try sandbox.addScan("a.nii.gz")
            #expect(sandbox.run(sandbox.root == first.root ? "--jobs=1" : "--jobs=3").code == 0)
        }
        let timed = ["summary.json", "summary.csv"]
        #expect(first.outputs() == second.outputs())
        for path in first.outputs() where !timed.contains(path) {
            #expect(try first.content(path) == second.content(path), "\(path)")
        }
    }

    @Test func theSummaryNamesAllScans() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        try Data("no scan".utf8).write(to: sandbox.scans.appendingPathComponent("broken.nii"))
        let outcome = sandbox.run()
        #expect(outcome.code == 1)
        let summary = try sandbox.json("summary.json")
        #expect(summary["scans"]?.array?.map { $0["status"]?.text } == ["done", "failed"])
        #expect(summary["failed"] == .number(1))
        #expect(outcome.errors.contains("broken.nii: "))
        #expect(outcome.errors.contains("1 done, 1 failed"))
        let csv = String(decoding: try sandbox.content("summary.csv"), as: UTF8.self).split(separator: "\n")
        #expect(csv.count == 3 && csv[2].hasPrefix("broken.nii,broken,failed,"))
        let answers = String(decoding: try sandbox.content("answers.csv"), as: UTF8.self)
        #expect(
            answers.hasPrefix(
                "scan,name,status,score dark (0),score bright (1),probability dark (0),probability bright (1)\n"))
    }

    @Test func oneScaleForTheFolder() throws {
        let text = Sandbox.standardPipeline.replacing("montage: 2", with: "montage: 0, scale: \"folder\"")
        let sandbox = try Sandbox(pipeline: text)
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii.gz", Sandbox.ball(radius: 1.2))
        #expect(sandbox.run().code == 0)
        let ledgers = try ["a", "b"].map { try sandbox.json("\($0)/ledger.json")["scale"]?["gradcam"]?.number }
        #expect(ledgers[0] != nil && ledgers[0] == ledgers[1])
        let pictures = try ["a", "b"].map {
            try sandbox.json("\($0)/results.json")["maps"]?.array?[0]["pictures"]?.array?.count
        }
        #expect(pictures == [1, 1])
        let before = try sandbox.content("b/ledger.json")
        // Nothing has changed: nothing is drawn again.
        #expect(sandbox.run().errors.contains("0 done, 2 unchanged"))
        #expect(try sandbox.content("b/ledger.json") == before)
        // A hotter scan changes the scale, and with it the pictures of the others, but no heatmap.
        let heat = try sandbox.content("b/b_gradcam_class1.nii.gz")
        try sandbox.addScan("c.nii.gz", Sandbox.ball(radius: 5))
        #expect(sandbox.run().errors.contains("1 done, 2 unchanged"))
        #expect(try sandbox.content("b/ledger.json") != before)
        #expect(try sandbox.content("b/b_gradcam_class1.nii.gz") == heat)
        #expect(sandbox.run().errors.contains("0 done, 3 unchanged"))
    }

    @Test func limitOnlyAndDryRun() throws {
        let sandbox = try Sandbox()
        for name in ["a1", "a2", "b1"] { try sandbox.addScan("\(name).nii.gz") }
        let dry = sandbox.run("--dry-run")
        #expect(dry.code == 0 && dry.output.contains("3 of 3 to do; nothing was written."))
        #expect(sandbox.outputs().isEmpty)
        #expect(sandbox.run("--limit", "1").code == 0)
        #expect(Set(sandbox.outputs().filter { $0.contains("/") }.map { $0.prefix(2) }) == ["a1"])
        #expect(sandbox.run("--only", "b*").code == 0)
        #expect(Set(sandbox.outputs().filter { $0.contains("/") }.map { $0.prefix(2) }) == ["a1", "b1"])
        let after = sandbox.run("--dry-run")
        #expect(after.output.contains("1 of 3 to do"))
        #expect(sandbox.run("--only", "zz*").code == 2)
    }

    @Test func quietAndJSONLog() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        let log = sandbox.run("--json-log")
        let lines = log.output.split(separator: "\n")
        let events = try lines.map { try JSON5Parser.parse(Data($0.utf8), named: "line")["event"]?.text }
        #expect(events.contains("began") && events.contains("scan done") && events.last == "ended")
        #expect(log.errors.isEmpty)
        let quiet = sandbox.run("--quiet", "--force")
        #expect(quiet.output.isEmpty && quiet.errors.isEmpty && quiet.code == 0)
    }
}

@Suite struct ResumeTests {
    private func modified(_ sandbox: Sandbox, _ path: String) throws -> Date {
        try FileManager.default.attributesOfItem(atPath: sandbox.output.appendingPathComponent(path).path)[
            .modificationDate] as! Date
    }

    private func prepared() throws -> Sandbox {
        let sandbox = try Sandbox()
        try sandbox.addScan("a.nii.gz")
        try sandbox.addScan("b.nii.gz", Sandbox.ball(centre: [11, 4, 3]))
        #expect(sandbox.run().code == 0)
        return sandbox
    }

    @Test func nothingIsDoneTwice() throws {
        let sandbox = try prepared()
        let before = try modified(sandbox, "a/results.json")
        #expect(sandbox.run().errors.contains("0 done, 2 unchanged"))
        #expect(try modified(sandbox, "a/results.json") == before)
        #expect(sandbox.run("--force").errors.contains("2 done in"))
    }

    @Test func aChangedScanIsDoneAgain() throws {
        let sandbox = try prepared()
        try sandbox.addScan("a.nii.gz", Sandbox.ball(radius: 4))
        #expect(sandbox.run().errors.contains("1 done, 1 unchanged"))
    }

    /// How accurately convolutions are computed belongs to the settings: other numbers, another run.
    @Test func anotherAccuracyIsAnotherRun() throws {
        let sandbox = try prepared()
        #expect(sandbox.run("--dry-run").output.contains("0 of 2 to do"))
        #expect(sandbox.run("--dry-run", "--precise").output.contains("2 of 2 to do"))
        #expect(sandbox.run("--dry-run", "--fast").output.contains("2 of 2 to do"))
        let both = sandbox.run("--dry-run", "--precise", "--fast")
        #expect(both.code == 2 && both.errors.contains("expected one of --precise and --fast, found both"))
    }

    @Test func aChangedLabelMapIsSeen() throws {
        let sandbox = try prepared()
        var mask = Volume(grid: Sandbox.ball().grid, repeating: 0)
        mask[1, 1, 1] = 1
        try sandbox.addScan("a_mask.nii.gz", mask)
        #expect(sandbox.run().errors.contains("1 done, 1 unchanged"))
    }

    @Test func aChangedNetworkRedoesAll() throws {
        let sandbox = try prepared()
        var network = TinyNetwork.brightness()
        network.metadata("note", "retrained")
        try network.data().write(to: sandbox.model)
        #expect(sandbox.run().errors.contains("2 done in"))
    }

    @Test func changedSettingsRedoAllAndACommentNothing() throws {
        let sandbox = try prepared()
        let text = try String(contentsOf: sandbox.pipeline, encoding: .utf8)
        try Data(("// a comment\n" + text).utf8).write(to: sandbox.pipeline)
        #expect(sandbox.run().errors.contains("0 done, 2 unchanged"))
        try Data(text.replacing("a_max: 400", with: "a_max: 500").utf8).write(to: sandbox.pipeline)
        #expect(sandbox.run().errors.contains("2 done in"))
    }

    @Test(arguments: [
        "a/a_gradcam_class1.nii.gz", "a/ledger.json", "a/results.json", "a/index.html", "a/thumbnail.jpg",
    ])
    func aMissingOrDamagedResultIsMadeAgain(path: String) throws {
        let sandbox = try prepared()
        let whole = try sandbox.content(path)
        try FileManager.default.removeItem(at: sandbox.output.appendingPathComponent(path))
        #expect(sandbox.run().errors.contains("1 done, 1 unchanged"))
        #expect(try sandbox.content(path) == whole)
        try whole.dropLast(3).write(to: sandbox.output.appendingPathComponent(path))
        #expect(sandbox.run().errors.contains("1 done, 1 unchanged"))
        #expect(try sandbox.content(path) == whole)
    }

    @Test func staleResultsOfChangedSettingsGo() throws {
        let sandbox = try prepared()
        let text = try String(contentsOf: sandbox.pipeline, encoding: .utf8)
        try Data(text.replacing("[\"gradcam\"]", with: "[\"hirescam\"]").utf8).write(to: sandbox.pipeline)
        #expect(sandbox.run().code == 0)
        #expect(!sandbox.outputs().contains { $0.contains("gradcam_class1") })
    }

    @Test func aStopLeavesWholeScansOnlyAndTheNextRunGoesOn() throws {
        let sandbox = try Sandbox()
        for number in 0..<6 { try sandbox.addScan("s\(number).nii.gz") }
        let stop = StopRequest()
        // Stopped as soon as the first scan's ledger stands.
        let watcher = Thread {
            let first = sandbox.output.appendingPathComponent("s0/ledger.json").path
            while !FileManager.default.fileExists(atPath: first) { usleep(500) }
            stop.make()
        }
        watcher.start()
        let outcome = sandbox.run(stop: stop)
        #expect(outcome.code == 130)
        #expect(outcome.errors.contains("Stopped. The same command goes on where this one ended."))
        #expect(!sandbox.outputs().contains { $0.contains(".partial") })
        let done = sandbox.outputs().filter { $0.hasSuffix("/ledger.json") }.count
        #expect(done >= 1 && done < 6)
        let second = sandbox.run()
        #expect(second.code == 0 && second.errors.contains("\(6 - done) done, \(done) unchanged"))
    }

    @Test func leftoversOfAKilledRunAreRemoved() throws {
        let sandbox = try prepared()
        let leftover = sandbox.output.appendingPathComponent("a/.a_gradcam.nii.gz.999999.1.partial")
        let mine = sandbox.output.appendingPathComponent("a/.mine.partial")
        try Data().write(to: leftover)
        try Data().write(to: mine)
        #expect(sandbox.run().code == 0)
        #expect(!FileManager.default.fileExists(atPath: leftover.path))
        #expect(FileManager.default.fileExists(atPath: mine.path))
    }
}

@Suite struct HostileNameTests {
    private static let names = [
        "with space", "quote\"s'", "-dash", "new\nline", "<script>alert(1)<", "ü-胸部", "a&b;c|d", "$(touch x)",
        "dots..?", "%s%n",
        "=cmd()", "tab\there", "\u{1B}[31mred", "a__b", String(repeating: "x", count: 200),
    ]

    @Test func everyNameIsExplainedAndNoneBreaksOut() throws {
        let sandbox = try Sandbox()
        for name in Self.names { try sandbox.addScan("\(name).nii.gz") }
        let outcome = sandbox.run()
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(sandbox.outputs().filter { $0.hasSuffix("/ledger.json") }.count == Self.names.count)
        for path in sandbox.outputs() {
            #expect(path.allSatisfy { $0.isLetter || $0.isNumber || "._+=-/".contains($0) }, "\(path)")
        }
        #expect(!sandbox.outputs().contains { $0.hasPrefix("-") })
        // Terminals obey what is printed, spreadsheets what is opened.
        #expect(!outcome.errors.contains("\u{1B}") && !outcome.output.contains("\u{1B}"))
        let csv = String(decoding: try sandbox.content("summary.csv"), as: UTF8.self)
        #expect(csv.contains("\"'=cmd().nii.gz\"") && !csv.contains("\n=cmd"))
        #expect(sandbox.run().errors.contains("0 done, \(Self.names.count) unchanged"))
    }

    @Test func theSameStemInTwoFoldersHasTwoResults() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan("chest.nii.gz", folder: "one")
        try sandbox.addScan("chest.nii.gz", Sandbox.ball(centre: [11, 4, 3]), folder: "two")
        try sandbox.addScan("chest.nii", folder: "two")
        #expect(sandbox.run().code == 0)
        let ledgers = sandbox.outputs().filter { $0.hasSuffix("/ledger.json") }
        #expect(ledgers.count == 3 && ledgers.contains("one__chest/ledger.json"))
    }

    @Test func aScanOnTheCommandLineMayBeginWithADash() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan("-x.nii.gz")
        let outcome = tomolens(
            ["explain", "--model", sandbox.model.path, "--output", sandbox.output.path, "--", scan.path])
        #expect(outcome.code == 0, "\(outcome.errors)")
    }
}

import Failures
import Foundation
import TestSupport
import Testing

@testable import Pipelines

@Suite struct NamePatternTests {
    @Test(arguments: [
        ("*.nii.gz", "a.nii.gz", true), ("*.nii.gz", "deep/er/a.nii.gz", true), ("*.nii.gz", "a.nii", false),
        ("?.nii", "a.nii", true), ("?.nii", "ab.nii", false), ("[ab]*.nii", "b1.nii", true),
        ("[!ab]*.nii", "b1.nii", false),
        ("[a-c]1", "b1", true), ("[a-c]1", "d1", false), ("[x", "[x", true), ("a*b*c", "aXbXbc", true),
        ("a*b*c", "aXbXb", false),
        ("sub/*.nii", "sub/a.nii", true), ("sub/*.nii", "a.nii", false), ("sub/*.nii", "sub/x/a.nii", false),
        ("**/ct/*.nii", "p/1/ct/a.nii", true), ("**/ct/*.nii", "ct/a.nii", true), ("**/a.nii", "x/b.nii", false),
        ("*", "", false), ("", "a", false), ("***", "abc", true),
    ]) func fits(pattern: String, path: String, expected: Bool) {
        #expect(NamePattern(pattern).fits(path) == expected)
    }

    @Test(.timeLimit(.minutes(1))) func noPatternIsSlow() {
        let pattern = NamePattern(String(repeating: "*a", count: 40) + "b")
        #expect(!pattern.fits(String(repeating: "a", count: 2000)))
    }
}

@Suite struct ScanFinderTests {
    private func folder(_ paths: [String]) throws -> URL {
        let root = Fixtures.temporaryFolder("finder")
        for path in paths {
            let url = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data("x".utf8).write(to: url)
        }
        return root
    }

    private func find(_ root: URL, _ change: (inout InputSettings) -> Void = { _ in }) throws -> [FoundScan] {
        var settings = InputSettings()
        change(&settings)
        return try ScanFinder(input: root, settings: settings, skipping: root.appendingPathComponent("out")).find()
    }

    @Test func sortedAndWithoutWhatIsNoScan() throws {
        let root = try folder([
            "b.nii.gz", "a.nii", "sub/c.hdr", "sub/c.img", "notes.txt", ".hidden.nii", ".git/x.nii", "out/old.nii.gz",
        ])
        #expect(try find(root).map(\.path) == ["a.nii", "b.nii.gz", "sub/c.hdr"])
        #expect(try find(root).map(\.name) == ["a", "b", "sub__c"])
        #expect(try find(root) { $0.exclude = ["a*"] }.map(\.path) == ["b.nii.gz", "sub/c.hdr"])
    }

    @Test func labelMapsAreFoundAndAreNoScans() throws {
        let root = try folder(["a.nii.gz", "a_mask.nii.gz", "s/b.nii.gz", "s/b_mask.nii.gz", "c.nii.gz"])
        let scans = try find(root) { $0.labels = "{stem}_mask.nii.gz" }
        #expect(scans.map(\.path) == ["a.nii.gz", "c.nii.gz", "s/b.nii.gz"])
        #expect(scans.map { $0.labels?.lastPathComponent } == ["a_mask.nii.gz", nil, "b_mask.nii.gz"])
    }

    @Test func everyScanHasANameOfItsOwn() throws {
        let paths = [
            "chest.nii", "chest.nii.gz", "a/chest.nii", "a__chest.nii", "Chest.nii", "with space.nii", "with_space.nii",
            "<script>alert(1)<.nii", "\"quote'.nii", "-dash.nii", "..dots.nii", "new\nline.nii", "胸部.nii", "a,b;=1.nii",
            String(repeating: "長", count: 80) + ".nii",
        ]
        let names = ScanFinder.names(for: paths)
        #expect(Set(names.values.map { $0.lowercased() }).count == paths.count)
        for name in names.values {
            #expect(name.allSatisfy { $0.isLetter || $0.isNumber || "._+=-".contains($0) })
            #expect(!name.hasPrefix("-") && !name.hasPrefix(".") && name.utf8.count <= 120)
        }
        #expect(names["胸部.nii"] == "胸部" && names["with_space.nii"] == "with_space")
        // A name never depends on files that have names of their own.
        #expect(ScanFinder.names(for: ["with space.nii"])["with space.nii"] == names["with space.nii"])
    }

    @Test func hostileNamesAreFound() throws {
        let names = ["a b.nii", "q\"'.nii", "-x.nii", "n\nl.nii", "<b>.nii", "ü.nii"]
        #expect(Set(try find(try folder(names)).map(\.path)) == Set(names))
    }

    @Test func linksInCirclesEnd() throws {
        let root = try folder(["s/a.nii"])
        try FileManager.default.createSymbolicLink(at: root.appendingPathComponent("s/loop"), withDestinationURL: root)
        try FileManager.default.createSymbolicLink(
            at: root.appendingPathComponent("gone.nii"), withDestinationURL: root.appendingPathComponent("nowhere"))
        #expect(try find(root).map(\.path) == ["gone.nii", "s/a.nii"])
    }

    @Test func anEmptyOrMissingFolderIsNamed() throws {
        let empty = try folder([])
        for (url, found) in [
            (empty, "0 files, none of which does"), (empty.appendingPathComponent("no"), "nothing there"),
            (try folder(["x.txt"]), "1 file, none of which does"),
            (try folder(["x.txt"]).appendingPathComponent("x.txt"), "a file"),
        ] {
            do {
                _ = try find(url)
                Issue.record("found scans in \(url.path)")
            } catch let failure as Failure {
                #expect(failure.kind == .scan && failure.found == found)
            }
        }
    }
}

@Suite struct ScanLedgerTests {
    private func sample(in folder: URL) throws -> ScanLedger {
        try Data("heat".utf8).write(to: folder.appendingPathComponent("a.nii.gz"))
        let entry = try ScanLedger.Entry(of: folder.appendingPathComponent("a.nii.gz"), as: "a.nii.gz", kind: .output)
        return ScanLedger(
            inputs: [.init(path: "s<>\"\n.nii", bytes: 3, sha256: "aa")],
            network: [.init(path: "m.onnx", bytes: 9, sha256: "bb")],
            settings: "cc", scale: .object([("gradcam", .numbers([0, 1]))]), outputs: [entry])
    }

    @Test func readsBackEqual() throws {
        let folder = Fixtures.temporaryFolder("ledger")
        let ledger = try sample(in: folder)
        try ledger.write(to: folder)
        #expect(ScanLedger.read(from: folder) == ledger)
        #expect(ledger.outputsAreWhole(in: folder))
    }

    @Test func aChangedOrMissingOutputIsSeen() throws {
        let folder = Fixtures.temporaryFolder("ledger")
        let ledger = try sample(in: folder)
        let output = folder.appendingPathComponent("a.nii.gz")
        try Data("hea_".utf8).write(to: output)
        #expect(!ledger.outputsAreWhole(in: folder))
        try FileManager.default.removeItem(at: output)
        #expect(!ledger.outputsAreWhole(in: folder))
    }

    @Test func aDamagedLedgerCountsAsNone() throws {
        let folder = Fixtures.temporaryFolder("ledger")
        try sample(in: folder).write(to: folder)
        let url = folder.appendingPathComponent(ScanLedger.fileName)
        let whole = try Data(contentsOf: url)
        #expect(ScanLedger.read(from: Fixtures.temporaryFolder("none")) == nil)
        for length in stride(from: 0, to: whole.count - 2, by: 7) {
            try whole.prefix(length).write(to: url)
            #expect(ScanLedger.read(from: folder) == nil)
        }
    }

    @Test func removesOnlyWhatItNames() throws {
        let folder = Fixtures.temporaryFolder("ledger")
        let bystander = folder.deletingLastPathComponent().appendingPathComponent("bystander-\(UUID().uuidString)")
        try Data().write(to: bystander)
        try Data().write(to: folder.appendingPathComponent("mine.txt"))
        var ledger = try sample(in: folder)
        ledger.outputs.append(.init(path: "../\(bystander.lastPathComponent)", bytes: 0, sha256: ""))
        ledger.outputs.append(.init(path: bystander.path, bytes: 0, sha256: ""))
        ledger.removeOutputs(in: folder)
        #expect(FileManager.default.fileExists(atPath: bystander.path))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["mine.txt"])
    }
}

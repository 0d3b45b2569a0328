import Failures
import Foundation
import Synchronization
import TestSupport
import Testing
import Volumes

@testable import Pipelines

@Suite struct CSVTests {
    @Test func quotesWhatNeedsIt() {
        var csv = CSV(columns: ["name", "value", "note"])
        csv.add([.text("a,b"), .number(1.5), .text("say \"so\"")])
        csv.add([.text("new\nline"), .integer(-3), .empty])
        csv.add([.text("plain"), .number(.nan), .text("ü;x")])
        #expect(
            csv.text == """
                name,value,note
                "a,b",1.5,"say ""so\"""
                "new
                line",-3,
                plain,,"ü;x"

                """)
    }

    @Test(arguments: ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "=\"x\",1"])
    func formulasStayText(text: String) {
        let field = CSV.quoted(text)
        #expect(field.hasPrefix("\"'") && field.hasSuffix("\""))
    }

    static let hasPython = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/python3")
    }

    @Test func fieldsAreQuotedAsRFC4180Says() {
        var csv = CSV(columns: ["a", "b"])
        csv.add([.text("q\"q"), .text("x\r\ny")])
        #expect(csv.text.hasSuffix("\"q\"\"q\",\"x\r\ny\"\n"))
    }

    /// Python's own reader must see the same fields.
    @Test(.enabled(if: hasPython, "needs python3 on the PATH")) func pythonReadsItBack() throws {
        let fields = ["a,b", "q\"q", "n\nn", "x\r\ny", " space ", "胸", "'", ""]
        var csv = CSV(columns: fields.indices.map { "c\($0)" })
        csv.add(fields.map { .text($0) })
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import csv,sys,io,json; r=list(csv.reader(io.StringIO(sys.argv[1], newline=''))); print(json.dumps(r[1]))",
            csv.text,
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(try JSONDecoder().decode([String].self, from: data) == fields)
    }
}

@Suite struct HeatMeasuresTests {
    private let grid = Grid(
        shape: [10, 8, 6], affine: Affine(i: [-2, 0, 0], j: [0, 2, 0], k: [0, 0, 5], origin: [9, -7, -12.5]))

    @Test func peakSlicesAndVolume() {
        var heat = Volume(grid: grid, repeating: 0)
        heat[8, 6, 5] = 4
        heat[8, 6, 4] = 2
        heat[7, 6, 5] = 1.9
        heat[0, 0, 0] = -9
        let measures = HeatMeasures(heat)
        #expect(measures.peakVoxel == [8, 6, 5] && measures.peakValue == 4 && measures.lowestValue == -9)
        #expect(measures.peakPosition == [-7, 5, 12.5])
        #expect(measures.peakDirection == "left, anterior, superior")
        #expect(measures.hottestSlices == [[8, 7], [6], [5, 4]])
        // Two voxels of 20 mm³ reach half of the peak.
        #expect(measures.halfMaximumVolume == 0.04)
    }

    @Test func theCentreHasNoSide() {
        var heat = Volume(grid: grid, repeating: 0)
        heat[5, 4, 3] = 1
        #expect(HeatMeasures.direction(of: [0.2, 0.2, 0.2], in: grid) == "central")
        #expect(HeatMeasures.direction(of: [-5, 0, 0], in: grid) == "left")
    }

    @Test func aMapWithoutPositiveHeatHasNoPeak() {
        var heat = Volume(grid: grid, repeating: 0)
        heat[1, 1, 1] = -1
        let measures = HeatMeasures(heat)
        #expect(measures.peakVoxel == nil && measures.halfMaximumVolume == 0 && measures.hottestSlices == [[], [], []])
    }

    @Test func labelsTellInsideDistanceAndEnergy() {
        var heat = Volume(grid: grid, repeating: 0)
        heat[2, 2, 2] = 3
        heat[5, 5, 5] = 1
        var labels = Volume(grid: grid, repeating: 0)
        labels[2, 2, 2] = 2
        let inside = HeatMeasures(heat, labels: labels).labels!
        #expect(inside.peakIsInside && inside.valueAtPeak == 2 && inside.distance == 0 && inside.energyInside == 0.75)
        // Only value 1 counts: nothing is labelled.
        let other = HeatMeasures(heat, labels: labels, counted: [1]).labels!
        #expect(!other.peakIsInside && other.voxels == 0 && other.distance == .infinity)
        labels[2, 2, 2] = 0
        labels[2, 4, 3] = 1
        let near = HeatMeasures(heat, labels: labels).labels!
        #expect(!near.peakIsInside && abs(near.distance - (16.0 + 25).squareRoot()) < 1e-12 && near.energyInside == 0)
    }
}

@Suite struct FolderRunnerTests {
    private func scans(_ count: Int) -> [FoundScan] {
        (0..<count).map {
            FoundScan(
                url: URL(fileURLWithPath: "/x/\($0).nii"), path: "\($0).nii", stem: "\($0)", name: "\($0)", labels: nil)
        }
    }

    @Test(arguments: [1, 2, 7]) func oneBadScanStopsNoOther(jobs: Int) {
        let seen = Mutex<[String]>([])
        let runner = FolderRunner(jobs: jobs) { event in
            if case .scanFailed(let scan, let failure) = event {
                seen.withLock { $0.append("\(scan.name): \(failure.found)") }
            }
        }
        let (summary, outcomes) = runner.run(scans(20)) { scan in
            if scan.name == "7" { throw Failure(.scan, scan.path, expected: "", found: "bad") }
            if scan.name == "9" { throw CocoaError(.fileNoSuchFile) }
            return scan.name == "3" ? .skipped : .done(ScanReport(results: .null))
        }
        #expect(summary.done == 17 && summary.skipped == 1 && summary.failed.map(\.scan.name) == ["7", "9"])
        #expect(outcomes.count == 20 && summary.exitCode == 1 && !summary.isInterrupted)
        #expect(seen.withLock { $0.count } == 2)
    }

    @Test(arguments: [1, 3]) func aStopLeavesTheRestUndone(jobs: Int) {
        let stop = StopRequest()
        let runner = FolderRunner(jobs: jobs, stop: stop) { _ in }
        let (summary, _) = runner.run(scans(50)) { scan in
            if scan.name == "10" { stop.make() }
            try stop.check()
            return .done(ScanReport(results: .null))
        }
        #expect(summary.isInterrupted && summary.exitCode == 130 && summary.failed.isEmpty)
        #expect(summary.done >= 8 && summary.done + summary.stopped == 50)
    }

    @Test("while one scan is written the next one's network runs, and never two at once", .timeLimit(.minutes(1)))
    func writingOverlapsWithTheNextScan() {
        let gate = Gate(places: 1)
        let inside = Mutex<(now: Int, most: Int)>((0, 0))
        let secondIsInside = DispatchSemaphore(value: 0)
        let (summary, _) = FolderRunner(jobs: 2) { _ in }.run(scans(6)) { scan in
            let turn = gate.take()
            inside.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            if scan.name == "1" { secondIsInside.signal() }
            inside.withLock { $0.now -= 1 }
            if scan.name == "4" { throw Failure(.scan, scan.path, expected: "", found: "bad") }
            turn.end()
            // What follows the gate in the first scan does not end before the second has passed it.
            if scan.name == "0" { secondIsInside.wait() }
            return .done(ScanReport(results: .null))
        }
        #expect(summary.done == 5 && summary.failed.count == 1 && inside.withLock { $0.most } == 1)
    }

    @Test func nothingWrongIsZero() {
        let (summary, _) = FolderRunner(jobs: 4) { _ in }.run(scans(3)) { _ in .skipped }
        #expect(summary.exitCode == 0 && summary.skipped == 3)
    }
}

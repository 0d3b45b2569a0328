import Failures
import Foundation
import Rendering
import Testing
import TestSupport

@testable import Reports

@Suite struct EventLogTests {
    @Test func checksums() {
        #expect(CRC32C.checksum("123456789".utf8) == 0xe306_9283)
        #expect(CRC32C.masked("123456789".utf8) == 0xc78a_b0e5)
        #expect(CRC32C.checksum([]) == 0)
    }

    @Test func firstRecord() {
        let hex = EventLog(wallTime: 1_700_000_000).bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(
            hex == "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d")
    }

    func sample() -> EventLog {
        var log = EventLog(wallTime: 1_700_000_000)
        log.addScalar("score/nodule", 2.5, step: 3)
        log.addScalar("score/nodule", 0, step: 4)
        log.addImage("overlay", png: Array(0..<64), width: 7, height: 5, channels: 3, step: 1)
        log.addHistogram("heat", [-1, 0, 2, 3, -.infinity, .nan, 0], buckets: 4, step: 2)
        log.addText("notes", "# notes\n热图 <b>")
        log.addHyperparameters(
            ["method": .text("gradcam"), "signed": .flag(false), "folds": .number(0)], metrics: ["score/nodule"])
        return log
    }

    /// `Tests/Reference/tensorboard_events.py` writes the same events with TensorBoard's own messages.
    @Test func sameBytesAsTensorBoardsMessages() throws {
        let expected = try [UInt8](
            Data(contentsOf: Fixtures.reference("reports/events.out.tfevents.1700000000.tomolens.0")))
        #expect(sample().bytes == expected)
    }

    @Test func histogramsCountEveryFiniteValue() {
        let histogram = Histogram([0, 0.5, 1, .nan, 4, .infinity, 4], buckets: 4)
        #expect(histogram.counts == [2, 1, 0, 2])
        #expect(histogram.limits == [1, 2, 3, .greatestFiniteMagnitude])
        #expect(histogram.count == 5 && histogram.sum == 9.5 && histogram.sumOfSquares == 33.25)
        let flat = Histogram([2, 2, 2], buckets: 30)
        #expect(flat.counts == [3] && flat.lowest == 2 && flat.highest == 2)
        #expect(Histogram([.nan], buckets: 4).limits.isEmpty)
    }

    @Test func aLogWrittenPieceByPieceIsTheSame() {
        let whole = sample().bytes
        var log = sample()
        var pieces = log.drained()
        log.addScalar("x", 1)
        pieces += log.drained()
        #expect(log.bytes.isEmpty && pieces.starts(with: whole) && pieces.count > whole.count)
    }

    @Test func pngFilesSayTheirSize() throws {
        let png = [UInt8](try PNG.encode(Picture(width: 7, height: 5, layout: .rgb, filledWith: .white)))
        var (told, found) = (EventLog(wallTime: 1), EventLog(wallTime: 1))
        told.addImage("a", png: png, width: 7, height: 5, channels: 3)
        try found.addImage("a", png: png)
        #expect(told.bytes == found.bytes)
        #expect(throws: Failure.self) { try found.addImage("a", png: Array(png.prefix(20))) }
        #expect(throws: Failure.self) { try found.addImage("a", png: [UInt8](repeating: 0, count: 99)) }
    }

    @Test func oldEventsOfOursGoAndOthersStay() throws {
        let folder = Fixtures.temporaryFolder("events")
        try EventLog(wallTime: 1).write(toFolder: folder)
        let other = folder.appendingPathComponent("events.out.tfevents.1.host.1.0")
        try Data().write(to: other)
        EventLog.removeEvents(from: folder)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [other.lastPathComponent])
        #expect(EventLog.folderName("../a b/<c>") == "_.._a_b__c_")
    }

    @Test func fileNameIsTensorBoards() throws {
        let folder = Fixtures.temporaryFolder("events")
        let url = try sample().write(toFolder: folder)
        #expect(url.lastPathComponent == "events.out.tfevents.1700000000.tomolens.0")
        #expect(try [UInt8](Data(contentsOf: url)) == sample().bytes)
    }
}

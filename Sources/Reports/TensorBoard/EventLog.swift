import Failures
import Foundation
import Rendering
import Volumes

/// What TensorBoard shows of a run: scalars, images, histograms, text and hyperparameters, as one event file.
///
/// Records are `length (u64 LE) · masked CRC-32C of the length · Event message · masked CRC-32C of the message`; messages are
/// those of TensorFlow's event.proto and summary.proto and of TensorBoard's hparams plugin. The bytes depend on nothing but
/// what is added and the time given.
public struct EventLog: Sendable {
    /// Seconds since 1970 that all events bear.
    public let wallTime: Double
    private var records: [UInt8] = []

    public init(wallTime: Double) {
        self.wallTime = wallTime
        record { $0.text(3, "brain.Event:2") }
    }

    /// The content that has not been drained yet: the whole file's where nothing has.
    public var bytes: [UInt8] { records }

    /// Gives the content and forgets it, for a log that is written piece by piece.
    public mutating func drained() -> [UInt8] {
        defer { records.removeAll(keepingCapacity: true) }
        return records
    }

    /// Seconds since 1970; what the variable SOURCE_DATE_EPOCH says where it is set, so that files can be made again as they were.
    public static var now: Double {
        ProcessInfo.processInfo.environment["SOURCE_DATE_EPOCH"].flatMap(Double.init) ?? Date().timeIntervalSince1970
    }

    /// A name for a run's folder, from any text: letters, digits, `.`, `_`, `-` and `+` stay.
    public static func folderName(_ text: String) -> String {
        let name = String(text.prefix(100).map { $0.isLetter || $0.isNumber || "._-+".contains($0) ? $0 : "_" })
        return name.isEmpty || name.hasPrefix(".") || name.hasPrefix("-") ? "_" + name : name
    }

    /// Text from the world that Markdown, and so TensorBoard, shows as it is.
    public static func plain(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if "\\`*_{}[]<>()#+-.!|~".unicodeScalars.contains(scalar) { result += "\\" }
            result.unicodeScalars.append(scalar.value < 0x20 ? " " : scalar)
        }
        return result
    }

    /// Removes event files that this program wrote into a run's folder; others stay.
    public static func removeEvents(from folder: URL) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        where name.hasPrefix("events.out.tfevents.") && name.hasSuffix(".tomolens.0") {
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
        }
    }

    /// Writes the file into `folder`, which TensorBoard shows as one run, and gives its place.
    ///
    /// - Throws: ``Failure`` of kind `.output`.
    @discardableResult
    public func write(toFolder folder: URL) throws -> URL {
        let url = url(in: folder)
        try AtomicFile.write(to: url) { try $0.write(records) }
        return url
    }

    /// The file's place in a run's folder, named as TensorBoard wants.
    public func url(in folder: URL) -> URL {
        let digits = String(Int(max(0, min(wallTime, 9_999_999_999))))
        let seconds = String(repeating: "0", count: max(0, 10 - digits.count)) + digits
        return folder.appendingPathComponent("events.out.tfevents.\(seconds).tomolens.0")
    }

    public mutating func addScalar(_ tag: String, _ value: Float, step: Int = 0) {
        summary(step) { summary in
            summary.text(1, tag)
            summary.presentFloat(2, value)
        }
    }

    public mutating func addImage(_ tag: String, _ picture: Picture, step: Int = 0) throws {
        addImage(
            tag, png: [UInt8](try PNG.encode(picture)), width: picture.width, height: picture.height,
            channels: picture.channels, step: step)
    }

    /// A PNG file as it is.
    ///
    /// - Throws: ``Failure`` of kind `.output` when `png` does not begin as a PNG file of grey, colour or colour with opacity.
    public mutating func addImage(_ tag: String, png: [UInt8], step: Int = 0) throws {
        let channels = png.count > 25 ? [0: 1, 2: 3, 3: 3, 4: 2, 6: 4][png[25]] : nil
        guard png.starts(with: [0x89, 0x50, 0x4e, 0x47]), let channels else {
            throw Failure(.output, tag, expected: "a PNG file", found: "\(png.count) bytes of something else")
        }
        func number(_ at: Int) -> Int { png[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
        addImage(tag, png: png, width: number(16), height: number(20), channels: channels, step: step)
    }

    /// - Parameter channels: 1 grey, 3 colour, 4 colour and opacity.
    public mutating func addImage(
        _ tag: String, png: [UInt8], width: Int, height: Int, channels: Int, step: Int = 0
    ) {
        summary(step) { summary in
            summary.text(1, tag)
            summary.message(4) { image in
                image.integer(1, height)
                image.integer(2, width)
                image.integer(3, channels)
                image.data(4, png)
            }
        }
    }

    /// Counts of the finite values in `buckets` equal steps from the smallest to the largest.
    public mutating func addHistogram(_ tag: String, _ values: [Float], buckets: Int = 64, step: Int = 0) {
        addHistogram(tag, Histogram(values, buckets: buckets), step: step)
    }

    /// Counts made elsewhere, of as many values as they sum up to, in equal steps of `range`; what lies beyond is counted at its ends.
    public mutating func addHistogram(
        _ tag: String, counts: [Int], over range: ClosedRange<Double>, lowest: Double, highest: Double, mean: Double,
        deviation: Double, step: Int = 0
    ) {
        let total = counts.reduce(0, +)
        let width = (range.upperBound - range.lowerBound) / Double(max(1, counts.count))
        var histogram = Histogram()
        histogram.count = total
        histogram.lowest = lowest
        histogram.highest = highest
        histogram.sum = mean * Double(total)
        histogram.sumOfSquares = (deviation * deviation + mean * mean) * Double(total)
        histogram.limits = counts.indices.map { place in
            place + 1 == counts.count
                ? .greatestFiniteMagnitude : range.lowerBound + width * Double(place + 1)
        }
        histogram.counts = counts.map(Double.init)
        addHistogram(tag, histogram, step: step)
    }

    private mutating func addHistogram(_ tag: String, _ histogram: Histogram, step: Int) {
        summary(step) { summary in
            summary.text(1, tag)
            summary.message(5) { message in
                message.double(1, histogram.lowest)
                message.double(2, histogram.highest)
                message.double(3, Double(histogram.count))
                message.double(4, histogram.sum)
                message.double(5, histogram.sumOfSquares)
                message.packedDoubles(6, histogram.limits)
                message.packedDoubles(7, histogram.counts)
            }
        }
    }

    /// Text, which TensorBoard takes for Markdown.
    public mutating func addText(_ tag: String, _ text: String, step: Int = 0) {
        summary(step) { summary in
            summary.text(1, tag + "/text_summary")
            summary.message(8) { tensor in
                // DT_STRING, of one element.
                tensor.integer(1, 7)
                tensor.message(2) { shape in shape.message(2) { $0.integer(1, 1) } }
                tensor.presentText(8, text)
            }
            summary.message(9) { metadata in metadata.message(1) { $0.text(1, "text") } }
        }
    }

    public enum Hyperparameter: Sendable, Hashable {
        case number(Double)
        case text(String)
        case flag(Bool)
    }

    /// The settings of the run and the tags of the scalars that it is judged by.
    public mutating func addHyperparameters(_ values: [String: Hyperparameter], metrics: [String] = []) {
        let names = values.keys.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        plugin("_hparams_/experiment") { content in
            content.message(2) { experiment in
                for name in names {
                    experiment.message(4) { info in
                        info.text(1, name)
                        switch values[name]! {
                        case .text: info.integer(4, 1)
                        case .flag: info.integer(4, 2)
                        case .number: info.integer(4, 3)
                        }
                    }
                }
                for metric in metrics {
                    experiment.message(5) { info in info.message(1) { $0.text(2, metric) } }
                }
            }
        }
        plugin("_hparams_/session_start_info") { content in
            content.message(3) { session in
                for name in names {
                    session.message(1) { entry in
                        entry.text(1, name)
                        entry.message(2) { value in
                            switch values[name]! {
                            case .number(let number): value.presentDouble(2, number)
                            case .text(let text): value.presentText(3, text)
                            case .flag(let flag): value.presentBool(4, flag)
                            }
                        }
                    }
                }
            }
        }
        // STATUS_SUCCESS.
        plugin("_hparams_/session_end_info") { content in content.message(4) { $0.integer(1, 1) } }
    }

    private mutating func plugin(_ tag: String, _ content: (inout Protobuf) -> Void) {
        let bytes = Protobuf(content).bytes
        summary(0) { summary in
            summary.text(1, tag)
            summary.message(9) { metadata in
                metadata.message(1) { data in
                    data.text(1, "hparams")
                    data.data(2, bytes)
                }
            }
        }
    }

    /// One event that holds one value.
    private mutating func summary(_ step: Int, _ build: (inout Protobuf) -> Void) {
        let value = Protobuf(build).bytes
        record { event in
            event.integer(2, step)
            event.message(5) { $0.presentData(1, value) }
        }
    }

    private mutating func record(_ build: (inout Protobuf) -> Void) {
        let message = Protobuf { event in
            event.double(1, wallTime)
            build(&event)
        }.bytes
        let length = withUnsafeBytes(of: UInt64(message.count).littleEndian) { Array($0) }
        func check(_ bytes: [UInt8]) -> [UInt8] {
            withUnsafeBytes(of: CRC32C.masked(bytes).littleEndian) { Array($0) }
        }
        records += length + check(length) + message + check(message)
    }
}

/// Finite values counted in even steps.
struct Histogram: Sendable {
    var count = 0
    var lowest = 0.0
    var highest = 0.0
    var sum = 0.0
    var sumOfSquares = 0.0
    /// Right edges; the last one is the largest number there is.
    var limits: [Double] = []
    var counts: [Double] = []

    init() {}

    init(_ values: [Float], buckets: Int) {
        let finite = values.lazy.filter(\.isFinite)
        guard let first = finite.first(where: { _ in true }) else { return }
        var (low, high) = (first, first)
        for value in finite {
            low = min(low, value)
            high = max(high, value)
            count += 1
            sum += Double(value)
            sumOfSquares += Double(value) * Double(value)
        }
        lowest = Double(low)
        highest = Double(high)
        let number = high > low ? max(1, buckets) : 1
        let width = (highest - lowest) / Double(number)
        limits = (1...number).map { $0 == number ? .greatestFiniteMagnitude : lowest + width * Double($0) }
        counts = [Double](repeating: 0, count: number)
        for value in finite {
            let place = width > 0 ? Int((Double(value) - lowest) / width) : 0
            counts[max(0, min(number - 1, place))] += 1
        }
    }
}

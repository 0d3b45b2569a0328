import CZlib
import Failures

/// A zip archive whose members are stored as they are: what goes in is compressed already.
///
/// Dates are those of the format's beginning, so that the same content has the same bytes.
struct StoredZip {
    private var bytes: [UInt8] = []
    private var directory: [UInt8] = []
    private var count = 0

    /// Adds a member; names are UTF-8 with `/`.
    ///
    /// - Throws: ``Failure`` of kind `.output` where sizes go beyond what the format without its 64-bit extension can say.
    mutating func add(_ name: String, _ content: [UInt8]) throws {
        guard content.count < Int(UInt32.max), bytes.count + content.count + 4096 < Int(UInt32.max), count < 65535
        else {
            throw Failure(
                .output, name, expected: "a session of less than 4 GiB", found: "\(bytes.count + content.count) bytes",
                remedy: "Use another viewer for this scan.")
        }
        let encoded = Array(name.utf8)
        let check = content.withUnsafeBufferPointer { crc32(crc32(0, nil, 0), $0.baseAddress, UInt32($0.count)) }
        let offset = bytes.count
        // Version 2.0, names in UTF-8, stored, 1 January 1980.
        var common = StoredZip.little(UInt16(20)) + StoredZip.little(UInt16(1 << 11)) + StoredZip.little(UInt16(0))
        common += StoredZip.little(UInt16(0)) + StoredZip.little(UInt16(0x21))
        common += StoredZip.little(UInt32(check)) + StoredZip.little(UInt32(content.count))
        common += StoredZip.little(UInt32(content.count)) + StoredZip.little(UInt16(encoded.count))
        common += StoredZip.little(UInt16(0))
        bytes += [0x50, 0x4b, 3, 4] + common + encoded
        bytes += content
        directory += [0x50, 0x4b, 1, 2] + StoredZip.little(UInt16(20)) + common
        // No comment, first disk, no attributes.
        directory += [UInt8](repeating: 0, count: 10) + StoredZip.little(UInt32(offset)) + encoded
        count += 1
    }

    /// The archive with its directory.
    func finished() throws -> [UInt8] {
        var end: [UInt8] = [0x50, 0x4b, 5, 6, 0, 0, 0, 0]
        end += StoredZip.little(UInt16(count)) + StoredZip.little(UInt16(count))
        end += StoredZip.little(UInt32(directory.count)) + StoredZip.little(UInt32(bytes.count)) + [0, 0]
        return bytes + directory + end
    }

    private static func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}

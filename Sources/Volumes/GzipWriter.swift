import CDeflate
import CZlib
import Failures
import Workers

/// Writes one gzip member (RFC 1952) that is compressed in parallel and has the same bytes at any number of threads.
///
/// The content is cut in pieces of fixed size. Each is compressed by itself and ends at a whole byte, so that the pieces put
/// end to end are one deflate stream (the way of pigz); the checksums of the pieces are combined.
struct GzipWriter: ~Copyable {
    private var checksum: UInt = 0
    private var length = 0

    /// A piece that is compressed.
    struct Part: Sendable {
        fileprivate var bytes: [UInt8]
        fileprivate var checksum: UInt
        fileprivate var length: Int

        init(compressing bytes: UnsafeRawBufferPointer) throws {
            self.bytes = try FastDeflate.blocks(bytes, isLast: false)
            checksum = UInt(libdeflate_crc32(0, bytes.baseAddress, bytes.count))
            length = bytes.count
        }
    }

    /// Time 0, no name, "unknown" operating system: nothing that differs from run to run.
    mutating func begin(_ file: inout AtomicFile.Writer) throws {
        (checksum, length) = (0, 0)
        try file.write([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
    }

    /// Appends `count` pieces; `piece(n)` compresses the nth and is called on several threads at once.
    mutating func append(_ count: Int, to file: inout AtomicFile.Writer, piece: (Int) throws -> Part) throws {
        // A bounded number of finished pieces waits in memory for its turn to be written, which is while the next are compressed.
        let window = max(16, 2 * Workers.shared.width)
        var finished: [Part] = []
        for first in stride(from: 0, to: count, by: window) {
            let parts = try Workers.shared.map(1 + min(window, count - first)) { index -> Part? in
                if index > 0 { return try piece(first + index - 1) }
                try put(finished, into: &file)
                return nil
            }
            finished = parts.compactMap { $0 }
        }
        try put(finished, into: &file)
    }

    private mutating func put(_ parts: [Part], into file: inout AtomicFile.Writer) throws {
        for part in parts {
            checksum = crc32_combine(checksum, part.checksum, part.length)
            length += part.length
            try file.write(part.bytes)
        }
        file.beginSaving()
    }

    mutating func end(_ file: inout AtomicFile.Writer) throws {
        var trailer = HeaderBytes(bytes: [3, 0] + [UInt8](repeating: 0, count: 8), bigEndian: false)
        // 3, 0 is an empty last block with fixed codes: it closes the stream that the pieces left open.
        trailer.setInt32(Int(truncatingIfNeeded: checksum), at: 2)
        trailer.setInt32(length, at: 6)
        try file.write(trailer.bytes)
    }
}

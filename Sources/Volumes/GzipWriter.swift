import CZlib
import Failures
import Workers

/// Writes one gzip member (RFC 1952) that is compressed in parallel and has the same bytes at any number of threads.
///
/// The content is cut in pieces of fixed size. Each is deflated by itself and ended by a sync flush, so that the pieces
/// put end to end are one deflate stream (the way of pigz); the checksums of the pieces are combined.
struct GzipWriter: ~Copyable {
    private let level: Int32
    private var checksum: UInt = 0
    private var length = 0

    /// - Parameter level: zlib's 1 (fast) to 9 (small).
    init(level: Int) { self.level = Int32(level) }

    /// Time 0, no name, "unknown" operating system: nothing that differs from run to run.
    mutating func begin(_ file: inout AtomicFile.Writer) throws {
        checksum = crc32(0, nil, 0)
        try file.write([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
    }

    /// A piece that is compressed.
    struct Part: Sendable {
        fileprivate var bytes: [UInt8]
        fileprivate var checksum: UInt
        fileprivate var length: Int
    }

    /// Appends `count` pieces; `piece(n, deflate)` calls `deflate` with the bytes of the nth and returns what that gives. It is
    /// called on several threads at once.
    mutating func append(
        _ count: Int, to file: inout AtomicFile.Writer,
        piece: (Int, (UnsafeRawBufferPointer) throws -> Part) throws -> Part
    ) throws {
        // A bounded number of finished pieces waits in memory for its turn to be written.
        let window = max(16, 2 * Workers.shared.width)
        for first in stride(from: 0, to: count, by: window) {
            let level = level
            let parts = try Workers.shared.map(min(window, count - first)) { offset in
                try piece(first + offset) { try Self.deflated($0, level: level) }
            }
            for part in parts {
                checksum = crc32_combine(checksum, part.checksum, part.length)
                length += part.length
                try file.write(part.bytes)
            }
        }
    }

    mutating func end(_ file: inout AtomicFile.Writer) throws {
        var trailer = HeaderBytes(bytes: [3, 0] + [UInt8](repeating: 0, count: 8), bigEndian: false)
        // 3, 0 is an empty last block with fixed codes: it closes the stream that the pieces left open.
        trailer.setInt32(Int(truncatingIfNeeded: checksum), at: 2)
        trailer.setInt32(length, at: 6)
        try file.write(trailer.bytes)
    }

    private static func deflated(_ bytes: UnsafeRawBufferPointer, level: Int32) throws -> Part {
        var zlib = z_stream()
        // A negative window asks for a bare deflate stream.
        let status = deflateInit2_(
            &zlib, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            throw Failure(.resources, "gzip", expected: "memory to compress", found: "none left")
        }
        defer { deflateEnd(&zlib) }
        // The flush marker takes up to six bytes more than the bound.
        let room = Int(deflateBound(&zlib, UInt(bytes.count))) + 16
        let input = bytes.assumingMemoryBound(to: UInt8.self)
        let out = [UInt8](unsafeUninitializedCapacity: room) { buffer, initialized in
            zlib.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            zlib.avail_in = UInt32(input.count)
            zlib.next_out = buffer.baseAddress!
            zlib.avail_out = UInt32(room)
            let status = deflate(&zlib, Z_SYNC_FLUSH)
            precondition(status == Z_OK && zlib.avail_in == 0, "a bound that does not hold")
            initialized = room - Int(zlib.avail_out)
        }
        let checksum = crc32(crc32(0, nil, 0), input.baseAddress, UInt32(input.count))
        return Part(bytes: out, checksum: checksum, length: bytes.count)
    }
}

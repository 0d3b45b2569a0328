import CZlib
import Failures
import Volumes

/// Compresses into zlib streams (RFC 1950), which a browser's `DecompressionStream("deflate")` reads and checks.
enum Deflate {
    /// What the bytes are like.
    enum Content {
        /// Differences of a noisy image, of which there are many: fast, and as small.
        case noise
        /// Anything else.
        case general
    }

    /// `bytes` compressed; the same bytes every time.
    ///
    /// - Parameter window: zlib's windowBits: 15 for a zlib stream, −15 for bare deflate.
    /// - Throws: ``Failure`` of kind `.resources` when memory is short.
    static func compress(_ bytes: [UInt8], as content: Content, window: Int32 = 15) throws -> [UInt8] {
        if content == .noise, window == 15 { return try bytes.withUnsafeBytes(FastDeflate.zlib) }
        var stream = z_stream()
        let status = deflateInit2_(
            &stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            throw Failure(.resources, "deflate", expected: "memory to compress", found: "none left")
        }
        defer { deflateEnd(&stream) }
        precondition(bytes.count <= Int(UInt32.max), "a piece of less than 4 GiB")
        let room = Int(deflateBound(&stream, UInt(bytes.count)))
        return [UInt8](unsafeUninitializedCapacity: room) { buffer, initialized in
            bytes.withUnsafeBufferPointer { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.avail_in = UInt32(input.count)
                stream.next_out = buffer.baseAddress
                stream.avail_out = UInt32(room)
                let status = deflate(&stream, Z_FINISH)
                precondition(status == Z_STREAM_END, "a bound that does not hold")
            }
            initialized = room - Int(stream.avail_out)
        }
    }
}

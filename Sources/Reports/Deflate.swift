import CZlib
import Failures

/// Compresses into zlib streams (RFC 1950), which a browser's `DecompressionStream("deflate")` reads and checks.
enum Deflate {
    /// What the bytes are like.
    enum Content {
        /// Differences of a noisy image: repeats are runs and nothing else, so none are searched for. Fast, and as small.
        case noise
        /// Anything else.
        case general

        fileprivate var level: Int32 { self == .noise ? 1 : 6 }
        fileprivate var strategy: Int32 { self == .noise ? Z_RLE : Z_DEFAULT_STRATEGY }
    }

    /// `bytes` compressed; the same bytes every time.
    ///
    /// - Parameter window: zlib's windowBits: 15 for a zlib stream, −15 for bare deflate.
    /// - Throws: ``Failure`` of kind `.resources` when memory is short.
    static func compress(_ bytes: [UInt8], as content: Content, window: Int32 = 15) throws -> [UInt8] {
        var stream = z_stream()
        let status = deflateInit2_(
            &stream, content.level, Z_DEFLATED, window, 8, content.strategy, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
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

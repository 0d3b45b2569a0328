import CNettle
import Failures
import Foundation

/// The SHA-256 digest (FIPS 180-4), by which scans, networks, settings and outputs are told apart.
public struct SHA256 {
    private var context = sha256_ctx()

    public init() { nettle_sha256_init(&context) }

    /// The digest of `data` as 64 hexadecimal digits.
    public static func hex(_ data: Data) -> String {
        var digest = SHA256()
        data.withUnsafeBytes { digest.update($0) }
        return digest.finish()
    }

    public static func hex(_ text: String) -> String { hex(Data(text.utf8)) }

    /// The digest of a file, read in pieces.
    ///
    /// - Throws: ``Failure`` of `kind` when the file cannot be read.
    public static func hex(ofFile url: URL, kind: Failure.Kind) throws -> String {
        func refused() -> Failure {
            Failure(kind, url.path, expected: "a readable file", found: String(cString: strerror(errno)))
        }
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw refused() }
        defer { close(descriptor) }
        var digest = SHA256()
        // A piece is still in the processor's cache when it is taken in.
        return try withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 64) { buffer in
            while true {
                let count = read(descriptor, buffer.baseAddress, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count < 0 { throw refused() }
                if count == 0 { return digest.finish() }
                digest.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty { return }
        nettle_sha256_update(&context, bytes.count, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
    }

    /// The digest of all that was taken in; afterwards the next digest begins.
    public mutating func finish() -> String {
        var digest = [UInt8](repeating: 0, count: 32)
        tomo_sha256_finish(&context, &digest)
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

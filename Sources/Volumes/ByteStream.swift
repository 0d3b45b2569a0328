import CZlib
import Failures
import Foundation

/// A file's content from front to back, decompressed on the way where it is gzip.
protocol ByteStream: AnyObject {
    /// Fills `buffer`; returns fewer bytes than asked for only at the end of the content.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
    /// No more than this many bytes can be in the whole content. Exact for plain files.
    var mostBytes: Int { get }
    /// What deserves a warning once the end was reached.
    var issues: [HeaderIssue] { get }
}

extension ByteStream {
    /// The next `count` bytes, or fewer at the end.
    func read(_ count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = try read(into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// Passes over `count` bytes; returns how many there were.
    @discardableResult
    func skip(_ count: Int) throws -> Int {
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: min(max(count, 1), 1 << 18), alignment: 16)
        defer { scratch.deallocate() }
        var passed = 0
        while passed < count {
            let piece = UnsafeMutableRawBufferPointer(rebasing: scratch[..<min(scratch.count, count - passed)])
            let got = try read(into: piece)
            passed += got
            if got < piece.count { break }
        }
        return passed
    }

    /// Reads to the end, so that a gzip checksum is verified; returns how many bytes were left.
    func drain() throws -> Int { try skip(.max) }
}

/// A regular file opened for reading from front to back.
final class PlainStream: ByteStream {
    let path: String
    let size: Int
    private let descriptor: Int32
    var mostBytes: Int { size }
    var issues: [HeaderIssue] { [] }

    /// - Throws: a `Failure` of kind `scan` when there is no such file, it is a folder or device, or may not be read.
    init(_ url: URL) throws {
        path = url.path
        // Without O_NONBLOCK a named pipe would wait for a writer that never comes.
        descriptor = open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            throw Failure(
                .scan, url.path, expected: "a readable file",
                found: code == ENOENT
                    ? "no file of this name" : "the system's answer '\(String(cString: strerror(code)))'",
                remedy: code == ENOENT ? "Check the path" : "Check the file's permissions")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            let isFolder = status.st_mode & S_IFMT == S_IFDIR
            close(descriptor)
            throw Failure(
                .scan, url.path, expected: "a regular file", found: isFolder ? "a folder" : "a device, socket or pipe",
                remedy: isFolder ? "Name one scan, or give the folder to the command that takes folders" : "")
        }
        size = Int(status.st_size)
    }

    deinit { close(descriptor) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let got = Foundation.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
            if got < 0 {
                if errno == EINTR { continue }
                throw Failure(
                    .scan, path, expected: "a file that can be read to its end",
                    found: "the system's answer '\(String(cString: strerror(errno)))'")
            }
            if got == 0 { break }
            filled += got
        }
        return filled
    }

    /// Fills `buffer`, which has the file's size, from the front, without moving the reading position. False when the file
    /// has become shorter or cannot be read.
    func readWhole(into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var filled = 0
        while filled < buffer.count {
            let got = pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, filled)
            if got < 0, errno == EINTR { continue }
            if got <= 0 { return false }
            filled += got
        }
        return true
    }

    /// Bytes at the front of the file, without moving the reading position.
    func peek(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = max(0, pread(descriptor, buffer.baseAddress!, count, 0))
        }
    }
}

/// The content of a gzip file (RFC 1952), all its members one after the other, each with its checksum and length verified.
final class GzipStream: ByteStream {
    private let file: PlainStream
    private var zlib = z_stream()
    private let input: UnsafeMutableRawBufferPointer
    private var inputEnded = false
    private var ended = false
    private(set) var issues: [HeaderIssue] = []

    /// A deflate stream cannot expand more than 1032 to 1: 258 bytes for two bits.
    var mostBytes: Int {
        let (product, overflow) = file.size.multipliedReportingOverflow(by: 1032)
        return overflow ? .max : product
    }

    init(_ file: PlainStream) {
        self.file = file
        input = .allocate(byteCount: 1 << 18, alignment: 64)
        // 16 asks zlib for the gzip wrapper, 15 for the largest window.
        let status = inflateInit2_(&zlib, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib refuses to start: \(status)")
    }

    deinit {
        inflateEnd(&zlib)
        input.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = 0
        while filled < buffer.count, !ended {
            if zlib.avail_in == 0 { try refill() }
            let room = min(buffer.count - filled, 1 << 30)
            zlib.next_out = (buffer.baseAddress! + filled).assumingMemoryBound(to: UInt8.self)
            zlib.avail_out = UInt32(room)
            let status = inflate(&zlib, Z_NO_FLUSH)
            filled += room - Int(zlib.avail_out)
            switch status {
            case Z_OK: break
            case Z_STREAM_END: try beginNextMember()
            case Z_BUF_ERROR where inputEnded && zlib.avail_in == 0:
                throw Failure(
                    .scan, file.path, expected: "a complete gzip stream",
                    found: "a file that ends after \(file.size) bytes, in the middle of the stream",
                    remedy: "The file was cut short: copy or download it again")
            case Z_BUF_ERROR: break
            case Z_MEM_ERROR:
                throw Failure(.resources, file.path, expected: "memory to decompress", found: "none left")
            default:
                throw corruption(zlib.msg.map { String(cString: $0) } ?? "zlib status \(status)")
            }
        }
        return filled
    }

    private func corruption(_ message: String) -> Failure {
        let remedy = "The file is damaged: copy or download it again"
        return switch message {
        case "incorrect data check":
            Failure(
                .scan, file.path, expected: "a gzip stream whose CRC-32 matches its content",
                found: "a wrong checksum after \(zlib.total_out) bytes", remedy: remedy)
        case "incorrect length check":
            Failure(
                .scan, file.path, expected: "a gzip stream as long as its last field says",
                found: "\(zlib.total_out) bytes", remedy: remedy)
        default:
            Failure(
                .scan, file.path, expected: "a valid gzip stream",
                found: "corrupt data after \(zlib.total_out) decompressed bytes (\(message))", remedy: remedy)
        }
    }

    /// Brings more compressed bytes in behind those not yet consumed.
    private func refill() throws {
        if inputEnded { return }
        let rest = Int(zlib.avail_in)
        if rest > 0 { memmove(input.baseAddress!, zlib.next_in, rest) }
        let free = UnsafeMutableRawBufferPointer(rebasing: input[rest...])
        let got = try file.read(into: free)
        inputEnded = got < free.count
        zlib.next_in = input.baseAddress!.assumingMemoryBound(to: UInt8.self)
        zlib.avail_in = UInt32(rest + got)
    }

    /// After a member: another one, the end, or bytes that are neither (zeros are customary padding).
    private func beginNextMember() throws {
        if zlib.avail_in < 2 { try refill() }
        if zlib.avail_in >= 2, zlib.next_in[0] == 0x1f, zlib.next_in[1] == 0x8b {
            inflateReset(&zlib)
            return
        }
        ended = true
        if zlib.avail_in > 0, zlib.next_in[0] != 0 {
            issues.append(
                HeaderIssue(
                    .warning, "gzip", problem: "bytes that are no gzip member follow the last one", handling: "ignored")
            )
        }
    }
}

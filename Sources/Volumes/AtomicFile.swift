import CThreads
import Failures
import Foundation
import Synchronization

/// Writes files so that one with its final name is always whole: a temporary name in the same folder, fsync, rename.
///
/// When anything fails, what stood under the final name before stays as it was and the temporary file is removed.
public enum AtomicFile {
    /// Where the bytes of one file go, in order.
    public struct Writer: ~Copyable {
        fileprivate let descriptor: Int32
        fileprivate let path: String
        /// Bytes written so far.
        public private(set) var position = 0

        fileprivate init(descriptor: Int32, path: String) {
            self.descriptor = descriptor
            self.path = path
        }

        /// Appends all of `bytes`, or throws a `Failure` of kind `output` (no space left, for example).
        public mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
            var offset = 0
            while offset < bytes.count {
                let written = Foundation.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
                if written < 0 {
                    if errno == EINTR { continue }
                    throw AtomicFile.failure(path, "a file that can be written to its end", errno)
                }
                offset += written
            }
            position += bytes.count
        }

        public mutating func write(_ bytes: [UInt8]) throws {
            try bytes.withUnsafeBytes { try write($0) }
        }

        /// Has the system begin to bring what was written to the disk, so that the wait for it at the end is short. Advice only.
        func beginSaving() { tomo_begin_saving(descriptor) }
    }

    private static let counter = Atomic<Int>(0)

    /// Creates or replaces `url` with what `body` writes. Missing folders on the way are made.
    ///
    /// - Parameter syncsFolder: whether the new name is safe from a power cut when this returns. Of many files that go to one
    ///   folder, none needs it, when ``syncFolder(_:)`` follows the last one.
    /// - Throws: what `body` throws, or a `Failure` of kind `output` that says what the system refused.
    public static func write(to url: URL, syncsFolder: Bool = true, _ body: (inout Writer) throws -> Void) throws {
        let folder = url.deletingLastPathComponent()
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                .output, folder.path, expected: "a folder that exists or can be made",
                found: "the system's answer '\(error.localizedDescription)'",
                remedy: "Check the path and its permissions")
        }
        // A long name leaves room for what is added to it: most file systems end at 255 bytes.
        let serial = counter.add(1, ordering: .relaxed).newValue
        let name = ".\(url.lastPathComponent.prefix(48)).\(getpid()).\(serial).partial"
        let temporary = folder.appendingPathComponent(name).path
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure(url.path, "a folder that can be written to", errno) }
        do {
            do {
                defer { close(descriptor) }
                var writer = Writer(descriptor: descriptor, path: url.path)
                try body(&writer)
                guard fsync(descriptor) == 0 else { throw failure(url.path, "a file that can be made durable", errno) }
            }
            guard rename(temporary, url.path) == 0 else {
                throw failure(url.path, "a name that can be given to the finished file", errno)
            }
        } catch {
            unlink(temporary)
            throw error
        }
        if syncsFolder { syncFolder(folder) }
    }

    /// Makes the names in a folder survive a power cut. A folder that cannot be synced (some network mounts) is no error.
    public static func syncFolder(_ folder: URL) {
        let handle = open(folder.path.isEmpty ? "." : folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { return }
        fsync(handle)
        close(handle)
    }

    /// Creates or replaces `url` with `data`.
    public static func write(_ data: Data, to url: URL, syncsFolder: Bool = true) throws {
        try write(to: url, syncsFolder: syncsFolder) { writer in try data.withUnsafeBytes { try writer.write($0) } }
    }

    /// Creates or replaces `url` with `text` in UTF-8.
    public static func write(_ text: String, to url: URL) throws {
        try write(to: url) { writer in try writer.write(Array(text.utf8)) }
    }

    private static func failure(_ path: String, _ expected: String, _ code: Int32) -> Failure {
        let remedy =
            switch code {
            case ENOSPC, EDQUOT: "Free some space or choose another output folder"
            case EACCES, EPERM, EROFS: "Choose a folder that you may write to"
            default: ""
            }
        return Failure(
            .output, path, expected: expected, found: "the system's answer '\(String(cString: strerror(code)))'",
            remedy: remedy)
    }
}

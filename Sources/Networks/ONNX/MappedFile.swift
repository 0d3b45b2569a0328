import Failures
import Foundation

/// A file's bytes, mapped into memory for as long as somebody holds the object.
///
/// Weights are used straight from the mapping: a network of half a gigabyte opens without being copied, and several
/// processes on one machine share its pages.
final class MappedFile: @unchecked Sendable {
    let url: URL
    let bytes: UnsafeRawBufferPointer

    /// - Throws: a ``Failure`` of kind `.network` when the file does not exist, cannot be read, or is empty.
    init(_ url: URL) throws {
        self.url = url
        let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { throw Self.missing(url) }
            throw Failure(
                .network, url.path, expected: "a file that can be read", found: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw Failure(
                .network, url.path, expected: "a file that can be read", found: String(cString: strerror(errno)))
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(
                .network, url.path, expected: "an ONNX file",
                found: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "something that is not a regular file",
                remedy: Self.remedyForFolder(url))
        }
        let size = Int(status.st_size)
        guard size > 0 else { throw Failure(.network, url.path, expected: "an ONNX file", found: "an empty file") }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
            throw Failure(
                .resources, url.path, expected: "a file of \(size) bytes that can be mapped into memory",
                found: String(cString: strerror(errno)))
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count) }

    private static func missing(_ url: URL) -> Failure {
        let siblings =
            (try? FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path)) ?? []
        let near = Nearest.match(url.lastPathComponent, in: siblings.sorted())
        return Failure(
            .network, url.path, expected: "an ONNX file", found: "no such file",
            remedy: near.map { "Did you mean '\($0)'?" } ?? "")
    }

    private static func remedyForFolder(_ url: URL) -> String {
        if FileManager.default.fileExists(atPath: url.appendingPathComponent("saved_model.pb").path) {
            return ForeignFormat.tensorFlowSavedModel.remedy
        }
        let inside = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
        return inside.sorted().first { $0.hasSuffix(".onnx") }.map { "It holds '\($0)'; name that file" } ?? ""
    }
}

/// A stretch of a mapped file.
struct MappedBytes: Sendable {
    let file: MappedFile
    let range: Range<Int>

    var count: Int { range.count }
    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }

    /// Takes a part that has been read out of memory, as far as it fills pages; it is read anew from the file if it is looked at again.
    func giveBack(_ part: Range<Int>) {
        let page = Int(getpagesize())
        let first = (range.lowerBound + part.lowerBound + page - 1) / page * page
        let end = (range.lowerBound + part.upperBound) / page * page
        guard end > first else { return }
        madvise(UnsafeMutableRawPointer(mutating: file.bytes.baseAddress! + first), end - first, MADV_DONTNEED)
    }

    /// The bytes as text; what is not UTF-8 is replaced.
    var text: String { String(decoding: buffer, as: UTF8.self) }
}

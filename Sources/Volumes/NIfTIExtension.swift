/// A header extension: bytes of any meaning between a NIfTI header and its voxels.
public struct NIfTIExtension: Sendable, Hashable {
    /// Plain text for people: the code that provenance is written under.
    public static let comment = 6

    /// The registered meaning: 2 DICOM, 4 AFNI, 6 comment …
    public var code: Int
    /// The payload; padded with zeros to the multiple of 16 that the file needs.
    public var payload: [UInt8]

    public init(code: Int, payload: [UInt8]) {
        self.code = code
        self.payload = payload
    }

    /// A comment (code 6) in UTF-8.
    public init(comment: String) { self.init(code: Self.comment, payload: Array(comment.utf8)) }

    /// The payload as text, without its padding.
    public var text: String {
        String(decoding: payload[..<(payload.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0)], as: UTF8.self)
    }

    /// Bytes in the file: 8 of its own in front, the whole a multiple of 16.
    var sizeInFile: Int { (payload.count + 8 + 15) / 16 * 16 }

    /// Reads the extensions in `bytes`, which begin with the four-byte extender that follows the header.
    static func parse(_ bytes: ArraySlice<UInt8>, bigEndian: Bool) -> (
        extensions: [NIfTIExtension], issues: [HeaderIssue]
    ) {
        guard bytes.count >= 4, bytes.first != 0 else { return ([], []) }
        var extensions: [NIfTIExtension] = []
        var issues: [HeaderIssue] = []
        var rest = bytes.dropFirst(4)
        while rest.count >= 16 {
            let fields = HeaderBytes(bytes: Array(rest.prefix(8)), bigEndian: bigEndian)
            let size = fields.int32(at: 0)
            // Padding up to the voxels is no broken extension.
            if size == 0, rest.allSatisfy({ $0 == 0 }) { break }
            guard size >= 16, size <= rest.count else {
                issues.append(
                    HeaderIssue(
                        .warning, "header extension \(extensions.count)",
                        problem: "a size of \(size) bytes where \(rest.count) are left before the voxels",
                        handling: "it and what follows it are not read"))
                break
            }
            if size % 16 != 0 {
                issues.append(
                    HeaderIssue(
                        .warning, "header extension \(extensions.count)",
                        problem: "a size of \(size), no multiple of 16",
                        handling: "read all the same"))
            }
            extensions.append(
                NIfTIExtension(code: fields.int32(at: 4), payload: Array(rest.dropFirst(8).prefix(size - 8))))
            rest = rest.dropFirst(size)
        }
        return (extensions, issues)
    }

    /// The bytes of `extensions` with the extender in front, as they follow a header.
    static func serialize(_ extensions: [NIfTIExtension]) -> [UInt8] {
        var bytes: [UInt8] = [extensions.isEmpty ? 0 : 1, 0, 0, 0]
        for item in extensions {
            var fields = HeaderBytes(bytes: [UInt8](repeating: 0, count: 8), bigEndian: false)
            fields.setInt32(item.sizeInFile, at: 0)
            fields.setInt32(item.code, at: 4)
            bytes += fields.bytes + item.payload
            bytes += [UInt8](repeating: 0, count: item.sizeInFile - 8 - item.payload.count)
        }
        return bytes
    }
}

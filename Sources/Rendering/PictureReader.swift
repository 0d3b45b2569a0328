import Failures
import Foundation

/// Reads pictures for the 2D path: PNG and JPEG, told apart by their first bytes, not by their names.
public enum PictureReader {
    /// What is refused before memory is asked for.
    public struct Limits: Sendable, Hashable {
        /// Width times height.
        public var pixels: Int
        /// The file as stored.
        public var bytes: Int

        public init(pixels: Int = 1 << 27, bytes: Int = 1 << 30) {
            self.pixels = pixels
            self.bytes = bytes
        }
    }

    /// The picture in a PNG or JPEG file.
    ///
    /// - Throws: a `Failure` of kind `scan`, about the file, for anything that is not a whole and sound picture within `limits`.
    public static func read(_ url: URL, limits: Limits = Limits()) throws -> Picture {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw Failure(
                .scan, url.path, expected: "a picture", found: "no file of this name", remedy: "Check the path")
        }
        if isFolder.boolValue {
            throw Failure(.scan, url.path, expected: "a picture", found: "a folder", remedy: "Name one file")
        }
        let data: Data
        do {
            let size = try url.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
            guard size <= limits.bytes else {
                throw Failure(
                    .scan, url.path, expected: "a picture of at most \(limits.bytes) bytes", found: "\(size) bytes")
            }
            data = try Data(contentsOf: url)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(
                .scan, url.path, expected: "a readable file",
                found: "the system's answer '\(error.localizedDescription)'",
                remedy: "Check its permissions")
        }
        do { return try decode(data, limits: limits) } catch let failure as Failure { throw failure.within(url.path) }
    }

    /// The picture in `data`, which holds a whole PNG or JPEG file. Throws as ``read(_:limits:)`` does, without the file's name.
    public static func decode(_ data: Data, limits: Limits = Limits()) throws -> Picture {
        let start = [UInt8](data.prefix(8))
        if start.starts(with: PNG.signature.prefix(4)) { return try PNG.decode(data, limits: limits) }
        if start.starts(with: [0xFF, 0xD8, 0xFF]) { return try JPEG.decode(data, limits: limits) }
        throw Failure(
            .scan, "", expected: "a PNG or JPEG picture", found: describe(start),
            remedy: "Convert the picture to PNG without loss")
    }

    /// Refuses sizes that are zero, overflow, or lie above `limits`; returns the bytes that the decoded picture takes.
    static func checkedByteCount(width: Int, height: Int, channels: Int, limits: Limits) throws -> Int {
        guard width >= 1, height >= 1 else {
            throw Failure(.scan, "", expected: "a picture with pixels", found: "a size of \(width)×\(height)")
        }
        let (pixels, overflow) = width.multipliedReportingOverflow(by: height)
        guard !overflow, pixels <= limits.pixels else {
            throw Failure(
                .scan, "", expected: "a picture of at most \(limits.pixels) pixels",
                found: "a size of \(width)×\(height)",
                remedy: "Crop or shrink it")
        }
        return pixels * channels
    }

    private static func describe(_ start: [UInt8]) -> String {
        if start.isEmpty { return "an empty file" }
        let known: [([UInt8], String)] = [
            ([0x47, 0x49, 0x46, 0x38], "a GIF picture"), ([0x42, 0x4D], "a BMP picture"),
            ([0x49, 0x49, 0x2A, 0x00], "a TIFF picture"), ([0x4D, 0x4D, 0x00, 0x2A], "a TIFF picture"),
            ([0x52, 0x49, 0x46, 0x46], "a RIFF file (WebP?)"), ([0x1F, 0x8B], "gzip data"),
            ([0x50, 0x4B], "a zip archive"),
        ]
        if let (_, name) = known.first(where: { start.starts(with: $0.0) }) { return name }
        return "a file that begins with "
            + start.map { String($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}

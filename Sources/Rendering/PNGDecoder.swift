import CPNG
import Failures
import Foundation

extension PNG {
    /// The picture in a whole PNG file: any colour type, bit depth and interlacing, as 8-bit samples.
    ///
    /// Grey stays `.gray`, RGB and palettes become `.rgb`, and whatever has transparency becomes `.rgba`. 16-bit samples are
    /// scaled to the nearest 8-bit value. Gamma and colour profiles are not applied: networks are trained on samples as stored.
    ///
    /// - Throws: a `Failure` of kind `scan` for a file that is damaged, truncated, or larger than `limits`.
    public static func decode(_ data: Data, limits: PictureReader.Limits = .init()) throws -> Picture {
        var message = [CChar](repeating: 0, count: 160)
        func failure(_ expected: String) -> Failure {
            let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            return Failure(
                .scan, "", expected: expected, found: "libpng's answer '\(text)'",
                remedy: "Copy or export the picture again")
        }
        return try data.withUnsafeBytes { raw in
            let bytes = raw.assumingMemoryBound(to: UInt8.self)
            guard bytes.count > signature.count else {
                throw Failure(
                    .scan, "", expected: "a PNG file of more than its signature", found: "\(bytes.count) bytes",
                    remedy: "The file is cut off: copy it again")
            }
            var header = tomolens_png_header()
            guard tomolens_png_read_header(bytes.baseAddress, bytes.count, &header, &message, message.count) == 1 else {
                throw failure("a PNG file with a sound header")
            }
            let layout: Picture.Layout = header.has_alpha != 0 ? .rgba : header.has_colour != 0 ? .rgb : .gray
            let (width, height) = (Int(header.width), Int(header.height))
            let count = try PictureReader.checkedByteCount(
                width: width, height: height, channels: layout.rawValue, limits: limits)
            // Deflate shrinks by 1032 at most, and a stored byte gives 32 of ours at most (eight palette pixels with alpha), so a
            // short file cannot hold a large picture: no memory for a claim alone.
            let stored = count / (32 * 1032)
            guard bytes.count >= stored else {
                throw Failure(
                    .scan, "", expected: "at least \(stored) bytes for \(width)×\(height) pixels",
                    found: "\(bytes.count) bytes",
                    remedy: "The file is cut off or lies about its size: copy it again")
            }
            var damaged = false
            let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                damaged =
                    tomolens_png_read_pixels(
                        bytes.baseAddress, bytes.count, buffer.baseAddress, count, &message, message.count) != 1
                initialized = damaged ? 0 : count
            }
            if damaged { throw failure("a PNG file with whole image data") }
            return Picture(width: width, height: height, layout: layout, pixels: pixels)
        }
    }
}

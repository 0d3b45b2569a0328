import CJPEG
import Failures
import Foundation

/// JPEG of 8 bits, grey or colour: reading (baseline and progressive), and writing where a small picture matters more than an
/// exact one.
public enum JPEG {
    /// The picture as a baseline JPEG file with full colour resolution; the same bytes for the same picture. Alpha is dropped.
    ///
    /// - Parameter quality: from 1 to 100.
    /// - Throws: a `Failure` of kind `resources`.
    public static func encode(_ picture: Picture, quality: Int) throws -> Data {
        precondition((1...100).contains(quality), "a quality from 1 to 100")
        guard let encoder = tjInitCompress() else {
            throw Failure(.resources, "", expected: "memory for writing a JPEG file", found: "too little")
        }
        defer { tjDestroy(encoder) }
        let picture = picture.layout == .rgba ? picture.rgb : picture
        let isGrey = picture.layout == .gray
        let format = Int32(isGrey ? TJPF_GRAY.rawValue : TJPF_RGB.rawValue)
        let sampling = Int32(isGrey ? TJSAMP_GRAY.rawValue : TJSAMP_444.rawValue)
        var buffer: UnsafeMutablePointer<UInt8>?
        var length: UInt = 0
        defer { tjFree(buffer) }
        let status = picture.pixels.withUnsafeBufferPointer { pixels in
            tjCompress2(
                encoder, pixels.baseAddress, Int32(picture.width), 0, Int32(picture.height), format, &buffer, &length,
                sampling, Int32(quality), TJFLAG_ACCURATEDCT)
        }
        guard status == 0, let buffer else {
            let text = tjGetErrorStr2(encoder).map { String(cString: $0) } ?? "no reason"
            throw Failure(
                .resources, "", expected: "memory for writing a JPEG file", found: "libjpeg-turbo's answer '\(text)'")
        }
        return Data(bytes: buffer, count: Int(length))
    }

    /// The picture in a whole JPEG file, `.gray` or `.rgb`.
    ///
    /// Samples are as libjpeg-turbo's accurate transform and smooth chroma upsampling give them, and as stored: neither an
    /// orientation tag nor a colour profile is applied.
    ///
    /// - Throws: a `Failure` of kind `scan` for a file that is damaged (even where a viewer would show the rest), truncated,
    ///   CMYK, or larger than `limits`.
    public static func decode(_ data: Data, limits: PictureReader.Limits = .init()) throws -> Picture {
        guard let decoder = tjInitDecompress() else {
            throw Failure(.resources, "", expected: "memory for reading a JPEG file", found: "too little")
        }
        defer { tjDestroy(decoder) }
        func failure(_ expected: String) -> Failure {
            let text = tjGetErrorStr2(decoder).map { String(cString: $0) } ?? "no reason"
            return Failure(
                .scan, "", expected: expected, found: "libjpeg-turbo's answer '\(text)'",
                remedy: "Copy or export the picture again")
        }
        return try data.withUnsafeBytes { raw in
            let bytes = raw.assumingMemoryBound(to: UInt8.self)
            let length = UInt(bytes.count)
            var width: Int32 = 0
            var height: Int32 = 0
            var subsampling: Int32 = 0
            var colourSpace: Int32 = 0
            guard
                tjDecompressHeader3(decoder, bytes.baseAddress, length, &width, &height, &subsampling, &colourSpace)
                    == 0
            else { throw failure("a JPEG file with a sound header") }
            // A file of tables alone has a header that is sound.
            guard width >= 1, height >= 1 else {
                throw Failure(
                    .scan, "", expected: "a JPEG file with a picture in it", found: "one without",
                    remedy: "The file is cut off: copy it again")
            }
            let layout: Picture.Layout
            switch colourSpace {
            case Int32(TJCS_GRAY.rawValue): layout = .gray
            case Int32(TJCS_RGB.rawValue), Int32(TJCS_YCbCr.rawValue): layout = .rgb
            default:
                throw Failure(
                    .scan, "", expected: "a grey or RGB JPEG picture", found: "one in CMYK", remedy: "Convert it to RGB"
                )
            }
            let count = try PictureReader.checkedByteCount(
                width: Int(width), height: Int(height), channels: layout.rawValue, limits: limits)
            let format = Int32(layout == .gray ? TJPF_GRAY.rawValue : TJPF_RGB.rawValue)
            var damaged = false
            let pixels = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                // A warning (a file cut off, a broken block filled with grey) returns an error as well: pixels that are not
                // the patient's must not be explained.
                damaged =
                    tjDecompress2(
                        decoder, bytes.baseAddress, length, buffer.baseAddress, width, 0, height, format,
                        TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0
                initialized = damaged ? 0 : count
            }
            if damaged { throw failure("a JPEG file with whole image data") }
            return Picture(width: Int(width), height: Int(height), layout: layout, pixels: pixels)
        }
    }
}

import Failures
import Foundation
import TestSupport
import Testing

@testable import Rendering

struct PNGTests {
    static let reference = try! SafeTensors(contentsOf: Fixtures.reference("rendering/pictures.safetensors"))
    static let names = reference.names.filter { $0.hasPrefix("png.") && $0.hasSuffix(".file") }.map {
        String($0.dropFirst(4).dropLast(5))
    }

    static func bytes(_ name: String) -> Data { Data(reference.integer(name)!.values.map { UInt8($0) }) }

    /// A picture with flat parts, ramps and noise, the same on every run.
    static func picture(_ layout: Picture.Layout, width: Int, height: Int) -> Picture {
        var state: UInt32 = 12345
        let pixels = (0..<width * height * layout.rawValue).map { index -> UInt8 in
            state = state &* 1_664_525 &+ 1_013_904_223
            let x = index / layout.rawValue % width
            return x < width / 3 ? 40 : x < 2 * width / 3 ? UInt8(truncatingIfNeeded: index / 3) : UInt8(state >> 24)
        }
        return Picture(width: width, height: height, layout: layout, pixels: pixels)
    }

    @Test(arguments: names) func everyKindReadsAsItWasAssembled(_ name: String) throws {
        let picture = try PictureReader.decode(PNGTests.bytes("png.\(name).file"))
        let expected = PNGTests.reference.integer("png.\(name).pixels")!
        #expect([picture.height, picture.width, picture.channels] == expected.shape)
        #expect(picture.pixels.map(Int64.init) == expected.values)
    }

    @Test(arguments: Picture.Layout.allCases, PNG.Filter.allCases)
    func whatIsWrittenReadsBack(_ layout: Picture.Layout, _ filter: PNG.Filter) throws {
        for (width, height) in [(1, 1), (1, 9), (7, 1), (2, 3), (61, 34)] {
            for level in [0, 1, 2, 6, 12] {
                let picture = PNGTests.picture(layout, width: width, height: height)
                let file = try PNG.encode(picture, options: .init(level: level, filter: filter))
                #expect(try PNG.decode(file) == picture)
                #expect(try PNG.encode(picture, options: .init(level: level, filter: filter)) == file)
            }
        }
    }

    @Test func commentsTravelAndDoNotDisturb() throws {
        let picture = PNGTests.picture(.rgb, width: 5, height: 4)
        let comments = [
            PNG.Comment(keyword: "Title", text: "Lunge, Schicht 3 · µ"), PNG.Comment(keyword: "Source", text: "a\0b"),
        ]
        let file = try PNG.encode(picture, options: .init(comments: comments))
        #expect(try PNG.decode(file) == picture)
        #expect(file.range(of: Data("iTXtTitle\0\0\0\0\0Lunge, Schicht 3 · µ".utf8)) != nil)
        #expect(file.range(of: Data("iTXtSource\0\0\0\0\0ab".utf8)) != nil)
    }

    @Test func sixteenBitsGoToTheNearestEight() throws {
        // Assembled by hand from the specification: a grey picture of 16 bits whose samples lie around two rounding edges.
        let expected = PNGTests.reference.integer("png.grey-16.pixels")!
        #expect(Set(expected.values).count > 50)
        #expect(try PNG.decode(PNGTests.bytes("png.grey-16.file")).layout == .gray)
        #expect(try PNG.decode(PNGTests.bytes("png.grey-alpha-16.file")).layout == .rgba)
    }

    @Test func luminanceAndThreeChannels() {
        let picture = Picture(width: 2, height: 1, layout: .rgba, pixels: [10, 20, 30, 0, 255, 255, 255, 9])
        #expect(picture.rgb.pixels == [10, 20, 30, 255, 255, 255])
        #expect(abs(picture.luminance[0] - (2.99 + 11.74 + 3.42)) < 1e-4)
        #expect(abs(picture.luminance[1] - 255) < 1e-4)
        let grey = Picture(width: 2, height: 1, layout: .gray, pixels: [7, 9])
        #expect(grey.rgb.pixels == [7, 7, 7, 9, 9, 9])
        #expect(grey.luminance == [7, 9])
        #expect(picture.colourVolumes.map { $0.voxels[0] } == [10, 20, 30])
    }
}

/// Pictures that are not whole: each is refused with a `Failure` of kind `scan` that says what stands there.
struct DamagedPictureTests {
    static let png = PNGTests.bytes("png.rgb-8.file")
    static let jpeg = PNGTests.bytes("jpeg.rgb-420.file")

    /// Where the JPEG file's first Huffman table begins.
    static let huffman = jpeg.range(of: Data([0xFF, 0xC4]))!.lowerBound

    /// A PNG file with the header fields of your choice and sound checksums.
    static func header(width: UInt32, height: UInt32, depth: UInt8 = 8, type: UInt8 = 2) -> Data {
        func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
        func chunk(_ kind: String, _ payload: [UInt8]) -> [UInt8] {
            let body = Array(kind.utf8) + payload
            var crc: UInt32 = ~0
            for byte in body {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
            }
            return big(UInt32(payload.count)) + body + big(~crc)
        }
        return Data(
            PNG.signature + chunk("IHDR", big(width) + big(height) + [depth, type, 0, 0, 0])
                + chunk("IDAT", [0x78, 0x9C, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]) + chunk("IEND", []))
    }

    static func changed(_ data: Data, at index: Int, by mask: UInt8 = 0x55) -> Data {
        var copy = data
        copy[index] ^= mask
        return copy
    }

    static let cases: [(name: String, data: Data, says: String)] = [
        ("nothing", Data(), "an empty file"),
        ("text", Data("hello, this is text".utf8), "begins with"),
        ("a GIF", Data("GIF89a...".utf8), "a GIF picture"),
        ("a TIFF", Data([0x49, 0x49, 0x2A, 0, 8, 0, 0, 0]), "a TIFF picture"),
        ("a gzip file", Data([0x1F, 0x8B, 8, 0]), "gzip data"),
        ("a PNG signature alone", Data(PNG.signature), "8 bytes"),
        ("half a PNG signature", Data(PNG.signature.prefix(5)), "5 bytes"),
        ("a PNG cut in its header", png.prefix(20), "ends too early"),
        ("a PNG cut in its pixels", png.prefix(png.count - 60), "ends too early"),
        ("a PNG without its end", png.prefix(png.count - 12), "ends too early"),
        ("a PNG with a wrong header checksum", changed(png, at: 30), "CRC"),
        ("a PNG with a wrong pixel checksum", changed(png, at: png.count - 13), "CRC"),
        ("a PNG with a changed pixel byte", changed(png, at: png.count - 40), "libpng"),
        ("a PNG with too little image data", header(width: 64, height: 64), "libpng"),
        ("a PNG of no width", header(width: 0, height: 5), "IHDR"),
        ("a PNG of an odd depth", header(width: 5, height: 5, depth: 5), "IHDR"),
        ("a PNG of an unknown colour type", header(width: 5, height: 5, type: 5), "IHDR"),
        ("a PNG palette without colours", header(width: 5, height: 5, type: 3), "PLTE"),
        ("a PNG that claims 4 billion pixels", header(width: 65_535, height: 65_535), "65535×65535"),
        ("a PNG whose size overflows", header(width: 0x7FFF_FFFF, height: 0x7FFF_FFFF), "2147483647×2147483647"),
        ("a small PNG that claims to be large", header(width: 8000, height: 8000), "bytes"),
        // libjpeg-turbo 2 reads a header without a picture in it, 3 refuses it: ours and its own words begin alike.
        ("a JPEG start alone", Data([0xFF, 0xD8, 0xFF]), "a JPEG file with a"),
        ("a JPEG cut in its header", jpeg.prefix(100), "a JPEG file with a"),
        ("a JPEG cut in its pixels", jpeg.prefix(jpeg.count - 200), "libjpeg-turbo"),
        ("a JPEG without its end", jpeg.prefix(jpeg.count - 2), "libjpeg-turbo"),
        ("a JPEG with a broken segment length", changed(jpeg, at: huffman + 2, by: 0x7F), "libjpeg-turbo"),
        ("a JPEG in CMYK", PNGTests.bytes("jpeg.cmyk.file"), "CMYK"),
    ]

    @Test(arguments: cases.indices) func isRefused(_ index: Int) throws {
        let (name, data, says) = DamagedPictureTests.cases[index]
        let failure = #expect(throws: Failure.self, "\(name)") { _ = try PictureReader.decode(Data(data)) }
        let found = try #require(failure)
        #expect(found.kind == .scan)
        #expect(found.description.contains(says), "\(name): \(found)")
    }

    /// Every prefix of a sound file, and every single changed byte: refused or read, never a crash, and a prefix never read.
    @Test func everyPrefixAndEveryByte() throws {
        for file in [PNGTests.bytes("png.grey-4-interlaced.file"), DamagedPictureTests.jpeg] {
            for count in 0..<file.count {
                #expect(throws: Failure.self, "\(count) of \(file.count) bytes") {
                    _ = try PictureReader.decode(file.prefix(count))
                }
            }
            for index in file.indices {
                _ = try? PictureReader.decode(DamagedPictureTests.changed(file, at: index, by: 0xFF))
            }
        }
    }

    @Test func limitsAndFilesNameTheFile() throws {
        let folder = Fixtures.temporaryFolder("pictures")
        let url = folder.appendingPathComponent("a picture.png")
        try DamagedPictureTests.png.write(to: url)
        #expect(try PictureReader.read(url).width == 13)
        let small = PictureReader.Limits(pixels: 116)
        let tooLarge = try #require(throws: Failure.self) { try PictureReader.read(url, limits: small) }
        #expect(tooLarge.description.contains("13×9") && tooLarge.subject.contains("a picture.png"))
        #expect(throws: Failure.self) { try PictureReader.read(url, limits: .init(bytes: 10)) }
        for missing in [folder, folder.appendingPathComponent("none.png")] {
            let failure = try #require(throws: Failure.self) { try PictureReader.read(missing) }
            #expect(failure.subject == missing.path)
        }
    }
}

struct JPEGTests {
    @Test(arguments: ["rgb-420", "rgb-444", "rgb-progressive", "grey"])
    func readsWhatPillowReads(_ name: String) throws {
        let picture = try PictureReader.decode(PNGTests.bytes("jpeg.\(name).file"))
        let expected = PNGTests.reference.integer("jpeg.\(name).pixels")!
        #expect([picture.height, picture.width, picture.channels] == expected.shape)
        // Both decoders are builds of libjpeg with the accurate transform; their colour conversions may round apart.
        let difference = zip(picture.pixels, expected.values).map { abs(Int64($0) - $1) }.max()!
        #expect(difference <= 1)
    }
}

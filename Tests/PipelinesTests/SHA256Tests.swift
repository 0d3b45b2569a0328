import Foundation
import Testing

@testable import Pipelines

@Suite struct SHA256Tests {
    /// The examples of FIPS 180-4 and its companion vectors.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ]) func publishedVectors(text: String, digest: String) {
        #expect(SHA256.hex(text) == digest)
    }

    @Test func aMillionLetters() {
        #expect(
            SHA256.hex(String(repeating: "a", count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func piecesOfAnySizeGiveTheSameDigest() {
        let data = Data((0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
        let whole = SHA256.hex(data)
        for size in [1, 3, 63, 64, 65, 127, 500] {
            var digest = SHA256()
            var start = 0
            while start < data.count {
                data[start..<min(data.count, start + size)].withUnsafeBytes { digest.update($0) }
                start += size
            }
            #expect(digest.finish() == whole)
        }
    }

    /// Against the system's own program, on a file larger than one reading piece.
    @Test func aFileAgreesWithSha256sum() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("sha-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: url) }
        var seed: UInt32 = 1
        try Data(
            (0..<(1 << 20) + 77).map { _ in
                seed = seed &* 1_664_525 &+ 1_013_904_223
                return UInt8(seed >> 24)
            }
        ).write(to: url)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["sha256sum", url.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(try SHA256.hex(ofFile: url, kind: .scan) == output.prefix(64))
    }
}

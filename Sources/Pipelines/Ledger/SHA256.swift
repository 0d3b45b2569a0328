import Failures
import Foundation

/// The SHA-256 digest (FIPS 180-4), by which scans, networks, settings and outputs are told apart.
public struct SHA256 {
    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19
    )
    private var pending: [UInt8] = []
    private var length: UInt64 = 0

    public init() {}

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
        guard let file = fopen(url.path, "rb") else {
            throw Failure(kind, url.path, expected: "a readable file", found: String(cString: strerror(errno)))
        }
        defer { fclose(file) }
        var digest = SHA256()
        let size = 1 << 20
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = fread(buffer.baseAddress!, 1, size, file)
            digest.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            if count == size { continue }
            if ferror(file) != 0 {
                throw Failure(kind, url.path, expected: "a readable file", found: String(cString: strerror(errno)))
            }
            return digest.finish()
        }
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        length += UInt64(bytes.count)
        var rest = bytes[...]
        if !pending.isEmpty {
            let taken = rest.prefix(64 - pending.count)
            pending += taken
            rest = rest.dropFirst(taken.count)
            if pending.count < 64 { return }
            pending.withUnsafeBytes { compress($0.baseAddress!, blocks: 1) }
            pending.removeAll()
        }
        let blocks = rest.count / 64
        if blocks > 0 {
            compress(UnsafeRawBufferPointer(rebasing: rest).baseAddress!, blocks: blocks)
            rest = rest.dropFirst(blocks * 64)
        }
        pending += rest
    }

    public mutating func finish() -> String {
        let bits = length * 8
        var tail: [UInt8] = [0x80]
        while (pending.count + tail.count) % 64 != 56 { tail.append(0) }
        tail += (0..<8).map { UInt8(truncatingIfNeeded: bits >> (56 - 8 * $0)) }
        tail.withUnsafeBytes { update($0) }
        let words = [state.0, state.1, state.2, state.3, state.4, state.5, state.6, state.7]
        return words.map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }.joined()
    }

    private mutating func compress(_ base: UnsafeRawPointer, blocks: Int) {
        var (h0, h1, h2, h3, h4, h5, h6, h7) = state
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
            Self.constants.withUnsafeBufferPointer { constants in
                for block in 0..<blocks {
                    let start = base + block * 64
                    for t in 0..<16 {
                        schedule[t] = UInt32(bigEndian: start.loadUnaligned(fromByteOffset: t * 4, as: UInt32.self))
                    }
                    for t in 16..<64 {
                        let a = schedule[t - 15]
                        let b = schedule[t - 2]
                        let s0 = Self.turn(a, 7) ^ Self.turn(a, 18) ^ (a &>> 3)
                        let s1 = Self.turn(b, 17) ^ Self.turn(b, 19) ^ (b &>> 10)
                        schedule[t] = schedule[t - 16] &+ s0 &+ schedule[t - 7] &+ s1
                    }
                    var (a, b, c, d, e, f, g, h) = (h0, h1, h2, h3, h4, h5, h6, h7)
                    for t in 0..<64 {
                        let s1 = Self.turn(e, 6) ^ Self.turn(e, 11) ^ Self.turn(e, 25)
                        let first = h &+ s1 &+ ((e & f) ^ (~e & g)) &+ constants[t] &+ schedule[t]
                        let s0 = Self.turn(a, 2) ^ Self.turn(a, 13) ^ Self.turn(a, 22)
                        let second = s0 &+ ((a & b) ^ (a & c) ^ (b & c))
                        (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
                    }
                    h0 &+= a
                    h1 &+= b
                    h2 &+= c
                    h3 &+= d
                    h4 &+= e
                    h5 &+= f
                    h6 &+= g
                    h7 &+= h
                }
            }
        }
        state = (h0, h1, h2, h3, h4, h5, h6, h7)
    }

    @inline(__always)
    private static func turn(_ word: UInt32, _ count: UInt32) -> UInt32 { (word &>> count) | (word &<< (32 &- count)) }

    /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes, computed exactly: the integer
    /// part of `cbrt(p) · 2³²` by bisection, its whole part cut off.
    private static let constants: [UInt32] = {
        var primes: [UInt64] = []
        var candidate: UInt64 = 2
        while primes.count < 64 {
            if !primes.contains(where: { candidate % $0 == 0 }) { primes.append(candidate) }
            candidate += 1
        }
        return primes.map { prime in
            // Largest r with r³ ≤ p · 2⁹⁶, in 128-bit halves.
            var low: UInt64 = 0
            var high: UInt64 = 1 << 35
            let limit = UInt128(prime) << 96
            while high - low > 1 {
                let middle = (low + high) / 2
                let cube = UInt128(middle) * UInt128(middle) * UInt128(middle)
                if cube <= limit { low = middle } else { high = middle }
            }
            return UInt32(truncatingIfNeeded: low)
        }
    }()
}

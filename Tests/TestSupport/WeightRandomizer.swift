import Foundation

/// Puts random numbers in the place of a network's weights: those nearest to the output first, as cascading randomization wants it
/// (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018).
public struct WeightRandomizer {
    private let bytes: [UInt8]
    /// Where the weights' bytes lie, in the order in which nodes read them.
    private let places: [Range<Int>]

    /// Tensors of weights that can be randomized.
    public var count: Int { places.count }

    /// - Parameter url: an ONNX file whose weights are float32 and lie in it as raw bytes.
    public init(contentsOf url: URL) throws {
        bytes = [UInt8](try Data(contentsOf: url))
        var weights: [String: Range<Int>] = [:]
        var reads: [String] = []
        for graph in Self.fields(bytes, 0..<bytes.count) where graph.number == 7 {
            for part in Self.fields(bytes, graph.range) {
                if part.number == 1 {
                    for field in Self.fields(bytes, part.range) where field.number == 1 {
                        reads.append(String(decoding: bytes[field.range], as: UTF8.self))
                    }
                }
                if part.number == 5 {
                    var (name, raw, isFloat) = ("", 0..<0, false)
                    for field in Self.fields(bytes, part.range) {
                        switch field.number {
                        case 2: isFloat = field.value == 1
                        case 8: name = String(decoding: bytes[field.range], as: UTF8.self)
                        case 9: raw = field.range
                        default: break
                        }
                    }
                    // Single numbers are scales and epsilons.
                    if isFloat, raw.count > 4 { weights[name] = raw }
                }
            }
        }
        var seen = Set<String>()
        places = reads.compactMap { name in seen.insert(name).inserted ? weights[name] : nil }
    }

    /// The file with the last `share` of its weights drawn anew, uniformly and as wide as the old ones.
    public func write(share: Double, seed: UInt64, to url: URL) throws {
        var result = bytes
        var numbers = SeededNumbers(seed)
        for place in places.suffix(Int((Double(places.count) * share).rounded(.up))) {
            let old = (0..<place.count / 4).map { index -> Float in
                let start = place.lowerBound + 4 * index
                let pattern = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
                return Float(bitPattern: pattern)
            }
            let width = (old.reduce(0) { $0 + $1 * $1 } / Float(old.count)).squareRoot()
            let drawn = numbers.tensor([old.count]).values
            let spread = (drawn.reduce(0) { $0 + $1 * $1 } / Float(drawn.count)).squareRoot()
            for (index, value) in drawn.enumerated() {
                let pattern = (value / spread * width).bitPattern
                for byte in 0..<4 {
                    result[place.lowerBound + 4 * index + byte] = UInt8(truncatingIfNeeded: pattern >> UInt32(8 * byte))
                }
            }
        }
        try Data(result).write(to: url)
    }

    private struct Field {
        let number: Int
        let value: UInt64
        /// Of the content, for fields with a length.
        let range: Range<Int>
    }

    private static func fields(_ bytes: [UInt8], _ range: Range<Int>) -> [Field] {
        var place = range.lowerBound
        func varint() -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while true {
                let byte = bytes[place]
                place += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte & 0x80 == 0 { return value }
                shift += 7
            }
        }
        var found: [Field] = []
        while place < range.upperBound {
            let key = varint()
            switch key & 7 {
            case 0: found.append(Field(number: Int(key >> 3), value: varint(), range: 0..<0))
            case 2:
                let length = Int(varint())
                found.append(Field(number: Int(key >> 3), value: 0, range: place..<place + length))
                place += length
            case 5: place += 4
            default: place += 8
            }
        }
        return found
    }
}

/// Fixed-offset fields in either byte order. Offsets are the caller's constants: one out of range is a bug.
struct HeaderBytes {
    var bytes: [UInt8]
    let bigEndian: Bool

    private func load<Field: FixedWidthInteger>(_ offset: Int, as type: Field.Type) -> Field {
        let raw = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Field.self) }
        return bigEndian ? Field(bigEndian: raw) : Field(littleEndian: raw)
    }

    private mutating func store<Field: FixedWidthInteger>(_ value: Field, _ offset: Int) {
        let ordered = bigEndian ? value.bigEndian : value.littleEndian
        bytes.withUnsafeMutableBytes { $0.storeBytes(of: ordered, toByteOffset: offset, as: Field.self) }
    }

    func uint8(at offset: Int) -> Int { Int(bytes[offset]) }
    func int16(at offset: Int) -> Int { Int(load(offset, as: Int16.self)) }
    func int32(at offset: Int) -> Int { Int(load(offset, as: Int32.self)) }
    func int64(at offset: Int) -> Int { Int(load(offset, as: Int64.self)) }
    func float32(at offset: Int) -> Double { Double(Float(bitPattern: load(offset, as: UInt32.self))) }
    func float64(at offset: Int) -> Double { Double(bitPattern: load(offset, as: UInt64.self)) }

    /// Text that ends at the first zero or after `count` bytes.
    func text(at offset: Int, count: Int) -> String {
        String(decoding: bytes[offset..<offset + count].prefix { $0 != 0 }, as: UTF8.self)
    }

    mutating func setUInt8(_ value: Int, at offset: Int) { bytes[offset] = UInt8(truncatingIfNeeded: value) }
    mutating func setInt16(_ value: Int, at offset: Int) { store(Int16(truncatingIfNeeded: value), offset) }
    mutating func setInt32(_ value: Int, at offset: Int) { store(Int32(truncatingIfNeeded: value), offset) }
    mutating func setInt64(_ value: Int, at offset: Int) { store(Int64(value), offset) }
    mutating func setFloat32(_ value: Double, at offset: Int) { store(Float(value).bitPattern, offset) }
    mutating func setFloat64(_ value: Double, at offset: Int) { store(value.bitPattern, offset) }

    /// Text cut at a character boundary to leave room for a closing zero.
    mutating func setText(_ text: String, at offset: Int, count: Int) {
        var fitting = text
        while fitting.utf8.count > count - 1 { fitting.removeLast() }
        for index in 0..<count { bytes[offset + index] = 0 }
        for (index, byte) in fitting.utf8.enumerated() { bytes[offset + index] = byte }
    }
}

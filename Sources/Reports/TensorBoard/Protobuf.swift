/// Writes messages of Protocol Buffers: fields in the order of their numbers, defaults left out, as the reference
/// implementations do.
struct Protobuf {
    private(set) var bytes: [UInt8] = []

    init(_ build: (inout Protobuf) -> Void = { _ in }) { build(&self) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private mutating func key(_ field: Int, _ wire: UInt64) { varint(UInt64(field) << 3 | wire) }

    private mutating func fixed<Bits: FixedWidthInteger>(_ bits: Bits) {
        withUnsafeBytes(of: bits.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func integer(_ field: Int, _ value: Int) {
        if value == 0 { return }
        key(field, 0)
        varint(UInt64(bitPattern: Int64(value)))
    }

    mutating func bool(_ field: Int, _ value: Bool) { integer(field, value ? 1 : 0) }

    mutating func double(_ field: Int, _ value: Double) {
        if value.bitPattern == 0 { return }
        key(field, 1)
        fixed(value.bitPattern)
    }

    /// Where a field that is set to its default differs from one that is not set (the cases of a `oneof`).
    mutating func presentDouble(_ field: Int, _ value: Double) {
        key(field, 1)
        fixed(value.bitPattern)
    }

    mutating func presentBool(_ field: Int, _ value: Bool) {
        key(field, 0)
        varint(value ? 1 : 0)
    }

    mutating func presentFloat(_ field: Int, _ value: Float) {
        key(field, 5)
        fixed(value.bitPattern)
    }

    mutating func data(_ field: Int, _ value: [UInt8]) {
        if value.isEmpty { return }
        presentData(field, value)
    }

    mutating func presentData(_ field: Int, _ value: [UInt8]) {
        key(field, 2)
        varint(UInt64(value.count))
        bytes += value
    }

    mutating func text(_ field: Int, _ value: String) { data(field, Array(value.utf8)) }

    mutating func presentText(_ field: Int, _ value: String) { presentData(field, Array(value.utf8)) }

    mutating func message(_ field: Int, _ build: (inout Protobuf) -> Void) {
        presentData(field, Protobuf(build).bytes)
    }

    mutating func packedDoubles(_ field: Int, _ values: [Double]) {
        if values.isEmpty { return }
        key(field, 2)
        varint(UInt64(8 * values.count))
        for value in values { fixed(value.bitPattern) }
    }
}

import Failures

/// Reads the fields of one protobuf message, in the order in which they stand, and never past the message's end.
///
/// The wire format: a field begins with a varint holding `number << 3 | type`; types are 0 varint, 1 eight bytes,
/// 2 length and bytes, 3 and 4 begin and end of a group, 5 four bytes (protobuf.dev, "Encoding").
struct WireReader {
    let file: MappedFile
    private(set) var position: Int
    let end: Int

    enum Content {
        case varint(UInt64)
        case eight(UInt64)
        case four(UInt32)
        case bytes(Range<Int>)
    }

    struct Field {
        let file: MappedFile
        /// Where in the file the field begins, for messages.
        let offset: Int
        let number: Int
        let content: Content
    }

    init(_ bytes: MappedBytes) {
        file = bytes.file
        position = bytes.range.lowerBound
        end = bytes.range.upperBound
    }

    /// The next field; groups, which no ONNX message uses, are stepped over.
    mutating func next() throws -> Field? {
        while position < end {
            let offset = position
            let key = try varint()
            let number = key >> 3
            guard number >= 1, number < 1 << 29 else {
                throw malformed(offset, expected: "a field number of 1 to 536870911", found: "\(number)")
            }
            if key & 7 == 3 {
                try skipGroup(Int(number), from: offset)
                continue
            }
            return Field(file: file, offset: offset, number: Int(number), content: try content(key & 7, offset))
        }
        return nil
    }

    private mutating func content(_ type: UInt64, _ offset: Int) throws -> Content {
        switch type {
        case 0: return .varint(try varint())
        case 1: return .eight(try fixed(UInt64.self))
        case 5: return .four(try fixed(UInt32.self))
        case 2:
            let length = try varint()
            guard length <= UInt64(end - position) else {
                throw malformed(
                    offset, expected: "a field that ends within its message (\(end - position) bytes left)",
                    found: "a length of \(length) bytes",
                    remedy: "The file is truncated or damaged; copy or export it again")
            }
            defer { position += Int(length) }
            return .bytes(position..<position + Int(length))
        default:
            throw malformed(offset, expected: "a protobuf wire type of 0, 1, 2, 3 or 5", found: "\(type)")
        }
    }

    private mutating func skipGroup(_ number: Int, from start: Int) throws {
        var open = [number]
        while !open.isEmpty {
            let offset = position
            let key = try varint()
            switch key & 7 {
            case 3: open.append(Int(truncatingIfNeeded: key >> 3))
            case 4:
                guard open.removeLast() == Int(truncatingIfNeeded: key >> 3) else {
                    throw malformed(offset, expected: "the end of the group at byte \(start)", found: "another's end")
                }
            default: _ = try content(key & 7, offset)
            }
        }
    }

    private mutating func varint() throws -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = file.bytes[position]
            position += 1
            if shift == 63, byte > 1 { break }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
            if shift > 63 { break }
        }
        throw malformed(
            start, expected: "a variable-length integer of at most 10 bytes",
            found: position >= end ? "the end of the message" : "a longer one",
            remedy: position >= end ? "The file is truncated or damaged; copy or export it again" : "")
    }

    private mutating func fixed<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        let size = MemoryLayout<T>.size
        guard end - position >= size else {
            throw malformed(
                position, expected: "\(size) bytes", found: "the end of the message",
                remedy: "The file is truncated or damaged; copy or export it again")
        }
        defer { position += size }
        return T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    func malformed(_ offset: Int, expected: String, found: String, remedy: String = "") -> Failure {
        Failure(.network, "byte \(offset)", expected: expected, found: found, remedy: remedy)
    }
}

extension WireReader.Field {
    func bytes() throws -> MappedBytes {
        guard case .bytes(let range) = content else { throw mismatch("bytes") }
        return MappedBytes(file: file, range: range)
    }

    func message() throws -> WireReader { WireReader(try bytes()) }

    func text() throws -> String { try bytes().text }

    func integer() throws -> Int {
        guard case .varint(let value) = content else { throw mismatch("an integer") }
        return Int(truncatingIfNeeded: value)
    }

    func float() throws -> Float {
        guard case .four(let bits) = content else { throw mismatch("a 32-bit float") }
        return Float(bitPattern: bits)
    }

    /// Appends a repeated integer field, packed or not.
    func appendIntegers(to list: inout [Int]) throws {
        guard case .bytes(let range) = content else { return list.append(try integer()) }
        var packed = WireReader(MappedBytes(file: file, range: range))
        while packed.position < packed.end { list.append(Int(truncatingIfNeeded: try packed.varint())) }
    }

    /// Appends a repeated 32-bit float field, packed or not.
    func appendFloats(to list: inout [Float]) throws {
        guard case .bytes(let range) = content else { return list.append(try float()) }
        try checkWhole(range, of: 4)
        list.reserveCapacity(list.count + range.count / 4)
        for offset in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
            let bits = file.bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            list.append(Float(bitPattern: UInt32(littleEndian: bits)))
        }
    }

    /// Appends a repeated 64-bit float field, packed or not.
    func appendDoubles(to list: inout [Double]) throws {
        guard case .bytes(let range) = content else {
            guard case .eight(let bits) = content else { throw mismatch("a 64-bit float") }
            return list.append(Double(bitPattern: bits))
        }
        try checkWhole(range, of: 8)
        for offset in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
            let bits = file.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            list.append(Double(bitPattern: UInt64(littleEndian: bits)))
        }
    }

    private func checkWhole(_ range: Range<Int>, of size: Int) throws {
        guard range.count % size == 0 else {
            throw Failure(
                .network, "byte \(offset)", expected: "packed numbers of \(size) bytes", found: "\(range.count) bytes")
        }
    }

    private func mismatch(_ wanted: String) -> Failure {
        Failure(
            .network, "byte \(offset)", expected: "\(wanted) in field \(number)", found: "another wire type",
            remedy: "The file is damaged or is not an ONNX model")
    }
}

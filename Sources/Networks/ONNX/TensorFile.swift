import Failures
import Foundation
import Tensors
import Workers

/// A TensorProto: a name, a type, a shape, and elements in one of three places (raw bytes, typed fields, another file).
struct TensorFile {
    var name = ""
    var typeNumber = 0
    var dims: [Int] = []
    private var raw: MappedBytes?
    private var floats: [Float] = []
    private var doubles: [Double] = []
    /// int32_data, int64_data or uint64_data: all are varints.
    private var integers: [Int] = []
    private var external: [String: String] = [:]
    private var isExternal = false

    init(_ message: WireReader) throws {
        var reader = message
        while let field = try reader.next() {
            switch field.number {
            case 1: try field.appendIntegers(to: &dims)
            case 2: typeNumber = try field.integer()
            case 4: try field.appendFloats(to: &floats)
            case 5, 7, 11: try field.appendIntegers(to: &integers)
            case 8: name = try field.text()
            case 9: raw = try field.bytes()
            case 10: try field.appendDoubles(to: &doubles)
            case 13:
                let (key, value) = try decodeEntry(field.message())
                external[key] = value
            case 14: isExternal = try field.integer() == 1
            default: break
            }
        }
    }

    private var subject: String { name.isEmpty ? "a tensor without a name" : "tensor '\(name)'" }

    private func failure(expected: String, found: String, remedy: String = "") -> Failure {
        Failure(.network, subject, expected: expected, found: found, remedy: remedy)
    }

    /// The elements, widened to one of the three kinds of ``Value``.
    ///
    /// float32 bytes that lie on a 4-byte boundary are borrowed from the mapping; all else is copied.
    /// - Throws: a ``Failure`` when the type is not read, an extent is negative or absurd, or lengths disagree.
    func value(files: ExternalFiles) throws -> Value {
        guard let type = ElementType(rawValue: typeNumber), let kind = type.kind else {
            throw failure(
                expected: "floats (16, 32 or 64 bits, or bfloat16), integers or booleans",
                found: ElementType.name(typeNumber))
        }
        let count = try elementCount(type)
        guard let bytes = try isExternal ? externalBytes(files, count * type.size) : raw else {
            return try typedValue(type, kind, count)
        }
        guard bytes.count == count * type.size else {
            throw failure(
                expected: "\(count * type.size) bytes for \(type) \(dims)", found: "\(bytes.count) bytes",
                remedy: "The file is truncated or damaged; copy or export it again")
        }
        switch kind {
        case .float: return .float(floatTensor(bytes, type, count))
        case .integer: return .integer(integerTensor(bytes, type, count))
        case .boolean:
            return .boolean(
                Tensor(shape: dims) { target in
                    for (index, byte) in bytes.buffer.enumerated() { target[index] = byte != 0 }
                })
        }
    }

    /// The product of the extents, checked so that no later arithmetic on bytes can overflow.
    private func elementCount(_ type: ElementType) throws -> Int {
        guard dims.count <= 64 else { throw failure(expected: "at most 64 axes", found: "\(dims.count)") }
        var count = 1
        for extent in dims {
            guard extent >= 0 else { throw failure(expected: "extents of at least 0", found: "\(dims)") }
            let (product, overflow) = count.multipliedReportingOverflow(by: extent)
            guard !overflow, product <= Int.max / 16 else {
                throw failure(expected: "a number of elements that fits in memory", found: "extents \(dims)")
            }
            count = product
        }
        return count
    }

    private func floatTensor(_ bytes: MappedBytes, _ type: ElementType, _ count: Int) -> Tensor<Float> {
        let source = bytes.buffer
        switch type {
        case .float32:
            if count > 0, Int(bitPattern: source.baseAddress!) % MemoryLayout<Float>.alignment == 0 {
                // The mapping is read-only and lives as long as the tensor that borrows it.
                let base = source.baseAddress!.assumingMemoryBound(to: Float.self)
                return Tensor(shape: dims, borrowing: base, ownedBy: bytes.file)
            }
            return Tensor(shape: dims) { target in
                let target = UnsafeMutableRawBufferPointer(target)
                // Piece by piece, each given back at once: half a gigabyte of weights should not be held twice.
                Workers.shared.forEachRange(source.count, grain: 16 << 20) { range in
                    UnsafeMutableRawBufferPointer(rebasing: target[range])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[range]))
                    bytes.giveBack(range)
                }
            }
        case .float16:
            return widen(source, UInt16.self) { Float(Float16(bitPattern: $0)) }
        case .bfloat16:
            return widen(source, UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        default:
            return widen(source, UInt64.self) { Float(Double(bitPattern: $0)) }
        }
    }

    private func widen<Bits: FixedWidthInteger & Sendable>(
        _ source: UnsafeRawBufferPointer, _ type: Bits.Type, _ convert: (Bits) -> Float
    ) -> Tensor<Float> {
        Tensor(shape: dims) { target in
            Workers.shared.forEachRange(target.count, grain: 1 << 16) { range in
                for index in range {
                    let bits = source.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self)
                    target[index] = convert(Bits(littleEndian: bits))
                }
            }
        }
    }

    private func integerTensor(_ bytes: MappedBytes, _ type: ElementType, _ count: Int) -> Tensor<Int64> {
        let source = bytes.buffer
        func read<T: FixedWidthInteger>(_: T.Type) -> Tensor<Int64> {
            Tensor(shape: dims) { target in
                for index in 0..<count {
                    let bits = source.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: T.self)
                    target[index] = Int64(clamping: T(littleEndian: bits))
                }
            }
        }
        switch type {
        case .uint8: return read(UInt8.self)
        case .int8: return read(Int8.self)
        case .uint16: return read(UInt16.self)
        case .int16: return read(Int16.self)
        case .int32: return read(Int32.self)
        case .uint32: return read(UInt32.self)
        case .uint64: return read(UInt64.self)
        default: return read(Int64.self)
        }
    }

    /// Elements that stand in float_data, double_data, int32_data, int64_data or uint64_data.
    private func typedValue(_ type: ElementType, _ kind: ElementType.Kind, _ count: Int) throws -> Value {
        func checked<T>(_ list: [T]) throws -> [T] {
            guard list.count == count else {
                throw failure(expected: "\(count) elements for \(type) \(dims)", found: "\(list.count)")
            }
            return list
        }
        switch kind {
        case .float:
            let list: [Float] =
                switch type {
                case .float32: try checked(floats)
                case .float64: try checked(doubles).map(Float.init)
                case .float16:
                    try checked(integers).map { Float(Float16(bitPattern: UInt16(truncatingIfNeeded: $0))) }
                default:
                    try checked(integers).map { Float(bitPattern: UInt32(UInt16(truncatingIfNeeded: $0)) << 16) }
                }
            return .float(Tensor(shape: dims, values: list))
        case .integer:
            return .integer(Tensor(shape: dims, values: try checked(integers).map(Int64.init)))
        case .boolean:
            return .boolean(Tensor(shape: dims, values: try checked(integers).map { $0 != 0 }))
        }
    }

    private func externalBytes(_ files: ExternalFiles, _ size: Int) throws -> MappedBytes {
        guard let location = external["location"] else {
            throw failure(expected: "the location of its external data", found: "none")
        }
        func number(_ key: String) throws -> Int? {
            guard let text = external[key] else { return nil }
            guard let number = Int(text), number >= 0 else {
                throw failure(expected: "a number of bytes as external data's \(key)", found: "'\(text)'")
            }
            return number
        }
        let offset = try number("offset") ?? 0
        let length = try number("length") ?? size
        do {
            let file = try files.file(location)
            guard offset <= file.bytes.count, length <= file.bytes.count - offset else {
                throw Failure(
                    .network, file.url.path, expected: "at least \(length) bytes from byte \(offset)",
                    found: "a file of \(file.bytes.count) bytes",
                    remedy: "The file is truncated or belongs to another model")
            }
            return MappedBytes(file: file, range: offset..<offset + length)
        } catch let failure as Failure { throw failure.within(subject) }
    }
}

/// The files beside a model that hold its large tensors, each mapped once.
final class ExternalFiles {
    private let folder: URL
    private var mapped: [String: MappedFile] = [:]

    init(besides model: URL) { folder = model.deletingLastPathComponent() }

    /// The file at `location`, which must lie in the model's folder or below it.
    func file(_ location: String) throws -> MappedFile {
        if let file = mapped[location] { return file }
        let parts = location.split(separator: "/", omittingEmptySubsequences: false)
        guard !location.isEmpty, !location.hasPrefix("/"), !location.contains("\0"), !location.contains("\\"),
            !parts.contains("..")
        else {
            throw Failure(
                .network, "external data", expected: "a path inside the model's folder", found: "'\(location)'",
                remedy: "A model may not name files elsewhere; put its data file beside it and export it again")
        }
        do {
            let file = try MappedFile(folder.appendingPathComponent(location))
            mapped[location] = file
            return file
        } catch var failure as Failure {
            if failure.found == "no such file" {
                failure.expected = "the data file that belongs to this model"
                failure.remedy =
                    "Copy '\(location)' beside the model, or export with the weights inside "
                    + "(torch.onnx.export(…, external_data=False))"
            }
            throw failure
        }
    }
}

/// Reads a file that holds one TensorProto: the form in which ONNX keeps test data (`input_0.pb`).
public enum TensorReader {
    /// - Returns: the tensor's name, its element type, and its elements, widened.
    /// - Throws: a ``Failure`` of kind `.network` that names the file.
    public static func read(_ url: URL) throws -> (name: String, type: ElementType, value: Value) {
        do {
            let file = try MappedFile(url)
            let tensor = try TensorFile(WireReader(MappedBytes(file: file, range: 0..<file.bytes.count)))
            let value = try tensor.value(files: ExternalFiles(besides: url))
            return (tensor.name, ElementType(rawValue: tensor.typeNumber)!, value)
        } catch let failure as Failure {
            throw failure.subject.hasPrefix(url.path) ? failure : failure.within(url.path)
        }
    }
}

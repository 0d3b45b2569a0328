/// The same numbers as another type.
///
/// Everything is held as 32-bit floats, 64-bit integers or booleans; a narrower type rounds (floats) or wraps (integers)
/// the numbers as it would, and is then held wide. A gradient passes from float to float.
struct Cast: Operator {
    static let types = ["Cast"]
    private let node: NodeDescription
    private let target: ElementType

    init(_ node: NodeDescription) throws {
        self.node = node
        guard let code = try node.int("to") else { throw node.failure(expected: "attribute 'to'", found: "none") }
        guard let target = ElementType(rawValue: code) else {
            throw node.failure(expected: "a type of numbers that can be held", found: "type code \(code)")
        }
        self.target = target
    }

    func forward(_ inputs: [Value?]) throws -> [Value] { [target.cast(try node.input(inputs, 0, "the tensor"))] }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        call.results { _ in target.isFloat ? call.gradient : nil }
    }
}

/// The same numbers as the kind of another tensor's.
struct CastLike: Operator {
    static let types = ["CastLike"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        return [try target(inputs).cast(value)]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let target = try target(call.inputs)
        return call.results { $0 == 0 && target.isFloat ? call.gradient : nil }
    }

    private func target(_ inputs: [Value?]) throws -> ElementType {
        switch try node.input(inputs, 1, "the tensor whose type is wanted") {
        case .float, .pending: .float
        case .integer: .int64
        case .boolean: .bool
        }
    }
}

/// The ONNX element types that can be held, by their codes in the file.
enum ElementType: Int, Sendable {
    case float = 1
    case uint8 = 2
    case int8 = 3
    case uint16 = 4
    case int16 = 5
    case int32 = 6
    case int64 = 7
    case bool = 9
    case float16 = 10
    case double = 11
    case uint32 = 12
    case uint64 = 13
    case bfloat16 = 16

    var isFloat: Bool { [.float, .double, .float16, .bfloat16].contains(self) }

    func cast(_ value: Value) -> Value {
        switch value {
        case .pending(let shape):
            if isFloat { return value }
            return self == .bool ? .booleanPlaceholder(shape) : .integerPlaceholder(shape)
        case .float(let tensor):
            if isFloat { return .float(rounded(tensor)) }
            if self == .bool { return .boolean(tensor.map { $0 != 0 }) }
            return .integer(wrapped(tensor.map { Int64(saturating: $0) }))
        case .integer(let tensor):
            if isFloat { return .float(rounded(tensor.map { Float($0) })) }
            if self == .bool { return .boolean(tensor.map { $0 != 0 }) }
            return .integer(wrapped(tensor))
        case .boolean(let tensor):
            if isFloat { return .float(tensor.map { $0 ? 1 : 0 }) }
            if self == .bool { return value }
            return .integer(tensor.map { $0 ? 1 : 0 })
        }
    }

    private func rounded(_ tensor: Tensor<Float>) -> Tensor<Float> {
        switch self {
        case .float16: tensor.map { Float(Float16($0)) }
        case .bfloat16:
            tensor.map { x in
                if x.isNaN { return x }
                // To the nearest of 16 leading bits, halves to even.
                let bits = x.bitPattern
                return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
            }
        default: tensor
        }
    }

    private func wrapped(_ tensor: Tensor<Int64>) -> Tensor<Int64> {
        switch self {
        case .uint8: tensor.map { Int64(UInt8(truncatingIfNeeded: $0)) }
        case .int8: tensor.map { Int64(Int8(truncatingIfNeeded: $0)) }
        case .uint16: tensor.map { Int64(UInt16(truncatingIfNeeded: $0)) }
        case .int16: tensor.map { Int64(Int16(truncatingIfNeeded: $0)) }
        case .uint32: tensor.map { Int64(UInt32(truncatingIfNeeded: $0)) }
        case .int32: tensor.map { Int64(Int32(truncatingIfNeeded: $0)) }
        default: tensor
        }
    }
}

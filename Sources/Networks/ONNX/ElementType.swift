/// The element types of ONNX tensors, by their numbers in onnx.proto.
public enum ElementType: Int, Sendable, CaseIterable {
    case float32 = 1
    case uint8 = 2
    case int8 = 3
    case uint16 = 4
    case int16 = 5
    case int32 = 6
    case int64 = 7
    case string = 8
    case bool = 9
    case float16 = 10
    case float64 = 11
    case uint32 = 12
    case uint64 = 13
    case complex64 = 14
    case complex128 = 15
    case bfloat16 = 16
    case float8e4m3fn = 17
    case float8e4m3fnuz = 18
    case float8e5m2 = 19
    case float8e5m2fnuz = 20
    case uint4 = 21
    case int4 = 22
    case float4e2m1 = 23
    case float8e8m0 = 24
    case uint2 = 25
    case int2 = 26

    /// Which kind of ``Tensors/Value`` holds elements of this type, or nil for types that TomoLens does not read.
    public var kind: Kind? {
        switch self {
        case .float32, .float16, .float64, .bfloat16: .float
        case .uint8, .int8, .uint16, .int16, .int32, .int64, .uint32, .uint64: .integer
        case .bool: .boolean
        default: nil
        }
    }

    public enum Kind: String, Sendable {
        case float, integer, boolean
    }

    /// Bytes of one element in `raw_data`, for the types that have a kind.
    var size: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16, .float16, .bfloat16: 2
        case .float32, .int32, .uint32: 4
        default: 8
        }
    }

    /// The name of a type number, known or not, for messages.
    static func name(_ number: Int) -> String {
        ElementType(rawValue: number).map { String(describing: $0) } ?? "element type \(number)"
    }
}

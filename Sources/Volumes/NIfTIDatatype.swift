/// How one voxel is stored: the `datatype` field of a NIfTI header.
public enum NIfTIDatatype: Int, Sendable, Hashable, CaseIterable {
    case uint8 = 2
    case int16 = 4
    case int32 = 8
    case float32 = 16
    case float64 = 64
    /// Red, green, blue, one byte each; read as Rec. 709 luminance.
    case rgb24 = 128
    case int8 = 256
    case uint16 = 512
    case uint32 = 768
    case int64 = 1024
    case uint64 = 1280
    /// Red, green, blue, alpha; read as Rec. 709 luminance, alpha ignored.
    case rgba32 = 2304

    public var bytes: Int {
        switch self {
        case .uint8, .int8: 1
        case .int16, .uint16: 2
        case .rgb24: 3
        case .int32, .float32, .uint32, .rgba32: 4
        case .float64, .int64, .uint64: 8
        }
    }

    public var isColour: Bool { self == .rgb24 || self == .rgba32 }
    public var isFloat: Bool { self == .float32 || self == .float64 }

    /// The name the standard's own tools use: "INT16".
    public var name: String { Self.name(ofCode: rawValue) }

    /// The name of any code of the standard, supported here or not.
    public static func name(ofCode code: Int) -> String {
        switch code {
        case 0: "UNKNOWN"
        case 1: "BINARY"
        case 2: "UINT8"
        case 4: "INT16"
        case 8: "INT32"
        case 16: "FLOAT32"
        case 32: "COMPLEX64"
        case 64: "FLOAT64"
        case 128: "RGB24"
        case 256: "INT8"
        case 512: "UINT16"
        case 768: "UINT32"
        case 1024: "INT64"
        case 1280: "UINT64"
        case 1536: "FLOAT128"
        case 1792: "COMPLEX128"
        case 2048: "COMPLEX256"
        case 2304: "RGBA32"
        default: "no datatype of the standard"
        }
    }

    /// Why a code of the standard is not read, or what to do about it.
    static func reasonForRefusal(ofCode code: Int) -> String {
        switch code {
        case 32, 1792, 2048: "Complex voxels are no intensities: save the magnitude or the part you mean as FLOAT32"
        case 1536: "128-bit floats mean different bytes on different machines: save the scan as FLOAT32 or FLOAT64"
        case 1: "One-bit voxels are not read: save the scan as UINT8"
        default: "Save the scan with a datatype of the standard: INT16 or FLOAT32, for example"
        }
    }
}

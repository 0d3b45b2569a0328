/// Turns the bytes of a file into floats: byte order, type, slope and intercept.
///
/// Scaling is done in double precision and rounded once, as nibabel's `get_fdata` followed by a cast to float32.
struct VoxelDecoder {
    let datatype: NIfTIDatatype
    let isBigEndian: Bool
    /// Nil where the file asks for no scaling, or for the scaling that changes nothing.
    let scaling: (slope: Double, inter: Double)?

    /// Decodes `count` voxels that lie packed at `raw`.
    func decode(_ raw: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>, count: Int) {
        switch datatype {
        case .uint8: decode(raw, out, count, as: UInt8.self)
        case .int8: decode(raw, out, count, as: Int8.self)
        case .int16: decode(raw, out, count, as: Int16.self)
        case .uint16: decode(raw, out, count, as: UInt16.self)
        case .int32: decode(raw, out, count, as: Int32.self)
        case .uint32: decode(raw, out, count, as: UInt32.self)
        case .int64: decode(raw, out, count, as: Int64.self)
        case .uint64: decode(raw, out, count, as: UInt64.self)
        case .float32: decode(raw, out, count, as: Float.self)
        case .float64: decode(raw, out, count, as: Double.self)
        case .rgb24: decodeColour(raw, out, count, stride: 3)
        case .rgba32: decodeColour(raw, out, count, stride: 4)
        }
    }

    @inline(__always)
    private func decode<Raw: StoredVoxel>(
        _ raw: UnsafeRawPointer, _ out: UnsafeMutablePointer<Float>, _ count: Int, as type: Raw.Type
    ) {
        let size = MemoryLayout<Raw.Pattern>.size
        // Four plain loops rather than one with tests inside: each vectorizes.
        if isBigEndian {
            if let (slope, inter) = scaling {
                for index in 0..<count {
                    let pattern = raw.loadUnaligned(fromByteOffset: index * size, as: Raw.Pattern.self).byteSwapped
                    out[index] = Float(Raw(pattern: pattern).double * slope + inter)
                }
            } else {
                for index in 0..<count {
                    let pattern = raw.loadUnaligned(fromByteOffset: index * size, as: Raw.Pattern.self).byteSwapped
                    out[index] = Raw(pattern: pattern).float
                }
            }
        } else if let (slope, inter) = scaling {
            for index in 0..<count {
                let pattern = raw.loadUnaligned(fromByteOffset: index * size, as: Raw.Pattern.self)
                out[index] = Float(Raw(pattern: pattern).double * slope + inter)
            }
        } else {
            for index in 0..<count {
                out[index] = Raw(pattern: raw.loadUnaligned(fromByteOffset: index * size, as: Raw.Pattern.self)).float
            }
        }
    }

    /// Luminance by ITU-R BT.709: 0.2126 R + 0.7152 G + 0.0722 B. Colours are never scaled.
    private func decodeColour(_ raw: UnsafeRawPointer, _ out: UnsafeMutablePointer<Float>, _ count: Int, stride: Int) {
        let bytes = raw.assumingMemoryBound(to: UInt8.self)
        for index in 0..<count {
            let pixel = bytes + index * stride
            out[index] = Float(0.2126 * Double(pixel[0]) + 0.7152 * Double(pixel[1]) + 0.0722 * Double(pixel[2]))
        }
    }
}

/// A numeric type as it lies in a file.
private protocol StoredVoxel {
    associatedtype Pattern: FixedWidthInteger & BitwiseCopyable
    init(pattern: Pattern)
    var float: Float { get }
    var double: Double { get }
}

extension StoredVoxel where Self: FixedWidthInteger, Pattern == Self {
    @inline(__always) init(pattern: Self) { self = pattern }
    @inline(__always) var float: Float { Float(self) }
    @inline(__always) var double: Double { Double(self) }
}

extension UInt8: StoredVoxel { typealias Pattern = UInt8 }
extension Int8: StoredVoxel { typealias Pattern = Int8 }
extension Int16: StoredVoxel { typealias Pattern = Int16 }
extension UInt16: StoredVoxel { typealias Pattern = UInt16 }
extension Int32: StoredVoxel { typealias Pattern = Int32 }
extension UInt32: StoredVoxel { typealias Pattern = UInt32 }
extension Int64: StoredVoxel { typealias Pattern = Int64 }
extension UInt64: StoredVoxel { typealias Pattern = UInt64 }

extension Float: StoredVoxel {
    @inline(__always) init(pattern: UInt32) { self.init(bitPattern: pattern) }
    @inline(__always) var float: Float { self }
    @inline(__always) var double: Double { Double(self) }
}

extension Double: StoredVoxel {
    @inline(__always) init(pattern: UInt64) { self.init(bitPattern: pattern) }
    @inline(__always) var float: Float { Float(self) }
    @inline(__always) var double: Double { self }
}

/// The fields of a NIfTI-1 or NIfTI-2 header, as they stand in the file: not repaired, not scaled to millimetres.
///
/// Enough to write another file on the same grid with its geometry copied field by field. Field names and meanings are
/// those of the standard (nifti1.h and nifti2.h, https://nifti.nimh.nih.gov).
public struct NIfTIHeader: Sendable, Hashable {
    public enum Version: Int, Sendable, Hashable {
        case one = 1
        case two = 2

        /// Bytes of the header itself: its first field says the same.
        public var headerSize: Int { self == .one ? 348 : 540 }
    }

    public var version: Version = .one
    /// Header and voxels in two files (`.hdr` and `.img`).
    public var isPair = false
    public var isBigEndian = false
    public var dimInfo = 0
    /// `dim[0]` axes, then the extent along each of seven.
    public var dim = [3, 1, 1, 1, 1, 1, 1, 1]
    public var intentP = [0.0, 0.0, 0.0]
    public var intentCode = 0
    public var intentName = ""
    /// The raw code; ``NIfTIDatatype`` names those that are read.
    public var datatype = NIfTIDatatype.float32.rawValue
    public var bitpix = 32
    public var sliceStart = 0
    public var sliceEnd = 0
    public var sliceCode = 0
    public var sliceDuration = 0.0
    /// `pixdim[0]` is qfac, the handedness of the qform; then the step along each of seven axes.
    public var pixdim = [1.0, 1, 1, 1, 1, 1, 1, 1]
    /// Where the voxels begin. A float in NIfTI-1, and so possibly no whole number.
    public var voxOffset = 0.0
    public var sclSlope = 1.0
    public var sclInter = 0.0
    public var xyztUnits = 2
    public var calMax = 0.0
    public var calMin = 0.0
    public var toffset = 0.0
    public var descrip = ""
    public var auxFile = ""
    public var qformCode = 0
    public var sformCode = 0
    /// quatern_b, quatern_c, quatern_d.
    public var quatern = [0.0, 0.0, 0.0]
    /// qoffset_x, qoffset_y, qoffset_z.
    public var qoffset = [0.0, 0.0, 0.0]
    /// srow_x, srow_y, srow_z: three rows of four.
    public var srow = [Double](repeating: 0, count: 12)

    public init() {}

    /// How many axes the header claims, 1 to 7 in a valid file.
    public var rank: Int { dim[0] }

    /// Extents along i, j, k, with 1 for axes that are not there.
    public var spatialShape: Index3 {
        Index3(rank >= 1 ? dim[1] : 1, rank >= 2 ? dim[2] : 1, rank >= 3 ? dim[3] : 1)
    }

    /// Extents of the fourth axis and on (time, channels …); empty for 2D and 3D files.
    public var furtherShape: [Int] { rank > 3 ? Array(dim[4...min(rank, 7)]) : [] }

    /// How many spatial volumes the file holds.
    public var volumeCount: Int { furtherShape.reduce(1, *) }
}

// MARK: - The layout in the file

extension NIfTIHeader {
    /// Parses the header in `bytes`, which are at least ``Version/headerSize`` long.
    init(version: Version, isBigEndian: Bool, bytes: [UInt8]) {
        self.init()
        self.version = version
        self.isBigEndian = isBigEndian
        var codec = Codec(fields: HeaderBytes(bytes: bytes, bigEndian: isBigEndian), isReading: true)
        visit(&codec)
        isPair = codec.fields.text(at: version == .one ? 344 : 4, count: 4).hasPrefix("ni")
    }

    /// The header as little-endian bytes, with the magic of its version and of its form (one file or two).
    func serialized() -> [UInt8] {
        let blank = [UInt8](repeating: 0, count: version.headerSize)
        var codec = Codec(fields: HeaderBytes(bytes: blank, bigEndian: false), isReading: false)
        var copy = self
        copy.visit(&codec)
        codec.fields.setInt32(version.headerSize, at: 0)
        codec.fields.setText((isPair ? "ni" : "n+") + "\(version.rawValue)", at: version == .one ? 344 : 4, count: 4)
        if version == .two { codec.fields.bytes.replaceSubrange(8..<12, with: [0x0d, 0x0a, 0x1a, 0x0a]) }
        if version == .one {
            // ANALYZE leftovers that old readers still look at: regular = 'r'.
            codec.fields.setUInt8(0x72, at: 38)
        }
        return codec.fields.bytes
    }

    /// Each field with its place, once: the same table reads and writes.
    private mutating func visit(_ codec: inout Codec) {
        switch version {
        case .one:
            codec.uint8(&dimInfo, 39)
            for axis in 0..<8 { codec.int16(&dim[axis], 40 + 2 * axis) }
            for index in 0..<3 { codec.float32(&intentP[index], 56 + 4 * index) }
            codec.int16(&intentCode, 68)
            codec.int16(&datatype, 70)
            codec.int16(&bitpix, 72)
            codec.int16(&sliceStart, 74)
            for axis in 0..<8 { codec.float32(&pixdim[axis], 76 + 4 * axis) }
            codec.float32(&voxOffset, 108)
            codec.float32(&sclSlope, 112)
            codec.float32(&sclInter, 116)
            codec.int16(&sliceEnd, 120)
            codec.uint8(&sliceCode, 122)
            codec.uint8(&xyztUnits, 123)
            codec.float32(&calMax, 124)
            codec.float32(&calMin, 128)
            codec.float32(&sliceDuration, 132)
            codec.float32(&toffset, 136)
            codec.text(&descrip, 148, 80)
            codec.text(&auxFile, 228, 24)
            codec.int16(&qformCode, 252)
            codec.int16(&sformCode, 254)
            for index in 0..<3 { codec.float32(&quatern[index], 256 + 4 * index) }
            for index in 0..<3 { codec.float32(&qoffset[index], 268 + 4 * index) }
            for index in 0..<12 { codec.float32(&srow[index], 280 + 4 * index) }
            codec.text(&intentName, 328, 16)
        case .two:
            codec.int16(&datatype, 12)
            codec.int16(&bitpix, 14)
            for axis in 0..<8 { codec.int64(&dim[axis], 16 + 8 * axis) }
            for index in 0..<3 { codec.float64(&intentP[index], 80 + 8 * index) }
            for axis in 0..<8 { codec.float64(&pixdim[axis], 104 + 8 * axis) }
            codec.offset(&voxOffset, 168)
            codec.float64(&sclSlope, 176)
            codec.float64(&sclInter, 184)
            codec.float64(&calMax, 192)
            codec.float64(&calMin, 200)
            codec.float64(&sliceDuration, 208)
            codec.float64(&toffset, 216)
            codec.int64(&sliceStart, 224)
            codec.int64(&sliceEnd, 232)
            codec.text(&descrip, 240, 80)
            codec.text(&auxFile, 320, 24)
            codec.int32(&qformCode, 344)
            codec.int32(&sformCode, 348)
            for index in 0..<3 { codec.float64(&quatern[index], 352 + 8 * index) }
            for index in 0..<3 { codec.float64(&qoffset[index], 376 + 8 * index) }
            for index in 0..<12 { codec.float64(&srow[index], 400 + 8 * index) }
            codec.int32(&sliceCode, 496)
            codec.int32(&xyztUnits, 500)
            codec.int32(&intentCode, 504)
            codec.text(&intentName, 508, 16)
            codec.uint8(&dimInfo, 524)
        }
    }

    private struct Codec {
        var fields: HeaderBytes
        let isReading: Bool

        mutating func uint8(_ value: inout Int, _ offset: Int) {
            if isReading { value = fields.uint8(at: offset) } else { fields.setUInt8(value, at: offset) }
        }
        mutating func int16(_ value: inout Int, _ offset: Int) {
            if isReading { value = fields.int16(at: offset) } else { fields.setInt16(value, at: offset) }
        }
        mutating func int32(_ value: inout Int, _ offset: Int) {
            if isReading { value = fields.int32(at: offset) } else { fields.setInt32(value, at: offset) }
        }
        mutating func int64(_ value: inout Int, _ offset: Int) {
            if isReading { value = fields.int64(at: offset) } else { fields.setInt64(value, at: offset) }
        }
        mutating func float32(_ value: inout Double, _ offset: Int) {
            if isReading { value = fields.float32(at: offset) } else { fields.setFloat32(value, at: offset) }
        }
        mutating func float64(_ value: inout Double, _ offset: Int) {
            if isReading { value = fields.float64(at: offset) } else { fields.setFloat64(value, at: offset) }
        }
        /// NIfTI-2 made the offset an integer.
        mutating func offset(_ value: inout Double, _ offset: Int) {
            if isReading { value = Double(fields.int64(at: offset)) } else { fields.setInt64(Int(value), at: offset) }
        }
        mutating func text(_ value: inout String, _ offset: Int, _ count: Int) {
            if isReading {
                value = fields.text(at: offset, count: count)
            } else {
                fields.setText(value, at: offset, count: count)
            }
        }
    }
}

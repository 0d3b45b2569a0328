import CNIfTI
import CVoxels
import Failures
import Foundation
import Workers

/// Writes volumes as NIfTI files that every viewer opens: `.nii` or, compressed, `.nii.gz`.
///
/// Writing is atomic (see ``AtomicFile``) and deterministic: the same volume and settings give the same bytes, on any
/// machine and any number of threads. A value that is not finite is refused.
public struct NIfTIWriter: Sendable {
    /// How voxels are stored.
    public enum Encoding: String, Sendable, Hashable, CaseIterable {
        /// Exact.
        case float32
        /// Two bytes a voxel; error at most half of 1/32767 of the largest magnitude, zero exact. Volumes of whole numbers
        /// within ±32767 (HU) are exact.
        case int16
        /// One byte a voxel; error at most half of 1/254 of the range, zero exact. Volumes of whole numbers from 0 to 255
        /// are exact.
        case uint8
        /// Label maps: whole numbers from 0 to 255, or the volume is refused.
        case label8
        /// Label maps: whole numbers from 0 to 65535, or the volume is refused.
        case label16

        var datatype: NIfTIDatatype {
            switch self {
            case .float32: .float32
            case .int16: .int16
            case .uint8, .label8: .uint8
            case .label16: .uint16
            }
        }

        var isLabel: Bool { self == .label8 || self == .label16 }
    }

    /// What the voxels mean: the intent code of the standard and a name of at most 15 bytes.
    public struct Intent: Sendable, Hashable {
        public var code: Int
        public var name: String

        public init(code: Int, name: String = "") {
            self.code = code
            self.name = name
        }

        public static let none = Intent(code: 0)
        /// An estimate of some parameter: what a heatmap is.
        public static func estimate(_ name: String) -> Intent { Intent(code: 1001, name: name) }
        /// Labels of regions. Some viewers switch to a label table on seeing it: never for heatmaps.
        public static let label = Intent(code: 1002)
        public static func dimensionless(_ name: String) -> Intent { Intent(code: 1011, name: name) }
    }

    public var encoding = Encoding.float32
    /// The header of the file that the volume's grid came from. Where it describes the very grid of the volume, its
    /// geometry (both forms, their codes, voxel sizes, units) is copied field by field; where not, only the meaning of its
    /// world space (the form code) is kept. Its version, NIfTI-1 or 2, is kept.
    public var reference: NIfTIHeader?
    /// What viewers show between black and full colour, as `cal_min` and `cal_max`.
    public var displayRange: ClosedRange<Double>?
    public var intent = Intent.none
    /// At most 79 bytes.
    public var description = ""
    /// Written between header and voxels, in this order.
    public var extensions: [NIfTIExtension] = []

    public init() {}

    /// Writes one volume as a 3D file.
    ///
    /// - Parameter url: Ends in `.nii` or `.nii.gz`.
    /// - Throws: A `Failure` of kind `output`: another ending, a value that is not finite or (for labels) not a whole number
    ///   in range, or what the system refuses.
    public func write(_ volume: Volume, to url: URL) throws { try write([volume], isSeries: false, to: url) }

    /// Writes volumes of one grid as a 4D file, the channels of a feature map for example.
    ///
    /// - Precondition: at least one volume, all on the same grid.
    /// - Throws: as ``write(_:to:)-(Volume,_)``.
    public func write(series volumes: [Volume], to url: URL) throws { try write(volumes, isSeries: true, to: url) }

    private func write(_ volumes: [Volume], isSeries: Bool, to url: URL) throws {
        precondition(!volumes.isEmpty && volumes.allSatisfy { $0.grid == volumes[0].grid }, "volumes of one grid")
        let name = url.lastPathComponent.lowercased()
        let isCompressed = name.hasSuffix(".nii.gz")
        guard isCompressed || name.hasSuffix(".nii") else {
            throw Failure(
                .output, url.path, expected: "a name that ends in .nii or .nii.gz", found: "'\(url.lastPathComponent)'")
        }
        let scale = try scale(for: volumes, path: url.path)
        let header = header(for: volumes[0].grid, count: isSeries ? volumes.count : nil, scale: scale)
        var front = header.serialized() + NIfTIExtension.serialize(extensions)
        front += [UInt8](repeating: 0, count: Int(header.voxOffset) - front.count)

        let pieceVoxels = 1 << 18
        let voxelCount = volumes[0].grid.count
        let perVolume = (voxelCount + pieceVoxels - 1) / pieceVoxels
        let pieces = perVolume * volumes.count
        func withPiece<Result>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
            let start = index % perVolume * pieceVoxels
            return try volumes[index / perVolume].voxels.withUnsafeBufferPointer { voxels in
                let piece = voxels[start..<min(voxelCount, start + pieceVoxels)]
                return try encode(UnsafeBufferPointer(rebasing: piece), scale, body)
            }
        }
        try AtomicFile.write(to: url) { file in
            if isCompressed {
                var gzip = GzipWriter()
                try gzip.begin(&file)
                try gzip.append(1, to: &file) { _ in try front.withUnsafeBytes(GzipWriter.Part.init(compressing:)) }
                try gzip.append(pieces, to: &file) { try withPiece($0, GzipWriter.Part.init(compressing:)) }
                try gzip.end(&file)
            } else {
                try file.write(front)
                for index in 0..<pieces { try withPiece(index) { try file.write($0) } }
            }
        }
    }

    // MARK: - Voxels

    /// value = stored · slope + inter.
    private struct Scale {
        var slope = 1.0
        var inter = 0.0
    }

    private func scale(for volumes: [Volume], path: String) throws -> Scale {
        var low = Float.infinity
        var high = -Float.infinity
        for volume in volumes {
            let statistics = VolumeStatistics(volume.voxels)
            guard statistics.finiteCount == statistics.count else {
                throw Failure(
                    .output, path, expected: "finite values only",
                    found: "\(statistics.nanCount) NaN and \(statistics.infiniteCount) infinite voxels",
                    remedy: "Viewers take their scale from such values: find out where they arise")
            }
            low = min(low, statistics.minimum)
            high = max(high, statistics.maximum)
        }
        if encoding == .float32 { return Scale() }
        let areWhole = volumes.allSatisfy(\.isWhole)
        let limits: ClosedRange<Float> =
            switch encoding {
            case .label8, .uint8: 0...255
            case .label16: 0...65535
            case .int16, .float32: -32767...32767
            }
        if areWhole, limits.contains(low), limits.contains(high) { return Scale() }
        if encoding.isLabel {
            throw Failure(
                .output, path,
                expected: "labels: whole numbers from \(Int(limits.lowerBound)) to \(Int(limits.upperBound))",
                found: areWhole ? "values from \(low) to \(high)" : "fractions between \(low) and \(high)")
        }
        if encoding == .int16 {
            return Scale(slope: Self.roundedUp(Double(max(abs(low), abs(high))) / 32767, bits: 24))
        }
        // Zero must be one of the 256 values. With 16 significant bits in the slope, slope · n is exact in float32 for n of
        // 8 bits, and stored zero times slope plus inter is exactly 0.
        let below = Double(min(low, 0))
        let above = Double(max(high, 0))
        let slope = Self.roundedUp((above - below) / 254, bits: 16)
        return Scale(slope: slope, inter: -slope * (-below / slope).rounded(.up))
    }

    /// The smallest number of `bits` significant bits that is not below `value`, and never zero.
    private static func roundedUp(_ value: Double, bits: Int) -> Double {
        let least = Double(Float.leastNormalMagnitude)
        guard value > least else { return least }
        let unit = value.binade * Double(sign: .plus, exponent: 1 - bits, significand: 1)
        return (value / unit).rounded(.up) * unit
    }

    /// Gives `body` the bytes that voxels are stored as, all processors we run on being little-endian.
    private func encode<Result>(
        _ voxels: UnsafeBufferPointer<Float>, _ scale: Scale, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        if encoding == .float32 { return try body(UnsafeRawBufferPointer(voxels)) }
        let size = voxels.count * encoding.datatype.bytes
        return try withUnsafeTemporaryAllocation(byteCount: size, alignment: 64) { bytes in
            let (from, to, count) = (voxels.baseAddress, bytes.baseAddress, Int64(voxels.count))
            switch encoding {
            case .float32: break
            case .int16: tomo_store_int16(from, scale.slope, scale.inter, -32767, 32767, to, count)
            case .uint8, .label8: tomo_store_uint8(from, scale.slope, scale.inter, 0, 255, to, count)
            case .label16: tomo_store_uint16(from, scale.slope, scale.inter, 0, 65535, to, count)
            }
            return try body(UnsafeRawBufferPointer(bytes))
        }
    }

    // MARK: - Header

    private func header(for grid: Grid, count: Int?, scale: Scale) -> NIfTIHeader {
        var header = geometryFields(for: grid)
        header.dim = [3, grid.shape.x, grid.shape.y, grid.shape.z, 1, 1, 1, 1]
        if let count {
            header.dim[0] = 4
            header.dim[4] = count
        }
        let largest = header.dim.max()!
        header.version = reference?.version == .two || largest > 32767 ? .two : .one
        header.datatype = encoding.datatype.rawValue
        header.bitpix = encoding.datatype.bytes * 8
        header.sclSlope = scale.slope
        header.sclInter = scale.inter
        header.calMin = displayRange?.lowerBound ?? 0
        header.calMax = displayRange?.upperBound ?? 0
        header.intentCode = intent.code
        header.intentName = intent.name
        header.descrip = description
        let front = header.version.headerSize + NIfTIExtension.serialize(extensions).count
        header.voxOffset = Double((front + 15) / 16 * 16)
        return header
    }

    private func geometryFields(for grid: Grid) -> NIfTIHeader {
        var header = NIfTIHeader()
        if let reference, reference.spatialShape == grid.shape {
            let geometry = reference.geometry()
            if geometry.isSound, geometry.affine == grid.affine {
                header.pixdim = Array(reference.pixdim[0...3]) + [1, 1, 1, 1]
                header.xyztUnits = reference.xyztUnits & 7
                header.qformCode = reference.qformCode
                header.sformCode = reference.sformCode
                header.quatern = reference.quatern
                header.qoffset = reference.qoffset
                header.srow = reference.srow
                return header
            }
        }
        header.setForms(grid.affine, code: reference.flatMap(\.worldCode) ?? 1, shape: grid.shape)
        return header
    }
}

extension NIfTIHeader {
    /// What world space the file's affine leads to (1 scanner, 2 aligned, 3 Talairach, 4 MNI …), where it says so.
    var worldCode: Int? { sformCode > 0 ? sformCode : qformCode > 0 ? qformCode : nil }

    /// Both forms for `affine` in millimetres. The sform is exact. The qform is the nearest that a rotation and voxel sizes
    /// can express; where that is not the same (a sheared grid), its code is 0 so that no reader takes it.
    mutating func setForms(_ affine: Affine, code: Int, shape: Index3) {
        xyztUnits = 2
        sformCode = code
        srow = affine.rows[0] + affine.rows[1] + affine.rows[2]
        var (b, c, d) = (0.0, 0.0, 0.0)
        var (x, y, z) = (0.0, 0.0, 0.0)
        var (dx, dy, dz, qfac) = (0.0, 0.0, 0.0, 0.0)
        nifti_dmat44_to_quatern(affine.niftiMatrix, &b, &c, &d, &x, &y, &z, &dx, &dy, &dz, &qfac)
        quatern = [b, c, d]
        qoffset = [x, y, z]
        pixdim = [qfac, dx, dy, dz, 1, 1, 1, 1]
        let grid = Grid(shape: shape, affine: affine)
        let qform = qformAffine
        let apart = grid.cornerIndices.map { (affine($0) - qform($0)).length }.max()!
        qformCode = apart <= 1e-3 * grid.spacing.min() ? code : 0
    }
}

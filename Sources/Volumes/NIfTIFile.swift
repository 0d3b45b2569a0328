import Failures
import Foundation
import Workers

/// Reads NIfTI-1 and NIfTI-2: `.nii`, `.hdr` with `.img`, either of them gzipped, in both byte orders.
///
/// Whether a file is gzip is told by its content, not by its name. Nothing is allocated on the word of a header before the
/// file proves large enough for it.
public enum NIfTIFile {
    /// Reads one volume.
    ///
    /// - Parameters:
    ///   - url: The `.nii` file, or either file of a pair.
    ///   - volume: Which of the volumes of a 4D to 7D file, counted in file order from 0. May be nil when there is only one.
    /// - Throws: A `Failure` of kind `scan`: not NIfTI, damaged, cut short, of an unreadable datatype, with more volumes than
    ///   one and none chosen, without a single finite voxel … of kind `resources` when memory cannot hold the volume.
    public static func read(_ url: URL, volume: Int? = nil) throws -> NIfTIImage {
        let (head, source) = try open(url)
        let header = head.header
        var issues = head.issues
        let index = try chosenVolume(volume, of: header, path: url.path)

        let datatype = try readableDatatype(header, path: url.path)
        if header.bitpix != datatype.bytes * 8 {
            issues.append(
                HeaderIssue(
                    .warning, "bitpix",
                    problem: "\(header.bitpix) bits where \(datatype.name) has \(datatype.bytes * 8)",
                    handling: "the datatype is believed"))
        }
        let shape = header.spatialShape
        let layout = try Layout(header, datatype: datatype, head: head, path: url.path)
        let voxelSource = try source ?? imageFile(for: url, layout: layout)
        try layout.check(against: voxelSource, header: header)

        let geometry = header.geometry()
        issues += geometry.issues
        let decoder = VoxelDecoder(
            datatype: datatype, isBigEndian: header.isBigEndian, scaling: scaling(header, datatype, &issues))
        let voxels: [Float]
        if let whole = header.volumeCount == 1 ? decodeWhole(voxelSource, layout: layout, decoder: decoder) : nil {
            voxels = whole
        } else {
            let start = layout.start + index * layout.volumeBytes - (source == nil ? 0 : head.bytesRead)
            voxels = try decode(voxelSource, skipping: start, volume: index, layout: layout, decoder: decoder)
            let left = try voxelSource.stream.drain() - (header.volumeCount - 1 - index) * layout.volumeBytes
            guard left >= 0 else { throw layout.truncation(at: layout.end + left, voxelSource) }
            if left > 0 {
                issues.append(
                    HeaderIssue(
                        .warning, "voxels", problem: "\(left) bytes follow the last voxel", handling: "ignored"))
            }
            issues += voxelSource.stream.issues
        }

        let statistics = VolumeStatistics(voxels)
        guard statistics.finiteCount > 0 else {
            throw Failure(
                .scan, url.path, expected: "finite voxels",
                found: "\(statistics.count) voxels, every one NaN or infinite",
                remedy: "The scan holds no image: check the step that wrote it")
        }
        if datatype.bytes >= 4, !datatype.isColour, datatype != .float32 {
            let largest = max(abs(statistics.minimum), abs(statistics.maximum))
            if largest > 16_777_216 {
                issues.append(
                    HeaderIssue(
                        .warning, "voxels", problem: "values up to \(largest) in \(datatype.name)",
                        handling: "rounded to the 24 significant bits of float32"))
            }
        }
        return NIfTIImage(
            volume: Volume(grid: Grid(shape: shape, affine: geometry.affine), voxels: voxels), header: header,
            extensions: head.extensions, volumeIndex: index, geometry: geometry, statistics: statistics, issues: issues)
    }

    /// Reads the header alone: no voxel is looked at, and the file may hold too few of them.
    ///
    /// - Throws: A `Failure` of kind `scan` when the file is not NIfTI or its dimensions make no sense.
    public static func readHeader(
        _ url: URL
    ) throws -> (header: NIfTIHeader, extensions: [NIfTIExtension], geometry: NIfTIGeometry, issues: [HeaderIssue]) {
        let head = try open(url).head
        let geometry = head.header.geometry()
        return (head.header, head.extensions, geometry, head.issues + geometry.issues)
    }

    /// Whether a file name is one of those that NIfTI goes by.
    public static func hasKnownName(_ url: URL) -> Bool {
        let name = url.lastPathComponent.lowercased()
        return [".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"].contains { name.hasSuffix($0) }
    }

    /// The other file of a pair (`.hdr` for an `.img` and the other way round), where it exists; nil for other names.
    public static func partner(of url: URL) -> URL? {
        let other = partner(of: url, from: "img", to: "hdr") ?? partner(of: url, from: "hdr", to: "img")
        return other.flatMap { FileManager.default.fileExists(atPath: $0.path) ? $0 : nil }
    }

    // MARK: - The header

    private struct Head {
        var header: NIfTIHeader
        var extensions: [NIfTIExtension]
        var issues: [HeaderIssue]
        /// Where in the file of the voxels the first one lies.
        var voxelStart: Int
        /// How far the stream stands after reading all this.
        var bytesRead: Int
    }

    private struct Source {
        var file: PlainStream
        /// The file's content: decompressed, where it is gzip.
        var stream: any ByteStream
        var path: String
        var isGzip: Bool
        var fileSize: Int
    }

    private static func open(_ url: URL) throws -> (head: Head, source: Source?) {
        let headerURL = headerFile(for: url)
        let file = try PlainStream(headerURL)
        let path = headerURL.path
        guard file.size > 0 else {
            throw Failure(
                .scan, path, expected: "a NIfTI file", found: "an empty file", remedy: "Copy or download it again")
        }
        let isGzip = file.peek(2) == [0x1f, 0x8b]
        let stream: any ByteStream = isGzip ? GzipStream(file) : file

        var bytes = try stream.read(4)
        guard let (version, isBigEndian) = identify(bytes) else { throw foreign(file, bytes, path: path) }
        bytes += try stream.read(version.headerSize - 4)
        guard bytes.count == version.headerSize else {
            throw Failure(
                .scan, path, expected: "a NIfTI-\(version.rawValue) header of \(version.headerSize) bytes",
                found: "\(bytes.count) bytes", remedy: "The file was cut short: copy or download it again")
        }
        try checkMagic(bytes, version: version, path: path)
        let header = NIfTIHeader(version: version, isBigEndian: isBigEndian, bytes: bytes)
        try checkDimensions(header, path: path)

        var issues: [HeaderIssue] = []
        let voxelStart = try voxelStart(header, &issues, path: path)
        // What lies between header and voxels are extensions; a header of its own ends with them.
        let between: Int
        if header.isPair {
            between = min(stream.mostBytes, 1 << 26)
        } else {
            let room = voxelStart - version.headerSize
            between = min(room, 1 << 26, max(0, stream.mostBytes - version.headerSize))
        }
        let extra = try stream.read(between)
        let (extensions, extensionIssues) = NIfTIExtension.parse(extra[...], bigEndian: isBigEndian)
        issues += extensionIssues
        let head = Head(
            header: header, extensions: extensions, issues: issues, voxelStart: voxelStart,
            bytesRead: version.headerSize + extra.count)
        if header.isPair { return (head, nil) }
        return (head, Source(file: file, stream: stream, path: path, isGzip: isGzip, fileSize: file.size))
    }

    /// The first field is the header's own size; read in the wrong byte order it is something else.
    private static func identify(_ bytes: [UInt8]) -> (NIfTIHeader.Version, isBigEndian: Bool)? {
        guard bytes.count == 4 else { return nil }
        for isBigEndian in [false, true] {
            let size = HeaderBytes(bytes: bytes, bigEndian: isBigEndian).int32(at: 0)
            if size == NIfTIHeader.Version.one.headerSize { return (.one, isBigEndian) }
            if size == NIfTIHeader.Version.two.headerSize { return (.two, isBigEndian) }
        }
        return nil
    }

    private static func checkMagic(_ bytes: [UInt8], version: NIfTIHeader.Version, path: String) throws {
        let start = version == .one ? 344 : 4
        let magic = Array(bytes[start..<start + 4])
        let allowed = ["n+\(version.rawValue)", "ni\(version.rawValue)"]
        if allowed.contains(where: { Array($0.utf8) + [0] == magic }) {
            guard version == .two, Array(bytes[8..<12]) != [0x0d, 0x0a, 0x1a, 0x0a] else { return }
            throw Failure(
                .scan, path, expected: "a NIfTI-2 signature ending in CR LF ^Z LF", found: "other bytes",
                remedy: "A transfer in text mode damaged the file: copy it again in binary mode")
        }
        if version == .one, magic[0] == 0 {
            throw Failure(
                .scan, path, expected: "the NIfTI magic 'n+1' or 'ni1'",
                found: "none: an ANALYZE 7.5 header, which does not record which side is left",
                remedy: "Convert it with a tool that knows how it was written")
        }
        let shown = String(decoding: magic.prefix { $0 != 0 }, as: UTF8.self).debugDescription
        throw Failure(
            .scan, path, expected: "the NIfTI magic 'n+\(version.rawValue)' or 'ni\(version.rawValue)'", found: shown,
            remedy: "The file is no NIfTI or its header is damaged")
    }

    private static func checkDimensions(_ header: NIfTIHeader, path: String) throws {
        guard (1...7).contains(header.rank) else {
            throw Failure(
                .scan, path, expected: "1 to 7 dimensions (dim[0])", found: "\(header.rank)",
                remedy: "The header is damaged")
        }
        for axis in 1...header.rank where header.dim[axis] < 1 {
            throw Failure(
                .scan, path, expected: "at least one voxel along every axis",
                found: "dim[\(axis)] = \(header.dim[axis])",
                remedy: "The header is damaged")
        }
        if (3000...3099).contains(header.intentCode), header.rank > 4 {
            throw Failure(
                .scan, path, expected: "a volume of voxels",
                found: "a CIFTI-2 matrix of brain connectivity (intent \(header.intentCode))")
        }
    }

    private static func voxelStart(_ header: NIfTIHeader, _ issues: inout [HeaderIssue], path: String) throws -> Int {
        let least = header.isPair ? 0 : header.version.headerSize + 4
        guard let offset = Int(exactly: header.voxOffset), offset >= 0 else {
            throw Failure(
                .scan, path, expected: "a whole, positive vox_offset", found: "\(header.voxOffset)",
                remedy: "The header is damaged")
        }
        if offset >= least { return offset }
        issues.append(
            HeaderIssue(
                .warning, "vox_offset", problem: "\(offset) lies inside the header",
                handling: "voxels are read from byte \(least)"))
        return least
    }

    private static func chosenVolume(_ volume: Int?, of header: NIfTIHeader, path: String) throws -> Int {
        // The product of dimensions may overflow on a lying header; Layout names that.
        let (count, overflow) = header.furtherShape.reduce((1, false)) { sum, extent in
            let (product, overflow) = sum.0.multipliedReportingOverflow(by: extent)
            return (product, sum.1 || overflow)
        }
        let shape = header.furtherShape.map(String.init).joined(separator: " × ")
        if overflow {
            throw Failure(.scan, path, expected: "dimensions that a file can hold", found: "\(shape) volumes")
        }
        if let volume {
            guard volume >= 0, volume < count else {
                throw Failure(
                    .scan, path, expected: "a volume from 0 to \(count - 1)", found: "volume \(volume) asked for",
                    remedy: "The file holds \(count) volume\(count == 1 ? "" : "s")")
            }
            return volume
        }
        guard count == 1 else {
            throw Failure(
                .scan, path, expected: "a 3D scan, or one chosen volume of a \(header.rank)D one",
                found: "\(count) volumes (\(header.dim[1]) × \(header.dim[2]) × \(header.dim[3]), \(shape) of them)",
                remedy: "Choose a volume from 0 to \(count - 1)")
        }
        return 0
    }

    private static func readableDatatype(_ header: NIfTIHeader, path: String) throws -> NIfTIDatatype {
        guard let datatype = NIfTIDatatype(rawValue: header.datatype) else {
            throw Failure(
                .scan, path, expected: "a datatype that can be read as one number a voxel",
                found: "datatype \(header.datatype) (\(NIfTIDatatype.name(ofCode: header.datatype)))",
                remedy: NIfTIDatatype.reasonForRefusal(ofCode: header.datatype))
        }
        return datatype
    }

    /// Slope and intercept where they mean something: a slope of 0 or one that is not finite says "unscaled".
    private static func scaling(
        _ header: NIfTIHeader, _ datatype: NIfTIDatatype, _ issues: inout [HeaderIssue]
    ) -> (slope: Double, inter: Double)? {
        let (slope, inter) = (header.sclSlope, header.sclInter)
        if datatype.isColour {
            issues.append(
                HeaderIssue(
                    .note, "datatype", problem: "\(datatype.name) colours",
                    handling: "read as Rec. 709 luminance, 0 to 255"))
            return nil
        }
        guard slope.isFinite else {
            issues.append(
                HeaderIssue(.warning, "scl_slope", problem: "it is \(slope)", handling: "voxels are not scaled"))
            return nil
        }
        if slope == 0 { return nil }
        guard inter.isFinite else {
            issues.append(
                HeaderIssue(.warning, "scl_inter", problem: "it is \(inter)", handling: "taken as 0"))
            return slope == 1 ? nil : (slope, 0)
        }
        return slope == 1 && inter == 0 ? nil : (slope, inter)
    }

    // MARK: - The voxels

    /// How the voxels lie in their file.
    private struct Layout {
        var start: Int
        var volumeVoxels: Int
        var volumeBytes: Int
        /// One past the last byte of the last volume.
        var end: Int
        var claim: String

        init(_ header: NIfTIHeader, datatype: NIfTIDatatype, head: Head, path: String) throws {
            let shape = header.spatialShape
            let claim =
                "\(header.dim[1...header.rank].map(String.init).joined(separator: " × ")) voxels of \(datatype.name)"
            func times(_ a: Int, _ b: Int) throws -> Int {
                let (product, overflow) = a.multipliedReportingOverflow(by: b)
                // Half of the range leaves the sums below without need of a check.
                guard !overflow, product < Int.max / 2 else {
                    throw Failure(
                        .scan, path, expected: "dimensions that a file can hold", found: claim,
                        remedy: "The header is damaged")
                }
                return product
            }
            self.claim = claim
            start = head.voxelStart
            guard start < Int.max / 4 else {
                throw Failure(.scan, path, expected: "a vox_offset inside the file", found: "\(start)")
            }
            volumeVoxels = try times(times(shape.x, shape.y), shape.z)
            volumeBytes = try times(volumeVoxels, datatype.bytes)
            end = try times(volumeBytes, header.volumeCount) + start
        }

        /// Refuses what the file cannot hold or the machine cannot, before anything is allocated.
        func check(against source: Source, header: NIfTIHeader) throws {
            if source.stream.mostBytes < end {
                guard source.stream.mostBytes > start else {
                    throw Failure(
                        .scan, source.path, expected: "voxels from byte \(start) on (vox_offset)",
                        found: "a file of \(source.fileSize) bytes\(source.isGzip ? ", compressed" : "")",
                        remedy: "The header is damaged or the file was cut short")
                }
                throw truncation(at: source.stream.mostBytes, isBound: source.isGzip, source)
            }
            let needed = volumeVoxels.multipliedReportingOverflow(by: 4)
            let memory = ProcessInfo.processInfo.physicalMemory
            guard !needed.overflow, UInt64(needed.partialValue) < memory else {
                throw Failure(
                    .resources, source.path, expected: "a volume that fits in \(memory >> 20) MiB of memory",
                    found: "\(claim), \(needed.partialValue >> 20) MiB as float32")
            }
        }

        /// - Parameter isBound: `found` is not how many bytes there are but the most that there can be.
        func truncation(at found: Int, isBound: Bool = false, _ source: Source) -> Failure {
            let isAbsurd = isBound || end / 64 > found
            return Failure(
                .scan, source.path,
                expected: "\(end) bytes\(source.isGzip ? " after decompression" : "") for \(claim)",
                found: "\(isBound ? "at most " : "")\(found)",
                remedy: isAbsurd
                    ? "The dimensions in the header cannot be right"
                    : "The file was cut short: copy or download it again")
        }
    }

    private static func decode(
        _ source: Source, skipping distance: Int, volume index: Int, layout: Layout, decoder: VoxelDecoder
    ) throws -> [Float] {
        let first = layout.start + index * layout.volumeBytes
        let missing = try distance - source.stream.skip(distance)
        if missing > 0 {
            throw layout.truncation(at: max(0, first - missing), source)
        }
        let size = decoder.datatype.bytes
        // A piece of raw bytes stays in the cache between inflating and converting.
        let pieceVoxels = 1 << 16
        let raw = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceVoxels * size, alignment: 64)
        defer { raw.deallocate() }
        return try [Float](unsafeUninitializedCapacity: layout.volumeVoxels) { voxels, initialized in
            var done = 0
            while done < layout.volumeVoxels {
                let count = min(pieceVoxels, layout.volumeVoxels - done)
                let piece = UnsafeMutableRawBufferPointer(rebasing: raw[..<(count * size)])
                let got = try source.stream.read(into: piece)
                guard got == piece.count else {
                    throw layout.truncation(at: first + done * size + got, source)
                }
                decoder.decode(raw.baseAddress!, into: voxels.baseAddress! + done, count: count)
                done += count
            }
            initialized = done
        }
    }

    /// The voxels of a sound gzip file of one volume, decompressed at once into the memory that the result takes anyway.
    /// Nil where that cannot be, whatever the reason: then ``decode(_:skipping:volume:layout:decoder:)`` tells it.
    ///
    /// The file's content comes to lie at the end of the memory. Floats are then made from the front on: as far as they
    /// reach no voxel that is still to be made on all threads, again and again, and the last ones by way of a small buffer.
    private static func decodeWhole(_ source: Source, layout: Layout, decoder: VoxelDecoder) -> [Float]? {
        let size = decoder.datatype.bytes
        guard source.isGzip, size <= MemoryLayout<Float>.size else { return nil }
        let total = layout.volumeVoxels
        let capacity = max(total, (layout.end + 3) / 4)
        let voxels = [Float](unsafeUninitializedCapacity: capacity) { out, initialized in
            let memory = UnsafeMutableRawBufferPointer(start: out.baseAddress!, count: capacity * 4)
            HugePages.advise(memory)
            let content = UnsafeMutableRawBufferPointer(rebasing: memory[(memory.count - layout.end)...])
            guard WholeGzip.decompress(source.file, into: content) else { return }
            let result = out.baseAddress!
            let first = memory.count - layout.end + layout.start
            func raw(_ voxel: Int) -> UnsafeRawPointer { UnsafeRawPointer(memory.baseAddress! + first + voxel * size) }
            let grain = 1 << 16
            var done = 0
            while true {
                let end = min(total, (first + done * size) / 4)
                if end - done < grain { break }
                let start = done
                Workers.shared.forEachRange(end - start, grain: grain) { range in
                    let voxel = start + range.lowerBound
                    decoder.decode(raw(voxel), into: result + voxel, count: range.count)
                }
                done = end
            }
            withUnsafeTemporaryAllocation(byteCount: grain * size, alignment: 64) { buffer in
                while done < total {
                    let count = min(grain, total - done)
                    buffer.copyMemory(from: UnsafeRawBufferPointer(start: raw(done), count: count * size))
                    decoder.decode(buffer.baseAddress!, into: result + done, count: count)
                    done += count
                }
            }
            initialized = total
        }
        return voxels.isEmpty ? nil : voxels
    }

    // MARK: - Pairs

    /// For the `.img` of a pair its `.hdr`; any other name as it is.
    private static func headerFile(for url: URL) -> URL {
        partner(of: url, from: "img", to: "hdr") ?? url
    }

    private static func imageFile(for url: URL, layout: Layout) throws -> Source {
        let header = headerFile(for: url)
        guard let image = partner(of: header, from: "hdr", to: "img"),
            FileManager.default.fileExists(atPath: image.path)
        else {
            throw Failure(
                .scan, header.path, expected: "the voxels of this header in a file beside it, named .img or .img.gz",
                found: "no such file", remedy: "Bring both files of the pair into one folder")
        }
        let file = try PlainStream(image)
        // Raw voxels may begin with gzip's two magic bytes by chance: a file of the right size is taken as it is.
        let isNamedGzip = image.lastPathComponent.lowercased().hasSuffix(".gz")
        let isGzip = file.peek(2) == [0x1f, 0x8b] && (isNamedGzip || file.size < layout.end)
        return Source(
            file: file, stream: isGzip ? GzipStream(file) : file, path: image.path, isGzip: isGzip, fileSize: file.size)
    }

    /// `a.img.gz` → `a.hdr` or `a.hdr.gz`, whichever exists (the one with the same ending first).
    private static func partner(of url: URL, from: String, to: String) -> URL? {
        let name = url.lastPathComponent
        let lower = name.lowercased()
        let isGzip = lower.hasSuffix(".\(from).gz")
        guard isGzip || lower.hasSuffix(".\(from)") else { return nil }
        let suffix = name.suffix(from.count + 1 + (isGzip ? 3 : 0))
        let stem = name.dropLast(suffix.count)
        let isUpper = suffix.uppercased() == suffix
        let endings = isGzip ? [".\(to).gz", ".\(to)"] : [".\(to)", ".\(to).gz"]
        let candidates = endings.map {
            url.deletingLastPathComponent().appendingPathComponent(stem + (isUpper ? $0.uppercased() : $0))
        }
        return candidates.first { FileManager.default.fileExists(atPath: $0.path) } ?? candidates[0]
    }

    // MARK: - Not NIfTI

    /// Names what the file seems to be instead.
    private static func foreign(_ file: PlainStream, _ start: [UInt8], path: String) -> Failure {
        let bytes = file.peek(160)
        let kinds: [(magic: [UInt8], offset: Int, name: String, remedy: String)] = [
            (Array("DICM".utf8), 128, "a DICOM file", "Convert the series with dcm2niix"),
            (Array("NRRD".utf8), 0, "an NRRD file", "Convert it with SimpleITK or 3D Slicer"),
            (Array("ObjectType".utf8), 0, "a MetaImage header", "Convert it with SimpleITK or 3D Slicer"),
            (Array("NDims".utf8), 0, "a MetaImage header", "Convert it with SimpleITK or 3D Slicer"),
            (
                Array("\u{89}".unicodeScalars.map { UInt8($0.value) }) + Array("HDF".utf8), 0, "an HDF5 or MINC file",
                "Convert it with mnc2nii"
            ),
            ([0x89, 0x50, 0x4e, 0x47], 0, "a PNG image", ""),
            ([0xff, 0xd8, 0xff], 0, "a JPEG image", ""),
            ([0x50, 0x4b, 0x03, 0x04], 0, "a zip archive", "Unpack it first"),
            (Array("BZh".utf8), 0, "a bzip2 file", "Unpack it first"),
            ([0xfd, 0x37, 0x7a, 0x58, 0x5a], 0, "an xz file", "Unpack it first"),
            ([0x28, 0xb5, 0x2f, 0xfd], 0, "a Zstandard file", "Unpack it first"),
            (Array("version https://git-lfs".utf8), 0, "a Git LFS pointer", "Fetch the content with git lfs pull"),
            (Array("/annex/".utf8), 0, "a git-annex pointer", "Fetch the content with git annex get"),
            (Array("<".utf8), 0, "a web page or XML", "The download failed: fetch it again"),
        ]
        for kind in kinds where bytes.dropFirst(kind.offset).starts(with: kind.magic) {
            return Failure(.scan, path, expected: "a NIfTI file", found: kind.name, remedy: kind.remedy)
        }
        if start.count < 4 {
            return Failure(
                .scan, path, expected: "a NIfTI header", found: "\(start.count) bytes",
                remedy: "The file was cut short: copy or download it again")
        }
        let value = HeaderBytes(bytes: start, bigEndian: false).int32(at: 0)
        return Failure(
            .scan, path, expected: "a NIfTI header, whose first field is 348 or 540", found: "\(value)",
            remedy: "The file is no NIfTI or its header is damaged")
    }
}

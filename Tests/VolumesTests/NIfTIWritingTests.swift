import CNIfTI
import Failures
import Foundation
import TestSupport
import Testing
import Volumes
import Workers

@Suite struct NIfTIWritingTests {
    /// What a check by other programs needs to know about one written file; `volumes.py --check` reads it.
    struct Written: Encodable {
        var file: String
        var values: [Double]
        var affine: [Double]
        var tolerance: Double
        /// The grid has no shear: ITK can express it.
        var isRigid: Bool
        var comment: String?
    }

    /// 20 degrees about z, then 10 about x, with i reversed.
    static let oblique: Affine = {
        let (c, s) = (cos(20 * Double.pi / 180), sin(20 * Double.pi / 180))
        let (d, t) = (cos(10 * Double.pi / 180), sin(10 * Double.pi / 180))
        return Affine(
            i: Vector3(c, s * d, s * t) * -0.75, j: Vector3(-s, c * d, c * t) * 0.75, k: Vector3(0, -t, d) * 2.5,
            origin: [100.5, -90.25, -300])
    }()

    static func ramp(_ shape: Index3, affine: Affine, from low: Float, to high: Float) -> Volume {
        let count = shape.x * shape.y * shape.z
        return Volume(
            grid: Grid(shape: shape, affine: affine),
            voxels: (0..<count).map { low + (high - low) * Float($0 * 37 % count) / Float(count - 1) })
    }

    @Test("every encoding reads back within its stated error, zero exactly", arguments: NIfTIWriter.Encoding.allCases)
    func roundTrip(encoding: NIfTIWriter.Encoding) throws {
        let folder = Fixtures.temporaryFolder("write")
        let isLabel = encoding == .label8 || encoding == .label16
        for (low, high) in isLabel
            ? [(Float(0), Float(59))] : [(-3.7, 9.1), (0, 1), (-1, 0), (1e-7, 3e-7), (-1024, 3071)]
        {
            var volume = Self.ramp([5, 4, 3], affine: Self.oblique, from: low, to: high)
            volume[2, 1, 1] = 0
            var writer = NIfTIWriter()
            writer.encoding = encoding
            for name in ["a.nii", "a.nii.gz"] {
                let url = folder.appendingPathComponent(name)
                try writer.write(volume, to: url)
                let image = try NIfTIFile.read(url)
                let tolerance =
                    switch encoding {
                    case .float32, .label8, .label16: Float(0)
                    case .int16: 1.0001 * max(abs(low), abs(high)) / 32767 / 2
                    case .uint8: 1.0001 * (max(high, 0) - min(low, 0)) / 254 / 2
                    }
                let error = zip(image.volume.voxels, volume.voxels).map { abs($0 - $1) }.max()!
                #expect(error <= tolerance)
                #expect(image.volume[2, 1, 1] == 0)
                #expect(image.volume.grid.affine.distance(to: Self.oblique.rows) < 1e-5)
                #expect(image.issues.isEmpty)
            }
        }
    }

    @Test("whole HU are exact in 16 bits")
    func exactHU() throws {
        let url = Fixtures.temporaryFolder("hu").appendingPathComponent("hu.nii.gz")
        let volume = Volume(
            grid: Grid(shape: [16, 16, 17], affine: .identity), voxels: (0..<4352).map { Float($0) - 1024 })
        var writer = NIfTIWriter()
        writer.encoding = .int16
        try writer.write(volume, to: url)
        let image = try NIfTIFile.read(url)
        #expect(image.volume.voxels == volume.voxels)
        #expect(image.header.sclSlope == 1 && image.header.sclInter == 0)
    }

    @Test("the geometry of the source is copied field by field", arguments: Expectation.all.keys.sorted())
    func geometryVerbatim(name: String) throws {
        let source = try NIfTIFile.read(NIfTIReadingTests.file(name), volume: 0)
        let url = Fixtures.temporaryFolder("verbatim").appendingPathComponent("heat.nii.gz")
        var writer = NIfTIWriter()
        writer.reference = source.header
        try writer.write(Volume(grid: source.volume.grid, repeating: 0.5), to: url)
        let written = try NIfTIFile.read(url)
        #expect(written.header.version == source.header.version)
        guard source.geometry.isSound else {
            #expect(written.volume.grid.affine.distance(to: source.volume.grid.affine.rows) < 1e-4)
            return
        }
        #expect(written.volume.grid == source.volume.grid)
        #expect(written.header.qformCode == source.header.qformCode)
        #expect(written.header.sformCode == source.header.sformCode)
        #expect(written.header.quatern == source.header.quatern)
        #expect(written.header.qoffset == source.header.qoffset)
        #expect(written.header.srow == source.header.srow)
        #expect(written.header.pixdim[0...3] == source.header.pixdim[0...3])
        #expect(written.header.xyztUnits == source.header.xyztUnits & 7)
    }

    @Test("a sheared grid keeps its sform and switches the qform off")
    func sheared() throws {
        var affine = Self.oblique
        affine.k += [0, 0.4, 0]
        let url = Fixtures.temporaryFolder("shear").appendingPathComponent("a.nii")
        try NIfTIWriter().write(Volume(grid: Grid(shape: [20, 20, 20], affine: affine), repeating: 1), to: url)
        let written = try NIfTIFile.read(url)
        #expect(written.header.qformCode == 0)
        #expect(written.volume.grid.affine.distance(to: affine.rows) < 1e-4)
        #expect(written.issues.isEmpty)
    }

    @Test("values that are not finite, and labels that are none, are refused and leave no file")
    func refusals() throws {
        let folder = Fixtures.temporaryFolder("refuse")
        let url = folder.appendingPathComponent("a.nii.gz")
        var volume = Volume(grid: Grid(shape: [3, 3, 3], affine: .identity), repeating: 1)
        volume[1, 1, 1] = .nan
        volume[0, 1, 1] = .infinity
        let nan = try #require(throws: Failure.self) { try NIfTIWriter().write(volume, to: url) }
        #expect(nan.kind == .output)
        #expect(nan.found == "1 NaN and 1 infinite voxels")
        volume[1, 1, 1] = 0.5
        volume[0, 1, 1] = 2
        var labels = NIfTIWriter()
        labels.encoding = .label8
        let fraction = try #require(throws: Failure.self) { try labels.write(volume, to: url) }
        #expect(fraction.found == "fractions between 0.5 and 2.0")
        volume[1, 1, 1] = 256
        let range = try #require(throws: Failure.self) { try labels.write(volume, to: url) }
        #expect(range.found == "values from 1.0 to 256.0")
        let name = try #require(throws: Failure.self) {
            try NIfTIWriter().write(volume, to: folder.appendingPathComponent("a.mha"))
        }
        #expect(name.expected == "a name that ends in .nii or .nii.gz")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("the same bytes at any number of threads, every run")
    func deterministic() throws {
        let folder = Fixtures.temporaryFolder("bytes")
        let volume = Self.ramp([128, 96, 70], affine: Self.oblique, from: -1, to: 1)
        var seen: Set<Data> = []
        for (index, width) in [1, 2, 5].enumerated() {
            Workers.setWidth(width)
            let url = folder.appendingPathComponent("\(index).nii.gz")
            try NIfTIWriter().write(volume, to: url)
            seen.insert(try Data(contentsOf: url))
        }
        Workers.setWidth(Workers.defaultWidth)
        #expect(seen.count == 1)
        #expect(try NIfTIFile.read(folder.appendingPathComponent("0.nii.gz")).volume.voxels == volume.voxels)
    }

    @Test("an interrupted write leaves the file that stood there before")
    func atomic() throws {
        struct Stop: Error {}
        let folder = Fixtures.temporaryFolder("atomic")
        let url = folder.appendingPathComponent("deep/er/a.txt")
        try AtomicFile.write("before", to: url)
        #expect(throws: Stop.self) {
            try AtomicFile.write(to: url) { file in
                try file.write(Array("after".utf8))
                throw Stop()
            }
        }
        #expect(try String(contentsOf: url, encoding: .utf8) == "before")
        #expect(try FileManager.default.contentsOfDirectory(atPath: url.deletingLastPathComponent().path) == ["a.txt"])
    }

    @Test("a place that cannot be written to says so")
    func unwritable() throws {
        let folder = Fixtures.temporaryFolder("unwritable")
        try AtomicFile.write("x", to: folder.appendingPathComponent("file"))
        let failure = try #require(throws: Failure.self) {
            try AtomicFile.write("y", to: folder.appendingPathComponent("file/below.txt"))
        }
        #expect(failure.kind == .output)
    }

    @Test("nifti_tool, nibabel and SimpleITK are given files to judge")
    func otherReaders() throws {
        // TOMOLENS_WRITTEN names a folder to leave the files in, for `volumes.py --check`.
        let folder =
            ProcessInfo.processInfo.environment["TOMOLENS_WRITTEN"].map { URL(fileURLWithPath: $0) }
            ?? Fixtures.temporaryFolder("judge")
        var sheared = Self.oblique
        sheared.k += [0, 0.4, 0]
        let flipped = Affine(i: [0, 0, -1.5], j: [0.8, 0, 0], k: [0, -0.9, 0], origin: [7, 8, 9])
        var written: [Written] = []
        for (label, affine) in [("oblique", Self.oblique), ("sheared", sheared), ("flipped", flipped)] {
            for encoding in NIfTIWriter.Encoding.allCases {
                let isLabel = encoding == .label8 || encoding == .label16
                let volume = Self.ramp([6, 5, 4], affine: affine, from: isLabel ? 0 : -0.75, to: isLabel ? 119 : 1.5)
                for ending in ["nii", "nii.gz"] {
                    var writer = NIfTIWriter()
                    writer.encoding = encoding
                    writer.displayRange = 0.2...1
                    writer.intent = isLabel ? .label : .estimate("Grad-CAM")
                    writer.description = "heat of a test"
                    writer.extensions = [NIfTIExtension(comment: #"{"tool":"TomoLens"}"#)]
                    let name = "\(label)_\(encoding.rawValue).\(ending)"
                    try writer.write(volume, to: folder.appendingPathComponent(name))
                    let tolerance: Double =
                        switch encoding {
                        case .float32, .label8, .label16: 0
                        case .int16: 1.5 / 32767
                        case .uint8: 2.25 / 254
                        }
                    written.append(
                        Written(
                            file: name, values: volume.voxels.map(Double.init), affine: affine.rows.flatMap { $0 },
                            tolerance: tolerance, isRigid: label != "sheared", comment: "TomoLens"))
                }
            }
            let frames = (0..<3).map { Self.ramp([6, 5, 4], affine: affine, from: Float($0), to: 5) }
            try NIfTIWriter().write(series: frames, to: folder.appendingPathComponent("\(label)_series.nii.gz"))
            written.append(
                Written(
                    file: "\(label)_series.nii.gz", values: frames.flatMap(\.voxels).map(Double.init),
                    affine: affine.rows.flatMap { $0 }, tolerance: 0, isRigid: label != "sheared"))
        }
        try JSONEncoder().encode(written).write(to: folder.appendingPathComponent("written.json"))
        // libnifti judges in any case.
        for item in written {
            let image = try #require(nifti_image_read(folder.appendingPathComponent(item.file).path, 1))
            defer { nifti_image_free(image) }
            #expect(Int(image.pointee.nvox) == item.values.count)
            #expect(image.pointee.num_ext == (item.comment == nil ? 0 : 1))
        }
        let tool = URL(fileURLWithPath: "/usr/bin/nifti_tool")
        guard FileManager.default.isExecutableFile(atPath: tool.path) else { return }
        let process = Process()
        process.executableURL = tool
        process.arguments =
            ["-check_hdr", "-check_nim", "-infiles"] + written.map { folder.appendingPathComponent($0.file).path }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(text)")
        #expect(text.components(separatedBy: "IS GOOD").count - 1 == 2 * written.count, "\(text)")
    }
}

import Failures
import Foundation
import Rendering
import TestSupport
import Testing
import Volumes

/// Something that no run can use: how it is made, and what the program says of it.
struct BadInput: Sendable, CustomTestStringConvertible {
    let name: String
    /// The exit code when the scan or the network is given to `explain`.
    let code: Int32
    /// A part of the message that names the fault.
    let message: String
    let make: @Sendable (Sandbox) throws -> URL

    var testDescription: String { name }

    init(_ name: String, _ code: Int32, _ message: String, _ make: @escaping @Sendable (Sandbox) throws -> URL) {
        self.name = name
        self.code = code
        self.message = message
        self.make = make
    }

    /// A file of the given bytes beside the sandbox's scans, under its own name.
    static func file(_ sandbox: Sandbox, _ name: String, _ data: Data) throws -> URL {
        let url = sandbox.root.appendingPathComponent(name)
        try data.write(to: url)
        return url
    }

    /// A good uncompressed scan with some of its bytes changed.
    static func nifti(_ sandbox: Sandbox, _ change: (inout Data) -> Void) throws -> URL {
        var data = try Data(contentsOf: sandbox.addScan("good.nii"))
        try FileManager.default.removeItem(at: sandbox.scans.appendingPathComponent("good.nii"))
        change(&data)
        return try file(sandbox, "bad.nii", data)
    }

    static func gzip(_ sandbox: Sandbox, _ change: (inout Data) -> Void) throws -> URL {
        var data = try Data(contentsOf: sandbox.addScan("good.nii.gz"))
        try FileManager.default.removeItem(at: sandbox.scans.appendingPathComponent("good.nii.gz"))
        change(&data)
        return try file(sandbox, "bad.nii.gz", data)
    }
}

extension Data {
    /// Writes a little-endian number over the bytes at `offset`.
    fileprivate mutating func put<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
        Swift.withUnsafeBytes(of: value.littleEndian) {
            replaceSubrange(startIndex + offset..<startIndex + offset + $0.count, with: $0)
        }
    }

    fileprivate mutating func put(_ value: Float, at offset: Int) { put(value.bitPattern, at: offset) }
}

/// Offsets in a NIfTI-1 header: dim@40 (8 × int16), datatype@70, bitpix@72, pixdim@76, vox_offset@108, scl_slope@112,
/// qform_code@252, sform_code@254, srow@280, magic@344.
let badScans: [BadInput] = [
    BadInput("empty file", 4, "an empty file") { try BadInput.file($0, "bad.nii", Data()) },
    BadInput("empty gzip file", 4, "an empty file") { try BadInput.file($0, "bad.nii.gz", Data()) },
    BadInput("text", 4, "expected") {
        try BadInput.file($0, "bad.nii", Data("not a scan at all, but some text that is long enough to be read\n".utf8))
    },
    BadInput("zeros", 4, "expected") { try BadInput.file($0, "bad.nii", Data(count: 1000)) },
    BadInput("header cut short", 4, "expected") { try BadInput.nifti($0) { $0 = $0.prefix(200) } },
    BadInput("header only", 4, "expected") { try BadInput.nifti($0) { $0 = $0.prefix(352) } },
    BadInput("voxels cut short", 4, "expected") { try BadInput.nifti($0) { $0 = $0.dropLast(100) } },
    BadInput("one byte short", 4, "expected") { try BadInput.nifti($0) { $0 = $0.dropLast(1) } },
    BadInput("gzip cut short", 4, "expected") { try BadInput.gzip($0) { $0 = $0.dropLast(40) } },
    BadInput("gzip with a wrong checksum", 4, "expected") { try BadInput.gzip($0) { $0[$0.count - 6] ^= 0xFF } },
    BadInput("gzip with damaged data", 4, "expected") {
        try BadInput.gzip($0) { data in for place in 200..<260 where place < data.count - 8 { data[place] = 0xAA } }
    },
    BadInput("gzip header alone", 4, "expected") { try BadInput.gzip($0) { $0 = $0.prefix(10) } },
    BadInput("no dimensions", 4, "dim[0]") { try BadInput.nifti($0) { $0.put(Int16(0), at: 40) } },
    BadInput("nine dimensions", 4, "expected") { try BadInput.nifti($0) { $0.put(Int16(9), at: 40) } },
    BadInput("a negative extent", 4, "dim[1] = -5") { try BadInput.nifti($0) { $0.put(Int16(-5), at: 42) } },
    BadInput("an extent of zero", 4, "dim[3] = 0") { try BadInput.nifti($0) { $0.put(Int16(0), at: 46) } },
    BadInput("absurd extents", 4, "expected") {
        try BadInput.nifti($0) { for axis in 0..<3 { $0.put(Int16.max, at: 42 + 2 * axis) } }
    },
    BadInput("a wrong magic", 4, "magic") {
        try BadInput.nifti($0) { $0.replaceSubrange(344..<348, with: Data("xyz\0".utf8)) }
    },
    BadInput("Analyze, no magic", 4, "ANALYZE 7.5") {
        try BadInput.nifti($0) { $0.replaceSubrange(344..<348, with: Data(count: 4)) }
    },
    BadInput("an unknown datatype", 4, "datatype") { try BadInput.nifti($0) { $0.put(Int16(77), at: 70) } },
    BadInput("complex numbers", 4, "datatype") {
        try BadInput.nifti($0) {
            $0.put(Int16(32), at: 70); $0.put(Int16(64), at: 72)
        }
    },
    BadInput("voxels beyond the end", 4, "expected") { try BadInput.nifti($0) { $0.put(Float(1e9), at: 108) } },
    BadInput("a vox_offset that is no number", 4, "vox_offset") {
        try BadInput.nifti($0) { $0.put(Float.nan, at: 108) }
    },
    BadInput("4D without a choice", 4, "--volume") { sandbox in
        let url = sandbox.root.appendingPathComponent("4d.nii")
        try NIfTIWriter().write(series: [Sandbox.ball(), Sandbox.ball()], to: url)
        return url
    },
    BadInput("nothing but NaN", 4, "NaN") { sandbox in
        try BadInput.nifti(sandbox) { data in
            data.put(Int16(16), at: 70)
            data.put(Int16(32), at: 72)
            data =
                data.prefix(352)
                + Data(
                    (0..<16 * 16 * 12).flatMap { _ in
                        withUnsafeBytes(of: Float.nan.bitPattern.littleEndian) { Array($0) }
                    })
        }
    },
    BadInput("a pair without its image", 4, "expected") { sandbox in
        try BadInput.file(
            sandbox, "alone.hdr",
            {
                var data = try Data(contentsOf: sandbox.addScan("good.nii")).prefix(348);
                data.replaceSubrange(344..<348, with: Data("ni1\0".utf8)); return Data(data)
            }())
    },
    BadInput("a folder with a scan's name", 2, "a folder") { sandbox in
        let url = sandbox.root.appendingPathComponent("folder.nii")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    },
    BadInput("no such file", 2, "nothing there") { $0.root.appendingPathComponent("missing.nii") },
    BadInput("a PNG with a scan's name", 4, "expected") { sandbox in
        try BadInput.file(sandbox, "picture.nii", PNG.encode(Picture(width: 4, height: 4)))
    },
    BadInput("a zip archive", 4, "expected") {
        try BadInput.file($0, "archive.nii", Data([0x50, 0x4B, 3, 4]) + Data(count: 500))
    },
    BadInput("a DICOM file", 4, "expected") {
        try BadInput.file($0, "image.nii", Data(count: 128) + Data("DICM".utf8) + Data(count: 400))
    },
]

let badPictures: [BadInput] = [
    BadInput("an empty PNG", 4, "expected") { try BadInput.file($0, "bad.png", Data()) },
    BadInput("a PNG cut short", 4, "expected") {
        try BadInput.file($0, "bad.png", PNG.encode(Picture(width: 40, height: 40)).prefix(60))
    },
    BadInput("a damaged PNG", 4, "expected") {
        var data = try PNG.encode(Picture(width: 40, height: 40))
        data[20] ^= 0xFF
        return try BadInput.file($0, "bad.png", data)
    },
    BadInput("text named PNG", 4, "expected a PNG or JPEG picture") {
        try BadInput.file($0, "bad.png", Data("hello, world".utf8))
    },
    BadInput("a GIF", 4, "a GIF picture") { try BadInput.file($0, "bad.png", Data("GIF89a".utf8) + Data(count: 50)) },
    BadInput("a JPEG cut short", 4, "expected") {
        try BadInput.file($0, "bad.jpg", Data([0xFF, 0xD8, 0xFF, 0xE0, 0, 16]))
    },
]

let badNetworks: [BadInput] = [
    BadInput("an empty network", 5, "expected") { try BadInput.file($0, "bad.onnx", Data()) },
    BadInput("text", 5, "expected") { try BadInput.file($0, "bad.onnx", Data("this is no network\n".utf8)) },
    BadInput("a PyTorch archive", 5, "expected an ONNX model") {
        try BadInput.file($0, "bad.pt", Data([0x50, 0x4B, 3, 4]) + Data(count: 500))
    },
    BadInput("an HDF5 file", 5, "expected an ONNX model") {
        try BadInput.file($0, "bad.h5", Data([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]) + Data(count: 500))
    },
    BadInput("a network cut short", 5, "expected") {
        try BadInput.file($0, "bad.onnx", TinyNetwork.brightness().data().dropLast(40))
    },
    BadInput("random bytes", 5, "expected") { sandbox in
        var seed: UInt32 = 7
        return try BadInput.file(
            sandbox, "bad.onnx",
            Data(
                (0..<5000).map { _ in
                    seed = seed &* 1_664_525 &+ 1_013_904_223; return UInt8(seed >> 24)
                }))
    },
    BadInput("no such network", 5, "expected") { $0.root.appendingPathComponent("missing.onnx") },
    BadInput("an operator we lack", 5, "NonMaxSuppression") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [1, 1, nil, nil, nil])
        network.node("NonMaxSuppression", ["ct", "ct"], ["scores"])
        network.output("scores", [nil])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("a node without its input", 5, "expected") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [1, 1, nil, nil, nil])
        network.node("Relu", ["nowhere"], ["scores"])
        network.output("scores", [nil])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("an output that nobody computes", 5, "expected") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [1, 1, nil, nil, nil])
        network.node("Relu", ["ct"], ["other"])
        network.output("scores", [nil])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("nodes in a circle", 5, "expected") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [1, 1, nil, nil, nil])
        network.node("Add", ["ct", "b"], ["a"])
        network.node("Relu", ["a"], ["b"])
        network.output("b", [nil])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("weights fewer than their shape", 5, "expected") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [nil, 1, nil, nil, nil])
        network.weights("w", [4, 1, 3, 3, 3], [Float](repeating: 1, count: 20))
        network.node("Conv", ["ct", "w"], ["scores"])
        network.output("scores", [nil])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("a convolution for other channels", 5, "expected") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [nil, 1, nil, nil, nil])
        network.weights("w", [2, 5, 3, 3, 3], [Float](repeating: 1, count: 270))
        network.node("Conv", ["ct", "w"], ["features"])
        network.node("GlobalAveragePool", ["features"], ["scores"])
        network.output("scores", [nil, 2, 1, 1, 1])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("an operator set from the past", 5, "operator set") { sandbox in
        var network = TinyNetwork.brightness()
        network.opset = 3
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("broken metadata", 5, "metadata 'tomolens'") { sandbox in
        var network = TinyNetwork.brightness()
        network.metadata("tomolens", "{version: 1, layuot: {}}")
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
    BadInput("weights that are not finite", 5, "expected") { sandbox in
        var network = TinyNetwork()
        network.input("ct", [nil, 1, nil, nil, nil])
        network.weights("w", [2, 1, 3, 3, 3], [Float](repeating: .nan, count: 54))
        network.node("Conv", ["ct", "w"], ["features"])
        network.node("GlobalAveragePool", ["features"], ["average"])
        network.node("Flatten", ["average"], ["scores"])
        network.output("scores", [nil, 2])
        return try BadInput.file(sandbox, "bad.onnx", network.data())
    },
]

/// Pipelines as text, for `run`. Scans and network are good.
let badPipelines: [(name: String, text: String, code: Int32, message: String)] = [
    ("empty", "", 3, "line 1, column 1"),
    ("not JSON5", "{version: 1, network: [}", 3, "line 1, column"),
    ("a key twice", "{version: 1, version: 1}", 3, "'version' again"),
    ("no version", "{network: {file: 'model.onnx'}}", 3, "version"),
    ("no network", "{version: 1}", 3, "network.file"),
    ("a network that is not there", "{version: 1, network: {file: 'gone.onnx'}}", 3, "network.file"),
    ("an unknown key", "{version: 1, netwrok: {}}", 3, "Did you mean 'network'?"),
    ("a key of the wrong type", "{version: 1, network: 'model.onnx'}", 3, "network (line 1): expected an object"),
    (
        "an unknown transform", "{version: 1, network: {file: 'model.onnx'}, preparation: [{transform: 'Spacign'}]}", 3,
        "Spacing"
    ),
    (
        "a transform's unknown parameter",
        "{version: 1, network: {file: 'model.onnx'}, preparation: [{transform: 'Spacing', pixdin: [1, 1, 1]}]}", 3,
        "pixdim"
    ),
    (
        "an impossible spacing",
        "{version: 1, network: {file: 'model.onnx'}, preparation: [{transform: 'Spacing', pixdim: [0, 1, 1]}]}", 3,
        "pixdim"
    ),
    (
        "an upside-down window", "{version: 1, network: {file: 'model.onnx'}, rendering: {window: [1, 0]}}", 3,
        "rendering.window"
    ),
    (
        "an unknown method", "{version: 1, network: {file: 'model.onnx'}, methods: ['gradcan']}", 3,
        "Did you mean 'gradcam'?"
    ),
    (
        "an unknown class", "{version: 1, network: {file: 'model.onnx', classes: ['no', 'yes']}, targets: ['yse']}", 3,
        "Did you mean 'yes'?"
    ),
    ("an unknown input", "{version: 1, network: {file: 'model.onnx', input: 'mri'}}", 3, "an input named 'mri'"),
    ("an unknown output", "{version: 1, network: {file: 'model.onnx', output: 'scroes'}}", 3, "Did you mean 'scores'?"),
    ("an unknown tap", "{version: 1, network: {file: 'model.onnx'}, taps: ['features9']}", 3, "tap 'features9'"),
    (
        "a class that does not exist", "{version: 1, network: {file: 'model.onnx'}, targets: [7]}", 1,
        "a class from 0 to 1"
    ),
    (
        "too few class names", "{version: 1, network: {file: 'model.onnx', classes: ['a', 'b', 'c']}}", 1,
        "network.classes"
    ),
    (
        "a mask target without a mask", "{version: 1, network: {file: 'model.onnx'}, targets: ['mask:1']}", 1,
        "label map"
    ),
    (
        "a region of a classifier", "{version: 1, network: {file: 'model.onnx'}, targets: ['region']}", 1,
        "answers for every voxel"
    ),
    (
        "a pattern that fits nothing", "{version: 1, network: {file: 'model.onnx'}, input: {pattern: '*.dcm'}}", 4,
        "input.pattern"
    ),
    ("a binary file", "\u{0}\u{1}\u{2}", 3, "line 1"),
]

@Suite struct BadInputTests {
    @Test(arguments: badScans + badPictures) func aBadScanGetsItsMessage(input: BadInput) throws {
        let isPicture = badPictures.contains { $0.name == input.name }
        let sandbox = try Sandbox(network: isPicture ? .brightness(rank: 2) : .brightness())
        let url = try input.make(sandbox)
        let outcome = tomolens(["explain", url.path, "--model", sandbox.model.path, "--output", sandbox.output.path])
        #expect(outcome.code == input.code, "\(outcome.errors)")
        #expect(outcome.errors.contains(input.message), "\(outcome.errors)")
        #expect(outcome.errors.split(separator: "\n").last?.hasPrefix("tomolens: ") == true)
        #expect(!sandbox.outputs().contains { $0.hasSuffix("ledger.json") })
    }

    @Test(arguments: badNetworks) func aBadNetworkGetsItsMessage(input: BadInput) throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan()
        let url = try input.make(sandbox)
        let outcome = tomolens(["explain", scan.path, "--model", url.path, "--output", sandbox.output.path])
        #expect(outcome.code == input.code, "\(outcome.errors)")
        #expect(outcome.errors.contains(input.message), "\(outcome.errors)")
        #expect(!sandbox.outputs().contains { $0.hasSuffix("ledger.json") })
    }

    @Test(arguments: badPipelines.indices) func aBadPipelineGetsItsMessage(index: Int) throws {
        let bad = badPipelines[index]
        let sandbox = try Sandbox(pipeline: bad.text)
        try sandbox.addScan()
        let outcome = sandbox.run()
        #expect(outcome.code == bad.code, "\(bad.name): \(outcome.errors)")
        #expect(outcome.errors.contains(bad.message), "\(bad.name): \(outcome.errors)")
        #expect(!sandbox.outputs().contains { $0.hasSuffix("ledger.json") })
    }

    /// All bad scans at once in a folder with two good ones: the good ones' results are those of a run without the bad.
    @Test func goodScansAmongBadOnesAreUntouched() throws {
        let clean = try Sandbox()
        let mixed = try Sandbox()
        for sandbox in [clean, mixed] {
            try sandbox.addScan("good1.nii.gz")
            try sandbox.addScan("good2.nii.gz", Sandbox.ball(centre: [11, 4, 3]))
        }
        var count = 0
        for input in badScans where input.code == 4 {
            let url = try input.make(mixed)
            count += 1
            let name =
                ["alone.hdr"].contains(url.lastPathComponent)
                ? "bad\(count).hdr" : "bad\(count)\(url.lastPathComponent.hasSuffix(".gz") ? ".nii.gz" : ".nii")"
            for extra in ["good.nii", "good.nii.gz"] {
                try? FileManager.default.removeItem(at: mixed.scans.appendingPathComponent(extra))
            }
            try FileManager.default.moveItem(at: url, to: mixed.scans.appendingPathComponent(name))
        }
        #expect(clean.run().code == 0)
        let outcome = mixed.run("--jobs", "3")
        #expect(outcome.code == 1)
        #expect(outcome.errors.contains("2 done, \(count) failed"), "\(outcome.errors)")
        for path in clean.outputs() where path.contains("/") {
            #expect(try clean.content(path) == mixed.content(path), "\(path)")
        }
        #expect(Set(mixed.outputs().filter { $0.contains("/") }) == Set(clean.outputs().filter { $0.contains("/") }))
    }

    @Test func atLeastSixtyKinds() {
        #expect(badScans.count + badPictures.count + badNetworks.count + badPipelines.count >= 60)
    }

    @Test func theOutputIsNeverTheInput() throws {
        let sandbox = try Sandbox()
        try sandbox.addScan()
        let before = try FileManager.default.contentsOfDirectory(atPath: sandbox.scans.path)
        let outcome = tomolens([
            "run", sandbox.pipeline.path, "--input", sandbox.scans.path, "--output", sandbox.scans.path,
        ])
        #expect(outcome.code == 2 && outcome.errors.contains("the input folder itself"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: sandbox.scans.path) == before)
        // A results folder that would hold a scan: scans/a/… while the output is scans' parent and the scan is named "scans".
        try sandbox.addScan("b.nii.gz", folder: "deep/a")
        let nested = tomolens([
            "run", sandbox.pipeline.path, "--input", sandbox.scans.appendingPathComponent("deep").path, "--output",
            sandbox.scans.appendingPathComponent("deep").path + "/../deep",
        ])
        #expect(nested.code == 2)
        let file = try BadInput.file(sandbox, "file", Data())
        #expect(tomolens(["run", sandbox.pipeline.path, "-i", sandbox.scans.path, "-o", file.path]).code == 2)
        let explain = tomolens([
            "explain", sandbox.scans.path + "/a.nii.gz", "-m", sandbox.model.path, "-o", sandbox.scans.path,
        ])
        #expect(explain.code == 2)
    }

    /// A program with DICOM cannot read this series, one without says what it takes.
    @Test(arguments: ["explain", "run"]) func aDICOMSeriesIsKnownAsOne(command: String) throws {
        let sandbox = try Sandbox()
        let series = sandbox.root.appendingPathComponent("CT")
        try FileManager.default.createDirectory(at: series, withIntermediateDirectories: true)
        let image = Data(count: 128) + Data("DICM".utf8)
        for name in ["IM0001", "IM0002"] { try image.write(to: series.appendingPathComponent(name)) }
        let arguments =
            command == "run"
            ? ["run", sandbox.pipeline.path, "--input", series.path]
            : ["explain", series.path, "--pipeline", sandbox.pipeline.path]
        let outcome = tomolens(arguments + ["--output", sandbox.output.path])
        #expect(outcome.code == 2 || outcome.code == 4)
        #expect(outcome.errors.contains("DICOM"), "\(outcome.errors)")
        if outcome.code == 2 {
            #expect(outcome.errors.contains("TOMOLENS_DICOM=1") && outcome.errors.contains("dcm2niix"))
        }
        #expect(!FileManager.default.fileExists(atPath: sandbox.output.path))
    }

    @Test func anOutputThatCannotBeWrittenIsNamed() throws {
        let sandbox = try Sandbox()
        let scan = try sandbox.addScan()
        let outcome = tomolens(["explain", scan.path, "-m", sandbox.model.path, "-o", "/proc/nowhere/out"])
        #expect(outcome.code == Failure.Kind.output.exitCode, "\(outcome.errors)")
        #expect(
            tomolens(["run", sandbox.pipeline.path, "-i", sandbox.scans.path, "-o", "/proc/nowhere/out"]).code == 6)
    }
}

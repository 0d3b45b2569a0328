import Commands
import Foundation
import Pipelines
import Synchronization
import TestSupport
import Volumes

/// What one call of the program left behind.
struct Outcome {
    let code: Int32
    let output: String
    let errors: String
}

/// Runs the program in this process, as from the command line.
func tomolens(_ arguments: [String], stop: StopRequest = StopRequest()) -> Outcome {
    let texts = Mutex((output: "", errors: ""))
    let console = Console(width: 100, stop: stop) { text, isError in
        texts.withLock { if isError { $0.errors += text } else { $0.output += text } }
    }
    let code = TomoLensCommand.main(["tomolens"] + arguments, console: console)
    return texts.withLock { Outcome(code: code, output: $0.output, errors: $0.errors) }
}

/// A folder with a tiny network, a pipeline and scans, all made on the spot.
struct Sandbox {
    let root = Fixtures.temporaryFolder("e2e")
    var scans: URL { root.appendingPathComponent("scans") }
    var output: URL { root.appendingPathComponent("out") }
    var model: URL { root.appendingPathComponent("model.onnx") }
    var pipeline: URL { root.appendingPathComponent("pipeline.json5") }

    static let standardPipeline = """
        {
          version: 1,
          name: "tiny",
          input: { labels: "{stem}_mask.nii.gz" },
          network: { file: "model.onnx", classes: ["dark", "bright"] },
          preparation: [
            { transform: "Orientation", axcodes: "RAS" },
            { transform: "ScaleIntensityRange", a_min: -1000, a_max: 400, b_min: 0, b_max: 1, clip: true },
          ],
          targets: ["bright"],
          methods: ["gradcam"],
          taps: ["features2"],
          rendering: { slices: { hottest: 1 }, planes: ["axial"], montage: 2 },
        }
        """

    init(network: TinyNetwork = .brightness(), pipeline text: String = standardPipeline) throws {
        try FileManager.default.createDirectory(at: scans, withIntermediateDirectories: true)
        try network.data().write(to: model)
        try Data(text.utf8).write(to: pipeline)
    }

    /// Air with one bright ball, its centre at `centre` (voxels), on an LPS grid of 2 × 2 × 3 mm.
    static func ball(shape: Index3 = [16, 16, 12], centre: Vector3 = [4, 11, 8], radius: Double = 3) -> Volume {
        let grid = Grid(
            shape: shape, affine: Affine(i: [-2, 0, 0], j: [0, -2, 0], k: [0, 0, 3], origin: [15, 20, -100]))
        var volume = Volume(grid: grid, repeating: -1000)
        for k in 0..<shape.z {
            for j in 0..<shape.y {
                for i in 0..<shape.x {
                    let offset = (Vector3(Double(i), Double(j), Double(k)) - centre) * [2, 2, 3]
                    // Some texture, so that the scan is no two-valued label map.
                    volume[i, j, k] += Float((i * 7 + j * 3 + k * 5) % 11)
                    if (offset * offset).sum() <= radius * radius * 4 { volume[i, j, k] = 300 }
                }
            }
        }
        return volume
    }

    @discardableResult
    func addScan(_ name: String = "a.nii.gz", _ volume: Volume = ball(), folder: String = "") throws -> URL {
        let url = scans.appendingPathComponent(folder).appendingPathComponent(name)
        var writer = NIfTIWriter()
        writer.encoding = .int16
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try writer.write(volume, to: url)
        return url
    }

    func run(_ more: String..., stop: StopRequest = StopRequest()) -> Outcome {
        tomolens(["run", pipeline.path, "--input", scans.path, "--output", output.path] + more, stop: stop)
    }

    /// Relative paths of all files below the output folder, sorted.
    func outputs() -> [String] {
        let root = output.resolvingSymlinksInPath().path
        let walker = FileManager.default.enumerator(atPath: root)
        return (walker?.compactMap { $0 as? String } ?? []).filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: root + "/" + path, isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted()
    }

    func content(_ path: String) throws -> Data { try Data(contentsOf: output.appendingPathComponent(path)) }

    func json(_ path: String) throws -> JSON {
        try JSON5Parser.parse(content(path), named: path)
    }
}

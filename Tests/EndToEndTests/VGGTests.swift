import Foundation
import Pipelines
import Rendering
import TestSupport
import Testing
import Volumes

/// The classic figures with a whole VGG16, channels last as TensorFlow exports them.
@Suite(.enabled(if: Fixtures.realData != nil, "set TOMOLENS_REAL_DATA to run a real VGG16"))
struct VGGTests {
    let model = Fixtures.realData!.appendingPathComponent("models/brain_tumour_vgg16.onnx")
    let image = Fixtures.realData!.appendingPathComponent("images/glioma_tumor_0.png")
    let folder = Fixtures.temporaryFolder("vgg")

    func pipeline() throws -> URL {
        let url = folder.appendingPathComponent("vgg.json5")
        let text = """
            { version: 1, network: { file: "\(model.path)" }, layout: { axes: "yx", channelsLast: true },
              preparation: [ { transform: "ScaleIntensityRange", a_min: 0, a_max: 255, b_min: 0, b_max: 1 } ] }
            """
        try Data(text.utf8).write(to: url)
        return url
    }

    func json(_ name: String) throws -> JSON {
        try JSON5Parser.parse(Data(contentsOf: folder.appendingPathComponent(name)), named: name)
    }

    @Test func firstLayerKernels() throws {
        let outcome = tomolens(["kernels", model.path, "-o", folder.path])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let table = try String(contentsOf: folder.appendingPathComponent("first-conv_kernels.csv"), encoding: .utf8)
        #expect(table.split(separator: "\n").count == 65)
    }

    @Test func featuresFromTheFirstToTheLastBlock() throws {
        let outcome = tomolens([
            "features", image.path, "-p", try pipeline().path, "-l", "first-conv,last-conv", "--count", "6", "-o",
            folder.path,
        ])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let last = try NIfTIFile.read(folder.appendingPathComponent("glioma_tumor_0_last-conv.nii.gz"), volume: 0)
        #expect(last.header.dim[4] == 6)
        // Four pools of two lie before conv5: sixteen pixels apart.
        #expect(last.volume.grid.shape == [15, 15, 1] && abs(last.volume.grid.spacing.x - 16) < 1e-6)
    }

    @Test func aClassIsMaximizedAndAnImageAttacked() throws {
        let climbed = tomolens([
            "maximize", model.path, "-p", try pipeline().path, "--image", "--size", "240", "-c", "0", "--steps", "12",
            "-o", folder.path,
        ])
        #expect(climbed.code == 0, "\(climbed.errors)")
        let run = try json("logits_channel0.json")["runs"]!.array![0]
        #expect(run["reached"]!.number! > run["start"]!.number! + 1)
        let attacked = tomolens([
            "attack", image.path, "-p", try pipeline().path, "--kind", "fgsm", "--epsilon", "3", "-o", folder.path,
        ])
        #expect(attacked.code == 0, "\(attacked.errors)")
        let report = try json("glioma_tumor_0_attack.json")["attack"]!
        #expect(report["after"]!.number! < report["before"]!.number! && report["largest"]!.number! <= 3.001)
    }
}

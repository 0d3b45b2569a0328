import Failures
import Foundation
import Networks
import TestSupport
import Tensors
import Testing

@testable import Inspections

/// Kernels against numpy's numbers of the same weights (Tests/Reference/inspections.py).
@Suite struct KernelBankTests {
    static let cases = ["vgg2d|features.0", "resnet3d|stem.0", "mobilenet2d|depthwise", "monai_dynunet|transposed"]

    static func load(_ name: String) throws -> (bank: KernelBank, reference: SafeTensors, key: String) {
        let reference = try SafeTensors(contentsOf: Fixtures.reference("inspections/kernels.safetensors"))
        let file = name.split(separator: "|")[0]
        let network = try Network(contentsOf: Fixtures.reference("networks/\(file).legacy.onnx"))
        return (try KernelBank(network, layer: reference.metadata["\(name)|layer"]!), reference, name)
    }

    @Test(arguments: cases) func weightsNormsAndOrdersEqualNumpys(_ name: String) throws {
        let (bank, reference, key) = try Self.load(name)
        #expect(bank.weights == reference.float("\(key)|weights")!)
        #expect(relativeError(bank.norms.map(Float.init), reference.float("\(key)|norms")!.values) < 1e-6)
        let channelNorms = (0..<bank.count).flatMap { bank.channelNorm($0) }
        #expect(relativeError(channelNorms, reference.float("\(key)|channelNorms")!.values) < 1e-6)
        #expect(bank.order(.norm) == reference.integer("\(key)|byNorm")!.values.map(Int.init))
        #expect(bank.order(.similarity) == reference.integer("\(key)|bySimilarity")!.values.map(Int.init))
        #expect(bank.order(.stored) == Array(0..<bank.count))
        let cosines = reference.float("\(key)|cosines")!
        for (kernel, nearest) in bank.nearest.enumerated() {
            guard let nearest else { continue }
            let row = (0..<bank.count).filter { $0 != kernel }.map { cosines[kernel, $0] }
            #expect(abs(Float(nearest.cosine) - row.max()!) < 1e-5)
        }
    }

    @Test func slicesRunAlongTheAxesAskedFor() throws {
        let (bank, _, _) = try Self.load("resnet3d|stem.0")
        let (a, b, c) = (bank.spatial[0], bank.spatial[1], bank.spatial[2])
        let values = (0..<bank.places).map(Float.init)
        // Stored [x, y, z]: slices along the last axis.
        let slices = bank.slices(values, across: 0, down: 1, through: 2)
        #expect(slices.count == c && slices[0].count == a * b)
        #expect(slices[1][0] == 1 && slices[0][1] == Float(b * c) && slices[0][a] == Float(c))
        // Stored [z, y, x].
        let other = bank.slices(values, across: 2, down: 1, through: 0)
        #expect(other.count == a && other[1][0] == Float(b * c) && other[0][1] == 1)
    }

    @Test func aLayerWithoutKernelsIsRefusedWithThoseThatHave() throws {
        let network = try Network(contentsOf: Fixtures.reference("networks/vgg2d.legacy.onnx"))
        for layer in ["penultimate", "input", "logits"] {
            #expect {
                try KernelBank(network, layer: layer)
            } throws: {
                guard let failure = $0 as? Failure else { return false }
                return failure.kind == .network && failure.remedy.contains("features.0")
            }
        }
    }
}

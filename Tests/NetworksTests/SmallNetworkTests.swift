import Foundation
import Networks
import TestSupport
import Tensors
import Testing

/// Networks of every family as PyTorch's exporters write them, against PyTorch's autograd (Tests/Reference/networks.py).
@Suite struct SmallNetworkTests {
    static let names = [
        "vgg3d", "vgg2d", "resnet3d", "densenet3d", "unet3d", "mobilenet2d", "vit3d", "swin2d", "meshnet3d",
        "monai_unet",
        "monai_segresnet", "monai_attention", "monai_dynunet",
    ]
    static let tolerance = 2e-5

    static func load(_ name: String, _ exporter: String) throws -> (network: Network, reference: SafeTensors) {
        (
            try Network(contentsOf: Fixtures.reference("networks/\(name).\(exporter).onnx")),
            try SafeTensors(contentsOf: Fixtures.reference("networks/\(name).safetensors"))
        )
    }

    static func taps(_ reference: SafeTensors) -> [String] {
        reference.metadata["taps"]!.split(separator: "\n").map(String.init)
    }

    /// The tensors of the modules that the reference taps, in the exporter's naming.
    static func tensors(_ network: Network, _ reference: SafeTensors) throws -> [String: String] {
        Dictionary(uniqueKeysWithValues: try taps(reference).map { ($0, try network.tap($0).tensor) })
    }

    @Test(arguments: names, ["legacy", "dynamo"]) func outputEqualsPyTorch(_ name: String, _ exporter: String) throws {
        let (network, reference) = try Self.load(name, exporter)
        let x = Value.float(reference.float("input")!)
        let output = try network.run(inputs: ["input": x], wanting: ["output"])["output"]!
        guard case .float(let tensor) = output else { return #expect(Bool(false), "floats") }
        #expect(relativeError(tensor, reference.float("output")!) < Self.tolerance)
    }

    @Test(arguments: names, ["legacy", "dynamo"])
    func activationsAndGradientsEqualPyTorch(_ name: String, _ exporter: String) throws {
        let (network, reference) = try Self.load(name, exporter)
        let tensors = try Self.tensors(network, reference)
        let taps = Array(tensors.values) + ["input"]
        let recording = try network.record(
            inputs: ["input": .float(reference.float("input")!)], targets: ["output"], taps: taps)
        let gradients = try recording.pullback(seeds: ["output": reference.float("seed")!], to: taps)
        for (tap, tensor) in tensors {
            let activation = try recording.tensor(tensor)
            #expect(relativeError(activation, reference.float("\(tap)|activation")!) < Self.tolerance, "\(tap)")
            #expect(relativeError(gradients[tensor]!, reference.float("\(tap)|gradient")!) < Self.tolerance, "\(tap)")
        }
        #expect(relativeError(gradients["input"]!, reference.float("input|gradient")!) < Self.tolerance)
    }

    /// Gradients to one tap alone are those that come with the others, to rounding: a deeper tap may ask for convolutions by
    /// their definition, but no tap changes what another gets.
    @Test(arguments: names) func tapsDoNotDisturbEachOther(_ name: String) throws {
        let (network, reference) = try Self.load(name, "dynamo")
        let input = ["input": Value.float(reference.float("input")!)]
        let seeds = ["output": reference.float("seed")!]
        let taps = Array(try Self.tensors(network, reference).values)
        let all = try network.record(inputs: input, targets: ["output"], taps: taps).pullback(seeds: seeds, to: taps)
        for tap in taps {
            let alone = try network.record(inputs: input, targets: ["output"], taps: [tap]).pullback(
                seeds: seeds, to: [tap])
            #expect(relativeError(alone[tap]!, all[tap]!) < 1e-5)
        }
    }

    @Test(arguments: names) func replayFromATapGivesWhatAWholeRunGives(_ name: String) throws {
        let (network, reference) = try Self.load(name, "legacy")
        let input = ["input": Value.float(reference.float("input")!)]
        for tap in try Self.tensors(network, reference).values {
            let recording = try network.record(inputs: input, targets: ["output"], taps: [tap])
            let activation = try recording.tensor(tap)
            let same = try recording.replay(replacing: [tap: activation], wanting: ["output"])["output"]!
            guard case .float(let output) = same, case .float(let before)? = recording.value("output") else { continue }
            #expect(output == before)

            // Scaling each voxel by 1 ± ε · gradient (zeros stay zero, where pools have ties) moves the scalar as the
            // gradient says.
            let seed = reference.float("seed")!
            let gradient = try recording.pullback(seeds: ["output": seed], to: [tap])[tap]!
            let largest = gradient.values.map { Double(abs($0)) }.max()!
            let factors = gradient.values.map { Double($0) / largest }
            let expected = zip(zip(activation.values, gradient.values), factors).reduce(0.0) {
                $0 + Double($1.0.0) * Double($1.0.1) * $1.1
            }
            let step = 5e-3
            func scalar(_ sign: Double) throws -> Double {
                let moved = zip(activation.values, factors).map { Float(Double($0) * (1 + sign * step * $1)) }
                let replaced = Tensor(shape: activation.shape, values: moved)
                guard
                    case .float(let y)? = try recording.replay(replacing: [tap: replaced], wanting: ["output"])[
                        "output"]
                else {
                    return .nan
                }
                return zip(y.values, seed.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            }
            let slope = (try scalar(1) - scalar(-1)) / (2 * step)
            let size = zip(activation.values, gradient.values).reduce(0.0) { $0 + Double(abs($1.0 * $1.1)) }
            #expect(abs(slope - expected) < 1e-2 * size, "\(tap): slope \(slope), gradient \(expected)")
        }
    }

    @Test(arguments: names, ["legacy", "dynamo"]) func shapesAreThoseOfARun(_ name: String, _ exporter: String) throws {
        let (network, reference) = try Self.load(name, exporter)
        let input = reference.float("input")!
        let shapes = try network.shapes(for: ["input": input.shape])
        let tensors = network.nodes.flatMap(\.outputs).filter { !$0.isEmpty }
        let values = try network.run(inputs: ["input": .float(input)], wanting: tensors)
        for tensor in tensors { #expect(shapes[tensor] == values[tensor]!.shape, "\(tensor)") }
    }

    @Test(arguments: ["vgg3d", "resnet3d", "densenet3d", "meshnet3d"]) func openExtentsTakeOtherSizes(_ name: String)
        throws
    {
        for exporter in ["legacy", "dynamo"] {
            let (network, reference) = try Self.load(name, exporter)
            // The dynamo exports leave the batch open only.
            var shape = reference.float("input")!.shape
            shape[0] = 2
            if exporter == "legacy" { shape[2] += 16 }
            let x = Tensor(shape: shape, values: (0..<shape.elementCount).map { Float(($0 * 7919) % 101) / 50 - 1 })
            let both = try network.run(inputs: ["input": .float(x)], wanting: ["output"])["output"]!
            // Each of the batch as if it were alone.
            var single = shape
            single[0] = 1
            let second = Tensor(shape: single, values: x.values.suffix(single.elementCount))
            let one = try network.run(inputs: ["input": .float(second)], wanting: ["output"])["output"]!
            guard case .float(let a) = both, case .float(let b) = one else { return #expect(Bool(false), "floats") }
            #expect(relativeError(Array(a.values.suffix(b.count)), b.values) < Self.tolerance)
        }
    }
}

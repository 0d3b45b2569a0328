import Explanations
import Failures
import Foundation
import Networks
import Preparations
import TestSupport
import Tensors
import Testing
import Volumes

@testable import Inspections

/// Feature maps against PyTorch's activations (Tests/Reference/networks.py).
@Suite struct FeatureMapsTests {
    static func apart(_ a: Vector3, _ b: Vector3) -> Double { ((a - b) * (a - b)).sum().squareRoot() }

    static func load(_ name: String) throws -> (explainer: Explainer, input: PreparedInput, reference: SafeTensors) {
        let network = try Network(contentsOf: Fixtures.reference("networks/\(name).legacy.onnx"))
        let reference = try SafeTensors(contentsOf: Fixtures.reference("networks/\(name).safetensors"))
        let tensor = reference.float("input")!
        let spatial = Array(tensor.shape.dropFirst(2))
        let shape = Index3(spatial[0], spatial[1], spatial.count > 2 ? spatial[2] : 1)
        let affine = Affine(i: [0, 1.5, 0], j: [-1.5, 0, 0], k: [0, 0, 2], origin: [10, -20, 30])
        let layout = NetworkLayout(axes: spatial.count == 3 ? [0, 1, 2] : [0, 1])
        return (
            try Explainer(network: network),
            PreparedInput(tensor: tensor, grid: Grid(shape: shape, affine: affine), layout: layout), reference
        )
    }

    @Test(arguments: ["vgg3d", "resnet3d", "densenet3d", "vgg2d"])
    func channelsEqualPyTorchsActivations(_ name: String) throws {
        let (explainer, input, reference) = try Self.load(name)
        let taps = reference.metadata["taps"]!.split(separator: "\n").map(String.init).filter {
            reference.shape("\($0)|activation")!.count == input.tensor.rank
        }
        let found = try FeatureMaps.read(explainer, [input], layers: taps, choice: .all)
        for (tap, maps) in zip(taps, found) {
            let activation = reference.float("\(tap)|activation")!
            #expect(maps.layer == tap && maps.summaries.count == activation.shape[1])
            let size = activation.count / activation.shape[1]
            for channel in maps.channels {
                let expected = Array(activation.values[channel.index * size..<(channel.index + 1) * size])
                let actual = input.tensorSpatial(from: channel.volume)
                #expect(relativeError(actual, expected) < 1e-4 || expected.allSatisfy { abs($0) < 1e-5 }, "\(tap)")
                let summary = maps.summaries[channel.index]
                let squares = expected.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(size)
                #expect(abs(summary.rootMeanSquare - squares.squareRoot()) < 1e-4 * max(1e-2, squares.squareRoot()))
                #expect(abs(summary.maximum - expected.max()!) < 1e-4 * max(0.1, abs(expected.max()!)))
            }
            // The affine is the prepared grid's with the layer's jump and centre.
            let grid = maps.channels[0].volume.grid
            let first = input.grid.affine(
                Vector3(maps.centre[0], maps.centre[1], maps.centre.count > 2 ? maps.centre[2] : 0))
            #expect(Self.apart(grid.affine.origin, first) < 1e-12)
            #expect(Self.apart(grid.affine.i, input.grid.affine.i * maps.jump[0]) < 1e-12)
        }
    }

    @Test func theStrongestComeFirst() throws {
        let (explainer, input, _) = try Self.load("vgg3d")
        let maps = try FeatureMaps.read(explainer, [input], layers: ["last-spatial"], choice: .strongest(3))[0]
        let strength = maps.summaries.map(\.rootMeanSquare)
        #expect(maps.channels.map { strength[$0.index] } == Array(strength.sorted(by: >).prefix(3)))
    }

    /// The slices of a 2D network become one volume, and the summary runs over all of them.
    @Test func slicesAreStacked() throws {
        let (explainer, input, _) = try Self.load("mobilenet2d")
        var inputs: [PreparedInput] = []
        for slice in 0..<3 {
            var grid = input.grid
            grid.affine.origin += Vector3(0, 0, 2) * Double(slice)
            let scaled = Tensor(shape: input.tensor.shape, values: input.tensor.values.map { $0 * Float(slice) })
            inputs.append(PreparedInput(tensor: scaled, grid: grid, layout: input.layout, slice: slice))
        }
        let stack = try FeatureMaps.read(explainer, inputs, layers: ["first-conv"], choice: .strongest(2))[0]
        #expect(stack.channels[0].volume.grid.shape.z == 3)
        for (slice, input) in inputs.enumerated() {
            let single = try FeatureMaps.read(
                explainer, [input], layers: ["first-conv"], choice: .listed(stack.channels.map(\.index)))[0]
            for (a, b) in zip(stack.channels, single.channels) {
                let size = b.volume.voxels.count
                #expect(Array(a.volume.voxels[slice * size..<(slice + 1) * size]) == b.volume.voxels)
                #expect(stack.summaries[a.index].maximum >= single.summaries[a.index].maximum)
            }
        }
    }

    @Test func whatCannotBeIsRefused() throws {
        let (explainer, input, _) = try Self.load("vgg3d")
        #expect(throws: Failure.self) {
            try FeatureMaps.read(explainer, [input], layers: ["last-spatial"], choice: .listed([1000]))
        }
        #expect(throws: Failure.self) {
            try FeatureMaps.read(explainer, [input], layers: ["logits"], choice: .all)
        }
    }
}

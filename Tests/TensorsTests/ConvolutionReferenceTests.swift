import Failures
import TestSupport
import Testing
import Workers

@testable import Tensors

/// Convolutions and pools against PyTorch, and their gradients against its autograd.
@Suite struct ConvolutionReferenceTests {
    static let maxPools = ConvolutionCase.all.filter { $0.type == "MaxPool" }
    static let convolutions = ConvolutionCase.all.filter { $0.type == "Conv" }

    @Test func allCasesAreThere() { #expect(ConvolutionCase.all.count >= 60) }

    @Test(arguments: ConvolutionCase.all) func forwardAgrees(_ reference: ConvolutionCase) throws {
        let operation = try #require(try OperatorCatalogue.make(reference.node()))
        let y = try operation.floats(reference.inputs)
        #expect(relativeError(y, reference.tensor("y")!) < ConvolutionCase.tolerance)
    }

    @Test(arguments: ConvolutionCase.all) func shapeInferenceAgrees(_ reference: ConvolutionCase) throws {
        let operation = try #require(try OperatorCatalogue.make(reference.node()))
        var inputs = reference.inputs
        inputs[0] = .pending(inputs[0]!.shape)
        let outputs = try operation.forward(inputs)
        #expect(outputs[0].isPending)
        #expect(outputs[0].shape == reference.tensor("y")!.shape)
    }

    @Test(arguments: ConvolutionCase.all) func pullbackAgrees(_ reference: ConvolutionCase) throws {
        let operation = try #require(try OperatorCatalogue.make(reference.node()))
        let inputs = reference.inputs
        let gradients = try operation.pullback(
            PullbackCall(
                gradients: [reference.tensor("gy")!], inputs: inputs, outputs: try operation.forward(inputs),
                wanted: inputs.map { _ in true }))
        for (gradient, key) in zip(gradients, ["gx", "gw", "gb"]) {
            #expect(relativeError(try #require(gradient), reference.tensor(key)!) < ConvolutionCase.tolerance, "\(key)")
        }
    }

    @Test(arguments: maxPools)
    func indicesAgree(_ reference: ConvolutionCase) throws {
        let operation = try #require(try OperatorCatalogue.make(reference.node(outputs: 2)))
        let outputs = try operation.forward(reference.inputs)
        guard case .float(let y) = outputs[0], case .integer(let indices) = outputs[1] else {
            Issue.record("kinds of outputs")
            return
        }
        #expect(y == reference.tensor("y")!)
        #expect(indices == reference.integers("indices")!)
    }

    /// What runs where oneDNN has no kernel gives the same.
    @Test(arguments: convolutions)
    func definitionAgrees(_ reference: ConvolutionCase) throws {
        let x = reference.tensor("x")!
        let w = reference.tensor("w")!
        let attributes = try WindowAttributes(reference.node())
        let convolution = Convolution(
            batch: x.shape[0], groups: reference.node().attributes.int("group")!, inputChannels: x.shape[1],
            outputChannels: w.shape[0],
            window: try attributes.window(over: Array(x.shape[2...]), kernel: Array(w.shape[2...])))
        let y = ConvolutionEngine.byDefinition(
            convolution, .forward, from: x, weight: w, epilogue: Epilogue(bias: reference.tensor("b")))
        #expect(relativeError(y, reference.tensor("y")!) < ConvolutionCase.tolerance)
        let gx = ConvolutionEngine.byDefinition(
            convolution, .backwardData, from: reference.tensor("gy")!, weight: w, epilogue: .none)
        #expect(relativeError(gx, reference.tensor("gx")!) < ConvolutionCase.tolerance)
    }

    @Test func unpoolingInvertsPooling() throws {
        let reference = ConvolutionCase(name: "max3d")
        let pool = try #require(try OperatorCatalogue.make(reference.node(outputs: 2)))
        let outputs = try pool.forward(reference.inputs)
        let unpool = try MaxUnpool(
            node("MaxUnpool", ["kernel_shape": .ints([2, 2, 2]), "strides": .ints([2, 2, 2])]))
        let placed = try unpool.floats(outputs)
        let x = reference.tensor("x")!
        #expect(placed.shape == x.shape)
        for index in 0..<x.count where placed[flat: index] != 0 { #expect(placed[flat: index] == x[flat: index]) }
        let gradient = try #require(
            try unpool.pullback(
                PullbackCall(
                    gradients: [placed], inputs: outputs, outputs: [.float(placed)], wanted: [true, false]))[0])
        #expect(gradient == outputs[0].floats)
    }
}

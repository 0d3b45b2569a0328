import Failures

/// ONNX `ConvTranspose`: the adjoint of a convolution, which enlarges where that one strides.
///
/// Inputs: X `[batch, C, spatial…]`, W `[C, M / group, kernel…]`, optionally B `[M]`. Output `[batch, M, spatial…]`: each
/// input element adds its value times the kernel at output `i · stride + k · dilation − pad`. Computed as the
/// backward-data pass of the convolution with M input and C output channels and the same weights.
public struct ConvTranspose: Operator {
    public static let types = ["ConvTranspose"]

    private let node: NodeDescription
    private let window: WindowAttributes
    private let groups: Int
    private let outputPadding: [Int]?
    private let requestedShape: [Int]?
    private let packed = PackedWeights()

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
        groups = try node.groups()
        outputPadding = try node.extents("output_padding", atLeast: 0)
        requestedShape = try node.extents("output_shape", atLeast: 1)
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "X")
        let weight = try node.input(inputs, 1, "W")
        let adjoint = try adjoint(input: input.shape, weight: weight.shape)
        let bias = try node.bias(inputs, channels: adjoint.inputChannels)
        guard let x = try node.float(input, "X"), let w = try node.float(weight, "W"), bias != .unknown else {
            return [.pending(adjoint.inputShape)]
        }
        let y = try ConvolutionEngine.backwardData(
            adjoint, gradient: x, weight: w, epilogue: Epilogue(bias: bias.tensor), cache: packed)
        return [.float(y)]
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let adjoint = try adjoint(input: call.shape(0), weight: call.shape(1))
        return try call.results { index in
            switch index {
            case 0:
                try ConvolutionEngine.forward(
                    adjoint, input: call.gradient, weight: call.float(1), cache: packed)
            case 1: ConvolutionEngine.backwardWeights(adjoint, input: call.gradient, gradient: call.float(0))
            default: ConvolutionEngine.biasGradient(call.gradient)
            }
        }
    }

    /// The convolution from this operator's output to its input.
    private func adjoint(input: [Int], weight: [Int]) throws -> Convolution {
        let spatial = try window.spatialExtents(of: input)
        guard weight.count == input.count, weight.allSatisfy({ $0 > 0 && $0 <= WindowAttributes.largestExtent }),
            weight[0] == input[1], input[1] % groups == 0
        else {
            throw node.failure(
                expected: "weights [\(input[1]), M/\(groups), kernel…] for an input \(input)", found: "shape \(weight)",
                remedy: "Check that the input has the channels the network was trained on")
        }
        let kernelShape = Array(weight[2...])
        guard window.kernel == nil || window.kernel == kernelShape else {
            throw node.failure(
                expected: "kernel_shape \(kernelShape) as the weights \(weight) have it", found: "\(window.kernel!)")
        }
        guard spatial.allSatisfy({ $0 > 0 }) else {
            throw node.failure(expected: "spatial extents of at least 1", found: "shape \(input)")
        }
        let rank = spatial.count
        let kernel = SIMD3(lifting: kernelShape)
        let stride = try window.lifted("strides", window.strides, rank: rank, fallback: 1)
        let dilation = try window.lifted("dilations", window.dilations, rank: rank, fallback: 1)
        let added = try window.lifted("output_padding", outputPadding, rank: rank, fallback: 0)
        var (begin, end) = try window.liftedPads(rank: rank)
        let extents = SIMD3(lifting: spatial)
        let reach = (kernel &- 1) &* dilation &+ 1
        // What the output has before any padding is taken off.
        let full = (extents &- 1) &* stride &+ added &+ reach
        var output = full &- begin &- end
        var asked: SIMD3<Int>?
        if let requestedShape {
            // Some exporters write the whole shape, batch and channels included.
            let shape = requestedShape.count == rank + 2 ? Array(requestedShape[2...]) : requestedShape
            asked = try window.lifted("output_shape", shape, rank: rank, fallback: 1)
        } else if window.padding == .sameUpper || window.padding == .sameLower {
            asked = extents &* stride
        } else if window.padding == .valid {
            (begin, end, output) = (.zero, .zero, full)
        }
        if let asked {
            output = asked
            for axis in 0..<3 {
                // Where more is asked than there is, the end is left at the bias.
                let total = max(0, full[axis] - asked[axis])
                begin[axis] = window.padding == .sameUpper ? total / 2 : total - total / 2
                end[axis] = full[axis] - asked[axis] - begin[axis]
            }
        }
        guard (0..<3).allSatisfy({ output[$0] > 0 && output[$0] <= WindowAttributes.largestExtent }) else {
            throw node.failure(
                expected: "pads that leave some of the output", found: "pads \(window.pads ?? []) for an input \(input)"
            )
        }
        let sliding = SpatialWindow(
            rank: rank, input: output, output: extents, kernel: kernel, stride: stride, dilation: dilation,
            padBegin: begin, padEnd: end)
        let (channels, overflow) = weight[1].multipliedReportingOverflow(by: groups)
        guard !overflow, channels <= WindowAttributes.largestExtent else {
            throw node.failure(expected: "a possible number of channels", found: "weights \(weight), group \(groups)")
        }
        let convolution = Convolution(
            batch: input[0], groups: groups, inputChannels: channels, outputChannels: input[1], window: sliding)
        _ = try node.possible(convolution.inputShape)
        _ = try node.possible(convolution.outputShape)
        return convolution
    }
}

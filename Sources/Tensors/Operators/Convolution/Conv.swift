import Failures

/// ONNX `Conv`: the cross-correlation of an input with learned kernels, over one to three spatial axes.
///
/// Inputs: X `[batch, C, spatial…]`, W `[M, C / group, kernel…]`, optionally B `[M]`. Output: `[batch, M, spatial…]`,
/// `Y[n, m, o] = B[m] + Σ W[m, c, k] · X[n, c, o · stride + k · dilation − pad]` over the channels c of m's group and the
/// kernel indices k whose position lies in the input.
public struct Conv: Operator {
    public static let types = ["Conv"]

    private let node: NodeDescription
    private let window: WindowAttributes
    private let groups: Int
    private let packed = PackedWeights()

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
        groups = try node.groups()
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "X")
        let weight = try node.input(inputs, 1, "W")
        let convolution = try convolution(input: input.shape, weight: weight.shape)
        let bias = try node.bias(inputs, channels: convolution.outputChannels)
        guard let x = try node.float(input, "X"), let w = try node.float(weight, "W"), bias != .unknown else {
            return [.pending(convolution.outputShape)]
        }
        let y = try ConvolutionEngine.forward(
            convolution, input: x, weight: w, epilogue: Epilogue(bias: bias.tensor), cache: packed)
        return [.float(y)]
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let convolution = try convolution(input: call.shape(0), weight: call.shape(1))
        return try call.results { index in
            switch index {
            case 0:
                try ConvolutionEngine.backwardData(
                    convolution, gradient: call.gradient, weight: call.float(1), cache: packed)
            case 1: ConvolutionEngine.backwardWeights(convolution, input: call.float(0), gradient: call.gradient)
            default: ConvolutionEngine.biasGradient(call.gradient)
            }
        }
    }

    private func convolution(input: [Int], weight: [Int]) throws -> Convolution {
        let spatial = try window.spatialExtents(of: input)
        guard weight.count == input.count, weight.allSatisfy({ $0 > 0 && $0 <= WindowAttributes.largestExtent }),
            input[1] % groups == 0, weight[1] == input[1] / groups, weight[0] % groups == 0
        else {
            throw node.failure(
                expected:
                    "weights [M, \(input[1])/\(groups), kernel…] for an input \(input), M a multiple of \(groups)",
                found: "shape \(weight)", remedy: "Check that the input has the channels the network was trained on")
        }
        let kernel = Array(weight[2...])
        guard window.kernel == nil || window.kernel == kernel else {
            throw node.failure(
                expected: "kernel_shape \(kernel) as the weights \(weight) have it", found: "\(window.kernel!)")
        }
        let convolution = Convolution(
            batch: input[0], groups: groups, inputChannels: input[1], outputChannels: weight[0],
            window: try window.window(over: spatial, kernel: kernel))
        _ = try node.possible(convolution.inputShape)
        _ = try node.possible(convolution.outputShape)
        return convolution
    }
}

extension NodeDescription {
    func groups() throws -> Int {
        let groups = try int("group", default: 1)
        guard groups >= 1 else { throw failure(expected: "group of at least 1", found: "\(groups)") }
        return groups
    }

    /// The bias of a convolution: none, its numbers, or nothing but its shape.
    func bias(_ inputs: [Value?], channels: Int) throws -> Bias {
        guard let value = optional(inputs, 2) else { return .none }
        guard value.shape == [channels] else {
            throw failure(expected: "a bias of shape [\(channels)]", found: "shape \(value.shape)")
        }
        return try float(value, "B").map { .known($0) } ?? .unknown
    }
}

enum Bias: Equatable {
    case none, unknown
    case known(Tensor<Float>)

    var tensor: Tensor<Float>? { if case .known(let tensor) = self { tensor } else { nil } }
}

import Failures
import Workers

/// ONNX `Conv`: the cross-correlation of an input with learned kernels, over one to three spatial axes.
///
/// Inputs: X `[batch, C, spatial…]`, W `[M, C / group, kernel…]`, optionally B `[M]`. Output: `[batch, M, spatial…]`,
/// `Y[n, m, o] = B[m] + Σ W[m, c, k] · X[n, c, o · stride + k · dilation − pad]` over the channels c of m's group and the
/// kernel indices k whose position lies in the input.
public struct Conv: Operator {
    public static let types = ["Conv"]

    private let node: NodeDescription
    private var window: WindowAttributes
    private let groups: Int
    private var packed = PackedWeights()
    /// What a plan has joined to this convolution: an addend as fourth input, a (leaky) rectifier.
    private var addsResidual = false
    private var slope: Float = 1

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
        groups = try node.groups()
    }

    /// This convolution with what follows it in the same pass: the sum with a fourth input of the output's shape, then
    /// values below 0 times `slope` (0 is Relu, 1 nothing).
    ///
    /// The transformed weights are shared with this value. The pullback rectifies as Relu and LeakyRelu do.
    ///
    /// - Precondition: `slope` is not negative, since the sign of the output must tell the sign before it.
    public func followed(bySlope slope: Float = 1, addingResidual: Bool = false) -> Conv {
        precondition(
            slope >= 0 && self.slope == 1 && !addsResidual, "a convolution that is followed by something already")
        var conv = self
        conv.slope = slope
        conv.addsResidual = addingResidual
        return conv
    }

    /// This convolution for weights of its own: transformed weights are kept for one weight tensor only.
    func withOwnWeights() -> Conv {
        var conv = self
        conv.packed = PackedWeights()
        return conv
    }

    func outputShape(_ inputs: [Value?]) throws -> [Int] {
        let input = try node.input(inputs, 0, "X")
        return try convolution(input: input.shape, weight: try node.input(inputs, 1, "W").shape).outputShape
    }

    /// The same for inputs of which only shapes are known; nil where not even those are.
    func outputShape(shapes: [[Int]?]) throws -> [Int]? { try convolution(shapes)?.outputShape }

    /// Whether this and a pool after it run in one pass, for inputs of these shapes.
    func pools(by pool: MaxPool, shapes: [[Int]?]) throws -> Bool {
        guard let convolution = try convolution(shapes) else { return false }
        return ConvolutionEngine.pools(convolution, try pool.sliding(over: convolution.outputShape))
    }

    /// Whether it may be computed by minimal filtering: kernels of three (or one) at a stride of 1.
    func hasSmallKernel(_ constants: [Value?]) -> Bool {
        guard constants.count > 1, let weight = constants[1], groups == 1 else { return false }
        let kernel = weight.shape.dropFirst(2)
        return kernel.allSatisfy { $0 == 1 || $0 == 3 } && kernel.contains(3)
            && window.strides?.allSatisfy { $0 == 1 } ?? true && window.dilations?.allSatisfy { $0 == 1 } ?? true
    }

    private func convolution(_ shapes: [[Int]?]) throws -> Convolution? {
        guard shapes.count > 1, let input = shapes[0], let weight = shapes[1] else { return nil }
        return try convolution(input: input, weight: weight)
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] { [try forward(inputs, pooledBy: nil)] }

    /// The output, or what a pool after it gives: in one pass where a kernel has both, which tells the same to the last bit.
    func forward(_ inputs: [Value?], pooledBy pool: MaxPool?) throws -> Value {
        let input = try node.input(inputs, 0, "X")
        let weight = try node.input(inputs, 1, "W")
        let convolution = try convolution(input: input.shape, weight: weight.shape)
        let bias = try node.bias(inputs, channels: convolution.outputChannels)
        guard let x = try node.float(input, "X"), let w = try node.float(weight, "W"), bias != .unknown else {
            return try pooled(.pending(convolution.outputShape), pool)
        }
        var epilogue = Epilogue(bias: bias.tensor, slope: slope)
        if addsResidual {
            let residual = try node.input(inputs, 3, "residual")
            guard residual.shape == convolution.outputShape else {
                throw node.failure(
                    expected: "an addend of shape \(convolution.outputShape)", found: residual.summary)
            }
            guard let addend = try node.float(residual, "residual") else {
                return try pooled(.pending(convolution.outputShape), pool)
            }
            epilogue.residual = addend
        }
        if let pool,
            let y = ConvolutionEngine.forward(
                convolution, pooledBy: try pool.sliding(over: convolution.outputShape), input: x, weight: w,
                epilogue: epilogue, cache: packed)
        {
            return .float(y)
        }
        let y = try ConvolutionEngine.forward(convolution, input: x, weight: w, epilogue: epilogue, cache: packed)
        return try pooled(.float(y), pool)
    }

    private func pooled(_ value: Value, _ pool: MaxPool?) throws -> Value { try pool?.forward([value])[0] ?? value }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let convolution = try convolution(input: call.shape(0), weight: call.shape(1))
        let gradient = slope == 1 ? call.gradient : call.gradient.rectified(by: call.floatOutput(0), slope: slope)
        return try call.results { index in
            switch index {
            case 0:
                try ConvolutionEngine.backwardData(
                    convolution, gradient: gradient, weight: call.float(1), cache: packed)
            case 1: ConvolutionEngine.backwardWeights(convolution, input: call.float(0), gradient: gradient)
            case 2: ConvolutionEngine.biasGradient(gradient)
            default: gradient
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

extension Conv: PartialOperator {
    public func part(_ outputs: Box, shapes: [[Int]?]) throws -> (box: Box, operation: any Operator)? {
        try partialConvolution(outputs, shapes: shapes)
    }

    /// As the protocol asks, and nothing but a convolution.
    func partialConvolution(_ outputs: Box, shapes: [[Int]?]) throws -> (box: Box, operation: Conv)? {
        guard shapes.count >= 2, let input = shapes[0], let weight = shapes[1], weight.count == input.count,
            let part = try window.part(
                outputs, over: try window.spatialExtents(of: input), kernel: Array(weight[2...]))
        else { return nil }
        var conv = self
        conv.window = part.attributes
        return (part.box, conv)
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

extension Tensor<Float> {
    /// This gradient times the derivative of a (leaky) rectifier whose output was `output`.
    fileprivate func rectified(by output: Tensor<Float>, slope: Float) -> Tensor<Float> {
        precondition(shape == output.shape, "a gradient of another shape")
        return Tensor(shape: shape) { to in
            withUnsafeBuffer { gradient in
                output.withUnsafeBuffer { output in
                    Workers.shared.forEachRange(gradient.count, grain: 1 << 16) { range in
                        for index in range {
                            to[index] = output[index] > 0 ? gradient[index] : gradient[index] * slope
                        }
                    }
                }
            }
        }
    }
}

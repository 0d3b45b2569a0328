import CKernels
import Failures

/// ONNX `AveragePool`: the mean of each window of every channel.
///
/// The divisor counts the taps inside the input or, with `count_include_pad`, inside the padded input.
public struct AveragePool: Operator {
    public static let types = ["AveragePool"]

    private let node: NodeDescription
    private var window: WindowAttributes
    private let countPadding: Bool

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
        countPadding = try node.flag("count_include_pad", default: false)
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "X")
        let sliding = try window.poolWindow(input.shape)
        let shape = try node.possible(Array(input.shape[..<2]) + sliding.outputShape)
        guard let x = try node.float(input, "X") else { return [.pending(shape)] }
        return [
            .float(
                sliding.mapPlanes(x, shape) { w, from, to in
                    Scratch.with(bytes: 4 * sliding.input[2]) {
                        tomo_average_pool(&w, countPadding ? 1 : 0, from, to, $0.assumingMemoryBound(to: Float.self))
                    }
                })
        ]
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard call.wants(0) else { return [nil] }
        let (shape, gradient) = (call.shape(0), call.gradient)
        let sliding = try window.poolWindow(shape)
        return [
            sliding.mapPlanes(gradient, shape) { w, from, to in
                tomo_average_pool_gradient(&w, countPadding ? 1 : 0, from, to)
            }
        ]
    }
}

extension AveragePool: PartialOperator {
    public func part(_ outputs: Box, shapes: [[Int]?]) throws -> (box: Box, operation: any Operator)? {
        // What lies beyond the padding does not count, so that a rounded-up extent cannot be written as padding.
        guard !window.ceilMode, let input = shapes.first ?? nil, let kernel = window.kernel,
            let part = try window.part(outputs, over: try window.spatialExtents(of: input), kernel: kernel)
        else { return nil }
        var pool = self
        pool.window = part.attributes
        return (part.box, pool)
    }
}

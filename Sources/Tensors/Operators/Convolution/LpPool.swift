import CKernels
import Failures

/// ONNX `LpPool`: the p-norm of each window of every channel, `(Σ |x|^p)^(1/p)`.
public struct LpPool: Operator {
    public static let types = ["LpPool"]

    private let node: NodeDescription
    private let window: WindowAttributes
    private let p: Double

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
        p = Double(try node.int("p", default: 2))
        guard p >= 1 else { throw node.failure(expected: "p of at least 1", found: "\(Int(p))") }
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "X")
        let sliding = try window.poolWindow(input.shape)
        let shape = try node.possible(Array(input.shape[..<2]) + sliding.outputShape)
        guard let x = try node.float(input, "X") else { return [.pending(shape)] }
        return [.float(sliding.mapPlanes(x, shape) { w, from, to in tomo_norm_pool(&w, p, from, to) })]
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard call.wants(0) else { return [nil] }
        let (x, y, gradient) = (call.float(0), call.floatOutput(0), call.gradient)
        let sliding = try window.poolWindow(x.shape)
        let step = sliding.outputCount
        return [
            y.withUnsafeBuffer { y in
                gradient.withUnsafeBuffer { all in
                    sliding.mapPlanes(x, gradient, x.shape) { w, from, gradient, to in
                        let plane = (gradient - all.baseAddress!) / step
                        tomo_norm_pool_gradient(&w, p, from, y.baseAddress! + plane * step, gradient, to)
                    }
                }
            }
        ]
    }
}

import CKernels
import Failures
import Workers

/// ONNX `MaxPool`: the largest value in each window of every channel.
///
/// Outputs: Y, and Indices of the same shape where the node names it: the flat index into X (with `storage_order` 1, as if
/// the spatial axes were stored in reverse order) of the first largest element. The gradient goes to that element.
public struct MaxPool: Operator {
    public static let types = ["MaxPool"]

    private let node: NodeDescription
    private var window: WindowAttributes
    private let columnMajor: Bool

    public init(_ node: NodeDescription) throws {
        self.node = node
        window = try WindowAttributes(node)
        columnMajor = try node.flag("storage_order", default: false)
    }

    private var wantsIndices: Bool { node.outputs.count > 1 && !node.outputs[1].isEmpty }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        // Some quantized networks pool integers; exact in the float kernel up to 2^24, which is checked.
        if inputs.count > 0, case .integer(let integers)? = inputs[0] {
            guard integers.values.allSatisfy({ abs($0) <= 1 << 24 }) else {
                throw node.failure(expected: "integers of at most 24 bits", found: "larger ones")
            }
            let floats = Tensor<Float>(shape: integers.shape, values: integers.values.lazy.map { Float($0) })
            var results = try forward([.float(floats)])
            if case .float(let pooled) = results[0] {
                guard pooled.values.allSatisfy(\.isFinite) else {
                    throw node.failure(expected: "windows that meet the input", found: "one wholly in the padding")
                }
                results[0] = .integer(Tensor(shape: pooled.shape, values: pooled.values.lazy.map { Int64($0) }))
            }
            return results
        }
        let input = try node.input(inputs, 0, "X")
        let sliding = try window.poolWindow(input.shape)
        let shape = try node.possible(Array(input.shape[..<2]) + sliding.outputShape)
        guard let x = try node.float(input, "X") else {
            return [.pending(shape)] + (wantsIndices ? [.pending(shape)] : [])
        }
        if wantsIndices {
            let (values, indices) = withIndices(x, sliding, shape)
            return [.float(values), .integer(indices)]
        }
        return [
            .float(
                sliding.mapPlanes(x, shape) { w, from, to in
                    Scratch.with(bytes: 4 * Int(tomo_max_pool_scratch(&w))) {
                        tomo_max_pool(&w, tomo_best_processor(), from, to, $0.assumingMemoryBound(to: Float.self))
                    }
                })
        ]
    }

    private func withIndices(_ x: Tensor<Float>, _ sliding: SpatialWindow, _ shape: [Int]) -> (
        Tensor<Float>, Tensor<Int64>
    ) {
        let (inputs, outputs) = (sliding.inputCount, sliding.outputCount)
        let extents = sliding.input
        var indices: Tensor<Int64>?
        let values = Tensor<Float>(shape: shape) { values in
            indices = Tensor<Int64>(shape: shape) { indices in
                x.withUnsafeBuffer { x in
                    Workers.shared.forEach(shape[0] * shape[1]) { plane in
                        var w = sliding.description
                        let found = indices.baseAddress! + plane * outputs
                        tomo_max_pool_indices(
                            &w, x.baseAddress! + plane * inputs, values.baseAddress! + plane * outputs, found)
                        for index in 0..<outputs where found[index] >= 0 {
                            var flat = Int(found[index])
                            if columnMajor {
                                let (x, rest) = (flat % extents[2], flat / extents[2])
                                let (y, z) = (rest % extents[1], rest / extents[1])
                                flat = (x * extents[1] + y) * extents[0] + z
                            }
                            found[index] = Int64(plane * inputs + flat)
                        }
                    }
                }
            }
        }
        return (values, indices!)
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard call.wants(0) else { return [nil] }
        let (x, gradient) = (call.float(0), call.gradient)
        let sliding = try window.poolWindow(x.shape)
        return [
            sliding.mapPlanes(x, gradient, x.shape) { w, from, gradient, to in
                tomo_max_pool_gradient(&w, from, gradient, to)
            }
        ]
    }
}

extension MaxPool: PartialOperator {
    public func part(_ outputs: Box, shapes: [[Int]?]) throws -> (box: Box, operation: any Operator)? {
        guard let input = shapes.first ?? nil else { return nil }
        return try partialPool(outputs, of: input)
    }

    /// As the protocol asks, and nothing but a pool.
    func partialPool(_ outputs: Box, of input: [Int]) throws -> (box: Box, operation: MaxPool)? {
        // Indices count places of the whole input.
        guard !wantsIndices, let kernel = window.kernel,
            let part = try window.part(outputs, over: try window.spatialExtents(of: input), kernel: kernel)
        else { return nil }
        var pool = self
        pool.window = part.attributes
        return (part.box, pool)
    }
}

extension MaxPool {
    /// Whether it takes two places (or one) on each axis, side by side, without padding, and nothing but the largest.
    var isHalving: Bool {
        guard !wantsIndices, let kernel = window.kernel, let strides = window.strides, kernel == strides else {
            return false
        }
        return kernel.allSatisfy { $0 <= 2 } && window.pads?.allSatisfy { $0 == 0 } ?? true && !window.ceilMode
            && window.dilations?.allSatisfy { $0 == 1 } ?? true
    }

    var placesOfAResult: Int { window.strides?.reduce(1, *) ?? 1 }

    func sliding(over shape: [Int]) throws -> SpatialWindow { try window.poolWindow(shape) }
}

extension WindowAttributes {
    /// The window of a pool over `[batch, channels, spatial…]`; a pool must have a kernel_shape.
    func poolWindow(_ shape: [Int]) throws -> SpatialWindow {
        guard let kernel else { throw node.failure(expected: "an attribute kernel_shape", found: "none") }
        return try window(over: try spatialExtents(of: shape), kernel: kernel)
    }
}

extension SpatialWindow {
    /// A tensor of `shape` made plane by plane (a plane is one channel of one image) from the input's planes.
    func mapPlanes(
        _ input: Tensor<Float>, _ shape: [Int],
        _ body: (inout tomo_window, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
    ) -> Tensor<Float> {
        let from = input.count / max(1, shape[0] * shape[1])
        return Tensor(shape: shape) { to in
            let count = to.count / max(1, shape[0] * shape[1])
            input.withUnsafeBuffer { input in
                Workers.shared.forEach(shape[0] * shape[1]) { plane in
                    var window = description
                    body(&window, input.baseAddress! + plane * from, to.baseAddress! + plane * count)
                }
            }
        }
    }

    /// As above, from the planes of two tensors.
    func mapPlanes(
        _ first: Tensor<Float>, _ second: Tensor<Float>, _ shape: [Int],
        _ body: (inout tomo_window, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
    ) -> Tensor<Float> {
        let step = second.count / max(1, shape[0] * shape[1])
        return second.withUnsafeBuffer { second in
            let base = first.withUnsafeBuffer { $0.baseAddress! }
            let count = first.count / max(1, shape[0] * shape[1])
            return mapPlanes(first, shape) { window, from, to in
                let plane = count == 0 ? 0 : (from - base) / count
                body(&window, from, second.baseAddress! + plane * step, to)
            }
        }
    }
}

import CKernels
import Failures
import Foundation
import Workers

/// ONNX `GlobalAveragePool`, `GlobalMaxPool` and `GlobalLpPool`: one value for every channel of every image, over all
/// spatial axes, which keep extent 1.
///
/// The gradient of the mean spreads evenly, that of the maximum goes to its first place, that of the p-norm to
/// x |x|^(p−2) / y^(p−1).
public struct GlobalPool: Operator {
    public static let types = ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"]

    private enum Kind { case average, max, norm(Double) }

    private let node: NodeDescription
    private let kind: Kind

    public init(_ node: NodeDescription) throws {
        self.node = node
        switch node.type {
        case "GlobalAveragePool": kind = .average
        case "GlobalMaxPool": kind = .max
        default:
            let p = try node.int("p", default: 2)
            guard p >= 1 else { throw node.failure(expected: "p of at least 1", found: "\(p)") }
            kind = .norm(Double(p))
        }
    }

    public func forward(_ inputs: [Value?]) throws -> [Value] {
        let input = try node.input(inputs, 0, "X")
        let (planes, count) = try planes(input.shape)
        let shape = Array(input.shape[..<2]) + [Int](repeating: 1, count: input.shape.count - 2)
        guard let x = try node.float(input, "X") else { return [.pending(shape)] }
        return [
            .float(
                Tensor(shape: shape) { to in
                    x.withUnsafeBuffer { x in
                        Workers.shared.forEach(planes) { plane in
                            let values = UnsafeBufferPointer(rebasing: x[plane * count..<(plane + 1) * count])
                            to[plane] =
                                switch kind {
                                case .average: Float(tomo_sum(values.baseAddress, Int64(count)) / Double(count))
                                case .max: values[Self.largest(values)]
                                case .norm(let p):
                                    Float(pow(values.reduce(0.0) { $0 + pow(abs(Double($1)), p) }, 1 / p))
                                }
                        }
                    }
                })
        ]
    }

    public func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        guard call.wants(0) else { return [nil] }
        let (x, gradient) = (call.float(0), call.gradient)
        let (planes, count) = try planes(x.shape)
        let result = Tensor<Float>(shape: x.shape) { to in
            func forEachPlane(_ body: (Int, UnsafeMutableBufferPointer<Float>) -> Void) {
                Workers.shared.forEach(planes) { plane in
                    body(plane, UnsafeMutableBufferPointer(rebasing: to[plane * count..<(plane + 1) * count]))
                }
            }
            if case .average = kind {
                forEachPlane { plane, to in to.update(repeating: gradient[flat: plane] / Float(count)) }
                return
            }
            x.withUnsafeBuffer { x in
                forEachPlane { plane, to in
                    let values = UnsafeBufferPointer(rebasing: x[plane * count..<(plane + 1) * count])
                    if case .norm(let p) = kind {
                        let norm = pow(values.reduce(0.0) { $0 + pow(abs(Double($1)), p) }, 1 / p)
                        let factor = norm > 0 ? Double(gradient[flat: plane]) / pow(norm, p - 1) : 0
                        for (index, value) in values.enumerated() {
                            let size = value == 0 ? 0 : pow(abs(Double(value)), p - 1)
                            to[index] = Float(factor * (value < 0 ? -size : size))
                        }
                    } else {
                        to.update(repeating: 0)
                        to[Self.largest(values)] = gradient[flat: plane]
                    }
                }
            }
        }
        return [result]
    }

    /// Index of the first largest value, or of the first NaN.
    private static func largest(_ values: UnsafeBufferPointer<Float>) -> Int {
        var best = 0
        for index in values.indices {
            if values[best].isNaN { break }
            if !(values[index] <= values[best]) { best = index }
        }
        return best
    }

    private func planes(_ shape: [Int]) throws -> (planes: Int, count: Int) {
        guard shape.count >= 2, shape[2...].allSatisfy({ $0 > 0 }) else {
            throw node.failure(
                expected: "an input [batch, channels, spatial…] with spatial extents of at least 1",
                found: "shape \(shape)")
        }
        return (shape[0] * shape[1], shape[2...].reduce(1, *))
    }
}

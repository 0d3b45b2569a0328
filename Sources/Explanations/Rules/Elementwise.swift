import Tensors
import Workers

/// Elementwise arithmetic over large tensors, spread over the workers in pieces that do not depend on their number.
extension Tensor where Scalar == Float {
    private static var grain: Int { 1 << 15 }

    /// `f(a, b)` for every pair of elements of two tensors of one shape.
    func combined(with other: Tensor, _ f: @Sendable (Float, Float) -> Float) -> Tensor {
        precondition(other.shape == shape, "tensors of shapes \(shape) and \(other.shape)")
        return withUnsafeBuffer { a in
            other.withUnsafeBuffer { b in
                Tensor(shape: shape) { result in
                    Workers.shared.forEachRange(a.count, grain: Self.grain) { range in
                        for index in range { result[index] = f(a[index], b[index]) }
                    }
                }
            }
        }
    }

    /// `f(element)` for every element.
    func transformed(_ f: @Sendable (Float) -> Float) -> Tensor {
        withUnsafeBuffer { a in
            Tensor(shape: shape) { result in
                Workers.shared.forEachRange(a.count, grain: Self.grain) { range in
                    for index in range { result[index] = f(a[index]) }
                }
            }
        }
    }

    /// The sum of all elements, in double precision and a fixed order.
    var total: Double { withUnsafeBuffer { $0.reduce(0.0) { $0 + Double($1) } } }
}

extension Value {
    /// The tensor of a float value; nil for anything else.
    var floats: Tensor<Float>? { if case .float(let tensor) = self { tensor } else { nil } }
}

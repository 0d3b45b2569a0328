import Foundation
import Workers

/// An operator that can compute some planes of its output (along the first spatial axis) from some planes of its first input.
///
/// So a large volume goes through a network slab by slab, each with the margin that its windows reach into.
public protocol SlabOperator: Operator {
    /// What `outputs` read of the first input, and an operator that gives just these planes from just those; nil where that
    /// cannot be.
    ///
    /// - Parameter shapes: of the whole inputs.
    func slab(_ outputs: Range<Int>, shapes: [[Int]?]) throws -> (planes: Range<Int>, operation: any Operator)?
}

extension Tensor {
    /// Planes along the third axis (the first spatial one), copied.
    ///
    /// - Precondition: three axes or more, and planes that exist.
    public func planes(_ range: Range<Int>) -> Tensor {
        precondition(rank >= 3 && range.lowerBound >= 0 && range.upperBound <= shape[2], "planes that exist")
        if range == 0..<shape[2] { return self }
        let plane = shape[3...].reduce(1, *)
        let whole = shape[2]
        return Tensor(shape: Array(shape[..<2]) + [range.count] + Array(shape[3...])) { to in
            withUnsafeBuffer { from in
                Workers.shared.forEach(shape[0] * shape[1]) { channel in
                    (to.baseAddress! + channel * range.count * plane).initialize(
                        from: from.baseAddress! + (channel * whole + range.lowerBound) * plane,
                        count: range.count * plane)
                }
            }
        }
    }

    /// Copies this slab to its place in a whole tensor of `extent` planes along the third axis.
    public func writePlanes(_ range: Range<Int>, of extent: Int, to whole: UnsafeMutableBufferPointer<Scalar>) {
        precondition(rank >= 3 && shape[2] == range.count && whole.count == count / max(1, range.count) * extent)
        let plane = shape[3...].reduce(1, *)
        withUnsafeBuffer { from in
            Workers.shared.forEach(shape[0] * shape[1]) { channel in
                (whole.baseAddress! + (channel * extent + range.lowerBound) * plane).update(
                    from: from.baseAddress! + channel * range.count * plane, count: range.count * plane)
            }
        }
    }
}

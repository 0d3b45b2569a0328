import Workers

/// Places taken along one axis, in any order and as often as wanted.
struct AxisTake: Movement {
    let shape: [Int]
    private let indices: [Int]
    private let outer: Int
    private let extent: Int
    private let inner: Int

    /// - Precondition: every index lies in the axis.
    init(_ shape: [Int], axis: Int, indices: [Int], indexShape: [Int]? = nil) {
        self.indices = indices
        self.shape = shape[..<axis] + (indexShape ?? [indices.count]) + shape[(axis + 1)...]
        outer = shape.elementCount(..<axis)
        extent = shape[axis]
        inner = shape.elementCount((axis + 1)...)
        precondition(indices.allSatisfy { $0 >= 0 && $0 < extent })
    }

    func callAsFunction<Scalar>(_ tensor: Tensor<Scalar>) -> Tensor<Scalar> {
        Tensor(shape: shape) { result in
            tensor.withUnsafeBuffer { source in
                guard let from = source.baseAddress, let to = result.baseAddress, result.count > 0 else { return }
                Workers.shared.forEachRange(outer * indices.count, grain: max(1, (1 << 14) / inner)) { range in
                    for row in range {
                        let place = row / indices.count * extent + indices[row % indices.count]
                        (to + row * inner).update(from: from + place * inner, count: inner)
                    }
                }
            }
        }
    }

    /// The gradient of the tensor taken from: every place gathers what its copies received, in order.
    func adjoint(_ gradient: Tensor<Float>, of original: [Int]) -> Tensor<Float> {
        Tensor(shape: original) { result in
            result.initialize(repeating: 0)
            gradient.withUnsafeBuffer { source in
                guard let from = source.baseAddress, let to = result.baseAddress, source.count > 0 else { return }
                Workers.shared.forEachRange(outer, grain: max(1, (1 << 14) / (inner * indices.count))) { range in
                    for block in range {
                        for (row, index) in indices.enumerated() {
                            let read = from + (block * indices.count + row) * inner
                            let write = to + (block * extent + index) * inner
                            for i in 0..<inner { write[i] += read[i] }
                        }
                    }
                }
            }
        }
    }
}

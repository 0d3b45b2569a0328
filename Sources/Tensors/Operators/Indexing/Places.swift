/// Blocks of a tensor, one after the other, at given starts: what gathering reads and scattering writes.
struct Places: Movement {
    let shape: [Int]
    /// Flat index of each block's first element.
    let starts: [Int]
    let length: Int

    func callAsFunction<Scalar>(_ tensor: Tensor<Scalar>) -> Tensor<Scalar> {
        Tensor(shape: shape) { result in
            tensor.withUnsafeBuffer { source in
                guard let from = source.baseAddress, let to = result.baseAddress, length > 0 else { return }
                for (block, start) in starts.enumerated() {
                    (to + block * length).update(from: from + start, count: length)
                }
            }
        }
    }

    /// A copy of `tensor` with each block of `updates` combined into its place, in order.
    @inline(__always)
    func scattered<Scalar>(
        _ updates: Tensor<Scalar>, into tensor: Tensor<Scalar>, _ combine: (Scalar, Scalar) -> Scalar
    ) -> Tensor<Scalar> {
        var result = tensor
        result.withUnsafeMutableBuffer { result in
            updates.withUnsafeBuffer { source in
                for (block, start) in starts.enumerated() {
                    for i in 0..<length {
                        result[start + i] = combine(result[start + i], source[block * length + i])
                    }
                }
            }
        }
        return result
    }

    /// The gradient of a tensor of `original` shape that the blocks were read from.
    func adjoint(_ gradient: Tensor<Float>, of original: [Int]) -> Tensor<Float> {
        scattered(gradient, into: Tensor(shape: original, repeating: 0)) { $0 + $1 }
    }
}

extension Places {
    /// One element for each index tensor element: its own place, but on `axis` the place that the index names
    /// (GatherElements, ScatterElements).
    init(elements indices: Tensor<Int64>, axis: Int, of shape: [Int], _ node: NodeDescription) throws {
        guard indices.rank == shape.count,
            shape.indices.allSatisfy({ $0 == axis || indices.shape[$0] <= shape[$0] })
        else {
            throw node.failure(
                expected: "indices that lie in \(shape) on all axes but \(axis)", found: "shape \(indices.shape)")
        }
        let strides = shape.rowMajorStrides
        let places = try node.places(indices, shape[axis])
        // The index tensor's own places, read as places of the tensor, with the axis left out.
        var others = strides
        others[axis] = 0
        var starts = [Int](repeating: 0, count: indices.count)
        let extents = indices.shape
        for flat in starts.indices {
            var rest = flat
            var start = places[flat] * strides[axis]
            for a in extents.indices.reversed() {
                start += rest % extents[a] * others[a]
                rest /= extents[a]
            }
            starts[flat] = start
        }
        self.init(shape: indices.shape, starts: starts, length: 1)
    }

    /// One slice for each index tuple, the last axis of `indices` (GatherND, ScatterND); the first `batch` axes of both go
    /// together.
    init(tuples indices: Tensor<Int64>, batch: Int, of shape: [Int], _ node: NodeDescription) throws {
        let rank = shape.count
        guard indices.rank >= 1, batch >= 0, batch < indices.rank, batch < rank,
            let depth = indices.shape.last, depth >= 1, batch + depth <= rank,
            indices.shape[..<batch] == shape[..<batch]
        else {
            throw node.failure(
                expected: "index tuples of a tensor of shape \(shape) with \(batch) batch axes",
                found: "shape \(indices.shape)")
        }
        let strides = shape.rowMajorStrides
        let slice = Array(shape[(batch + depth)...])
        let count = indices.count / depth
        let tuples = count / max(1, shape[..<batch].reduce(1, *))
        let batchStride = shape[batch...].reduce(1, *)
        var starts: [Int] = []
        starts.reserveCapacity(count)
        try indices.withUnsafeBuffer { values in
            for tuple in 0..<count {
                var start = batch == 0 ? 0 : tuple / tuples * batchStride
                for k in 0..<depth {
                    start += try node.place(Int(values[tuple * depth + k]), shape[batch + k]) * strides[batch + k]
                }
                starts.append(start)
            }
        }
        let shape = indices.shape.dropLast() + slice
        self.init(shape: try node.possible(Array(shape)), starts: starts, length: slice.elementCount)
    }
}

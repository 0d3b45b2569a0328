import Workers

/// Some axes of a tensor, to be folded away: the tensor becomes rows, one for each index of the axes that stay.
struct Reduction {
    let shape: [Int]
    /// The axes folded, ascending.
    let axes: [Int]
    private let kept: [Int]

    init(shape: [Int], axes: [Int]) {
        self.shape = shape
        self.axes = axes
        kept = shape.indices.filter { !axes.contains($0) }
    }

    /// The shape left, without the folded axes.
    var squeezed: [Int] { kept.map { shape[$0] } }

    /// The shape left, with the folded axes as extents of 1.
    var withOnes: [Int] { shape.indices.map { axes.contains($0) ? 1 : shape[$0] } }

    var rowCount: Int { squeezed.elementCount }
    var rowLength: Int { axes.map { shape[$0] }.elementCount }

    private var rowShape: [Int] { squeezed + axes.map { shape[$0] } }

    /// The tensor with each row contiguous: shape `squeezed` followed by the folded extents.
    func rows<Scalar>(_ tensor: Tensor<Scalar>) -> Tensor<Scalar> { StridedView(shape).permuted(kept + axes)(tensor) }

    /// The inverse of ``rows(_:)``.
    func unrowed<Scalar>(_ rows: Tensor<Scalar>) -> Tensor<Scalar> {
        let permutation = kept + axes
        var inverse = permutation
        for (place, axis) in permutation.enumerated() { inverse[axis] = place }
        return StridedView(rowShape).permuted(inverse)(rows.reshaped(rowShape))
    }

    /// One number a row: shape ``squeezed``.
    @inline(__always)
    func fold<Scalar, Result>(
        _ tensor: Tensor<Scalar>, _ fold: (UnsafeBufferPointer<Scalar>) -> Result
    ) -> Tensor<Result> {
        let rows = rows(tensor)
        let length = rowLength
        return Tensor(shape: squeezed) { result in
            rows.withUnsafeBuffer { source in
                Workers.shared.forEachRange(result.count, grain: max(1, (1 << 14) / max(1, length))) { range in
                    for row in range {
                        let values = UnsafeBufferPointer(rebasing: source[row * length..<(row + 1) * length])
                        result.initializeElement(at: row, to: fold(values))
                    }
                }
            }
        }
    }

    /// A tensor of ``shape`` from another one, row by row; `body` gets the row's number, the row, and where to write.
    @inline(__always)
    func mapRows(
        _ tensor: Tensor<Float>,
        _ body: (Int, UnsafeBufferPointer<Float>, UnsafeMutableBufferPointer<Float>) -> Void
    ) -> Tensor<Float> {
        let rows = rows(tensor)
        return mapDenseRows(rows, rows) { body($0, $1, $3) }
    }

    /// A tensor of ``shape`` from two others, row by row; `body` gets the row's number, both rows, and where to write.
    @inline(__always)
    func mapRows(
        _ a: Tensor<Float>, _ b: Tensor<Float>,
        _ body: (
            Int, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>, UnsafeMutableBufferPointer<Float>
        ) -> Void
    ) -> Tensor<Float> {
        mapDenseRows(rows(a), rows(b), body)
    }

    @inline(__always)
    private func mapDenseRows(
        _ a: Tensor<Float>, _ b: Tensor<Float>,
        _ body: (
            Int, UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>, UnsafeMutableBufferPointer<Float>
        ) -> Void
    ) -> Tensor<Float> {
        let length = rowLength
        let count = rowCount
        return unrowed(
            Tensor(shape: a.shape) { result in
                a.withUnsafeBuffer { a in
                    b.withUnsafeBuffer { b in
                        Workers.shared.forEachRange(count, grain: max(1, (1 << 14) / max(1, length))) { range in
                            for row in range {
                                let places = row * length..<(row + 1) * length
                                body(
                                    row, UnsafeBufferPointer(rebasing: a[places]),
                                    UnsafeBufferPointer(rebasing: b[places]),
                                    UnsafeMutableBufferPointer(rebasing: result[places]))
                            }
                        }
                    }
                }
            })
    }

    /// Sums in double precision: shape ``squeezed``.
    func sum(_ tensor: Tensor<Float>) -> Tensor<Float> {
        if axes.isEmpty { return tensor.reshaped(squeezed) }
        return fold(tensor) { Float(Accumulation.sum($0)) }
    }

    /// A value for each row, repeated over the row: shape ``shape``.
    func spread(_ values: Tensor<Float>) -> Tensor<Float> {
        StridedView(withOnes).expanded(to: shape)(values.reshaped(withOnes))
    }
}

extension Tensor<Float> {
    /// The gradient of a tensor of `shape` that was broadcast to this one's: the sum over the axes it was repeated along.
    func summed(to shape: [Int]) -> Tensor<Float> {
        if self.shape == shape { return self }
        let added = rank - shape.count
        let axes = self.shape.indices.filter { $0 < added || (shape[$0 - added] == 1 && self.shape[$0] != 1) }
        return Reduction(shape: self.shape, axes: axes).sum(self).reshaped(shape)
    }
}

/// Sums of many floats: in double precision, in one fixed order, four at a time.
public enum Accumulation {
    static func sum(_ values: UnsafeBufferPointer<Float>) -> Double { sum(values) { Double($0) } }

    @inline(__always)
    static func sum(_ values: UnsafeBufferPointer<Float>, _ term: (Float) -> Double) -> Double {
        guard let base = values.baseAddress else { return 0 }
        return sum(values.count) { term(base[$0]) }
    }

    /// Σ term(i) for i in 0..<count.
    @inlinable @inline(__always)
    public static func sum(_ count: Int, _ term: (Int) -> Double) -> Double {
        var (a, b, c, d) = (0.0, 0.0, 0.0, 0.0)
        var index = 0
        while index + 4 <= count {
            a += term(index)
            b += term(index + 1)
            c += term(index + 2)
            d += term(index + 3)
            index += 4
        }
        while index < count {
            a += term(index)
            index += 1
        }
        return (a + b) + (c + d)
    }
}

import Workers

/// Elements of one tensor taken to the places of another, whatever they are: floats, integers, booleans or promises.
protocol Movement {
    /// The shape of the result.
    var shape: [Int] { get }
    func callAsFunction<Scalar>(_ tensor: Tensor<Scalar>) -> Tensor<Scalar>
}

extension Value {
    // Inlined, so that the movement is compiled for each element type.
    @inline(__always)
    func moved(by movement: some Movement) -> Value {
        switch self {
        case .float(let tensor): .float(movement(tensor))
        case .integer(let tensor): .integer(movement(tensor))
        case .boolean(let tensor): .boolean(movement(tensor))
        case .pending: .pending(movement.shape)
        }
    }
}

/// A way to read a dense tensor: the view's element at index i stands at `offset + Σ i[axis] · strides[axis]`.
///
/// Transposing, slicing, reversing, repeating and taking a diagonal are all views, with one copying loop and one adjoint.
struct StridedView: Movement {
    private(set) var shape: [Int]
    private(set) var strides: [Int]
    private(set) var offset = 0

    /// A tensor as it stands.
    init(_ shape: [Int]) {
        self.shape = shape
        strides = shape.rowMajorStrides
    }

    init(shape: [Int], strides: [Int], offset: Int = 0) {
        precondition(shape.count == strides.count)
        self.shape = shape
        self.strides = strides
        self.offset = offset
    }

    /// Axis `a` of the result is axis `permutation[a]` of this one.
    func permuted(_ permutation: [Int]) -> StridedView {
        StridedView(shape: permutation.map { shape[$0] }, strides: permutation.map { strides[$0] }, offset: offset)
    }

    /// `count` places of one axis from `start` on, `step` apart (negative: backward).
    func sliced(_ axis: Int, from start: Int, step: Int, count: Int) -> StridedView {
        precondition(count >= 0)
        if count > 0 {
            precondition(start >= 0 && start < shape[axis])
            let last = start + (count - 1) * step
            precondition(last >= 0 && last < shape[axis])
        }
        var view = self
        if count > 0 { view.offset += start * strides[axis] }
        view.shape[axis] = count
        view.strides[axis] *= step
        return view
    }

    /// Repeated along axes of extent 1 and along new leading axes, to `shape`.
    func expanded(to shape: [Int]) -> StridedView {
        let added = shape.count - self.shape.count
        precondition(added >= 0)
        var strides = [Int](repeating: 0, count: added) + self.strides
        for axis in self.shape.indices where self.shape[axis] != shape[added + axis] {
            precondition(self.shape[axis] == 1)
            strides[added + axis] = 0
        }
        return StridedView(shape: shape, strides: strides, offset: offset)
    }

    /// The view as a dense tensor.
    func callAsFunction<Scalar>(_ tensor: Tensor<Scalar>) -> Tensor<Scalar> {
        if offset == 0, shape.elementCount == tensor.count, isDense { return tensor.reshaped(shape) }
        return Tensor(shape: shape) { result in
            tensor.withUnsafeBuffer { source in
                guard result.count > 0 else { return }
                StridedCopy.run(
                    shape: shape, from: source.baseAddress! + offset, strides, to: result.baseAddress!,
                    shape.rowMajorStrides)
            }
        }
    }

    private var isDense: Bool {
        zip(shape.indices, shape.rowMajorStrides).allSatisfy { shape[$0] == 1 || strides[$0] == $1 }
    }

    /// Writes a dense tensor to the places of the view. No two elements of the view may share a place.
    func write<Scalar>(_ tensor: Tensor<Scalar>, to base: UnsafeMutablePointer<Scalar>) {
        precondition(tensor.count == shape.elementCount)
        guard tensor.count > 0 else { return }
        tensor.withUnsafeBuffer { source in
            StridedCopy.run(
                shape: shape, from: source.baseAddress!, shape.rowMajorStrides, to: base + offset, strides)
        }
    }

    /// The transposed linear map: the gradient of a tensor of `shape` that was read through this view.
    func adjoint(_ gradient: Tensor<Float>, of original: [Int]) -> Tensor<Float> {
        let repeated = shape.indices.filter { strides[$0] == 0 && shape[$0] != 1 }
        let once = shape.indices.filter { !repeated.contains($0) }
        let view = StridedView(shape: once.map { shape[$0] }, strides: once.map { strides[$0] }, offset: offset)
        let sum = Reduction(shape: shape, axes: repeated).sum(gradient.reshaped(shape))
        if view.offset == 0, view.shape.elementCount == original.elementCount, view.isDense {
            return sum.reshaped(original)
        }
        return Tensor(shape: original) { result in
            result.initialize(repeating: 0)
            if let base = result.baseAddress { view.write(sum.reshaped(view.shape), to: base) }
        }
    }
}

/// Copies elements between two layouts of one index space.
enum StridedCopy {
    /// Elements that make a piece worth handing to a thread.
    private static let grain = 1 << 15

    static func run<Scalar>(
        shape: [Int], from source: UnsafePointer<Scalar>, _ sourceStrides: [Int],
        to destination: UnsafeMutablePointer<Scalar>, _ destinationStrides: [Int]
    ) {
        let total = shape.elementCount
        if total == 0 { return }
        var axes = merged(shape, sourceStrides, destinationStrides)
        if axes.isEmpty {
            destination.initialize(to: source[0])
            return
        }
        // Columns run where writing is contiguous, rows where reading is (or next best): a plane is copied in tiles.
        let column = axes.remove(at: axes.indices.min { abs(axes[$0].to) < abs(axes[$1].to) }!)
        var row = Axis(extent: 1, from: 0, to: 0)
        if !axes.isEmpty {
            let best =
                column.from == 1
                ? axes.indices.max { axes[$0].extent < axes[$1].extent }!
                : axes.indices.min { abs(axes[$0].from) < abs(axes[$1].from) }!
            row = axes.remove(at: best)
        }
        let rowsAPiece = max(32, grain / column.extent)
        let strips = (row.extent + rowsAPiece - 1) / rowsAPiece
        let planes = axes.reduce(1) { $0 * $1.extent }
        let outer = axes
        let elements = min(rowsAPiece, row.extent) * column.extent
        Workers.shared.forEachRange(planes * strips, grain: max(1, grain / elements)) { pieces in
            for piece in pieces {
                var rest = piece / strips
                var from = 0
                var to = 0
                for axis in outer.reversed() {
                    let index = rest % axis.extent
                    rest /= axis.extent
                    from += index * axis.from
                    to += index * axis.to
                }
                let first = piece % strips * rowsAPiece
                let rows = first..<min(row.extent, first + rowsAPiece)
                plane(rows, row, column, source + from, destination + to)
            }
        }
    }

    @inline(__always)
    private static func plane<Scalar>(
        _ rows: Range<Int>, _ row: Axis, _ column: Axis, _ source: UnsafePointer<Scalar>,
        _ destination: UnsafeMutablePointer<Scalar>
    ) {
        if column.to == 1, column.from == 1 {
            for r in rows {
                (destination + r * row.to).update(from: source + r * row.from, count: column.extent)
            }
            return
        }
        if column.to == 1, column.from == 0 {
            for r in rows {
                (destination + r * row.to).update(repeating: source[r * row.from], count: column.extent)
            }
            return
        }
        let tile = 16
        for firstRow in stride(from: rows.lowerBound, to: rows.upperBound, by: tile) {
            for firstColumn in stride(from: 0, to: column.extent, by: tile) {
                for r in firstRow..<min(firstRow + tile, rows.upperBound) {
                    let read = source + r * row.from
                    let write = destination + r * row.to
                    for c in firstColumn..<min(firstColumn + tile, column.extent) {
                        write[c * column.to] = read[c * column.from]
                    }
                }
            }
        }
    }

    private struct Axis {
        var extent: Int
        var from: Int
        var to: Int
    }

    /// Axes of extent 1 dropped, and neighbours joined that both layouts walk as one.
    private static func merged(_ shape: [Int], _ from: [Int], _ to: [Int]) -> [Axis] {
        var axes: [Axis] = []
        for index in shape.indices where shape[index] != 1 {
            let axis = Axis(extent: shape[index], from: from[index], to: to[index])
            if let last = axes.last, last.from == axis.from * axis.extent, last.to == axis.to * axis.extent {
                axes[axes.count - 1] = Axis(extent: last.extent * axis.extent, from: axis.from, to: axis.to)
            } else {
                axes.append(axis)
            }
        }
        return axes
    }
}

import CKernels
import COpenBLAS
import Failures
import Workers

/// Products of float matrices through OpenBLAS, which runs one thread a call; the calls are spread over our workers in
/// blocks that depend on the extents only, so that any number of threads gives the same bits.
struct MatrixProduct {
    /// C is m×n, the sum runs over k.
    let m: Int
    let n: Int
    let k: Int
    /// Whether A is stored as k×m, and B as n×k.
    let transposedA: Bool
    let transposedB: Bool

    /// - Throws: a failure where an extent passes what OpenBLAS counts with.
    init(
        m: Int, n: Int, k: Int, transposedA: Bool = false, transposedB: Bool = false, _ node: NodeDescription
    ) throws {
        for extent in [m, n, k] where extent > Int(blasint.max) {
            throw node.failure(expected: "matrix extents of at most \(blasint.max)", found: "\(m)×\(k) and \(k)×\(n)")
        }
        (self.m, self.n, self.k) = (m, n, k)
        (self.transposedA, self.transposedB) = (transposedA, transposedB)
    }

    /// For each entry i of the offsets, the product at `c + i·m·n`: C = α A B, or C + α A B where `adding`.
    ///
    /// - Precondition: each offset leaves room for its matrix in its buffer, and `c` holds them all.
    func run(
        _ a: UnsafeBufferPointer<Float>, _ offsetsA: [Int], _ b: UnsafeBufferPointer<Float>, _ offsetsB: [Int],
        into c: UnsafeMutableBufferPointer<Float>, alpha: Float = 1, adding: Bool = false
    ) {
        let count = offsetsA.count
        precondition(offsetsB.count == count && c.count == count * m * n)
        precondition(offsetsA.allSatisfy { $0 >= 0 && $0 + m * k <= a.count })
        precondition(offsetsB.allSatisfy { $0 >= 0 && $0 + k * n <= b.count })
        guard c.count > 0 else { return }
        guard k > 0, let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress else {
            if !adding { c.update(repeating: 0) }
            return
        }
        let splitsRows = m >= n
        let block = Self.block(splitsRows ? m : n, work: m * n * k)
        let blocks = ((splitsRows ? m : n) + block - 1) / block
        let grain = max(1, Self.smallWork / max(1, m * n * k / blocks))
        Workers.shared.forEachRange(count * blocks, grain: grain) { pieces in
            for piece in pieces {
                let index = piece / blocks
                let start = piece % blocks * block
                let rows = splitsRows ? start..<min(m, start + block) : 0..<m
                let columns = splitsRows ? 0..<n : start..<min(n, start + block)
                one(
                    a + offsetsA[index], b + offsetsB[index], c + index * m * n, rows, columns, alpha,
                    adding ? 1 : 0)
            }
        }
    }

    /// Multiplications that are not worth splitting further.
    private static let smallWork = 1 << 20

    /// How much of the longer side goes to one call: a sixteenth at most, in whole tiles of the kernels.
    private static func block(_ extent: Int, work: Int) -> Int {
        if work <= smallWork { return extent }
        return max(32, ((extent + 15) / 16 + 15) / 16 * 16)
    }

    private func one(
        _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>, _ rows: Range<Int>,
        _ columns: Range<Int>, _ alpha: Float, _ beta: Float
    ) {
        let a = a + (transposedA ? rows.lowerBound : rows.lowerBound * k)
        let b = b + (transposedB ? columns.lowerBound * k : columns.lowerBound)
        let c = c + rows.lowerBound * n + columns.lowerBound
        let strideA = blasint(transposedA ? m : k)
        let strideB = blasint(transposedB ? k : n)
        let (height, width, depth) = (blasint(rows.count), blasint(columns.count), blasint(k))
        if m == 1 {
            // A row times a matrix: A is contiguous either way.
            if transposedB {
                cblas_sgemv(CblasRowMajor, CblasNoTrans, width, depth, alpha, b, strideB, a, 1, beta, c, 1)
            } else {
                // The gradient of a fully connected layer: half of its factors are 0 behind a rectifier, and reading the weights is what it takes.
                if beta == 0 { c.update(repeating: 0, count: columns.count) }
                tomo_add_rows(
                    tomo_best_processor(), b, Int64(strideB), Int64(depth), Int64(width), a, alpha, c)
            }
        } else if n == 1 {
            if transposedA {
                cblas_sgemv(CblasRowMajor, CblasTrans, depth, height, alpha, a, strideA, b, 1, beta, c, 1)
            } else {
                cblas_sgemv(CblasRowMajor, CblasNoTrans, height, depth, alpha, a, strideA, b, 1, beta, c, 1)
            }
        } else {
            cblas_sgemm(
                CblasRowMajor, transposedA ? CblasTrans : CblasNoTrans, transposedB ? CblasTrans : CblasNoTrans, height,
                width, depth, alpha, a, strideA, b, strideB, beta, c, blasint(n))
        }
    }

    /// The products of stacks of matrices, shapes `[…, m, k]` and `[…, k, n]` (or transposed as asked), the leading axes
    /// broadcast.
    ///
    /// - Throws: a failure where the shapes do not fit each other.
    static func stacked(
        _ a: Tensor<Float>, _ b: Tensor<Float>, transposedA: Bool = false, transposedB: Bool = false,
        _ node: NodeDescription
    ) throws -> Tensor<Float> {
        let plan = try StackedProduct(
            a.shape, b.shape, transposedA: transposedA, transposedB: transposedB, node)
        return plan.run(a, b)
    }
}

/// Shapes and places of a stack of products.
struct StackedProduct {
    /// `[batch…, m, n]`.
    let shape: [Int]
    let product: MatrixProduct
    private let offsetsA: [Int]
    private let offsetsB: [Int]

    init(
        _ a: [Int], _ b: [Int], transposedA: Bool = false, transposedB: Bool = false, _ node: NodeDescription
    ) throws {
        func misfit() -> Failure {
            node.failure(expected: "matrices that can be multiplied", found: "shapes \(a) and \(b)")
        }
        guard a.count >= 2, b.count >= 2, let batch = Broadcast.shape([a.dropLast(2), b.dropLast(2)].map(Array.init))
        else { throw misfit() }
        let (rowsA, columnsA) = (a[a.count - 2], a[a.count - 1])
        let (rowsB, columnsB) = (b[b.count - 2], b[b.count - 1])
        let (m, k) = transposedA ? (columnsA, rowsA) : (rowsA, columnsA)
        let (otherK, n) = transposedB ? (columnsB, rowsB) : (rowsB, columnsB)
        guard k == otherK else { throw misfit() }
        shape = try node.possible(batch + [m, n])
        if !transposedA, b.dropLast(2).allSatisfy({ $0 == 1 }) {
            // One matrix for all: the stack is one tall matrix.
            product = try MatrixProduct(m: batch.elementCount * m, n: n, k: k, transposedB: transposedB, node)
            offsetsA = [0]
            offsetsB = [0]
        } else {
            product = try MatrixProduct(m: m, n: n, k: k, transposedA: transposedA, transposedB: transposedB, node)
            offsetsA = Self.offsets(Array(a.dropLast(2)), batch, m * k)
            offsetsB = Self.offsets(Array(b.dropLast(2)), batch, k * n)
        }
    }

    func run(_ a: Tensor<Float>, _ b: Tensor<Float>) -> Tensor<Float> {
        Tensor(shape: shape) { result in
            a.withUnsafeBuffer { a in
                b.withUnsafeBuffer { b in product.run(a, offsetsA, b, offsetsB, into: result) }
            }
        }
    }

    /// Where each matrix of a stack of `shape`, broadcast to `batch`, starts.
    private static func offsets(_ shape: [Int], _ batch: [Int], _ size: Int) -> [Int] {
        let numbers = Tensor(shape: shape, values: 0..<shape.elementCount)
        return StridedView(shape).expanded(to: batch)(numbers).values.map { $0 * size }
    }
}

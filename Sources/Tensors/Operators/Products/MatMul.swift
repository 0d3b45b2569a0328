/// The matrix product, with NumPy's rules: leading axes are broadcast; a vector is a row on the left, a column on the right.
struct MatMul: Operator {
    static let types = ["MatMul"]
    private let node: NodeDescription
    init(_ node: NodeDescription) { self.node = node }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "the left matrix"), try node.input(inputs, 1, "the right matrix")]
        let shapes = values.map(\.shape)
        guard shapes.allSatisfy({ !$0.isEmpty }) else { throw node.mismatch("matrices or vectors", values) }
        let plan = try StackedProduct(left(shapes[0]), right(shapes[1]), node)
        let shape = result(plan.shape, shapes)
        switch (values[0], values[1]) {
        case (.float(let a), .float(let b)):
            return [.float(plan.run(a.reshaped(left(a.shape)), b.reshaped(right(b.shape))).reshaped(shape))]
        case (.pending, .pending), (.pending, .float), (.float, .pending): return [.pending(shape)]
        case (.integer(let a), .integer(let b)):
            return [
                .integer(integers(a.reshaped(left(a.shape)), b.reshaped(right(b.shape)), plan.shape).reshaped(shape))
            ]
        default: throw node.mismatch("two float or two integer matrices", values)
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let a = call.float(0).reshaped(left(call.shape(0)))
        let b = call.float(1).reshaped(right(call.shape(1)))
        let plan = try StackedProduct(a.shape, b.shape, node)
        let gradient = call.gradient.reshaped(plan.shape)
        return try call.results { index in
            if index == 0 {
                return try MatrixProduct.stacked(gradient, b, transposedB: true, node).summed(to: a.shape)
                    .reshaped(call.shape(0))
            }
            if b.shape.dropLast(2).allSatisfy({ $0 == 1 }) {
                // One matrix for the whole stack: its gradient is one product of tall matrices.
                let (k, n) = (b.shape[b.rank - 2], b.shape[b.rank - 1])
                let rows = plan.shape.dropLast().reduce(1, *)
                let tall = StridedView(a.shape).expanded(to: plan.shape.dropLast() + [k])(a)
                return try MatrixProduct.stacked(
                    tall.reshaped([rows, k]), gradient.reshaped([rows, n]), transposedA: true, node
                ).reshaped(call.shape(1))
            }
            return try MatrixProduct.stacked(a, gradient, transposedA: true, node).summed(to: b.shape)
                .reshaped(call.shape(1))
        }
    }

    private func left(_ shape: [Int]) -> [Int] { shape.count == 1 ? [1] + shape : shape }
    private func right(_ shape: [Int]) -> [Int] { shape.count == 1 ? shape + [1] : shape }

    /// The stacked product's shape without the axes that vectors were given.
    private func result(_ shape: [Int], _ operands: [[Int]]) -> [Int] {
        var shape = shape
        if operands[1].count == 1 { shape.removeLast() }
        if operands[0].count == 1 { shape.remove(at: shape.count - (operands[1].count == 1 ? 1 : 2)) }
        return shape
    }

    private func integers(_ a: Tensor<Int64>, _ b: Tensor<Int64>, _ shape: [Int]) -> Tensor<Int64> {
        let batch = Array(shape.dropLast(2))
        let (m, n, k) = (shape[shape.count - 2], shape[shape.count - 1], a.shape[a.rank - 1])
        let left = StridedView(a.shape).expanded(to: batch + [m, k])(a)
        let right = StridedView(b.shape).expanded(to: batch + [k, n])(b)
        return Tensor(shape: shape) { result in
            left.withUnsafeBuffer { left in
                right.withUnsafeBuffer { right in
                    for place in result.indices {
                        let (matrix, row, column) = (place / n / m, place / n % m, place % n)
                        var sum: Int64 = 0
                        for i in 0..<k {
                            sum &+= left[(matrix * m + row) * k + i] &* right[(matrix * k + i) * n + column]
                        }
                        result[place] = sum
                    }
                }
            }
        }
    }
}

/// α A B + β C, A and B transposed where asked, C broadcast: the fully connected layer.
struct Gemm: Operator {
    static let types = ["Gemm"]
    private let node: NodeDescription
    private let alpha: Float
    private let beta: Float
    private let transposedA: Bool
    private let transposedB: Bool

    init(_ node: NodeDescription) throws {
        self.node = node
        alpha = try node.float("alpha", default: 1)
        beta = try node.float("beta", default: 1)
        transposedA = try node.flag("transA", default: false)
        transposedB = try node.flag("transB", default: false)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let values = [try node.input(inputs, 0, "A"), try node.input(inputs, 1, "B")]
        let bias = node.optional(inputs, 2)
        let product = try product(values[0].shape, values[1].shape)
        let shape = try node.possible([product.m, product.n])
        if let bias, Broadcast.shape([bias.shape, shape]) != shape {
            throw node.mismatch("C that broadcasts to \(shape)", [bias])
        }
        guard let operands = try node.floats(values + (bias.map { [$0] } ?? []), "operands") else {
            return [.pending(shape)]
        }
        var result: Tensor<Float>
        if operands.count == 3 {
            result = StridedView(operands[2].shape).expanded(to: shape)(operands[2])
            let beta = beta
            if beta != 1 { result = result.map { $0 * beta } }
        } else {
            result = Tensor(shape: shape, repeating: 0)
        }
        operands[0].withUnsafeBuffer { a in
            operands[1].withUnsafeBuffer { b in
                result.withUnsafeMutableBuffer {
                    product.run(a, [0], b, [0], into: $0, alpha: alpha, adding: true)
                }
            }
        }
        return [.float(result)]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let gradient = call.gradient
        let alpha = alpha
        let beta = beta
        return try call.results { index in
            let (a, b) = (call.float(0), call.float(1))
            switch index {
            case 0:
                // (A B)' → g Bᵀ for A as it stands, B gᵀ for A stored transposed.
                let result =
                    transposedA
                    ? try MatrixProduct.stacked(b, gradient, transposedA: transposedB, transposedB: true, node)
                    : try MatrixProduct.stacked(gradient, b, transposedB: !transposedB, node)
                return alpha == 1 ? result : result.map { $0 * alpha }
            case 1:
                let result =
                    transposedB
                    ? try MatrixProduct.stacked(gradient, a, transposedA: true, transposedB: transposedA, node)
                    : try MatrixProduct.stacked(a, gradient, transposedA: !transposedA, node)
                return alpha == 1 ? result : result.map { $0 * alpha }
            default:
                return gradient.summed(to: call.shape(2)).map { $0 * beta }
            }
        }
    }

    private func product(_ a: [Int], _ b: [Int]) throws -> MatrixProduct {
        guard a.count == 2, b.count == 2 else {
            throw node.failure(expected: "two matrices", found: "shapes \(a) and \(b)")
        }
        let (m, k) = transposedA ? (a[1], a[0]) : (a[0], a[1])
        let (otherK, n) = transposedB ? (b[1], b[0]) : (b[0], b[1])
        guard k == otherK else {
            throw node.failure(expected: "matrices that can be multiplied", found: "\(m)×\(k) and \(otherK)×\(n)")
        }
        return try MatrixProduct(m: m, n: n, k: k, transposedA: transposedA, transposedB: transposedB, node)
    }
}

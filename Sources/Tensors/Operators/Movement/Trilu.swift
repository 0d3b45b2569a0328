/// The upper or lower triangle of each matrix, from diagonal `k` on; the rest 0.
struct Trilu: Operator {
    static let types = ["Trilu"]
    private let node: NodeDescription
    private let keepsUpper: Bool

    init(_ node: NodeDescription) throws {
        self.node = node
        keepsUpper = try node.flag("upper", default: true)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the matrices")
        guard value.shape.count >= 2 else { throw node.mismatch("matrices", [value]) }
        let k = try diagonal(inputs)
        switch value {
        case .float(let x): return [.float(triangle(x, k, 0))]
        case .integer(let x): return [.integer(triangle(x, k, 0))]
        case .boolean(let x): return [.boolean(triangle(x, k, false))]
        case .pending: return [value]
        }
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let k = try diagonal(call.inputs)
        return call.results { $0 == 0 ? triangle(call.gradient, k, 0) : nil }
    }

    private func diagonal(_ inputs: [Value?]) throws -> Int {
        let k = try node.optional(inputs, 1).map { try node.single($0, "the diagonal") } ?? 0
        return min(max(k, -(1 << 40)), 1 << 40)
    }

    private func triangle<Scalar>(_ tensor: Tensor<Scalar>, _ k: Int, _ zero: Scalar) -> Tensor<Scalar> {
        let columns = tensor.shape[tensor.rank - 1]
        let rows = tensor.shape[tensor.rank - 2]
        var result = tensor
        result.withUnsafeMutableBuffer { values in
            if values.isEmpty { return }
            for line in 0..<values.count / columns {
                let row = line % rows
                // Column c is on diagonal c − row.
                let split = min(max(row + k + (keepsUpper ? 0 : 1), 0), columns)
                let cleared = keepsUpper ? 0..<split : split..<columns
                for column in cleared { values[line * columns + column] = zero }
            }
        }
        return result
    }
}

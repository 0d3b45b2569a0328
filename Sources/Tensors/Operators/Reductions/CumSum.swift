/// Running sums along an axis: with the element itself or (`exclusive`) without it, from the front or (`reverse`) the back.
struct CumSum: Operator {
    static let types = ["CumSum"]
    private let node: NodeDescription
    private let exclusive: Bool
    private let backward: Bool

    init(_ node: NodeDescription) throws {
        self.node = node
        exclusive = try node.flag("exclusive", default: false)
        backward = try node.flag("reverse", default: false)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let reduction = try reduction(value.shape, inputs)
        switch value {
        case .float(let x): return [.float(sums(x, reduction, backward))]
        case .integer(let x):
            var rows = reduction.rows(x)
            rows.withUnsafeMutableBuffer { values in
                let length = reduction.rowLength
                for row in 0..<reduction.rowCount {
                    var running: Int64 = 0
                    for i in 0..<length {
                        let place = row * length + (backward ? length - 1 - i : i)
                        let element = values[place]
                        values[place] = exclusive ? running : running &+ element
                        running = running &+ element
                    }
                }
            }
            return [.integer(reduction.unrowed(rows))]
        case .pending: return [value]
        case .boolean: throw node.mismatch("floats or integers", [value])
        }
    }

    /// The transposed map: running sums from the other end.
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let reduction = try reduction(call.shape(0), call.inputs)
        return call.results { $0 == 0 ? sums(call.gradient, reduction, !backward) : nil }
    }

    private func reduction(_ shape: [Int], _ inputs: [Value?]) throws -> Reduction {
        let axis = try node.single(node.input(inputs, 1, "the axis"), "the axis")
        return Reduction(shape: shape, axes: [try node.axis(axis, rank: shape.count)])
    }

    private func sums(_ tensor: Tensor<Float>, _ reduction: Reduction, _ backward: Bool) -> Tensor<Float> {
        reduction.mapRows(tensor) { _, row, result in
            var running = 0.0
            for i in row.indices {
                let place = backward ? row.count - 1 - i : i
                let next = running + Double(row[place])
                result[place] = Float(exclusive ? running : next)
                running = next
            }
        }
    }
}

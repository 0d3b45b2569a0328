/// The sampling places of an affine map, for ``GridSample``: `[batch, …, coordinates]`, the innermost axis's coordinate first.
///
/// Each place of a lattice of the given size, −1 … 1 across each axis (from centre to centre of the outermost elements where
/// `align_corners`, else from edge to edge), is multiplied by θ, `[batch, coordinates, coordinates + 1]`.
struct AffineGrid: Operator {
    static let types = ["AffineGrid"]
    private let node: NodeDescription
    private let alignsCorners: Bool

    init(_ node: NodeDescription) throws {
        self.node = node
        alignsCorners = try node.flag("align_corners", default: false)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let theta = try node.input(inputs, 0, "θ")
        let extents = try extents(theta, inputs)
        let shape = try node.possible([theta.shape[0]] + extents + [extents.count])
        guard let maps = try node.float(theta, "θ") else { return [.pending(shape)] }
        return [.float(try MatrixProduct.stacked(lattice(extents), maps, transposedB: true, node).reshaped(shape))]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let extents = try extents(call.inputs[0]!, call.inputs)
        let gradient = call.gradient.reshaped([call.shape(0)[0], extents.elementCount, extents.count])
        return try call.results { index in
            guard index == 0 else { return nil }
            return try MatrixProduct.stacked(gradient, lattice(extents), transposedA: true, node)
        }
    }

    private func extents(_ theta: Value, _ inputs: [Value?]) throws -> [Int] {
        let size = try node.list(node.input(inputs, 1, "the size"), "the size")
        let rank = size.count - 2
        guard rank >= 1, theta.shape == [size[0], rank, rank + 1] else {
            throw node.failure(
                expected: "a size [batch, channels, …] and θ with a row a coordinate",
                found: "\(size) and \(theta.summary)")
        }
        return try node.possible(Array(size[2...]))
    }

    /// Every place as (innermost coordinate, …, outermost coordinate, 1).
    private func lattice(_ extents: [Int]) -> Tensor<Float> {
        let rank = extents.count
        let strides = extents.rowMajorStrides
        return Tensor(shape: [extents.elementCount, rank + 1]) { result in
            for place in 0..<extents.elementCount {
                for axis in 0..<rank {
                    let index = Double(place / strides[axis] % extents[axis])
                    let extent = Double(extents[axis])
                    let coordinate =
                        alignsCorners
                        ? (extent > 1 ? 2 * index / (extent - 1) - 1 : 0) : (2 * index + 1) / extent - 1
                    result[place * (rank + 1) + rank - 1 - axis] = Float(coordinate)
                }
                result[place * (rank + 1) + rank] = 1
            }
        }
    }
}

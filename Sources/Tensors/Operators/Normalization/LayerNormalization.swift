/// Each sample's features, all axes from `axis` on, standardized, then scaled and shifted elementwise.
struct LayerNormalization: Operator {
    static let types = ["LayerNormalization"]
    private let node: NodeDescription
    private let axis: Int
    private let epsilon: Float

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: -1)
        epsilon = try node.float("epsilon", default: 1e-5)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let form = try FeatureForm(value.shape, axis, inputs, node)
        let statisticsShape = value.shape.enumerated().map { $0.offset < form.axis ? $0.element : 1 }
        guard let x = try node.float(value, "the tensor"), let affine = try form.affine(inputs, node) else {
            let all: [Value] = [.pending(value.shape), .pending(statisticsShape), .pending(statisticsShape)]
            return Array(all.prefix(max(1, node.outputs.count)))
        }
        let core = Standardization(rows: form.rows, length: form.length, epsilon: epsilon)
        let y = affine.scale.withUnsafeBuffer { scale in
            affine.shift.withUnsafeBuffer { shift in
                core.map(x) { _, statistics, row, result in
                    let inverse = statistics.inverse
                    for i in row.indices { result[i] = statistics.centred(row[i]) * inverse * scale[i] + shift[i] }
                }
            }
        }
        guard node.outputs.count > 1 else { return [.float(y)] }
        let (means, inverses) = core.statistics(x)
        return [
            .float(y), .float(Tensor(shape: statisticsShape, values: means)),
            .float(Tensor(shape: statisticsShape, values: inverses)),
        ]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let x = call.float(0)
        let form = try FeatureForm(x.shape, axis, call.inputs, node)
        guard let affine = try form.affine(call.inputs, node) else { preconditionFailure("numbers are known") }
        let core = Standardization(rows: form.rows, length: form.length, epsilon: epsilon)
        let gradient = call.gradients[0] ?? Tensor(shape: x.shape, repeating: 0)
        return call.results { index in
            switch index {
            case 0:
                let result = affine.scale.withUnsafeBuffer { scale in
                    core.pullback(x, gradient) { _, place in scale[place] }
                }
                return call.gradients.dropFirst().allSatisfy { $0 == nil }
                    ? result : withStatistics(result, x, core, Array(call.gradients.dropFirst()))
            case 1: return form.summed(gradient.map(core.standardized(x)) { $0 * $1 }, to: call.shape(1))
            default: return form.summed(gradient, to: call.shape(2))
            }
        }
    }

    /// `gradient` and what the reported means and inverse deviations s = 1 / √(σ² + ε) add to it:
    /// ∂μ/∂x = 1/n, ∂s/∂x = −s³ (x − μ)/n.
    private func withStatistics(
        _ gradient: Tensor<Float>, _ x: Tensor<Float>, _ core: Standardization, _ given: [Tensor<Float>?]
    ) -> Tensor<Float> {
        let means = given.first ?? nil
        let inverses = given.count > 1 ? given[1] : nil
        let count = Float(core.length)
        let added = core.map(x) { row, statistics, x, result in
            let inverse = statistics.inverse
            let level = (means?[flat: row] ?? 0) / count
            let tilt = -(inverses?[flat: row] ?? 0) * inverse * inverse * inverse / count
            result.fill(from: x) { level + tilt * statistics.centred($0) }
        }
        return gradient.map(added) { $0 + $1 }
    }
}

/// A tensor as rows of features, and the scale and shift of every feature.
struct FeatureForm {
    let axis: Int
    let rows: Int
    let length: Int
    private let features: [Int]
    private let shape: [Int]

    init(_ shape: [Int], _ axis: Int, _ inputs: [Value?], _ node: NodeDescription) throws {
        self.axis = try node.axis(axis, rank: shape.count)
        self.shape = shape
        features = Array(shape[self.axis...])
        rows = shape.elementCount(..<self.axis)
        length = features.elementCount
        for (index, role) in [(1, "scales"), (2, "shifts")] {
            guard let value = node.optional(inputs, index) else { continue }
            guard Broadcast.shape([value.shape, features]) == features else {
                throw node.mismatch("\(role) that broadcast to \(features)", [value])
            }
        }
    }

    /// Nil where a number is not known.
    func affine(
        _ inputs: [Value?], _ node: NodeDescription
    ) throws -> (scale: Tensor<Float>, shift: Tensor<Float>)? {
        func full(_ index: Int, _ role: String, _ absent: Float) throws -> Tensor<Float>? {
            guard let value = node.optional(inputs, index) else { return Tensor(shape: features, repeating: absent) }
            return try node.float(value, role).map { StridedView($0.shape).expanded(to: features)($0) }
        }
        guard let scale = try full(1, "the scales", 1), let shift = try full(2, "the shifts", 0) else { return nil }
        return (scale, shift)
    }

    /// The gradient of scales or shifts from one of every element.
    func summed(_ gradient: Tensor<Float>, to shape: [Int]) -> Tensor<Float> {
        Reduction(shape: self.shape, axes: Array(0..<axis)).sum(gradient).summed(to: shape)
    }
}

/// As layer normalization, but divided by the root of the mean square, and nothing subtracted.
struct RMSNormalization: Operator {
    static let types = ["RMSNormalization"]
    private let node: NodeDescription
    private let axis: Int
    private let epsilon: Float

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: -1)
        epsilon = try node.float("epsilon", default: 1e-5)
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let form = try FeatureForm(value.shape, axis, inputs, node)
        guard let x = try node.float(value, "the tensor"), let affine = try form.affine(inputs, node) else {
            return [.pending(value.shape)]
        }
        return [
            .float(
                affine.scale.withUnsafeBuffer { scale in
                    reduction(form, x.shape).mapRows(x) { _, row, result in
                        let inverse = inverse(row)
                        for i in row.indices { result[i] = row[i] * inverse * scale[i] }
                    }
                })
        ]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let x = call.float(0)
        let form = try FeatureForm(x.shape, axis, call.inputs, node)
        guard let affine = try form.affine(call.inputs, node) else { preconditionFailure("numbers are known") }
        let reduction = reduction(form, x.shape)
        return call.results { index in
            if index == 1 {
                let scaled = reduction.mapRows(x, call.gradient) { _, row, g, result in
                    let inverse = inverse(row)
                    for i in row.indices { result[i] = row[i] * inverse * g[i] }
                }
                return form.summed(scaled, to: call.shape(1))
            }
            return affine.scale.withUnsafeBuffer { scale in
                reduction.mapRows(x, call.gradient) { _, row, g, result in
                    let inverse = inverse(row)
                    let tilt = Float(
                        Accumulation.sum(row.count) { Double(g[$0] * scale[$0]) * Double(row[$0]) }
                            / Double(row.count))
                    for i in row.indices {
                        result[i] = inverse * (g[i] * scale[i] - row[i] * inverse * inverse * tilt)
                    }
                }
            }
        }
    }

    private func reduction(_ form: FeatureForm, _ shape: [Int]) -> Reduction {
        Reduction(shape: shape, axes: Array(form.axis..<shape.count))
    }

    private func inverse(_ row: UnsafeBufferPointer<Float>) -> Float {
        let square = Accumulation.sum(row) { Double($0) * Double($0) } / Double(row.count)
        return Float(1 / (square + Double(epsilon)).squareRoot())
    }
}

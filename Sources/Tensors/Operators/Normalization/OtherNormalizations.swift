import Foundation
import Workers

/// Each row along an axis divided by its 1-norm or 2-norm; a row of zeros stays.
struct LpNormalization: Operator {
    static let types = ["LpNormalization"]
    private let node: NodeDescription
    private let axis: Int
    private let p: Int

    init(_ node: NodeDescription) throws {
        self.node = node
        axis = try node.int("axis", default: -1)
        p = try node.int("p", default: 2)
        guard p == 1 || p == 2 else { throw node.failure(expected: "p of 1 or 2", found: "\(p)") }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let reduction = try reduction(value.shape)
        guard let x = try node.float(value, "the tensor") else { return [value] }
        return [
            .float(
                reduction.mapRows(x) { _, row, result in
                    let norm = norm(row)
                    result.fill(from: row) { norm == 0 ? 0 : $0 / norm }
                })
        ]
    }

    /// (g − s Σ g y) / ‖x‖, where s is y for the 2-norm and the sign of x for the 1-norm.
    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let reduction = try reduction(call.shape(0))
        let p = p
        return call.results { index in
            guard index == 0 else { return nil }
            return reduction.mapRows(call.float(0), call.gradient) { _, row, g, result in
                let norm = norm(row)
                if norm == 0 { return result.update(repeating: 0) }
                let flow = Float(Accumulation.sum(row.count) { Double(g[$0]) * Double(row[$0]) } / Double(norm))
                for i in row.indices {
                    let slope = p == 2 ? row[i] / norm : row[i] > 0 ? 1 : row[i] < 0 ? -1 : 0
                    result[i] = (g[i] - slope * flow) / norm
                }
            }
        }
    }

    private func reduction(_ shape: [Int]) throws -> Reduction {
        Reduction(shape: shape, axes: [try node.axis(axis, rank: shape.count)])
    }

    private func norm(_ row: UnsafeBufferPointer<Float>) -> Float {
        p == 1
            ? Float(Accumulation.sum(row) { Double(abs($0)) })
            : Float(Accumulation.sum(row) { Double($0) * Double($0) }.squareRoot())
    }
}

/// All elements along some axes shifted to mean 0 and divided by their standard deviation plus 1e-9.
struct MeanVarianceNormalization: Operator {
    static let types = ["MeanVarianceNormalization"]
    private let node: NodeDescription
    private let axes: [Int]
    private static let tiny = 1e-9

    init(_ node: NodeDescription) throws {
        self.node = node
        axes = try node.ints("axes") ?? [0, 2, 3]
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let reduction = try reduction(value.shape)
        guard let x = try node.float(value, "the tensor") else { return [value] }
        return [
            .float(
                reduction.mapRows(x) { _, row, result in
                    let (mean, deviation) = moments(row)
                    result.fill(from: row) { Float((Double($0) - mean) / (deviation + Self.tiny)) }
                })
        ]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let reduction = try reduction(call.shape(0))
        return call.results { index in
            guard index == 0 else { return nil }
            return reduction.mapRows(call.float(0), call.gradient) { _, row, g, result in
                let (mean, deviation) = moments(row)
                let count = Double(row.count)
                let scale = 1 / (deviation + Self.tiny)
                let flow = Accumulation.sum(g) / count
                let tilt =
                    deviation == 0
                    ? 0
                    : Accumulation.sum(row.count) { Double(g[$0]) * (Double(row[$0]) - mean) } * scale
                        / (count * deviation)
                for i in row.indices {
                    result[i] = Float(scale * (Double(g[i]) - flow - (Double(row[i]) - mean) * tilt))
                }
            }
        }
    }

    private func reduction(_ shape: [Int]) throws -> Reduction {
        Reduction(shape: shape, axes: try node.axes(axes, rank: shape.count))
    }

    private func moments(_ row: UnsafeBufferPointer<Float>) -> (mean: Double, deviation: Double) {
        let mean = Accumulation.sum(row) / Double(row.count)
        let variance = Accumulation.sum(row) { (Double($0) - mean) * (Double($0) - mean) } / Double(row.count)
        return (mean, variance.squareRoot())
    }
}

/// Local response normalization across neighbouring channels (Krizhevsky et al. 2012):
/// y = x / (bias + α/size · Σ x²)^β over the `size` channels around each one.
struct LRN: Operator {
    static let types = ["LRN"]
    private let node: NodeDescription
    private let size: Int
    private let alpha: Float
    private let beta: Float
    private let bias: Float

    init(_ node: NodeDescription) throws {
        self.node = node
        size = try node.int("size", default: 0)
        alpha = try node.float("alpha", default: 0.0001)
        beta = try node.float("beta", default: 0.75)
        bias = try node.float("bias", default: 1)
        guard size > 0 else { throw node.failure(expected: "a positive 'size'", found: "\(size)") }
    }

    func forward(_ inputs: [Value?]) throws -> [Value] {
        let value = try node.input(inputs, 0, "the tensor")
        let form = try ChannelForm(value, node)
        guard let x = try node.float(value, "the tensor") else { return [value] }
        let beta = beta
        return [.float(x.map(bases(x, form)) { $0 * pow($1, -beta) })]
    }

    func pullback(_ call: PullbackCall) throws -> [Tensor<Float>?] {
        let x = call.float(0)
        let form = try ChannelForm(.pending(x.shape), node)
        let beta = beta
        let factor = -2 * alpha * beta / Float(size)
        return call.results { index in
            guard index == 0 else { return nil }
            let base = bases(x, form)
            let flow = call.gradient.map(x, base) { $0 * $1 * pow($2, -beta - 1) }
            // A channel stands in the windows of those whose window, mirrored, stands around it.
            let through = windowSums(flow, form, before: size / 2, after: (size - 1) / 2)
            let direct = call.gradient.map(base) { $0 * pow($1, -beta) }
            return direct.map(x, through) { $0 + factor * $1 * $2 }
        }
    }

    private func bases(_ x: Tensor<Float>, _ form: ChannelForm) -> Tensor<Float> {
        let (bias, scale) = (bias, alpha / Float(size))
        return windowSums(x.map { $0 * $0 }, form, before: (size - 1) / 2, after: size / 2).map { bias + scale * $0 }
    }

    /// For each channel the sum of those from `before` below it to `after` above it.
    private func windowSums(_ x: Tensor<Float>, _ form: ChannelForm, before: Int, after: Int) -> Tensor<Float> {
        let (channels, inner) = (form.channels, form.inner)
        return Tensor(shape: x.shape) { result in
            x.withUnsafeBuffer { x in
                Workers.shared.forEach(form.batch * channels) { plane in
                    let channel = plane % channels
                    let sample = plane - channel
                    let target = UnsafeMutableBufferPointer(rebasing: result[plane * inner..<(plane + 1) * inner])
                    target.initialize(repeating: 0)
                    for other in max(0, channel - before)...min(channels - 1, channel + after) {
                        let source = UnsafeBufferPointer(
                            rebasing: x[(sample + other) * inner..<(sample + other + 1) * inner])
                        for i in 0..<inner { target[i] += source[i] }
                    }
                }
            }
        }
    }
}

import Explanations
import Foundation
import Networks
import Preparations
import Tensors

/// How alike two maps, or two sets of features, are.
public enum Similarity {
    /// Share of the `share` highest values that two maps have in common: 1 the same places, `share` by chance.
    public static func topOverlap(_ a: [Float], _ b: [Float], share: Double = 0.1) -> Double {
        precondition(a.count == b.count && !a.isEmpty)
        let count = max(1, Int((Double(a.count) * share).rounded()))
        func top(_ values: [Float]) -> Set<Int> {
            Set(values.indices.sorted { values[$0] == values[$1] ? $0 < $1 : values[$0] > values[$1] }.prefix(count))
        }
        return Double(top(a).intersection(top(b)).count) / Double(count)
    }

    /// Structural similarity (Wang et al. 2004): the mean over windows of `window` voxels along every axis, which lie wholly
    /// inside; K₁ = 0.01, K₂ = 0.03, sample covariances.
    ///
    /// - Parameter window: made smaller (and odd) where the map is.
    public static func structural(
        _ a: [Float], _ b: [Float], shape: [Int], range: Double, window: Int = 7
    ) -> Double {
        precondition(a.count == shape.elementCount && b.count == a.count)
        let axes = shape.indices.filter { shape[$0] > 1 }
        let smallest = axes.map { shape[$0] }.min() ?? 1
        let side = max(1, min(window, smallest % 2 == 1 ? smallest : smallest - 1))
        let samples = Double(axes.reduce(1) { count, _ in count * side })
        func mean(_ values: [Double]) -> [Double] { windowMeans(values, shape, axes: axes, side: side) }
        let x = a.map(Double.init)
        let y = b.map(Double.init)
        let (ux, uy) = (mean(x), mean(y))
        let (xx, yy, xy) = (
            mean(x.map { $0 * $0 }), mean(y.map { $0 * $0 }), mean(zip(x, y).map { $0 * $1 })
        )
        let factor = samples > 1 ? samples / (samples - 1) : 1
        let (c1, c2) = (0.01 * range * 0.01 * range, 0.03 * range * 0.03 * range)
        var sum = 0.0
        for index in ux.indices {
            let (mx, my) = (ux[index], uy[index])
            let vx = factor * (xx[index] - mx * mx)
            let vy = factor * (yy[index] - my * my)
            let vxy = factor * (xy[index] - mx * my)
            let above = (2 * mx * my + c1) * (2 * vxy + c2)
            let below = (mx * mx + my * my + c1) * (vx + vy + c2)
            sum += below > 0 ? above / below : 1
        }
        return ux.isEmpty ? 1 : sum / Double(ux.count)
    }

    /// Means over all windows that lie wholly inside.
    private static func windowMeans(_ values: [Double], _ shape: [Int], axes: [Int], side: Int) -> [Double] {
        var current = values
        var extents = shape
        for axis in axes {
            let extent = extents[axis]
            let inner = extents[(axis + 1)...].reduce(1, *)
            let outer = current.count / (extent * inner)
            let places = extent - side + 1
            var next = [Double](repeating: 0, count: outer * places * inner)
            for block in 0..<outer {
                for rest in 0..<inner {
                    for place in 0..<places {
                        var sum = 0.0
                        for step in 0..<side { sum += current[(block * extent + place + step) * inner + rest] }
                        next[(block * places + place) * inner + rest] = sum / Double(side)
                    }
                }
            }
            current = next
            extents[axis] = places
        }
        return current
    }

    /// `‖b − a‖ / ‖a‖`.
    public static func relativeDistance(_ a: [Float], _ b: [Float]) -> Double {
        var (difference, size) = (0.0, 0.0)
        for (x, y) in zip(a, b) {
            difference += (Double(y) - Double(x)) * (Double(y) - Double(x))
            size += Double(x) * Double(x)
        }
        return size > 0 ? (difference / size).squareRoot() : difference > 0 ? .infinity : 0
    }

    /// Linear centred kernel alignment (Kornblith et al., ICML 2019) of features at the same places.
    ///
    /// - Parameters:
    ///   - a, b: `channels × places`, row-major.
    ///   - most: of more places evenly chosen ones are taken.
    /// - Returns: 1 for features that are alike up to a rotation and a scale; nil for fewer than 4 places or a constant map.
    public static func alignment(_ a: [Float], _ b: [Float], channels: Int, most: Int = 2048) -> Double? {
        let places = a.count / max(1, channels)
        guard places >= 4, a.count == b.count else { return nil }
        let count = min(places, most)
        let chosen = (0..<count).map { $0 * places / count }
        func centred(_ values: [Float]) -> [[Double]] {
            (0..<channels).map { channel in
                let row = chosen.map { Double(values[channel * places + $0]) }
                let mean = row.reduce(0, +) / Double(count)
                return row.map { $0 - mean }
            }
        }
        let (x, y) = (centred(a), centred(b))
        func product(_ p: [[Double]], _ q: [[Double]]) -> Double {
            var sum = 0.0
            for row in p {
                for column in q {
                    var dot = 0.0
                    for index in 0..<count { dot += row[index] * column[index] }
                    sum += dot * dot
                }
            }
            return sum
        }
        let (xx, yy) = (product(x, x), product(y, y))
        guard xx > 0, yy > 0 else { return nil }
        return product(x, y) / (xx * yy).squareRoot()
    }
}

/// How far the features of every layer move between two inputs.
public struct FeatureShift: Sendable {
    public let layer: String
    public let relativeDistance: Double
    /// nil for vectors, and where a layer is constant.
    public let alignment: Double?

    /// - Parameter most: of more layers evenly chosen ones are taken, the first and the last among them.
    public static func between(
        _ before: Tensor<Float>, _ after: Tensor<Float>, _ explainer: Explainer, most: Int = 40,
        interrupted: Interruption? = nil
    ) throws -> [FeatureShift] {
        var inputs = explainer.otherInputs
        inputs[explainer.inputName] = .float(before)
        let shapes = inputs.mapValues(\.shape)
        var taps = try explainer.network.taps(inputShapes: shapes).filter { tap in
            tap.type != "input" && tap.shape.elementCount > 1
                && ["Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Add", "LeakyRelu", "Sigmoid", "Tanh"].contains(
                    tap.type)
        }
        if taps.count > most { taps = (0..<most).map { taps[$0 * (taps.count - 1) / (most - 1)] } }
        let tensors = taps.map(\.tap.tensor)
        let first = try explainer.network.run(inputs: inputs, wanting: tensors, interrupted: interrupted)
        inputs[explainer.inputName] = .float(after)
        let second = try explainer.network.run(inputs: inputs, wanting: tensors, interrupted: interrupted)
        return taps.compactMap { tap in
            guard case .float(let a)? = first[tap.tap.tensor], case .float(let b)? = second[tap.tap.tensor] else {
                return nil
            }
            // Channels second, as nearly all have it; others are compared as one channel's places.
            let isChannelSecond = a.rank > 2 && a.shape[0] == 1 && !tap.isTokens
            return FeatureShift(
                layer: tap.modulePath ?? tap.tap.name,
                relativeDistance: Similarity.relativeDistance(a.values, b.values),
                alignment: isChannelSecond ? Similarity.alignment(a.values, b.values, channels: a.shape[1]) : nil)
        }
    }
}

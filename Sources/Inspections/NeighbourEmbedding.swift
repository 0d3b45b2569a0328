import Foundation
import Workers

/// t-SNE (van der Maaten & Hinton 2008), exact: every pair is looked at, which is right for hundreds of scans.
///
/// Starts from the principal components, so that the same vectors give the same map; early exaggeration of 12 for the first
/// quarter of the steps, momentum 0.5 then, from rest, 0.8; gains as in the authors' program.
public struct NeighbourEmbedding: Sendable {
    /// Two coordinates for each vector.
    public let coordinates: [[Double]]
    /// Kullback–Leibler divergence of the map's neighbourhoods from the vectors'; lower is better.
    public let divergence: Double
    public let perplexity: Double

    /// - Parameters:
    ///   - perplexity: nil: 30, or a third of the other vectors where there are fewer.
    ///   - distances: squared distances of all pairs.
    public init(_ distances: [[Double]], start: [[Double]], perplexity given: Double? = nil, steps: Int = 1000) {
        let count = distances.count
        precondition(start.count == count)
        let perplexity = min(given ?? 30, max(1, Double(count - 1) / 3))
        self.perplexity = perplexity
        guard count >= 3 else {
            coordinates = start.map { [$0[0], $0.count > 1 ? $0[1] : 0] }
            divergence = 0
            return
        }
        let p = Self.joint(distances, perplexity: perplexity)
        // The principal components with a small deviation, as a start that keeps their order.
        let first = start.map { $0[0] }
        let mean = first.reduce(0, +) / Double(count)
        let deviation = (first.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)).squareRoot()
        var y = start.enumerated().map { index, place -> SIMD2<Double> in
            let factor = deviation > 0 ? 1e-4 / deviation : 0
            // Vectors that coincide would never part.
            let nudge = 1e-9 * Double(index)
            return SIMD2(place[0] * factor + nudge, (place.count > 1 ? place[1] : 0) * factor - nudge)
        }
        var speed = [SIMD2<Double>](repeating: .zero, count: count)
        var gains = [SIMD2<Double>](repeating: SIMD2(1, 1), count: count)
        let early = steps / 4
        let rate = max(Double(count) / 12 / 4, 50)
        for step in 0..<steps {
            if step == early {
                // What gathered under exaggeration would throw the map past what it then finds.
                speed = [SIMD2<Double>](repeating: .zero, count: count)
                gains = [SIMD2<Double>](repeating: SIMD2(1, 1), count: count)
            }
            let exaggeration = step < early ? 12.0 : 1
            let momentum = step < early ? 0.5 : 0.8
            let places = y
            let rows = try! Workers.shared.map(count) { a -> (weights: [Double], sum: Double) in
                var weights = [Double](repeating: 0, count: count)
                var sum = 0.0
                for b in 0..<count where b != a {
                    let offset = places[a] - places[b]
                    weights[b] = 1 / (1 + (offset * offset).sum())
                    sum += weights[b]
                }
                return (weights, sum)
            }
            let total = rows.reduce(0) { $0 + $1.sum }
            let gradients = try! Workers.shared.map(count) { a -> SIMD2<Double> in
                var gradient = SIMD2<Double>.zero
                for b in 0..<count where b != a {
                    let weight = rows[a].weights[b]
                    let pull = (exaggeration * p[a][b] - weight / total) * weight
                    gradient += 4 * pull * (places[a] - places[b])
                }
                return gradient
            }
            for a in 0..<count {
                for axis in 0..<2 {
                    let isSame = gradients[a][axis] * speed[a][axis] > 0
                    gains[a][axis] = max(0.01, isSame ? gains[a][axis] * 0.8 : gains[a][axis] + 0.2)
                    speed[a][axis] = momentum * speed[a][axis] - rate * gains[a][axis] * gradients[a][axis]
                }
                y[a] += speed[a]
            }
            let centre = y.reduce(.zero, +) / Double(count)
            for a in 0..<count { y[a] -= centre }
        }
        coordinates = y.map { [$0.x, $0.y] }
        var sum = 0.0
        var weights = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
        for a in 0..<count {
            for b in 0..<count where b != a {
                let offset = y[a] - y[b]
                weights[a][b] = 1 / (1 + (offset * offset).sum())
                sum += weights[a][b]
            }
        }
        var divergence = 0.0
        for a in 0..<count {
            for b in 0..<count where b != a && p[a][b] > 0 {
                divergence += p[a][b] * log(p[a][b] / max(weights[a][b] / sum, 1e-300))
            }
        }
        self.divergence = divergence
    }

    /// Symmetric neighbourhood probabilities, each row's width found by bisection so that its perplexity is the one asked for.
    static func joint(_ distances: [[Double]], perplexity: Double) -> [[Double]] {
        let count = distances.count
        let target = log(perplexity)
        let rows = try! Workers.shared.map(count) { own -> [Double] in
            var (low, high) = (0.0, Double.infinity)
            var beta = 1.0
            var row = [Double](repeating: 0, count: count)
            // Relative to the nearest: large distances would make all weights zero.
            let nearest = distances[own].indices.filter { $0 != own }.map { distances[own][$0] }.min() ?? 0
            for _ in 0..<200 {
                var (sum, weighted) = (0.0, 0.0)
                for other in 0..<count where other != own {
                    let distance = distances[own][other] - nearest
                    row[other] = exp(-beta * distance)
                    sum += row[other]
                    weighted += row[other] * distance
                }
                let entropy = log(sum) + beta * weighted / sum
                for other in row.indices { row[other] /= sum }
                if abs(entropy - target) < 1e-10 { break }
                if entropy > target {
                    low = beta
                    beta = high.isFinite ? (beta + high) / 2 : beta * 2
                } else {
                    high = beta
                    beta = (beta + low) / 2
                }
            }
            return row
        }
        return (0..<count).map { a in (0..<count).map { b in (rows[a][b] + rows[b][a]) / (2 * Double(count)) } }
    }
}

import Explanations
import Failures
import Foundation
import Networks
import Preparations
import Tensors

/// Vectors of scans, and how they lie to each other.
public struct EmbeddingSpace: Sendable {
    public let names: [String]
    /// All of one length.
    public let vectors: [[Double]]
    /// What belongs together; nil for those without a label.
    public let labels: [String?]

    public init(names: [String], vectors: [[Double]], labels: [String?]) {
        precondition(names.count == vectors.count && labels.count == names.count && !names.isEmpty)
        precondition(vectors.allSatisfy { $0.count == vectors[0].count })
        self.names = names
        self.vectors = vectors
        self.labels = labels
    }

    public var count: Int { names.count }

    /// Each vector divided by its length.
    public var unit: [[Double]] {
        vectors.map { vector in
            let length = VectorMath.length(vector)
            return length > 0 ? vector.map { $0 / length } : vector
        }
    }

    /// Cosines of all pairs.
    public var cosines: [[Double]] {
        let unit = unit
        return unit.map { VectorMath.product(unit, $0) }
    }

    /// Squared distances of all pairs on the unit sphere.
    public var squaredDistances: [[Double]] {
        let unit = unit
        return unit.map { a in unit.map { VectorMath.squaredDistance(a, $0) } }
    }

    public struct Neighbour: Sendable, Hashable {
        public let index: Int
        public let cosine: Double
    }

    /// The `count` others with the largest cosine, for each.
    public func neighbours(_ count: Int) -> [[Neighbour]] {
        let cosines = cosines
        return (0..<self.count).map { own in
            let row = cosines[own]
            let others = (0..<self.count).filter { $0 != own }
            let order = others.sorted { row[$0] == row[$1] ? $0 < $1 : row[$0] > row[$1] }
            return order.prefix(count).map { Neighbour(index: $0, cosine: row[$0]) }
        }
    }

    /// For each labelled one: the most similar of another label, and the least similar of its own.
    public var hardest: [(negative: Neighbour?, positive: Neighbour?)] {
        let cosines = cosines
        return (0..<count).map { own in
            guard let label = labels[own] else { return (nil, nil) }
            var negative: Neighbour?
            var positive: Neighbour?
            for other in 0..<count where other != own {
                guard let its = labels[other] else { continue }
                let cosine = cosines[own][other]
                if its == label {
                    if cosine < positive?.cosine ?? .infinity { positive = Neighbour(index: other, cosine: cosine) }
                } else if cosine > negative?.cosine ?? -.infinity {
                    negative = Neighbour(index: other, cosine: cosine)
                }
            }
            return (negative, positive)
        }
    }

    /// Mean squared distance on the unit sphere of pairs with one label; nil without such a pair. Lower is more alike.
    ///
    /// Wang & Isola, ICML 2020, with α = 2.
    public var alignment: Double? {
        let unit = unit
        var (sum, pairs) = (0.0, 0)
        for a in 0..<count {
            for b in 0..<a {
                guard let label = labels[a], label == labels[b] else { continue }
                sum += VectorMath.squaredDistance(unit[a], unit[b])
                pairs += 1
            }
        }
        return pairs > 0 ? sum / Double(pairs) : nil
    }

    /// `log mean exp(−2 ‖u − v‖²)` over all pairs on the unit sphere (Wang & Isola, t = 2); nil for one vector. 0 where all
    /// are the same, lower the more evenly they spread.
    public var uniformity: Double? {
        let unit = unit
        var (sum, pairs) = (0.0, 0)
        for a in 0..<count {
            for b in 0..<a {
                sum += exp(-2 * VectorMath.squaredDistance(unit[a], unit[b]))
                pairs += 1
            }
        }
        return pairs > 0 ? log(sum / Double(pairs)) : nil
    }

    /// Silhouette of each labelled vector with the distance 1 − cosine (Rousseeuw 1987): 1 deep inside its own label, −1 inside
    /// another; 0 for the only one of its label; nil for those without a label or where there is but one label.
    public var silhouettes: [Double?] {
        let cosines = cosines
        let groups = Dictionary(grouping: (0..<count).filter { labels[$0] != nil }) { labels[$0]! }
        guard groups.count >= 2 else { return [Double?](repeating: nil, count: count) }
        return (0..<count).map { own in
            guard let label = labels[own] else { return nil }
            guard groups[label]!.count > 1 else { return 0 }
            func mean(_ group: [Int]) -> Double {
                let others = group.filter { $0 != own }
                return VectorMath.mean(others.map { 1 - cosines[own][$0] })
            }
            let inside = mean(groups[label]!)
            let outside = groups.filter { $0.key != label }.values.map(mean).min()!
            let larger = max(inside, outside)
            return larger > 0 ? (outside - inside) / larger : 0
        }
    }

    // MARK: Maps

    /// Coordinates along the directions of largest variance, and the share of the variance along each.
    ///
    /// Each direction's sign makes its coordinate of largest magnitude positive.
    public func principalComponents(_ wanted: Int) -> (coordinates: [[Double]], shares: [Double]) {
        let size = vectors[0].count
        let means = (0..<size).map { column in VectorMath.mean(vectors.map { $0[column] }) }
        let centred = vectors.map { vector in vector.indices.map { vector[$0] - means[$0] } }
        var total = 0.0
        for vector in centred { total += VectorMath.dot(vector, vector) }
        let number = min(wanted, size, max(0, count - 1))
        guard total > 0, number > 0 else {
            return (
                [[Double]](repeating: [Double](repeating: 0, count: wanted), count: count),
                [Double](repeating: 0, count: wanted)
            )
        }
        // Subspace iteration on the scans' own products: one row a scan.
        var basis: [[Double]] = (0..<number).map { component in
            (0..<count).map { index in
                let wave = sin(Double(index + 1) * Double(component + 1) * 1.7)
                return wave + 0.1 * Double(index % (component + 2))
            }
        }
        let gram = centred.map { VectorMath.product(centred, $0) }
        Self.orthonormalize(&basis)
        var values = [Double](repeating: 0, count: number)
        for _ in 0..<3000 {
            var next = basis.map { VectorMath.product(gram, $0) }
            let lengths = basis.indices.map { VectorMath.dot(next[$0], basis[$0]) }
            Self.orthonormalize(&next)
            var (change, turn) = (0.0, 0.0)
            for index in basis.indices {
                change = max(change, abs(lengths[index] - values[index]))
                turn = max(turn, 1 - abs(VectorMath.dot(next[index], basis[index])))
            }
            (basis, values) = (next, lengths)
            if change < 1e-13 * total, turn < 1e-14 { break }
        }
        var coordinates = [[Double]](repeating: [Double](repeating: 0, count: wanted), count: count)
        var shares = [Double](repeating: 0, count: wanted)
        for component in 0..<number {
            let value = max(0, values[component])
            shares[component] = value / total
            let vector = basis[component]
            let peak = vector.indices.max { abs(vector[$0]) < abs(vector[$1]) }!
            let sign: Double = vector[peak] < 0 ? -1 : 1
            for index in 0..<count { coordinates[index][component] = sign * vector[index] * value.squareRoot() }
        }
        return (coordinates, shares)
    }

    private static func orthonormalize(_ basis: inout [[Double]]) {
        for index in basis.indices {
            for _ in 0..<2 {
                for earlier in 0..<index {
                    let product = VectorMath.dot(basis[index], basis[earlier])
                    for place in basis[index].indices { basis[index][place] -= product * basis[earlier][place] }
                }
            }
            let length = VectorMath.length(basis[index])
            if length > 0 { for place in basis[index].indices { basis[index][place] /= length } }
        }
    }
}

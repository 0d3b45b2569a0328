/// Weighted least squares with few unknowns, in double precision.
struct LinearFit {
    let coefficients: [Double]
    /// Standard errors that hold whatever the spread of the residuals: rows of one group may depend on each other.
    let standardErrors: [Double]
    /// Share of the weighted variance that the fit explains.
    let explained: Double

    /// What to say of a fit that explains little.
    var notes: [String] {
        explained >= 0.5
            ? []
            : [
                "a linear model explains little of the target (R² \(explained.rounded(toPlaces: 2))): parts work together here, and one number for each tells half of it"
            ]
    }

    /// Minimizes `Σ w (y − x·β)² + Σ ridge_j β_j²`.
    ///
    /// - Parameters:
    ///   - rows: one row of `x` an observation.
    ///   - groups: the group of each observation, for standard errors; nil for observations that are not left to chance.
    ///   - scores: what the values were made of: the variance that is to be explained.
    /// - Returns: nil where the columns determine no coefficients.
    init?(rows: [[Double]], values: [Double], weights: [Double], ridge: [Double], groups: [Int?], scores: [Double]) {
        guard let width = rows.first?.count else { return nil }
        var normal = [Double](repeating: 0, count: width * width)
        var right = [Double](repeating: 0, count: width)
        for (index, row) in rows.enumerated() where weights[index] > 0 {
            for a in 0..<width where row[a] != 0 {
                let scaled = weights[index] * row[a]
                right[a] += scaled * values[index]
                for b in a..<width { normal[a * width + b] += scaled * row[b] }
            }
        }
        for a in 0..<width {
            normal[a * width + a] += ridge[a]
            for b in 0..<a { normal[a * width + b] = normal[b * width + a] }
        }
        guard let factor = Cholesky(normal, size: width) else { return nil }
        let solution = factor.solve(right)
        coefficients = solution
        let mean = zip(scores, weights).reduce(0) { $0 + $1.0 * $1.1 } / max(weights.reduce(0, +), 1e-300)
        var rest = 0.0
        var all = 0.0
        var sums: [Int: [Double]] = [:]
        for (index, row) in rows.enumerated() {
            let residual = values[index] - zip(row, solution).reduce(0) { $0 + $1.0 * $1.1 }
            rest += weights[index] * residual * residual
            all += weights[index] * (scores[index] - mean) * (scores[index] - mean)
            guard let group = groups[index] else { continue }
            var sum = sums[group] ?? [Double](repeating: 0, count: width)
            for a in 0..<width { sum[a] += weights[index] * row[a] * residual }
            sums[group] = sum
        }
        explained = all > 0 ? 1 - rest / all : 1
        // Beside observations that are certain the random ones need not cancel out: their mean is no chance.
        var centre = [Double](repeating: 0, count: width)
        let ordered = sums.sorted { $0.key < $1.key }.map(\.value)
        for sum in ordered { for a in 0..<width { centre[a] += sum[a] / Double(ordered.count) } }
        var variances = [Double](repeating: 0, count: width)
        for sum in ordered {
            let deviation = zip(sum, centre).map { $0 - $1 }
            for (index, value) in factor.solve(deviation).enumerated() { variances[index] += value * value }
        }
        standardErrors = variances.map { $0.squareRoot() }
    }
}

extension Double {
    fileprivate func rounded(toPlaces places: Int) -> Double {
        let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
        return (self * scale).rounded() / scale
    }
}

/// The triangular factor of a symmetric positive definite matrix.
struct Cholesky {
    private let factor: [Double]
    private let size: Int

    /// - Returns: nil where the matrix is not positive definite to working precision.
    init?(_ matrix: [Double], size: Int) {
        var factor = matrix
        let scale = (0..<size).reduce(0) { max($0, abs(matrix[$1 * size + $1])) }
        for column in 0..<size {
            var pivot = factor[column * size + column]
            for k in 0..<column { pivot -= factor[column * size + k] * factor[column * size + k] }
            guard pivot > 1e-13 * scale else { return nil }
            let root = pivot.squareRoot()
            factor[column * size + column] = root
            for row in column + 1..<max(size, column + 1) {
                var sum = factor[row * size + column]
                for k in 0..<column { sum -= factor[row * size + k] * factor[column * size + k] }
                factor[row * size + column] = sum / root
            }
        }
        self.factor = factor
        self.size = size
    }

    func solve(_ right: [Double]) -> [Double] {
        var x = right
        for row in 0..<size {
            for k in 0..<row { x[row] -= factor[row * size + k] * x[k] }
            x[row] /= factor[row * size + row]
        }
        for row in (0..<size).reversed() {
            for k in row + 1..<max(size, row + 1) { x[row] -= factor[k * size + row] * x[k] }
            x[row] /= factor[row * size + row]
        }
        return x
    }
}

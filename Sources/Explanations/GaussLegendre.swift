import Foundation

/// Points and weights of Gauss–Legendre quadrature on [0, 1].
enum GaussLegendre {
    /// Roots of the Legendre polynomial of degree `count` by Newton's method from Tricomi's estimate; accurate to rounding.
    static func rule(_ count: Int) -> (points: [Double], weights: [Double]) {
        precondition(count >= 1)
        var points = [Double](repeating: 0, count: count)
        var weights = points
        for index in 0..<count {
            var x = cos(Double.pi * (Double(index) + 0.75) / (Double(count) + 0.5))
            var slope = 1.0
            for _ in 0..<100 {
                var (previous, current) = (1.0, x)
                if count == 1 { (previous, current) = (1, x) }
                if count > 1 {
                    for degree in 2...count {
                        let n = Double(degree)
                        (previous, current) = (current, ((2 * n - 1) * x * current - (n - 1) * previous) / n)
                    }
                }
                slope = Double(count) * (x * current - previous) / (x * x - 1)
                let step = current / slope
                x -= step
                if abs(step) < 1e-15 { break }
            }
            points[count - 1 - index] = (x + 1) / 2
            weights[count - 1 - index] = 1 / ((1 - x * x) * slope * slope)
        }
        return (points, weights)
    }
}

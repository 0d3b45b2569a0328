/// How much of each pixel a shape covers, 0…1.
struct Coverage: Sendable {
    let width: Int
    let height: Int
    private(set) var values: [Float]

    init(width: Int, height: Int) {
        self.width = width
        self.height = height
        values = [Float](repeating: 0, count: width * height)
    }

    /// Adds lines with round ends, `radius` pixels to each side. A pixel is covered by `radius + ½ − distance` of its centre to
    /// the nearest line, held within 0…1; overlapping lines do not add up.
    mutating func stroke(_ segments: [Segment], radius: Float) {
        let (width, height) = (width, height)
        let reach = radius + 0.5
        values.withUnsafeMutableBufferPointer { values in
            for segment in segments {
                let (a, b) = (segment.start, segment.end)
                let low = pointwiseMin(a, b) - reach
                let high = pointwiseMax(a, b) + reach
                let columns = Coverage.pixels(low.x, high.x, within: width)
                let rows = Coverage.pixels(low.y, high.y, within: height)
                let direction = b - a
                let squared = (direction * direction).sum()
                let inverse = squared > 0 ? 1 / squared : 0
                for y in rows {
                    for x in columns {
                        let point = SIMD2(Float(x), Float(y)) - a
                        let along = max(0, min(1, (point * direction).sum() * inverse))
                        let offset = point - direction * along
                        let covered = reach - (offset * offset).sum().squareRoot()
                        if covered > 0 {
                            let index = y * width + x
                            values[index] = max(values[index], min(1, covered))
                        }
                    }
                }
            }
        }
    }

    /// The whole numbers from `low` to `high` that are pixels.
    private static func pixels(_ low: Float, _ high: Float, within count: Int) -> Range<Int> {
        guard low < Float(count), high >= 0 else { return 0..<0 }
        let first = max(0, Int(low.rounded(.up)))
        return first..<max(first, min(count, Int(high) + 1))
    }

    /// Turned by a quarter against the clock: what was on the right is on top.
    var turned: Coverage {
        var result = Coverage(width: height, height: width)
        for y in 0..<height {
            for x in 0..<width {
                let row = width - 1 - x
                result.values[row * height + y] = values[y * width + x]
            }
        }
        return result
    }
}

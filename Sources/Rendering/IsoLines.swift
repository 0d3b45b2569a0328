/// A straight piece of a line, in pixels; whole numbers are pixel centres.
struct Segment: Sendable, Hashable {
    var start: SIMD2<Float>
    var end: SIMD2<Float>
}

enum IsoLines {
    /// The lines along which values that lie between pixel centres equal `level`: marching squares (Lorensen and Cline 1987, in
    /// two dimensions). Where two opposite corners lie above and two below, the mean of the four decides what connects.
    static func trace(_ values: [Float], width: Int, height: Int, level: Float) -> [Segment] {
        precondition(values.count == width * height)
        var segments: [Segment] = []
        if width < 2 || height < 2 { return segments }
        values.withUnsafeBufferPointer { values in
            for y in 0..<height - 1 {
                let row = y * width
                for x in 0..<width - 1 {
                    let (a, b) = (values[row + x], values[row + x + 1])
                    let (d, c) = (values[row + width + x], values[row + width + x + 1])
                    let above = (a > level ? 1 : 0) | (b > level ? 2 : 0) | (c > level ? 4 : 0) | (d > level ? 8 : 0)
                    if above == 0 || above == 15 { continue }
                    let corner = SIMD2(Float(x), Float(y))
                    func fraction(_ from: Float, _ to: Float) -> Float { (level - from) / (to - from) }
                    // The crossing of each side: top, right, bottom, left.
                    func crossing(_ side: Int) -> SIMD2<Float> {
                        switch side {
                        case 0: corner + SIMD2(fraction(a, b), 0)
                        case 1: corner + SIMD2(1, fraction(b, c))
                        case 2: corner + SIMD2(fraction(d, c), 1)
                        default: corner + SIMD2(0, fraction(a, d))
                        }
                    }
                    func connect(_ first: Int, _ second: Int) {
                        segments.append(Segment(start: crossing(first), end: crossing(second)))
                    }
                    switch above {
                    case 1, 14: connect(3, 0)
                    case 2, 13: connect(0, 1)
                    case 4, 11: connect(1, 2)
                    case 8, 7: connect(2, 3)
                    case 3, 12: connect(3, 1)
                    case 6, 9: connect(0, 2)
                    default:
                        let joined = (a + b + c + d) / 4 > level
                        if (above == 5) == joined {
                            connect(0, 1)
                            connect(2, 3)
                        } else {
                            connect(3, 0)
                            connect(1, 2)
                        }
                    }
                }
            }
        }
        return segments
    }

    /// The closed outline of the pixels above one half, as if nothing lay beyond the picture.
    static func outline(_ mask: SliceImage) -> [Segment] {
        let (width, height) = (mask.width + 2, mask.height + 2)
        var padded = [Float](repeating: 0, count: width * height)
        for y in 0..<mask.height {
            for x in 0..<mask.width where mask.values[y * mask.width + x] > 0.5 { padded[(y + 1) * width + x + 1] = 1 }
        }
        let one = SIMD2<Float>(1, 1)
        return trace(padded, width: width, height: height, level: 0.5).map {
            Segment(start: $0.start - one, end: $0.end - one)
        }
    }
}

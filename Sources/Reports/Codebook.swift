/// 256 levels for the values of a scan, closer together where eyes need them.
struct Codebook: Sendable {
    /// The value that each code stands for, growing.
    let levels: [Float]
    /// How far a value with this code may lie from its level; values beyond the ends are held at them.
    let tolerances: [Float]
    /// Distance between the levels that are closest together by design.
    let leastStep: Float

    private let lowest: Float
    private let pace: Float
    private let table: [UInt8]

    /// - Parameter levels: at most 256, growing.
    init(levels: [Float], leastStep: Float) {
        precondition(levels.count >= 2 && levels.count <= 256)
        self.leastStep = leastStep
        self.levels = levels
        lowest = levels[0]
        let last = levels.count - 1
        // Fine enough that a table step is well below the least gap between levels.
        let gap = (1...last).map { levels[$0] - levels[$0 - 1] }.min()!
        let entries = max(2, min(1 << 16, Int(((levels[last] - lowest) / gap * 16).rounded(.up)) + 1))
        let pace = Float(entries - 1) / (levels[last] - lowest)
        self.pace = pace
        var code = 0
        table = (0..<entries).map { entry in
            let value = levels[0] + Float(entry) / pace
            while code < last, levels[code + 1] - value <= value - levels[code] { code += 1 }
            return UInt8(code)
        }
        tolerances = levels.indices.map { index in
            let below = index > 0 ? levels[index] - levels[index - 1] : 0
            let above = index < last ? levels[index + 1] - levels[index] : 0
            return max(below, above) / 2 + 0.5 / pace
        }
    }

    /// The code whose level is nearest to `value` (to within half a step of the table).
    @inline(__always)
    func code(_ value: Float) -> UInt8 {
        let entry = (value - lowest) * pace + 0.5
        if !(entry > 0) { return 0 }
        return entry >= Float(table.count) ? table[table.count - 1] : table[Int(entry)]
    }

    /// Hounsfield units: steps of 8 in air and lung, 5 in soft tissue, 24 in bone, and two levels for metal.
    ///
    /// - Parameter factor: makes all steps so many times as wide. A scan that is so noisy that it does not fit a page with
    ///   fine steps hides wider ones in its noise.
    static func hounsfield(factor: Float = 1) -> Codebook {
        var levels = steps(-1024, -200, 8 * factor)
        levels += steps(-200, 300, 5 * factor)
        levels += steps(300, 1500, 24 * factor)
        return Codebook(levels: levels + [1500, 2000, 3071], leastStep: 5 * factor)
    }

    /// Even steps over a range.
    static func even(_ range: ClosedRange<Float>) -> Codebook {
        let width = range.upperBound > range.lowerBound ? range.upperBound - range.lowerBound : 1
        return Codebook(
            levels: (0..<256).map { range.lowerBound + width * Float($0) / 255 }, leastStep: width / 255)
    }

    private static func steps(_ from: Float, _ to: Float, _ step: Float) -> [Float] {
        Array(stride(from: from, to: to, by: step))
    }
}

import Tensors

/// What methods share that learn from random choices of a scan's parts: how it is cut, how choices are drawn, when to end.
struct PartSampling: Sendable {
    /// - Parameters:
    ///   - own: what the method alone has.
    ///   - drawn: what is drawn at random, for the seed's help.
    static func options(_ own: [MethodOption], drawn: String) -> [MethodOption] {
        SegmentOptions.all + own + [
            MethodOption(
                "seed", .integer(0...Int(Int32.max)), standard: .number(0), "seed of the \(drawn)"),
            Budget.option,
        ]
    }

    private let segments: SegmentOptions
    private let seed: Int
    private let seconds: Double
    private let title: String

    init(_ options: MethodOptions, _ method: MethodDescriptor) {
        segments = SegmentOptions(options)
        seed = options.integer("seed")
        seconds = options.number("seconds")
        title = method.title
    }

    /// - Throws: as ``SegmentOptions/parts(of:title:)``.
    func parts(of question: Question) throws -> HiddenParts { try segments.parts(of: question, title: title) }

    func random() -> RandomSource { RandomSource(seed: UInt64(seed)) }

    func budget(_ planned: Int) -> Budget { Budget(seconds: seconds, planned: planned) }
}

/// Which parts are shown.
enum Coalitions {
    /// Every choice of `count` parts, nothing and everything among them; nil where they are more than `limit`.
    static func every(_ count: Int, within limit: Int) -> [[Bool]]? {
        guard count < 30, 1 << count <= limit else { return nil }
        return (0..<(1 << count)).map { number in (0..<count).map { number >> $0 & 1 == 1 } }
    }

    /// Every choice of `size` among `count` parts.
    static func every(_ size: Int, of count: Int) -> [[Bool]] {
        var found: [[Bool]] = []
        var shown = [Bool](repeating: false, count: count)
        func choose(_ left: Int, from start: Int) {
            if left == 0 {
                found.append(shown)
                return
            }
            guard start + left <= count else { return }
            for part in start...(count - left) {
                shown[part] = true
                choose(left - 1, from: part + 1)
                shown[part] = false
            }
        }
        choose(size, from: 0)
        return found
    }

    /// How many choices of `size` among `count` parts there are; infinity where that is beyond counting.
    static func number(_ size: Int, of count: Int) -> Double {
        var number = 1.0
        for step in 0..<min(size, count - size) { number *= Double(count - step) / Double(step + 1) }
        return number
    }
}

extension HiddenParts {
    /// Words for shares that are not told apart from chance; none where they are.
    ///
    /// Compared are the root mean square of the values and that of their standard errors.
    static func doubts(_ values: [Double], _ errors: [Double], more: String) -> [String] {
        func size(_ numbers: [Double]) -> Double {
            (numbers.reduce(0) { $0 + $1 * $1 } / Double(max(1, numbers.count))).squareRoot()
        }
        let (value, error) = (size(values), size(errors))
        guard error > 0, value < 2 * error else { return [] }
        return [
            "not to be trusted: the parts' values are \(value < error ? "smaller than" : "less than twice") their standard errors; \(more)"
        ]
    }
}

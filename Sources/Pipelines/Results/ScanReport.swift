/// What is told of one scan that was done.
public struct ScanReport: Sendable {
    /// The content of `results.json`: the same for the same inputs, so without times.
    public var results: JSON
    /// Seconds by stage, in order.
    public var timings: [(stage: String, seconds: Double)]

    /// Whether a stop was asked for while a method sampled: its map is the best so far, and later methods were not begun.
    public var isPartial = false

    public init(results: JSON, timings: [(stage: String, seconds: Double)] = []) {
        self.results = results
        self.timings = timings
    }

    public var seconds: Double { timings.reduce(0) { $0 + $1.seconds } }
    public var warnings: [String] { (results["warnings"]?.array ?? []).compactMap(\.text) }
}

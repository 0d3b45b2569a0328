import Foundation

/// Seconds by stage, in the order in which stages first came.
struct Stopwatch {
    private(set) var stages: [(stage: String, seconds: Double)] = []

    mutating func time<Result>(_ stage: String, _ body: () throws -> Result) rethrows -> Result {
        let start = DispatchTime.now().uptimeNanoseconds
        defer {
            let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
            if let index = stages.firstIndex(where: { $0.stage == stage }) {
                stages[index].seconds += seconds
            } else {
                stages.append((stage, seconds))
            }
        }
        return try body()
    }
}

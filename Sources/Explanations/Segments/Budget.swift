import Dispatch
import Failures
import Networks

/// How long a method may go on asking the network; what it has when it must end is its answer.
final class Budget {
    static let option = MethodOption(
        "seconds", .number(0...1e7), standard: .number(0),
        "end after so many seconds with the best so far; 0 is no limit")

    /// What was planned.
    let planned: Int
    private(set) var evaluations = 0
    private(set) var isInterrupted = false
    private(set) var isOver = false
    private let limit: Double
    private let start = DispatchTime.now().uptimeNanoseconds

    init(seconds: Double, planned: Int) {
        limit = seconds
        self.planned = planned
    }

    /// One evaluation; nil when time is over or a stop was asked for.
    ///
    /// - Throws: the request to stop itself, when fewer than `least` evaluations have been made: nothing can be said yet.
    func evaluate(least: Int = 1, _ body: () throws -> Double) throws -> Double? {
        if isOver { return nil }
        if limit > 0, evaluations >= least,
            Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9 >= limit
        {
            isOver = true
            return nil
        }
        do {
            let score = try body()
            evaluations += 1
            return score
        } catch let failure as Failure where failure.kind == .interrupted && evaluations >= least {
            isOver = true
            isInterrupted = true
            return nil
        }
    }

    /// What to say of an early end.
    var notes: [String] {
        guard isOver else { return [] }
        return [
            "ended after \(evaluations) of \(planned) evaluations: "
                + (isInterrupted ? "a stop was asked for" : "the time was over")
        ]
    }
}

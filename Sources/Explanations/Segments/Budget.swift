import Dispatch
import Failures
import Networks
import Tensors

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
        try evaluate(1, least: least) { [try body()] }?[0]
    }

    /// The scores of so many inputs, several in one forward pass where the network allows it; it ends early when time is over or a stop
    /// was asked for.
    ///
    /// - Parameters:
    ///   - make: the input of each number; called in order, and once.
    ///   - take: what is done with each score, in order.
    func scores(
        _ question: Question, count: Int, least: Int = 1, make: (Int) -> Tensor<Float>,
        take: (_ number: Int, _ score: Double) -> Void
    ) throws {
        var next = 0
        while next < count {
            let numbers = next..<min(count, next + question.batch)
            let inputs = numbers.map(make)
            let found = try evaluate(numbers.count, least: least) { try question.scores(of: inputs) }
            guard let found else { return }
            for (number, score) in zip(numbers, found) { take(number, score) }
            next = numbers.upperBound
        }
    }

    private func evaluate(_ count: Int, least: Int, _ body: () throws -> [Double]) throws -> [Double]? {
        if isOver { return nil }
        if limit > 0, evaluations >= least,
            Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9 >= limit
        {
            isOver = true
            return nil
        }
        do {
            let scores = try body()
            evaluations += count
            return scores
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

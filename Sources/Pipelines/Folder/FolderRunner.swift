import Failures
import Foundation
import Synchronization

/// What happens while a folder is run, in the order in which it happens. Commands turns it into lines.
public enum RunEvent: Sendable {
    case began(scans: Int, jobs: Int)
    case scanBegan(FoundScan)
    /// Nothing has changed since it was last done.
    case scanSkipped(FoundScan)
    case scanDone(FoundScan, ScanReport)
    /// A stop was asked for in the midst of sampling: the best so far was written.
    case scanStopped(FoundScan, ScanReport)
    case scanFailed(FoundScan, Failure)
    /// Scans get what had to wait for the folder's scale: overlays drawn on it (`drawsPictures`), and the scale in their pages.
    case finishing(scans: Int, drawsPictures: Bool)
    case ended(RunSummary)
}

/// How a folder's run ended.
public struct RunSummary: Sendable {
    public var done = 0
    public var skipped = 0
    public var failed: [(scan: FoundScan, failure: Failure)] = []
    /// Scans that were not begun or not finished because a stop was asked for.
    public var stopped = 0
    public var seconds = 0.0

    public var isInterrupted: Bool { stopped > 0 }

    /// 0 all well, 1 some scans failed, 130 stopped.
    public var exitCode: Int32 {
        if isInterrupted { return Failure.Kind.interrupted.exitCode }
        return failed.isEmpty ? 0 : 1
    }
}

/// Takes scans one after the other on several threads; one that fails never stops the others.
struct FolderRunner: Sendable {
    /// Scans in work at the same time, in whichever part.
    let jobs: Int
    var stop = StopRequest.process
    let observe: @Sendable (RunEvent) -> Void

    enum Outcome: Sendable {
        case skipped
        case done(ScanReport)
    }

    /// Calls `work` once for each scan, in order as far as threads allow.
    ///
    /// - Returns: how it went; outcomes come in the order of `scans`.
    func run(
        _ scans: [FoundScan], _ work: @escaping @Sendable (FoundScan) throws -> Outcome
    ) -> (summary: RunSummary, outcomes: [Result<Outcome, Failure>?]) {
        let state = Mutex<(next: Int, outcomes: [Result<Outcome, Failure>?])>(
            (0, Array(repeating: nil, count: scans.count)))
        let work: @Sendable () -> Void = {
            while !stop.isMade {
                let index = state.withLock { state -> Int? in
                    guard state.next < scans.count else { return nil }
                    state.next += 1
                    return state.next - 1
                }
                guard let index else { return }
                let scan = scans[index]
                observe(.scanBegan(scan))
                let outcome = Result { try work(scan) }.mapError { Self.failure($0, scan) }
                if case .failure(let failure) = outcome, failure.kind == .interrupted { return }
                state.withLock { $0.outcomes[index] = outcome }
                switch outcome {
                case .success(.skipped): observe(.scanSkipped(scan))
                case .success(.done(let report)):
                    observe(report.isPartial ? .scanStopped(scan, report) : .scanDone(scan, report))
                case .failure(let failure): observe(.scanFailed(scan, failure))
                }
            }
        }
        let group = DispatchGroup()
        for number in 1..<max(1, min(jobs, scans.count)) {
            group.enter()
            let thread = Thread {
                work()
                group.leave()
            }
            thread.name = "tomolens-job-\(number)"
            thread.stackSize = 16 << 20
            thread.start()
        }
        work()
        group.wait()

        let outcomes = state.withLock { $0.outcomes }
        var summary = RunSummary()
        for (scan, outcome) in zip(scans, outcomes) {
            switch outcome {
            case .success(.skipped): summary.skipped += 1
            case .success(.done(let report)):
                // The best so far is there to be seen, but the scan is to be done again.
                if report.isPartial { summary.stopped += 1 } else { summary.done += 1 }
            case .failure(let failure): summary.failed.append((scan, failure))
            case nil: summary.stopped += 1
            }
        }
        return (summary, outcomes)
    }

    private static func failure(_ error: any Error, _ scan: FoundScan) -> Failure {
        if let failure = error as? Failure { return failure }
        return Failure(
            .scan, scan.path, expected: "to be explained", found: "an unexpected error: \(error)",
            remedy: "This is a fault of the program; please report it")
    }
}

import Failures
import Foundation
import Synchronization

/// Ctrl-C and the system's request to end, turned into a question that long work asks between its steps.
public final class StopRequest: Sendable {
    /// That of the whole process.
    public static let process = StopRequest()

    private let made = Atomic<Bool>(false)

    public init() {}

    /// From now on SIGINT and SIGTERM ask the process for a clean stop; a second one ends it at once. A file under its final
    /// name is whole all the same: files are written under temporary names.
    public static func watchSignals() {
        // Touched here, so that the handler finds it made.
        process.made.store(false, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                StopRequest.process.made.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }

    public func make() { made.store(true, ordering: .relaxed) }
    public var isMade: Bool { made.load(ordering: .relaxed) }

    /// - Throws: ``Failure`` of kind `.interrupted` when a stop was asked for.
    public func check() throws {
        if isMade { throw Failure(.interrupted, "the run", expected: "to go on", found: "a request to stop") }
    }
}

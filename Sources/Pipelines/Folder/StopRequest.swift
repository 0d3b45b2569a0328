import Failures
import Foundation
import Synchronization

/// Ctrl-C and the system's request to end, turned into a question that long work asks between its steps.
public enum StopRequest {
    private static let made = Atomic<Bool>(false)

    /// From now on SIGINT and SIGTERM ask for a clean stop; a second one ends the process at once. A file under its final
    /// name is whole all the same: files are written under temporary names.
    public static func watchSignals() {
        // Touched here, so that the handler finds it made.
        made.store(false, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                StopRequest.made.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }

    public static func make() { made.store(true, ordering: .relaxed) }
    public static func withdraw() { made.store(false, ordering: .relaxed) }
    public static var isMade: Bool { made.load(ordering: .relaxed) }

    /// - Throws: ``Failure`` of kind `.interrupted` when a stop was asked for.
    public static func check() throws {
        if isMade { throw Failure(.interrupted, "the run", expected: "to go on", found: "a request to stop") }
    }
}

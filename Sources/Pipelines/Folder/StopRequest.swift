import Failures
import Foundation
import Synchronization

/// Ctrl-C and the system's request to end, turned into a question that long work asks between its steps.
public enum StopRequest {
    private static let isRequested = Atomic<Bool>(false)

    /// From now on SIGINT and SIGTERM ask for a clean stop; a second one ends the process at once.
    public static func watch() {
        // Touched here, so that the handler finds it made.
        isRequested.store(false, ordering: .relaxed)
        for number in [SIGINT, SIGTERM] {
            signal(number) { number in
                StopRequest.isRequested.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }

    public static func request() { isRequested.store(true, ordering: .relaxed) }
    public static func reset() { isRequested.store(false, ordering: .relaxed) }
    public static var requested: Bool { isRequested.load(ordering: .relaxed) }

    /// - Throws: ``Failure`` of kind `.interrupted` when a stop was asked for.
    public static func check() throws {
        if requested {
            throw Failure(
                .interrupted, "run", expected: "to run to the end", found: "a request to stop",
                remedy: "Give the same command again to go on where it stopped.")
        }
    }
}

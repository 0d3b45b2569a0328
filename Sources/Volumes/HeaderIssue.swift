/// Something in a scan's file that is not as the standard wants it, and what was done about it.
///
/// What makes a file unreadable is thrown as a `Failure`; an issue never stops a run but belongs in its report.
public struct HeaderIssue: Sendable, Hashable, Codable, CustomStringConvertible {
    public enum Level: String, Sendable, Hashable, Codable {
        /// Worth knowing; the reading is what the standard prescribes.
        case note
        /// The file is at odds with the standard or with itself; the reading is the usual one.
        case warning
        /// A part of the file was unusable and something else stands in for it.
        case error
    }

    public var level: Level
    /// The header field concerned: "qform and sform".
    public var field: String
    public var problem: String
    public var handling: String

    public init(_ level: Level, _ field: String, problem: String, handling: String) {
        self.level = level
        self.field = field
        self.problem = problem
        self.handling = handling
    }

    public var description: String { "\(level.rawValue): \(field): \(problem); \(handling)" }
}

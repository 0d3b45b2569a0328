/// Something in the world (a file, a network, a setting) is not as it must be.
///
/// A failure always answers four questions: what is concerned, what was expected, what was found, and how to mend it.
/// Bugs of ours are `precondition` failures, never a `Failure`.
public struct Failure: Error, Sendable, Equatable {
    /// What kind of thing failed. Each kind has one documented exit code (`docs/reference/exit-codes.md`).
    public enum Kind: String, Sendable, CaseIterable {
        /// The command line asks for something that does not exist or contradicts itself.
        case usage
        /// A pipeline file is malformed or asks for the impossible.
        case pipeline
        /// A scan, label map or image cannot be read or used.
        case scan
        /// A network file cannot be read, or holds something that cannot be run or explained.
        case network
        /// A result cannot be written.
        case output
        /// Memory or another resource does not suffice.
        case resources
        /// The user or the system asked us to stop.
        case interrupted
        /// A check that the user asked for (`check-geometry`, for example) did not hold.
        case check

        /// The process exit code for a run that ended with this kind of failure.
        ///
        /// 0 is success and 1 is "some scans of a folder failed"; both belong to no kind.
        public var exitCode: Int32 {
            switch self {
            case .usage: 2
            case .pipeline: 3
            case .scan: 4
            case .network: 5
            case .output: 6
            case .resources: 7
            case .check: 8
            case .interrupted: 130
            }
        }
    }

    public var kind: Kind
    /// The file, node, key or option concerned.
    public var subject: String
    /// The rule that was broken, as a noun phrase: "a gzip stream with a valid checksum".
    public var expected: String
    /// What stood there instead.
    public var found: String
    /// What the user can do about it; may be empty where nothing sensible can be said.
    public var remedy: String

    public init(_ kind: Kind, _ subject: String, expected: String, found: String, remedy: String = "") {
        self.kind = kind
        self.subject = subject
        self.expected = expected
        self.found = found
        self.remedy = remedy
    }

    /// The same failure about a more precisely named subject: the file around a key, the node around an attribute.
    public func within(_ context: String) -> Failure {
        var copy = self
        copy.subject = subject.isEmpty ? context : "\(context): \(subject)"
        return copy
    }
}

extension Failure: CustomStringConvertible {
    /// One line: `subject: expected E, found F. Remedy.`
    public var description: String {
        var text = "\(subject): expected \(expected), found \(found)"
        if !remedy.isEmpty { text += ". \(remedy)" }
        if !text.hasSuffix(".") && !text.hasSuffix("?") { text += "." }
        return text
    }
}

/// What one key of a pipeline file means. The reference page is made from these, and the reader refuses what is not here.
public struct KeyDescription: Sendable {
    public let name: String
    /// What may stand there: "a number from 0 to 1".
    public let type: String
    /// What holds when the key is absent; empty for required keys.
    public let standard: String
    public let help: String

    public init(_ name: String, _ type: String, standard: String = "", _ help: String) {
        self.name = name
        self.type = type
        self.standard = standard
        self.help = help
    }
}

/// The keys that one object of a pipeline file may have.
public struct KeyGroup: Sendable {
    /// Where the object stands: `rendering`; empty for the file itself.
    public let path: String
    public let help: String
    public let keys: [KeyDescription]

    public init(_ path: String, _ help: String, _ keys: [KeyDescription]) {
        self.path = path
        self.help = help
        self.keys = keys
    }

    public var names: [String] { keys.map(\.name) }
}

/// An option with a value: `--jobs N`, `--jobs=N`, `-j N`, `-jN`.
public struct Option<Value: Sendable>: Sendable {
    public let declaration: OptionDeclaration

    /// - Parameters:
    ///   - name: the long name without its dashes.
    ///   - default: what the help says happens when the option is not given; the command itself supplies the value.
    public init(
        _ name: String, short: Character? = nil, _ reader: ValueReader<Value>, help: String, default: String? = nil,
        required: Bool = false, repeatable: Bool = false
    ) {
        declaration = OptionDeclaration(
            name: name, short: short, placeholder: reader.placeholder, help: help, defaultText: `default`,
            isRequired: required, isRepeatable: repeatable, expected: reader.expected, choices: reader.choices,
            completion: reader.completion, read: { reader.read($0) })
    }
}

/// An option without a value: `--force`, `-f`.
public struct Flag: Sendable {
    public let declaration: OptionDeclaration

    public init(_ name: String, short: Character? = nil, help: String) {
        declaration = OptionDeclaration(
            name: name, short: short, placeholder: nil, help: help, defaultText: nil, isRequired: false,
            isRepeatable: false, expected: "", choices: [], completion: .nothing, read: { _ in nil })
    }
}

/// An argument that is known by its place.
public struct Positional<Value: Sendable>: Sendable {
    public let declaration: PositionalDeclaration

    public init(_ reader: ValueReader<Value>, help: String, required: Bool = true, repeatable: Bool = false) {
        declaration = PositionalDeclaration(
            placeholder: reader.placeholder, help: help, isRequired: required, isRepeatable: repeatable,
            expected: reader.expected, choices: reader.choices, completion: reader.completion, read: { reader.read($0) }
        )
    }
}

/// An option or flag as the parser, the help and the completions see it: without its type.
public struct OptionDeclaration: Sendable {
    public let name: String
    public let short: Character?
    /// Nil for a flag.
    public let placeholder: String?
    public let help: String
    public let defaultText: String?
    public let isRequired: Bool
    public let isRepeatable: Bool
    public let expected: String
    public let choices: [String]
    public let completion: Completion
    let read: @Sendable (String) -> (any Sendable)?

    public var takesValue: Bool { placeholder != nil }

    /// `-j, --jobs N`
    var label: String {
        let names = short.map { "-\($0), --\(name)" } ?? "    --\(name)"
        return placeholder.map { "\(names) \($0)" } ?? names
    }

    /// `--jobs N`
    var usage: String { placeholder.map { "--\(name) \($0)" } ?? "--\(name)" }

    /// The help with what can be said from the declaration: default, choices, whether it may come again.
    var fullHelp: String {
        var text = help
        if !choices.isEmpty { text += " One of: \(choices.joined(separator: ", "))." }
        if isRepeatable { text += " May be given several times." }
        if let defaultText { text += " Default: \(defaultText)." }
        if isRequired { text += " Required." }
        return text
    }
}

public struct PositionalDeclaration: Sendable {
    public let placeholder: String
    public let help: String
    public let isRequired: Bool
    /// Takes all that follows; only the last positional may.
    public let isRepeatable: Bool
    public let expected: String
    public let choices: [String]
    public let completion: Completion
    let read: @Sendable (String) -> (any Sendable)?

    var usage: String {
        let name = isRepeatable ? "\(placeholder)…" : placeholder
        return isRequired ? name : "[\(name)]"
    }
}

/// Options under one heading of the help.
public struct OptionGroup: Sendable {
    public let title: String
    public let options: [OptionDeclaration]

    public init(_ title: String, _ options: [OptionDeclaration]) {
        self.title = title
        self.options = options
    }
}

/// A command line that does what its sentence says.
public struct Example: Sendable {
    public let text: String
    public let command: String

    public init(_ text: String, _ command: String) {
        self.text = text
        self.command = command
    }
}

/// All that a subcommand says of itself. Parsing, help, completions and the manual page are made from it alone.
public struct CommandDeclaration: Sendable {
    public let name: String
    /// One line, without a full stop: "explain every scan of a folder".
    public let summary: String
    /// Paragraphs.
    public let discussion: [String]
    public let positionals: [PositionalDeclaration]
    public let groups: [OptionGroup]
    public let examples: [Example]

    public init(
        _ name: String, summary: String, discussion: [String] = [], positionals: [PositionalDeclaration] = [],
        groups: [OptionGroup] = [], examples: [Example] = []
    ) {
        self.name = name
        self.summary = summary
        self.discussion = discussion
        self.positionals = positionals
        self.groups = groups + [OptionGroup("Help", [Self.helpFlag.declaration])]
        self.examples = examples
    }

    public static let helpFlag = Flag("help", short: "h", help: "Show this help and stop.")

    public var options: [OptionDeclaration] { groups.flatMap(\.options) }
}

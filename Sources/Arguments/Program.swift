import Failures

/// A program of several commands: what stands on its command line, told apart.
public struct Program: Sendable {
    public let name: String
    public let version: String
    public let summary: String
    public let commands: [CommandDeclaration]
    /// What `help` explains beside the commands.
    public let topics: [HelpTopic]
    /// Closing lines of every help text: where to read more.
    public let footer: [String]

    public init(
        name: String, version: String, summary: String, commands: [CommandDeclaration], topics: [HelpTopic] = [],
        footer: [String] = []
    ) {
        self.name = name
        self.version = version
        self.summary = summary
        self.commands = commands
        self.topics = topics
        self.footer = footer
    }

    public enum Invocation: Sendable {
        case help(String)
        case version(String)
        case command(String, ParsedArguments)
    }

    /// What `arguments` (without the program's own name) ask for.
    ///
    /// `--help` wins over every mistake beside it, so that somebody who is lost gets help and not a second complaint.
    ///
    /// - Parameter width: columns of the terminal, for the help.
    /// - Throws: a ``Failure`` of kind `.usage` that names the argument and, where one is near, what was meant.
    public func interpret(_ arguments: [String], width: Int = 80) throws -> Invocation {
        guard let first = arguments.first else { return .help(help(width: width)) }
        switch first {
        case "--help", "-h": return .help(help(width: width))
        case "--version": return .version("\(name) \(version)")
        case "help":
            // `help` itself may be declared, so that it shows in the list of commands.
            let rest = arguments.dropFirst().filter { $0 != "--help" && $0 != "-h" }
            guard let topic = rest.first else {
                // `help --help` asks about `help` itself.
                let itself = arguments.count > 1 ? commands.first { $0.name == "help" } : nil
                return .help(itself.map { help(for: $0, width: width) } ?? help(width: width))
            }
            if let topic = topics.first(where: { $0.name == topic }) { return .help(topic.text(Text.clamped(width))) }
            return .help(help(for: try command(topic, orTopic: true), width: width))
        default: break
        }
        if first.hasPrefix("-") {
            throw Failure(
                .usage, "option '\(first)'", expected: "a command before any option", found: "an option",
                remedy: Nearest.match(first, in: ["--help", "--version"]).map { "Did you mean '\($0)'?" }
                    ?? "Try '\(name) --help'.")
        }
        let declaration = try command(first)
        let rest = Array(arguments.dropFirst())
        if ArgumentParser(declaration).asksForHelp(rest) { return .help(help(for: declaration, width: width)) }
        do {
            return .command(first, try ArgumentParser(declaration).parse(rest))
        } catch var failure as Failure {
            if failure.remedy.isEmpty { failure.remedy = "See '\(name) help \(first)'." }
            throw failure
        }
    }

    private func command(_ word: String, orTopic: Bool = false) throws -> CommandDeclaration {
        if let declaration = commands.first(where: { $0.name == word }) { return declaration }
        throw Failure(
            .usage, "command '\(word)'", expected: "a command of \(name)", found: "no such command",
            remedy: Nearest.suggestion(word, in: commands.map(\.name) + (orTopic ? topics.map(\.name) : [])))
    }
}

/// Something that `help` explains and that is no command: the keys of a file, for example.
public struct HelpTopic: Sendable {
    public let name: String
    /// One line, without a full stop.
    public let summary: String
    /// The text for a terminal of so many columns.
    public let text: @Sendable (_ width: Int) -> String

    public init(_ name: String, summary: String, text: @escaping @Sendable (_ width: Int) -> String) {
        self.name = name
        self.summary = summary
        self.text = text
    }
}

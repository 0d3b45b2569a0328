extension Program {
    /// The overview: what the program is and the commands it has.
    public func help(width: Int = 80) -> String {
        let width = Text.clamped(width)
        var lines = Text.wrapped("\(name) \(version): \(summary)", width: width)
        lines += ["", "Usage: \(name) COMMAND [options]", "", "Commands:"]
        for command in commands {
            lines += Text.entry(label: command.name, text: command.summary, column: 20, width: width)
        }
        lines += ["", "Options:"]
        lines += Text.entry(label: "-h, --help", text: "Show this help and stop.", column: 20, width: width)
        lines += Text.entry(label: "    --version", text: "Show the version and stop.", column: 20, width: width)
        if !topics.isEmpty {
            lines += ["", "Topics:"]
            for topic in topics {
                lines += Text.entry(label: topic.name, text: topic.summary, column: 20, width: width)
            }
        }
        lines.append("")
        lines += Text.wrapped("'\(name) help COMMAND' explains one command, with examples.", width: width)
        for line in footer { lines += Text.wrapped(line, width: width) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The help of one command, from its declaration.
    public func help(for command: CommandDeclaration, width: Int = 80) -> String {
        let width = Text.clamped(width)
        var lines = Text.wrapped("\(name) \(command.name): \(command.summary)", width: width)
        lines.append("")
        lines += Text.wrapped("Usage: " + usage(of: command), width: width, indent: 0, hanging: 11)
        for paragraph in command.discussion {
            lines.append("")
            lines += Text.wrapped(paragraph, width: width)
        }
        if !command.positionals.isEmpty {
            lines += ["", "Arguments:"]
            for positional in command.positionals {
                var text = positional.help
                if !positional.choices.isEmpty { text += " One of: \(positional.choices.joined(separator: ", "))." }
                lines += Text.entry(label: positional.placeholder, text: text, column: 28, width: width)
            }
        }
        for group in command.groups {
            lines += ["", "\(group.title):"]
            for option in group.options {
                lines += Text.entry(label: option.label, text: option.fullHelp, column: 28, width: width)
            }
        }
        if !command.examples.isEmpty {
            lines += ["", "Examples:"]
            for example in command.examples {
                lines += Text.wrapped(example.text, width: width, indent: 2, hanging: 2)
                lines.append("      \(example.command)")
            }
        }
        if !footer.isEmpty { lines.append("") }
        for line in footer { lines += Text.wrapped(line, width: width) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `tomolens run PIPELINE --input DIR --output DIR [options]`
    public func usage(of command: CommandDeclaration) -> String {
        var parts = [name, command.name]
        parts += command.positionals.map(\.usage)
        parts += command.options.filter(\.isRequired).map(\.usage)
        if command.options.contains(where: { !$0.isRequired && $0.name != "help" }) { parts.append("[options]") }
        return parts.joined(separator: " ")
    }
}

/// Plain text in columns.
public enum Text {
    /// Lines longer than 100 columns are hard to read, and under 60 there is no room for two columns.
    static func clamped(_ width: Int) -> Int { min(100, max(60, width)) }

    /// `text` broken at spaces so that no line is longer than `width` (a longer word stays whole).
    public static func wrapped(_ text: String, width: Int, indent: Int = 0, hanging: Int = 0) -> [String] {
        var lines: [String] = []
        var line = String(repeating: " ", count: indent)
        var isEmpty = true
        for word in text.split(separator: " ") {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = String(repeating: " ", count: hanging)
                isEmpty = true
            }
            line += isEmpty ? String(word) : " \(word)"
            isEmpty = false
        }
        lines.append(line)
        return lines
    }

    /// A label, and its text in a column of its own; on the next line where the label is too long.
    public static func entry(label: String, text: String, column: Int, width: Int) -> [String] {
        let label = "  \(label)"
        let padding = String(repeating: " ", count: column)
        var lines = wrapped(text, width: width, indent: column, hanging: column)
        if label.count + 2 <= column {
            lines[0] = label + lines[0].dropFirst(label.count)
            return lines
        }
        if lines == [padding] { return [label] }
        return [label] + lines
    }
}

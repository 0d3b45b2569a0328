extension Program {
    /// The manual page in roff (man macros), all commands in one page.
    public func manPage() -> String {
        var lines = [
            ".TH \(name.uppercased()) 1 \"\" \"\(roff("\(name) \(version)"))\" \"User Commands\"",
            ".SH NAME", "\(name) \\- " + roff(summary),
            ".SH SYNOPSIS", ".B \(name)", "COMMAND [options]",
            ".SH COMMANDS",
        ]
        for command in commands {
            lines += [
                ".SS \"\(roff(usage(of: command)))\"", roff(sentence(command.summary)),
            ]
            for paragraph in command.discussion { lines += [".PP", roff(paragraph)] }
            for positional in command.positionals {
                lines += [".TP", ".I \(roff(positional.placeholder))", roff(positional.help)]
            }
            for option in command.options {
                let label = option.label.trimmingPrefix { $0 == " " }
                lines += [".TP", ".B \(roff(String(label)))", roff(option.fullHelp)]
            }
            if !command.examples.isEmpty {
                lines += [".PP", "Examples:"]
                for example in command.examples {
                    lines += [".PP", roff(example.text), ".PP", ".nf", ".RS", roff(example.command), ".RE", ".fi"]
                }
            }
        }
        if !footer.isEmpty {
            lines.append(".SH NOTES")
            for line in footer { lines += [roff(line), ".br"] }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func sentence(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() + "." }

    /// `text` with roff's own signs made harmless.
    private func roff(_ text: String) -> String {
        var result = text.replacing("\\", with: "\\e").replacing("-", with: "\\-").replacing("\"", with: "\\(dq")
        if result.hasPrefix(".") || result.hasPrefix("'") { result = "\\&" + result }
        return result
    }
}

/// The shells for which a completion script can be written.
public enum Shell: String, CaseIterable, Sendable {
    case bash
    case zsh
    case fish
}

extension Program {
    /// A script that teaches `shell` the commands, the options and, where they can be listed, their values.
    public func completions(for shell: Shell) -> String {
        switch shell {
        case .bash: bash
        case .zsh: zsh
        case .fish: fish
        }
    }

    private var bash: String {
        var lines = [
            "# bash completion for \(name): source this file, or put it in /etc/bash_completion.d.",
            "_\(name)() {",
            "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"",
            "    COMPREPLY=()",
            "    if [ \"$COMP_CWORD\" -eq 1 ]; then",
            "        COMPREPLY=($(compgen -W \"\(words(commands.map(\.name) + ["--help", "--version"]))\" -- \"$current\"))",
            "        return",
            "    fi",
            "    case \"${COMP_WORDS[1]} $previous\" in",
        ]
        for command in commands {
            for option in command.options where option.takesValue {
                let names = (["--\(option.name)"] + (option.short.map { ["-\($0)"] } ?? []))
                let pattern = names.map { "\"\(command.name) \($0)\"" }.joined(separator: "|")
                let reply =
                    switch option.completion {
                    case .nothing: "COMPREPLY=()"
                    case .file: "COMPREPLY=($(compgen -f -- \"$current\"))"
                    case .folder: "COMPREPLY=($(compgen -d -- \"$current\"))"
                    case .words(let choices): "COMPREPLY=($(compgen -W \"\(words(choices))\" -- \"$current\"))"
                    }
                lines.append("        \(pattern)) \(reply); return;;")
            }
        }
        lines += ["    esac", "    case \"${COMP_WORDS[1]}\" in"]
        for command in commands {
            var other = "compgen -f -- \"$current\""
            if case .words(let choices)? = command.positionals.first?.completion {
                other = "compgen -W \"\(words(choices))\" -- \"$current\""
            }
            let options = words(command.options.map { "--\($0.name)" })
            lines += [
                "        \(command.name))",
                "            case \"$current\" in",
                "                -*) COMPREPLY=($(compgen -W \"\(options)\" -- \"$current\"));;",
                "                *) COMPREPLY=($(\(other)));;",
                "            esac;;",
            ]
        }
        lines += ["    esac", "}", "complete -o filenames -F _\(name) \(name)"]
        return lines.joined(separator: "\n") + "\n"
    }

    private var zsh: String {
        var lines = [
            "#compdef \(name)",
            "# zsh completion for \(name): save as _\(name) in a folder of $fpath.",
            "_\(name)() {",
            "    local -a commands",
            "    commands=(",
        ]
        for command in commands { lines.append("        '\(zshText(command.name)):\(zshText(command.summary))'") }
        lines += [
            "    )",
            "    if (( CURRENT == 2 )); then",
            "        _describe 'command' commands",
            "        return",
            "    fi",
            "    local chosen=$words[2]",
            "    shift words",
            "    (( CURRENT-- ))",
            "    case $chosen in",
        ]
        for command in commands {
            lines.append("        \(command.name))")
            var specifications: [String] = []
            for option in command.options {
                let action = option.takesValue ? ":\(zshText(option.placeholder!)):\(zshAction(option.completion))" : ""
                let star = option.isRepeatable ? "*" : ""
                let help = "[\(zshText(option.help))]"
                specifications.append("'\(star)--\(option.name)\(option.takesValue ? "=" : "")\(help)\(action)'")
                if let short = option.short { specifications.append("'\(star)-\(short)\(help)\(action)'") }
            }
            for (index, positional) in command.positionals.enumerated() {
                let place = positional.isRepeatable ? "*" : "\(index + 1)"
                specifications.append(
                    "'\(place):\(zshText(positional.placeholder)):\(zshAction(positional.completion))'")
            }
            lines.append("            _arguments \\")
            lines.append(specifications.map { "                \($0)" }.joined(separator: " \\\n"))
            lines.append("            ;;")
        }
        lines += ["    esac", "}", "_\(name) \"$@\""]
        return lines.joined(separator: "\n") + "\n"
    }

    private var fish: String {
        var lines = [
            "# fish completion for \(name): save as ~/.config/fish/completions/\(name).fish.",
            "complete -c \(name) -n __fish_use_subcommand -l help -s h -d 'Show this help and stop.'",
            "complete -c \(name) -n __fish_use_subcommand -l version -d 'Show the version and stop.'",
        ]
        for command in commands {
            lines.append(
                "complete -c \(name) -f -n __fish_use_subcommand -a \(command.name) -d '\(fishText(command.summary))'")
        }
        for command in commands {
            let condition = "-n '__fish_seen_subcommand_from \(command.name)'"
            for option in command.options {
                var line = "complete -c \(name) \(condition) -l \(option.name)"
                if let short = option.short { line += " -s \(short)" }
                if option.takesValue {
                    switch option.completion {
                    case .nothing: line += " -x"
                    case .file: line += " -r -F"
                    case .folder: line += " -x -a '(__fish_complete_directories)'"
                    case .words(let choices): line += " -x -a '\(fishText(words(choices)))'"
                    }
                }
                lines.append(line + " -d '\(fishText(option.help))'")
            }
            if case .words(let choices)? = command.positionals.first?.completion {
                lines.append("complete -c \(name) \(condition) -f -a '\(fishText(words(choices)))'")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func words(_ list: [String]) -> String { list.joined(separator: " ") }

    private func zshText(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "'": result += "'\\''"
            case "[", "]", ":", "\\": result += "\\\(character)"
            default: result.append(character)
            }
        }
        return result
    }

    private func zshAction(_ completion: Completion) -> String {
        switch completion {
        case .nothing: " "
        case .file: "_files"
        case .folder: "_files -/"
        case .words(let choices): "(\(words(choices.map(zshText))))"
        }
    }

    private func fishText(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("'", with: "\\'")
    }
}

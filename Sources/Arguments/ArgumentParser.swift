import Failures

/// Reads the arguments of one command by its declaration.
struct ArgumentParser {
    let declaration: CommandDeclaration

    init(_ declaration: CommandDeclaration) { self.declaration = declaration }

    /// Whether `--help` or `-h` stands where an option may stand.
    func asksForHelp(_ arguments: [String]) -> Bool {
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            if argument == "--" { return false }
            if argument == "--help" || argument == "-h" { return true }
            // The value after an option is no request for help, unless it is exactly that.
            if argument.hasPrefix("--"), let option = option(long: String(argument.dropFirst(2))), option.takesValue,
                index + 1 < arguments.count, arguments[index + 1] != "--help", arguments[index + 1] != "-h"
            {
                index += 1
            }
            index += 1
        }
        return false
    }

    func parse(_ arguments: [String]) throws -> ParsedArguments {
        var result = ParsedArguments()
        var words: [String] = []
        var index = 0
        var onlyWords = false
        while index < arguments.count {
            let argument = arguments[index]
            index += 1
            if onlyWords || !argument.hasPrefix("-") || argument == "-" {
                words.append(argument)
            } else if argument == "--" {
                onlyWords = true
            } else if argument.hasPrefix("--") {
                try parseLong(argument, arguments, &index, &result)
            } else {
                try parseShort(argument, arguments, &index, &result)
            }
        }
        try assign(words, &result)
        for option in declaration.options where option.isRequired && result.values[option.name] == nil {
            throw Failure(
                .usage, "'\(declaration.name)'", expected: "the option \(option.usage)", found: "none")
        }
        return result
    }

    private func parseLong(
        _ argument: String, _ arguments: [String], _ index: inout Int, _ result: inout ParsedArguments
    ) throws {
        let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let option = option(long: name) else {
            let names = declaration.options.map { "--\($0.name)" }
            var remedy = Nearest.match("--\(name)", in: names).map { "Did you mean '\($0)'?" } ?? ""
            if remedy.isEmpty, declaration.positionals.isEmpty == false {
                remedy = "A name that begins with a dash goes after '--'."
            }
            throw Failure(
                .usage, "option '--\(name)'", expected: "an option of '\(declaration.name)'", found: "no such option",
                remedy: remedy)
        }
        if !option.takesValue {
            guard parts.count == 1 else {
                throw Failure(
                    .usage, "option '--\(name)'", expected: "no value", found: "'\(parts[1])'",
                    remedy: "Write '--\(name)' alone.")
            }
            try store(option, as: "--\(name)", nil, &result)
        } else if parts.count == 2 {
            try store(option, as: "--\(name)", String(parts[1]), &result)
        } else {
            try store(option, as: "--\(name)", try value(for: option, "--\(name)", arguments, &index), &result)
        }
    }

    /// `-q`, `-qf`, `-j4`, `-j 4`.
    private func parseShort(
        _ argument: String, _ arguments: [String], _ index: inout Int, _ result: inout ParsedArguments
    ) throws {
        var letters = argument.dropFirst()
        while let letter = letters.popFirst() {
            guard let option = declaration.options.first(where: { $0.short == letter }) else {
                let whole = Nearest.match("-" + argument, in: declaration.options.map { "--\($0.name)" })
                throw Failure(
                    .usage, "option '\(argument)'", expected: "an option of '\(declaration.name)'",
                    found: argument.count == 2 ? "no such option" : "no option '-\(letter)'",
                    remedy: argument.count > 3 && whole != nil
                        ? "Did you mean '\(whole!)'?" : "A name that begins with a dash goes after '--'.")
            }
            if !option.takesValue {
                try store(option, as: "-\(letter)", nil, &result)
            } else if letters.isEmpty {
                try store(option, as: "-\(letter)", try value(for: option, "-\(letter)", arguments, &index), &result)
            } else {
                let rest = letters.first == "=" ? letters.dropFirst() : letters
                try store(option, as: "-\(letter)", String(rest), &result)
                return
            }
        }
    }

    /// The argument after an option. It may begin with a dash (negative numbers do) unless it is itself an option here.
    private func value(
        for option: OptionDeclaration, _ name: String, _ arguments: [String], _ index: inout Int
    ) throws -> String {
        let missing = Failure(.usage, "option '\(name)'", expected: "a value, \(option.expected)", found: "none")
        guard index < arguments.count else { throw missing }
        let next = arguments[index]
        if next == "--" { throw missing }
        if next.hasPrefix("--"), self.option(long: String(next.dropFirst(2).prefix { $0 != "=" })) != nil {
            var failure = missing
            failure.found = "the option '\(next)'"
            failure.remedy = "Write '\(name)=\(next)' if that is the value."
            throw failure
        }
        index += 1
        return next
    }

    private func store(
        _ option: OptionDeclaration, as name: String, _ text: String?, _ result: inout ParsedArguments
    ) throws {
        if !option.isRepeatable, option.takesValue, let earlier = result.texts[option.name] {
            throw Failure(
                .usage, "option '\(name)'", expected: "to be given once",
                found: "'\(earlier[0])' and '\(text ?? "")'")
        }
        guard let text else {
            result.flags.insert(option.name)
            return
        }
        guard let value = option.read(text) else {
            throw invalid("option '\(name)'", option.expected, text, option.choices)
        }
        result.values[option.name, default: []].append(value)
        result.texts[option.name, default: []].append(text)
    }

    private func assign(_ words: [String], _ result: inout ParsedArguments) throws {
        var words = words[...]
        for positional in declaration.positionals {
            var taken = 0
            while let word = words.first, taken == 0 || positional.isRepeatable {
                guard let value = positional.read(word) else {
                    throw invalid(positional.placeholder, positional.expected, word, positional.choices)
                }
                result.positionals[positional.placeholder, default: []].append(value)
                words.removeFirst()
                taken += 1
            }
            if taken == 0, positional.isRequired {
                throw Failure(
                    .usage, "'\(declaration.name)'", expected: "\(positional.placeholder), \(positional.expected)",
                    found: "none")
            }
        }
        if let extra = words.first {
            let takes = declaration.positionals.map(\.usage).joined(separator: " ")
            throw Failure(
                .usage, "'\(declaration.name)'",
                expected: takes.isEmpty ? "no argument without an option" : "no more than \(takes)",
                found: "also '\(extra)'", remedy: "A name with spaces needs quotes around it.")
        }
    }

    private func option(long name: String) -> OptionDeclaration? { declaration.options.first { $0.name == name } }

    private func invalid(_ subject: String, _ expected: String, _ text: String, _ choices: [String]) -> Failure {
        var remedy = ""
        if !choices.isEmpty {
            let wrong = text.split(separator: ",").map(String.init).first { !choices.contains($0) } ?? text
            remedy = Nearest.match(wrong, in: choices).map { "Did you mean '\($0)'?" } ?? ""
        }
        return Failure(
            .usage, subject, expected: expected, found: text.isEmpty ? "nothing" : "'\(text)'", remedy: remedy)
    }
}

/// The typed values of one command line, asked for with the declarations that described them.
public struct ParsedArguments: Sendable {
    var values: [String: [any Sendable]] = [:]
    var texts: [String: [String]] = [:]
    var flags: Set<String> = []
    var positionals: [String: [any Sendable]] = [:]

    /// The value of an option, or nil when it was not given.
    public subscript<Value>(option: Option<Value>) -> Value? { values[option.declaration.name]?.last as? Value }

    /// Every value of a repeatable option, in the order given.
    public func all<Value>(_ option: Option<Value>) -> [Value] {
        (values[option.declaration.name] ?? []).compactMap { $0 as? Value }
    }

    public subscript(flag: Flag) -> Bool { flags.contains(flag.declaration.name) }

    public subscript<Value>(positional: Positional<Value>) -> Value? {
        positionals[positional.declaration.placeholder]?.first as? Value
    }

    public func all<Value>(_ positional: Positional<Value>) -> [Value] {
        (positionals[positional.declaration.placeholder] ?? []).compactMap { $0 as? Value }
    }

    /// A required option or positional: its absence has been refused before.
    public func required<Value>(_ option: Option<Value>) -> Value { self[option]! }
    public func required<Value>(_ positional: Positional<Value>) -> Value { self[positional]! }
}

import Arguments
import Explanations
import Failures
import Foundation
import Pipelines

/// `tomolens help COMMAND`; the parser answers it, this declares it.
enum HelpCommand: Subcommand {
    static let topic = Positional(
        .text("COMMAND", expected: "a command"), help: "The command to explain.", required: false)

    static let declaration = CommandDeclaration(
        "help", summary: "explain a command", positionals: [topic.declaration],
        examples: [Example("What can 'run' do?", "tomolens help run")])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 { 0 }
}

/// `tomolens completions SHELL`
enum CompletionsCommand: Subcommand {
    static let shell = Positional(.choice(Shell.allCases.map(\.rawValue), "SHELL"), help: "The shell to write it for.")

    static let declaration = CommandDeclaration(
        "completions", summary: "print a completion script for a shell", positionals: [shell.declaration],
        examples: [
            Example("Complete commands, options and values in this bash:", "source <(tomolens completions bash)"),
            Example("For every zsh to come:", "tomolens completions zsh > ~/.zfunc/_tomolens"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        console.printRaw(TomoLensCommand.program.completions(for: Shell(rawValue: arguments.required(shell))!))
        return 0
    }
}

/// `tomolens man`
enum ManCommand: Subcommand {
    static let declaration = CommandDeclaration(
        "man", summary: "print the manual page",
        examples: [
            Example("Read it:", "tomolens man | man -l -"),
            Example("Install it:", "tomolens man > ~/.local/share/man/man1/tomolens.1"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        console.printRaw(TomoLensCommand.program.manPage())
        return 0
    }
}

/// `tomolens methods`
enum MethodsCommand: Subcommand {
    static let name = Positional(
        .text("METHOD", expected: "a method's name"), help: "Show all about one method.", required: false)
    static let json = Flag("json", help: "Print JSON.")

    static let declaration = CommandDeclaration(
        "methods", summary: "list the ways to explain, and what each can be trusted for",
        positionals: [name.declaration], groups: [OptionGroup("Output", [json.declaration])],
        examples: [Example("What does HiResCAM show, and when is it right?", "tomolens methods hirescam")])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        var chosen = MethodCatalogue.descriptors
        if let name = arguments[name] { chosen = [try MethodCatalogue.descriptor(name)] }
        if arguments[json] {
            console.printRaw(JSON.array(chosen.map(describe)).serialized())
            return 0
        }
        if arguments[name] != nil {
            for line in text(chosen[0]) { console.print(line) }
            return 0
        }
        var table = Table([.left, .left, .left, .left], header: ["METHOD", "FAMILY", "COST", "SHOWS"])
        for method in chosen { table.add([method.name, method.family.rawValue, method.cost, method.summary]) }
        for line in table.lines(indent: 0) { console.print(line) }
        console.print()
        console.print("'tomolens methods METHOD' tells what one needs, its options, and what it can be trusted for.")
        return 0
    }

    private static func text(_ method: MethodDescriptor) -> [String] {
        var table = Table([.left, .left])
        table.add(["family", method.family.rawValue])
        table.add(["shows", method.summary])
        table.add(["trust", method.trust])
        table.add(["needs", method.needs])
        table.add(["cost", method.cost])
        table.add(["sanity checks", method.sanity.rawValue])
        table.add(["map lies on", method.mapsInput ? "the network's input" : "a tap"])
        table.add(["source", method.source])
        var lines = ["\(method.title) (\(method.name))"] + table.lines()
        if !method.options.isEmpty {
            lines.append("options")
            var options = Table([.left, .left, .left, .left])
            for option in method.options {
                options.add(["\(option.name)=\(option.standard)", option.allowed, option.summary])
            }
            lines += options.lines()
        }
        return lines
    }

    private static func describe(_ method: MethodDescriptor) -> JSON {
        .object([
            ("name", .text(method.name)), ("title", .text(method.title)), ("family", .text(method.family.rawValue)),
            ("summary", .text(method.summary)), ("source", .text(method.source)), ("needs", .text(method.needs)),
            ("cost", .text(method.cost)), ("trust", .text(method.trust)), ("sanity", .text(method.sanity.rawValue)),
            ("mapsInput", .bool(method.mapsInput)),
            (
                "options",
                .array(
                    method.options.map { option in
                        .object([
                            ("name", .text(option.name)), ("allowed", .text(option.allowed)),
                            ("default", .text(option.standard.description)), ("summary", .text(option.summary)),
                        ])
                    })
            ),
        ])
    }
}

import Arguments
import Failures
import Foundation
import Pipelines

/// One command of the program: what it says of itself, and what it does.
protocol Subcommand: Sendable {
    static var declaration: CommandDeclaration { get }

    /// Does the work and gives the exit code.
    ///
    /// - Throws: a ``Failure``; ``TomoLensCommand`` prints it and maps it to an exit code.
    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32
}

/// The program: from the command line to the exit code.
public enum TomoLensCommand {
    /// In the order of the overview.
    static let commands: [any Subcommand.Type] = [
        RunCommand.self, ExplainCommand.self, InspectCommand.self, MethodsCommand.self, SceneCommand.self,
        BIDSCommand.self, DICOMImportCommand.self, DICOMExportCommand.self, CheckGeometryCommand.self,
        CheckOperatorsCommand.self, KernelsCommand.self, FeaturesCommand.self, MaximizeCommand.self,
        DiagnoseCommand.self, AttackCommand.self, EmbedCommand.self,
        CompletionsCommand.self, ManCommand.self, HelpCommand.self,
    ]

    public static let program = Program(
        name: "tomolens", version: Product.version, summary: Product.summary, commands: commands.map { $0.declaration },
        topics: [PipelineTopic.topic],
        footer: [
            "Exit codes: 0 success, 1 some scans failed, 2 command line, 3 pipeline, 4 scan, 5 network, 6 output, 7 resources, "
                + "8 a check did not hold, 130 interrupted.",
            "For research, not for diagnosis.",
        ])

    /// An error that is not a ``Failure``: a bug of ours or of a library.
    static let unexpectedExitCode: Int32 = 70

    /// Runs the command that `arguments` (the program's own name first) ask for.
    ///
    /// - Returns: the exit code; nothing is thrown and nothing else is printed for an error than one line.
    public static func main(_ arguments: [String], console: Console = .process) -> Int32 {
        do {
            switch try program.interpret(Array(arguments.dropFirst()), width: console.width) {
            case .help(let text):
                console.printRaw(text)
                return 0
            case .version(let text):
                console.print(text)
                return 0
            case .command(let name, let parsed):
                let command = commands.first { $0.declaration.name == name }!
                return try command.run(parsed, console: console)
            }
        } catch let failure as Failure {
            console.clearProgress()
            console.note("tomolens: \(failure.description.printable)")
            return failure.kind.exitCode
        } catch {
            console.clearProgress()
            console.note("tomolens: unexpected error: \(String(describing: error).printable)")
            return unexpectedExitCode
        }
    }
}

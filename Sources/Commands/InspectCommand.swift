import Arguments
enum InspectCommand: Subcommand {
    static let declaration = CommandDeclaration("inspect", summary: "x")
    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 { 0 }
}

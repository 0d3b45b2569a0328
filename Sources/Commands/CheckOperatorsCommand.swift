import Arguments
import Failures
import Foundation
import Networks
import Pipelines
import Tensors

/// `tomolens check-operators DIR`
enum CheckOperatorsCommand: Subcommand {
    static let folder = Positional(
        .folder("DIR"), help: "Folder of conformance cases: onnx/backend/test/data/node of the PyPI package onnx.")
    static let verbose = Flag("verbose", short: "v", help: "List every case, also those that pass or are not claimed.")
    static let json = Flag("json", help: "Print JSON.")

    static let declaration = CommandDeclaration(
        "check-operators", summary: "run ONNX's official operator cases",
        discussion: [
            """
            Runs the conformance cases that the ONNX project publishes for single operators and prints how many passed, how \
            many failed, and how many concern operators or types that this program does not claim to run. Exit code 8 when one \
            failed.
            """
        ], positionals: [folder.declaration],
        groups: [OptionGroup("Output", [verbose.declaration, json.declaration])],
        examples: [
            Example(
                "Against the installed package:",
                "tomolens check-operators venv/lib/python3*/site-packages/onnx/backend/test/data/node")
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        let report = try NodeCases.run(URL(fileURLWithPath: arguments.required(folder)))
        var passed = 0
        var failed: [(String, String)] = []
        var unclaimed: [(String, String)] = []
        for entry in report.entries {
            switch entry.result {
            case .passed:
                passed += 1
                if arguments[verbose], !arguments[json] { console.print("passed       \(entry.name)") }
            case .failed(let reason): failed.append((entry.name, reason))
            case .notClaimed(let reason): unclaimed.append((entry.name, reason))
            }
        }
        if arguments[json] {
            func list(_ entries: [(String, String)]) -> JSON {
                .array(entries.map { .object([("case", .text($0.0)), ("reason", .text($0.1))]) })
            }
            console.printRaw(
                JSON.object([
                    ("passed", .number(passed)), ("failed", list(failed)), ("notClaimed", list(unclaimed)),
                    ("operators", .array(OperatorCatalogue.supportedTypes.map { .text($0) })),
                ]).serialized())
        } else {
            if arguments[verbose] {
                for (name, reason) in unclaimed { console.print("not claimed  \(name): \(reason.printable)") }
            }
            for (name, reason) in failed { console.print("FAILED       \(name): \(reason.printable)") }
            console.print("\(passed) passed, \(failed.count) failed, \(unclaimed.count) not claimed")
            for line in Text.wrapped(
                "Operators: \(OperatorCatalogue.supportedTypes.joined(separator: ", "))", width: console.width)
            {
                console.print(line)
            }
        }
        return failed.isEmpty ? 0 : Failure.Kind.check.exitCode
    }
}

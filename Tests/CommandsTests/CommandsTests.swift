import Arguments
import Failures
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Commands
@testable import Pipelines

/// A console that keeps what is written.
final class Recorder: Sendable {
    private let texts = Mutex((output: "", errors: ""))
    let console: Console

    init(width: Int = 80, isInteractive: Bool = false) {
        let box = Box()
        console = Console(width: width, isInteractive: isInteractive) { text, isError in
            box.recorder?.add(text, isError)
        }
        box.recorder = self
    }

    /// The console must exist before the recorder does.
    private final class Box: @unchecked Sendable {
        weak var recorder: Recorder?
    }

    private func add(_ text: String, _ isError: Bool) {
        texts.withLock { if isError { $0.errors += text } else { $0.output += text } }
    }

    var output: String { texts.withLock { $0.output } }
    var errors: String { texts.withLock { $0.errors } }

    func run(_ arguments: String...) -> Int32 { TomoLensCommand.main(["tomolens"] + arguments, console: console) }
}

@Suite struct CommandTests {
    @Test func everyCommandExplainsItselfWithAnExample() {
        for command in TomoLensCommand.commands {
            let recorder = Recorder()
            #expect(recorder.run(command.declaration.name, "--help") == 0)
            #expect(recorder.output.hasPrefix("tomolens \(command.declaration.name): "))
            #expect(recorder.output.contains("Examples:"), "\(command.declaration.name)")
            #expect(recorder.errors.isEmpty)
            for line in recorder.output.split(separator: "\n") where !line.hasPrefix("      tomolens") {
                #expect(line.count <= 80, "\(line)")
            }
        }
    }

    @Test func theOverview() {
        let recorder = Recorder()
        #expect(recorder.run("--help") == 0)
        #expect(
            recorder.output.hasPrefix(
                """
                tomolens \(Product.version): shows, in a CT scan, what a neural network looked at.

                Usage: tomolens COMMAND [options]

                Commands:
                  run               explain every scan of a folder
                  explain           explain one scan or image
                  inspect           say what is in a network or a scan

                """))
    }

    @Test(arguments: [
        (["--version"], Int32(0), "tomolens \(Product.version)\n", ""),
        (
            ["expalin"], 2, "",
            "tomolens: command 'expalin': expected a command of tomolens, found no such command. Did you mean 'explain'?\n"
        ),
        (
            ["run"], 2, "",
            "tomolens: 'run': expected PIPELINE, the path of a file, found none. See 'tomolens help run'.\n"
        ),
        (
            ["explain", "nowhere.nii", "--model", "m.onnx"], 2, "",
            "tomolens: \(FileManager.default.currentDirectoryPath)/nowhere.nii: expected a file, found nothing there.\n"
        ),
        (
            ["methods", "gradcan"], 2, "",
            "tomolens: method 'gradcan': expected a method of `tomolens methods`, found 'gradcan'. Did you mean 'gradcam'?\n"
        ),
    ]) func linesAndExitCodes(arguments: [String], code: Int32, output: String, errors: String) {
        let recorder = Recorder()
        #expect(TomoLensCommand.main(["tomolens"] + arguments, console: recorder.console) == code)
        #expect(recorder.output == output && recorder.errors == errors)
    }

    @Test func methodsAreListedAndDescribed() throws {
        let list = Recorder()
        #expect(list.run("methods") == 0)
        #expect(list.output.contains("\ngradcam ") && list.output.contains("\nhirescam "))
        let one = Recorder()
        #expect(one.run("methods", "occlusion") == 0)
        #expect(one.output.contains("options"))
        let json = Recorder()
        #expect(json.run("methods", "--json") == 0)
        let parsed = try JSON5Parser.parse(Data(json.output.utf8), named: "methods")
        #expect(parsed.array?.contains { $0["name"]?.text == "gradcam" } == true)
    }

    @Test(arguments: Shell.allCases) func completionsNameEveryCommand(shell: Shell) {
        let recorder = Recorder()
        #expect(recorder.run("completions", shell.rawValue) == 0)
        for command in TomoLensCommand.commands { #expect(recorder.output.contains(command.declaration.name)) }
    }

    @Test func manualPage() {
        let recorder = Recorder()
        #expect(recorder.run("man") == 0)
        #expect(recorder.output.hasPrefix(".TH TOMOLENS 1"))
    }

    @Test func thePipelineTopicNamesEveryKey() {
        let recorder = Recorder()
        #expect(recorder.run("help", "pipeline") == 0)
        for group in PipelineKeys.all { for key in group.keys { #expect(recorder.output.contains(key.name)) } }
    }
}

@Suite struct ConsoleTests {
    @Test func controlSignsAreMadeVisible() {
        #expect("a\u{1B}[31m\n\u{7}\u{202E}ü".printable == "a\\u{1b}[31m\\n\\u{7}\\u{202e}ü")
    }

    @Test func progressIsRedrawnAroundOtherLines() {
        let recorder = Recorder(isInteractive: true)
        recorder.console.showProgress("1/3")
        recorder.console.note("a line")
        recorder.console.clearProgress()
        let erase = "\r\u{1B}[2K"
        #expect(recorder.errors == "\(erase)1/3\(erase)a line\n1/3\(erase)")
    }

    @Test func noProgressWithoutATerminal() {
        let recorder = Recorder()
        recorder.console.showProgress("1/3")
        recorder.console.clearProgress()
        #expect(recorder.errors.isEmpty)
    }

    @Test func durations() {
        #expect(
            [0.04, 9.96, 12.3, 95, 5400].map(RunReporter.duration) == [
                "0.0 s", "10.0 s", "12 s", "2 min", "1 h 30 min",
            ])
    }
}

/// The reference pages are made from the declarations: `TOMOLENS_UPDATE_DOCS=1 swift test` writes them anew.
@Suite struct ReferencePageTests {
    private func check(_ name: String, _ text: String) throws {
        let url = Fixtures.root.appendingPathComponent("docs/reference/\(name)")
        if ProcessInfo.processInfo.environment["TOMOLENS_UPDATE_DOCS"] != nil {
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        let written = try String(contentsOf: url, encoding: .utf8)
        #expect(written == text, "docs/reference/\(name) is not what the program says")
    }

    @Test func commands() throws {
        var text = """
            # Commands

            Made from the program's own help. `tomolens help COMMAND` prints each of these in the terminal's width; shell completions and a
            manual page come from the same declarations (`tomolens completions`, `tomolens man`). Exit codes: [exit-codes.md](exit-codes.md).


            """
        text += "```text\n\(TomoLensCommand.program.help(width: 100))```\n"
        for command in TomoLensCommand.commands {
            text += "\n## tomolens \(command.declaration.name)\n\n```text\n"
            text += TomoLensCommand.program.help(for: command.declaration, width: 100) + "```\n"
        }
        try check("commands.md", text)
    }

    @Test func pipelines() throws {
        var text = """
            # Pipeline files

            A pipeline file says what `tomolens run` does to every scan of a folder. It is [JSON5](https://json5.org): JSON with comments,
            trailing commas, unquoted keys and single quotes. Unknown keys, wrong types and impossible values are refused with the key's path,
            its line, what was found and what is allowed. Paths in it are relative to the file. The files in `pipelines/` are commented examples.

            The same words, as one JSON object, may stand in an ONNX file's metadata (`metadata_props`) under the key `tomolens`: then
            `tomolens explain SCAN --model M.onnx` needs nothing else. The command line wins over the pipeline file, and the pipeline file over the
            network's metadata.


            """
        for group in PipelineKeys.all {
            text += "## \(group.path.isEmpty ? "The file" : "`\(group.path)`")\n\n"
            if !group.help.isEmpty { text += "\(group.help)\n\n" }
            text += table(group) + "\n"
        }
        text += """
            ## Preparation steps

            `preparation` is a list of steps with MONAI's names and parameters, such as `{ transform: "Spacing", pixdim: [1.5, 1.5, 1.5] }`. The spelling of a
            MONAI bundle, `{ _target_: "Spacingd", keys: "image", pixdim: [1.5, 1.5, 1.5] }`, is read too, `Compose` included: loading and
            channel-first steps are passed over, random augmentation and `$` or `@` expressions are refused. Every step keeps account of where
            voxels lie, so that a map finds its way back.


            """
        for transform in Transforms.all {
            text += "### \(transform.name)\n\n\(transform.group.help)\n\n" + table(transform.group) + "\n"
        }
        while text.hasSuffix("\n\n") { text.removeLast() }
        try check("pipelines.md", text)
    }

    private func table(_ group: KeyGroup) -> String {
        func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }
        var text = "| key | value | default | |\n|---|---|---|---|\n"
        for key in group.keys {
            text +=
                "| `\(key.name)` | \(cell(key.type)) | \(cell(key.standard.isEmpty ? "—" : key.standard)) | \(cell(key.help)) |\n"
        }
        return text
    }

    @Test func exitCodesAreDocumented() throws {
        let page = try String(
            contentsOf: Fixtures.root.appendingPathComponent("docs/reference/exit-codes.md"), encoding: .utf8)
        for kind in Failure.Kind.allCases {
            #expect(page.contains("| \(kind.exitCode) | \(kind.rawValue) |"), "\(kind)")
        }
        for code in [0, 1, Int(TomoLensCommand.unexpectedExitCode)] { #expect(page.contains("| \(code) |")) }
    }

    @Test func outputsPageNamesEveryColumn() throws {
        let page = try String(
            contentsOf: Fixtures.root.appendingPathComponent("docs/reference/outputs.md"), encoding: .utf8)
        for column in FolderSummary.csvColumns { #expect(page.contains("`\(column)`"), "\(column)") }
    }
}

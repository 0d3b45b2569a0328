import Failures
import Foundation
import Testing

@testable import Arguments

/// A small program with one of everything.
private enum Sample {
    static let scan = Positional(.file("SCAN"), help: "The scan to read.")
    static let others = Positional(.text("OTHER"), help: "Anything more.", required: false, repeatable: true)
    static let output = Option("output", short: "o", .folder(), help: "Where results go.", required: true)
    static let jobs = Option("jobs", short: "j", .integer(1...64), help: "Scans at once.", default: "1")
    static let window = Option(
        "window", .numbers([2], "LOW,HIGH", expected: "two numbers, LOW,HIGH"), help: "HU window.", default: "-1000,400"
    )
    static let methods: Option<[String]> = Option(
        "method", .list(of: .choice(["gradcam", "hirescam"])), help: "How to explain.", repeatable: true)
    static let quiet = Flag("quiet", short: "q", help: "Say nothing but failures.")
    static let force = Flag("force", short: "f", help: "Do everything again.")

    static let look = CommandDeclaration(
        "look", summary: "look into a scan",
        discussion: [
            "Reads one scan and says what a network would see in it, slice by slice, without touching the file."
        ],
        positionals: [scan.declaration, others.declaration],
        groups: [
            OptionGroup("Output", [output.declaration, window.declaration, methods.declaration]),
            OptionGroup("Running", [jobs.declaration, quiet.declaration, force.declaration]),
        ],
        examples: [Example("Look at one scan:", "tool look chest.nii.gz --output out")])

    static let shell = Positional(.choice(["bash", "zsh"], "SHELL"), help: "Which shell.")
    static let completions = CommandDeclaration(
        "completions", summary: "print a completion script", positionals: [shell.declaration])

    static let program = Program(
        name: "tool", version: "1.2", summary: "looks into scans.", commands: [look, completions],
        topics: [HelpTopic("keys", summary: "the keys of a file") { "keys at \($0) columns\n" }],
        footer: ["Exit codes: docs/reference/exit-codes.md."])

    static func parse(_ arguments: String...) throws -> ParsedArguments {
        guard case .command("look", let parsed) = try program.interpret(["look"] + arguments) else {
            throw Failure(.usage, "", expected: "a command", found: "something else")
        }
        return parsed
    }
}

@Suite struct ArgumentsTests {
    @Test func valuesComeWithTheirTypes() throws {
        let parsed = try Sample.parse("a.nii", "--output", "out", "-j", "4", "--window", "-1000,400", "-q")
        #expect(parsed.required(Sample.scan) == "a.nii")
        #expect(parsed.required(Sample.output) == "out")
        #expect(parsed[Sample.jobs] == 4)
        #expect(parsed[Sample.window] == [-1000, 400])
        #expect(parsed[Sample.quiet] && !parsed[Sample.force])
    }

    @Test(arguments: [
        ["--jobs=3"], ["--jobs", "3"], ["-j3"], ["-j", "3"], ["-j=3"], ["-qj3"], ["-fqj", "3"],
    ]) func everyFormOfAnOption(form: [String]) throws {
        guard case .command(_, let parsed) = try Sample.program.interpret(["look", "-oout", "a"] + form) else {
            Issue.record("no command")
            return
        }
        #expect(parsed[Sample.jobs] == 3)
    }

    @Test func afterTwoDashesAllAreWords() throws {
        let parsed = try Sample.parse("--output=x", "--", "-q", "--jobs", "-")
        #expect(parsed[Sample.scan] == "-q")
        #expect(parsed.all(Sample.others) == ["--jobs", "-"])
        #expect(!parsed[Sample.quiet])
    }

    @Test func anEqualsSignInAValueStays() throws {
        #expect(try Sample.parse("a", "--output=x=y z")[Sample.output] == "x=y z")
    }

    @Test func repeatedAndCommaSeparatedValuesAdd() throws {
        let parsed = try Sample.parse("a", "-o", "x", "--method", "gradcam", "--method", "hirescam,gradcam")
        #expect(parsed.all(Sample.methods) == [["gradcam"], ["hirescam", "gradcam"]])
    }

    @Test(arguments: [
        (["loook"], "command 'loook': expected a command of tool, found no such command. Did you mean 'look'?"),
        (
            ["zzzzzz"],
            "command 'zzzzzz': expected a command of tool, found no such command. Allowed: look, completions."
        ),
        (
            ["--versoin"],
            "option '--versoin': expected a command before any option, found an option. Did you mean '--version'?"
        ),
        (["look"], "'look': expected SCAN, the path of a file, found none. See 'tool help look'."),
        (["look", "a"], "'look': expected the option --output DIR, found none. See 'tool help look'."),
        (
            ["look", "a", "--ouptut", "x"],
            "option '--ouptut': expected an option of 'look', found no such option. Did you mean '--output'?"
        ),
        (
            ["look", "a", "-output", "x", "-x"],
            "option '-x': expected an option of 'look', found no such option. A name that begins with a dash goes after '--'."
        ),
        (
            ["look", "a", "-jobs", "3"],
            "option '-j': expected a whole number from 1 to 64, found 'obs'. See 'tool help look'."
        ),
        (
            ["look", "a", "--output"],
            "option '--output': expected a value, the path of a folder, found none. See 'tool help look'."
        ),
        (
            ["look", "a", "--output", "--jobs", "3"],
            "option '--output': expected a value, the path of a folder, found the option '--jobs'. Write '--output=--jobs' if that is the value."
        ),
        (
            ["look", "a", "--output="],
            "option '--output': expected the path of a folder, found nothing. See 'tool help look'."
        ),
        (
            ["look", "a", "-o", "x", "-o", "y"],
            "option '-o': expected to be given once, found 'x' and 'y'. See 'tool help look'."
        ),
        (
            ["look", "a", "-o", "x", "--jobs", "0"],
            "option '--jobs': expected a whole number from 1 to 64, found '0'. See 'tool help look'."
        ),
        (
            ["look", "a", "-o", "x", "--jobs", "99999999999999999999"],
            "option '--jobs': expected a whole number from 1 to 64, found '99999999999999999999'. See 'tool help look'."
        ),
        (
            ["look", "a", "-o", "x", "--quiet=yes"],
            "option '--quiet': expected no value, found 'yes'. Write '--quiet' alone."
        ),
        (
            ["look", "a", "-o", "x", "--window", "1"],
            "option '--window': expected two numbers, LOW,HIGH, found '1'. See 'tool help look'."
        ),
        (
            ["look", "a", "-o", "x", "--window", "nan,1"],
            "option '--window': expected two numbers, LOW,HIGH, found 'nan,1'. See 'tool help look'."
        ),
        (
            ["look", "a", "-o", "x", "--method", "gradcam,hirecam"],
            "option '--method': expected one of gradcam, hirescam, or several with commas between, found 'gradcam,hirecam'. Did you mean 'hirescam'?"
        ),
        (["completions", "bahs"], "SHELL: expected one of bash, zsh, found 'bahs'. Did you mean 'bash'?"),
        (
            ["completions", "bash", "zsh"],
            "'completions': expected no more than SHELL, found also 'zsh'. A name with spaces needs quotes around it."
        ),
    ]) func mistakesNameThemselves(arguments: [String], message: String) {
        do {
            _ = try Sample.program.interpret(arguments)
            Issue.record("accepted \(arguments)")
        } catch let failure as Failure {
            #expect(failure.kind == .usage)
            #expect(failure.description == message)
        } catch { Issue.record(error) }
    }

    @Test(arguments: [
        ["--help"], ["-h"], ["help"], [], ["help", "--help"],
    ]) func overview(arguments: [String]) throws {
        guard case .help(let text) = try Sample.program.interpret(arguments) else {
            Issue.record("no help")
            return
        }
        #expect(
            text == """
                tool 1.2: looks into scans.

                Usage: tool COMMAND [options]

                Commands:
                  look              look into a scan
                  completions       print a completion script

                Options:
                  -h, --help        Show this help and stop.
                      --version     Show the version and stop.

                Topics:
                  keys              the keys of a file

                'tool help COMMAND' explains one command, with examples.
                Exit codes: docs/reference/exit-codes.md.

                """)
    }

    @Test(arguments: [
        ["help", "look"], ["look", "--help"], ["look", "-h"], ["look", "--nonsense", "--help"],
        ["look", "-o", "--help"],
    ]) func helpOfACommand(arguments: [String]) throws {
        guard case .help(let text) = try Sample.program.interpret(arguments) else {
            Issue.record("no help")
            return
        }
        #expect(
            text == """
                tool look: look into a scan

                Usage: tool look SCAN [OTHER…] --output DIR [options]

                Reads one scan and says what a network would see in it, slice by slice, without
                touching the file.

                Arguments:
                  SCAN                      The scan to read.
                  OTHER                     Anything more.

                Output:
                  -o, --output DIR          Where results go. Required.
                      --window LOW,HIGH     HU window. Default: -1000,400.
                      --method NAME[,…]     How to explain. One of: gradcam, hirescam. May be
                                            given several times.

                Running:
                  -j, --jobs N              Scans at once. Default: 1.
                  -q, --quiet               Say nothing but failures.
                  -f, --force               Do everything again.

                Help:
                  -h, --help                Show this help and stop.

                Examples:
                  Look at one scan:
                      tool look chest.nii.gz --output out

                Exit codes: docs/reference/exit-codes.md.

                """)
    }

    @Test func aTopicIsExplainedToo() throws {
        guard case .help(let text) = try Sample.program.interpret(["help", "keys"], width: 90) else {
            Issue.record("no help")
            return
        }
        #expect(text == "keys at 90 columns\n")
        #expect(throws: Failure.self) { try Sample.program.interpret(["keys"]) }
    }

    @Test func helpAfterTwoDashesIsAWord() throws {
        #expect(try Sample.parse("-oout", "--", "--help")[Sample.scan] == "--help")
    }

    @Test func aValueThatLooksLikeHelpInAnotherPlaceIsAValue() throws {
        // `--output` takes whatever follows; only the exact words --help and -h ask for help.
        #expect(try Sample.parse("a", "--output", "help")[Sample.output] == "help")
    }

    @Test func versionIsOneLine() throws {
        guard case .version(let text) = try Sample.program.interpret(["--version"]) else {
            Issue.record("no version")
            return
        }
        #expect(text == "tool 1.2")
    }

    @Test(arguments: [10, 60, 80, 100, 400]) func noLineOfHelpIsTooLong(width: Int) {
        let text = Sample.program.help(for: Sample.look, width: width)
        let longest = text.split(separator: "\n").map(\.count).max()!
        #expect(longest <= min(100, max(60, width)))
    }
}

@Suite struct CompletionTests {
    /// Runs the bash script and asks it what it would offer.
    private func bashOffers(_ words: [String]) throws -> [String] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        let quoted = (["tool"] + words).map { "'\($0)'" }.joined(separator: " ")
        process.arguments = [
            "-c",
            Sample.program.completions(for: .bash)
                + "COMP_WORDS=(\(quoted)); COMP_CWORD=\(words.count); _tool; printf '%s\\n' \"${COMPREPLY[@]}\"",
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func bashOffersCommandsOptionsAndValues() throws {
        #expect(try bashOffers(["lo"]) == ["look"])
        #expect(try bashOffers(["look", "--ou"]) == ["--output"])
        #expect(try bashOffers(["look", "--method", "h"]) == ["hirescam"])
        #expect(try bashOffers(["completions", "z"]) == ["zsh"])
        #expect(try bashOffers(["look", "--output", "/usr/shar"]) == ["/usr/share"])
    }

    @Test func zshAndFishNameEveryOption() {
        let zsh = Sample.program.completions(for: .zsh)
        #expect(zsh.hasPrefix("#compdef tool\n"))
        #expect(zsh.contains("'*--method=[How to explain.]:NAME\\[,…\\]:(gradcam hirescam)'"))
        let fish = Sample.program.completions(for: .fish)
        for option in Sample.look.options {
            #expect(zsh.contains("--\(option.name)"))
            #expect(fish.contains("-l \(option.name)"))
        }
        #expect(fish.contains("-x -a 'gradcam hirescam' -d 'How to explain.'"))
    }

    @Test func manPageEscapesWhatRoffWouldRead() {
        let page = Sample.program.manPage()
        #expect(page.hasPrefix(".TH TOOL 1 \"\" \"tool 1.2\" \"User Commands\"\n"))
        #expect(page.contains(".B \\-j, \\-\\-jobs N\nScans at once. Default: 1.\n"))
        #expect(!page.contains("\n'"))
    }
}

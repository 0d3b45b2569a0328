import Arguments
import Failures
import Foundation
import Pipelines

/// `tomolens bids BIDS_DIR OUTPUT_DIR participant`
enum BIDSCommand: Subcommand {
    static let input = Positional(.folder("BIDS_DIR"), help: "A BIDS dataset.")
    static let output = Positional(.folder("OUTPUT_DIR"), help: "Folder of the derivative dataset; made if need be.")
    static let level = Positional(.choice(["participant"], "LEVEL"), help: "The level of the analysis: participant.")
    private static let label = ValueReader<String>.text("LABEL", expected: "a label without spaces")
    static let participants: Option<[String]> = Option(
        "participant-label", .list(of: label), help: "Take these participants only, with or without 'sub-'.",
        repeatable: true)
    static let participantsAsInBIDSApps: Option<[String]> = Option(
        "participant_label", .list(of: label), help: "The same, as other BIDS Apps spell it.", repeatable: true)
    static let sessions: Option<[String]> = Option(
        "session-label", .list(of: label), help: "Take these sessions only, with or without 'ses-'.", repeatable: true)
    static let suffix = Option(
        "suffix", .text("SUFFIX", expected: "a suffix such as ct or T1w"), help: "Which images are explained.",
        default: "ct")

    static let declaration = CommandDeclaration(
        "bids", summary: "explain the scans of a BIDS dataset, as a BIDS App",
        discussion: [
            """
            Finds the images of a dataset in the Brain Imaging Data Structure and writes a derivative dataset: heatmaps under BIDS \
            names with sidecars, dataset_description.json, descriptions.tsv and README.md. All that 'run' writes (pages, overlays, \
            summaries, the ledger from which a next run goes on) lies in the folder 'tomolens' of it. OUTPUT_DIR may be a folder in \
            BIDS_DIR/derivatives.
            """
        ], positionals: [input.declaration, output.declaration, level.declaration],
        groups: [
            OptionGroup(
                "Input",
                [
                    participants.declaration, participantsAsInBIDSApps.declaration, sessions.declaration,
                    suffix.declaration, SharedOptions.model.declaration, ExplainCommand.pipeline.declaration,
                ]),
            SharedOptions.explained, SharedOptions.preparation, SharedOptions.pictures,
            OptionGroup(
                "Running",
                [
                    RunCommand.jobs.declaration, SharedOptions.threads.declaration, RunCommand.force.declaration,
                    SharedOptions.quiet.declaration, SharedOptions.jsonLog.declaration,
                ]),
        ],
        examples: [
            Example(
                "Two participants' CT:",
                "tomolens bids study study/derivatives/tomolens participant -p my.json5 --participant-label 01,02"),
            Example(
                "Brain MRI:", "tomolens bids study out participant --model meshnet.onnx --suffix T1w"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let reporter = SharedOptions.reporter(arguments, console)
        let root = URL(fileURLWithPath: arguments.required(input))
        let dataset = try BIDSDataset(root)
        let request = try SharedOptions.request(arguments, command: "bids")
        var words = request.words
        let chosen = (arguments.all(participants) + arguments.all(participantsAsInBIDSApps)).flatMap { $0 }
        words.input.patterns = try dataset.patterns(
            participants: chosen, sessions: arguments.all(sessions).flatMap { $0 }, suffix: arguments[suffix] ?? "ct")
        words.input.exclude = nil
        let plan = try Plan(words, model: request.model)
        let out = URL(fileURLWithPath: arguments.required(output))
        var job: FolderJob
        do {
            job = try FolderJob(
                plan: plan, input: root, output: out.appendingPathComponent(BIDSDerivative.resultsFolder))
        } catch var failure as Failure where failure.kind == .scan {
            failure.remedy =
                "'--suffix' says which images are taken, '--participant-label' and '--session-label' of whom."
            throw failure
        }
        job.jobs = arguments[RunCommand.jobs] ?? 1
        job.force = arguments[RunCommand.force]
        job.stop = console.stop
        reporter.assumed(plan.assumptions)
        job.observe = { reporter.observe($0) }
        let summary = try job.run()
        try BIDSDerivative(out, of: dataset).write(job)
        if !arguments[SharedOptions.quiet], !arguments[SharedOptions.jsonLog] {
            console.print("Dataset: \(out.relativePath.printable)")
        }
        return summary.exitCode
    }
}

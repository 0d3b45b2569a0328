import Arguments
import Failures
import Foundation
import Pipelines

/// `tomolens run PIPELINE --input DIR --output DIR`
enum RunCommand: Subcommand {
    static let pipeline = Positional(
        .file("PIPELINE"), help: "The pipeline file (JSON5); 'tomolens help pipeline' lists its keys.")
    static let input = Option(
        "input", short: "i", .folder(), help: "Folder with the scans, searched with its subfolders.", required: true)
    static let output = Option(
        "output", short: "o", .folder(), help: "Folder for the results; made if need be.", required: true)
    static let jobs = Option(
        "jobs", short: "j", .integer(1...256),
        help: "Networks that run at the same time; one more scan is being written meanwhile.", default: "1")
    static let force = Flag("force", short: "f", help: "Do all scans again, also those that have not changed.")
    static let only = Option(
        "only", .text("PATTERN", expected: "a pattern of scan names"),
        help: "Take only scans that fit, such as 'case1*'.",
        repeatable: true)
    static let limit = Option("limit", .integer(1...Int(Int32.max)), help: "Take the first N scans only.")
    static let dryRun = Flag("dry-run", short: "n", help: "Say what would be done, and write nothing.")

    static let declaration = CommandDeclaration(
        "run", summary: "explain every scan of a folder",
        discussion: [
            """
            Reads the pipeline file, finds the scans (NIfTI files; where there are none, DICOM CT series, in a program built with \
            DICOM), and writes for each a folder with heatmap volumes, overlay pictures and \
            results, and for all a summary. Pages to review the results with (index.html for the folder and for each scan) open in \
            a browser by double click and load nothing. A scan that fails does not stop the others. A scan for which nothing has changed \
            (the scan, the network, the settings) and whose results are whole is not done again. Ctrl-C stops cleanly; the \
            same command goes on from there.
            """
        ], positionals: [pipeline.declaration],
        groups: [
            OptionGroup(
                "Input and output",
                [
                    input.declaration, output.declaration, SharedOptions.model.declaration, only.declaration,
                    limit.declaration,
                ]),
            OptionGroup(
                "Files",
                [
                    SharedOptions.noPage.declaration, SharedOptions.export.declaration,
                    SharedOptions.tensorboard.declaration,
                ]),
            OptionGroup(
                "Running",
                [
                    jobs.declaration, SharedOptions.threads.declaration, SharedOptions.precise.declaration,
                    SharedOptions.fast.declaration, SharedOptions.maxMemory.declaration, force.declaration,
                    dryRun.declaration,
                    SharedOptions.quiet.declaration, SharedOptions.jsonLog.declaration,
                ]),
        ],
        examples: [
            Example(
                "Explain all scans of a folder:",
                "tomolens run pipelines/lung-nodule.json5 --input scans --output results"),
            Example("What would be done?", "tomolens run my.json5 -i scans -o results --dry-run"),
            Example(
                "Two at a time, for a job scheduler:", "tomolens run my.json5 -i scans -o results --jobs 2 --json-log"),
        ])

    static func run(_ arguments: ParsedArguments, console: Console) throws -> Int32 {
        SharedOptions.begin(arguments, console)
        let reporter = SharedOptions.reporter(arguments, console)
        var words = try PipelineFile.read(URL(fileURLWithPath: arguments.required(pipeline)))
        SharedOptions.exports(arguments, &words)
        // A pipeline that takes images only gets the defaults that hold for images.
        let patterns = words.input.patterns ?? []
        let isForPictures = !patterns.isEmpty && patterns.allSatisfy(PictureName.isPicture)
        let plan = try SharedOptions.plan(
            words, arguments, model: arguments[SharedOptions.model].map { URL(fileURLWithPath: $0) },
            forPictures: isForPictures)
        let folder = URL(fileURLWithPath: arguments.required(input))
        let results = URL(fileURLWithPath: arguments.required(output))
        func folderJob(_ scans: [FoundScan]? = nil) throws -> FolderJob {
            try FolderJob(
                plan: plan, input: folder, scans: scans, output: results, only: arguments.all(only),
                limit: arguments[limit])
        }
        var job: FolderJob
        do { job = try folderJob() } catch {
            // Where no file fits there may be DICOM series.
            guard let series = try DICOMScans.below(folder, settings: plan.words.input, output: results) else {
                throw error
            }
            for remark in series.remarks { console.note("warning: \(remark.printable)") }
            job = try folderJob(series.scans)
            job.fetch = series.fetch
        }
        job.jobs = arguments[jobs] ?? 1
        job.force = arguments[force]
        job.tensorboard = arguments[SharedOptions.tensorboard].map { URL(fileURLWithPath: $0) }
        job.stop = console.stop
        if arguments[dryRun] {
            describe(job, console: console)
            return 0
        }
        SharedOptions.apply(plan, arguments, jobs: job.jobs, console: console)
        reporter.assumed(plan.assumptions)
        job.observe = { reporter.observe($0) }
        let summary = try job.run()
        if !arguments[SharedOptions.quiet], !arguments[SharedOptions.jsonLog] {
            let name = plan.writesPage ? "index.html" : "summary.csv"
            console.print("Results: \(job.output.appendingPathComponent(name).relativePath.printable)")
        }
        return summary.exitCode
    }

    private static func describe(_ job: FolderJob, console: Console) {
        if !job.plan.assumptions.isEmpty {
            console.print("Assumed, since nothing says otherwise (in brackets: what changes it):")
            for line in job.plan.assumptions { console.print("  \(line.printable)") }
        }
        console.print("Preparation:")
        for line in job.plan.preparation.summary { console.print("  \(line.printable)") }
        var table = Table([.left, .left, .left])
        var count = 0
        for scan in job.scans {
            let state = job.state(of: scan)
            if !state.isDone { count += 1 }
            table.add([state.isDone ? "unchanged" : "to do", scan.path.printable, state.reason])
        }
        for line in table.lines() { console.print(line) }
        console.print("\(count) of \(job.scans.count) to do; nothing was written.")
    }
}

import Arguments
import Foundation
import Inspections
import Pipelines
import Reports
import Tensors

/// What the commands that look at the network itself write with `--tensorboard`: one run a call, named for the command and what
/// it looked at. The pictures are the files beside, byte for byte.
enum LookingEvents {
    typealias Settings = [(name: String, value: EventLog.Hyperparameter)]

    private static func settings(_ settings: Settings, network: String) -> [String: EventLog.Hyperparameter] {
        var all: [String: EventLog.Hyperparameter] = ["network": .text(URL(fileURLWithPath: network).lastPathComponent)]
        for setting in settings { all[setting.name] = setting.value }
        return all
    }

    private static func list(_ lines: [String]) -> String {
        lines.map { "- \(EventLog.plain($0))" }.joined(separator: "\n")
    }

    // MARK: kernels

    /// Of a layer all weights as one histogram, and norm and likeness kernel by kernel: the step is the kernel's number.
    static func kernels(
        _ arguments: ParsedArguments, _ bank: KernelBank, _ nearest: [(kernel: Int, cosine: Double)?], shown: [Int],
        network: String, picture: URL, settings: Settings, words: [String]
    ) throws {
        let stem = LookingSupport.stem(network)
        try SharedOptions.log(arguments, run: "kernels-\(stem)-\(LookingSupport.fileName(bank.name))") { log in
            let norms = bank.norms
            log.addHyperparameters(
                self.settings(settings, network: network).merging(
                    ["kernels": .number(Double(bank.count)), "shown": .number(Double(shown.count))]) { $1 },
                metrics: ["summary/largest_norm"])
            try log.addImage("\(bank.name)/kernels", file: picture)
            log.addHistogram("\(bank.name)/weights", bank.weights.values)
            for (kernel, norm) in norms.enumerated() {
                log.addScalar("\(bank.name)/norm", Float(norm), step: kernel)
                if let like = nearest[kernel] {
                    log.addScalar("\(bank.name)/cosine_to_most_like", Float(like.cosine), step: kernel)
                }
            }
            log.addScalar("summary/largest_norm", Float(norms.max() ?? 0))
            log.addText("summary", list(words))
        }
    }

    // MARK: features

    struct Layer {
        let maps: FeatureMaps
        let shown: [FeatureMaps.Channel]
        let pictures: [(step: Int, file: URL)]
        let words: String
    }

    /// Of every layer its channels: the step is the channel's number.
    static func features(
        _ arguments: ParsedArguments, _ layers: [Layer], scan: String, network: String, settings: Settings
    ) throws {
        let name = "features-\(scan)-\(LookingSupport.stem(network))"
        try SharedOptions.log(arguments, run: name) { log in
            log.addHyperparameters(
                self.settings(settings, network: network).merging(["scan": .text(scan)]) { $1 },
                metrics: layers.map { "\($0.maps.layer)/channels_zero_everywhere" })
            for layer in layers {
                let tag = layer.maps.layer
                for picture in layer.pictures {
                    try log.addImage("\(tag)/activations", file: picture.file, step: picture.step)
                }
                for channel in layer.shown {
                    log.addHistogram("\(tag)/activations", channel.volume.voxels, step: channel.index)
                }
                for (channel, summary) in layer.maps.summaries.enumerated() {
                    log.addScalar("\(tag)/root_mean_square", Float(summary.rootMeanSquare), step: channel)
                    log.addScalar("\(tag)/maximum", summary.maximum, step: channel)
                    log.addScalar("\(tag)/zeros", Float(summary.zeros), step: channel)
                }
                let silent = layer.maps.summaries.count { $0.minimum == 0 && $0.maximum == 0 }
                log.addScalar("\(tag)/channels_zero_everywhere", Float(silent))
            }
            log.addText("summary", list(layers.map(\.words)))
        }
    }

    // MARK: maximize

    /// Of every seed its ascent step by step, and the input that it found.
    ///
    /// - Parameter files: the folder and the beginning of the names of the files written.
    static func maximize(
        _ arguments: ParsedArguments, _ found: [(seed: Int, outcome: ActivationMaximization.Outcome)],
        _ real: [(name: String, activation: Double)], _ summary: JSON, network: String, files: URL, name: String
    ) throws {
        try SharedOptions.log(arguments, run: "maximize-\(name)") { log in
            func file(_ end: String) -> URL {
                files.deletingLastPathComponent().appendingPathComponent(files.lastPathComponent + end)
            }
            var how: Settings = [
                ("layer", .text(summary["layer"]?.text ?? "")), ("channel", .number(summary["channel"]?.number ?? 0)),
                ("seeds", .number(Double(found.count))),
            ]
            for setting in summary["settings"]?.members ?? [] {
                if let number = setting.value.number { how.append((setting.key, .number(number))) }
                if let text = setting.value.text { how.append((setting.key, .text(text))) }
            }
            log.addHyperparameters(
                settings(how, network: network),
                metrics: ["summary/reached"] + (real.isEmpty ? [] : ["summary/best_real_input"]))
            try log.addImage("inputs", file: file(".png"))
            try log.addImage("curves", file: file("_curve.png"))
            for (seed, outcome) in found {
                for step in outcome.curve {
                    log.addScalar("activation/seed\(seed)", Float(step.activation), step: step.step)
                    log.addScalar("total_variation/seed\(seed)", Float(step.totalVariation), step: step.step)
                    log.addScalar("l2/seed\(seed)", Float(step.l2), step: step.step)
                    log.addScalar("loss/seed\(seed)", Float(step.loss), step: step.step)
                }
                log.addHistogram("input", outcome.input.values, step: seed)
                log.addScalar("start", Float(outcome.startActivation), step: seed)
                log.addScalar("reached", Float(outcome.activation), step: seed)
                let plain = file("_seed\(seed)_plain.png")
                if FileManager.default.fileExists(atPath: plain.path) {
                    try log.addImage("input", file: plain, step: seed)
                }
            }
            log.addScalar("summary/reached", Float(found.map(\.outcome.activation).max() ?? 0))
            if let best = real.first {
                log.addScalar("summary/best_real_input", Float(best.activation))
                log.addText(
                    "real inputs",
                    list(real.map { "\($0.name): \(LookingSupport.number($0.activation, 6))" }))
            }
            log.addText("summary", "```json\n\(summary.serialized())\n```")
        }
    }

    // MARK: diagnose

    /// Of every layer its values; the step is the layer's place in the order of computation.
    static func diagnose(
        _ arguments: ParsedArguments, _ report: DiagnosisReport, network: String, folder: URL
    ) throws {
        try SharedOptions.log(arguments, run: "diagnose-\(LookingSupport.stem(network))") { log in
            var metrics: [(String, Double?)] = [Finding.Severity.severe, .warning, .note].map { severity in
                ("findings/\(severity.rawValue)", Double(report.findings.count { $0.severity == severity }))
            }
            metrics.append(("texture/kept_under_blur", report.probe?.keptUnderBlur))
            metrics.append(("texture/kept_scrambled", report.probe?.keptScrambled))
            log.addHyperparameters(
                settings(
                    [
                        ("inputs", .number(Double(report.health.scans))),
                        ("probes", .flag(!arguments[DiagnoseCommand.noProbes])),
                        ("seed", .number(Double(arguments[LookingSupport.seed] ?? 0))),
                    ], network: network), metrics: metrics.filter { $0.1 != nil }.map(\.0))
            for (tag, value) in metrics {
                if let value { log.addScalar(tag, Float(value)) }
            }
            for name in ["gradient_flow", "activations", "channels", "kernels"]
            where name != "kernels" || !report.kernels.isEmpty {
                try log.addImage(name, file: folder.appendingPathComponent("\(name).png"))
            }
            for (place, layer) in report.health.layers.enumerated() {
                log.addHistogram(
                    "activations/\(layer.name)", counts: layer.histogram, over: layer.histogramRange,
                    lowest: Double(layer.minimum), highest: Double(layer.maximum), mean: layer.mean,
                    deviation: layer.deviation)
                let values: [(String, Double?)] = [
                    ("mean", layer.mean), ("deviation", layer.deviation), ("zeros", layer.zeros),
                    ("dead_channels", Double(layer.deadChannels.count)),
                    ("saturated_channels", Double(layer.saturatedChannels.count)),
                    ("gradient_norm", layer.gradientNorm),
                ]
                for (tag, value) in values {
                    if let value { log.addScalar("layers/\(tag)", Float(value), step: place) }
                }
            }
            for (place, kernel) in report.kernels.enumerated() {
                log.addScalar("kernels/smoothness", Float(kernel.measured.smoothness), step: place)
                log.addScalar("kernels/smoothness_random", Float(kernel.random.smoothness), step: place)
            }
            for (step, scan) in report.heat.enumerated() {
                log.addScalar("heat/outside_body", Float(scan.places.outside), step: step)
                log.addScalar("heat/table", Float(scan.places.table), step: step)
                log.addScalar("heat/border", Float(scan.places.border), step: step)
            }
            log.addText(
                "layers", list(report.health.layers.enumerated().map { "\($0.offset): \($0.element.name)" }))
            let findings = report.findings.map { "\($0.severity.rawValue): \($0.text) Usual remedy: \($0.remedy)" }
            log.addText("findings", findings.isEmpty ? "Nothing suspicious was found." : list(findings))
        }
    }
}

extension EventLog {
    /// A PNG file's bytes as they are.
    fileprivate mutating func addImage(_ tag: String, file: URL, step: Int = 0) throws {
        try addImage(tag, png: [UInt8](try Data(contentsOf: file)), step: step)
    }
}

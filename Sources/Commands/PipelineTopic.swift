import Arguments
import Pipelines

/// `tomolens help pipeline`: every key of a pipeline file.
enum PipelineTopic {
    static let topic = HelpTopic("pipeline", summary: "the keys of a pipeline file", text: text)

    private static func text(_ width: Int) -> String {
        var lines = Text.wrapped(
            "A pipeline file is JSON5: JSON with comments, trailing commas and unquoted keys. Unknown keys are refused.",
            width: width)
        for group in PipelineKeys.all {
            lines.append("")
            let title = group.path.isEmpty ? "The file" : group.path
            lines += Text.wrapped(group.help.isEmpty ? "\(title):" : "\(title): \(group.help)", width: width)
            for key in group.keys {
                let standard = key.standard.isEmpty ? "" : " Default: \(key.standard)."
                lines += Text.entry(
                    label: key.name,
                    text: "\(key.type.prefix(1).uppercased() + key.type.dropFirst()). \(key.help)\(standard)",
                    column: 18, width: width)
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

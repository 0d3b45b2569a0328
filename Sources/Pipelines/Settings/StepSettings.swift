import Failures

/// One step of the preparation as the file gives it: a transform's name and its parameters.
///
/// Two spellings are read: ours, `{transform: "Spacing", pixdim: [1.5, 1.5, 1.5]}`, and that of a MONAI bundle,
/// `{_target_: "Spacingd", keys: "image", pixdim: […]}`, so that a bundle's block can be pasted as it is.
public struct StepSettings: Sendable {
    /// MONAI's name without the `d` of the dictionary transforms: `Spacing`.
    public let transform: String
    public let parameters: [(name: String, value: JSON)]
    /// Where the step stands, for messages: `preparation[1]`.
    public let path: String
    public let line: Int

    /// Keys by which a MONAI bundle routes data, without a meaning here.
    private static let routing = ["keys", "allow_missing_keys", "_disabled_", "_requires_", "_mode_", "_desc_"]

    public init(
        transform: String, parameters: [(name: String, value: JSON)], path: String = "preparation", line: Int = 0
    ) {
        self.transform = transform
        self.parameters = parameters
        self.path = path
        self.line = line
    }

    /// The steps that `json` stands for: one, or all of a MONAI bundle's `Compose`.
    static func read(_ json: JSON, at path: String) throws -> [StepSettings] {
        let step = try StepSettings(json, at: path)
        guard step.transform == "Compose", let inner = step.parameters.first(where: { $0.name == "transforms" }) else {
            return [step]
        }
        guard let list = inner.value.array else {
            throw KeyReader.failure("\(path).transforms", inner.value, expected: "a list of steps")
        }
        return try list.enumerated().flatMap { try read($1, at: "\(path).transforms[\($0)]") }
    }

    init(_ json: JSON, at path: String) throws {
        self.path = path
        line = json.line
        if let text = json.text, !text.isEmpty {
            transform = text
            parameters = []
            return
        }
        guard let members = json.members else {
            throw KeyReader.failure(path, json, expected: "{transform: name, …} or a transform's name")
        }
        guard let named = members.first(where: { $0.key == "transform" || $0.key == "_target_" }) else {
            throw KeyReader.failure(
                path, json, expected: "the key transform (or a MONAI bundle's _target_)",
                remedy: Nearest.match(members.first?.key ?? "", in: ["transform", "_target_"])
                    .map { "Did you mean '\($0)'?" } ?? "Example: {transform: \"Orientation\", axcodes: \"RAS\"}.")
        }
        guard var name = named.value.text, !name.isEmpty else {
            throw KeyReader.failure("\(path).\(named.key)", named.value, expected: "a transform's name in quotes")
        }
        if named.key == "_target_" {
            name = name.split(separator: ".").last.map(String.init) ?? name
            if name.hasSuffix("Dict") { name.removeLast(4) }
            if name.hasSuffix("d") || name.hasSuffix("D") { name.removeLast() }
            parameters = members.filter { $0.key != named.key && !Self.routing.contains($0.key) }.map {
                ($0.key, $0.value)
            }
        } else {
            parameters = members.filter { $0.key != named.key }.map { ($0.key, $0.value) }
        }
        transform = name
    }
}

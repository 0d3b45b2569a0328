/// A file's name in the Brain Imaging Data Structure: entities, a suffix, an extension, as in `sub-01_ses-2_ct.nii.gz`.
struct BIDSName: Hashable {
    /// In the order of the name.
    var entities: [(key: String, value: String)]
    let suffix: String

    /// - Parameter stem: the name without its extension.
    /// - Returns: nil for a name that is not made so.
    init?(stem: String) {
        let parts = stem.split(separator: "_", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 2, let last = parts.last, Self.isLabel(last) else { return nil }
        suffix = last
        entities = []
        for part in parts.dropLast() {
            let pair = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2, Self.isLabel(pair[0]), Self.isLabel(pair[1]) else { return nil }
            entities.append((pair[0], pair[1]))
        }
        guard entities.first?.key == "sub" else { return nil }
    }

    subscript(_ key: String) -> String? { entities.first { $0.key == key }?.value }

    /// The name of something made of this file: `res` and `desc` come last, as the standard orders entities.
    func derived(resolution: String?, description: String) -> String {
        let kept = entities.filter { $0.key != "res" && $0.key != "desc" }.map { "\($0.key)-\($0.value)" }
        let added = (resolution.map { ["res-\($0)"] } ?? []) + ["desc-\(description)"]
        return (kept + added + [suffix]).joined(separator: "_")
    }

    /// A label, which is made of letters and digits only, from any text: `gradcam++_class1` becomes `gradcamPlusPlusClass1`.
    static func label(_ text: String) -> String {
        var result = ""
        var startsWord = false
        for character in text.replacing("+", with: " Plus ") {
            if character.isASCII, character.isLetter || character.isNumber {
                result += startsWord && !result.isEmpty ? character.uppercased() : String(character)
                startsWord = false
            } else {
                startsWord = true
            }
        }
        return result.isEmpty ? "map" : result
    }

    private static func isLabel(_ text: String) -> Bool {
        !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    static func == (left: BIDSName, right: BIDSName) -> Bool { left.text == right.text }
    func hash(into hasher: inout Hasher) { hasher.combine(text) }

    private var text: String { (entities.map { "\($0.key)-\($0.value)" } + [suffix]).joined(separator: "_") }
}

/// A shell-like pattern of file names: `*` any characters, `?` any one, `[ab]`, `[a-z]`, `[!a]` one of a set; with a slash in
/// the pattern, it fits a whole relative path, and `**` crosses folders.
struct NamePattern: Sendable {
    private let parts: [[Character]]
    private let fitsPath: Bool

    init(_ text: String) {
        fitsPath = text.contains("/")
        var pieces = text.split(separator: "/").map(Array.init)
        if pieces.isEmpty { pieces = [[]] }
        parts = pieces
    }

    /// - Parameter path: relative to the input folder, with `/` between folders.
    func fits(_ path: String) -> Bool {
        let names = path.split(separator: "/").map(Array.init)
        guard let last = names.last else { return false }
        return fitsPath ? Self.fits(names[...], parts[...]) : Self.fits(last[...], parts[0][...])
    }

    private static func fits(_ names: ArraySlice<[Character]>, _ parts: ArraySlice<[Character]>) -> Bool {
        guard let part = parts.first else { return names.isEmpty }
        if part == ["*", "*"] {
            return (0...names.count).contains { fits(names.dropFirst($0), parts.dropFirst()) }
        }
        guard let name = names.first, fits(name[...], part[...]) else { return false }
        return fits(names.dropFirst(), parts.dropFirst())
    }

    /// One name against one pattern: on a mismatch, the last star takes one character more. No recursion, so that no
    /// pattern can be slow.
    private static func fits(_ name: ArraySlice<Character>, _ pattern: ArraySlice<Character>) -> Bool {
        var at = name.startIndex
        var rule = pattern.startIndex
        var star: (rule: Int, at: Int)?
        while at < name.endIndex {
            if rule < pattern.endIndex, pattern[rule] == "*" {
                star = (rule + 1, at)
                rule += 1
            } else if rule < pattern.endIndex, let next = matchOne(name[at], pattern, rule) {
                at += 1
                rule = next
            } else if let (after, from) = star {
                star = (after, from + 1)
                at = from + 1
                rule = after
            } else {
                return false
            }
        }
        return pattern[rule...].allSatisfy { $0 == "*" }
    }

    /// The place after the rule at `rule` if it takes `character`.
    private static func matchOne(_ character: Character, _ pattern: ArraySlice<Character>, _ rule: Int) -> Int? {
        if pattern[rule] == "?" { return rule + 1 }
        if pattern[rule] == "[", let close = pattern[(rule + 1)...].dropFirst().firstIndex(of: "]") {
            var set = pattern[rule + 1..<close]
            let isInverted = set.first == "!"
            if isInverted { set = set.dropFirst() }
            var isInside = false
            var index = set.startIndex
            while index < set.endIndex {
                if index + 2 < set.endIndex, set[index + 1] == "-" {
                    if set[index] <= character, character <= set[index + 2] { isInside = true }
                    index += 3
                } else {
                    if set[index] == character { isInside = true }
                    index += 1
                }
            }
            return isInside != isInverted ? close + 1 : nil
        }
        return pattern[rule] == character ? rule + 1 : nil
    }
}

/// Edit-distance search behind every "did you mean".
public enum Nearest {
    /// The candidate closest to `word` by Damerau–Levenshtein distance (optimal string alignment), or nil when none is
    /// near enough to be a likely slip of the keyboard (distance at most a third of the longer word, and at least 1 allowed).
    ///
    /// Comparison ignores case; ties go to the candidate named first.
    public static func match(_ word: String, in candidates: some Sequence<String>) -> String? {
        let lowered = Array(word.lowercased())
        var best: (distance: Int, candidate: String)?
        for candidate in candidates {
            let other = Array(candidate.lowercased())
            let allowed = max(1, max(lowered.count, other.count) / 3)
            let distance = distance(lowered, other)
            if distance <= allowed, best == nil || distance < best!.distance { best = (distance, candidate) }
        }
        return best?.candidate
    }

    /// `"Did you mean 'x'?"`, or the list of what is allowed when nothing is near and the list is short, or nothing.
    public static func suggestion(_ word: String, in candidates: [String]) -> String {
        if let match = match(word, in: candidates) { return "Did you mean '\(match)'?" }
        if candidates.count <= 24, !candidates.isEmpty {
            return "Allowed: \(candidates.joined(separator: ", "))"
        }
        return ""
    }

    static func distance(_ a: [Character], _ b: [Character]) -> Int {
        if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [Int](repeating: i, count: b.count + 1)
            for j in 1...b.count {
                let cost = a[i - 1] == b[j - 1] ? 0 : 1
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    row[j] = min(row[j], beforeLast[j - 2] + 1)
                }
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}

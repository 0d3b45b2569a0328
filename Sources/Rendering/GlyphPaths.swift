/// The shapes of letters, drawn as strokes on a lattice: x to the right, y up from the baseline, capitals 16 units tall, small
/// letters 12. Stems stand on even numbers, so that at half a unit a pixel they fall on whole pixels.
///
/// A path is written as in SVG: `M x y` begins a stroke, `L x y` continues it straight, `Q cx cy x y` along a parabola with that
/// control point. A stroke of one point is a dot.
enum GlyphPaths {
    static let capHeight = 16
    static let descent = 5
    /// Units between the right edge of a glyph and the left edge of the next.
    static let gap: Float = 5

    struct Path: Sendable {
        var width: Float
        var segments: [Segment]
    }

    static let unknown = parse(8, "M0 0 L0 16 L8 16 L8 0 L0 0")

    static let table: [Character: Path] = {
        var table: [Character: Path] = [:]
        for (character, width, text) in source { table[character] = parse(width, text) }
        // The Greek letter and the sign of the unit have codes of their own and look the same.
        table["μ"] = table["µ"]
        return table
    }()

    /// The straight pieces of a path; a parabola becomes eight.
    static func parse(_ width: Float, _ text: String) -> Path {
        var segments: [Segment] = []
        var tokens = text.split(separator: " ")[...]
        var point = SIMD2<Float>.zero
        var isDot = false
        func number(_ token: Substring) -> Float {
            guard let value = Float(token) else { preconditionFailure("'\(token)' in the glyph path '\(text)'") }
            return value
        }
        while let token = tokens.popFirst() {
            let command = token.first!
            var numbers = [number(token.dropFirst())]
            while let next = tokens.first, !next.first!.isLetter {
                numbers.append(number(next))
                tokens.removeFirst()
            }
            let end = SIMD2(numbers[numbers.count - 2], numbers[numbers.count - 1])
            switch command {
            case "M":
                precondition(numbers.count == 2)
                if isDot { segments.append(Segment(start: point, end: point)) }
                isDot = true
            case "L":
                precondition(numbers.count == 2)
                segments.append(Segment(start: point, end: end))
                isDot = false
            case "Q":
                precondition(numbers.count == 4)
                let control = SIMD2(numbers[0], numbers[1])
                var last = point
                for step in 1...8 {
                    let t = Float(step) / 8
                    let next = point * ((1 - t) * (1 - t)) + control * (2 * t * (1 - t)) + end * (t * t)
                    segments.append(Segment(start: last, end: next))
                    last = next
                }
                isDot = false
            default: preconditionFailure("the command '\(command)' in the glyph path '\(text)'")
            }
            point = end
        }
        if isDot { segments.append(Segment(start: point, end: point)) }
        return Path(width: width, segments: segments)
    }

    /// Character, width, path.
    private static let source: [(Character, Float, String)] = [
        ("0", 8, "M4 16 Q8 16 8 11 L8 5 Q8 0 4 0 Q0 0 0 5 L0 11 Q0 16 4 16"),
        ("1", 8, "M1 13 L4 16 L4 0 M1 0 L7 0"),
        ("2", 8, "M0 12.5 Q0 16 4 16 Q8 16 8 12 Q8 9 5 6 L0 0 L8 0"),
        ("3", 8, "M0 14 Q1 16 4 16 Q7.5 16 7.5 12.5 Q7.5 8.5 3 8.5 M4 8.5 Q8 8.5 8 4.5 Q8 0 4 0 Q1 0 0 2.5"),
        ("4", 8, "M6 0 L6 16 L0 5 L8 5"),
        ("5", 8, "M7.5 16 L1 16 L0.5 9 Q2 10 4 10 Q8 10 8 5 Q8 0 4 0 Q1 0 0 2.5"),
        ("6", 8, "M7 15 Q6 16 4.5 16 Q0 16 0 8 L0 5 Q0 0 4 0 Q8 0 8 4.75 Q8 9.5 4 9.5 Q1 9.5 0 6"),
        ("7", 8, "M0 16 L8 16 L3 0"),
        (
            "8", 8,
            "M4 8.5 Q0.5 8.5 0.5 12.5 Q0.5 16 4 16 Q7.5 16 7.5 12.5 Q7.5 8.5 4 8.5 Q0 8.5 0 4.5 Q0 0 4 0 Q8 0 8 4.5 Q8 8.5 4 8.5"
        ),
        ("9", 8, "M1 1 Q2 0 3.5 0 Q8 0 8 8 L8 11 Q8 16 4 16 Q0 16 0 11.25 Q0 6.5 4 6.5 Q7 6.5 8 10"),
        ("A", 10, "M0 0 L5 16 L10 0 M2 5 L8 5"),
        ("B", 10, "M0 0 L0 16 L5 16 Q9 16 9 12.5 Q9 8.5 5 8.5 L0 8.5 M5 8.5 Q10 8.5 10 4.5 Q10 0 5 0 L0 0"),
        ("C", 10, "M10 12.5 Q9 16 5 16 Q0 16 0 10 L0 6 Q0 0 5 0 Q9 0 10 3.5"),
        ("D", 10, "M0 0 L0 16 L4 16 Q10 16 10 9 L10 7 Q10 0 4 0 L0 0"),
        ("E", 8, "M8 16 L0 16 L0 0 L8 0 M0 8 L7 8"),
        ("F", 8, "M8 16 L0 16 L0 0 M0 8 L7 8"),
        ("G", 10, "M10 12.5 Q9 16 5 16 Q0 16 0 10 L0 6 Q0 0 5 0 Q10 0 10 5 L10 8 L6 8"),
        ("H", 10, "M0 0 L0 16 M10 0 L10 16 M0 8 L10 8"),
        ("I", 6, "M0 16 L6 16 M3 16 L3 0 M0 0 L6 0"),
        ("J", 8, "M8 16 L8 5 Q8 0 4 0 Q0 0 0 4"),
        ("K", 10, "M0 0 L0 16 M10 16 L0 6 M3.5 9.5 L10 0"),
        ("L", 8, "M0 16 L0 0 L8 0"),
        ("M", 12, "M0 0 L0 16 L6 6 L12 16 L12 0"),
        ("N", 10, "M0 0 L0 16 L10 0 L10 16"),
        ("O", 10, "M5 16 Q10 16 10 10 L10 6 Q10 0 5 0 Q0 0 0 6 L0 10 Q0 16 5 16"),
        ("P", 9, "M0 0 L0 16 L5 16 Q9 16 9 11.5 Q9 7 5 7 L0 7"),
        ("Q", 10, "M5 16 Q10 16 10 10 L10 6 Q10 0 5 0 Q0 0 0 6 L0 10 Q0 16 5 16 M6 4 L11 -2"),
        ("R", 10, "M0 0 L0 16 L5 16 Q9.5 16 9.5 11.75 Q9.5 7.5 5 7.5 L0 7.5 M5 7.5 L10 0"),
        (
            "S", 9,
            "M8.5 13.5 Q7.5 16 4.5 16 Q0.5 16 0.5 12.5 Q0.5 9.25 4.5 8.25 Q9 7.25 9 4 Q9 0 4.5 0 Q1 0 0 2.75"
        ),
        ("T", 10, "M0 16 L10 16 M5 16 L5 0"),
        ("U", 10, "M0 16 L0 5 Q0 0 5 0 Q10 0 10 5 L10 16"),
        ("V", 10, "M0 16 L5 0 L10 16"),
        ("W", 14, "M0 16 L3.5 0 L7 14 L10.5 0 L14 16"),
        ("X", 10, "M0 0 L10 16 M0 16 L10 0"),
        ("Y", 10, "M0 16 L5 7 L10 16 M5 7 L5 0"),
        ("Z", 9, "M0 16 L9 16 L0 0 L9 0"),
        ("a", 8, "M0.5 10.5 Q2 12 4 12 Q8 12 8 8 L8 0 M8 6.5 L4 6.5 Q0 6.5 0 3.25 Q0 0 3.5 0 Q6.5 0 8 3"),
        ("b", 8, "M0 16 L0 0 M0 4 Q0 0 4 0 Q8 0 8 6 Q8 12 4 12 Q0 12 0 8"),
        ("c", 8, "M8 9.5 Q7 12 4 12 Q0 12 0 6 Q0 0 4 0 Q7 0 8 2.5"),
        ("d", 8, "M8 16 L8 0 M8 4 Q8 0 4 0 Q0 0 0 6 Q0 12 4 12 Q8 12 8 8"),
        ("e", 8, "M0 6.5 L8 6.5 Q8 12 4 12 Q0 12 0 6 Q0 0 4 0 Q7 0 8 2"),
        ("f", 6, "M6 16 Q2 16 2 12 L2 0 M0 11 L6 11"),
        ("g", 8, "M8 12 L8 0 Q8 -5 4 -5 Q1.5 -5 0.5 -3.5 M8 8 Q8 12 4 12 Q0 12 0 6 Q0 0 4 0 Q8 0 8 4"),
        ("h", 8, "M0 16 L0 0 M0 7 Q0 12 4 12 Q8 12 8 8 L8 0"),
        ("i", 0, "M0 12 L0 0 M0 16"),
        ("j", 3, "M3 12 L3 -1 Q3 -5 0 -5 M3 16"),
        ("k", 8, "M0 16 L0 0 M8 12 L0 4.5 M3 7.3 L8 0"),
        ("l", 3, "M0 16 L0 3 Q0 0 3 0"),
        ("m", 12, "M0 12 L0 0 M0 7 Q0 12 3 12 Q6 12 6 8 L6 0 M6 7 Q6 12 9 12 Q12 12 12 8 L12 0"),
        ("n", 8, "M0 12 L0 0 M0 7 Q0 12 4 12 Q8 12 8 8 L8 0"),
        ("o", 8, "M4 12 Q8 12 8 6 Q8 0 4 0 Q0 0 0 6 Q0 12 4 12"),
        ("p", 8, "M0 12 L0 -5 M0 8 Q0 12 4 12 Q8 12 8 6 Q8 0 4 0 Q0 0 0 4"),
        ("q", 8, "M8 12 L8 -5 M8 8 Q8 12 4 12 Q0 12 0 6 Q0 0 4 0 Q8 0 8 4"),
        ("r", 5, "M0 12 L0 0 M0 6 Q0 12 5 12"),
        (
            "s", 7,
            "M6.5 10.5 Q5.5 12 3.5 12 Q0.5 12 0.5 9.25 Q0.5 6.75 3.5 6.1 Q7 5.5 7 3 Q7 0 3.5 0 Q1 0 0 2"
        ),
        ("t", 6, "M2 16 L2 4 Q2 0 6 0 M0 12 L6 12"),
        ("u", 8, "M0 12 L0 4 Q0 0 4 0 Q8 0 8 5 M8 12 L8 0"),
        ("v", 8, "M0 12 L4 0 L8 12"),
        ("w", 12, "M0 12 L3 0 L6 11 L9 0 L12 12"),
        ("x", 8, "M0 12 L8 0 M8 12 L0 0"),
        ("y", 8, "M0 12 L4 0.5 M8 12 L3.5 -2.5 Q2.5 -5 0 -5"),
        ("z", 8, "M0 12 L8 12 L0 0 L8 0"),
        (" ", 3, ""),
        ("!", 0, "M0 16 L0 5 M0 0"),
        ("\"", 4, "M0 16 L0 12 M4 16 L4 12"),
        ("#", 9, "M3 16 L1 0 M8 16 L6 0 M0 11 L9 11 M0 5 L9 5"),
        ("$", 8, "M7.5 12 Q6.5 14 4 14 Q0.5 14 0.5 11 Q0.5 8.75 4 8 Q8 7.25 8 4.75 Q8 2 4 2 Q1 2 0 4.25 M4 17 L4 -1"),
        (
            "%", 12,
            """
            M2.5 16 Q5 16 5 13 Q5 10 2.5 10 Q0 10 0 13 Q0 16 2.5 16 M9.5 6 Q12 6 12 3 Q12 0 9.5 0 Q7 0 7 3 Q7 6 9.5 6 \
            M10.5 16 L1.5 0
            """
        ),
        ("&", 10, "M10 0 L2 11 Q0.5 16 4 16 Q7 16 7 13 Q7 10.5 3 8.5 Q0 7 0 4 Q0 0 4.5 0 Q9 0 10 7"),
        ("'", 0, "M0 16 L0 12"),
        ("(", 4, "M4 18 Q0 14 0 7 Q0 0 4 -4"),
        (")", 4, "M0 18 Q4 14 4 7 Q4 0 0 -4"),
        ("*", 8, "M4 15 L4 7 M0.5 13 L7.5 9 M7.5 13 L0.5 9"),
        ("+", 8, "M4 12 L4 4 M0 8 L8 8"),
        (",", 1, "M1 0.5 L0 -3.5"),
        ("-", 5, "M0 6 L5 6"),
        (".", 0, "M0 0"),
        ("/", 7, "M0 -3 L7 18"),
        (":", 0, "M0 10 M0 1"),
        (";", 1, "M1 10 M1 0.5 L0 -3.5"),
        ("<", 8, "M8 13 L0 8 L8 3"),
        ("=", 8, "M0 10 L8 10 M0 6 L8 6"),
        (">", 8, "M0 13 L8 8 L0 3"),
        ("?", 8, "M0 12.5 Q0.5 16 4 16 Q8 16 8 12 Q8 9.5 6 8.25 Q4 7 4 4.5 M4 0"),
        (
            "@", 13,
            """
            M9 9 Q8.5 10.5 6.5 10.5 Q4 10.5 4 7 Q4 3.5 6.5 3.5 Q9 3.5 9 7 L9 10.5 M9 7 Q9 3.5 11 3.5 Q13 3.5 13 8 \
            Q13 16 6.5 16 Q0 16 0 7 Q0 -2 7 -2 Q9.5 -2 11 -1
            """
        ),
        ("[", 4, "M4 18 L0 18 L0 -3 L4 -3"),
        ("\\", 7, "M0 18 L7 -3"),
        ("]", 4, "M0 18 L4 18 L4 -3 L0 -3"),
        ("^", 8, "M0 11 L4 16 L8 11"),
        ("_", 8, "M0 -3 L8 -3"),
        ("`", 3, "M0 16 L3 13"),
        ("{", 5, "M5 18 Q2 18 2 15 L2 10 Q2 7.5 0 7.5 Q2 7.5 2 5 L2 0 Q2 -3 5 -3"),
        ("|", 0, "M0 18 L0 -3"),
        ("}", 5, "M0 18 Q3 18 3 15 L3 10 Q3 7.5 5 7.5 Q3 7.5 3 5 L3 0 Q3 -3 0 -3"),
        ("~", 10, "M0 7 Q0 9.5 2.5 9.5 Q4 9.5 5 8 Q6 6.5 7.5 6.5 Q10 6.5 10 9"),
        ("°", 5, "M2.5 16 Q5 16 5 13.5 Q5 11 2.5 11 Q0 11 0 13.5 Q0 16 2.5 16"),
        ("²", 5, "M0 14.5 Q0 16.5 2.25 16.5 Q5 16.5 5 14.5 Q5 13 0 9 L5 9"),
        ("³", 5, "M0 16 Q1 16.5 2.25 16.5 Q4.75 16.5 4.75 14.75 Q4.75 13 2 13 Q5 13 5 11 Q5 9 2.25 9 Q1 9 0 9.75"),
        ("µ", 8, "M0 12 L0 -5 M0 4 Q0 0 4 0 Q8 0 8 5 M8 12 L8 0"),
        ("−", 8, "M0 8 L8 8"),
        ("–", 8, "M0 6 L8 6"),
        ("—", 12, "M0 6 L12 6"),
        ("×", 8, "M0.5 11.5 L7.5 4.5 M7.5 11.5 L0.5 4.5"),
        ("±", 8, "M4 14 L4 6 M0 10 L8 10 M0 2 L8 2"),
        ("≤", 8, "M8 14 L0 9 L8 4 M0 0 L8 0"),
        ("≥", 8, "M0 14 L8 9 L0 4 M0 0 L8 0"),
        ("·", 0, "M0 7"),
        ("…", 8, "M0 0 M4 0 M8 0"),
        ("→", 10, "M0 7 L10 7 M6 11 L10 7 L6 3"),
        ("Δ", 10, "M0 0 L5 16 L10 0 L0 0"),
        ("α", 9, "M9 12 L8 6 Q7 0 4 0 Q0 0 0 6 Q0 12 4 12 Q7 12 8 6 L9 0"),
        ("σ", 9, "M9 12 L4 12 Q0 12 0 6 Q0 0 4 0 Q8 0 8 6 Q8 10 5.5 12"),
    ]
}

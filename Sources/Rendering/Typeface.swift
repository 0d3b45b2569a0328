import Foundation

/// The letters that pictures are labelled with: our own strokes (``GlyphPaths``), rasterized once for each size.
struct Typeface: Sendable {
    struct Glyph: Sendable {
        /// Pixels from this glyph's origin to the next one's.
        let advance: Int
        /// The letter, its origin at (margin, margin), capitals' tops at row `margin`.
        let ink: Coverage
        /// The same with a wider stroke.
        let halo: Coverage
    }

    /// Capitals 9 rows tall.
    static let small = Typeface(scale: 0.5, stroke: 1.3)
    /// Capitals 13 rows tall.
    static let large = Typeface(scale: 0.75, stroke: 1.9)

    /// Rows from the top of a capital to the baseline, both included.
    let capHeight: Int
    /// Rows from one line to the next.
    let lineHeight: Int
    /// Empty pixels around the origin of every glyph's shapes.
    let margin: Int
    private let table: [Character: Glyph]
    private let unknown: Glyph

    /// - Parameters:
    ///   - scale: pixels per unit of the paths.
    ///   - stroke: width of the lines in pixels.
    init(scale: Float, stroke: Float) {
        let haloWidth = Float(1.5)
        let margin = Int((stroke / 2 + haloWidth + 3 * scale).rounded(.up)) + 1
        let capital = Float(GlyphPaths.capHeight) * scale
        capHeight = Int(capital.rounded()) + 1
        lineHeight = Int((Float(GlyphPaths.capHeight + GlyphPaths.descent) * scale).rounded(.up)) + 5
        self.margin = margin
        func rasterize(_ path: GlyphPaths.Path) -> Glyph {
            let segments = path.segments.map { segment in
                func place(_ point: SIMD2<Float>) -> SIMD2<Float> {
                    SIMD2(point.x * scale + Float(margin), capital - point.y * scale + Float(margin))
                }
                return Segment(start: place(segment.start), end: place(segment.end))
            }
            let width = Int((path.width * scale).rounded(.up)) + 1 + 2 * margin
            let height = Int((capital + Float(GlyphPaths.descent) * scale).rounded(.up)) + 1 + 2 * margin
            func shape(_ radius: Float) -> Coverage {
                var coverage = Coverage(width: width, height: height)
                coverage.stroke(segments, radius: radius)
                return coverage
            }
            return Glyph(
                advance: Int(((path.width + GlyphPaths.gap) * scale).rounded(.up)), ink: shape(stroke / 2),
                halo: shape(stroke / 2 + haloWidth))
        }
        table = GlyphPaths.table.mapValues(rasterize)
        unknown = rasterize(GlyphPaths.unknown)
    }

    /// One glyph for each character. Letters with accents lose them; what has no glyph becomes a box.
    func glyphs(_ text: String) -> [Glyph] {
        text.map { character in
            if let glyph = table[character] { return glyph }
            if character.isWhitespace { return table[" "]! }
            let plain = String(character).folding(options: [.diacriticInsensitive, .widthInsensitive], locale: nil)
            return plain.first.flatMap { table[$0] } ?? unknown
        }
    }

    /// Pixels from the first to the last column of `text`.
    func width(_ text: String) -> Int { max(0, glyphs(text).reduce(0) { $0 + $1.advance } - 2) }

    /// `text`, or as much of its beginning as fits in `width` pixels with an ellipsis.
    func fitted(_ text: String, width: Int) -> String {
        if self.width(text) <= width { return text }
        var kept = text
        while !kept.isEmpty, self.width(kept + "…") > width { kept.removeLast() }
        return kept + "…"
    }
}

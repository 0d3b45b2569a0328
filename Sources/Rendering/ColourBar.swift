/// The scale beside a picture: its colours, the raw values they stand for, what they are, and whose scale it is.
struct ColourBar: Sendable {
    private static let barWidth = 14
    private static let tickLength = 4

    let lookup: HeatLookup
    let title: String
    let face: Typeface
    private let ticks: [(position: Double, label: String)]
    private let levels: [Double]
    private let titles: [String]

    init(lookup: HeatLookup, title: String, contours: [Double], face: Typeface) {
        self.lookup = lookup
        self.title = title
        self.face = face
        levels = contours
        let scale = lookup.scale
        titles = [title, "\(scale.origin.rawValue) scale"].filter { !$0.isEmpty }
        guard !scale.isBlank else {
            ticks = [(scale.isSigned ? 0.5 : 0, "0")]
            return
        }
        let top = Double(scale.top)
        let lower = scale.isSigned ? -top : 0
        let step = Numbers.roundStep(span: top - lower, most: 6)
        // The ends of the scale are always told; round values too near to them make room.
        var ticks = [(1.0, Numbers.end(top))]
        if scale.isSigned { ticks.append((0, Numbers.end(-top))) }
        for multiple in Int((lower / step).rounded(.up))...Int((top / step + 1e-9).rounded(.down)) {
            let value = Double(multiple) * step
            let position = (value - lower) / (top - lower)
            if position > 0.93 || (scale.isSigned && position < 0.07) { continue }
            ticks.append((position, Numbers.label(value, step: step, largest: top)))
        }
        self.ticks = ticks
    }

    /// Columns that the bar takes with all its text.
    var width: Int {
        let labels = ticks.map { face.width($0.label) }.max() ?? 0
        return ColourBar.barWidth + ColourBar.tickLength + 4 + labels + 8 + titles.count * face.lineHeight
    }

    /// Rows that the bar needs for its text.
    var leastHeight: Int {
        max((titles.map { face.width($0) }.max() ?? 0) + 2, ticks.count * (face.lineHeight + 2))
    }

    /// Draws the bar in `height` rows from (x, y). The colours are opaque; what the threshold leaves uncoloured is hatched, and
    /// all of a blank scale.
    func draw(on canvas: inout Canvas, x: Int, y: Int, height: Int) {
        // Room for half a label above and below.
        let inset = face.capHeight / 2 + 1
        let top = y + inset
        let rows = height - 2 * inset
        for row in 0..<rows {
            let position = 1 - (Double(row) + 0.5) / Double(rows)
            let entry = lookup.entries[Int(position * Double(HeatLookup.steps) + 0.5)]
            for column in 0..<ColourBar.barWidth {
                let isHatched = (entry.alpha == 0 || lookup.scale.isBlank) && (row + column) % 4 != 0
                canvas.fill(
                    x: x + column, y: top + row, width: 1, height: 1, isHatched ? Colour(hex: 0x181818) : entry.colour)
            }
        }
        func row(_ position: Double) -> Int { top + Int(((1 - position) * Double(rows - 1)).rounded()) }
        for level in levels {
            let places = lookup.scale.isSigned ? [(1 + level) / 2, (1 - level) / 2] : [level]
            for place in places {
                canvas.fill(x: x, y: row(place), width: ColourBar.barWidth, height: 1, .white)
                canvas.fill(x: x, y: row(place) + 1, width: ColourBar.barWidth, height: 1, .black)
            }
        }
        let labelX = x + ColourBar.barWidth + ColourBar.tickLength + 4
        var labels = 0
        for (position, label) in ticks {
            canvas.fill(
                x: x + ColourBar.barWidth, y: row(position), width: ColourBar.tickLength, height: 1, Canvas.faintInk)
            canvas.text(label, x: labelX, y: row(position) - face.capHeight / 2, face)
            labels = max(labels, face.width(label))
        }
        for (index, title) in titles.enumerated() {
            let text = face.fitted(title, width: height)
            let start = y + (height + face.width(text)) / 2
            canvas.uprightText(
                text, x: labelX + labels + 8 + index * face.lineHeight, y: start, face,
                index == 0 ? Canvas.ink : Canvas.faintInk)
        }
    }
}

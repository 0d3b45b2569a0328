/// Lines of text above a picture: parts that stay together, broken between parts.
struct TextBlock: Sendable {
    /// A part, and the widest text that may stand in its place on another slice, so that all slices break alike.
    struct Part: Sendable {
        var text: String
        var widest: String

        init(_ text: String, widest: String? = nil) {
            self.text = text
            self.widest = widest ?? text
        }
    }

    private static let separator = "  ·  "

    let lines: [String]
    let face: Typeface
    var height: Int { lines.count * face.lineHeight }

    /// `title` has a line of its own, shortened if it must be.
    init(title: String, parts: [Part], face: Typeface, width: Int) {
        var lines: [String] = []
        if !title.isEmpty { lines.append(face.fitted(title, width: width)) }
        var line = ""
        var widest = ""
        for part in parts where !part.text.isEmpty {
            if line.isEmpty {
                (line, widest) = (part.text, part.widest)
            } else if face.width(widest + TextBlock.separator + part.widest) <= width {
                line += TextBlock.separator + part.text
                widest += TextBlock.separator + part.widest
            } else {
                lines.append(face.fitted(line, width: width))
                (line, widest) = (part.text, part.widest)
            }
        }
        if !line.isEmpty { lines.append(face.fitted(line, width: width)) }
        self.lines = lines
        self.face = face
    }

    func draw(on canvas: inout Canvas, x: Int, y: Int, titled: Bool) {
        for (index, line) in lines.enumerated() {
            let colour = titled && index == 0 ? Colour.white : Canvas.faintInk
            canvas.text(line, x: x, y: y + index * face.lineHeight, face, colour)
        }
    }
}

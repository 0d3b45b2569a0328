/// A picture around pictures: text above, colour bar on the right.
struct FrameLayout {
    static let background = Colour.black
    private static let margin = 8
    private static let barGap = 12

    var canvas: Canvas
    let contentX: Int
    let contentY: Int

    init(
        content: (width: Int, height: Int), title: String, parts: [TextBlock.Part], bar: ColourBar?, face: Typeface,
        style: OverlayStyle
    ) {
        let margin = style.showsHeader || bar != nil ? FrameLayout.margin : 0
        let barWidth = bar.map { FrameLayout.barGap + $0.width } ?? 0
        let width = 2 * margin + content.width + barWidth
        let text =
            style.showsHeader ? TextBlock(title: title, parts: parts, face: face, width: width - 2 * margin) : nil
        let rows = max(content.height, bar?.leastHeight ?? 0)
        let top = margin + (text.map { $0.height > 0 ? $0.height + 4 : 0 } ?? 0)
        canvas = Canvas(width: width, height: top + rows + margin, background: FrameLayout.background)
        contentX = margin
        contentY = top + (rows - content.height) / 2
        text?.draw(on: &canvas, x: margin, y: margin, titled: !title.isEmpty)
        bar?.draw(on: &canvas, x: margin + content.width + FrameLayout.barGap, y: top, height: rows)
    }
}

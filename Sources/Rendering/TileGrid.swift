/// Small pictures in rows and columns, each with a label, under one title and beside one colour bar: kernels, feature maps,
/// optimized inputs.
public struct TileGrid: Sendable {
    public struct Tile: Sendable {
        public var picture: Picture
        public var label: String

        public init(_ picture: Picture, label: String = "") {
            self.picture = picture
            self.label = label
        }
    }

    public var title: String
    /// What holds for all tiles, in lines under the title.
    public var parts: [String]
    /// Row by row; nil leaves a place empty.
    public var tiles: [Tile?]
    /// nil: as many as make the whole a little wider than high.
    public var columns: Int?
    /// Above each column, and before each row; fewer or none leave the rest without.
    public var columnTitles: [String] = []
    public var rowTitles: [String] = []
    /// The scale that all tiles share; nil draws no bar.
    public var palette: Palette?
    /// What the scale's numbers are.
    public var quantity = ""

    public init(title: String, parts: [String] = [], tiles: [Tile?], columns: Int? = nil) {
        precondition(tiles.contains { $0 != nil }, "a grid shows at least one tile")
        self.title = title
        self.parts = parts
        self.tiles = tiles
        self.columns = columns
    }

    private static let gap = 12

    public func picture() -> Picture {
        let face = Typeface.small
        let shown = tiles.compactMap { $0 }
        let tileWidth = shown.map(\.picture.width).max()!
        let tileHeight = shown.map(\.picture.height).max()!
        let isLabelled = shown.contains { !$0.label.isEmpty }
        let labelHeight = isLabelled ? face.lineHeight + 2 : 0
        let rowTitleWidth = rowTitles.map { face.width($0) }.max().map { $0 + 8 } ?? 0
        let columnTitleHeight = columnTitles.isEmpty ? 0 : face.lineHeight + 2
        // Labels wider than their tile would be cut: small tiles stand further apart.
        let labelWidth = shown.map { face.width($0.label) }.max() ?? 0
        let titleWidth = columnTitles.map { face.width($0) }.max() ?? 0
        let cellWidth = max(tileWidth, min(max(labelWidth, titleWidth), 2 * tileWidth + 60))
        let cellHeight = tileHeight + labelHeight
        let columns = max(1, min(columns ?? squarest(cellWidth, cellHeight), tiles.count))
        let rows = (tiles.count + columns - 1) / columns
        let contentWidth = rowTitleWidth + columns * (cellWidth + Self.gap) - Self.gap
        let contentHeight = columnTitleHeight + rows * (cellHeight + Self.gap) - Self.gap
        var style = OverlayStyle()
        style.showsHeader = true
        let bar = palette.map { ColourBar(lookup: $0.lookup, title: quantity, contours: [], face: face) }
        // Room for the title over a narrow grid.
        let least = min(face.width(title), 560)
        var layout = FrameLayout(
            content: (max(contentWidth, least), contentHeight), title: title, parts: parts.map { TextBlock.Part($0) },
            bar: bar, face: face, style: style)
        let (left, top) = (layout.contentX + rowTitleWidth, layout.contentY + columnTitleHeight)
        for (column, text) in columnTitles.prefix(columns).enumerated() {
            layout.canvas.text(
                face.fitted(text, width: cellWidth), x: left + column * (cellWidth + Self.gap), y: layout.contentY,
                face, Canvas.faintInk)
        }
        for (row, text) in rowTitles.prefix(rows).enumerated() {
            layout.canvas.text(
                text, x: layout.contentX,
                y: top + row * (cellHeight + Self.gap) + labelHeight + (tileHeight - face.capHeight) / 2, face,
                Canvas.faintInk)
        }
        for (place, tile) in tiles.enumerated() {
            guard let tile else { continue }
            let x = left + place % columns * (cellWidth + Self.gap)
            let y = top + place / columns * (cellHeight + Self.gap)
            if isLabelled { layout.canvas.text(face.fitted(tile.label, width: cellWidth), x: x, y: y + 1, face) }
            layout.canvas.draw(tile.picture, x: x, y: y + labelHeight)
        }
        return layout.canvas.picture
    }

    private func squarest(_ width: Int, _ height: Int) -> Int {
        (1...tiles.count).min { first, second in
            func elongation(_ columns: Int) -> Double {
                let rows = (tiles.count + columns - 1) / columns
                let ratio = Double(columns * (width + Self.gap)) / Double(rows * (height + Self.gap))
                return max(ratio / 1.4, 1.4 / ratio)
            }
            return elongation(first) < elongation(second)
        }!
    }
}

extension Picture {
    /// Pictures of one height from left to right with `gap` dark pixels between: the depth slices of one thing.
    public static func row(_ pictures: [Picture], gap: Int = 2) -> Picture {
        precondition(!pictures.isEmpty)
        let width = pictures.reduce(-gap) { $0 + $1.width + gap }
        var canvas = Canvas(width: width, height: pictures.map(\.height).max()!, background: Colour(hex: 0x303030))
        var x = 0
        for picture in pictures {
            canvas.draw(picture, x: x, y: 0)
            x += picture.width + gap
        }
        return canvas.picture
    }

    /// Every pixel as a square of `factor` × `factor`.
    public func enlarged(by factor: Int) -> Picture {
        precondition(factor >= 1)
        if factor == 1 { return self }
        var pixels: [UInt8] = []
        pixels.reserveCapacity(self.pixels.count * factor * factor)
        let channels = channels
        for y in 0..<height * factor {
            let row = y / factor * width
            for x in 0..<width * factor {
                let at = (row + x / factor) * channels
                pixels.append(contentsOf: self.pixels[at..<at + channels])
            }
        }
        return Picture(width: width * factor, height: height * factor, layout: layout, pixels: pixels)
    }
}

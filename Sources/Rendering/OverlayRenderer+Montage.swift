import Volumes

extension OverlayRenderer {
    /// Several slices in one picture with one colour bar, in the order given, each under its number and position.
    ///
    /// - Parameters:
    ///   - slices: the slices to show, at least one; ``hottest(_:count:)`` gives those worth it.
    ///   - columns: nil: as many as make the whole about as wide as high.
    public func montage(_ plane: Plane, slices: [Int], columns: Int? = nil) -> Picture {
        let frame = frame(plane)
        precondition(!slices.isEmpty && slices.allSatisfy((0..<frame.sliceCount).contains), "slices of the plane")
        let size = style.montageTileSize
        let display = DisplayGrid(frame: frame, size: size)
        let face = Typeface.small
        let gap = 6
        let captionHeight = face.lineHeight + 2
        let tileWidth = display.width * (style.isSideBySide ? 2 : 1) + (style.isSideBySide ? 2 : 0)
        let tileHeight = display.height + captionHeight
        let columns = max(1, min(slices.count, columns ?? squarest(slices.count, tileWidth, tileHeight)))
        let rows = (slices.count + columns - 1) / columns
        var layout = FrameLayout(
            content: (columns * (tileWidth + gap) - gap, rows * (tileHeight + gap) - gap), title: caption.scan,
            parts: textParts(frame, slice: nil), bar: colourBar(face), face: face, style: style)
        for (place, slice) in slices.enumerated() {
            let x = layout.contentX + place % columns * (tileWidth + gap)
            let y = layout.contentY + place / columns * (tileHeight + gap)
            layout.canvas.text(
                face.fitted(
                    isPicture ? "" : "\(slice + 1)/\(frame.sliceCount)  \(frame.positionLabel(slice: slice))",
                    width: tileWidth),
                x: x, y: y + 1, face)
            var panelX = x
            for panel in panels(frame, slice, display) {
                layout.canvas.draw(panel, x: panelX, y: y + captionHeight)
                panelX += panel.width + 2
            }
        }
        return layout.canvas.picture
    }

    private func squarest(_ count: Int, _ width: Int, _ height: Int) -> Int {
        (1...count).min { first, second in
            func elongation(_ columns: Int) -> Double {
                let ratio = Double(columns * width) / Double((count + columns - 1) / columns * height)
                // A little wider than high reads best.
                return max(ratio / 1.3, 1.3 / ratio)
            }
            return elongation(first) < elongation(second)
        }!
    }
}

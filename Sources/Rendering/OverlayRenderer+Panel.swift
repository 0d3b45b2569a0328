import Volumes

extension OverlayRenderer {
    /// The pictures of one slice that stand beside each other: the overlay, after the bare scan when the style asks for it.
    func panels(_ frame: SliceFrame, _ slice: Int, _ display: DisplayGrid) -> [Picture] {
        let bare = basePicture(frame, slice, display)
        var overlay = Canvas(bare)
        drawHeat(on: &overlay, frame, slice, display)
        var canvases = style.isSideBySide ? [Canvas(bare), overlay] : [overlay]
        for index in canvases.indices { drawMarks(on: &canvases[index], frame, display) }
        if scale.isBlank { drawBlankMessage(on: &canvases[canvases.count - 1], display) }
        return canvases.map(\.picture)
    }

    /// The slice of the scan under its window, or the 2D picture.
    func basePicture(_ frame: SliceFrame, _ slice: Int, _ display: DisplayGrid) -> Picture {
        let count = display.width * display.height
        switch base {
        case .scan(let scan, let window):
            let image = frame.extract(scan, slice: slice)
            let pixels = [UInt8](unsafeUninitializedCapacity: count * 3) { target, initialized in
                let base = target.baseAddress!
                image.forEachRow(on: display, .linear) { y, values in
                    window.paint(values, count: display.width, to: base + 3 * display.width * y)
                }
                initialized = count * 3
            }
            return Picture(width: display.width, height: display.height, layout: .rgb, pixels: pixels)
        case .picture(let channels):
            let planes = channels.map { frame.extract($0, slice: slice).sampled(on: display, .linear) }
            let pixels = [UInt8](unsafeUninitializedCapacity: count * 3) { target, initialized in
                for channel in 0..<3 {
                    for (pixel, value) in planes[min(channel, planes.count - 1)].enumerated() {
                        target[pixel * 3 + channel] = UInt8(value + 0.5)
                    }
                }
                initialized = count * 3
            }
            return Picture(width: display.width, height: display.height, layout: .rgb, pixels: pixels)
        }
    }

    /// Raw heat at the centres of the display's pixels.
    func heatValues(_ frame: SliceFrame, _ slice: Int, _ display: DisplayGrid) -> [Float] {
        guard let heatSampler else {
            return frame.extract(heat, slice: slice).sampled(on: display, style.interpolation)
        }
        let (origin, right, down) = frame.indices(slice: slice)
        return heatSampler.sample(
            origin: origin + right * display.native(x: 0) + down * display.native(y: 0), right: right * display.stepX,
            down: down * display.stepY, width: display.width, height: display.height, style.interpolation)
    }

    func drawHeat(on canvas: inout Canvas, _ frame: SliceFrame, _ slice: Int, _ display: DisplayGrid) {
        let (width, height) = (display.width, display.height)
        if !scale.isBlank {
            let values = heatValues(frame, slice, display)
            if style.fillsHeat { canvas.blend(values, width: width, height: height, lookup) }
            drawContours(on: &canvas, values, width: width, height: height)
        }
        if let outline = outline(frame, slice, display) {
            drawLines(outline, style.outlineColour, on: &canvas, width: width, height: height)
        }
    }

    private func drawContours(on canvas: inout Canvas, _ values: [Float], width: Int, height: Int) {
        let signs: [Float] = scale.isSigned ? [1, -1] : [1]
        for level in style.contours.sorted() where level > 0 && level < 1 {
            for sign in signs {
                let raw = Float(level) * scale.top * sign
                let segments = IsoLines.trace(values, width: width, height: height, level: raw)
                let colour = style.contourColour ?? lookup.entries[lookup.index(of: raw)].colour
                drawLines(segments, colour, on: &canvas, width: width, height: height)
            }
        }
    }

    /// A line in `colour` on a dark ground that sets it off from any picture.
    private func drawLines(_ segments: [Segment], _ colour: Colour, on canvas: inout Canvas, width: Int, height: Int) {
        if segments.isEmpty { return }
        let radius = Float(style.lineWidth) / 2
        var ground = Coverage(width: width, height: height)
        ground.stroke(segments, radius: radius + 1)
        canvas.blend(ground, .black, opacity: 0.55)
        var line = Coverage(width: width, height: height)
        line.stroke(segments, radius: radius)
        canvas.blend(line, colour)
    }

    /// The mask's outline on the slice in display pixels, or nil without a mask.
    private func outline(_ frame: SliceFrame, _ slice: Int, _ display: DisplayGrid) -> [Segment]? {
        guard let mask else { return nil }
        var image: SliceImage
        if let maskSampler {
            let (origin, right, down) = frame.indices(slice: slice)
            let (width, height) = (frame.across.count, frame.down.count)
            image = SliceImage(
                width: width, height: height,
                values: maskSampler.sample(
                    origin: origin, right: right, down: down, width: width, height: height, .nearest))
        } else {
            image = frame.extract(mask, slice: slice)
        }
        for index in image.values.indices { image.values[index] = image.values[index] != 0 ? 1 : 0 }
        return IsoLines.outline(image).map {
            Segment(start: display.display($0.start), end: display.display($0.end))
        }
    }

    /// Letters at the edges and the scale bar.
    private func drawMarks(on canvas: inout Canvas, _ frame: SliceFrame, _ display: DisplayGrid) {
        if isPicture { return }
        let face = OverlayRenderer.face(for: display)
        if style.showsLetters { drawLetters(on: &canvas, frame) }
        if style.showsScaleBar { drawScaleBar(on: &canvas, display, face) }
    }

    private func drawLetters(on canvas: inout Canvas, _ frame: SliceFrame) {
        let face = Typeface.large
        let inset = 6
        let (width, height) = (canvas.width, canvas.height)
        let (left, right) = (frame.left.rawValue, frame.right.rawValue)
        let (top, bottom) = (frame.top.rawValue, frame.bottom.rawValue)
        func draw(_ letter: Character, x: Int, y: Int) {
            canvas.text(String(letter), x: x, y: y, face, Colour(hex: 0xFFD84A), halo: true)
        }
        func letterWidth(_ letter: Character) -> Int { face.width(String(letter)) }
        let middle = (height - face.capHeight) / 2
        draw(left, x: inset, y: middle)
        draw(right, x: width - inset - letterWidth(right), y: middle)
        draw(top, x: (width - letterWidth(top)) / 2, y: inset)
        draw(bottom, x: (width - letterWidth(bottom)) / 2, y: height - inset - face.capHeight)
    }

    private func drawScaleBar(on canvas: inout Canvas, _ display: DisplayGrid, _ face: Typeface) {
        let span = Double(display.width) * display.pixel
        guard span.isFinite, span > 0 else { return }
        // At least a tenth, at most a quarter of the picture's width.
        let step = Numbers.roundStep(span: span, most: 10)
        let length = step * 2 <= span / 4 ? step * 2 : step
        let pixels = Int((length / display.pixel).rounded())
        let label = Numbers.label(length, step: length, largest: length) + " mm"
        let (x, y) = (8, canvas.height - 10)
        canvas.fill(x: x - 1, y: y - 1, width: pixels + 2, height: 4, .black)
        canvas.fill(x: x, y: y, width: pixels, height: 2, .white)
        canvas.text(label, x: x, y: y - face.capHeight - 5, face, .white, halo: true)
    }

    private func drawBlankMessage(on canvas: inout Canvas, _ display: DisplayGrid) {
        let face = OverlayRenderer.face(for: display)
        let text = face.fitted(scale.blankMessage, width: canvas.width - 8)
        let (width, height) = (face.width(text) + 16, face.capHeight + 14)
        let (x, y) = ((canvas.width - width) / 2, (canvas.height - height) / 2)
        canvas.fill(x: x, y: y, width: width, height: height, Colour(hex: 0x202020))
        canvas.text(text, x: x + 8, y: y + 7, face, Colour(hex: 0xFFD84A))
    }
}

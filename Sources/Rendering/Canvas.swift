/// An RGB picture that is drawn on. Whatever reaches over its edges is cut off.
struct Canvas {
    private(set) var picture: Picture

    var width: Int { picture.width }
    var height: Int { picture.height }

    init(width: Int, height: Int, background: Colour) {
        picture = Picture(width: width, height: height, layout: .rgb, filledWith: background)
    }

    init(_ picture: Picture) { self.picture = picture.rgb }

    /// Copies `other` with its upper left pixel at (x, y).
    mutating func draw(_ other: Picture, x: Int, y: Int) {
        let other = other.rgb
        let columns = max(0, -x)..<max(max(0, -x), min(other.width, width - x))
        if columns.isEmpty { return }
        for row in 0..<other.height where (0..<height).contains(y + row) {
            let target = ((y + row) * width + x + columns.lowerBound) * 3
            let source = (row * other.width + columns.lowerBound) * 3
            picture.pixels.withUnsafeMutableBufferPointer { pixels in
                other.pixels.withUnsafeBufferPointer { other in
                    (pixels.baseAddress! + target).update(from: other.baseAddress! + source, count: columns.count * 3)
                }
            }
        }
    }

    mutating func fill(x: Int, y: Int, width: Int, height: Int, _ colour: Colour) {
        for row in max(0, y)..<max(max(0, y), min(self.height, y + height)) {
            for column in max(0, x)..<max(max(0, x), min(self.width, x + width)) {
                let index = (row * self.width + column) * 3
                picture.pixels[index] = colour.red
                picture.pixels[index + 1] = colour.green
                picture.pixels[index + 2] = colour.blue
            }
        }
    }

    /// Lays `colour` over what is there, as far as `coverage` covers, with its upper left pixel at (x, y).
    mutating func blend(_ coverage: Coverage, _ colour: Colour, opacity: Float = 1, x: Int = 0, y: Int = 0) {
        blend(coverage.values, width: coverage.width, height: coverage.height, colour, opacity: opacity, x: x, y: y)
    }

    private mutating func blend(
        _ coverage: [Float], width: Int, height: Int, _ colour: Colour, opacity: Float, x: Int, y: Int
    ) {
        let (ownWidth, ownHeight) = (self.width, self.height)
        @inline(__always)
        func mix(_ base: UInt8, _ colour: UInt8, _ share: Float) -> UInt8 {
            let below = Float(base)
            return UInt8(below + (Float(colour) - below) * share + 0.5)
        }
        picture.pixels.withUnsafeMutableBufferPointer { pixels in
            coverage.withUnsafeBufferPointer { coverage in
                for row in max(0, -y)..<max(max(0, -y), min(height, ownHeight - y)) {
                    for column in max(0, -x)..<max(max(0, -x), min(width, ownWidth - x)) {
                        let share = coverage[row * width + column] * opacity
                        if share <= 0 { continue }
                        let index = ((y + row) * ownWidth + x + column) * 3
                        pixels[index] = mix(pixels[index], colour.red, share)
                        pixels[index + 1] = mix(pixels[index + 1], colour.green, share)
                        pixels[index + 2] = mix(pixels[index + 2], colour.blue, share)
                    }
                }
            }
        }
    }

    /// Lays heat over the pixels of a part of the picture: entry `lookup.index(of: heat)` for each, rows of `width` from (x, y).
    mutating func blend(_ heat: [Float], width: Int, height: Int, _ lookup: HeatLookup, x: Int = 0, y: Int = 0) {
        precondition(heat.count == width * height && x >= 0 && y >= 0)
        precondition(x + width <= self.width && y + height <= self.height)
        let ownWidth = self.width
        picture.pixels.withUnsafeMutableBufferPointer { pixels in
            heat.withUnsafeBufferPointer { heat in
                for row in 0..<height {
                    lookup.paint(
                        heat.baseAddress! + row * width, count: width,
                        over: pixels.baseAddress! + ((y + row) * ownWidth + x) * 3)
                }
            }
        }
    }

    /// Writes `text` with the tops of its capitals at row `y`; `halo` darkens the ground around the letters.
    mutating func text(
        _ text: String, x: Int, y: Int, _ face: Typeface, _ colour: Colour = Canvas.ink, halo: Bool = false
    ) {
        for isInk in halo ? [false, true] : [true] {
            var pen = x
            for glyph in face.glyphs(text) {
                let shape = isInk ? glyph.ink : glyph.halo
                blend(
                    shape, isInk ? colour : .black, opacity: isInk ? 1 : 0.75, x: pen - face.margin, y: y - face.margin)
                pen += glyph.advance
            }
        }
    }

    /// Writes `text` from bottom to top, its letters' tops at column `x`, beginning at row `y`.
    mutating func uprightText(_ text: String, x: Int, y: Int, _ face: Typeface, _ colour: Colour = Canvas.ink) {
        var pen = y
        for glyph in face.glyphs(text) {
            let turned = glyph.ink.turned
            blend(turned, colour, x: x - face.margin, y: pen + face.margin - turned.height + 1)
            pen -= glyph.advance
        }
    }

    /// The colour of text on black.
    static let ink = Colour(hex: 0xE8E8E8)
    static let faintInk = Colour(hex: 0xA8A8A8)
}

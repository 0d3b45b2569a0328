import Foundation
import Testing

@testable import Rendering

struct IsoLineTests {
    /// A cone's level set is a circle: every end of a segment lies on it, and the segments close to its circumference.
    @Test func aCircle() {
        let (width, height, radius) = (61, 57, Float(20))
        let centre = SIMD2<Float>(29.3, 27.8)
        func distance(_ point: SIMD2<Float>) -> Float { ((point - centre) * (point - centre)).sum().squareRoot() }
        let values = (0..<width * height).map { -distance(SIMD2(Float($0 % width), Float($0 / width))) }
        let segments = IsoLines.trace(values, width: width, height: height, level: -radius)
        var length: Float = 0
        var ends: [SIMD2<Int>: Int] = [:]
        for segment in segments {
            for end in [segment.start, segment.end] {
                #expect(abs(distance(end) - radius) < 0.02)
                ends[SIMD2(Int((end.x * 1024).rounded()), Int((end.y * 1024).rounded())), default: 0] += 1
            }
            let step = segment.end - segment.start
            length += (step * step).sum().squareRoot()
        }
        #expect(ends.values.allSatisfy { $0 == 2 })
        #expect(abs(length - 2 * .pi * radius) < 0.3)
    }

    @Test func everyCornerPatternSeparatesAboveFromBelow() {
        for pattern in 0..<16 {
            let values = [1, 2, 8, 4].map { pattern & $0 != 0 ? Float(1) : 0 }
            let segments = IsoLines.trace(values, width: 2, height: 2, level: 0.4)
            let crossings = [(0, 1), (1, 3), (2, 3), (0, 2)].filter { values[$0.0] != values[$0.1] }.count
            #expect(segments.count * 2 == crossings)
            for segment in segments {
                for end in [segment.start, segment.end] {
                    // On the sides of the cell, at 0.4 from the lower to the higher corner.
                    let inside = [end.x, end.y].filter { $0 > 0 && $0 < 1 }
                    #expect(inside.count == 1 && (abs(inside[0] - 0.4) < 1e-6 || abs(inside[0] - 0.6) < 1e-6))
                }
            }
        }
    }

    /// Two hot corners on a diagonal: joined where the mean lies above the level, apart where it lies below.
    @Test func saddles() {
        let values: [Float] = [1, 0, 0, 1]
        let joined = IsoLines.trace(values, width: 2, height: 2, level: 0.4)
        let apart = IsoLines.trace(values, width: 2, height: 2, level: 0.6)
        // Joined: the lines cut off the cold corners (1, 0) and (0, 1); apart: the hot ones (0, 0) and (1, 1).
        func middles(_ segments: [Segment]) -> [SIMD2<Float>] { segments.map { ($0.start + $0.end) / 2 } }
        #expect(
            middles(joined).contains { $0.x > 0.5 && $0.y < 0.5 }
                && middles(joined).contains { $0.x < 0.5 && $0.y > 0.5 })
        #expect(
            middles(apart).contains { $0.x < 0.5 && $0.y < 0.5 } && middles(apart).contains { $0.x > 0.5 && $0.y > 0.5 }
        )
    }

    /// A mask that touches the picture's edge is closed along it; one pixel is a diamond around its centre.
    @Test func outlines() {
        let full = IsoLines.outline(SliceImage(width: 3, height: 2, values: [Float](repeating: 4, count: 6)))
        #expect(
            full.allSatisfy {
                [$0.start, $0.end].allSatisfy { $0.x >= -0.5 && $0.x <= 2.5 && $0.y >= -0.5 && $0.y <= 1.5 }
            })
        #expect(full.contains { $0.start.x == -0.5 && $0.end.x == -0.5 })
        var values = [Float](repeating: 0, count: 25)
        values[12] = 1
        let one = IsoLines.outline(SliceImage(width: 5, height: 5, values: values))
        #expect(one.count == 4)
        #expect(one.allSatisfy { abs(abs($0.start.x - 2) + abs($0.start.y - 2) - 0.5) < 1e-6 })
        #expect(IsoLines.outline(SliceImage(width: 2, height: 1, values: [0, 0.5])).isEmpty)
        #expect(IsoLines.trace([1], width: 1, height: 1, level: 0.5).isEmpty)
    }
}

struct CoverageTests {
    /// Antialiasing keeps the area: a line of length L and width w covers about L·w + π(w/2)².
    @Test(arguments: [0, 17, 45, 90, 133])
    func areaOfALine(_ degrees: Double) {
        var coverage = Coverage(width: 80, height: 80)
        let angle = Float(degrees * .pi / 180)
        let start = SIMD2<Float>(40.2, 39.7)
        let end = start + SIMD2(cos(angle), sin(angle)) * 30
        coverage.stroke([Segment(start: start, end: end)], radius: 1.5)
        let area = coverage.values.reduce(0, +)
        let expected: Float = 30 * 3 + .pi * 2.25
        #expect(abs(area - expected) < expected * 0.03)
        #expect(coverage.values.allSatisfy { (0...1).contains($0) })
    }

    @Test func linesFarOutsideAndAcrossTheEdge() {
        var coverage = Coverage(width: 10, height: 6)
        coverage.stroke(
            [
                Segment(start: [-50, -50], end: [-40, -50]), Segment(start: [9.6, 2], end: [30, 2]),
                Segment(start: [100, 100], end: [100, 101]), Segment(start: [5, -10], end: [5, 20]),
            ], radius: 0.5)
        #expect(coverage.values[2 * 10 + 9] > 0.3)
        #expect((0..<6).allSatisfy { coverage.values[$0 * 10 + 5] == 1 })
        #expect(coverage.values[0] == 0)
    }
}

struct CanvasTests {
    @Test func drawingBeyondTheEdgesIsCutOff() {
        let patch = Picture(width: 4, height: 4, filledWith: .white)
        for (x, y, seen) in [(-2, -2, 4), (8, 4, 4), (3, 2, 16), (-9, 0, 0), (0, 99, 0), (7, -3, 3)] {
            var canvas = Canvas(width: 10, height: 6, background: .black)
            canvas.draw(patch, x: x, y: y)
            var filled = Canvas(width: 10, height: 6, background: .black)
            filled.fill(x: x, y: y, width: 4, height: 4, .white)
            let expected = seen
            #expect(canvas.picture.pixels.filter { $0 == 255 }.count == expected * 3, "\(x), \(y)")
            #expect(canvas.picture == filled.picture)
        }
    }

    @Test func textStaysInItsBoxAndHasItsWidth() {
        for face in [Typeface.small, .large] {
            let text = "Hg 0.97"
            var canvas = Canvas(width: 200, height: 60, background: .black)
            canvas.text(text, x: 20, y: 20, face, .white)
            var (left, right, top, bottom) = (999, 0, 999, 0)
            for y in 0..<60 {
                for x in 0..<200 where canvas.picture[x, y].red > 128 {
                    (left, right, top, bottom) = (min(left, x), max(right, x), min(top, y), max(bottom, y))
                }
            }
            #expect(left == 20 && top == 20)
            #expect(abs(right - left + 1 - face.width(text)) <= 1)
            #expect(bottom > 20 + face.capHeight - 1 && bottom < 20 + face.lineHeight)
        }
    }

    @Test func uprightTextIsTheSameTurned() {
        var flat = Canvas(width: 90, height: 90, background: .black)
        flat.text("Grad-CAM", x: 10, y: 30, .small, .white)
        var upright = Canvas(width: 90, height: 90, background: .black)
        upright.uprightText("Grad-CAM", x: 30, y: 79, .small, .white)
        for y in 0..<90 {
            for x in 0..<90 { #expect(flat.picture[x, y] == upright.picture[y, 89 - x]) }
        }
    }

    @Test func everyGlyphIsDrawnAndDifferent() {
        let characters = (0x20...0x7E).map { Character(UnicodeScalar($0)!) } + "°²³µ−–—×±≤≥·…→Δασ"
        let glyphs = characters.map { Typeface.large.glyphs(String($0))[0].ink }
        for (character, glyph) in zip(characters, glyphs) where character != " " {
            #expect(glyph.values.contains { $0 > 0.5 }, "\(character)")
        }
        #expect(Set(glyphs.map { "\($0.width) \($0.values)" }).count == characters.count)
        let box = Typeface.small.glyphs("漢")[0].ink.values
        #expect(Typeface.small.glyphs("é")[0].ink.values == Typeface.small.glyphs("e")[0].ink.values)
        #expect(box != Typeface.small.glyphs("e")[0].ink.values)
    }

    @Test func longTextIsShortened() {
        let fitted = Typeface.small.fitted("a very long name of a scan", width: 80)
        #expect(fitted.hasSuffix("…") && Typeface.small.width(fitted) <= 80)
        #expect(Typeface.small.fitted("short", width: 80) == "short")
    }
}

struct NumbersTests {
    @Test func labels() {
        #expect(Numbers.fixed(-1350, decimals: 0) == "−1350")
        #expect(Numbers.fixed(-0.04, decimals: 1) == "0.0")
        #expect(Numbers.label(0.01, step: 0.005, largest: 0.0123) == "0.010")
        #expect(Numbers.label(-20, step: 20, largest: 60) == "−20")
        #expect(Numbers.label(2e-5, step: 1e-5, largest: 4e-5) == "2e−5")
        #expect(Numbers.label(2.5e7, step: 5e6, largest: 3e7) == "2.5e7")
        #expect(Numbers.end(0.012345) == "0.0123")
        #expect(Numbers.end(-2) == "−2")
        #expect(Numbers.end(100) == "100")
        #expect(Numbers.end(4.5e-7) == "4.5e−7")
    }

    @Test func roundSteps() {
        #expect(abs(Numbers.roundStep(span: 0.0123, most: 6) - 0.005) < 1e-12)
        #expect(Numbers.roundStep(span: 60, most: 6) == 10)
        #expect(Numbers.roundStep(span: 61, most: 6) == 20)
        for span in [1e-30, 3e-7, 0.99, 1, 5, 7777, 1e30] {
            let step = Numbers.roundStep(span: span, most: 6)
            #expect(span / step <= 6 * (1 + 1e-9) && span / step > 2)
        }
    }
}

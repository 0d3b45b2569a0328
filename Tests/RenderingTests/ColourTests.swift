import Failures
import Foundation
import TestSupport
import Testing
import Volumes

@testable import Rendering

struct ColourMapTests {
    /// The largest difference from matplotlib's 256 colours, in 8-bit steps, that the documentation promises.
    @Test(arguments: [
        (ColourMap.viridis, 1), (.inferno, 1), (.magma, 1), (.plasma, 3), (.turbo, 1),
    ])
    func isCloseToMatplotlib(_ map: ColourMap, _ allowed: Int) {
        let table = PNGTests.reference.integer("map.\(map.rawValue)")!
        var largest = 0
        for index in 0..<256 {
            let colour = map.colour(at: Double(index) / 255)
            for (channel, sample) in [colour.red, colour.green, colour.blue].enumerated() {
                largest = max(largest, abs(Int(sample) - Int(table.values[index * 3 + channel])))
            }
        }
        #expect(largest <= allowed)
    }

    @Test func jetAndHotFollowTheirDefinitions() {
        #expect(ColourMap.jet.colour(at: 0) == Colour(0, 0, 128))
        #expect(ColourMap.jet.colour(at: 0.125) == Colour(0, 0, 255))
        #expect(ColourMap.jet.colour(at: 0.5) == Colour(128, 255, 128))
        #expect(ColourMap.jet.colour(at: 1) == Colour(128, 0, 0))
        #expect(ColourMap.hot.colour(at: 0.375) == Colour(255, 0, 0))
        #expect(ColourMap.hot.colour(at: 0.75) == Colour(255, 255, 0))
        #expect(ColourMap.gray.colour(at: 0.5) == Colour(128, 128, 128))
    }

    @Test func divergingIsNeutralInTheMiddleAndEvenlyLight() {
        #expect(ColourMap.diverging.colour(at: 0.5) == Colour(hex: 0xE6E6E6))
        func lightness(_ position: Double) -> Double {
            let colour = ColourMap.diverging.colour(at: position)
            func linear(_ sample: UInt8) -> Double {
                let s = Double(sample) / 255
                return s <= 0.04045 ? s / 12.92 : pow((s + 0.055) / 1.055, 2.4)
            }
            let y = 0.2126 * linear(colour.red) + 0.7152 * linear(colour.green) + 0.0722 * linear(colour.blue)
            return 116 * cbrt(y) - 16
        }
        for step in 0...10 {
            let distance = Double(step) / 20
            #expect(abs(lightness(0.5 - distance) - lightness(0.5 + distance)) < 6, "\(distance)")
        }
    }

    @Test func outsideAndNotANumberAreHeldWithin() {
        for map in ColourMap.allCases {
            #expect(map.colour(at: -3) == map.colour(at: 0))
            #expect(map.colour(at: .nan) == map.colour(at: 0))
            #expect(map.colour(at: .infinity) == map.colour(at: 1))
        }
    }

    @Test func namesAreFoundOrOffered() throws {
        #expect(try ColourMap(named: "Viridis") == .viridis)
        let failure = try #require(throws: Failure.self) { try ColourMap(named: "virdis") }
        #expect(failure.remedy.contains("viridis"))
    }
}

struct ScaleRangeTests {
    let grid = Grid(shape: [4, 1, 1], affine: .identity)
    func map(_ values: [Float]) -> Volume { Volume(grid: grid, voxels: values) }

    @Test func rectifiedAndSigned() {
        let values: [Float] = [-3, 0, 1, 2]
        let rectified = ScaleRange(of: map(values))
        #expect(rectified.top == 2 && rectified.origin == .own && !rectified.isSigned)
        #expect(values.map(rectified.position(of:)) == [0, 0, 0.5, 1])
        #expect(values.map(rectified.strength(of:)) == [0, 0, 0.5, 1])
        let signed = ScaleRange(of: map(values), signed: true)
        #expect(signed.top == 3)
        #expect(signed.position(of: -3) == 0 && signed.position(of: 0) == 0.5 && signed.position(of: 9) == 1)
        #expect(signed.strength(of: -3) == 1 && abs(signed.strength(of: 1) - 1.0 / 3) < 1e-6)
        #expect(abs(signed.raw(at: 0.25) + 1.5) < 1e-9 && abs(rectified.raw(at: 0.25) - 0.5) < 1e-9)
    }

    @Test func blankMapsSaySo() {
        let negative = map([-3, -1, 0, -2])
        #expect(ScaleRange(of: negative).isBlank)
        #expect(ScaleRange(of: negative).blankMessage == "no positive evidence")
        #expect(ScaleRange(of: negative).strength(of: -3) == 0)
        #expect(!ScaleRange(of: negative, signed: true).isBlank)
        #expect(ScaleRange(of: map([0, 0, 0, 0]), signed: true).isBlank)
    }

    @Test func sharedIsTheWidestAndFixedStays() {
        let ranges = [map([0, 1, 0, 0]), map([0, 0, 5, -9]), map([-1, -1, -1, -1])].map { ScaleRange(of: $0) }
        let shared = ScaleRange.shared(ranges)
        #expect(shared.top == 5 && shared.origin == .shared)
        #expect(ScaleRange.shared([ScaleRange]()).isBlank)
        #expect(ScaleRange.fixed(0.25).origin == .fixed && ScaleRange.fixed(0.25).position(of: 0.125) == 0.5)
    }

    @Test func notFiniteCountsAsNothing() {
        let range = ScaleRange(of: map([.nan, .infinity, 2, -.infinity]))
        #expect(range.top == 2)
        #expect(range.strength(of: .nan) == 0 && range.strength(of: .infinity) == 1)
    }
}

struct HeatLookupTests {
    @Test func opacityFollowsTheDocumentedCurve() {
        let alpha = OverlayStyle.Alpha(opacity: 0.8, threshold: 0.2, exponent: 2)
        #expect(alpha(0) == 0 && alpha(0.2) == 0 && alpha(.nan) == 0)
        #expect(abs(alpha(0.6) - 0.8 * 0.25) < 1e-12)
        #expect(alpha(1) == 0.8 && alpha(7) == 0.8)
        let lookup = HeatLookup(map: .viridis, scale: .fixed(4), alpha: alpha)
        #expect(lookup.entries[lookup.index(of: 0.8)].alpha == 0)
        #expect(lookup.entries[lookup.index(of: 2.4)].alpha == 51)
        #expect(lookup.entries[lookup.index(of: 4)].alpha == 204)
    }

    /// Against the definition, value by value: never more than half a step of the table off.
    @Test(arguments: [false, true]) func theTableIsTheDefinition(_ signed: Bool) {
        let scale = ScaleRange.fixed(0.37, signed: signed)
        let lookup = HeatLookup(map: .turbo, scale: scale, alpha: .init())
        for step in -2000...2000 {
            let raw = Float(step) * 0.0003
            let position = Float(lookup.index(of: raw)) / Float(HeatLookup.steps)
            #expect(abs(position - scale.position(of: raw)) <= 0.5 / Float(HeatLookup.steps) + 1e-6)
        }
        let middle = lookup.index(of: 0)
        #expect(middle == (signed ? HeatLookup.steps / 2 : 0) && lookup.entries[middle].alpha == 0)
        #expect(lookup.index(of: .nan) == middle)
        #expect(lookup.index(of: .infinity) == HeatLookup.steps && lookup.index(of: -.infinity) == 0)
    }

    /// Rows of pixels, painted as one, are what each value gives by itself: grey under heat, whatever the value.
    @Test(arguments: [false, true]) func rowsArePaintedAsTheirValues(_ signed: Bool) {
        var numbers = SeededNumbers(4)
        let special: [Float] = [.nan, .infinity, -.infinity, 0, -0.0, 4, -4, 2, 1e30, -1e30, -250, 250]
        var values = special
        for _ in 0..<400 { values.append(numbers.float(-5...5)) }
        let scale = ScaleRange.fixed(4, signed: signed)
        let lookup = HeatLookup(map: .inferno, scale: scale, alpha: OverlayStyle.Alpha())
        let window = GreyWindow(.hu(HUWindow(lower: -2.5, upper: 3), name: ""), of: volume([0, 1]))
        var pixels = [UInt8](repeating: 99, count: values.count * 3)
        window.paint(values, count: values.count, to: &pixels)
        var greys: [UInt8] = []
        for value in values { greys += [UInt8](repeating: window.grey(value), count: 3) }
        #expect(pixels == greys)
        lookup.paint(values, count: values.count, over: &pixels)
        var expected: [UInt8] = []
        for value in values {
            let entry: HeatLookup.Entry = lookup.entries[lookup.index(of: value)]
            let below = Int(window.grey(value))
            let alpha = Int(entry.alpha)
            for colour: UInt8 in [entry.colour.red, entry.colour.green, entry.colour.blue] {
                let mixed: Int = (below * (255 - alpha) + Int(colour) * alpha + 127) / 255
                expected.append(UInt8(mixed))
            }
        }
        #expect(pixels == expected)
    }

    private func volume(_ values: [Float]) -> Volume {
        Volume(grid: Grid(shape: [values.count, 1, 1], affine: .identity), voxels: values)
    }

    @Test func aBlankScaleColoursNothing() {
        let scale = ScaleRange(of: Volume(grid: Grid(shape: [1, 1, 1], affine: .identity), voxels: [-1]))
        let lookup = HeatLookup(map: .inferno, scale: scale, alpha: .init(opacity: 1, threshold: 0))
        for raw: Float in [-5, 0, 3, .infinity, .nan] { #expect(lookup.entries[lookup.index(of: raw)].alpha == 0) }
    }

    /// One pixel mixed by hand: grey 100 under a colour at alpha 51.
    @Test func mixing() {
        var canvas = Canvas(width: 1, height: 1, background: Colour(100, 100, 100))
        let alpha = OverlayStyle.Alpha(opacity: 0.2, threshold: 0, exponent: 1)
        let lookup = HeatLookup(map: .jet, scale: .fixed(1), alpha: alpha)
        canvas.blend([1], width: 1, height: 1, lookup)
        // Dark red (128, 0, 0) with 51/255 over 100: 105.6 and 80.
        #expect(canvas.picture[0, 0] == Colour(106, 80, 80))
    }
}

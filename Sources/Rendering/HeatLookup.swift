import CVoxels

/// The colour and opacity of every step of a scale, computed once for all pixels of all slices.
struct HeatLookup: Sendable {
    struct Entry: Sendable, Hashable {
        var colour: Colour
        var alpha: UInt8
    }

    /// Steps of the position 0…1; even, so that the middle of a signed scale is a step of its own.
    static let steps = 1024

    let scale: ScaleRange
    let entries: [Entry]
    private let tints: [tomo_tint]
    private let slope: Float
    private let offset: Float

    init(map: ColourMap, scale: ScaleRange, alpha: OverlayStyle.Alpha) {
        self.init(map: map, scale: scale) { alpha($0) }
    }

    /// Colours that hide what is below them, at any strength.
    init(opaque map: ColourMap, scale: ScaleRange) {
        self.init(map: map, scale: scale) { _ in 1 }
    }

    private init(map: ColourMap, scale: ScaleRange, opacity: (_ strength: Double) -> Double) {
        self.scale = scale
        let entries = (0...HeatLookup.steps).map { step in
            let position = Double(step) / Double(HeatLookup.steps)
            let strength = scale.isSigned ? abs(2 * position - 1) : position
            return Entry(colour: map.colour(at: position), alpha: UInt8(opacity(strength) * 255 + 0.5))
        }
        self.entries = entries
        tints = entries.map {
            tomo_tint(red: $0.colour.red, green: $0.colour.green, blue: $0.colour.blue, alpha: $0.alpha)
        }
        let steps = Float(HeatLookup.steps)
        slope = scale.isBlank ? 0 : (scale.isSigned ? steps / 2 : steps) / scale.top
        offset = scale.isSigned ? steps / 2 : 0
    }

    /// The entry for a raw value: the step nearest to its ``ScaleRange/position(of:)``.
    @inline(__always)
    func index(of raw: Float) -> Int {
        let step = raw * slope + offset + 0.5
        // Written so that what is not a number becomes no evidence.
        if step >= Float(HeatLookup.steps) { return HeatLookup.steps }
        if step > 0 { return Int(step) }
        return step <= 0 ? 0 : Int(offset)
    }

    /// Lays the entries for a row of raw values over as many pixels of red, green and blue.
    func paint(_ values: UnsafePointer<Float>, count: Int, over pixels: UnsafeMutablePointer<UInt8>) {
        tomo_tint_pixels(values, slope, offset, Int32(HeatLookup.steps), tints, pixels, Int64(count))
    }
}

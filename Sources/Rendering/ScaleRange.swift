import Volumes

/// Which raw heat gets which end of the colours: the one place where a map is normalised.
///
/// Maps are kept signed and raw; bringing them to 0…1 is a choice of rendering, and the choice is printed beside the colour bar.
/// With `top` the raw value at the warm end:
/// - rectified: position = strength = clamp(raw / top, 0, 1). Evidence against the target is not shown.
/// - signed: position = (clamp(raw / top, −1, 1) + 1) / 2, strength = |clamp(raw / top, −1, 1)|. Zero is the middle colour.
///
/// `position` chooses the colour, `strength` drives the opacity. Raw values that are not numbers count as 0.
public struct ScaleRange: Sendable, Hashable {
    /// Where `top` comes from.
    public enum Origin: String, Sendable {
        /// The largest value of the map itself: maps cannot be compared with one another.
        case own
        /// The map itself without its few strongest values, which share the end of the scale.
        case clipped = "own, clipped"
        /// The largest value over several maps.
        case shared
        /// A number chosen by the user.
        case fixed
    }

    /// The raw value at the end of the scale; 0 when there is nothing to show.
    public let top: Float
    /// Whether negative values are shown.
    public let isSigned: Bool
    public let origin: Origin

    private init(top: Float, isSigned: Bool, origin: Origin) {
        self.top = top
        self.isSigned = isSigned
        self.origin = origin
    }

    /// The scale that ends at the map's own largest value (largest magnitude when signed).
    public init(of map: Volume, signed: Bool = false) { self.init(of: map.voxels, signed: signed) }

    /// As ``init(of:signed:)-(Volume,_)`` for any values.
    public init(of values: [Float], signed: Bool = false) {
        var top: Float = 0
        if signed {
            for value in values where abs(value) > top && value.isFinite { top = abs(value) }
        } else {
            for value in values where value > top && value.isFinite { top = value }
        }
        self.init(top: top, isSigned: signed, origin: .own)
    }

    /// The scale that leaves out outliers: it ends where the values below it make up all of the map's sum but `outliers`.
    ///
    /// Gradients on single voxels have few values many times as large as all others, and on a scale up to the largest nothing else
    /// is seen. The rule is Captum's (`visualize_image_attr`, which leaves out 2 % of the sum). The end is exact to 1 %.
    ///
    /// - Parameters:
    ///   - outliers: a part of the sum of what is shown (of magnitudes when signed); 0: the scale ends at the largest value.
    public init(of map: Volume, signed: Bool = false, outliers: Double) {
        let whole = ScaleRange(of: map, signed: signed)
        guard outliers > 0, !whole.isBlank else {
            self = whole
            return
        }
        // Sums by the upper half of a value's bits: 128 steps from each power of two to the next.
        func step(_ value: Float) -> Int { Int(value.bitPattern >> 16) }
        var sums = [Double](repeating: 0, count: step(whole.top) + 1)
        map.voxels.withUnsafeBufferPointer { voxels in
            sums.withUnsafeMutableBufferPointer { sums in
                for voxel in voxels {
                    let value = signed ? abs(voxel) : voxel
                    if value > 0, value.isFinite { sums[step(value)] += Double(value) }
                }
            }
        }
        let end = sums.reduce(0, +) * (1 - outliers)
        var sum = 0.0
        let last = sums.firstIndex { value in
            sum += value
            return sum >= end
        }
        let top = min(whole.top, Float(bitPattern: UInt32((last ?? step(whole.top)) + 1) << 16))
        self.init(top: top, isSigned: signed, origin: top < whole.top ? .clipped : .own)
    }

    /// The scale that ends at `top`, a finite number above 0.
    public static func fixed(_ top: Float, signed: Bool = false) -> ScaleRange {
        precondition(top > 0 && top.isFinite, "a scale that ends above 0")
        return ScaleRange(top: top, isSigned: signed, origin: .fixed)
    }

    /// One scale for several maps: the widest of theirs. Signed when any of them is.
    public static func shared(_ ranges: some Sequence<ScaleRange>) -> ScaleRange {
        ranges.reduce(ScaleRange(top: 0, isSigned: false, origin: .shared)) { widest, range in
            ScaleRange(
                top: max(widest.top, range.top), isSigned: widest.isSigned || range.isSigned, origin: .shared)
        }
    }

    /// Nothing to show: no value above 0 (other than 0 when signed).
    public var isBlank: Bool { !(top > 0) }

    /// What a picture says in place of colours when the scale is blank.
    public var blankMessage: String { isSigned ? "map is zero everywhere" : "no positive evidence" }

    /// Where on the colour map a raw value lies, 0…1.
    public func position(of raw: Float) -> Float {
        let value = relative(raw)
        return isSigned ? (value + 1) / 2 : value
    }

    /// How much there is to see of a raw value, 0…1.
    public func strength(of raw: Float) -> Float { abs(relative(raw)) }

    /// The raw value at a colour position in 0…1: the inverse of ``position(of:)`` inside the scale.
    public func raw(at position: Double) -> Double {
        Double(top) * (isSigned ? 2 * position - 1 : position)
    }

    private func relative(_ raw: Float) -> Float {
        guard top > 0, !raw.isNaN else { return 0 }
        return max(isSigned ? -1 : 0, min(1, raw / top))
    }
}

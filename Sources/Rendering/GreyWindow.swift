import CVoxels
import Volumes
import Workers

extension OverlayStyle.Window {
    /// What becomes black and what white.
    public func ends(of scan: Volume) -> HUWindow {
        let window = GreyWindow(self, of: scan)
        return HUWindow(lower: window.lower, upper: window.upper)
    }
}

/// The mapping from a scan's values to grey.
struct GreyWindow: Sendable, Hashable {
    let lower: Float
    let upper: Float
    /// What pictures say about it.
    let label: String

    init(_ window: OverlayStyle.Window, of scan: Volume) {
        switch window {
        case .hu(let window, let name):
            lower = window.lower
            upper = window.upper
            let range = "\(GreyWindow.text(window.lower)) to \(GreyWindow.text(window.upper)) HU"
            label = name.isEmpty ? "window \(range)" : "\(name) window \(range)"
        case .automatic:
            (lower, upper) = GreyWindow.percentiles(scan.voxels)
            label = "grey \(GreyWindow.text(lower)) to \(GreyWindow.text(upper))"
        }
    }

    /// 0 at `lower` and below (and for what is not a number), 255 at `upper` and above.
    @inline(__always)
    func grey(_ value: Float) -> UInt8 {
        let relative = (value - lower) / (upper - lower)
        return relative > 0 ? (relative < 1 ? UInt8(relative * 255 + 0.5) : 255) : 0
    }

    /// ``grey(_:)`` of a row of values, as red, green and blue of as many pixels.
    func paint(_ values: UnsafePointer<Float>, count: Int, to pixels: UnsafeMutablePointer<UInt8>) {
        tomo_grey_pixels(values, lower, upper, pixels, Int64(count))
    }

    /// The 1st and 99th percentile of the finite values above the smallest one (which is often the filling outside the field of
    /// view), to 1/4096 of their range; the same whatever the order of the values.
    static func percentiles(_ values: [Float]) -> (lower: Float, upper: Float) {
        let bins = 4096
        let grain = 1 << 20
        let pieces = (values.count + grain - 1) / grain
        func piece(_ index: Int) -> ArraySlice<Float> { values[index * grain..<min(values.count, (index + 1) * grain)] }
        let extremes = Workers.shared.results(pieces) { index in
            var (low, high) = (Float.infinity, -Float.infinity)
            for value in piece(index) where value.isFinite {
                low = min(low, value)
                high = max(high, value)
            }
            return (low, high)
        }
        let low = extremes.map(\.0).min() ?? .infinity
        let high = extremes.map(\.1).max() ?? -.infinity
        guard low < high else { return low.isFinite ? (low - 0.5, low + 0.5) : (0, 1) }
        let range = Double(high) - Double(low)
        let counts = Workers.shared.results(pieces) { index in
            var counts = [Int](repeating: 0, count: bins)
            for value in piece(index) where value.isFinite && value > low {
                counts[min(bins - 1, Int((Double(value) - Double(low)) / range * Double(bins)))] += 1
            }
            return counts
        }.reduce(into: [Int](repeating: 0, count: bins)) { sum, counts in
            for bin in 0..<bins { sum[bin] += counts[bin] }
        }
        let total = counts.reduce(0, +)
        func edge(_ share: Double) -> Int {
            var seen = 0
            for bin in 0..<bins {
                seen += counts[bin]
                if Double(seen) >= share * Double(total) { return bin }
            }
            return bins - 1
        }
        func value(_ bin: Int) -> Float { Float(Double(low) + Double(bin) / Double(bins) * range) }
        return (value(edge(0.01)), value(edge(0.99) + 1))
    }

    /// As many digits as tell the ends apart.
    private static func text(_ value: Float) -> String {
        Numbers.fixed(Double(value), decimals: abs(value) >= 10 || value == value.rounded() ? 0 : 2)
    }
}

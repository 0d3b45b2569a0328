import Foundation

/// A plot with axes, ticks and a legend: curves, points or bars.
public struct Chart: Sendable {
    public struct Series: Sendable {
        public enum Form: Sendable {
            case line
            /// A line with a mark at every value.
            case markedLine
            case points
            /// Columns from the axis up, for histograms: each as wide as the distance to the next value.
            case bars
        }

        public var label: String
        public var values: [SIMD2<Double>]
        public var form: Form
        /// nil: the next of the chart's own.
        public var colour: Colour?
        /// Beside each point; fewer or none leave the rest without.
        public var names: [String] = []

        public init(
            _ label: String, _ values: [SIMD2<Double>], form: Form = .line, colour: Colour? = nil, names: [String] = []
        ) {
            self.label = label
            self.values = values
            self.form = form
            self.colour = colour
            self.names = names
        }
    }

    public enum Scaling: Sendable { case linear, logarithmic }

    public var title: String
    public var parts: [String]
    public var xTitle: String
    public var yTitle: String
    public var series: [Series]
    public var xScaling = Scaling.linear
    public var yScaling = Scaling.linear
    /// Held fixed where given; else the values' own range.
    public var xRange: ClosedRange<Double>?
    public var yRange: ClosedRange<Double>?
    /// Names for the whole numbers from 0 on the x axis, written upright, in place of ticks.
    public var categories: [String] = []
    /// Pixels of the plotted area.
    public var width = 560
    public var height = 320

    public init(title: String, parts: [String] = [], xTitle: String, yTitle: String, series: [Series]) {
        self.title = title
        self.parts = parts
        self.xTitle = xTitle
        self.yTitle = yTitle
        self.series = series
    }

    /// Ten colours that stay apart for most colour-blind eyes on black, the strongest first.
    public static let colours = [
        0x4FA3FF, 0xFF9F40, 0x5FD068, 0xFF6B81, 0xC08CFF, 0xE8D44D, 0x40D9D9, 0xF28BD6, 0xA8A8A8, 0xB08968,
    ].map { Colour(hex: $0) }

    private struct Axis {
        let scaling: Scaling
        let low: Double
        let high: Double
        let ticks: [(value: Double, label: String)]

        init(
            _ values: [Double], _ scaling: Scaling, fixed: ClosedRange<Double>?, isBar: Bool = false, most: Int
        ) {
            self.scaling = scaling
            let usable = values.filter { $0.isFinite && (scaling == .linear || $0 > 0) }
            var low = fixed?.lowerBound ?? usable.min() ?? 0
            var high = fixed?.upperBound ?? usable.max() ?? 1
            if scaling == .logarithmic {
                low = floor(log10(max(low, 1e-300)) + 1e-9)
                high = ceil(log10(max(high, 1e-300)) - 1e-9)
                if high <= low { high = low + 1 }
                let step = max(1, Int(((high - low) / Double(most)).rounded(.up)))
                ticks = stride(from: Int(low), through: Int(high), by: step).map { exponent in
                    let label =
                        (-2...3).contains(exponent)
                        ? Numbers.fixed(pow(10, Double(exponent)), decimals: max(0, -exponent))
                        : "1e\(exponent < 0 ? "−" : "")\(abs(exponent))"
                    return (pow(10, Double(exponent)), label)
                }
                (self.low, self.high) = (low, high)
                return
            }
            if isBar { low = min(low, 0) }
            if high - low <= 0 || !(high - low).isFinite {
                let half = max(abs(low) * 0.1, 0.5)
                (low, high) = (low - half, low + half)
            } else if fixed == nil {
                let margin = (high - low) * 0.04
                if !(isBar && low == 0) { low -= margin }
                high += margin
            }
            let step = Numbers.roundStep(span: high - low, most: most)
            let first = Int((low / step - 1e-9).rounded(.up))
            let last = Int((high / step + 1e-9).rounded(.down))
            ticks = (first...max(first, last)).map { multiple in
                let value = Double(multiple) * step
                return (value, Numbers.label(value, step: step, largest: max(abs(low), abs(high))))
            }
            (self.low, self.high) = (low, high)
        }

        /// Where a value lies, 0…1 inside the plot; nil for what cannot be placed.
        func place(_ value: Double) -> Double? {
            guard value.isFinite else { return nil }
            if scaling == .linear { return (value - low) / (high - low) }
            return value > 0 ? (log10(value) - low) / (high - low) : nil
        }
    }

    public func picture() -> Picture {
        let face = Typeface.small
        let all = series.flatMap(\.values)
        let hasBars = series.contains { if case .bars = $0.form { true } else { false } }
        let x = Axis(
            categories.isEmpty ? all.map(\.x) : [-0.5, Double(categories.count) - 0.5], xScaling,
            fixed: xRange ?? (categories.isEmpty ? nil : -0.5...(Double(categories.count) - 0.5)),
            most: max(2, min(8, width / 60)))
        let y = Axis(all.map(\.y), yScaling, fixed: yRange, isBar: hasBars, most: max(2, min(8, height / 35)))
        let labelled = series.enumerated().filter { !$0.element.label.isEmpty }
        let tickWidth = (y.ticks.map { face.width($0.label) }.max() ?? 0) + 8
        let left = face.lineHeight + tickWidth
        let categoryHeight = (categories.map { min(face.width($0), 150) }.max() ?? 0) + 8
        let below = (categories.isEmpty ? face.lineHeight + 6 : categoryHeight) + (xTitle.isEmpty ? 0 : face.lineHeight)
        let legend = labelled.isEmpty ? 0 : (labelled.map { min(face.width($0.element.label), 220) }.max() ?? 0) + 28
        var layout = FrameLayout(
            content: (left + width + 8 + legend, height + below + face.capHeight), title: title,
            parts: parts.map { TextBlock.Part($0) }, bar: nil, face: face, style: OverlayStyle())
        let originX = layout.contentX + left
        let top = layout.contentY + face.capHeight / 2
        let faint = Colour(hex: 0x383838)
        func column(_ place: Double) -> Int { originX + Int((place * Double(width - 1)).rounded()) }
        func row(_ place: Double) -> Int { top + Int(((1 - place) * Double(height - 1)).rounded()) }
        for tick in y.ticks {
            guard let place = y.place(tick.value), (-1e-6...1 + 1e-6).contains(place) else { continue }
            layout.canvas.fill(x: originX, y: row(place), width: width, height: 1, faint)
            layout.canvas.text(
                tick.label, x: originX - 6 - face.width(tick.label), y: row(place) - face.capHeight / 2, face,
                Canvas.faintInk)
        }
        if categories.isEmpty {
            for tick in x.ticks {
                guard let place = x.place(tick.value), (-1e-6...1 + 1e-6).contains(place) else { continue }
                layout.canvas.fill(x: column(place), y: top, width: 1, height: height, faint)
                layout.canvas.text(
                    tick.label, x: column(place) - face.width(tick.label) / 2, y: top + height + 6, face,
                    Canvas.faintInk)
            }
        } else {
            for (index, name) in categories.enumerated() {
                guard let place = x.place(Double(index)) else { continue }
                let text = face.fitted(name, width: 150)
                layout.canvas.uprightText(
                    text, x: column(place) - face.capHeight / 2, y: top + height + 6 + face.width(text), face,
                    Canvas.faintInk)
            }
        }
        layout.canvas.text(
            xTitle, x: originX + (width - face.width(xTitle)) / 2,
            y: top + height + below - face.lineHeight + 4, face)
        let title = face.fitted(yTitle, width: height)
        layout.canvas.uprightText(title, x: layout.contentX, y: top + (height + face.width(title)) / 2, face)
        for (number, line) in series.enumerated() {
            draw(line, Self.colour(line, number), x, y, &layout.canvas, originX: originX, top: top, face)
        }
        for (position, (number, line)) in labelled.enumerated() {
            let rowY = top + position * (face.lineHeight + 2)
            layout.canvas.fill(
                x: originX + width + 12, y: rowY + 2, width: 12, height: 6, Self.colour(line, number))
            layout.canvas.text(face.fitted(line.label, width: 220), x: originX + width + 30, y: rowY, face)
        }
        return layout.canvas.picture
    }

    private static func colour(_ series: Series, _ number: Int) -> Colour {
        series.colour ?? colours[number % colours.count]
    }

    private func draw(
        _ line: Series, _ colour: Colour, _ x: Axis, _ y: Axis, _ canvas: inout Canvas, originX: Int, top: Int,
        _ face: Typeface
    ) {
        func point(_ value: SIMD2<Double>) -> SIMD2<Float>? {
            guard let across = x.place(value.x), let up = y.place(value.y) else { return nil }
            // What leaves the plot is cut by the canvas; far away it would only cost time.
            let clampedX = max(-1, min(2, across))
            let clampedY = max(-1, min(2, up))
            return SIMD2(Float(clampedX * Double(width - 1)), Float((1 - clampedY) * Double(height - 1)))
        }
        let points = line.values.map(point)
        var coverage = Coverage(width: width, height: height)
        switch line.form {
        case .bars:
            let base = Float((1 - max(0, min(1, y.place(0) ?? 0))) * Double(height - 1))
            for (index, value) in points.enumerated() {
                guard let value else { continue }
                let other = index + 1 < points.count ? points[index + 1] : index > 0 ? points[index - 1] : nil
                let pitch = other.map { abs($0.x - value.x) } ?? 8
                let columns = Int(max(1, (pitch * 0.9).rounded(.down)))
                let (low, high) = (min(value.y, base), max(value.y, base))
                canvas.fill(
                    x: originX + Int(value.x - Float(columns) / 2), y: top + Int(low.rounded()), width: columns,
                    height: max(1, Int((high - low).rounded())), colour)
            }
        case .line, .markedLine:
            var segments: [Segment] = []
            for (a, b) in zip(points, points.dropFirst()) {
                if let a, let b { segments.append(Segment(start: a, end: b)) }
            }
            coverage.stroke(segments, radius: 0.9)
            if case .markedLine = line.form {
                coverage.stroke(points.compactMap { $0 }.map { Segment(start: $0, end: $0) }, radius: 2.5)
            }
        case .points:
            coverage.stroke(points.compactMap { $0 }.map { Segment(start: $0, end: $0) }, radius: 3.5)
        }
        canvas.blend(coverage, colour, x: originX, y: top)
        for (value, name) in zip(points, line.names) {
            guard let value, !name.isEmpty else { continue }
            // To the left of the point where there is no room on its right.
            let fits = Int(value.x) + 6 + face.width(name) <= width
            canvas.text(
                name, x: originX + Int(value.x) + (fits ? 6 : -6 - face.width(name)),
                y: top + Int(value.y) - face.capHeight / 2, face, colour, halo: true)
        }
    }
}

import Foundation

/// Numbers as pictures print them.
enum Numbers {
    /// With so many digits after the point, and a true minus sign.
    static func fixed(_ value: Double, decimals: Int) -> String {
        let text = String(format: "%.\(decimals)f", value)
        let isZero = text.allSatisfy { !$0.isNumber || $0 == "0" }
        return text.hasPrefix("-") ? (isZero ? "" : "−") + text.dropFirst() : text
    }

    /// Round steps (1, 2 or 5 times a power of ten) that cut `span` in at most `most` pieces.
    static func roundStep(span: Double, most: Int) -> Double {
        precondition(span > 0 && span.isFinite && most >= 1)
        let least = span / Double(most)
        let magnitude = pow(10, floor(log10(least)))
        for factor in [1.0, 2, 5, 10] where factor * magnitude >= least * (1 - 1e-9) { return factor * magnitude }
        return 10 * magnitude
    }

    /// Labels for multiples of `step`: plain between 0.001 and 10 000, otherwise in powers of ten.
    static func label(_ value: Double, step: Double, largest: Double) -> String {
        if value == 0 { return "0" }
        if largest >= 1e-3 && largest < 1e5 {
            return fixed(value, decimals: max(0, Int(-floor(log10(step) + 1e-9))))
        }
        let exponent = Int(floor(log10(largest) + 1e-9))
        let scaled = value / pow(10, Double(exponent))
        let decimals = max(0, exponent - Int(floor(log10(step) + 1e-9)))
        return fixed(scaled, decimals: decimals) + "e" + (exponent < 0 ? "−\(-exponent)" : "\(exponent)")
    }

    /// An end of a scale: three significant digits, without zeros that say nothing.
    static func end(_ value: Double) -> String {
        if value == 0 { return "0" }
        let magnitude = Int(floor(log10(abs(value)) + 1e-9))
        func trimmed(_ text: String) -> String {
            guard text.contains(".") else { return text }
            let kept = text.reversed().drop { $0 == "0" }
            return String((kept.first == "." ? kept.dropFirst() : kept).reversed())
        }
        if abs(value) >= 1e-3 && abs(value) < 1e5 { return trimmed(fixed(value, decimals: max(0, 2 - magnitude))) }
        let exponent = magnitude < 0 ? "−\(-magnitude)" : "\(magnitude)"
        return trimmed(fixed(value / pow(10, Double(magnitude)), decimals: 2)) + "e" + exponent
    }

    static func arcSineDegrees(_ sine: Double) -> Double { asin(min(1, sine)) * 180 / .pi }
}

import Failures

/// Colours along a scale from 0 to 1.
public enum ColourMap: String, Sendable, CaseIterable {
    /// Perceptually even, dark blue over green to yellow; readable by the colour-blind.
    case viridis
    /// Perceptually even, black over red to pale yellow.
    case inferno
    /// Perceptually even, black over purple to pale pink.
    case magma
    /// Perceptually even, blue over purple to yellow; never dark.
    case plasma
    /// All hues, smoother in lightness than jet (Mikhailov 2019).
    case turbo
    /// Blue over neutral to red, for signed maps: 0.5 is no evidence, both ends are equally light.
    case diverging
    /// All hues, uneven: shows edges where there are none. Because people ask for it.
    case jet
    /// Black over red and yellow to white.
    case hot
    /// Black to white.
    case gray

    /// The map of this name.
    ///
    /// - Throws: a `Failure` of kind `usage` that offers the nearest name.
    public init(named name: String) throws {
        guard let map = ColourMap(rawValue: name.lowercased()) else {
            let names = ColourMap.allCases.map(\.rawValue)
            throw Failure(
                .usage, "colour map", expected: "one of \(names.joined(separator: ", "))", found: "'\(name)'",
                remedy: Nearest.match(name, in: names).map { "Did you mean '\($0)'?" } ?? "")
        }
        self = map
    }

    /// The colour at `position`, which is held within 0…1 (not a number counts as 0).
    ///
    /// - viridis, inferno, magma, plasma (van der Walt and Smith 2015, published as CC0) and turbo (Mikhailov 2019) are curves in
    ///   sRGB through 33 evenly spaced points of the published tables, joined by Catmull–Rom splines. They stay within one
    ///   8-bit step of the published 256 colours, plasma within three.
    /// - diverging: a curve through nine colours of ours.
    /// - jet: MATLAB's trapezoids, r = clamp(1.5 − |4x − 3|), g = clamp(1.5 − |4x − 2|), b = clamp(1.5 − |4x − 1|).
    /// - hot: MATLAB's ramps, r = clamp(8x/3), g = clamp(8x/3 − 1), b = clamp(4x − 3).
    public func colour(at position: Double) -> Colour {
        let x = position > 0 ? min(position, 1) : 0
        func clamp(_ value: Double) -> Double { max(0, min(1, value)) }
        func colour(_ r: Double, _ g: Double, _ b: Double) -> Colour {
            func sample(_ value: Double) -> UInt8 { UInt8(clamp(value) * 255 + 0.5) }
            return Colour(sample(r), sample(g), sample(b))
        }
        switch self {
        case .jet:
            return colour(clamp(1.5 - abs(4 * x - 3)), clamp(1.5 - abs(4 * x - 2)), clamp(1.5 - abs(4 * x - 1)))
        case .hot: return colour(8 * x / 3, 8 * x / 3 - 1, 4 * x - 3)
        case .gray: return colour(x, x, x)
        case .viridis, .inferno, .magma, .plasma, .turbo, .diverging:
            let value = ColourMap.spline(ColourMap.knots[self]!, at: x)
            return colour(value.x, value.y, value.z)
        }
    }

    /// Cubic Hermite interpolation of evenly spaced points with tangents by central differences (second-order one-sided at the
    /// ends), at x in 0…1.
    private static func spline(_ points: [SIMD3<Double>], at x: Double) -> SIMD3<Double> {
        let last = points.count - 1
        let scaled = x * Double(last)
        let index = min(Int(scaled), last - 1)
        let t = scaled - Double(index)
        func tangent(_ i: Int) -> SIMD3<Double> {
            if i == 0 { return 0.5 * (4 * points[1] - 3 * points[0] - points[2]) }
            if i == last { return 0.5 * (3 * points[last] - 4 * points[last - 1] + points[last - 2]) }
            return 0.5 * (points[i + 1] - points[i - 1])
        }
        let (t2, t3) = (t * t, t * t * t)
        let onPoints = (2 * t3 - 3 * t2 + 1) * points[index] + (3 * t2 - 2 * t3) * points[index + 1]
        return onPoints + (t3 - 2 * t2 + t) * tangent(index) + (t3 - t2) * tangent(index + 1)
    }

    private static let knots: [ColourMap: [SIMD3<Double>]] = {
        let tables: [ColourMap: String] = [
            .viridis: """
            440154 470D60 48186A 482374 472D7B 453681 424086 3F4989 3B528B 375A8D 33638D
            2F6A8E 2C728E 297A8E 26818E 23898E 21908C 1F988B 1F9F88 21A685 28AE80 31B57B
            3EBC74 4CC26C 5DC963 6ECE58 82D34C 96D83F ABDC32 C0DF24 D5E21A EAE51A FDE725
            """,
            .inferno: """
            000004 040312 0B0724 150B37 210C4A 2E0A5A 3C0965 4A0C6B 57106D 63146E 70196E
            7D1E6D 89226A 962766 A32B61 AF315C BB3755 C63E4D D14644 DB4F3B E35932 EB6528
            F1711E F67F14 F98D0A FB9C06 FCAB0F FBBA1F F9CA32 F5D949 F2E865 F3F586 FCFFA4
            """,
            .magma: """
            000004 030311 0A0822 130D33 1D1146 28115A 36106A 430F76 50127C 5D177F 691C81
            762181 822681 8F2A81 9C2E7F A9327D B63779 C33B75 CF4170 DB486A E65163 EE5C5E
            F5695C F9785D FB8761 FD9668 FEA571 FEB47B FEC387 FED194 FDE0A2 FCEEB0 FCFDBF
            """,
            .plasma: """
            0D0887 220690 310596 3F049C 4C02A1 5901A5 6600A7 7201A8 7E03A8 8909A6 9511A2
            9F1A9C A92396 B22C8E BB3587 C33E80 CB4778 D25071 D9596A E06263 E66C5C EB7555
            F07F4F F48A48 F89441 FB9F3A FDAB33 FEB72D FDC328 FCD025 F9DD25 F5EB27 F0F921
            """,
            .turbo: """
            30123B 392A73 4040A1 4456C7 466BE3 467FF6 4293FF 37A7FA 29BBEC 1DCDD8 18DCC3
            1EE8B0 31F299 4CF97E 6BFD64 8AFF4D A3FD3C B8F735 CCED34 DEE037 EDD03A F8C03A
            FDAE35 FE982C FB8022 F56817 EC520F E04009 D23105 C02302 AC1701 950D01 7A0403
            """,
            .diverging: "1F6BFF 4A8BFF 7CAEFF B2CDF8 E6E6E6 FFC0A6 FF9470 FA6240 E8301A",
        ]
        return tables.mapValues { table in
            table.split(whereSeparator: \.isWhitespace).map { text in
                let hex = UInt32(text, radix: 16)!
                return SIMD3(Double(hex >> 16), Double(hex >> 8 & 255), Double(hex & 255)) / 255
            }
        }
    }()
}

/// A picture of 8-bit samples: rows from the top, pixels from the left, channels interleaved, no gaps.
public struct Picture: Sendable, Hashable {
    /// The channels of one pixel; the raw value is how many there are.
    public enum Layout: Int, Sendable, CaseIterable {
        case gray = 1
        case rgb = 3
        /// Alpha is not premultiplied.
        case rgba = 4
    }

    public let width: Int
    public let height: Int
    public let layout: Layout
    /// `width × height × channels` samples; sample `c` of pixel (x, y) is element `(y * width + x) * channels + c`.
    public var pixels: [UInt8]

    public var channels: Int { layout.rawValue }

    public init(width: Int, height: Int, layout: Layout, pixels: [UInt8]) {
        precondition(width >= 1 && height >= 1, "a picture has at least one pixel")
        precondition(
            pixels.count == width * height * layout.rawValue, "\(pixels.count) samples in \(width)×\(height) \(layout)")
        self.width = width
        self.height = height
        self.layout = layout
        self.pixels = pixels
    }

    /// A picture of one colour; `.gray` takes its red.
    public init(width: Int, height: Int, layout: Layout = .rgb, filledWith colour: Colour = .black) {
        let pixel = [colour.red, colour.green, colour.blue, 255]
        let channels = layout.rawValue
        var pixels = [UInt8](repeating: pixel[0], count: width * height * channels)
        if layout != .gray, Set(pixel.prefix(channels)).count > 1 {
            for index in pixels.indices { pixels[index] = pixel[index % channels] }
        }
        self.init(width: width, height: height, layout: layout, pixels: pixels)
    }

    /// The colour of pixel (x, y); alpha is left out.
    public subscript(x: Int, y: Int) -> Colour {
        let index = (y * width + x) * channels
        if layout == .gray { return Colour(pixels[index], pixels[index], pixels[index]) }
        return Colour(pixels[index], pixels[index + 1], pixels[index + 2])
    }

    /// The same picture with three channels: grey is repeated, alpha dropped (as networks are fed from other image readers).
    public var rgb: Picture {
        if layout == .rgb { return self }
        let count = width * height
        let channels = channels
        let step = layout == .gray ? 0 : 1
        let samples = [UInt8](unsafeUninitializedCapacity: count * 3) { target, initialized in
            pixels.withUnsafeBufferPointer { source in
                for pixel in 0..<count {
                    let from = pixel * channels
                    target[pixel * 3] = source[from]
                    target[pixel * 3 + 1] = source[from + step]
                    target[pixel * 3 + 2] = source[from + 2 * step]
                }
            }
            initialized = count * 3
        }
        return Picture(width: width, height: height, layout: .rgb, pixels: samples)
    }

    /// Luminance of every pixel from 0 to 255, rows from the top: ITU-R BT.601 weights on the samples as they are
    /// (0.299 R + 0.587 G + 0.114 B); a grey picture's own values.
    public var luminance: [Float] {
        if layout == .gray { return pixels.map(Float.init) }
        let channels = channels
        return (0..<width * height).map { pixel in
            let at = pixel * channels
            return 0.299 * Float(pixels[at]) + 0.587 * Float(pixels[at + 1]) + 0.114 * Float(pixels[at + 2])
        }
    }
}

/// An opaque colour of 8-bit sRGB samples.
public struct Colour: Sendable, Hashable {
    public var red: UInt8
    public var green: UInt8
    public var blue: UInt8

    public init(_ red: UInt8, _ green: UInt8, _ blue: UInt8) {
        self.red = red
        self.green = green
        self.blue = blue
    }

    public init(hex: UInt32) {
        self.init(
            UInt8(truncatingIfNeeded: hex >> 16), UInt8(truncatingIfNeeded: hex >> 8), UInt8(truncatingIfNeeded: hex))
    }

    public static let black = Colour(0, 0, 0)
    public static let white = Colour(255, 255, 255)
}

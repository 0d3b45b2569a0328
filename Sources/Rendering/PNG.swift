/// Reading and writing of PNG (ISO/IEC 15948; W3C, Portable Network Graphics Specification).
public enum PNG {
    /// The eight bytes that every PNG file begins with.
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
}

import Tensors

/// Numbers that look random and are the same on every machine and in every run (SplitMix64).
public struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Uniform in `range`.
    public mutating func float(_ range: ClosedRange<Float> = -1...1) -> Float {
        Float.random(in: range, using: &self)
    }

    /// Uniform in `range`.
    public mutating func tensor(_ shape: [Int], _ range: ClosedRange<Float> = -1...1) -> Tensor<Float> {
        Tensor(shape: shape, values: (0..<shape.elementCount).map { _ in float(range) })
    }

    /// Of either sign, with a magnitude in `range`: away from the kink that many functions have at 0.
    public mutating func tensorAwayFromZero(
        _ shape: [Int], _ range: ClosedRange<Float> = 0.1...1.5
    ) -> Tensor<Float> {
        Tensor(
            shape: shape,
            values: (0..<shape.elementCount).map { _ in Bool.random(using: &self) ? float(range) : -float(range) })
    }

    /// All different by at least `gap`, in random order: nothing changes places when a little is added.
    public mutating func distinct(_ shape: [Int], gap: Float = 0.1) -> Tensor<Float> {
        let count = shape.elementCount
        let order = (0..<count).shuffled(using: &self)
        return Tensor(shape: shape, values: order.map { (Float($0) - Float(count) / 2 + 0.25) * gap })
    }
}

import Explanations
import Foundation
import Tensors

/// How rough the kernels of a layer are, beside kernels of random numbers.
///
/// Trained kernels prefer some frequencies and change gradually from one weight to the next; kernels that memorize noise, and
/// those that never learned, look like white noise. Measured over kernel–channel pairs:
/// - high-frequency share: the share of spectral power above a quarter of a cycle a voxel (half of what a grid can hold),
///   kernel padded to 16 places an axis, mean removed;
/// - spectral entropy: of the spectral power as a distribution, over its largest possible value;
/// - smoothness: the correlation of neighbouring weights, over all axes.
public struct KernelTexture: Sendable {
    public struct Measures: Sendable {
        public let highFrequencyShare: Double
        public let spectralEntropy: Double
        public let smoothness: Double
    }

    public let layer: String
    public let spatial: [Int]
    /// Pairs of kernel and channel that were measured.
    public let pairs: Int
    /// Means over the pairs.
    public let measured: Measures
    /// Means over as many kernels of independent normal numbers.
    public let random: Measures
    /// Standard error of the difference of the two means of smoothness.
    public let standardError: Double

    /// By how many standard errors the kernels are smoother than random ones; below about 3 nothing tells them apart.
    public var smoothnessZ: Double {
        standardError > 0 ? (measured.smoothness - random.smoothness) / standardError : 0
    }

    /// At most so many pairs are measured, evenly chosen.
    static let most = 384
    private static let padded = 16

    /// nil for kernels too small to have a texture: fewer than three places along every axis, or fewer than 8 pairs.
    public init?(_ bank: KernelBank, seed: Int = 0) {
        let all = bank.count * bank.channels
        guard bank.spatial.filter({ $0 >= 3 }).count >= min(2, bank.spatial.count), bank.spatial.count <= 3,
            bank.spatial.allSatisfy({ $0 <= Self.padded }), all >= 8
        else { return nil }
        let count = min(all, Self.most)
        let spectrum = PaddedSpectrum(bank.spatial, padded: Self.padded)
        let own = (0..<count).map { number -> [Float] in
            let pair = number * all / count
            return bank.values(pair / bank.channels, channel: pair % bank.channels)
        }
        var generator = RandomSource(seed: UInt64(seed))
        let places = bank.places
        let noise = (0..<count).map { _ in (0..<places).map { _ in Float(generator.normal()) } }
        func summary(_ kernels: [[Float]]) -> (means: Measures, variance: Double)? {
            let found = kernels.compactMap { Self.measure($0, bank.spatial, spectrum) }
            guard found.count >= 4 else { return nil }
            func mean(_ value: (Measures) -> Double) -> Double {
                found.reduce(0) { $0 + value($1) } / Double(found.count)
            }
            let smooth = mean(\.smoothness)
            let variance = found.reduce(0) { $0 + ($1.smoothness - smooth) * ($1.smoothness - smooth) }
            return (
                Measures(
                    highFrequencyShare: mean(\.highFrequencyShare), spectralEntropy: mean(\.spectralEntropy),
                    smoothness: smooth), variance / Double(found.count - 1) / Double(found.count)
            )
        }
        guard let kernels = summary(own), let chance = summary(noise) else { return nil }
        layer = bank.name
        spatial = bank.spatial
        pairs = count
        measured = kernels.means
        random = chance.means
        standardError = (kernels.variance + chance.variance).squareRoot()
    }

    /// nil for a kernel of zeros, or of one value.
    static func measure(_ kernel: [Float], _ spatial: [Int], _ spectrum: PaddedSpectrum) -> Measures? {
        let mean = kernel.reduce(0.0) { $0 + Double($1) } / Double(kernel.count)
        let centred = kernel.map { Double($0) - mean }
        let energy = centred.reduce(0) { $0 + $1 * $1 }
        // Relative to the kernel itself: a constant kernel leaves rounding only.
        guard energy > 1e-10 * kernel.reduce(0.0, { $0 + Double($1) * Double($1) }), energy > 0 else { return nil }
        let power = spectrum.power(centred)
        let total = power.reduce(0, +)
        var high = 0.0
        var entropy = 0.0
        for (index, value) in power.enumerated() where value > 0 {
            if spectrum.frequencies[index] > 0.25 { high += value }
            entropy -= value / total * log(value / total)
        }
        let strides = spatial.rowMajorStrides
        var (product, pairs) = (0.0, 0)
        for (axis, extent) in spatial.enumerated() {
            for place in kernel.indices where place / strides[axis] % extent + 1 < extent {
                product += centred[place] * centred[place + strides[axis]]
                pairs += 1
            }
        }
        let correlation = pairs > 0 ? product / Double(pairs) / (energy / Double(kernel.count)) : 0
        return Measures(
            highFrequencyShare: high / total, spectralEntropy: entropy / log(Double(power.count)),
            smoothness: correlation)
    }
}

/// The power spectrum of small arrays padded with zeros.
struct PaddedSpectrum {
    private let spatial: [Int]
    private let padded: [Int]
    /// Cycles a voxel.
    let frequencies: [Double]

    init(_ spatial: [Int], padded extent: Int) {
        self.spatial = spatial
        padded = spatial.map { $0 > 1 ? extent : 1 }
        frequencies = FrequencyBasis(shape: padded).frequencies
    }

    func power(_ values: [Double]) -> [Double] {
        // One axis after the other, each padded when its turn comes.
        var real = values
        var imaginary = [Double](repeating: 0, count: values.count)
        var shape = spatial
        for axis in spatial.indices where padded[axis] > 1 {
            let (old, new) = (shape[axis], padded[axis])
            let inner = shape[(axis + 1)...].reduce(1, *)
            let outer = shape[..<axis].reduce(1, *)
            var nextReal = [Double](repeating: 0, count: outer * new * inner)
            var nextImaginary = nextReal
            for k in 0..<new {
                for n in 0..<old {
                    let angle = -2 * Double.pi * Double(k * n % new) / Double(new)
                    let (c, s) = (cos(angle), sin(angle))
                    for block in 0..<outer {
                        for rest in 0..<inner {
                            let from = (block * old + n) * inner + rest
                            let to = (block * new + k) * inner + rest
                            nextReal[to] += c * real[from] - s * imaginary[from]
                            nextImaginary[to] += c * imaginary[from] + s * real[from]
                        }
                    }
                }
            }
            (real, imaginary) = (nextReal, nextImaginary)
            shape[axis] = new
        }
        return zip(real, imaginary).map { $0 * $0 + $1 * $1 }
    }
}

import Failures
import Volumes

/// MONAI's `ScaleIntensityRange`: a_min … a_max becomes b_min … b_max, linearly; with `clip` nothing lies outside of it.
///
/// Without b_min or b_max the range becomes 0 … 1. For CT: a_min and a_max are the HU window.
public struct ScaleIntensityRangeStep: PreparationStep {
    public let aMin: Float
    public let aMax: Float
    public let bMin: Float?
    public let bMax: Float?
    public let clip: Bool
    public let name = "ScaleIntensityRange"
    public var summary: String {
        "a \(aMin) … \(aMax), b \(bMin.map { "\($0)" } ?? "–") … \(bMax.map { "\($0)" } ?? "–")\(clip ? ", clip" : "")"
    }

    /// - Throws: a `Failure` of kind `pipeline` when a_min equals a_max.
    public init(aMin: Float, aMax: Float, bMin: Float? = nil, bMax: Float? = nil, clip: Bool = false) throws {
        guard aMin != aMax, aMin.isFinite, aMax.isFinite else {
            throw Failure(.pipeline, "a_max", expected: "a number other than a_min", found: "\(aMax), a_min \(aMin)")
        }
        (self.aMin, self.aMax, self.bMin, self.bMax, self.clip) = (aMin, aMax, bMin, bMax, clip)
    }

    /// The window onto 0 … 1, clipped.
    public init(_ window: HUWindow) { (aMin, aMax, bMin, bMax, clip) = (window.lower, window.upper, 0, 1, true) }

    public func apply(_ image: consuming ChannelVolume) -> ChannelVolume {
        let (low, span) = (aMin, aMax - aMin)
        let (floor, ceiling) = clip ? (bMin ?? -.infinity, bMax ?? .infinity) : (-.infinity, .infinity)
        if let bMin, let bMax {
            let range = bMax - bMin
            return image.mapped { min(max(($0 - low) / span * range + bMin, floor), ceiling) }
        }
        return image.mapped { min(max(($0 - low) / span, floor), ceiling) }
    }
}

/// MONAI's `ScaleIntensity`: the smallest value becomes minv, the largest maxv; or, with neither, v · (1 + factor).
public struct ScaleIntensityStep: PreparationStep {
    public let minv: Float?
    public let maxv: Float?
    public let factor: Float?
    /// Each channel by its own range.
    public let channelWise: Bool
    public let name = "ScaleIntensity"
    public var summary: String {
        if minv == nil, maxv == nil { return "factor \(factor ?? 0)" }
        return "minv \(minv.map { "\($0)" } ?? "–"), maxv \(maxv.map { "\($0)" } ?? "–")"
            + (channelWise ? ", channel_wise" : "")
    }

    public init(minv: Float? = 0, maxv: Float? = 1, factor: Float? = nil, channelWise: Bool = false) {
        (self.minv, self.maxv, self.factor, self.channelWise) = (minv, maxv, factor, channelWise)
    }

    public func apply(_ image: consuming ChannelVolume) -> ChannelVolume {
        if minv == nil, maxv == nil {
            let scale = 1 + (factor ?? 0)
            return image.mapped { $0 * scale }
        }
        return image.eachGroup(channelWise) { statistics in
            let (low, high) = (statistics.minimum, statistics.maximum)
            if low == high {
                let scale = minv ?? 1
                return { $0 * scale }
            }
            let span = high - low
            guard let minv, let maxv else { return { ($0 - low) / span } }
            let range = maxv - minv
            return { ($0 - low) / span * range + minv }
        }
    }
}

/// MONAI's `NormalizeIntensity`: (v − subtrahend) / divisor; by default the mean and standard deviation of the image.
public struct NormalizeIntensityStep: PreparationStep {
    /// One number for all channels or, channel-wise, one for each; the mean when nil.
    public let subtrahend: [Float]?
    /// As `subtrahend`; the standard deviation (of the population) when nil. A divisor of zero counts as 1.
    public let divisor: [Float]?
    /// Take mean and deviation from voxels that are not zero, and leave the zeros alone.
    public let nonzero: Bool
    public let channelWise: Bool
    public let name = "NormalizeIntensity"
    public var summary: String {
        "subtrahend \(subtrahend.map { "\($0)" } ?? "mean"), divisor \(divisor.map { "\($0)" } ?? "standard deviation")"
            + (nonzero ? ", nonzero" : "") + (channelWise ? ", channel_wise" : "")
    }

    /// - Throws: a `Failure` of kind `pipeline` for several numbers that are not meant channel by channel.
    public init(
        subtrahend: [Float]? = nil, divisor: [Float]? = nil, nonzero: Bool = false, channelWise: Bool = false
    ) throws {
        for (key, numbers) in [("subtrahend", subtrahend), ("divisor", divisor)] {
            guard let numbers, !channelWise, numbers.count != 1 else { continue }
            throw Failure(
                .pipeline, key, expected: "one number, or channel_wise: true beside several",
                found: "\(numbers.count) numbers")
        }
        (self.subtrahend, self.divisor, self.nonzero, self.channelWise) = (subtrahend, divisor, nonzero, channelWise)
    }

    public func apply(_ image: consuming ChannelVolume) throws -> ChannelVolume {
        let count = image.channels.count
        if channelWise {
            for (key, numbers) in [("subtrahend", subtrahend), ("divisor", divisor)] {
                guard let numbers, numbers.count != count else { continue }
                throw Failure(
                    .pipeline, "NormalizeIntensity.\(key)", expected: "\(count) numbers for as many channels",
                    found: "\(numbers.count)")
            }
        }
        let nonzero = nonzero
        let needsStatistics = subtrahend == nil || divisor == nil
        let groups = channelWise ? (0..<count).map { [$0] } : [Array(0..<count)]
        func statistics(of channels: [[Float]]) -> VolumeStatistics {
            let all = channels.count == 1 ? channels[0] : channels.flatMap { $0 }
            return VolumeStatistics(nonzero ? all.filter { $0 != 0 } : all)
        }
        for (number, group) in groups.enumerated() {
            let statistics = needsStatistics ? statistics(of: group.map { image.channels[$0] }) : nil
            if statistics?.count == 0 { continue }
            let shift = subtrahend?[number] ?? Float(statistics!.mean)
            let given = divisor?[number] ?? Float(statistics!.standardDeviation)
            let scale = given == 0 ? 1 : given
            for channel in group {
                ChannelVolume.change(&image.channels[channel]) {
                    nonzero && $0 == 0 ? $0 : ($0 - shift) / scale
                }
            }
        }
        return image
    }
}

/// MONAI's `ThresholdIntensity`: what is not above (or below) the threshold becomes `cval`.
public struct ThresholdIntensityStep: PreparationStep {
    public let threshold: Float
    public let above: Bool
    public let cval: Float
    public let name = "ThresholdIntensity"
    public var summary: String { "\(above ? "above" : "below") \(threshold), else \(cval)" }

    public init(threshold: Float, above: Bool = true, cval: Float = 0) {
        (self.threshold, self.above, self.cval) = (threshold, above, cval)
    }

    public func apply(_ image: consuming ChannelVolume) -> ChannelVolume {
        let (threshold, above, cval) = (threshold, above, cval)
        return image.mapped { (above ? $0 > threshold : $0 < threshold) ? $0 : cval }
    }
}

/// Values below and above a range become its ends; nothing is scaled. MONAI has no transform for it alone.
public struct ClipIntensityStep: PreparationStep {
    public let minimum: Float
    public let maximum: Float
    public let name = "ClipIntensity"
    public var summary: String { "\(minimum) … \(maximum)" }

    /// - Throws: a `Failure` of kind `pipeline` when the range is empty.
    public init(minimum: Float = -.infinity, maximum: Float = .infinity) throws {
        guard minimum <= maximum else {
            throw Failure(.pipeline, "maximum", expected: "no less than the minimum, \(minimum)", found: "\(maximum)")
        }
        (self.minimum, self.maximum) = (minimum, maximum)
    }

    public func apply(_ image: consuming ChannelVolume) -> ChannelVolume {
        let (low, high) = (minimum, maximum)
        return image.mapped { min(max($0, low), high) }
    }
}

/// MONAI's `ScaleIntensityRangePercentiles` and `ClipIntensityPercentiles`: a range given by percentiles of the image.
public struct PercentileRangeStep: PreparationStep {
    /// 0 to 100.
    public let lower: Double
    public let upper: Double
    /// The target range; nil clips to the percentiles and scales nothing (`ClipIntensityPercentiles`).
    public let target: (bMin: Float?, bMax: Float?)?
    public let clip: Bool
    public let channelWise: Bool
    public var name: String { target == nil ? "ClipIntensityPercentiles" : "ScaleIntensityRangePercentiles" }
    public var summary: String {
        "percentiles \(lower) … \(upper)"
            + (target.map { ", b \($0.bMin.map { "\($0)" } ?? "–") … \($0.bMax.map { "\($0)" } ?? "–")" } ?? "")
            + (clip ? ", clip" : "") + (channelWise ? ", channel_wise" : "")
    }

    /// MONAI's `ScaleIntensityRangePercentiles`.
    public static func scaling(
        lower: Double, upper: Double, bMin: Float?, bMax: Float?, clip: Bool = false, channelWise: Bool = false
    ) throws -> PercentileRangeStep {
        try PercentileRangeStep(lower: lower, upper: upper, target: (bMin, bMax), clip: clip, channelWise: channelWise)
    }

    /// MONAI's `ClipIntensityPercentiles` without soft clipping.
    public static func clipping(lower: Double?, upper: Double?, channelWise: Bool = false) throws -> PercentileRangeStep
    {
        try PercentileRangeStep(
            lower: lower ?? 0, upper: upper ?? 100, target: nil, clip: true, channelWise: channelWise)
    }

    private init(
        lower: Double, upper: Double, target: (bMin: Float?, bMax: Float?)?, clip: Bool, channelWise: Bool
    ) throws {
        for (key, value) in [("lower", lower), ("upper", upper)] where !(0...100).contains(value) {
            throw Failure(.pipeline, key, expected: "a percentile from 0 to 100", found: "\(value)")
        }
        guard lower < upper else {
            throw Failure(.pipeline, "upper", expected: "more than lower, \(lower)", found: "\(upper)")
        }
        (self.lower, self.upper, self.target, self.clip, self.channelWise) = (lower, upper, target, clip, channelWise)
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        let groups = channelWise ? image.channels.indices.map { [$0] } : [Array(image.channels.indices)]
        var result = image
        for group in groups {
            var values = group.flatMap { image.channels[$0] }
            let low = Percentiles.value(lower, of: &values)
            let high = Percentiles.value(upper, of: &values)
            let part = ChannelVolume(grid: image.grid, channels: group.map { image.channels[$0] })
            let changed: ChannelVolume
            if let target {
                guard low != high else {
                    throw Failure(
                        .scan, name, expected: "two different percentiles", found: "\(low) for both",
                        remedy: "The image is constant there: choose percentiles further apart")
                }
                let step = try ScaleIntensityRangeStep(
                    aMin: low, aMax: high, bMin: target.bMin, bMax: target.bMax, clip: clip)
                changed = step.apply(part)
            } else {
                changed = try ClipIntensityStep(minimum: low, maximum: high).apply(part)
            }
            for (index, channel) in group.enumerated() { result.channels[channel] = changed.channels[index] }
        }
        return result
    }
}

/// MONAI's `RepeatChannel`: each channel several times, for networks that want three and have one.
public struct RepeatChannelStep: PreparationStep {
    public let repeats: Int
    public let name = "RepeatChannel"
    public var summary: String { "\(repeats) times" }

    /// - Throws: a `Failure` of kind `pipeline` unless `repeats` is 1 to 4096.
    public init(repeats: Int) throws {
        guard (1...4096).contains(repeats) else {
            throw Failure(.pipeline, "repeats", expected: "1 to 4096", found: "\(repeats)")
        }
        self.repeats = repeats
    }

    public func apply(_ image: ChannelVolume) -> ChannelVolume {
        ChannelVolume(grid: image.grid, channels: image.channels.flatMap { Array(repeating: $0, count: repeats) })
    }
}

/// Several HU windows of a one-channel CT as its channels, each 0 … 1: how 2D networks for pictures are often fed.
public struct WindowChannelsStep: PreparationStep {
    public let windows: [HUWindow]
    public let name = "WindowChannels"
    public var summary: String { windows.map { "\($0.lower) … \($0.upper)" }.joined(separator: ", ") }

    /// - Throws: a `Failure` of kind `pipeline` when there is no window.
    public init(windows: [HUWindow]) throws {
        guard !windows.isEmpty else {
            throw Failure(.pipeline, "windows", expected: "at least one window", found: "none")
        }
        self.windows = windows
    }

    public func apply(_ image: ChannelVolume) throws -> ChannelVolume {
        guard image.channels.count == 1 else {
            throw Failure(.scan, name, expected: "an image of one channel", found: "\(image.channels.count) channels")
        }
        return ChannelVolume(
            grid: image.grid, channels: windows.map { window in ChannelVolume.mapped(image.channels[0]) { window($0) } }
        )
    }
}

/// Order statistics by linear interpolation between ranks, NumPy's and PyTorch's default.
enum Percentiles {
    /// - Parameter values: reordered, not changed.
    static func value(_ percent: Double, of values: inout [Float]) -> Float {
        let rank = percent / 100 * Double(values.count - 1)
        let low = Int(rank.rounded(.down))
        let a = select(low, of: &values)
        let weight = rank - Double(low)
        if weight == 0 || low + 1 >= values.count { return a }
        // Everything behind the selected rank is no smaller: the next rank is the least of it.
        let b = values[(low + 1)...].min()!
        return Float(Double(a) + (Double(b) - Double(a)) * weight)
    }

    /// Hoare's selection with the median of three as pivot: the value of rank `k`, with no greater ones before it.
    private static func select(_ k: Int, of values: inout [Float]) -> Float {
        values.withUnsafeMutableBufferPointer { v in
            var (low, high) = (0, v.count - 1)
            while low < high {
                let middle = low + (high - low) / 2
                if v[middle] < v[low] { v.swapAt(middle, low) }
                if v[high] < v[low] { v.swapAt(high, low) }
                if v[high] < v[middle] { v.swapAt(high, middle) }
                let pivot = v[middle]
                var (i, j) = (low, high)
                while i <= j {
                    while v[i] < pivot { i += 1 }
                    while pivot < v[j] { j -= 1 }
                    if i <= j {
                        v.swapAt(i, j)
                        i += 1
                        j -= 1
                    }
                }
                if k <= j { high = j } else if k >= i { low = i } else { break }
            }
            return v[k]
        }
    }
}

extension ChannelVolume {
    /// Changes each channel, or all of them together, by a rule made from the statistics of the same.
    fileprivate consuming func eachGroup(
        _ channelWise: Bool, _ rule: (VolumeStatistics) -> @Sendable (Float) -> Float
    ) -> ChannelVolume {
        var image = self
        if channelWise || image.channels.count == 1 {
            for channel in image.channels.indices {
                let change = rule(VolumeStatistics(image.channels[channel]))
                Self.change(&image.channels[channel], change)
            }
            return image
        }
        return image.mapped(rule(VolumeStatistics(image.channels.flatMap { $0 })))
    }
}

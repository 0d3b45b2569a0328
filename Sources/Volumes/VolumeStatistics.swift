import Foundation
import Synchronization
import Workers

/// Range, moments and soundness of a volume's voxels. Everything but the counts is over finite voxels only.
public struct VolumeStatistics: Sendable, Hashable, Codable {
    public var count = 0
    public var nanCount = 0
    public var infiniteCount = 0
    /// +infinity when no voxel is finite.
    public var minimum = Float.infinity
    /// -infinity when no voxel is finite.
    public var maximum = -Float.infinity
    /// 0 when no voxel is finite.
    public var mean = 0.0
    /// Of the whole population, not of a sample.
    public var standardDeviation = 0.0

    public var finiteCount: Int { count - nanCount - infiniteCount }

    private init() {}

    /// Pieces have a fixed size and are summed in order: the same bits on any number of threads.
    public init(_ voxels: [Float]) {
        let grain = 1 << 18
        let pieces = (voxels.count + grain - 1) / grain
        let parts = Mutex([Part](repeating: Part(), count: pieces))
        voxels.withUnsafeBufferPointer { all in
            Workers.shared.forEach(pieces) { piece in
                let range = piece * grain..<min(all.count, (piece + 1) * grain)
                let part = Part(UnsafeBufferPointer(rebasing: all[range]))
                parts.withLock { $0[piece] = part }
            }
        }
        let total = parts.withLock { $0 }.reduce(Part()) { $0.merged(with: $1) }
        count = voxels.count
        nanCount = total.nans
        infiniteCount = total.infinities
        minimum = total.minimum
        maximum = total.maximum
        mean = total.mean
        standardDeviation = total.count > 0 ? (total.squares / Double(total.count)).squareRoot() : 0
    }

    /// Why these values hardly are Hounsfield units, or nil when they may be: air, water and bone lie at −1000, 0 and
    /// several hundred, and nothing lies far outside −5000 … 32767.
    public var notCTReason: String? {
        if finiteCount == 0 { return "no finite value" }
        if minimum == maximum { return "every voxel is \(minimum)" }
        let range = "values from \(minimum) to \(maximum)"
        if minimum >= -1.5, maximum <= 1.5 { return "\(range): already normalised, or a probability map" }
        if minimum >= 0, maximum <= 255 { return "\(range): an eight-bit image or a label map" }
        if minimum >= 0 {
            return "\(range), none negative: an MR scan, or CT stored without its intercept (often −1024)"
        }
        if minimum < -32768 || maximum > 65535 { return "\(range): far outside what scanners write" }
        if maximum < -200 { return "\(range): nothing as dense as soft tissue" }
        return nil
    }
}

/// The statistics of one piece, mergeable (Chan, Golub and LeVeque's pairwise update).
private struct Part: Sendable {
    var count = 0
    var nans = 0
    var infinities = 0
    var minimum = Float.infinity
    var maximum = -Float.infinity
    var mean = 0.0
    /// Sum of squared distances from the mean.
    var squares = 0.0

    init() {}

    init(_ voxels: UnsafeBufferPointer<Float>) {
        typealias Lanes = SIMD8<Float>
        let lanes = Lanes.scalarCount
        var low = Lanes(repeating: .infinity)
        var high = Lanes(repeating: -.infinity)
        var finite = SIMD8<Int32>.zero
        var sum = SIMD8<Double>.zero
        let whole = voxels.count / lanes * lanes
        let raw = UnsafeRawPointer(voxels.baseAddress!)
        for start in stride(from: 0, to: whole, by: lanes) {
            let value = raw.loadUnaligned(fromByteOffset: start * 4, as: Lanes.self)
            // x - x is zero exactly for finite x.
            let isFinite = (value - value) .== Lanes.zero
            low.replace(with: value, where: isFinite .& (value .< low))
            high.replace(with: value, where: isFinite .& (value .> high))
            finite.replace(with: finite &+ 1, where: isFinite)
            sum += SIMD8<Double>(Lanes.zero.replacing(with: value, where: isFinite))
        }
        var total = sum.sum()
        count = Int(finite.wrappedSum())
        minimum = low.min()
        maximum = high.max()
        for value in voxels[whole...] where value.isFinite {
            minimum = min(minimum, value)
            maximum = max(maximum, value)
            count += 1
            total += Double(value)
        }
        if count < voxels.count {
            nans = voxels.reduce(0) { $0 + ($1.isNaN ? 1 : 0) }
            infinities = voxels.count - count - nans
        }
        guard count > 0 else { return }
        mean = total / Double(count)
        let centre = SIMD8<Double>(repeating: mean)
        var spread = SIMD8<Double>.zero
        for start in stride(from: 0, to: whole, by: lanes) {
            let value = raw.loadUnaligned(fromByteOffset: start * 4, as: Lanes.self)
            let isFinite = (value - value) .== Lanes.zero
            let kept = SIMD8<Double>(Lanes(repeating: Float(mean)).replacing(with: value, where: isFinite))
            let off = kept - centre
            spread += off * off
        }
        squares = spread.sum()
        for value in voxels[whole...] where value.isFinite {
            let off = Double(value) - mean
            squares += off * off
        }
    }

    func merged(with other: Part) -> Part {
        var result = self
        result.nans += other.nans
        result.infinities += other.infinities
        result.minimum = min(minimum, other.minimum)
        result.maximum = max(maximum, other.maximum)
        let both = count + other.count
        guard both > 0 else { return result }
        result.count = both
        let apart = other.mean - mean
        result.mean = mean + apart * Double(other.count) / Double(both)
        result.squares = squares + other.squares + apart * apart * Double(count) * Double(other.count) / Double(both)
        return result
    }
}

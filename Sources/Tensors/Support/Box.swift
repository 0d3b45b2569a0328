import Foundation
import Workers

/// Some places of a tensor's spatial axes: a range on each of them.
public struct Box: Hashable, Sendable {
    public var ranges: [Range<Int>]

    public init(_ ranges: [Range<Int>]) { self.ranges = ranges }

    /// All places of these extents.
    public init(whole extents: [Int]) { ranges = extents.map { 0..<$0 } }

    public var extents: [Int] { ranges.map(\.count) }

    /// Places in it.
    public var count: Int { ranges.reduce(1) { $0 * $1.count } }

    public func isWhole(of extents: some Collection<Int>) -> Bool {
        extents.count == ranges.count && zip(ranges, extents).allSatisfy { $0 == 0..<$1 }
    }

    /// The smallest box that holds both.
    public func hull(_ other: Box) -> Box {
        Box(
            zip(ranges, other.ranges).map {
                min($0.lowerBound, $1.lowerBound)..<max($0.upperBound, $1.upperBound)
            })
    }

    /// The places that both hold; nil where there are none.
    public func intersection(_ other: Box) -> Box? {
        let common = zip(ranges, other.ranges).map { $0.clamped(to: $1) }
        return common.contains(where: \.isEmpty) ? nil : Box(common)
    }

    /// The same places counted from the first of `origin`.
    public func relative(to origin: Box) -> Box {
        Box(
            zip(ranges, origin.ranges).map {
                $0.lowerBound - $1.lowerBound..<$0.upperBound - $1.lowerBound
            })
    }

    /// Boxes of `extents` at most that together fill `whole`, in row-major order.
    public static func tiles(_ extents: [Int], of whole: [Int]) -> [Box] {
        var tiles = [Box([])]
        for (extent, all) in zip(extents, whole) {
            let cuts = stride(from: 0, to: all, by: max(1, extent)).map { $0..<min(all, $0 + max(1, extent)) }
            tiles = tiles.flatMap { tile in cuts.map { Box(tile.ranges + [$0]) } }
        }
        return tiles
    }
}

extension Tensor {
    /// The smallest box outside of which two tensors are the same to the last bit; nil where they are everywhere.
    ///
    /// - Precondition: one shape, `[batch, channels, spatial…]` with one to three spatial axes.
    public func difference(from other: Tensor) -> Box? {
        precondition(shape == other.shape && (3...5).contains(rank), "two tensors of one shape \(shape)")
        let spatial = SIMD3(lifting: Array(shape[2...]))
        let rows = spatial.product == 0 ? 0 : count / spatial[2]
        let size = MemoryLayout<Scalar>.stride
        // Of each row its first and its last place that differ; none: the first lies behind the last.
        var differing = [(first: Int, last: Int)](repeating: (.max, -1), count: rows)
        withUnsafeBytes { a in
            other.withUnsafeBytes { b in
                differing.withUnsafeMutableBufferPointer { found in
                    let found = UncheckedRows(base: found.baseAddress)
                    Workers.shared.forEachRange(rows, grain: 256) {
                        for row in $0 {
                            let (one, two) = (a + row * spatial[2] * size, b + row * spatial[2] * size)
                            if memcmp(one, two, spatial[2] * size) == 0 { continue }
                            var (first, last) = (0, spatial[2] - 1)
                            while memcmp(one + first * size, two + first * size, size) == 0 { first += 1 }
                            while memcmp(one + last * size, two + last * size, size) == 0 { last -= 1 }
                            found.base![row] = (first, last)
                        }
                    }
                }
            }
        }
        var (low, high) = (spatial, SIMD3<Int>(repeating: -1))
        for (row, found) in differing.enumerated() where found.last >= 0 {
            let place = SIMD3(row / spatial[1] % spatial[0], row % spatial[1], 0)
            low = pointwiseMin(low, SIMD3(place[0], place[1], found.first))
            high = pointwiseMax(high, SIMD3(place[0], place[1], found.last))
        }
        guard high[0] >= 0 else { return nil }
        return Box((3 - (rank - 2)..<3).map { low[$0]..<high[$0] + 1 })
    }

    private func withUnsafeBytes(_ body: (UnsafeRawPointer) -> Void) {
        withUnsafeBuffer { if let base = $0.baseAddress { body(UnsafeRawPointer(base)) } }
    }

    /// The places of a box, of every image and channel, copied.
    ///
    /// - Precondition: `[batch, channels, spatial…]` with one to three spatial axes, and a box within them.
    public func part(_ box: Box) -> Tensor {
        if box.isWhole(of: shape[2...]) { return self }
        return Tensor(shape: Array(shape[..<2]) + box.extents) { to in
            withUnsafeBuffer { from in
                BoxCopy(shape[0] * shape[1], box.extents, from: shape[2...], at: box, to: box.extents[...], at: nil)(
                    from.baseAddress!, to.baseAddress!)
            }
        }
    }

    /// Copies the places of a box of this tensor to a tensor of other spatial extents.
    ///
    /// - Parameters:
    ///   - own: what is copied; nil is all.
    ///   - box: where it goes; as large.
    ///   - extents: the spatial extents of the other tensor, whose elements are `other`.
    public func write(
        _ own: Box? = nil, at box: Box, of extents: [Int], to other: UnsafeMutableBufferPointer<Scalar>
    ) {
        let own = own ?? Box(whole: Array(shape[2...]))
        precondition(own.extents == box.extents && other.count == shape[0] * shape[1] * extents.elementCount)
        withUnsafeBuffer { from in
            BoxCopy(shape[0] * shape[1], box.extents, from: shape[2...], at: own, to: extents[...], at: box)(
                from.baseAddress!, other.baseAddress!)
        }
    }
}

private struct UncheckedRows: @unchecked Sendable {
    let base: UnsafeMutablePointer<(first: Int, last: Int)>?
}

/// Rows of a box from one tensor to another.
private struct BoxCopy {
    private let channels: Int
    private let extents: SIMD3<Int>
    private let source: SIMD3<Int>
    private let sourceStart: SIMD3<Int>
    private let target: SIMD3<Int>
    private let targetStart: SIMD3<Int>

    init(
        _ channels: Int, _ extents: [Int], from source: ArraySlice<Int>, at box: Box, to target: ArraySlice<Int>,
        at place: Box?
    ) {
        precondition((1...3).contains(source.count) && source.count == box.ranges.count, "one to three spatial axes")
        precondition(zip(box.ranges, source).allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= $1 })
        let place = place ?? Box(whole: Array(target))
        precondition(zip(place.ranges, target).allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= $1 })
        self.channels = channels
        self.extents = SIMD3(lifting: extents)
        self.source = SIMD3(lifting: Array(source))
        sourceStart = SIMD3(lifting: box.ranges.map(\.lowerBound), filler: 0)
        self.target = SIMD3(lifting: Array(target))
        targetStart = SIMD3(lifting: place.ranges.map(\.lowerBound), filler: 0)
    }

    func callAsFunction<Scalar>(_ from: UnsafePointer<Scalar>, _ to: UnsafeMutablePointer<Scalar>) {
        // Whole planes, or whole rows, go at once.
        let isPlane = extents[2] == source[2] && extents[2] == target[2]
        Workers.shared.forEachRange(channels * extents[0], grain: max(1, (1 << 15) / max(1, extents[1] * extents[2]))) {
            for number in $0 {
                let (channel, depth) = (number / extents[0], number % extents[0])
                let first = (channel * source[0] + sourceStart[0] + depth) * source[1] + sourceStart[1]
                let second = (channel * target[0] + targetStart[0] + depth) * target[1] + targetStart[1]
                if isPlane {
                    (to + second * target[2]).update(from: from + first * source[2], count: extents[1] * extents[2])
                    continue
                }
                for row in 0..<extents[1] {
                    (to + (second + row) * target[2] + targetStart[2]).update(
                        from: from + (first + row) * source[2] + sourceStart[2], count: extents[2])
                }
            }
        }
    }
}

import Workers

/// A linear map along one axis: every place of the result is a weighted sum of a few places of the source.
///
/// Interpolation is such a map, and so is its adjoint.
struct AxisMap {
    let sourceExtent: Int
    /// Row r of the map owns the taps `starts[r]..<starts[r + 1]`.
    private let starts: [Int]
    private let indices: [Int]
    private let weights: [Float]

    var resultExtent: Int { starts.count - 1 }

    /// - Parameter row: the taps of a row. Neighbours at one index are added up, those of weight 0 dropped.
    /// - Precondition: every index lies in the source.
    init(sourceExtent: Int, resultExtent: Int, row: (Int) -> [(index: Int, weight: Double)]) {
        var starts = [0]
        var indices: [Int] = []
        var weights: [Float] = []
        starts.reserveCapacity(resultExtent + 1)
        for place in 0..<resultExtent {
            var sums: [(index: Int, weight: Double)] = []
            for tap in row(place) {
                precondition(tap.index >= 0 && tap.index < sourceExtent)
                if let last = sums.last, last.index == tap.index {
                    sums[sums.count - 1].weight += tap.weight
                } else {
                    sums.append(tap)
                }
            }
            for tap in sums where tap.weight != 0 {
                indices.append(tap.index)
                weights.append(Float(tap.weight))
            }
            starts.append(indices.count)
        }
        self.init(sourceExtent: sourceExtent, starts: starts, indices: indices, weights: weights)
    }

    private init(sourceExtent: Int, starts: [Int], indices: [Int], weights: [Float]) {
        self.sourceExtent = sourceExtent
        self.starts = starts
        self.indices = indices
        self.weights = weights
    }

    /// The adjoint: the same taps, gathered by where they read.
    var transposed: AxisMap {
        var counts = [Int](repeating: 0, count: sourceExtent + 1)
        for index in indices { counts[index + 1] += 1 }
        for place in 0..<sourceExtent { counts[place + 1] += counts[place] }
        var next = counts
        var places = indices
        var shares = weights
        for row in 0..<resultExtent {
            for tap in starts[row]..<starts[row + 1] {
                let slot = next[indices[tap]]
                next[indices[tap]] += 1
                places[slot] = row
                shares[slot] = weights[tap]
            }
        }
        return AxisMap(sourceExtent: resultExtent, starts: counts, indices: places, weights: shares)
    }

    /// The index that each row reads, where each reads just one as it is.
    var selection: [Int]? {
        guard indices.count == resultExtent, weights.allSatisfy({ $0 == 1 }),
            starts.indices.allSatisfy({ starts[$0] == $0 })
        else { return nil }
        return indices
    }

    /// The map applied along `axis`; a row without taps becomes `empty`.
    func apply(_ tensor: Tensor<Float>, axis: Int, empty: Float = 0) -> Tensor<Float> {
        precondition(tensor.shape[axis] == sourceExtent)
        var shape = tensor.shape
        shape[axis] = resultExtent
        let outer = shape.elementCount(..<axis)
        let inner = shape.elementCount((axis + 1)...)
        return Tensor(shape: shape) { result in
            tensor.withUnsafeBuffer { source in
                guard let to = result.baseAddress, result.count > 0 else { return }
                guard let from = source.baseAddress, source.count > 0 else {
                    result.initialize(repeating: empty)
                    return
                }
                if inner == 1 {
                    Workers.shared.forEachRange(outer, grain: max(1, (1 << 13) / resultExtent)) { lines in
                        for line in lines {
                            gather(from + line * sourceExtent, to + line * resultExtent, empty)
                        }
                    }
                } else {
                    Workers.shared.forEachRange(outer * resultExtent, grain: max(1, (1 << 14) / inner)) { rows in
                        for row in rows {
                            let block = from + row / resultExtent * sourceExtent * inner
                            combine(row % resultExtent, block, to + row * inner, inner, empty)
                        }
                    }
                }
            }
        }
    }

    /// One line whose elements lie side by side.
    private func gather(_ source: UnsafePointer<Float>, _ result: UnsafeMutablePointer<Float>, _ empty: Float) {
        starts.withUnsafeBufferPointer { starts in
            indices.withUnsafeBufferPointer { indices in
                weights.withUnsafeBufferPointer { weights in
                    for row in 0..<starts.count - 1 {
                        let (first, last) = (starts[row], starts[row + 1])
                        if first == last {
                            result[row] = empty
                            continue
                        }
                        var sum: Float = 0
                        for tap in first..<last { sum += weights[tap] * source[indices[tap]] }
                        result[row] = sum
                    }
                }
            }
        }
    }

    /// One row of `inner` elements from the rows that it reads, two at a time.
    private func combine(
        _ row: Int, _ source: UnsafePointer<Float>, _ result: UnsafeMutablePointer<Float>, _ inner: Int, _ empty: Float
    ) {
        var tap = starts[row]
        let last = starts[row + 1]
        if tap == last { return result.initialize(repeating: empty, count: inner) }
        if (last - tap) % 2 == 1 {
            let (a, p) = (weights[tap], source + indices[tap] * inner)
            if a == 1 {
                result.initialize(from: p, count: inner)
            } else {
                for i in 0..<inner { result[i] = a * p[i] }
            }
            tap += 1
        } else {
            let (a, p) = (weights[tap], source + indices[tap] * inner)
            let (b, q) = (weights[tap + 1], source + indices[tap + 1] * inner)
            for i in 0..<inner { result[i] = a * p[i] + b * q[i] }
            tap += 2
        }
        while tap < last {
            let (a, p) = (weights[tap], source + indices[tap] * inner)
            let (b, q) = (weights[tap + 1], source + indices[tap + 1] * inner)
            for i in 0..<inner { result[i] += a * p[i] + b * q[i] }
            tap += 2
        }
    }
}

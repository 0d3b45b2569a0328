import Tensors

/// All index tuples below the given extents, the last axis fastest.
struct Odometer: Sequence {
    let extents: [Int]
    init(_ extents: [Int]) { self.extents = extents }

    func makeIterator() -> AnyIterator<[Int]> {
        let extents = extents
        let total = extents.elementCount
        var number = 0
        return AnyIterator {
            guard number < total else { return nil }
            var rest = number
            number += 1
            var indices = [Int](repeating: 0, count: extents.count)
            for axis in extents.indices.reversed() {
                indices[axis] = rest % extents[axis]
                rest /= extents[axis]
            }
            return indices
        }
    }
}

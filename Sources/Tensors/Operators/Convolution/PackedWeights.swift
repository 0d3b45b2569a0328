import Synchronization

/// The weights of one operator in the layouts of the engines that ran it, made once and shared by threads.
///
/// Made for the weight tensor seen last: a network's weights are constants, so that is the only one. The tensor is
/// retained, which keeps its storage's identity from being taken by another.
final class PackedWeights: Sendable {
    /// What packed weights are for.
    struct Key: Hashable, Sendable {
        enum Layout: Hashable, Sendable {
            /// A slice of the result's channels, in a layout that oneDNN chose.
            case oneDNN(channels: Range<Int>)
            /// Transformed for tiles of these extents, in the order of one kind of processor.
            case filtered(tile: SIMD3<Int>, processor: Int32)
            /// As they are, in the order of one kind of processor.
            case ordered(processor: Int32)
            /// In blocks of six channels of the result, the same for every kind of processor.
            case rows
        }
        var layout: Layout
        var direction: Convolution.Direction
    }

    private struct State {
        var weight: Tensor<Float>?
        var packed: [Key: [any Sendable]] = [:]
    }

    private let state = Mutex(State())

    /// The packed form under `key` that `fits`, or a new one by `make`.
    ///
    /// `make` runs outside the lock; two threads may both make it, with equal results, of which one is kept.
    func packed<Packed: Sendable>(
        _ weight: Tensor<Float>, _ key: Key, fits: (Packed) -> Bool = { _ in true }, make: () throws -> Packed
    ) rethrows -> Packed {
        func find(_ state: inout State) -> Packed? {
            if state.weight?.identity != weight.identity { state = State(weight: weight) }
            return state.packed[key]?.lazy.compactMap { $0 as? Packed }.first(where: fits)
        }
        if let found = state.withLock({ find(&$0) }) { return found }
        let made = try make()
        return state.withLock { state in
            if let found = find(&state) { return found }
            state.packed[key, default: []].append(made)
            return made
        }
    }
}

import Foundation

/// Lets so many threads at once into the part of a scan's work that takes the most memory and all processors: reading, preparing,
/// running the network. What follows, placing and writing, then goes on beside the next scan's network.
final class Gate: Sendable {
    private let places: DispatchSemaphore

    init(places: Int) { self.places = DispatchSemaphore(value: max(1, places)) }

    /// Waits for a place. It is given back by ``Turn/end()``, or when the turn is forgotten (an error on the way).
    func take() -> Turn {
        places.wait()
        return Turn(places)
    }

    final class Turn {
        private var places: DispatchSemaphore?

        fileprivate init(_ places: DispatchSemaphore) { self.places = places }

        deinit { end() }

        func end() {
            places?.signal()
            places = nil
        }
    }
}

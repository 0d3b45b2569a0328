import Failures
import Foundation
import Synchronization

/// A fixed set of threads that share the pieces of data-parallel work.
///
/// The pieces are numbered by the caller and must not depend on how many threads there are: the same pieces give the
/// same bytes on any machine. Calls may nest and may come from several threads at once; the calling thread always works
/// on its own call, so that no call can wait for a thread that waits for it.
public final class Workers: Sendable {
    /// The workers that the whole process uses. Its width is set once, early, by ``setWidth(_:)``.
    public static var shared: Workers { sharedBox.withLock { $0 } }
    private static let sharedBox = Mutex(Workers(width: Workers.defaultWidth))

    /// As many as there are processors this process may run on.
    public static var defaultWidth: Int { max(1, ProcessInfo.processInfo.activeProcessorCount) }

    /// Replaces the shared workers by others of `width` threads in all (the caller counts as one).
    public static func setWidth(_ width: Int) {
        precondition(width >= 1, "a width of at least one thread")
        let old = sharedBox.withLock { box in
            let old = box
            box = Workers(width: width)
            return old
        }
        old.stop()
    }

    /// Threads that work on one call, the calling one included.
    public let width: Int
    private let state: Queue

    public init(width: Int) {
        self.width = max(1, width)
        state = Queue()
        let queue = state
        for index in 1..<max(1, self.width) {
            let thread = Thread { queue.serve() }
            thread.name = "tomolens-worker-\(index)"
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    deinit { stop() }

    private func stop() { state.close() }

    /// Calls `body` once for each of `0..<count`, on all threads, and returns when all are done.
    public func forEach(_ count: Int, _ body: (Int) -> Void) {
        if count <= 0 { return }
        if count == 1 || width == 1 {
            for index in 0..<count { body(index) }
            return
        }
        // The closure outlives no call: `run` returns only after every piece has ended.
        withoutActuallyEscaping(body) { body in
            let call = Call(count: count, body: UncheckedBody(body))
            state.post(call)
            call.work()
            state.withdraw(call)
            call.waitForOthers()
            // A helper may still hold the call for a moment after it left; the body must not outlive this scope with it.
            call.body = nil
        }
    }

    /// As ``forEach(_:_:)`` for work that can fail. The failure thrown is that of the lowest-numbered failing piece among
    /// those that ran; pieces after a failure may be skipped.
    public func forEachThrowing(_ count: Int, _ body: (Int) throws -> Void) throws {
        let failure = Mutex<(index: Int, error: any Error)?>(nil)
        forEach(count) { index in
            if let earlier = failure.withLock({ $0?.index }), earlier < index { return }
            do { try body(index) } catch {
                failure.withLock { slot in
                    if slot == nil || index < slot!.index { slot = (index, error) }
                }
            }
        }
        if let (_, error) = failure.withLock({ $0 }) { throw error }
    }

    /// Splits `0..<count` in pieces of `grain` (the last may be shorter) and calls `body` once for each range.
    public func forEachRange(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        let grain = max(1, grain)
        forEach((count + grain - 1) / grain) { piece in
            body(piece * grain..<min(count, (piece + 1) * grain))
        }
    }

    /// The results of `body` for each of `0..<count`, in order.
    public func map<Result: Sendable>(_ count: Int, _ body: (Int) throws -> Result) throws -> [Result] {
        let results = Mutex([Result?](repeating: nil, count: count))
        try forEachThrowing(count) { index in
            let result = try body(index)
            results.withLock { $0[index] = result }
        }
        return results.withLock { $0.map { $0! } }
    }
}

/// Lets a non-Sendable body be shared by the threads of one call; ``Workers/forEach(_:_:)`` bounds its life.
private struct UncheckedBody: @unchecked Sendable {
    let body: (Int) -> Void
    init(_ body: @escaping (Int) -> Void) { self.body = body }
}

/// One call: a counter of pieces handed out, and how many threads are still inside.
private final class Call: @unchecked Sendable {
    let count: Int
    /// Read only between entering and leaving.
    var body: UncheckedBody?
    private let next = Atomic<Int>(0)
    private let helpers = Atomic<Int>(0)
    private let condition = NSCondition()

    init(count: Int, body: UncheckedBody) {
        self.count = count
        self.body = body
    }

    var hasWork: Bool { next.load(ordering: .relaxed) < count }

    func work() {
        guard let body else { return }
        while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            if index >= count { return }
            body.body(index)
        }
    }

    /// Called with the queue's lock held, so that no helper can enter after ``Queue/withdraw(_:)``.
    func enter() { helpers.add(1, ordering: .relaxed) }

    func leave() {
        if helpers.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 {
            condition.withLock { condition.broadcast() }
        }
    }

    func waitForOthers() {
        if Patience.wait(until: { helpers.load(ordering: .acquiring) == 0 }) { return }
        condition.withLock { while helpers.load(ordering: .acquiring) > 0 { condition.wait() } }
    }
}

/// Waiting awake for a short while before sleeping.
///
/// A thread that sleeps takes between a tenth of a millisecond and several to be at work again, on a virtual machine above all: more than
/// half of many a layer takes. Layers follow each other closely, so the next piece of work is nearly always at hand sooner.
private enum Patience {
    /// As long as the serial work between two layers takes, not longer: others may want the processor.
    private static let nanoseconds: UInt64 = 2_000_000
    private static let looksAtOnce = 64

    /// Whether `condition` came to hold in time.
    static func wait(until condition: () -> Bool) -> Bool {
        if condition() { return true }
        let end = now() + nanoseconds
        repeat {
            for _ in 0..<looksAtOnce where condition() { return true }
            // Whoever else is ready to run on this processor goes first.
            sched_yield()
        } while now() < end
        return condition()
    }

    private static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }
}

/// The calls that idle threads may join, newest last.
private final class Queue: @unchecked Sendable {
    private let condition = NSCondition()
    private var calls: [Call] = []
    private var sleepers: [Int32] = []
    private var closed = false
    /// Changes whenever there may be something new to do.
    private let posted = Atomic<Int>(0)

    func post(_ call: Call) {
        condition.withLock {
            calls.append(call)
            posted.add(1, ordering: .releasing)
            if !sleepers.isEmpty {
                Placement.keepOffCaller(sleepers)
                condition.broadcast()
            }
        }
    }

    func withdraw(_ call: Call) {
        condition.withLock { calls.removeAll { $0 === call } }
    }

    func close() {
        condition.withLock {
            closed = true
            posted.add(1, ordering: .releasing)
            condition.broadcast()
        }
    }

    func serve() {
        let thread = Placement.currentThread
        while let call = next(thread) {
            call.work()
            call.leave()
        }
    }

    /// Waits for a call with work left and enters it; nil once closed.
    private func next(_ thread: Int32) -> Call? {
        condition.lock()
        defer { condition.unlock() }
        while !closed {
            // The newest first: nested calls end before the calls that wait for them.
            if let call = calls.last(where: \.hasWork) {
                call.enter()
                return call
            }
            let seen = posted.load(ordering: .acquiring)
            condition.unlock()
            let came = Patience.wait { posted.load(ordering: .acquiring) != seen }
            condition.lock()
            if came { continue }
            // Looked at once more under the lock, under which alone it changes.
            guard posted.load(ordering: .relaxed) == seen else { continue }
            sleepers.append(thread)
            condition.wait()
            sleepers.removeAll { $0 == thread }
        }
        return nil
    }
}

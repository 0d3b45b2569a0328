import Synchronization
import Workers

/// Memory of large tensors, handed on from one to the next.
///
/// A fresh allocation of tens of megabytes costs the system's clearing of every page, again for every layer of every
/// scan; that is a good part of a fast convolution's time. Blocks that a tensor gives back wait here for the next of about
/// their size. What is in use and what waits together never pass the most that was in use at once, so that waiting
/// blocks don't raise a run's peak.
public final class TensorMemory: Sendable {
    /// Where the tensors of this process take their memory.
    public static let shared = TensorMemory()

    struct Block: @unchecked Sendable {
        var base: UnsafeMutableRawPointer
        var bytes: Int
    }

    private struct State {
        /// Smallest first.
        var idle: [Block] = []
        var idleBytes = 0
        var liveBytes = 0
        var peakBytes = 0
    }

    private let state = Mutex(State())

    deinit {
        for block in state.withLock({ $0.idle }) { block.base.deallocate() }
    }

    /// Smaller tensors are the allocator's affair.
    static let threshold = 1 << 20

    /// At least `bytes` of memory, aligned to a cache line or better, of unspecified contents.
    func take(_ bytes: Int) -> Block {
        let size = Self.roundedUp(bytes)
        var dropped: [Block] = []
        let found: Block? = state.withLock { state in
            defer { state.peakBytes = max(state.peakBytes, state.liveBytes) }
            if let index = state.idle.firstIndex(where: { $0.bytes >= size }),
                state.idle[index].bytes <= size + size / 4
            {
                let block = state.idle.remove(at: index)
                state.idleBytes -= block.bytes
                state.liveBytes += block.bytes
                return block
            }
            state.liveBytes += size
            dropped = Self.trim(&state, to: max(0, state.peakBytes - state.liveBytes))
            return nil
        }
        for block in dropped { block.base.deallocate() }
        return found ?? Self.fresh(size)
    }

    func giveBack(_ block: Block) {
        let dropped = state.withLock { state in
            state.liveBytes -= block.bytes
            state.idleBytes += block.bytes
            state.idle.insert(block, at: state.idle.firstIndex { $0.bytes >= block.bytes } ?? state.idle.endIndex)
            return Self.trim(&state, to: max(0, state.peakBytes - state.liveBytes))
        }
        for block in dropped { block.base.deallocate() }
    }

    /// Bytes of large tensors: in use now, waiting to be used again, and the most that was in use at once.
    public var usage: (live: Int, idle: Int, peak: Int) {
        state.withLock { ($0.liveBytes, $0.idleBytes, $0.peakBytes) }
    }

    /// Gives all memory of tensors and operators that waits back to the system: for when something else than a network comes
    /// next.
    public static func releaseAll() {
        shared.releaseIdle()
        Scratch.releaseIdle()
    }

    /// Gives all waiting memory back to the system.
    public func releaseIdle() {
        let dropped = state.withLock { state in
            state.peakBytes = state.liveBytes
            return Self.trim(&state, to: 0)
        }
        for block in dropped { block.base.deallocate() }
    }

    /// Takes waiting blocks out, largest first, until at most `bytes` wait.
    private static func trim(_ state: inout State, to bytes: Int) -> [Block] {
        var dropped: [Block] = []
        while state.idleBytes > bytes, let block = state.idle.popLast() {
            state.idleBytes -= block.bytes
            dropped.append(block)
        }
        return dropped
    }

    private static func roundedUp(_ bytes: Int) -> Int { HugePages.rounded((bytes + 0xffff) & ~0xffff) }

    private static func fresh(_ size: Int) -> Block {
        let memory = HugePages.allocate(size)
        return Block(base: memory.baseAddress!, bytes: memory.count)
    }
}

import Synchronization
import Workers

/// Memory of large tensors, handed on from one to the next.
///
/// A fresh allocation of tens of megabytes costs the system's clearing of every page, again for every layer of every
/// scan; that is a good part of a fast convolution's time. What a tensor gives back waits here for the next one, in pieces or
/// joined to what waits beside it. What is in use and what waits together never pass the most that was in use at once, so
/// that waiting memory doesn't raise a run's peak.
public final class TensorMemory: Sendable {
    /// Where the tensors of this process take their memory.
    public static let shared = TensorMemory()

    struct Block: @unchecked Sendable {
        var base: UnsafeMutableRawPointer
        var bytes: Int
    }

    private let state = Mutex(TensorSpans())

    deinit {
        change { $0.cool(to: 0) }
    }

    /// Smaller tensors are the allocator's affair.
    static let threshold = 1 << 20

    /// At least `bytes` of memory, aligned to a cache line or better, of unspecified contents.
    func take(_ bytes: Int) -> Block {
        let size = Self.roundedUp(bytes)
        var found: UnsafeMutableRawPointer?
        change { found = $0.take(size) }
        if let found { return Block(base: found, bytes: size) }
        let memory = HugePages.allocate(size)
        precondition(memory.count == size, "rounded already")
        state.withLock { $0.add(memory) }
        return Block(base: memory.baseAddress!, bytes: size)
    }

    func giveBack(_ block: Block) {
        change { $0.giveBack(UnsafeMutableRawBufferPointer(start: block.base, count: block.bytes)) }
    }

    /// Bytes of large tensors: in use now, waiting to be used again, and the most that was in use at once.
    public var usage: (live: Int, idle: Int, peak: Int) {
        state.withLock { ($0.liveBytes, $0.warmBytes, $0.peakBytes) }
    }

    /// Gives all memory of tensors and operators that waits back to the system: for when something else than a network comes
    /// next.
    public static func releaseAll() {
        shared.releaseIdle()
        Scratch.releaseIdle()
    }

    /// Gives all waiting memory back to the system.
    public func releaseIdle() {
        change { spans in
            spans.forgetPeak()
            spans.cool(to: 0)
        }
    }

    /// Changes what waits, and gives up the chunks that nothing needs any more.
    private func change(_ body: (inout TensorSpans) -> Void) {
        let chunks = state.withLock { spans in
            body(&spans)
            return spans.freeChunks()
        }
        for chunk in chunks { chunk.deallocate() }
    }

    private static func roundedUp(_ bytes: Int) -> Int { HugePages.rounded((bytes + 0xffff) & ~0xffff) }
}

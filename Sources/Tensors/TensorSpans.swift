import Workers

/// What waits in a ``TensorMemory``, and what is in use: spans of the chunks that the system gave.
///
/// A span that waits is warm, its pages are there, or cold: they went back to the system, and only the addresses wait.
struct TensorSpans: @unchecked Sendable {
    private struct Span {
        var base: UnsafeMutableRawPointer
        var bytes: Int
        var isWarm: Bool
        var end: UnsafeMutableRawPointer { base + bytes }
    }

    /// What waits, by address; neighbours of one chunk that are alike are one.
    private var waiting: [Span] = []
    private var chunks: [UnsafeMutableRawBufferPointer] = []

    private(set) var liveBytes = 0
    private(set) var warmBytes = 0
    /// The most that was in use at once.
    private(set) var peakBytes = 0

    /// The peak counts from now.
    mutating func forgetPeak() { peakBytes = liveBytes }

    /// So many bytes from what waits: from the smallest warm span that has them, or else the smallest cold one; nil where there is
    /// none. Counted as in use from now in any case.
    mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer? {
        liveBytes += bytes
        peakBytes = max(peakBytes, liveBytes)
        defer { cool(to: peakBytes - liveBytes) }
        let fitting = waiting.indices.filter { waiting[$0].bytes >= bytes }
        func rank(_ index: Int) -> (Int, Int) { (waiting[index].isWarm ? 0 : 1, waiting[index].bytes) }
        guard let index = fitting.min(by: { rank($0) < rank($1) }) else { return nil }
        let base = waiting[index].base
        if waiting[index].isWarm { warmBytes -= bytes }
        if waiting[index].bytes == bytes {
            waiting.remove(at: index)
        } else {
            waiting[index].base += bytes
            waiting[index].bytes -= bytes
        }
        return base
    }

    /// A new chunk, in use from end to end (and counted by ``take(_:)``).
    mutating func add(_ chunk: UnsafeMutableRawBufferPointer) { chunks.append(chunk) }

    mutating func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        liveBytes -= memory.count
        warmBytes += memory.count
        let span = Span(base: memory.baseAddress!, bytes: memory.count, isWarm: true)
        let index = waiting.firstIndex { $0.base > span.base } ?? waiting.endIndex
        waiting.insert(span, at: index)
        join(at: index + 1)
        join(at: index)
        cool(to: peakBytes - liveBytes)
    }

    /// Joins a span to the one before it where both are of one chunk and alike.
    private mutating func join(at index: Int) {
        guard index > 0, index < waiting.count else { return }
        let (before, span) = (waiting[index - 1], waiting[index])
        guard before.end == span.base, before.isWarm == span.isWarm,
            !chunks.contains(where: { $0.baseAddress! == span.base })
        else { return }
        waiting[index - 1].bytes += span.bytes
        waiting.remove(at: index)
    }

    /// Gives pages of the largest warm spans back to the system until at most `bytes` are warm.
    mutating func cool(to bytes: Int) {
        while warmBytes > bytes,
            let index = waiting.indices.filter({ waiting[$0].isWarm }).max(by: {
                waiting[$0].bytes < waiting[$1].bytes
            })
        {
            let span = waiting[index]
            let surplus = (warmBytes - bytes + HugePages.size - 1) / HugePages.size * HugePages.size
            // From the end, so that what stays begins where the next is taken from.
            let cooled = min(span.bytes, surplus)
            warmBytes -= cooled
            HugePages.release(UnsafeMutableRawBufferPointer(start: span.end - cooled, count: cooled))
            if cooled == span.bytes {
                waiting[index].isWarm = false
                join(at: index + 1)
                join(at: index)
            } else {
                waiting[index].bytes -= cooled
                waiting.insert(Span(base: span.end - cooled, bytes: cooled, isWarm: false), at: index + 1)
                join(at: index + 2)
            }
        }
    }

    /// Takes out the chunks of which nothing is in use and nothing warm, for the caller to give up.
    mutating func freeChunks() -> [UnsafeMutableRawPointer] {
        var free: [UnsafeMutableRawPointer] = []
        chunks.removeAll { chunk in
            guard
                let index = waiting.firstIndex(where: {
                    $0.base == chunk.baseAddress! && $0.bytes == chunk.count && !$0.isWarm
                })
            else { return false }
            waiting.remove(at: index)
            free.append(chunk.baseAddress!)
            return true
        }
        return free
    }
}

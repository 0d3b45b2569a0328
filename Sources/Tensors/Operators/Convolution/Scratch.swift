import Synchronization
import Workers

/// Working memory that is handed from piece to piece, so that hot loops touch pages that exist already.
enum Scratch {
    private struct Block: @unchecked Sendable {
        var base: UnsafeMutableRawPointer
        var bytes: Int
    }

    /// Idle blocks, smallest first.
    private static let idle = Mutex<[Block]>([])
    /// What may lie idle in all; beyond it blocks go back to the system.
    private static let keptBytes = 256 << 20

    /// Calls `body` with at least `bytes` of 64-byte aligned memory of unspecified contents.
    static func with<Result>(bytes: Int, _ body: (UnsafeMutableRawPointer) throws -> Result) rethrows -> Result {
        let block = take(bytes)
        defer { giveBack(block) }
        return try body(block.base)
    }

    /// Gives all idle blocks back to the system.
    static func releaseIdle() {
        let dropped = idle.withLock { blocks in
            defer { blocks = [] }
            return blocks
        }
        for block in dropped { block.base.deallocate() }
    }

    private static func take(_ bytes: Int) -> Block {
        let found: Block? = idle.withLock { blocks in
            guard let index = blocks.firstIndex(where: { $0.bytes >= bytes }) else { return nil }
            return blocks.remove(at: index)
        }
        if let found { return found }
        let memory = HugePages.allocate(bytes)
        return Block(base: memory.baseAddress!, bytes: memory.count)
    }

    private static func giveBack(_ block: Block) {
        let dropped: [Block] = idle.withLock { blocks in
            blocks.insert(block, at: blocks.firstIndex { $0.bytes >= block.bytes } ?? blocks.endIndex)
            var dropped: [Block] = []
            var total = blocks.reduce(0) { $0 + $1.bytes }
            while total > keptBytes, let smallest = blocks.first {
                total -= smallest.bytes
                dropped.append(smallest)
                blocks.removeFirst()
            }
            return dropped
        }
        for block in dropped { block.base.deallocate() }
    }
}

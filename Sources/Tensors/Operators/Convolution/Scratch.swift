import Foundation
import Synchronization

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

    private static func take(_ bytes: Int) -> Block {
        let found: Block? = idle.withLock { blocks in
            guard let index = blocks.firstIndex(where: { $0.bytes >= bytes }) else { return nil }
            return blocks.remove(at: index)
        }
        if let found { return found }
        // Whole huge pages where it is large: fewer faults and fewer translation misses.
        let huge = 2 << 20
        let size = bytes >= huge ? (bytes + huge - 1) / huge * huge : max(4096, (bytes + 4095) / 4096 * 4096)
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: bytes >= huge ? huge : 64)
        if bytes >= huge { madvise(base, size, 14 /* MADV_HUGEPAGE */) }
        return Block(base: base, bytes: size)
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

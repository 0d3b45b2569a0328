import Foundation

/// Large pages for large memory that is about to be written from one end to the other: a page fault for every two megabytes
/// and not for every four kilobytes. Advice only: a system without them goes on as before.
public enum HugePages {
    private static let size = 2 << 20

    public static func advise(_ memory: UnsafeMutableRawBufferPointer) {
        guard memory.count >= 4 * size, let base = memory.baseAddress else { return }
        let start = (UInt(bitPattern: base) + UInt(size - 1)) & ~UInt(size - 1)
        let end = (UInt(bitPattern: base) + UInt(memory.count)) & ~UInt(size - 1)
        if start < end { madvise(UnsafeMutableRawPointer(bitPattern: start), Int(end - start), MADV_HUGEPAGE) }
    }

    public static func advise<Element>(_ memory: UnsafeMutableBufferPointer<Element>) {
        advise(UnsafeMutableRawBufferPointer(memory))
    }
}

import Foundation

/// Large pages for large memory that is about to be written from one end to the other: a page fault for every two megabytes
/// and not for every four kilobytes, and fewer misses of the translation cache. Advice only: a system without them goes on as before.
public enum HugePages {
    public static let size = 2 << 20

    /// Asks for large pages where at least two of them lie within `memory`.
    public static func advise(_ memory: UnsafeMutableRawBufferPointer) {
        guard memory.count >= 2 * size, let base = memory.baseAddress else { return }
        let start = (UInt(bitPattern: base) + UInt(size - 1)) & ~UInt(size - 1)
        let end = (UInt(bitPattern: base) + UInt(memory.count)) & ~UInt(size - 1)
        #if os(Linux)
            if start < end { madvise(UnsafeMutableRawPointer(bitPattern: start), Int(end - start), MADV_HUGEPAGE) }
        #endif
    }

    public static func advise<Element>(_ memory: UnsafeMutableBufferPointer<Element>) {
        advise(UnsafeMutableRawBufferPointer(memory))
    }

    /// Has the system provide the pages of `memory` now and not as each is first touched: on one thread, while another one reads what is
    /// to go there. Advice only.
    public static func provide(_ memory: UnsafeMutableRawBufferPointer) {
        guard let base = memory.baseAddress else { return }
        let page = UInt(getpagesize())
        let start = UInt(bitPattern: base) / page * page
        #if os(Linux)
            // MADV_POPULATE_WRITE, of Linux 5.14, has no name in older headers.
            let populateWrite: Int32 = 23
            madvise(
                UnsafeMutableRawPointer(bitPattern: start), Int(UInt(bitPattern: base) - start) + memory.count,
                populateWrite)
        #endif
    }

    /// Gives the whole pages within `memory` back to the system; their contents are lost, their addresses stay.
    public static func release(_ memory: UnsafeMutableRawBufferPointer) {
        guard let base = memory.baseAddress else { return }
        let page = UInt(getpagesize())
        let start = (UInt(bitPattern: base) + page - 1) / page * page
        let end = (UInt(bitPattern: base) + UInt(memory.count)) / page * page
        #if os(Linux)
            if start < end { madvise(UnsafeMutableRawPointer(bitPattern: start), Int(end - start), MADV_DONTNEED) }
        #endif
    }

    /// What ``allocate(_:)`` makes of a number of bytes: whole large pages where there would be two or more of them.
    public static func rounded(_ bytes: Int) -> Int {
        let unit = bytes >= 2 * size ? size : 4096
        return max(1, (bytes + unit - 1) / unit) * unit
    }

    /// Memory of `rounded(bytes)`, advised already; to be given back by `deallocate()`.
    public static func allocate(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
        let bytes = rounded(bytes)
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: bytes, alignment: bytes >= 2 * size ? size : 4096)
        advise(memory)
        return memory
    }
}

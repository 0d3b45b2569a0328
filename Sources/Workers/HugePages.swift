import Foundation

/// Large pages for large memory that is about to be written from one end to the other: a page fault for every two megabytes
/// and not for every four kilobytes, and fewer misses of the translation cache. Advice only: a system without them goes on as before.
public enum HugePages {
    public static let size = 2 << 20

    /// Asks for large pages where at least two of them lie within `memory`.
    public static func advise(_ memory: UnsafeMutableRawBufferPointer) {
        #if os(Linux)
            if memory.count >= 2 * size { tell(of: memory, pages: size, MADV_HUGEPAGE) }
        #endif
    }

    #if os(Linux)
        /// Advice to the system about the whole pages, of so many bytes, that lie within `memory`.
        private static func tell(of memory: UnsafeMutableRawBufferPointer, pages bytes: Int, _ advice: Int32) {
            let first = UInt(bitPattern: memory.baseAddress)
            let page = UInt(bytes)
            let start = (first + page - 1) / page * page
            let end = (first + UInt(memory.count)) / page * page
            if start < end { madvise(UnsafeMutableRawPointer(bitPattern: start), Int(end - start), advice) }
        }
    #endif

    public static func advise<Element>(_ memory: UnsafeMutableBufferPointer<Element>) {
        advise(UnsafeMutableRawBufferPointer(memory))
    }

    /// Has the system provide the pages of `memory` now and not as each is first touched: on one thread, while another one reads what is
    /// to go there. Advice only.
    public static func provide(_ memory: UnsafeMutableRawBufferPointer) {
        #if os(Linux)
            // MADV_POPULATE_WRITE, of Linux 5.14, has no name in older headers.
            tell(of: memory, pages: Int(getpagesize()), 23)
        #endif
    }

    /// Gives the whole pages within `memory` back to the system; their contents are lost, their addresses stay.
    public static func release(_ memory: UnsafeMutableRawBufferPointer) {
        #if os(Linux)
            tell(of: memory, pages: Int(getpagesize()), MADV_DONTNEED)
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

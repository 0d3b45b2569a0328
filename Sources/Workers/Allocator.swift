import CThreads

/// The C library's allocator, from which arrays have their memory.
public enum Allocator {
    /// Gives memory of eight megabytes and more back to the system as soon as it is freed.
    ///
    /// Left to itself GNU's allocator raises that bound with every volume that is freed, up to 32 MB, and keeps the memory of the largest
    /// scan in holes that the next one does not fit. To be called once, before anything large is allocated.
    public static func returnLargeMemory() { tomo_return_large_memory() }
}

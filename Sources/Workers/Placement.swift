import CThreads

/// Where a thread that is woken may run.
///
/// A system that wakes a sleeping thread tends to put it on the processor of whoever woke it, to share its cache. Of two threads
/// that compute that is the worst place: it waits there until the load is balanced, some milliseconds later, longer than
/// many a layer takes. So a worker is told to keep off its caller's processor before it is woken.
enum Placement {
    /// On a wide machine the system finds an idle processor, and asking for many threads costs more than it brings.
    private static let most = 7

    static var currentThread: Int32 { tomo_thread_self() }

    /// Lets `threads`, which sleep, run anywhere but where the calling thread runs now.
    static func keepOffCaller(_ threads: [Int32]) {
        if threads.count <= most { tomo_threads_keep_off_caller(threads, Int32(threads.count)) }
    }
}

import COpenBLAS
import Testing

@testable import Tensors

/// OpenBLAS leaves the processors to our workers.
@Suite struct OpenBLASTests {
    /// From the program's start, with nothing asked for: a second thread would wait awake, and split sums by the machine's width.
    @Test func runsOneThreadACall() {
        #expect(openblas_get_num_threads() == 1)
    }
}

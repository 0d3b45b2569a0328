#include "COpenBLAS.h"

/// Ends OpenBLAS's threads. Its builds with threads of their own export it; the others have no threads to end.
extern int blas_thread_shutdown_(void) __attribute__((weak));

/// One thread a call, for the whole process: calls are spread over our workers. OpenBLAS has started its threads by now, and each
/// of them would wait awake on a processor through the program's first tenth of a second.
__attribute__((constructor)) static void keep_to_one_thread(void) {
    openblas_set_num_threads(1);
    if (blas_thread_shutdown_) {
        blas_thread_shutdown_();
    }
}

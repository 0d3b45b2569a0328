#pragma once

#include "Allocator.h"
#include "Saving.h"

/// Placement of threads on processors, which is the system's affair everywhere but on Linux: there these do nothing.

/// The system's number of the calling thread; 0 where threads cannot be placed.
int tomo_thread_self(void);

/// Lets `threads`, which sleep, run on every processor that the process may use but the one the caller is running on. A hint:
/// it does nothing where there is one processor only, or where the system refuses.
void tomo_threads_keep_off_caller(const int *threads, int count);

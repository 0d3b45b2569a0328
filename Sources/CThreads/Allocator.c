#include "Allocator.h"

#if defined(__linux__)
#include <malloc.h>
#endif

void tomo_return_large_memory(void) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

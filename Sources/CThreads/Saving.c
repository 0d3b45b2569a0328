#define _GNU_SOURCE
#include "Saving.h"

#include <fcntl.h>

void tomo_begin_saving(int descriptor) {
#if defined(__linux__)
    sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptor;
#endif
}

#include "CISAL.h"

#include <isa-l/igzip_lib.h>
#include <stdlib.h>

/* Level 2 finds more than level 1 at nearly its speed; level 3 is slower, no better on images, and not the same on every
   processor. */
#define LEVEL 2
#define LEVEL_MEMORY ISAL_DEF_LVL2_DEFAULT

size_t tomo_deflate_bound(size_t count) {
    /* Stored blocks of at most 65535 bytes with five bytes in front of each, an end of block and the flush. */
    return count + 5 * (count / 65535 + 1) + 64;
}

size_t tomo_deflate(const uint8_t *bytes, size_t count, int is_last, uint8_t *out, size_t room) {
    if (count > UINT32_MAX / 2 || room > UINT32_MAX) return 0;
    /* Cleared: what lay there before must not decide which matches are found. */
    struct isal_zstream *stream = calloc(1, sizeof *stream);
    uint8_t *memory = calloc(1, LEVEL_MEMORY);
    size_t written = 0;
    if (stream && memory) {
        isal_deflate_stateless_init(stream);
        stream->level = LEVEL;
        stream->level_buf = memory;
        stream->level_buf_size = LEVEL_MEMORY;
        stream->gzip_flag = IGZIP_DEFLATE;
        stream->flush = is_last ? NO_FLUSH : FULL_FLUSH;
        stream->end_of_stream = is_last ? 1 : 0;
        stream->next_in = (uint8_t *)bytes;
        stream->avail_in = (uint32_t)count;
        stream->next_out = out;
        stream->avail_out = (uint32_t)room;
        if (isal_deflate_stateless(stream) == COMP_OK && stream->avail_in == 0) written = room - stream->avail_out;
    }
    free(memory);
    free(stream);
    return written;
}

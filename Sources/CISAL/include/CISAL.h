#pragma once

#include <stddef.h>
#include <stdint.h>

/// Bytes that the compressed form of `count` bytes may take, ends of pieces included.
size_t tomo_deflate_bound(size_t count);

/// Compresses `count` bytes as bare deflate blocks that refer to nothing before them. With `is_last` they end the stream;
/// without, they end at a whole byte with the stream left open, so that pieces put end to end are one stream.
///
/// Returns how many bytes were written to `out`, or 0 when there is no memory to work with.
size_t tomo_deflate(const uint8_t *bytes, size_t count, int is_last, uint8_t *out, size_t room);

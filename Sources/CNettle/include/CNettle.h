#pragma once

#include <nettle/sha2.h>

/// The 32 bytes of the digest of what was taken in; the context begins anew.
void tomo_sha256_finish(struct sha256_ctx *context, uint8_t *digest);

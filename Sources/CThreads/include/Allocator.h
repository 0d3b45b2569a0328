#pragma once

/// Makes the C library's allocator give memory of eight megabytes and more back to the system as soon as it is freed. Nothing where
/// the C library is not GNU's.
void tomo_return_large_memory(void);

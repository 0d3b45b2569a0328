/* Compiles the file that KERNEL names once for each kind of processor, with NAME and LANES defined, and defines DISPATCH:
   a call to the version for `kind`. No compiler flag is needed; the caller asks tomo_processor_runs. */

#include "Processor.h"
#include "Ranges.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define TARGET_PUSH(features) _Pragma(TARGET_TEXT(clang attribute push(__attribute__((target(features))), apply_to = function)))
#define TARGET_POP _Pragma("clang attribute pop")
#else
#define TARGET_PUSH(features) _Pragma("GCC push_options") _Pragma(TARGET_TEXT(GCC target(features)))
#define TARGET_POP _Pragma("GCC pop_options")
#endif
#define TARGET_TEXT(...) #__VA_ARGS__

typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));

#define VEC NAME(vec)
#define INLINE static inline __attribute__((always_inline))

#define NAME(x) portable_##x
#define LANES 4
#include "Vectors.h"
#include KERNEL
#undef NAME
#undef LANES

#if defined(__x86_64__)
TARGET_PUSH("avx2,fma")
#define NAME(x) avx2_##x
#define LANES 8
#include "Vectors.h"
#include KERNEL
#undef NAME
#undef LANES
TARGET_POP

TARGET_PUSH("avx512f,avx512vl,avx512dq,avx2,fma")
#define NAME(x) avx512_##x
#define LANES 16
#include "Vectors.h"
#include KERNEL
#undef NAME
#undef LANES
TARGET_POP

#define DISPATCH(result, call)                                                                                        \
    do {                                                                                                              \
        if (kind == TOMO_AVX512) {                                                                                    \
            result avx512_##call;                                                                                     \
        } else if (kind == TOMO_AVX2) {                                                                               \
            result avx2_##call;                                                                                       \
        } else {                                                                                                      \
            result portable_##call;                                                                                   \
        }                                                                                                             \
    } while (0)
#else
#define DISPATCH(result, call) result portable_##call
#endif

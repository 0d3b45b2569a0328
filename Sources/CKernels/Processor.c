#include "Processor.h"

int tomo_processor_runs(int kind) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    switch (kind) {
    case TOMO_PORTABLE: return 1;
    case TOMO_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case TOMO_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
    default: return 0;
    }
#else
    return kind == TOMO_PORTABLE;
#endif
}

int tomo_best_processor(void) {
    if (tomo_processor_runs(TOMO_AVX512)) return TOMO_AVX512;
    return tomo_processor_runs(TOMO_AVX2) ? TOMO_AVX2 : TOMO_PORTABLE;
}

#pragma once

/// Kinds of processor that kernels are written for. Each computes the same to rounding.
enum {
    TOMO_PORTABLE = 0,
    TOMO_AVX2 = 1,
    TOMO_AVX512 = 2,
};

/// The best kind that this processor runs.
int tomo_best_processor(void);
/// Nonzero when this processor runs kernels of that kind.
int tomo_processor_runs(int kind);

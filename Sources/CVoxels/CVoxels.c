#include "CVoxels.h"

#include <string.h>

/* A fused multiply-add would round once where processors without it round twice. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

/* Elements on their way between two loops: few enough for the nearest cache, enough for long vectors. */
#define BLOCK 128
#define INLINE inline __attribute__((always_inline))

#define NAME(x) portable_##x
#include "VoxelLoops.h"
#undef NAME

#if defined(__x86_64__)
/* The feature alone, without fused multiply-add. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#define NAME(x) avx2_##x
#include "VoxelLoops.h"
#undef NAME
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define DISPATCH(result, call)                                                                                        \
    do {                                                                                                              \
        if (__builtin_cpu_supports("avx2")) {                                                                         \
            result avx2_##call;                                                                                       \
        } else {                                                                                                      \
            result portable_##call;                                                                                   \
        }                                                                                                             \
    } while (0)
#else
#define DISPATCH(result, call) result portable_##call
#endif

void tomo_blend_rows(const float *a, const float *b, float weight, float *out, int64_t count) {
    DISPATCH(, blend_rows(a, b, weight, out, count));
}

void tomo_sample_line(
    const float *line, const int32_t *low, const int32_t *high, const float *weight, float *out, int64_t count) {
    DISPATCH(, sample_line(line, low, high, weight, out, count));
}

void tomo_sample_trilinear(const tomo_line *line, float *out, int64_t count) {
    DISPATCH(, sample_trilinear(line, out, count));
}

void tomo_sample_nearest(const tomo_line *line, float *out, int64_t count) {
    DISPATCH(, sample_nearest(line, out, count));
}

void tomo_grey_pixels(const float *values, float lower, float upper, uint8_t *rgb, int64_t count) {
    DISPATCH(, grey_pixels(values, lower, upper, rgb, count));
}

void tomo_tint_pixels(
    const float *values, float slope, float offset, int32_t steps, const tomo_tint *tints, uint8_t *rgb, int64_t count) {
    DISPATCH(, tint_pixels(values, slope, offset, steps, tints, rgb, count));
}

void tomo_subtract_rows(const uint8_t *row, const uint8_t *above, uint8_t *out, int64_t count) {
    DISPATCH(, subtract_rows(row, above, out, count));
}

int tomo_are_whole(const float *values, int64_t count) { DISPATCH(return, are_whole(values, count)); }

void tomo_store_uint8(const float *values, double slope, double inter, double low, double high, void *out, int64_t count) {
    DISPATCH(, store_uint8(values, slope, inter, low, high, out, count));
}

void tomo_store_int16(const float *values, double slope, double inter, double low, double high, void *out, int64_t count) {
    DISPATCH(, store_int16(values, slope, inter, low, high, out, count));
}

void tomo_store_uint16(
    const float *values, double slope, double inter, double low, double high, void *out, int64_t count) {
    DISPATCH(, store_uint16(values, slope, inter, low, high, out, count));
}

void tomo_predict_uint8(const uint8_t *codes, const uint8_t *above, uint8_t *differences, int64_t count) {
    DISPATCH(, predict_uint8(codes, above, differences, count));
}

void tomo_predict_int16(const int16_t *codes, const int16_t *above, uint8_t *low, uint8_t *high, int64_t count) {
    DISPATCH(, predict_int16(codes, above, low, high, count));
}

void tomo_positive_row(const float *values, int64_t count, float *lowest, float *highest, double *sum, double *columns) {
    DISPATCH(, positive_row(values, count, lowest, highest, sum, columns));
}

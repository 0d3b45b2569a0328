#pragma once

#include <stdint.h>

#include "Processor.h"

/// A sliding window over one plane of three spatial axes. A tap of output o and kernel index k reads input
/// o * stride + k * dilation - pad_begin; taps outside the input take no part, except that an average may count those
/// inside the padding.
typedef struct {
    int64_t input[3], output[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
} tomo_window;

/// Largest value in each window; NaN wins over numbers, and a window wholly in the padding is -infinity.
/// `scratch` holds `tomo_max_pool_scratch` floats.
void tomo_max_pool(const tomo_window *window, int kind, const float *input, float *output, float *scratch);
int64_t tomo_max_pool_scratch(const tomo_window *window);

/// As above, with the flat index into the plane of the first largest element (the last NaN where there is one), -1
/// where the window is wholly in the padding.
void tomo_max_pool_indices(const tomo_window *window, const float *input, float *output, int64_t *indices);

/// Adds each output's gradient to the element that `tomo_max_pool_indices` would name.
void tomo_max_pool_gradient(
    const tomo_window *window, const float *input, const float *gradient, float *input_gradient);

/// Mean over each window: over all taps that lie in the input or, with `count_padding`, in the padded input.
/// `scratch` holds `input[2]` floats.
void tomo_average_pool(
    const tomo_window *window, int count_padding, const float *input, float *output, float *scratch);
void tomo_average_pool_gradient(
    const tomo_window *window, int count_padding, const float *gradient, float *input_gradient);

/// (sum of |x|^p)^(1/p) over each window, and the gradient x |x|^(p-2) / y^(p-1) (0 where y is 0).
void tomo_norm_pool(const tomo_window *window, double p, const float *input, float *output);
void tomo_norm_pool_gradient(
    const tomo_window *window, double p, const float *input, const float *output, const float *gradient,
    float *input_gradient);

/// Sum of `count` floats in double precision, in an order that depends on `count` alone.
double tomo_sum(const float *values, int64_t count);

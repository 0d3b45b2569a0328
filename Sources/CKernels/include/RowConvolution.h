#pragma once

#include <stdint.h>

#include "Epilogue.h"
#include "Processor.h"

/// Convolution with vectors along the rows of plain tensors: for few input channels (a network's first layer), for
/// few output channels (the gradient of that layer's input), and for kernels of 1, where layouts along channels waste
/// lanes or reorder for nothing.
///
/// A grid of outputs, numbered by o on each axis, reads input o * stride + k * dilation - pad for k in 0..<taps, and lies in
/// the output tensor at o * out_step + out_offset: the steps are 1 forward; the backward pass of a strided convolution is
/// one such grid for each remainder of the input's index by the stride, with every stride-th tap.
typedef struct {
    int64_t in_channels, out_channels;
    int64_t input[3], grid[3], taps[3], stride[3], dilation[3], pad[3];
    int64_t output[3], out_step[3], out_offset[3];
} tomo_rows;

/// Floats of packed weights: `[block of 6 output channels][input channel, taps][6]`.
int64_t tomo_rows_packed_count(const tomo_rows *r);
/// The weight of output channel o, input channel i and tap k is weights[o * out_stride + i * in_stride + t] with
/// t = Σ (first + k * step) * axis_stride over the three axes.
void tomo_rows_pack(
    const tomo_rows *r, const float *weights, int64_t out_stride, int64_t in_stride, const int64_t first[3],
    const int64_t step[3], const int64_t axis_stride[3], float *packed);

/// Floats of 64-byte aligned workspace for a piece of `rows` rows by `columns`.
int64_t tomo_rows_workspace(const tomo_rows *r, int64_t rows, int64_t columns);
/// Computes rows y_begin..<y_end, columns x_begin..<x_end of plane z of the grid, in all output channels of one image:
/// `input` and `output` (and the epilogue's residual) point to that image.
void tomo_rows_run(
    const tomo_rows *r, int kind, const float *input, const float *packed, const tomo_epilogue *epilogue, float *output,
    int64_t z, int64_t y_begin, int64_t y_end, int64_t x_begin, int64_t x_end, float *workspace);

#pragma once

#include <stdint.h>

#include "Epilogue.h"
#include "Processor.h"

/// Convolution by minimal filtering (Winograd): stride 1, dilation 1, one group, kernels of 1 or 3 on each axis.
///
/// An axis with kernel 3 is cut in tiles of 4 or 2 outputs, F(4, 3) or F(2, 3); an axis with kernel 1 is passed over. A tile
/// of the input is transformed to points (6 or 4 an axis), multiplied point by point with the transformed weights (a
/// matrix product over channels at each point), and transformed back. The scheme and its notation (B, G, A) are those
/// of Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (arXiv 1509.09308), nested over three axes; the
/// points are 0, ±5/8, ±3/2 and infinity, which lose less to rounding than 0, ±1, ±2 and infinity (the choice of points is
/// discussed by Barabasz et al., arXiv 1803.10986).
///
/// Tensors are row-major `[batch, channels, depth, height, width]`. Tiles are numbered over images, depth, height and
/// width, width fastest; each may be computed by any thread, with the same bits.
typedef struct {
    int64_t batch, in_channels, out_channels;
    int64_t input[3], output[3], kernel[3];
    /// Leading padding; an axis reads input o + k - pad. May be negative (cropping).
    int64_t pad[3];
    /// Outputs of a tile on each axis: 4 or 2 where the kernel is 3, 1 where it is 1.
    int64_t tile[3];
    /// Outputs of which the largest alone is written (NaN wins), on each axis 1 or, where the kernel is 3, 2: a maximum pool with as
    /// large a stride and without padding. Extents of what is written, and of the epilogue's residual, are rounded down.
    int64_t pool[3];
} tomo_filtering;

int64_t tomo_filtering_tiles(const tomo_filtering *f);
int64_t tomo_filtering_points(const tomo_filtering *f);

/// Floats of transformed weights: `[point][panel of output channels][input channel][output channel]`.
int64_t tomo_filtering_packed_count(const tomo_filtering *f, int kind);
/// Panels of output channels; packing and multiplying may be split between them.
int64_t tomo_filtering_panels(const tomo_filtering *f, int kind);
/// Transforms the weights of panels `panels_begin..<panels_end`. The weight of output channel o, input channel i and tap t
/// is weights[o * out_stride + i * in_stride + t], or with `flipped` the tap counted from the last.
void tomo_filtering_pack(
    const tomo_filtering *f, int kind, const float *weights, int64_t out_stride, int64_t in_stride, int flipped,
    float *packed, int64_t panels_begin, int64_t panels_end);

/// Floats of 64-byte aligned workspace to compute up to `tiles` tiles at once.
int64_t tomo_filtering_workspace(const tomo_filtering *f, int kind, int64_t tiles);
/// Computes tiles `begin..<end` wholly.
void tomo_filtering_run(
    const tomo_filtering *f, int kind, const float *input, const float *packed, const tomo_epilogue *epilogue,
    float *output, int64_t begin, int64_t end, float *workspace);

/// Few tiles, of which one thread's share would not pay for reading all the transformed weights: the tiles `begin..<end` are
/// transformed first, in blocks of `tomo_filtering_lanes` input channels and parts of the tiles; then each panel of output channels is
/// computed from weights as they are, which are transformed on the way.
///
/// Floats of weights in order: `[panel of output channels][input channel][tap][output channel]`.
int64_t tomo_filtering_ordered_count(const tomo_filtering *f, int kind);
/// Puts the weights of panels `panels_begin..<panels_end` in order; for the arguments see `tomo_filtering_pack`.
void tomo_filtering_order(
    const tomo_filtering *f, int kind, const float *weights, int64_t out_stride, int64_t in_stride, int flipped,
    float *ordered, int64_t panels_begin, int64_t panels_end);
int64_t tomo_filtering_lanes(int kind);
/// Floats of so many transformed tiles, and of 64-byte aligned workspace for a thread in the first and in the second step.
int64_t tomo_filtering_transformed_count(const tomo_filtering *f, int kind, int64_t tiles);
int64_t tomo_filtering_step_workspace(const tomo_filtering *f, int kind);
int64_t tomo_filtering_fresh_workspace(const tomo_filtering *f, int kind, int64_t tiles);
void tomo_filtering_transform_input(
    const tomo_filtering *f, int kind, const float *input, float *transformed, int64_t begin, int64_t end,
    int64_t part_begin, int64_t part_end, int64_t block_begin, int64_t block_end, float *workspace);
void tomo_filtering_multiply(
    const tomo_filtering *f, int kind, const float *transformed, const float *ordered, const tomo_epilogue *epilogue,
    float *output, int64_t begin, int64_t end, int64_t panel, float *workspace);

#pragma once

#include <stdint.h>

// Loops over rows of voxels and pixels. On every processor each gives the same bits: one rounding an operation, in the order
// written, nothing fused.

/// out[i] = a[i] + (b[i] − a[i]) · weight.
void tomo_blend_rows(const float *a, const float *b, float weight, float *out, int64_t count);

/// out[i] = line[low[i]] + (line[high[i]] − line[low[i]]) · weight[i].
void tomo_sample_line(
    const float *line, const int32_t *low, const int32_t *high, const float *weight, float *out, int64_t count);

/// Places along a line through a volume, in voxel indices: start + n · step, each rounded to 2⁻³⁰.
typedef struct {
    const float *voxels;
    /// Extents along i, j, k, i fastest.
    int64_t shape[3];
    double start[3];
    double step[3];
    /// Nonzero: `outside` from half a voxel beyond the outermost centres on; zero: the nearest voxel, however far.
    int32_t is_bounded;
    float outside;
} tomo_line;

/// Trilinear samples along the line, `count` of them.
void tomo_sample_trilinear(const tomo_line *line, float *out, int64_t count);
/// The voxels nearest to the places; ties go to the even index.
void tomo_sample_nearest(const tomo_line *line, float *out, int64_t count);

/// Three equal samples a pixel: 0 at `lower` and below (and for what is not a number), 255 at `upper` and above.
void tomo_grey_pixels(const float *values, float lower, float upper, uint8_t *rgb, int64_t count);

/// A colour and how much it covers: what is there becomes (there · (255 − alpha) + colour · alpha) / 255, rounded.
typedef struct {
    uint8_t red, green, blue, alpha;
} tomo_tint;

/// Lays tints[n] over each pixel, n = value · slope + offset rounded and held within 0…steps; what is not a number takes `offset`.
void tomo_tint_pixels(
    const float *values, float slope, float offset, int32_t steps, const tomo_tint *tints, uint8_t *rgb, int64_t count);

/// out[i] = row[i] − above[i], modulo 256.
void tomo_subtract_rows(const uint8_t *row, const uint8_t *above, uint8_t *out, int64_t count);

/// Nonzero when every value is a whole number; an infinity is none.
int tomo_are_whole(const float *values, int64_t count);

/// out[i] = (value − inter) / slope in double precision, rounded half away from zero and held within low…high, little-endian.
void tomo_store_uint8(const float *values, double slope, double inter, double low, double high, void *out, int64_t count);
void tomo_store_int16(const float *values, double slope, double inter, double low, double high, void *out, int64_t count);
void tomo_store_uint16(const float *values, double slope, double inter, double low, double high, void *out, int64_t count);

/// What a row of codes differs by from the guess of its neighbours: of the one before it and the one above, and the sum of both less the one
/// before above, the middle. Without a row above (null) the guess is the code before; the first code's is the one above, or 0.
void tomo_predict_uint8(const uint8_t *codes, const uint8_t *above, uint8_t *differences, int64_t count);
/// The same, modulo 2¹⁶, with the sign last: low bytes and high bytes of 2d for a difference d from 0 on and −2d − 1 below.
void tomo_predict_int16(const int16_t *codes, const int16_t *above, uint8_t *low, uint8_t *high, int64_t count);

/// Of a row: the lowest value below 0 (or 0), the highest above (or 0), and the sum of what is above 0, each of which is added to `columns`
/// too. Sums are of every eighth value, those added up in order.
void tomo_positive_row(const float *values, int64_t count, float *lowest, float *highest, double *sum, double *columns);

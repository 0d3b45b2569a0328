#include "RowConvolution.h"

#include <string.h>

#include "Ranges.h"

static int64_t tap_count(const tomo_rows *r) { return r->in_channels * r->taps[0] * r->taps[1] * r->taps[2]; }

/* Rows of the input that `rows` rows of the grid read in one plane. */
static int64_t rows_read(const tomo_rows *r, int64_t rows) {
    return (rows - 1) * r->stride[1] + (r->taps[1] - 1) * r->dilation[1] + 1;
}

/* Floats of one copied row (of one remainder of the column by the stride): whole vectors of the widest kind may be read
   from any tap on. */
static int64_t row_pitch(const tomo_rows *r, int64_t columns) {
    return ceil_div(columns, 16) * 16 + ceil_div((r->taps[2] - 1) * r->dilation[2] / r->stride[2] + 1, 16) * 16;
}

static int64_t offsets_size(const tomo_rows *r) { return ceil_div(tap_count(r), 8) * 16; }

int64_t tomo_rows_workspace(const tomo_rows *r, int64_t rows, int64_t columns) {
    return offsets_size(r) +
        r->in_channels * r->taps[0] * rows_read(r, rows) * r->stride[2] * row_pitch(r, columns) + 64;
}

/* Copies what a piece reads, zeros where the padding is: [channel][plane][row][column % stride][column / stride]. */
static void bring_rows(
    const tomo_rows *r, const float *input, int64_t z, int64_t y_begin, int64_t y_end, int64_t x_begin, int64_t columns,
    float *copies) {
    if (tap_count(r) == 0) return;
    int64_t rows = rows_read(r, y_end - y_begin), pitch = row_pitch(r, columns), step = r->stride[2];
    int64_t depth = r->input[0], height = r->input[1], width = r->input[2];
    for (int64_t channel = 0; channel < r->in_channels; ++channel) {
        for (int64_t plane = 0; plane < r->taps[0]; ++plane) {
            int64_t iz = z * r->stride[0] + plane * r->dilation[0] - r->pad[0];
            for (int64_t row = 0; row < rows; ++row) {
                int64_t iy = y_begin * r->stride[1] + row - r->pad[1];
                float *to = copies + ((channel * r->taps[0] + plane) * rows + row) * step * pitch;
                if (iz < 0 || iz >= depth || iy < 0 || iy >= height) {
                    memset(to, 0, step * pitch * sizeof(float));
                    continue;
                }
                const float *from = input + ((channel * depth + iz) * height + iy) * width;
                for (int64_t phase = 0; phase < step; ++phase, to += pitch) {
                    int64_t x = x_begin * step - r->pad[2] + phase;
                    range valid = inside(pitch, step, x, width);
                    memset(to, 0, valid.begin * sizeof(float));
                    memset(to + valid.end, 0, (pitch - valid.end) * sizeof(float));
                    if (step == 1) {
                        memcpy(to + valid.begin, from + x + valid.begin, (valid.end - valid.begin) * sizeof(float));
                    } else {
                        for (int64_t i = valid.begin; i < valid.end; ++i) to[i] = from[x + i * step];
                    }
                }
            }
        }
    }
}

/* Where each tap of the first output lies in the copies. */
static void set_offsets(const tomo_rows *r, int64_t grid_rows, int64_t pitch, int64_t *offsets) {
    int64_t rows = rows_read(r, grid_rows), step = r->stride[2];
    for (int64_t channel = 0; channel < r->in_channels; ++channel) {
        for (int64_t z = 0; z < r->taps[0]; ++z) {
            for (int64_t y = 0; y < r->taps[1]; ++y) {
                for (int64_t x = 0; x < r->taps[2]; ++x) {
                    int64_t row = (channel * r->taps[0] + z) * rows + y * r->dilation[1], column = x * r->dilation[2];
                    *offsets++ = (row * step + column % step) * pitch + column / step;
                }
            }
        }
    }
}

#define KERNEL "RowConvolutionKernel.h"
#include "Processors.h"

int64_t tomo_rows_packed_count(const tomo_rows *r) { return ceil_div(r->out_channels, 6) * 6 * tap_count(r); }

void tomo_rows_pack(
    const tomo_rows *r, const float *weights, int64_t out_stride, int64_t in_stride, const int64_t first[3],
    const int64_t step[3], const int64_t axis_stride[3], float *packed) {
    for (int64_t block = 0; block * 6 < r->out_channels; ++block) {
        for (int64_t i = 0; i < r->in_channels; ++i) {
            for (int64_t z = 0; z < r->taps[0]; ++z) {
                for (int64_t y = 0; y < r->taps[1]; ++y) {
                    for (int64_t x = 0; x < r->taps[2]; ++x) {
                        int64_t tap = (first[0] + z * step[0]) * axis_stride[0] +
                            (first[1] + y * step[1]) * axis_stride[1] + (first[2] + x * step[2]) * axis_stride[2];
                        for (int64_t o = block * 6; o < block * 6 + 6; ++o) {
                            *packed++ = o < r->out_channels ? weights[o * out_stride + i * in_stride + tap] : 0;
                        }
                    }
                }
            }
        }
    }
}

void tomo_rows_run(
    const tomo_rows *r, int kind, const float *input, const float *packed, const tomo_epilogue *epilogue, float *output,
    int64_t z, int64_t y_begin, int64_t y_end, int64_t x_begin, int64_t x_end, float *workspace) {
    DISPATCH(, rows_run(r, input, packed, epilogue, output, z, y_begin, y_end, x_begin, x_end, workspace));
}

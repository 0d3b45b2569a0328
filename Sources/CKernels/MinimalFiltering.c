#include "MinimalFiltering.h"

#include <math.h>
#include <string.h>

#include "Ranges.h"

/* The finite points of F(4, 3): 0, ±5/8, ±3/2, and their squares; all exact in binary. */
#define P1 0.625f
#define P2 1.5f
#define P1_2 0.390625f
#define P2_2 2.25f

/* Input channels of one sum, and the rest of them apart: a multiple of all LANES. 32 would save a fiftieth of the time and
   round a tenth more. */
#define SUMMED 16

/* An output of more bytes than this is out of the caches before it is read: it is written past them. */
#define STREAMED (4 << 20)

static int64_t axis_points(const tomo_filtering *f, int axis) { return f->tile[axis] == 1 ? 1 : f->tile[axis] + 2; }
static int64_t points(const tomo_filtering *f) {
    return axis_points(f, 0) * axis_points(f, 1) * axis_points(f, 2);
}

/* Tiles of a row that are brought in together: neighbours share pixels and long rows are read best, but the rows of a
   run should stay within a part of the second cache. */
static int64_t run_length(const tomo_filtering *f, int64_t lanes) {
    int64_t rows = axis_points(f, 0) * axis_points(f, 1), pixels = 262144 / (rows * lanes * (int64_t)sizeof(float));
    return clamp((pixels - 2) / f->tile[2], 1, 32);
}

/* Tiles of a row that are written together: whole vectors of pixels. */
static int64_t written_run(const tomo_filtering *f, int64_t lanes) {
    int64_t whole = ceil_div(lanes, f->tile[2]);
    return clamp(16 / whole * whole, whole, 16);
}

typedef struct {
    int64_t image, z, y, x;
    /* Tiles from this one to the end of its row. */
    int64_t left;
} place;

static place tile_place(const tomo_filtering *f, int64_t t) {
    int64_t w = ceil_div(f->output[2], f->tile[2]), h = ceil_div(f->output[1], f->tile[1]);
    int64_t d = ceil_div(f->output[0], f->tile[0]);
    place at = {.x = t % w, .y = t / w % h, .z = t / (w * h) % d, .image = t / (w * h * d)};
    at.left = w - at.x;
    return at;
}

#define KERNEL "MinimalFilteringKernel.h"
#include "Processors.h"

int64_t tomo_filtering_lanes(int kind) { return kind == TOMO_AVX512 ? 16 : kind == TOMO_AVX2 ? 8 : 4; }

int64_t tomo_filtering_tiles(const tomo_filtering *f) {
    int64_t tiles = f->batch;
    for (int axis = 0; axis < 3; ++axis) tiles *= ceil_div(f->output[axis], f->tile[axis]);
    return tiles;
}

int64_t tomo_filtering_points(const tomo_filtering *f) { return points(f); }

int64_t tomo_filtering_panels(const tomo_filtering *f, int kind) {
    return ceil_div(f->out_channels, 2 * tomo_filtering_lanes(kind));
}

int64_t tomo_filtering_packed_count(const tomo_filtering *f, int kind) {
    int64_t count = 0;
    DISPATCH(count =, packed_count(f));
    return count;
}

void tomo_filtering_pack(
    const tomo_filtering *f, int kind, const float *weights, int64_t out_stride, int64_t in_stride, int flipped,
    float *packed, int64_t panels_begin, int64_t panels_end) {
    DISPATCH(, pack(f, weights, out_stride, in_stride, flipped, packed, panels_begin, panels_end));
}

int64_t tomo_filtering_step_workspace(const tomo_filtering *f, int kind) {
    int64_t count = 0;
    DISPATCH(count =, step_workspace(f));
    return count;
}

int64_t tomo_filtering_workspace(const tomo_filtering *f, int kind, int64_t tiles) {
    int64_t step = 0;
    DISPATCH(step =, shared_step(f, tiles));
    return (points(f) + 1) * step + tomo_filtering_step_workspace(f, kind);
}

void tomo_filtering_run(
    const tomo_filtering *f, int kind, const float *input, const float *packed, const tomo_epilogue *epilogue,
    float *output, int64_t begin, int64_t end, float *workspace) {
    DISPATCH(, run(f, input, packed, epilogue, output, begin, end, workspace));
}

static int64_t step_of(int kind, int64_t tiles, int64_t channels) {
    int64_t step = 0;
    DISPATCH(step =, point_step(tiles, channels));
    return step;
}

int64_t tomo_filtering_transformed_count(const tomo_filtering *f, int kind, int64_t tiles, int64_t channels) {
    return points(f) * step_of(kind, tiles, channels);
}

void tomo_filtering_transform_input(
    const tomo_filtering *f, int kind, const float *input, float *transformed, int64_t begin, int64_t end,
    int64_t part_begin, int64_t part_end, int64_t block_begin, int64_t block_end, float *workspace) {
    int64_t step = step_of(kind, end - begin, f->in_channels);
    DISPATCH(
        , transform_input(
              f, input, transformed, step, begin, end, part_begin, part_end, block_begin, block_end, workspace));
}

void tomo_filtering_multiply(
    const tomo_filtering *f, int kind, const float *transformed, const float *packed, float *products, int64_t tiles,
    int64_t point_begin, int64_t point_end, int64_t panel_begin, int64_t panel_end) {
    int64_t from = step_of(kind, tiles, f->in_channels), to = step_of(kind, tiles, f->out_channels);
    DISPATCH(
        , multiply(
              f, transformed, from, packed, products, to, tiles, point_begin, point_end, panel_begin, panel_end));
}

void tomo_filtering_transform_output(
    const tomo_filtering *f, int kind, const float *products, const tomo_epilogue *epilogue, float *output,
    int64_t begin, int64_t end, int64_t part_begin, int64_t part_end, int64_t block_begin, int64_t block_end,
    float *workspace) {
    int64_t step = step_of(kind, end - begin, f->out_channels);
    DISPATCH(
        , transform_output(
              f, products, step, epilogue, output, begin, end, part_begin, part_end, block_begin, block_end,
              workspace));
}

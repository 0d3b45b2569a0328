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

/* Input channels whose weights are transformed at once where they are not kept transformed. */
#define FRESH_CHANNELS 32

/* An output of more bytes than this is out of the caches before it is read: it is written past them. */
#define STREAMED (4 << 20)

static int64_t axis_points(const tomo_filtering *f, int axis) { return f->tile[axis] == 1 ? 1 : f->tile[axis] + 2; }
static int64_t points(const tomo_filtering *f) {
    return axis_points(f, 0) * axis_points(f, 1) * axis_points(f, 2);
}

/* Tiles that are worked on at once are multiplied in groups of up to six, as even as can be: sums of fewer than four tiles do not
   fill the processor. */
static int64_t groups_of(int64_t tiles) { return ceil_div(tiles, 6); }
static int64_t group_begin(int64_t tiles, int64_t group) { return group * tiles / groups_of(tiles); }

/* Floats in an odd number of cache lines: what lies so far apart spreads over the sets of a cache. */
static int64_t odd_lines(int64_t floats) { return (ceil_div(floats, 16) | 1) * 16; }

/* Where tiles first..<first + count of those lie: `step` floats from group to group and `lane` from one to the next. */
static void group_places(int64_t tiles, int64_t first, int64_t count, int64_t step, int64_t lane, int64_t *places) {
    int64_t group = ((first + 1) * groups_of(tiles) - 1) / tiles, begin = group_begin(tiles, group);
    for (int64_t i = 0; i < count; ++i) {
        if (first + i == group_begin(tiles, group + 1)) begin = group_begin(tiles, ++group);
        places[i] = group * step + (first + i - begin) * lane;
    }
}

/* How transformed input lies, in floats: from one plane of points to the next, from point to point, from group to group of
   `tiles`; and after every `blocks` blocks of channels a slab more. */
typedef struct {
    int64_t tiles, plane, point, group, blocks, slab;
} spread;

/* The most tiles of a row that are brought in or written together. */
#define LONGEST_RUN 32

/* Tiles of a row that are brought in together: neighbours share pixels and long rows are read best, but the rows of a
   run should stay within a part of the second cache. */
static int64_t run_length(const tomo_filtering *f, int64_t lanes) {
    int64_t rows = axis_points(f, 0) * axis_points(f, 1), pixels = 262144 / (rows * lanes * (int64_t)sizeof(float));
    return clamp((pixels - 2) / f->tile[2], 1, LONGEST_RUN);
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

int64_t tomo_filtering_ordered_count(const tomo_filtering *f, int kind) {
    int64_t count = 0;
    DISPATCH(count =, ordered_count(f));
    return count;
}

void tomo_filtering_order(
    const tomo_filtering *f, int kind, const float *weights, int64_t out_stride, int64_t in_stride, int flipped,
    float *ordered, int64_t panels_begin, int64_t panels_end) {
    DISPATCH(, order(f, weights, out_stride, in_stride, flipped, ordered, panels_begin, panels_end));
}

int64_t tomo_filtering_transformed_count(const tomo_filtering *f, int kind, int64_t tiles) {
    int64_t count = 0;
    DISPATCH(count =, slabs_count(f, tiles));
    return count;
}

int64_t tomo_filtering_step_workspace(const tomo_filtering *f, int kind) {
    int64_t count = 0;
    DISPATCH(count =, step_workspace(f));
    return count;
}

void tomo_filtering_transform_input(
    const tomo_filtering *f, int kind, const float *input, float *transformed, int64_t begin, int64_t end,
    int64_t part_begin, int64_t part_end, int64_t block_begin, int64_t block_end, float *workspace) {
    DISPATCH(
        , fresh_input(
              f, input, transformed, end - begin, begin, part_begin, part_end, block_begin, block_end,
              workspace));
}

int64_t tomo_filtering_fresh_workspace(const tomo_filtering *f, int kind, int64_t tiles) {
    int64_t count = 0;
    DISPATCH(count =, fresh_workspace(f, tiles));
    return count;
}

void tomo_filtering_multiply(
    const tomo_filtering *f, int kind, const float *transformed, const float *ordered, const tomo_epilogue *epilogue,
    float *output, int64_t begin, int64_t end, int64_t panel, float *workspace) {
    DISPATCH(, multiply_ordered(f, transformed, ordered, epilogue, output, begin, end, panel, workspace));
}

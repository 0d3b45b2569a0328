/* Minimal filtering of few tiles, which would take longer to read transformed weights than to transform them anew. Included by
   MinimalFilteringKernel.h.

   Points are gone through plane by plane. For the output channels of a panel, the weights of some input channels are transformed to the
   points of a plane, as much as stays in the second cache, and multiplied with all tiles at once; the sums of the plane stay
   there too.

   Weights in order:   [panel][input channel][tap][2 * LANES output channels]
   Transformed input:  [plane of points][slab of input channels][point][group of tiles][block][tile, 6][lane]
   Fresh weights:      [point][input channel][2 * LANES output channels], of one plane, slab and panel
   Products:           [point][group of tiles][output block][tile, 6][lane], of one panel */

static int64_t NAME(ordered_count)(const tomo_filtering *f) {
    return ceil_div(f->out_channels, 2 * LANES) * f->in_channels * f->kernel[0] * f->kernel[1] * f->kernel[2] * 2 * LANES;
}

static void NAME(order)(
    const tomo_filtering *f, const float *weights, int64_t out_stride, int64_t in_stride, int flipped, float *ordered,
    int64_t panels_begin, int64_t panels_end) {
    int64_t taps = f->kernel[0] * f->kernel[1] * f->kernel[2];
    for (int64_t panel = panels_begin; panel < panels_end; ++panel) {
        float *to = ordered + panel * f->in_channels * taps * 2 * LANES;
        int64_t first = panel * 2 * LANES;
        int64_t count = f->out_channels - first < 2 * LANES ? f->out_channels - first : 2 * LANES;
        for (int64_t i = 0; i < f->in_channels; ++i) {
            for (int64_t t = 0; t < taps; ++t, to += 2 * LANES) {
                const float *from = weights + first * out_stride + i * in_stride + (flipped ? taps - 1 - t : t);
                for (int64_t o = 0; o < count; ++o) to[o] = from[o * out_stride];
                for (int64_t o = count; o < 2 * LANES; ++o) to[o] = 0;
            }
        }
    }
}

/* Input channels of a slab: whole blocks. */
static int64_t NAME(slab_blocks)(const tomo_filtering *f) {
    int64_t blocks = NAME(blocks)(f->in_channels), most = FRESH_CHANNELS / LANES;
    return blocks < most ? blocks : most;
}

static spread NAME(slabs)(const tomo_filtering *f, int64_t tiles) {
    spread lies = {.tiles = tiles, .blocks = NAME(slab_blocks)(f)};
    lies.group = lies.blocks * 6 * LANES;
    lies.point = odd_lines(groups_of(tiles) * lies.group);
    lies.slab = axis_points(f, 1) * axis_points(f, 2) * lies.point;
    lies.plane = ceil_div(NAME(blocks)(f->in_channels), lies.blocks) * lies.slab;
    return lies;
}

static int64_t NAME(slabs_count)(const tomo_filtering *f, int64_t tiles) {
    return axis_points(f, 0) * NAME(slabs)(f, tiles).plane;
}

static void NAME(fresh_input)(
    const tomo_filtering *f, const float *input, float *transformed, int64_t tiles, int64_t begin, int64_t part_begin,
    int64_t part_end, int64_t block_begin, int64_t block_end, float *workspace) {
    NAME(transform_input)(
        f, input, transformed, NAME(slabs)(f, tiles), begin, part_begin, part_end, block_begin, block_end, workspace);
}

/* G on a line of three. */
INLINE void NAME(points_weights)(int tile, const VEC g[3], VEC u[6]) {
    if (tile == 4) {
        const double a2 = (double)P1 * P1, b2 = (double)P2 * P2;
        const double na = 1 / (2 * a2 * (a2 - b2)), nb = 1 / (2 * b2 * (b2 - a2));
        VEC even1 = g[0] * (float)na + g[2] * (float)(na * a2), odd1 = g[1] * (float)(na * P1);
        VEC even2 = g[0] * (float)nb + g[2] * (float)(nb * b2), odd2 = g[1] * (float)(nb * P2);
        u[0] = g[0] * (float)(1 / (a2 * b2));
        u[1] = even1 + odd1;
        u[2] = even1 - odd1;
        u[3] = even2 + odd2;
        u[4] = even2 - odd2;
        u[5] = g[2];
    } else if (tile == 2) {
        VEC even = (g[0] + g[2]) * 0.5f, odd = g[1] * 0.5f;
        u[0] = g[0];
        u[1] = even + odd;
        u[2] = even - odd;
        u[3] = g[2];
    } else {
        u[0] = g[0];
    }
}

/* One of the points of G on a line of three. */
INLINE VEC NAME(point_weight)(int tile, int64_t point, const float *g, int64_t step) {
    if (tile == 1) return NAME(load)(g);
    if (point == 0) return NAME(load)(g) * (tile == 4 ? (float)(1 / ((double)P1_2 * P2_2)) : 1);
    if (point == tile + 1) return NAME(load)(g + 2 * step);
    VEC line[3] = {NAME(load)(g), NAME(load)(g + step), NAME(load)(g + 2 * step)}, u[6];
    NAME(points_weights)(tile, line, u);
    return tile == 2 ? (point == 1 ? u[1] : u[2])
        : point == 1 ? u[1]
        : point == 2 ? u[2]
        : point == 3 ? u[3]
                     : u[4];
}

INLINE void NAME(plane_weights)(
    int tz, int ty, int tx, int64_t z, const float *ordered, int64_t channels, float *fresh,
    int64_t point_step) {
    const int64_t kz = tz > 1 ? 3 : 1, ky = ty > 1 ? 3 : 1, kx = tx > 1 ? 3 : 1;
    const int64_t ay = ty > 1 ? ty + 2 : 1, ax = tx > 1 ? tx + 2 : 1;
    for (int64_t i = 0; i < channels; ++i) {
        for (int half = 0; half < 2; ++half) {
            const float *g = ordered + i * kz * ky * kx * 2 * LANES + half * LANES;
            VEC rows[6][3];
#pragma clang loop unroll(full)
            for (int64_t x = 0; x < kx; ++x) {
                VEC line[3], column[6];
#pragma clang loop unroll(full)
                for (int64_t y = 0; y < ky; ++y) {
                    line[y] = NAME(point_weight)(tz, z, g + (y * kx + x) * 2 * LANES, ky * kx * 2 * LANES);
                }
                NAME(points_weights)(ty, line, column);
#pragma clang loop unroll(full)
                for (int64_t y = 0; y < ay; ++y) rows[y][x] = column[y];
            }
            float *to = fresh + (i * 2 + half) * LANES;
#pragma clang loop unroll(full)
            for (int64_t y = 0; y < ay; ++y) {
                VEC u[6];
                NAME(points_weights)(tx, rows[y], u);
#pragma clang loop unroll(full)
                for (int64_t x = 0; x < ax; ++x) NAME(store)(to + (y * ax + x) * point_step, u[x]);
            }
        }
    }
}

static void NAME(transform_weights)(
    const tomo_filtering *f, int64_t z, const float *ordered, int64_t channels, float *fresh, int64_t point_step) {
    int tz = (int)f->tile[0], ty = (int)f->tile[1], tx = (int)f->tile[2];
#define CASE(Z, Y, X)                                                                                                 \
    if (tz == Z && ty == Y && tx == X) NAME(plane_weights)(Z, Y, X, z, ordered, channels, fresh, point_step)
#define CASES_X(Z, Y)                                                                                                 \
    CASE(Z, Y, 4);                                                                                                    \
    CASE(Z, Y, 2);                                                                                                    \
    CASE(Z, Y, 1)
#define CASES(Z)                                                                                                      \
    CASES_X(Z, 4);                                                                                                    \
    CASES_X(Z, 2);                                                                                                    \
    CASES_X(Z, 1)
    CASES(4);
    CASES(2);
    CASES(1);
#undef CASE
#undef CASES_X
#undef CASES
}

/* Floats from one point of fresh weights to the next. */
static int64_t NAME(fresh_step)(const tomo_filtering *f) { return odd_lines(NAME(slab_blocks)(f) * LANES * 2 * LANES); }

/* Floats from one point of a panel's products to the next. */
static int64_t NAME(products_step)(int64_t tiles) { return odd_lines(groups_of(tiles) * 2 * 6 * LANES); }

static int64_t NAME(fresh_workspace)(const tomo_filtering *f, int64_t tiles) {
    int64_t plane = axis_points(f, 1) * axis_points(f, 2);
    return plane * NAME(fresh_step)(f) + points(f) * NAME(products_step)(tiles) + NAME(step_workspace)(f);
}

static void NAME(multiply_ordered)(
    const tomo_filtering *f, const float *transformed, const float *ordered, const tomo_epilogue *epilogue,
    float *output, int64_t begin, int64_t end, int64_t panel, float *workspace) {
    int64_t taps = f->kernel[0] * f->kernel[1] * f->kernel[2], plane_points = axis_points(f, 1) * axis_points(f, 2);
    int64_t tiles = end - begin, groups = groups_of(tiles), channels = f->in_channels;
    spread lies = NAME(slabs)(f, tiles);
    int64_t slab = lies.blocks * LANES, fresh_step = NAME(fresh_step)(f);
    int64_t to_step = NAME(products_step)(tiles), to_group = 2 * 6 * LANES;
    float *fresh = workspace, *products = fresh + plane_points * fresh_step;
    float *rest = products + points(f) * to_step;
    int64_t first_block = panel * 2, last_block = NAME(blocks)(f->out_channels);
    if (last_block > first_block + 2) last_block = first_block + 2;
    int vectors = (int)(last_block - first_block);
    ordered += panel * channels * taps * 2 * LANES;
    for (int64_t z = 0; z < axis_points(f, 0); ++z) {
        for (int64_t first = 0; first < channels; first += slab) {
            int64_t count = channels - first < slab ? channels - first : slab;
            const float *from = transformed + z * lies.plane + first / slab * lies.slab;
            NAME(transform_weights)(f, z, ordered + first * taps * 2 * LANES, count, fresh, fresh_step);
            /* What is transformed next comes nearer meanwhile. */
            const float *next = ordered + (first + slab < channels ? first + slab : 0) * taps * 2 * LANES;
            int64_t share = ceil_div(slab * taps * 2 * LANES, plane_points * groups * 16);
            for (int64_t point = 0; point < plane_points; ++point) {
                float *to = products + (z * plane_points + point) * to_step;
                for (int64_t group = 0; group < groups; ++group) {
                    int64_t rows = group_begin(tiles, group + 1) - group_begin(tiles, group);
                    for (int64_t line = 0; line < share; ++line) __builtin_prefetch(next + line * 16, 0, 2);
                    next += share * 16;
                    NAME(product)(
                        rows, vectors, from + point * lies.point + group * lies.group, fresh + point * fresh_step,
                        count, first > 0, to + group * to_group, 6 * LANES, 0, 0);
                }
            }
        }
    }
    NAME(transform_output)(
        f, products - first_block * 6 * LANES, to_step, to_group, epilogue, output, begin, end, first_block,
        last_block, rest);
}

/* Minimal filtering for vectors of LANES floats; included once for each kind of processor with NAME and LANES defined.
   Vectors lie along channels: blocks of LANES channels of one pixel or point.

   Transformed input:  [point][group of tiles][input block][tile, 6][lane]
   Products:           [point][group of tiles][output block][tile, 6][lane]
   Packed weights:     [point][panel][input channel][2 * LANES output channels]

   Six tiles by two vectors of output channels are twelve sums, which all vector register files hold, and enough
   independent ones to hide the latency of a multiply-add. */

/* A square of LANES vectors, rows to columns. */
INLINE void NAME(transpose)(VEC r[LANES]) {
#if LANES == 4
    VEC a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    VEC c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
#elif LANES == 8
    VEC t[8];
    for (int i = 0; i < 4; ++i) {
        t[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 2; ++i) {
        r[4 * i] = __builtin_shufflevector(t[4 * i], t[4 * i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        r[4 * i + 1] = __builtin_shufflevector(t[4 * i], t[4 * i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        r[4 * i + 2] = __builtin_shufflevector(t[4 * i + 1], t[4 * i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        r[4 * i + 3] = __builtin_shufflevector(t[4 * i + 1], t[4 * i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (int i = 0; i < 4; ++i) {
        VEC low = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
        r[i] = low;
    }
#elif LANES == 16
    VEC t[16];
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; ++i) {
        t[2 * i] = __builtin_shufflevector(
            r[2 * i], r[2 * i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
        t[2 * i + 1] = __builtin_shufflevector(
            r[2 * i], r[2 * i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 2; ++j) {
            VEC a = t[4 * i + j], b = t[4 * i + j + 2];
            r[4 * i + 2 * j] = __builtin_shufflevector(
                a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
            r[4 * i + 2 * j + 1] = __builtin_shufflevector(
                a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        }
    }
    /* Now r[4 q + c] holds, in its 128-bit quarter h, column 4 h + c of rows 4 q..4 q + 3. */
#pragma clang loop unroll(full)
    for (int c = 0; c < 4; ++c) {
        VEC a = __builtin_shufflevector(
            r[c], r[4 + c], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
        VEC b = __builtin_shufflevector(
            r[c], r[4 + c], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
        VEC d = __builtin_shufflevector(
            r[8 + c], r[12 + c], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
        VEC e = __builtin_shufflevector(
            r[8 + c], r[12 + c], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
        t[c] = __builtin_shufflevector(a, d, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
        t[8 + c] = __builtin_shufflevector(a, d, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
        t[4 + c] = __builtin_shufflevector(b, e, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
        t[12 + c] = __builtin_shufflevector(b, e, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; ++i) r[i] = t[i];
#endif
}

/* B^T of F(4, 3), F(2, 3), or nothing, on the points of one line. */
INLINE void NAME(points_in)(int tile, const VEC d[6], VEC t[6]) {
    if (tile == 4) {
        VEC even1 = d[4] - d[2] * P2_2, odd1 = d[3] - d[1] * P2_2, even2 = d[4] - d[2] * P1_2, odd2 = d[3] - d[1] * P1_2;
        t[0] = d[0] * (P1_2 * P2_2) + (d[4] - d[2] * (P1_2 + P2_2));
        t[1] = even1 + odd1 * P1;
        t[2] = even1 - odd1 * P1;
        t[3] = even2 + odd2 * P2;
        t[4] = even2 - odd2 * P2;
        t[5] = d[1] * (P1_2 * P2_2) + (d[5] - d[3] * (P1_2 + P2_2));
    } else if (tile == 2) {
        t[0] = d[0] - d[2];
        t[1] = d[1] + d[2];
        t[2] = d[2] - d[1];
        t[3] = d[1] - d[3];
    } else {
        t[0] = d[0];
    }
}

INLINE void NAME(line_in)(int tile, const float *from, int64_t from_step, float *to, int64_t to_step) {
    VEC d[6], t[6];
    int count = tile == 1 ? 1 : tile + 2;
#pragma clang loop unroll(full)
    for (int i = 0; i < count; ++i) d[i] = NAME(load)(from + i * from_step);
    NAME(points_in)(tile, d, t);
#pragma clang loop unroll(full)
    for (int i = 0; i < count; ++i) NAME(store)(to + i * to_step, t[i]);
}

/* A^T of the same. */
INLINE void NAME(line_out)(int tile, const float *from, int64_t from_step, float *to, int64_t to_step) {
    if (tile == 4) {
        VEC m0 = NAME(load)(from), m1 = NAME(load)(from + from_step), m2 = NAME(load)(from + 2 * from_step);
        VEC m3 = NAME(load)(from + 3 * from_step), m4 = NAME(load)(from + 4 * from_step);
        VEC m5 = NAME(load)(from + 5 * from_step);
        VEC sum1 = m1 + m2, difference1 = m1 - m2, sum2 = m3 + m4, difference2 = m3 - m4;
        NAME(store)(to, m0 + sum1 + sum2);
        NAME(store)(to + to_step, difference1 * P1 + difference2 * P2);
        NAME(store)(to + 2 * to_step, sum1 * P1_2 + sum2 * P2_2);
        NAME(store)(to + 3 * to_step, difference1 * (P1 * P1_2) + (difference2 * (P2 * P2_2) + m5));
    } else if (tile == 2) {
        VEC m0 = NAME(load)(from), m1 = NAME(load)(from + from_step), m2 = NAME(load)(from + 2 * from_step);
        VEC m3 = NAME(load)(from + 3 * from_step);
        NAME(store)(to, m0 + m1 + m2);
        NAME(store)(to + to_step, m1 - m2 - m3);
    } else if (from != to) {
        NAME(store)(to, NAME(load)(from));
    }
}

/* One pass over `count` lines that lie one after the other, in place or to a denser place. */
static void NAME(pass_out)(int tile, const float *from, float *to, int64_t count, int64_t step) {
    if (tile == 4) {
        for (int64_t i = 0; i < count; ++i) {
            NAME(line_out)(4, from + i * LANES, step, to + i * LANES, step);
        }
    } else if (tile == 2) {
        for (int64_t i = 0; i < count; ++i) {
            NAME(line_out)(2, from + i * LANES, step, to + i * LANES, step);
        }
    } else if (from != to) {
        for (int64_t i = 0; i < count; ++i) NAME(store)(to + i * LANES, NAME(load)(from + i * LANES));
    }
}

/* B^T along depth of the rows that lie one above the other in `tile + 2` planes: pixels x..<x + pitch, those
   outside 0..<width being 0. Vectors lie along width here. Rows are short and far apart, which no processor foresees:
   what lies `ahead` floats further on is brought nearer meanwhile. */
INLINE void NAME(rows_in)(
    int tile, const float *const *planes, int64_t width, int64_t x, int64_t pitch, float *to, int64_t step,
    int64_t ahead) {
    int count = tile == 1 ? 1 : tile + 2;
    for (int64_t p = 0; p < pitch; p += LANES, x += LANES, to += LANES) {
        VEC d[6], t[6];
#pragma clang loop unroll(full)
        for (int i = 0; i < count; ++i) __builtin_prefetch(planes[i] + x + ahead);
        if (x >= 0 && x + LANES <= width) {
#pragma clang loop unroll(full)
            for (int i = 0; i < count; ++i) d[i] = NAME(load)(planes[i] + x);
        } else {
            int64_t first = clamp(-x, 0, LANES), last = clamp(width - x, first, LANES);
#pragma clang loop unroll(full)
            for (int i = 0; i < count; ++i) d[i] = NAME(load_part)(planes[i] + x, first, last);
        }
        NAME(points_in)(tile, d, t);
#pragma clang loop unroll(full)
        for (int i = 0; i < count; ++i) NAME(store)(to + i * step, t[i]);
    }
}

static void NAME(depth_in)(
    int tile, const float *const *planes, int64_t width, int64_t x, int64_t pitch, float *to, int64_t step,
    int64_t ahead) {
    if (tile == 4) {
        NAME(rows_in)(4, planes, width, x, pitch, to, step, ahead);
    } else if (tile == 2) {
        NAME(rows_in)(2, planes, width, x, pitch, to, step, ahead);
    } else {
        NAME(rows_in)(1, planes, width, x, pitch, to, step, ahead);
    }
}

/* B^T along height of `pitch` pixels. */
static void NAME(height_in)(
    int tile, const float *from, int64_t from_step, int64_t pitch, float *to, int64_t to_step) {
    for (int64_t p = 0; p < pitch; p += LANES) {
        if (tile == 4) {
            NAME(line_in)(4, from + p, from_step, to + p, to_step);
        } else if (tile == 2) {
            NAME(line_in)(2, from + p, from_step, to + p, to_step);
        } else {
            NAME(line_in)(1, from + p, from_step, to + p, to_step);
        }
    }
}

/* Vectors along channels of `count` pixels (LANES more may be read), written as rows of each channel with what follows
   the products; past the caches, if `streaming`, where rows are aligned. */
INLINE void NAME(scatter)(
    const float *from, int64_t count, int64_t channels, float *row, const float *residual, int64_t channel_stride,
    float slope, int streaming) {
    streaming = streaming && (uintptr_t)row % sizeof(VEC) == 0 && channel_stride % LANES == 0;
    for (int64_t p = 0; p < count; p += LANES) {
        VEC r[LANES];
        int64_t valid = count - p < LANES ? count - p : LANES;
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES; ++i) r[i] = NAME(load)(from + (p + i) * LANES);
        NAME(transpose)(r);
        if (valid == LANES && channels >= LANES && !residual) {
#pragma clang loop unroll(full)
            for (int c = 0; c < LANES; ++c) {
                VEC value = slope == 1 ? r[c] : NAME(rectify)(r[c], slope);
                if (streaming) {
                    NAME(stream)(row + c * channel_stride + p, value);
                } else {
                    NAME(store)(row + c * channel_stride + p, value);
                }
            }
            continue;
        }
#pragma clang loop unroll(full)
        for (int c = 0; c < LANES; ++c) {
            if (c >= channels) break;
            VEC value = r[c];
            if (residual) value += NAME(load_part)(residual + c * channel_stride + p, 0, valid);
            if (slope != 1) value = NAME(rectify)(value, slope);
            float *to = row + c * channel_stride + p;
            if (valid == LANES) {
                NAME(store)(to, value);
            } else {
                NAME(store_part)(to, value, valid);
            }
        }
    }
}

/* `rows` tiles times `vectors` * LANES output channels: sums over all input channels. One of `share` parts of the
   next panel, which begins at `ahead`, is brought nearer meanwhile (none for 0): all at once would be more than the
   memory has on its way.

   Sums are closed every SUMMED channels and added up apart: rounding then grows with the root of the channels in a sum
   and of the number of sums, not of all channels, which brings minimal filtering to the accuracy of the definition. */
INLINE void NAME(tile_product)(
    int rows, int vectors, int share, const float *v, const float *u, int64_t channels, int adds, float *m,
    int64_t block_step, const float *ahead) {
#define STEP(lane)                                                                                                    \
    do {                                                                                                              \
        VEC w[2];                                                                                                     \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < vectors; ++j) w[j] = NAME(load)(u + j * LANES);        \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; ++r) {                                           \
            VEC x = NAME(splat)(v[r * LANES + (lane)]);                                                               \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < vectors; ++j) sum[r][j] += x * w[j];               \
        }                                                                                                             \
        u += 2 * LANES;                                                                                               \
    } while (0)
    for (int64_t first = 0; first < channels; first += SUMMED) {
        VEC sum[6][2];
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; ++r) {
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; ++j) sum[r][j] = (VEC){0};
        }
        int64_t left = channels - first < SUMMED ? channels - first : SUMMED;
        while (left >= 4) {
            int64_t quads = (left < LANES ? left : LANES) / 4;
            left -= quads * 4;
            /* Four channels a turn. */
            for (int64_t quad = 0; quad < quads; ++quad, v += 4) {
                if (share) {
#pragma clang loop unroll(full)
                    for (int line = 0; line < LANES / 2 / share; ++line) __builtin_prefetch(ahead + line * 16);
                    ahead += 8 * LANES / share;
                }
                STEP(0);
                STEP(1);
                STEP(2);
                STEP(3);
            }
            if (quads == LANES / 4) v += 5 * LANES;
        }
        for (; left > 0; --left, ++v) STEP(0);
        if (first == 0 && !adds) {
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; ++r) {
#pragma clang loop unroll(full)
                for (int j = 0; j < vectors; ++j) NAME(store)(m + j * block_step + r * LANES, sum[r][j]);
            }
        } else {
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; ++r) {
#pragma clang loop unroll(full)
                for (int j = 0; j < vectors; ++j) {
                    float *to = m + j * block_step + r * LANES;
                    NAME(store)(to, NAME(load)(to) + sum[r][j]);
                }
            }
        }
    }
#undef STEP
}

static void NAME(product)(
    int64_t rows, int vectors, const float *v, const float *u, int64_t channels, int adds, float *m,
    int64_t block_step, const float *ahead, int share) {
#define CASE(R)                                                                                                       \
    case R:                                                                                                           \
        if (vectors == 1) {                                                                                           \
            NAME(tile_product)(R, 1, 0, v, u, channels, adds, m, block_step, 0);                                      \
        } else if (share == 1) {                                                                                      \
            NAME(tile_product)(R, 2, 1, v, u, channels, adds, m, block_step, ahead);                                  \
        } else if (share == 2) {                                                                                      \
            NAME(tile_product)(R, 2, 2, v, u, channels, adds, m, block_step, ahead);                                  \
        } else if (share == 4) {                                                                                      \
            NAME(tile_product)(R, 2, 4, v, u, channels, adds, m, block_step, ahead);                                  \
        } else {                                                                                                      \
            NAME(tile_product)(R, 2, 0, v, u, channels, adds, m, block_step, 0);                                      \
        }                                                                                                             \
        break
    switch (rows) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
    }
#undef CASE
}

static int64_t NAME(packed_count)(const tomo_filtering *f) {
    return points(f) * ceil_div(f->out_channels, 2 * LANES) * f->in_channels * 2 * LANES;
}

/* G of F(4, 3) or F(2, 3) on lines of three, LANES output channels at once in double precision. */
static void NAME(line_weights)(int64_t tile, double (*from)[LANES], int64_t from_step, double (*to)[LANES], int64_t to_step) {
    for (int lane = 0; lane < LANES; ++lane) {
        double g0 = from[0][lane];
        if (tile == 1) {
            to[0][lane] = g0;
            continue;
        }
        double g1 = from[from_step][lane], g2 = from[2 * from_step][lane];
        if (tile == 4) {
            const double a = P1, b = P2, a2 = a * a, b2 = b * b;
            const double na = 1 / (2 * a2 * (a2 - b2)), nb = 1 / (2 * b2 * (b2 - a2));
            to[0][lane] = g0 / (a2 * b2);
            to[to_step][lane] = ((g0 + a2 * g2) + a * g1) * na;
            to[2 * to_step][lane] = ((g0 + a2 * g2) - a * g1) * na;
            to[3 * to_step][lane] = ((g0 + b2 * g2) + b * g1) * nb;
            to[4 * to_step][lane] = ((g0 + b2 * g2) - b * g1) * nb;
            to[5 * to_step][lane] = g2;
        } else {
            to[0][lane] = g0;
            to[to_step][lane] = (g0 + g2 + g1) / 2;
            to[2 * to_step][lane] = (g0 + g2 - g1) / 2;
            to[3 * to_step][lane] = g2;
        }
    }
}

static void NAME(pack)(
    const tomo_filtering *f, const float *weights, int64_t out_stride, int64_t in_stride, int flipped, float *packed,
    int64_t panels_begin, int64_t panels_end) {
    int64_t az = axis_points(f, 0), ay = axis_points(f, 1), ax = axis_points(f, 2);
    int64_t kz = f->kernel[0], ky = f->kernel[1], kx = f->kernel[2], taps = kz * ky * kx;
    int64_t panels = ceil_div(f->out_channels, 2 * LANES), panel_size = f->in_channels * 2 * LANES;
    double g[27][LANES], x[54][LANES], xy[108][LANES], xyz[216][LANES];
    for (int64_t panel = panels_begin; panel < panels_end; ++panel) {
        for (int64_t i = 0; i < f->in_channels; ++i) {
            for (int half = 0; half < 2; ++half) {
                for (int64_t t = 0; t < taps; ++t) {
                    int64_t tap = flipped ? taps - 1 - t : t;
                    for (int lane = 0; lane < LANES; ++lane) {
                        int64_t o = (panel * 2 + half) * LANES + lane;
                        g[t][lane] = o < f->out_channels ? weights[o * out_stride + i * in_stride + tap] : 0;
                    }
                }
                for (int64_t t = 0; t < kz * ky; ++t) NAME(line_weights)(f->tile[2], g + t * kx, 1, x + t * ax, 1);
                for (int64_t z = 0; z < kz; ++z) {
                    for (int64_t p = 0; p < ax; ++p) {
                        NAME(line_weights)(f->tile[1], x + z * ky * ax + p, ax, xy + z * ay * ax + p, ax);
                    }
                }
                for (int64_t p = 0; p < ay * ax; ++p) NAME(line_weights)(f->tile[0], xy + p, ay * ax, xyz + p, ay * ax);
                for (int64_t p = 0; p < az * ay * ax; ++p) {
                    float *to = packed + (p * panels + panel) * panel_size + (i * 2 + half) * LANES;
                    for (int lane = 0; lane < LANES; ++lane) to[lane] = (float)xyz[p][lane];
                }
            }
        }
    }
}

/* How transformed tensors lie. */
static int64_t NAME(blocks)(int64_t channels) { return ceil_div(channels, LANES); }
static int64_t NAME(group_size)(int64_t channels) { return NAME(blocks)(channels) * 6 * LANES; }
/* Floats from one point to the next. */
static int64_t NAME(point_step)(int64_t tiles, int64_t channels) {
    return odd_lines(groups_of(tiles) * NAME(group_size)(channels));
}

/* Transformed input with all its blocks together. */
static spread NAME(whole)(const tomo_filtering *f, int64_t tiles, int64_t point_step) {
    spread lies = {.tiles = tiles, .plane = axis_points(f, 1) * axis_points(f, 2) * point_step, .point = point_step};
    lies.group = NAME(group_size)(f->in_channels);
    lies.blocks = NAME(blocks)(f->in_channels);
    return lies;
}

/* Pixels of a run, in whole vectors. */
static int64_t NAME(pitch)(const tomo_filtering *f, int64_t tiles) {
    int64_t span = (tiles - 1) * f->tile[2] + axis_points(f, 2);
    return ceil_div(span, LANES) * LANES;
}
static int64_t NAME(step_workspace)(const tomo_filtering *f) {
    int64_t lines = axis_points(f, 0) * axis_points(f, 1), pitch = NAME(pitch)(f, run_length(f, LANES));
    int64_t in = lines * pitch + lines * LANES * pitch + LANES * pitch + ceil_div(f->input[2], LANES) * LANES;
    int64_t out = points(f) * LANES + f->tile[0] * f->tile[1] * (written_run(f, LANES) * f->tile[2] + LANES) * LANES;
    return in > out ? in : out;
}

/* Tiles come in as runs of a row. Along depth and height the transform works on rows as they are, one channel at a time,
   so that its lines stay in the innermost cache; then LANES channels are turned to vectors along channels and
   transformed along width to where the products read them. */
static void NAME(transform_input)(
    const tomo_filtering *f, const float *input, float *transformed, spread lies, int64_t begin, int64_t part_begin,
    int64_t part_end, int64_t block_begin, int64_t block_end, float *workspace) {
    int64_t az = axis_points(f, 0), ay = axis_points(f, 1), ax = axis_points(f, 2), lines = az * ay;
    int64_t depth = f->input[0], height = f->input[1], width = f->input[2];
    int64_t channel_stride = depth * height * width;
    int64_t tile = f->tile[2], longest = run_length(f, LANES);
    /* The rows of the next channel, or of the next but two where there are few: they fit in the innermost cache. */
    int64_t ahead = (az == 1 ? 3 : 1) * channel_stride;
    float *zeros = workspace, *rest = workspace + ceil_div(width, LANES) * LANES;
    memset(zeros, 0, width * sizeof(float));
    for (int64_t block = block_begin; block < block_end; ++block) {
        int64_t channels = f->in_channels - block * LANES;
        for (int64_t t = part_begin; t < part_end;) {
            place at = tile_place(f, t);
            int64_t count = at.left < longest ? at.left : longest;
            if (count > part_end - t) count = part_end - t;
            int64_t pitch = NAME(pitch)(f, count), x = at.x * tile - f->pad[2], places[LONGEST_RUN];
            group_places(lies.tiles, t - begin, count, lies.group, LANES, places);
            int64_t top = at.z * f->tile[0] - f->pad[0], left = at.y * f->tile[1] - f->pad[1];
            float *planes = rest, *rows = planes + lines * pitch, *turned = rows + lines * LANES * pitch;
            const float *source = input + (at.image * f->in_channels + block * LANES) * channel_stride;
            for (int64_t c = 0; c < LANES; ++c) {
                if (c >= channels) {
                    for (int64_t line = 0; line < lines; ++line) {
                        memset(rows + (line * LANES + c) * pitch, 0, pitch * sizeof(float));
                    }
                    continue;
                }
                for (int64_t y = 0; y < ay; ++y) {
                    const float *from[6];
                    for (int64_t z = 0; z < az; ++z) {
                        int in = top + z >= 0 && top + z < depth && left + y >= 0 && left + y < height;
                        from[z] = in ? source + c * channel_stride + ((top + z) * height + left + y) * width : zeros;
                    }
                    NAME(depth_in)(
                        (int)f->tile[0], from, width, x, pitch, planes + y * pitch, ay * pitch, ahead);
                }
                for (int64_t z = 0; z < az; ++z) {
                    NAME(height_in)(
                        (int)f->tile[1], planes + z * ay * pitch, pitch, pitch,
                        rows + (z * ay * LANES + c) * pitch, LANES * pitch);
                }
            }
            for (int64_t line = 0; line < lines; ++line) {
                for (int64_t p = 0; p < pitch; p += LANES) {
                    VEC r[LANES];
#pragma clang loop unroll(full)
                    for (int c = 0; c < LANES; ++c) r[c] = NAME(load)(rows + (line * LANES + c) * pitch + p);
                    NAME(transpose)(r);
#pragma clang loop unroll(full)
                    for (int i = 0; i < LANES; ++i) NAME(store)(turned + (p + i) * LANES, r[i]);
                }
                float *to = transformed + line / ay * lies.plane + line % ay * ax * lies.point
                    + block / lies.blocks * lies.slab + block % lies.blocks * 6 * LANES;
                for (int64_t i = 0; i < count; ++i) {
                    float *place = to + places[i];
                    const float *from = turned + i * tile * LANES;
                    if (tile == 4) {
                        NAME(line_in)(4, from, LANES, place, lies.point);
                    } else if (tile == 2) {
                        NAME(line_in)(2, from, LANES, place, lies.point);
                    } else {
                        NAME(line_in)(1, from, LANES, place, lies.point);
                    }
                }
            }
            t += count;
        }
    }
}

static void NAME(multiply_packed)(
    const tomo_filtering *f, const float *transformed, int64_t from_step, const float *packed, float *products,
    int64_t to_step, int64_t tiles) {
    int64_t panels = ceil_div(f->out_channels, 2 * LANES), panel_size = f->in_channels * 2 * LANES;
    int64_t from_group = NAME(group_size)(f->in_channels), to_group = NAME(group_size)(f->out_channels);
    int64_t blocks = NAME(blocks)(f->out_channels);
    for (int64_t point = 0; point < points(f); ++point) {
        for (int64_t panel = 0; panel < panels; ++panel) {
            const float *u = packed + (point * panels + panel) * panel_size;
            const float *next = panel + 1 < panels || point + 1 < points(f) ? u + panel_size : 0;
            int vectors = blocks - panel * 2 < 2 ? 1 : 2;
            int64_t groups = groups_of(tiles);
            int share = groups >= 4 ? 4 : groups >= 2 ? 2 : 1;
            for (int64_t group = 0; group < groups; ++group) {
                NAME(product)(
                    group_begin(tiles, group + 1) - group_begin(tiles, group), vectors,
                    transformed + point * from_step + group * from_group, u, f->in_channels, 0,
                    products + point * to_step + group * to_group + panel * 2 * 6 * LANES, 6 * LANES,
                    next ? next + group * (panel_size / share) : 0, next && group < share ? share : 0);
            }
        }
    }
}

/* The largest of every pool of pixels in the lines of a run, written over the first of them: lines of `step` floats, `pixels`
   of LANES channels in each. */
INLINE void NAME(pool_lines)(
    int pz, int py, int px, const int64_t tile[3], float *lines, int64_t step, int64_t pixels) {
    for (int64_t z = 0; z < tile[0]; z += pz) {
        for (int64_t y = 0; y < tile[1]; y += py) {
            float *line = lines + (z * tile[1] + y) * step;
            for (int64_t p = 0; p < pixels / px; ++p) {
                VEC best = NAME(splat)(-INFINITY);
                for (int x = 0; x < px; ++x) {
                    const float *at = line + (p * px + x) * LANES;
                    VEC column = NAME(load)(at);
                    for (int i = 1; i < pz * py; ++i) {
                        column = NAME(larger)(column, NAME(load)(at + (i / py * tile[1] + i % py) * step));
                    }
                    best = NAME(larger)(best, column);
                }
                NAME(store)(line + p * LANES, best);
            }
        }
    }
}

static void NAME(pool)(const tomo_filtering *f, float *lines, int64_t step, int64_t pixels) {
    int pz = (int)f->pool[0], py = (int)f->pool[1], px = (int)f->pool[2];
    if (pz == 2 && py == 2 && px == 2) {
        NAME(pool_lines)(2, 2, 2, f->tile, lines, step, pixels);
    } else if (pz == 1 && py == 2 && px == 2) {
        NAME(pool_lines)(1, 2, 2, f->tile, lines, step, pixels);
    } else {
        NAME(pool_lines)(pz, py, px, f->tile, lines, step, pixels);
    }
}

static void NAME(transform_output)(
    const tomo_filtering *f, const float *products, int64_t point_step, int64_t group, const tomo_epilogue *epilogue,
    float *output, int64_t begin, int64_t end, int64_t block_begin, int64_t block_end, float *workspace) {
    int64_t az = axis_points(f, 0), ay = axis_points(f, 1), ax = axis_points(f, 2);
    int64_t mz = f->tile[0], my = f->tile[1], mx = f->tile[2];
    int64_t depth = f->output[0], height = f->output[1], width = f->output[2];
    /* Of what is written: the pools, of which those at the end that are not whole are left out. */
    int64_t pz = f->pool[0], py = f->pool[1], px = f->pool[2];
    depth /= pz, height /= py, width /= px;
    int pooled = pz * py * px > 1;
    int64_t channel_stride = depth * height * width;
    int64_t longest = written_run(f, LANES);
    int streaming = f->batch * f->out_channels * channel_stride * (int64_t)sizeof(float) > STREAMED;
    float *work = workspace, *rows = workspace + points(f) * LANES;
    int64_t row = (longest * mx + LANES) * LANES;
    for (int64_t block = block_begin; block < block_end; ++block) {
        int64_t channels = f->out_channels - block * LANES;
        VEC bias = {0};
        if (epilogue->bias) {
            for (int lane = 0; lane < LANES && lane < channels; ++lane) {
                bias[lane] = epilogue->bias[block * LANES + lane];
            }
        }
        for (int64_t t = begin; t < end;) {
            place at = tile_place(f, t);
            int64_t count = at.left < longest ? at.left : longest;
            if (count > end - t) count = end - t;
            int64_t places[LONGEST_RUN];
            group_places(end - begin, t - begin, count, group, LANES, places);
            for (int64_t i = 0; i < count; ++i) {
                const float *from = products + block * 6 * LANES + places[i];
                /* Along width out of the points, then along height and depth in the small work array. */
                if (mx == 4) {
                    for (int64_t line = 0; line < az * ay; ++line) {
                        NAME(line_out)(4, from + line * 6 * point_step, point_step, work + line * 4 * LANES, LANES);
                    }
                } else {
                    for (int64_t line = 0; line < az * ay; ++line) {
                        NAME(line_out)(
                            (int)mx, from + line * ax * point_step, point_step, work + line * mx * LANES, LANES);
                    }
                }
                for (int64_t z = 0; z < az; ++z) {
                    float *plane = work + z * ay * mx * LANES;
                    NAME(pass_out)((int)my, plane, plane, mx, mx * LANES);
                }
                for (int64_t y = 0; y < my; ++y) {
                    float *plane = work + y * mx * LANES;
                    NAME(pass_out)((int)mz, plane, plane, mx, ay * mx * LANES);
                }
                for (int64_t z = 0; z < mz; ++z) {
                    for (int64_t y = 0; y < my; ++y) {
                        for (int64_t x = 0; x < mx; ++x) {
                            VEC value = NAME(load)(work + ((z * ay + y) * mx + x) * LANES) + bias;
                            NAME(store)(rows + (z * my + y) * row + (i * mx + x) * LANES, value);
                        }
                    }
                }
            }
            if (pooled) NAME(pool)(f, rows, row, count * mx);
            int64_t x = at.x * mx / px, valid = width - x < count * mx / px ? width - x : count * mx / px;
            int64_t offset = (at.image * f->out_channels + block * LANES) * channel_stride;
            for (int64_t z = 0; z < mz / pz && at.z * mz / pz + z < depth; ++z) {
                for (int64_t y = 0; y < my / py && at.y * my / py + y < height; ++y) {
                    int64_t place = offset + ((at.z * mz / pz + z) * height + at.y * my / py + y) * width + x;
                    NAME(scatter)(
                        rows + (z * pz * my + y * py) * row, valid, channels, output + place,
                        epilogue->residual ? epilogue->residual + place : 0, channel_stride, epilogue->slope,
                        streaming);
                }
            }
            t += count;
        }
    }
}

/* One buffer serves for transformed input and products: the input lies one point further on, and a point's products
   overwrite the input of the point before it, which is used up. */
static int64_t NAME(shared_step)(const tomo_filtering *f, int64_t tiles) {
    int64_t in = NAME(point_step)(tiles, f->in_channels), out = NAME(point_step)(tiles, f->out_channels);
    return in > out ? in : out;
}

static void NAME(run)(
    const tomo_filtering *f, const float *input, const float *packed, const tomo_epilogue *epilogue, float *output,
    int64_t begin, int64_t end, float *workspace) {
    int64_t step = NAME(shared_step)(f, end - begin);
    float *rest = workspace + (points(f) + 1) * step;
    NAME(transform_input)(
        f, input, workspace + step, NAME(whole)(f, end - begin, step), begin, begin, end, 0, NAME(blocks)(f->in_channels), rest);
    NAME(multiply_packed)(f, workspace + step, step, packed, workspace, step, end - begin);
    NAME(transform_output)(
        f, workspace, step, NAME(group_size)(f->out_channels), epilogue, output, begin, end, 0,
        NAME(blocks)(f->out_channels), rest);
}

#include "FreshWeights.h"

/* Row convolution for vectors of LANES floats; see Processors.h. */

/* Sums of R output channels by P vectors of columns: sum over taps t of weight[t][r] * from[offsets[t] + column]. */
INLINE void NAME(row_sums)(
    int R, int P, const float *from, const int64_t *offsets, int64_t count, const float *w, VEC sums[6][4]) {
    VEC sum[6][4];
#pragma clang loop unroll(full)
    for (int r = 0; r < R; ++r) {
#pragma clang loop unroll(full)
        for (int p = 0; p < P; ++p) sum[r][p] = (VEC){0};
    }
    for (int64_t t = 0; t < count; ++t, w += 6) {
        const float *at = from + offsets[t];
        VEC x[4];
#pragma clang loop unroll(full)
        for (int p = 0; p < P; ++p) x[p] = NAME(load)(at + p * LANES);
#pragma clang loop unroll(full)
        for (int r = 0; r < R; ++r) {
            VEC weight = NAME(splat)(w[r]);
#pragma clang loop unroll(full)
            for (int p = 0; p < P; ++p) sum[r][p] += weight * x[p];
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < R; ++r) {
#pragma clang loop unroll(full)
        for (int p = 0; p < P; ++p) sums[r][p] = sum[r][p];
    }
}

static void NAME(row_sums_of)(
    int64_t channels, int vectors, const float *from, const int64_t *offsets, int64_t count, const float *w,
    VEC sums[6][4]) {
#define CASE(R)                                                                                                       \
    case R:                                                                                                           \
        if (vectors == 4) {                                                                                           \
            NAME(row_sums)(R, 4, from, offsets, count, w, sums);                                                      \
        } else if (vectors == 3) {                                                                                    \
            NAME(row_sums)(R, 3, from, offsets, count, w, sums);                                                      \
        } else if (vectors == 2) {                                                                                    \
            NAME(row_sums)(R, 2, from, offsets, count, w, sums);                                                      \
        } else {                                                                                                      \
            NAME(row_sums)(R, 1, from, offsets, count, w, sums);                                                      \
        }                                                                                                             \
        break
    switch (channels) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
    }
#undef CASE
}

/* `valid` values of one row of the grid from column x on, with what follows the sums. */
INLINE void NAME(row_write)(
    VEC value, int64_t valid, int64_t place, int64_t step, const tomo_epilogue *epilogue, float *output) {
    if (step == 1) {
        if (epilogue->residual) value += NAME(load_part)(epilogue->residual + place, 0, valid);
        if (epilogue->slope != 1) value = NAME(rectify)(value, epilogue->slope);
        if (valid == LANES) {
            NAME(store)(output + place, value);
        } else {
            NAME(store_part)(output + place, value, valid);
        }
        return;
    }
    float line[LANES];
    NAME(store)(line, value);
    for (int64_t i = 0; i < valid; ++i) {
        float v = line[i];
        if (epilogue->residual) v += epilogue->residual[place + i * step];
        if (v < 0 && epilogue->slope != 1) v = epilogue->slope == 0 ? 0 : v * epilogue->slope;
        output[place + i * step] = v;
    }
}

static void NAME(rows_run)(
    const tomo_rows *r, const float *input, const float *packed, const tomo_epilogue *epilogue, float *output,
    int64_t z, int64_t y_begin, int64_t y_end, int64_t x_begin, int64_t x_end, float *workspace) {
    int64_t count = tap_count(r), channel_size = r->output[0] * r->output[1] * r->output[2];
    int64_t columns = x_end - x_begin, pitch = row_pitch(r, columns), row_step = r->stride[1] * r->stride[2] * pitch;
    int64_t *offsets = (int64_t *)workspace;
    float *copies = workspace + offsets_size(r);
    bring_rows(r, input, z, y_begin, y_end, x_begin, columns, copies);
    set_offsets(r, y_end - y_begin, pitch, offsets);
    for (int64_t block = 0; block * 6 < r->out_channels; ++block) {
        int64_t channels = r->out_channels - block * 6 < 6 ? r->out_channels - block * 6 : 6;
        const float *w = packed + block * 6 * count;
        /* As many sums as the registers hold. */
        int most = channels <= 3 || LANES == 16 ? 4 : 2;
        for (int64_t y = y_begin; y < y_end; ++y) {
            int64_t place = ((z * r->out_step[0] + r->out_offset[0]) * r->output[1] +
                                y * r->out_step[1] + r->out_offset[1]) * r->output[2] +
                x_begin * r->out_step[2] + r->out_offset[2];
            for (int64_t x = 0; x < columns;) {
                int64_t left = ceil_div(columns - x, LANES);
                int vectors = (int)(left < most ? left : most);
                VEC sums[6][4];
                /* What is written comes nearer while it is summed. */
                for (int64_t c = 0; c < channels && r->out_step[2] == 1; ++c) {
                    const float *to = output + (block * 6 + c) * channel_size + place + x;
                    for (int p = 0; p < vectors; ++p) __builtin_prefetch(to + p * LANES, 1);
                }
                NAME(row_sums_of)(
                    channels, vectors, copies + (y - y_begin) * row_step + x, offsets, count, w, sums);
                for (int64_t c = 0; c < channels; ++c) {
                    float bias = epilogue->bias ? epilogue->bias[block * 6 + c] : 0;
                    for (int p = 0; p < vectors; ++p) {
                        int64_t column = x + p * LANES, valid = columns - column < LANES ? columns - column : LANES;
                        NAME(row_write)(
                            sums[c][p] + bias, valid,
                            (block * 6 + c) * channel_size + place + column * r->out_step[2], r->out_step[2], epilogue,
                            output);
                    }
                }
                x += vectors * LANES;
            }
        }
    }
}

/* Sums of weighted rows for vectors of LANES floats; see Processors.h. */

/* Four rows at once: the sums are read and written once for all. What the next four hold comes nearer meanwhile: rows are far apart,
   which no processor foresees. */
static void NAME(add_four)(const float *const rows[4], const float *const next[4], const float w[4], int64_t columns, float *sums) {
    VEC weight[4];
    for (int r = 0; r < 4; ++r) weight[r] = NAME(splat)(w[r]);
    int64_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        VEC sum = NAME(load)(sums + c);
#pragma clang loop unroll(full)
        for (int r = 0; r < 4; ++r) {
            __builtin_prefetch(next[r] + c);
            sum += weight[r] * NAME(load)(rows[r] + c);
        }
        NAME(store)(sums + c, sum);
    }
    for (; c < columns; ++c) {
        for (int r = 0; r < 4; ++r) sums[c] += w[r] * rows[r][c];
    }
}

static void NAME(add_rows)(
    const float *matrix, int64_t stride, int64_t rows, int64_t columns, const float *factors, float factor,
    float *sums) {
    const float *four[2][4];
    float weights[2][4];
    int64_t row = 0;
    int now = 0, held = 0;
    /* Fours that are complete wait until the next is known. */
    for (;;) {
        int count = 0;
        for (; row < rows && count < 4; ++row) {
            if (factors[row] == 0) continue;
            four[now][count] = matrix + row * stride;
            weights[now][count++] = factor * factors[row];
        }
        int whole = count == 4;
        if (held) NAME(add_four)(four[1 - now], whole ? four[now] : four[1 - now], weights[1 - now], columns, sums);
        if (!whole) {
            for (int r = 0; r < count; ++r) {
                for (int64_t c = 0; c < columns; ++c) sums[c] += weights[now][r] * four[now][r][c];
            }
            return;
        }
        held = 1;
        now = 1 - now;
    }
}

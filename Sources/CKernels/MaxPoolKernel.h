/* Maximum pools for vectors of LANES floats; see Processors.h. Rows are taken together over depth and height first, then
   columns over the width of a window: the same comparisons in the same order for every kind of processor. */

/* A column of one window row, with the rows before it in `best`. */
INLINE VEC NAME(column_maximum)(
    const tomo_window *w, const float *plane, int64_t in_z, int64_t in_y, range rz, range ry, int64_t first, int64_t last,
    int64_t i) {
    VEC best = NAME(splat)(-INFINITY);
    for (int64_t kz = rz.begin; kz < rz.end; ++kz) {
        int64_t row = (in_z + kz * w->dilation[0]) * w->input[1] + in_y;
        for (int64_t ky = ry.begin; ky < ry.end; ++ky) {
            const float *at = plane + (row + ky * w->dilation[1]) * w->input[2] + i;
            best = NAME(larger)(best, last - first == LANES ? NAME(load)(at) : NAME(load_part)(at, first, last));
        }
    }
    return best;
}

static void NAME(max_pool)(const tomo_window *w, const float *input, float *output, float *scratch) {
    const int64_t *in = w->input, *out = w->output;
    int64_t step = w->stride[2], pad = w->pad_begin[2];
    /* Windows that lie in the row wholly: no end is looked at among them. */
    int64_t reach = (w->kernel[2] - 1) * w->dilation[2];
    int64_t inner = clamp(ceil_div(pad, step), 0, out[2]);
    int64_t outer = clamp(floor_div(in[2] - 1 - reach + pad, step) + 1, inner, out[2]);
    /* Vectors of the last windows read on beyond the row. */
    for (int64_t i = 0; i < TAIL; ++i) scratch[in[2] + i] = 0;
    for (int64_t z = 0; z < out[0]; ++z) {
        range rz = taps(w, 0, z);
        for (int64_t y = 0; y < out[1]; ++y, output += out[2]) {
            range ry = taps(w, 1, y);
            int64_t in_z = position(w, 0, z, 0), in_y = position(w, 1, y, 0), i = 0;
            for (; i + LANES <= in[2]; i += LANES) {
                NAME(store)(scratch + i, NAME(column_maximum)(w, input, in_z, in_y, rz, ry, 0, LANES, i));
            }
            if (i < in[2]) {
                VEC last = NAME(column_maximum)(w, input, in_z, in_y, rz, ry, 0, in[2] - i, i);
                NAME(store_part)(scratch + i, last, in[2] - i);
            }
            int64_t x = 0;
            while (x < out[2]) {
                if (x >= inner && x < outer && step <= 2) {
                    int64_t valid = outer - x < LANES ? outer - x : LANES;
                    const float *from = scratch + x * step - pad;
                    VEC best = NAME(splat)(-INFINITY);
                    for (int64_t kx = 0; kx < w->kernel[2]; ++kx, from += w->dilation[2]) {
                        best = NAME(larger)(best, step == 1 ? NAME(load)(from) : NAME(every_other)(from));
                    }
                    if (valid == LANES) {
                        NAME(store)(output + x, best);
                    } else {
                        NAME(store_part)(output + x, best, valid);
                    }
                    x += valid;
                    continue;
                }
                range rx = taps(w, 2, x);
                float best = -INFINITY;
                for (int64_t kx = rx.begin; kx < rx.end; ++kx) {
                    float value = scratch[position(w, 2, x, kx)];
                    best = value <= best || best != best ? best : value;
                }
                output[x++] = best;
            }
        }
    }
}

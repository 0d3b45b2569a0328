/* Included once for each kind of processor, with NAME defined. Plain loops over independent elements: the compiler makes
   vectors of them. */

static void NAME(blend_rows)(const float *a, const float *b, float weight, float *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[i] = a[i] + (b[i] - a[i]) * weight;
}

static void NAME(sample_line)(
    const float *line, const int32_t *low, const int32_t *high, const float *weight, float *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        float a = line[low[i]];
        out[i] = a + (line[high[i]] - a) * weight[i];
    }
}

/* Places of up to BLOCK samples along one axis, from the `first` on: the nearest lower index or, for `is_nearest`, the
   nearest, and how far the place lies beyond it. Clears `is_inside` where it is out of bounds. */
static INLINE void NAME(places)(
    const tomo_line *line, int axis, int64_t first, int64_t count, int is_nearest, int32_t *restrict index,
    float *restrict weight, uint8_t *restrict is_inside) {
    double start = line->start[axis], step = line->step[axis], last = (double)(line->shape[axis] - 1);
    for (int64_t i = 0; i < count; ++i) {
        double place = start + step * (double)(int32_t)(first + i);
        place = __builtin_rint(place * 1073741824.0) * 0x1p-30;
        is_inside[i] &= !(place < -0.5) & !(place > last + 0.5);
        double held = place > 0 ? place : 0;
        held = held < last ? held : last;
        double low = is_nearest ? __builtin_rint(held) : __builtin_floor(held);
        index[i] = (int32_t)low;
        weight[i] = (float)(held - low);
    }
}

static void NAME(sample_trilinear)(const tomo_line *line, float *restrict out, int64_t total) {
    int32_t index[3][BLOCK];
    float weight[3][BLOCK];
    float corner[8][BLOCK];
    uint8_t is_inside[BLOCK];
    int64_t row = line->shape[0], slice = line->shape[0] * line->shape[1];
    for (int64_t first = 0; first < total; first += BLOCK) {
        int64_t count = total - first < BLOCK ? total - first : BLOCK;
        memset(is_inside, 1, sizeof is_inside);
        for (int axis = 0; axis < 3; ++axis) {
            NAME(places)(line, axis, first, count, 0, index[axis], weight[axis], is_inside);
        }
        for (int64_t i = 0; i < count; ++i) {
            const float *p = line->voxels + index[0][i] + row * index[1][i] + slice * index[2][i];
            /* The upper neighbour of the last voxel is itself: its weight is zero. */
            int64_t dx = index[0][i] < line->shape[0] - 1;
            int64_t dy = index[1][i] < line->shape[1] - 1 ? row : 0;
            int64_t dz = index[2][i] < line->shape[2] - 1 ? slice : 0;
            corner[0][i] = p[0];
            corner[1][i] = p[dx];
            corner[2][i] = p[dy];
            corner[3][i] = p[dy + dx];
            corner[4][i] = p[dz];
            corner[5][i] = p[dz + dx];
            corner[6][i] = p[dz + dy];
            corner[7][i] = p[dz + dy + dx];
        }
        for (int64_t i = 0; i < count; ++i) {
            float x = weight[0][i], y = weight[1][i], z = weight[2][i];
            float a = corner[0][i] + (corner[1][i] - corner[0][i]) * x;
            float b = corner[2][i] + (corner[3][i] - corner[2][i]) * x;
            float c = corner[4][i] + (corner[5][i] - corner[4][i]) * x;
            float d = corner[6][i] + (corner[7][i] - corner[6][i]) * x;
            float near = a + (b - a) * y;
            float far = c + (d - c) * y;
            float value = near + (far - near) * z;
            out[first + i] = (!line->is_bounded) | is_inside[i] ? value : line->outside;
        }
    }
}

static void NAME(sample_nearest)(const tomo_line *line, float *restrict out, int64_t total) {
    int32_t index[3][BLOCK];
    float unused[BLOCK];
    uint8_t is_inside[BLOCK];
    int64_t row = line->shape[0], slice = line->shape[0] * line->shape[1];
    for (int64_t first = 0; first < total; first += BLOCK) {
        int64_t count = total - first < BLOCK ? total - first : BLOCK;
        memset(is_inside, 1, sizeof is_inside);
        for (int axis = 0; axis < 3; ++axis) {
            NAME(places)(line, axis, first, count, 1, index[axis], unused, is_inside);
        }
        for (int64_t i = 0; i < count; ++i) {
            float value = line->voxels[index[0][i] + row * index[1][i] + slice * index[2][i]];
            out[first + i] = (!line->is_bounded) | is_inside[i] ? value : line->outside;
        }
    }
}

static void NAME(grey_pixels)(const float *values, float lower, float upper, uint8_t *restrict rgb, int64_t total) {
    uint8_t grey[BLOCK];
    for (int64_t first = 0; first < total; first += BLOCK) {
        int64_t count = total - first < BLOCK ? total - first : BLOCK;
        for (int64_t i = 0; i < count; ++i) {
            float relative = (values[first + i] - lower) / (upper - lower);
            /* Written so that what is not a number becomes 0. */
            float held = relative > 0 ? relative : 0;
            held = held < 1 ? held * 255 + 0.5f : 255;
            grey[i] = (uint8_t)(int32_t)held;
        }
        uint8_t *pixel = rgb + 3 * first;
        for (int64_t i = 0; i < count; ++i) pixel[3 * i] = pixel[3 * i + 1] = pixel[3 * i + 2] = grey[i];
    }
}

static INLINE uint8_t NAME(mixed)(uint32_t below, uint32_t colour, uint32_t alpha) {
    return (uint8_t)((below * (255 - alpha) + colour * alpha + 127) / 255);
}

static void NAME(tint_pixels)(
    const float *values, float slope, float offset, int32_t steps, const tomo_tint *tints, uint8_t *restrict rgb,
    int64_t total) {
    int32_t index[BLOCK];
    float most = (float)steps;
    for (int64_t first = 0; first < total; first += BLOCK) {
        int64_t count = total - first < BLOCK ? total - first : BLOCK;
        for (int64_t i = 0; i < count; ++i) {
            float step = values[first + i] * slope + offset + 0.5f;
            float held = step >= most ? most : step > 0 ? step : step <= 0 ? 0 : offset;
            index[i] = (int32_t)held;
        }
        uint8_t *pixel = rgb + 3 * first;
        for (int64_t i = 0; i < count; ++i, pixel += 3) {
            tomo_tint tint = tints[index[i]];
            if (tint.alpha == 0) continue;
            pixel[0] = NAME(mixed)(pixel[0], tint.red, tint.alpha);
            pixel[1] = NAME(mixed)(pixel[1], tint.green, tint.alpha);
            pixel[2] = NAME(mixed)(pixel[2], tint.blue, tint.alpha);
        }
    }
}

static void NAME(subtract_rows)(const uint8_t *row, const uint8_t *above, uint8_t *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[i] = (uint8_t)(row[i] - above[i]);
}

static int NAME(are_whole)(const float *values, int64_t total) {
    for (int64_t first = 0; first < total; first += BLOCK) {
        int64_t count = total - first < BLOCK ? total - first : BLOCK;
        int32_t fractions = 0;
        for (int64_t i = 0; i < count; ++i) {
            float value = values[first + i];
            /* Of an infinity this is not a number. */
            fractions |= !(value - __builtin_truncf(value) == 0);
        }
        if (fractions) return 0;
    }
    return 1;
}

static INLINE double NAME(stored)(float value, double slope, double inter, double low, double high) {
    double rounded = __builtin_round(((double)value - inter) / slope);
    rounded = rounded > low ? rounded : low;
    return rounded < high ? rounded : high;
}

#define STORE(name, type)                                                                                             \
    static void NAME(name)(                                                                                           \
        const float *values, double slope, double inter, double low, double high, type *restrict out, int64_t count) { \
        for (int64_t i = 0; i < count; ++i) {                                                                         \
            out[i] = (type)(int32_t)NAME(stored)(values[i], slope, inter, low, high);                                 \
        }                                                                                                             \
    }
STORE(store_uint8, uint8_t)
STORE(store_int16, int16_t)
STORE(store_uint16, uint16_t)
#undef STORE

static void NAME(predict_uint8)(const uint8_t *codes, const uint8_t *above, uint8_t *restrict differences, int64_t count) {
    if (count == 0) return;
    differences[0] = (uint8_t)(codes[0] - (above ? above[0] : 0));
    if (!above) {
        for (int64_t i = 1; i < count; ++i) differences[i] = (uint8_t)(codes[i] - codes[i - 1]);
        return;
    }
    for (int64_t i = 1; i < count; ++i) {
        uint8_t left = codes[i - 1], up = above[i], corner = above[i - 1];
        uint8_t low = left < up ? left : up, high = left < up ? up : left, middle = (uint8_t)(left + up - corner);
        middle = corner <= low ? high : middle;
        middle = corner >= high ? low : middle;
        differences[i] = (uint8_t)(codes[i] - middle);
    }
}

static void NAME(predict_int16)(
    const int16_t *codes, const int16_t *above, uint8_t *restrict lows, uint8_t *restrict highs, int64_t count) {
    int16_t differences[BLOCK];
    for (int64_t first = 0; first < count; first += BLOCK) {
        int64_t end = count - first < BLOCK ? count - first : BLOCK, begin = first == 0 ? 1 : 0;
        const int16_t *c = codes + first, *a = above ? above + first : 0;
        if (first == 0) differences[0] = (int16_t)(c[0] - (a ? a[0] : 0));
        if (!a) {
            for (int64_t i = begin; i < end; ++i) differences[i] = (int16_t)(c[i] - c[i - 1]);
        } else {
            for (int64_t i = begin; i < end; ++i) {
                int16_t left = c[i - 1], up = a[i], corner = a[i - 1];
                int16_t low = left < up ? left : up, high = left < up ? up : left;
                int16_t middle = (int16_t)(uint16_t)((uint16_t)left + (uint16_t)up - (uint16_t)corner);
                middle = corner <= low ? high : middle;
                middle = corner >= high ? low : middle;
                differences[i] = (int16_t)(c[i] - middle);
            }
        }
        for (int64_t i = 0; i < end; ++i) {
            uint16_t folded = (uint16_t)((uint16_t)differences[i] << 1) ^ (uint16_t)(differences[i] >> 15);
            lows[first + i] = (uint8_t)folded;
            highs[first + i] = (uint8_t)(folded >> 8);
        }
    }
}

static void NAME(positive_row)(
    const float *values, int64_t count, float *lowest, float *highest, double *sum, double *restrict columns) {
    float low[8] = {0}, high[8] = {0};
    double sums[8] = {0};
    int64_t whole = count / 8 * 8;
    for (int64_t i = 0; i < whole; i += 8) {
        for (int lane = 0; lane < 8; ++lane) {
            float value = values[i + lane], positive = value > 0 ? value : 0;
            low[lane] = value < low[lane] ? value : low[lane];
            high[lane] = value > high[lane] ? value : high[lane];
            sums[lane] += (double)positive;
            columns[i + lane] += (double)positive;
        }
    }
    for (int64_t i = whole; i < count; ++i) {
        float value = values[i], positive = value > 0 ? value : 0;
        int64_t lane = i - whole;
        low[lane] = value < low[lane] ? value : low[lane];
        high[lane] = value > high[lane] ? value : high[lane];
        sums[lane] += (double)positive;
        columns[i] += (double)positive;
    }
    *lowest = *highest = 0;
    *sum = 0;
    for (int lane = 0; lane < 8; ++lane) {
        *lowest = low[lane] < *lowest ? low[lane] : *lowest;
        *highest = high[lane] > *highest ? high[lane] : *highest;
        *sum += sums[lane];
    }
}

#include "Pooling.h"

#include <math.h>

#include "Ranges.h"

/* The taps of output `o` on one axis that lie in the input. */
static range taps(const tomo_window *w, int axis, int64_t o) {
    return inside(w->kernel[axis], w->dilation[axis], o * w->stride[axis] - w->pad_begin[axis], w->input[axis]);
}

/* How many taps of output `o` on one axis lie in the padded input. */
static int64_t padded_taps(const tomo_window *w, int axis, int64_t o) {
    range r = inside(
        w->kernel[axis], w->dilation[axis], o * w->stride[axis],
        w->input[axis] + w->pad_begin[axis] + w->pad_end[axis]);
    return r.end - r.begin;
}

static int64_t position(const tomo_window *w, int axis, int64_t o, int64_t k) {
    return o * w->stride[axis] - w->pad_begin[axis] + k * w->dilation[axis];
}

static int64_t volume(const int64_t extents[3]) { return extents[0] * extents[1] * extents[2]; }

#define TAIL 32
#define KERNEL "MaxPoolKernel.h"
#include "Processors.h"

int64_t tomo_max_pool_scratch(const tomo_window *w) { return w->input[2] + TAIL; }

void tomo_max_pool(const tomo_window *w, int kind, const float *input, float *output, float *scratch) {
    DISPATCH(, max_pool(w, input, output, scratch));
}

static int64_t largest(const tomo_window *w, const float *input, int64_t z, int64_t y, int64_t x) {
    const int64_t *in = w->input;
    range rz = taps(w, 0, z), ry = taps(w, 1, y), rx = taps(w, 2, x);
    int64_t index = -1;
    float best = -INFINITY;
    for (int64_t kz = rz.begin; kz < rz.end; ++kz) {
        for (int64_t ky = ry.begin; ky < ry.end; ++ky) {
            int64_t row = (position(w, 0, z, kz) * in[1] + position(w, 1, y, ky)) * in[2];
            for (int64_t kx = rx.begin; kx < rx.end; ++kx) {
                int64_t candidate = row + position(w, 2, x, kx);
                float value = input[candidate];
                if (index < 0 || value > best || value != value) {
                    index = candidate;
                    best = value;
                }
            }
        }
    }
    return index;
}

void tomo_max_pool_indices(const tomo_window *w, const float *input, float *output, int64_t *indices) {
    for (int64_t z = 0; z < w->output[0]; ++z) {
        for (int64_t y = 0; y < w->output[1]; ++y) {
            for (int64_t x = 0; x < w->output[2]; ++x) {
                int64_t index = largest(w, input, z, y, x);
                *output++ = index < 0 ? -INFINITY : input[index];
                *indices++ = index;
            }
        }
    }
}

void tomo_max_pool_gradient(
    const tomo_window *w, const float *input, const float *gradient, float *input_gradient) {
    for (int64_t i = 0; i < volume(w->input); ++i) input_gradient[i] = 0;
    for (int64_t z = 0; z < w->output[0]; ++z) {
        for (int64_t y = 0; y < w->output[1]; ++y) {
            for (int64_t x = 0; x < w->output[2]; ++x) {
                int64_t index = largest(w, input, z, y, x);
                if (index >= 0) input_gradient[index] += *gradient;
                ++gradient;
            }
        }
    }
}

/* The divisor of one window; 0 when it has no tap at all. */
static int64_t divisor(const tomo_window *w, int count_padding, int64_t z, int64_t y, int64_t x) {
    if (count_padding) return padded_taps(w, 0, z) * padded_taps(w, 1, y) * padded_taps(w, 2, x);
    range rz = taps(w, 0, z), ry = taps(w, 1, y), rx = taps(w, 2, x);
    return (rz.end - rz.begin) * (ry.end - ry.begin) * (rx.end - rx.begin);
}

void tomo_average_pool(const tomo_window *w, int count_padding, const float *input, float *output, float *scratch) {
    const int64_t *in = w->input, *out = w->output;
    for (int64_t z = 0; z < out[0]; ++z) {
        range rz = taps(w, 0, z);
        for (int64_t y = 0; y < out[1]; ++y) {
            range ry = taps(w, 1, y);
            for (int64_t i = 0; i < in[2]; ++i) scratch[i] = 0;
            for (int64_t kz = rz.begin; kz < rz.end; ++kz) {
                for (int64_t ky = ry.begin; ky < ry.end; ++ky) {
                    const float *row = input + (position(w, 0, z, kz) * in[1] + position(w, 1, y, ky)) * in[2];
                    for (int64_t i = 0; i < in[2]; ++i) scratch[i] += row[i];
                }
            }
            for (int64_t x = 0; x < out[2]; ++x) {
                range rx = taps(w, 2, x);
                float sum = 0;
                for (int64_t kx = rx.begin; kx < rx.end; ++kx) sum += scratch[position(w, 2, x, kx)];
                int64_t count = divisor(w, count_padding, z, y, x);
                *output++ = count ? sum / (float)count : 0;
            }
        }
    }
}

void tomo_average_pool_gradient(
    const tomo_window *w, int count_padding, const float *gradient, float *input_gradient) {
    const int64_t *in = w->input;
    for (int64_t i = 0; i < volume(in); ++i) input_gradient[i] = 0;
    for (int64_t z = 0; z < w->output[0]; ++z) {
        range rz = taps(w, 0, z);
        for (int64_t y = 0; y < w->output[1]; ++y) {
            range ry = taps(w, 1, y);
            for (int64_t x = 0; x < w->output[2]; ++x) {
                range rx = taps(w, 2, x);
                int64_t count = divisor(w, count_padding, z, y, x);
                float share = count ? *gradient / (float)count : 0;
                ++gradient;
                for (int64_t kz = rz.begin; kz < rz.end; ++kz) {
                    for (int64_t ky = ry.begin; ky < ry.end; ++ky) {
                        float *row = input_gradient + (position(w, 0, z, kz) * in[1] + position(w, 1, y, ky)) * in[2];
                        for (int64_t kx = rx.begin; kx < rx.end; ++kx) row[position(w, 2, x, kx)] += share;
                    }
                }
            }
        }
    }
}

void tomo_norm_pool(const tomo_window *w, double p, const float *input, float *output) {
    const int64_t *in = w->input;
    for (int64_t z = 0; z < w->output[0]; ++z) {
        range rz = taps(w, 0, z);
        for (int64_t y = 0; y < w->output[1]; ++y) {
            range ry = taps(w, 1, y);
            for (int64_t x = 0; x < w->output[2]; ++x) {
                range rx = taps(w, 2, x);
                double sum = 0;
                for (int64_t kz = rz.begin; kz < rz.end; ++kz) {
                    for (int64_t ky = ry.begin; ky < ry.end; ++ky) {
                        const float *row = input + (position(w, 0, z, kz) * in[1] + position(w, 1, y, ky)) * in[2];
                        for (int64_t kx = rx.begin; kx < rx.end; ++kx) {
                            sum += pow(fabs(row[position(w, 2, x, kx)]), p);
                        }
                    }
                }
                *output++ = (float)pow(sum, 1 / p);
            }
        }
    }
}

void tomo_norm_pool_gradient(
    const tomo_window *w, double p, const float *input, const float *output, const float *gradient,
    float *input_gradient) {
    const int64_t *in = w->input;
    for (int64_t i = 0; i < volume(in); ++i) input_gradient[i] = 0;
    for (int64_t z = 0; z < w->output[0]; ++z) {
        range rz = taps(w, 0, z);
        for (int64_t y = 0; y < w->output[1]; ++y) {
            range ry = taps(w, 1, y);
            for (int64_t x = 0; x < w->output[2]; ++x) {
                range rx = taps(w, 2, x);
                double norm = *output++, factor = norm > 0 ? *gradient / pow(norm, p - 1) : 0;
                ++gradient;
                for (int64_t kz = rz.begin; kz < rz.end; ++kz) {
                    for (int64_t ky = ry.begin; ky < ry.end; ++ky) {
                        int64_t row = (position(w, 0, z, kz) * in[1] + position(w, 1, y, ky)) * in[2];
                        for (int64_t kx = rx.begin; kx < rx.end; ++kx) {
                            int64_t index = row + position(w, 2, x, kx);
                            double value = input[index];
                            if (value != 0) input_gradient[index] += (float)(factor * copysign(pow(fabs(value), p - 1), value));
                        }
                    }
                }
            }
        }
    }
}

double tomo_sum(const float *values, int64_t count) {
    double lanes[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        for (int lane = 0; lane < 8; ++lane) lanes[lane] += values[i + lane];
    }
    for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i];
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

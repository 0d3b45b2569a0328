#include "DirectConvolution.h"

#include "Ranges.h"

static int64_t volume(const int64_t extents[3]) { return extents[0] * extents[1] * extents[2]; }

void tomo_direct_forward(
    const tomo_convolution *c, const float *input, const float *weights, float bias, float *output, int64_t image,
    int64_t out_channel) {
    const int64_t *in = c->input, *out = c->output, *k = c->kernel, *s = c->stride, *d = c->dilation, *p = c->pad;
    int64_t in_group = c->in_channels / c->groups, out_group = c->out_channels / c->groups;
    int64_t first = out_channel / out_group * in_group, taps = volume(k);
    float *plane = output + (image * c->out_channels + out_channel) * volume(out);
    for (int64_t i = 0; i < volume(out); ++i) plane[i] = bias;
    for (int64_t channel = 0; channel < in_group; ++channel) {
        const float *source = input + (image * c->in_channels + first + channel) * volume(in);
        const float *w = weights + (out_channel * in_group + channel) * taps;
        for (int64_t kz = 0; kz < k[0]; ++kz) {
            range z = inside(out[0], s[0], kz * d[0] - p[0], in[0]);
            for (int64_t ky = 0; ky < k[1]; ++ky) {
                range y = inside(out[1], s[1], ky * d[1] - p[1], in[1]);
                for (int64_t kx = 0; kx < k[2]; ++kx) {
                    int64_t shift = kx * d[2] - p[2];
                    range x = inside(out[2], s[2], shift, in[2]);
                    float weight = w[(kz * k[1] + ky) * k[2] + kx];
                    for (int64_t oz = z.begin; oz < z.end; ++oz) {
                        int64_t iz = oz * s[0] + kz * d[0] - p[0];
                        for (int64_t oy = y.begin; oy < y.end; ++oy) {
                            int64_t iy = oy * s[1] + ky * d[1] - p[1];
                            const float *from = source + (iz * in[1] + iy) * in[2];
                            float *to = plane + (oz * out[1] + oy) * out[2];
                            if (s[2] == 1) {
                                for (int64_t ox = x.begin; ox < x.end; ++ox) to[ox] += weight * from[ox + shift];
                            } else {
                                for (int64_t ox = x.begin; ox < x.end; ++ox) to[ox] += weight * from[ox * s[2] + shift];
                            }
                        }
                    }
                }
            }
        }
    }
}

void tomo_direct_backward_data(
    const tomo_convolution *c, const float *gradient, const float *weights, float bias, float *input_gradient,
    int64_t image, int64_t in_channel) {
    const int64_t *in = c->input, *out = c->output, *k = c->kernel, *s = c->stride, *d = c->dilation, *p = c->pad;
    int64_t in_group = c->in_channels / c->groups, out_group = c->out_channels / c->groups;
    int64_t group = in_channel / in_group, taps = volume(k);
    float *plane = input_gradient + (image * c->in_channels + in_channel) * volume(in);
    for (int64_t i = 0; i < volume(in); ++i) plane[i] = bias;
    for (int64_t channel = group * out_group; channel < (group + 1) * out_group; ++channel) {
        const float *source = gradient + (image * c->out_channels + channel) * volume(out);
        const float *w = weights + (channel * in_group + in_channel % in_group) * taps;
        for (int64_t kz = 0; kz < k[0]; ++kz) {
            range z = inside(out[0], s[0], kz * d[0] - p[0], in[0]);
            for (int64_t ky = 0; ky < k[1]; ++ky) {
                range y = inside(out[1], s[1], ky * d[1] - p[1], in[1]);
                for (int64_t kx = 0; kx < k[2]; ++kx) {
                    int64_t shift = kx * d[2] - p[2];
                    range x = inside(out[2], s[2], shift, in[2]);
                    float weight = w[(kz * k[1] + ky) * k[2] + kx];
                    for (int64_t oz = z.begin; oz < z.end; ++oz) {
                        int64_t iz = oz * s[0] + kz * d[0] - p[0];
                        for (int64_t oy = y.begin; oy < y.end; ++oy) {
                            int64_t iy = oy * s[1] + ky * d[1] - p[1];
                            const float *from = source + (oz * out[1] + oy) * out[2];
                            float *to = plane + (iz * in[1] + iy) * in[2];
                            for (int64_t ox = x.begin; ox < x.end; ++ox) to[ox * s[2] + shift] += weight * from[ox];
                        }
                    }
                }
            }
        }
    }
}

void tomo_direct_backward_weights(
    const tomo_convolution *c, const float *input, const float *gradient, float *weight_gradient, int64_t out_channel) {
    const int64_t *in = c->input, *out = c->output, *k = c->kernel, *s = c->stride, *d = c->dilation, *p = c->pad;
    int64_t in_group = c->in_channels / c->groups, out_group = c->out_channels / c->groups;
    int64_t first = out_channel / out_group * in_group, taps = volume(k);
    for (int64_t channel = 0; channel < in_group; ++channel) {
        float *w = weight_gradient + (out_channel * in_group + channel) * taps;
        for (int64_t kz = 0; kz < k[0]; ++kz) {
            range z = inside(out[0], s[0], kz * d[0] - p[0], in[0]);
            for (int64_t ky = 0; ky < k[1]; ++ky) {
                range y = inside(out[1], s[1], ky * d[1] - p[1], in[1]);
                for (int64_t kx = 0; kx < k[2]; ++kx) {
                    int64_t shift = kx * d[2] - p[2];
                    range x = inside(out[2], s[2], shift, in[2]);
                    /* A sum over the whole volume and batch: kept in double precision. */
                    double sum = 0;
                    for (int64_t image = 0; image < c->batch; ++image) {
                        const float *source = input + (image * c->in_channels + first + channel) * volume(in);
                        const float *target = gradient + (image * c->out_channels + out_channel) * volume(out);
                        for (int64_t oz = z.begin; oz < z.end; ++oz) {
                            int64_t iz = oz * s[0] + kz * d[0] - p[0];
                            for (int64_t oy = y.begin; oy < y.end; ++oy) {
                                int64_t iy = oy * s[1] + ky * d[1] - p[1];
                                const float *from = source + (iz * in[1] + iy) * in[2];
                                const float *with = target + (oz * out[1] + oy) * out[2];
                                for (int64_t ox = x.begin; ox < x.end; ++ox) {
                                    sum += (double)from[ox * s[2] + shift] * with[ox];
                                }
                            }
                        }
                    }
                    w[(kz * k[1] + ky) * k[2] + kx] = (float)sum;
                }
            }
        }
    }
}

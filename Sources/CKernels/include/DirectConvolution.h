#pragma once

#include <stdint.h>

/// A convolution over three spatial axes (fewer: leading extents of 1) of row-major tensors. Channel counts are over
/// all groups. A tap of output o and kernel index k reads input o * stride + k * dilation - pad.
typedef struct {
    int64_t batch, groups, in_channels, out_channels;
    int64_t input[3], output[3], kernel[3], stride[3], dilation[3], pad[3];
} tomo_convolution;

/// The convolution written as it is defined, in portable C: what runs where no faster kernel takes the shape (any
/// padding, any dilation), and what the faster ones are tested against.
///
/// Each call computes one plane: forward the output plane `[batch index, output channel]` (over `bias`), backward_data
/// the input plane `[batch index, input channel]`, backward_weights the weights of one output channel.
void tomo_direct_forward(
    const tomo_convolution *c, const float *input, const float *weights, float bias, float *output, int64_t image,
    int64_t out_channel);
void tomo_direct_backward_data(
    const tomo_convolution *c, const float *gradient, const float *weights, float bias, float *input_gradient,
    int64_t image, int64_t in_channel);
void tomo_direct_backward_weights(
    const tomo_convolution *c, const float *input, const float *gradient, float *weight_gradient, int64_t out_channel);

#pragma once

#include <stddef.h>
#include <stdint.h>

/// Convolutions by oneDNN, one thread a call. Builds against API version 2 and 3 of the library.
///
/// A plan is one convolution of fixed extents over plain (row-major) tensors: it holds the library's primitives for
/// bringing the source into the layout the kernel likes, for the kernel itself, and for bringing the result back.
/// Plans are immutable after creation and may run on many threads at once, each with its own workspace. Splitting work
/// between threads is the caller's affair; the library never starts threads here.

/// 0 is success; others are below or the library's own positive status codes.
enum {
    TOMO_DNN_BAD_LENGTH = -1,
    TOMO_DNN_NO_MEMORY = -2,
};

enum {
    TOMO_DNN_FORWARD = 0,
    TOMO_DNN_BACKWARD_DATA = 1,
};

/// A convolution over 2 or 3 spatial axes. Channel counts are over all groups. `source` is the convolution's input and
/// `target` its output; the backward pass reads `target` and writes `source`. Strides are in elements, for batch,
/// channels and each spatial axis; weights are `[out_channels, in_channels / groups, kernel…]` with strides of the
/// first two axes given (the kernel is dense).
typedef struct {
    int32_t direction;
    int32_t spatial_rank;
    int32_t has_bias;
    int64_t batch, groups, in_channels, out_channels;
    int64_t source[3], target[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
    int64_t source_strides[5], target_strides[5];
    int64_t weight_strides[2];
} tomo_dnn_convolution;

typedef struct tomo_dnn_plan tomo_dnn_plan;
typedef struct tomo_dnn_weights tomo_dnn_weights;

/// Major version of the oneDNN API this was built against, times 1000, plus the minor one.
int tomo_dnn_version(void);

int tomo_dnn_plan_create(const tomo_dnn_convolution *description, tomo_dnn_plan **plan);
void tomo_dnn_plan_destroy(tomo_dnn_plan *plan);

/// Bytes of 64-byte aligned workspace that one run needs.
size_t tomo_dnn_plan_workspace(const tomo_dnn_plan *plan);

/// Packs plain weights into the layout of `plan`; `count` is the number of floats that may be read at `weights`.
int tomo_dnn_weights_create(const tomo_dnn_plan *plan, const float *weights, size_t count, tomo_dnn_weights **packed);
void tomo_dnn_weights_destroy(tomo_dnn_weights *packed);
/// Nonzero when weights packed for one plan serve this one too.
int tomo_dnn_weights_fit(const tomo_dnn_weights *packed, const tomo_dnn_plan *plan);

/// Reads `from` (source forward, target backward) and overwrites the described elements of `to`. Counts are numbers of
/// floats that may be touched from each pointer on; `bias` has `bias_count` floats, or is NULL without one.
int tomo_dnn_plan_run(
    const tomo_dnn_plan *plan, const float *from, size_t from_count, const tomo_dnn_weights *packed, const float *bias,
    size_t bias_count, float *to, size_t to_count, void *workspace, size_t workspace_bytes);

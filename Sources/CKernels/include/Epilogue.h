#pragma once

/// What follows the sum of products, in one pass with the write.
typedef struct {
    /// One value an output channel, or NULL.
    const float *bias;
    /// A tensor of the output's shape that is added, or NULL.
    const float *residual;
    /// Values below 0 are multiplied by this: 1 leaves all as they are, 0 rectifies.
    float slope;
} tomo_epilogue;

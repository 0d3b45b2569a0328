#pragma once

#include <stdint.h>

static inline int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
static inline int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }
static inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

typedef struct {
    int64_t begin, end;
} range;

/// The indices i of 0..<count for which i * step + offset lies in 0..<extent.
static inline range inside(int64_t count, int64_t step, int64_t offset, int64_t extent) {
    range r = {clamp(ceil_div(-offset, step), 0, count), clamp(ceil_div(extent - offset, step), 0, count)};
    if (r.end < r.begin) r.end = r.begin;
    return r;
}

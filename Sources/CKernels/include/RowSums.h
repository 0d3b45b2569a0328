#pragma once

#include <stdint.h>

#include "Processor.h"

/// Adds factor * factors[i] times row i of a matrix to `sums`, for all its rows: a row times a matrix, C += α a B. Rows whose factor is 0
/// are not read, as half of them are behind a rectifier: a row that holds no finite number takes part only where its factor is not 0.
///
/// - `matrix`: `rows` rows of `columns` values, `stride` values from one to the next.
void tomo_add_rows(
    int kind, const float *matrix, int64_t stride, int64_t rows, int64_t columns, const float *factors, float factor,
    float *sums);

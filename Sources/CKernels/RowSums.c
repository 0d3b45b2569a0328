#include "RowSums.h"

#define KERNEL "RowSumsKernel.h"
#include "Processors.h"

void tomo_add_rows(
    int kind, const float *matrix, int64_t stride, int64_t rows, int64_t columns, const float *factors, float factor,
    float *sums) {
    DISPATCH(, add_rows(matrix, stride, rows, columns, factors, factor, sums));
}

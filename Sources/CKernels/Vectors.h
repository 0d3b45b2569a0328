/* Vectors of LANES floats, for kernels that are compiled once for each kind of processor: see Processors.h. */

typedef float NAME(vec) __attribute__((vector_size(LANES * 4)));
typedef float NAME(loose) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int NAME(mask) __attribute__((vector_size(LANES * 4)));

INLINE VEC NAME(load)(const float *p) { return *(const NAME(loose) *)p; }
INLINE void NAME(store)(float *p, VEC v) { *(NAME(loose) *)p = v; }
/* To aligned memory that is not soon read again. */
INLINE void NAME(stream)(float *p, VEC v) {
#if defined(__clang__)
    __builtin_nontemporal_store(v, (VEC *)p);
#else
    NAME(store)(p, v);
#endif
}
INLINE VEC NAME(splat)(float value) { return value - (VEC){0}; }

/* Values below 0 times `slope`; with slope 0 exactly 0, whatever they were. */
INLINE VEC NAME(rectify)(VEC value, float slope) {
    NAME(mask) below = value < 0;
    VEC scaled = slope == 0 ? (VEC){0} : value * slope;
    return (VEC)((below & (NAME(mask))scaled) | (~below & (NAME(mask))value));
}

/* Elements first..<last of a vector at `p`; the others are 0 and not read. */
INLINE VEC NAME(load_part)(const float *p, int64_t first, int64_t last) {
#if LANES == 16
    __mmask16 mask = (__mmask16)((1u << last) - (1u << first));
    return (VEC)_mm512_maskz_loadu_ps(mask, p);
#elif LANES == 8
    static const int ones[24] = {[8] = -1, -1, -1, -1, -1, -1, -1, -1};
    __m256i mask = _mm256_and_si256(
        _mm256_loadu_si256((const __m256i *)(ones + 8 - first)), _mm256_loadu_si256((const __m256i *)(ones + 16 - last)));
    return (VEC)_mm256_maskload_ps(p, mask);
#else
    VEC value = {0};
    for (int64_t i = first; i < last; ++i) value[i] = p[i];
    return value;
#endif
}

/* The first `count` elements. Quarters by vectors of four, which every processor stores well; the rest one by one. */
INLINE void NAME(store_part)(float *p, VEC value, int64_t count) {
#if LANES == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)value);
#else
    float line[LANES];
    NAME(store)(line, value);
    int64_t i = 0;
    for (; i + 4 <= count; i += 4) *(quad *)(p + i) = *(const quad *)(line + i);
    for (; i < count; ++i) p[i] = line[i];
#endif
}

/* The larger of two: of equals the first, and a NaN before any number. Not `value > best`: the negated form lets a NaN in;
   once in, the second test keeps it. */
INLINE VEC NAME(larger)(VEC best, VEC value) {
    NAME(mask) keeps = (value <= best) | (best != best);
    return (VEC)((keeps & (NAME(mask))best) | (~keeps & (NAME(mask))value));
}

/* Elements 0, 2, 4… of the 2 * LANES at `p`, of which the last is not read. */
INLINE VEC NAME(every_other)(const float *p) {
#if LANES == 16
    VEC low = NAME(load)(p), high = NAME(load)(p + 15);
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#elif LANES == 8
    VEC low = NAME(load)(p), high = NAME(load)(p + 7);
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 9, 11, 13, 15);
#else
    VEC low = NAME(load)(p), high = NAME(load)(p + 3);
    return __builtin_shufflevector(low, high, 0, 2, 5, 7);
#endif
}

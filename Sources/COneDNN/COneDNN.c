#define _GNU_SOURCE
#include "COneDNN.h"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The two generations of the API differ in what a memory descriptor is: a struct (2) or a handle (3). */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t desc_t;
typedef const_dnnl_memory_desc_t desc_ref;
static desc_ref ref(const desc_t *desc) { return *desc; }
static dnnl_status_t desc_strided(desc_t *desc, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides) {
    return dnnl_memory_desc_create_with_strides(desc, rank, dims, dnnl_f32, strides);
}
static dnnl_status_t desc_any(desc_t *desc, int rank, const dnnl_dims_t dims) {
    return dnnl_memory_desc_create_with_tag(desc, rank, dims, dnnl_f32, dnnl_format_tag_any);
}
static dnnl_status_t desc_copy(desc_t *desc, desc_ref other) { return dnnl_memory_desc_clone(desc, other); }
static void desc_free(desc_t *desc) {
    if (*desc) dnnl_memory_desc_destroy(*desc);
}
#else
typedef dnnl_memory_desc_t desc_t;
typedef const dnnl_memory_desc_t *desc_ref;
static desc_ref ref(const desc_t *desc) { return desc; }
static dnnl_status_t desc_strided(desc_t *desc, int rank, const dnnl_dims_t dims, const dnnl_dims_t strides) {
    return dnnl_memory_desc_init_by_strides(desc, rank, dims, dnnl_f32, strides);
}
static dnnl_status_t desc_any(desc_t *desc, int rank, const dnnl_dims_t dims) {
    return dnnl_memory_desc_init_by_tag(desc, rank, dims, dnnl_f32, dnnl_format_tag_any);
}
static dnnl_status_t desc_copy(desc_t *desc, desc_ref other) {
    *desc = *other;
    return dnnl_success;
}
static void desc_free(desc_t *desc) { (void)desc; }
#endif

struct tomo_dnn_plan {
    tomo_dnn_convolution description;
    desc_t plain_from, plain_to, plain_weights;
    desc_t from, to, weights, bias, scratch;
    /* Reorders are NULL where the kernel takes the plain layout as it is. */
    dnnl_primitive_t kernel, bring, bring_back, pack;
    size_t from_bytes, to_bytes, scratch_bytes;
    size_t from_extent, to_extent, weights_extent;
};

struct tomo_dnn_weights {
    desc_t desc;
    void *data;
};

static dnnl_engine_t engine;
static int engine_status;
static void (*set_threads)(int);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void) {
    engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    /* The library may be built with OpenMP. Its runtime is then loaded already; the number of threads is a setting of
       the calling thread, and 1 keeps the library's loops inside it. Looked up at run time, so that builds without
       OpenMP link as well. */
    set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

static int enter(void) {
    static _Thread_local int done;
    pthread_once(&once, prepare);
    if (engine_status) return engine_status;
    if (!done && set_threads) set_threads(1);
    done = 1;
    return 0;
}

int tomo_dnn_version(void) { return DNNL_VERSION_MAJOR * 1000 + DNNL_VERSION_MINOR; }

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* Elements from the first to one past the last that a strided view touches. */
static size_t extent(int rank, const dnnl_dims_t dims, const dnnl_dims_t strides) {
    size_t last = 0;
    for (int axis = 0; axis < rank; ++axis) {
        if (dims[axis] <= 0) return 0;
        last += (size_t)(dims[axis] - 1) * (size_t)strides[axis];
    }
    return last + 1;
}

static dnnl_status_t make_reorder(dnnl_primitive_t *primitive, desc_ref from, desc_ref to) {
    *primitive = NULL;
    if (dnnl_memory_desc_equal(from, to)) return dnnl_success;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL);
    if (status == dnnl_success) status = dnnl_primitive_create(primitive, desc);
    if (desc) dnnl_primitive_desc_destroy(desc);
    return status;
}

static dnnl_status_t make_kernel_desc(
    dnnl_primitive_desc_t *result, const tomo_dnn_convolution *d, const desc_t *source, const desc_t *weights,
    const desc_t *bias, const desc_t *target, dnnl_primitive_attr_t attr) {
    dnnl_dims_t strides = {0}, dilates = {0}, begin = {0}, end = {0};
    for (int axis = 0; axis < d->spatial_rank; ++axis) {
        strides[axis] = d->stride[axis];
        dilates[axis] = d->dilation[axis] - 1;
        begin[axis] = d->pad_begin[axis];
        end[axis] = d->pad_end[axis];
    }
    int backward = d->direction == TOMO_DNN_BACKWARD_DATA;
    dnnl_prop_kind_t kind = backward ? dnnl_forward_training : dnnl_forward_inference;
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t status;
#if DNNL_VERSION_MAJOR >= 3
    status = dnnl_convolution_forward_primitive_desc_create(
        &forward, engine, kind, dnnl_convolution_direct, ref(source), ref(weights), bias ? ref(bias) : NULL,
        ref(target), strides, dilates, begin, end, attr);
    if (status == dnnl_success && backward) {
        status = dnnl_convolution_backward_data_primitive_desc_create(
            result, engine, dnnl_convolution_direct, ref(source), ref(weights), ref(target), strides, dilates,
            begin, end, forward, attr);
    }
#else
    dnnl_convolution_desc_t desc;
    status = dnnl_dilated_convolution_forward_desc_init(
        &desc, kind, dnnl_convolution_direct, ref(source), ref(weights), bias ? ref(bias) : NULL, ref(target),
        strides, dilates, begin, end);
    if (status == dnnl_success) status = dnnl_primitive_desc_create(&forward, &desc, attr, engine, NULL);
    if (status == dnnl_success && backward) {
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &desc, dnnl_convolution_direct, ref(source), ref(weights), ref(target), strides, dilates, begin, end);
        if (status == dnnl_success) status = dnnl_primitive_desc_create(result, &desc, attr, engine, forward);
    }
#endif
    if (backward) {
        if (forward) dnnl_primitive_desc_destroy(forward);
    } else {
        *result = forward;
    }
    return status;
}

int tomo_dnn_plan_create(const tomo_dnn_convolution *d, tomo_dnn_plan **result) {
    *result = NULL;
    int rank = d->spatial_rank, grouped = d->groups > 1;
    if (rank < 2 || rank > 3 || d->groups < 1) return dnnl_invalid_arguments;
    int entered = enter();
    if (entered) return entered;
    tomo_dnn_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return TOMO_DNN_NO_MEMORY;
    plan->description = *d;

    dnnl_dims_t source_dims = {d->batch, d->in_channels}, target_dims = {d->batch, d->out_channels};
    dnnl_dims_t weight_dims, weight_strides;
    dnnl_dims_t bias_dims = {d->out_channels}, bias_strides = {1};
    int weight_rank = 0;
    if (grouped) {
        weight_dims[0] = d->groups;
        weight_strides[0] = d->weight_strides[0] * (d->out_channels / d->groups);
        weight_rank = 1;
    }
    weight_dims[weight_rank] = d->out_channels / d->groups;
    weight_strides[weight_rank++] = d->weight_strides[0];
    weight_dims[weight_rank] = d->in_channels / d->groups;
    weight_strides[weight_rank++] = d->weight_strides[1];
    int64_t running = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
        weight_dims[weight_rank + axis] = d->kernel[axis];
        weight_strides[weight_rank + axis] = running;
        running *= d->kernel[axis];
        source_dims[2 + axis] = d->source[axis];
        target_dims[2 + axis] = d->target[axis];
    }
    weight_rank += rank;

    int backward = d->direction == TOMO_DNN_BACKWARD_DATA;
    dnnl_dims_t from_dims = {0}, from_strides = {0}, to_dims = {0}, to_strides = {0};
    for (int axis = 0; axis < rank + 2; ++axis) {
        from_dims[axis] = backward ? target_dims[axis] : source_dims[axis];
        from_strides[axis] = backward ? d->target_strides[axis] : d->source_strides[axis];
        to_dims[axis] = backward ? source_dims[axis] : target_dims[axis];
        to_strides[axis] = backward ? d->source_strides[axis] : d->target_strides[axis];
    }
    plan->from_extent = extent(rank + 2, from_dims, from_strides);
    plan->to_extent = extent(rank + 2, to_dims, to_strides);
    plan->weights_extent = extent(weight_rank, weight_dims, weight_strides);

    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t kernel_desc = NULL;
    desc_t any_source, any_target, any_weights;
    memset(&any_source, 0, sizeof any_source);
    memset(&any_target, 0, sizeof any_target);
    memset(&any_weights, 0, sizeof any_weights);
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
#define STEP(call)                                                                                                    \
    if (status == dnnl_success) status = (call)
    STEP(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
    STEP(desc_strided(&plan->plain_from, rank + 2, from_dims, from_strides));
    STEP(desc_strided(&plan->plain_to, rank + 2, to_dims, to_strides));
    STEP(desc_strided(&plan->plain_weights, weight_rank, weight_dims, weight_strides));
    STEP(desc_strided(&plan->bias, 1, bias_dims, bias_strides));
    STEP(desc_any(&any_source, rank + 2, source_dims));
    STEP(desc_any(&any_target, rank + 2, target_dims));
    STEP(desc_any(&any_weights, weight_rank, weight_dims));
    int with_bias = d->has_bias && !backward;
    STEP(make_kernel_desc(
        &kernel_desc, d, &any_source, &any_weights, with_bias ? &plan->bias : NULL, &any_target, attr));
    if (status == dnnl_success) {
        desc_ref source = dnnl_primitive_desc_query_md(
            kernel_desc, backward ? dnnl_query_diff_src_md : dnnl_query_src_md, 0);
        desc_ref target = dnnl_primitive_desc_query_md(
            kernel_desc, backward ? dnnl_query_diff_dst_md : dnnl_query_dst_md, 0);
        STEP(desc_copy(&plan->from, backward ? target : source));
        STEP(desc_copy(&plan->to, backward ? source : target));
        STEP(desc_copy(&plan->weights, dnnl_primitive_desc_query_md(kernel_desc, dnnl_query_weights_md, 0)));
        STEP(desc_copy(&plan->scratch, dnnl_primitive_desc_query_md(kernel_desc, dnnl_query_scratchpad_md, 0)));
    }
    STEP(dnnl_primitive_create(&plan->kernel, kernel_desc));
    STEP(make_reorder(&plan->bring, ref(&plan->plain_from), ref(&plan->from)));
    STEP(make_reorder(&plan->bring_back, ref(&plan->to), ref(&plan->plain_to)));
    STEP(make_reorder(&plan->pack, ref(&plan->plain_weights), ref(&plan->weights)));
#undef STEP
    if (status == dnnl_success) {
        if (plan->bring) plan->from_bytes = dnnl_memory_desc_get_size(ref(&plan->from));
        if (plan->bring_back) plan->to_bytes = dnnl_memory_desc_get_size(ref(&plan->to));
        plan->scratch_bytes = dnnl_memory_desc_get_size(ref(&plan->scratch));
    }
    desc_free(&any_source);
    desc_free(&any_target);
    desc_free(&any_weights);
    if (kernel_desc) dnnl_primitive_desc_destroy(kernel_desc);
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (status != dnnl_success) {
        tomo_dnn_plan_destroy(plan);
        return status;
    }
    *result = plan;
    return 0;
}

void tomo_dnn_plan_destroy(tomo_dnn_plan *plan) {
    if (!plan) return;
    if (plan->kernel) dnnl_primitive_destroy(plan->kernel);
    if (plan->bring) dnnl_primitive_destroy(plan->bring);
    if (plan->bring_back) dnnl_primitive_destroy(plan->bring_back);
    if (plan->pack) dnnl_primitive_destroy(plan->pack);
    desc_free(&plan->plain_from);
    desc_free(&plan->plain_to);
    desc_free(&plan->plain_weights);
    desc_free(&plan->from);
    desc_free(&plan->to);
    desc_free(&plan->weights);
    desc_free(&plan->bias);
    desc_free(&plan->scratch);
    free(plan);
}

size_t tomo_dnn_plan_workspace(const tomo_dnn_plan *plan) {
    return aligned(plan->from_bytes) + aligned(plan->to_bytes) + aligned(plan->scratch_bytes);
}

/* One execution with up to five arguments; memory objects live for the call only. */
typedef struct {
    int argument;
    desc_ref desc;
    void *data;
} binding;

static int execute(dnnl_primitive_t primitive, const binding *bindings, int count) {
    dnnl_exec_arg_t arguments[5];
    int made = 0;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status = dnnl_stream_create(&stream, engine, dnnl_stream_in_order);
    for (; made < count && status == dnnl_success; ++made) {
        arguments[made].arg = bindings[made].argument;
        arguments[made].memory = NULL;
        status = dnnl_memory_create(&arguments[made].memory, bindings[made].desc, engine, bindings[made].data);
    }
    if (status == dnnl_success) status = dnnl_primitive_execute(primitive, stream, count, arguments);
    if (status == dnnl_success) status = dnnl_stream_wait(stream);
    for (int index = 0; index < made; ++index) {
        if (arguments[index].memory) dnnl_memory_destroy(arguments[index].memory);
    }
    if (stream) dnnl_stream_destroy(stream);
    return status;
}

static int reorder(dnnl_primitive_t primitive, desc_ref from, const void *source, desc_ref to, void *target) {
    binding bindings[] = {{DNNL_ARG_FROM, from, (void *)source}, {DNNL_ARG_TO, to, target}};
    return execute(primitive, bindings, 2);
}

int tomo_dnn_weights_create(
    const tomo_dnn_plan *plan, const float *weights, size_t count, tomo_dnn_weights **result) {
    *result = NULL;
    if (count < plan->weights_extent) return TOMO_DNN_BAD_LENGTH;
    int status = enter();
    if (status) return status;
    tomo_dnn_weights *packed = calloc(1, sizeof *packed);
    if (!packed) return TOMO_DNN_NO_MEMORY;
    size_t bytes = dnnl_memory_desc_get_size(ref(&plan->weights));
    if (posix_memalign(&packed->data, 64, aligned(bytes) + 64)) packed->data = NULL;
    status = packed->data ? (int)desc_copy(&packed->desc, ref(&plan->weights)) : TOMO_DNN_NO_MEMORY;
    if (!status) {
        if (plan->pack) {
            status = reorder(plan->pack, ref(&plan->plain_weights), weights, ref(&plan->weights), packed->data);
        } else {
            memcpy(packed->data, weights, bytes);
        }
    }
    if (status) {
        tomo_dnn_weights_destroy(packed);
        return status;
    }
    *result = packed;
    return 0;
}

void tomo_dnn_weights_destroy(tomo_dnn_weights *packed) {
    if (!packed) return;
    desc_free(&packed->desc);
    free(packed->data);
    free(packed);
}

int tomo_dnn_weights_fit(const tomo_dnn_weights *packed, const tomo_dnn_plan *plan) {
    return dnnl_memory_desc_equal(ref(&packed->desc), ref(&plan->weights));
}

int tomo_dnn_plan_run(
    const tomo_dnn_plan *plan, const float *from, size_t from_count, const tomo_dnn_weights *packed, const float *bias,
    size_t bias_count, float *to, size_t to_count, void *workspace, size_t workspace_bytes) {
    const tomo_dnn_convolution *d = &plan->description;
    int backward = d->direction == TOMO_DNN_BACKWARD_DATA, with_bias = d->has_bias && !backward;
    if (from_count < plan->from_extent || to_count < plan->to_extent ||
        workspace_bytes < tomo_dnn_plan_workspace(plan) || !tomo_dnn_weights_fit(packed, plan) ||
        (with_bias && (!bias || bias_count < (size_t)d->out_channels))) {
        return TOMO_DNN_BAD_LENGTH;
    }
    int status = enter();
    if (status) return status;
    char *cursor = workspace;
    void *from_data = plan->bring ? cursor : (void *)from;
    cursor += aligned(plan->from_bytes);
    void *to_data = plan->bring_back ? cursor : (void *)to;
    cursor += aligned(plan->to_bytes);
    if (plan->bring) {
        status = reorder(plan->bring, ref(&plan->plain_from), from, ref(&plan->from), from_data);
        if (status) return status;
    }
    binding bindings[5] = {
        {backward ? DNNL_ARG_DIFF_DST : DNNL_ARG_SRC, ref(&plan->from), from_data},
        {backward ? DNNL_ARG_DIFF_SRC : DNNL_ARG_DST, ref(&plan->to), to_data},
        {DNNL_ARG_WEIGHTS, ref(&packed->desc), packed->data},
        {DNNL_ARG_SCRATCHPAD, ref(&plan->scratch), cursor},
        {DNNL_ARG_BIAS, ref(&plan->bias), (void *)bias},
    };
    status = execute(plan->kernel, bindings, with_bias ? 5 : 4);
    if (status || !plan->bring_back) return status;
    return reorder(plan->bring_back, ref(&plan->to), to_data, ref(&plan->plain_to), to);
}

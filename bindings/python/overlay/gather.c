/* SPDX-License-Identifier: Apache-2.0 */
/* Copying arrays of any strides. It touches nothing of Python, so other threads may run. */
#include "frame.h"

typedef struct Dim {
    Py_ssize_t count, to, from; /* bytes from one to the next */
} Dim;

/* A copy of a size that the compiler knows is a load and a store. */
#define EACH(size)                                                                     \
    for (Py_ssize_t i = 0; i < dim->count; ++i)                                        \
    memcpy(to + i * dim->to, from + i * dim->from, size)

static void copy_line(char *to, const char *from, const Dim *dim, size_t run) {
    switch (run) {
    case 1:
        EACH(1);
        break;
    case 2:
        EACH(2);
        break;
    case 3: /* colours */
        EACH(3);
        break;
    case 4:
        EACH(4);
        break;
    case 8:
        EACH(8);
        break;
    case 16:
        EACH(16);
        break;
    default:
        EACH(run);
    }
}

static void copy_dims(char *to, const char *from, const Dim *dim, int ndim,
                      size_t run) {
    if (ndim == 0)
        memcpy(to, from, run);
    else if (ndim == 1)
        copy_line(to, from, dim, run);
    else
        for (Py_ssize_t i = 0; i < dim->count; ++i)
            copy_dims(to + i * dim->to, from + i * dim->from, dim + 1, ndim - 1, run);
}

/* Where two dimensions lie in both arrays as one would, they are one, so that an array
   without gaps is a single run. */
void copy_items(char *to, const Py_ssize_t *to_strides, const char *from,
                const ArrayLayout *layout) {
    Dim dims[TACHYON_FRAME_MAX_NDIM];
    int ndim = 0;
    Py_ssize_t run = layout->kind->bits / 8;
    for (int i = 0; i < layout->ndim; ++i) {
        Dim dim = {layout->shape[i], to_strides[i], layout->strides[i]};
        if (dim.count == 0)
            return;
        if (dim.count == 1)
            continue;
        Dim *outer = ndim > 0 ? &dims[ndim - 1] : NULL;
        if (outer && outer->to == dim.count * dim.to &&
            outer->from == dim.count * dim.from)
            *outer = (Dim){outer->count * dim.count, dim.to, dim.from};
        else
            dims[ndim++] = dim;
    }
    if (ndim > 0 && dims[ndim - 1].to == run && dims[ndim - 1].from == run)
        run *= dims[--ndim].count;
    copy_dims(to, from, dims, ndim, (size_t)run);
}

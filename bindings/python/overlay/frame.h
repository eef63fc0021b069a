/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays as messages: the 64 bytes of tachyon_frame.h and then the items. */
#ifndef TACHYON_PYTHON_FRAME_H
#define TACHYON_PYTHON_FRAME_H

#include "messages.h"
#include "tachyon_frame.h"

/* One kind of items, as a header, a buffer and a reader have it. */
typedef struct ItemKind {
    uint8_t code, bits;
    const char *format; /* of PEP 3118; NULL: it has none for that */
    const char *name;
} ItemKind;

/* How items lie: as a frame has them, without gaps, or as somebody's array does. */
typedef struct ArrayLayout {
    const ItemKind *kind;
    int ndim;
    Py_ssize_t shape[TACHYON_FRAME_MAX_NDIM], strides[TACHYON_FRAME_MAX_NDIM];
} ArrayLayout;

/* An array of somebody else's, by its buffer or by DLPack. */
typedef struct Strided {
    char *data;
    ArrayLayout layout;
    bool readonly;
    Py_buffer view;    /* without an object: there is none */
    PyObject *capsule; /* of DLPack, which nobody takes over; or NULL */
} Strided;

/* OPEN until its block ends, then LEFT; HELD until its last view is gone, if that
   outlives the block; LOST when the bus was closed. One with memory of its own is OPEN
   for good. */
struct Frame {
    SwigPyObject base;
    PyObject *owner; /* the bus, as long as the items lie in its ring; or NULL */
    char *memory;    /* of its own; or NULL */
    uint64_t place;  /* among what is held of the ring */
    GuardState state;
    Py_ssize_t views;
    const char *data;
    size_t size;
    ArrayLayout layout;
    uint32_t tag, type_id;
};

/* ---- layouts ---- */

const ItemKind *kind_of(int code, int bits); /* NULL: none in Python */
const ItemKind *kind_of_format(const char *format, Py_ssize_t item_size);
bool is_dense(const ArrayLayout *layout, bool column_major);
void make_dense(ArrayLayout *layout, bool column_major);

PyObject *shape_of(const ArrayLayout *layout); /* a tuple */

/* ---- arrays of others ---- */

/* 0 with what strided_release() gives back, or -1 with an exception. */
int strided_get(PyObject *object, bool writable, Strided *array);
void strided_release(Strided *array);

void raise_dimensions(int ndim);

/* Copy the items of an array to where they have other strides. */
void copy_items(char *to, const Py_ssize_t *to_strides, const char *from,
                const ArrayLayout *layout);

/* Of a capsule that the object has given: 0 with a tensor on the CPU, or -1. */
int tensor_get(PyObject *capsule, Strided *array);

#endif

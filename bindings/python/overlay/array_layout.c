/* SPDX-License-Identifier: Apache-2.0 */
/* What arrays are: of which items, and how these lie. Why something is no array that a
   frame can carry is said in tachyon.frames. */
#include "frame.h"

#define LONG_FORMAT(letter, otherwise) (sizeof(long) == 8 ? (letter) : (otherwise))

static const ItemKind kinds[] = {
    {TACHYON_FRAME_UINT, 8, "B", "uint8"},
    {TACHYON_FRAME_FLOAT, 32, "f", "float32"},
    {TACHYON_FRAME_FLOAT, 64, "d", "float64"},
    {TACHYON_FRAME_INT, 64, LONG_FORMAT("l", "q"), "int64"}, /* as NumPy has it */
    {TACHYON_FRAME_INT, 32, "i", "int32"},
    {TACHYON_FRAME_UINT, 16, "H", "uint16"},
    {TACHYON_FRAME_INT, 16, "h", "int16"},
    {TACHYON_FRAME_INT, 8, "b", "int8"},
    {TACHYON_FRAME_UINT, 32, "I", "uint32"},
    {TACHYON_FRAME_UINT, 64, LONG_FORMAT("L", "Q"), "uint64"},
    {TACHYON_FRAME_BOOL, 8, "?", "bool"},
    {TACHYON_FRAME_FLOAT, 16, "e", "float16"},
    {TACHYON_FRAME_BFLOAT, 16, NULL, "bfloat16"},
    {TACHYON_FRAME_COMPLEX, 64, "Zf", "complex64"},
    {TACHYON_FRAME_COMPLEX, 128, "Zd", "complex128"},
};

const ItemKind *kind_of(int code, int bits) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (kinds[i].code == code && kinds[i].bits == bits)
            return &kinds[i];
    return NULL;
}

/* A single item of this machine's byte order. Its letter tells what it is, and its size
   how large: "l" has 4 bytes in some formats. */
const ItemKind *kind_of_format(const char *format, Py_ssize_t item_size) {
    static const int here = PY_LITTLE_ENDIAN ? '<' : '>';
    if (!format)
        format = "B";
    if (*format == '@' || *format == '=' || *format == here || item_size == 1)
        format += *format && strchr("@=<>!", *format);
    bool complex = *format == 'Z';
    format += complex;
    if (!*format || format[1] || item_size < 1 || item_size > 16)
        return NULL;
    int code = complex ? strchr("fd", *format) ? TACHYON_FRAME_COMPLEX : -1
               : strchr("bhilqn", *format) ? TACHYON_FRAME_INT
               : strchr("BHILQN", *format) ? TACHYON_FRAME_UINT
               : strchr("efd", *format)    ? TACHYON_FRAME_FLOAT
               : *format == '?'            ? TACHYON_FRAME_BOOL
                                           : -1;
    return kind_of(code, (int)item_size * 8);
}

/* ---- How they lie ---- */

void make_dense(ArrayLayout *layout, bool column_major) {
    Py_ssize_t stride = layout->kind->bits / 8;
    for (int n = 0; n < layout->ndim; ++n) {
        int i = column_major ? n : layout->ndim - 1 - n;
        layout->strides[i] = stride;
        stride *= layout->shape[i];
    }
}

/* Without gaps? The stride of a dimension of one item, or of none, says nothing. */
bool is_dense(const ArrayLayout *layout, bool column_major) {
    ArrayLayout dense = *layout;
    make_dense(&dense, column_major);
    bool same = true;
    for (int i = 0; i < layout->ndim; ++i) {
        if (layout->shape[i] == 0)
            return true;
        same &= layout->shape[i] == 1 || layout->strides[i] == dense.strides[i];
    }
    return same;
}

/* ---- Arrays of others ---- */

/* `why` is the exception that is set, or NULL; it is what remains if there is no better
   reason. Returns -1. */
static int refuse(PyObject *object, const char *format, PyObject *why) {
    PyObject *function = import_from("tachyon.frames", "refuse");
    PyObject *none = function ? PyObject_CallFunction(function, "OzO", object, format,
                                                      why ? why : Py_None)
                              : NULL;
    Py_XDECREF(none); /* it always raises */
    Py_XDECREF(function);
    return -1;
}

void raise_dimensions(int ndim) {
    PyErr_Format(PyExc_ValueError,
                 "the array has %d dimensions, a frame at most %d: reshape it", ndim,
                 TACHYON_FRAME_MAX_NDIM);
}

static int take_layout(PyObject *object, Strided *array) {
    const Py_buffer *view = &array->view;
    ArrayLayout *layout = &array->layout;
    layout->kind = kind_of_format(view->format, view->itemsize);
    if (!layout->kind)
        return refuse(object, view->format, NULL);
    if (view->ndim > TACHYON_FRAME_MAX_NDIM) {
        raise_dimensions(view->ndim);
        return -1;
    }
    if (view->suboffsets) {
        PyErr_SetString(PyExc_BufferError,
                        "the rows of this buffer lie apart from each other "
                        "(suboffsets): give a copy of it");
        return -1;
    }
    array->data = view->buf;
    array->readonly = view->readonly;
    layout->ndim = view->ndim;
    for (int i = 0; i < view->ndim; ++i)
        layout->shape[i] = view->shape[i];
    make_dense(layout, false);
    for (int i = 0; view->strides && i < view->ndim; ++i) /* ctypes gives none */
        layout->strides[i] = view->strides[i];
    return 0;
}

/* What has no buffer, or none that has a format, may know of DLPack. */
static int get_tensor(PyObject *object, Strided *array) {
    PyObject *type, *why, *traceback;
    PyErr_Fetch(&type, &why, &traceback);
    PyErr_NormalizeException(&type, &why, &traceback);
    PyObject *function = import_from("tachyon.frames", "capsule_of");
    array->capsule =
        function ? PyObject_CallFunctionObjArgs(function, object, why, NULL) : NULL;
    int got = array->capsule ? tensor_get(array->capsule, array) : -1;
    if (got < 0)
        strided_release(array);
    Py_XDECREF(function);
    Py_XDECREF(type);
    Py_XDECREF(why);
    Py_XDECREF(traceback);
    return got;
}

static int check_room(Strided *array) {
    if (!array->readonly)
        return 0;
    PyErr_SetString(PyExc_TypeError, "the array to receive into is read-only");
    strided_release(array);
    return -1;
}

int strided_get(PyObject *object, bool writable, Strided *array) {
    array->view.obj = array->capsule = NULL;
    if (PyObject_GetBuffer(object, &array->view, PyBUF_FULL_RO) < 0) {
        array->view.obj = NULL;
        if (get_tensor(object, array) < 0)
            return -1;
    } else if (take_layout(object, array) < 0) {
        strided_release(array);
        return -1;
    }
    return writable ? check_room(array) : 0;
}

void strided_release(Strided *array) {
    PyBuffer_Release(&array->view); /* of none: no harm */
    Py_CLEAR(array->capsule);
}

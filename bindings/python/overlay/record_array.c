/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of a message as arrays of NumPy, or as memoryviews, of the message's memory. */
#include "record.h"

static PyTypeObject *Span_Type;

/* The items of a field, for views of them. */
typedef struct Span {
    PyObject base;
    Field *field;
    PyObject *holder;
    bool is_guard;
    unsigned char *data;
} Span;

static int span_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    const Span *span = (Span *)self;
    const Field *field = span->field;
    *view = (Py_buffer){
        .buf = span->data,
        .obj = Py_NewRef(self),
        .len = field->size,
        .itemsize = field->item_size,
        .format = flags & PyBUF_FORMAT ? (char *)(uintptr_t)field->format : NULL,
        .ndim = field->dimensions,
        .shape = flags & PyBUF_ND ? field->shape : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? field->strides : NULL,
    };
    return 0;
}

static void span_dealloc(PyObject *self) {
    Span *span = (Span *)self;
    PyTypeObject *type = Py_TYPE(self);
    record_let_go(span->holder, span->is_guard);
    Py_DECREF(span->field);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *span_new(const Field *field, const Record *record) {
    Span *span = PyObject_New(Span, Span_Type);
    unsigned char *data = span ? record_memory(record) : NULL;
    if (!data) {
        if (span) {
            Py_DECREF(Span_Type);
            PyObject_Free(span);
        }
        return NULL;
    }
    span->field = (Field *)Py_NewRef((PyObject *)(uintptr_t)field);
    span->holder = record_hold(record, &span->is_guard);
    span->data = data + field->offset;
    if (field->format[0] == '?') /* what a peer sends may be no truth of C's */
        for (Py_ssize_t i = 0; i < field->size; ++i)
            span->data[i] = span->data[i] != 0;
    return (PyObject *)span;
}

/* numpy.asarray, None where there is no NumPy; borrowed. */
static PyObject *as_array(void) {
    static PyObject *function;
    if (!function) {
        function = import_from("numpy", "asarray");
        if (!function && PyErr_ExceptionMatches(PyExc_ImportError)) {
            PyErr_Clear();
            function = Py_NewRef(Py_None);
        }
    }
    return function;
}

PyObject *array_of(const Field *field, const Record *record) {
    PyObject *numpy = as_array();
    if (!numpy)
        return NULL;
    if (numpy == Py_None && !field->plain)
        return field_plain(field, record); /* no memoryview can read it */
    PyObject *span = span_new(field, record);
    PyObject *view = !span              ? NULL
                     : numpy == Py_None ? PyMemoryView_FromObject(span)
                                        : PyObject_CallOneArg(numpy, span);
    Py_XDECREF(span);
    return view;
}

static PyType_Slot span_slots[] = {
    {Py_bf_getbuffer, span_getbuffer}, {Py_tp_dealloc, span_dealloc}, {0, NULL}};
static PyType_Spec span_spec = {.name = "tachyon._native.Span",
                                .basicsize = sizeof(Span),
                                .flags = Py_TPFLAGS_DEFAULT |
                                         Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                .slots = span_slots};

int array_init(void) {
    Span_Type = (PyTypeObject *)PyType_FromSpec(&span_spec);
    return Span_Type ? 0 : -1;
}

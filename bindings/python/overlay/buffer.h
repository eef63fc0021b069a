/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers of other objects, which are copied. */
#ifndef TACHYON_PYTHON_BUFFER_H
#define TACHYON_PYTHON_BUFFER_H

#include "object.h"

/* 0 with a view of bytes that mean the same in another process, for the caller to
   release, or -1 with an exception. */
int buffer_get(PyObject *object, Py_buffer *view, int flags);

/* The bytes of a payload that is copied. Those of `bytes` need no view. */
typedef struct Payload {
    const void *data;
    size_t size;
    Py_buffer view;
} Payload;

static inline int payload_get(PyObject *object, Payload *payload) {
    payload->view.obj = NULL;
    if (PyBytes_CheckExact(object)) {
        payload->data = PyBytes_AS_STRING(object);
        payload->size = (size_t)PyBytes_GET_SIZE(object);
        return 0;
    }
    if (buffer_get(object, &payload->view, PyBUF_ND | PyBUF_FORMAT) < 0)
        return -1;
    payload->data = payload->view.buf;
    payload->size = (size_t)payload->view.len;
    return 0;
}

static inline void payload_release(Payload *payload) {
    if (payload->view.obj)
        PyBuffer_Release(&payload->view);
}

#endif

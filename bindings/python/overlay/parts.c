/* SPDX-License-Identifier: Apache-2.0 */
/* What tachyon.Queue sends: several buffers as one message, each but the first at the next
   multiple of 64; received as one block of memory that may be written to. */
#include "slots.h"

enum { PART_ALIGNMENT = 64 };

typedef struct SendParts {
    Py_buffer *parts;
    Py_ssize_t count;
    size_t size;
    uint32_t type_id;
} SendParts;

static size_t aligned(size_t size) {
    return (size + PART_ALIGNMENT - 1) / PART_ALIGNMENT * PART_ALIGNMENT;
}

static bool attempt_send_parts(End *end, void *context, int64_t timeout_ns) {
    const SendParts *call = context;
    char *slot = tachyon_acquire_tx_timed(end->handle, call->size, TACHYON_DEFAULT_SPIN,
                                          timeout_ns);
    if (!slot)
        return false;
    size_t at = 0;
    for (Py_ssize_t i = 0; i < call->count; ++i) {
        size_t gap = aligned(at) - at;
        memset(slot + at, 0, gap); /* not what was sent here before */
        memcpy(slot + at + gap, call->parts[i].buf, (size_t)call->parts[i].len);
        at += gap + (size_t)call->parts[i].len;
    }
    if (tachyon_commit_tx(end->handle, call->size, call->type_id) != TACHYON_SUCCESS)
        return false;
    tachyon_flush(end->handle);
    return true;
}

static int get_parts(PyObject *list, SendParts *call) {
    Py_ssize_t count = PyList_GET_SIZE(list);
    call->parts = PyMem_Calloc((size_t)count, sizeof *call->parts);
    if (!call->parts) {
        PyErr_NoMemory();
        return -1;
    }
    for (; call->count < count; ++call->count) {
        Py_buffer *part = &call->parts[call->count];
        if (PyObject_GetBuffer(PyList_GET_ITEM(list, call->count), part, PyBUF_SIMPLE) <
            0)
            return -1;
        call->size = aligned(call->size) + (size_t)part->len;
    }
    return 0;
}

static void release_parts(SendParts *call) {
    for (Py_ssize_t i = 0; i < call->count; ++i)
        PyBuffer_Release(&call->parts[i]);
    PyMem_Free(call->parts);
}

METHOD(send_parts) {
    BIND("_send_parts", 2, 4, 0, {"parts", "type_id", "timeout", "block"});
    SendParts call = {.type_id = 0};
    Patience patience;
    if (!PyList_CheckExact(bound[0])) {
        PyErr_SetString(PyExc_TypeError, "parts must be a list");
        return NULL;
    }
    int sent = -1;
    if (parse_u32(bound[1], "type_id", &call.type_id) == 0 &&
        parse_patience(bound[3], bound[2], &patience) == 0 &&
        get_parts(bound[0], &call) == 0)
        sent =
            send_copy_by(end_of(self), attempt_send_parts, &call, call.size, &patience);
    release_parts(&call);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

typedef struct CopyParts {
    const RxCall *from;
    char *to;
} CopyParts;

static bool attempt_copy_parts(End *end, void *context, int64_t timeout_ns) {
    const CopyParts *call = context;
    (void)end;
    (void)timeout_ns;
    memcpy(call->to, call->from->data, call->from->size);
    return true;
}

METHOD(recv_parts) {
    BIND("_recv_parts", 1, 2, 0, {"type_id", "timeout"});
    RxCall call = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    End *end = end_of(self);
    uint32_t type_id = 0;
    if (parse_u32(bound[0], "type_id", &type_id) < 0 ||
        receive_next(end, &call, bound[1], false) < 0)
        return NULL;
    if (call.type_id != type_id) {
        raise_unexpected(&(Wanted){.size = call.size, .type_id = type_id}, call.size,
                         call.type_id);
        return NULL;
    }
    PyObject *copy = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)call.size);
    if (!copy)
        return NULL; /* not released: the message comes again */
    CopyParts parts = {&call, PyByteArray_AS_STRING(copy)};
    expect_filled(parts.to, call.size);
    if (copy_out(end, attempt_copy_parts, &parts, call.size) < 0)
        Py_CLEAR(copy);
    return copy;
}

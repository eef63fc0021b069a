/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of messages: send_batch() from any buffer, recv_batch_into() any writable one. */
#include "slots.h"

/* So much is copied while a signal waits for its handler. */
enum { CHUNK_BYTES = 1 << 22 };

/* ---- Items ---- */

static void raise_not_contiguous(const Py_buffer *view) {
    PyObject *memory = PyMemoryView_FromBuffer(view);
    PyObject *strides = memory ? PyObject_GetAttrString(memory, "strides") : NULL;
    if (strides)
        PyErr_Format(PyExc_ValueError,
                     "the items must follow each other without gaps (C-contiguous), "
                     "not with strides %S",
                     strides);
    Py_XDECREF(strides);
    Py_XDECREF(memory);
}

static int check_items(const Items *items, bool writable) {
    const Py_buffer *view = &items->view;
    if (view->ndim == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "a buffer without dimensions is one item, not an array");
    } else if (!PyBuffer_IsContiguous(view, 'C')) {
        raise_not_contiguous(view);
    } else if (items->item_size == 0) {
        PyErr_SetString(PyExc_ValueError, "the items have 0 bytes");
    } else if (writable && view->readonly) {
        PyErr_SetString(PyExc_TypeError, "the array to receive into is read-only");
    } else if (writable && items->count == 0) {
        PyErr_SetString(PyExc_ValueError, "the array to receive into has 0 items");
    } else {
        return 0;
    }
    return -1;
}

/* 0 with a view for the caller to release, or -1 with an exception. */
int items_get(PyObject *object, bool writable, Items *items) {
    if (buffer_get(object, &items->view, PyBUF_FULL_RO) < 0)
        return -1;
    const Py_buffer *view = &items->view;
    items->item_size = (size_t)view->itemsize;
    for (int i = 1; i < view->ndim; ++i)
        items->item_size *= (size_t)view->shape[i];
    items->count = view->ndim > 0 ? (size_t)view->shape[0] : 0;
    if (check_items(items, writable) < 0) {
        PyBuffer_Release(&items->view);
        return -1;
    }
    return 0;
}

/* The end of the next `bytes` after `done` items. */
static size_t items_until(const Items *items, size_t done, size_t bytes) {
    size_t more = bytes / items->item_size + 1;
    return items->count - done < more ? items->count : done + more;
}

/* ---- Sending ---- */

typedef struct SendBatchCall {
    const Items *items;
    size_t sent;
    size_t limit;
    uint32_t type_id;
    tachyon_error_t error; /* of the last attempt, which did not send all */
} SendBatchCall;

static bool attempt_send_batch(End *end, void *context, int64_t timeout_ns) {
    SendBatchCall *call = context;
    const Items *items = call->items;
    const char *rest = (const char *)items->view.buf + call->sent * items->item_size;
    call->sent += tachyon_send_batch(end->handle, rest, items->item_size,
                                     call->limit - call->sent, call->type_id,
                                     TACHYON_DEFAULT_SPIN, timeout_ns);
    call->error = tachyon_last_error();
    return call->sent == call->limit;
}

static int send_chunks(End *end, SendBatchCall *call, int64_t timeout_ns) {
    int64_t deadline_ns = timeout_ns < 0 ? -1 : monotonic_ns() + timeout_ns;
    for (;;) {
        call->limit = items_until(call->items, call->sent, CHUNK_BYTES);
        if (end_claim(end, &end->tx) < 0 ||
            end_wait(end, &end->tx, attempt_send_batch, call, timeout_ns) < 0) {
            return -1;
        }
        if (call->sent == call->items->count)
            return 0;
        if (PyErr_CheckSignals() < 0)
            return -1;
        if (deadline_ns >= 0) {
            int64_t left_ns = deadline_ns - monotonic_ns();
            timeout_ns = left_ns > 1 ? left_ns : 1;
        }
    }
}

static int send_items(End *end, SendBatchCall *call, const Patience *patience) {
    size_t size = (size_t)call->items->view.len;
    if (size > LOCKED_BYTES && patience->block && patience->timeout_ns != 0)
        return send_chunks(end, call, patience->timeout_ns);
    call->limit = call->items->count;
    return send_copy_by(end, attempt_send_batch, call, size, patience);
}

/* The ring was full for too long: an answer, if something was sent. Any other exception
   goes on, with the number sent on it. */
static PyObject *sent_in_part(const SendBatchCall *call) {
    bool out_of_time = call->error == TACHYON_ERR_FULL
                           ? PyErr_ExceptionMatches(RingFull) ||
                                 PyErr_ExceptionMatches(PyExc_TimeoutError)
                           : call->error == TACHYON_ERR_TIMEOUT &&
                                 PyErr_ExceptionMatches(PyExc_TimeoutError);
    if (out_of_time && call->sent > 0) {
        PyErr_Clear();
        return PyLong_FromSize_t(call->sent);
    }
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (set_number(error, "sent", call->sent) < 0)
        PyErr_Clear(); /* a signal handler's own kind may not take it */
    PyErr_Restore(type, error, traceback);
    return NULL;
}

PyObject *send_array(End *end, const Items *items, uint32_t type_id,
                     const Patience *patience) {
    SendBatchCall call = {.items = items, .type_id = type_id};
    return send_items(end, &call, patience) < 0 ? sent_in_part(&call)
                                                : PyLong_FromSize_t(call.sent);
}

METHOD(send_batch) {
    BIND("send_batch", 1, 4, 0, {"buffer", "type_id", "timeout", "block"});
    uint32_t type_id = 0;
    Items items;
    Patience patience;
    if (parse_u32(bound[1], "type_id", &type_id) < 0 ||
        parse_patience(bound[3], bound[2], &patience) < 0 ||
        items_get(bound[0], false, &items) < 0) {
        return NULL;
    }
    PyObject *result = send_array(end_of(self), &items, type_id, &patience);
    PyBuffer_Release(&items.view);
    return result;
}

/* ---- Receiving ---- */

static PyObject *Received; /* the int of tachyon.message that knows the type */

int received_init(void) {
    Received = import_from("tachyon.message", "Received");
    return Received ? 0 : -1;
}

void raise_unexpected(const Wanted *wanted, size_t size, uint32_t type_id) {
    char expected[64] = "";
    if (!wanted->any_type)
        snprintf(expected, sizeof expected, "type_id %u and ", wanted->type_id);
    PyObject *text = PyUnicode_FromFormat(
        "the next message is of type_id %u and %zu bytes, not of %s%zu bytes%s; it "
        "stays in the ring",
        type_id, size, expected, wanted->size, wanted->more ? " or more" : "");
    raise_unexpected_message(text, type_id, size);
}

int await_wanted(End *end, RxCall *next, const Wanted *wanted, PyObject *timeout) {
    if (receive_next(end, next, timeout, false) < 0)
        return -1;
    if (!is_wanted(wanted, next->size, next->type_id)) {
        raise_unexpected(wanted, next->size, next->type_id);
        return -1;
    }
    return 0;
}

typedef struct RecvBatchCall {
    const Items *items;
    size_t received;
    size_t limit;
    Wanted wanted;
} RecvBatchCall;

/* Take the wanted messages that are there, without waiting; none is no failure. */
static bool attempt_recv_batch(End *end, void *context, int64_t timeout_ns) {
    RecvBatchCall *call = context;
    size_t item_size = call->items->item_size, size;
    uint32_t type_id;
    (void)timeout_ns;
    if (tachyon_acquire_rx(end->handle, &type_id, &size) &&
        is_wanted(&call->wanted, size, type_id)) {
        char *room = (char *)call->items->view.buf + call->received * item_size;
        call->received += tachyon_recv_batch(
            end->handle, room, item_size, call->limit - call->received, &type_id, 0, 0);
    }
    return true;
}

static size_t recv_items(End *end, RecvBatchCall *call) {
    call->limit = items_until(call->items, 0, LOCKED_BYTES);
    attempt_recv_batch(end, call, 0);
    if (call->received == call->limit && call->limit < call->items->count) {
        call->limit = items_until(call->items, call->received, CHUNK_BYTES);
        end_wait(end, &end->rx, attempt_recv_batch, call, 0);
    }
    return call->received;
}

static PyObject *received_new(size_t count, uint32_t type_id) {
    PyObject *number = PyLong_FromSize_t(count);
    PyObject *type = PyLong_FromUnsignedLong(type_id);
    PyObject *received = number && type ? PyObject_CallOneArg(Received, number) : NULL;
    if (received && PyObject_SetAttrString(received, "type_id", type) < 0)
        Py_CLEAR(received);
    Py_XDECREF(number);
    Py_XDECREF(type);
    return received;
}

PyObject *recv_array(End *end, const Items *items, const Wanted *wanted,
                     PyObject *timeout) {
    RxCall next = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    RecvBatchCall call = {.items = items};
    if (refuse_held(end, "receive a batch") < 0 ||
        await_wanted(end, &next, wanted, timeout) < 0)
        return NULL;
    call.wanted = (Wanted){.size = next.size, .type_id = next.type_id};
    return recv_items(end, &call) > 0 ? received_new(call.received, next.type_id)
                                      : raise_last(); /* LAGGED */
}

METHOD(recv_batch_into) {
    BIND("recv_batch_into", 1, 3, 0, {"array", "timeout", "type_id"});
    Items items;
    Wanted wanted = {0};
    wanted.any_type = !bound[2] || bound[2] == Py_None;
    if ((!wanted.any_type && parse_u32(bound[2], "type_id", &wanted.type_id) < 0) ||
        items_get(bound[0], true, &items) < 0) {
        return NULL;
    }
    wanted.size = items.item_size;
    PyObject *received = recv_array(end_of(self), &items, &wanted, bound[1]);
    PyBuffer_Release(&items.view);
    return received;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of messages: send_batch() from any buffer, recv_batch_into() any writable one.
 */

/* So much is copied while other threads wait for the interpreter's lock, and so much
   while a signal waits for its handler. */
enum { LOCKED_BYTES = 1 << 16, CHUNK_BYTES = 1 << 22 };

/* ---- A buffer as an array of items, one for each index of its first dimension ---- */

typedef struct Items {
    Py_buffer view;
    size_t item_size;
    size_t count;
} Items;

static void raise_not_contiguous(const Py_buffer *view) {
    PyObject *strides = view->strides ? PyTuple_New(view->ndim) : NULL;
    for (int i = 0; strides && i < view->ndim; ++i) {
        PyTuple_SET_ITEM(strides, i, PyLong_FromSsize_t(view->strides[i]));
    }
    if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError,
                     "the items must follow each other without gaps (C-contiguous), "
                     "not with strides %S",
                     strides ? strides : Py_None);
    }
    Py_XDECREF(strides);
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
static int items_get(PyObject *object, bool writable, Items *items) {
    if (buffer_get(object, &items->view, PyBUF_FULL_RO) < 0) {
        return -1;
    }
    const Py_buffer *view = &items->view;
    items->item_size = (size_t)view->itemsize;
    for (int i = 1; i < view->ndim; ++i) {
        items->item_size *= (size_t)view->shape[i];
    }
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

static bool attempt_send_batch(TachyonBus *bus, void *context, int64_t timeout_ns) {
    SendBatchCall *call = context;
    const Items *items = call->items;
    const char *rest = (const char *)items->view.buf + call->sent * items->item_size;
    call->sent += tachyon_send_batch(bus->handle, rest, items->item_size,
                                     call->limit - call->sent, call->type_id,
                                     DEFAULT_SPIN, timeout_ns);
    call->error = tachyon_last_error();
    return call->sent == call->limit;
}

static int send_unlocked(TachyonBus *bus, SendBatchCall *call, int64_t timeout_ns) {
    int64_t deadline_ns = timeout_ns < 0 ? -1 : monotonic_ns() + timeout_ns;
    for (;;) {
        call->limit = items_until(call->items, call->sent, CHUNK_BYTES);
        if (bus_claim(bus, &bus->tx) < 0 ||
            bus_wait(bus, &bus->tx, attempt_send_batch, call, timeout_ns) < 0) {
            return -1;
        }
        if (call->sent == call->items->count) {
            return 0;
        }
        if (PyErr_CheckSignals() < 0) {
            return -1;
        }
        timeout_ns = time_left(deadline_ns);
    }
}

static int send_items(TachyonBus *bus, SendBatchCall *call, const Patience *patience) {
    if ((size_t)call->items->view.len > LOCKED_BYTES && patience->block &&
        patience->timeout_ns != 0) {
        return send_unlocked(bus, call, patience->timeout_ns);
    }
    call->limit = call->items->count;
    return send_by(bus, attempt_send_batch, call, patience);
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
    if (set_number(error, "sent", call->sent) < 0) {
        PyErr_Clear(); /* a signal handler's own kind may not take it */
    }
    PyErr_Restore(type, error, traceback);
    return NULL;
}

static PyObject *send_array(TachyonBus *bus, const Items *items, uint32_t type_id,
                            const Patience *patience) {
    SendBatchCall call = {.items = items, .type_id = type_id};
    return send_items(bus, &call, patience) < 0 ? sent_in_part(&call)
                                                : PyLong_FromSize_t(call.sent);
}

static PyObject *call_send_batch(PyObject *self, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "send_batch", 1, 4, {"buffer", "type_id", "timeout", "block"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    uint32_t type_id = 0;
    Items items;
    Patience patience;
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0 ||
        parse_u32(bound[1], "type_id", &type_id) < 0 ||
        parse_patience(bound[3], bound[2], &patience) < 0 ||
        items_get(bound[0], false, &items) < 0) {
        return NULL;
    }
    PyObject *result = send_array(bus_of(self), &items, type_id, &patience);
    PyBuffer_Release(&items.view);
    return result;
}

/* ---- Receiving ---- */

static PyObject *Received; /* the int of tachyon.message that knows the type */

static int batch_module_init(void) {
    PyObject *module = PyImport_ImportModule("tachyon.message");
    Received = module ? PyObject_GetAttrString(module, "Received") : NULL;
    Py_XDECREF(module);
    return Received ? 0 : -1;
}

/* What a caller wants the next message to be. */
typedef struct Wanted {
    size_t size;
    uint32_t type_id;
    bool any_type;
} Wanted;

static bool is_wanted(const Wanted *wanted, size_t size, uint32_t type_id) {
    return size == wanted->size && (wanted->any_type || type_id == wanted->type_id);
}

static void raise_unexpected(const Wanted *wanted, size_t size, uint32_t type_id) {
    char expected[64] = "";
    if (!wanted->any_type) {
        snprintf(expected, sizeof expected, "type_id %u and ", wanted->type_id);
    }
    PyObject *text = PyUnicode_FromFormat(
        "the next message is of type_id %u and %zu bytes, not of %s%zu bytes; it stays "
        "in the ring",
        type_id, size, expected, wanted->size);
    raise_unexpected_message(text, type_id, size);
}

/* Wait for a message, and refuse another than the wanted. It is not taken. */
static int await_wanted(TachyonBus *bus, RxCall *next, const Wanted *wanted,
                        PyObject *timeout) {
    if (receive_by(bus, attempt_acquire_rx, next, timeout) < 0) {
        return -1;
    }
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
static bool attempt_recv_batch(TachyonBus *bus, void *context, int64_t timeout_ns) {
    RecvBatchCall *call = context;
    size_t item_size = call->items->item_size, size;
    uint32_t type_id;
    (void)timeout_ns;
    if (tachyon_acquire_rx(bus->handle, &type_id, &size) &&
        is_wanted(&call->wanted, size, type_id)) {
        char *room = (char *)call->items->view.buf + call->received * item_size;
        call->received += tachyon_recv_batch(
            bus->handle, room, item_size, call->limit - call->received, &type_id, 0, 0);
    }
    return true;
}

static size_t recv_items(TachyonBus *bus, RecvBatchCall *call) {
    call->limit = items_until(call->items, 0, LOCKED_BYTES);
    attempt_recv_batch(bus, call, 0);
    if (call->received == call->limit && call->limit < call->items->count) {
        call->limit = items_until(call->items, call->received, CHUNK_BYTES);
        bus_wait(bus, &bus->rx, attempt_recv_batch, call, 0);
    }
    return call->received;
}

static PyObject *received_new(size_t count, uint32_t type_id) {
    PyObject *number = PyLong_FromSize_t(count);
    PyObject *type = PyLong_FromUnsignedLong(type_id);
    PyObject *received = number && type ? PyObject_CallOneArg(Received, number) : NULL;
    if (received && PyObject_SetAttrString(received, "type_id", type) < 0) {
        Py_CLEAR(received);
    }
    Py_XDECREF(number);
    Py_XDECREF(type);
    return received;
}

static PyObject *recv_array(TachyonBus *bus, const Items *items, const Wanted *wanted,
                            PyObject *timeout) {
    RxCall next = {.spin_threshold = DEFAULT_SPIN};
    RecvBatchCall call = {.items = items};
    if (await_wanted(bus, &next, wanted, timeout) < 0) {
        return NULL;
    }
    call.wanted = (Wanted){.size = next.size, .type_id = next.type_id};
    return received_new(recv_items(bus, &call), next.type_id);
}

static PyObject *call_recv_batch_into(PyObject *self, PyObject *const *args,
                                      Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "recv_batch_into", 1, 3, {"array", "timeout", "type_id"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    Items items;
    Wanted wanted = {0};
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0) {
        return NULL;
    }
    wanted.any_type = !bound[2] || bound[2] == Py_None;
    if ((!wanted.any_type && parse_u32(bound[2], "type_id", &wanted.type_id) < 0) ||
        items_get(bound[0], true, &items) < 0) {
        return NULL;
    }
    wanted.size = items.item_size;
    PyObject *received = recv_array(bus_of(self), &items, &wanted, bound[1]);
    PyBuffer_Release(&items.view);
    return received;
}

#define SEND_BATCH                                                                     \
    {"send_batch", (PyCFunction)(void (*)(void))call_send_batch,                       \
     METH_FASTCALL | METH_KEYWORDS,                                                    \
     "send_batch($self, /, buffer, type_id=0, timeout=None, block=True)\n--\n\n"       \
     "Copy an array into the ring, one message for each item of its first "            \
     "dimension.\n\n"                                                                  \
     "buffer: C-contiguous: bytes, array.array, memoryview, a NumPy array of any\n"    \
     "    dtype without objects. Shape (n,) sends n messages of itemsize bytes,\n"     \
     "    (n, m) n messages of m * itemsize. It must not change until this "           \
     "returns.\n"                                                                      \
     "timeout: seconds for all of them, block: as for send().\n\n"                     \
     "Returns how many were sent, all of them visible to the consumer: n, or fewer\n"  \
     "when the ring was full for too long; TimeoutError or RingFull when none was.\n"  \
     "Any other exception, of a dead peer, a closed bus or a signal, has the number\n" \
     "that was sent before it in its attribute `sent`. ValueError: not contiguous,\n"  \
     "items of 0 bytes or larger than max_payload. TypeError: Python objects or\n"     \
     "pointers in it."}

#define RECV_BATCH_INTO                                                                \
    {"recv_batch_into", (PyCFunction)(void (*)(void))call_recv_batch_into,             \
     METH_FASTCALL | METH_KEYWORDS,                                                    \
     "recv_batch_into($self, /, array, timeout=None, type_id=None)\n--\n\n"            \
     "Wait for a message, then copy what is there into an array, one message an "      \
     "item.\n\n"                                                                       \
     "array: writable and C-contiguous, shape (n,) or (n, m), as for send_batch().\n"  \
     "timeout: seconds to wait for the first message; None waits for ever.\n"          \
     "type_id: take messages of this type only; None takes any.\n\n"                   \
     "Returns how many items were filled, 1 to n, as an int whose attribute "          \
     "`type_id`\n"                                                                     \
     "is the type of all of them: a message of another size or type ends the batch\n"  \
     "and is the next one of whatever call comes next. When it is the first one, of\n" \
     "another size than the items or another type than asked for: "                    \
     "UnexpectedMessage,\n"                                                            \
     "and it stays. Otherwise fails as recv(); TypeError for a read-only array or "    \
     "one\n"                                                                           \
     "of Python objects, ValueError for one not contiguous or without room."}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which exception an error of the core becomes: the table, and what raises from it. */

static PyObject *TachyonError;
static PyObject *PeerDeadError;
static PyObject *AbortedError;
static PyObject *ClosedError;
static PyObject *RingFull;
static PyObject *RpcError;
static PyObject *UnexpectedMessage;

/* Or the errno to fall back on. */
enum { TEXT_ONLY = -1, ERRNO_IF_ANY = 0 };

static const struct ErrorRow {
    tachyon_error_t code;
    PyObject **type;
    int errno_rule;
} error_table[] = {
    {TACHYON_ERR_NULL_PTR, &PyExc_ValueError, TEXT_ONLY},
    {TACHYON_ERR_MEM, &PyExc_MemoryError, TEXT_ONLY},
    {TACHYON_ERR_OPEN, &PyExc_OSError, ERRNO_IF_ANY},
    {TACHYON_ERR_TRUNCATE, &PyExc_OSError, ERRNO_IF_ANY},
    {TACHYON_ERR_CHMOD, &PyExc_PermissionError, EPERM},
    {TACHYON_ERR_SEAL, &PyExc_PermissionError, EPERM},
    {TACHYON_ERR_MAP, &PyExc_OSError, ERRNO_IF_ANY},
    {TACHYON_ERR_INVALID_SZ, &PyExc_ValueError, TEXT_ONLY},
    {TACHYON_ERR_FULL, &RingFull, TEXT_ONLY},
    {TACHYON_ERR_EMPTY, &TachyonError, TEXT_ONLY},
    {TACHYON_ERR_NETWORK, &PyExc_ConnectionError, ERRNO_IF_ANY},
    {TACHYON_ERR_SYSTEM, &PyExc_OSError, ERRNO_IF_ANY},
    {TACHYON_ERR_INTERRUPTED, &PyExc_KeyboardInterrupt, TEXT_ONLY},
    {TACHYON_ERR_ABI_MISMATCH, &PyExc_ConnectionError, ERRNO_IF_ANY},
    {TACHYON_ERR_PEER_DEAD, &PeerDeadError, TEXT_ONLY},
    {TACHYON_ERR_CLOSED, &ClosedError, TEXT_ONLY},
    {TACHYON_ERR_TIMEOUT, &PyExc_TimeoutError, TEXT_ONLY},
    {TACHYON_ERR_BUSY, &TachyonError, TEXT_ONLY},
    {TACHYON_ERR_CORRUPT, &TachyonError, TEXT_ONLY},
    {TACHYON_ERR_ADDR_IN_USE, &PyExc_ConnectionError, EADDRINUSE},
    {TACHYON_ERR_PERMISSION, &PyExc_PermissionError, EACCES},
    {TACHYON_ERR_FORKED, &TachyonError, TEXT_ONLY},
    {TACHYON_ERR_ABORTED, &AbortedError, TEXT_ONLY},
};

/* Raise what `code` becomes; returns NULL for the caller to pass on. */
static PyObject *raise_error(tachyon_error_t code, const char *text, int system_errno) {
    struct ErrorRow row = {code, &TachyonError, TEXT_ONLY};
    for (size_t i = 0; i < sizeof error_table / sizeof error_table[0]; ++i) {
        if (error_table[i].code == code) {
            row = error_table[i];
        }
    }
    int number = row.errno_rule;
    if (system_errno != 0 && number != EADDRINUSE) { /* what is in use is in the text */
        number = system_errno;
    }
    PyObject *message = PyUnicode_DecodeFSDefault(text); /* it may quote a path */
    if (!message) {
        return NULL;
    }
    PyObject *error = row.errno_rule == TEXT_ONLY || number == 0
                          ? PyObject_CallOneArg(*row.type, message)
                          : PyObject_CallFunction(*row.type, "iO", number, message);
    Py_DECREF(message);
    if (!error) {
        return NULL;
    }
    if (PyObject_IsInstance(error, TachyonError) == 1) {
        PyObject *value = PyLong_FromLong((long)code);
        if (!value || PyObject_SetAttrString(error, "code", value) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(value);
    }
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

/* Raise the last error of this thread, unless a signal handler has raised already. */
static PyObject *raise_last(void) {
    if (PyErr_Occurred()) {
        return NULL;
    }
    return raise_error(tachyon_last_error(), tachyon_last_error_message(),
                       tachyon_last_errno());
}

/* Raise a TimeoutError: `what` has not come in the time given, -1 for ever. */
static PyObject *raise_timeout(const char *what, int64_t timeout_ns) {
    char text[512], seconds[32] = "None";
    if (timeout_ns >= 0) {
        PyOS_snprintf(seconds, sizeof seconds, "%.10g", (double)timeout_ns / 1e9);
    }
    PyOS_snprintf(text, sizeof text, "%s (timeout=%s)", what, seconds);
    return raise_error(TACHYON_ERR_TIMEOUT, text, 0);
}

static int set_number(PyObject *object, const char *name, size_t number) {
    PyObject *value = PyLong_FromSize_t(number);
    int set = value ? PyObject_SetAttrString(object, name, value) : -1;
    Py_XDECREF(value);
    return set;
}

/* `text` is taken over; NULL where it could not be made. */
static void raise_unexpected_message(PyObject *text, uint32_t type_id, size_t size) {
    PyObject *error = text ? PyObject_CallOneArg(UnexpectedMessage, text) : NULL;
    if (error && set_number(error, "code", TACHYON_ERR_INVALID_SZ) == 0 &&
        set_number(error, "type_id", type_id) == 0 &&
        set_number(error, "size", size) == 0) {
        PyErr_SetObject(UnexpectedMessage, error);
    }
    Py_XDECREF(error);
    Py_XDECREF(text);
}

static int add_exception(PyObject *module, PyObject **slot, const char *name,
                         PyObject *base, const char *doc) {
    PyObject *dict = PyDict_New();
    if (!dict || PyDict_SetItemString(dict, "code", Py_None) < 0) {
        Py_XDECREF(dict);
        return -1;
    }
    *slot = PyErr_NewExceptionWithDoc(name, doc, base, dict);
    Py_DECREF(dict);
    return *slot ? PyModule_AddObjectRef(module, strrchr(name, '.') + 1, *slot) : -1;
}

static int errors_init(PyObject *module) {
    if (add_exception(module, &TachyonError, "tachyon.TachyonError", PyExc_Exception,
                      "Something that only Tachyon can run into. `code` is the number "
                      "from the C API, TACHYON_ERR_*.") < 0 ||
        add_exception(module, &PeerDeadError, "tachyon.PeerDeadError", TachyonError,
                      "The peer died without closing; all it had flushed has been "
                      "delivered.") < 0 ||
        add_exception(module, &AbortedError, "tachyon.AbortedError", PeerDeadError,
                      "The peer has given up in the middle, and said so; all it had "
                      "flushed has been delivered.") < 0 ||
        add_exception(module, &ClosedError, "tachyon.ClosedError", TachyonError,
                      "The stream has ended: this end or the peer closed the bus.") <
            0 ||
        add_exception(module, &RingFull, "tachyon.RingFull", TachyonError,
                      "No room in the ring, and the caller did not want to wait.") <
            0 ||
        add_exception(module, &RpcError, "tachyon.RpcError", TachyonError,
                      "The callee could not answer: it has no handler, or the handler "
                      "failed.\n\nmsg_type: type of the call.") < 0 ||
        PyObject_SetAttrString(RpcError, "msg_type", Py_None) < 0) {
        return -1;
    }
    PyObject *bases = PyTuple_Pack(2, TachyonError, PyExc_ValueError);
    int added =
        bases ? add_exception(module, &UnexpectedMessage, "tachyon.UnexpectedMessage",
                              bases,
                              "The next message has another type or size than what "
                              "was to be received. It stays in the ring; `type_id` and "
                              "`size` are its own.")
              : -1;
    Py_XDECREF(bases);
    return added < 0 || set_number(UnexpectedMessage, "type_id", 0) < 0 ||
                   set_number(UnexpectedMessage, "size", 0) < 0
               ? -1
               : 0;
}

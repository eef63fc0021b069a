/* SPDX-License-Identifier: Apache-2.0 */
#include "errors.h"

#include <errno.h>

PyObject *TachyonError, *ClosedError, *RingFull;
static PyObject *PeerDeadError, *AbortedError, *LaggedError, *RpcError,
    *UnexpectedMessage;

static PyObject **const type_of_kind[] = {
    [TACHYON_KIND_NONE] = &TachyonError,
    [TACHYON_KIND_ARGUMENT] = &PyExc_ValueError,
    [TACHYON_KIND_MEMORY] = &PyExc_MemoryError,
    [TACHYON_KIND_SYSTEM] = &PyExc_OSError,
    [TACHYON_KIND_CONNECTION] = &PyExc_ConnectionError,
    [TACHYON_KIND_PERMISSION] = &PyExc_PermissionError,
    [TACHYON_KIND_WOULD_BLOCK] = &RingFull,
    [TACHYON_KIND_TIMEOUT] = &PyExc_TimeoutError,
    [TACHYON_KIND_INTERRUPTED] = &PyExc_KeyboardInterrupt,
    [TACHYON_KIND_CLOSED] = &ClosedError,
    [TACHYON_KIND_PEER_DEAD] = &PeerDeadError,
    [TACHYON_KIND_STATE] = &TachyonError,
    [TACHYON_KIND_CORRUPT] = &TachyonError,
    [TACHYON_KIND_ABORTED] = &AbortedError,
};

static PyObject *type_of_error(tachyon_error_t code) {
    return code == TACHYON_ERR_EMPTY    ? TachyonError
           : code == TACHYON_ERR_LAGGED ? LaggedError
                                        : *type_of_kind[tachyon_error_kind(code)];
}

/* The errno of an OSError, 0 for a text only. What is in use is in the text. */
static int errno_of(tachyon_error_t code, int system_errno) {
    switch (tachyon_error_kind(code)) {
    case TACHYON_KIND_PERMISSION:
        return system_errno                     ? system_errno
               : code == TACHYON_ERR_PERMISSION ? EACCES
                                                : EPERM;
    case TACHYON_KIND_CONNECTION:
        return code == TACHYON_ERR_ADDR_IN_USE ? EADDRINUSE : system_errno;
    case TACHYON_KIND_SYSTEM:
        return system_errno;
    default:
        return 0;
    }
}

int set_number(PyObject *object, const char *name, size_t number) {
    PyObject *value = PyLong_FromSize_t(number);
    int set = value ? PyObject_SetAttrString(object, name, value) : -1;
    Py_XDECREF(value);
    return set;
}

PyObject *raise_error(tachyon_error_t code, const char *text, int system_errno) {
    int number = errno_of(code, system_errno);
    PyObject *message = PyUnicode_DecodeFSDefault(text); /* it may quote a path */
    PyObject *type = type_of_error(code), *error = NULL;
    if (message)
        error = number == 0 ? PyObject_CallOneArg(type, message)
                            : PyObject_CallFunction(type, "iO", number, message);
    Py_XDECREF(message);
    if (!error)
        return NULL;
    if (PyObject_IsInstance(error, TachyonError) == 1 &&
        set_number(error, "code", code) < 0)
        PyErr_Clear();
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

PyObject *raise_last(void) {
    return PyErr_Occurred()
               ? NULL
               : raise_error(tachyon_last_error(), tachyon_last_error_message(),
                             tachyon_last_errno());
}

PyObject *raise_timeout(const char *what, int64_t timeout_ns) {
    char text[512], seconds[32] = "None";
    if (timeout_ns >= 0)
        PyOS_snprintf(seconds, sizeof seconds, "%.10g", (double)timeout_ns / 1e9);
    PyOS_snprintf(text, sizeof text, "%s (timeout=%s)", what, seconds);
    return raise_error(TACHYON_ERR_TIMEOUT, text, 0);
}

void raise_unexpected_message(PyObject *text, uint32_t type_id, size_t size) {
    PyObject *error = text ? PyObject_CallOneArg(UnexpectedMessage, text) : NULL;
    if (error && set_number(error, "code", TACHYON_ERR_INVALID_SZ) == 0 &&
        set_number(error, "type_id", type_id) == 0 &&
        set_number(error, "size", size) == 0)
        PyErr_SetObject(UnexpectedMessage, error);
    Py_XDECREF(error);
    Py_XDECREF(text);
}

int errors_init(PyObject *module) {
    static const struct {
        const char *name;
        PyObject **type;
    } classes[] = {
        {"TachyonError", &TachyonError}, {"PeerDeadError", &PeerDeadError},
        {"AbortedError", &AbortedError}, {"ClosedError", &ClosedError},
        {"LaggedError", &LaggedError},   {"RingFull", &RingFull},
        {"RpcError", &RpcError},         {"UnexpectedMessage", &UnexpectedMessage}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; ++i) {
        *classes[i].type = import_from("tachyon.errors", classes[i].name);
        if (!*classes[i].type ||
            PyModule_AddObjectRef(module, classes[i].name, *classes[i].type) < 0)
            return -1;
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Python's arguments as C values. SWIG's wrappers build a tuple and a dictionary for
   each call with keywords; the methods that run once a message bind theirs here
   instead. */

typedef int64_t
    seconds_t; /* seconds to the caller, nanoseconds here; negative: for ever */

enum { MAX_PARAMETERS = 5, DEFAULT_SPIN = 10000 };

typedef struct Signature {
    const char *function;
    int required;
    int count;
    const char *name[MAX_PARAMETERS];
    PyObject *interned[MAX_PARAMETERS]; /* made at the first call with keywords */
    int keyword_only;                   /* so many of the last */
} Signature;

static int bind_keyword(Signature *signature, PyObject *keyword, PyObject *value,
                        PyObject **bound) {
    for (int i = 0; i < signature->count; ++i) {
        if (!signature->interned[i]) {
            signature->interned[i] = PyUnicode_InternFromString(signature->name[i]);
            if (!signature->interned[i]) {
                return -1;
            }
        }
    }
    for (int i = 0; i < signature->count; ++i) {
        if (keyword == signature->interned[i] ||
            PyUnicode_Compare(keyword, signature->interned[i]) == 0) {
            if (bound[i]) {
                PyErr_Format(PyExc_TypeError, "%s() got multiple values for '%U'",
                             signature->function, keyword);
                return -1;
            }
            bound[i] = value;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                 signature->function, keyword);
    return -1;
}

/* Sort a METH_FASTCALL | METH_KEYWORDS call into `bound`, zeroed by the caller. */
static int bind_arguments(Signature *signature, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames, PyObject **bound) {
    int positional = signature->count - signature->keyword_only;
    if (nargs > positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d positional arguments (%zd given)",
                     signature->function, positional, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; ++i) {
        bound[i] = args[i];
    }
    Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < keywords; ++i) {
        if (bind_keyword(signature, PyTuple_GET_ITEM(kwnames, i), args[nargs + i],
                         bound) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < signature->required; ++i) {
        if (!bound[i]) {
            PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'",
                         signature->function, signature->name[i]);
            return -1;
        }
    }
    return 0;
}

/* A whole number from 0 to `limit`; `value` NULL leaves *out as it is. */
static int parse_unsigned(PyObject *value, const char *name, uint64_t limit,
                          uint64_t *out) {
    if (!value) {
        return 0;
    }
    PyObject *index =
        PyLong_CheckExact(value) ? Py_NewRef(value) : PyNumber_Index(value);
    if (!index) {
        return -1;
    }
    unsigned long long number = PyLong_AsUnsignedLongLong(index);
    Py_DECREF(index);
    if (number == (unsigned long long)-1 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
    } else if (number <= limit) {
        *out = number;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s must be from 0 to %llu, not %R", name,
                 (unsigned long long)limit, value);
    return -1;
}

static int parse_u32(PyObject *value, const char *name, uint32_t *out) {
    uint64_t number = *out;
    if (parse_unsigned(value, name, UINT32_MAX, &number) < 0) {
        return -1;
    }
    *out = (uint32_t)number;
    return 0;
}

static int parse_spin(PyObject *value, uint32_t *spin_threshold) {
    return parse_u32(value, "spin_threshold", spin_threshold);
}

/* Seconds as nanoseconds; None, infinity and centuries are -1, for ever. */
static int parse_timeout(PyObject *value, seconds_t *timeout_ns) {
    *timeout_ns = -1;
    if (!value || value == Py_None) {
        return 0;
    }
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!(seconds >= 0)) {
        PyErr_Format(PyExc_ValueError,
                     "timeout must be None or at least 0 seconds, not %R", value);
        return -1;
    }
    if (seconds < 9e9) {
        *timeout_ns = (seconds_t)ceil(seconds * 1e9);
    }
    return 0;
}

/* The bytes of a payload that is copied. Those of `bytes` need no view. */
typedef struct Payload {
    const void *data;
    size_t size;
    Py_buffer view;
} Payload;

static int payload_get(PyObject *object, Payload *payload) {
    payload->view.obj = NULL;
    if (PyBytes_CheckExact(object)) {
        payload->data = PyBytes_AS_STRING(object);
        payload->size = (size_t)PyBytes_GET_SIZE(object);
        return 0;
    }
    if (PyObject_GetBuffer(object, &payload->view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    payload->data = payload->view.buf;
    payload->size = (size_t)payload->view.len;
    return 0;
}

static void payload_release(Payload *payload) {
    if (payload->view.obj) {
        PyBuffer_Release(&payload->view);
    }
}

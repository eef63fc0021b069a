/* SPDX-License-Identifier: Apache-2.0 */
/* Python's arguments as C values. SWIG's wrappers build a tuple and a dictionary for each
   call with keywords; the methods that run once a message bind theirs here instead. */
#ifndef TACHYON_PYTHON_ARGUMENTS_H
#define TACHYON_PYTHON_ARGUMENTS_H

#include "object.h"

/* Seconds to the caller, nanoseconds here; negative: for ever. */
typedef int64_t seconds_t;

enum { MAX_PARAMETERS = 5 };

typedef struct Signature {
    const char *function;
    int required;
    int count;
    int keyword_only; /* so many of the last */
    const char *name[MAX_PARAMETERS];
    PyObject *interned[MAX_PARAMETERS]; /* made at the first call with keywords */
} Signature;

/* A method that gets its arguments as they lie on the caller's stack ... */
#define METHOD(name)                                                                   \
    PyObject *method_##name(PyObject *self, PyObject *const *args, Py_ssize_t nargs,   \
                            PyObject *kwnames)

/* ... and sorts them into bound[], NULL for what was not given. */
#define BIND(...)                                                                      \
    static Signature signature = {__VA_ARGS__, {NULL}};                                \
    PyObject *bound[MAX_PARAMETERS] = {NULL};                                          \
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0)                   \
    return NULL

/* bind_arguments() for any call, good or bad. */
int bind_any(Signature *signature, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames, PyObject **bound);

/* Do the keywords name the parameters after the first `nargs`, as they mostly do? */
static inline bool in_order(const Signature *signature, Py_ssize_t nargs,
                            PyObject *kwnames) {
    Py_ssize_t keywords = PyTuple_GET_SIZE(kwnames);
    bool match = nargs + keywords <= signature->count;
    for (Py_ssize_t i = 0; match && i < keywords; ++i)
        match = PyTuple_GET_ITEM(kwnames, i) == signature->interned[nargs + i];
    return match;
}

/* Sort a METH_FASTCALL | METH_KEYWORDS call into `bound`, zeroed by the caller. */
static inline int bind_arguments(Signature *signature, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames,
                                 PyObject **bound) {
    Py_ssize_t given = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (given < signature->required ||
        nargs > signature->count - signature->keyword_only ||
        (kwnames && !in_order(signature, nargs, kwnames)))
        return bind_any(signature, args, nargs, kwnames, bound);
    for (Py_ssize_t i = 0; i < given; ++i)
        bound[i] = args[i];
    return 0;
}

/* What every integer parameter goes through. */
int parse_integer_slow(PyObject *value, const char *name, uint64_t least,
                       uint64_t limit, uint64_t *out);

/* An integer from `least` to `limit`; `value` NULL leaves *out as it is. */
static inline int parse_integer(PyObject *value, const char *name, uint64_t least,
                                uint64_t limit, uint64_t *out) {
    if (!value)
        return 0;
    if (PyLong_CheckExact(value)) {
        unsigned long long number = PyLong_AsUnsignedLongLong(value);
        if (number >= least && number <= limit && number != (unsigned long long)-1) {
            *out = number;
            return 0;
        }
        PyErr_Clear();
    }
    return parse_integer_slow(value, name, least, limit, out);
}

static inline int parse_u32(PyObject *value, const char *name, uint32_t *out) {
    uint64_t number = *out;
    if (parse_integer(value, name, 0, UINT32_MAX, &number) < 0)
        return -1;
    *out = (uint32_t)number;
    return 0;
}

/* Ids start at 1. */
static inline int parse_correlation_id(PyObject *value, uint64_t *id) {
    return parse_integer(value, "correlation_id", 1, UINT64_MAX, id);
}

int parse_seconds(PyObject *value, seconds_t *timeout_ns);

/* Seconds as nanoseconds; None, infinity and centuries are -1, for ever. */
static inline int parse_timeout(PyObject *value, seconds_t *timeout_ns) {
    *timeout_ns = -1;
    return !value || value == Py_None ? 0 : parse_seconds(value, timeout_ns);
}

/* And as the facade has them. */
static inline double seconds_of(seconds_t time) {
    return time < 0 ? -1 : (double)time / 1e9;
}

/* Seconds that are no time-out: at least 0, and not None. */
int parse_duration(PyObject *value, const char *name, double *seconds);

/* True and False, NumPy's too, and the 1 and 0 of older code. */
int parse_switch(PyObject *value, const char *name, int *out);

/* A path of any kind, which lives in *path. */
char *path_of(PyObject *value, PyObject **path);

/* What parameters in Python go through. */
PyObject *integer(const char *name, PyObject *value, PyObject *least, PyObject *limit);

#endif

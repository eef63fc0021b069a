/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <math.h>

/* -1: no such parameter. Names in a program's text are interned; others are compared.
 */
static int find_parameter(const Signature *signature, PyObject *keyword) {
    for (int i = 0; i < signature->count; ++i)
        if (keyword == signature->interned[i])
            return i;
    for (int i = 0; i < signature->count; ++i)
        if (PyUnicode_Compare(keyword, signature->interned[i]) == 0)
            return i;
    return -1;
}

static int intern_names(Signature *signature) {
    for (int i = 0; i < signature->count; ++i) {
        if (!signature->interned[i])
            signature->interned[i] = PyUnicode_InternFromString(signature->name[i]);
        if (!signature->interned[i])
            return -1;
    }
    return 0;
}

static int bind_keyword(Signature *signature, PyObject *keyword, PyObject *value,
                        PyObject **bound) {
    int parameter = find_parameter(signature, keyword);
    if (parameter < 0 || bound[parameter]) {
        PyErr_Format(PyExc_TypeError,
                     parameter < 0 ? "%s() got an unexpected keyword argument '%U'"
                                   : "%s() got multiple values for '%U'",
                     signature->function, keyword);
        return -1;
    }
    bound[parameter] = value;
    return 0;
}

/* bind_arguments() for any call, good or bad. */
int bind_any(Signature *signature, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames, PyObject **bound) {
    int positional = signature->count - signature->keyword_only;
    if (nargs > positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d positional arguments (%zd given)",
                     signature->function, positional, nargs);
        return -1;
    }
    if (intern_names(signature) < 0)
        return -1;
    for (int i = 0; i < signature->count; ++i)
        bound[i] = i < nargs ? args[i] : NULL;
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

/* What every integer parameter goes through. */
int parse_integer_slow(PyObject *value, const char *name, uint64_t least,
                       uint64_t limit, uint64_t *out) {
    if (!PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, not %.100R", name, value);
        return -1;
    }
    PyObject *index = PyNumber_Index(value);
    if (!index)
        return -1;
    unsigned long long number = PyLong_AsUnsignedLongLong(index);
    bool fits = number != (unsigned long long)-1 || !PyErr_Occurred();
    if (fits && number >= least && number <= limit) {
        Py_DECREF(index);
        *out = number;
        return 0;
    }
    PyErr_Clear(); /* an OverflowError, if anything */
    PyObject *digits = PyObject_Repr(index);
    if (!digits)
        PyErr_Clear(); /* Python writes no number of thousands of digits */
    PyErr_Format(PyExc_ValueError, "%s must be from %llu to %llu, not %V", name,
                 (unsigned long long)least, (unsigned long long)limit, digits,
                 "a number too long to print");
    Py_XDECREF(digits);
    Py_DECREF(index);
    return -1;
}

/* What a parameter in Python goes through. */
PyObject *integer(const char *name, PyObject *value, PyObject *least, PyObject *limit) {
    uint64_t from = 0, to = UINT64_MAX, number = 0;
    if (parse_integer(least, "least", 0, UINT64_MAX, &from) < 0 ||
        parse_integer(limit, "limit", 0, UINT64_MAX, &to) < 0 ||
        parse_integer(value, name, from, to, &number) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(number);
}

int parse_switch(PyObject *value, const char *name, int *out) {
    PyObject *answer = ask("switch", "(sO)", name, value);
    *out = answer == Py_True;
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

int parse_seconds(PyObject *value, seconds_t *timeout_ns) {
    double seconds = PyFloat_CheckExact(value)  ? PyFloat_AS_DOUBLE(value)
                     : PyLong_CheckExact(value) ? PyLong_AsDouble(value)
                                                : -1;
    if (!(seconds >= 0)) {
        PyErr_Clear();
        PyObject *answer = ask("seconds", "(O)", value);
        if (!answer)
            return -1;
        seconds = PyFloat_AsDouble(answer);
        Py_DECREF(answer);
    }
    if (seconds < 9e9)
        *timeout_ns = (seconds_t)ceil(seconds * 1e9);
    return 0;
}

int parse_duration(PyObject *value, const char *name, double *seconds) {
    PyObject *answer = ask("seconds", "(Os)", value, name);
    *seconds = answer ? PyFloat_AsDouble(answer) : -1;
    if (*seconds > 8e9) /* centuries */
        *seconds = 8e9;
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

char *path_of(PyObject *value, PyObject **path) {
    return PyUnicode_FSConverter(value, (void *)path) ? PyBytes_AS_STRING(*path) : NULL;
}

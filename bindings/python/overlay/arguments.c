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

/* True and False, NumPy's too, and the 1 and 0 of older code. */
int parse_switch(PyObject *value, const char *name, int *out) {
    const char *type = Py_TYPE(value)->tp_name;
    uint64_t number = 0;
    if (strcmp(type, "numpy.bool") == 0 || strcmp(type, "numpy.bool_") == 0)
        number = PyObject_IsTrue(value) == 1;
    else if (parse_integer(value, name, 0, 1, &number) < 0)
        return -1;
    *out = number != 0;
    return 0;
}

static int refuse_seconds(PyObject *value) {
    PyErr_Format(PyExc_ValueError,
                 "timeout must be None or at least 0 seconds, not %.100R", value);
    return -1;
}

/* An integer that no double can hold is centuries, or negative. */
static int parse_vast_seconds(PyObject *value) {
    PyObject *zero = PyLong_FromLong(0);
    int negative = zero ? PyObject_RichCompareBool(value, zero, Py_LT) : -1;
    Py_XDECREF(zero);
    return negative > 0 ? refuse_seconds(value) : negative;
}

int parse_seconds(PyObject *value, seconds_t *timeout_ns) {
    PyNumberMethods *methods = Py_TYPE(value)->tp_as_number;
    if (!methods || (!methods->nb_float && !methods->nb_index)) {
        PyErr_Format(PyExc_TypeError, "timeout must be a number or None, not %.100R",
                     value);
        return -1;
    }
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError))
            return -1;
        PyErr_Clear();
        return parse_vast_seconds(value);
    }
    if (!(seconds >= 0))
        return refuse_seconds(value);
    if (seconds < 9e9)
        *timeout_ns = (seconds_t)ceil(seconds * 1e9);
    return 0;
}

/* The same for Python: seconds as a float, or None. */
PyObject *seconds_or_none(PyObject *timeout) {
    seconds_t timeout_ns;
    if (parse_timeout(timeout, &timeout_ns) < 0)
        return NULL;
    return timeout_ns < 0 ? Py_NewRef(Py_None)
                          : PyFloat_FromDouble((double)timeout_ns / 1e9);
}

/* An iterable of user ids as an array, which the caller frees. */
int parse_uids(PyObject *iterable, uint32_t **uids, size_t *count) {
    *uids = NULL;
    *count = 0;
    if (!iterable || iterable == Py_None)
        return 0;
    PyObject *ids =
        PySequence_Tuple(iterable); /* own: an __index__ may change a list */
    if (!ids) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) && !Py_TYPE(iterable)->tp_iter) {
            PyErr_Format(PyExc_TypeError,
                         "allowed_uids must be an iterable of user ids, not %.100R",
                         iterable);
        }
        return -1;
    }
    Py_ssize_t length = PyTuple_GET_SIZE(ids);
    uint32_t *array = PyMem_Calloc((size_t)length + 1, sizeof *array);
    if (!array)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; array && i < length; ++i) {
        if (parse_u32(PyTuple_GET_ITEM(ids, i), "each of allowed_uids", &array[i]) <
            0) {
            PyMem_Free(array);
            array = NULL;
        }
    }
    Py_DECREF(ids);
    *uids = array;
    *count = (size_t)length;
    return array ? 0 : -1;
}

char *path_of(PyObject *value, PyObject **path) {
    return PyUnicode_FSConverter(value, (void *)path) ? PyBytes_AS_STRING(*path) : NULL;
}

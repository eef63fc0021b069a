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

/* -1: no such parameter. Names in a program's text are interned; others are compared.
 */
static int find_parameter(const Signature *signature, PyObject *keyword) {
    for (int i = 0; i < signature->count; ++i) {
        if (keyword == signature->interned[i]) {
            return i;
        }
    }
    for (int i = 0; i < signature->count; ++i) {
        if (PyUnicode_Compare(keyword, signature->interned[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static int intern_names(Signature *signature) {
    for (int i = 0; i < signature->count; ++i) {
        if (!signature->interned[i]) {
            signature->interned[i] = PyUnicode_InternFromString(signature->name[i]);
        }
        if (!signature->interned[i]) {
            return -1;
        }
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
static int bind_any(Signature *signature, PyObject *const *args, Py_ssize_t nargs,
                    PyObject *kwnames, PyObject **bound) {
    int positional = signature->count - signature->keyword_only;
    if (nargs > positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d positional arguments (%zd given)",
                     signature->function, positional, nargs);
        return -1;
    }
    if (intern_names(signature) < 0) {
        return -1;
    }
    for (int i = 0; i < signature->count; ++i) {
        bound[i] = i < nargs ? args[i] : NULL;
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

/* Do the keywords name the parameters after the first `nargs`, as they mostly do? */
static inline bool in_order(const Signature *signature, Py_ssize_t nargs,
                            PyObject *kwnames) {
    Py_ssize_t keywords = PyTuple_GET_SIZE(kwnames);
    bool match = nargs + keywords <= signature->count;
    for (Py_ssize_t i = 0; match && i < keywords; ++i) {
        match = PyTuple_GET_ITEM(kwnames, i) == signature->interned[nargs + i];
    }
    return match;
}

/* Sort a METH_FASTCALL | METH_KEYWORDS call into `bound`, zeroed by the caller. */
static inline int bind_arguments(Signature *signature, PyObject *const *args,
                                 Py_ssize_t nargs, PyObject *kwnames,
                                 PyObject **bound) {
    Py_ssize_t given = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    if (given < signature->required ||
        nargs > signature->count - signature->keyword_only ||
        (kwnames && !in_order(signature, nargs, kwnames))) {
        return bind_any(signature, args, nargs, kwnames, bound);
    }
    for (Py_ssize_t i = 0; i < given; ++i) {
        bound[i] = args[i];
    }
    return 0;
}

/* What every integer parameter goes through. */
static int parse_integer_slow(PyObject *value, const char *name, uint64_t least,
                              uint64_t limit, uint64_t *out) {
    if (!PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer, not %.100R", name, value);
        return -1;
    }
    PyObject *index = PyNumber_Index(value);
    if (!index) {
        return -1;
    }
    unsigned long long number = PyLong_AsUnsignedLongLong(index);
    bool fits = number != (unsigned long long)-1 || !PyErr_Occurred();
    if (fits && number >= least && number <= limit) {
        Py_DECREF(index);
        *out = number;
        return 0;
    }
    PyErr_Clear(); /* an OverflowError, if anything */
    PyObject *digits = PyObject_Repr(index);
    if (!digits) {
        PyErr_Clear(); /* Python writes no number of thousands of digits */
    }
    PyErr_Format(PyExc_ValueError, "%s must be from %llu to %llu, not %V", name,
                 (unsigned long long)least, (unsigned long long)limit, digits,
                 "a number too long to print");
    Py_XDECREF(digits);
    Py_DECREF(index);
    return -1;
}

/* An integer from `least` to `limit`; `value` NULL leaves *out as it is. */
static inline int parse_integer(PyObject *value, const char *name, uint64_t least,
                                uint64_t limit, uint64_t *out) {
    if (!value) {
        return 0;
    }
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
    if (parse_integer(value, name, 0, UINT32_MAX, &number) < 0) {
        return -1;
    }
    *out = (uint32_t)number;
    return 0;
}

static int parse_spin(PyObject *value, uint32_t *spin_threshold) {
    return parse_u32(value, "spin_threshold", spin_threshold);
}

/* What a parameter in Python goes through. */
static PyObject *integer(const char *name, PyObject *value, PyObject *least,
                         PyObject *limit) {
    uint64_t from = 0, to = UINT64_MAX, number = 0;
    if (parse_integer(least, "least", 0, UINT64_MAX, &from) < 0 ||
        parse_integer(limit, "limit", 0, UINT64_MAX, &to) < 0 ||
        parse_integer(value, name, from, to, &number) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(number);
}

/* True and False, NumPy's too, and the 1 and 0 of older code. */
static int parse_switch(PyObject *value, const char *name, bool *out) {
    const char *type = Py_TYPE(value)->tp_name;
    uint64_t number = 0;
    if (strcmp(type, "numpy.bool") == 0 || strcmp(type, "numpy.bool_") == 0) {
        number = PyObject_IsTrue(value) == 1;
    } else if (parse_integer(value, name, 0, 1, &number) < 0) {
        return -1;
    }
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

static int parse_seconds(PyObject *value, seconds_t *timeout_ns) {
    PyNumberMethods *methods = Py_TYPE(value)->tp_as_number;
    if (!methods || (!methods->nb_float && !methods->nb_index)) {
        PyErr_Format(PyExc_TypeError, "timeout must be a number or None, not %.100R",
                     value);
        return -1;
    }
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
        return parse_vast_seconds(value);
    }
    if (!(seconds >= 0)) {
        return refuse_seconds(value);
    }
    if (seconds < 9e9) {
        *timeout_ns = (seconds_t)ceil(seconds * 1e9);
    }
    return 0;
}

/* Seconds as nanoseconds; None, infinity and centuries are -1, for ever. */
static inline int parse_timeout(PyObject *value, seconds_t *timeout_ns) {
    *timeout_ns = -1;
    return !value || value == Py_None ? 0 : parse_seconds(value, timeout_ns);
}

/* The same for Python: seconds as a float, or None. */
static PyObject *seconds_or_none(PyObject *timeout) {
    seconds_t timeout_ns;
    if (parse_timeout(timeout, &timeout_ns) < 0) {
        return NULL;
    }
    return timeout_ns < 0 ? Py_NewRef(Py_None)
                          : PyFloat_FromDouble((double)timeout_ns / 1e9);
}

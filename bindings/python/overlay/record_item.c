/* SPDX-License-Identifier: Apache-2.0 */
/* One item of a field: a number, a truth, text, an enumerator. Values are converted
   before the memory of a record is touched, as their conversion is free to do anything. */
#include "record.h"

#include <endian.h>
#include <math.h>

static const char *title_of(const Field *field) {
    const char *title = PyUnicode_AsUTF8(field->title);
    return title ? title : "the field";
}

/* ---- Integers ---- */

static int raise_range(const Field *field, PyObject *value, long long least,
                       unsigned long long limit) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError))
        return -1;
    PyErr_Clear();
    PyObject *digits = PyObject_Repr(value);
    if (!digits)
        PyErr_Clear(); /* Python writes no number of thousands of digits */
    PyErr_Format(PyExc_ValueError, "%U must be from %lld to %llu, not %V", field->title,
                 least, limit, digits, "a number too long to print");
    Py_XDECREF(digits);
    return -1;
}

/* A new reference to an int, or NULL with an exception. */
static PyObject *index_of(const Field *field, PyObject *value) {
    if (PyLong_Check(value))
        return Py_NewRef(value);
    if (PyIndex_Check(value))
        return PyNumber_Index(value);
    PyErr_Format(PyExc_TypeError, "%U must be an integer, not %.100R", field->title,
                 value);
    return NULL;
}

static int parse_unsigned(const Field *field, PyObject *value, unsigned long long limit,
                          unsigned long long *number) {
    PyObject *index = index_of(field, value);
    if (!index)
        return -1;
    *number = PyLong_AsUnsignedLongLong(index);
    int parsed =
        *number > limit || (*number == (unsigned long long)-1 && PyErr_Occurred())
            ? raise_range(field, index, 0, limit)
            : 0;
    Py_DECREF(index);
    return parsed;
}

static int parse_signed(const Field *field, PyObject *value, long long limit,
                        long long *number) {
    PyObject *index = index_of(field, value);
    if (!index)
        return -1;
    *number = PyLong_AsLongLong(index);
    int parsed =
        *number > limit || *number < -limit - 1 || (*number == -1 && PyErr_Occurred())
            ? raise_range(field, index, -limit - 1, (unsigned long long)limit)
            : 0;
    Py_DECREF(index);
    return parsed;
}

/* Python is quicker with a signed one. */
static inline PyObject *int_of(uint64_t number) {
    return number <= LONG_MAX ? PyLong_FromLong((long)number)
                              : PyLong_FromUnsignedLongLong(number);
}

#define AS_IT_IS(number) (number)
#define UNSIGNED(KIND, TYPE, FROM, TO)                                                 \
    static PyObject *get_##KIND(const Field *field, const unsigned char *from) {       \
        TYPE item;                                                                     \
        (void)field;                                                                   \
        memcpy(&item, from, sizeof item);                                              \
        return int_of(FROM(item));                                                     \
    }                                                                                  \
    static int put_##KIND(const Field *field, unsigned char *to, PyObject *value) {    \
        unsigned long long number;                                                     \
        if (parse_unsigned(field, value, (TYPE) - 1, &number) < 0)                     \
            return -1;                                                                 \
        TYPE item = TO((TYPE)number);                                                  \
        memcpy(to, &item, sizeof item);                                                \
        return 0;                                                                      \
    }
#define SIGNED(KIND, TYPE, LIMIT)                                                      \
    static PyObject *get_##KIND(const Field *field, const unsigned char *from) {       \
        TYPE item;                                                                     \
        (void)field;                                                                   \
        memcpy(&item, from, sizeof item);                                              \
        return PyLong_FromLongLong(item);                                              \
    }                                                                                  \
    static int put_##KIND(const Field *field, unsigned char *to, PyObject *value) {    \
        long long number;                                                              \
        if (parse_signed(field, value, LIMIT, &number) < 0)                            \
            return -1;                                                                 \
        TYPE item = (TYPE)number;                                                      \
        memcpy(to, &item, sizeof item);                                                \
        return 0;                                                                      \
    }
UNSIGNED(u8, uint8_t, AS_IT_IS, AS_IT_IS)
UNSIGNED(u16, uint16_t, AS_IT_IS, AS_IT_IS)
UNSIGNED(u32, uint32_t, AS_IT_IS, AS_IT_IS)
UNSIGNED(u64, uint64_t, AS_IT_IS, AS_IT_IS)
UNSIGNED(u16be, uint16_t, be16toh, htobe16)
UNSIGNED(u32be, uint32_t, be32toh, htobe32)
UNSIGNED(u64be, uint64_t, be64toh, htobe64)
SIGNED(i8, int8_t, INT8_MAX)
SIGNED(i16, int16_t, INT16_MAX)
SIGNED(i32, int32_t, INT32_MAX)
SIGNED(i64, int64_t, INT64_MAX)

/* ---- Other numbers ---- */

static int parse_float(const Field *field, PyObject *value, double *number) {
    if (PyFloat_CheckExact(value)) {
        *number = PyFloat_AS_DOUBLE(value);
        return 0;
    }
    const PyNumberMethods *methods = Py_TYPE(value)->tp_as_number;
    if (!methods || (!methods->nb_float && !methods->nb_index)) {
        PyErr_Format(PyExc_TypeError, "%U must be a number, not %.100R", field->title,
                     value);
        return -1;
    }
    *number = PyFloat_AsDouble(value);
    return *number == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* What an integer that no double holds, or a double that no float holds, is told. */
static int raise_too_large(const Field *field, const char *kind) {
    PyErr_Format(PyExc_ValueError, "%U must be within what a %s holds, or infinite",
                 field->title, kind);
    return -1;
}

static PyObject *get_f64(const Field *field, const unsigned char *from) {
    double item;
    (void)field;
    memcpy(&item, from, sizeof item);
    return PyFloat_FromDouble(item);
}

static int put_f64(const Field *field, unsigned char *to, PyObject *value) {
    double item;
    if (parse_float(field, value, &item) < 0)
        return PyErr_ExceptionMatches(PyExc_OverflowError)
                   ? raise_too_large(field, "double")
                   : -1;
    memcpy(to, &item, sizeof item);
    return 0;
}

static PyObject *get_f32(const Field *field, const unsigned char *from) {
    float item;
    (void)field;
    memcpy(&item, from, sizeof item);
    return PyFloat_FromDouble((double)item);
}

static int put_f32(const Field *field, unsigned char *to, PyObject *value) {
    double number;
    if (parse_float(field, value, &number) < 0)
        return PyErr_ExceptionMatches(PyExc_OverflowError)
                   ? raise_too_large(field, "float")
                   : -1;
    float item = (float)number;
    if (isinf(item) && !isinf(number))
        return raise_too_large(field, "float");
    memcpy(to, &item, sizeof item);
    return 0;
}

static PyObject *get_bool(const Field *field, const unsigned char *from) {
    (void)field;
    return PyBool_FromLong(*from != 0);
}

static int put_bool(const Field *field, unsigned char *to, PyObject *value) {
    int truth = value == Py_True;
    if (!PyBool_Check(value) && parse_switch(value, title_of(field), &truth) < 0)
        return -1;
    *to = (unsigned char)truth;
    return 0;
}

/* ---- Bytes ---- */

static PyObject *get_text(const Field *field, const unsigned char *from) {
    Py_ssize_t length = field->item_size;
    while (length > 0 && from[length - 1] == 0)
        --length;
    return PyBytes_FromStringAndSize((const char *)from, length);
}

static PyObject *get_bytes(const Field *field, const unsigned char *from) {
    return PyBytes_FromStringAndSize((const char *)from, field->item_size);
}

static int put_exactly(const Field *field, unsigned char *to, const void *data,
                       Py_ssize_t size) {
    if (size > field->item_size) {
        PyErr_Format(PyExc_ValueError, "%U takes %zd bytes at most, not %zd",
                     field->title, field->item_size, size);
        return -1;
    }
    memcpy(to, data, (size_t)size);
    memset(to + size, 0, (size_t)(field->item_size - size));
    return 0;
}

static int put_buffer(const Field *field, unsigned char *to, PyObject *value,
                      const char *wanted) {
    Py_buffer view;
    if (!PyObject_CheckBuffer(value)) {
        PyErr_Format(PyExc_TypeError, "%U must be %s, not %.100R", field->title, wanted,
                     value);
        return -1;
    }
    if (PyObject_GetBuffer(value, &view, PyBUF_ND | PyBUF_FORMAT) < 0)
        return -1;
    int put = -1;
    if (view.itemsize == 1)
        put = put_exactly(field, to, view.buf, view.len);
    else
        PyErr_Format(PyExc_TypeError, "%U must be %s, not items of %zd bytes",
                     field->title, wanted, view.itemsize);
    PyBuffer_Release(&view);
    return put;
}

static int put_bytes(const Field *field, unsigned char *to, PyObject *value) {
    return PyBytes_Check(value) ? put_exactly(field, to, PyBytes_AS_STRING(value),
                                              PyBytes_GET_SIZE(value))
                                : put_buffer(field, to, value, "bytes");
}

static int put_text(const Field *field, unsigned char *to, PyObject *value) {
    if (!PyUnicode_Check(value))
        return PyBytes_Check(value) ? put_bytes(field, to, value)
                                    : put_buffer(field, to, value, "bytes or a str");
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    return text ? put_exactly(field, to, text, size) : -1;
}

/* ---- Kinds ---- */

static const struct {
    const char *name;
    Py_ssize_t size;
    const char *format; /* in a buffer */
    GetItem get;
    PutItem put;
} kinds[] = {
#define ROW(KIND, SIZE, FORMAT) {#KIND, SIZE, FORMAT, get_##KIND, put_##KIND}
    ROW(u8, 1, "B"),
    ROW(u16, 2, "H"),
    ROW(u32, 4, "I"),
    ROW(u64, 8, "Q"),
    ROW(i8, 1, "b"),
    ROW(i16, 2, "h"),
    ROW(i32, 4, "i"),
    ROW(i64, 8, "q"),
    ROW(u16be, 2, ">H"),
    ROW(u32be, 4, ">I"),
    ROW(u64be, 8, ">Q"),
    ROW(f32, 4, "f"),
    ROW(f64, 8, "d"),
    ROW(bool, 1, "?"),
    {"char", 1, "s", get_text, put_text},
    {"bytes", 1, "s", get_bytes, put_bytes},
};

int item_of_kind(Field *field, const char *kind) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        if (strcmp(kinds[i].name, kind) != 0)
            continue;
        field->get = kinds[i].get;
        field->put = kinds[i].put;
        field->item_size = kinds[i].size;
        field->plain = strlen(kinds[i].format) == 1 && kinds[i].format[0] != 's';
        PyOS_snprintf(field->format, sizeof field->format, "%s", kinds[i].format);
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%U is of no kind that there is, %s", field->title,
                 kind);
    return -1;
}

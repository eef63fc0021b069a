/* SPDX-License-Identifier: Apache-2.0 */
#include "buffer.h"

/* What in a PEP 3118 format stands for an address: 'O' for an object, something else
   for a pointer, 0 for nothing. Names stand in colons; a Z that begins a complex number
   is no wide string of ctypes. */
static char address_in(const char *format) {
    for (bool in_name = false; format && *format; ++format) {
        if (*format == ':') {
            in_name = !in_name;
        } else if (!in_name && strchr("O&zPXZ", *format)) {
            bool complex = *format == 'Z' && format[1] && strchr("fdg", format[1]);
            if (!complex)
                return *format;
        }
    }
    return 0;
}

/* What is wrong is said in Python, which also sees what a format of ctypes hides: that
   is "B" of unions and of packed structures, whatever their fields are. */
static int check_meaning(const Py_buffer *view) {
    char address[] = {address_in(view->format), 0};
    bool opaque = view->itemsize > 1 && view->format && !strcmp(view->format, "B");
    if (!*address && !opaque)
        return 0;
    PyObject *check = import_from("tachyon.layout", "check_addresses");
    PyObject *none =
        check ? PyObject_CallFunction(check, "Oss", view->obj ? view->obj : Py_None,
                                      view->format, address)
              : NULL;
    Py_XDECREF(check);
    Py_XDECREF(none);
    return none ? 0 : -1;
}

/* An array whose dtype has no PEP 3118 format, such as one with dates, as an array of
   plain bytes. A new reference, or NULL with the error that is set already. */
static PyObject *without_format(PyObject *array) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *convert = import_from("tachyon.layout", "without_format");
    PyObject *plain = convert ? PyObject_CallOneArg(convert, array) : NULL;
    Py_XDECREF(convert);
    if (plain != Py_None) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return plain;
    }
    Py_DECREF(plain);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

int buffer_get(PyObject *object, Py_buffer *view, int flags) {
    int got = PyObject_GetBuffer(object, view, flags);
    if (got < 0 && (PyErr_ExceptionMatches(PyExc_ValueError) ||
                    PyErr_ExceptionMatches(PyExc_BufferError))) {
        PyObject *plain = without_format(object);
        got = plain ? PyObject_GetBuffer(plain, view, flags) : -1;
        Py_XDECREF(plain);
    }
    if (got == 0 && check_meaning(view) < 0) {
        PyBuffer_Release(view);
        return -1;
    }
    return got;
}

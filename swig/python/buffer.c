/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers of other objects, which are copied: whether their bytes mean anything to
   another process, and the payload of one message. */

/* `what` the items are is taken over; NULL where it could not be made. */
static void refuse_addresses(PyObject *what, bool objects) {
    if (!what) {
        return;
    }
    PyErr_Format(PyExc_TypeError,
                 objects
                     ? "items of %U hold Python objects, whose addresses mean nothing "
                       "elsewhere: send their values, as array.astype('S8') or "
                       "pickle.dumps(array) makes them"
                     : "items of %U hold pointers, which mean nothing elsewhere: send "
                       "what they point to, or bytes(items) for the addresses",
                 what);
    Py_DECREF(what);
}

/* What in a PEP 3118 format stands for an address: 'O' for an object, something else
   for a pointer, 0 for nothing. Names stand in colons; a Z that begins a complex number
   is no wide string of ctypes. */
static char address_in(const char *format) {
    for (bool in_name = false; format && *format; ++format) {
        if (*format == ':') {
            in_name = !in_name;
        } else if (!in_name && strchr("O&zPXZ", *format)) {
            bool complex = *format == 'Z' && format[1] && strchr("fdg", format[1]);
            if (!complex) {
                return *format;
            }
        }
    }
    return 0;
}

/* An array whose dtype has no PEP 3118 format, such as one with dates, as an array of
   plain bytes. A new reference, or NULL with the error that is set already. */
static PyObject *without_format(PyObject *array) {
    PyObject *type, *value, *traceback, *plain = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *dtype = PyObject_GetAttrString(array, "dtype");
    PyObject *objects = dtype ? PyObject_GetAttrString(dtype, "hasobject") : NULL;
    PyObject *size = dtype ? PyObject_GetAttrString(dtype, "itemsize") : NULL;
    if (objects == Py_True) {
        refuse_addresses(PyUnicode_FromFormat("dtype %S", dtype), true);
    } else if (objects && size) {
        PyObject *name = PyUnicode_FromFormat("V%S", size);
        plain = name ? PyObject_CallMethod(array, "view", "O", name) : NULL;
        Py_XDECREF(name);
    }
    Py_XDECREF(dtype);
    Py_XDECREF(objects);
    Py_XDECREF(size);
    if (plain || objects == Py_True) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    } else {
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
    return plain;
}

/* ctypes says "B" of unions and of packed structures, whatever their fields are. */
static int check_fields(const Py_buffer *view) {
    PyObject *layout = PyImport_ImportModule("tachyon.layout");
    PyObject *object = view->obj;
    while (object && PyMemoryView_Check(object)) {
        object = PyMemoryView_GET_BUFFER(object)->obj;
    }
    PyTypeObject *type = object ? Py_TYPE(object) : &PyBytes_Type;
    PyObject *address =
        layout ? PyObject_CallMethod(layout, "address_in", "O", type) : NULL;
    Py_XDECREF(layout);
    if (address && address != Py_None) {
        refuse_addresses(PyUnicode_FromFormat("type %s", type->tp_name),
                         PyUnicode_CompareWithASCIIString(address, "O") == 0);
        Py_CLEAR(address);
    }
    Py_XDECREF(address);
    return address ? 0 : -1;
}

static int check_meaning(const Py_buffer *view) {
    char address = address_in(view->format);
    if (address) {
        refuse_addresses(PyUnicode_FromFormat("format '%s'", view->format),
                         address == 'O');
        return -1;
    }
    bool opaque = view->itemsize > 1 && view->format && !strcmp(view->format, "B");
    return opaque ? check_fields(view) : 0;
}

/* 0 with a view of bytes that mean the same in another process, for the caller to
   release, or -1 with an exception. */
static int buffer_get(PyObject *object, Py_buffer *view, int flags) {
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
    if (buffer_get(object, &payload->view, PyBUF_ND | PyBUF_FORMAT) < 0) {
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

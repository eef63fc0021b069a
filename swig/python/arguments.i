/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments: seconds, switches, paths and the vectorcall convention of the hot methods. */
%{
#include "arguments.c"
%}

%typemap(in) seconds_t timeout {
    if (parse_timeout($input, &$1) < 0) SWIG_fail;
}
/* True and False, and the 1 and 0 of older code. */
%typemap(in) bool pure_spin {
    if (!PyLong_Check($input)) {
        PyErr_Format(PyExc_TypeError, "pure_spin must be a bool or an int, not %s",
                     Py_TYPE($input)->tp_name);
        SWIG_fail;
    }
    $1 = PyObject_IsTrue($input) == 1;
}
%typemap(in) const char *socket_path (PyObject *path = NULL) {
    if (!PyUnicode_FSConverter($input, &path)) SWIG_fail;
    $1 = PyBytes_AS_STRING(path);
}
%typemap(freearg) const char *socket_path "Py_XDECREF(path$argnum);"

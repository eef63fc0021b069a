/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments: seconds, paths and the vectorcall convention of the hot methods. */
%{
#include "arguments.c"
%}

%typemap(in) seconds_t timeout {
    if (parse_timeout($input, &$1) < 0) SWIG_fail;
}
%typemap(in) const char *socket_path (PyObject *path = NULL) {
    if (!PyUnicode_FSConverter($input, &path)) SWIG_fail;
    $1 = PyBytes_AS_STRING(path);
}
%typemap(freearg) const char *socket_path "Py_XDECREF(path$argnum);"

/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments: integers, seconds, switches, paths and the vectorcall convention of the hot
   methods. */
%{
#include "arguments.c"
%}

%define %integer(TYPE, NAME, LEAST, LIMIT)
%typemap(in) TYPE NAME {
    uint64_t number = 0;
    if (parse_integer($input, "$1_name", LEAST, LIMIT, &number) < 0) SWIG_fail;
    $1 = ($1_ltype)number;
}
%enddef
%integer(size_t, capacity, 1, 1u << 31)
%integer(size_t, cap_fwd, 1, 1u << 31)
%integer(size_t, cap_rev, 1, 1u << 31)
%integer(uint32_t, mode, 0, 0777)
%integer(uint32_t, role, TACHYON_ROLE_NONE, TACHYON_ROLE_CONSUMER)
%integer(uint64_t, schema, 0, UINT64_MAX)
%integer(int, node_id, 0, 63)
%integer(tachyon_error_t, error, 0, INT_MAX)

%typemap(in) seconds_t timeout {
    if (parse_timeout($input, &$1) < 0) SWIG_fail;
}
%typemap(in) bool pure_spin, bool watch {
    if (parse_switch($input, "$1_name", &$1) < 0) SWIG_fail;
}
%typemap(in) const char *socket_path (PyObject *path = NULL) {
    if (!PyUnicode_FSConverter($input, &path)) SWIG_fail;
    $1 = PyBytes_AS_STRING(path);
}
%typemap(freearg) const char *socket_path "Py_XDECREF(path$argnum);"

%feature("docstring") integer
"integer(name, value, least=0, limit=2**64 - 1, /)
--

Return a value that is an integer from least to limit as an int.

ValueError for one out of range, TypeError for what is no integer, with the name.";
%feature("docstring") seconds_or_none
"seconds_or_none(timeout, /)
--

Return a time-out as a float, or None for one that is for ever.

ValueError and TypeError as integer().";
PyObject *integer(const char *name, PyObject *value, PyObject *least = NULL,
                  PyObject *limit = NULL);
PyObject *seconds_or_none(PyObject *timeout);

/* SPDX-License-Identifier: Apache-2.0 */
/* tachyon_error_t as Python exceptions. */
%{
#include "errors.c"
%}

/* Results of functions that raise by themselves. */
%typemap(out) PyObject * "$result = $1; if (!$result) SWIG_fail;"

%init %{
    if (errors_init(m) < 0) {
        return -1;
    }
%}

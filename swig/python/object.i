/* SPDX-License-Identifier: Apache-2.0 */
/* Objects whose memory this module owns. */
%{
#include "object.c"
#include "guard.c"
%}

%feature("docstring") direct_calls
"Make a class derived from BusBase or RpcBusBase as fast as those; a decorator.";
PyObject *direct_calls(PyObject *cls);

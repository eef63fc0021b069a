/* SPDX-License-Identifier: Apache-2.0 */
/* Objects whose memory this module owns. */
%{
#include "object.c"
#include "guard.c"

#define FINAL_TYPE (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC)
#define BASE_TYPE (FINAL_TYPE | Py_TPFLAGS_BASETYPE)
%}

/* A type as this module makes and frees it, and the garbage collector sees it. */
%define OBJECT_TYPE(TYPE, FLAGS, TRAVERSE)
%nodefaultdtor TYPE;
%feature("python:tp_flags") TYPE #FLAGS;
%feature("python:tp_traverse") TYPE #TRAVERSE;
%enddef

%define STRUCT_TYPE(TYPE)
OBJECT_TYPE(TYPE, FINAL_TYPE, object_traverse)
%feature("python:tp_dealloc") TYPE "struct_dealloc";
%enddef

STRUCT_TYPE(tachyon_peer_t)
STRUCT_TYPE(tachyon_stats_t)
STRUCT_TYPE(tachyon_rpc_stats_t)

%feature("docstring") direct_calls
"Make a class derived from BusBase or RpcBusBase as fast as those; a decorator.";
PyObject *direct_calls(PyObject *cls);

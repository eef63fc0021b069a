/* SPDX-License-Identifier: Apache-2.0 */
/* BusBase: what tachyon.Bus is made of. It and its TachyonBus share one struct. */
%{
#include "bus.c"
%}
OBJECT_TYPE(BusBase, BASE_TYPE, bus_traverse)
%feature("python:tp_new") BusBase "bus_new";
%feature("python:tp_init") BusBase "bus_init";
%feature("python:tp_dealloc") BusBase "bus_dealloc";
%feature("python:tp_methods") BusBase "bus_methods";
%feature("python:tp_getset") BusBase "bus_getset";
%feature("python:tp_iter") BusBase "PyObject_SelfIter";
%feature("python:tp_iternext") BusBase "bus_next";
%feature("docstring") BusBase "The methods of Bus that run once a message.";
typedef struct {} BusBase;

%init %{
    if (guard_module_init() < 0 || message_init() < 0 ||
        add_hot_methods(SWIGTYPE_p_TachyonBus, hot_methods) < 0) {
        return -1;
    }
%}

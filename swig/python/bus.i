/* SPDX-License-Identifier: Apache-2.0 */
/* BusBase: what tachyon.Bus is made of. It and its TachyonBus share one struct. */
%{
#include "bus.c"
%}
%nodefaultdtor BusBase;
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
    forbid_new_attributes(SWIGTYPE_p_TachyonBus);
    forbid_new_attributes(SWIGTYPE_p_TxGuard);
    forbid_new_attributes(SWIGTYPE_p_RxGuard);
    forbid_new_attributes(SWIGTYPE_p_RxBatchGuard);
    forbid_new_attributes(SWIGTYPE_p_RxMsgView);
    forbid_new_attributes(SWIGTYPE_p_BusBase);
    if (guard_module_init() < 0 || message_init() < 0 ||
        add_hot_methods(SWIGTYPE_p_TachyonBus, hot_methods) < 0) {
        return -1;
    }
%}

/* SPDX-License-Identifier: Apache-2.0 */
/* RpcBusBase: what tachyon.RpcBus is made of. */
%{
#include "rpc_bus.c"
%}
OBJECT_TYPE(RpcBusBase, BASE_TYPE, bus_traverse)
%feature("python:tp_new") RpcBusBase "rpc_bus_new";
%feature("python:tp_init") RpcBusBase "bus_init";
%feature("python:tp_dealloc") RpcBusBase "bus_dealloc";
%feature("python:tp_methods") RpcBusBase "rpc_bus_methods";
%feature("python:tp_getset") RpcBusBase "rpc_bus_getset";
%feature("docstring") RpcBusBase "The methods of RpcBus that run once a message.";
typedef struct {} RpcBusBase;

%init %{
    if (add_hot_methods(SWIGTYPE_p_TachyonRpcBus, rpc_hot_methods) < 0) {
        return -1;
    }
%}

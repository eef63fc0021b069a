/* SPDX-License-Identifier: Apache-2.0 */
/* RpcRxGuard: a reply or a request that is being read in place. */
%{
#include "rpc_rx_guard.c"
%}
OBJECT_TYPE(RpcRxGuard, FINAL_TYPE, guard_traverse)
%feature("python:tp_clear") RpcRxGuard "guard_clear";
%feature("python:tp_new") RpcRxGuard "no_new";
%feature("python:tp_dealloc") RpcRxGuard "rx_guard_dealloc";
%feature("python:tp_methods") RpcRxGuard "rx_guard_methods";
%feature("python:tp_getset") RpcRxGuard "rx_guard_getset";
%feature("python:tp_members") RpcRxGuard "rpc_rx_guard_members";
%feature("python:bf_getbuffer") RpcRxGuard "rx_guard_getbuffer";
%feature("python:bf_releasebuffer") RpcRxGuard "rx_guard_releasebuffer";
%feature("docstring") RpcRxGuard
"One reply or request: a read-only buffer in the ring itself.

Leaving the `with` block releases it.";
typedef struct {} RpcRxGuard;
%init %{
    object_size(SWIGTYPE_p_RpcRxGuard, sizeof(RpcRxGuard));
%}

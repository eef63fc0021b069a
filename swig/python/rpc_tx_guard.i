/* SPDX-License-Identifier: Apache-2.0 */
/* RpcTxGuard: a request or a reply that is being written. */
%{
#include "rpc_tx_guard.c"
%}
OBJECT_TYPE(RpcTxGuard, FINAL_TYPE, guard_traverse)
%feature("python:tp_clear") RpcTxGuard "guard_clear";
%feature("python:tp_new") RpcTxGuard "no_new";
%feature("python:tp_dealloc") RpcTxGuard "tx_guard_dealloc";
%feature("python:tp_methods") RpcTxGuard "tx_guard_methods";
%feature("python:tp_members") RpcTxGuard "rpc_tx_guard_members";
%feature("python:tp_getset") RpcTxGuard "rpc_tx_guard_getset";
%feature("python:bf_getbuffer") RpcTxGuard "tx_guard_getbuffer";
%feature("python:bf_releasebuffer") RpcTxGuard "tx_guard_releasebuffer";
%feature("docstring") RpcTxGuard
"A slot for a request or a reply: a writable buffer of the reserved size.

Leaving the `with` block sends the first `actual_size` bytes of it, all unless that is
set, and sets `out_cid`; an exception gives the slot back and nothing is sent.";
typedef struct {} RpcTxGuard;
%init %{
    object_size(SWIGTYPE_p_RpcTxGuard, sizeof(RpcTxGuard));
%}

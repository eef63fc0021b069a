/* SPDX-License-Identifier: Apache-2.0 */
/* TxGuard: a slot that is being written. */
%{
#include "tx_guard.c"
%}
OBJECT_TYPE(TxGuard, FINAL_TYPE, guard_traverse)
%feature("python:tp_clear") TxGuard "guard_clear";
%feature("python:tp_new") TxGuard "no_new";
%feature("python:tp_dealloc") TxGuard "tx_guard_dealloc";
%feature("python:tp_methods") TxGuard "tx_guard_methods";
%feature("python:tp_getset") TxGuard "tx_guard_getset";
%feature("python:bf_getbuffer") TxGuard "tx_guard_getbuffer";
%feature("python:bf_releasebuffer") TxGuard "tx_guard_releasebuffer";
%feature("docstring") TxGuard
"A reserved slot of the ring: a writable buffer of the reserved size, in bytes.

It starts at an address that 32 divides, 64 where more than 32 bytes are reserved, and
its bytes have any value. Leaving the `with` block sends the first `actual_size` of them,
all unless that is set; an exception gives the slot back and nothing is sent.";
typedef struct {} TxGuard;
%init %{
    object_size(SWIGTYPE_p_TxGuard, sizeof(TxGuard));
%}

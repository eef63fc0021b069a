/* SPDX-License-Identifier: Apache-2.0 */
/* RxGuard: a message that is being read in place. */
%{
#include "rx_guard.c"
%}
OBJECT_TYPE(RxGuard, FINAL_TYPE, guard_traverse)
%feature("python:tp_clear") RxGuard "guard_clear";
%feature("python:tp_new") RxGuard "no_new";
%feature("python:tp_dealloc") RxGuard "rx_guard_dealloc";
%feature("python:tp_methods") RxGuard "rx_guard_methods";
%feature("python:tp_getset") RxGuard "rx_guard_getset";
%feature("python:tp_members") RxGuard "rx_guard_members";
%feature("python:bf_getbuffer") RxGuard "rx_guard_getbuffer";
%feature("python:bf_releasebuffer") RxGuard "rx_guard_releasebuffer";
%feature("docstring") RxGuard
"One received message: a read-only buffer of `actual_size` bytes in the ring itself.

Leaving the `with` block releases the message, also by an exception; while a view still
points into it, when that is gone. Until then no other message can be received.";
typedef struct {} RxGuard;
%init %{
    object_size(SWIGTYPE_p_RxGuard, sizeof(RxGuard));
%}

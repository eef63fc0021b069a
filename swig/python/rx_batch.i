/* SPDX-License-Identifier: Apache-2.0 */
/* RxBatchGuard: many messages at once; RxMsgView: one of them. */
%{
#include "rx_batch.c"
#include "dlpack.c"
#include "rx_msg_view.c"
%}
OBJECT_TYPE(RxBatchGuard, FINAL_TYPE, guard_traverse)
%feature("python:tp_clear") RxBatchGuard "guard_clear";
%feature("python:tp_new") RxBatchGuard "no_new";
%feature("python:tp_dealloc") RxBatchGuard "rx_batch_dealloc";
%feature("python:tp_methods") RxBatchGuard "rx_batch_methods";
%feature("python:sq_length") RxBatchGuard "rx_batch_length";
%feature("python:sq_item") RxBatchGuard "rx_batch_item";
%feature("python:tp_iter") RxBatchGuard "PySeqIter_New";
%feature("python:bf_getbuffer") RxBatchGuard "rx_batch_getbuffer";
%feature("python:bf_releasebuffer") RxBatchGuard "rx_batch_releasebuffer";
%feature("docstring") RxBatchGuard
"A batch of received messages, a sequence of RxMsgView.

Messages of one size are also a read-only buffer of shape (n, size), type uint8, in the
ring itself, also where they run over its end: memoryview(batch), np.asarray(batch), or
batch.array(dtype) with items of a dtype. Leaving the `with` block releases them all, or
raises BufferError while something still points to them.";
typedef struct {} RxBatchGuard;
%init %{
    object_size(SWIGTYPE_p_RxBatchGuard, sizeof(RxBatchGuard));
%}

OBJECT_TYPE(RxMsgView, FINAL_TYPE, rx_msg_view_traverse)
%feature("python:tp_new") RxMsgView "no_new";
%feature("python:tp_dealloc") RxMsgView "rx_msg_view_dealloc";
%feature("python:tp_methods") RxMsgView "rx_msg_view_methods";
%feature("python:tp_members") RxMsgView "rx_msg_view_members";
%feature("python:bf_getbuffer") RxMsgView "rx_msg_view_getbuffer";
%feature("python:bf_releasebuffer") RxMsgView "rx_msg_view_releasebuffer";
%feature("docstring") RxMsgView
"One message of a batch: a read-only buffer in the ring itself.";
typedef struct {} RxMsgView;
%init %{
    object_size(SWIGTYPE_p_RxMsgView, sizeof(RxMsgView));
%}

/* SPDX-License-Identifier: Apache-2.0 */
/* What python.i gives to the types of SWIG, and the methods that the tables name. */
#ifndef TACHYON_PYTHON_SLOTS_H
#define TACHYON_PYTHON_SLOTS_H

#include "messages.h"

/* ---- The module ---- */

int module_restore(PyObject *module); /* 1: it was imported before */
int module_init(PyObject *module);    /* after SWIG has made its types */
int refuse_subinterpreters(PyObject *module);
void types_init(void);
void frame_type_init(void);
int base_init(void);
int message_init(void);
int received_init(void);
void waiting_init(void);
int record_init(PyObject *module);
PyObject *direct_calls(PyObject *cls);
PyObject *define_record(PyObject *cls, PyObject *sizes, PyObject *rows);
PyObject *record_from(PyObject *cls, PyObject *data);

/* ---- Slots ---- */

PyObject *no_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int struct_traverse(PyObject *self, visitproc visit, void *arg);
void struct_dealloc(PyObject *self);

PyObject *low_bus_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
PyObject *low_rpc_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int low_init(PyObject *self, PyObject *args, PyObject *kwargs);
int low_traverse(PyObject *self, visitproc visit, void *arg);
void low_dealloc(PyObject *self);
PyObject *low_watch(PyObject *self, PyObject *unused);
PyObject *low_unwatch(PyObject *self, PyObject *unused);
PyObject *low_opening_cancel(PyObject *self, PyObject *unused);

int base_traverse(PyObject *self, visitproc visit, void *arg);
void base_dealloc(PyObject *self);
PyObject *bus_base_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
PyObject *bus_base_next(PyObject *self);
PyObject *rpc_base_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
extern PyMethodDef bus_base_methods[], rpc_base_methods[];
extern PyGetSetDef bus_base_getset[], rpc_base_getset[];

int guard_traverse(PyObject *self, visitproc visit, void *arg);
int guard_clear(PyObject *self);
void guard_dealloc(PyObject *self);
int guard_getbuffer(PyObject *self, Py_buffer *view, int flags);
void guard_releasebuffer(PyObject *self, Py_buffer *view);
PyObject *guard_get_buf(PyObject *self, void *unused);
extern PyMethodDef tx_guard_methods[], rx_guard_methods[], rpc_rx_methods[],
    rx_batch_methods[];
extern PyGetSetDef no_getset[], tx_guard_getset[], rx_guard_getset[], rpc_tx_getset[];
extern PyMemberDef no_members[], rx_guard_members[], rpc_tx_members[], rpc_rx_members[];

Py_ssize_t rx_batch_length(PyObject *self);
PyObject *rx_batch_item(PyObject *self, Py_ssize_t index);
int rx_batch_getbuffer(PyObject *self, Py_buffer *view, int flags);

int msg_view_traverse(PyObject *self, visitproc visit, void *arg);
int msg_view_clear(PyObject *self);
void msg_view_dealloc(PyObject *self);
int msg_view_getbuffer(PyObject *self, Py_buffer *view, int flags);
void msg_view_releasebuffer(PyObject *self, Py_buffer *view);
extern PyMethodDef msg_view_methods[];
extern PyMemberDef msg_view_members[];

int frame_traverse(PyObject *self, visitproc visit, void *arg);
int frame_clear(PyObject *self);
void frame_dealloc(PyObject *self);
int frame_getbuffer(PyObject *self, Py_buffer *view, int flags);
void frame_releasebuffer(PyObject *self, Py_buffer *view);
PyObject *frame_repr(PyObject *self);
extern PyMethodDef frame_methods[];
extern PyMemberDef frame_members[];
extern PyGetSetDef frame_getset[];

PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int channel_init(PyObject *self, PyObject *args, PyObject *kwargs);
int channel_traverse(PyObject *self, visitproc visit, void *arg);
void channel_dealloc(PyObject *self);
PyObject *channel_next(PyObject *self);
extern PyMethodDef channel_methods[];
extern PyMemberDef channel_members[];

PyObject *message_channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int message_channel_traverse(PyObject *self, visitproc visit, void *arg);
void message_channel_dealloc(PyObject *self);
PyObject *message_channel_next(PyObject *self);
extern PyMethodDef message_channel_methods[];

/* ---- Methods ---- */

METHOD(acquire_call);
METHOD(acquire_reply);
METHOD(acquire_rx);
METHOD(acquire_tx);
METHOD(call);
METHOD(call_zero_copy);
METHOD(count_waiting);
METHOD(dlpack);
METHOD(drain_batch);
METHOD(frame_dlpack);
METHOD(recv);
METHOD(recv_array);
METHOD(recv_array_zero_copy);
METHOD(recv_batch_into);
METHOD(recv_parts);
METHOD(recv_record);
METHOD(recv_zero_copy);
METHOD(reply);
METHOD(reply_zero_copy);
METHOD(send);
METHOD(send_array);
METHOD(send_batch);
METHOD(send_parts);
METHOD(send_zero_copy);
METHOD(serve);
METHOD(wait);
METHOD(wait_any);
PyObject *method_cancel(PyObject *self, PyObject *correlation_id);
PyObject *dlpack_device(PyObject *self, PyObject *unused);

#endif

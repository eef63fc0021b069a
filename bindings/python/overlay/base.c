/* SPDX-License-Identifier: Apache-2.0 */
/* What tachyon.Bus and tachyon.RpcBus are made of: BusBase, whose guards flush, and
   RpcBusBase. Each shares its struct with the low-level bus, whose guards do not. */
#include "slots.h"

/* ---- Methods ---- */

/* A thread that lets peers in has nothing more to do, and is waited for. */
static PyObject *joined(PyObject *self, PyObject *result) {
    PyObject *background = result ? PyObject_GetAttrString(self, "_background") : NULL;
    if (!background || background == Py_None) {
        if (result)
            PyErr_Clear(); /* a base has none */
        Py_XDECREF(background);
        return result;
    }
    PyObject *none = PyObject_CallMethod(background, "join", NULL);
    Py_DECREF(background);
    Py_DECREF(result);
    return none;
}

static PyObject *close_bus(PyObject *self, PyObject *unused) {
    (void)unused;
    return joined(self, end_close(end_of(self)));
}

static PyObject *abort_bus(PyObject *self, PyObject *unused) {
    (void)unused;
    return joined(self, end_abort(end_of(self)));
}

static PyObject *enter_bus(PyObject *self, PyObject *unused) {
    (void)unused;
    return end_of(self)->open ? Py_NewRef(self) : raise_not_open(end_of(self));
}

static PyObject *exit_bus(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    return joined(self, end_leave(end_of(self), exception_of(args, nargs)));
}

#define ENDING                                                                         \
    PLAIN("close", close_bus, METH_NOARGS), PLAIN("abort", abort_bus, METH_NOARGS),    \
        PLAIN("__enter__", enter_bus, METH_NOARGS),                                    \
        PLAIN("__exit__", exit_bus, METH_FASTCALL), {                                  \
        NULL, NULL, 0, NULL                                                            \
    }
#define RECEIVING                                                                      \
    FAST("wait", wait), FAST("wait_any", wait_any), FAST("serve", serve),              \
        PLAIN("cancel", method_cancel, METH_O)
#define WATCHING                                                                       \
    PLAIN("watch", low_watch, METH_NOARGS),                                            \
        PLAIN("unwatch", low_unwatch, METH_NOARGS),                                    \
        PLAIN("opening_cancel", low_opening_cancel, METH_NOARGS), {                    \
        NULL, NULL, 0, NULL                                                            \
    }

PyMethodDef bus_base_methods[] = {FAST("send", send),
                                  FAST("send_zero_copy", send_zero_copy),
                                  FAST("recv", recv),
                                  FAST("recv_zero_copy", recv_zero_copy),
                                  FAST("drain_batch", drain_batch),
                                  FAST("send_batch", send_batch),
                                  FAST("recv_batch_into", recv_batch_into),
                                  FAST("send_array", send_array),
                                  FAST("recv_array", recv_array),
                                  FAST("recv_array_zero_copy", recv_array_zero_copy),
                                  FAST("_send_parts", send_parts),
                                  FAST("_recv_parts", recv_parts),
                                  FAST("_count_waiting", count_waiting),
                                  FAST("_recv_record", recv_record),
                                  ENDING};

PyMethodDef rpc_base_methods[] = {FAST("call", call),
                                  FAST("reply", reply),
                                  FAST("call_zero_copy", call_zero_copy),
                                  FAST("reply_zero_copy", reply_zero_copy),
                                  RECEIVING,
                                  ENDING};

static PyMethodDef low_bus_methods[] = {FAST("acquire_tx", acquire_tx),
                                        FAST("acquire_rx", acquire_rx),
                                        FAST("drain_batch", drain_batch), WATCHING};

static PyMethodDef low_rpc_methods[] = {FAST("acquire_call", acquire_call),
                                        FAST("acquire_reply", acquire_reply), RECEIVING,
                                        WATCHING};

int base_init(void) {
    return add_methods(types.TachyonBus, low_bus_methods) < 0
               ? -1
               : add_methods(types.TachyonRpcBus, low_rpc_methods);
}

/* ---- The objects ---- */

/* An object of `type` round `low`, whose reference it takes over. */
static PyObject *base_new(PyTypeObject *type, swig_type_info *info, PyObject *low) {
    /* Not by tp_alloc: Python 3.12 would then look each method up in the slow way. */
    PyObject *nothing = PyTuple_New(0);
    SwigPyObject *object =
        low && nothing ? (SwigPyObject *)PyBaseObject_Type.tp_new(type, nothing, NULL)
                       : NULL;
    Py_XDECREF(nothing);
    if (!object) {
        Py_XDECREF(low);
        return NULL;
    }
    object->ptr = end_of(low);
    object->ty = info;
    return (PyObject *)object;
}

PyObject *bus_base_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return base_new(type, types.BusBase,
                    low_bus_new(type_of(types.TachyonBus), args, kwargs));
}

PyObject *rpc_base_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    return base_new(type, types.RpcBusBase,
                    low_rpc_new(type_of(types.TachyonRpcBus), args, kwargs));
}

int base_traverse(PyObject *self, visitproc visit, void *arg) {
    End *end = end_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(end ? end->self : NULL);
    return 0;
}

void base_dealloc(PyObject *self) {
    End *end = end_of(self);
    PyObject_GC_UnTrack(self);
    if (end)
        Py_DECREF(end->self);
    object_free(self);
}

static PyObject *get_low(PyObject *self, void *unused) {
    (void)unused;
    return Py_NewRef(end_of(self)->self);
}

PyGetSetDef bus_base_getset[] = {
    {"_bus", get_low, NULL, "The low-level TachyonBus of this bus.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
PyGetSetDef rpc_base_getset[] = {
    {"_rpc", get_low, NULL, "The low-level TachyonRpcBus of this bus.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

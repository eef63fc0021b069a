/* SPDX-License-Identifier: Apache-2.0 */
/* RxMsgView: one message of a batch. Its views count as views of the batch. */

typedef struct RxMsgView {
    SwigPyObject base;
    RxBatchGuard *batch;
    const void *data;
    size_t actual_size;
    uint32_t type_id;
} RxMsgView;

static PyObject *rx_batch_item(PyObject *self, Py_ssize_t index) {
    RxBatchGuard *batch = (RxBatchGuard *)self;
    TachyonBus *bus = bus_of(batch->guard.owner);
    if (index < 0 || index >= batch->count) {
        PyErr_SetString(PyExc_IndexError, "batch index out of range");
        return NULL;
    }
    if (batch->guard.state != GUARD_OPEN) {
        PyErr_SetString(TachyonError, "this batch was left; its messages are released");
        return NULL;
    }
    RxMsgView *view = object_new(&bus->msg_views, SWIGTYPE_p_RxMsgView);
    if (!view) {
        return NULL;
    }
    view->batch = (RxBatchGuard *)Py_NewRef(self);
    view->data = bus->views[index].ptr;
    view->actual_size = bus->views[index].actual_size;
    view->type_id = bus->views[index].type_id;
    return (PyObject *)view;
}

static int rx_msg_view_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((RxMsgView *)self)->batch);
    return 0;
}

static void rx_msg_view_dealloc(PyObject *self) {
    RxBatchGuard *batch = ((RxMsgView *)self)->batch;
    object_recycle(&bus_of(batch->guard.owner)->msg_views, self);
    Py_DECREF(batch); /* last: the pool is the bus's */
}

static int rx_msg_view_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    RxMsgView *message = (RxMsgView *)self;
    return guard_get_view(&message->batch->guard, self, view, message->data,
                          message->actual_size, true, flags);
}

static void rx_msg_view_releasebuffer(PyObject *self, Py_buffer *view) {
    (void)view;
    guard_release_view(&((RxMsgView *)self)->batch->guard);
}

static PyMemberDef rx_msg_view_members[] = {
    {"actual_size", T_PYSSIZET, offsetof(RxMsgView, actual_size), READONLY,
     "Size of the payload in bytes."},
    {"type_id", T_UINT, offsetof(RxMsgView, type_id), READONLY,
     "Type of the message, 0 to 2**32 - 1."},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef rx_msg_view_methods[] = {
    {"__dlpack__", (PyCFunction)(void (*)(void))dlpack_export,
     METH_FASTCALL | METH_KEYWORDS,
     "__dlpack__($self, /, *, stream=None, max_version=None, dl_device=None, "
     "copy=None)\n"
     "--\n\n"
     "The payload as a capsule of bytes, which holds the batch until it is dropped.\n\n"
     "max_version: (1, 0) or later for a capsule that says that it is read-only. "
     "Older\n"
     "    consumers cannot know and get a BufferError, unless copy is true.\n"
     "copy: True for memory of the consumer's own, which holds nothing.\n"
     "stream, dl_device: None, and None or (1, 0), the CPU; else BufferError."},
    {"__dlpack_device__", dlpack_device, METH_NOARGS, "The CPU: (1, 0)."},
    {NULL, NULL, 0, NULL},
};

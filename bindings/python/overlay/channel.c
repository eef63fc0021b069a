/* SPDX-License-Identifier: Apache-2.0 */
/* Typed channels: messages of one type and layout, packed and unpacked by the struct
   module. What runs once a message or a batch is here, the layouts are tachyon.layout. */
#include "channel.h"

/* A method of C that takes its arguments as they lie on the caller's stack. */
typedef PyObject *(*StackFunction)(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs);

/* struct.Struct.pack(), without the detour if it is what it has always been. */
static inline PyObject *pack(const ChannelBase *channel, PyObject *const *args,
                             Py_ssize_t nargs) {
    PyObject *method = channel->pack;
    if (PyCFunction_CheckExact(method) &&
        PyCFunction_GET_FLAGS(method) == METH_FASTCALL) {
        StackFunction function =
            (StackFunction)(void (*)(void))PyCFunction_GET_FUNCTION(method);
        return function(PyCFunction_GET_SELF(method), args, nargs);
    }
    return PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
}

static PyObject *refuse(const ChannelBase *channel) {
    PyErr_SetObject(PyExc_TypeError, channel->refusal);
    return NULL;
}

/* ---- One message ---- */

/* channel(*fields, timeout=None, block=True). Packed before the ring is touched: an
   argument's own conversion is free to use the bus. */
static PyObject *channel_call(PyObject *self, PyObject *const *args, size_t nargsf,
                              PyObject *kwnames) {
    static Signature signature = {.function = "channel",
                                  .count = 2,
                                  .name = {"timeout", "block"},
                                  .keyword_only = 2};
    ChannelBase *channel = (ChannelBase *)self;
    Py_ssize_t fields = PyVectorcall_NARGS(nargsf);
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    Patience patience = {.block = true, .timeout_ns = -1};
    if (kwnames && (bind_arguments(&signature, args + fields, 0, kwnames, bound) < 0 ||
                    parse_patience(bound[1], bound[0], &patience) < 0)) {
        return NULL;
    }
    if (!channel->pack)
        return refuse(channel);
    PyObject *data = pack(channel, args, fields);
    if (!data)
        return NULL;
    if (!PyBytes_CheckExact(data)) {
        PyErr_Format(PyExc_TypeError, "the channel's packer gave %s, not bytes",
                     Py_TYPE(data)->tp_name);
        Py_DECREF(data);
        return NULL;
    }
    SendCall call; /* without an initialiser: that of its view would take longer */
    call.type_id = channel->type_id;
    call.payload.data = PyBytes_AS_STRING(data);
    call.payload.size = (size_t)PyBytes_GET_SIZE(data);
    int sent = send_by(end_of(channel->bus), attempt_send, &call, &patience);
    Py_DECREF(data);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *channel_receive(ChannelBase *channel, PyObject *timeout) {
    End *end = end_of(channel->bus);
    RxCall next = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    Wanted wanted = wanted_of(channel);
    if (!channel->unpack)
        return refuse(channel);
    if (await_wanted(end, &next, &wanted, timeout) < 0)
        return NULL;
    PyObject *data = PyBytes_FromStringAndSize(next.data, (Py_ssize_t)next.size);
    if (!data)
        return NULL; /* not committed: the message comes again */
    PyObject *fields = release_message(end) == TACHYON_SUCCESS
                           ? PyObject_CallOneArg(channel->unpack, data)
                           : raise_last(); /* LAGGED: the copy is worth nothing */
    Py_DECREF(data);
    return fields;
}

static METHOD(channel_recv) {
    BIND("recv", 0, 1, 0, {"timeout"});
    return channel_receive((ChannelBase *)self, bound[0]);
}

/* tp_iternext: ends with the stream. */
PyObject *channel_next(PyObject *self) {
    ChannelBase *channel = (ChannelBase *)self;
    PyObject *fields = channel_receive(channel, NULL);
    return next_or_end(end_of(channel->bus), fields);
}

/* ---- Arrays ---- */

static PyObject *item_shape(const Py_buffer *view) {
    PyObject *shape = PyTuple_New(view->ndim - 1);
    for (int i = 1; shape && i < view->ndim; ++i) {
        PyObject *length = PyLong_FromSsize_t(view->shape[i]);
        if (!length)
            Py_CLEAR(shape);
        else
            PyTuple_SET_ITEM(shape, i - 1, length);
    }
    return shape;
}

static const char *format_of(const Py_buffer *view) {
    return view->format ? view->format : "B";
}

/* Whether a buffer's bytes are to be taken as they are: it says of them nothing else.
 */
static bool is_raw(const Py_buffer *view) {
    const char *format = format_of(view);
    return view->itemsize == 1 &&
           (!strcmp(format, "B") || !strcmp(format, "c") || !strcmp(format, "<c"));
}

static bool is_known(const ChannelBase *channel, PyObject *dtype,
                     const Py_buffer *view) {
    if (dtype)
        return dtype == channel->known;
    return is_raw(view) ||
           (channel->known && PyUnicode_Check(channel->known) &&
            PyUnicode_CompareWithASCIIString(channel->known, format_of(view)) == 0);
}

/* Are the items of an array laid out as the channel's? The class in Python compares
   those that are not known yet, by their dtype or by what their format means. */
static int check_layout(ChannelBase *channel, PyObject *array, const Py_buffer *view) {
    PyObject *dtype = PyObject_GetAttrString(array, "dtype");
    if (!dtype && !PyErr_ExceptionMatches(PyExc_AttributeError))
        return -1;
    PyErr_Clear();
    if (is_known(channel, dtype, view)) {
        Py_XDECREF(dtype);
        return 0;
    }
    PyObject *known =
        PyObject_CallMethod((PyObject *)channel, "_check_items", "OOsN", array,
                            dtype ? dtype : Py_None, format_of(view), item_shape(view));
    if (known && known != Py_None) /* a dtype or a format, which from now on is */
        Py_XSETREF(channel->known, Py_NewRef(known));
    Py_XDECREF(known);
    Py_XDECREF(dtype);
    return known ? 0 : -1;
}

static int channel_items(ChannelBase *channel, PyObject *array, bool writable,
                         Items *items) {
    if (items_get(array, writable, items) < 0)
        return -1;
    if (check_layout(channel, array, &items->view) == 0) {
        if (items->item_size == (size_t)channel->size)
            return 0;
        PyErr_Format(PyExc_TypeError,
                     "the array's items have %zu bytes, the messages of the channel of "
                     "%R have %zd; bytes of n messages are memoryview(data).cast('B', "
                     "(n, %zd))",
                     items->item_size, channel->layout, channel->size, channel->size);
    }
    PyBuffer_Release(&items->view);
    return -1;
}

METHOD(channel_send_batch) {
    BIND("send_batch", 1, 3, 0, {"array", "timeout", "block"});
    ChannelBase *channel = (ChannelBase *)self;
    Patience patience;
    Items items;
    if (parse_patience(bound[2], bound[1], &patience) < 0 ||
        channel_items(channel, bound[0], false, &items) < 0) {
        return NULL;
    }
    PyObject *sent =
        send_array(end_of(channel->bus), &items, channel->type_id, &patience);
    PyBuffer_Release(&items.view);
    return sent;
}

METHOD(channel_recv_batch_into) {
    BIND("recv_batch_into", 1, 2, 0, {"array", "timeout"});
    ChannelBase *channel = (ChannelBase *)self;
    Wanted wanted = {.size = (size_t)channel->size, .type_id = channel->type_id};
    Items items;
    if (channel_items(channel, bound[0], true, &items) < 0) {
        return NULL;
    }
    PyObject *received = recv_array(end_of(channel->bus), &items, &wanted, bound[1]);
    PyBuffer_Release(&items.view);
    return received;
}

/* drain_batch() of the bus, up to the first message that is not the channel's. */
METHOD(channel_drain) {
    BIND("_drain", 0, 3, 0, {"max_msgs", "spin_threshold", "timeout"});
    ChannelBase *channel = (ChannelBase *)self;
    End *end = end_of(channel->bus);
    RxBatchGuard *batch =
        (RxBatchGuard *)drain_batch(end, bound[0], bound[1], bound[2]);
    if (!batch)
        return NULL;
    const tachyon_msg_view_t *views = end->views;
    Wanted wanted = wanted_of(channel);
    Py_ssize_t count = 0;
    if (is_wanted(&wanted, views[0].actual_size, views[0].type_id)) {
        wanted.size = views[0].actual_size; /* all of one size */
        wanted.more = 0;
    }
    while (count < batch->count &&
           is_wanted(&wanted, views[count].actual_size, views[count].type_id)) {
        ++count;
    }
    if (count == 0) {
        guard_end(&batch->guard); /* nothing is released: the messages come again */
        Py_DECREF(batch);
        raise_unexpected(&wanted, views[0].actual_size, views[0].type_id);
        return NULL;
    }
    if (count < batch->count) { /* hand out the first of them only */
        batch->count = (Py_ssize_t)tachyon_acquire_rx_batch(end->handle, end->views,
                                                            (size_t)count);
    }
    return (PyObject *)batch;
}

/* ---- The object ---- */

/* ChannelBase(end, type_id, layout, size, packer); the packer is a struct.Struct, or
   the text that says why there is none. */
PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *bus, *type_id, *layout, *packer;
    Py_ssize_t size;
    uint32_t id = 0;
    if (kwargs && PyDict_GET_SIZE(kwargs) != 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", type->tp_name);
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O!OOnO:ChannelBase", type_of(types.BusBase), &bus,
                          &type_id, &layout, &size, &packer) ||
        parse_u32(type_id, "type_id", &id) < 0) {
        return NULL;
    }
    ChannelBase *channel = (ChannelBase *)type->tp_alloc(type, 0);
    if (!channel)
        return NULL;
    channel_set(channel, types.ChannelBase, channel_call, bus, layout);
    channel->size = channel->smallest = size;
    channel->type_id = id;
    if (PyUnicode_Check(packer)) {
        channel->refusal = Py_NewRef(packer);
    } else if (!(channel->pack = PyObject_GetAttrString(packer, "pack")) ||
               !(channel->unpack = PyObject_GetAttrString(packer, "unpack"))) {
        Py_CLEAR(channel);
    }
    return (PyObject *)channel;
}

int channel_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    (void)self;
    (void)args;
    (void)kwargs;
    return 0; /* all is done by channel_new() */
}

int channel_traverse(PyObject *self, visitproc visit, void *arg) {
    ChannelBase *channel = (ChannelBase *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(channel->bus);
    Py_VISIT(channel->layout);
    Py_VISIT(channel->known);
    Py_VISIT(channel->pack);
    Py_VISIT(channel->unpack);
    Py_VISIT(channel->refusal);
    return 0;
}

void channel_dealloc(PyObject *self) {
    ChannelBase *channel = (ChannelBase *)self;
    PyObject_GC_UnTrack(self);
    Py_XDECREF(channel->bus);
    Py_XDECREF(channel->layout);
    Py_XDECREF(channel->known);
    Py_XDECREF(channel->pack);
    Py_XDECREF(channel->unpack);
    Py_XDECREF(channel->refusal);
    object_free(self);
}

/* SWIG makes its types without room for what follows its own fields. */
void types_init(void) {
    struct {
        swig_type_info *info;
        size_t size;
    } sizes[] = {{types.TxGuard, sizeof(TxGuard)},
                 {types.RpcTxGuard, sizeof(TxGuard)},
                 {types.RxGuard, sizeof(Guard)},
                 {types.RpcRxGuard, sizeof(Guard)},
                 {types.RxBatchGuard, sizeof(RxBatchGuard)},
                 {types.RxMsgView, sizeof(RxMsgView)},
                 {types.ChannelBase, sizeof(ChannelBase)},
                 {types.MessageChannelBase, sizeof(MessageChannel)}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i)
        type_of(sizes[i].info)->tp_basicsize = (Py_ssize_t)sizes[i].size;
    PyTypeObject *channels[] = {type_of(types.ChannelBase),
                                type_of(types.MessageChannelBase)};
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; ++i) {
        channels[i]->tp_vectorcall_offset = offsetof(ChannelBase, vectorcall);
        channels[i]->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
    }
}

PyMemberDef channel_members[] = {
    {"bus", T_OBJECT, offsetof(ChannelBase, bus), READONLY,
     "The Bus that its messages go over."},
    {"layout", T_OBJECT, offsetof(ChannelBase, layout), READONLY,
     "What it was made from: a NumPy dtype, or a struct format."},
    {"size", T_PYSSIZET, offsetof(ChannelBase, size), READONLY,
     "Bytes of each message."},
    {"type_id", T_UINT, offsetof(ChannelBase, type_id), READONLY,
     "Type of its messages."},
    {NULL, 0, 0, 0, NULL},
};

PyMethodDef channel_methods[] = {FAST("recv", channel_recv),
                                 FAST("send_batch", channel_send_batch),
                                 FAST("recv_batch_into", channel_recv_batch_into),
                                 FAST("_drain", channel_drain),
                                 {NULL, NULL, 0, NULL}};

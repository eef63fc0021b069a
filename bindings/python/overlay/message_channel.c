/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of message classes: fields go straight between Python's values and bytes. */
#include "channel.h"

/* Messages up to this are made on the stack before they are sent. */
enum { ON_THE_STACK = 512 };

static int send_bytes(const MessageChannel *channel, const void *data,
                      const Patience *patience) {
    SendCall call;
    call.type_id = channel->channel.type_id;
    call.payload.data = data;
    call.payload.size = (size_t)channel->channel.size;
    return send_copy_by(end_of(channel->channel.bus), attempt_send, &call,
                        call.payload.size, patience);
}

/* channel(*values, timeout=None, block=True, **fields). The message is made before the
   ring is touched: an argument's own conversion is free to use the bus. */
static PyObject *message_channel_call(PyObject *self, PyObject *const *args,
                                      size_t nargsf, PyObject *kwnames) {
    const MessageChannel *channel = (MessageChannel *)self;
    unsigned char room[ON_THE_STACK], *data = room;
    PyObject *others[] = {NULL, NULL};
    Patience patience = {.block = true, .timeout_ns = -1};
    if (channel->channel.size > ON_THE_STACK &&
        !(data = PyMem_Malloc((size_t)channel->channel.size)))
        return PyErr_NoMemory();
    int sent = record_fill(channel->messages, data, args, PyVectorcall_NARGS(nargsf),
                           kwnames, others);
    if (sent == 0 && (others[0] || others[1]))
        sent = parse_patience(others[1], others[0], &patience);
    if (sent == 0)
        sent = send_bytes(channel, data, &patience);
    if (data != room)
        PyMem_Free(data);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

static METHOD(message_channel_send) {
    BIND("send", 0, 2, 0, {"timeout", "block"});
    const MessageChannel *channel = (MessageChannel *)self;
    Patience patience;
    if (parse_patience(bound[1], bound[0], &patience) < 0)
        return NULL;
    TxGuard *tx =
        reserve_message(end_of(channel->channel.bus), (size_t)channel->channel.size,
                        channel->channel.type_id, &patience);
    return tx ? record_in_slot((PyTypeObject *)channel->channel.layout,
                               channel->messages, tx)
              : NULL;
}

typedef struct CopyRecord {
    const RxCall *from;
    Record *into;
} CopyRecord;

static inline bool attempt_copy(End *end, void *context, int64_t timeout_ns) {
    const CopyRecord *call = context;
    (void)end;
    (void)timeout_ns;
    record_take(call->into, call->from->data, call->from->size);
    return true;
}

static PyObject *take(End *end, const RxCall *next, PyObject *cls, Layout *layout) {
    Record *record = record_allocate((PyTypeObject *)cls, layout, RECORD_COPY);
    CopyRecord copy = {next, record};
    if (record && copy_out(end, attempt_copy, &copy, (size_t)layout->size) < 0)
        Py_CLEAR(record);      /* LAGGED: the copy is worth nothing */
    return (PyObject *)record; /* NULL for want of memory: the message comes again */
}

static PyObject *receive(const MessageChannel *channel, PyObject *timeout) {
    End *end = end_of(channel->channel.bus);
    RxCall next = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    Wanted wanted = wanted_of(&channel->channel);
    if (await_wanted(end, &next, &wanted, timeout) < 0)
        return NULL;
    return take(end, &next, channel->channel.layout, channel->messages);
}

static METHOD(message_channel_recv) {
    BIND("recv", 0, 1, 0, {"timeout"});
    return receive((MessageChannel *)self, bound[0]);
}

/* tp_iternext: ends with the stream. */
PyObject *message_channel_next(PyObject *self) {
    const MessageChannel *channel = (MessageChannel *)self;
    return next_or_end(end_of(channel->channel.bus), receive(channel, NULL));
}

/* ---- Messages of several classes ---- */

/* How many bytes a message may have beyond the smallest. */
static size_t more_of(const Layout *layout) {
    return layout->grows ? SIZE_MAX - (size_t)layout->smallest
                         : (size_t)(layout->size - layout->smallest);
}

static PyObject *raise_of_none(const RxCall *next) {
    raise_unexpected_message(
        PyUnicode_FromFormat("the next message is of type_id %u and %zu bytes, and of "
                             "none of the classes; it stays in the ring",
                             next->type_id, next->size),
        next->type_id, next->size);
    return NULL;
}

static PyObject *take_as(End *end, const RxCall *next, PyObject *cls) {
    Layout *layout = layout_of(cls);
    if (!layout)
        return NULL;
    Wanted wanted = {.size = (size_t)layout->smallest,
                     .more = more_of(layout),
                     .type_id = next->type_id};
    if (is_wanted(&wanted, next->size, next->type_id))
        return take(end, next, cls, layout);
    raise_unexpected(&wanted, next->size, next->type_id);
    return NULL;
}

/* bus._recv_record(classes, timeout=None): of the class that a dict has of its type_id. */
METHOD(recv_record) {
    BIND("_recv_record", 1, 2, 0, {"classes", "timeout"});
    End *end = end_of(self);
    RxCall next = {.spin_threshold = TACHYON_DEFAULT_SPIN};
    if (receive_next(end, &next, bound[1], false) < 0)
        return NULL;
    PyObject *type_id = PyLong_FromUnsignedLong(next.type_id);
    PyObject *cls =
        type_id ? Py_XNewRef(PyDict_GetItemWithError(bound[0], type_id)) : NULL;
    Py_XDECREF(type_id);
    if (!cls)
        return PyErr_Occurred() ? NULL : raise_of_none(&next);
    PyObject *record = NULL;
    if (end->open)
        record = take_as(end, &next, cls);
    else
        raise_closed_meanwhile(); /* by a key, asked whether it is equal */
    Py_DECREF(cls);
    return record;
}

/* ---- The object ---- */

/* MessageChannelBase(bus, cls) */
PyObject *message_channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *bus, *cls;
    if (kwargs && PyDict_GET_SIZE(kwargs) != 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", type->tp_name);
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O!O:MessageChannelBase", type_of(types.BusBase), &bus,
                          &cls))
        return NULL;
    Layout *layout = layout_of(cls);
    Py_XINCREF(layout); /* now: an allocation may collect, which may do anything */
    MessageChannel *channel =
        layout ? (MessageChannel *)(void *)type->tp_alloc(type, 0) : NULL;
    if (!channel) {
        Py_XDECREF(layout);
        return NULL;
    }
    ChannelBase *base = &channel->channel;
    channel_set(base, types.MessageChannelBase, message_channel_call, bus, cls);
    channel->messages = layout;
    base->size = layout->size;
    base->smallest = layout->smallest;
    base->more = more_of(layout);
    base->type_id = layout->type_id;
    return (PyObject *)channel;
}

int message_channel_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((MessageChannel *)self)->messages);
    return channel_traverse(self, visit, arg);
}

void message_channel_dealloc(PyObject *self) {
    Layout *layout = ((MessageChannel *)self)->messages;
    channel_dealloc(self);
    Py_XDECREF(layout);
}

PyMethodDef message_channel_methods[] = {
    FAST("send", message_channel_send),
    FAST("recv", message_channel_recv),
    FAST("send_batch", channel_send_batch),
    FAST("recv_batch_into", channel_recv_batch_into),
    FAST("_drain", channel_drain),
    PLAIN("__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS),
    {NULL, NULL, 0, NULL}};

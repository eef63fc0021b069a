/* SPDX-License-Identifier: Apache-2.0 */
/* Typed channels: messages of one type and layout, packed and unpacked by the struct
   module. What runs once a message or a batch is here, the layouts are tachyon.layout.
 */

/* A method of C that takes its arguments as they lie on the caller's stack. */
typedef PyObject *(*StackFunction)(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs);

typedef struct ChannelBase {
    SwigPyObject base;
    vectorcallfunc vectorcall;
    PyObject *bus;
    PyObject *layout; /* as the user gave it: a dtype, or a format */
    PyObject *known;  /* dtype of an array or format of a buffer that fits, if any */
    PyObject *pack; /* of a struct.Struct; NULL where that cannot express the layout */
    PyObject *unpack;
    PyObject *refusal; /* and then why not */
    Py_ssize_t size;
    uint32_t type_id;
} ChannelBase;

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

static Wanted wanted_of(const ChannelBase *channel) {
    return (Wanted){.size = (size_t)channel->size, .type_id = channel->type_id};
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
    if (!channel->pack) {
        return refuse(channel);
    }
    PyObject *data = pack(channel, args, fields);
    if (!data) {
        return NULL;
    }
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
    int sent = send_by(bus_of(channel->bus), attempt_send, &call, &patience);
    Py_DECREF(data);
    return sent < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *channel_receive(ChannelBase *channel, PyObject *timeout) {
    TachyonBus *bus = bus_of(channel->bus);
    RxCall next = {.spin_threshold = DEFAULT_SPIN};
    Wanted wanted = wanted_of(channel);
    if (!channel->unpack) {
        return refuse(channel);
    }
    if (await_wanted(bus, &next, &wanted, timeout) < 0) {
        return NULL;
    }
    PyObject *data = PyBytes_FromStringAndSize(next.data, (Py_ssize_t)next.size);
    if (!data) {
        return NULL; /* not committed: the message comes again */
    }
    tachyon_commit_rx(bus->handle);
    PyObject *fields = PyObject_CallOneArg(channel->unpack, data);
    Py_DECREF(data);
    return fields;
}

static PyObject *channel_recv(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames) {
    static Signature signature = {"recv", 0, 1, {"timeout"}, {NULL}};
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    return bind_arguments(&signature, args, nargs, kwnames, bound) < 0
               ? NULL
               : channel_receive((ChannelBase *)self, bound[0]);
}

/* tp_iternext: ends with the stream. */
static PyObject *channel_next(PyObject *self) {
    ChannelBase *channel = (ChannelBase *)self;
    PyObject *fields = channel_receive(channel, NULL);
    if (!fields && bus_of(channel->bus)->open && PyErr_ExceptionMatches(ClosedError)) {
        PyErr_Clear();
    }
    return fields;
}

/* ---- Arrays ---- */

static PyObject *item_shape(const Py_buffer *view) {
    PyObject *shape = PyTuple_New(view->ndim - 1);
    for (int i = 1; shape && i < view->ndim; ++i) {
        PyObject *length = PyLong_FromSsize_t(view->shape[i]);
        if (!length) {
            Py_CLEAR(shape);
        } else {
            PyTuple_SET_ITEM(shape, i - 1, length);
        }
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
    if (dtype) {
        return dtype == channel->known;
    }
    return is_raw(view) ||
           (channel->known && PyUnicode_Check(channel->known) &&
            PyUnicode_CompareWithASCIIString(channel->known, format_of(view)) == 0);
}

/* Are the items of an array laid out as the channel's? The class in Python compares
   those that are not known yet, by their dtype or by what their format means. */
static int check_layout(ChannelBase *channel, PyObject *array, const Py_buffer *view) {
    PyObject *dtype = PyObject_GetAttrString(array, "dtype");
    if (!dtype && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return -1;
    }
    PyErr_Clear();
    if (is_known(channel, dtype, view)) {
        Py_XDECREF(dtype);
        return 0;
    }
    PyObject *known =
        PyObject_CallMethod((PyObject *)channel, "_check_items", "OOsN", array,
                            dtype ? dtype : Py_None, format_of(view), item_shape(view));
    if (known && known != Py_None) { /* a dtype or a format, which from now on is */
        Py_XSETREF(channel->known, Py_NewRef(known));
    }
    Py_XDECREF(known);
    Py_XDECREF(dtype);
    return known ? 0 : -1;
}

static int channel_items(ChannelBase *channel, PyObject *array, bool writable,
                         Items *items) {
    if (items_get(array, writable, items) < 0) {
        return -1;
    }
    if (check_layout(channel, array, &items->view) == 0) {
        if (items->item_size == (size_t)channel->size) {
            return 0;
        }
        PyErr_Format(PyExc_TypeError,
                     "the array's items have %zu bytes, the messages of the channel of "
                     "%R have %zd; bytes of n messages are memoryview(data).cast('B', "
                     "(n, %zd))",
                     items->item_size, channel->layout, channel->size, channel->size);
    }
    PyBuffer_Release(&items->view);
    return -1;
}

static PyObject *channel_send_batch(PyObject *self, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "send_batch", 1, 3, {"array", "timeout", "block"}, {NULL}};
    ChannelBase *channel = (ChannelBase *)self;
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    Patience patience;
    Items items;
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0 ||
        parse_patience(bound[2], bound[1], &patience) < 0 ||
        channel_items(channel, bound[0], false, &items) < 0) {
        return NULL;
    }
    PyObject *sent =
        send_array(bus_of(channel->bus), &items, channel->type_id, &patience);
    PyBuffer_Release(&items.view);
    return sent;
}

static PyObject *channel_recv_batch_into(PyObject *self, PyObject *const *args,
                                         Py_ssize_t nargs, PyObject *kwnames) {
    static Signature signature = {
        "recv_batch_into", 1, 2, {"array", "timeout"}, {NULL}};
    ChannelBase *channel = (ChannelBase *)self;
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    Wanted wanted = wanted_of(channel);
    Items items;
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0 ||
        channel_items(channel, bound[0], true, &items) < 0) {
        return NULL;
    }
    PyObject *received = recv_array(bus_of(channel->bus), &items, &wanted, bound[1]);
    PyBuffer_Release(&items.view);
    return received;
}

/* drain_batch() of the bus, up to the first message that is not the channel's. */
static PyObject *channel_drain(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames) {
    static Signature signature = {
        "_drain", 0, 3, {"max_msgs", "spin_threshold", "timeout"}, {NULL}};
    ChannelBase *channel = (ChannelBase *)self;
    TachyonBus *bus = bus_of(channel->bus);
    PyObject *bound[MAX_PARAMETERS] = {NULL};
    if (bind_arguments(&signature, args, nargs, kwnames, bound) < 0) {
        return NULL;
    }
    RxBatchGuard *batch =
        (RxBatchGuard *)drain_batch(bus, bound[0], bound[1], bound[2]);
    if (!batch) {
        return NULL;
    }
    const tachyon_msg_view_t *views = bus->views;
    Wanted wanted = wanted_of(channel);
    Py_ssize_t count = 0;
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
        batch->count = (Py_ssize_t)tachyon_acquire_rx_batch(bus->handle, bus->views,
                                                            (size_t)count);
    }
    return (PyObject *)batch;
}

/* ---- The object ---- */

/* ChannelBase(bus, type_id, layout, size, packer); the packer is a struct.Struct, or
   the text that says why there is none. */
static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *bus, *type_id, *layout, *packer;
    Py_ssize_t size;
    uint32_t id = 0;
    if (kwargs && PyDict_GET_SIZE(kwargs) != 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no keyword arguments", type->tp_name);
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "O!OOnO:ChannelBase", type_of(SWIGTYPE_p_BusBase), &bus,
                          &type_id, &layout, &size, &packer) ||
        parse_u32(type_id, "type_id", &id) < 0) {
        return NULL;
    }
    ChannelBase *channel = (ChannelBase *)type->tp_alloc(type, 0);
    if (!channel) {
        return NULL;
    }
    channel->base.ptr = channel;
    channel->base.ty = SWIGTYPE_p_ChannelBase;
    channel->vectorcall = channel_call;
    channel->bus = Py_NewRef(bus);
    channel->layout = Py_NewRef(layout);
    channel->size = size;
    channel->type_id = id;
    if (PyUnicode_Check(packer)) {
        channel->refusal = Py_NewRef(packer);
    } else if (!(channel->pack = PyObject_GetAttrString(packer, "pack")) ||
               !(channel->unpack = PyObject_GetAttrString(packer, "unpack"))) {
        Py_CLEAR(channel);
    }
    return (PyObject *)channel;
}

static int channel_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    (void)self;
    (void)args;
    (void)kwargs;
    return 0; /* all is done by channel_new() */
}

static int channel_traverse(PyObject *self, visitproc visit, void *arg) {
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

static void channel_dealloc(PyObject *self) {
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

static void channel_module_init(void) {
    PyTypeObject *type = type_of(SWIGTYPE_p_ChannelBase);
    object_size(SWIGTYPE_p_ChannelBase, sizeof(ChannelBase));
    type->tp_vectorcall_offset = offsetof(ChannelBase, vectorcall);
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
}

static PyMemberDef channel_members[] = {
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

static PyMethodDef channel_methods[] = {
    {"recv", (PyCFunction)(void (*)(void))channel_recv, METH_FASTCALL | METH_KEYWORDS,
     "recv($self, /, timeout=None)\n--\n\n"
     "Wait for one message and return its fields as a tuple.\n\n"
     "timeout: seconds; None waits for ever. UnexpectedMessage when the next message\n"
     "has another type or size; it stays, and bus.recv() takes it. Otherwise fails\n"
     "as Bus.recv(). Iterating does the same until the stream has ended."},
    {"send_batch", (PyCFunction)(void (*)(void))channel_send_batch,
     METH_FASTCALL | METH_KEYWORDS,
     "send_batch($self, /, array, timeout=None, block=True)\n--\n\n"
     "Send an array, one message for each item; return how many were sent.\n\n"
     "As Bus.send_batch(). TypeError when an array has another dtype than the "
     "channel,\n"
     "or another buffer a format that means something else: 'l' and '<q' may be the\n"
     "same, 'd' and '>d' are not. Bytes of shape (n, size) go as they are."},
    {"recv_batch_into", (PyCFunction)(void (*)(void))channel_recv_batch_into,
     METH_FASTCALL | METH_KEYWORDS,
     "recv_batch_into($self, /, array, timeout=None)\n--\n\n"
     "Wait for a message, then copy what is there into an array; return how many.\n\n"
     "As Bus.recv_batch_into() with the channel's type_id. TypeError as for\n"
     "send_batch()."},
    {"_drain", (PyCFunction)(void (*)(void))channel_drain,
     METH_FASTCALL | METH_KEYWORDS,
     "_drain($self, /, max_msgs=1024, spin_threshold=10000, timeout=None)\n--\n\n"
     "Bus.drain_batch() of the channel's messages."},
    {NULL, NULL, 0, NULL},
};

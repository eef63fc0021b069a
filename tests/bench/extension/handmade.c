/* SPDX-License-Identifier: Apache-2.0 */
/* The lower bound of the Python package: tachyon.h wrapped by hand in as few steps as
   CPython allows. It has what runs once a message and nothing else, yet takes nothing
   away from that: a closed bus, a second guard, a view that outlives its guard and a
   thread that waits are all noticed, and waiting gives the interpreter away. */
#include "handmade.h"

#include <structmember.h>

struct Guard {
    PyObject ob_base;
    Bus *bus;
    void *slot;
    size_t reserved;
    size_t actual_size;
    uint32_t type_id;
    bool open;
    Py_ssize_t views;
};

static PyTypeObject Guard_Type, Message_Type;

/* ---- Calls into the core ---- */

void *raise_last(void) {
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_RuntimeError, tachyon_last_error_message());
    }
    return NULL;
}

bool may_use(const Bus *bus) {
    if (bus->handle && !bus->guard && !bus->waiting) {
        return true;
    }
    PyErr_SetString(PyExc_RuntimeError, !bus->handle ? "the bus is closed"
                                        : bus->guard ? "a guard is still open"
                                                     : "another thread is waiting");
    return false;
}

/* A message that is sent or received; `slot` is what the core has answered. */
typedef struct Call {
    const void *slot;
    size_t size;
    uint32_t type_id;
    bool receive;
} Call;

static bool attempt(Bus *bus, Call *call, int64_t timeout_ns) {
    call->slot =
        call->receive
            ? tachyon_acquire_rx_timed(bus->handle, &call->type_id, &call->size, SPINS,
                                       timeout_ns)
            : tachyon_acquire_tx_timed(bus->handle, call->size, SPINS, timeout_ns);
    return call->slot != NULL;
}

/* The first look has found nothing. */
static bool wait_for(Bus *bus, Call *call) {
    tachyon_error_t error = tachyon_last_error();
    bool done = false;
    if (error != TACHYON_ERR_FULL && error != TACHYON_ERR_EMPTY) {
        return false;
    }
    bus->waiting = true;
    do {
        PyThreadState *thread = PyEval_SaveThread();
        done = attempt(bus, call, -1);
        PyEval_RestoreThread(thread);
    } while (!done && tachyon_last_error() == TACHYON_ERR_INTERRUPTED &&
             PyErr_CheckSignals() == 0);
    bus->waiting = false;
    return done;
}

/* ---- Arguments ---- */

static PyObject *name_of_data, *name_of_size, *name_of_type_id;

/* `first`, and a type_id that is 0 when it is not given. */
static bool parse(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                  PyObject *name_of_first, PyObject **first, uint32_t *type_id) {
    PyObject *type = nargs > 1 ? args[1] : NULL;
    *first = nargs > 0 ? args[0] : NULL;
    Py_ssize_t keywords = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < keywords; ++i) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, i); /* interned, as ours are */
        PyObject **place = keyword == name_of_type_id ? &type
                           : keyword == name_of_first ? first
                                                      : NULL;
        if (!place || *place) {
            PyErr_Format(PyExc_TypeError, "unexpected argument '%U'", keyword);
            return false;
        }
        *place = args[nargs + i];
    }
    if (!*first || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "takes %U and type_id", name_of_first);
        return false;
    }
    *type_id = 0;
    if (type) {
        unsigned long value = PyLong_AsUnsignedLong(type);
        if (value > UINT32_MAX) {
            if (!PyErr_Occurred()) {
                PyErr_Format(PyExc_ValueError, "type_id %R has over 32 bits", type);
            }
            return false;
        }
        *type_id = (uint32_t)value;
    }
    return true;
}

/* ---- Sending ---- */

static PyObject *bus_send(Bus *bus, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames) {
    PyObject *data;
    Call call = {.receive = false};
    Py_buffer view = {.obj = NULL};
    const void *bytes;
    if (!parse(args, nargs, kwnames, name_of_data, &data, &call.type_id)) {
        return NULL;
    }
    if (PyBytes_CheckExact(data)) {
        bytes = PyBytes_AS_STRING(data);
        call.size = (size_t)PyBytes_GET_SIZE(data);
    } else if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) == 0) {
        bytes = view.buf;
        call.size = (size_t)view.len;
    } else {
        return NULL;
    }
    bool sent = may_use(bus) &&
                (tachyon_send(bus->handle, bytes, call.size, call.type_id, SPINS, 0) ==
                     TACHYON_SUCCESS ||
                 (wait_for(bus, &call) &&
                  tachyon_send(bus->handle, bytes, call.size, call.type_id, SPINS, 0) ==
                      TACHYON_SUCCESS));
    if (view.obj) {
        PyBuffer_Release(&view);
    }
    return sent ? Py_NewRef(Py_None) : raise_last();
}

static PyObject *bus_send_zero_copy(Bus *bus, PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *kwnames) {
    PyObject *size;
    Call call = {.receive = false};
    if (!parse(args, nargs, kwnames, name_of_size, &size, &call.type_id)) {
        return NULL;
    }
    call.size = PyLong_AsSize_t(size);
    if ((call.size == (size_t)-1 && PyErr_Occurred()) || !may_use(bus)) {
        return NULL;
    }
    if (!attempt(bus, &call, 0) && !wait_for(bus, &call)) {
        return raise_last();
    }
    Guard *guard =
        bus->spares > 0 ? bus->spare[--bus->spares] : PyObject_Malloc(sizeof *guard);
    if (!guard) {
        tachyon_rollback_tx(bus->handle);
        return PyErr_NoMemory();
    }
    PyObject_Init((PyObject *)guard, &Guard_Type);
    guard->bus = (Bus *)Py_NewRef(bus);
    guard->slot = (void *)(uintptr_t)call.slot;
    guard->reserved = call.size;
    guard->actual_size = 0;
    guard->type_id = call.type_id;
    guard->open = true;
    guard->views = 0;
    bus->guard = guard;
    return (PyObject *)guard;
}

/* ---- The guard ---- */

static PyObject *guard_enter(Guard *guard, PyObject *unused) {
    (void)unused;
    if (!guard->open) {
        PyErr_SetString(PyExc_RuntimeError, "this guard was left already");
        return NULL;
    }
    return Py_NewRef(guard);
}

static PyObject *guard_exit(Guard *guard, PyObject *const *args, Py_ssize_t nargs) {
    Bus *bus = guard->bus;
    if (!guard->open) {
        Py_RETURN_FALSE;
    }
    guard->open = false;
    if (guard->views > 0) { /* the slot is kept until the last one is gone */
        PyErr_Format(PyExc_BufferError, "%zd views still point into the slot",
                     guard->views);
        return NULL;
    }
    bus->guard = NULL;
    if (nargs > 0 && args[0] != Py_None) {
        tachyon_rollback_tx(bus->handle);
        Py_RETURN_FALSE;
    }
    if (tachyon_commit_tx(bus->handle, guard->actual_size, guard->type_id) !=
        TACHYON_SUCCESS) {
        return raise_last();
    }
    tachyon_flush(bus->handle);
    Py_RETURN_FALSE;
}

static int guard_getbuffer(Guard *guard, Py_buffer *view, int flags) {
    if (!guard->open) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "this guard was left; its slot is gone");
        return -1;
    }
    if (PyBuffer_FillInfo(view, (PyObject *)guard, guard->slot,
                          (Py_ssize_t)guard->reserved, 0, flags) < 0) {
        return -1;
    }
    ++guard->views;
    return 0;
}

/* Nobody will send the slot. */
static void guard_abandon(Guard *guard) {
    guard->bus->guard = NULL;
    tachyon_rollback_tx(guard->bus->handle);
}

static void guard_releasebuffer(Guard *guard, Py_buffer *view) {
    (void)view;
    if (--guard->views == 0 && !guard->open) {
        guard_abandon(guard);
    }
}

static void guard_dealloc(Guard *guard) {
    Bus *bus = guard->bus;
    if (guard->open) {
        guard_abandon(guard);
    }
    if (bus->spares < SPARE_GUARDS) {
        bus->spare[bus->spares++] = guard;
    } else {
        PyObject_Free(guard);
    }
    Py_DECREF(bus);
}

static PyObject *guard_get_actual_size(Guard *guard, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(guard->actual_size);
}

static int guard_set_actual_size(Guard *guard, PyObject *value, void *unused) {
    (void)unused;
    if (!value || !guard->open) {
        PyErr_SetString(PyExc_AttributeError, "cannot set actual_size");
        return -1;
    }
    size_t size = PyLong_AsSize_t(value);
    if (size > guard->reserved) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "actual_size must be from 0 to %zu, not %R",
                         guard->reserved, value);
        }
        return -1;
    }
    guard->actual_size = size;
    return 0;
}

/* ---- Receiving ---- */

static PyObject *bus_next(Bus *bus) {
    Call call = {.receive = true};
    if (!may_use(bus)) {
        return NULL;
    }
    if (!attempt(bus, &call, 0) && !wait_for(bus, &call)) {
        return tachyon_last_error() == TACHYON_ERR_CLOSED ? NULL : raise_last();
    }
    PyObject *type_id = PyLong_FromUnsignedLong(call.type_id);
    PyObject *size = PyLong_FromSize_t(call.size);
    PyObject *data = PyBytes_FromStringAndSize(call.slot, (Py_ssize_t)call.size);
    PyObject *message = NULL;
    if (type_id && size && data) { /* else it is not released and comes again */
        tachyon_commit_rx(bus->handle);
        message = Message_Type.tp_alloc(&Message_Type, 3);
    }
    if (!message) {
        Py_XDECREF(type_id);
        Py_XDECREF(size);
        Py_XDECREF(data);
        return NULL;
    }
    PyTuple_SET_ITEM(message, 0, type_id);
    PyTuple_SET_ITEM(message, 1, size);
    PyTuple_SET_ITEM(message, 2, data);
    return message;
}

/* ---- The bus ---- */

static PyObject *bus_open(PyTypeObject *type, tachyon_error_t (*open)(void *, Bus *),
                          void *context) {
    Bus *bus = (Bus *)type->tp_alloc(type, 0);
    if (!bus) {
        return NULL;
    }
    PyThreadState *thread = PyEval_SaveThread();
    tachyon_error_t error = open(context, bus);
    PyEval_RestoreThread(thread);
    if (error != TACHYON_SUCCESS) {
        raise_last();
        Py_CLEAR(bus);
    }
    return (PyObject *)bus;
}

typedef struct Place {
    const char *path;
    Py_ssize_t capacity;
} Place;

static tachyon_error_t listen_at(void *context, Bus *bus) {
    const Place *place = context;
    return tachyon_bus_listen(place->path, (size_t)place->capacity, &bus->handle);
}

static tachyon_error_t connect_to(void *context, Bus *bus) {
    const Place *place = context;
    const tachyon_options_t options = {.size = sizeof options, .timeout_ns = -1};
    return tachyon_bus_connect_with(place->path, &options, &bus->handle);
}

static PyObject *bus_listen(PyTypeObject *type, PyObject *args) {
    Place place;
    return PyArg_ParseTuple(args, "sn", &place.path, &place.capacity)
               ? bus_open(type, listen_at, &place)
               : NULL;
}

static PyObject *bus_connect(PyTypeObject *type, PyObject *args) {
    Place place;
    return PyArg_ParseTuple(args, "s", &place.path) ? bus_open(type, connect_to, &place)
                                                    : NULL;
}

static PyObject *bus_close(Bus *bus, PyObject *unused) {
    (void)unused;
    if (bus->handle) {
        if (!may_use(bus)) {
            return NULL;
        }
        tachyon_bus_destroy(bus->handle);
        bus->handle = NULL;
    }
    Py_RETURN_NONE;
}

static void bus_dealloc(Bus *bus) {
    tachyon_bus_destroy(bus->handle);
    while (bus->spares > 0) {
        PyObject_Free(bus->spare[--bus->spares]);
    }
    Py_TYPE(bus)->tp_free(bus);
}

/* ---- The types ---- */

#define METHOD(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef bus_methods[] = {
    {"listen", METHOD(bus_listen), METH_VARARGS | METH_CLASS, NULL},
    {"connect", METHOD(bus_connect), METH_VARARGS | METH_CLASS, NULL},
    {"close", METHOD(bus_close), METH_NOARGS, NULL},
    {"send", METHOD(bus_send), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"send_zero_copy", METHOD(bus_send_zero_copy), METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Bus_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "handmade.Bus",
    .tp_basicsize = sizeof(Bus),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = (destructor)bus_dealloc,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = (iternextfunc)bus_next,
    .tp_methods = bus_methods,
};

static PyMethodDef guard_methods[] = {
    {"__enter__", METHOD(guard_enter), METH_NOARGS, NULL},
    {"__exit__", METHOD(guard_exit), METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef guard_getset[] = {
    {"actual_size", (getter)guard_get_actual_size, (setter)guard_set_actual_size, NULL,
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef guard_members[] = {
    {"type_id", T_UINT, offsetof(Guard, type_id), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyBufferProcs guard_buffer = {(getbufferproc)guard_getbuffer,
                                     (releasebufferproc)guard_releasebuffer};

static PyTypeObject Guard_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "handmade.Guard",
    .tp_basicsize = sizeof(Guard),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)guard_dealloc,
    .tp_as_buffer = &guard_buffer,
    .tp_methods = guard_methods,
    .tp_getset = guard_getset,
    .tp_members = guard_members,
};

/* A tuple whose items have names: less than a NamedTuple, which is a class in Python.
 */
#define ITEM(name, index)                                                              \
    {name, T_OBJECT, offsetof(PyTupleObject, ob_item) + (index) * sizeof(PyObject *),  \
     READONLY, NULL}
static PyMemberDef message_members[] = {
    ITEM("type_id", 0),
    ITEM("size", 1),
    ITEM("data", 2),
    {NULL, 0, 0, 0, NULL},
};

/* Without the search for free lists, which a derived type has none of. */
static void message_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, message_dealloc);
    for (Py_ssize_t i = Py_SIZE(self); i-- > 0;) {
        Py_XDECREF(PyTuple_GET_ITEM(self, i));
    }
    Py_TYPE(self)->tp_free(self);
    Py_TRASHCAN_END;
}

static PyTypeObject Message_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "handmade.Message",
    .tp_dealloc = message_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_base = &PyTuple_Type,
    .tp_members = message_members,
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "handmade", .m_size = -1,
                             .m_methods = loop_methods};

PyMODINIT_FUNC PyInit_handmade(void) {
    name_of_data = PyUnicode_InternFromString("data");
    name_of_size = PyUnicode_InternFromString("size");
    name_of_type_id = PyUnicode_InternFromString("type_id");
    Message_Type.tp_base = &PyTuple_Type;
    if (!name_of_data || !name_of_size || !name_of_type_id ||
        PyType_Ready(&Guard_Type) < 0 || PyType_Ready(&Message_Type) < 0 ||
        PyType_Ready(&Bus_Type) < 0) {
        return NULL;
    }
    PyObject *handmade = PyModule_Create(&module);
    if (handmade && PyModule_AddObjectRef(handmade, "Bus", (PyObject *)&Bus_Type) < 0) {
        Py_CLEAR(handmade);
    }
    return handmade;
}

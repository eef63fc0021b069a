/* SPDX-License-Identifier: Apache-2.0 */
/* A bus as Python holds it: who uses which direction, who waits, and when the handle
   may go. All fields are protected by the interpreter's lock.

   The handle lives until nobody uses it: close() and abort() end the stream at once,
   and the last thread that still waits inside the core releases it. */

/* What differs between the handles of the core. */
typedef struct BusKind {
    /* listen, or connect where `capacities` is NULL */
    tachyon_error_t (*start)(const char *path, const size_t *capacities,
                             const tachyon_options_t *options,
                             tachyon_opening_t **opening);
    tachyon_error_t (*finish)(tachyon_opening_t *opening, void **handle);
    void (*close)(void *handle);
    void (*abort)(void *handle);
    void (*destroy)(void *handle);
    size_t (*max_payload)(const void *handle);
    tachyon_error_t (*get_peer)(const void *handle, tachyon_peer_t *peer);
    void (*set_polling_mode)(const void *handle, int pure_spin);
    int (*fileno)(void *handle);
    const char *purpose[2][2]; /* of who connects, who listens: to send, to receive */
    const char *lack[2][2];    /* and what there is not when it waits */
    bool one_thread;           /* both directions are one thread's at a time */
} BusKind;

typedef struct TachyonBus {
    PyObject *self; /* the object that owns this struct; guards hold it */
    const BusKind *kind;
    void *handle;
    bool open;    /* opened and not destroyed */
    bool opening; /* between the start of listen or connect and its outcome */
    tachyon_opening_t
        *steps; /* that, for event loops; a thread that waits has its own */
    int64_t opening_timeout_ns;
    int waiters; /* threads inside the core without the interpreter's lock, ... */
    int watches; /* ... event loops that poll the descriptor, and guards of an aborted
                    bus that have views */
    Side tx;
    Side rx;
    tachyon_msg_view_t *views; /* of the open batch */
    size_t views_capacity;
    Pool tx_guards;
    Pool rx_guards;
    Pool rx_batches;
    Pool msg_views;
} TachyonBus;

static TachyonBus *bus_of(PyObject *object) {
    return (TachyonBus *)((SwigPyObject *)object)->ptr;
}

static void bus_set_purpose(TachyonBus *bus, bool listens) {
    bus->tx.purpose = bus->kind->purpose[listens][0];
    bus->rx.purpose = bus->kind->purpose[listens][1];
    bus->tx.lack = bus->kind->lack[listens][0];
    bus->rx.lack = bus->kind->lack[listens][1];
}

static PyObject *low_bus_new(PyTypeObject *type, swig_type_info *info,
                             const BusKind *kind) {
    SwigPyObject *object = (SwigPyObject *)type->tp_alloc(type, 0);
    if (!object) {
        return NULL;
    }
    TachyonBus *bus = PyMem_Calloc(1, sizeof *bus);
    if (!bus) {
        Py_DECREF(object);
        return PyErr_NoMemory();
    }
    bus->self = (PyObject *)object;
    bus->kind = kind;
    bus_set_purpose(bus, false);
    object->ptr = bus;
    object->ty = info;
    return (PyObject *)object;
}

static int tachyon_bus_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) != 0 || (kwargs && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_Format(PyExc_TypeError, "%s() takes no arguments",
                     Py_TYPE(self)->tp_name);
        return -1;
    }
    return 0;
}

static void release_handle(TachyonBus *bus) {
    void *handle = bus->handle;
    bus->handle = NULL;
    bus->tx.owed = bus->rx.owed = NULL; /* goes with the handle */
    PyThreadState *thread = PyEval_SaveThread();
    bus->kind->destroy(handle);
    PyEval_RestoreThread(thread);
}

static void tachyon_bus_dealloc(PyObject *self) {
    TachyonBus *bus = bus_of(self);
    PyObject_GC_UnTrack(self);
    if (bus) {
        tachyon_opening_cancel(bus->steps);
        bus->kind->destroy(bus->handle);
        pool_empty(&bus->tx_guards);
        pool_empty(&bus->rx_guards);
        pool_empty(&bus->rx_batches);
        pool_empty(&bus->msg_views);
        PyMem_Free(bus->views);
        PyMem_Free(bus);
    }
    object_free(self);
}

static PyObject *raise_not_open(const TachyonBus *bus) {
    return raise_error(TACHYON_ERR_CLOSED,
                       bus->opening ? "the bus is being opened by another thread"
                                    : "the bus is not open: it was closed, or neither "
                                      "listen() nor connect() has succeeded",
                       0);
}

/* May a call use this direction of the bus now? 0, or -1 with an exception. */
static inline int bus_claim(const TachyonBus *bus, const Side *side) {
    if (!bus->open) {
        raise_not_open(bus);
        return -1;
    }
    return side_is_free(side) ? 0 : side_claim(side);
}

/* ---- Opening ---- */

/* options.interrupted: run Python's signal handlers; non-zero when one has raised. */
static int run_signal_handlers(void *unused) {
    (void)unused;
    PyGILState_STATE state = PyGILState_Ensure();
    int raised = PyErr_CheckSignals() < 0;
    PyGILState_Release(state);
    return raised;
}

static int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* An iterable of user ids as an array, which the caller frees. */
static int parse_uids(PyObject *sequence, uint32_t **uids, size_t *count) {
    *uids = NULL;
    *count = 0;
    if (!sequence || sequence == Py_None) {
        return 0;
    }
    PyObject *ids =
        PySequence_Tuple(sequence); /* own: an __index__ may change a list */
    if (!ids) {
        if (PyErr_ExceptionMatches(PyExc_TypeError) && !Py_TYPE(sequence)->tp_iter) {
            PyErr_Format(PyExc_TypeError,
                         "allowed_uids must be an iterable of user ids, not %.100R",
                         sequence);
        }
        return -1;
    }
    Py_ssize_t length = PyTuple_GET_SIZE(ids);
    uint32_t *array = PyMem_Calloc((size_t)length + 1, sizeof *array);
    if (!array) {
        PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; array && i < length; ++i) {
        if (parse_u32(PyTuple_GET_ITEM(ids, i), "each of allowed_uids", &array[i]) <
            0) {
            PyMem_Free(array);
            array = NULL;
        }
    }
    Py_DECREF(ids);
    *uids = array;
    *count = (size_t)length;
    return array ? 0 : -1;
}

static void raise_not_opened(const TachyonBus *bus) {
    if (tachyon_last_error() == TACHYON_ERR_TIMEOUT && !PyErr_Occurred()) {
        raise_timeout(tachyon_last_error_message(), bus->opening_timeout_ns);
    } else {
        raise_last();
    }
}

/* Begin to listen, or to connect where `capacities` is NULL. NULL with an exception. */
static tachyon_opening_t *bus_start(TachyonBus *bus, const char *path,
                                    const size_t *capacities,
                                    tachyon_options_t *options,
                                    PyObject *allowed_uids) {
    uint32_t *uids; /* first: what yields them may use the bus */
    if (parse_uids(allowed_uids, &uids, &options->allowed_uid_count) < 0) {
        return NULL;
    }
    if (bus->handle || bus->opening) {
        PyMem_Free(uids);
        PyErr_SetString(TachyonError, bus->opening
                                          ? "another thread is opening this bus"
                                      : bus->open ? "the bus is open already"
                                                  : "the bus is still closing");
        return NULL;
    }
    bus->opening_timeout_ns = options->timeout_ns;
    options->size = sizeof *options;
    options->allowed_uids = uids;
    options->interrupted = run_signal_handlers;
    if (capacities && options->timeout_ns == 0) {
        options->timeout_ns = 1; /* the core's 0 waits for ever, Python's not at all */
    }
    bus_set_purpose(bus, capacities != NULL);
    bus->opening = true;
    tachyon_opening_t *opening;
    PyThreadState *thread = PyEval_SaveThread();
    tachyon_error_t error = bus->kind->start(path, capacities, options, &opening);
    PyEval_RestoreThread(thread);
    PyMem_Free(uids);
    if (error != TACHYON_SUCCESS) {
        bus->opening = false;
        raise_not_opened(bus);
    }
    return opening;
}

static void bus_cancel(TachyonBus *bus, tachyon_opening_t *opening) {
    PyThreadState *thread = PyEval_SaveThread();
    tachyon_opening_cancel(opening);
    PyEval_RestoreThread(thread);
    bus->opening = false;
}

/* The last step has said that the connection stands, or why there will be none. */
static int bus_finish(TachyonBus *bus, tachyon_opening_t *opening,
                      tachyon_error_t error) {
    if (error == TACHYON_SUCCESS) {
        error = bus->kind->finish(opening, &bus->handle);
    }
    bus->open = error == TACHYON_SUCCESS;
    if (!bus->open) {
        raise_not_opened(bus);
    }
    bus_cancel(bus, opening);
    return bus->open ? 0 : -1;
}

static PyObject *bus_open(TachyonBus *bus, const char *path, const size_t *capacities,
                          tachyon_options_t *options, PyObject *allowed_uids) {
    tachyon_opening_t *opening =
        bus_start(bus, path, capacities, options, allowed_uids);
    if (!opening) {
        return NULL;
    }
    tachyon_error_t error;
    do {
        PyThreadState *thread = PyEval_SaveThread();
        error = tachyon_opening_step(opening, -1);
        PyEval_RestoreThread(thread);
        /* A signal whose handler did not raise does not end a wait in Python. */
    } while (error == TACHYON_ERR_EMPTY ||
             (error == TACHYON_ERR_INTERRUPTED && !PyErr_Occurred() &&
              PyErr_CheckSignals() == 0));
    return bus_finish(bus, opening, error) < 0 ? NULL : Py_NewRef(Py_None);
}

/* The same for event loops. Returns the descriptor to wait on between the steps. */
static PyObject *bus_open_in_steps(TachyonBus *bus, const char *path,
                                   const size_t *capacities, tachyon_options_t *options,
                                   PyObject *allowed_uids) {
    tachyon_opening_t *opening =
        bus_start(bus, path, capacities, options, allowed_uids);
    if (!opening) {
        return NULL;
    }
    int fd = tachyon_opening_fileno(opening);
    if (fd < 0) {
        raise_last();
        bus_cancel(bus, opening);
        return NULL;
    }
    bus->steps = opening;
    return PyLong_FromLong(fd);
}

/* True: the bus is open. False: not yet. */
static PyObject *TachyonBus_opening_step(TachyonBus *bus) {
    tachyon_opening_t *opening = bus->steps;
    if (!opening) {
        PyErr_SetString(TachyonError, "the bus is not being opened in steps");
        return NULL;
    }
    tachyon_error_t error = tachyon_opening_step(opening, 0);
    if (error == TACHYON_ERR_EMPTY) {
        Py_RETURN_FALSE;
    }
    bus->steps = NULL;
    return bus_finish(bus, opening, error) < 0 ? NULL : Py_NewRef(Py_True);
}

static PyObject *TachyonBus_opening_cancel(TachyonBus *bus) {
    tachyon_opening_t *opening = bus->steps;
    bus->steps = NULL;
    if (opening) {
        bus_cancel(bus, opening);
    }
    Py_RETURN_NONE;
}

typedef PyObject *Opener(TachyonBus *bus, const char *path, const size_t *capacities,
                         tachyon_options_t *options, PyObject *allowed_uids);

static PyObject *listen_by(Opener *opener, TachyonBus *bus, const char *socket_path,
                           const size_t *capacities, seconds_t timeout, uint32_t mode,
                           PyObject *allowed_uids, uint32_t role, uint64_t schema) {
    tachyon_options_t options = {
        .timeout_ns = timeout, .socket_mode = mode, .role = role, .schema = schema};
    return opener(bus, socket_path, capacities, &options, allowed_uids);
}

static PyObject *connect_by(Opener *opener, TachyonBus *bus, const char *socket_path,
                            seconds_t timeout, PyObject *allowed_uids, uint32_t role,
                            uint64_t schema) {
    tachyon_options_t options = {.timeout_ns = timeout, .role = role, .schema = schema};
    return opener(bus, socket_path, NULL, &options, allowed_uids);
}

static PyObject *TachyonBus_listen(TachyonBus *bus, const char *socket_path,
                                   size_t capacity, seconds_t timeout, uint32_t mode,
                                   PyObject *allowed_uids, uint32_t role,
                                   uint64_t schema) {
    return listen_by(bus_open, bus, socket_path, &capacity, timeout, mode, allowed_uids,
                     role, schema);
}

static PyObject *TachyonBus_connect(TachyonBus *bus, const char *socket_path,
                                    seconds_t timeout, PyObject *allowed_uids,
                                    uint32_t role, uint64_t schema) {
    return connect_by(bus_open, bus, socket_path, timeout, allowed_uids, role, schema);
}

static PyObject *TachyonBus_listen_start(TachyonBus *bus, const char *socket_path,
                                         size_t capacity, seconds_t timeout,
                                         uint32_t mode, PyObject *allowed_uids,
                                         uint32_t role, uint64_t schema) {
    return listen_by(bus_open_in_steps, bus, socket_path, &capacity, timeout, mode,
                     allowed_uids, role, schema);
}

static PyObject *TachyonBus_connect_start(TachyonBus *bus, const char *socket_path,
                                          seconds_t timeout, PyObject *allowed_uids,
                                          uint32_t role, uint64_t schema) {
    return connect_by(bus_open_in_steps, bus, socket_path, timeout, allowed_uids, role,
                      schema);
}

/* ---- Closing ---- */

/* The guard keeps nothing but the memory, and that while it has views. */
static void side_lose(TachyonBus *bus, Side *side) {
    if (side->guard) {
        side->guard->state = GUARD_LOST;
        bus->waiters += side->guard->views > 0;
        side->guard = NULL;
    }
}

static void bus_let_go(PyObject *owner) {
    TachyonBus *bus = bus_of(owner);
    if (--bus->waiters == 0 && !bus->open) {
        release_handle(bus);
    }
}

static Py_ssize_t side_views(const Side *side) {
    Guard *guard = side->guard;
    if (!guard) {
        return 0;
    }
    Py_INCREF(guard);
    guard_drop_buf(guard);
    Py_ssize_t views = guard->views;
    Py_DECREF(guard); /* an abandoned one goes here */
    return views;
}

/* Views of the guards do not matter here: their memory stays until they are gone. */
static void bus_end(TachyonBus *bus, void (*end)(void *handle)) {
    bus->open = false;
    side_lose(bus, &bus->tx);
    side_lose(bus, &bus->rx);
    if (end == bus->kind->close && !bus->kind->one_thread && !bus->tx.waiting) {
        tachyon_flush(bus->handle); /* a close does not, as the release would */
    }
    end(bus->handle);
    if (bus->waiters == 0) {
        release_handle(bus);
    }
}

/* How many there are beside the guards' own, which this releases. */
static Py_ssize_t bus_views(const TachyonBus *bus) {
    return side_views(&bus->tx) + side_views(&bus->rx);
}

static PyObject *TachyonBus_destroy(TachyonBus *bus) {
    if (!bus->open) {
        return bus->opening && !bus->steps ? raise_not_open(bus)
                                           : TachyonBus_opening_cancel(bus);
    }
    Py_ssize_t views = bus_views(bus);
    if (views > 0) {
        PyErr_Format(PyExc_BufferError,
                     "cannot close the bus: %zd view%s still point%s into its ring; "
                     "release what holds them, or copy what you keep",
                     views, views == 1 ? "" : "s", views == 1 ? "s" : "");
        return NULL;
    }
    bus_end(bus, bus->kind->close);
    Py_RETURN_NONE;
}

static PyObject *TachyonBus_abort(TachyonBus *bus) {
    if (bus->open) {
        bus_views(bus);
        bus_end(bus, bus->kind->abort);
    }
    return TachyonBus_opening_cancel(bus);
}

/* What ends a generator, or a program well, ends the stream well too; any other
   exception has cut it off. */
static bool is_failure(PyObject *exception) {
    if (PyErr_GivenExceptionMatches(exception, PyExc_GeneratorExit)) {
        return false;
    }
    if (!PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) ||
        PyType_Check(exception)) {
        return true;
    }
    PyObject *code = PyObject_GetAttrString(exception, "code");
    bool well =
        code && (code == Py_None || (PyLong_Check(code) && PyObject_IsTrue(code) == 0));
    PyErr_Clear();
    Py_XDECREF(code);
    return !well;
}

/* The end of a `with` block. An exception that leaves it is not replaced by ours. */
static PyObject *bus_leave(TachyonBus *bus, PyObject *exception) {
    if (!exception) {
        return TachyonBus_destroy(bus);
    }
    if (bus->open) {
        bus_views(bus);
        bus_end(bus, is_failure(exception) ? bus->kind->abort : bus->kind->close);
    }
    Py_RETURN_NONE;
}

/* ---- Event loops ---- */

static int descriptor_of(TachyonBus *bus) {
    if (bus->tx.waiting || bus->rx.waiting) {
        raise_waited_on(bus->tx.waiting ? &bus->tx : &bus->rx);
        return -1;
    }
    int fd = bus->kind->fileno(bus->handle);
    if (fd < 0) {
        raise_last();
    }
    return fd;
}

/* -1 of a closed bus, as of a closed socket: selectors can then unregister it. */
static PyObject *TachyonBus_fileno(TachyonBus *bus) {
    int fd = bus->open ? descriptor_of(bus) : -1;
    return fd < 0 && bus->open ? NULL : PyLong_FromLong(fd);
}

/* Whoever polls the descriptor counts as a thread inside the core: closing the bus
   makes the descriptor readable, and it goes when nobody polls it any more. */
static PyObject *TachyonBus_watch(TachyonBus *bus) {
    if (!bus->open) {
        return raise_not_open(bus);
    }
    int fd = descriptor_of(bus);
    if (fd < 0) {
        return NULL;
    }
    ++bus->watches;
    ++bus->waiters;
    return PyLong_FromLong(fd);
}

static PyObject *TachyonBus_unwatch(TachyonBus *bus) {
    if (bus->watches == 0) {
        PyErr_SetString(TachyonError, "nobody watches this bus");
        return NULL;
    }
    --bus->watches;
    bus_let_go(bus->self);
    Py_RETURN_NONE;
}

/* ---- Cold methods ---- */

static PyObject *none_or_raise(tachyon_error_t error) {
    return error == TACHYON_SUCCESS ? Py_NewRef(Py_None) : raise_last();
}

static PyObject *TachyonBus_flush(TachyonBus *bus) {
    if (!bus->open) {
        return raise_not_open(bus);
    }
    if (!bus->tx.waiting) { /* a producer that waits for room has flushed */
        tachyon_flush(bus->handle);
    }
    Py_RETURN_NONE;
}

static PyObject *TachyonBus_set_polling_mode(TachyonBus *bus, bool pure_spin) {
    if (!bus->open) {
        return raise_not_open(bus);
    }
    bus->kind->set_polling_mode(bus->handle, pure_spin);
    Py_RETURN_NONE;
}

static PyObject *TachyonBus_set_numa_node(TachyonBus *bus, int node_id) {
    return bus->open ? none_or_raise(tachyon_bus_set_numa_node(bus->handle, node_id))
                     : raise_not_open(bus);
}

static PyObject *TachyonBus_max_payload(TachyonBus *bus) {
    return bus->open ? PyLong_FromSize_t(bus->kind->max_payload(bus->handle))
                     : raise_not_open(bus);
}

static PyObject *TachyonBus_stats(TachyonBus *bus) {
    tachyon_stats_t stats;
    if (!bus->open) {
        return raise_not_open(bus);
    }
    if (tachyon_bus_get_stats(bus->handle, &stats) != TACHYON_SUCCESS) {
        return raise_last();
    }
    return struct_object(SWIGTYPE_p_tachyon_stats_t, &stats, sizeof stats);
}

static PyObject *TachyonBus_peer(TachyonBus *bus) {
    tachyon_peer_t peer;
    if (!bus->open) {
        return raise_not_open(bus);
    }
    if (bus->kind->get_peer(bus->handle, &peer) != TACHYON_SUCCESS) {
        return raise_last();
    }
    return struct_object(SWIGTYPE_p_tachyon_peer_t, &peer, sizeof peer);
}

/* ---- The kind ---- */

static tachyon_error_t start_bus(const char *path, const size_t *capacities,
                                 const tachyon_options_t *options,
                                 tachyon_opening_t **opening) {
    return capacities ? tachyon_bus_listen_start(path, *capacities, options, opening)
                      : tachyon_bus_connect_start(path, options, opening);
}

static tachyon_error_t finish_bus(tachyon_opening_t *opening, void **handle) {
    tachyon_bus_t *bus;
    tachyon_error_t error = tachyon_opening_finish_bus(opening, &bus);
    *handle = bus;
    return error;
}

static void close_bus(void *handle) {
    tachyon_bus_close(handle);
}

static void abort_bus(void *handle) {
    tachyon_bus_abort(handle);
}

static void destroy_bus(void *handle) {
    tachyon_bus_destroy(handle);
}

static size_t max_payload_of_bus(const void *handle) {
    return tachyon_max_payload(handle);
}

static tachyon_error_t get_peer_of_bus(const void *handle, tachyon_peer_t *peer) {
    return tachyon_bus_get_peer(handle, peer);
}

static void set_polling_mode_of_bus(const void *handle, int pure_spin) {
    tachyon_bus_set_polling_mode(handle, pure_spin);
}

static int fileno_of_bus(void *handle) {
    return tachyon_bus_fileno(handle);
}

#define NO_ROOM(purpose) "no room to " purpose ", the ring is full"
#define NO_MESSAGE "no message to receive, the ring is empty"

static const BusKind bus_kind = {
    .start = start_bus,
    .finish = finish_bus,
    .close = close_bus,
    .abort = abort_bus,
    .destroy = destroy_bus,
    .max_payload = max_payload_of_bus,
    .get_peer = get_peer_of_bus,
    .set_polling_mode = set_polling_mode_of_bus,
    .fileno = fileno_of_bus,
    .purpose = {{"send", "receive"}, {"send", "receive"}},
    .lack = {{NO_ROOM("send"), NO_MESSAGE}, {NO_ROOM("send"), NO_MESSAGE}},
};

static PyObject *tachyon_bus_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    return low_bus_new(type, SWIGTYPE_p_TachyonBus, &bus_kind);
}

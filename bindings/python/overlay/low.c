/* SPDX-License-Identifier: Apache-2.0 */
#include "slots.h"

#include <inttypes.h>
#include <time.h>

#define NO_ROOM(purpose) "no room to " purpose ", the ring is full"
#define NO_MESSAGE "no message to receive, the ring is empty"

static const Kind bus_kind = {
    .purpose = {{"send", "receive"}, {"send", "receive"}},
    .lack = {{NO_ROOM("send"), NO_MESSAGE}, {NO_ROOM("send"), NO_MESSAGE}},
};
static const Kind rpc_kind = {
    .purpose = {{"call", "get a reply"}, {"reply", "serve"}},
    .lack = {{NO_ROOM("call"), "no reply to any call yet"},
             {NO_ROOM("reply"), "no request to serve yet"}},
    .rpc = true,
};

/* ---- The object ---- */

static void set_purpose(End *end, bool listens) {
    end->tx.purpose = end->kind->purpose[listens][0];
    end->rx.purpose = end->kind->purpose[listens][1];
    end->tx.lack = end->kind->lack[listens][0];
    end->rx.lack = end->kind->lack[listens][1];
}

static PyObject *low_new(PyTypeObject *type, swig_type_info *info, const Kind *kind) {
    SwigPyObject *object = (SwigPyObject *)type->tp_alloc(type, 0);
    End *end = object ? PyMem_Calloc(1, sizeof *end) : NULL;
    if (!end) {
        Py_XDECREF(object);
        return object ? PyErr_NoMemory() : NULL;
    }
    end->self = (PyObject *)object;
    end->kind = kind;
    end->max_payload = SIZE_MAX;
    set_purpose(end, false);
    object->ptr = end;
    object->ty = info;
    return (PyObject *)object;
}

PyObject *low_bus_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    return low_new(type, types.TachyonBus, &bus_kind);
}

PyObject *low_rpc_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    return low_new(type, types.TachyonRpcBus, &rpc_kind);
}

int low_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    if (PyTuple_GET_SIZE(args) == 0 && (!kwargs || PyDict_GET_SIZE(kwargs) == 0))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes no arguments", Py_TYPE(self)->tp_name);
    return -1;
}

int low_traverse(PyObject *self, visitproc visit, void *arg) {
    return struct_traverse(self, visit, arg);
}

void low_dealloc(PyObject *self) {
    End *end = end_of(self);
    PyObject_GC_UnTrack(self);
    if (end) {
        delete_Bus(end->bus);
        pool_empty(&end->tx_guards);
        pool_empty(&end->rx_guards);
        pool_empty(&end->rx_batches);
        pool_empty(&end->msg_views);
        pool_empty(&end->frames);
        held_delete(&end->held);
        PyMem_Free(end->views);
        PyMem_Free(end);
    }
    object_free(self);
}

PyObject *raise_not_open(const End *end) {
    return raise_error(TACHYON_ERR_CLOSED,
                       end->opening ? "the bus is being opened by another thread"
                                    : "the bus is not open: it was closed, or neither "
                                      "listen() nor connect() has succeeded",
                       0);
}

static PyObject *raise_error_of(const Bus *bus) {
    return raise_error((tachyon_error_t)bus->error, bus->text, bus->system_errno);
}

PyObject *raise_of(const End *end) {
    return PyErr_Occurred() ? NULL
           : end->open      ? raise_error_of(end->bus)
                            : raise_not_open(end);
}

/* ---- Opening ---- */

static bool has_handle(const Bus *bus) {
    return bus && (bus->bus || bus->rpc);
}

/* The facade's bus is for one opening: a closed one may be opened again. */
static int begin(End *end, bool listens, seconds_t timeout_ns) {
    if (end->opening || has_handle(end->bus)) {
        PyErr_SetString(TachyonError, end->opening
                                          ? "another thread is opening this bus"
                                      : end->open ? "the bus is open already"
                                                  : "the bus is still closing");
        return -1;
    }
    delete_Bus(end->bus);
    end->bus = new_Bus();
    if (!end->bus) {
        PyErr_NoMemory();
        return -1;
    }
    end->opening = true;
    end->opening_timeout_ns = timeout_ns;
    set_purpose(end, listens);
    return 0;
}

static void give_up(End *end) {
    end->opening = end->steps = false;
    delete_Bus(end->bus);
    end->bus = NULL;
}

/* The last step has said that the connection stands, or why there will be none. */
static int finish(End *end, Result result) {
    if (result < 0) {
        if (end->bus->error == TACHYON_ERR_TIMEOUT && !PyErr_Occurred())
            raise_timeout(end->bus->text, end->opening_timeout_ns);
        else if (!PyErr_Occurred())
            raise_error_of(end->bus);
        give_up(end);
        return -1;
    }
    end->opening = end->steps = false;
    end->open = true;
    end->handle = end->kind->rpc ? (void *)end->bus->rpc : (void *)end->bus->bus;
    end->max_payload = (size_t)Bus_max_payload(end->bus);
    return 0;
}

static Result start(const End *end, bool steps, const char *path, size_t capacity,
                    size_t back, const Options *options) {
    Bus *bus = end->bus;
    if (end->kind->rpc && capacity)
        return steps ? RpcBus_listen_start(bus, path, capacity, back, options)
                     : RpcBus_listen(bus, path, capacity, back, options);
    if (end->kind->rpc)
        return steps ? RpcBus_connect_start(bus, path, options)
                     : RpcBus_connect(bus, path, options);
    if (capacity)
        return steps ? Bus_listen_start(bus, path, capacity, options)
                     : Bus_listen(bus, path, capacity, options);
    return steps ? Bus_connect_start(bus, path, options)
                 : Bus_connect(bus, path, options);
}

/* What options are in Python, as the facade has them; it lives in what is returned. */
static PyObject *options_of(Opening *with) {
    Options *options = &with->options;
    PyObject *answer =
        ask("opening", "(OOOO)", with->allowed_uids ? with->allowed_uids : Py_None,
            with->start ? with->start : Py_None, with->name ? with->name : Py_None,
            with->types ? with->types : Py_None);
    const char *uids, *name, *text;
    Py_ssize_t size, length, text_size;
    unsigned long long position, epoch;
    options->timeout = seconds_of(with->timeout_ns);
    if (!answer ||
        !PyArg_ParseTuple(answer, "z#iKKz#z#", &uids, &size, &options->start, &position,
                          &epoch, &name, &length, &text, &text_size)) {
        Py_XDECREF(answer);
        return NULL;
    }
    options->uids = (uint32_t *)(void *)(uintptr_t)uids;
    options->uid_count = (size_t)size / sizeof *options->uids;
    options->start_position = position;
    options->start_epoch = epoch;
    options->name = (char *)(uintptr_t)name;
    options->types = (char *)(uintptr_t)text;
    options->types_size = (size_t)text_size;
    return answer;
}

PyObject *end_open(End *end, bool steps, const char *path, size_t capacity, size_t back,
                   Opening *with) {
    PyObject *owner =
        options_of(with); /* first: what yields user ids may use the bus */
    if (!owner)
        return NULL;
    int begun = begin(end, capacity != 0, with->timeout_ns);
    Result result =
        begun < 0 ? -1 : start(end, steps, path, capacity, back, &with->options);
    Py_DECREF(owner);
    if (begun < 0)
        return NULL;
    if (!steps)
        return finish(end, result) < 0 ? NULL : Py_NewRef(Py_None);
    if (result == 0)
        result = Bus_fileno(end->bus);
    if (result < 0) {
        finish(end, result);
        return NULL;
    }
    end->steps = true;
    return PyLong_FromLongLong(result);
}

void raise_if_none(const tachyon_event_t *event, double timeout) {
    if (event->kind == 0 &&
        (event->reason == TACHYON_ERR_TIMEOUT || event->reason == TACHYON_ERR_EMPTY))
        raise_timeout("no peer has come or gone", (int64_t)(timeout * 1e9));
}

/* 1: the bus is open; 0: not yet; less: an exception. */
Result end_step(PyObject *self) {
    End *end = end_of(self);
    if (!end->steps) {
        PyErr_SetString(TachyonError, "the bus is not being opened in steps");
        return -1;
    }
    Result result = Bus_open_step(end->bus);
    return result == 0 ? 0 : finish(end, result) < 0 ? -1 : 1;
}

PyObject *low_opening_cancel(PyObject *self, PyObject *unused) {
    (void)unused;
    if (end_of(self)->steps)
        give_up(end_of(self));
    Py_RETURN_NONE;
}

/* ---- Closing ---- */

/* How many there are beside the guards' own, which this releases. */
static Py_ssize_t views_of(const End *end) {
    return side_views(&end->tx) + side_views(&end->rx) + held_views(&end->held);
}

/* Views of the guards do not matter here: their memory stays until they are gone. */
static PyObject *finish_with(End *end, void (*how)(Bus *bus)) {
    Bus *bus = end->bus;
    end->open = false;
    end->max_payload = SIZE_MAX;
    side_lose(end, &end->tx);
    side_lose(end, &end->rx);
    held_lose(end);
    end->tx.owed = end->rx.owed = NULL; /* goes with the handle */
    how(bus);
    Py_RETURN_NONE;
}

PyObject *end_close(End *end) {
    if (!end->open)
        return end->opening && !end->steps ? raise_not_open(end)
                                           : low_opening_cancel(end->self, NULL);
    Py_ssize_t views = views_of(end);
    if (views > 0) {
        PyErr_Format(PyExc_BufferError,
                     "cannot close the bus: %zd view%s still point%s into its ring; "
                     "release what holds them, or copy what you keep",
                     views, views == 1 ? "" : "s", views == 1 ? "s" : "");
        return NULL;
    }
    return finish_with(end, Bus_close);
}

PyObject *end_abort(End *end) {
    if (!end->open)
        return low_opening_cancel(end->self, NULL);
    views_of(end);
    return finish_with(end, Bus_abort);
}

PyObject *end_leave(End *end, PyObject *exception) {
    if (!exception)
        return end_close(end);
    if (!end->open)
        Py_RETURN_NONE;
    PyObject *failure = ask("is_failure", "(O)", exception);
    bool aborts = failure != Py_False;
    PyErr_Clear();
    Py_XDECREF(failure);
    if (!end->open) /* the question may have let another thread close it */
        Py_RETURN_NONE;
    views_of(end);
    return finish_with(end, aborts ? Bus_abort : Bus_close);
}

/* ---- Event loops ---- */

/* -1 of a closed bus, as of a closed socket: selectors can then unregister it. Less: an
   exception. */
Result end_fileno(PyObject *self) {
    const End *end = end_of(self);
    if (!end->open)
        return -1;
    const Side *waiting = end->tx.waiting ? &end->tx : &end->rx;
    if (waiting->waiting) {
        raise_waited_on(waiting);
        return -2;
    }
    Result fd = Bus_fileno(end->bus);
    if (fd >= 0)
        return fd;
    raise_of(end);
    return -2;
}

/* Whoever polls the descriptor holds a share: closing the bus makes the descriptor
   readable, and it goes when nobody polls it any more. */
PyObject *low_watch(PyObject *self, PyObject *unused) {
    (void)unused;
    End *end = end_of(self);
    if (!end->open)
        return raise_not_open(end);
    Result fd = end_fileno(self);
    if (fd < 0)
        return NULL;
    if (!bus_watch(end->bus))
        return raise_not_open(end);
    ++end->watches;
    return PyLong_FromLongLong(fd);
}

PyObject *low_unwatch(PyObject *self, PyObject *unused) {
    (void)unused;
    End *end = end_of(self);
    if (end->watches == 0) {
        PyErr_SetString(TachyonError, "nobody watches this bus");
        return NULL;
    }
    --end->watches;
    bus_unwatch(end->bus);
    Py_RETURN_NONE;
}

/* ---- Waiting ---- */

/* Host.pending: run Python's signal handlers; non-zero when one has raised. */
static int run_signal_handlers(void *unused) {
    (void)unused;
    PyGILState_STATE state = PyGILState_Ensure();
    int raised = PyErr_CheckSignals() < 0;
    PyGILState_Release(state);
    return raised;
}

static int has_raised(void) {
    return PyErr_Occurred() || PyErr_CheckSignals() < 0;
}

static void wait_unlocked(void (*call)(void *), void *context) {
    PyThreadState *thread = PyEval_SaveThread();
    call(context);
    PyEval_RestoreThread(thread);
}

void waiting_init(void) {
    host = (Host){.wait = wait_unlocked,
                  .pending = run_signal_handlers,
                  .interrupted = has_raised};
}

PyObject *raise_closed_meanwhile(void) {
    return raise_error(TACHYON_ERR_CLOSED, "another thread has closed the bus", 0);
}

static void set_waiting(End *end, Side *side, const char *purpose) {
    if (end->kind->rpc)
        end->tx.waiting = end->rx.waiting = purpose;
    else
        side->waiting = purpose;
}

/* Give back what a guard could not while somebody waited. */
static void settle(End *end, Side *side) {
    if (side->owed) {
        side->owed(end);
        side->owed = NULL;
    }
}

void raise_lack(const Side *side, int64_t timeout_ns) {
    char reply[64];
    PyOS_snprintf(reply, sizeof reply, "no reply to call %" PRIu64 " yet", side->call);
    raise_timeout(side->call ? reply : side->lack, timeout_ns);
}

/* Why an attempt has failed, unless a signal handler has raised already. 0: it would
   block, which is for the caller. */
static int raise_failed(const End *end, const Side *side, tachyon_error_t would_block,
                        int64_t timeout_ns) {
    tachyon_error_t error = tachyon_last_error();
    if (PyErr_Occurred())
        return -1;
    if (error == would_block && end->open)
        return 0;
    if (error == TACHYON_ERR_TIMEOUT)
        raise_lack(side, timeout_ns);
    else if (!end->open)
        raise_closed_meanwhile();
    else
        raise_last();
    return -1;
}

int end_try(End *end, Side *side, Attempt attempt, void *call,
            tachyon_error_t would_block, int64_t timeout_ns) {
    Bus *bus = end->bus;
    bus_enter(bus);
    set_waiting(end, side, side->purpose);
    PyThreadState *thread = PyEval_SaveThread();
    bool done = attempt(end, call, timeout_ns);
    PyEval_RestoreThread(thread);
    int outcome = done ? 1 : raise_failed(end, side, would_block, timeout_ns);
    set_waiting(end, side, NULL);
    if (end->open) {
        settle(end, &end->tx);
        settle(end, &end->rx);
        held_settle(end);
    }
    bus_leave(bus);
    return outcome;
}

int end_wait(End *end, Side *side, Attempt attempt, void *call, int64_t timeout_ns) {
    return end_try(end, side, attempt, call, TACHYON_SUCCESS, timeout_ns) > 0 ? 0 : -1;
}

int end_wait_open(End *end, Side *side, Attempt attempt, void *call,
                  int64_t timeout_ns) {
    if (end_wait(end, side, attempt, call, timeout_ns) < 0)
        return -1;
    if (!end->open) {
        raise_closed_meanwhile();
        return -1;
    }
    return 0;
}

int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int may_wait(const Side *side, tachyon_error_t would_block, int64_t timeout_ns) {
    tachyon_error_t error = tachyon_last_error();
    if (error != would_block)
        raise_last();
    else if (timeout_ns == 0)
        raise_lack(side, timeout_ns);
    else
        return 0;
    return -1;
}

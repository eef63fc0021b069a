/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that are all C, on the buses of the extension: what Python is compared to. */
#include "handmade.h"

#include <string.h>
#include <time.h>

enum { MAX_PAYLOAD = 1024 };

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A copy of the next message; 0 when none comes, or one that is empty or too long. */
static size_t receive(Bus *bus, uint8_t *copy) {
    uint32_t type_id;
    size_t size;
    const void *payload =
        tachyon_acquire_rx_blocking(bus->handle, &type_id, &size, SPINS);
    if (!payload || size > MAX_PAYLOAD) {
        return 0;
    }
    memcpy(copy, payload, size);
    return tachyon_commit_rx(bus->handle) == TACHYON_SUCCESS ? size : 0;
}

static bool send(Bus *bus, const void *payload, size_t size) {
    return tachyon_send(bus->handle, payload, size, 1, SPINS, -1) == TACHYON_SUCCESS;
}

/* echo(incoming, outgoing, count): answer each message with itself. */
static PyObject *echo(PyObject *self, PyObject *args) {
    (void)self;
    Bus *incoming, *outgoing;
    Py_ssize_t count;
    uint8_t copy[MAX_PAYLOAD];
    if (!PyArg_ParseTuple(args, "O!O!n", &Bus_Type, &incoming, &Bus_Type, &outgoing,
                          &count) ||
        !may_use(incoming) || !may_use(outgoing)) {
        return NULL;
    }
    bool good = true;
    PyThreadState *thread = PyEval_SaveThread();
    for (Py_ssize_t i = 0; i < count && good; ++i) {
        size_t size = receive(incoming, copy);
        good = size > 0 && send(outgoing, copy, size);
    }
    PyEval_RestoreThread(thread);
    return good ? Py_NewRef(Py_None) : raise_last();
}

static bool round_trip(Bus *outgoing, Bus *incoming, const uint8_t *payload,
                       Py_ssize_t size) {
    uint8_t copy[MAX_PAYLOAD];
    return send(outgoing, payload, (size_t)size) &&
           receive(incoming, copy) == (size_t)size &&
           memcmp(copy, payload, (size_t)size) == 0;
}

/* round_trips(outgoing, incoming, payload, count): the nanoseconds of each. */
static PyObject *round_trips(PyObject *self, PyObject *args) {
    (void)self;
    Bus *outgoing, *incoming;
    const uint8_t *payload;
    Py_ssize_t size, count;
    if (!PyArg_ParseTuple(args, "O!O!y#n", &Bus_Type, &outgoing, &Bus_Type, &incoming,
                          &payload, &size, &count) ||
        !may_use(outgoing) || !may_use(incoming)) {
        return NULL;
    }
    PyObject *times = PyList_New(count);
    for (Py_ssize_t i = 0; times && i < count; ++i) {
        int64_t start = now_ns();
        bool good = round_trip(outgoing, incoming, payload, size);
        PyObject *time = good
                             ? PyLong_FromLongLong(now_ns() - start)
                             : PyErr_Format(PyExc_RuntimeError, "round trip failed: %s",
                                            tachyon_last_error_message());
        if (!time) {
            Py_CLEAR(times);
        } else {
            PyList_SET_ITEM(times, i, time);
        }
    }
    return times;
}

/* ---- Arrays: as many batches of the buffer's items as make `count` messages ---- */

typedef struct Batches {
    Bus *bus;
    Py_buffer items;
    Py_ssize_t item_size;
    Py_ssize_t count;
} Batches;

static size_t batch_of(const Batches *batches, Py_ssize_t done) {
    Py_ssize_t most = batches->items.len / batches->item_size;
    return (size_t)(batches->count - done < most ? batches->count - done : most);
}

/* Run a loop over (bus, buffer, item_size, count) without the interpreter's lock. */
static PyObject *run_batches(PyObject *args, bool (*loop)(const Batches *)) {
    Batches batches;
    if (!PyArg_ParseTuple(args, "O!w*nn", &Bus_Type, &batches.bus, &batches.items,
                          &batches.item_size, &batches.count)) {
        return NULL;
    }
    bool good = may_use(batches.bus);
    if (good) {
        PyThreadState *thread = PyEval_SaveThread();
        good = loop(&batches);
        PyEval_RestoreThread(thread);
    }
    PyBuffer_Release(&batches.items);
    return good ? Py_NewRef(Py_None) : raise_last();
}

static bool send_all(const Batches *batches) {
    Py_ssize_t sent = 0;
    for (size_t now = 1; sent < batches->count && now > 0; sent += (Py_ssize_t)now) {
        now = tachyon_send_batch(batches->bus->handle, batches->items.buf,
                                 (size_t)batches->item_size, batch_of(batches, sent), 1,
                                 SPINS, -1);
    }
    return sent == batches->count;
}

static bool receive_all(const Batches *batches) {
    Py_ssize_t received = 0;
    for (size_t now = 1; received < batches->count && now > 0;
         received += (Py_ssize_t)now) {
        uint32_t type_id;
        now = tachyon_recv_batch(batches->bus->handle, batches->items.buf,
                                 (size_t)batches->item_size,
                                 batch_of(batches, received), &type_id, SPINS, -1);
    }
    return received == batches->count;
}

enum { MOST_VIEWS = 1024, COLUMN = 8 };

/* Sum up the doubles at the offset COLUMN of each message, into the buffer. */
static bool look_at_all(const Batches *batches) {
    tachyon_msg_view_t views[MOST_VIEWS];
    double sum = 0;
    Py_ssize_t seen = 0;
    while (seen < batches->count) {
        size_t now = tachyon_drain_batch_timed(batches->bus->handle, views, MOST_VIEWS,
                                               SPINS, -1);
        size_t stride = tachyon_batch_stride(views, now);
        if (stride == 0) {
            return false;
        }
        const uint8_t *column = (const uint8_t *)views[0].ptr + COLUMN;
        for (size_t i = 0; i < now; ++i, column += stride) {
            double value;
            memcpy(&value, column, sizeof value);
            sum += value;
        }
        if (tachyon_commit_rx_batch(batches->bus->handle, views, now) !=
            TACHYON_SUCCESS) {
            return false;
        }
        seen += (Py_ssize_t)now;
    }
    memcpy(batches->items.buf, &sum, sizeof sum);
    return true;
}

static PyObject *send_batches(PyObject *self, PyObject *args) {
    (void)self;
    return run_batches(args, send_all);
}

static PyObject *recv_batches(PyObject *self, PyObject *args) {
    (void)self;
    return run_batches(args, receive_all);
}

static PyObject *view_batches(PyObject *self, PyObject *args) {
    (void)self;
    return run_batches(args, look_at_all);
}

PyMethodDef loop_methods[] = {
    {"echo", echo, METH_VARARGS, NULL},
    {"recv_batches", recv_batches, METH_VARARGS, NULL},
    {"send_batches", send_batches, METH_VARARGS, NULL},
    {"view_batches", view_batches, METH_VARARGS, NULL},
    {"round_trips", round_trips, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

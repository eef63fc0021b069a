/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and receiving as channels, batches and RPC share it. */
#ifndef TACHYON_PYTHON_MESSAGES_H
#define TACHYON_PYTHON_MESSAGES_H

#include "buffer.h"
#include "guard.h"

#include <sys/mman.h>

/* So much is copied while other threads wait for the interpreter's lock; more is copied
   without it, so that they run meanwhile. */
enum { LOCKED_BYTES = 1 << 16 };

/* From so much on memory is had in huge pages, as in NumPy. */
enum { HUGE_BYTES = 1 << 22 };

/* ---- Sending ---- */

/* Whether and how long to wait for room. */
typedef struct Patience {
    bool block;
    seconds_t timeout_ns;
} Patience;

static inline int parse_patience(PyObject *block, PyObject *timeout,
                                 Patience *patience) {
    int truth = block ? PyObject_IsTrue(block) : 1;
    patience->block = truth > 0;
    return truth < 0 ? -1 : parse_timeout(timeout, &patience->timeout_ns);
}

int may_wait_for_room(const End *end, const Patience *patience);

/* One attempt to send without waiting: 1 when it has done it, 0 to wait, -1 with an
   exception. In line, as what calls it, so that each attempt is a direct call. */
static inline int try_to_send(End *end, Attempt attempt, void *call,
                              const Patience *patience) {
    if (end_claim(end, &end->tx) < 0)
        return -1;
    return attempt(end, call, 0) ? 1 : may_wait_for_room(end, patience);
}

static inline int send_by(End *end, Attempt attempt, void *call,
                          const Patience *patience) {
    int sent = try_to_send(end, attempt, call, patience);
    return sent != 0 ? sent
                     : end_wait(end, &end->tx, attempt, call, patience->timeout_ns);
}

int send_unlocked(End *end, Attempt attempt, void *call, const Patience *patience);

/* send_by() for an attempt that copies `size` bytes. */
static inline int send_copy_by(End *end, Attempt attempt, void *call, size_t size,
                               const Patience *patience) {
    return size > LOCKED_BYTES ? send_unlocked(end, attempt, call, patience)
                               : send_by(end, attempt, call, patience);
}

typedef struct SendCall {
    Payload payload;
    uint32_t type_id;
} SendCall;

static inline bool attempt_send(End *end, void *context, int64_t timeout_ns) {
    const SendCall *call = context;
    return tachyon_send(end->handle, call->payload.data, call->payload.size,
                        call->type_id, TACHYON_DEFAULT_SPIN,
                        timeout_ns) == TACHYON_SUCCESS;
}

typedef struct TxCall {
    size_t size;
    void *data;
} TxCall;

typedef struct TxGuard TxGuard;
typedef tachyon_error_t (*Commit)(TxGuard *guard);

/* The largest payload that shares a line of memory with its header, which the receiver
   keeps looking at. */
enum { IN_LINE_BYTES = 32 };

struct TxGuard { /* RpcTxGuard, too */
    Guard guard;
    size_t actual_size;
    uint64_t out_cid;
    Commit commit;
    void *slot; /* of a small message of fields, which is made in `aside` */
    _Alignas(8) unsigned char aside[IN_LINE_BYTES];
};

static inline int parse_size(const End *end, PyObject *value, const char *name,
                             TxCall *call) {
    uint64_t size = 0;
    if (parse_integer(value, name, 0, end->max_payload, &size) < 0)
        return -1;
    call->size = (size_t)size;
    return 0;
}

/* A guard of the slot that `attempt` reserves. NULL with an exception. */
TxGuard *reserve_by(End *end, swig_type_info *info, Attempt attempt, TxCall *call,
                    const Patience *patience, GiveBack give_back, Commit commit);

/* That of a bus, for a message of that size, which its end makes visible. A small one goes
   into its slot then and not before: each write to a line that the receiver looks at has
   to fetch that from the receiver's core. */
TxGuard *reserve_message(End *end, size_t size, uint32_t type_id,
                         const Patience *patience);
PyObject *tx_guard_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs);

/* ---- Receiving ---- */

typedef struct RxCall {
    const void *data;
    size_t size;
    uint64_t id; /* of RPC */
    uint32_t type_id;
    uint32_t spin_threshold;
} RxCall;

static inline bool attempt_acquire_rx(End *end, void *context, int64_t timeout_ns) {
    RxCall *call = context;
    call->data = tachyon_acquire_rx_timed(end->handle, &call->type_id, &call->size,
                                          call->spin_threshold, timeout_ns);
    return call->data != NULL;
}

static inline int receive_by(End *end, Attempt attempt, void *call, PyObject *timeout) {
    seconds_t timeout_ns;
    if (parse_timeout(timeout, &timeout_ns) < 0 || end_claim(end, &end->rx) < 0)
        return -1;
    if (attempt(end, call, 0))
        return 0;
    if (may_wait(&end->rx, TACHYON_ERR_EMPTY, timeout_ns) < 0)
        return -1;
    return end_wait_open(end, &end->rx, attempt, call, timeout_ns);
}

static inline int parse_spin(PyObject *value, uint32_t *spin_threshold) {
    *spin_threshold = TACHYON_DEFAULT_SPIN;
    return parse_u32(value, "spin_threshold", spin_threshold);
}

/* A guard of what `call` has received. NULL: not released, so it comes again. */
static inline Guard *rx_guard_new(End *end, swig_type_info *info, const RxCall *call,
                                  GiveBack give_back) {
    Guard *rx = object_new(&end->rx_guards, info);
    if (rx) {
        guard_init(rx, end, &end->rx, &end->rx_guards, give_back);
        rx->data = call->data;
        rx->size = call->size;
        rx->type_id = call->type_id;
        rx->correlation_id = call->id;
    }
    return rx;
}

/* Release what was received by receive_by() or receive_next(). */
static inline tachyon_error_t release_message(End *end) {
    return end->held.count == 0 ? tachyon_commit_rx(end->handle) : held_copied(end);
}

/* ---- Behind what is held ---- */

int receive_behind(End *end, RxCall *call, int64_t timeout_ns);

/* The next message, whether others are held or not; `hold`: it may be held itself. Until
   it is released or taken it comes again. */
static inline int receive_next(End *end, RxCall *call, PyObject *timeout, bool hold) {
    seconds_t timeout_ns;
    if (parse_timeout(timeout, &timeout_ns) < 0 || end_claim(end, &end->rx) < 0)
        return -1;
    if (hold || end->held.count > 0)
        return receive_behind(end, call, timeout_ns);
    if (attempt_acquire_rx(end, call, 0))
        return 0;
    if (may_wait(&end->rx, TACHYON_ERR_EMPTY, timeout_ns) < 0)
        return -1;
    return end_wait_open(end, &end->rx, attempt_acquire_rx, call, timeout_ns);
}

/* For what takes the oldest message in the ring: 0, or -1 while one is held. */
int refuse_held(const End *end, const char *purpose);

/* New memory that is filled at once: where the system has huge pages a fault brings 2 MiB
   of it instead of 4 KiB, which for large copies takes as long as the copy itself. */
static inline void expect_filled(void *memory, size_t size) {
    const uintptr_t page = 4096;
    if (size < HUGE_BYTES)
        return;
    uintptr_t begin = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t end = (uintptr_t)memory + size;
    (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE); /* or as before */
}

/* Copy what receive_next() gave by an attempt that touches nothing of Python, and release
   it: 0, or -1 with an exception, LAGGED for a copy that came too late. */
static inline int copy_out(End *end, Attempt attempt, void *call, size_t size) {
    if (size <= LOCKED_BYTES) {
        attempt(end, call, 0);
    } else if (end_try(end, &end->rx, attempt, call, TACHYON_SUCCESS, 0) < 0) {
        return -1;
    } else if (!end->open) { /* and there is nothing left to be released */
        raise_closed_meanwhile();
        return -1;
    }
    if (release_message(end) == TACHYON_SUCCESS)
        return 0;
    raise_last();
    return -1;
}

PyObject *drain_batch(End *end, PyObject *max_msgs, PyObject *spin_threshold,
                      PyObject *timeout);

/* tp_iternext: what ends with the stream gives NULL without an exception. */
static inline PyObject *next_or_end(const End *end, PyObject *next) {
    if (!next && end->open && PyErr_ExceptionMatches(ClosedError))
        PyErr_Clear();
    return next;
}

/* ---- Arrays ---- */

/* A buffer as an array of items, one for each index of its first dimension. */
typedef struct Items {
    Py_buffer view;
    size_t item_size;
    size_t count;
} Items;

/* What a caller wants the next message to be. */
typedef struct Wanted {
    size_t size;
    size_t more; /* bytes that it may have beyond that */
    uint32_t type_id;
    bool any_type;
} Wanted;

static inline bool is_wanted(const Wanted *wanted, size_t size, uint32_t type_id) {
    return size - wanted->size <= wanted->more && /* a smaller one wraps round */
           (wanted->any_type || type_id == wanted->type_id);
}

void raise_unexpected(const Wanted *wanted, size_t size, uint32_t type_id);

/* 0 with a view for the caller to release, or -1 with an exception. */
int items_get(PyObject *object, bool writable, Items *items);

PyObject *send_array(End *end, const Items *items, uint32_t type_id,
                     const Patience *patience);

/* Wait for a message, and refuse another than the wanted. It is not taken. */
int await_wanted(End *end, RxCall *next, const Wanted *wanted, PyObject *timeout);

PyObject *recv_array(End *end, const Items *items, const Wanted *wanted,
                     PyObject *timeout);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

/* ---- The queue ---- */

int held_reserve(Held *held) {
    if (held->first + held->count + 1 < held->capacity)
        return 0;
    if (held->first > held->capacity / 2) { /* all of it has moved on */
        memmove(held->views, held->views + held->first,
                held->count * sizeof *held->views);
        memmove((void *)held->frames, (void *)(held->frames + held->first),
                held->count * sizeof *held->frames);
        held->first = 0;
        return 0;
    }
    size_t capacity = held->capacity ? 2 * held->capacity : 16;
    tachyon_msg_view_t *views =
        PyMem_Realloc(held->views, capacity * sizeof *held->views);
    held->views = views ? views : held->views;
    void *frames =
        views ? PyMem_Realloc((void *)held->frames, capacity * sizeof *held->frames)
              : NULL;
    if (!frames) {
        PyErr_NoMemory();
        return -1;
    }
    held->frames = (Frame **)frames;
    held->capacity = capacity;
    return 0;
}

static size_t last(const Held *held) {
    return held->first + held->count - 1;
}

void held_push(Held *held, const tachyon_msg_view_t *view) {
    ++held->count;
    held->views[last(held)] = *view;
    held->frames[last(held)] = NULL;
    held->pending = true;
}

void held_take(End *end, Frame *frame) {
    Held *held = &end->held;
    held->frames[last(held)] = frame;
    held->pending = false;
    frame->place = held->released + held->count - 1;
}

/* What is handed out and alone need not be remembered: the ring gives it again. */
void held_put_back(Held *held) {
    if (held->count == 1 && held->pending) {
        held->count = 0;
        held->pending = false;
    }
}

/* ---- Letting go ---- */

tachyon_error_t held_settle(End *end) {
    Held *held = &end->held;
    size_t done = 0, taken = held->count - held->pending;
    while (done < taken && !held->frames[held->first + done])
        ++done;
    if (done == 0)
        return TACHYON_SUCCESS;
    tachyon_error_t error =
        tachyon_commit_rx_batch(end->handle, held->views + held->first, done);
    held->first += done;
    held->count -= done;
    held->released += done;
    held_put_back(held);
    if (held->count == 0)
        held->first = 0;
    return error;
}

static tachyon_error_t settle_unless_waiting(End *end) {
    return end->rx.waiting ? TACHYON_SUCCESS : held_settle(end);
}

tachyon_error_t held_free(End *end, const Frame *frame) {
    Held *held = &end->held;
    held->frames[held->first + (size_t)(frame->place - held->released)] = NULL;
    return settle_unless_waiting(end);
}

bool held_lagged(const End *end) {
    return end->open && tachyon_get_state(end->handle) == TACHYON_STATE_FATAL_ERROR &&
           tachyon_last_error() == TACHYON_ERR_LAGGED;
}

/* Where what is older keeps it from being released, nothing has told yet whether the copy
   has come too late; a look behind it does. */
tachyon_error_t held_copied(End *end) {
    Held *held = &end->held;
    held->pending = false;
    tachyon_error_t error = settle_unless_waiting(end);
    if (error != TACHYON_SUCCESS || held->count == 0)
        return error;
    tachyon_msg_view_t view;
    if (tachyon_acquire_rx_next_timed(end->handle, &view, 0, 0))
        held_push(held, &view);
    else if (tachyon_last_error() == TACHYON_ERR_LAGGED)
        return TACHYON_ERR_LAGGED;
    return TACHYON_SUCCESS;
}

/* ---- Receiving behind ---- */

/* While something is held a wait looks now and then whether it was let go: only who
   waits may release it, and the peer may need its room for what is waited for. It looks
   less and less often, since that is rare. */
enum { SHORTEST_SLICE_NS = 10000000, LONGEST_SLICE_NS = 160000000 };

typedef struct NextCall {
    tachyon_msg_view_t view;
    uint32_t spin_threshold;
    bool behind; /* something is held */
} NextCall;

/* Behind what is held; where nothing is, the first message, whatever was handed out
   before and not taken. */
static bool attempt_next(End *end, void *context, int64_t timeout_ns) {
    NextCall *next = context;
    uint32_t spins = next->spin_threshold;
    return next->behind ? tachyon_acquire_rx_next_timed(end->handle, &next->view, spins,
                                                        timeout_ns) != NULL
                        : tachyon_drain_batch_timed(end->handle, &next->view, 1, spins,
                                                    timeout_ns) == 1;
}

static int raise_full(const End *end) {
    PyErr_Format(
        PyExc_BufferError,
        "cannot %s: what is held, from the oldest frame on, takes more than half "
        "of the ring; drop that one, an array of recv_array(hold=True) or a view "
        "of a frame, or copy what you keep",
        end->rx.purpose);
    return -1;
}

static int wait_behind(End *end, NextCall *next, int64_t timeout_ns) {
    int64_t deadline_ns = timeout_ns < 0 ? 0 : monotonic_ns() + timeout_ns;
    for (int64_t slice_ns = SHORTEST_SLICE_NS;;) {
        int64_t left_ns = timeout_ns < 0 ? -1 : deadline_ns - monotonic_ns();
        if (timeout_ns >= 0 && left_ns <= 0) {
            raise_lack(&end->rx, timeout_ns);
            return -1;
        }
        next->behind = end->held.count > 0;
        if (next->behind && (left_ns < 0 || left_ns > slice_ns))
            left_ns = slice_ns;
        int received =
            end_try(end, &end->rx, attempt_next, next, TACHYON_ERR_TIMEOUT, left_ns);
        if (received != 0)
            return received > 0 ? 0 : -1;
        if (end_claim(end, &end->rx) < 0)
            return -1;
        next->spin_threshold = 0; /* it has spun */
        slice_ns = slice_ns < LONGEST_SLICE_NS ? 2 * slice_ns : slice_ns;
    }
}

static int find_next(End *end, NextCall *next, int64_t timeout_ns) {
    if (attempt_next(end, next, 0))
        return 0;
    if (tachyon_last_error() == TACHYON_ERR_FULL)
        return raise_full(end);
    if (may_wait(&end->rx, TACHYON_ERR_EMPTY, timeout_ns) < 0 ||
        wait_behind(end, next, timeout_ns) < 0)
        return -1;
    if (end->open)
        return 0;
    raise_closed_meanwhile();
    return -1;
}

int receive_behind(End *end, RxCall *call, int64_t timeout_ns) {
    Held *held = &end->held;
    NextCall next = {.spin_threshold = call->spin_threshold, .behind = held->count > 0};
    if (held_reserve(held) < 0)
        return -1;
    if (!held->pending) {
        if (find_next(end, &next, timeout_ns) < 0)
            return -1;
        held_push(held, &next.view);
    }
    const tachyon_msg_view_t *view = &held->views[last(held)];
    call->data = view->ptr;
    call->size = view->actual_size;
    call->type_id = view->type_id;
    return 0;
}

int refuse_held(const End *end, const char *purpose) {
    if (end->held.count == 0)
        return 0;
    PyErr_Format(PyExc_BufferError,
                 "cannot %s: an array of recv_array(hold=True), or a view of a frame, "
                 "still points into the ring; drop it first, or take messages with "
                 "recv() and recv_array()",
                 purpose);
    return -1;
}

/* ---- The end ---- */

Py_ssize_t held_views(const Held *held) {
    Py_ssize_t views = 0;
    for (size_t i = held->first; i < held->first + held->count; ++i)
        views += held->frames[i] ? held->frames[i]->views : 0;
    return views;
}

void held_lose(End *end) {
    Held *held = &end->held;
    for (size_t i = held->first; i < held->first + held->count; ++i) {
        if (!held->frames[i])
            continue;
        held->frames[i]->state = GUARD_LOST;
        if (held->frames[i]->views > 0)
            bus_ref(end->bus);
    }
    held->first = held->count = 0;
    held->pending = false;
}

void held_delete(Held *held) {
    PyMem_Free(held->views);
    PyMem_Free((void *)held->frames);
}

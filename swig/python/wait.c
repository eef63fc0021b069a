/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting without the interpreter's lock. The callers have tried without waiting
   before: where the message or the room is there already, the lock is kept. */

/* One call into the core that may block; runs without the interpreter's lock. */
typedef bool (*Attempt)(TachyonBus *bus, void *call, int64_t timeout_ns);

static void raise_closed_meanwhile(void) {
    raise_error(TACHYON_ERR_CLOSED, "another thread has closed the bus", 0);
}

static void bus_set_waiting(TachyonBus *bus, Side *side, const char *purpose) {
    if (bus->kind->one_thread) {
        bus->tx.waiting = bus->rx.waiting = purpose;
    } else {
        side->waiting = purpose;
    }
}

/* Give back what a guard could not while somebody waited. */
static void side_settle(Side *side, void *handle) {
    if (side->owed) {
        side->owed(handle);
        side->owed = NULL;
    }
}

/* Nanoseconds until a deadline, at least 1; -1, for ever, for the deadline -1. */
static int64_t time_left(int64_t deadline_ns) {
    int64_t left_ns = deadline_ns < 0 ? -1 : deadline_ns - monotonic_ns();
    return deadline_ns < 0 || left_ns > 1 ? left_ns : 1;
}

static void raise_lack(const Side *side, int64_t timeout_ns) {
    char reply[64];
    PyOS_snprintf(reply, sizeof reply, "no reply to call %" PRIu64 " yet", side->call);
    raise_timeout(side->call ? reply : side->lack, timeout_ns);
}

/* Repeat `attempt` until it succeeds: 0, or -1 with an exception. A signal whose
   handler does not raise does not end the wait. */
static int bus_wait(TachyonBus *bus, Side *side, Attempt attempt, void *call,
                    int64_t timeout_ns) {
    int64_t deadline_ns = timeout_ns < 0 ? -1 : monotonic_ns() + timeout_ns;
    int64_t given_ns = timeout_ns;
    bool done;
    bus_set_waiting(bus, side, side->purpose);
    ++bus->waiters;
    for (;;) {
        PyThreadState *thread = PyEval_SaveThread();
        done = attempt(bus, call, timeout_ns);
        PyEval_RestoreThread(thread);
        if (done || PyErr_Occurred()) {
            break;
        }
        if (tachyon_last_error() == TACHYON_ERR_TIMEOUT) {
            raise_lack(side, given_ns);
            break;
        }
        if (tachyon_last_error() != TACHYON_ERR_INTERRUPTED || !bus->open) {
            raise_last();
            break;
        }
        if (PyErr_CheckSignals() < 0) {
            break;
        }
        timeout_ns = time_left(deadline_ns);
    }
    bus_set_waiting(bus, side, NULL);
    if (bus->open) {
        side_settle(&bus->tx, bus->handle);
        side_settle(&bus->rx, bus->handle);
    }
    if (--bus->waiters == 0 && !bus->open) {
        release_handle(bus);
    }
    if (!done && !bus->open && PyErr_ExceptionMatches(TachyonError)) {
        PyErr_Clear();
        raise_closed_meanwhile();
    }
    return done ? 0 : -1;
}

/* bus_wait() for what is worth nothing once another thread has closed the bus. */
static int bus_wait_open(TachyonBus *bus, Side *side, Attempt attempt, void *call,
                         int64_t timeout_ns) {
    if (bus_wait(bus, side, attempt, call, timeout_ns) < 0) {
        return -1;
    }
    if (!bus->open) {
        raise_closed_meanwhile();
        return -1;
    }
    return 0;
}

/* What to do after an attempt that did not wait has failed: 0 to wait, -1 with an
   exception. `would_block` is EMPTY or FULL. */
static int may_wait(const Side *side, tachyon_error_t would_block, int64_t timeout_ns) {
    tachyon_error_t error = tachyon_last_error();
    if (error == would_block && timeout_ns != 0) {
        return 0;
    }
    if (error == would_block) {
        raise_lack(side, timeout_ns);
    } else {
        raise_last();
    }
    return -1;
}

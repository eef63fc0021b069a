/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RPC: a bus whose ends both send and receive, one ring for requests, one for replies.
 *
 * Owns: what matches replies to calls. A callee's entry in the table of calls lives
 * from serve until its reply is sent, a caller's from commit_call until its reply is
 * released. A caller that waits, for one reply or for room, takes the other replies off
 * the ring, so that the callee can go on.
 */
#include "rpc.h"
#include "bus.h"
#include "calls.h"

#include <inttypes.h>

#define SETTLE_MOST 256 /* records that one look takes off the ring at most */
#define ANY_CALL UINT64_MAX

/* Who connects calls, who listens serves. A callee with many callers (callers.c) is
 * neither end of a single connection: so the short way does not ask for it. */
enum end { CALLEE = RING_SIDE_LISTENER, CALLER = RING_SIDE_CONNECTOR };

struct tachyon_rpc_bus {
    struct tachyon_bus bus; /* first: the hooks of a wait come with a pointer to it */
    struct calls calls;
    uint64_t awaited;  /* caller: the call that was last waited for */
    uint64_t held_id;  /* of what is handed out, 0 for nothing ... */
    bool held_in_ring; /* caller: ... still in the ring, or a kept copy */
    tachyon_rpc_stats_t stats;
};

static struct tachyon_rpc_bus *rpc_of(struct tachyon_bus *bus) {
    return (struct tachyon_rpc_bus *)(void *)bus;
}

static bool is_caller(const struct tachyon_rpc_bus *rpc) {
    return rpc->bus.side == (enum ring_side)CALLER;
}

/* ---- What every function checks ---- */

enum way { REFUSED, ALONE, AMONG_MANY };

static out_of_line enum way way_slow(struct tachyon_rpc_bus *rpc, enum end end,
                                     int64_t timeout_ns) {
    if (is_null(rpc))
        return REFUSED;
    if (is_caller(rpc) != (end == CALLER))
        ty_fail(TACHYON_ERR_BUSY, 0, "this end %s",
                end == CALLER ? "listens: it serves requests and replies"
                              : "has connected: it calls and waits");
    else if (atomic_load_explicit(&rpc->bus.link.waiting, memory_order_relaxed) &&
             atomic_load(&rpc->bus.error) == TACHYON_SUCCESS)
        ty_bus_wait_failed(&rpc->bus, TACHYON_ERR_BUSY);
    else if (bus_closing(&rpc->bus))
        ty_bus_claim(&rpc->bus, BUS_ROLE_BOTH, timeout_ns); /* says why it cannot */
    else
        return rpc->bus.peers ? AMONG_MANY : ALONE;
    return REFUSED;
}

/* Which way this function, which waits so long, goes now. REFUSED: the last error says
 * why it cannot be called. */
static inline enum way way_of(struct tachyon_rpc_bus *rpc, enum end end,
                              int64_t timeout_ns) {
    if (likely(rpc) && likely(rpc->bus.side == (enum ring_side)end) &&
        likely(!atomic_load_explicit(&rpc->bus.link.waiting, memory_order_relaxed)) &&
        likely(!bus_closing(&rpc->bus)))
        return ALONE;
    return way_slow(rpc, end, timeout_ns);
}

/* The same for a caller, which is never among many. */
static inline bool may_call(struct tachyon_rpc_bus *rpc, int64_t timeout_ns) {
    return way_of(rpc, CALLER, timeout_ns) == ALONE;
}

/* NULL: the last error says that it is not outstanding. */
static struct call *find(struct tachyon_rpc_bus *rpc, uint64_t id) {
    struct call *call = calls_find(&rpc->calls, id);
    if (unlikely(!call))
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "no %s %" PRIu64 " is outstanding",
                is_caller(rpc) ? "call" : "request", id);
    return call;
}

/* A slot for the next call. NULL: the last error says why not. */
static struct call *vacate(struct tachyon_rpc_bus *rpc) {
    struct call *slot = calls_vacate(&rpc->calls, rpc->held_id);
    if (likely(slot))
        return slot;
    if (rpc->calls.count < CALLS_MAX)
        ty_fail(TACHYON_ERR_MEM, 0, "no memory for %zu calls", rpc->calls.count * 2);
    else
        ty_fail(TACHYON_ERR_BUSY, 0,
                "the reply to call %" PRIu64 ", %u calls ago, is still held",
                rpc->held_id, CALLS_MAX);
    return NULL;
}

/* ---- Replies that nobody waits for now ---- */

static void settle(struct tachyon_rpc_bus *rpc, const struct ring_record *record) {
    if (calls_settle(&rpc->calls, record->correlation_id, record->payload, record->size,
                     record->type_id))
        rpc->stats.kept++;
    else
        rpc->stats.dropped++;
    ty_bus_consume(&rpc->bus, record->bytes, 1);
}

/* Is this the reply to `id`, or for ANY_CALL to one of those that are outstanding? That
 * is asked only while no reply is kept. */
static bool is_reply_to(const struct tachyon_rpc_bus *rpc,
                        const struct ring_record *record, uint64_t id) {
    if (id == ANY_CALL)
        return calls_find(&rpc->calls, record->correlation_id) != NULL;
    return id != 0 && record->correlation_id == id;
}

/*
 * Settle what lies before the reply to `id` (0: everything), or a good part of it: then
 * *more is true. A reply that is handed out in the ring stays there, and nothing behind
 * it moves.
 */
static enum ring_look settle_before(struct tachyon_rpc_bus *rpc, uint64_t id,
                                    struct ring_record *record, bool *more) {
    *more = false;
    if (rpc->held_id != 0 && rpc->held_in_ring)
        return RING_EMPTY;
    for (int i = 0; i < SETTLE_MOST; i++) {
        enum ring_look look = ring_look_at(&rpc->bus.rx, 0, record);
        if (look == RING_CORRUPT)
            ty_bus_fail(&rpc->bus, TACHYON_ERR_CORRUPT);
        if (look != RING_FOUND || is_reply_to(rpc, record, id))
            return look;
        settle(rpc, record);
    }
    *more = true; /* the caller of this looks at the clock meanwhile */
    return RING_EMPTY;
}

/* ---- Sending: calls and replies ---- */

static bool room_ready(void *context) {
    struct tx_wait *want = context;
    struct ring_record record;
    bool more; /* the next look goes on, and until then the callee has room */
    want->corrupt = settle_before(rpc_of(want->bus), 0, &record, &more) == RING_CORRUPT;
    return want->corrupt || ty_bus_tx_ready(want);
}

static void room_asleep(void *context, bool flag) {
    ty_bus_tx_asleep(context, flag);
    ring_want_record(&((struct tx_wait *)context)->bus->rx, flag);
}

/* A caller takes replies meanwhile: two ends that wait for room in full rings could not
 * go on. A callee waits as on any bus. */
static out_of_line void *wait_for_room(struct tachyon_rpc_bus *rpc, size_t size,
                                       uint32_t spins, int64_t timeout_ns) {
    struct wait how = {.spins = spins, .timeout_ns = timeout_ns};
    if (is_caller(rpc)) {
        how.ready = room_ready;
        how.asleep = room_asleep;
    }
    return ty_bus_wait_tx(&rpc->bus, size, how);
}

static void *acquire(struct tachyon_rpc_bus *rpc, enum end end, size_t size,
                     uint32_t spins, int64_t timeout_ns) {
    enum way way = way_of(rpc, end, timeout_ns);
    if (unlikely(way != ALONE))
        return way == AMONG_MANY
                   ? ty_callers_acquire(&rpc->bus, size, spins, timeout_ns)
                   : NULL;
    void *slot = ring_reserve(&rpc->bus.tx, size);
    return likely(slot) ? slot : wait_for_room(rpc, size, spins, timeout_ns);
}

static bool copy_in(struct tachyon_rpc_bus *rpc, enum end end, const void *payload,
                    size_t size, uint32_t spins, int64_t timeout_ns) {
    if (size > 0 && is_null(payload))
        return false;
    void *slot = acquire(rpc, end, size, spins, timeout_ns);
    if (slot && size > 0)
        memcpy(slot, payload, size);
    return slot;
}

void *tachyon_rpc_acquire_tx_timed(tachyon_rpc_bus_t *rpc, size_t max_payload_size,
                                   uint32_t spin_threshold, int64_t timeout_ns) {
    return acquire(rpc, CALLER, max_payload_size, spin_threshold, timeout_ns);
}

void *tachyon_rpc_acquire_tx(tachyon_rpc_bus_t *rpc, size_t max_payload_size) {
    return acquire(rpc, CALLER, max_payload_size, 0, 0);
}

void *tachyon_rpc_acquire_reply_tx_timed(tachyon_rpc_bus_t *rpc,
                                         size_t max_payload_size,
                                         uint32_t spin_threshold, int64_t timeout_ns) {
    return acquire(rpc, CALLEE, max_payload_size, spin_threshold, timeout_ns);
}

void *tachyon_rpc_acquire_reply_tx(tachyon_rpc_bus_t *rpc, size_t max_payload_size) {
    return acquire(rpc, CALLEE, max_payload_size, 0, 0);
}

tachyon_error_t tachyon_rpc_commit_call(tachyon_rpc_bus_t *rpc, size_t actual_size,
                                        uint32_t msg_type, uint64_t *out_cid) {
    struct call *slot;
    if (!may_call(rpc, 0) || is_null(out_cid))
        return tachyon_last_error();
    /* Refused: it takes no older call's place. */
    if (unlikely(!ring_reserved_one(&rpc->bus.tx)) ||
        unlikely(actual_size > rpc->bus.tx.reserved))
        return ty_bus_commit(&rpc->bus, actual_size, msg_type, 0);
    if (!(slot = vacate(rpc)))
        return tachyon_last_error();
    tachyon_error_t error =
        ty_bus_commit(&rpc->bus, actual_size, msg_type, rpc->calls.last + 1);
    if (error != TACHYON_SUCCESS ||
        (error = ty_bus_flush(&rpc->bus)) != TACHYON_SUCCESS)
        return error;
    *out_cid = calls_enter(&rpc->calls, slot);
    rpc->stats.calls++;
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_rpc_commit_reply(tachyon_rpc_bus_t *rpc,
                                         uint64_t correlation_id, size_t actual_size,
                                         uint32_t msg_type) {
    enum way way = way_of(rpc, CALLEE, 0);
    if (unlikely(way == AMONG_MANY))
        return ty_callers_commit(&rpc->bus, correlation_id, actual_size, msg_type);
    struct call *call = NULL;
    if (unlikely(way == REFUSED) || !(call = find(rpc, correlation_id)))
        return tachyon_last_error();
    tachyon_error_t error =
        ty_bus_commit(&rpc->bus, actual_size, msg_type, correlation_id);
    if (error != TACHYON_SUCCESS ||
        (error = ty_bus_flush(&rpc->bus)) != TACHYON_SUCCESS)
        return error;
    calls_end(&rpc->calls, call);
    rpc->stats.replies++;
    return TACHYON_SUCCESS;
}

void tachyon_rpc_rollback_call(tachyon_rpc_bus_t *rpc) {
    if (may_call(rpc, 0))
        tachyon_rollback_tx(&rpc->bus);
}

void tachyon_rpc_rollback_reply(tachyon_rpc_bus_t *rpc) {
    enum way way = way_of(rpc, CALLEE, 0);
    if (way == ALONE)
        tachyon_rollback_tx(&rpc->bus);
    else if (way == AMONG_MANY)
        ty_callers_rollback(&rpc->bus);
}

tachyon_error_t tachyon_rpc_call_timed(tachyon_rpc_bus_t *rpc, const void *payload,
                                       size_t size, uint32_t msg_type,
                                       uint64_t *out_cid, uint32_t spin_threshold,
                                       int64_t timeout_ns) {
    if (is_null(out_cid) ||
        !copy_in(rpc, CALLER, payload, size, spin_threshold, timeout_ns))
        return tachyon_last_error();
    tachyon_error_t error = tachyon_rpc_commit_call(rpc, size, msg_type, out_cid);
    if (error != TACHYON_SUCCESS)
        rpc->bus.tx.offset = 0;
    return error;
}

tachyon_error_t tachyon_rpc_call(tachyon_rpc_bus_t *rpc, const void *payload,
                                 size_t size, uint32_t msg_type, uint64_t *out_cid) {
    return tachyon_rpc_call_timed(rpc, payload, size, msg_type, out_cid, 0, 0);
}

tachyon_error_t tachyon_rpc_reply_timed(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                                        const void *payload, size_t size,
                                        uint32_t msg_type, uint32_t spin_threshold,
                                        int64_t timeout_ns) {
    enum way way = way_of(rpc, CALLEE, timeout_ns);
    if (unlikely(way == AMONG_MANY))
        return ty_callers_reply(&rpc->bus, correlation_id, payload, size, msg_type,
                                spin_threshold, timeout_ns);
    if (way == REFUSED || !find(rpc, correlation_id) ||
        !copy_in(rpc, CALLEE, payload, size, spin_threshold, timeout_ns))
        return tachyon_last_error();
    return tachyon_rpc_commit_reply(rpc, correlation_id, size, msg_type);
}

tachyon_error_t tachyon_rpc_reply(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                                  const void *payload, size_t size, uint32_t msg_type) {
    return tachyon_rpc_reply_timed(rpc, correlation_id, payload, size, msg_type, 0, 0);
}

/* ---- Caller: waiting for replies ---- */

struct reply_wait {
    struct rx_wait rx; /* first: bus.c knows only this */
    uint64_t id;
    bool more; /* other replies still lie before it */
};

static bool reply_ready(void *context) {
    struct reply_wait *want = context;
    want->rx.look =
        settle_before(rpc_of(want->rx.bus), want->id, &want->rx.record, &want->more);
    return want->rx.look != RING_EMPTY || want->more;
}

/* Wait until the reply is the next in the ring. However many others come before it,
 * the looks between are bounded, and the clock and the hook of signals are asked. */
static bool wait_for_reply(struct reply_wait *want, uint32_t spins,
                           int64_t timeout_ns) {
    struct tachyon_bus *bus = want->rx.bus;
    int64_t deadline = timeout_ns > 0 ? ty_deadline(timeout_ns) : TY_NEVER;
    uint64_t settled = 0; /* one ringful lay there before we came */
    struct tachyon_rpc_bus *rpc = rpc_of(bus);
    if (rpc->awaited != want->id) { /* each call is told of the end at once */
        rpc->awaited = want->id;
        atomic_store_explicit(&bus->repeats, 0, memory_order_relaxed);
    }
    for (;;) {
        want->more = false; /* a handle that is closed by now is not looked at */
        if (ty_bus_wait_rx(&want->rx, (struct wait){.ready = reply_ready,
                                                    .spins = spins,
                                                    .timeout_ns = timeout_ns}))
            return true;
        if (!want->more)
            return false;
        settled += SETTLE_MOST;
        bool whole_ring = settled > bus->rx.capacity / RING_LINE;
        tachyon_error_t error = TACHYON_SUCCESS;
        if (timeout_ns == 0 && whole_ring)
            error = TACHYON_ERR_EMPTY;
        else if (whole_ring && ty_link_interrupted(&bus->link))
            error = TACHYON_ERR_INTERRUPTED;
        else if (deadline != TY_NEVER && (timeout_ns = deadline - ty_now_ns()) <= 0)
            error = TACHYON_ERR_TIMEOUT;
        if (error != TACHYON_SUCCESS) {
            ty_bus_wait_failed(bus, error);
            return false;
        }
    }
}

/* Hand out a reply that was taken off the ring before. */
static const void *take_settled(struct tachyon_rpc_bus *rpc, struct call *call,
                                size_t *actual_size, uint32_t *msg_type) {
    if (call->lost) {
        ty_fail(TACHYON_ERR_MEM, 0, "no memory to keep the reply to call %" PRIu64,
                call->id);
        calls_end(&rpc->calls, call);
        return NULL;
    }
    rpc->held_id = call->id;
    rpc->held_in_ring = false;
    *actual_size = call->size;
    *msg_type = call->type;
    return call->reply;
}

/* Wait for the reply to `id`, or to ANY_CALL, in the ring, and hand it out. */
static const void *take_reply(struct tachyon_rpc_bus *rpc, uint64_t id,
                              size_t *actual_size, uint32_t *msg_type, uint32_t spins,
                              int64_t timeout_ns) {
    struct reply_wait want = {.rx.bus = &rpc->bus, .id = id};
    if ((ring_look_at(&rpc->bus.rx, 0, &want.rx.record) != RING_FOUND ||
         !is_reply_to(rpc, &want.rx.record, id)) &&
        !wait_for_reply(&want, spins, timeout_ns)) {
        if (rpc->calls.settled > 0) /* kept for another wait; nothing else tells */
            ty_link_signal(&rpc->bus.link, true);
        return NULL;
    }
    rpc->held_id = want.rx.record.correlation_id;
    rpc->held_in_ring = true;
    return bus_hand_out(&rpc->bus, &want.rx.record, msg_type, actual_size);
}

/* What both kinds of wait check. */
static bool may_wait(struct tachyon_rpc_bus *rpc, const void *actual_size,
                     const void *msg_type, int64_t timeout_ns) {
    if (!may_call(rpc, timeout_ns) || is_null(actual_size) || is_null(msg_type))
        return false;
    if (unlikely(rpc->held_id != 0))
        ty_fail(TACHYON_ERR_BUSY, 0, "the reply to call %" PRIu64 " is still held",
                rpc->held_id);
    return rpc->held_id == 0;
}

const void *tachyon_rpc_wait_timed(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                                   size_t *actual_size, uint32_t *msg_type,
                                   uint32_t spin_threshold, int64_t timeout_ns) {
    struct call *call = may_wait(rpc, actual_size, msg_type, timeout_ns)
                            ? find(rpc, correlation_id)
                            : NULL;
    if (!call)
        return NULL;
    if (call_settled(call))
        return take_settled(rpc, call, actual_size, msg_type);
    return take_reply(rpc, correlation_id, actual_size, msg_type, spin_threshold,
                      timeout_ns);
}

const void *tachyon_rpc_wait_any(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                                 size_t *actual_size, uint32_t *msg_type,
                                 uint32_t spin_threshold, int64_t timeout_ns) {
    if (!may_wait(rpc, actual_size, msg_type, timeout_ns) || is_null(out_cid))
        return NULL;
    if (rpc->calls.outstanding == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "no call is outstanding");
        return NULL;
    }
    if (rpc->calls.settled > 0) {
        struct call *call = calls_oldest_settled(&rpc->calls);
        *out_cid = call->id;
        return take_settled(rpc, call, actual_size, msg_type);
    }
    const void *reply =
        take_reply(rpc, ANY_CALL, actual_size, msg_type, spin_threshold, timeout_ns);
    *out_cid = rpc->held_id;
    return reply;
}

const void *tachyon_rpc_wait(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                             size_t *actual_size, uint32_t *msg_type,
                             uint32_t spin_threshold) {
    return tachyon_rpc_wait_timed(rpc, correlation_id, actual_size, msg_type,
                                  spin_threshold, -1);
}

tachyon_error_t tachyon_rpc_commit_rx(tachyon_rpc_bus_t *rpc) {
    if (!may_call(rpc, 0))
        return tachyon_last_error();
    struct call *call = calls_find(&rpc->calls, rpc->held_id);
    if (!call)
        return ty_fail(TACHYON_ERR_EMPTY, 0, "no reply is held");
    calls_end(&rpc->calls, call);
    rpc->held_id = 0;
    rpc->stats.replies++;
    return rpc->held_in_ring ? tachyon_commit_rx(&rpc->bus) : TACHYON_SUCCESS;
}

tachyon_error_t tachyon_rpc_cancel(tachyon_rpc_bus_t *rpc, uint64_t correlation_id) {
    struct call *call = may_call(rpc, 0) ? find(rpc, correlation_id) : NULL;
    if (!call)
        return tachyon_last_error();
    if (rpc->held_id == correlation_id)
        return ty_fail(TACHYON_ERR_BUSY, 0, "the reply to call %" PRIu64 " is held",
                       correlation_id);
    calls_end(&rpc->calls, call);
    return TACHYON_SUCCESS;
}

/* ---- Callee: taking requests ---- */

const void *tachyon_rpc_serve_timed(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                                    uint32_t *msg_type, size_t *actual_size,
                                    uint32_t spin_threshold, int64_t timeout_ns) {
    struct rx_wait want;
    enum way way = way_of(rpc, CALLEE, timeout_ns);
    if (unlikely(way == AMONG_MANY))
        return ty_callers_serve(&rpc->bus, out_cid, msg_type, actual_size,
                                spin_threshold, timeout_ns);
    if (way == REFUSED || is_null(out_cid) || is_null(msg_type) ||
        is_null(actual_size) || !bus_next(&rpc->bus, &want, spin_threshold, timeout_ns))
        return NULL;
    uint64_t id = want.record.correlation_id;
    /* Ids grow by one; what is held comes again until it is committed. */
    if (id != (rpc->held_id != 0 ? rpc->held_id : rpc->calls.last + 1)) {
        ty_bus_fail(&rpc->bus, TACHYON_ERR_CORRUPT);
        return NULL;
    }
    if (rpc->held_id == 0) {
        struct call *slot = vacate(rpc);
        if (!slot)
            return NULL;
        rpc->held_id = calls_enter(&rpc->calls, slot);
        rpc->stats.calls++;
    }
    *out_cid = id;
    return bus_hand_out(&rpc->bus, &want.record, msg_type, actual_size);
}

const void *tachyon_rpc_serve(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                              uint32_t *msg_type, size_t *actual_size,
                              uint32_t spin_threshold) {
    return tachyon_rpc_serve_timed(rpc, out_cid, msg_type, actual_size, spin_threshold,
                                   -1);
}

tachyon_error_t tachyon_rpc_commit_serve(tachyon_rpc_bus_t *rpc) {
    if (way_of(rpc, CALLEE, 0) == REFUSED)
        return tachyon_last_error();
    rpc->held_id = 0;
    return tachyon_commit_rx(&rpc->bus);
}

/* ---- A descriptor, settings, counters ---- */

void tachyon_rpc_set_polling_mode(const tachyon_rpc_bus_t *rpc, int pure_spin) {
    if (rpc)
        tachyon_bus_set_polling_mode(&rpc->bus, pure_spin);
}

int tachyon_rpc_fileno(tachyon_rpc_bus_t *rpc) {
    return is_null(rpc) ? -1 : ty_bus_fileno(&rpc->bus);
}

void tachyon_rpc_watch_messages(tachyon_rpc_bus_t *rpc, int watch) {
    if (!rpc || rpc->bus.link.receives == (watch != 0))
        return;
    rpc->bus.link.receives = watch != 0;
    ty_link_signal(&rpc->bus.link, true); /* the next look that finds nothing arms */
}

tachyon_error_t tachyon_rpc_get_stats(const tachyon_rpc_bus_t *rpc,
                                      tachyon_rpc_stats_t *out) {
    if (is_null(rpc) || is_null(out))
        return TACHYON_ERR_NULL_PTR;
    *out = rpc->stats;
    out->outstanding = rpc->calls.outstanding;
    if (rpc->bus.peers)
        ty_callers_stats((struct tachyon_bus *)(uintptr_t)&rpc->bus, out);
    return TACHYON_SUCCESS;
}

/* ---- What open.c needs ---- */

struct tachyon_bus *ty_rpc_allocate(void) {
    tachyon_rpc_bus_t *rpc = aligned_alloc(alignof(tachyon_rpc_bus_t), sizeof *rpc);
    if (!rpc)
        return NULL;
    *rpc = (tachyon_rpc_bus_t){.held_id = 0};
    if (calls_init(&rpc->calls, CALLS_MIN))
        return &rpc->bus;
    free(rpc);
    return NULL;
}

void ty_rpc_deallocate(struct tachyon_bus *bus) {
    calls_free(&rpc_of(bus)->calls);
    free(rpc_of(bus));
}

void ty_rpc_arm(struct tachyon_bus *bus) {
    bool caller = is_caller(rpc_of(bus));
    atomic_store(&bus->role, BUS_ROLE_BOTH);
    ty_bus_arm_tx(bus, &bus->regions[caller ? 0 : 1]);
    ty_bus_arm_rx(bus, &bus->regions[caller ? 1 : 0]);
}

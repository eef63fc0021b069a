/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RPC: a bus whose ends both send and receive, one ring for requests, one for replies.
 *
 * Owns: the calls that are outstanding. A caller's entry lives from commit_call until
 * its reply is released; a callee's from serve until its reply is sent. Both look ids
 * up modulo the size of one table that grows with the span of ids in it, up to
 * CALLS_MAX; a call that is older still is forgotten, so memory stays bounded whatever
 * the peer does. Replies awaited later are kept as copies in their entry: at most one
 * for each outstanding call.
 */
#include "bus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MIN 64u
#define CALLS_MAX 65536u
#define SETTLE_MOST 256 /* records that one look takes off the ring at most */
#define ANY_CALL UINT64_MAX

struct call {
    uint64_t id;   /* 0: free */
    void *reply;   /* kept copy, or NULL */
    size_t size;   /* of that copy */
    uint32_t type; /* of that copy */
    bool lost;     /* its reply came when there was no memory to keep it */
};

struct tachyon_rpc_bus {
    struct tachyon_bus bus; /* first: the hooks of bus.c come with a pointer to it */
    struct call *calls;
    size_t call_slots; /* a power of two */
    uint64_t last_id;  /* caller: last id given out; callee: last id served */
    uint64_t held_id;  /* reply (caller) handed out, 0 for none ... */
    bool held_in_ring; /* ... still in the ring, or a kept copy */
    size_t settled;    /* caller: outstanding calls whose reply is kept or lost */
    tachyon_rpc_stats_t stats;
};

static bool is_caller(const struct tachyon_rpc_bus *rpc) {
    return rpc->bus.side == RING_SIDE_CONNECTOR;
}

/* ---- Outstanding calls ---- */

static struct call *find_call(struct tachyon_rpc_bus *rpc, uint64_t id) {
    struct call *call = &rpc->calls[id & (rpc->call_slots - 1)];
    return id != 0 && call->id == id ? call : NULL;
}

static bool is_settled(const struct call *call) {
    return call->reply || call->lost;
}

static void end_call(struct tachyon_rpc_bus *rpc, struct call *call) {
    rpc->settled -= is_settled(call);
    free(call->reply);
    *call = (struct call){0};
    rpc->stats.outstanding--;
}

static bool grow_calls(struct tachyon_rpc_bus *rpc) {
    size_t slots = rpc->call_slots * 2;
    struct call *calls = calloc(slots, sizeof *calls);
    if (!calls)
        return false;
    for (size_t i = 0; i < rpc->call_slots; i++)
        if (rpc->calls[i].id != 0)
            calls[rpc->calls[i].id & (slots - 1)] = rpc->calls[i];
    free(rpc->calls);
    rpc->calls = calls;
    rpc->call_slots = slots;
    return true;
}

/* Enter a call. At the largest size an old one is forgotten, unless it is held. NULL:
 * the last error says why not. */
static struct call *begin_call(struct tachyon_rpc_bus *rpc, uint64_t id) {
    struct call *call;
    while ((call = &rpc->calls[id & (rpc->call_slots - 1)])->id != 0) {
        if (rpc->call_slots < CALLS_MAX) {
            if (!grow_calls(rpc)) {
                ty_fail(TACHYON_ERR_MEM, 0, "no memory for %zu calls",
                        rpc->call_slots * 2);
                return NULL;
            }
        } else if (call->id == rpc->held_id) {
            ty_fail(TACHYON_ERR_BUSY, 0,
                    "the reply to call %" PRIu64 ", %u calls ago, is still held",
                    call->id, CALLS_MAX);
            return NULL;
        } else {
            end_call(rpc, call);
        }
    }
    call->id = id;
    rpc->stats.outstanding++;
    return call;
}

/* ---- What every function checks ---- */

static tachyon_error_t check(const struct tachyon_rpc_bus *rpc, bool caller) {
    if (unlikely(!rpc))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "rpc is NULL");
    if (unlikely(is_caller(rpc) != caller))
        return ty_fail(TACHYON_ERR_BUSY, 0, "this end %s",
                       caller ? "listens: it serves requests and replies"
                              : "has connected: it calls and waits");
    if (unlikely(atomic_load_explicit(&rpc->bus.link.waiting, memory_order_relaxed)) &&
        atomic_load(&rpc->bus.error) == TACHYON_SUCCESS)
        return ty_fail(TACHYON_ERR_BUSY, 0, "another thread is waiting on this handle");
    if (unlikely(bus_closing(&rpc->bus)))
        return ty_bus_claim((struct tachyon_bus *)(uintptr_t)&rpc->bus, BUS_ROLE_BOTH);
    return TACHYON_SUCCESS;
}

static tachyon_error_t no_such_call(uint64_t id, const char *what) {
    return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "no %s %" PRIu64 " is outstanding", what,
                   id);
}

/* ---- Caller: sending ---- */

void *tachyon_rpc_acquire_tx_timed(tachyon_rpc_bus_t *rpc, size_t max_payload_size,
                                   uint32_t spin_threshold, int64_t timeout_ns) {
    if (check(rpc, true) != TACHYON_SUCCESS)
        return NULL;
    return tachyon_acquire_tx_timed(&rpc->bus, max_payload_size, spin_threshold,
                                    timeout_ns);
}

void *tachyon_rpc_acquire_tx(tachyon_rpc_bus_t *rpc, size_t max_payload_size) {
    return tachyon_rpc_acquire_tx_timed(rpc, max_payload_size, 0, 0);
}

tachyon_error_t tachyon_rpc_commit_call(tachyon_rpc_bus_t *rpc, size_t actual_size,
                                        uint32_t msg_type, uint64_t *out_cid) {
    tachyon_error_t error = check(rpc, true);
    if (error != TACHYON_SUCCESS)
        return error;
    if (!out_cid)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "out_cid is NULL");
    uint64_t id = rpc->last_id + 1;
    struct call *call = begin_call(rpc, id);
    if (!call)
        return tachyon_last_error();
    error = ty_bus_commit(&rpc->bus, actual_size, msg_type, id);
    if (error != TACHYON_SUCCESS) {
        end_call(rpc, call);
        return error;
    }
    tachyon_flush(&rpc->bus);
    rpc->last_id = *out_cid = id;
    rpc->stats.calls++;
    return TACHYON_SUCCESS;
}

void tachyon_rpc_rollback_call(tachyon_rpc_bus_t *rpc) {
    if (check(rpc, true) == TACHYON_SUCCESS)
        tachyon_rollback_tx(&rpc->bus);
}

tachyon_error_t tachyon_rpc_call_timed(tachyon_rpc_bus_t *rpc, const void *payload,
                                       size_t size, uint32_t msg_type,
                                       uint64_t *out_cid, uint32_t spin_threshold,
                                       int64_t timeout_ns) {
    if (!out_cid || (!payload && size > 0))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL",
                       !out_cid ? "out_cid" : "payload");
    void *slot = tachyon_rpc_acquire_tx_timed(rpc, size, spin_threshold, timeout_ns);
    if (!slot)
        return tachyon_last_error();
    if (size > 0)
        memcpy(slot, payload, size);
    tachyon_error_t error = tachyon_rpc_commit_call(rpc, size, msg_type, out_cid);
    if (error != TACHYON_SUCCESS)
        rpc->bus.tx.offset = 0;
    return error;
}

tachyon_error_t tachyon_rpc_call(tachyon_rpc_bus_t *rpc, const void *payload,
                                 size_t size, uint32_t msg_type, uint64_t *out_cid) {
    return tachyon_rpc_call_timed(rpc, payload, size, msg_type, out_cid, 0, 0);
}

/* ---- Caller: receiving ---- */

/* Take a reply that nobody waits for now off the ring: keep it, or drop it. */
static void settle(struct tachyon_rpc_bus *rpc, const struct ring_record *record) {
    struct call *call = find_call(rpc, record->correlation_id);
    void *copy = NULL;
    bool first = call && !is_settled(call);
    if (first)
        copy = malloc(record->size > 0 ? record->size : 1);
    if (copy) {
        memcpy(copy, record->payload, record->size);
        call->reply = copy;
        call->size = record->size;
        call->type = record->type_id;
        rpc->stats.kept++;
    } else {
        if (first)
            call->lost = true;
        rpc->stats.dropped++; /* unknown, a second reply, or no memory */
    }
    rpc->settled += first;
    ty_bus_consume(&rpc->bus, record->bytes, 1);
}

/* Is this the reply to `id`, or for ANY_CALL to one of those that are outstanding? That
 * is asked only while no reply is kept. */
static bool is_reply_to(struct tachyon_rpc_bus *rpc, const struct ring_record *record,
                        uint64_t id) {
    if (id == ANY_CALL)
        return find_call(rpc, record->correlation_id) != NULL;
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
        if (look != RING_FOUND || is_reply_to(rpc, record, id))
            return look;
        settle(rpc, record);
    }
    *more = true; /* the caller of this looks at the clock meanwhile */
    return RING_EMPTY;
}

static bool settle_all(struct tachyon_bus *bus) {
    struct ring_record record;
    bool more; /* the next look goes on, and until then the callee has room */
    return settle_before((struct tachyon_rpc_bus *)(void *)bus, 0, &record, &more) !=
           RING_CORRUPT;
}

struct reply_wait {
    struct rx_wait rx; /* first: bus.c knows only this */
    uint64_t id;
    bool more; /* other replies still lie before it */
};

static bool reply_ready(void *context) {
    struct reply_wait *want = context;
    want->rx.look = settle_before((struct tachyon_rpc_bus *)(void *)want->rx.bus,
                                  want->id, &want->rx.record, &want->more);
    if (want->rx.look == RING_CORRUPT)
        ty_bus_fail(want->rx.bus, TACHYON_ERR_CORRUPT);
    return want->rx.look != RING_EMPTY || want->more;
}

/* Wait until the reply is the next in the ring. However many others come before it,
 * the looks between are bounded, and the clock and the hook of signals are asked. */
static bool wait_for_reply(struct reply_wait *want, uint32_t spins,
                           int64_t timeout_ns) {
    struct tachyon_bus *bus = want->rx.bus;
    int64_t deadline = timeout_ns > 0 ? ty_deadline(timeout_ns) : TY_NEVER;
    uint64_t settled = 0; /* one ringful lay there before we came */
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
        else if (whole_ring && link_interrupted(&bus->link))
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
    uint64_t id = call->id;
    if (call->lost) {
        end_call(rpc, call);
        ty_fail(TACHYON_ERR_MEM, 0, "no memory to keep the reply to call %" PRIu64, id);
        return NULL;
    }
    rpc->held_id = id;
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
        if (rpc->settled > 0) /* kept for another wait, and nothing else tells of it */
            ty_link_signal(&rpc->bus.link, true);
        return NULL;
    }
    ring_hand_out(&rpc->bus.rx, want.rx.record.bytes, 1);
    rpc->held_id = want.rx.record.correlation_id;
    rpc->held_in_ring = true;
    *actual_size = want.rx.record.size;
    *msg_type = want.rx.record.type_id;
    return want.rx.record.payload;
}

/* What both kinds of wait check. */
static tachyon_error_t check_wait(struct tachyon_rpc_bus *rpc, const void *actual_size,
                                  const void *msg_type) {
    tachyon_error_t error = check(rpc, true);
    if (error != TACHYON_SUCCESS)
        return error;
    if (!actual_size || !msg_type)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL",
                       !actual_size ? "actual_size" : "msg_type");
    if (rpc->held_id != 0)
        return ty_fail(TACHYON_ERR_BUSY, 0,
                       "the reply to call %" PRIu64 " is still held", rpc->held_id);
    return TACHYON_SUCCESS;
}

const void *tachyon_rpc_wait_timed(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                                   size_t *actual_size, uint32_t *msg_type,
                                   uint32_t spin_threshold, int64_t timeout_ns) {
    if (check_wait(rpc, actual_size, msg_type) != TACHYON_SUCCESS)
        return NULL;
    struct call *call = find_call(rpc, correlation_id);
    if (!call) {
        no_such_call(correlation_id, "call");
        return NULL;
    }
    if (is_settled(call))
        return take_settled(rpc, call, actual_size, msg_type);
    return take_reply(rpc, correlation_id, actual_size, msg_type, spin_threshold,
                      timeout_ns);
}

const void *tachyon_rpc_wait_any(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                                 size_t *actual_size, uint32_t *msg_type,
                                 uint32_t spin_threshold, int64_t timeout_ns) {
    if (check_wait(rpc, actual_size, msg_type) != TACHYON_SUCCESS)
        return NULL;
    if (!out_cid) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "out_cid is NULL");
        return NULL;
    }
    if (rpc->stats.outstanding == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "no call is outstanding");
        return NULL;
    }
    const void *reply;
    if (rpc->settled > 0) {
        struct call *call;
        uint64_t id = rpc->last_id; /* the oldest one that may be in the table */
        for (id -= id < rpc->call_slots ? id : rpc->call_slots;
             !(call = find_call(rpc, id)) || !is_settled(call); id++)
            ;
        *out_cid = id;
        reply = take_settled(rpc, call, actual_size, msg_type);
    } else {
        reply = take_reply(rpc, ANY_CALL, actual_size, msg_type, spin_threshold,
                           timeout_ns);
        *out_cid = rpc->held_id;
    }
    return reply;
}

const void *tachyon_rpc_wait(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                             size_t *actual_size, uint32_t *msg_type,
                             uint32_t spin_threshold) {
    return tachyon_rpc_wait_timed(rpc, correlation_id, actual_size, msg_type,
                                  spin_threshold, -1);
}

tachyon_error_t tachyon_rpc_commit_rx(tachyon_rpc_bus_t *rpc) {
    tachyon_error_t error = check(rpc, true);
    if (error != TACHYON_SUCCESS)
        return error;
    struct call *call = find_call(rpc, rpc->held_id);
    if (!call)
        return ty_fail(TACHYON_ERR_EMPTY, 0, "no reply is held");
    end_call(rpc, call);
    rpc->held_id = 0;
    rpc->stats.replies++;
    return rpc->held_in_ring ? tachyon_commit_rx(&rpc->bus) : TACHYON_SUCCESS;
}

tachyon_error_t tachyon_rpc_cancel(tachyon_rpc_bus_t *rpc, uint64_t correlation_id) {
    tachyon_error_t error = check(rpc, true);
    if (error != TACHYON_SUCCESS)
        return error;
    struct call *call = find_call(rpc, correlation_id);
    if (!call)
        return no_such_call(correlation_id, "call");
    if (rpc->held_id == correlation_id)
        return ty_fail(TACHYON_ERR_BUSY, 0, "the reply to call %" PRIu64 " is held",
                       correlation_id);
    end_call(rpc, call);
    return TACHYON_SUCCESS;
}

/* ---- Callee ---- */

const void *tachyon_rpc_serve_timed(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                                    uint32_t *msg_type, size_t *actual_size,
                                    uint32_t spin_threshold, int64_t timeout_ns) {
    if (check(rpc, false) != TACHYON_SUCCESS)
        return NULL;
    if (!out_cid || !msg_type || !actual_size) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL",
                !out_cid    ? "out_cid"
                : !msg_type ? "msg_type"
                            : "actual_size");
        return NULL;
    }
    struct rx_wait want = {.bus = &rpc->bus};
    if (ring_look_at(&rpc->bus.rx, 0, &want.record) != RING_FOUND &&
        !ty_bus_wait_rx(
            &want, (struct wait){.spins = spin_threshold, .timeout_ns = timeout_ns}))
        return NULL;
    uint64_t id = want.record.correlation_id;
    bool again = rpc->held_id != 0 && rpc->held_id == id;
    if (!again && (rpc->held_id != 0 || id != rpc->last_id + 1)) {
        ty_bus_fail(&rpc->bus, TACHYON_ERR_CORRUPT); /* ids grow by one */
        return NULL;
    }
    if (!again) {
        if (!begin_call(rpc, id))
            return NULL;
        rpc->last_id = rpc->held_id = id;
        rpc->stats.calls++;
    }
    ring_hand_out(&rpc->bus.rx, want.record.bytes, 1);
    *out_cid = id;
    *msg_type = want.record.type_id;
    *actual_size = want.record.size;
    return want.record.payload;
}

const void *tachyon_rpc_serve(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                              uint32_t *msg_type, size_t *actual_size,
                              uint32_t spin_threshold) {
    return tachyon_rpc_serve_timed(rpc, out_cid, msg_type, actual_size, spin_threshold,
                                   -1);
}

tachyon_error_t tachyon_rpc_commit_serve(tachyon_rpc_bus_t *rpc) {
    tachyon_error_t error = check(rpc, false);
    if (error != TACHYON_SUCCESS)
        return error;
    rpc->held_id = 0;
    return tachyon_commit_rx(&rpc->bus);
}

void *tachyon_rpc_acquire_reply_tx_timed(tachyon_rpc_bus_t *rpc,
                                         size_t max_payload_size,
                                         uint32_t spin_threshold, int64_t timeout_ns) {
    if (check(rpc, false) != TACHYON_SUCCESS)
        return NULL;
    return tachyon_acquire_tx_timed(&rpc->bus, max_payload_size, spin_threshold,
                                    timeout_ns);
}

void *tachyon_rpc_acquire_reply_tx(tachyon_rpc_bus_t *rpc, size_t max_payload_size) {
    return tachyon_rpc_acquire_reply_tx_timed(rpc, max_payload_size, 0, 0);
}

tachyon_error_t tachyon_rpc_commit_reply(tachyon_rpc_bus_t *rpc,
                                         uint64_t correlation_id, size_t actual_size,
                                         uint32_t msg_type) {
    tachyon_error_t error = check(rpc, false);
    if (error != TACHYON_SUCCESS)
        return error;
    struct call *call = find_call(rpc, correlation_id);
    if (!call)
        return no_such_call(correlation_id, "request");
    error = ty_bus_commit(&rpc->bus, actual_size, msg_type, correlation_id);
    if (error != TACHYON_SUCCESS)
        return error;
    end_call(rpc, call);
    tachyon_flush(&rpc->bus);
    rpc->stats.replies++;
    return TACHYON_SUCCESS;
}

void tachyon_rpc_rollback_reply(tachyon_rpc_bus_t *rpc) {
    if (check(rpc, false) == TACHYON_SUCCESS)
        tachyon_rollback_tx(&rpc->bus);
}

tachyon_error_t tachyon_rpc_reply_timed(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                                        const void *payload, size_t size,
                                        uint32_t msg_type, uint32_t spin_threshold,
                                        int64_t timeout_ns) {
    tachyon_error_t error = check(rpc, false);
    if (error != TACHYON_SUCCESS)
        return error;
    if (!payload && size > 0)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "payload is NULL, size is %zu", size);
    if (!find_call(rpc, correlation_id))
        return no_such_call(correlation_id, "request");
    void *slot = tachyon_acquire_tx_timed(&rpc->bus, size, spin_threshold, timeout_ns);
    if (!slot)
        return tachyon_last_error();
    if (size > 0)
        memcpy(slot, payload, size);
    return tachyon_rpc_commit_reply(rpc, correlation_id, size, msg_type);
}

tachyon_error_t tachyon_rpc_reply(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                                  const void *payload, size_t size, uint32_t msg_type) {
    return tachyon_rpc_reply_timed(rpc, correlation_id, payload, size, msg_type, 0, 0);
}

/* ---- Looking ---- */

/* A caller receives from the reply ring, a callee from the request ring. */
static const struct region *receiving(const struct tachyon_rpc_bus *rpc) {
    return &rpc->bus.regions[is_caller(rpc) ? 1 : 0];
}

static const struct region *sending(const struct tachyon_rpc_bus *rpc) {
    return &rpc->bus.regions[is_caller(rpc) ? 0 : 1];
}

tachyon_state_t tachyon_rpc_get_state(const tachyon_rpc_bus_t *rpc) {
    if (!rpc) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "rpc is NULL");
        return TACHYON_STATE_UNKNOWN;
    }
    return ty_bus_state((struct tachyon_bus *)(uintptr_t)&rpc->bus, receiving(rpc));
}

void tachyon_rpc_set_polling_mode(const tachyon_rpc_bus_t *rpc, int pure_spin) {
    if (rpc)
        tachyon_bus_set_polling_mode(&rpc->bus, pure_spin);
}

int tachyon_rpc_fileno(tachyon_rpc_bus_t *rpc) {
    if (!rpc) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "rpc is NULL");
        return -1;
    }
    return ty_bus_fileno(&rpc->bus);
}

tachyon_error_t tachyon_rpc_get_peer(const tachyon_rpc_bus_t *rpc,
                                     tachyon_peer_t *out) {
    if (!rpc)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "rpc is NULL");
    return tachyon_bus_get_peer(&rpc->bus, out);
}

size_t tachyon_rpc_max_payload(const tachyon_rpc_bus_t *rpc) {
    return rpc ? (size_t)ring_max_payload(sending(rpc)->capacity) : 0;
}

tachyon_error_t tachyon_rpc_get_stats(const tachyon_rpc_bus_t *rpc,
                                      tachyon_rpc_stats_t *out) {
    if (!rpc || !out)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", !rpc ? "rpc" : "out");
    *out = rpc->stats;
    return TACHYON_SUCCESS;
}

/* ---- Opening and closing ---- */

static void free_rpc(struct tachyon_rpc_bus *rpc) {
    for (size_t i = 0; rpc->calls && i < rpc->call_slots; i++)
        free(rpc->calls[i].reply);
    free(rpc->calls);
    free(rpc);
}

static tachyon_error_t open_rpc(const char *socket_path, const size_t *capacities,
                                const tachyon_options_t *options,
                                tachyon_rpc_bus_t **out) {
    if (out)
        *out = NULL;
    if (!socket_path || !out)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL",
                       !out ? "out" : "socket_path");
    tachyon_rpc_bus_t *rpc = aligned_alloc(alignof(tachyon_rpc_bus_t), sizeof *rpc);
    if (!rpc)
        return ty_fail_plain(TACHYON_ERR_MEM);
    *rpc = (tachyon_rpc_bus_t){.calls = calloc(CALLS_MIN, sizeof(struct call)),
                               .call_slots = CALLS_MIN};
    struct session session;
    tachyon_error_t error;
    if (!rpc->calls)
        error = ty_fail_plain(TACHYON_ERR_MEM);
    else
        error =
            ty_bus_handshake(socket_path, HANDSHAKE_RPC, capacities, options, &session);
    if (error != TACHYON_SUCCESS) {
        free_rpc(rpc);
        return error;
    }
    error = ty_bus_init(&rpc->bus, &session);
    if (error != TACHYON_SUCCESS) {
        ty_bus_free(&rpc->bus);
        free_rpc(rpc);
        return error;
    }
    atomic_store(&rpc->bus.role, BUS_ROLE_BOTH);
    ty_bus_arm_tx(&rpc->bus, sending(rpc));
    ty_bus_arm_rx(&rpc->bus, receiving(rpc));
    if (is_caller(rpc))
        rpc->bus.make_progress = settle_all;
    *out = rpc;
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_rpc_listen_with(const char *socket_path, size_t cap_fwd,
                                        size_t cap_rev,
                                        const tachyon_options_t *options,
                                        tachyon_rpc_bus_t **out) {
    return open_rpc(socket_path, (const size_t[]){cap_fwd, cap_rev}, options, out);
}

tachyon_error_t tachyon_rpc_listen(const char *socket_path, size_t cap_fwd,
                                   size_t cap_rev, tachyon_rpc_bus_t **out) {
    return tachyon_rpc_listen_with(socket_path, cap_fwd, cap_rev, NULL, out);
}

tachyon_error_t tachyon_rpc_connect_with(const char *socket_path,
                                         const tachyon_options_t *options,
                                         tachyon_rpc_bus_t **out) {
    return open_rpc(socket_path, NULL, options, out);
}

tachyon_error_t tachyon_rpc_connect(const char *socket_path, tachyon_rpc_bus_t **out) {
    return tachyon_rpc_connect_with(socket_path, NULL, out);
}

void tachyon_rpc_ref(tachyon_rpc_bus_t *rpc) {
    if (rpc)
        tachyon_bus_ref(&rpc->bus);
}

void tachyon_rpc_close(tachyon_rpc_bus_t *rpc) {
    if (rpc)
        tachyon_bus_close(&rpc->bus);
}

void tachyon_rpc_destroy(tachyon_rpc_bus_t *rpc) {
    if (!rpc ||
        atomic_fetch_sub_explicit(&rpc->bus.owners, 1, memory_order_acq_rel) != 1)
        return;
    ty_bus_free(&rpc->bus);
    free_rpc(rpc);
}

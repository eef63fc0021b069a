/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A callee with many callers: a pair of rings for each.
 *
 * Owns: which request is whose. Requests come by turns (turns.c); a reply goes into the
 * ring of the caller whose request it answers. Everything in here is the data thread's,
 * which serves and replies, but for what the accept step makes.
 *
 * Ids. Each caller counts its calls from 1. Here they are counted on for each slot of the
 * table of peers, whoever has it, and the slot stands in the upper 16 bits: so an id names
 * one call ever, as far as 48 bits go, and those up to `base` were of callers that have
 * left.
 *
 * Invariants
 *   R1  `caller` of a slot is a peer from its first request until it is handed back, and
 *       in between nobody frees it. A reply finds its ring by that, and never by the table
 *       of peers, where somebody who has been handed back may still stand.
 *   R2  At most one reply is reserved, in memory that no caller can write: only its commit
 *       says whose it is, and so whose ring it is copied into.
 *   R3  A wait for room is over when its caller has left. That caller may be freed in it:
 *       `to` is NULL then.
 */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
/* The analyser loses sight of a table whose owner stands in an array. */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
#include "calls.h"
#include "rpc.h"
#include "turns.h"

#include <inttypes.h>

#define SLOT_SHIFT 48
/* So many ids has a slot, from 1; then they begin again. */
#define IDS ((UINT64_C(1) << SLOT_SHIFT) - 1)

/* What was taken from a slot's callers. */
struct served {
    struct calls calls;   /* of the one that is here, counted on from the others' */
    struct peer *caller;  /* NULL: nothing was taken from it yet */
    uint64_t base;        /* the last id of those that have left, ... */
    uint64_t former_base; /* ... of all but the last of them, ... */
    tachyon_error_t end;  /* ... and how that one has left */
};

struct callers {
    struct turns turns;  /* first */
    struct peer *taken;  /* from whom the last request was; NULL: it has left */
    struct peer *to;     /* for whom room is awaited; NULL: nobody, or it has left */
    tachyon_error_t end; /* how that one has left; SUCCESS: it has not */
    uint8_t *apart;      /* for a reply that is reserved */
    size_t apart_bytes;  /* there, as allocated */
    size_t room;         /* of those the reply may have */
    bool reserved;
    uint64_t calls, replies;
    struct served served[];
};

static struct callers *callers_of(const struct tachyon_bus *bus) {
    return bus->peers->own;
}

/* ---- Ids ---- */

/* What the caller itself calls its next call. */
static uint64_t next_of(const struct callers *callers, const struct peer *peer) {
    const struct served *served = &callers->served[peer->slot];
    return served->caller == peer ? served->calls.last - served->base + 1 : 1;
}

static uint64_t last_id(const struct callers *callers, const struct peer *peer) {
    uint64_t last = callers->served[peer->slot].calls.last;
    return (uint64_t)peer->slot << SLOT_SHIFT | ((last - 1) % IDS + 1);
}

/* A request has come. False: no memory. */
static bool enter(struct served *served, struct peer *peer) {
    struct calls *calls = &served->calls;
    if (served->caller != peer) {
        uint64_t last = calls->last;
        bool memory = calls_init(calls, CALLS_MIN);
        calls->last = last;
        if (!memory)
            return false;
        served->caller = peer;
    }
    struct call *call = calls_vacate(calls, 0);
    if (!call)
        return false;
    calls_enter(calls, call);
    return true;
}

static tachyon_error_t left(uint64_t id, tachyon_error_t error) {
    return ty_fail(error, 0, "the caller of request %" PRIu64 " has left: %s", id,
                   tachyon_strerror(error));
}

/* The request to be answered, and who is served. NULL: last_error says that there is
 * none, or how its caller has left. */
static struct call *find(struct tachyon_bus *bus, uint64_t id, struct served **out) {
    struct callers *callers = callers_of(bus);
    uint64_t slot = id >> SLOT_SHIFT, low = id & IDS;
    struct served *served = slot < bus->peers->slots ? &callers->served[slot] : NULL;
    struct call *call = NULL;
    *out = served;
    if (served && low > 0 && low <= served->calls.last) {
        uint64_t last = served->calls.last, whole = last - (last - low) % IDS;
        if (whole <= served->base) {
            left(id, whole > served->former_base ? served->end : TACHYON_ERR_PEER_DEAD);
            return NULL;
        }
        call = calls_find(&served->calls, whole);
    }
    if (!call) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "no request %" PRIu64 " is outstanding", id);
        return NULL;
    }
    tachyon_error_t end = peer_end(served->caller);
    if (end == TACHYON_SUCCESS)
        return call;
    calls_end(&served->calls, call);
    left(id, end);
    return NULL;
}

static void parted(struct tachyon_bus *bus, struct peer *peer) {
    struct callers *callers = callers_of(bus);
    struct served *served = &callers->served[peer->slot];
    if (callers->to == peer) { /* R3 */
        callers->to = NULL;
        callers->end = peer_end(peer);
    }
    if (callers->taken == peer)
        callers->taken = NULL;
    if (served->caller != peer)
        return;
    calls_free(&served->calls);
    uint64_t last = served->calls.last;
    *served = (struct served){.calls.last = last,
                              .base = last,
                              .former_base = served->base,
                              .end = peer_end(peer)};
}

/* ---- Requests ---- */

/* Ids grow by one; what is handed out comes again, whatever it says by now. */
static inline bool is_due(struct tachyon_bus *bus, const struct ring_record *record) {
    const struct callers *callers = callers_of(bus);
    return bus->rx.handed > 0 ||
           record->correlation_id == next_of(callers, callers->turns.current);
}

static bool rx_ready(void *context) {
    struct rx_wait *want = context;
    while (ty_turns_ready(want)) {
        if (is_due(want->bus, &want->record))
            return true;
        ty_turns_distrust(want->bus, turns_of(want->bus)->current);
        want->look = RING_EMPTY;
    }
    return false;
}

/* bus_next(), which knows no ids. */
static inline bool next_request(struct tachyon_bus *bus, struct rx_wait *want,
                                uint32_t spins, int64_t timeout_ns) {
    want->bus = bus;
    return (ring_look_at(&bus->rx, 0, &want->record) == RING_FOUND &&
            likely(!bus_disturbed(bus)) && likely(is_due(bus, &want->record))) ||
           ty_bus_wait_rx(want,
                          (struct wait){.spins = spins, .timeout_ns = timeout_ns});
}

const void *ty_callers_serve(struct tachyon_bus *bus, uint64_t *out_cid,
                             uint32_t *msg_type, size_t *actual_size, uint32_t spins,
                             int64_t timeout_ns) {
    struct callers *callers = callers_of(bus);
    struct rx_wait want;
    if (is_null(out_cid) || is_null(msg_type) || is_null(actual_size) ||
        !next_request(bus, &want, spins, timeout_ns))
        return NULL;
    struct peer *peer = callers->turns.current;
    if (bus->rx.handed == 0) {
        if (!enter(&callers->served[peer->slot], peer)) {
            ty_fail(TACHYON_ERR_MEM, 0, "no memory for the requests of peer %" PRIu32,
                    peer->id);
            return NULL;
        }
        callers->calls++;
    }
    callers->taken = peer;
    *out_cid = last_id(callers, peer);
    return bus_hand_out(bus, &want.record, msg_type, actual_size);
}

/* ---- Replies ---- */

static bool tx_ready(void *context) {
    struct tx_wait *want = context;
    struct peer *peer = callers_of(want->bus)->to;
    if (!peer || peer_end(peer) != TACHYON_SUCCESS)
        return true;
    if (ring_refresh(&peer->tx))
        want->slot = ring_reserve(&peer->tx, want->size);
    else
        ty_turns_distrust(want->bus, peer);
    return want->slot || peer_end(peer) != TACHYON_SUCCESS;
}

static void tx_asleep(void *context, bool flag) {
    const struct tx_wait *want = context;
    struct peer *peer = callers_of(want->bus)->to;
    uint64_t bytes = ring_record_bytes(want->size > RING_INLINE_BYTES, want->size);
    if (peer)
        ring_want_space(&peer->tx, flag ? bytes : 0);
}

static out_of_line void *wait_for_room(struct tachyon_bus *bus, struct peer *peer,
                                       size_t size, uint32_t spins,
                                       int64_t timeout_ns) {
    struct callers *callers = callers_of(bus);
    callers->to = peer;
    callers->end = TACHYON_SUCCESS;
    void *slot = ty_bus_wait_tx(
        bus, size, (struct wait){.spins = spins, .timeout_ns = timeout_ns});
    if (!slot && bus_closing(bus)) {
        callers->end = TACHYON_SUCCESS;
        ty_bus_claim(bus, BUS_ROLE_BOTH, 0); /* says so, whoever has left meanwhile */
    } else if (!slot && callers->to) {
        callers->end = peer_end(peer);
    }
    callers->to = NULL;
    return slot;
}

/* Room for a reply to this caller, at once or after a wait. NULL: `end` says how it has
 * left; if it has not, last_error tells why. */
static inline void *room_for(struct tachyon_bus *bus, struct peer *peer, size_t size,
                             uint32_t spins, int64_t timeout_ns) {
    void *slot = ring_reserve(&peer->tx, size);
    return likely(slot) ? slot : wait_for_room(bus, peer, size, spins, timeout_ns);
}

static tachyon_error_t no_room(const struct callers *callers, uint64_t id) {
    return callers->end == TACHYON_SUCCESS ? tachyon_last_error()
                                           : left(id, callers->end);
}

/* Replies are for one caller each, so nothing is gained by leaving them unflushed. */
static tachyon_error_t send_reply(struct callers *callers, struct served *served,
                                  struct call *call, size_t size, uint32_t type) {
    struct peer *peer = served->caller;
    ring_commit(&peer->tx, size, type, call->id - served->base);
    ring_publish(&peer->tx);
    ty_link_order_waker(peer->link.expedited);
    if (unlikely(ring_consumer_sleeps(&peer->tx)) && !ty_link_wake(&peer->link))
        peer->tx.woken = 0; /* the next reply tries again */
    calls_end(&served->calls, call);
    callers->replies++;
    return TACHYON_SUCCESS;
}

static uint8_t *reserve_apart(struct tachyon_bus *bus, size_t size) {
    struct callers *callers = callers_of(bus);
    if (!ty_bus_fits(bus, size))
        return NULL;
    size_t bytes = (size + RING_LINE) & ~(size_t)(RING_LINE - 1);
    if (bytes > callers->apart_bytes) {
        free(callers->apart);
        callers->apart = aligned_alloc(RING_LINE, bytes);
        callers->apart_bytes = callers->apart ? bytes : 0;
    }
    if (!callers->apart) {
        ty_fail(TACHYON_ERR_MEM, 0, "no memory for a reply of %zu bytes", size);
        return NULL;
    }
    memset(callers->apart, 0, bytes); /* what this process had there is nobody's */
    callers->room = size;
    callers->reserved = true;
    return callers->apart;
}

void *ty_callers_acquire(struct tachyon_bus *bus, size_t size, uint32_t spins,
                         int64_t timeout_ns) {
    struct callers *callers = callers_of(bus);
    struct peer *peer = callers->taken;
    callers->reserved = false;
    /* Probably it is meant for who has asked last: then there is room at the commit. */
    if (peer && peer_end(peer) == TACHYON_SUCCESS) {
        if (room_for(bus, peer, size, spins, timeout_ns))
            peer->tx.offset = 0;
        else if (callers->end == TACHYON_SUCCESS)
            return NULL;
    }
    return reserve_apart(bus, size);
}

tachyon_error_t ty_callers_commit(struct tachyon_bus *bus, uint64_t id, size_t size,
                                  uint32_t type) {
    struct callers *callers = callers_of(bus);
    struct served *served;
    struct call *call = find(bus, id, &served);
    if (!call)
        return tachyon_last_error();
    if (!callers->reserved)
        return ty_fail(TACHYON_ERR_EMPTY, 0, "no reply is reserved");
    if (size > callers->room)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "the reply has %zu bytes, but only %zu are reserved", size,
                       callers->room);
    void *slot = room_for(bus, served->caller, size, 0, 0);
    if (!slot)
        return no_room(callers, id);
    memcpy(slot, callers->apart, size);
    callers->reserved = false;
    return send_reply(callers, served, call, size, type);
}

tachyon_error_t ty_callers_reply(struct tachyon_bus *bus, uint64_t id,
                                 const void *payload, size_t size, uint32_t type,
                                 uint32_t spins, int64_t timeout_ns) {
    struct callers *callers = callers_of(bus);
    struct served *served;
    struct call *call = find(bus, id, &served);
    if (!call)
        return tachyon_last_error();
    if (size > 0 && is_null(payload))
        return TACHYON_ERR_NULL_PTR;
    callers->reserved = false;
    void *slot = room_for(bus, served->caller, size, spins, timeout_ns);
    if (!slot)
        return no_room(callers, id);
    if (size > 0)
        memcpy(slot, payload, size);
    return send_reply(callers, served, call, size, type);
}

void ty_callers_rollback(struct tachyon_bus *bus) {
    callers_of(bus)->reserved = false;
}

/* ---- What a listener needs ---- */

static tachyon_error_t offer(struct tachyon_bus *bus, const struct client *client,
                             struct greeting *answer, struct region *regions) {
    tachyon_error_t error = TACHYON_SUCCESS;
    (void)client, (void)answer;
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS && error == TACHYON_SUCCESS; i++)
        error = ty_listener_create_ring(&regions[i], bus->regions[i].capacity);
    return error;
}

static void join(struct tachyon_bus *bus, struct peer *peer) {
    const struct region *region = &peer->regions[bus->peers->kind->tx_ring];
    ring_producer_arm(&peer->tx, region_shared(region), region_data(region),
                      region->capacity);
    ty_peers_push_joined(bus->peers, peer);
}

void ty_callers_stats(struct tachyon_bus *bus, tachyon_rpc_stats_t *out) {
    const struct callers *callers = callers_of(bus);
    out->calls = callers->calls;
    out->replies = callers->replies;
    for (uint32_t i = 0; i < bus->peers->slots; i++)
        out->outstanding += callers->served[i].calls.outstanding;
}

static tachyon_error_t open_kind(struct tachyon_bus *bus) {
    uint32_t slots = bus->peers->slots;
    struct callers *callers =
        calloc(1, sizeof *callers + slots * sizeof callers->served[0]);
    bus->peers->own = callers;
    bus->side = RING_SIDE_NONE; /* see rpc.c */
    return callers ? ty_turns_open(&callers->turns, slots)
                   : ty_fail_plain(TACHYON_ERR_MEM);
}

static void free_kind(struct tachyon_bus *bus) {
    struct callers *callers = callers_of(bus);
    if (!callers)
        return;
    for (uint32_t i = 0; i < bus->peers->slots; i++)
        calls_free(&callers->served[i].calls);
    ty_turns_free(&callers->turns);
    free(callers->apart);
    free(callers);
}

const struct peers_kind ty_callers = {
    .offer = offer,
    .join = join,
    .drop = ty_turns_drop,
    .tx_ready = tx_ready,
    .tx_asleep = tx_asleep,
    .tx_ring = 1,
    .rx_ready = rx_ready,
    .rx_asleep = ty_turns_asleep,
    .released = ty_turns_released,
    .told = ty_turns_told,
    .took = ty_turns_took,
    .parted = parted,
    .stats = ty_turns_stats,
    .open = open_kind,
    .free = free_kind,
    .delivers_dead = true,
    .one_by_one = true,
};

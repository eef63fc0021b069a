/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a connection, as bus.c and rpc.c see it. */
#ifndef TACHYON_BUS_H
#define TACHYON_BUS_H

#include "fork.h"
#include "link.h"
#include "page.h"
#include "session.h"

#include <string.h>

struct tachyon_bus {
    alignas(128) struct ring_producer tx; /* armed when the role is claimed; */
    alignas(128) struct ring_consumer rx; /* an RPC bus has both armed */
    alignas(128) struct link link;
    struct fork_watch watch;
    struct region regions[HANDSHAKE_MAX_RINGS]; /* a bus uses the first */
    enum ring_side side;
    uint32_t declared_role; /* a tachyon_role_t */
    tachyon_peer_t peer;
    _Atomic int role;  /* the tachyon_role_t claimed */
    _Atomic int error; /* sticky: CLOSED, ABORTED, PEER_DEAD, CORRUPT, FORKED */
    _Atomic unsigned owners;
    unsigned empty_looks;
    _Atomic unsigned repeats; /* untimed waits since the end was told */
    bool refused;             /* the last look for room has found none */
    uint64_t start;           /* of what is received, and in broadcast ... */
    uint64_t epoch;           /* ... what positions belong to; else 0 */
    struct peers *peers;      /* of a listener with many; NULL: one, the link's */
    struct paper paper;       /* where others read its counters */
};

/* Has this end been closed, perhaps by another thread? */
static inline bool bus_closing(const struct tachyon_bus *bus) {
    return atomic_load_explicit(&bus->link.closing, memory_order_relaxed);
}

/* Is there something that the hot path of receiving does not see to? */
static inline bool bus_disturbed(const struct tachyon_bus *bus) {
    return atomic_load_explicit(&bus->link.disturbed, memory_order_relaxed);
}

/* Without a call for each common size, memcpy() would take half of the time. */
static inline void copy_item(void *to, const void *from, size_t size) {
    switch (size) {
    case 16:
        memcpy(to, from, 16);
        break;
    case 32:
        memcpy(to, from, 32);
        break;
    case 64:
        memcpy(to, from, 64);
        break;
    default:
        memcpy(to, from, size);
    }
}

/* Flushes between two questions whether the peer lives. */
#define FLUSHES_PER_LOOK 1024u
/* Flushes between two copies of the counters, if nothing else comes. More often it would
 * show in the instructions of a message. */
#define FLUSHES_PER_PAGE 4096u /* of which each is one of the above */

#define BUS_ROLE_BOTH 3 /* an RPC bus: each end sends and receives */

struct rx_wait {
    struct tachyon_bus *bus;
    struct ring_record record;
    enum ring_look look;
};

struct tx_wait {
    struct tachyon_bus *bus;
    size_t size;
    void *slot;
    bool corrupt;
};

/* Has the producer of a broadcast let this consumer go? Asked after a read it tells
 * whether that may have been overwritten before. */
bool ty_bus_evicted(const struct tachyon_bus *bus);

/* Set up a bus from what the handshake left; takes over the session. */
tachyon_error_t ty_bus_init(struct tachyon_bus *bus, const struct session *session);
void ty_bus_arm_tx(struct tachyon_bus *bus, const struct region *region);
void ty_bus_arm_rx(struct tachyon_bus *bus, const struct region *region);
void ty_bus_free(struct tachyon_bus *bus); /* all but the struct */
int ty_bus_fileno(struct tachyon_bus *bus);

tachyon_error_t ty_bus_commit(struct tachyon_bus *bus, size_t actual_size,
                              uint32_t type_id, uint64_t correlation_id);
/* tachyon_flush() that says CLOSED when an abort has come first: nothing is shown then. */
tachyon_error_t ty_bus_flush(struct tachyon_bus *bus);
/* False: no ring of this bus can take so much, as last_error tells. */
bool ty_bus_fits(const struct tachyon_bus *bus, size_t size);
/* There is no room for `size` bytes now: wait as `how` says, until how.ready (by
 * default ty_bus_tx_ready()) is true. NULL: last_error tells. */
void *ty_bus_wait_tx(struct tachyon_bus *bus, size_t size, struct wait how);
/* The hooks of that wait; their context is a struct tx_wait. */
bool ty_bus_tx_ready(void *context);
void ty_bus_tx_asleep(void *context, bool flag);
/* The fast look has found nothing: wait as `how` says, until how.ready (by default any
 * record) is true. False: last_error tells. */
bool ty_bus_wait_rx(struct rx_wait *want, struct wait how);
/* Release the first `bytes`, `count` messages, that nobody was handed: the core itself
 * has read them. */
void ty_bus_consume(struct tachyon_bus *bus, uint64_t bytes, uint64_t count);

/* The next record, at once or after such a wait. */
static inline bool bus_next(struct tachyon_bus *bus, struct rx_wait *want,
                            uint32_t spins, int64_t timeout_ns) {
    want->bus = bus;
    return (likely(ring_look_at(&bus->rx, 0, &want->record) == RING_FOUND) &&
            likely(!bus_disturbed(bus))) ||
           ty_bus_wait_rx(want,
                          (struct wait){.spins = spins, .timeout_ns = timeout_ns});
}

static inline const void *bus_hand_out(struct tachyon_bus *bus,
                                       const struct ring_record *record,
                                       uint32_t *type_id, size_t *actual_size) {
    ring_hand_out(&bus->rx, record->bytes, 1);
    *type_id = record->type_id;
    *actual_size = record->size;
    return record->payload;
}

/* Claim a direction for this handle, for a call that waits so long; SUCCESS if it is or
 * becomes ours. */
tachyon_error_t ty_bus_claim(struct tachyon_bus *bus, int role, int64_t timeout_ns);
/* What a wait that did not succeed means for the handle, ... */
tachyon_error_t ty_bus_wait_failed(struct tachyon_bus *bus, tachyon_error_t error);
/* ... and one for room. */
tachyon_error_t ty_bus_wait_tx_failed(struct tachyon_bus *bus, tachyon_error_t error);
/* An error of this bus, which need not be sticky, with its text. */
tachyon_error_t ty_bus_say(struct tachyon_bus *bus, tachyon_error_t error);
/* The same of an end that was told before, to a call that waits so long. */
tachyon_error_t ty_bus_tell_again(struct tachyon_bus *bus, tachyon_error_t error,
                                  int64_t timeout_ns);
/* The sticky error with its text. */
tachyon_error_t ty_bus_report(struct tachyon_bus *bus);
/* Set the sticky error, stop both directions, and report it. */
tachyon_error_t ty_bus_fail(struct tachyon_bus *bus, tachyon_error_t error);
/* The same of the peer's end, when it is who sends that finds it: what the peer has sent
 * before lies in the other ring and is still received. */
tachyon_error_t ty_bus_fail_tx(struct tachyon_bus *bus, tachyon_error_t error);

#endif

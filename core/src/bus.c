/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: one end of a connection, its errors, its role.
 *
 * Owns: the handle. Its hot path (producer.c, consumer.c) works on an armed ring; every
 * exceptional state (role not claimed yet, dead peer, corrupt ring, forked child) is a
 * disarmed ring, on which the fast look finds nothing, and the slow path then tells
 * which it is. So the hot path checks none of them; only a close, which may come from
 * any thread and so must not touch the rings, is a flag of its own.
 */
#include "many.h"

#include <errno.h>
#include <stdlib.h>

/* Sleeps of an untimed wait on an end that was told of it before: 1 to 16 ms. */
#define LINGER_LEAST_NS INT64_C(500000)
#define LINGER_DOUBLINGS 5u

static const char *role_verb(int role) {
    return role == TACHYON_ROLE_PRODUCER ? "sends" : "receives";
}

/* ---- Errors ---- */

tachyon_error_t ty_bus_say(struct tachyon_bus *bus, tachyon_error_t error) {
    if (error == TACHYON_ERR_CLOSED && atomic_load(&bus->link.closing))
        return ty_fail(error, 0, "this handle has been %s",
                       ty_link_aborted(&bus->link) ? "aborted" : "closed");
    if (error == TACHYON_ERR_CLOSED)
        return ty_fail(error, 0, "the peer (process %d) has closed the stream",
                       (int)bus->peer.pid);
    if (error == TACHYON_ERR_ABORTED)
        return ty_fail(error, 0, "the peer (process %d) gave up in the middle",
                       (int)bus->peer.pid);
    if (error == TACHYON_ERR_PEER_DEAD)
        return ty_fail(error, 0, "the peer (process %d) died without closing",
                       (int)bus->peer.pid);
    if (error == TACHYON_ERR_LAGGED)
        return ty_fail(
            error, 0,
            "the producer (process %d) has let this consumer go: what it had "
            "not released is overwritten, or may be; connect again",
            (int)bus->peer.pid);
    return ty_fail_plain(error);
}

tachyon_error_t ty_bus_report(struct tachyon_bus *bus) {
    return ty_bus_say(bus, (tachyon_error_t)atomic_load(&bus->error));
}

bool ty_bus_evicted(const struct tachyon_bus *bus) {
    if (bus->epoch == 0 || bus->peers || bus_closing(bus))
        return false;
    /* Pairs with the fence between the eviction and what is overwritten afterwards. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&region_shared(&bus->regions[0])->wanted_tail,
                                memory_order_relaxed) == RING_EVICTED;
}

tachyon_error_t ty_bus_fail_tx(struct tachyon_bus *bus, tachyon_error_t error) {
    int told = TACHYON_SUCCESS;
    if (ty_bus_evicted(bus)) /* whatever else it looks like */
        error = TACHYON_ERR_LAGGED;
    if (!atomic_compare_exchange_strong(&bus->error, &told, (int)error) &&
        error == TACHYON_ERR_CORRUPT && link_is_end((tachyon_error_t)told))
        atomic_store(&bus->error, (int)error); /* found behind the end: more is lost */
    ring_producer_disarm(&bus->tx);
    ty_link_signal(&bus->link, true); /* to be seen by whoever polls */
    ty_page_date(bus);
    return ty_bus_report(bus);
}

tachyon_error_t ty_bus_fail(struct tachyon_bus *bus, tachyon_error_t error) {
    ring_consumer_disarm(&bus->rx);
    return ty_bus_fail_tx(bus, error);
}

struct told {
    struct tachyon_bus *bus;
    tachyon_error_t error;
};

static void lingered(void *context, tachyon_error_t error) {
    const struct told *told = context;
    if (error == TACHYON_SUCCESS)
        ty_bus_say(told->bus, told->error);
    else
        ty_fail_plain(error);
}

/*
 * This end is over. A wait that has no end of its own and was told so before sleeps a
 * little first: a loop that takes every failure for a signal and tries again, as those
 * written for the forerunner do, would keep a processor busy for nothing. Who stops at
 * the first failure never sleeps here.
 */
tachyon_error_t ty_bus_tell_again(struct tachyon_bus *bus, tachyon_error_t error,
                                  int64_t timeout_ns) {
    struct told told = {bus, error};
    struct ring_record record;
    unsigned repeats = 0;
    /* Unless there is something to receive, which such a wait to send holds up. */
    if (timeout_ns < 0 && ring_look_at(&bus->rx, bus->rx.handed, &record) != RING_FOUND)
        repeats = atomic_fetch_add_explicit(&bus->repeats, 1, memory_order_relaxed);
    int64_t ns = LINGER_LEAST_NS
                 << (repeats < LINGER_DOUBLINGS ? repeats : LINGER_DOUBLINGS);
    if (repeats == 0 ||
        !ty_link_linger(&bus->link,
                        &(struct wait){.failed = lingered, .context = &told}, ns))
        ty_bus_say(bus, error);
    return tachyon_last_error();
}

tachyon_error_t ty_bus_wait_tx_failed(struct tachyon_bus *bus, tachyon_error_t error) {
    return link_is_end(error) ? ty_bus_fail_tx(bus, error)
                              : ty_bus_wait_failed(bus, error);
}

tachyon_error_t ty_bus_wait_failed(struct tachyon_bus *bus, tachyon_error_t error) {
    if (link_is_end(error))
        return ty_bus_fail(bus, error);
    if (error == TACHYON_ERR_BUSY)
        return ty_fail(error, 0, "another thread is waiting on this handle");
    return ty_fail_plain(error);
}

/* ---- Roles ---- */

void ty_bus_arm_tx(struct tachyon_bus *bus, const struct region *region) {
    ring_producer_arm(&bus->tx, region_shared(region), region_data(region),
                      region->capacity);
}

void ty_bus_arm_rx(struct tachyon_bus *bus, const struct region *region) {
    ring_consumer_arm(&bus->rx, region_shared(region), region_data(region),
                      region->capacity);
    bus->rx.tail = bus->start;
    bus->link.receives = true;
}

tachyon_error_t ty_bus_claim(struct tachyon_bus *bus, int role, int64_t timeout_ns) {
    tachyon_error_t told = (tachyon_error_t)atomic_load(&bus->error);
    if (told != TACHYON_SUCCESS)
        return ty_bus_tell_again(bus, told, timeout_ns);
    if (atomic_load(&bus->link.closing))
        return ty_bus_fail(bus, TACHYON_ERR_CLOSED);
    /* Looked at first: an exchange would wait for the stores before it. */
    int claimed = atomic_load(&bus->role);
    if (claimed != TACHYON_ROLE_NONE ||
        !atomic_compare_exchange_strong(&bus->role, &claimed, role))
        return claimed == role || claimed == BUS_ROLE_BOTH
                   ? TACHYON_SUCCESS
                   : ty_fail(TACHYON_ERR_BUSY, 0, "this end %s; it cannot do both",
                             role_verb(claimed));
    struct ring_shared *shared = region_shared(&bus->regions[0]);
    _Atomic uint32_t *side =
        role == TACHYON_ROLE_PRODUCER ? &shared->producer_side : &shared->consumer_side;
    uint32_t nobody = RING_SIDE_NONE;
    tachyon_error_t error = TACHYON_SUCCESS;
    if (bus->declared_role != TACHYON_ROLE_NONE && bus->declared_role != (uint32_t)role)
        error = ty_fail(TACHYON_ERR_BUSY, 0, "this end declared that it %s",
                        role_verb((int)bus->declared_role));
    else if ((role == TACHYON_ROLE_PRODUCER && bus->regions[0].read_only) ||
             !atomic_compare_exchange_strong(side, &nobody, (uint32_t)bus->side))
        error = ty_fail(TACHYON_ERR_BUSY, 0, "the peer already %s on this bus",
                        role_verb(role));
    if (error != TACHYON_SUCCESS) {
        atomic_store(&bus->role, TACHYON_ROLE_NONE);
        return error;
    }
    if (role == TACHYON_ROLE_PRODUCER) {
        ty_bus_arm_tx(bus, &bus->regions[0]);
        ty_link_signal(&bus->link, false); /* nothing to receive after all */
    } else {
        ty_bus_arm_rx(bus, &bus->regions[0]);
    }
    return TACHYON_SUCCESS;
}

/* ---- A descriptor, and settings ---- */

int ty_bus_fileno(struct tachyon_bus *bus) {
    if (atomic_load(&bus->error) == TACHYON_ERR_FORKED) {
        ty_fail_plain(TACHYON_ERR_FORKED);
        return -1;
    }
    /* A receiving end has not looked yet, and an end without a role may be one; who was
     * refused had nothing that could be armed. */
    bool look = atomic_load(&bus->role) != TACHYON_ROLE_PRODUCER || bus->refused;
    int fd = bus->peers ? ty_peers_fileno(bus, look) : ty_link_fileno(&bus->link, look);
    if (fd < 0)
        ty_fail(TACHYON_ERR_SYSTEM, errno, "no descriptor to wait on");
    return fd;
}

int tachyon_bus_fileno(tachyon_bus_t *bus) {
    return is_null(bus) ? -1 : ty_bus_fileno(bus);
}

tachyon_error_t tachyon_bus_set_numa_node(const tachyon_bus_t *bus, int node_id) {
    if (is_null(bus))
        return TACHYON_ERR_NULL_PTR;
    if (atomic_load(&bus->error) == TACHYON_ERR_FORKED)
        return ty_fail_plain(TACHYON_ERR_FORKED);
    if (bus->peers)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "a listener with many peers cannot move their memory");
    return ty_region_set_numa_node(&bus->regions[0], node_id);
}

void tachyon_bus_set_polling_mode(const tachyon_bus_t *bus, int pure_spin) {
    if (bus) /* const in the frozen API, but a setter */
        atomic_store_explicit(&((tachyon_bus_t *)(uintptr_t)bus)->link.pure_spin,
                              pure_spin != 0, memory_order_relaxed);
}

/* ---- What open.c needs ---- */

static void in_child(struct fork_watch *watch) {
    struct tachyon_bus *bus =
        (struct tachyon_bus *)(void *)((char *)watch -
                                       offsetof(struct tachyon_bus, watch));
    if (bus->peers)
        ty_peers_in_child(bus); /* first: some of its descriptors are the link's too */
    ty_link_in_child(&bus->link);
    ty_page_free(bus); /* it is the parent's */
    atomic_store(&bus->error, TACHYON_ERR_FORKED);
    ring_producer_disarm(&bus->tx);
    ring_consumer_disarm(&bus->rx);
}

tachyon_error_t ty_bus_init(struct tachyon_bus *bus, const struct session *session) {
    *bus = (struct tachyon_bus){.side = session->side,
                                .declared_role = session->role,
                                .peer = session->peer,
                                .start = session->start,
                                .epoch = session->epoch,
                                .owners = 1,
                                .paper = PAPER_NONE,
                                .watch.in_child = in_child};
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        bus->regions[i] = session->regions[i];
    ring_producer_disarm(&bus->tx);
    ring_consumer_disarm(&bus->rx);
    bus->rx.tail = session->start; /* for who asks before it has received */
    ty_link_init(&bus->link);
    bus->link.socket = session->socket;
    bus->link.pidfd = session->pidfd;
    bus->link.expedited = session->expedited;
    bus->link.flushes_freely = session->expedited;
    bus->link.interrupt = session->interrupt;
    return ty_fork_watch(&bus->watch);
}

/* Everything but the memory; nobody uses the bus. */
void ty_bus_free(struct tachyon_bus *bus) {
    ty_link_close(&bus->link);
    ty_link_free(&bus->link);
    ty_page_free(bus);
    ty_fork_unwatch(&bus->watch); /* now that a child can inherit nothing of it */
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_free(&bus->regions[i]);
    if (bus->peers)
        ty_peers_free(bus);
}

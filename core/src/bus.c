/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: the public API of one end of one ring.
 *
 * Owns: the handle. Its hot path is acquire, commit and flush on an armed ring; every
 * exceptional state (role not claimed yet, closed, dead peer, corrupt ring, forked
 * child) is a disarmed ring, on which the fast look finds nothing, and the slow path
 * then tells which it is. So the hot path has no check for any of them.
 */
#include "bus.h"

#include <stdlib.h>
#include <string.h>

#define FLUSHES_PER_LOOK                                                               \
    1024u /* flushes between two questions whether the peer lives */
#define EMPTY_LOOKS_PER_LOOK 4096u

static const char *role_verb(int role) {
    return role == TACHYON_ROLE_PRODUCER ? "sends" : "receives";
}

/* ---- Errors ---- */

static tachyon_error_t report(struct tachyon_bus *bus) {
    tachyon_error_t error = (tachyon_error_t)atomic_load(&bus->error);
    if (error == TACHYON_ERR_CLOSED && atomic_load(&bus->link.closing))
        return ty_fail(error, 0, "this handle has been closed");
    if (error == TACHYON_ERR_CLOSED)
        return ty_fail(error, 0, "the peer (process %d) has closed the stream",
                       (int)bus->peer.pid);
    if (error == TACHYON_ERR_PEER_DEAD)
        return ty_fail(error, 0, "the peer (process %d) died without closing",
                       (int)bus->peer.pid);
    return ty_fail_plain(error);
}

tachyon_error_t ty_bus_fail(struct tachyon_bus *bus, tachyon_error_t error) {
    int none = TACHYON_SUCCESS;
    atomic_compare_exchange_strong(&bus->error, &none, (int)error);
    ring_producer_disarm(&bus->tx);
    ring_consumer_disarm(&bus->rx);
    return report(bus);
}

/* What a wait that did not succeed means for the handle. */
static tachyon_error_t wait_failed(struct tachyon_bus *bus, tachyon_error_t error) {
    if (error == TACHYON_ERR_CLOSED || error == TACHYON_ERR_PEER_DEAD)
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
}

/* Claim a direction for this handle; SUCCESS if it is or becomes ours. */
static tachyon_error_t claim(struct tachyon_bus *bus, int role) {
    if (atomic_load(&bus->error) != TACHYON_SUCCESS)
        return report(bus);
    int claimed = TACHYON_ROLE_NONE;
    if (!atomic_compare_exchange_strong(&bus->role, &claimed, role))
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
    else if (!atomic_compare_exchange_strong(side, &nobody, (uint32_t)bus->side))
        error = ty_fail(TACHYON_ERR_BUSY, 0, "the peer already %s on this bus",
                        role_verb(role));
    if (error != TACHYON_SUCCESS) {
        atomic_store(&bus->role, TACHYON_ROLE_NONE);
        return error;
    }
    if (role == TACHYON_ROLE_PRODUCER)
        ty_bus_arm_tx(bus, &bus->regions[0]);
    else
        ty_bus_arm_rx(bus, &bus->regions[0]);
    return TACHYON_SUCCESS;
}

/* ---- Sending ---- */

size_t tachyon_max_payload(const tachyon_bus_t *bus) {
    return bus ? (size_t)ring_max_payload(bus->regions[0].capacity) : 0;
}

struct tx_wait {
    struct tachyon_bus *bus;
    size_t size;
    void *slot;
    bool corrupt;
};

static bool tx_ready(void *context) {
    struct tx_wait *want = context;
    struct tachyon_bus *bus = want->bus;
    want->corrupt =
        !ring_refresh(&bus->tx) || (bus->make_progress && !bus->make_progress(bus));
    if (!want->corrupt)
        want->slot = ring_reserve(&bus->tx, want->size);
    return want->corrupt || want->slot;
}

static void tx_asleep(void *context, bool flag) {
    const struct tx_wait *want = context;
    uint64_t bytes = ring_record_bytes(want->size > RING_INLINE_BYTES, want->size);
    ring_want_space(&want->bus->tx, flag ? bytes : 0);
    if (want->bus->make_progress)
        ring_want_record(&want->bus->rx, flag);
}

static void *acquire_tx_slow(struct tachyon_bus *bus, size_t size, uint32_t spins,
                             int64_t timeout_ns) {
    if (claim(bus, TACHYON_ROLE_PRODUCER) != TACHYON_SUCCESS)
        return NULL;
    uint64_t most = ring_max_payload(bus->tx.capacity);
    if (size > most) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                "a message of %zu bytes can never fit: this ring takes %zu at most",
                size, (size_t)most);
        return NULL;
    }
    bus->tx.offset = 0;
    tachyon_flush(bus);
    struct tx_wait want = {.bus = bus, .size = size};
    tachyon_error_t error = TACHYON_SUCCESS;
    if (!tx_ready(&want)) {
        bus->tx.full++;
        if (timeout_ns == 0) {
            ty_link_look(&bus->link);
            error = ty_link_peer_error(&bus->link);
            if (error == TACHYON_SUCCESS)
                error = TACHYON_ERR_FULL;
        } else {
            error = ty_link_wait(&bus->link, &(struct wait){.ready = tx_ready,
                                                            .asleep = tx_asleep,
                                                            .context = &want,
                                                            .spins = spins,
                                                            .timeout_ns = timeout_ns});
        }
    }
    if (error != TACHYON_SUCCESS)
        wait_failed(bus, error);
    else if (want.corrupt)
        ty_bus_fail(bus, TACHYON_ERR_CORRUPT);
    else
        return want.slot;
    return NULL;
}

void *tachyon_acquire_tx_timed(tachyon_bus_t *bus, size_t max_payload_size,
                               uint32_t spin_threshold, int64_t timeout_ns) {
    if (unlikely(!bus)) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "bus is NULL");
        return NULL;
    }
    void *slot = ring_reserve(&bus->tx, max_payload_size);
    if (likely(slot))
        return slot;
    return acquire_tx_slow(bus, max_payload_size, spin_threshold, timeout_ns);
}

void *tachyon_acquire_tx(tachyon_bus_t *bus, size_t max_payload_size) {
    return tachyon_acquire_tx_timed(bus, max_payload_size, 0, 0);
}

/* The hot path has found no open reservation. */
static tachyon_error_t not_reserved(struct tachyon_bus *bus) {
    if (atomic_load(&bus->error) != TACHYON_SUCCESS)
        return report(bus);
    return ty_fail(TACHYON_ERR_EMPTY, 0, "no message is reserved");
}

tachyon_error_t ty_bus_commit(struct tachyon_bus *bus, size_t actual_size,
                              uint32_t type_id, uint64_t correlation_id) {
    if (unlikely(bus->tx.offset == 0))
        return not_reserved(bus);
    if (unlikely(actual_size > bus->tx.reserved))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "the message has %zu bytes, but only %zu are reserved",
                       actual_size, (size_t)bus->tx.reserved);
    ring_commit(&bus->tx, actual_size, type_id, correlation_id);
    if (unlikely(bus->tx.unflushed >= RING_MAX_UNFLUSHED))
        tachyon_flush(bus);
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_commit_tx(tachyon_bus_t *bus, size_t actual_size,
                                  uint32_t type_id) {
    if (unlikely(!bus))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "bus is NULL");
    return ty_bus_commit(bus, actual_size, type_id, 0);
}

tachyon_error_t tachyon_rollback_tx(tachyon_bus_t *bus) {
    if (!bus)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "bus is NULL");
    if (bus->tx.offset == 0)
        return not_reserved(bus);
    bus->tx.offset = 0; /* its record word is still 0, so nothing was there */
    return TACHYON_SUCCESS;
}

void tachyon_flush(tachyon_bus_t *bus) {
    if (unlikely(!bus) || bus->tx.first_word == 0)
        return;
    ring_publish(&bus->tx);
    ty_link_order_waker(&bus->link);
    bool wake = ring_consumer_sleeps(&bus->tx);
    if (likely(!wake && bus->tx.flushes % FLUSHES_PER_LOOK != 0))
        return;
    if (wake)
        ty_link_wake(&bus->link);
    else
        ty_link_look(&bus->link);
    tachyon_error_t error = ty_link_peer_error(&bus->link);
    if (error != TACHYON_SUCCESS)
        ty_bus_fail(bus, error);
}

tachyon_error_t tachyon_send(tachyon_bus_t *bus, const void *payload, size_t size,
                             uint32_t type_id, uint32_t spin_threshold,
                             int64_t timeout_ns) {
    if (unlikely(!payload && size > 0))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "payload is NULL, size is %zu", size);
    void *slot = tachyon_acquire_tx_timed(bus, size, spin_threshold, timeout_ns);
    if (unlikely(!slot))
        return tachyon_last_error();
    if (size > 0)
        memcpy(slot, payload, size);
    ring_commit(&bus->tx, size, type_id, 0);
    tachyon_flush(bus);
    return TACHYON_SUCCESS;
}

/* ---- Receiving ---- */

static bool rx_ready(void *context) {
    struct rx_wait *want = context;
    want->look = ring_look_at(&want->bus->rx, 0, &want->record);
    return want->look != RING_EMPTY;
}

static void rx_asleep(void *context, bool flag) {
    ring_want_record(&((struct rx_wait *)context)->bus->rx, flag);
}

/* One look that found nothing; is there nobody left to send? */
static tachyon_error_t look_empty(struct rx_wait *want, const struct wait *how) {
    struct tachyon_bus *bus = want->bus;
    if (++bus->empty_looks % EMPTY_LOOKS_PER_LOOK == 0)
        ty_link_look(&bus->link);
    tachyon_error_t error = ty_link_peer_error(&bus->link);
    if (error == TACHYON_SUCCESS)
        return TACHYON_ERR_EMPTY;
    return how->ready(want) ? TACHYON_SUCCESS : error;
}

bool ty_bus_wait_rx(struct rx_wait *want, struct wait how) {
    struct tachyon_bus *bus = want->bus;
    if (claim(bus, TACHYON_ROLE_CONSUMER) != TACHYON_SUCCESS)
        return false;
    if (!how.ready)
        how.ready = rx_ready;
    how.asleep = rx_asleep;
    how.context = want;
    tachyon_error_t error = TACHYON_SUCCESS;
    if (!how.ready(want)) {
        if (how.timeout_ns == 0) {
            error = look_empty(want, &how);
        } else {
            /* While records come in bursts, looking often only takes the line away
             * from the producer. */
            if (ring_saw_burst(&bus->rx))
                ty_pause_burst();
            error = ty_link_wait(&bus->link, &how);
        }
    }
    if (error != TACHYON_SUCCESS)
        wait_failed(bus, error);
    else if (want->look == RING_CORRUPT)
        ty_bus_fail(bus, TACHYON_ERR_CORRUPT);
    else
        return true;
    return false;
}

static const void *take(struct tachyon_bus *bus, uint32_t *type_id, size_t *actual_size,
                        struct wait how) {
    if (unlikely(!bus || !type_id || !actual_size)) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL",
                !bus       ? "bus"
                : !type_id ? "type_id"
                           : "actual_size");
        return NULL;
    }
    struct rx_wait want = {.bus = bus};
    if (unlikely(ring_look_at(&bus->rx, 0, &want.record) != RING_FOUND) &&
        !ty_bus_wait_rx(&want, how))
        return NULL;
    bus->rx.handed = want.record.bytes;
    bus->rx.handed_count = 1;
    *type_id = want.record.type_id;
    *actual_size = want.record.size;
    return want.record.payload;
}

const void *tachyon_acquire_rx(tachyon_bus_t *bus, uint32_t *type_id,
                               size_t *actual_size) {
    return take(bus, type_id, actual_size, (struct wait){.timeout_ns = 0});
}

const void *tachyon_acquire_rx_spin(tachyon_bus_t *bus, uint32_t *type_id,
                                    size_t *actual_size, uint32_t max_spins) {
    return take(bus, type_id, actual_size,
                (struct wait){.spins = max_spins ? max_spins : WAIT_SPIN_FOR_EVER,
                              .timeout_ns = -1,
                              .never_sleep = true});
}

const void *tachyon_acquire_rx_timed(tachyon_bus_t *bus, uint32_t *type_id,
                                     size_t *actual_size, uint32_t spin_threshold,
                                     int64_t timeout_ns) {
    return take(bus, type_id, actual_size,
                (struct wait){.spins = spin_threshold, .timeout_ns = timeout_ns});
}

const void *tachyon_acquire_rx_blocking(tachyon_bus_t *bus, uint32_t *type_id,
                                        size_t *actual_size, uint32_t spin_threshold) {
    return tachyon_acquire_rx_timed(bus, type_id, actual_size, spin_threshold, -1);
}

/* Release the first `bytes`, `count` messages, of what is handed out. */
void ty_bus_release(struct tachyon_bus *bus, uint64_t bytes, uint64_t count) {
    ring_release(&bus->rx, bytes, count);
    ty_link_order_waker(&bus->link);
    if (unlikely(ring_producer_sleeps(&bus->rx)))
        ty_link_wake(&bus->link);
}

static tachyon_error_t not_handed_out(struct tachyon_bus *bus) {
    if (atomic_load(&bus->error) != TACHYON_SUCCESS)
        return report(bus);
    return ty_fail(TACHYON_ERR_EMPTY, 0, "no message is handed out");
}

tachyon_error_t tachyon_commit_rx(tachyon_bus_t *bus) {
    if (unlikely(!bus))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "bus is NULL");
    if (unlikely(bus->rx.handed == 0))
        return not_handed_out(bus);
    ty_bus_release(bus, bus->rx.handed, bus->rx.handed_count);
    return TACHYON_SUCCESS;
}

static size_t take_batch(struct tachyon_bus *bus, tachyon_msg_view_t *views,
                         size_t max_msgs, struct wait how) {
    if (!bus || !views) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", !bus ? "bus" : "views");
        return 0;
    }
    if (max_msgs == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "max_msgs is 0");
        return 0;
    }
    struct rx_wait want = {.bus = bus};
    if (ring_look_at(&bus->rx, 0, &want.record) != RING_FOUND &&
        !ty_bus_wait_rx(&want, how))
        return 0;
    uint64_t ahead = 0;
    size_t count = 0;
    do { /* what is wrong behind a good record shows when it is the first */
        views[count++] = (tachyon_msg_view_t){.ptr = want.record.payload,
                                              .actual_size = want.record.size,
                                              .reserved_ = (size_t)want.record.bytes,
                                              .type_id = want.record.type_id};
        ahead += want.record.bytes;
    } while (count < max_msgs &&
             ring_look_at(&bus->rx, ahead, &want.record) == RING_FOUND);
    bus->rx.handed = ahead;
    bus->rx.handed_count = count;
    return count;
}

size_t tachyon_acquire_rx_batch(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                                size_t max_msgs) {
    return take_batch(bus, views, max_msgs, (struct wait){.timeout_ns = 0});
}

size_t tachyon_drain_batch_timed(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                                 size_t max_msgs, uint32_t spin_threshold,
                                 int64_t timeout_ns) {
    return take_batch(bus, views, max_msgs,
                      (struct wait){.spins = spin_threshold, .timeout_ns = timeout_ns});
}

size_t tachyon_drain_batch(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                           size_t max_msgs, uint32_t spin_threshold) {
    return tachyon_drain_batch_timed(bus, views, max_msgs, spin_threshold, -1);
}

tachyon_error_t tachyon_commit_rx_batch(tachyon_bus_t *bus,
                                        const tachyon_msg_view_t *views, size_t count) {
    if (!bus || (!views && count > 0))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", !bus ? "bus" : "views");
    if (count == 0)
        return TACHYON_SUCCESS;
    if (bus->rx.handed == 0)
        return not_handed_out(bus);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count && i < bus->rx.handed_count; i++)
        bytes += views[i].reserved_;
    bool all = count == bus->rx.handed_count;
    if (count > bus->rx.handed_count || bytes % RING_LINE != 0 ||
        (all ? bytes != bus->rx.handed : bytes >= bus->rx.handed))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "%zu messages of %zu bytes of ring are not the first of the %zu "
                       "handed out",
                       count, (size_t)bytes, (size_t)bus->rx.handed_count);
    ty_bus_release(bus, bytes, count);
    return TACHYON_SUCCESS;
}

/* ---- Looking ---- */

tachyon_state_t ty_bus_state(struct tachyon_bus *bus, const struct region *receiving) {
    int error = atomic_load(&bus->error);
    if (error == TACHYON_SUCCESS && ty_link_look(&bus->link) != LINK_ALIVE) {
        /* Undelivered messages keep a receiving end usable. Any thread may ask, so
         * this reads the shared words, not the consumer's own. */
        const struct ring_shared *shared = region_shared(receiving);
        const struct ring_line *line =
            ring_line_at(region_data(receiving), receiving->capacity - 1,
                         atomic_load_explicit(&shared->tail, memory_order_acquire) &
                             ~(uint64_t)(RING_LINE - 1));
        if (atomic_load(&bus->role) == TACHYON_ROLE_PRODUCER ||
            atomic_load_explicit(&line->word, memory_order_acquire) == 0)
            error = ty_link_peer_error(&bus->link);
    }
    switch (error) {
    case TACHYON_SUCCESS:
        return TACHYON_STATE_READY;
    case TACHYON_ERR_CLOSED:
    case TACHYON_ERR_PEER_DEAD:
        ty_fail_plain((tachyon_error_t)error);
        return TACHYON_STATE_DISCONNECTED;
    default:
        ty_fail_plain((tachyon_error_t)error);
        return TACHYON_STATE_FATAL_ERROR;
    }
}

tachyon_state_t tachyon_get_state(const tachyon_bus_t *bus) {
    if (!bus) {
        ty_fail(TACHYON_ERR_NULL_PTR, 0, "bus is NULL");
        return TACHYON_STATE_UNKNOWN;
    }
    return ty_bus_state((tachyon_bus_t *)(uintptr_t)bus, &bus->regions[0]);
}

void tachyon_memory_barrier_acquire(void) {
    atomic_thread_fence(memory_order_acquire);
}

tachyon_error_t tachyon_bus_get_peer(const tachyon_bus_t *bus, tachyon_peer_t *out) {
    if (!bus || !out)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", !bus ? "bus" : "out");
    *out = bus->peer;
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_bus_get_stats(const tachyon_bus_t *bus, tachyon_stats_t *out) {
    if (!bus || !out)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL", !bus ? "bus" : "out");
    *out = (tachyon_stats_t){
        .capacity = bus->regions[0].capacity,
        .used = bus->tx.limit ? bus->tx.head + bus->tx.capacity - bus->tx.limit
                              : bus->rx.handed,
        .messages = bus->tx.messages + bus->rx.messages,
        .ring_bytes = bus->tx.head + bus->rx.tail,
        .flushes = bus->tx.flushes,
        .full = bus->tx.full,
        .sleeps = atomic_load_explicit(&bus->link.sleeps, memory_order_relaxed),
        .wakes = atomic_load_explicit(&bus->link.wakes, memory_order_relaxed),
    };
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_bus_set_numa_node(const tachyon_bus_t *bus, int node_id) {
    if (!bus)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "bus is NULL");
    if (atomic_load(&bus->error) == TACHYON_ERR_FORKED)
        return ty_fail_plain(TACHYON_ERR_FORKED);
    return ty_region_set_numa_node(&bus->regions[0], node_id);
}

void tachyon_bus_set_polling_mode(const tachyon_bus_t *bus, int pure_spin) {
    if (bus) /* const in the frozen API, but a setter */
        atomic_store_explicit(&((tachyon_bus_t *)(uintptr_t)bus)->link.pure_spin,
                              pure_spin != 0, memory_order_relaxed);
}

/* ---- Opening and closing ---- */

static void in_child(struct fork_watch *watch) {
    struct tachyon_bus *bus =
        (struct tachyon_bus *)(void *)((char *)watch -
                                       offsetof(struct tachyon_bus, watch));
    ty_link_in_child(&bus->link);
    atomic_store(&bus->error, TACHYON_ERR_FORKED);
    ring_producer_disarm(&bus->tx);
    ring_consumer_disarm(&bus->rx);
}

tachyon_error_t ty_bus_init(struct tachyon_bus *bus, const struct session *session) {
    *bus = (struct tachyon_bus){.side = session->side,
                                .declared_role = session->role,
                                .peer = session->peer,
                                .owners = 1,
                                .watch.in_child = in_child};
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        bus->regions[i] = session->regions[i];
    ring_producer_disarm(&bus->tx);
    ring_consumer_disarm(&bus->rx);
    ty_link_init(&bus->link);
    bus->link.socket = session->socket;
    bus->link.pidfd = session->pidfd;
    bus->link.expedited = session->expedited;
    bus->link.interrupted = session->interrupted;
    bus->link.interrupted_context = session->interrupted_context;
    return ty_fork_watch(&bus->watch);
}

void ty_bus_close(struct tachyon_bus *bus) {
    /* Nobody waits: we may touch the rings. Otherwise the waiting thread has flushed
     * before it went to wait, and it will fail the bus itself. */
    bool idle = !atomic_exchange(&bus->link.waiting, true);
    if (idle) {
        bus->tx.offset = 0;
        tachyon_flush(bus);
    }
    ty_link_close(&bus->link);
    if (idle) {
        ty_bus_fail(bus, TACHYON_ERR_CLOSED);
        atomic_store_explicit(&bus->link.waiting, false, memory_order_release);
    }
}

void ty_bus_free(struct tachyon_bus *bus) {
    ty_bus_close(bus);
    ty_link_join(&bus->link);
    ty_fork_unwatch(&bus->watch);
    ty_link_free(&bus->link);
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_free(&bus->regions[i]);
}

/* listen and connect differ in one call; capacities is NULL for connect. */
static tachyon_error_t open_bus(const char *socket_path, const size_t *capacity,
                                const tachyon_options_t *options, tachyon_bus_t **out) {
    if (out)
        *out = NULL;
    if (!socket_path || !out)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "%s is NULL",
                       !out ? "out" : "socket_path");
    tachyon_bus_t *bus = aligned_alloc(alignof(tachyon_bus_t), sizeof *bus);
    if (!bus)
        return ty_fail_plain(TACHYON_ERR_MEM);
    struct session session;
    tachyon_error_t error =
        capacity ? ty_handshake_listen(socket_path, HANDSHAKE_BUS, capacity, options,
                                       &session)
                 : ty_handshake_connect(socket_path, HANDSHAKE_BUS, options, &session);
    if (error != TACHYON_SUCCESS) {
        free(bus);
        return error;
    }
    error = ty_bus_init(bus, &session);
    if (error != TACHYON_SUCCESS) {
        ty_bus_free(bus);
        free(bus);
        return error;
    }
    *out = bus;
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_bus_listen_with(const char *socket_path, size_t capacity,
                                        const tachyon_options_t *options,
                                        tachyon_bus_t **out) {
    return open_bus(socket_path, &capacity, options, out);
}

tachyon_error_t tachyon_bus_listen(const char *socket_path, size_t capacity,
                                   tachyon_bus_t **out) {
    return tachyon_bus_listen_with(socket_path, capacity, NULL, out);
}

tachyon_error_t tachyon_bus_connect_with(const char *socket_path,
                                         const tachyon_options_t *options,
                                         tachyon_bus_t **out) {
    return open_bus(socket_path, NULL, options, out);
}

tachyon_error_t tachyon_bus_connect(const char *socket_path, tachyon_bus_t **out) {
    return tachyon_bus_connect_with(socket_path, NULL, out);
}

void tachyon_bus_ref(tachyon_bus_t *bus) {
    if (bus)
        atomic_fetch_add_explicit(&bus->owners, 1, memory_order_relaxed);
}

void tachyon_bus_close(tachyon_bus_t *bus) {
    if (bus)
        ty_bus_close(bus);
}

void tachyon_bus_destroy(tachyon_bus_t *bus) {
    if (!bus || atomic_fetch_sub_explicit(&bus->owners, 1, memory_order_acq_rel) != 1)
        return;
    ty_bus_free(bus);
    free(bus);
}

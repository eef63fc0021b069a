/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a bus or an RPC bus: how it stands, where its rings lie, who the peer is.
 * Nothing in here changes an end.
 */
#include "many.h"
#include "rpc.h"

/* A bus has one ring. Of an RPC bus the connector sends into the first and receives from
 * the second. */
static const struct region *incoming(const tachyon_rpc_bus_t *rpc) {
    const struct tachyon_bus *bus = rpc_bus(rpc);
    return &bus->regions[bus->side == RING_SIDE_CONNECTOR ? 1 : 0];
}

static const struct region *outgoing(const tachyon_rpc_bus_t *rpc) {
    const struct tachyon_bus *bus = rpc_bus(rpc);
    return &bus->regions[bus->side == RING_SIDE_CONNECTOR ? 0 : 1];
}

/* ---- State ---- */

/* Any thread may ask, so this reads the shared words, not the consumer's own. */
static bool has_undelivered(const struct tachyon_bus *bus,
                            const struct region *receiving) {
    const struct ring_shared *shared = region_shared(receiving);
    const struct ring_line *line =
        ring_line_at(region_data(receiving), receiving->capacity - 1,
                     atomic_load_explicit(&shared->tail, memory_order_acquire) &
                         ~(uint64_t)(RING_LINE - 1));
    return atomic_load(&bus->role) != TACHYON_ROLE_PRODUCER &&
           atomic_load_explicit(&line->word, memory_order_acquire) != 0;
}

static tachyon_state_t state_of(struct tachyon_bus *bus,
                                const struct region *receiving) {
    tachyon_error_t error = (tachyon_error_t)atomic_load(&bus->error);
    bool closing = atomic_load(&bus->link.closing);
    if (error == TACHYON_SUCCESS && ty_bus_evicted(bus))
        error = TACHYON_ERR_LAGGED;
    else if (error == TACHYON_SUCCESS && closing)
        error = TACHYON_ERR_CLOSED;
    else if (error == TACHYON_SUCCESS && !bus->peers && /* many: they come and go */
             ty_link_look(&bus->link) != LINK_ALIVE)
        error = ty_link_error(&bus->link);
    /* Undelivered messages keep a receiving end usable, whoever has found the end. */
    if (link_is_end(error) && !closing && !bus->peers &&
        has_undelivered(bus, receiving))
        error = TACHYON_SUCCESS;
    switch (error) {
    case TACHYON_SUCCESS:
        return TACHYON_STATE_READY;
    case TACHYON_ERR_CLOSED:
        ty_fail_plain(error);
        return TACHYON_STATE_DISCONNECTED;
    default:
        ty_fail_plain(error);
        return TACHYON_STATE_FATAL_ERROR;
    }
}

tachyon_state_t tachyon_get_state(const tachyon_bus_t *bus) {
    return is_null(bus) ? TACHYON_STATE_UNKNOWN
                        : state_of((tachyon_bus_t *)(uintptr_t)bus, &bus->regions[0]);
}

tachyon_state_t tachyon_rpc_get_state(const tachyon_rpc_bus_t *rpc) {
    return is_null(rpc) ? TACHYON_STATE_UNKNOWN : state_of(rpc_bus(rpc), incoming(rpc));
}

void tachyon_memory_barrier_acquire(void) {
    atomic_thread_fence(memory_order_acquire);
}

/* ---- Memory ---- */

static void *memory(const struct tachyon_bus *bus, const struct region *region,
                    size_t *mapped) {
    if (atomic_load(&bus->error) == TACHYON_ERR_FORKED) {
        ty_fail_plain(TACHYON_ERR_FORKED);
        return NULL;
    }
    if (!region->map) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "each of many peers has memory of its own");
        return NULL;
    }
    if (mapped)
        *mapped = 2 * region->capacity;
    return region_data(region);
}

void *tachyon_bus_memory(const tachyon_bus_t *bus, size_t *mapped) {
    return is_null(bus) ? NULL : memory(bus, &bus->regions[0], mapped);
}

void *tachyon_rpc_memory(const tachyon_rpc_bus_t *rpc, int sending, size_t *mapped) {
    return is_null(rpc)
               ? NULL
               : memory(rpc_bus(rpc), sending ? outgoing(rpc) : incoming(rpc), mapped);
}

size_t tachyon_max_payload(const tachyon_bus_t *bus) {
    return bus ? (size_t)ring_max_payload(bus->regions[0].capacity) : 0;
}

size_t tachyon_rpc_max_payload(const tachyon_rpc_bus_t *rpc) {
    return rpc ? (size_t)ring_max_payload(outgoing(rpc)->capacity) : 0;
}

/* ---- Peer ---- */

tachyon_error_t tachyon_bus_get_peer(const tachyon_bus_t *bus, tachyon_peer_t *out) {
    if (is_null(bus) || is_null(out))
        return TACHYON_ERR_NULL_PTR;
    if (bus->peers && tachyon_bus_sender(bus) == 0)
        return ty_fail(TACHYON_ERR_EMPTY, 0,
                       "of many peers none has sent a message yet that was taken");
    *out = bus->peer;
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_rpc_get_peer(const tachyon_rpc_bus_t *rpc,
                                     tachyon_peer_t *out) {
    return is_null(rpc) ? TACHYON_ERR_NULL_PTR
                        : tachyon_bus_get_peer(rpc_bus(rpc), out);
}

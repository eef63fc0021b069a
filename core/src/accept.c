/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who looks at the peers of a listener from outside: accept, the list of peers, drop.
 *
 * Owns: the events, under the mutex.
 *
 * An event is queued before the accepter's flag is looked at, and that flag stands before
 * the queue is: the mutex orders the two. So no sleeper in accept misses one.
 */
#include "many.h"
#include "rpc.h"

#include <inttypes.h>
#include <string.h>

/* ---- Events ---- */

void ty_peers_push_event(struct peers *peers, uint32_t kind, const struct peer *peer,
                         tachyon_error_t reason) {
    tachyon_event_t event = {
        .kind = kind, .peer = peer->id, .reason = reason, .who = peer->who};
    memcpy(event.name, peer->hello.name, sizeof event.name);
    pthread_mutex_lock(&peers->mutex);
    if (peers->event_count < TACHYON_MAX_EVENTS)
        peers
            ->events[(peers->first_event + peers->event_count++) % TACHYON_MAX_EVENTS] =
            event;
    else
        peers->missed++;
    pthread_mutex_unlock(&peers->mutex);
    if (atomic_load(&peers->accept_sleeps))
        ty_link_wake(&peers->bus->link);
}

/* Those that were not kept come last, as a number: only then is there room again. */
static bool pop_event(struct peers *peers, tachyon_event_t *out) {
    pthread_mutex_lock(&peers->mutex);
    bool found = true;
    if (peers->event_count > 0) {
        *out = peers->events[peers->first_event];
        peers->first_event = (peers->first_event + 1) % TACHYON_MAX_EVENTS;
        peers->event_count--;
    } else if (peers->missed > 0) {
        *out = (tachyon_event_t){.kind = TACHYON_EVENT_MISSED, .peer = peers->missed};
        peers->missed = 0;
    } else {
        found = false;
    }
    pthread_mutex_unlock(&peers->mutex);
    return found;
}

/* ---- Accept, and looking at peers ---- */

struct accept_wait {
    struct peers *peers;
    tachyon_event_t *out;
};

static bool accept_ready(void *context) {
    struct accept_wait *want = context;
    if (pop_event(want->peers, want->out))
        return true;
    ty_peers_step(want->peers);
    return pop_event(want->peers, want->out);
}

static void accept_asleep(void *context, bool flag) {
    atomic_store(&((struct accept_wait *)context)->peers->accept_sleeps, flag);
}

static void accept_failed(void *context, tachyon_error_t error) {
    struct accept_wait *want = context;
    if (bus_closing(want->peers->bus))
        ty_fail(TACHYON_ERR_CLOSED, 0, "this handle has been closed");
    else
        ty_fail_plain(error);
}

/* The peers of this bus; NULL: last_error tells why not. */
static struct peers *peers_of(const tachyon_bus_t *bus) {
    if (is_null(bus))
        return NULL;
    if (atomic_load(&bus->error) == TACHYON_ERR_FORKED)
        ty_fail_plain(TACHYON_ERR_FORKED);
    else if (!bus->peers)
        ty_fail(
            TACHYON_ERR_INVALID_SZ, 0,
            "this bus has a single peer: options.max_peers was 0 when it was opened");
    else
        return bus->peers;
    return NULL;
}

tachyon_error_t tachyon_bus_accept(tachyon_bus_t *bus, tachyon_event_t *out,
                                   int64_t timeout_ns) {
    struct accept_wait want = {peers_of(bus), out};
    if (!want.peers)
        return tachyon_last_error();
    if (is_null(out))
        return TACHYON_ERR_NULL_PTR;
    if (timeout_ns == 0) {
        if (accept_ready(&want))
            return TACHYON_SUCCESS;
        if (!bus_closing(bus))
            return ty_fail(TACHYON_ERR_EMPTY, 0, "nobody has come or gone");
        accept_failed(&want, TACHYON_ERR_CLOSED);
        return TACHYON_ERR_CLOSED;
    }
    /* Each look is within the wait, which who destroys the handle waits for. */
    tachyon_error_t error =
        ty_link_wait(&want.peers->front, &(struct wait){.ready = accept_ready,
                                                        .asleep = accept_asleep,
                                                        .failed = accept_failed,
                                                        .context = &want,
                                                        .timeout_ns = timeout_ns});
    if (error == TACHYON_ERR_BUSY)
        return ty_fail(error, 0, "another thread waits for peers on this handle");
    return error == TACHYON_SUCCESS ? error : tachyon_last_error();
}

size_t tachyon_bus_get_peers(const tachyon_bus_t *bus, tachyon_peer_info_t *out,
                             size_t max) {
    struct peers *peers = peers_of(bus);
    size_t count = 0;
    if (!peers || (max > 0 && is_null(out)))
        return 0;
    ty_fail_plain(TACHYON_SUCCESS);
    pthread_mutex_lock(&peers->mutex);
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        if (!peer || ty_link_error(&peer->link) != TACHYON_SUCCESS)
            continue;
        if (count < max) {
            tachyon_peer_info_t *info = &out[count];
            *info = (tachyon_peer_info_t){
                .peer = peer->id,
                .who = peer->who,
                .messages = atomic_load_explicit(&peer->messages, memory_order_relaxed),
                .sleeps =
                    atomic_load_explicit(&peer->link.sleeps, memory_order_relaxed),
                .wakes = atomic_load_explicit(&peer->link.wakes, memory_order_relaxed)};
            memcpy(info->name, peer->hello.name, sizeof info->name);
            if (peers->kind->info)
                peers->kind->info(peers->bus, peer, info);
        }
        count++;
    }
    pthread_mutex_unlock(&peers->mutex);
    return count;
}

tachyon_error_t tachyon_bus_drop_peer(tachyon_bus_t *bus, uint32_t peer) {
    struct peers *peers = peers_of(bus);
    bool found = false;
    if (!peers)
        return tachyon_last_error();
    pthread_mutex_lock(&peers->mutex);
    for (uint32_t i = 0; i < peers->slots && !found; i++) {
        struct peer *here = peers_at(peers, i);
        found =
            here && here->id == peer && ty_link_error(&here->link) == TACHYON_SUCCESS;
        if (found && peers->kind->drop)
            peers->kind->drop(bus, here);
        else if (found)
            ty_link_close(&here->link);
    }
    pthread_mutex_unlock(&peers->mutex);
    return found ? TACHYON_SUCCESS
                 : ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                           "no peer %" PRIu32 " is connected", peer);
}

tachyon_error_t tachyon_rpc_accept(tachyon_rpc_bus_t *rpc, tachyon_event_t *out,
                                   int64_t timeout_ns) {
    return tachyon_bus_accept(rpc_bus(rpc), out, timeout_ns);
}

size_t tachyon_rpc_get_peers(const tachyon_rpc_bus_t *rpc, tachyon_peer_info_t *out,
                             size_t max) {
    return tachyon_bus_get_peers(rpc_bus(rpc), out, max);
}

tachyon_error_t tachyon_rpc_drop_peer(tachyon_rpc_bus_t *rpc, uint32_t peer) {
    return tachyon_bus_drop_peer(rpc_bus(rpc), peer);
}

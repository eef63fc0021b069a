/* SPDX-License-Identifier: Apache-2.0 */
#include "villains.h"

static void lie(const struct region *region, uint64_t *random) {
    struct ring_shared *shared = region_shared(region);
    uint64_t tail = atomic_load(&shared->tail);
    switch (test_random_below(random, 8)) {
    case 0: /* anything, anywhere */
        atomic_store((_Atomic uint64_t *)(void *)shared +
                         test_random_below(random, RING_SHARED_BYTES / 8),
                     test_random(random));
        break;
    case 1:
        atomic_store(&shared->tail, test_random_below(random, 4) ? 0 : tail + 1);
        break;
    case 2:
        atomic_store(&shared->wanted_tail, test_random_below(random, 3));
        break;
    case 3: /* wake me, at each message */
        atomic_store(&shared->wanted_head, test_random_below(random, 2) ? 1 : tail);
        break;
    default: /* a reader that reads, or seems to */
        atomic_store(&shared->tail, tail + 64 * test_random_below(random, 9));
    }
}

/* Calls as they should be, for as long as its own end believes what it reads, and lies in
 * both rings. */
static void call_or_lie(tachyon_bus_t *bus, uint64_t *random) {
    static const uint8_t payload[MOST];
    tachyon_rpc_bus_t *rpc = rpc_of_bus(bus);
    uint64_t id;
    uint32_t type;
    size_t size;
    switch (test_random_below(random, 64)) {
    case 0:
        hostile_write(&bus->regions[0], random);
        break;
    case 1:
    case 2:
        hostile_write(&bus->regions[1], random);
        break;
    case 3:
        lie(&bus->regions[1], random);
        break;
    default:
        tachyon_rpc_call(rpc, payload, message_size(test_random(random), MOST), 1, &id);
        if (test_random_below(random, 4) > 0 &&
            tachyon_rpc_wait_any(rpc, &id, &size, &type, 0, 0))
            tachyon_rpc_commit_rx(rpc);
    }
}

void *be_hostile(void *context) {
    struct villains *villains = context;
    uint64_t random = 6;
    for (bool over = false; !over;) {
        pthread_mutex_lock(&villains->mutex);
        for (int i = 0; i < 16; i++) {
            const struct villain *villain =
                &villains->all[test_random_below(&random, VILLAINS)];
            if (!villain->bus)
                continue;
            if (villains->call)
                call_or_lie(villain->bus, &random);
            else
                (villains->read ? lie : hostile_write)(&villain->bus->regions[0],
                                                       &random);
            villains->writes++;
        }
        over = villains->over;
        pthread_mutex_unlock(&villains->mutex);
        for (uint64_t pauses = test_random_below(&random, 3000); pauses > 0; pauses--)
            ty_pause();
    }
    return NULL;
}

/* The peer that was let in last; the listener has not looked at its ring yet. */
static struct peer *last_peer(tachyon_bus_t *listener) {
    struct peer *last = NULL;
    for (uint32_t i = 0; i < listener->peers->slots; i++) {
        struct peer *peer = peers_at(listener->peers, i);
        if (peer && (!last || peer->id > last->id))
            last = peer;
    }
    return last;
}

tachyon_error_t try_to_join(tachyon_bus_t *listener, const char *path, bool call,
                            tachyon_bus_t **out) {
    tachyon_rpc_bus_t *rpc;
    if (!call)
        return crowd_try(listener, path, NULL, out);
    tachyon_error_t error = crowd_try_rpc(rpc_of_bus(listener), path, NULL, &rpc);
    *out = rpc_bus(rpc);
    return error;
}

void leave(tachyon_bus_t *bus, bool call) {
    if (call)
        tachyon_rpc_destroy(rpc_of_bus(bus));
    else
        tachyon_bus_destroy(bus);
}

/* Nobody has looked at what it is to read yet; what it writes to is armed again. */
static void surround_rings(struct peer *peer, bool call) {
    hostile_surround(&peer->regions[0]);
    if (!call)
        return;
    struct region *replies = &peer->regions[1];
    hostile_surround(replies);
    ring_producer_arm(&peer->tx, region_shared(replies), region_data(replies),
                      CAPACITY);
}

bool let_villain_in(struct villains *villains, struct villain *villain,
                    tachyon_bus_t *listener, const char *path) {
    uint32_t before = listener->peers->last_id;
    tachyon_bus_t *bus;
    tachyon_error_t error = try_to_join(listener, path, villains->call, &bus);
    if (error == TACHYON_ERR_BUSY)
        return false;
    CHECK_OK(error);
    ty_peers_step(listener->peers); /* which takes the acknowledge */
    struct peer *peer = last_peer(listener);
    CHECK_EQ(peer->id, before + 1);
    if (!villains->read)
        surround_rings(peer, villains->call);
    pthread_mutex_lock(&villains->mutex);
    *villain = (struct villain){bus, peer->id, {peer->regions[0], peer->regions[1]}};
    pthread_mutex_unlock(&villains->mutex);
    return true;
}

void let_villain_go(struct villains *villains, struct villain *villain) {
    pthread_mutex_lock(&villains->mutex);
    tachyon_bus_t *bus = villain->bus;
    villain->bus = NULL;
    pthread_mutex_unlock(&villains->mutex);
    leave(bus, villains->call);
}

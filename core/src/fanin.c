/* SPDX-License-Identifier: Apache-2.0 */
/* Fan-in: one consumer, a ring for each producer, received from by turns. */
#include "turns.h"

#include <stdlib.h>

static tachyon_error_t offer(struct tachyon_bus *bus, const struct client *client,
                             struct greeting *answer, struct region *regions) {
    (void)client, (void)answer;
    tachyon_error_t error =
        ty_listener_create_ring(&regions[0], bus->peers->listener.capacities[0]);
    if (error == TACHYON_SUCCESS)
        atomic_store(&region_shared(&regions[0])->consumer_side, RING_SIDE_LISTENER);
    return error;
}

static void join(struct tachyon_bus *bus, struct peer *peer) {
    ty_peers_push_joined(bus->peers, peer);
}

static tachyon_error_t open_kind(struct tachyon_bus *bus) {
    struct turns *turns = calloc(1, sizeof *turns);
    bus->peers->own = turns;
    return turns ? ty_turns_open(turns, bus->peers->slots)
                 : ty_fail_plain(TACHYON_ERR_MEM);
}

static void free_kind(struct tachyon_bus *bus) {
    if (bus->peers->own)
        ty_turns_free(bus->peers->own);
    free(bus->peers->own);
}

const struct peers_kind ty_fanin = {
    .offer = offer,
    .join = join,
    .drop = ty_turns_drop,
    .rx_ready = ty_turns_ready,
    .rx_asleep = ty_turns_asleep,
    .released = ty_turns_released,
    .told = ty_turns_told,
    .took = ty_turns_took,
    .stats = ty_turns_stats,
    .open = open_kind,
    .free = free_kind,
    .delivers_dead = true,
};

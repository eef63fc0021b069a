/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A producer with one consumer at a time: when it has gone the next one may come.
 *
 * Owns: who that is. Each consumer gets a ring of its own, on which `bus->tx` is armed: so
 * it is sent to as on any bus, and what the last one has not taken is gone with its ring.
 * Everything in here is the data thread's, which sends.
 *
 * A ring is exchanged only while nothing is reserved. Then what is committed and not
 * flushed moves to the next one's: a flush after the event of its joining reaches it. The
 * accept step sees to that by `flushes_freely`, which keeps flushes off the short way.
 */
#include "many.h"

#include <stdlib.h>
#include <string.h>

struct solo {
    struct peer *current;
    struct peer *waiting; /* taken off `joined`, oldest first: at most the last lives */
    uint64_t messages, bytes, flushes, full; /* to those that have gone */
};

static struct solo *solo_of(const struct tachyon_bus *bus) {
    return bus->peers->own;
}

static void arm(struct tachyon_bus *bus, struct peer *peer) {
    uint64_t full = bus->tx.full;
    solo_of(bus)->current = peer;
    ty_bus_arm_tx(bus, &peer->regions[0]);
    bus->tx.full = full;
    atomic_store(&bus->link.flushes_freely, peer->link.expedited);
    /* Those who set it to false, in join() and an abort, have left their mark before. */
    if (ty_link_aborted(&bus->link) || atomic_load(&bus->peers->joined))
        atomic_store(&bus->link.flushes_freely, false);
    if (!ty_peers_watch(bus->peers, peer))
        ty_link_close(&peer->link); /* it would never be heard */
}

/* What went into a ring that is to go. */
static void account(struct tachyon_bus *bus, const struct ring_producer *tx,
                    uint64_t bytes, uint64_t messages) {
    struct solo *solo = solo_of(bus);
    solo->messages += messages;
    solo->bytes += bytes;
    solo->flushes += tx->flushes;
}

static void part(struct tachyon_bus *bus, tachyon_error_t reason) {
    struct solo *solo = solo_of(bus);
    struct peer *peer = solo->current;
    account(bus, &bus->tx, bus->tx.head, bus->tx.messages);
    bus->tx.messages = bus->tx.head = bus->tx.flushes = 0;
    ring_producer_disarm(&bus->tx);
    solo->current = NULL;
    ty_peers_hand_back(bus->peers, peer, reason);
}

/* The next one that lives, if there is no other. */
static bool next_peer(struct tachyon_bus *bus) {
    struct solo *solo = solo_of(bus);
    if (solo->current && ty_link_error(&solo->current->link) != TACHYON_SUCCESS)
        part(bus, ty_link_error(&solo->current->link));
    while (!solo->current) {
        struct peer *peer =
            solo->waiting ? solo->waiting : ty_peers_take_joined(bus->peers);
        if (!peer)
            return false;
        solo->waiting = peer->next;
        arm(bus, peer);
        if (ty_link_error(&peer->link) != TACHYON_SUCCESS)
            part(bus, ty_link_error(&peer->link));
    }
    return true;
}

/* The next consumer has come, so the last one has gone: what it has not been shown yet is
 * for the next. */
static void before_flush(struct tachyon_bus *bus) {
    struct solo *solo = solo_of(bus);
    struct ring_producer old = bus->tx;
    uint64_t bytes = old.head - ring_flushed(&old);
    /* Taken at once: those that have died already may go from `joined` meanwhile. */
    if (old.offset != 0 ||
        (!solo->waiting && !(solo->waiting = ty_peers_take_joined(bus->peers))))
        return;
    struct peer *last = solo->current;
    solo->current = NULL;
    ring_producer_disarm(&bus->tx);
    if (next_peer(bus)) {
        memcpy(bus->tx.data, ring_line_at(old.data, old.mask, ring_flushed(&old)),
               (size_t)bytes);
        bus->tx.head = bytes;
        bus->tx.first_word = old.first_word;
        bus->tx.unflushed = old.unflushed;
        bus->tx.messages = old.unflushed;
    }
    account(bus, &old, ring_flushed(&old), old.messages - old.unflushed);
    ty_peers_hand_back(bus->peers, last, ty_link_error(&last->link));
}

static bool ready(void *context) {
    struct tx_wait *want = context;
    struct tachyon_bus *bus = want->bus;
    while (next_peer(bus)) {
        struct peer *peer = solo_of(bus)->current;
        if (ring_refresh(&bus->tx)) {
            want->slot = ring_reserve(&bus->tx, want->size);
            return want->slot;
        }
        ty_link_close(&peer->link);
        part(bus, TACHYON_ERR_CORRUPT);
    }
    return false;
}

static void asleep(void *context, bool flag) {
    struct tx_wait *want = context;
    if (solo_of(want->bus)->current)
        ty_bus_tx_asleep(context, flag);
}

static void flush_slow(struct tachyon_bus *bus, bool wake) {
    struct link *link = &solo_of(bus)->current->link;
    if (wake && !ty_link_wake(link))
        bus->tx.woken = 0; /* the next flush tries again */
    else if (bus->tx.flushes % FLUSHES_PER_LOOK == 0)
        ty_link_look(link);
    if (wake || bus->tx.flushes % FLUSHES_PER_PAGE == 0)
        ty_page_date(bus);
    if (ty_link_error(link) != TACHYON_SUCCESS)
        bus->tx.limit = 0;
}

/* Who has come or gone is seen at the next flush, even one of nothing. */
static void idle(struct tachyon_bus *bus) {
    const struct solo *solo = solo_of(bus);
    bool gone = solo->current && ty_link_error(&solo->current->link) != TACHYON_SUCCESS;
    if (bus->tx.offset != 0 || (!gone && !atomic_load(&bus->peers->joined)))
        return;
    ty_peers_news(bus); /* takes the byte of the bell */
    next_peer(bus);
}

static void told(struct tachyon_bus *bus, struct peer *peer) {
    (void)bus, (void)peer; /* its link knows, and who waits looks */
}

static tachyon_error_t offer(struct tachyon_bus *bus, const struct client *client,
                             struct greeting *answer, struct region *regions) {
    (void)answer;
    if (client->hello.start == TACHYON_START_POSITION)
        return TACHYON_ERR_LAGGED; /* each begins at 0 of a ring of its own */
    tachyon_error_t error =
        ty_listener_create_ring(&regions[0], bus->peers->listener.capacities[0]);
    if (error == TACHYON_SUCCESS)
        atomic_store(&region_shared(&regions[0])->producer_side, RING_SIDE_LISTENER);
    return error;
}

static void join(struct tachyon_bus *bus, struct peer *peer) {
    ty_peers_push_joined(bus->peers, peer);
    atomic_store(&bus->link.flushes_freely, false);
}

static void stats(struct tachyon_bus *bus, tachyon_stats_t *out) {
    const struct solo *solo = solo_of(bus);
    out->messages += solo->messages;
    out->ring_bytes += solo->bytes;
    out->flushes += solo->flushes;
    if (solo->current)
        out->wakes +=
            atomic_load_explicit(&solo->current->link.wakes, memory_order_relaxed);
}

static tachyon_error_t open_kind(struct tachyon_bus *bus) {
    bus->peers->own = calloc(1, sizeof(struct solo));
    return bus->peers->own ? TACHYON_SUCCESS : ty_fail_plain(TACHYON_ERR_MEM);
}

static void free_kind(struct tachyon_bus *bus) {
    free(bus->peers->own);
}

const struct peers_kind ty_solo = {
    .offer = offer,
    .join = join,
    .tx_ready = ready,
    .tx_asleep = asleep,
    .flush_slow = flush_slow,
    .before_flush = before_flush,
    .idle = idle,
    .told = told,
    .stats = stats,
    .open = open_kind,
    .free = free_kind,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fan-in: one consumer, a ring for each producer.
 *
 * Owns: whose turn it is. Everything in here is the data thread's, which receives.
 *
 * A ring is hot or cold. Hot ones are looked at in turn, each for up to QUANTUM records.
 * Who sleeps on a cold one is the set: its `wanted_head` stands, so that the producer's
 * next flush sends a byte, and a byte makes it hot. So every cost is one of rings that
 * are in use.
 *
 * Invariants
 *   F1  A ring becomes cold only if, after its word was set and that was ordered, a look
 *       found it empty. Before a sleep that is done for all hot ones at once, and all are
 *       looked at; else one of them may have been published to before its word stood.
 *   F2  What is handed out stays mapped until it is committed: a peer with something
 *       handed out is not handed back, whatever has become of it.
 *   F3  A peer that has ended is drained first, but no further than an honest one can have
 *       filled its ring: whoever still maps it cannot go on for ever.
 *   F4  Of rings with one name only the oldest is looked at: what a producer sent before
 *       it was started again comes first.
 */
#include "many.h"

#include <stdlib.h>

#define QUANTUM 32u       /* records of one ring before the next has its turn */
#define COLD_LOOKS 64u    /* empty looks after which a ring goes cold ... */
#define FEW 4u            /* ... when there are more hot ones than this */
#define NEWS_RECORDS 256u /* records between two looks at the set */
#define NEWS_TURNS 16u    /* turns between them that found nothing */

struct fanin {
    struct peer *current; /* whose record was found last; NULL: it has left */
    unsigned quantum;     /* records that it may still have */
    unsigned at;          /* in `hot`: of the last turn */
    unsigned hot_count, count;
    unsigned records, turns; /* since the last look at the set */
    bool asleep;             /* the words of all hot rings stand ... */
    bool quiet;              /* ... and then all were found empty */
    bool held;               /* one that is to leave has something handed out */
    uint32_t sender;
    uint64_t messages, bytes; /* of those that have left */
    struct peer **hot, **all; /* in `lists`, as many each as there are slots */
    struct peer *lists[];
};

static struct fanin *fanin_of(const struct tachyon_bus *bus) {
    return bus->peers->own;
}

/* ---- Hot and cold ---- */

static void heat(struct fanin *fanin, struct peer *peer) {
    peer->empty = 0;
    if (peer->hot || peer->waits)
        return;
    peer->hot = true;
    fanin->hot[fanin->hot_count++] = peer;
    ring_want_record(&peer->rx, false);
}

/* The next one stands at `index` then. */
static void take_out(struct peer **list, unsigned *count, unsigned index) {
    for ((*count)--; index < *count; index++)
        list[index] = list[index + 1];
}

/* Take the hot ring at `index` out of the turn. */
static void skip(struct fanin *fanin, unsigned index) {
    fanin->hot[index]->hot = false;
    take_out(fanin->hot, &fanin->hot_count, index);
}

/* ---- Coming and going ---- */

static bool same_name(const struct peer *a, const struct peer *b) {
    return peer_is_called(a, b->who.uid, b->hello.name);
}

/* Nothing more is to be expected of it but what its ring has. */
static void see_end(struct tachyon_bus *bus, struct peer *peer) {
    if (peer->over || ty_link_error(&peer->link) == TACHYON_SUCCESS)
        return;
    peer->over = true;
    /* F3. Whom we have dropped we do not listen to either. */
    peer->last =
        peer->rx.tail + (atomic_load(&peer->link.closing) ? 0 : peer->rx.capacity);
    ty_peers_unwatch(bus->peers, peer);
    heat(fanin_of(bus), peer);
}

/* The oldest that waits for the name is looked at from now on. */
static void activate(struct tachyon_bus *bus, struct peer *peer) {
    peer->waits = false;
    if (!ty_peers_watch(bus->peers, peer))
        ty_link_close(&peer->link); /* it would never be heard */
    heat(fanin_of(bus), peer);
    see_end(bus, peer);
    /* The bell's byte is taken, and no word stands yet: as in told(). */
    ty_link_signal(&bus->link, true);
}

static void part(struct tachyon_bus *bus, struct peer *peer) {
    struct fanin *fanin = fanin_of(bus);
    struct peer *next = NULL;
    for (unsigned i = 0; i < fanin->hot_count; i++)
        if (fanin->hot[i] == peer) {
            skip(fanin, i);
            break;
        }
    for (unsigned i = 0; i < fanin->count; i++)
        if (fanin->all[i] == peer) {
            take_out(fanin->all, &fanin->count, i);
            break;
        }
    for (unsigned i = 0; i < fanin->count && !next; i++) /* in order of joining */
        if (fanin->all[i]->waits && same_name(fanin->all[i], peer))
            next = fanin->all[i];
    if (fanin->current == peer)
        fanin->current = NULL;
    fanin->messages += peer->rx.messages;
    fanin->bytes += peer->rx.tail;
    if (next)
        activate(bus, next);
    tachyon_error_t reason = peer->reason ? peer->reason : ty_link_error(&peer->link);
    ty_peers_hand_back(bus->peers, peer, reason);
}

/* What it wrote no producer may write. */
static void distrust(struct tachyon_bus *bus, struct peer *peer) {
    peer->reason = TACHYON_ERR_CORRUPT;
    ty_link_close(&peer->link);
    see_end(bus, peer);
}

static void take_in(struct tachyon_bus *bus, struct peer *peer) {
    struct fanin *fanin = fanin_of(bus);
    const struct region *region = &peer->regions[0];
    ring_consumer_arm(&peer->rx, region_shared(region), region_data(region),
                      region->capacity);
    for (unsigned i = 0; i < fanin->count; i++)
        if (same_name(fanin->all[i], peer)) { /* which has ended, or it were not here */
            peer->waits = true;
            if (!fanin->all[i]->waits)
                see_end(bus, fanin->all[i]);
        }
    fanin->all[fanin->count++] = peer;
    if (!peer->waits)
        activate(bus, peer);
}

static void told(struct tachyon_bus *bus, struct peer *peer) {
    heat(fanin_of(bus), peer);
    see_end(bus, peer);
    /* Its byte is taken: who polls the descriptor is to look all the same. */
    ty_link_signal(&bus->link, true);
}

/* ---- The next record ---- */

/* Has this ring a record for us? */
static inline bool look(struct rx_wait *want, struct peer *peer) {
    if (unlikely(atomic_load_explicit(&peer->link.closing, memory_order_relaxed)))
        see_end(want->bus, peer); /* dropped, perhaps by another thread */
    want->look = RING_EMPTY;
    if (peer->over && peer->rx.tail >= peer->last && peer->rx.handed == 0)
        return false;
    want->look = ring_look_at(&peer->rx, 0, &want->record);
    if (unlikely(want->look == RING_CORRUPT))
        distrust(want->bus, peer);
    if (want->look != RING_FOUND)
        return false;
    want->rx = &peer->rx;
    peer->empty = 0;
    return true;
}

/* Its turn: now it is the one that commit and the questions are about. */
static bool choose(struct tachyon_bus *bus, struct peer *peer) {
    struct fanin *fanin = fanin_of(bus);
    fanin->records += QUANTUM - fanin->quantum;
    fanin->current = peer;
    fanin->quantum = QUANTUM - 1;
    fanin->sender = peer->id;
    bus->peer = peer->who;
    return true;
}

/* Leave the ring at `index` to the set. True: something has come meanwhile. */
static bool cool(struct rx_wait *want, unsigned index) {
    struct fanin *fanin = fanin_of(want->bus);
    struct peer *peer = fanin->hot[index];
    ring_want_record(&peer->rx, true);
    bool ordered = ty_link_order_sleeper(&want->bus->link);
    bool found = look(want, peer); /* F1 */
    if (ordered && !found && !peer->over) {
        skip(fanin, index);
        return false;
    }
    ring_want_record(&peer->rx, false);
    peer->empty = 0;
    return found;
}

/* Once round the hot rings, beginning behind the last. */
static bool turn(struct rx_wait *want) {
    struct fanin *fanin = fanin_of(want->bus);
    for (unsigned tries = fanin->hot_count; tries > 0; tries--) {
        if (++fanin->at >= fanin->hot_count)
            fanin->at = 0;
        struct peer *peer = fanin->hot[fanin->at];
        bool found = look(want, peer);
        if (!found && ++peer->empty >= COLD_LOOKS && fanin->hot_count > FEW) {
            found = cool(want, fanin->at);
            if (!peer->hot)
                fanin->at--; /* the next one stands there now */
        }
        if (found)
            return choose(want->bus, peer);
    }
    return false;
}

/* A sleep is prepared: look at all, whatever the first one says. F1 */
static bool look_at_all(struct rx_wait *want) {
    struct fanin *fanin = fanin_of(want->bus);
    struct rx_wait other = {.bus = want->bus};
    bool any = false, drained = false;
    for (unsigned i = 0; i < fanin->hot_count; i++) {
        struct peer *peer = fanin->hot[i];
        if (look(any ? &other : want, peer))
            any = any || choose(want->bus, peer);
        else
            drained = drained || (peer->over && peer->rx.handed == 0);
    }
    fanin->quiet = !any;
    if (drained) /* it is to leave, and only took() can see to that */
        ty_link_wake(&want->bus->peers->front);
    return any;
}

static bool ready(void *context) {
    struct rx_wait *want = context;
    struct fanin *fanin = fanin_of(want->bus);
    struct peer *current = fanin->current;
    if (fanin->asleep)
        return look_at_all(want);
    /* What is handed out comes again. */
    if (current && (fanin->quantum > 0 || current->rx.handed > 0) &&
        look(want, current)) {
        fanin->quantum -= current->rx.handed == 0;
        return true;
    }
    if (fanin->records >= NEWS_RECORDS)
        ty_peers_news(want->bus);
    if (turn(want))
        return true;
    if (++fanin->turns < NEWS_TURNS)
        return false;
    ty_peers_news(want->bus);
    return turn(want);
}

static void asleep(void *context, bool flag) {
    struct tachyon_bus *bus = ((struct rx_wait *)context)->bus;
    struct fanin *fanin = fanin_of(bus);
    bool cold = !flag && fanin->quiet && bus->link.ordered;
    unsigned kept = 0;
    for (unsigned i = 0; i < fanin->hot_count; i++) {
        struct peer *peer = fanin->hot[i];
        peer->hot = !cold || peer->over; /* to leave, which no byte will tell of */
        if (peer->hot) {
            ring_want_record(&peer->rx, flag);
            fanin->hot[kept++] = peer;
        }
    }
    fanin->hot_count = kept;
    fanin->asleep = flag;
    fanin->quiet = false;
}

/* ---- What the set has told ---- */

/* Those that have ended and are drained. */
static void part_with_drained(struct tachyon_bus *bus) {
    struct fanin *fanin = fanin_of(bus);
    struct rx_wait want = {.bus = bus};
    for (unsigned i = 0; i < fanin->hot_count;) {
        struct peer *peer = fanin->hot[i];
        if (!peer->over || look(&want, peer))
            i++;
        else if (peer->rx.handed > 0)
            fanin->held = true, i++; /* F2: until it is committed */
        else
            part(bus, peer); /* and look at the one that stands here now */
    }
}

static void took(struct tachyon_bus *bus) {
    struct fanin *fanin = fanin_of(bus);
    fanin->records = fanin->turns = 0;
    for (struct peer *peer = ty_peers_take_joined(bus->peers), *next; peer;
         peer = next) {
        next = peer->next;
        take_in(bus, peer);
    }
    part_with_drained(bus);
}

/* ---- Released ---- */

/* Those that were to leave and had something handed out. */
static out_of_line void let_held_go(struct tachyon_bus *bus) {
    struct fanin *fanin = fanin_of(bus);
    fanin->held = false;
    for (unsigned i = 0; i < fanin->count; i++) {
        struct peer *peer = fanin->all[i];
        if (peer->over && peer->rx.handed > 0) {
            ring_hand_out(&peer->rx, 0, 0);
            heat(fanin, peer);
        }
    }
}

static void release(struct tachyon_bus *bus, uint64_t bytes, uint64_t count) {
    struct fanin *fanin = fanin_of(bus);
    struct peer *peer = fanin->current;
    ring_release(&peer->rx, bytes, count);
    atomic_store_explicit(&peer->messages, peer->rx.messages, memory_order_relaxed);
    ty_link_order_waker(peer->link.expedited);
    if (unlikely(ring_producer_sleeps(&peer->rx)) && !ty_link_wake(&peer->link))
        peer->rx.woken = 0;  /* the next release tries again */
    if (unlikely(count > 1)) /* one was counted when it was found */
        fanin->quantum -= count > fanin->quantum ? fanin->quantum : (unsigned)count - 1;
    if (unlikely(fanin->held) && peer->rx.handed == 0)
        let_held_go(bus);
}

static struct ring_consumer *handed(struct tachyon_bus *bus) {
    struct peer *current = fanin_of(bus)->current;
    return current && current->rx.handed > 0 ? &current->rx : NULL;
}

/* ---- What a listener needs ---- */

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

static void stats(struct tachyon_bus *bus, tachyon_stats_t *out) {
    const struct fanin *fanin = fanin_of(bus);
    out->messages = fanin->messages;
    out->ring_bytes = fanin->bytes;
    for (unsigned i = 0; i < fanin->count; i++) {
        const struct peer *peer = fanin->all[i];
        out->messages += peer->rx.messages;
        out->ring_bytes += peer->rx.tail;
        out->used += peer->rx.handed;
        out->wakes += atomic_load_explicit(&peer->link.wakes, memory_order_relaxed);
    }
}

static tachyon_error_t open_kind(struct tachyon_bus *bus) {
    uint32_t slots = bus->peers->slots;
    struct fanin *fanin =
        calloc(1, sizeof *fanin + (size_t)2 * slots * sizeof(struct peer *));
    bus->peers->own = fanin;
    if (!fanin)
        return ty_fail_plain(TACHYON_ERR_MEM);
    fanin->hot = fanin->lists;
    fanin->all = fanin->lists + slots;
    return TACHYON_SUCCESS;
}

static void free_kind(struct tachyon_bus *bus) {
    free(bus->peers->own);
}

uint32_t tachyon_bus_sender(const tachyon_bus_t *bus) {
    return bus && bus->peers && bus->peers->kind == &ty_fanin ? fanin_of(bus)->sender
                                                              : 0;
}

const struct peers_kind ty_fanin = {
    .offer = offer,
    .join = join,
    .rx_ready = ready,
    .rx_asleep = asleep,
    .handed = handed,
    .release = release,
    .told = told,
    .took = took,
    .stats = stats,
    .open = open_kind,
    .free = free_kind,
    .delivers_dead = true,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving from many, each of whom has a ring of its own: fan-in, and the requests of
 * many callers.
 *
 * Owns: whose turn it is. Everything in here is the data thread's, which receives.
 *
 * A ring is hot or cold. Hot ones are looked at in turn, each for up to QUANTUM records:
 * meanwhile `bus->rx` is armed on it, so that it is received from as on any bus, but with
 * control words of our own, whose wanted_tail is always reached. So each release comes to
 * released(), which gives back to the producer and sees to the end of the turn.
 * Who sleeps on a cold one is the set: its `wanted_head` stands, so that the producer's
 * next flush sends a byte, and a byte makes it hot. So every cost is one of rings that
 * are in use.
 *
 * Invariants
 *   F1  A ring becomes cold only if, after its word was set and that was ordered, a look
 *       found it empty. Before a sleep that is done for all hot ones at once, and all are
 *       looked at; else one of them may have been published to before its word stood.
 *   F2  What is handed out stays mapped until it is committed: a peer that
 *       has lent something is not handed back, whatever has become of it. How far the ring
 *       in turn is, bus->rx says: copy_back() comes before anything else that asks.
 *   F3  A peer that has ended is drained first, but no further than an honest one can have
 *       filled its ring: whoever still maps it cannot go on for ever.
 *   F4  Of rings with one name only the oldest is looked at: what a producer sent before
 *       it was started again comes first.
 */
#include "turns.h"
#include "rpc.h"

#include <stdlib.h>
#include <string.h>

#define QUANTUM 32u       /* records of one ring before the next has its turn */
#define BRIEF_TURNS 16u   /* after one that had a single record */
#define COLD_ROUNDS 64u   /* rounds without a record after which a ring goes cold ... */
#define FEW 4u            /* ... when there are more hot ones than this */
#define NEWS_RECORDS 256u /* records between two looks at the set */
#define NEWS_TURNS 16u    /* turns between them that found nothing */

/* ---- Hot and cold ---- */

static void put_hot(struct turns *turns, struct peer *peer) {
    peer->place = turns->hot_count++;
    turns->hot[peer->place] =
        (struct hot){ring_line_at(peer->rx.data, peer->rx.mask, peer->rx.tail), peer};
}

static void heat(struct turns *turns, struct peer *peer) {
    peer->found = turns->rounds;
    if (peer->hot || peer->waits)
        return;
    peer->hot = true;
    put_hot(turns, peer);
    ring_want_record(&peer->rx, false);
}

/* Take the hot ring at `index` out of the turn; the next one stands there then. */
static void skip(struct turns *turns, unsigned index) {
    turns->hot[index].peer->hot = false;
    turns->hot_count--;
    for (unsigned i = index; i < turns->hot_count; i++) {
        turns->hot[i] = turns->hot[i + 1];
        turns->hot[i].peer->place = i;
    }
    if (turns->at >= index && turns->at > 0)
        turns->at--;
}

/* ---- Whose turn it is ---- */

static void copy_back(const struct tachyon_bus *bus) {
    struct peer *peer = turns_of(bus)->current;
    if (!peer)
        return;
    peer->rx.tail = bus->rx.tail;
    peer->rx.messages = bus->rx.messages;
    ring_hand_out(&peer->rx, bus->rx.handed, bus->rx.handed_count);
}

/* bus->rx is on no ring any more. */
static void end_turn(struct tachyon_bus *bus) {
    struct turns *turns = turns_of(bus);
    struct peer *peer = turns->current;
    copy_back(bus);
    turns->records += (unsigned)(bus->rx.messages - turns->began);
    if (peer->hot)
        turns->hot[peer->place].line =
            ring_line_at(peer->rx.data, peer->rx.mask, peer->rx.tail);
    turns->current = NULL;
    ring_consumer_disarm(&bus->rx);
}

/* Where requests come one by one there is nothing behind the first, and a look there only
 * takes the line away from who is about to write it. */
static unsigned quantum_of(const struct turns *turns, struct peer *peer) {
    if (peer->brief == 0 || turns->hot_count == 1)
        return QUANTUM;
    peer->brief--;
    return 1;
}

/* Now it is the one that bus->rx and the questions are about. */
static bool choose(struct tachyon_bus *bus, struct peer *peer) {
    struct turns *turns = turns_of(bus);
    if (turns->current && turns->current != peer)
        end_turn(bus);
    turns->current = peer;
    turns->began = peer->rx.messages;
    turns->until = turns->began + quantum_of(turns, peer);
    turns->sender = peer->id;
    peer->found = turns->rounds;
    bus->peer = peer->who;
    bus->rx = peer->rx;
    bus->rx.shared = turns->reached;
    bus->rx.woken = 0;
    return true;
}

/* ---- Coming and going ---- */

/* Somebody reads in its memory. */
static bool has_lent(const struct peer *peer) {
    return peer->rx.handed > 0;
}

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
    heat(turns_of(bus), peer);
}

/* The oldest that waits for the name is looked at from now on. */
static void activate(struct tachyon_bus *bus, struct peer *peer) {
    peer->waits = false;
    if (!ty_peers_watch(bus->peers, peer))
        ty_link_close(&peer->link); /* it would never be heard */
    heat(turns_of(bus), peer);
    see_end(bus, peer);
    /* The bell's byte is taken, and no word stands yet: as in told(). */
    ty_link_signal(&bus->link, true);
}

static void part(struct tachyon_bus *bus, struct peer *peer) {
    struct turns *turns = turns_of(bus);
    unsigned count = turns->count;
    struct peer *next = NULL;
    if (peer->hot)
        skip(turns, peer->place);
    for (unsigned i = 0, kept = 0; i < count; i++)
        if (turns->all[i] != peer)
            turns->all[kept++] = turns->all[i];
    turns->count--;
    for (unsigned i = 0; i < turns->count && !next; i++) /* in order of joining */
        if (turns->all[i]->waits && same_name(turns->all[i], peer))
            next = turns->all[i];
    if (turns->current == peer)
        end_turn(bus);
    turns->messages += peer->rx.messages;
    turns->bytes += peer->rx.tail;
    if (next)
        activate(bus, next);
    if (bus->peers->kind->parted)
        bus->peers->kind->parted(bus, peer);
    ty_peers_hand_back(bus->peers, peer, peer_end(peer));
}

/* What it wrote no producer may write. */
void ty_turns_distrust(struct tachyon_bus *bus, struct peer *peer) {
    copy_back(bus);
    peer->reason = TACHYON_ERR_CORRUPT;
    ty_link_close(&peer->link);
    see_end(bus, peer);
    peer->last = peer->rx.tail; /* it may have left before, and been drained since */
}

static void take_in(struct tachyon_bus *bus, struct peer *peer) {
    struct turns *turns = turns_of(bus);
    const struct region *region = &peer->regions[0];
    ring_consumer_arm(&peer->rx, region_shared(region), region_data(region),
                      region->capacity);
    for (unsigned i = 0; i < turns->count; i++)
        if (same_name(turns->all[i], peer)) { /* which has ended, or it were not here */
            peer->waits = true;
            if (!turns->all[i]->waits)
                see_end(bus, turns->all[i]);
        }
    turns->all[turns->count++] = peer;
    if (!peer->waits)
        activate(bus, peer);
}

void ty_turns_told(struct tachyon_bus *bus, struct peer *peer) {
    copy_back(bus);
    heat(turns_of(bus), peer);
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
        ty_turns_distrust(want->bus, peer);
    return want->look == RING_FOUND;
}

static bool is_idle(const struct turns *turns, const struct peer *peer) {
    return turns->rounds - peer->found >= COLD_ROUNDS && !peer->over &&
           peer->rx.handed == 0;
}

/* Leave those that have had nothing for long to the set. F1 */
static void cool(struct tachyon_bus *bus) {
    struct turns *turns = turns_of(bus);
    struct ring_record record;
    bool any = false;
    for (unsigned i = 0; i < turns->hot_count; i++)
        if (is_idle(turns, turns->hot[i].peer)) {
            ring_want_record(&turns->hot[i].peer->rx, true);
            any = true;
        }
    if (!any)
        return;
    bool ordered = ty_link_order_sleeper(&bus->link);
    for (unsigned i = turns->hot_count; i-- > 0;) {
        struct peer *peer = turns->hot[i].peer;
        if (!is_idle(turns, peer))
            continue;
        if (ordered && ring_look_at(&peer->rx, 0, &record) == RING_EMPTY)
            skip(turns, i);
        else
            ring_want_record(&peer->rx, false);
    }
}

/* Once round the hot rings, beginning behind the last. */
static bool turn(struct rx_wait *want) {
    struct turns *turns = turns_of(want->bus);
    for (unsigned tries = turns->hot_count; tries > 0; tries--) {
        if (unlikely(++turns->at >= turns->hot_count)) {
            turns->at = 0;
            if (++turns->rounds % COLD_ROUNDS == 0 && turns->hot_count > FEW)
                cool(want->bus);
            if (turns->hot_count == 0)
                break;
        }
        const struct hot *hot = &turns->hot[turns->at];
        /* Relaxed: look() reads it again. */
        if (atomic_load_explicit(&hot->line->word, memory_order_relaxed) != 0 &&
            look(want, hot->peer)) {
            __builtin_prefetch(turns->hot[(turns->at + 1) % turns->hot_count].line);
            return choose(want->bus, hot->peer);
        }
    }
    return false;
}

/* A sleep is prepared: look at all, whatever the first one says. F1 */
static bool look_at_all(struct rx_wait *want) {
    struct turns *turns = turns_of(want->bus);
    struct rx_wait other = {.bus = want->bus};
    bool any = false, drained = false;
    for (unsigned i = 0; i < turns->hot_count; i++) {
        struct peer *peer = turns->hot[i].peer;
        if (look(any ? &other : want, peer))
            any = any || choose(want->bus, peer);
        else
            drained = drained || (peer->over && !has_lent(peer));
    }
    turns->quiet = !any;
    if (drained) /* it is to leave, and only took() can see to that */
        ty_link_wake(&want->bus->peers->front);
    return any;
}

/* The hot path has found nothing in the ring whose turn it is, or was to come here. */
static bool look_again(struct rx_wait *want) {
    struct tachyon_bus *bus = want->bus;
    struct peer *peer = turns_of(bus)->current;
    copy_back(bus);
    if (look(want, peer))
        return true; /* what is handed out comes again */
    if (peer->rx.handed > 0)
        return false;
    if (bus->peers->kind->one_by_one && bus->rx.messages == turns_of(bus)->began + 1)
        peer->brief = BRIEF_TURNS;
    end_turn(bus);
    return false;
}

bool ty_turns_ready(void *context) {
    struct rx_wait *want = context;
    struct turns *turns = turns_of(want->bus);
    want->look = RING_EMPTY;
    ty_link_see(&want->bus->link);
    if (turns->current && look_again(want))
        return true;
    if (turns->asleep)
        return look_at_all(want);
    if (turns->records >= NEWS_RECORDS)
        ty_peers_news(want->bus);
    if (turn(want))
        return true;
    if (++turns->turns < NEWS_TURNS)
        return false;
    ty_peers_news(want->bus);
    return turn(want);
}

void ty_turns_asleep(void *context, bool flag) {
    struct tachyon_bus *bus = ((struct rx_wait *)context)->bus;
    struct turns *turns = turns_of(bus);
    bool cold = !flag && turns->quiet && bus->link.ordered;
    unsigned kept = 0;
    for (unsigned i = 0; i < turns->hot_count; i++) {
        struct peer *peer = turns->hot[i].peer;
        peer->hot = !cold || peer->over; /* to leave, which no byte will tell of */
        if (peer->hot) {
            ring_want_record(&peer->rx, flag);
            peer->place = kept;
            turns->hot[kept++] = turns->hot[i];
        }
    }
    turns->hot_count = kept;
    turns->asleep = flag;
    turns->quiet = false;
}

/* ---- What the set has told ---- */

/* Those that have ended and are drained. */
static void part_with_drained(struct tachyon_bus *bus) {
    struct turns *turns = turns_of(bus);
    struct rx_wait want = {.bus = bus};
    for (unsigned i = 0; i < turns->hot_count;) {
        struct peer *peer = turns->hot[i].peer;
        if (!peer->over || look(&want, peer))
            i++;
        else if (has_lent(peer))
            turns->held = true, i++; /* F2: until it is committed */
        else
            part(bus, peer); /* and look at the one that stands here now */
    }
}

void ty_turns_took(struct tachyon_bus *bus) {
    struct turns *turns = turns_of(bus);
    copy_back(bus); /* F2: a wait for room does not ask ready() */
    turns->records = turns->turns = 0;
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
    struct turns *turns = turns_of(bus);
    turns->held = false;
    for (unsigned i = 0; i < turns->count; i++) {
        struct peer *peer = turns->all[i];
        if (peer->over && peer->rx.handed > 0) {
            ring_hand_out(&peer->rx, 0, 0);
            heat(turns, peer);
        }
    }
}

tachyon_error_t ty_turns_released(struct tachyon_bus *bus) {
    struct turns *turns = turns_of(bus);
    struct peer *peer = turns->current;
    struct ring_shared *shared = peer->rx.shared;
    uint64_t tail = bus->rx.tail;
    bus->rx.woken = 0; /* the next release comes here as well */
    /* As in ring_release(), and the order as in ring_producer_sleeps(). */
    atomic_store_explicit(&shared->tail, tail, memory_order_release);
    atomic_store_explicit(&peer->messages, bus->rx.messages, memory_order_relaxed);
    ty_link_order_waker(peer->link.expedited);
    uint64_t wanted = atomic_load_explicit(&shared->wanted_tail, memory_order_relaxed);
    if (unlikely(ring_must_wake(wanted, tail, &peer->rx.woken)) &&
        !ty_link_wake(&peer->link))
        peer->rx.woken = 0; /* the next release tries again */
    if (bus->rx.handed > 0)
        return TACHYON_SUCCESS;
    if (bus->rx.messages >= turns->until || unlikely(peer->over))
        end_turn(bus);
    if (unlikely(turns->held)) {
        copy_back(bus);
        let_held_go(bus);
    }
    return TACHYON_SUCCESS;
}

/* ---- What the kinds need ---- */

/* What it has sent is not delivered, even if it is its turn. */
void ty_turns_drop(struct tachyon_bus *bus, struct peer *peer) {
    ty_link_close(&peer->link);
    ty_link_disturb(&bus->link);
}

void ty_turns_stats(struct tachyon_bus *bus, tachyon_stats_t *out) {
    const struct turns *turns = turns_of(bus);
    out->messages = turns->messages;
    out->ring_bytes = turns->bytes;
    for (unsigned i = 0; i < turns->count; i++) {
        const struct peer *peer = turns->all[i];
        const struct ring_consumer *rx = peer == turns->current ? &bus->rx : &peer->rx;
        out->messages += rx->messages;
        out->ring_bytes += rx->tail;
        out->used += peer == turns->current ? 0 : peer->rx.handed;
        out->wakes += atomic_load_explicit(&peer->link.wakes, memory_order_relaxed);
    }
}

tachyon_error_t ty_turns_open(struct turns *turns, uint32_t slots) {
    size_t hot = slots * sizeof(struct hot), all = slots * sizeof(struct peer *);
    size_t lists = (hot + all + RING_SHARED_BYTES - 1) / RING_SHARED_BYTES;
    size_t bytes = (1 + lists) * sizeof(struct ring_shared);
    struct ring_shared *memory = aligned_alloc(alignof(struct ring_shared), bytes);
    if (!memory)
        return ty_fail_plain(TACHYON_ERR_MEM);
    memset(memory, 0, bytes);
    turns->reached = memory;
    turns->hot = (struct hot *)(void *)(memory + 1);
    turns->all = (struct peer **)(void *)(turns->hot + slots);
    atomic_store_explicit(&memory->wanted_tail, 1, memory_order_relaxed);
    return TACHYON_SUCCESS;
}

void ty_turns_free(struct turns *turns) {
    free(turns->reached);
}

uint32_t tachyon_bus_sender(const tachyon_bus_t *bus) {
    return bus && bus->peers && bus->peers->kind->rx_ready ? turns_of(bus)->sender : 0;
}

uint32_t tachyon_rpc_sender(const tachyon_rpc_bus_t *rpc) {
    return tachyon_bus_sender(rpc_bus(rpc));
}

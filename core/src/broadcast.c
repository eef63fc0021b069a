/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcast: a producer whose messages each of many consumers reads, from one copy.
 *
 * Owns: what cursors.h needs from the kernel. The data is the bus's own region, which
 * nobody else can write; each consumer has control words of its own (region.c), and reads
 * with the code of any consumer. Who does what is said in many.c; here
 *   the accept step   makes the control words, lets a cursor in, tells the connector;
 *   the data thread   has the array: it takes in, wakes, waits, evicts, hands back.
 *
 * Invariants
 *   B1  A peer's memory is freed after hand_back() only, and that comes after its cursor
 *       has left the array and the flush is aimed elsewhere (C4).
 *   B2  Nothing of a cursor's is overwritten before its consumer can learn of it: whoever
 *       leaves the array is marked RING_EVICTED, and that is ordered before the limit
 *       grows. A consumer looks at the mark after it has read, when it releases.
 *   B3  Who joins is pushed before the bell rings, and whoever has taken the bell's byte
 *       takes in what is pushed before it says what it waits for: so a sleeping producer
 *       has asked everybody, or a byte is there.
 *   B4  A kept place is dropped after its successor is in the array: what the dead one has
 *       not released is not overwritten in between.
 */
#include "many.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

struct broadcast {
    struct cursors cursors;
    uint64_t epoch;
    int64_t blocked_since; /* somebody is in the way since then; 0: nobody is */
    int64_t waited;        /* in such waits before, since ... */
    uint64_t waited_from;  /* ... the head was there */
    int64_t timer_at;      /* what peers->clock is set to */
    unsigned taken_in;     /* of cursors.taken, those that the set tells of */
    unsigned kept;         /* places of the dead in the array */
    bool ended;            /* the link of somebody in the array has */
    struct place all[];
};

static struct broadcast *broadcast_of(const struct tachyon_bus *bus) {
    return bus->peers->own;
}

static const tachyon_options_t *options_of(const struct tachyon_bus *bus) {
    return &bus->peers->listener.options;
}

static struct peer *peer_of(struct cursor *cursor) {
    return (struct peer *)(void *)((char *)cursor - offsetof(struct peer, cursor));
}

/* ---- The data thread: who comes and goes ---- */

/* Whoever has been taken in is heard from now on. The next flush is to look around: it
 * takes the byte of the bell, which may not be taken in here (B3). */
static void watch_new(struct tachyon_bus *bus) {
    struct broadcast *b = broadcast_of(bus);
    if (likely(b->taken_in == b->cursors.taken))
        return;
    b->taken_in = b->cursors.taken;
    cursors_call(&b->cursors, &bus->tx);
    for (unsigned i = 0; i < b->cursors.count; i++) {
        struct peer *peer = peer_of(b->cursors.all[i].cursor);
        if (peer->watched)
            continue;
        peer->watched = true;
        if (!ty_peers_watch(bus->peers, peer)) {
            ty_link_close(&peer->link); /* it would never be heard */
            b->ended = true;
        }
    }
}

static void take_in(struct tachyon_bus *bus) {
    cursors_take_in(&broadcast_of(bus)->cursors, &bus->tx);
    watch_new(bus);
}

/* B2, before the next refresh. Where consumers have no fence of their own, this is it. */
static void order_eviction(const struct tachyon_bus *bus) {
    atomic_thread_fence(memory_order_seq_cst);
    if (bus->link.expedited)
        ty_membarrier();
}

static void hand_back(struct tachyon_bus *bus, struct peer *peer,
                      tachyon_error_t reason) {
    broadcast_of(bus)->kept -=
        atomic_load_explicit(&peer->kept, memory_order_relaxed); /* our own */
    ty_link_close(&peer->link);
    ty_peers_hand_back(bus->peers, peer, reason);
}

static void part(struct tachyon_bus *bus, struct peer *peer, tachyon_error_t reason) {
    cursor_evict(&peer->cursor);
    cursors_drop(&broadcast_of(bus)->cursors, &bus->tx, &peer->cursor);
    order_eviction(bus);
    hand_back(bus, peer, reason);
}

/* Those that cursors.h has taken out of the array. */
static void let_dropped_go(struct tachyon_bus *bus, tachyon_error_t reason) {
    struct cursors *cursors = &broadcast_of(bus)->cursors;
    while (unlikely(cursors->dropped != NULL)) {
        struct peer *peer = peer_of(cursors->dropped);
        cursors->dropped = cursors->dropped->next;
        hand_back(bus, peer, reason);
    }
}

static bool keeps_place(const struct tachyon_bus *bus, const struct peer *peer) {
    return options_of(bus)->keep_place_ns > 0 && peer->hello.name[0] != 0;
}

/* True: it stays in the array, although it is dead. */
static bool keep_place(struct tachyon_bus *bus, struct peer *peer,
                       tachyon_error_t error) {
    if (error != TACHYON_ERR_PEER_DEAD || !keeps_place(bus, peer))
        return false;
    /* Acquire, as of `kept`: its successor is pushed, so that B4 finds it. */
    if (atomic_load_explicit(&peer->succeeded, memory_order_acquire)) {
        take_in(bus);
        return false;
    }
    if (!atomic_load_explicit(&peer->kept, memory_order_relaxed)) {
        atomic_store_explicit(&peer->kept, true, memory_order_relaxed);
        broadcast_of(bus)->kept++;
        peer->keep_until = ty_deadline(options_of(bus)->keep_place_ns);
        ty_peers_unwatch(bus->peers, peer); /* its hang-up would end each sleep */
    }
    return ty_now_ns() < peer->keep_until;
}

static void let_ended_go(struct tachyon_bus *bus) {
    struct broadcast *b = broadcast_of(bus);
    if (bus_closing(bus))
        return; /* it is we who end: they may read on, and nothing is overwritten */
    b->ended = false;
    for (unsigned i = 0; i < b->cursors.count;) {
        struct peer *peer = peer_of(b->cursors.all[i].cursor);
        tachyon_error_t error = ty_link_error(&peer->link);
        if (error == TACHYON_SUCCESS || keep_place(bus, peer, error))
            i++;
        else
            part(bus, peer, error); /* and look at the one that stands here now */
    }
}

static void look_after(struct tachyon_bus *bus) {
    struct broadcast *b = broadcast_of(bus);
    watch_new(bus);
    if (b->ended || b->kept > 0)
        let_ended_go(bus);
    let_dropped_go(bus, TACHYON_ERR_CORRUPT);
}

static void told(struct tachyon_bus *bus, struct peer *peer) {
    if (ty_link_error(&peer->link) != TACHYON_SUCCESS)
        broadcast_of(bus)->ended = true;
}

static void took(struct tachyon_bus *bus) {
    take_in(bus);
    look_after(bus);
}

/* ---- The data thread: sending ---- */

static out_of_line void wake_reader(struct tachyon_bus *bus, struct cursor *cursor) {
    struct peer *peer = peer_of(cursor);
    if (cursor_sleeps(cursor, bus->tx.head) &&
        !atomic_load_explicit(&peer->kept, memory_order_relaxed) &&
        !ty_link_wake(&peer->link))
        cursor->woken = bus->tx.woken = 0; /* the next flush tries again */
}

static void flush_slow(struct tachyon_bus *bus, bool wake) {
    struct broadcast *b = broadcast_of(bus);
    struct cursors *cursors = &b->cursors;
    bool slept = false;
    take_in(bus);
    for (unsigned i = 0; wake && i < cursors->count; i++)
        if (unlikely(cursors_may_sleep(cursors, i))) {
            wake_reader(bus, cursors->all[i].cursor);
            slept = true;
        }
    cursors_woken(&bus->tx);
    bool called = cursors_answer(cursors, &bus->tx);
    if (unlikely(called || bus->tx.flushes % FLUSHES_PER_LOOK == 0)) {
        cursors_mark(cursors, &bus->tx);
        ty_peers_news(bus);
    }
    if (unlikely(slept || bus->tx.flushes % FLUSHES_PER_PAGE == 0))
        ty_page_date(bus);
}

/* Who has come or gone is seen at the next flush, even one of nothing. */
static void idle(struct tachyon_bus *bus) {
    take_in(bus);
    if (cursors_answer(&broadcast_of(bus)->cursors, &bus->tx))
        ty_peers_news(bus);
    else if (broadcast_of(bus)->kept > 0) /* perhaps for long enough */
        look_after(bus);
}

static uint64_t wanted_by(const struct tx_wait *want) {
    return cursors_wanted(
        &want->bus->tx, ring_record_bytes(want->size > RING_INLINE_BYTES, want->size));
}

static bool reserve(struct tx_wait *want) {
    struct tachyon_bus *bus = want->bus;
    cursors_refresh(&broadcast_of(bus)->cursors, &bus->tx, wanted_by(want));
    look_after(bus);
    want->slot = ring_reserve(&bus->tx, want->size);
    return want->slot;
}

static void count_waits_from_here(struct tachyon_bus *bus) {
    broadcast_of(bus)->waited = 0;
    broadcast_of(bus)->waited_from = bus->tx.head;
}

/* When is somebody not waited for any longer? Waits count together while the ring moves on
 * by less than half: who releases a little right before each end wins nothing. */
static int64_t slow_due(struct tachyon_bus *bus) {
    struct broadcast *b = broadcast_of(bus);
    int64_t after = options_of(bus)->slow_after_ns;
    if (b->cursors.count == 0)
        b->blocked_since = 0; /* nobody is to blame; who joins now has all the time */
    else if (b->blocked_since == 0)
        b->blocked_since = ty_now_ns();
    if (bus->tx.head - b->waited_from >= bus->tx.capacity / 2)
        count_waits_from_here(bus);
    after = after > b->waited ? after - b->waited : 0;
    return options_of(bus)->slow_peer == TACHYON_SLOW_DISCONNECT &&
                   b->blocked_since > 0 && after < TY_NEVER - b->blocked_since
               ? b->blocked_since + after
               : TY_NEVER;
}

/* Somebody is in the way. True: not any more. Else there is something to do at `alarm`. */
static bool lose_patience(struct tx_wait *want, int64_t *alarm) {
    struct tachyon_bus *bus = want->bus;
    struct broadcast *b = broadcast_of(bus);
    int64_t due = slow_due(bus);
    bool again = false;
    if (due != TY_NEVER && ty_now_ns() >= due) {
        cursors_evict_slow(&b->cursors, &bus->tx, wanted_by(want));
        order_eviction(bus);
        let_dropped_go(bus, TACHYON_ERR_LAGGED);
        due = TY_NEVER;
        again = true;
        b->blocked_since = 0;
        count_waits_from_here(bus);
    }
    for (unsigned i = 0; b->kept > 0 && i < b->cursors.count; i++) {
        const struct peer *peer = peer_of(b->cursors.all[i].cursor);
        if (atomic_load_explicit(&peer->kept, memory_order_relaxed))
            due = ty_earlier(due, peer->keep_until); /* look_after() sees to it then */
    }
    *alarm = due;
    return again;
}

/* Whoever waits for room looks again then, here or on tachyon_bus_fileno(). */
static void set_alarm(struct tachyon_bus *bus, int64_t alarm) {
    struct broadcast *b = broadcast_of(bus);
    bus->link.alarm = alarm;
    if (likely(!link_watched(&bus->link)) || b->timer_at == alarm)
        return;
    b->timer_at = alarm;
    ty_door_ring_at(&bus->peers->clock, alarm);
}

static bool tx_ready(void *context) {
    struct tx_wait *want = context;
    struct tachyon_bus *bus = want->bus;
    struct broadcast *b = broadcast_of(bus);
    int64_t alarm = TY_NEVER;
    if (!reserve(want) &&
        (options_of(bus)->slow_peer == TACHYON_SLOW_DISCONNECT || b->kept > 0) &&
        lose_patience(want, &alarm))
        reserve(want);
    if (want->slot) {
        if (b->blocked_since > 0)
            b->waited += ty_now_ns() - b->blocked_since;
        b->blocked_since = 0;
        alarm = TY_NEVER;
    }
    set_alarm(bus, alarm);
    return want->slot;
}

static void tx_asleep(void *context, bool flag) {
    const struct tx_wait *want = context;
    cursors_ask(&broadcast_of(want->bus)->cursors, &want->bus->tx,
                flag ? wanted_by(want) : 0); /* B3 */
    watch_new(want->bus);
}

/* ---- The accept step ---- */

static uint64_t wish_of(const struct greeting *hello) {
    return hello->start == TACHYON_START_NOW      ? CURSOR_NOW
           : hello->start == TACHYON_START_OLDEST ? CURSOR_OLDEST
                                                  : hello->position;
}

static tachyon_error_t offer(struct tachyon_bus *bus, const struct client *client,
                             struct greeting *answer, struct region *regions) {
    struct broadcast *b = broadcast_of(bus);
    uint64_t wish = wish_of(&client->hello);
    uint64_t granted = cursors_would_grant(&b->cursors, &bus->tx, wish);
    answer->flags |= WIRE_FLAG_BROADCAST;
    if (options_of(bus)->slow_peer == TACHYON_SLOW_DISCONNECT)
        answer->flags |= WIRE_FLAG_LOSSY;
    answer->epoch = b->epoch;
    answer->position = granted;
    if (client->hello.start == TACHYON_START_POSITION &&
        (client->hello.epoch != b->epoch || granted != wish))
        return TACHYON_ERR_LAGGED;
    tachyon_error_t error = ty_region_create_control(&regions[0], &bus->regions[0]);
    if (error != TACHYON_SUCCESS)
        return error;
    ty_listener_describe(&regions[0], bus->regions[0].capacity);
    atomic_store(&region_shared(&regions[0])->producer_side, RING_SIDE_LISTENER);
    atomic_store(&region_shared(&regions[0])->tail, granted); /* for info() */
    return TACHYON_SUCCESS;
}

/* The last one of this name, whose place is kept; NULL: none. */
static struct peer *predecessor(const struct tachyon_bus *bus,
                                const struct peer *peer) {
    struct peer *last = NULL;
    for (uint32_t i = 0; keeps_place(bus, peer) && i < bus->peers->slots; i++) {
        struct peer *other = peers_at(bus->peers, i);
        if (other && other != peer &&
            peer_is_called(other, peer->who.uid, peer->hello.name) &&
            ty_link_error(&other->link) == TACHYON_ERR_PEER_DEAD &&
            (!last || other->id > last->id))
            last = other;
    }
    return last;
}

static void join(struct tachyon_bus *bus, struct peer *peer) {
    struct broadcast *b = broadcast_of(bus);
    struct peer *before = predecessor(bus, peer);
    const char joined = WIRE_JOINED;
    peer->cursor.shared = region_shared(&peer->regions[0]);
    peer->cursor.wish = wish_of(&peer->hello);
    if (before && peer->hello.start != TACHYON_START_POSITION) {
        uint64_t tail =
            atomic_load_explicit(&before->cursor.shared->tail, memory_order_acquire);
        if (tail % RING_LINE == 0) /* else it was no consumer's of ours */
            peer->cursor.wish = tail;
    }
    /* It looks for a fence in our flushes. Those that are at it now have none: that is
     * what membarrier is for. */
    bool fences = !peer->link.expedited && bus->link.expedited;
    if (fences)
        atomic_store(&bus->link.flushes_freely, false);
    cursors_insert(&b->cursors, &bus->tx, &peer->cursor);
    if (fences)
        ty_membarrier();
    if (before) /* B4; pairs with keep_place() */
        atomic_store_explicit(&before->succeeded, true, memory_order_release);
    if (send(peer->link.socket, &joined, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
        ty_link_close(&peer->link);
    ty_link_wake(&bus->peers->front); /* the bell; B3 */
}

/* A reader has gone: whoever sends lets it out, so that the table has room. It has not
 * gone of itself when it was let go, and that was why it closed. */
static bool ended(struct tachyon_bus *bus, struct peer *peer) {
    cursors_call(&broadcast_of(bus)->cursors, &bus->tx);
    return atomic_load_explicit(&region_shared(&peer->regions[0])->wanted_tail,
                                memory_order_relaxed) != RING_EVICTED;
}

/* ---- What a listener needs ---- */

static void info(struct tachyon_bus *bus, struct peer *peer, tachyon_peer_info_t *out) {
    uint64_t flushed = atomic_load_explicit(&bus->tx.flushed, memory_order_acquire);
    /* It may still be about to join: the cursor's words may not be set, nor its tail. */
    uint64_t tail = atomic_load_explicit(&region_shared(&peer->regions[0])->tail,
                                         memory_order_relaxed);
    bool joins = atomic_load_explicit(&peer->cursor.start, memory_order_acquire) ==
                 CURSOR_UNDECIDED;
    out->behind = tail < flushed && !joins ? flushed - tail : 0;
}

static void stats(struct tachyon_bus *bus, tachyon_stats_t *out) {
    const struct cursors *cursors = &broadcast_of(bus)->cursors;
    for (unsigned i = 0; i < cursors->count; i++)
        out->wakes += atomic_load_explicit(&peer_of(cursors->all[i].cursor)->link.wakes,
                                           memory_order_relaxed);
}

/* For who waits on tachyon_bus_fileno(): the set has it from the beginning. */
static bool open_clock(struct tachyon_bus *bus) {
    struct peers *peers = bus->peers;
    const struct door set = {.set = peers->set, .timer = -1};
    if (options_of(bus)->slow_peer != TACHYON_SLOW_DISCONNECT &&
        options_of(bus)->keep_place_ns == 0)
        return true; /* nothing is ever due */
    peers->clock.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    broadcast_of(bus)->timer_at = TY_NEVER;
    return peers->clock.timer >= 0 && ty_door_watch(&set, peers->clock.timer, EPOLLIN);
}

static tachyon_error_t open_kind(struct tachyon_bus *bus) {
    struct peers *peers = bus->peers;
    struct timespec now;
    struct broadcast *b = calloc(1, sizeof *b + peers->slots * sizeof(struct place));
    peers->own = b;
    if (!b)
        return ty_fail_plain(TACHYON_ERR_MEM);
    tachyon_error_t error =
        ty_region_create_data(&bus->regions[0], peers->listener.capacities[0]);
    if (error != TACHYON_SUCCESS)
        return error;
    if (!open_clock(bus))
        return ty_fail(TACHYON_ERR_SYSTEM, errno, "no timer for those that are slow");
    clock_gettime(CLOCK_REALTIME, &now); /* no other listener has had it */
    b->epoch = bus->epoch =
        (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
    ty_bus_arm_tx(bus, &bus->regions[0]);
    cursors_init(&b->cursors, b->all, region_shared(&bus->regions[0]),
                 options_of(bus)->without_peers == TACHYON_WITHOUT_PEERS_FREE_RUN);
    cursors_aim(&b->cursors, &bus->tx);
    atomic_store(&bus->link.flushes_freely,
                 (peers->listener.answer.flags & WIRE_FLAG_MEMBARRIER) != 0);
    return TACHYON_SUCCESS;
}

static void free_kind(struct tachyon_bus *bus) {
    free(bus->peers->own);
}

const struct peers_kind ty_broadcast = {
    .offer = offer,
    .join = join,
    .ended = ended,
    .info = info,
    .tx_ready = tx_ready,
    .tx_asleep = tx_asleep,
    .flush_slow = flush_slow,
    .idle = idle,
    .told = told,
    .took = took,
    .stats = stats,
    .open = open_kind,
    .free = free_kind,
};

tachyon_error_t tachyon_bus_position(const tachyon_bus_t *bus, uint64_t *position,
                                     uint64_t *epoch) {
    if (is_null(bus) || is_null(position) || is_null(epoch))
        return TACHYON_ERR_NULL_PTR;
    if (bus->epoch == 0)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "positions are of a bus with one producer and many consumers");
    if (atomic_load(&bus->error) == TACHYON_ERR_LAGGED)
        return ty_fail(
            TACHYON_ERR_LAGGED, 0,
            "this consumer was let go: what it has released last does not count");
    *position = bus->peers ? ring_flushed(&bus->tx) : bus->rx.tail;
    *epoch = bus->epoch;
    return TACHYON_SUCCESS;
}

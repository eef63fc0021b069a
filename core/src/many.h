/* SPDX-License-Identifier: Apache-2.0 */
/* One listener, many peers: who is there, who comes, who goes. */
#ifndef TACHYON_MANY_H
#define TACHYON_MANY_H

#include "bus.h"
#include "cursors.h"
#include "listener.h"

#include <pthread.h>
#include <sys/epoll.h>

/* One of them. Made and freed by the accept step; in between the data thread has it. */
struct peer {
    alignas(128) struct ring_consumer rx; /* fan-in, callers */
    alignas(128) struct ring_producer tx; /* callers: for replies */
    struct link link;
    struct region regions[HANDSHAKE_MAX_RINGS];
    struct greeting hello; /* what it asked for, checked */
    tachyon_peer_t who;
    uint32_t id, slot;
    bool gone;                 /* accept step: its link has ended ... */
    bool mourned;              /* ... and an event has told of it */
    _Atomic uint64_t messages; /* written by the data thread, read by any */
    tachyon_error_t reason;    /* of its leaving: if not its link's; once handed back */
    struct peer *next;         /* on `joined` or `left` */
    /* fan-in and callers, the data thread's own */
    uint64_t last;  /* once `over`: nothing behind is its own any more */
    unsigned place; /* among the hot ones, while it is one */
    unsigned found; /* round of its last turn with a record */
    unsigned brief; /* so many turns of it are of one record */
    bool hot, over, waits;
    /* broadcast */
    struct cursor cursor;
    bool watched;           /* data thread: the set tells of it */
    int64_t keep_until;     /* likewise: its place, once it is dead and `kept` */
    _Atomic bool kept;      /* written by the data thread */
    _Atomic bool succeeded; /* accept step: one of its name has its place */
};

/* Has it this name, which is one user's own? Nobody is called "". */
static inline bool peer_is_called(const struct peer *peer, uint32_t uid,
                                  const char *name) {
    return name[0] != 0 && peer->who.uid == uid && strcmp(peer->hello.name, name) == 0;
}

/* The data thread: how it has left, or is about to; SUCCESS: it has not. */
static inline tachyon_error_t peer_end(struct peer *peer) {
    return peer->reason ? peer->reason : ty_link_error(&peer->link);
}

/* What differs from kind to kind: broadcast, fan-in, ... */
struct peers_kind {
    /* Accept step: memory for a client that has greeted, and what the answer says of it.
     * Else it is refused: for a want of memory or descriptors with BUSY. */
    tachyon_error_t (*offer)(struct tachyon_bus *bus, const struct client *client,
                             struct greeting *answer, struct region *regions);
    /* Accept step: it has acknowledged. Ends with ty_peers_push_joined(). */
    void (*join)(struct tachyon_bus *bus, struct peer *peer);
    /* Accept step: the link of one has ended. True, and NULL: of itself, so that what
     * was the matter is known before the data thread has had to do with it. */
    bool (*ended)(struct tachyon_bus *bus, struct peer *peer);
    /* Accept step: it is about to be freed. NULL: nothing to do. */
    void (*leave)(struct tachyon_bus *bus, struct peer *peer);
    /* Any thread, under the mutex. NULL: say goodbye; nothing to tell. */
    void (*drop)(struct tachyon_bus *bus, struct peer *peer);
    void (*info)(struct tachyon_bus *bus, struct peer *peer, tachyon_peer_info_t *out);
    /* The data thread: the waits of producer.c and consumer.c. */
    bool (*tx_ready)(void *tx_wait);
    void (*tx_asleep)(void *tx_wait, bool flag);
    void (*flush_slow)(struct tachyon_bus *bus, bool wake);
    void (*before_flush)(
        struct tachyon_bus *bus);          /* if not free; NULL: nothing to do */
    unsigned tx_ring;                      /* which of a peer's is sent into */
    void (*idle)(struct tachyon_bus *bus); /* a flush of nothing. NULL: nothing to do */
    bool (*rx_ready)(void *rx_wait);
    void (*rx_asleep)(void *rx_wait, bool flag);
    /* bus->rx, whose wanted_tail is 1: what the release says. */
    tachyon_error_t (*released)(struct tachyon_bus *bus);
    /* The data thread: bytes of this peer were taken, or its link has ended. It is not
     * handed back in here. */
    void (*told)(struct tachyon_bus *bus, struct peer *peer);
    void (*took)(struct tachyon_bus *bus); /* after all that; NULL: nothing */
    /* The data thread: it is about to be handed back. NULL: nothing to do. */
    void (*parted)(struct tachyon_bus *bus, struct peer *peer);
    void (*stats)(struct tachyon_bus *bus, tachyon_stats_t *out);
    tachyon_error_t (*open)(struct tachyon_bus *bus); /* set up `own` */
    void (*free)(struct tachyon_bus *bus);
    bool delivers_dead; /* what a peer has left behind is still of use */
    bool one_by_one;    /* a peer may wait for an answer before it sends the next */
};

extern const struct peers_kind ty_solo, ty_fanin, ty_broadcast, ty_callers;

struct peers {
    struct tachyon_bus *bus;
    const struct peers_kind *kind;
    void *own; /* the kind's */
    uint32_t most, slots;
    int set;           /* epoll, the data thread's: peers, bell, door */
    uint64_t wakes;    /* likewise: of those that it has handed back */
    struct link front; /* accept waits on it: the door, and the bell's other end */
    struct door door;  /* the accept step's: who knocks, whose link has ended */
    struct door clock; /* the kind's, in the set: a timer alone, or nothing */
    struct listener listener;
    _Atomic bool listens;  /* written by the accept step */
    void *kept;            /* what the listener's options point to */
    struct session coming; /* between the listener and the table */
    uint32_t last_id;
    _Atomic(struct peer *) joined, left;
    _Atomic bool stepping;
    _Atomic bool accept_sleeps;
    pthread_mutex_t mutex; /* of what follows; never held over a wait */
    tachyon_event_t events[TACHYON_MAX_EVENTS];
    unsigned first_event, event_count;
    uint32_t missed; /* events behind those */
    _Atomic(struct peer *) table[];
};

/* Bind, and let the bus be that of a listener with many peers. */
tachyon_error_t ty_peers_open(struct tachyon_bus *bus, const struct peers_kind *which,
                              enum handshake_kind kind, const tachyon_options_t *given,
                              const char *path, const size_t *capacities);
/* Say goodbye to all and close what is open; the memory stays. Nobody uses the bus. */
void ty_peers_hang_up(struct tachyon_bus *bus);
void ty_peers_free(struct tachyon_bus *bus);
void ty_peers_in_child(struct tachyon_bus *bus);
/* Any thread: the same to all, and stop listening. */
void ty_peers_close(struct tachyon_bus *bus, bool abort);
/* Wait until a thread in accept has left. */
void ty_peers_join(struct tachyon_bus *bus);
int ty_peers_fileno(struct tachyon_bus *bus, bool readable);

/* ---- For the kinds ---- */

/* Accept step. */
void ty_peers_push_joined(struct peers *peers, struct peer *peer);

/* Accept step, and those who look: an event for tachyon_bus_accept(). */
void ty_peers_push_event(struct peers *peers, uint32_t kind, const struct peer *peer,
                         tachyon_error_t reason);

static inline struct peer *peers_at(const struct peers *peers, uint32_t slot) {
    /* Pairs with the release store of who lets it in. */
    return atomic_load_explicit(&peers->table[slot], memory_order_acquire);
}

/* Data thread. Take what the set has to tell: told() for each peer, an accept step for
 * the door, then took(). */
void ty_peers_news(struct tachyon_bus *bus);
/* Those that have joined, oldest first, linked by `next`; NULL: none. */
struct peer *ty_peers_take_joined(struct peers *peers);
/* From now on the set tells of it. False: the kernel refuses. */
bool ty_peers_watch(struct peers *peers, struct peer *peer);
void ty_peers_unwatch(struct peers *peers, const struct peer *peer);
/* Done with it, for this reason: it will be freed, and an event tells. */
void ty_peers_hand_back(struct peers *peers, struct peer *peer, tachyon_error_t reason);

/* Any thread: one accept step, unless another thread is at it. */
void ty_peers_step(struct peers *peers);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listener, many peers: the table of peers, the accept step, events.
 *
 * Owns: the listener, which outlives the call that opened it; the peers, from their
 * acknowledge until nobody needs them; the events of their coming and going.
 *
 * Who does what
 *   the accept step   one thread at a time, whichever comes by: a flag is tried, never
 *                     waited for, and whoever leaves it looks again for what came
 *                     meanwhile. It alone makes and frees peers, and speaks with clients.
 *   the data thread   sends or receives. It alone takes a peer off `joined`, has it in
 *                     its own arrays and in the set, and puts it on `left`, once.
 *   any thread        reads the table, drops and closes, under the mutex.
 *
 * Invariants
 *   P1  A peer is in the table from before it is on `joined` until it is freed. Its slot
 *       is set last when it is made, and cleared under the mutex after its descriptors
 *       are closed. So a forked child, which takes no lock, finds every descriptor there
 *       (or in `coming`, or with the listener); some twice, which is harmless.
 *   P2  A peer is freed only off `left`: no thread but those under the mutex has it then.
 *   P3  A pusher onto `left` tries the step afterwards, and who leaves the step looks at
 *       `left` afterwards; both are sequentially consistent, so one of them sees it.
 *
 * Two epoll sets. The door: listening socket, clients, a timer, and of each peer its
 * process and the end of its socket, but none of its wake-ups. The set: each peer's socket
 * and process, the bell, the door itself. The bell is a pair of sockets within the process:
 * `bus->link` has one end, so that a wait on it, its close and its descriptor are those
 * of any bus; `front` has the other, which is what a thread in accept waits on.
 */
#include "many.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool closing(const struct peers *peers) {
    return bus_closing(peers->bus);
}

/* ---- Lists between the two sides ---- */

static void push(_Atomic(struct peer *) *list, struct peer *peer) {
    peer->next = atomic_load_explicit(list, memory_order_relaxed);
    /* Pairs with the exchange in take_all(); P3. */
    while (!atomic_compare_exchange_weak(list, &peer->next, peer))
        ;
}

/* Oldest first. */
static struct peer *take_all(_Atomic(struct peer *) *list) {
    struct peer *oldest = NULL;
    if (!atomic_load_explicit(list, memory_order_relaxed))
        return NULL;
    for (struct peer *peer = atomic_exchange(list, NULL), *next; peer; peer = next) {
        next = peer->next;
        peer->next = oldest;
        oldest = peer;
    }
    return oldest;
}

void ty_peers_push_joined(struct peers *peers, struct peer *peer) {
    push(&peers->joined, peer);
    ty_link_wake(&peers->front); /* arrives at the data thread's end of the bell */
}

struct peer *ty_peers_take_joined(struct peers *peers) {
    return take_all(&peers->joined);
}

/* ---- The data thread's side ---- */

static bool watch(int set, int fd, uint32_t events, uint64_t what) {
    struct epoll_event event = {.events = events, .data.u64 = what};
    return fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Closing a descriptor would do, unless a raw clone holds a copy of it. */
static void unwatch(int set, int fd) {
    struct epoll_event none = {0};
    if (fd >= 0)
        epoll_ctl(set, EPOLL_CTL_DEL, fd, &none);
}

/* What an event of a set is about: a slot, or one of these. */
#define ABOUT_ITSELF UINT64_C(0) /* the bell, of the set; a client, of the door */
#define ABOUT_DOOR UINT64_MAX

static uint64_t about(const struct peer *peer) {
    return UINT64_C(1) + peer->slot;
}

bool ty_peers_watch(struct peers *peers, struct peer *peer) {
    return watch(peers->set, peer->link.socket, EPOLLIN, about(peer)) &&
           watch(peers->set, peer->link.pidfd, EPOLLIN, about(peer));
}

void ty_peers_unwatch(struct peers *peers, const struct peer *peer) {
    unwatch(peers->set, peer->link.socket);
    unwatch(peers->set, peer->link.pidfd);
}

void ty_peers_hand_back(struct peers *peers, struct peer *peer,
                        tachyon_error_t reason) {
    int cancel = ty_cancel_off();
    ty_peers_unwatch(peers, peer);
    peer->reason = reason;
    peers->wakes += atomic_load_explicit(&peer->link.wakes, memory_order_relaxed);
    push(&peers->left, peer);
    ty_peers_step(peers);
    ty_cancel_back(cancel);
}

void ty_peers_news(struct tachyon_bus *bus) {
    struct peers *peers = bus->peers;
    struct epoll_event events[64];
    int cancel = ty_cancel_off();
    int count = epoll_wait(peers->set, events, 64, 0);
    bool door = false;
    for (int i = 0; i < count; i++) {
        uint64_t what = events[i].data.u64;
        if (what == ABOUT_DOOR) {
            door = true;
        } else if (what == ABOUT_ITSELF) {
            ty_link_take(&bus->link);
        } else { /* in the set, so the data thread has it, unless told() let it go */
            struct peer *peer = peers_at(peers, (uint32_t)(what - 1));
            if (peer) {
                ty_link_take(&peer->link);
                peers->kind->told(bus, peer);
            }
        }
    }
    if (door)
        ty_peers_step(peers);
    if (peers->kind->took)
        peers->kind->took(bus);
    ty_page_show(bus);
    ty_cancel_back(cancel);
}

int ty_peers_fileno(struct tachyon_bus *bus, bool readable) {
    if (!link_watched(&bus->link)) {
        bus->link.epoll = bus->peers->set; /* which tells of the bell as well */
        ty_link_signal(&bus->link, readable);
    }
    return bus->link.epoll;
}

/* ---- The accept step: who comes ---- */

/* It has left: say so once. */
static void mourn(struct peers *peers, struct peer *peer, tachyon_error_t reason) {
    if (!peer->mourned)
        ty_peers_push_event(peers, TACHYON_EVENT_LEFT, peer, reason);
    peer->mourned = true;
}

/* Has its link ended? Then the door need not tell of it any more. */
static bool look_at_end(struct peers *peers, struct peer *peer) {
    if (!peer->gone && (ty_link_look(&peer->link) != LINK_ALIVE || closing(peers) ||
                        atomic_load(&peer->link.closing))) {
        bool of_itself = !closing(peers) && !atomic_load(&peer->link.closing);
        peer->gone = true;
        if (peers->kind->ended)
            of_itself = peers->kind->ended(peers->bus, peer) && of_itself;
        if (of_itself && !peers->kind->delivers_dead)
            mourn(peers, peer, ty_link_error(&peer->link));
        unwatch(peers->door.set, peer->link.socket);
        unwatch(peers->door.set, peer->link.pidfd);
    }
    return peer->gone;
}

static uint32_t count_living(struct peers *peers) {
    uint32_t living = 0;
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        living += peer && !look_at_end(peers, peer);
    }
    return living;
}

static bool name_lives(struct peers *peers, const struct client *client) {
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        if (peer && peer_is_called(peer, client->peer.uid, client->hello.name) &&
            !look_at_end(peers, peer))
            return true;
    }
    return false;
}

/* Of no use any more, although the data thread has not even seen it. */
static void take_back_dead(struct peers *peers) {
    if (peers->kind->delivers_dead)
        return;
    for (struct peer *peer = take_all(&peers->joined), *next; peer; peer = next) {
        next = peer->next;
        peer->reason = ty_link_error(&peer->link);
        push(look_at_end(peers, peer) ? &peers->left : &peers->joined, peer);
    }
}

static void reap(struct peers *peers);

/* A slot for a new peer; `slots` when there is none. */
static uint32_t free_slot(struct peers *peers) {
    uint32_t slot = 0;
    while (slot < peers->slots && peers_at(peers, slot))
        slot++;
    return slot;
}

static tachyon_error_t offer(void *context, const struct client *client,
                             struct greeting *answer, struct region *regions) {
    struct peers *peers = context;
    if (closing(peers) || count_living(peers) >= peers->most ||
        name_lives(peers, client))
        return TACHYON_ERR_BUSY;
    if (free_slot(peers) == peers->slots) {
        take_back_dead(peers);
        reap(peers);
    }
    if (free_slot(peers) == peers->slots)
        return TACHYON_ERR_BUSY;
    answer->peer = peers->last_id + 1;
    tachyon_error_t error = peers->kind->offer(peers->bus, client, answer, regions);
    return error == TACHYON_SUCCESS || error == TACHYON_ERR_LAGGED ? error
                                                                   : TACHYON_ERR_BUSY;
}

static void end_link(struct link *link, bool abort) {
    if (abort)
        ty_link_abort(link);
    else
        ty_link_close(link);
}

/* A client has acknowledged: `coming` is its session. */
static void admit(struct peers *peers) {
    struct session *coming = &peers->coming;
    uint32_t slot = free_slot(peers); /* there is one: offer() has looked */
    struct peer *peer = aligned_alloc(alignof(struct peer), sizeof *peer);
    if (peer) {
        *peer = (struct peer){.hello = peers->listener.hello,
                              .who = coming->peer,
                              .id = ++peers->last_id,
                              .slot = slot};
        ty_link_init(&peer->link);
        peer->link.socket = coming->socket;
        peer->link.pidfd = coming->pidfd;
        peer->link.expedited = coming->expedited;
        peer->link.flushes_freely = coming->expedited;
        memcpy(peer->regions, coming->regions, sizeof peer->regions);
        /* Pairs with peers_at(); P1. */
        atomic_store_explicit(&peers->table[slot], peer, memory_order_release);
        if (!watch(peers->door.set, peer->link.socket, EPOLLRDHUP, about(peer)) ||
            !watch(peers->door.set, peer->link.pidfd, EPOLLIN, about(peer)))
            ty_link_close(&peer->link); /* nobody would learn of its death */
        peers->kind->join(peers->bus, peer);
        /* Behind that: who sends once it has heard of it reaches it. */
        ty_peers_push_event(peers, TACHYON_EVENT_JOINED, peer, TACHYON_SUCCESS);
        /* Who closes has found it in the table, or has left its mark before: the mutex
         * orders the two. */
        if (closing(peers))
            end_link(&peer->link, ty_link_aborted(&peers->bus->link));
    } else {
        ty_close(&coming->socket); /* it sees a listener that has died */
        ty_close(&coming->pidfd);
        ty_handshake_free_regions(coming->regions);
    }
    *coming = SESSION_NONE;
}

/* ---- The accept step: who goes ---- */

static void release_peer(struct peers *peers, struct peer *peer) {
    if (peers->kind->leave)
        peers->kind->leave(peers->bus, peer);
    unwatch(peers->door.set, peer->link.socket);
    unwatch(peers->door.set, peer->link.pidfd);
    pthread_mutex_lock(&peers->mutex);
    ty_link_close(&peer->link);
    ty_link_free(&peer->link);
    atomic_store_explicit(&peers->table[peer->slot], NULL, memory_order_relaxed);
    pthread_mutex_unlock(&peers->mutex);
    ty_handshake_free_regions(peer->regions);
    free(peer);
}

static void reap(struct peers *peers) {
    for (struct peer *peer = take_all(&peers->left), *next; peer; peer = next) {
        next = peer->next;
        mourn(peers, peer, peer->reason);
        release_peer(peers, peer);
    }
}

/* ---- The accept step ---- */

static void look_at_door(struct peers *peers) {
    struct epoll_event events[64];
    int count = epoll_wait(peers->door.set, events, 64, 0);
    for (int i = 0; i < count; i++) {
        uint64_t what = events[i].data.u64;
        struct peer *peer =
            what == ABOUT_ITSELF ? NULL : peers_at(peers, (uint32_t)(what - 1));
        if (peer)
            look_at_end(peers, peer);
    }
}

static void stop_listening(struct peers *peers) {
    if (!peers->listens)
        return;
    if (ty_listener_last(&peers->listener, &peers->coming))
        admit(peers); /* and end it in order */
    ty_listener_close(&peers->listener);
    peers->listens = false;
}

static void step(struct peers *peers) {
    const struct patience none = {.until = 0};
    reap(peers);
    look_at_door(peers);
    while (peers->listens && !closing(peers) &&
           ty_listener_round(&peers->listener, &none, &peers->coming) ==
               TACHYON_SUCCESS)
        admit(peers);
    if (closing(peers))
        stop_listening(peers);
}

/* Is there work that the one who has just left the step may have missed? P3 */
static bool more_to_do(struct peers *peers) {
    return atomic_load(&peers->left) || (peers->listens && closing(peers));
}

void ty_peers_step(struct peers *peers) {
    int cancel = ty_cancel_off();
    do {
        if (atomic_exchange(&peers->stepping, true))
            break;
        step(peers);
        atomic_store(&peers->stepping, false);
    } while (more_to_do(peers));
    ty_cancel_back(cancel);
}

/* ---- Opening and the end ---- */

/* Both ends of the bell: `out` for the bus, the other for `front`. */
static tachyon_error_t hang_bell(struct peers *peers, int *out) {
    int bell[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, bell) != 0)
        return ty_fail(TACHYON_ERR_SYSTEM, errno, "cannot make the bell of a listener");
    *out = bell[0];
    peers->front.socket = bell[1];
    return TACHYON_SUCCESS;
}

static tachyon_error_t open_sets(struct peers *peers) {
    peers->set = epoll_create1(EPOLL_CLOEXEC);
    if (peers->set < 0 || !ty_door_open(&peers->door) ||
        !watch(peers->set, peers->bus->link.socket, EPOLLIN, ABOUT_ITSELF) ||
        !watch(peers->set, peers->door.set, EPOLLIN, ABOUT_DOOR))
        return ty_fail(TACHYON_ERR_SYSTEM, errno, "no descriptor to wait for peers on");
    peers->front.set = peers->door.set;
    peers->bus->link.set = peers->set;
    return TACHYON_SUCCESS;
}

static struct peers *allocate(tachyon_options_t *options) {
    uint32_t slots = 2 * options->max_peers; /* as many that are not drained yet */
    struct peers *peers = calloc(1, sizeof *peers + slots * sizeof peers->table[0]);
    if (!peers)
        return NULL;
    peers->most = options->max_peers;
    peers->slots = slots;
    peers->set = -1;
    peers->door = peers->clock = DOOR_NONE;
    peers->coming = SESSION_NONE;
    ty_link_init(&peers->front);
    pthread_mutex_init(&peers->mutex, NULL);
    if (!ty_handshake_keep(options, &peers->kept)) {
        free(peers);
        return NULL;
    }
    return peers;
}

static tachyon_error_t open_listener(struct peers *peers, enum handshake_kind kind,
                                     tachyon_options_t options, const char *path,
                                     const size_t *capacities) {
    options.timeout_ns = 0; /* there is no first peer to wait for */
    ty_listener_init(&peers->listener, kind, &options, &peers->door);
    peers->listener.host = (struct listener_host){offer, peers};
    peers->listens = true;
    tachyon_error_t error = ty_listener_open(&peers->listener, path, capacities);
    if (error == TACHYON_SUCCESS && !ty_listener_watch(&peers->listener))
        error = ty_fail(TACHYON_ERR_SYSTEM, errno, "cannot watch the socket");
    return error;
}

tachyon_error_t ty_peers_open(struct tachyon_bus *bus, const struct peers_kind *which,
                              enum handshake_kind kind, const tachyon_options_t *given,
                              const char *path, const size_t *capacities) {
    struct session session = SESSION_NONE;
    tachyon_options_t kept = *given;
    const tachyon_options_t *options = &kept;
    struct peers *peers = allocate(&kept);
    if (!peers)
        return ty_fail_plain(TACHYON_ERR_MEM);
    session.side = RING_SIDE_LISTENER;
    session.role = options->role;
    session.interrupt = interrupt_of(options);
    tachyon_error_t error = hang_bell(peers, &session.socket);
    tachyon_error_t watched = ty_bus_init(bus, &session);
    bus->peers = peers;
    peers->bus = bus;
    peers->kind = which;
    peers->front.interrupt = session.interrupt;
    atomic_store(&bus->role,
                 kind == HANDSHAKE_RPC ? BUS_ROLE_BOTH : (int)options->role);
    bus->link.receives = options->role != TACHYON_ROLE_PRODUCER;
    if (error == TACHYON_SUCCESS)
        error = watched;
    if (error == TACHYON_SUCCESS)
        error = open_sets(peers);
    if (error == TACHYON_SUCCESS)
        error = open_listener(peers, kind, *options, path, capacities);
    if (error == TACHYON_SUCCESS)
        error = which->open(bus);
    if (error != TACHYON_SUCCESS) {
        ty_peers_hang_up(bus);
        ty_bus_free(bus);
        return error;
    }
    for (unsigned i = 0; i < handshake_rings(kind); i++) /* what each peer gets */
        bus->regions[i].capacity = peers->listener.capacities[i];
    /* That we are registered is enough: the fence is there for the others anyway. */
    bus->link.expedited = (peers->listener.answer.flags & WIRE_FLAG_MEMBARRIER) != 0;
    return TACHYON_SUCCESS;
}

void ty_peers_close(struct tachyon_bus *bus, bool abort) {
    struct peers *peers = bus->peers;
    /* Nothing to be done in a child, where another thread's lock may stand for ever. */
    if (atomic_load(&bus->error) == TACHYON_ERR_FORKED)
        return;
    pthread_mutex_lock(&peers->mutex);
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        if (peer)
            end_link(&peer->link, abort);
    }
    pthread_mutex_unlock(&peers->mutex);
    ty_peers_step(peers);
}

void ty_peers_join(struct tachyon_bus *bus) {
    ty_link_join(&bus->peers->front);
    /* Who does not wait may be in a step all the same. */
    while (atomic_load(&bus->peers->stepping))
        sched_yield();
}

static void close_descriptors(struct peers *peers) {
    ty_door_close(&peers->door); /* first: it is shared with a forked child */
    ty_door_close(&peers->clock);
    ty_close(&peers->set);
    ty_link_in_child(&peers->front); /* or as good: nobody waits on it any more */
    peers->bus->link.set = peers->bus->link.epoll = peers->front.set = -1;
    ty_close(&peers->coming.socket);
    ty_close(&peers->coming.pidfd);
    ty_handshake_free_regions(peers->coming.regions);
    ty_region_close_fds(&peers->bus->regions[0]); /* to nobody any more */
}

void ty_peers_in_child(struct tachyon_bus *bus) {
    struct peers *peers = bus->peers;
    for (uint32_t i = 0; i < peers->slots; i++) {
        const struct peer *peer = peers_at(peers, i);
        if (peer && peer->regions[0].map == peers->coming.regions[0].map)
            peers->coming = SESSION_NONE; /* that peer's: unmapped once, with it */
    }
    close_descriptors(peers);
    if (peers->listens)
        ty_listener_in_child(&peers->listener);
    peers->listens = false;
    atomic_store(&peers->stepping, false); /* whoever was at it is not here */
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        if (peer) {
            ty_link_in_child(&peer->link);
            ring_consumer_disarm(&peer->rx);
        }
    }
}

void ty_peers_hang_up(struct tachyon_bus *bus) {
    struct peers *peers = bus->peers;
    stop_listening(peers);
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        if (peer) {
            ty_link_close(&peer->link);
            ty_link_free(&peer->link);
        }
    }
    close_descriptors(peers);
}

void ty_peers_free(struct tachyon_bus *bus) {
    struct peers *peers = bus->peers;
    for (uint32_t i = 0; i < peers->slots; i++) {
        struct peer *peer = peers_at(peers, i);
        if (peer)
            ty_handshake_free_regions(peer->regions);
        free(peer);
    }
    peers->kind->free(bus);
    pthread_mutex_destroy(&peers->mutex);
    free(peers->kept);
    free(peers);
    bus->peers = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the core's modules share. Calls go downwards only:
 * rpc > bus, producer, consumer > listener, connector > handshake, address, region,
 * link > error, fork, os. */
#ifndef TACHYON_INTERNAL_H
#define TACHYON_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create, ppoll, accept4, struct ucred */
#endif

#pragma GCC visibility push(default)
#include "tachyon.h"
#pragma GCC visibility pop

#include "ring.h"

#include <poll.h>
#include <signal.h>
#include <sys/types.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* For slow paths: keeps their stack and saved registers out of the fast path. */
#define out_of_line __attribute__((noinline))

/* ---- error.c: the calling thread's last error ---- */

/* Record a failure with its text; the text ends with ": strerror" if system != 0. */
tachyon_error_t ty_fail(tachyon_error_t error, int system, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* Add what the last failure is about, unless its text says so already. */
tachyon_error_t ty_fail_about(tachyon_error_t error, const char *subject);

/* Record a failure whose text is tachyon_strerror(), for calls that fail often. */
tachyon_error_t ty_fail_plain(tachyon_error_t error);

/* ---- os.c: what libc does not offer, or offers inconveniently ---- */

int64_t ty_now_ns(void);
/* Absolute deadline of a time-out; negative time-outs never end. */
int64_t ty_deadline(int64_t timeout_ns);
int64_t ty_earlier(int64_t deadline_a, int64_t deadline_b);
#define TY_NEVER INT64_MAX
/* ppoll() until a deadline, with `signals` in force while it sleeps. */
int ty_poll(struct pollfd *fds, size_t count, int64_t deadline,
            const sigset_t *signals);
void ty_block_signals(sigset_t *before);
void ty_restore_signals(const sigset_t *before);

int ty_pidfd_open(pid_t pid);
int ty_mbind_preferred(void *address, size_t bytes, int node_id);
bool ty_membarrier_register(void);
bool ty_membarrier(void);
void ty_close(int *fd); /* closes once, keeps errno, leaves -1 */

void ty_pause(void);
void ty_pause_burst(void); /* about 1.5 us of ty_pause() */

/* ---- fork.c: who must be told in a forked child ---- */

struct fork_watch {
    struct fork_watch *next, **link;
    void (*in_child)(struct fork_watch *watch);
};

tachyon_error_t ty_fork_watch(struct fork_watch *watch);
void ty_fork_unwatch(struct fork_watch *watch);

/* ---- region.c: the shared memory of one ring ---- */

struct region {
    int fd;
    uint8_t *map; /* ring_shared, then the data twice */
    size_t capacity;
    size_t data_offset;
};

#define REGION_NONE ((struct region){.fd = -1})

tachyon_error_t ty_region_round(size_t *capacity);
tachyon_error_t ty_region_create(struct region *region, size_t capacity);
tachyon_error_t ty_region_attach(struct region *region, int fd, uint64_t capacity);
void ty_region_close_fd(struct region *region);
void ty_region_free(struct region *region);
tachyon_error_t ty_region_set_numa_node(const struct region *region, int node_id);

static inline struct ring_shared *region_shared(const struct region *region) {
    return (struct ring_shared *)(void *)region->map;
}

static inline uint8_t *region_data(const struct region *region) {
    return region->map + region->data_offset;
}

/* ---- link.c: the socket to the peer; sleeping, waking, death ---- */

enum link_peer { LINK_ALIVE, LINK_CLOSED, LINK_DEAD };

struct link {
    int socket, pidfd;
    int epoll;            /* ty_link_fileno(): both of these; -1 until asked for */
    bool signalled;       /* that descriptor is readable because we say so */
    bool receives;        /* it tells of messages; else only of room and the end */
    bool expedited;       /* both processes are registered for membarrier */
    _Atomic int peer;     /* enum link_peer */
    _Atomic bool closing; /* this end is being closed */
    _Atomic bool said_bye;
    _Atomic bool waiting; /* a thread is inside ty_link_wait() */
    _Atomic bool pure_spin;
    int (*interrupted)(void *context);
    void *interrupted_context;
    _Atomic uint64_t sleeps, wakes;
};

/* What a wait is for. */
struct wait {
    bool (*ready)(void *context);             /* look; true ends the wait */
    void (*asleep)(void *context, bool flag); /* say so to the peer in shared memory */
    /* Deal with a wait that did not succeed, before a closing thread may go on. NULL:
     * nothing to do. Not called for BUSY. */
    void (*failed)(void *context, tachyon_error_t error);
    void *context;
    uint64_t spins;
    int64_t timeout_ns;
    bool never_sleep; /* EMPTY when the spins are used up */
};

#define WAIT_SPIN_FOR_EVER UINT64_MAX

void ty_link_init(struct link *link);
tachyon_error_t ty_link_wait(struct link *link, const struct wait *wait);
enum link_peer ty_link_look(struct link *link);
/* Why the link is no longer of use: CLOSED (by either end), PEER_DEAD, or SUCCESS. */
tachyon_error_t ty_link_error(struct link *link);
bool ty_link_wake(struct link *link); /* false: not sent, try again later */
/* A descriptor to wait on elsewhere, the same each time; -1 when there is none to be
 * had. `readable` is how a new one begins. */
int ty_link_fileno(struct link *link, bool readable);
/* Make that descriptor readable, or leave it to what arrives. Nothing without one. */
void ty_link_signal(struct link *link, bool readable);
/* Look at the peer, and forget what has made that descriptor readable. */
void ty_link_take_wakes(struct link *link);
/* Leave a wait to whoever polls that descriptor; true: ready already. */
bool ty_link_arm(struct link *link, const struct wait *wait);
void ty_link_close(struct link *link);    /* end the stream, wake our sleeper */
void ty_link_join(struct link *link);     /* wake our sleeper, wait until it has left */
void ty_link_free(struct link *link);     /* close the descriptors */
void ty_link_in_child(struct link *link); /* after fork */

/*
 * Order the waker's publication before its look at the sleeper's word. Without
 * membarrier that takes a fence on both sides; with it, the sleeper's membarrier is
 * the fence of both, and only the compiler must not reorder. Pairs with order_sleeper()
 * in link.c.
 */
static inline void ty_link_order_waker(const struct link *link) {
    if (likely(link->expedited))
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}

static inline bool link_watched(const struct link *link) {
    return link->epoll >= 0;
}

/* The interrupted() hook of the options, 0 without one. */
static inline int link_interrupted(const struct link *link) {
    return link->interrupted ? link->interrupted(link->interrupted_context) : 0;
}

/* ---- address.c: the socket path ---- */

struct address {
    const char *path; /* the caller's */
    int socket;       /* listening */
    int lock;         /* "<path>.lock", -1 for an abstract name */
    dev_t device;
    ino_t inode;
};

#define ADDRESS_NONE ((struct address){.socket = -1, .lock = -1})

tachyon_error_t ty_address_listen(struct address *address, const char *path,
                                  uint32_t mode);
void ty_address_release(struct address *address);
/* One try. NETWORK when nobody listens; the socket is non-blocking. */
tachyon_error_t ty_address_connect(const char *path, int *out_socket);

/* ---- listener.c, connector.c: from a path to a connected pair of ends ---- */

#define HANDSHAKE_MAX_RINGS 2u

enum handshake_kind { HANDSHAKE_BUS = 1, HANDSHAKE_RPC = 2 };

struct session {
    enum ring_side side;
    uint32_t role; /* declared, a tachyon_role_t */
    int socket, pidfd;
    bool expedited;
    tachyon_peer_t peer;
    int (*interrupted)(void *context); /* of the options */
    void *interrupted_context;
    struct region regions[HANDSHAKE_MAX_RINGS];
};

/* The number of rings is that of kind: 1 or 2. */
tachyon_error_t ty_handshake_listen(const char *path, enum handshake_kind kind,
                                    const size_t *capacities,
                                    const tachyon_options_t *options,
                                    struct session *out);
tachyon_error_t ty_handshake_connect(const char *path, enum handshake_kind kind,
                                     const tachyon_options_t *given,
                                     struct session *out);

#endif

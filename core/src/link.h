/* SPDX-License-Identifier: Apache-2.0 */
/* The socket to the peer: sleeping, waking, death. */
#ifndef TACHYON_LINK_H
#define TACHYON_LINK_H

#include "interrupt.h"

#include <stdatomic.h>

enum link_peer { LINK_ALIVE, LINK_CLOSED, LINK_ABORTED, LINK_DEAD };

struct link {
    int socket, pidfd;
    int set;        /* what else a sleep ends with: an epoll set; -1: nothing */
    int epoll;      /* ty_link_fileno(): what a sleep ends with; -1 until asked for */
    bool signalled; /* that descriptor is readable because we say so */
    bool receives;  /* it tells of messages; else only of room and the end */
    bool expedited; /* both processes are registered for membarrier */
    int64_t alarm;  /* a sleep ends then at the latest */
    bool ordered;   /* the sleeper's last word was, and none after it can be missed */
    /* So, and this end was not aborted: a flush just publishes, without a fence. */
    _Atomic bool flushes_freely;
    _Atomic int peer;     /* enum link_peer */
    _Atomic bool closing; /* this end is being closed */
    /* So, or there is something else that only the slow path sees to: the hot path
     * that receives goes there. */
    _Atomic bool disturbed;
    _Atomic char farewell; /* what the peer was told of our end, 0: nothing yet */
    _Atomic bool waiting;  /* a thread is inside ty_link_wait() */
    _Atomic bool pure_spin;
    struct interrupt interrupt;
    _Atomic uint64_t sleeps, wakes;
};

/* What a wait is for. */
struct wait {
    bool (*ready)(void *context);             /* look; true ends the wait */
    void (*asleep)(void *context, bool flag); /* say so to the peer in shared memory */
    /* Take what the link's set has to tell, before each sleep and after;
     * not once ready. NULL: nothing. */
    void (*news)(void *context);
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
/* A wait on a link that has ended: sleep for `ns`, then failed() with SUCCESS, or with
 * INTERRUPTED. False: another thread waits. */
bool ty_link_linger(struct link *link, const struct wait *wait, int64_t ns);
/* Is a wait that does not sleep to end? */
bool ty_link_interrupted(struct link *link);
enum link_peer ty_link_look(struct link *link);
/* Why the link is no longer of use: CLOSED (by either end), ABORTED, PEER_DEAD, or
 * SUCCESS. */
tachyon_error_t ty_link_error(struct link *link);
bool ty_link_wake(struct link *link); /* false: not sent, try again later */
/* A descriptor to wait on elsewhere, the same each time; -1 when there is none to be
 * had. `readable` is how a new one begins. */
int ty_link_fileno(struct link *link, bool readable);
/* Make that descriptor readable, or leave it to what arrives. Nothing without one. */
void ty_link_signal(struct link *link, bool readable);
/* Look at the peer, and take out the wake-ups that have arrived. */
void ty_link_take(struct link *link);
/* The same, and forget what has made that descriptor readable. */
void ty_link_take_wakes(struct link *link);
/* Leave a wait to whoever polls that descriptor; true: ready already. */
bool ty_link_arm(struct link *link, const struct wait *wait);
void ty_link_close(struct link *link); /* end the stream, wake our sleeper */
void ty_link_abort(struct link *link); /* the same, but say that it is cut off */
bool ty_link_aborted(const struct link *link);
void ty_link_disturb(struct link *link);  /* the receiving thread is to look around */
void ty_link_see(struct link *link);      /* it does; a close goes on disturbing */
void ty_link_join(struct link *link);     /* wake our sleeper, wait until it has left */
void ty_link_free(struct link *link);     /* close the descriptors */
void ty_link_in_child(struct link *link); /* after fork */

/* Order the sleeper's word before its next look. Pairs with ty_link_order_waker(). False:
 * the kernel refuses membarrier now, so that a wake-up may be lost. */
bool ty_link_order_sleeper(struct link *link);

/*
 * Order the waker's publication before its look at the sleeper's word. Without
 * membarrier that takes a fence on both sides; with it, the sleeper's membarrier is
 * the fence of both, and only the compiler must not reorder. Pairs with
 * ty_link_order_sleeper().
 */
static inline void ty_link_order_waker(bool expedited) {
    if (likely(expedited))
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}

/* Is this how a peer ends, or we? */
static inline bool link_is_end(tachyon_error_t error) {
    return error == TACHYON_ERR_CLOSED || error == TACHYON_ERR_ABORTED ||
           error == TACHYON_ERR_PEER_DEAD;
}

static inline bool link_watched(const struct link *link) {
    return link->epoll >= 0;
}

#endif

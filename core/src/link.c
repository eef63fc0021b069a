/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link: the handshake's socket, kept open for the life of the connection.
 *
 * Everything a sleeping end must notice arrives in one ppoll(): a wake-up byte, the
 * farewell byte of a close or an abort, the hang-up of a dead peer, its pidfd (a raw
 * clone may keep the socket alive), a signal, the caller's interrupt_fd, the time-out.
 * Sends never block (MSG_DONTWAIT) and never raise a signal (MSG_NOSIGNAL), whatever the
 * peer does with its end.
 *
 * Owns: the socket, the pidfd, the epoll descriptor of both for waits that happen
 * elsewhere, and who may wait: one thread at a time.
 *
 * Sleep protocol. Sleeper: store the wanted word, order, look again, ppoll. Waker:
 * publish, order, load the wanted word, send a byte if the position it names has been
 * reached. "Order" forbids the store-load reordering on both sides, so at least one of
 * the two sees the other. With both processes registered for membarrier the sleeper's
 * GLOBAL_EXPEDITED membarrier orders both sides and the waker pays nothing.
 *
 * A thread that is cancelled while it waits leaves as from a wait that has failed.
 *
 * Bytes are only read by the thread that waits, or that arms a wait elsewhere;
 * everybody else peeks, so that nobody takes a wake-up meant for the sleeper.
 */
#include "link.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BYTE_WAKE 'W'
/* The two farewells. A peer that does not know the second one sees a hang-up without a
 * bye, and so a death: an abort is never taken for an orderly end. */
#define BYTE_BYE 'B'
#define BYTE_ABORT 'X'

#define LOOKS_PER_CHECK 256u /* looks between two glances at closing and the clock */
#define CHECKS_PER_LINK UINT64_C(16) /* such checks between two system calls */
#define WAKE_TRIES 8                 /* the kernel may lack memory for a moment */
#define UNORDERED_SLEEP_NS 1000000   /* longest sleep when membarrier is refused */

void ty_link_init(struct link *link) {
    *link = (struct link){.socket = -1,
                          .pidfd = -1,
                          .set = -1,
                          .epoll = -1,
                          .alarm = TY_NEVER,
                          .interrupt = {.fd = -1}};
}

/* ---- Peer ---- */

static enum link_peer peer_of(struct link *link) {
    return (enum link_peer)atomic_load_explicit(&link->peer, memory_order_acquire);
}

/* Only ever leaves LINK_ALIVE, and once. */
static void set_peer(struct link *link, enum link_peer peer) {
    int alive = LINK_ALIVE;
    atomic_compare_exchange_strong(&link->peer, &alive, (int)peer);
}

/*
 * Look at the bytes that have arrived for a farewell. Only wake-ups are ever taken out,
 * so a farewell is still there for whoever looks next. There are never more than a few:
 * a sleeper takes them out before it says that it sleeps.
 */
static void read_bytes(struct link *link, bool may_take) {
    char bytes[256];
    ssize_t count = recv(link->socket, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    for (ssize_t i = 0; i < count; i++)
        if (bytes[i] == BYTE_BYE || bytes[i] == BYTE_ABORT) {
            set_peer(link, bytes[i] == BYTE_BYE ? LINK_CLOSED : LINK_ABORTED);
            return;
        }
    if (count > 0 && may_take)
        (void)!recv(link->socket, bytes, (size_t)count, MSG_DONTWAIT);
}

struct waiter {
    struct link *link;
    const struct wait *wait; /* NULL: for nothing of the peer's */
    bool ready;              /* as the sleep ended */
};

/* Sleep, or without `waiter` only look. Returns ppoll()'s result, and for who sleeps
 * takes a readable interrupt_fd for a failure, ECANCELED. Not cancelled outside of the
 * sleep. */
static int poll_link(struct link *link, int64_t deadline, const struct calm *before,
                     struct waiter *waiter, bool may_take) {
    struct pollfd fds[] = {{.fd = link->socket, .events = POLLIN | POLLRDHUP},
                           {.fd = link->pidfd, .events = POLLIN},
                           interrupt_poll(&link->interrupt),
                           {.fd = link->set, .events = POLLIN}};
    int result = waiter ? ty_sleep(fds, 4, deadline, before) : ty_poll(fds, 2, 0, NULL);
    if (result <= 0)
        return result;
    /* Nothing but a wake-up, and what it was for is there: the byte can lie until the
     * next sleep, which begins with taking such. Two system calls fewer for who is
     * waited for. Not where it would show on a descriptor. */
    if (waiter && result == 1 && fds[0].revents == POLLIN && !link_watched(link) &&
        (waiter->ready = waiter->wait->ready(waiter->wait->context)))
        return result;
    /* A farewell precedes the hang-up and the process's end, so look for it first. Who
     * shuts down only its sending half is gone too: its end would be readable for ever. */
    read_bytes(link, may_take);
    if ((fds[0].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) || fds[1].revents)
        set_peer(link, LINK_DEAD);
    if (fds[2].revents == 0)
        return result;
    errno = ECANCELED;
    return -1;
}

static void look(struct link *link, bool may_take) {
    int cancel = ty_cancel_off();
    poll_link(link, 0, NULL, NULL, may_take);
    ty_cancel_back(cancel);
}

enum link_peer ty_link_look(struct link *link) {
    if (peer_of(link) == LINK_ALIVE && link->socket >= 0)
        look(link, false);
    return peer_of(link);
}

tachyon_error_t ty_link_error(struct link *link) {
    if (atomic_load_explicit(&link->closing, memory_order_relaxed))
        return TACHYON_ERR_CLOSED;
    switch (peer_of(link)) {
    case LINK_CLOSED:
        return TACHYON_ERR_CLOSED;
    case LINK_ABORTED:
        return TACHYON_ERR_ABORTED;
    case LINK_DEAD:
        return TACHYON_ERR_PEER_DEAD;
    default:
        return TACHYON_SUCCESS;
    }
}

static bool wake(struct link *link) {
    const char byte = BYTE_WAKE;
    for (int tries = 0; tries < WAKE_TRIES; tries++) {
        /* A full socket means that wake-ups are waiting there already. */
        if (send(link->socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ||
            errno == EAGAIN)
            return true;
        if (errno == EPIPE || errno == ECONNRESET) {
            ty_link_look(link);
            return true;
        }
    }
    return false;
}

bool ty_link_wake(struct link *link) {
    int cancel = ty_cancel_off();
    atomic_fetch_add_explicit(&link->wakes, 1, memory_order_relaxed);
    bool sent = wake(link);
    ty_cancel_back(cancel);
    return sent;
}

/* ---- Waiting ---- */

bool ty_link_interrupted(struct link *link) {
    struct pollfd fd = interrupt_poll(&link->interrupt);
    int cancel = ty_cancel_off();
    bool interrupted = interrupt_asked(&link->interrupt) ||
                       (fd.fd >= 0 && ty_poll(&fd, 1, 0, NULL) > 0);
    ty_cancel_back(cancel);
    return interrupted;
}

static void cancelled(void *context) {
    const struct waiter *waiter = context;
    if (waiter->wait)
        waiter->wait->asleep(waiter->wait->context, false);
    if (waiter->link->receives) /* as at the end of ty_link_wait() */
        ty_link_signal(waiter->link, true);
    atomic_store_explicit(&waiter->link->waiting, false, memory_order_release);
}

static int sleep_waiting(struct waiter *waiter, int64_t deadline,
                         const struct calm *before) {
    struct pollfd fd = interrupt_poll(&waiter->link->interrupt);
    int result;
    pthread_cleanup_push(cancelled, waiter);
    result = waiter->wait ? poll_link(waiter->link, deadline, before, waiter, true)
                          : ty_sleep(&fd, 1, deadline, before);
    pthread_cleanup_pop(false);
    return result;
}

/* A thread that never sleeps is cancelled here. */
static void pass_cancel(struct waiter *waiter) {
    pthread_cleanup_push(cancelled, waiter);
    pthread_testcancel();
    pthread_cleanup_pop(false);
}

bool ty_link_order_sleeper(struct link *link) {
    atomic_thread_fence(memory_order_seq_cst);
    link->ordered = !link->expedited || ty_membarrier();
    return link->ordered;
}

/* Why the wait must end although nothing is ready; SUCCESS: it goes on. */
static tachyon_error_t reason_to_stop(struct link *link, const struct wait *wait) {
    tachyon_error_t error = ty_link_error(link);
    /* The peer may have published right before its end: look once more. */
    return error != TACHYON_SUCCESS && wait->ready(wait->context) ? TACHYON_SUCCESS
                                                                  : error;
}

/* SUCCESS: ready. EMPTY: the looks are used up. */
static tachyon_error_t spin(struct link *link, const struct wait *wait,
                            int64_t *deadline) {
    uint64_t spins = atomic_load_explicit(&link->pure_spin, memory_order_relaxed)
                         ? WAIT_SPIN_FOR_EVER
                         : wait->spins;
    for (uint64_t turn = 1; spins == WAIT_SPIN_FOR_EVER || turn <= spins; turn++) {
        ty_pause();
        if (wait->ready(wait->context))
            return TACHYON_SUCCESS;
        if (turn % LOOKS_PER_CHECK != 0)
            continue;
        if (turn % (LOOKS_PER_CHECK * CHECKS_PER_LINK) == 0) {
            ty_link_look(link);
            if (wait->news)
                wait->news(wait->context);
            if (ty_link_interrupted(link))
                return TACHYON_ERR_INTERRUPTED;
            pass_cancel(&(struct waiter){link, wait, false});
        }
        tachyon_error_t error = reason_to_stop(link, wait);
        if (error != TACHYON_SUCCESS)
            return error;
        if (*deadline == 0)
            *deadline = ty_deadline(wait->timeout_ns);
        else if (*deadline != TY_NEVER && ty_now_ns() >= *deadline)
            return TACHYON_ERR_TIMEOUT;
    }
    return TACHYON_ERR_EMPTY;
}

/* One sleep. SUCCESS: ready. EMPTY: awake without a reason to stop. */
static tachyon_error_t sleep_once(struct link *link, const struct wait *wait,
                                  int64_t deadline) {
    tachyon_error_t error = TACHYON_ERR_EMPTY;
    struct waiter waiter = {link, wait, false};
    struct calm before;
    /* From here to ppoll() a signal stays pending, so none is slept through. */
    ty_calm_begin(&before);
    /* A wake-up for a sleep that ended without it; more than one would pile up. */
    read_bytes(link, true);
    if (wait->news)
        wait->news(wait->context);
    wait->asleep(wait->context, true);
    bool ordered = ty_link_order_sleeper(link);

    int polled = 0, polled_errno = 0;
    if (wait->ready(wait->context)) {
        error = TACHYON_SUCCESS;
    } else if (ty_link_error(link) != TACHYON_SUCCESS) {
        error = reason_to_stop(link, wait);
    } else if (interrupt_asked(&link->interrupt)) {
        error = TACHYON_ERR_INTERRUPTED;
    } else {
        atomic_fetch_add_explicit(&link->sleeps, 1, memory_order_relaxed);
        int64_t until = ty_earlier(deadline, link->alarm);
        polled = sleep_waiting(
            &waiter,
            ordered ? until : ty_earlier(until, ty_now_ns() + UNORDERED_SLEEP_NS),
            &before);
        polled_errno = errno;
    }
    wait->asleep(wait->context, false);
    /* Not over what was found: the news may be that its memory is to go. */
    if (wait->news && error == TACHYON_ERR_EMPTY)
        wait->news(wait->context);
    ty_calm_end(&before);

    if (error != TACHYON_ERR_EMPTY)
        return error;
    error = ty_link_error(link); /* noticed before the last look */
    if (waiter.ready || wait->ready(wait->context))
        return TACHYON_SUCCESS;
    if (error != TACHYON_SUCCESS)
        return error;
    if (polled < 0 && interrupt_ends(&link->interrupt, polled_errno))
        return polled_errno == EINTR || polled_errno == ECANCELED
                   ? TACHYON_ERR_INTERRUPTED
                   : TACHYON_ERR_SYSTEM;
    if (deadline != TY_NEVER && ty_now_ns() >= deadline)
        return TACHYON_ERR_TIMEOUT;
    return TACHYON_ERR_EMPTY;
}

/*
 * Wait until ready. SUCCESS, TIMEOUT, INTERRUPTED, CLOSED (by either end), ABORTED,
 * PEER_DEAD, SYSTEM, BUSY when another thread waits on this link, or EMPTY for
 * never_sleep.
 */
tachyon_error_t ty_link_wait(struct link *link, const struct wait *wait) {
    /* Sequentially consistent, as is `closing`: either the closer sees us waiting, or
     * we see that it closes. */
    if (atomic_exchange(&link->waiting, true))
        return TACHYON_ERR_BUSY;
    int64_t deadline = 0; /* the clock is read when the wait turns out to be one */
    tachyon_error_t error = spin(link, wait, &deadline);
    if (deadline == 0)
        deadline = ty_deadline(wait->timeout_ns);
    while (error == TACHYON_ERR_EMPTY && !wait->never_sleep)
        error = sleep_once(link, wait, deadline);
    if (link->receives) /* it has taken wake-ups that the descriptor was to show */
        ty_link_signal(link, true);
    if (error != TACHYON_SUCCESS && wait->failed)
        wait->failed(wait->context, error);
    atomic_store_explicit(&link->waiting, false, memory_order_release);
    return error;
}

bool ty_link_linger(struct link *link, const struct wait *wait, int64_t ns) {
    if (atomic_exchange(&link->waiting, true))
        return false;
    int64_t deadline = ty_deadline(ns);
    bool interrupted = false;
    struct calm before;
    ty_calm_begin(&before);
    while (!(interrupted = interrupt_asked(&link->interrupt))) {
        int polled = sleep_waiting(&(struct waiter){.link = link}, deadline, &before);
        bool signal = polled < 0 && errno == EINTR;
        interrupted = polled > 0 || (signal && !link->interrupt.restart);
        if (interrupted || !signal || ty_now_ns() >= deadline)
            break;
    }
    ty_calm_end(&before);
    wait->failed(wait->context,
                 interrupted ? TACHYON_ERR_INTERRUPTED : TACHYON_SUCCESS);
    atomic_store_explicit(&link->waiting, false, memory_order_release);
    return true;
}

/* ---- Waiting elsewhere ---- */

/*
 * The first half of a sleep happens in ty_link_arm(), ppoll() in the caller's event
 * loop. Whenever a sleeper's word may not stand although nothing was found, the
 * descriptor is made readable by asking for EPOLLOUT too: the socket is always
 * writable, for its few wake-ups are read. The next look that finds nothing arms again.
 */
static bool watch(const struct link *link, int operation, int fd, uint32_t events) {
    return epoll_ctl(link->epoll, operation, fd, &(struct epoll_event){events, {0}}) ==
           0;
}

static uint32_t socket_events(bool readable) {
    return readable ? EPOLLIN | EPOLLOUT : EPOLLIN;
}

int ty_link_fileno(struct link *link, bool readable) {
    if (link->epoll >= 0)
        return link->epoll;
    link->epoll = epoll_create1(EPOLL_CLOEXEC);
    link->signalled = readable;
    if (link->epoll >= 0 &&
        (!watch(link, EPOLL_CTL_ADD, link->socket, socket_events(readable)) ||
         (link->pidfd >= 0 && !watch(link, EPOLL_CTL_ADD, link->pidfd, EPOLLIN))))
        ty_close(&link->epoll);
    return link->epoll;
}

void ty_link_signal(struct link *link, bool readable) {
    if (link->epoll >= 0 && link->signalled != readable &&
        watch(link, EPOLL_CTL_MOD, link->socket, socket_events(readable)))
        link->signalled = readable;
}

void ty_link_take(struct link *link) {
    if (peer_of(link) == LINK_ALIVE)
        look(link, true);
}

void ty_link_take_wakes(struct link *link) {
    ty_link_take(link);
    ty_link_signal(link, false);
}

bool ty_link_arm(struct link *link, const struct wait *wait) {
    wait->asleep(wait->context, true);
    bool ordered = ty_link_order_sleeper(link);
    bool ready = wait->ready(wait->context);
    if (ready || !ordered) /* a wake-up may be lost, so let the loop look again */
        ty_link_signal(link, true);
    return ready;
}

/* ---- The end ---- */

static void set_closing(struct link *link) {
    atomic_store(&link->closing, true);
    atomic_store(&link->disturbed, true);
}

void ty_link_disturb(struct link *link) {
    atomic_store(&link->disturbed, true);
}

void ty_link_see(struct link *link) {
    if (!atomic_load(
            &link->disturbed)) /* no store: it would wait for those before it */
        return;
    atomic_store(&link->disturbed, false);
    if (atomic_load(&link->closing)) /* in set_closing() it comes first */
        atomic_store(&link->disturbed, true);
}

/* The first farewell counts. */
static void end_with(struct link *link, char byte) {
    char none = 0;
    set_closing(link);
    if (link->socket < 0 ||
        !atomic_compare_exchange_strong(&link->farewell, &none, byte))
        return;
    if (byte == BYTE_ABORT)
        atomic_store(&link->flushes_freely, false);
    int cancel = ty_cancel_off();
    (void)!send(link->socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(link->socket, SHUT_RDWR); /* wakes our own sleeper too */
    ty_cancel_back(cancel);
}

void ty_link_close(struct link *link) {
    end_with(link, BYTE_BYE);
}

void ty_link_abort(struct link *link) {
    end_with(link, BYTE_ABORT);
}

bool ty_link_aborted(const struct link *link) {
    return atomic_load(&link->farewell) == BYTE_ABORT;
}

void ty_link_join(struct link *link) {
    /* Wakes our sleeper without telling the peer, who may still get a last flush. */
    bool first = !atomic_load(&link->closing);
    set_closing(link);
    if (first && link->socket >= 0)
        shutdown(link->socket, SHUT_RD);
    while (atomic_load_explicit(&link->waiting, memory_order_acquire))
        sched_yield();
}

void ty_link_free(struct link *link) {
    ty_close(&link->epoll);
    ty_close(&link->socket);
    ty_close(&link->pidfd);
}

/* The waiting thread, if there was one, does not exist in the child. */
void ty_link_in_child(struct link *link) {
    ty_link_free(link);
    atomic_store(&link->waiting, false);
    set_closing(link);
}

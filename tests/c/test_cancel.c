/* SPDX-License-Identifier: Apache-2.0 */
/* pthread_cancel: a thread that is cancelled in a call that waits leaves the handle as
 * if that call had failed, and no other call is where a thread is cancelled. */
#include "bus.h"
#include "peers.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#define TEN_SECONDS INT64_C(10000000000)
#define LARGE 3000 /* bytes; a second one does not fit into 4096 */

/* Both kinds of connection, in one process. */
struct ends {
    const char *path;
    tachyon_bus_t *sends, *receives;
    tachyon_rpc_bus_t *caller, *callee;
};

static void *rpc_listen_body(void *context) {
    struct ends *ends = context;
    tachyon_options_t options = options_with_timeout_ms(20000);
    CHECK_OK(tachyon_rpc_listen_with(ends->path, 4096, 4096, &options, &ends->callee));
    return NULL;
}

static struct ends ends_open(void) {
    struct pair pair = pair_open(4096);
    struct ends ends = {
        .path = test_path("rpc"), .sends = pair.connector, .receives = pair.listener};
    tachyon_options_t options = options_with_timeout_ms(20000);
    pthread_t thread = test_thread(rpc_listen_body, &ends);
    CHECK_OK(tachyon_rpc_connect_with(ends.path, &options, &ends.caller));
    test_join(thread);
    return ends;
}

static void ends_close(struct ends *ends) {
    tachyon_bus_destroy(ends->sends);
    tachyon_bus_destroy(ends->receives);
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
}

/* ---- Every call that waits ---- */

static _Thread_local uint32_t type;
static _Thread_local size_t size;
static _Thread_local uint64_t id;
static const char payload[LARGE];

static void receive_blocking(struct ends *ends) {
    tachyon_acquire_rx_blocking(ends->receives, &type, &size, 10);
}
static void receive_spinning(struct ends *ends) {
    tachyon_acquire_rx_spin(ends->receives, &type, &size, 0);
}
static void receive_many_looks(struct ends *ends) {
    tachyon_acquire_rx_spin(ends->receives, &type, &size, UINT32_MAX);
}
static void receive_timed(struct ends *ends) {
    tachyon_acquire_rx_timed(ends->receives, &type, &size, 10, TEN_SECONDS);
}
static void receive_polling(struct ends *ends) {
    tachyon_bus_set_polling_mode(ends->receives, 1);
    tachyon_acquire_rx_blocking(ends->receives, &type, &size, 0);
}
static void drain(struct ends *ends) {
    tachyon_msg_view_t views[4];
    tachyon_drain_batch(ends->receives, views, 4, 0);
}
static void drain_timed(struct ends *ends) {
    tachyon_msg_view_t views[4];
    tachyon_drain_batch_timed(ends->receives, views, 4, 0, TEN_SECONDS);
}
static void receive_array(struct ends *ends) {
    char items[8];
    tachyon_recv_batch(ends->receives, items, 1, 8, &type, 0, -1);
}
static void receive_copy(struct ends *ends) {
    char item[8];
    tachyon_recv(ends->receives, item, sizeof item, &size, &type, 0, -1);
}
static void receive_watched(struct ends *ends) {
    CHECK(tachyon_bus_fileno(ends->receives) >= 0);
    tachyon_acquire_rx_blocking(ends->receives, &type, &size, 10);
}

static void fill(struct ends *ends) {
    CHECK_OK(tachyon_send(ends->sends, payload, LARGE, 1, 0, 0));
}
static void acquire(struct ends *ends) {
    fill(ends);
    tachyon_acquire_tx_timed(ends->sends, LARGE, 10, -1);
}
static void acquire_several(struct ends *ends) {
    size_t count, stride;
    fill(ends);
    tachyon_acquire_tx_batch(ends->sends, LARGE, 2, &count, &stride, 10, -1);
}
static void acquire_watched(struct ends *ends) {
    CHECK(tachyon_bus_fileno(ends->sends) >= 0);
    acquire(ends);
}
static void send_message(struct ends *ends) {
    fill(ends);
    tachyon_send(ends->sends, payload, LARGE, 1, 0, -1);
}
static void send_timed(struct ends *ends) {
    fill(ends);
    tachyon_send(ends->sends, payload, LARGE, 1, 0, TEN_SECONDS);
}
static void send_array(struct ends *ends) {
    tachyon_send_batch(ends->sends, payload, 1, LARGE, 1, 0, -1);
}

static void call(struct ends *ends, size_t bytes) {
    CHECK_OK(tachyon_rpc_call(ends->caller, payload, bytes, 1, &id));
}
static void wait_for_one(struct ends *ends) {
    call(ends, 1);
    tachyon_rpc_wait(ends->caller, id, &size, &type, 10);
}
static void wait_timed(struct ends *ends) {
    call(ends, 1);
    tachyon_rpc_wait_timed(ends->caller, id, &size, &type, 10, TEN_SECONDS);
}
static void wait_any(struct ends *ends) {
    call(ends, 1);
    tachyon_rpc_wait_any(ends->caller, &id, &size, &type, 10, -1);
}
static void call_timed(struct ends *ends) {
    call(ends, LARGE);
    tachyon_rpc_call_timed(ends->caller, payload, LARGE, 1, &id, 10, -1);
}
static void acquire_call(struct ends *ends) {
    call(ends, LARGE);
    tachyon_rpc_acquire_tx_timed(ends->caller, LARGE, 10, -1);
}
static void serve(struct ends *ends) {
    tachyon_rpc_serve(ends->callee, &id, &type, &size, 10);
}
static void serve_timed(struct ends *ends) {
    tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 10, TEN_SECONDS);
}
static void fill_replies(struct ends *ends) {
    for (int i = 0; i < 2; i++) {
        call(ends, 1);
        CHECK(tachyon_rpc_serve(ends->callee, &id, &type, &size, 0));
        CHECK_OK(tachyon_rpc_commit_serve(ends->callee));
    }
    CHECK_OK(tachyon_rpc_reply(ends->callee, 1, payload, LARGE, 1));
}
static void reply_timed(struct ends *ends) {
    fill_replies(ends);
    tachyon_rpc_reply_timed(ends->callee, 2, payload, LARGE, 1, 10, -1);
}
static void acquire_reply(struct ends *ends) {
    fill_replies(ends);
    tachyon_rpc_acquire_reply_tx_timed(ends->callee, LARGE, 10, -1);
}
static void receive_after_the_end(struct ends *ends) {
    tachyon_bus_close(ends->sends);
    for (;;) /* it sleeps before it says so again */
        tachyon_acquire_rx_blocking(ends->receives, &type, &size, 0);
}

enum end { SENDER, RECEIVER, CALLER, CALLEE };

static const struct waiting_call {
    const char *name;
    void (*enter)(struct ends *ends);
    enum end end;
    bool ended; /* the connection, so that nothing more can be sent on it */
} calls[] = {
    {"acquire_rx_blocking", receive_blocking, RECEIVER, false},
    {"acquire_rx_spin for ever", receive_spinning, RECEIVER, false},
    {"acquire_rx_spin", receive_many_looks, RECEIVER, false},
    {"acquire_rx_timed", receive_timed, RECEIVER, false},
    {"acquire_rx_blocking in polling mode", receive_polling, RECEIVER, false},
    {"acquire_rx_blocking with a descriptor", receive_watched, RECEIVER, false},
    {"drain_batch", drain, RECEIVER, false},
    {"drain_batch_timed", drain_timed, RECEIVER, false},
    {"recv_batch", receive_array, RECEIVER, false},
    {"recv", receive_copy, RECEIVER, false},
    {"acquire_tx_timed", acquire, SENDER, false},
    {"acquire_tx_batch", acquire_several, SENDER, false},
    {"acquire_tx_timed with a descriptor", acquire_watched, SENDER, false},
    {"send", send_message, SENDER, false},
    {"send with a time-out", send_timed, SENDER, false},
    {"send_batch", send_array, SENDER, false},
    {"rpc_wait", wait_for_one, CALLER, false},
    {"rpc_wait_timed", wait_timed, CALLER, false},
    {"rpc_wait_any", wait_any, CALLER, false},
    {"rpc_call_timed", call_timed, CALLER, false},
    {"rpc_acquire_tx_timed", acquire_call, CALLER, false},
    {"rpc_serve", serve, CALLEE, false},
    {"rpc_serve_timed", serve_timed, CALLEE, false},
    {"rpc_reply_timed", reply_timed, CALLEE, false},
    {"rpc_acquire_reply_tx_timed", acquire_reply, CALLEE, false},
    {"acquire_rx_blocking after the end", receive_after_the_end, RECEIVER, true},
};
#define CALLS (sizeof calls / sizeof calls[0])

static tachyon_bus_t *handle_of(struct ends *ends, enum end end) {
    return end == SENDER     ? ends->sends
           : end == RECEIVER ? ends->receives
           : end == CALLER   ? (tachyon_bus_t *)(void *)ends->caller
                             : (tachyon_bus_t *)(void *)ends->callee;
}

/* ---- Cancelling it ---- */

struct victim {
    const struct waiting_call *call;
    struct ends *ends;
    sigset_t mask;    /* of the thread before ... */
    sigset_t cleaned; /* ... and in its cleanup handler */
    _Atomic bool entered, returned;
};

static void clean_up(void *context) {
    struct victim *victim = context;
    pthread_sigmask(SIG_SETMASK, NULL, &victim->cleaned);
}

static void *victim_body(void *context) {
    struct victim *victim = context;
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &victim->mask);
    pthread_cleanup_push(clean_up, victim);
    atomic_store(&victim->entered, true);
    victim->call->enter(victim->ends);
    atomic_store(&victim->returned, true);
    pthread_cleanup_pop(false);
    return NULL;
}

static void cancel_in(const struct waiting_call *call, struct ends *ends) {
    tachyon_bus_t *bus = handle_of(ends, call->end);
    struct victim victim = {.call = call, .ends = ends};
    pthread_t thread = test_thread(victim_body, &victim);
    void *result;
    while (!atomic_load(&bus->link.waiting))
        test_let_others_run();
    test_sleep_ms(10); /* asleep, or far into its looks */
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    if (result != PTHREAD_CANCELED || atomic_load(&victim.returned))
        FAIL("%s: not cancelled", call->name);
    for (int signal = 1; signal < 32; signal++)
        if (sigismember(&victim.mask, signal) != sigismember(&victim.cleaned, signal))
            FAIL("%s: signal %d is masked otherwise", call->name, signal);
    if (atomic_load(&bus->link.waiting))
        FAIL("%s: still in use", call->name);
    if (atomic_load(&bus->rx.shared->wanted_head) ||
        atomic_load(&bus->tx.shared->wanted_tail))
        FAIL("%s: still said to be asleep", call->name);
}

/* The cancelled end goes on: it sleeps, is woken, and gets its message or room. */
struct waker {
    struct ends *ends;
    enum end end;
};

static void *wake_body(void *context) {
    struct waker *waker = context;
    struct ends *ends = waker->ends;
    tachyon_bus_t *bus = handle_of(ends, waker->end);
    uint64_t sleeps = atomic_load(&bus->link.sleeps);
    for (int64_t end = test_now_ms() + 20; /* a polling one never sleeps */
         atomic_load(&bus->link.sleeps) == sleeps && test_now_ms() < end;)
        test_let_others_run();
    switch (waker->end) {
    case SENDER:
        while (tachyon_acquire_rx(ends->receives, &type, &size))
            CHECK_OK(tachyon_commit_rx(ends->receives));
        break;
    case RECEIVER:
        CHECK_OK(tachyon_send(ends->sends, "woken", 5, 1, 0, 0));
        break;
    case CALLER:
        while (tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 0, 0)) {
            CHECK_OK(tachyon_rpc_commit_serve(ends->callee));
            CHECK_OK(tachyon_rpc_reply(ends->callee, id, "woken", 5, 1));
        }
        break;
    case CALLEE:
        if (ends->caller) {
            while (tachyon_rpc_wait_any(ends->caller, &id, &size, &type, 0, 0))
                CHECK_OK(tachyon_rpc_commit_rx(ends->caller));
            CHECK_OK(tachyon_rpc_call(ends->caller, "woken", 5, 1, &id));
        }
    }
    return NULL;
}

static void go_on(struct ends *ends, enum end end, const char *name) {
    struct waker waker = {ends, end};
    pthread_t thread = test_thread(wake_body, &waker);
    bool done = false;
    switch (end) {
    case SENDER:
        done = tachyon_send(ends->sends, payload, LARGE, 1, 0, TEN_SECONDS) ==
               TACHYON_SUCCESS;
        break;
    case RECEIVER:
        done = tachyon_acquire_rx_timed(ends->receives, &type, &size, 0, TEN_SECONDS) &&
               size == 5 && tachyon_commit_rx(ends->receives) == TACHYON_SUCCESS;
        break;
    case CALLER:
        done = tachyon_rpc_call_timed(ends->caller, payload, LARGE, 1, &id, 0,
                                      TEN_SECONDS) == TACHYON_SUCCESS;
        test_join(thread);
        thread = test_thread(wake_body, &waker);
        done = done &&
               tachyon_rpc_wait_timed(ends->caller, id, &size, &type, 0, TEN_SECONDS) &&
               tachyon_rpc_commit_rx(ends->caller) == TACHYON_SUCCESS;
        break;
    case CALLEE:
        done =
            tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 0, TEN_SECONDS) &&
            tachyon_rpc_commit_serve(ends->callee) == TACHYON_SUCCESS &&
            tachyon_rpc_reply_timed(ends->callee, id, payload, LARGE, 1, 0,
                                    TEN_SECONDS) == TACHYON_SUCCESS;
    }
    if (!done)
        FAIL("after %s: %s", name, tachyon_last_error_message());
    test_join(thread);
}

TEST(a_cancelled_call_leaves_the_handle_usable) {
    for (size_t i = 0; i < CALLS; i++) {
        struct ends ends = ends_open();
        cancel_in(&calls[i], &ends);
        if (!calls[i].ended)
            go_on(&ends, calls[i].end, calls[i].name);
        ends_close(&ends);
    }
}

TEST(a_handle_can_be_destroyed_after_a_cancelled_call) {
    for (size_t i = 0; i < CALLS; i++) {
        struct ends ends = ends_open();
        cancel_in(&calls[i], &ends);
        ends_close(&ends);
    }
}

/* From the entry into the wait to deep in the sleep, again and again on one handle. */
TEST(a_call_may_be_cancelled_at_any_moment) {
    struct ends ends = ends_open();
    uint64_t random = 5;
    for (int i = 0; i < 400; i++) {
        struct victim victim = {.call = &calls[0], .ends = &ends};
        pthread_t thread = test_thread(victim_body, &victim);
        void *result;
        while (!atomic_load(&victim.entered))
            test_let_others_run();
        for (uint64_t n = test_random_below(&random, 10000); n > 0; n--)
            ty_pause();
        CHECK_EQ(pthread_cancel(thread), 0);
        CHECK_EQ(pthread_join(thread, &result), 0);
        CHECK(result == PTHREAD_CANCELED);
        CHECK(!atomic_load(&ends.receives->link.waiting));
    }
    go_on(&ends, RECEIVER, "400 cancelled ones");
    ends_close(&ends);
}

TEST(a_descriptor_for_event_loops_tells_of_messages_after_a_cancelled_call) {
    struct ends ends = ends_open();
    cancel_in(
        &(struct waiting_call){"acquire_rx_blocking", receive_watched, RECEIVER, false},
        &ends);
    struct pollfd fd = {.fd = tachyon_bus_fileno(ends.receives), .events = POLLIN};
    CHECK_REFUSED(tachyon_acquire_rx(ends.receives, &type, &size), TACHYON_ERR_EMPTY);
    CHECK_EQ(poll(&fd, 1, 0), 0);
    CHECK_OK(tachyon_send(ends.sends, "x", 1, 1, 0, 0));
    CHECK_EQ(poll(&fd, 1, 10000), 1);
    CHECK(tachyon_acquire_rx(ends.receives, &type, &size));
    ends_close(&ends);
}

/* ---- Where no thread is cancelled ---- */

static void *pending_body(void *context) {
    struct ends *ends = context;
    tachyon_peer_t peer;
    pthread_cancel(pthread_self());
    CHECK_OK(tachyon_send(ends->sends, "x", 1, 1, 0, 0)); /* wakes who sleeps */
    CHECK_EQ(tachyon_get_state(ends->sends), TACHYON_STATE_READY);
    CHECK_OK(tachyon_bus_get_peer(ends->sends, &peer));
    CHECK(tachyon_bus_fileno(ends->sends) >= 0);
    for (int i = 0; i < 100; i++)
        if (tachyon_send(ends->sends, payload, LARGE, 1, 0, 0) != TACHYON_SUCCESS)
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
    for (int i = 0; i < 10000; i++)
        tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 0, 0);
    tachyon_bus_close(ends->sends);
    tachyon_bus_destroy(ends->sends);
    tachyon_rpc_abort(ends->caller);
    tachyon_rpc_destroy(ends->caller);
    ends->sends = NULL;
    ends->caller = NULL;
    pthread_testcancel();
    return NULL;
}

static void *sleep_body(void *context) {
    struct ends *ends = context;
    CHECK(tachyon_acquire_rx_blocking(ends->receives, &type, &size, 0));
    return NULL;
}

TEST(no_thread_is_cancelled_in_a_call_that_does_not_wait) {
    struct ends ends = ends_open();
    pthread_t sleeper = test_thread(sleep_body, &ends), thread;
    void *result;
    while (atomic_load(&ends.receives->link.sleeps) == 0)
        test_let_others_run();
    test_sleep_ms(5);
    thread = test_thread(pending_body, &ends);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(!ends.sends); /* it came to the end */
    test_join(sleeper);
    ends_close(&ends);
}

static void *uncancellable_body(void *context) {
    struct ends *ends = context;
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    /* musl sends its signal to a thread that is not to be cancelled too. */
    while (!tachyon_acquire_rx_blocking(ends->receives, &type, &size, 0))
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INTERRUPTED);
    CHECK_OK(tachyon_commit_rx(ends->receives));
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    CHECK_EQ(state, PTHREAD_CANCEL_DISABLE); /* as it was */
    return context;
}

TEST(a_thread_that_is_not_to_be_cancelled_is_not) {
    struct ends ends = ends_open();
    pthread_t thread = test_thread(uncancellable_body, &ends);
    while (atomic_load(&ends.receives->link.sleeps) == 0)
        test_let_others_run();
    CHECK_EQ(pthread_cancel(thread), 0);
    test_sleep_ms(20);
    CHECK(atomic_load(&ends.receives->link.waiting));
    CHECK_OK(tachyon_send(ends.sends, "x", 1, 1, 0, 0));
    CHECK(test_join(thread) == &ends);
    ends_close(&ends);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection ends, as either side is told: a close, an abort, a death. */
#include "bus.h"
#include "peers.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static _Thread_local uint32_t type;
static _Thread_local size_t size;

/* ---- Abort: what the peer gets ---- */

/* One message by each way to receive without waiting for ever; false: there was none.
 */
enum receiving { LOOK, SPIN, BLOCK, TIMED, BATCH, DRAIN, COPY, ARRAY, RECEIVINGS };

static bool receive_one(tachyon_bus_t *bus, enum receiving how) {
    tachyon_msg_view_t view;
    char item[5];
    switch (how) {
    case LOOK:
        return tachyon_acquire_rx(bus, &type, &size) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case SPIN:
        return tachyon_acquire_rx_spin(bus, &type, &size, 0) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case BLOCK:
        return tachyon_acquire_rx_blocking(bus, &type, &size, 10) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case TIMED:
        return tachyon_acquire_rx_timed(bus, &type, &size, 0, INT64_C(20000000000)) &&
               tachyon_commit_rx(bus) == TACHYON_SUCCESS;
    case BATCH:
        return tachyon_acquire_rx_batch(bus, &view, 1) &&
               tachyon_commit_rx_batch(bus, &view, 1) == TACHYON_SUCCESS;
    case DRAIN:
        return tachyon_drain_batch(bus, &view, 1, 0) &&
               tachyon_commit_rx_batch(bus, &view, 1) == TACHYON_SUCCESS;
    case COPY:
        return tachyon_recv(bus, item, sizeof item, &size, &type, 0, -1) ==
               TACHYON_SUCCESS;
    default:
        return tachyon_recv_batch(bus, item, sizeof item, 1, &type, 0, -1) == 1;
    }
}

static void check_aborted(tachyon_bus_t *bus, enum receiving how) {
    for (int i = 0; i < 3; i++) { /* it stays so */
        int looks = 0;
        while (receive_one(bus, how) || tachyon_last_error() == TACHYON_ERR_EMPTY)
            CHECK(++looks < 100000); /* who never waits asks the kernel now and then */
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
        CHECK_SAYS("gave up in the middle");
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
    }
}

/* Whatever is done to an aborted end: nothing more is sent. */
static void use_after_abort(tachyon_bus_t *bus, int how) {
    switch (how) {
    case 0:
        break;
    case 1:
        tachyon_flush(bus);
        break;
    case 2: /* the reservation was open; nobody may see it */
        tachyon_commit_tx(bus, 5, 99);
        tachyon_flush(bus);
        break;
    case 3:
        for (int i = 0; i < 300 && tachyon_commit_tx(bus, 5, 99) == TACHYON_SUCCESS;
             i++)
            if (!tachyon_acquire_tx(bus, 5))
                break;
        CHECK_ERROR(tachyon_send(bus, "never", 5, 1, 0, -1), TACHYON_ERR_CLOSED);
        CHECK_SAYS("this handle has been aborted");
        CHECK_EQ(tachyon_send_batch(bus, "never", 1, 5, 1, 0, -1), 0);
        break;
    default:
        tachyon_bus_close(bus);
        tachyon_bus_abort(bus);
    }
}

TEST(after_an_abort_the_peer_gets_what_was_flushed_and_then_aborted) {
    for (int how = 0; how < RECEIVINGS; how++)
        for (int use = 0; use < 5; use++)
            for (int fences = 0; fences < 2; fences++) {
                struct pair pair = pair_open(4096);
                if (fences)
                    pair_without_membarrier(&pair);
                for (uint32_t i = 0; i < 3; i++)
                    CHECK_OK(tachyon_send(pair.connector, "whole", 5, i, 0, 0));
                for (uint32_t i = 3; i < 5; i++) { /* not flushed */
                    CHECK(tachyon_acquire_tx(pair.connector, 5));
                    CHECK_OK(tachyon_commit_tx(pair.connector, 5, i));
                }
                CHECK(tachyon_acquire_tx(pair.connector, 5));
                tachyon_bus_abort(pair.connector);
                use_after_abort(pair.connector, use);
                if (use % 2) {
                    tachyon_bus_destroy(pair.connector);
                    pair.connector = NULL;
                }
                CHECK_EQ(tachyon_get_state(pair.listener), TACHYON_STATE_READY);
                for (uint32_t i = 0; i < 3; i++) {
                    CHECK(receive_one(pair.listener, (enum receiving)how));
                    if (how != BATCH && how != DRAIN)
                        CHECK_EQ(type, i);
                }
                CHECK(!receive_one(pair.listener, (enum receiving)how));
                check_aborted(pair.listener, (enum receiving)how);
                pair_close(&pair);
            }
}

/* The payload is not there: whoever reads it meets an abort of the bus half-way. */
static struct {
    tachyon_bus_t *bus;
    char *payload;
    size_t page;
} unread;

static void abort_and_let_read(int number) {
    (void)number;
    tachyon_bus_abort(unread.bus);
    CHECK_EQ(mprotect(unread.payload, 2 * unread.page, PROT_READ), 0);
}

TEST(what_an_abort_in_the_middle_of_a_send_has_dropped_is_not_said_to_be_sent) {
    const struct sigaction action = {.sa_handler = abort_and_let_read};
    struct sigaction before;
    unread.page = (size_t)sysconf(_SC_PAGESIZE);
    unread.payload =
        mmap(NULL, 2 * unread.page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(unread.payload != MAP_FAILED);
    CHECK_EQ(sigaction(SIGSEGV, &action, &before), 0);
    for (int batch = 0; batch < 2; batch++)
        for (int fences = 0; fences < 2; fences++) {
            struct pair pair = pair_open(1 << 20);
            if (fences)
                pair_without_membarrier(&pair);
            unread.bus = pair.connector;
            CHECK_EQ(mprotect(unread.payload + unread.page, unread.page, PROT_NONE), 0);
            size_t sent = 0, received = 0;
            if (batch) {
                sent = tachyon_send_batch(pair.connector, unread.payload + 8, 16,
                                          (2 * unread.page - 8) / 16, 1, 0, 0);
                CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
                CHECK(sent > 0);
            } else {
                CHECK_ERROR(tachyon_send(pair.connector, unread.payload + unread.page,
                                         5, 1, 0, 0),
                            TACHYON_ERR_CLOSED);
            }
            CHECK_SAYS("this handle has been aborted");
            while (receive_one(pair.listener, BLOCK))
                received++;
            CHECK_EQ(received, sent);
            check_aborted(pair.listener, BLOCK);
            pair_close(&pair);
        }
    CHECK_EQ(sigaction(SIGSEGV, &before, NULL), 0);
    munmap(unread.payload, 2 * unread.page);
}

struct blocked {
    tachyon_bus_t *bus;
    bool sends;
    tachyon_error_t error;
};

static void *blocked_body(void *context) {
    struct blocked *blocked = context;
    bool done = blocked->sends
                    ? tachyon_acquire_tx_timed(blocked->bus, 3000, 0, -1) != NULL
                    : receive_one(blocked->bus, BLOCK);
    blocked->error = done ? TACHYON_SUCCESS : tachyon_last_error();
    return NULL;
}

/* Either end aborts, from a thread of its own, while either of them sleeps. */
TEST(an_abort_ends_both_ends_blocked_calls) {
    for (int sends = 0; sends < 2; sends++)
        for (int own = 0; own < 2; own++) {
            struct pair pair = pair_open(4096);
            struct blocked blocked = {.bus = pair.listener, .sends = sends};
            if (sends) /* and the ring is full */
                CHECK_OK(tachyon_send(pair.listener, (char[3000]){0}, 3000, 1, 0, 0));
            pthread_t thread = test_thread(blocked_body, &blocked);
            while (atomic_load(&pair.listener->link.sleeps) == 0)
                test_sleep_ms(1);
            tachyon_bus_abort(own ? pair.listener : pair.connector);
            test_join(thread);
            CHECK_EQ(blocked.error, own ? TACHYON_ERR_CLOSED : TACHYON_ERR_ABORTED);
            pair_close(&pair);
        }
}

TEST(a_producer_learns_of_the_consumers_abort) {
    for (int how = 0; how < 4; how++) {
        struct pair pair = pair_open(4096);
        tachyon_bus_t *bus = pair.connector;
        CHECK_OK(tachyon_send(bus, "x", 1, 1, 0, 0));
        CHECK(tachyon_acquire_rx(pair.listener, &type, &size));
        tachyon_bus_abort(pair.listener);
        if (how == 0) { /* at once */
            CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
        } else if (how == 1) { /* when the ring is full */
            int sent = 0;
            while (tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
                CHECK(++sent < 100);
        } else if (how == 2) { /* when it would wait */
            int sent = 0;
            while (tachyon_send(bus, "x", 1, 1, 100, -1) == TACHYON_SUCCESS)
                CHECK(++sent < 100);
        } else { /* in an event loop */
            struct pollfd fd = {.fd = tachyon_bus_fileno(bus), .events = POLLIN};
            CHECK_EQ(poll(&fd, 1, 10000), 1);
            while (tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
                ;
        }
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
        if (how != 0) { /* a look from any thread leaves the sending one alone */
            CHECK_REFUSED(tachyon_acquire_tx(bus, 1), TACHYON_ERR_ABORTED);
            CHECK_SAYS("gave up in the middle");
        }
        CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
        pair_close(&pair);
    }
}

TEST(the_first_farewell_counts) {
    for (int abort_first = 0; abort_first < 2; abort_first++) {
        struct pair pair = pair_open(4096);
        tachyon_error_t expected = TACHYON_ERR_CLOSED;
        if (abort_first) {
            tachyon_bus_abort(pair.connector);
            expected = TACHYON_ERR_ABORTED;
        }
        tachyon_bus_close(pair.connector);
        tachyon_bus_abort(pair.connector);
        CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_CLOSED);
        CHECK_SAYS(abort_first ? "has been aborted" : "has been closed");
        tachyon_bus_destroy(pair.connector);
        pair.connector = NULL;
        CHECK(!receive_one(pair.listener, BLOCK));
        CHECK_EQ(tachyon_last_error(), expected);
        pair_close(&pair);
    }
}

/* A peer of the same version that knows no abort must not take it for the end of the
 * stream: it looks for this one byte, and takes a hang-up without it for a death. */
TEST(an_abort_does_not_say_bye_to_an_older_peer) {
    struct pair pair = pair_open(4096);
    char bytes[64];
    tachyon_bus_abort(pair.connector);
    tachyon_bus_destroy(pair.connector);
    pair.connector = NULL;
    ssize_t count =
        recv(pair.listener->link.socket, bytes, sizeof bytes, MSG_DONTWAIT | MSG_PEEK);
    CHECK_EQ(count, 1);
    CHECK_EQ(bytes[0], 'X');
    CHECK(recv(pair.listener->link.socket, bytes, sizeof bytes, MSG_DONTWAIT) == 1 &&
          recv(pair.listener->link.socket, bytes, sizeof bytes, MSG_DONTWAIT) == 0);
    CHECK(!receive_one(pair.listener, BLOCK)); /* taken out, as that one would */
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
    pair_close(&pair);
}

TEST(null_is_ignored) {
    tachyon_bus_abort(NULL);
    tachyon_rpc_abort(NULL);
}

/* ---- Abort of RPC ---- */

struct rpc_ends {
    const char *path;
    tachyon_rpc_bus_t *caller, *callee;
};

static void *rpc_listen_body(void *context) {
    struct rpc_ends *ends = context;
    tachyon_options_t options = options_with_timeout_ms(20000);
    CHECK_OK(tachyon_rpc_listen_with(ends->path, 4096, 4096, &options, &ends->callee));
    return NULL;
}

static struct rpc_ends rpc_open(void) {
    struct rpc_ends ends = {.path = test_path("rpc")};
    tachyon_options_t options = options_with_timeout_ms(20000);
    pthread_t thread = test_thread(rpc_listen_body, &ends);
    CHECK_OK(tachyon_rpc_connect_with(ends.path, &options, &ends.caller));
    test_join(thread);
    return ends;
}

static void rpc_close(struct rpc_ends *ends) {
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
}

TEST(a_callee_serves_what_was_sent_before_the_callers_abort) {
    struct rpc_ends ends = rpc_open();
    uint64_t id;
    for (int i = 0; i < 2; i++)
        CHECK_OK(tachyon_rpc_call(ends.caller, "x", 1, 1, &id));
    CHECK(tachyon_rpc_acquire_tx(ends.caller, 1));
    tachyon_rpc_abort(ends.caller);
    CHECK_ERROR(tachyon_rpc_commit_call(ends.caller, 1, 1, &id), TACHYON_ERR_CLOSED);
    CHECK_SAYS("this handle has been aborted");
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 1, &size, &type, 0),
                  TACHYON_ERR_CLOSED);
    CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_DISCONNECTED);
    tachyon_rpc_destroy(ends.caller);
    ends.caller = NULL;
    for (uint64_t expected = 1; expected <= 2; expected++) {
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
        CHECK_EQ(id, expected);
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
    }
    for (int i = 0; i < 2; i++) {
        CHECK_REFUSED(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0),
                      TACHYON_ERR_ABORTED);
        CHECK_SAYS("gave up in the middle");
        CHECK_ERROR(tachyon_rpc_reply(ends.callee, 1, "y", 1, 1), TACHYON_ERR_ABORTED);
        CHECK_EQ(tachyon_rpc_get_state(ends.callee), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_ABORTED);
    }
    rpc_close(&ends);
}

TEST(a_caller_gets_the_replies_from_before_the_callees_abort) {
    struct rpc_ends ends = rpc_open();
    uint64_t ids[3], id;
    for (int i = 0; i < 3; i++)
        CHECK_OK(tachyon_rpc_call(ends.caller, "x", 1, 1, &ids[i]));
    for (int i = 0; i < 3; i++) {
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
    }
    CHECK_OK(tachyon_rpc_reply(ends.callee, 3, "three", 5, 1));
    CHECK_OK(tachyon_rpc_reply(ends.callee, 1, "one", 3, 1));
    CHECK(tachyon_rpc_acquire_reply_tx(ends.callee, 3));
    tachyon_rpc_abort(ends.callee);
    CHECK_ERROR(tachyon_rpc_commit_reply(ends.callee, 2, 3, 1), TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(ends.callee);
    ends.callee = NULL;
    for (int i = 0; i < 2; i++) { /* the first one is kept, being another's */
        const char *reply = tachyon_rpc_wait(ends.caller, i ? 3 : 1, &size, &type, 0);
        CHECK(reply && memcmp(reply, i ? "three" : "one", size) == 0);
        CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    }
    CHECK_REFUSED(tachyon_rpc_wait(ends.caller, 2, &size, &type, 0),
                  TACHYON_ERR_ABORTED);
    CHECK_REFUSED(tachyon_rpc_wait_any(ends.caller, &id, &size, &type, 0, -1),
                  TACHYON_ERR_ABORTED);
    CHECK_ERROR(tachyon_rpc_call(ends.caller, "x", 1, 1, &id), TACHYON_ERR_ABORTED);
    CHECK_EQ(tachyon_rpc_get_state(ends.caller), TACHYON_STATE_FATAL_ERROR);
    rpc_close(&ends);
}

/* ---- Abort after fork ---- */

static void abort_in_child(void *context) {
    const struct pair *pair = context;
    tachyon_bus_abort(pair->connector);
    CHECK_REFUSED(tachyon_acquire_tx(pair->connector, 1), TACHYON_ERR_FORKED);
    tachyon_bus_destroy(pair->connector);
    tachyon_bus_destroy(pair->listener);
}

TEST(an_abort_in_a_forked_child_does_nothing_to_the_parent) {
    struct pair pair = pair_open(4096);
    CHECK_EQ(test_wait(test_spawn(abort_in_child, &pair)), 0);
    CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
    CHECK(receive_one(pair.listener, LOOK));
    pair_close(&pair);
}

/* ---- Loops that take every failure for a signal and try again ---- */

/* How the forerunner's users wait: NULL is a signal unless the state is FATAL_ERROR.
 * The loop goes round until then, or until the time is over; these return what they
 * got. */
struct loop {
    const char *name;
    const void *(*step)(struct loop *loop);
    bool rpc, listens; /* which handle it turns round */
    tachyon_bus_t *bus;
    tachyon_rpc_bus_t *end;
    struct pair pair;
    struct rpc_ends ends;
    _Atomic int64_t until_ms;
    uint64_t rounds;
    int64_t cpu_us;
    bool raised;
    tachyon_error_t error;
    _Atomic bool done;
};

static const char large[3000];

static const void *step_blocking(struct loop *loop) {
    return tachyon_acquire_rx_blocking(loop->bus, &type, &size, 100);
}
static const void *step_spin(struct loop *loop) {
    return tachyon_acquire_rx_spin(loop->bus, &type, &size, 0);
}
static const void *step_timed(struct loop *loop) {
    return tachyon_acquire_rx_timed(loop->bus, &type, &size, 100, -1);
}
static const void *step_drain(struct loop *loop) {
    tachyon_msg_view_t views[4];
    return tachyon_drain_batch(loop->bus, views, 4, 100) ? large : NULL;
}
static const void *step_array(struct loop *loop) {
    char items[4];
    return tachyon_recv_batch(loop->bus, items, 1, 4, &type, 100, -1) ? large : NULL;
}
static const void *step_recv(struct loop *loop) {
    char item[4];
    return tachyon_recv(loop->bus, item, 4, &size, &type, 100, -1) ? NULL : large;
}
static const void *step_polling(struct loop *loop) {
    tachyon_bus_set_polling_mode(loop->bus, 1);
    return step_blocking(loop);
}
static const void *step_acquire(struct loop *loop) {
    void *slot = tachyon_acquire_tx_timed(loop->bus, sizeof large, 100, -1);
    if (slot)
        CHECK_OK(tachyon_commit_tx(loop->bus, sizeof large, 1));
    return slot;
}
static const void *step_send(struct loop *loop) {
    return tachyon_send(loop->bus, large, sizeof large, 1, 100, -1) ? NULL : large;
}
static const void *step_send_array(struct loop *loop) {
    return tachyon_send_batch(loop->bus, large, 1500, 2, 1, 100, -1) ? large : NULL;
}
static const void *step_acquire_several(struct loop *loop) {
    size_t count, stride;
    void *slot =
        tachyon_acquire_tx_batch(loop->bus, sizeof large, 2, &count, &stride, 100, -1);
    if (slot)
        CHECK_OK(tachyon_commit_tx_batch(loop->bus, count, 1));
    return slot;
}
static const void *step_wait(struct loop *loop) {
    return tachyon_rpc_wait(loop->end, 1, &size, &type, 100);
}
static const void *step_wait_any(struct loop *loop) {
    uint64_t id;
    return tachyon_rpc_wait_any(loop->end, &id, &size, &type, 100, -1);
}
static const void *step_call(struct loop *loop) {
    uint64_t id;
    return tachyon_rpc_call_timed(loop->end, large, sizeof large, 1, &id, 100, -1)
               ? NULL
               : large;
}
static const void *step_serve(struct loop *loop) {
    uint64_t id;
    return tachyon_rpc_serve(loop->end, &id, &type, &size, 100);
}
static const void *step_reply(struct loop *loop) {
    void *slot = tachyon_rpc_acquire_reply_tx_timed(loop->end, sizeof large, 100, -1);
    if (slot) /* the ring has no room for a second one */
        CHECK_OK(tachyon_rpc_commit_reply(loop->end, 1, sizeof large, 1));
    return slot;
}

static const struct loop loops[] = {
    {.name = "acquire_rx_blocking", .step = step_blocking},
    {.name = "acquire_rx_spin", .step = step_spin},
    {.name = "acquire_rx_timed", .step = step_timed},
    {.name = "drain_batch", .step = step_drain},
    {.name = "recv_batch", .step = step_array},
    {.name = "recv", .step = step_recv},
    {.name = "acquire_rx_blocking, polling", .step = step_polling},
    {.name = "acquire_tx_timed", .step = step_acquire},
    {.name = "send", .step = step_send},
    {.name = "send_batch", .step = step_send_array},
    {.name = "acquire_tx_batch", .step = step_acquire_several},
    {.name = "rpc_wait", .step = step_wait, .rpc = true},
    {.name = "rpc_wait_any", .step = step_wait_any, .rpc = true},
    {.name = "rpc_call_timed", .step = step_call, .rpc = true},
    {.name = "rpc_serve", .step = step_serve, .rpc = true, .listens = true},
    {.name = "rpc_acquire_reply_tx", .step = step_reply, .rpc = true, .listens = true},
};
#define LOOPS (sizeof loops / sizeof loops[0])

static tachyon_state_t loop_state(const struct loop *loop) {
    return loop->rpc ? tachyon_rpc_get_state(loop->end) : tachyon_get_state(loop->bus);
}

static void *loop_body(void *context) {
    struct loop *loop = context;
    struct rusage usage;
    while (test_now_ms() < atomic_load(&loop->until_ms)) {
        loop->rounds++;
        if (loop->step(loop)) /* what was sent before the end: once, or a ringful */
            continue;
        loop->error = tachyon_last_error();
        loop->raised = loop_state(loop) == TACHYON_STATE_FATAL_ERROR;
        if (loop->raised)
            break;
    }
    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    loop->cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                   usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return NULL;
}

enum ending { CLOSE, ABORT, DEATH, OWN_CLOSE };

static void loop_open(struct loop *loop) {
    uint64_t id;
    if (loop->rpc) {
        loop->ends = rpc_open();
        loop->end = loop->listens ? loop->ends.callee : loop->ends.caller;
        CHECK_OK(tachyon_rpc_call(loop->ends.caller, "x", 1, 1, &id));
        if (loop->listens) {
            CHECK(tachyon_rpc_serve(loop->end, &id, &type, &size, 0));
            CHECK_OK(tachyon_rpc_commit_serve(loop->end));
        }
    } else {
        loop->pair = pair_open(4096);
        loop->bus = loop->pair.listener;
    }
}

static void loop_end(struct loop *loop, enum ending ending) {
    tachyon_bus_t *peer = loop->pair.connector;
    tachyon_bus_t *own = loop->bus;
    if (loop->rpc) {
        peer = (tachyon_bus_t *)(void *)(loop->listens ? loop->ends.caller
                                                       : loop->ends.callee);
        own = (tachyon_bus_t *)(void *)loop->end;
    }
    switch (ending) {
    case CLOSE:
        tachyon_bus_close(peer);
        break;
    case ABORT:
        tachyon_bus_abort(peer);
        break;
    case DEATH: /* all that is left of a dead process */
        ty_close(&peer->link.socket);
        break;
    case OWN_CLOSE:
        tachyon_bus_close(own);
    }
}

static void run_loops(enum ending ending, int64_t for_ms) {
    struct loop running[LOOPS];
    pthread_t threads[LOOPS];
    for (size_t i = 0; i < LOOPS; i++) {
        running[i] = loops[i];
        loop_open(&running[i]);
        loop_end(&running[i], ending);
    }
    for (size_t i = 0; i < LOOPS; i++) {
        running[i].until_ms = test_now_ms() + for_ms;
        threads[i] = test_thread(loop_body, &running[i]);
    }
    for (size_t i = 0; i < LOOPS; i++)
        test_join(threads[i]);
    for (size_t i = 0; i < LOOPS; i++) {
        struct loop *loop = &running[i];
        bool fatal = ending == ABORT || ending == DEATH;
        if (loop->error != (ending == ABORT   ? TACHYON_ERR_ABORTED
                            : ending == DEATH ? TACHYON_ERR_PEER_DEAD
                                              : TACHYON_ERR_CLOSED))
            FAIL("%s: %s", loop->name, tachyon_strerror(loop->error));
        if (loop->raised != fatal)
            FAIL("%s: the loop %s", loop->name, fatal ? "goes on" : "has ended");
        if (loop->cpu_us > for_ms * 1000 / 25)
            FAIL("%s: %jd us of processor time in %jd ms, %ju rounds", loop->name,
                 (intmax_t)loop->cpu_us, (intmax_t)for_ms, (uintmax_t)loop->rounds);
        pair_close(&loop->pair);
        rpc_close(&loop->ends);
    }
}

TEST(a_loop_that_goes_on_after_a_close_leaves_the_processor_alone) {
    if (test_sanitized())
        test_skip("a sanitizer takes processor time");
    run_loops(CLOSE, 1000);
    run_loops(OWN_CLOSE, 1000);
}

TEST(a_loop_that_ends_at_a_fatal_error_ends_with_the_peer) {
    run_loops(ABORT, 20000);
    run_loops(DEATH, 20000);
}

/* A sanitizer's, or for a page that is fetched. */
#define SLEEPS_OF_OTHERS 10

TEST(only_a_repeated_untimed_wait_sleeps_after_the_end) {
    for (int ending = CLOSE; ending <= DEATH; ending++) {
        struct loop loop = {0};
        loop_open(&loop);
        loop_end(&loop, (enum ending)ending);
        int64_t sleeps = test_sleeps();
        CHECK(!step_blocking(&loop)); /* told */
        for (int i = 0; i < 10000; i++) {
            CHECK(!tachyon_acquire_rx(loop.bus, &type, &size));
            CHECK(!tachyon_acquire_rx_spin(loop.bus, &type, &size, 100));
            CHECK(!tachyon_acquire_rx_timed(loop.bus, &type, &size, 0, 1000000000));
        }
        CHECK_IN(test_sleeps() - sleeps, 0, SLEEPS_OF_OTHERS);
        CHECK(!step_blocking(&loop));
        for (int i = 0; i < 8; i++)
            CHECK_TAKES(1, 100, CHECK(!step_blocking(&loop)));
        pair_close(&loop.pair);
    }
}

TEST(each_call_that_is_outstanding_is_told_of_the_end_at_once) {
    struct loop loop = {.rpc = true};
    loop_open(&loop);
    uint64_t id = 1;
    while (tachyon_rpc_call(loop.end, "x", 1, 1, &id) == TACHYON_SUCCESS)
        ;
    CHECK(id > 50);
    loop_end(&loop, CLOSE);
    for (int64_t sleeps = test_sleeps(); id > 0; id--) {
        CHECK_REFUSED(tachyon_rpc_wait(loop.end, id, &size, &type, 0),
                      TACHYON_ERR_CLOSED);
        CHECK_IN(test_sleeps() - sleeps, 0, SLEEPS_OF_OTHERS);
    }
    rpc_close(&loop.ends);
}

static void interrupt(int signal) {
    (void)signal;
}

static int interrupted_hook(void *context) {
    return *(int *)context;
}

TEST(a_signal_ends_the_sleep_before_the_end_is_told_again) {
    struct loop loop = {0};
    loop_open(&loop);
    loop_end(&loop, CLOSE);
    for (int i = 0; i < 8; i++)
        CHECK(!step_blocking(&loop));
    struct sigaction action = {.sa_handler = interrupt};
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    bool interrupted = false;
    for (int i = 0; i < 20 && !interrupted; i++) {
        struct itimerval soon = {.it_value.tv_usec = 3000};
        CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
        CHECK(!step_blocking(&loop));
        interrupted = tachyon_last_error() == TACHYON_ERR_INTERRUPTED;
    }
    CHECK(interrupted);
    int stop = 1;
    loop.bus->link.interrupt.hook = interrupted_hook;
    loop.bus->link.interrupt.context = &stop;
    CHECK(!step_blocking(&loop));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INTERRUPTED);
    stop = 0;
    CHECK(!step_blocking(&loop));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED); /* it stays so */

    /* With restart no signal does, and the sleep is no shorter. */
    struct itimerval storm = {.it_value.tv_usec = 500, .it_interval.tv_usec = 500};
    loop.bus->link.interrupt.restart = true;
    CHECK_EQ(setitimer(ITIMER_REAL, &storm, NULL), 0);
    CHECK_TAKES(
        10 * 15, 2000, for (int i = 0; i < 10; i++) {
            CHECK(!step_blocking(&loop));
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
        });
    CHECK_EQ(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);

    int event = loop.bus->link.interrupt.fd = eventfd(1, EFD_CLOEXEC);
    CHECK(!step_blocking(&loop));
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INTERRUPTED);
    CHECK_REFUSED(tachyon_acquire_rx(loop.bus, &type, &size), TACHYON_ERR_CLOSED);
    close(event);
    pair_close(&loop.pair);
}

TEST(a_handle_is_closed_and_destroyed_under_a_loop_that_goes_on) {
    for (int i = 0; i < 20; i++) {
        struct loop loop = loops[i % LOOPS];
        loop_open(&loop);
        loop_end(&loop, CLOSE);
        loop.until_ms = INT64_MAX;
        pthread_t thread = test_thread(loop_body, &loop);
        test_await_sleep();
        CHECK_TAKES(0, 100, loop_end(&loop, OWN_CLOSE));
        test_sleep_ms(30);
        atomic_store(&loop.until_ms, 0);
        test_join(thread);
        CHECK_EQ(loop.error, TACHYON_ERR_CLOSED);
        CHECK_TAKES(0, 500, {
            pair_close(&loop.pair);
            rpc_close(&loop.ends);
            loop.ends = (struct rpc_ends){0};
        });
    }
}

static void *step_body(void *context) {
    struct loop *loop = context;
    loop->step(loop);
    loop->error = tachyon_last_error();
    atomic_store(&loop->done, true);
    return NULL;
}

TEST(destroy_waits_for_a_call_that_sleeps_before_it_tells) {
    struct loop loop = loops[0];
    loop_open(&loop);
    loop_end(&loop, CLOSE);
    for (int i = 0; i < 8; i++)
        CHECK(!step_blocking(&loop));
    pthread_t thread = test_thread(step_body, &loop);
    while (!atomic_load(&loop.bus->link.waiting))
        if (atomic_load(&loop.done)) { /* its sleep was over before we looked */
            test_join(thread);
            atomic_store(&loop.done, false);
            thread = test_thread(step_body, &loop);
        }
    tachyon_bus_destroy(loop.pair.listener);
    loop.pair.listener = NULL;
    test_join(thread);
    CHECK_EQ(loop.error, TACHYON_ERR_CLOSED);
    pair_close(&loop.pair);
}

/* ---- Hanging up: the end, but for the memory ---- */

TEST(a_handle_that_hangs_up_keeps_its_memory_and_no_descriptor) {
    size_t fds = test_count_fds();
    struct pair pair = pair_open(4096);
    CHECK(tachyon_bus_fileno(pair.listener) >= 0);
    CHECK_OK(tachyon_send(pair.connector, "first", 5, 1, 0, 0));
    const char *held = tachyon_acquire_rx(pair.listener, &type, &size);
    void *slot = tachyon_acquire_tx(pair.connector, 6);
    CHECK(held && slot);
    memcpy(slot, "second", 6);
    CHECK_OK(tachyon_commit_tx(pair.connector, 6, 1)); /* not flushed yet */
    CHECK(tachyon_acquire_tx(pair.connector, 7));      /* rolled back */
    tachyon_bus_hang_up(pair.connector);
    tachyon_bus_hang_up(pair.connector);
    CHECK_OK(tachyon_commit_rx(pair.listener));
    held = tachyon_acquire_rx(pair.listener, &type, &size);
    CHECK(held && size == 6);
    tachyon_bus_hang_up(pair.listener);
    CHECK_EQ(test_count_fds(), fds);
    CHECK(memcmp(held, "second", 6) == 0 && memcmp(slot, "second", 6) == 0);
    CHECK_REFUSED(tachyon_acquire_tx(pair.connector, 1), TACHYON_ERR_CLOSED);
    CHECK_REFUSED(tachyon_acquire_rx_timed(pair.listener, &type, &size, 0, -1),
                  TACHYON_ERR_CLOSED);
    CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_DISCONNECTED);
    CHECK(tachyon_bus_fileno(pair.listener) < 0);
    CHECK_EQ(test_count_fds(), fds);
    tachyon_bus_hang_up(NULL);
    pair_close(&pair);
}

TEST(hanging_up_ends_a_blocked_call) {
    struct pair pair = pair_open(4096);
    struct rpc_ends ends = rpc_open();
    struct blocked blocked = {.bus = pair.listener};
    pthread_t thread = test_thread(blocked_body, &blocked);
    while (atomic_load(&pair.listener->link.sleeps) == 0)
        test_sleep_ms(1);
    tachyon_bus_hang_up(pair.listener);
    test_join(thread);
    CHECK_EQ(blocked.error, TACHYON_ERR_CLOSED);
    CHECK_EQ(tachyon_get_state(pair.connector), TACHYON_STATE_DISCONNECTED);
    pair_close(&pair);
    tachyon_rpc_hang_up(ends.caller);
    CHECK_REFUSED(tachyon_rpc_acquire_tx(ends.caller, 1), TACHYON_ERR_CLOSED);
    rpc_close(&ends);
}

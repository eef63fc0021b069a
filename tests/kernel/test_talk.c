/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending, receiving and calling while the kernel or the allocator refuses: no message
 * is lost, no sleeper forgotten, and the next try succeeds.
 */
#include "bus.h"
#include "harness.h"
#include "kernel.h"
#include "peers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MS INT64_C(1000000)

static int chosen_error;

static int choose(enum kernel_call call) {
    (void)call;
    return chosen_error;
}

/* ---- First receive, asleep ---- */

struct delayed {
    tachyon_bus_t *bus;
    int64_t after_ms;
};

static void *send_later(void *context) {
    const struct delayed *delayed = context;
    test_sleep_ms(delayed->after_ms);
    CHECK_OK(tachyon_send(delayed->bus, "late", 4, 1, 0, 0));
    return NULL;
}

static void expect_late(tachyon_bus_t *bus) {
    uint32_t type;
    size_t size;
    const void *message = tachyon_acquire_rx_timed(bus, &type, &size, 0, 5000 * MS);
    if (!message)
        FAIL("a retry gives %s", tachyon_last_error_message());
    CHECK(size == 4 && memcmp(message, "late", 4) == 0);
    CHECK_OK(tachyon_commit_rx(bus));
}

/* Every call of a first receive that has to sleep: membarrier, ppoll, recv. */
TEST(a_sleeping_receive_survives_the_refusal_of_every_call) {
    static const int errors[] = {EINTR, ENOMEM, EPERM, EINTR};
    unsigned refusals = 0;
    for (unsigned nth = 0; nth < 50; nth++) {
        bool reached = false;
        for (size_t e = 0; e < 4; e++) {
            bool restart = e == 3; /* then a signal ends no wait */
            tachyon_options_t options = options_with_timeout_ms(5000);
            options.restart = restart;
            struct pair pair = pair_open_with(4096, NULL, &options);
            struct delayed delayed = {pair.listener, 5};
            pthread_t sender = test_thread(send_later, &delayed);
            uint32_t type;
            size_t size;
            chosen_error = errors[e];
            kernel_arm(nth, choose);
            const void *message =
                tachyon_acquire_rx_timed(pair.connector, &type, &size, 0, 5000 * MS);
            tachyon_error_t error = message ? TACHYON_SUCCESS : tachyon_last_error();
            reached = kernel_disarm();
            refusals += reached;
            if (message) /* handed out again, as it was not committed */
                CHECK(size == 4);
            else if (errors[e] == EINTR)
                CHECK_EQ(error, TACHYON_ERR_INTERRUPTED);
            else
                CHECK_EQ(error, TACHYON_ERR_SYSTEM);
            CHECK((reached && !restart) || message);
            expect_late(pair.connector);
            test_join(sender);
            pair_close(&pair);
        }
        if (!reached)
            break;
    }
    printf("    %u refusals\n", refusals);
    CHECK_OR_AGAIN(refusals >= 6);
}

/* ---- First send, to a sleeper ---- */

static void *receive_late(void *context) {
    expect_late(context);
    return NULL;
}

static void wait_until_asleep(const tachyon_bus_t *bus) {
    while (atomic_load(&bus->link.sleeps) == 0)
        test_sleep_ms(1);
    test_sleep_ms(2);
}

/* The kernel has no memory for the wake-up: the next flush repeats it. */
TEST(a_wakeup_that_was_refused_is_sent_with_the_next_flush) {
    static const int errors[] = {ENOBUFS, ENOMEM, EINTR};
    for (size_t e = 0; e < 3; e++) {
        struct pair pair = pair_open(4096);
        pthread_t receiver = test_thread(receive_late, pair.connector);
        wait_until_asleep(pair.connector);
        int64_t begin = test_now_ms();
        kernel_refuse_always(CALL_SEND, errors[e]);
        CHECK_OK(tachyon_send(pair.listener, "late", 4, 1, 0, 0));
        kernel_refuse_always(CALL_SEND, 0);
        CHECK_OK(tachyon_send(pair.listener, "late", 4, 1, 0, 0));
        test_join(receiver);
        CHECK_IN(test_now_ms() - begin, 0, 1000);
        expect_late(pair.connector);
        pair_close(&pair);
    }
}

/* A full socket holds wake-ups that nobody has read yet: one more is not needed. */
TEST(a_wakeup_into_a_full_socket_may_be_dropped) {
    struct pair pair = pair_open(4096);
    kernel_refuse_always(CALL_SEND, EAGAIN);
    CHECK_OK(tachyon_send(pair.listener, "late", 4, 1, 0, 0));
    kernel_refuse_always(CALL_SEND, 0);
    expect_late(pair.connector);
    pair_close(&pair);
}

static void *send_when_there_is_room(void *context) {
    CHECK_OK(tachyon_send(context, "late", 4, 1, 0, 5000 * MS));
    return NULL;
}

TEST(a_producer_whose_wakeup_was_refused_wakes_at_the_next_release) {
    struct pair pair = pair_open(4096);
    uint32_t type;
    size_t size;
    while (tachyon_send(pair.listener, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
        continue;
    pthread_t sender = test_thread(send_when_there_is_room, pair.listener);
    wait_until_asleep(pair.listener);
    int64_t begin = test_now_ms();
    CHECK(tachyon_acquire_rx(pair.connector, &type, &size));
    kernel_refuse_always(CALL_SEND, ENOBUFS);
    CHECK_OK(tachyon_commit_rx(pair.connector));
    kernel_refuse_always(CALL_SEND, 0);
    CHECK(tachyon_acquire_rx(pair.connector, &type, &size));
    CHECK_OK(tachyon_commit_rx(pair.connector));
    test_join(sender);
    CHECK_IN(test_now_ms() - begin, 0, 1000);
    pair_close(&pair);
}

/* ---- membarrier and pidfd: what may be missing ---- */

#define ROUNDS 300

static void *echo(void *context) {
    tachyon_bus_t *bus = context;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0)
            test_sleep_ms(1); /* so that the receiver does go to sleep */
        CHECK_OK(tachyon_send(bus, &i, sizeof i, 1, 0, 5000 * MS));
    }
    return NULL;
}

/* Messages 1 ms apart or at once; returns how often the receiver slept. */
static uint64_t wakes_up_each_time(void) {
    struct pair pair = pair_open(4096);
    pthread_t sender = test_thread(echo, pair.listener);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t type;
        size_t size;
        const int *number =
            tachyon_acquire_rx_timed(pair.connector, &type, &size, 0, 2000 * MS);
        if (!number)
            FAIL("message %d: %s", i, tachyon_last_error_message());
        CHECK_EQ(*number, i);
        CHECK_OK(tachyon_commit_rx(pair.connector));
    }
    test_join(sender);
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    pair_close(&pair);
    CHECK(stats.sleeps >= ROUNDS / 10);
    return stats.sleeps;
}

TEST(without_membarrier_fences_keep_sleepers_awake) {
    kernel_refuse_always(CALL_MEMBARRIER_REGISTER, ENOSYS);
    wakes_up_each_time();
    CHECK_EQ(kernel_count(CALL_MEMBARRIER), 0); /* registered by neither: not used */
}

TEST(with_membarrier_refused_later_sleeps_are_sliced) {
    kernel_refuse_always(CALL_MEMBARRIER, EPERM);
    wakes_up_each_time();
    CHECK(kernel_count(CALL_MEMBARRIER) >= ROUNDS / 10);

    /* Nobody sends a wake-up; the message is found within a slice all the same. */
    struct pair pair = pair_open(4096);
    struct delayed delayed = {pair.listener, 100};
    kernel_refuse_always(CALL_SEND, EAGAIN);
    int64_t begin = test_now_ms();
    pthread_t sender = test_thread(send_later, &delayed);
    expect_late(pair.connector);
    CHECK_IN(test_now_ms() - begin, 99, 1000);
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(pair.connector, &stats));
    CHECK_IN(stats.sleeps, 10, 200); /* slices of 1 ms, not a busy loop */
    test_join(sender);
    kernel_refuse_always(CALL_SEND, 0);
    pair_close(&pair);
}

static void connect_and_hang(void *context) {
    tachyon_bus_t *bus;
    tachyon_options_t options = options_with_timeout_ms(5000);
    CHECK_OK(tachyon_bus_connect_with(context, &options, &bus));
    for (;;)
        pause();
}

TEST(without_a_pidfd_the_socket_tells_of_a_death) {
    kernel_refuse_always(CALL_PEERPIDFD, ENOPROTOOPT);
    kernel_refuse_always(CALL_PIDFD_OPEN, ENOSYS);
    const char *path = test_path("bus");
    pid_t child = test_spawn(connect_and_hang, (void *)(uintptr_t)path);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen(path, 4096, &bus));
    CHECK_EQ(kill(child, SIGKILL), 0);
    uint32_t type;
    size_t size;
    int64_t begin = test_now_ms();
    CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 10000 * MS),
                  TACHYON_ERR_PEER_DEAD);
    CHECK_IN(test_now_ms() - begin, 0, 1000);
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_wait(child), -SIGKILL);
}

/* ---- Calls ---- */

struct calls {
    const char *path;
    tachyon_rpc_bus_t *callee, *caller;
};

static void *listen_for_calls(void *context) {
    struct calls *calls = context;
    CHECK_OK(tachyon_rpc_listen(calls->path, 65536, 65536, &calls->callee));
    return NULL;
}

static struct calls calls_open(void) {
    struct calls calls = {.path = test_path("calls")};
    tachyon_options_t options = options_with_timeout_ms(5000);
    pthread_t listener = test_thread(listen_for_calls, &calls);
    CHECK_OK(tachyon_rpc_connect_with(calls.path, &options, &calls.caller));
    test_join(listener);
    return calls;
}

static void calls_close(struct calls *calls) {
    tachyon_rpc_destroy(calls->caller);
    tachyon_rpc_destroy(calls->callee);
}

TEST(a_call_without_memory_for_its_entry_is_refused_and_can_be_repeated) {
    struct calls calls = calls_open();
    uint64_t id = 0;
    unsigned refused = 0;
    for (unsigned i = 0; i < 200; i++) {
        kernel_refuse_always(CALL_CALLOC, ENOMEM);
        tachyon_error_t error = tachyon_rpc_call(calls.caller, &i, sizeof i, 1, &id);
        kernel_refuse_always(CALL_CALLOC, 0);
        if (error != TACHYON_SUCCESS) {
            CHECK_EQ(error, TACHYON_ERR_MEM);
            CHECK_OK(tachyon_rpc_call(calls.caller, &i, sizeof i, 1, &id));
            refused++;
        }
        CHECK_EQ(id, i + 1);
    }
    CHECK_EQ(refused, 2); /* 64 and 128 entries were too few */
    /* So it is for the callee, who learns of them one by one. */
    for (unsigned i = 0; i < 200; i++) {
        uint32_t type;
        size_t size;
        kernel_refuse_always(CALL_CALLOC, ENOMEM);
        const void *request =
            tachyon_rpc_serve_timed(calls.callee, &id, &type, &size, 0, 0);
        kernel_refuse_always(CALL_CALLOC, 0);
        if (!request) {
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_MEM);
            request = tachyon_rpc_serve_timed(calls.callee, &id, &type, &size, 0, 0);
            refused++;
        }
        CHECK(request && id == i + 1 && memcmp(request, &i, sizeof i) == 0);
        CHECK_OK(tachyon_rpc_commit_serve(calls.callee));
    }
    CHECK_EQ(refused, 4);
    calls_close(&calls);
}

/* A reply that must be kept for later, and there is no memory for the copy. */
TEST(a_reply_that_cannot_be_kept_is_not_waited_for_in_vain) {
    struct calls calls = calls_open();
    uint64_t first, second, id;
    uint32_t type;
    size_t size;
    CHECK_OK(tachyon_rpc_call(calls.caller, "1", 1, 1, &first));
    CHECK_OK(tachyon_rpc_call(calls.caller, "2", 1, 1, &second));
    for (int i = 0; i < 2; i++) {
        CHECK(tachyon_rpc_serve_timed(calls.callee, &id, &type, &size, 0, 0));
        CHECK_OK(tachyon_rpc_commit_serve(calls.callee));
        CHECK_OK(tachyon_rpc_reply(calls.callee, id, "reply", 5, (uint32_t)id));
    }
    kernel_refuse_always(CALL_MALLOC, ENOMEM);
    const void *reply =
        tachyon_rpc_wait_timed(calls.caller, second, &size, &type, 0, 1000 * MS);
    tachyon_error_t error = reply ? TACHYON_SUCCESS : tachyon_last_error();
    kernel_refuse_always(CALL_MALLOC, 0);
    CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_MEM);
    if (!reply)
        reply =
            tachyon_rpc_wait_timed(calls.caller, second, &size, &type, 0, 1000 * MS);
    CHECK(reply && type == second);
    CHECK_OK(tachyon_rpc_commit_rx(calls.caller));

    int64_t begin = test_now_ms();
    reply = tachyon_rpc_wait_timed(calls.caller, first, &size, &type, 0, 3000 * MS);
    if (!reply && tachyon_last_error() != TACHYON_ERR_MEM)
        FAIL("the wait for the reply that was dropped ends with %s",
             tachyon_last_error_message());
    CHECK_IN(test_now_ms() - begin, 0, 1000);
    calls_close(&calls);
}

/* ---- The descriptor for event loops ---- */

TEST(a_descriptor_that_is_refused_can_be_had_later) {
    static const int errors[] = {EMFILE, ENOMEM};
    for (unsigned nth = 0; nth < 10; nth++) {
        for (size_t e = 0; e < 2; e++) {
            struct pair pair = pair_open(4096);
            CHECK_OK(tachyon_send(pair.connector, "x", 1, 1, 0, 0));
            size_t fds = test_count_fds();
            chosen_error = errors[e];
            kernel_arm(nth, choose);
            int fd = tachyon_bus_fileno(pair.listener);
            tachyon_error_t error = tachyon_last_error();
            if (!kernel_disarm()) {
                CHECK(fd >= 0 && nth == 3); /* epoll_create1, two epoll_ctl */
                pair_close(&pair);
                return;
            }
            CHECK_EQ(fd, -1);
            CHECK_EQ(error, TACHYON_ERR_SYSTEM);
            CHECK_EQ(test_count_fds(), fds);
            fd = tachyon_bus_fileno(pair.listener);
            CHECK(fd >= 0);
            struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
            CHECK_EQ(poll(&poll_fd, 1, 0), 1);
            pair_close(&pair);
        }
    }
    FAIL("more calls than there should be");
}

static void *answer_later(void *context) {
    struct calls *calls = context;
    uint64_t id;
    uint32_t type;
    size_t size;
    const void *request;
    do /* it may be without a wake-up, which was refused */
        request =
            tachyon_rpc_serve_timed(calls->callee, &id, &type, &size, 0, 100 * MS);
    while (!request && tachyon_last_error() == TACHYON_ERR_TIMEOUT);
    CHECK(request && size == 4 && memcmp(request, "call", 4) == 0);
    CHECK_OK(tachyon_rpc_commit_serve(calls->callee));
    test_sleep_ms(3); /* the caller goes to sleep */
    CHECK_OK(tachyon_rpc_reply(calls->callee, id, "reply", 5, (uint32_t)id));
    return NULL;
}

/* A call and the wait for its reply: whatever is refused, a second try gets it. */
TEST(a_call_and_its_reply_survive_the_refusal_of_every_call) {
    static const int errors[] = {EINTR, ENOMEM, EPERM};
    unsigned refusals = 0;
    for (unsigned nth = 0; nth < 50; nth++) {
        bool reached = false;
        for (size_t e = 0; e < 3; e++) {
            struct calls calls = calls_open();
            uint64_t id = 0;
            uint32_t type;
            size_t size;
            pthread_t callee = test_thread(answer_later, &calls);
            wait_until_asleep((void *)calls.callee); /* so that it must be woken */
            chosen_error = errors[e];
            kernel_arm(nth, choose);
            tachyon_error_t error =
                tachyon_rpc_call_timed(calls.caller, "call", 4, 1, &id, 0, 5000 * MS);
            const void *reply = NULL;
            if (error == TACHYON_SUCCESS)
                reply = tachyon_rpc_wait_timed(calls.caller, id, &size, &type, 0,
                                               5000 * MS);
            if (error == TACHYON_SUCCESS && !reply)
                error = tachyon_last_error();
            reached = kernel_disarm();
            refusals += reached;
            CHECK(error == TACHYON_SUCCESS ||
                  error == (errors[e] == EINTR ? TACHYON_ERR_INTERRUPTED
                                               : TACHYON_ERR_SYSTEM));
            CHECK(reached || error == TACHYON_SUCCESS);
            CHECK_EQ(id, 1);
            if (!reply)
                reply = tachyon_rpc_wait_timed(calls.caller, id, &size, &type, 0,
                                               5000 * MS);
            if (!reply)
                FAIL("a second wait gives %s", tachyon_last_error_message());
            CHECK(size == 5 && type == 1 && memcmp(reply, "reply", 5) == 0);
            CHECK_OK(tachyon_rpc_commit_rx(calls.caller));
            test_join(callee);
            calls_close(&calls);
        }
        if (!reached)
            break;
    }
    printf("    %u refusals\n", refusals);
    CHECK_OR_AGAIN(refusals >= 9);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* listener.c against clients that are silent, wrong, rude or many. */
#include "peers.h"
#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Less than the second that a client is given. The goal is 100 ms: stress.clients. */
#define SOON_MS 800
/* For what comes for sure. */
#define PATIENCE_MS 20000

/* A good client gets in, soon, and the pair works. */
static void expect_good_client(struct listening *listening) {
    tachyon_options_t options = options_with_timeout_ms(0);
    tachyon_bus_t *bus;
    uint32_t type;
    size_t size;
    int64_t begin = test_now_ms();
    CHECK_OK(tachyon_bus_connect_with(listening->path, &options, &bus));
    int64_t took = test_now_ms() - begin;
    if (listening_join(listening) != TACHYON_SUCCESS)
        FAIL("listen: %s", listening->message);
    CHECK_OR_AGAIN(took <= SOON_MS);
    CHECK_OK(tachyon_send(listening->bus, "good", 4, 1, 0, 0));
    const char *message = tachyon_acquire_rx_timed(bus, &type, &size, 0, 1000000000);
    CHECK(message && size == 4 && memcmp(message, "good", 4) == 0);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening->bus);
}

static void start_listener(struct listening *listening) {
    *listening = (struct listening){.path = test_path("bus"), .capacity = 4096};
    listening_start(listening);
}

static void send_hello(int client, const struct wire_greeting *hello) {
    wire_send(client, hello, sizeof *hello, NULL, 0);
}

/* Waits for the answer and its descriptor. */
static struct wire_greeting receive_answer(int client, size_t expected_fds) {
    struct wire_greeting answer;
    int fds[4];
    size_t count = 4;
    CHECK_EQ(wire_receive(client, &answer, sizeof answer, fds, &count, PATIENCE_MS),
             sizeof answer);
    CHECK_EQ(count, expected_fds);
    while (count > 0)
        close(fds[--count]);
    CHECK_EQ(answer.magic, WIRE_MAGIC);
    CHECK_EQ(answer.version, WIRE_VERSION);
    return answer;
}

/* ---- The last moment ---- */

/* What happens when a sleep is over in which nothing came. */
static void (*_Atomic when_late)(void);
static int late_client;

/* The linker puts it in the place of libc's. */
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *signals);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *signals);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                 const sigset_t *signals) {
    int polled = __real_ppoll(fds, count, timeout, signals);
    void (*what)(void) = polled == 0 && (!timeout || timeout->tv_nsec > 0)
                             ? atomic_exchange(&when_late, NULL)
                             : NULL;
    if (what)
        what();
    return polled;
}

static void acknowledge(void) {
    wire_send(late_client, "A", 1, NULL, 0);
}

/* It believes that it is connected; and a listener that is kept from the processor
 * between its sleep and the end of the client's time is not to believe otherwise. */
TEST(an_acknowledge_in_the_last_moment_counts) {
    struct listening listening;
    start_listener(&listening);
    struct wire_greeting hello = wire_hello();
    late_client = wire_connect(listening.path);
    send_hello(late_client, &hello);
    CHECK_EQ(receive_answer(late_client, 1).status, TACHYON_SUCCESS);
    atomic_store(&when_late, acknowledge);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    CHECK(!atomic_load(&when_late));
    tachyon_bus_destroy(listening.bus);
    close(late_client);
}

/* ---- One bad client ---- */

enum bad_client {
    BAD_SILENT,
    BAD_LEAVES,
    BAD_HALF_CLOSES,
    BAD_GARBAGE,
    BAD_SHORT_HELLO,
    BAD_MAGIC,
    BAD_VERSION,
    BAD_KIND,
    BAD_SCHEMA,
    BAD_ROLE,
    BAD_NO_ACKNOWLEDGE,
    BAD_WRONG_ACKNOWLEDGE,
    BAD_LEAVES_AFTER_HELLO,
    BAD_LEAVES_AFTER_ANSWER,
    BAD_TALKS_ON,
    BAD_PASSES_DESCRIPTORS,
    BAD_KINDS,
};

static int bad_client(const char *path, enum bad_client kind) {
    struct wire_greeting hello = wire_hello();
    int client = wire_connect(path);
    char garbage[4096];
    memset(garbage, 'G', sizeof garbage);
    switch (kind) {
    case BAD_SILENT:
    case BAD_KINDS:
        break;
    case BAD_LEAVES:
        close(client);
        return -1;
    case BAD_HALF_CLOSES:
        CHECK_EQ(shutdown(client, SHUT_WR), 0);
        break;
    case BAD_GARBAGE:
        wire_send(client, garbage, sizeof garbage, NULL, 0);
        break;
    case BAD_SHORT_HELLO:
        wire_send(client, &hello, sizeof hello - 1, NULL, 0);
        break;
    case BAD_MAGIC:
        hello.magic++;
        send_hello(client, &hello);
        break;
    case BAD_VERSION:
        hello.version = 4;
        send_hello(client, &hello);
        break;
    case BAD_KIND:
        hello.kind = WIRE_RPC;
        send_hello(client, &hello);
        break;
    case BAD_SCHEMA:
        hello.schema = 7;
        send_hello(client, &hello);
        break;
    case BAD_ROLE:
        hello.role = TACHYON_ROLE_PRODUCER;
        send_hello(client, &hello);
        break;
    case BAD_NO_ACKNOWLEDGE:
        send_hello(client, &hello);
        break;
    case BAD_WRONG_ACKNOWLEDGE:
        send_hello(client, &hello);
        receive_answer(client, 1);
        wire_send(client, "Z", 1, NULL, 0);
        break;
    case BAD_LEAVES_AFTER_HELLO:
        send_hello(client, &hello);
        close(client);
        return -1;
    case BAD_LEAVES_AFTER_ANSWER:
        send_hello(client, &hello);
        receive_answer(client, 1);
        close(client);
        return -1;
    case BAD_TALKS_ON:
        send_hello(client, &hello);
        wire_send(client, garbage, sizeof garbage, NULL, 0);
        break;
    case BAD_PASSES_DESCRIPTORS: {
        const int fds[] = {0, 1, 2};
        wire_send(client, garbage, 10, fds, 3);
        break;
    }
    }
    return client;
}

TEST(fault_8_a_good_client_gets_in_whatever_a_bad_one_does) {
    for (enum bad_client kind = 0; kind < BAD_KINDS; kind++) {
        struct listening listening = {.path = test_path("bus"), .capacity = 4096};
        listening.options.schema = 9;
        listening.options.role = TACHYON_ROLE_PRODUCER;
        listening_start(&listening);
        int client = bad_client(listening.path, kind);
        tachyon_bus_t *bus;
        int64_t begin = test_now_ms();
        tachyon_error_t error = tachyon_bus_connect(listening.path, &bus);
        int64_t took = test_now_ms() - begin;
        if (error != TACHYON_SUCCESS)
            FAIL("behind bad client %d: %s", (int)kind, tachyon_last_error_message());
        if (listening_join(&listening) != TACHYON_SUCCESS)
            FAIL("bad client %d: %s", (int)kind, listening.message);
        CHECK_OR_AGAIN(took <= SOON_MS);
        if (client >= 0) {
            CHECK(wire_ends(client, PATIENCE_MS)); /* nothing is kept of it */
            close(client);
        }
        CHECK_OK(tachyon_send(listening.bus, "good", 4, 1, 0, 0));
        tachyon_bus_destroy(bus);
        tachyon_bus_destroy(listening.bus);
    }
}

TEST(a_bad_client_alone_is_refused_with_the_reason) {
    static const struct {
        enum bad_client kind;
        tachyon_error_t status;
    } table[] = {
        {BAD_MAGIC, TACHYON_ERR_ABI_MISMATCH},
        {BAD_VERSION, TACHYON_ERR_ABI_MISMATCH},
        {BAD_KIND, TACHYON_ERR_ABI_MISMATCH},
        {BAD_GARBAGE, TACHYON_ERR_ABI_MISMATCH},
        {BAD_SCHEMA, TACHYON_ERR_ABI_MISMATCH},
        {BAD_ROLE, TACHYON_ERR_BUSY},
        {BAD_SILENT, TACHYON_ERR_ABI_MISMATCH},
        {BAD_SHORT_HELLO, TACHYON_ERR_ABI_MISMATCH},
    };
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    listening.options.schema = 9;
    listening.options.role = TACHYON_ROLE_PRODUCER;
    listening_start(&listening);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int client = bad_client(listening.path, table[i].kind);
        struct wire_greeting answer = receive_answer(client, 1);
        CHECK_EQ(answer.status, table[i].status);
        CHECK(wire_ends(client, PATIENCE_MS));
        close(client);
    }
    expect_good_client(&listening);
}

TEST(a_refusal_shows_no_ring) {
    struct listening listening;
    start_listener(&listening);
    struct wire_greeting hello = wire_hello(), answer;
    hello.version++;
    int client = wire_connect(listening.path), fd;
    size_t count = 1;
    send_hello(client, &hello);
    CHECK_EQ(wire_receive(client, &answer, sizeof answer, &fd, &count, PATIENCE_MS),
             sizeof answer);
    CHECK_EQ(count, 1);
    struct stat stat;
    CHECK_EQ(fstat(fd, &stat), 0);
    CHECK_EQ(stat.st_size, 0);
    close(fd);
    close(client);
    expect_good_client(&listening);
}

TEST(a_silent_client_of_the_forerunner_can_tell_the_version) {
    /* It says nothing and reads 32 bytes and one descriptor. */
    struct listening listening;
    start_listener(&listening);
    int client = wire_connect(listening.path), fd;
    uint32_t words[8];
    size_t count = 1;
    int64_t begin = test_now_ms();
    CHECK_EQ(wire_receive(client, words, sizeof words, &fd, &count, PATIENCE_MS), 32);
    CHECK(test_now_ms() - begin >= 500); /* it was given time for a hello */
    CHECK_OR_AGAIN(test_now_ms() - begin <= 2500);
    CHECK_EQ(words[0], 0x54414348);
    CHECK_EQ(words[1], WIRE_VERSION);
    CHECK_EQ(count, 1);
    close(fd);
    close(client);
    expect_good_client(&listening);
}

TEST(a_client_that_was_answered_and_left_leaves_its_memory_to_nobody) {
    struct listening listening;
    start_listener(&listening);
    struct wire_greeting hello = wire_hello(), answer;
    int client = wire_connect(listening.path), fd;
    size_t count = 1;
    send_hello(client, &hello);
    CHECK_EQ(wire_receive(client, &answer, sizeof answer, &fd, &count, PATIENCE_MS),
             sizeof answer);
    CHECK_EQ(answer.status, TACHYON_SUCCESS);
    CHECK_EQ(answer.capacity[0], 4096);
    CHECK_EQ(count, 1);
    struct region region;
    CHECK_OK(ty_region_attach(&region, &fd, 1, answer.capacity[0]));
    close(client);

    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect(listening.path, &bus));
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    CHECK_OK(tachyon_send(bus, "secret", 6, 1, 0, 0));
    CHECK_EQ(atomic_load(&ring_line_at(region_data(&region), 4095, 0)->word), 0);
    atomic_store(&ring_line_at(region_data(&region), 4095, 0)->word, UINT64_MAX);
    uint32_t type;
    size_t size;
    CHECK(tachyon_acquire_rx(listening.bus, &type, &size));
    ty_region_free(&region);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

TEST(a_bye_right_behind_the_acknowledge_is_no_failure) {
    struct listening listening;
    start_listener(&listening);
    struct wire_greeting hello = wire_hello();
    int client = wire_connect(listening.path);
    send_hello(client, &hello);
    CHECK_EQ(receive_answer(client, 1).status, TACHYON_SUCCESS);
    wire_send(client, "AB", 2, NULL, 0);
    close(client);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    uint32_t type;
    size_t size;
    CHECK_REFUSED(tachyon_acquire_rx_blocking(listening.bus, &type, &size, 0),
                  TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(listening.bus);
}

TEST(a_hello_may_come_byte_by_byte) {
    struct listening listening;
    start_listener(&listening);
    struct wire_greeting hello = wire_hello();
    int client = wire_connect(listening.path);
    for (size_t i = 0; i < sizeof hello; i++) {
        wire_send(client, (const char *)&hello + i, 1, NULL, 0);
        if (i % 8 == 0)
            test_sleep_ms(1);
    }
    CHECK_EQ(receive_answer(client, 1).status, TACHYON_SUCCESS);
    wire_send(client, "A", 1, NULL, 0);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    close(client);
    tachyon_bus_destroy(listening.bus);
}

TEST(an_older_hello_is_refused_at_once) {
    struct listening listening;
    start_listener(&listening);
    int client = wire_connect(listening.path);
    struct wire_greeting hello = wire_hello();
    hello.version = 100; /* which had 64 bytes */
    wire_send(client, &hello, 64, NULL, 0);
    int64_t begin = test_now_ms();
    CHECK_EQ(receive_answer(client, 1).status, TACHYON_ERR_ABI_MISMATCH);
    CHECK_OR_AGAIN(test_now_ms() - begin <= 500);
    close(client);
    expect_good_client(&listening);
}

/* ---- Many ---- */

TEST(a_good_client_gets_in_among_many_silent_ones) {
    static const int counts[] = {1, 63, 64, 65, 120};
    int clients[120];
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct listening listening;
        start_listener(&listening);
        for (int i = 0; i < counts[c]; i++)
            clients[i] = wire_connect(listening.path);
        expect_good_client(&listening);
        for (int i = 0; i < counts[c]; i++)
            close(clients[i]);
    }
}

TEST(one_that_has_greeted_waits_its_turn_however_long_that_is) {
    /* 30 that never acknowledge, 50 ms each: longer than a hello may take. */
    struct listening listening;
    struct wire_greeting hello = wire_hello();
    int clients[30];
    tachyon_bus_t *bus;
    start_listener(&listening);
    int64_t begin = test_now_ms();
    for (int i = 0; i < 30; i++) {
        clients[i] = wire_connect(listening.path);
        send_hello(clients[i], &hello);
    }
    CHECK_OK(tachyon_bus_connect(listening.path, &bus));
    CHECK(test_now_ms() - begin >= 1400);
    CHECK_OR_AGAIN(test_now_ms() - begin <= 1500 + SOON_MS);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    for (int i = 0; i < 30; i++)
        close(clients[i]);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

/* The listener is about to sleep; all this happens before it looks again. */
static struct {
    const char *path;
    int good, bad[100];
    _Atomic bool done;
} burst;

static int burst_of_clients(void *context) {
    struct wire_greeting hello = wire_hello();
    (void)context;
    if (burst.done)
        return 0;
    burst.good = wire_connect(burst.path);
    send_hello(burst.good, &hello);
    for (int i = 0; i < 100; i++)
        burst.bad[i] = wire_connect(burst.path);
    burst.done = true;
    return 0;
}

TEST(a_burst_of_clients_does_not_push_out_the_one_that_has_greeted) {
    struct listening listening = {.path = burst.path = test_path("bus"),
                                  .capacity = 4096};
    listening.options.interrupted = burst_of_clients;
    listening_start(&listening);
    while (!burst.done)
        sched_yield();
    CHECK_EQ(receive_answer(burst.good, 1).status, TACHYON_SUCCESS);
    wire_send(burst.good, "A", 1, NULL, 0);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    close(burst.good);
    for (int i = 0; i < 100; i++)
        close(burst.bad[i]);
    tachyon_bus_destroy(listening.bus);
}

TEST(fault_8_ten_thousand_refusals_leak_nothing) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    listening.options.schema = 9;
    listening.options.role = TACHYON_ROLE_PRODUCER;
    listening_start(&listening);
    size_t before = test_count_fds();
    for (int i = 0; i < (test_sanitized() ? 1000 : 10000); i++) {
        /* All that need no second of patience. */
        static const enum bad_client kinds[] = {BAD_LEAVES,
                                                BAD_HALF_CLOSES,
                                                BAD_GARBAGE,
                                                BAD_MAGIC,
                                                BAD_VERSION,
                                                BAD_KIND,
                                                BAD_SCHEMA,
                                                BAD_ROLE,
                                                BAD_WRONG_ACKNOWLEDGE,
                                                BAD_TALKS_ON,
                                                BAD_LEAVES_AFTER_HELLO,
                                                BAD_LEAVES_AFTER_ANSWER,
                                                BAD_PASSES_DESCRIPTORS};
        int client = bad_client(listening.path, kinds[i % 13]);
        if (client >= 0)
            close(client);
    }
    test_await_sleep(); /* the last one has been looked at */
    CHECK(test_count_fds() <= before + 2);
    tachyon_bus_t *bus;
    int64_t begin = test_now_ms();
    CHECK_OK(tachyon_bus_connect(listening.path, &bus));
    CHECK_OR_AGAIN(test_now_ms() - begin <= SOON_MS);
    CHECK_EQ(listening_join(&listening), TACHYON_SUCCESS);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

/* ---- A kernel without descriptors ---- */

static void listen_short_of_fds(void *context) {
    int *report = context;
    tachyon_options_t options = options_with_timeout_ms(20000);
    struct rlimit limit = {.rlim_cur = 14, .rlim_max = 14}; /* room for one client */
    tachyon_bus_t *bus;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_OK(tachyon_bus_listen_with(test_path("bus"), 4096, &options, &bus));
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    int64_t used_ms = (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
    CHECK_EQ(write(report[1], &used_ms, sizeof used_ms), sizeof used_ms);
    tachyon_bus_destroy(bus);
}

TEST(fault_8_out_of_descriptors_neither_spins_nor_loses_the_good_client) {
    int report[2], clients[8];
    CHECK_EQ(pipe2(report, O_CLOEXEC), 0);
    const char *path = test_path("bus");
    pid_t pid = test_spawn(listen_short_of_fds, report);
    for (int i = 0; i < 8; i++)
        clients[i] = wire_connect(path);
    int64_t begin = test_now_ms();
    test_sleep_ms(400);
    tachyon_options_t options = options_with_timeout_ms(20000);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    int64_t wall_ms = test_now_ms() - begin, used_ms;
    CHECK_EQ(read(report[0], &used_ms, sizeof used_ms), sizeof used_ms);
    if (used_ms > wall_ms / 3)
        FAIL("%jd ms of CPU in %jd ms", (intmax_t)used_ms, (intmax_t)wall_ms);
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_wait(pid), 0);
    for (int i = 0; i < 8; i++)
        close(clients[i]);
    close(report[0]);
    close(report[1]);
}

TEST(a_client_that_talks_on_before_its_turn_is_dropped) {
    struct listening listening;
    struct wire_greeting hello = wire_hello();
    uint8_t one_more[sizeof hello + 1] = {0};
    start_listener(&listening);
    int answered = wire_connect(listening.path);
    send_hello(answered, &hello);
    receive_answer(answered, 1);
    int waiting = wire_connect(listening.path);
    memcpy(one_more, &hello, sizeof hello);
    wire_send(waiting, one_more, sizeof one_more, NULL, 0);
    uint8_t byte;
    CHECK_EQ(wire_receive(waiting, &byte, 1, NULL, NULL, PATIENCE_MS),
             0); /* unanswered */
    close(waiting);
    close(answered);
    expect_good_client(&listening);
}

static void live_until_told(void *context) {
    int *go = context;
    char byte;
    close(go[1]);
    (void)!read(go[0], &byte, 1);
}

TEST(a_forked_child_keeps_no_client_of_a_listener) {
    struct listening listening;
    int go[2];
    CHECK_EQ(pipe2(go, O_CLOEXEC), 0);
    start_listener(&listening);
    size_t before = test_count_fds();
    int silent = wire_connect(listening.path);
    while (test_count_fds() < before + 2) /* it has been accepted too */
        test_sleep_ms(1);
    test_await_sleep(); /* and entered: what a fork in between passes on is not closed */
    pid_t child = test_spawn(live_until_told, go);
    CHECK(wire_ends(silent,
                    PATIENCE_MS)); /* when its time is over, though the child lives */
    close(silent);
    close(go[0]);
    close(go[1]);
    CHECK_EQ(test_wait(child), 0);
    expect_good_client(&listening);
}

/* As many as there is room for, and each has greeted: none of them is given up for one
 * that comes later, which waits in the backlog instead. */
static void *connect_body(void *context) {
    tachyon_options_t options = options_with_timeout_ms(PATIENCE_MS);
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_connect_with(context, &options, &bus));
    return bus;
}

/* While another waits a client has a twentieth of a second to acknowledge, and to have
 * the pages of such a ring at hand takes longer than that. */
TEST(two_clients_of_a_large_ring_get_in_one_after_the_other) {
    struct listening listening = {.path = test_path("large"), .capacity = 1 << 30};
    pthread_t clients[2];
    tachyon_bus_t *connected[2], *accepted[2];
    for (int i = 0; i < 2; i++)
        clients[i] = test_thread(connect_body, (void *)(uintptr_t)listening.path);
    for (int i = 0; i < 2; i++) {
        listening_start(&listening);
        tachyon_error_t error = listening_join(&listening);
        if (error == TACHYON_ERR_MEM)
            test_skip(listening.message);
        if (error != TACHYON_SUCCESS)
            FAIL("client %d: %s", i + 1, listening.message);
        accepted[i] = listening.bus;
    }
    for (int i = 0; i < 2; i++) {
        connected[i] = test_join(clients[i]);
        CHECK_OK(tachyon_send(connected[i], "large", 5, 1, 0, 0));
    }
    for (int i = 0; i < 2; i++) {
        uint32_t type;
        size_t size;
        CHECK(tachyon_acquire_rx(accepted[i], &type, &size) != NULL);
        tachyon_bus_destroy(accepted[i]);
        tachyon_bus_destroy(connected[i]);
    }
}

TEST(a_table_full_of_clients_that_have_greeted_keeps_the_others_waiting) {
    enum { ROOM = 64 };
    const char *path = test_path("bus");
    struct wire_greeting hello = wire_hello();
    tachyon_opening_t *listener;
    tachyon_bus_t *bus;
    int clients[ROOM + 1];
    CHECK_OK(tachyon_bus_listen_start(path, 4096, NULL, &listener));
    int64_t begin = test_now_ms();
    for (int i = 0; i <= ROOM; i++) {
        clients[i] = wire_connect(path);
        send_hello(clients[i], &hello);
        for (int steps = 0; steps < 3; steps++)
            CHECK_ERROR(tachyon_opening_step(listener, 0), TACHYON_ERR_EMPTY);
    }
    CHECK_OR_AGAIN(test_now_ms() - begin < 1000); /* one goes every 50 ms */
    for (int i = ROOM / 2; i < ROOM; i++)         /* whose turn is far away */
        CHECK(!wire_ends(clients[i], 0));
    for (int i = 0; i < ROOM; i++)
        close(clients[i]);
    for (int steps = 0; steps < 3; steps++)
        CHECK_ERROR(tachyon_opening_step(listener, 0), TACHYON_ERR_EMPTY);
    CHECK_EQ(receive_answer(clients[ROOM], 1).status, TACHYON_SUCCESS);
    wire_send(clients[ROOM], "A", 1, NULL, 0);
    CHECK_OK(tachyon_opening_step(listener, PATIENCE_MS * INT64_C(1000000)));
    CHECK_OK(tachyon_opening_finish_bus(listener, &bus));
    tachyon_opening_cancel(listener);
    tachyon_bus_destroy(bus);
    close(clients[ROOM]);
}

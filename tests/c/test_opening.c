/* SPDX-License-Identifier: Apache-2.0 */
/* Opening without waiting: each step when the descriptor says so, and never otherwise.
 */
#include "peers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define MOST 64

static const struct timespec a_while = {.tv_nsec = 50 * MS};

static int fd_of(tachyon_opening_t *opening) {
    int fd = tachyon_opening_fileno(opening);
    if (fd < 0)
        FAIL("%s", tachyon_last_error_message());
    CHECK_EQ(tachyon_opening_fileno(opening), fd);
    return fd;
}

static bool stands(const char *path, const char *suffix) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void check_no_files(const char *path) {
    CHECK(!stands(path, ""));
    CHECK(!stands(path, ".tachyon-lock"));
}

/* ---- An event loop ---- */

struct end {
    tachyon_opening_t *opening;
    tachyon_error_t outcome;
    unsigned steps;
};

/*
 * Step whoever is readable until all have an outcome, or one of them has had so many
 * steps, or time is over. How often the loop has turned.
 */
static unsigned turn(struct end *ends, size_t count, unsigned most_steps,
                     int64_t most_ms) {
    unsigned turns = 0;
    for (int64_t end = test_now_ms() + most_ms;; turns++) {
        struct pollfd fds[2 * MOST];
        size_t open = 0;
        CHECK(count <= 2 * MOST);
        for (size_t i = 0; i < count; i++) {
            bool waits = ends[i].opening && ends[i].outcome == TACHYON_ERR_EMPTY;
            fds[i] = (struct pollfd){.fd = waits ? fd_of(ends[i].opening) : -1,
                                     .events = POLLIN};
            open += waits;
        }
        int64_t left = end - test_now_ms();
        if (open == 0 || left <= 0)
            return turns;
        poll(fds, count, (int)left);
        for (size_t i = 0; i < count; i++) {
            if (!(fds[i].revents & POLLIN))
                continue;
            int64_t begin = test_now_ms();
            ends[i].outcome = tachyon_opening_step(ends[i].opening, 0);
            CHECK_OR_AGAIN(test_now_ms() - begin < 500); /* it never waits */
            if (++ends[i].steps == most_steps)
                return turns + 1;
        }
    }
}

static struct end listening_on(const char *path, const tachyon_options_t *options) {
    struct end end = {.outcome = TACHYON_ERR_EMPTY};
    CHECK_OK(tachyon_bus_listen_start(path, 4096, options, &end.opening));
    CHECK(stands(path, ""));
    return end;
}

static struct end connecting_to(const char *path, const tachyon_options_t *options) {
    struct end end = {.outcome = TACHYON_ERR_EMPTY};
    CHECK_OK(tachyon_bus_connect_start(path, options, &end.opening));
    return end;
}

static tachyon_bus_t *take(struct end *end) {
    tachyon_bus_t *bus;
    if (end->outcome != TACHYON_SUCCESS)
        FAIL("no connection: %s", tachyon_strerror(end->outcome));
    CHECK_OK(tachyon_opening_finish_bus(end->opening, &bus));
    tachyon_opening_cancel(end->opening);
    end->opening = NULL;
    return bus;
}

static void check_talk(tachyon_bus_t *from, tachyon_bus_t *to) {
    uint32_t type;
    size_t size;
    CHECK_OK(tachyon_send(from, "hello", 5, 7, 0, 0));
    const void *message = tachyon_acquire_rx_timed(to, &type, &size, 0, 2000 * MS);
    CHECK(message && size == 5 && type == 7 && memcmp(message, "hello", 5) == 0);
    CHECK_OK(tachyon_commit_rx(to));
}

static void finish_pair(struct end *listener, struct end *connector) {
    tachyon_bus_t *callee = take(listener), *caller = take(connector);
    check_talk(caller, callee);
    tachyon_bus_destroy(caller);
    tachyon_bus_destroy(callee);
}

/* ---- Good ends ---- */

TEST(two_ends_meet_in_one_thread) {
    const char *path = test_path("bus");
    struct end ends[] = {listening_on(path, NULL), connecting_to(path, NULL)};
    CHECK_IN(turn(ends, 2, 0, 2000), 1, 20);
    check_no_files(path);
    finish_pair(&ends[0], &ends[1]);
}

TEST(an_rpc_bus_opens_in_steps_too) {
    const char *path = test_path("rpc");
    struct end ends[] = {{.outcome = TACHYON_ERR_EMPTY},
                         {.outcome = TACHYON_ERR_EMPTY}};
    CHECK_OK(tachyon_rpc_listen_start(path, 4096, 8192, NULL, &ends[0].opening));
    CHECK_OK(tachyon_rpc_connect_start(path, NULL, &ends[1].opening));
    turn(ends, 2, 0, 2000);
    tachyon_rpc_bus_t *callee, *caller;
    CHECK_OK(tachyon_opening_finish_rpc(ends[0].opening, &callee));
    CHECK_OK(tachyon_opening_finish_rpc(ends[1].opening, &caller));
    tachyon_opening_cancel(ends[0].opening);
    tachyon_opening_cancel(ends[1].opening);
    CHECK_EQ(tachyon_rpc_max_payload(caller), 4096 - 128);
    CHECK_EQ(tachyon_rpc_max_payload(callee), 8192 - 128);
    uint64_t id, served;
    uint32_t type;
    size_t size;
    CHECK_OK(tachyon_rpc_call(caller, "well", 4, 1, &id));
    CHECK(tachyon_rpc_serve_timed(callee, &served, &type, &size, 0, 2000 * MS));
    CHECK_OK(tachyon_rpc_commit_serve(callee));
    CHECK_OK(tachyon_rpc_reply(callee, served, "yes", 3, 2));
    CHECK(tachyon_rpc_wait_timed(caller, id, &size, &type, 0, 2000 * MS));
    tachyon_rpc_destroy(caller);
    tachyon_rpc_destroy(callee);
}

TEST(any_number_opens_in_one_thread) {
    struct end ends[2 * MOST];
    char paths[MOST][256];
    for (size_t i = 0; i < MOST; i++) {
        char name[16];
        snprintf(name, sizeof name, "bus%zu", i);
        snprintf(paths[i], sizeof paths[i], "%s", test_path(name));
        /* Connectors first, which then have to try again. */
        tachyon_options_t patient = options_with_timeout_ms(10000);
        ends[MOST + i] = connecting_to(paths[i], &patient);
        ends[i] = listening_on(paths[i], NULL);
    }
    turn(ends, 2 * MOST, 0, 10000);
    for (size_t i = 0; i < MOST; i++)
        finish_pair(&ends[i], &ends[MOST + i]);
}

TEST(an_opening_meets_a_call_that_waits) {
    struct listening listening = {.path = test_path("bus"), .capacity = 4096};
    listening_start(&listening);
    struct end connector = connecting_to(listening.path, NULL);
    turn(&connector, 1, 0, 2000);
    CHECK_OK(listening_join(&listening));
    tachyon_bus_t *bus = take(&connector);
    check_talk(bus, listening.bus);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(listening.bus);
}

TEST(the_callers_arguments_may_go_after_the_start) {
    char path[256];
    uint32_t *uids = malloc(2 * sizeof *uids);
    uids[0] = 12345;
    uids[1] = geteuid();
    snprintf(path, sizeof path, "%s", test_path("bus"));
    tachyon_options_t options = options_with_timeout_ms(5000);
    options.allowed_uids = uids;
    options.allowed_uid_count = 2;
    struct end ends[] = {listening_on(path, &options), connecting_to(path, &options)};
    memset(path, 'x', strlen(path));
    uids[0] = uids[1] = 54321;
    free(uids);
    memset(&options, 0xFF, sizeof options);
    turn(ends, 2, 0, 2000);
    finish_pair(&ends[0], &ends[1]);
}

/* ---- Readable when there is something to do, and only then ---- */

TEST(a_listener_without_clients_is_quiet) {
    struct end end = listening_on(test_path("bus"), NULL);
    CHECK_ERROR(tachyon_opening_step(end.opening, 0), TACHYON_ERR_EMPTY);
    CHECK(!test_readable(fd_of(end.opening), 200));
    tachyon_opening_cancel(end.opening);
}

TEST(a_silent_client_makes_no_noise_until_its_time_is_over) {
    const char *path = test_path("bus");
    struct end end = listening_on(path, NULL);
    int client = wire_connect(path);
    int64_t begin = test_now_ms();
    CHECK_IN(turn(&end, 1, 0, 500), 1, 5);
    CHECK_OR_AGAIN(test_now_ms() - begin < 900);
    CHECK_IN(turn(&end, 1, 0, 1500 - (test_now_ms() - begin)), 1, 5); /* refused */
    struct wire_greeting refusal;
    CHECK_EQ(wire_receive(client, &refusal, sizeof refusal, NULL, NULL, 0),
             sizeof refusal);
    CHECK_EQ(refusal.status, TACHYON_ERR_ABI_MISMATCH);
    CHECK(wire_ends(client, 0));
    close(client);
    tachyon_opening_cancel(end.opening);
}

TEST(a_slow_client_is_taken_byte_by_byte) {
    const char *path = test_path("bus");
    struct end end = listening_on(path, NULL);
    struct wire_greeting hello = wire_hello(), answer;
    int client = wire_connect(path), fds[4];
    size_t count = 4;
    for (size_t i = 0; i < sizeof hello; i++) {
        wire_send(client, (const char *)&hello + i, 1, NULL, 0);
        CHECK(test_readable(fd_of(end.opening), 1000));
        CHECK_ERROR(tachyon_opening_step(end.opening, 0), TACHYON_ERR_EMPTY);
        CHECK(!test_readable(fd_of(end.opening), 0));
    }
    CHECK_EQ(wire_receive(client, &answer, sizeof answer, fds, &count, 1000),
             sizeof answer);
    CHECK_EQ(count, 1);
    close(fds[0]);
    CHECK(!test_readable(fd_of(end.opening), 0));
    wire_send(client, "A", 1, NULL, 0);
    CHECK_IN(turn(&end, 1, 0, 1000), 1, 1);
    tachyon_bus_destroy(take(&end));
    close(client);
}

TEST(bad_clients_do_not_keep_a_good_one_out) {
    const char *path = test_path("bus");
    struct end end = listening_on(path, NULL);
    struct wire_greeting hello = wire_hello(), wrong = hello;
    wrong.kind = WIRE_RPC;
    char garbage[4096];
    memset(garbage, 'G', sizeof garbage);
    int clients[6];
    for (size_t i = 0; i < 6; i++)
        clients[i] = wire_connect(path);
    wire_send(clients[1], garbage, sizeof garbage, NULL, 0);
    wire_send(clients[2], &wrong, sizeof wrong, NULL, 0);
    wire_send(clients[3], &hello, sizeof hello - 1, NULL, 0);
    wire_send(clients[4], &hello, sizeof hello, NULL, 0); /* answered, and dallies */
    close(clients[5]);
    turn(&end, 1, 3, 500);
    tachyon_options_t options = options_with_timeout_ms(5000);
    struct end ends[] = {end, connecting_to(path, &options)};
    ends[0].steps = 0;
    CHECK_IN(turn(ends, 2, 0, 5000), 1, 40);
    finish_pair(&ends[0], &ends[1]);
    for (size_t i = 0; i < 5; i++)
        close(clients[i]);
}

TEST(a_full_table_of_clients_is_quiet) {
    const char *path = test_path("bus");
    struct end end = listening_on(path, NULL);
    struct wire_greeting hello = wire_hello();
    int clients[80];
    for (size_t i = 0; i < 80; i++) { /* the last ones have to wait in the backlog */
        clients[i] = wire_connect(path);
        wire_send(clients[i], &hello, sizeof hello, NULL, 0);
    }
    /* One makes way every 50 ms. */
    unsigned turns = turn(&end, 1, 0, 600);
    CHECK(turns <= 60);
    CHECK_OR_AGAIN(turns >= 5);
    for (size_t i = 0; i < 80; i++)
        close(clients[i]);
    turn(&end, 1, 0, 100);
    tachyon_options_t options = options_with_timeout_ms(5000);
    struct end ends[] = {end, connecting_to(path, &options)};
    turn(ends, 2, 0, 5000);
    finish_pair(&ends[0], &ends[1]);
}

TEST(a_listener_without_descriptors_is_quiet_and_recovers) {
    const char *path = test_path("bus");
    struct end ends[2] = {listening_on(path, NULL)};
    fd_of(ends[0].opening);
    int client = wire_connect(path);
    struct rlimit limit, tight;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)client + 1;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
    unsigned turns = turn(ends, 1, 0, 300);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(turns <= 100); /* it looks again every 10 ms */
    CHECK_OR_AGAIN(turns >= 2);
    close(client);
    tachyon_options_t options = options_with_timeout_ms(5000);
    ends[1] = connecting_to(path, &options);
    turn(ends, 2, 0, 5000);
    finish_pair(&ends[0], &ends[1]);
}

TEST(deadlines_fire_through_the_descriptor) {
    const char *path = test_path("bus");
    tachyon_options_t options = options_with_timeout_ms(150);
    struct end end;
    CHECK_TAKES(150, 400, {
        end = listening_on(path, &options);
        CHECK_IN(turn(&end, 1, 0, 5000), 1, 3);
        CHECK_EQ(end.outcome, TACHYON_ERR_TIMEOUT);
        CHECK_SAYS(path);
        check_no_files(path);
        CHECK(test_readable(fd_of(end.opening), 0)); /* for good, and asked again: */
        CHECK_ERROR(tachyon_opening_step(end.opening, 0), TACHYON_ERR_TIMEOUT);
        CHECK_ERROR(tachyon_opening_step(end.opening, -1), TACHYON_ERR_TIMEOUT);
        tachyon_opening_cancel(end.opening);
    });
    unsigned tries = 0; /* nobody listens: it tries again in between */
    CHECK_TAKES(150, 400, {
        end = connecting_to(path, &options);
        tries = turn(&end, 1, 0, 5000);
        CHECK_EQ(end.outcome, TACHYON_ERR_TIMEOUT);
        CHECK_SAYS(path);
        tachyon_opening_cancel(end.opening);
    });
    CHECK(tries <= 90);
    CHECK_OR_AGAIN(tries >= 10);
    int silent = wire_listen(path); /* does not answer */
    CHECK_TAKES(150, 400, {
        end = connecting_to(path, &options);
        CHECK_IN(turn(&end, 1, 0, 5000), 1, 3);
        CHECK_EQ(end.outcome, TACHYON_ERR_TIMEOUT);
        tachyon_opening_cancel(end.opening);
    });
    close(silent);
}

TEST(a_descriptor_that_is_asked_for_late_knows_what_has_come) {
    const char *path = test_path("bus");
    struct end ends[] = {listening_on(path, NULL), connecting_to(path, NULL)};
    CHECK_ERROR(tachyon_opening_step(ends[0].opening, 0), TACHYON_ERR_EMPTY);
    while (tachyon_opening_step(ends[1].opening, 0) == TACHYON_ERR_EMPTY)
        ;
    CHECK(
        test_readable(fd_of(ends[0].opening), 0)); /* with a client in the handshake */
    CHECK(test_readable(fd_of(ends[1].opening), 0)); /* with an outcome */
    turn(ends, 2, 0, 2000);
    finish_pair(&ends[0], &ends[1]);
}

/* ---- A start that fails ---- */

TEST(a_start_that_cannot_go_on_gives_no_opening) {
    const char *path = test_path("bus");
    tachyon_opening_t *opening = (void *)1;
    tachyon_options_t options = options_with_timeout_ms(10);
    CHECK_ERROR(tachyon_bus_listen_start(NULL, 4096, NULL, &opening),
                TACHYON_ERR_NULL_PTR);
    CHECK(!opening);
    CHECK_ERROR(tachyon_bus_listen_start(path, 4096, NULL, NULL), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_connect_start(NULL, NULL, &opening), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_bus_listen_start(path, 4097, NULL, &opening),
                TACHYON_ERR_INVALID_SZ);
    check_no_files(path);
    CHECK_ERROR(tachyon_rpc_listen_start(path, 4096, 4097, NULL, &opening),
                TACHYON_ERR_INVALID_SZ);
    check_no_files(path);
    options.role = 9;
    CHECK_ERROR(tachyon_bus_connect_start(path, &options, &opening),
                TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_bus_connect_start(path, NULL, &opening), TACHYON_ERR_NETWORK);
    CHECK_SAYS(path);
    CHECK(!opening);
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    options.role = 0;
    CHECK_ERROR(tachyon_bus_connect_start(longer, &options, &opening),
                TACHYON_ERR_INVALID_SZ);
    struct end end = listening_on(path, NULL);
    CHECK_ERROR(tachyon_bus_listen_start(path, 4096, NULL, &opening),
                TACHYON_ERR_ADDR_IN_USE);
    CHECK(!opening);
    tachyon_opening_cancel(end.opening);
}

TEST(misuse_is_refused) {
    const char *path = test_path("bus");
    struct end ends[] = {listening_on(path, NULL), connecting_to(path, NULL)};
    tachyon_bus_t *bus = (void *)1;
    tachyon_rpc_bus_t *rpc = (void *)1;
    CHECK_ERROR(tachyon_opening_step(NULL, 0), TACHYON_ERR_NULL_PTR);
    CHECK_EQ(tachyon_opening_fileno(NULL), -1);
    CHECK_ERROR(tachyon_opening_finish_bus(NULL, &bus), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_opening_finish_bus(ends[0].opening, NULL),
                TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_opening_finish_rpc(ends[0].opening, NULL),
                TACHYON_ERR_NULL_PTR);
    tachyon_opening_cancel(NULL);
    bus = (void *)1;
    CHECK_ERROR(tachyon_opening_finish_bus(ends[0].opening, &bus), TACHYON_ERR_EMPTY);
    CHECK(!bus);
    turn(ends, 2, 0, 2000);
    CHECK_ERROR(tachyon_opening_finish_rpc(ends[0].opening, &rpc),
                TACHYON_ERR_INVALID_SZ);
    CHECK(!rpc);
    CHECK_OK(tachyon_opening_step(ends[0].opening, 0)); /* again */
    CHECK_OK(tachyon_opening_finish_bus(ends[0].opening, &bus));
    tachyon_bus_t *twice;
    CHECK_ERROR(tachyon_opening_finish_bus(ends[0].opening, &twice), TACHYON_ERR_EMPTY);
    tachyon_opening_cancel(ends[0].opening);
    tachyon_bus_t *other = take(&ends[1]);
    check_talk(other, bus); /* it has outlived its opening */
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(other);
}

TEST(a_connector_goes_on_to_try_where_it_started_whatever_chdir_does) {
    static const char *const paths[] = {"bus", "../one/bus", "../one/../one/././bus"};
    const tachyon_options_t options = options_with_timeout_ms(2000);
    char here[4096];
    CHECK(getcwd(here, sizeof here));
    CHECK_EQ(mkdir(test_path("one"), 0700), 0);
    CHECK_EQ(mkdir(test_path("two"), 0700), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct end other = listening_on(test_path("two/bus"), NULL);
        CHECK_EQ(chdir(test_path("one")), 0);
        struct end ends[] = {{0}, connecting_to(paths[i], &options)};
        CHECK_EQ(chdir(test_path("two")), 0);
        turn(&ends[1], 1, 3, 100); /* tries in vain */
        ends[0] = listening_on(test_path("one/bus"), NULL);
        turn(ends, 2, 0, 2000);
        finish_pair(&ends[0], &ends[1]);
        CHECK_ERROR(tachyon_opening_step(other.opening, 0), TACHYON_ERR_EMPTY);
        tachyon_opening_cancel(other.opening);
        CHECK_EQ(chdir(here), 0);
    }
}

/* ---- Giving up ---- */

TEST(a_listener_may_be_given_up_after_any_step) {
    const char *path = test_path("bus");
    bool met = false;
    for (unsigned most = 1; !met; most++) {
        size_t before = test_count_fds();
        struct end ends[] = {listening_on(path, NULL), connecting_to(path, NULL)};
        turn(ends, 2, most, 2000);
        met = ends[0].outcome != TACHYON_ERR_EMPTY &&
              ends[1].outcome != TACHYON_ERR_EMPTY;
        tachyon_opening_cancel(ends[0].opening);
        check_no_files(path);
        turn(&ends[1], 1, 0, 2000);
        if (ends[1].outcome == TACHYON_SUCCESS) {
            uint32_t type;
            size_t size;
            tachyon_bus_t *bus = take(&ends[1]); /* believed in it; it ends in order */
            CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 2000 * MS),
                          TACHYON_ERR_CLOSED);
            tachyon_bus_destroy(bus);
        } else {
            CHECK_EQ(ends[1].outcome, TACHYON_ERR_NETWORK);
            tachyon_opening_cancel(ends[1].opening);
        }
        CHECK_EQ(test_count_fds(), before);
        CHECK(most < 20);
    }
}

TEST(a_connector_may_be_given_up_after_any_step) {
    const char *path = test_path("bus");
    bool met = false;
    for (unsigned most = 1; !met; most++) {
        size_t before = test_count_fds();
        struct end ends[] = {listening_on(path, NULL), connecting_to(path, NULL)};
        turn(ends, 2, most, 2000);
        tachyon_opening_cancel(ends[1].opening);
        ends[1].opening = NULL;
        met = ends[1].outcome == TACHYON_SUCCESS;
        if (!met) { /* the listener listens on */
            CHECK(stands(path, ""));
            ends[1] = connecting_to(path, NULL);
            turn(ends, 2, 0, 2000);
            finish_pair(&ends[0], &ends[1]);
        } else { /* the listener has a connection, which has ended in order */
            uint32_t type;
            size_t size;
            turn(ends, 1, 0, 2000);
            tachyon_bus_t *bus = take(&ends[0]);
            CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 2000 * MS),
                          TACHYON_ERR_CLOSED);
            tachyon_bus_destroy(bus);
        }
        check_no_files(path);
        CHECK_EQ(test_count_fds(), before);
        CHECK(most < 20);
    }
}

TEST(many_that_are_given_up_leave_nothing) {
    const char *path = test_path("bus");
    tachyon_options_t options = options_with_timeout_ms(5000);
    size_t before = test_count_fds();
    for (int i = 0; i < 300; i++) {
        tachyon_opening_t *opening, *other;
        if (i % 2)
            CHECK_OK(tachyon_bus_listen_start(path, 1 << 20, NULL, &opening));
        else
            CHECK_OK(tachyon_rpc_listen_start(path, 4096, 4096, NULL, &opening));
        CHECK_OK(tachyon_bus_connect_start(test_path("nobody"), &options, &other));
        fd_of(opening);
        fd_of(other);
        tachyon_opening_cancel(opening);
        tachyon_opening_cancel(other);
        check_no_files(path);
    }
    CHECK_EQ(test_count_fds(), before);
}

/* ---- Steps that wait ---- */

TEST(a_step_waits_no_longer_than_it_may) {
    struct end end = listening_on(test_path("bus"), NULL);
    CHECK_TAKES(
        50, 200,
        CHECK_ERROR(tachyon_opening_step(end.opening, 50 * MS), TACHYON_ERR_EMPTY));
    tachyon_opening_cancel(end.opening);
}

static void on_signal(int number) {
    (void)number;
}

static void *interrupt(void *context) {
    test_await_sleep();
    pthread_kill(*(pthread_t *)context, SIGUSR1);
    return NULL;
}

TEST(an_interrupted_step_loses_nothing) {
    const char *path = test_path("bus");
    struct sigaction action = {.sa_handler = on_signal};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    struct end ends[2] = {listening_on(path, NULL)};
    pthread_t self = pthread_self();
    for (int i = 0; i < 3; i++) {
        pthread_t thread = test_thread(interrupt, &self);
        CHECK_ERROR(tachyon_opening_step(ends[0].opening, -1), TACHYON_ERR_INTERRUPTED);
        test_join(thread);
        CHECK(stands(path, ""));
    }
    ends[1] = connecting_to(path, NULL);
    turn(ends, 2, 0, 2000);
    finish_pair(&ends[0], &ends[1]);
}

static int refuse(void *context) {
    ++*(int *)context;
    return 1;
}

TEST(the_hook_is_asked_only_by_a_step_that_waits) {
    int asked = 0;
    tachyon_options_t options = options_with_timeout_ms(5000);
    options.interrupted = refuse;
    options.interrupted_context = &asked;
    struct end end = listening_on(test_path("bus"), &options);
    CHECK_ERROR(tachyon_opening_step(end.opening, 0), TACHYON_ERR_EMPTY);
    CHECK_EQ(asked, 0);
    CHECK_ERROR(tachyon_opening_step(end.opening, -1), TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(asked, 1);
    tachyon_opening_cancel(end.opening);
}

/* Who waits on the opening's descriptor is told of the event by it, and by the step. */
TEST(an_event_is_told_where_the_opening_is_waited_for) {
    const char *path = test_path("bus");
    tachyon_options_t options = {.size = sizeof options, .restart = 1};
    int event = options.interrupt_fd = eventfd(1, EFD_CLOEXEC);
    eventfd_t count;
    struct end ends[2] = {listening_on(path, &options)};
    CHECK_ERROR(tachyon_opening_step(ends[0].opening, 0), TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_opening_step(ends[0].opening, -1), TACHYON_ERR_INTERRUPTED);
    for (int i = 0; i < 2; i++) {
        CHECK(test_readable(fd_of(ends[0].opening), 1000));
        CHECK_ERROR(tachyon_opening_step(ends[0].opening, 0), TACHYON_ERR_INTERRUPTED);
    }
    CHECK_EQ(eventfd_read(event, &count), 0);
    CHECK(!test_readable(fd_of(ends[0].opening), 0));
    CHECK_ERROR(tachyon_opening_step(ends[0].opening, 0), TACHYON_ERR_EMPTY);
    ends[1] = connecting_to(path, &options); /* nothing is lost */
    turn(ends, 2, 0, 2000);
    finish_pair(&ends[0], &ends[1]);

    /* Given up meanwhile: that is no wait. */
    ends[0] = listening_on(path, &options);
    CHECK(fd_of(ends[0].opening) >= 0);
    CHECK_EQ(eventfd_write(event, 1), 0);
    tachyon_opening_cancel(ends[0].opening);
    check_no_files(path);
    close(event);
}

/* ---- fork ---- */

static void be_refused(struct end *ends) {
    size_t open = test_count_fds();
    for (int i = 0; i < 2; i++) {
        CHECK_ERROR(tachyon_opening_step(ends[i].opening, 0), TACHYON_ERR_FORKED);
        CHECK_EQ(tachyon_opening_fileno(ends[i].opening), -1);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FORKED);
        tachyon_bus_t *bus;
        CHECK_ERROR(tachyon_opening_finish_bus(ends[i].opening, &bus),
                    TACHYON_ERR_FORKED);
        tachyon_opening_cancel(ends[i].opening);
    }
    CHECK_EQ(test_count_fds(), open);
}

TEST(an_opening_belongs_to_the_process_that_made_it) {
    const char *path = test_path("bus");
    struct end ends[] = {listening_on(path, NULL), connecting_to(path, NULL)};
    turn(ends, 2, 1, 2000); /* one client in the handshake */
    pid_t pid = fork();
    if (pid == 0) {
        be_refused(ends);
        CHECK(stands(path, ""));
        _exit(0);
    }
    CHECK_EQ(test_wait(pid), 0);
    turn(ends, 2, 0, 2000); /* the parent's do not notice */
    pid = fork();           /* with connections that nobody has taken */
    if (pid == 0) {
        be_refused(ends);
        _exit(0);
    }
    CHECK_EQ(test_wait(pid), 0);
    finish_pair(&ends[0], &ends[1]);
    check_no_files(path);
}

/* ---- pthread_cancel ---- */

static void *listen_for_ever(void *context) {
    tachyon_bus_t *bus;
    tachyon_bus_listen(context, 4096, &bus);
    return NULL;
}

static void *connect_for_ever(void *context) {
    tachyon_options_t options = options_with_timeout_ms(0);
    options.timeout_ns = -1;
    tachyon_rpc_bus_t *rpc;
    tachyon_rpc_connect_with(context, &options, &rpc);
    return NULL;
}

static void *step_for_ever(void *context) {
    tachyon_opening_step(context, -1);
    return NULL;
}

static void cancel_blocked(void *(*body)(void *context), void *context) {
    void *result;
    pthread_t thread = test_thread(body, context);
    nanosleep(&a_while, NULL);
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
}

TEST(a_thread_that_is_cancelled_in_listen_or_connect_leaves_nothing) {
    const char *path = test_path("bus");
    cancel_blocked(listen_for_ever, (void *)(uintptr_t)path); /* libc's own first use */
    size_t before = test_count_fds();
    for (int i = 0; i < 20; i++) {
        cancel_blocked(listen_for_ever, (void *)(uintptr_t)path);
        check_no_files(path);
        cancel_blocked(connect_for_ever, (void *)(uintptr_t)path);
    }
    int silent = wire_listen(path); /* in the handshake */
    cancel_blocked(connect_for_ever, (void *)(uintptr_t)path);
    close(silent);
    unlink(path);
    CHECK_EQ(test_count_fds(), before);
    pid_t pid = fork(); /* needs the mutex of the list of those to be told */
    if (pid == 0)
        _exit(0);
    CHECK_EQ(test_wait(pid), 0);
    struct pair pair = pair_open(4096);
    check_talk(pair.listener, pair.connector);
    pair_close(&pair);
}

TEST(a_thread_that_is_cancelled_in_a_step_leaves_the_opening_as_it_was) {
    const char *path = test_path("bus");
    struct end ends[2] = {listening_on(path, NULL)};
    cancel_blocked(step_for_ever, ends[0].opening);
    CHECK(stands(path, ""));
    ends[1] = connecting_to(path, NULL);
    turn(ends, 2, 0, 2000);
    finish_pair(&ends[0], &ends[1]);
}

/* A cancellation that was asked for before takes effect in a sleep, not at one of the
 * other cancellation points on the way, with half of the work done. */
static void *open_while_cancelled(void *context) {
    const char *path = context;
    tachyon_opening_t *listener, *connector;
    tachyon_bus_t *buses[2];
    pthread_cancel(pthread_self());
    CHECK_OK(tachyon_bus_listen_start(path, 4096, NULL, &listener));
    CHECK_OK(tachyon_bus_connect_start(path, NULL, &connector));
    tachyon_error_t one, other;
    do {
        one = tachyon_opening_step(listener, 0);
        other = tachyon_opening_step(connector, 0);
    } while (one == TACHYON_ERR_EMPTY || other == TACHYON_ERR_EMPTY);
    CHECK_OK(tachyon_opening_finish_bus(listener, &buses[0]));
    CHECK_OK(tachyon_opening_finish_bus(connector, &buses[1]));
    tachyon_opening_cancel(listener);
    tachyon_opening_cancel(connector);
    tachyon_bus_destroy(buses[0]);
    tachyon_bus_destroy(buses[1]);
    pthread_testcancel();
    return NULL;
}

TEST(a_thread_is_cancelled_nowhere_but_in_its_sleep) {
    pthread_t thread =
        test_thread(open_while_cancelled, (void *)(uintptr_t)test_path("bus"));
    void *result;
    CHECK_EQ(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
}

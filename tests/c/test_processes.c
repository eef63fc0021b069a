/* SPDX-License-Identifier: Apache-2.0 */
/* A listener and its peers as processes: stopped and continued, forked, out of
 * descriptors. */
#include "crowd.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MILLI INT64_C(1000000)
#define CAPACITY 4096

static const uint32_t roles[] = {TACHYON_ROLE_CONSUMER, TACHYON_ROLE_PRODUCER};
static const char *path;

/* What the processes of a test tell each other. */
struct board {
    _Atomic uint64_t count, ready;
    _Atomic bool go_on, stop;
    _Atomic int pid;
};

static struct board *board;

static void begin(void) {
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(board != MAP_FAILED);
    path = test_path("bus");
}

static void await(_Atomic uint64_t *value, uint64_t least) {
    int64_t until = test_now_ms() + 10000;
    while (atomic_load(value) < least) {
        CHECK(test_now_ms() < until);
        test_sleep_ms(1);
    }
}

static void end(pid_t pid) {
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(test_wait(pid), -SIGKILL);
}

/* ---- The other process ---- */

/* Listens as `context` says and sends, or takes; each message counts. */
static void listen_on(void *context) {
    tachyon_bus_t *bus = crowd_listen(path, *(const uint32_t *)context, 8);
    atomic_store(&board->ready, 1);
    for (uint64_t number = 0;; number++) {
        if (*(const uint32_t *)context == TACHYON_ROLE_PRODUCER)
            CHECK_OK(crowd_send(bus, number, -1));
        else
            CHECK_OK(crowd_take(bus, &number, -1));
        atomic_fetch_add(&board->count, 1);
    }
}

static tachyon_bus_t *connect_as(uint32_t role, int64_t timeout_ms) {
    tachyon_options_t options = options_with_timeout_ms(timeout_ms);
    tachyon_bus_t *bus;
    options.role = role;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    return bus;
}

static uint32_t opposite(uint32_t role) {
    return role == TACHYON_ROLE_PRODUCER ? TACHYON_ROLE_CONSUMER
                                         : TACHYON_ROLE_PRODUCER;
}

static void send_on(void *context) {
    tachyon_bus_t *bus = connect_as(TACHYON_ROLE_PRODUCER, 10000);
    (void)context;
    for (uint64_t number = 0; !atomic_load(&board->stop); number++) {
        CHECK_OK(crowd_send(bus, number, 10 * SECOND));
        atomic_store(&board->count, number + 1);
    }
    tachyon_bus_destroy(bus);
}

/* ---- Stopped and continued ---- */

TEST(a_producer_that_is_stopped_holds_up_nobody_and_goes_on) {
    begin();
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    pid_t stopped = test_spawn(send_on, NULL);
    crowd_event(bus, TACHYON_EVENT_JOINED);
    tachyon_bus_t *other = crowd_join(bus, path, NULL);
    uint64_t number, next = 0, own = 0;
    for (; next < 100; next++) {
        CHECK_OK(crowd_take(bus, &number, SECOND));
        CHECK_EQ(number, next);
    }
    CHECK_EQ(kill(stopped, SIGSTOP), 0);
    test_sleep_ms(10);
    for (own = 0; own < 500;) {
        CHECK_OK(crowd_send(other, own, 0));
        do { /* until ours: what the other had sent comes as well, in order */
            CHECK_OK(crowd_take(bus, &number, SECOND));
            if (tachyon_bus_sender(bus) == 1)
                CHECK_EQ(number, next++);
        } while (tachyon_bus_sender(bus) == 1);
        CHECK_EQ(number, own++);
    }
    while (crowd_take(bus, &number, 0) == TACHYON_SUCCESS)
        CHECK_EQ(number, next++);
    CHECK_IN(next - atomic_load(&board->count), 0, 1); /* it may not have noted one */
    CHECK_ERROR(crowd_take(bus, &number, 50 * MILLI), TACHYON_ERR_TIMEOUT);
    CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 2); /* it lives */
    CHECK_EQ(kill(stopped, SIGCONT), 0);
    for (uint64_t until = next + 1000; next < until; next++) {
        CHECK_OK(crowd_take(bus, &number, 5 * SECOND));
        CHECK_EQ(number, next);
    }
    atomic_store(&board->stop, true);
    int status;
    while (waitpid(stopped, &status, WNOHANG) == 0)
        if (crowd_take(bus, &number, MILLI) == TACHYON_SUCCESS)
            CHECK_EQ(number, next++);
    CHECK_EQ(status, 0);
    tachyon_bus_destroy(other);
    tachyon_bus_destroy(bus);
}

TEST(a_listener_that_is_stopped_is_a_time_out_and_goes_on) {
    for (int i = 0; i < 2; i++) {
        uint32_t role = roles[i];
        begin();
        pid_t listener = test_spawn(listen_on, &role);
        tachyon_bus_t *peer = connect_as(opposite(role), 10000), *late;
        uint64_t number, next = 0, got = 0;
        for (int messages = 0; messages < 10; messages++)
            CHECK_OK(role == TACHYON_ROLE_PRODUCER
                         ? crowd_take(peer, &number, 5 * SECOND)
                         : crowd_send(peer, 1, 5 * SECOND));
        await(&board->count, 10);
        CHECK_EQ(kill(listener, SIGSTOP), 0);
        test_sleep_ms(10);
        tachyon_error_t error;
        while ((error = role == TACHYON_ROLE_PRODUCER
                            ? crowd_take(peer, &next, 100 * MILLI)
                            : crowd_send(peer, next, 100 * MILLI)) == TACHYON_SUCCESS)
            CHECK(++got < 2 * CAPACITY / 64);
        CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
        tachyon_options_t options = options_with_timeout_ms(100);
        CHECK_ERROR(tachyon_bus_connect_with(path, &options, &late),
                    TACHYON_ERR_TIMEOUT);
        CHECK_EQ(tachyon_get_state(peer), TACHYON_STATE_READY);
        CHECK_EQ(kill(listener, SIGCONT), 0);
        for (int messages = 0; messages < 200; messages++)
            CHECK_OK(role == TACHYON_ROLE_PRODUCER
                         ? crowd_take(peer, &number, 5 * SECOND)
                         : crowd_send(peer, 1, 5 * SECOND));
        late = connect_as(opposite(role), 10000);
        tachyon_bus_destroy(late);
        tachyon_bus_destroy(peer);
        end(listener);
    }
}

/* ---- Forked ---- */

static void live_on(void *context) {
    (void)context;
    while (!atomic_load(&board->stop))
        test_sleep_ms(1);
}

/* Its child outlives it: not by test_spawn(), whose children die with who started them. */
static void fork_and_wait(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) { /* here it has let go of what was its parent's */
        atomic_store(&board->pid, getpid());
        atomic_store(&board->ready, 1);
        live_on(NULL);
        _exit(0);
    }
    live_on(NULL);
}

static void connect_and_fork(void *context) {
    tachyon_bus_t *bus = connect_as(*(const uint32_t *)context, 10000);
    fork_and_wait();
    tachyon_bus_destroy(bus);
}

TEST(the_death_of_a_peer_is_noticed_although_its_child_lives_on) {
    for (int i = 0; i < 2; i++) {
        begin();
        uint32_t role = opposite(roles[i]);
        tachyon_bus_t *bus = crowd_listen(path, roles[i], 4);
        pid_t peer = test_spawn(connect_and_fork, &role);
        crowd_event(bus, TACHYON_EVENT_JOINED);
        await(&board->ready, 1);
        end(peer);
        tachyon_event_t event = {0};
        for (int tries = 0; tries < 3000 && event.kind == 0; tries++) {
            uint64_t number = 0;
            if (roles[i] == TACHYON_ROLE_PRODUCER)
                crowd_send(bus, number, MILLI);
            else
                crowd_take(bus, &number, MILLI);
            tachyon_bus_accept(bus, &event, 0);
        }
        CHECK_EQ(event.kind, TACHYON_EVENT_LEFT);
        CHECK_EQ(event.reason, TACHYON_ERR_PEER_DEAD);
        CHECK_EQ(kill(atomic_load(&board->pid), 0), 0); /* it does */
        atomic_store(&board->stop, true);
        tachyon_bus_destroy(bus);
    }
}

static void listen_and_fork(void *context) {
    tachyon_bus_t *bus = crowd_listen(path, *(const uint32_t *)context, 4);
    crowd_event(bus, TACHYON_EVENT_JOINED);
    fork_and_wait();
    tachyon_bus_destroy(bus);
}

TEST(the_death_of_a_listener_is_noticed_and_its_path_free_although_its_child_lives_on) {
    for (int i = 0; i < 2; i++) {
        begin();
        uint32_t role = roles[i];
        pid_t listener = test_spawn(listen_and_fork, &role);
        tachyon_bus_t *peer = connect_as(opposite(role), 10000);
        uint64_t number;
        await(&board->ready, 1);
        end(listener);
        tachyon_error_t error = TACHYON_SUCCESS;
        while (error == TACHYON_SUCCESS)
            error = role == TACHYON_ROLE_PRODUCER
                        ? crowd_take(peer, &number, 3 * SECOND)
                        : crowd_send(peer, 1, 3 * SECOND);
        CHECK_EQ(error, TACHYON_ERR_PEER_DEAD);
        CHECK_EQ(kill(atomic_load(&board->pid), 0), 0);
        tachyon_bus_t *again = crowd_listen(path, role, 4); /* while it does */
        atomic_store(&board->stop, true);
        tachyon_bus_destroy(again);
        tachyon_bus_destroy(peer);
    }
}

TEST(the_child_of_a_listener_with_one_reader_at_a_time_has_no_part_in_it) {
    begin();
    size_t before = test_count_fds();
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_PRODUCER, 1);
    tachyon_bus_t *reader = crowd_join(bus, path, NULL);
    uint64_t number;
    CHECK_OK(crowd_send(bus, 1, 0));
    pid_t child = fork();
    if (child == 0) {
        bool right = test_count_fds() == before &&
                     crowd_send(bus, 2, 0) == TACHYON_ERR_FORKED &&
                     tachyon_acquire_tx(bus, 8) == NULL &&
                     tachyon_last_error() == TACHYON_ERR_FORKED;
        tachyon_bus_destroy(reader);
        tachyon_bus_destroy(bus);
        _exit(right ? 0 : 1);
    }
    CHECK_EQ(test_wait(child), 0);
    CHECK_OK(crowd_take(reader, &number, 0));
    CHECK_OK(crowd_send(bus, 2, 0));
    CHECK_OK(crowd_take(reader, &number, 0));
    CHECK_EQ(number, 2);
    tachyon_bus_destroy(reader);
    tachyon_bus_destroy(bus);
}

/* ---- Names ---- */

TEST(a_name_is_one_peers_at_a_time_whatever_the_kind) {
    static const uint32_t most[] = {4, 4, 1};
    for (int kind = 0; kind < 3; kind++) {
        begin();
        tachyon_bus_t *other;
        tachyon_bus_t *bus = crowd_listen(
            path, kind == 0 ? TACHYON_ROLE_CONSUMER : TACHYON_ROLE_PRODUCER,
            most[kind]);
        tachyon_options_t options = {.size = sizeof options, .name = "one"};
        tachyon_bus_t *peer = crowd_join(bus, path, "one");
        CHECK_ERROR(crowd_try(bus, path, &options, &other), TACHYON_ERR_BUSY);
        CHECK_SAYS(kind < 2 ? "name" : "place");
        if (kind < 2) {
            tachyon_bus_t *two = crowd_join(bus, path, "two");
            CHECK_ERROR(crowd_try(bus, path, &options, &other), TACHYON_ERR_BUSY);
            tachyon_bus_destroy(two);
        }
        tachyon_bus_destroy(peer);
        CHECK_OK(crowd_try(bus, path, &options, &peer));
        tachyon_bus_destroy(peer);
        tachyon_bus_destroy(bus);
    }
}

/* ---- As many as the descriptors allow ---- */

#define EACH 100 /* peers of one process: four descriptors each */

/* Connects that many, and as many more as get in; they stay until they are to stop. */
static void be_many(void *context) {
    uint32_t role = *(const uint32_t *)context;
    tachyon_bus_t *bus[EACH];
    uint64_t number;
    for (int i = 0; i < EACH; i++)
        bus[i] = connect_as(role, 20000);
    atomic_fetch_add(&board->ready, 1);
    for (int i = 0; i < EACH && role == TACHYON_ROLE_PRODUCER; i++)
        CHECK_OK(crowd_send(bus[i], (uint64_t)i, 10 * SECOND));
    for (int i = 0; i < EACH && role == TACHYON_ROLE_CONSUMER; i++) {
        CHECK_OK(crowd_take(bus[i], &number, 20 * SECOND));
        CHECK_EQ(number, 7);
    }
    atomic_fetch_add(&board->count, EACH);
    live_on(NULL);
    for (int i = 0; i < EACH; i++)
        tachyon_bus_destroy(bus[i]);
}

struct knock {
    uint32_t role;
    int64_t timeout_ms;
};

/* Alone: tries to get in, and says how that ended. */
static void knock(void *context) {
    const struct knock *how = context;
    tachyon_options_t options = options_with_timeout_ms(how->timeout_ms);
    tachyon_bus_t *bus;
    options.role = how->role;
    tachyon_error_t error = tachyon_bus_connect_with(path, &options, &bus);
    tachyon_bus_destroy(bus);
    _exit((int)error);
}

static void step_until(tachyon_bus_t *bus, const _Atomic uint64_t *value,
                       uint64_t least) {
    int64_t until = test_now_ms() + 30000;
    tachyon_event_t event;
    uint64_t number;
    while (atomic_load(value) < least) {
        CHECK(test_now_ms() < until);
        tachyon_bus_accept(bus, &event, MILLI);
        crowd_take(bus, &number, 0); /* of who sends: refused, and no harm */
    }
}

static tachyon_error_t let_knock(tachyon_bus_t *bus, uint32_t role,
                                 int64_t timeout_ms) {
    struct knock how = {role, timeout_ms};
    pid_t pid = test_spawn(knock, &how);
    tachyon_event_t event;
    uint64_t number;
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        tachyon_bus_accept(bus, &event, MILLI);
        crowd_take(bus, &number, 0);
    }
    CHECK(WIFEXITED(status));
    if (role == TACHYON_ROLE_CONSUMER)
        CHECK_OK(crowd_send(bus, 8, 0)); /* which lets out who has gone */
    return (tachyon_error_t)WEXITSTATUS(status);
}

TEST(five_hundred_peers_fit_into_1024_descriptors_and_one_beyond_them_is_refused) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 1024;
    if (limit.rlim_max < 1024 || setrlimit(RLIMIT_NOFILE, &limit) != 0)
        test_skip("there cannot be 1024 descriptors");
    for (int i = 0; i < 2; i++) {
        uint32_t role = roles[i], theirs = opposite(role);
        pid_t pids[5];
        size_t before = test_count_fds();
        begin();
        tachyon_bus_t *bus = crowd_listen(path, role, 1024);
        size_t own = test_count_fds();
        for (int k = 0; k < 5; k++)
            pids[k] = test_spawn(be_many, &theirs);
        step_until(bus, &board->ready, 5);
        for (int tries = 0; tachyon_bus_get_peers(bus, NULL, 0) < 5 * EACH; tries++) {
            tachyon_event_t event; /* the last acknowledges */
            tachyon_bus_accept(bus, &event, MILLI);
            CHECK(tries < 2000);
        }
        CHECK_EQ(test_count_fds(), own + 2 * 5 * EACH);
        if (role == TACHYON_ROLE_PRODUCER)
            CHECK_OK(crowd_send(bus, 7, SECOND));
        step_until(bus, &board->count, 5 * EACH);

        /* One more and the like, until there is nothing left to let one in with. */
        size_t used = test_count_fds();
        for (rlim_t left = 12; left > 0; left--) {
            limit.rlim_cur = used + left;
            CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
            tachyon_error_t error = let_knock(bus, theirs, 300);
            limit.rlim_cur = 1024;
            CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
            if (error != TACHYON_SUCCESS && error != TACHYON_ERR_BUSY &&
                error != TACHYON_ERR_TIMEOUT)
                FAIL("with %zu descriptors left a connect gives %d", (size_t)left,
                     error);
            CHECK(left > 1 || error != TACHYON_SUCCESS);
            CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
        }
        CHECK_OK(let_knock(bus, theirs, 20000)); /* and now as before */
        atomic_store(&board->stop, true);
        for (int k = 0; k < 5; k++)
            CHECK_EQ(test_wait(pids[k]), 0);
        tachyon_bus_destroy(bus);
        CHECK_EQ(test_count_fds(), before);
    }
}

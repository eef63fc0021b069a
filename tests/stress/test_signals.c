/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time-outs of every blocking call, in quiet and in a storm of signals. A caller that
 * goes on after INTERRUPTED with the time that is left is back 20 ms after the time-out
 * at the latest, and never before it; with options.restart the call goes on by itself.
 * options.interrupt_fd ends each of them, in quiet and in a storm.
 *
 * A machine that is busy with other things may keep a thread waiting for longer; each
 * case may be tried three times, which no fault of ours survives.
 */
#include "crowd.h"
#include "length.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define TOLERANCE_MS 20
#define LONG_MS 1000
#define TRIES 3
#define AT_ONCE 16 /* calls that wait: each has 58 descriptors, of the usual 1,024 */

/* What may end a wait: part of the options of all that is opened. */
static struct {
    uint32_t restart;
    int32_t interrupt_fd;
} rules;

static tachyon_options_t options_of(int64_t timeout_ns) {
    return (tachyon_options_t){.size = sizeof(tachyon_options_t),
                               .timeout_ns = timeout_ns,
                               .restart = rules.restart,
                               .interrupt_fd = rules.interrupt_fd};
}

struct ends {
    struct pair pair; /* the listener sends; its ring is full */
    struct pair held; /* the listener sends; the connector holds a message */
    tachyon_rpc_bus_t *callee, *caller; /* both rings are full */
    uint64_t id;                        /* of a call that gets no reply */
    tachyon_bus_t *many;                /* receives from many, and nobody has come */
    tachyon_rpc_bus_t *server;          /* the same of calls */
    tachyon_bus_t *feed, *reader;       /* sends to many; one of them */
    const char *path;
};

static void *listen_for_calls(void *context) {
    struct ends *ends = context;
    tachyon_options_t options = options_of(0);
    CHECK_OK(tachyon_rpc_listen_with(ends->path, 4096, 4096, &options, &ends->callee));
    return NULL;
}

static struct ends ends_open(size_t number) {
    char name[32];
    snprintf(name, sizeof name, "calls%zu", number);
    tachyon_options_t options = options_of(5000 * MS);
    struct ends ends = {.path = test_path(name),
                        .pair = pair_open_with(4096, &options, &options),
                        .held = pair_open_with(4096, &options, &options)};
    char many[32];
    snprintf(many, sizeof many, "many%zu", number);
    options.role = TACHYON_ROLE_CONSUMER;
    options.max_peers = 4;
    CHECK_OK(tachyon_bus_listen_with(test_path(many), 4096, &options, &ends.many));
    snprintf(many, sizeof many, "server%zu", number);
    options.role = TACHYON_ROLE_NONE;
    CHECK_OK(
        tachyon_rpc_listen_with(test_path(many), 4096, 4096, &options, &ends.server));
    snprintf(many, sizeof many, "feed%zu", number);
    options.role = TACHYON_ROLE_PRODUCER;
    CHECK_OK(tachyon_bus_listen_with(test_path(many), 4096, &options, &ends.feed));
    options = options_of(5000 * MS);
    CHECK_OK(crowd_try(ends.feed, test_path(many), &options, &ends.reader));
    uint32_t type;
    size_t size;
    uint64_t id;
    CHECK_OK(tachyon_send(ends.held.listener, "x", 1, 1, 0, 0));
    CHECK(tachyon_acquire_rx(ends.held.connector, &type, &size));
    pthread_t listener = test_thread(listen_for_calls, &ends);
    CHECK_OK(tachyon_rpc_connect_with(ends.path, &options, &ends.caller));
    test_join(listener);
    CHECK_OK(tachyon_rpc_call(ends.caller, "x", 1, 1, &ends.id));
    CHECK(tachyon_rpc_serve_timed(ends.callee, &id, &type, &size, 0, 0));
    CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
    return ends;
}

static void ends_close(struct ends *ends) {
    pair_close(&ends->pair);
    pair_close(&ends->held);
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
    tachyon_bus_destroy(ends->many);
    tachyon_rpc_destroy(ends->server);
    tachyon_bus_destroy(ends->reader);
    tachyon_bus_destroy(ends->feed);
}

/* ---- Every blocking call: true if it gave something ---- */

static bool receive(struct ends *ends, int64_t timeout_ns) {
    uint32_t type;
    size_t size;
    return tachyon_acquire_rx_timed(ends->pair.connector, &type, &size, 10, timeout_ns);
}

static bool receive_next(struct ends *ends, int64_t timeout_ns) {
    tachyon_msg_view_t view;
    return tachyon_acquire_rx_next_timed(ends->held.connector, &view, 10, timeout_ns);
}

static bool drain(struct ends *ends, int64_t timeout_ns) {
    tachyon_msg_view_t views[4];
    return tachyon_drain_batch_timed(ends->pair.connector, views, 4, 10, timeout_ns) >
           0;
}

static bool acquire(struct ends *ends, int64_t timeout_ns) {
    return tachyon_acquire_tx_timed(ends->pair.listener, 3968, 10, timeout_ns);
}

static bool send_message(struct ends *ends, int64_t timeout_ns) {
    static const char payload[3968];
    return tachyon_send(ends->pair.listener, payload, sizeof payload, 1, 10,
                        timeout_ns) == TACHYON_SUCCESS;
}

static bool receive_array(struct ends *ends, int64_t timeout_ns) {
    uint64_t items[4];
    uint32_t type;
    return tachyon_recv_batch(ends->pair.connector, items, sizeof items[0], 4, &type,
                              10, timeout_ns) > 0;
}

static bool receive_copy(struct ends *ends, int64_t timeout_ns) {
    char item[8];
    uint32_t type;
    size_t size;
    return tachyon_recv(ends->pair.connector, item, sizeof item, &size, &type, 10,
                        timeout_ns) == TACHYON_SUCCESS;
}

static bool receive_from_many(struct ends *ends, int64_t timeout_ns) {
    uint32_t type;
    size_t size;
    return tachyon_acquire_rx_timed(ends->many, &type, &size, 10, timeout_ns);
}

static bool read_feed(struct ends *ends, int64_t timeout_ns) {
    uint32_t type;
    size_t size;
    return tachyon_acquire_rx_timed(ends->reader, &type, &size, 10, timeout_ns);
}

static bool send_to_many(struct ends *ends, int64_t timeout_ns) {
    static const char payload[3968];
    return tachyon_send(ends->feed, payload, sizeof payload, 1, 10, timeout_ns) ==
           TACHYON_SUCCESS;
}

static bool accept_peer(struct ends *ends, int64_t timeout_ns) {
    tachyon_event_t event;
    return tachyon_bus_accept(ends->many, &event, timeout_ns) == TACHYON_SUCCESS;
}

static bool serve_many(struct ends *ends, int64_t timeout_ns) {
    uint64_t id;
    uint32_t type;
    size_t size;
    return tachyon_rpc_serve_timed(ends->server, &id, &type, &size, 10, timeout_ns);
}

static bool accept_caller(struct ends *ends, int64_t timeout_ns) {
    tachyon_event_t event;
    return tachyon_rpc_accept(ends->server, &event, timeout_ns) == TACHYON_SUCCESS;
}

static bool send_array(struct ends *ends, int64_t timeout_ns) {
    static const char items[2][3968];
    return tachyon_send_batch(ends->pair.listener, items, sizeof items[0], 2, 1, 10,
                              timeout_ns) > 0;
}

static bool acquire_several(struct ends *ends, int64_t timeout_ns) {
    size_t count, stride;
    return tachyon_acquire_tx_batch(ends->pair.listener, 3968, 2, &count, &stride, 10,
                                    timeout_ns);
}

static bool wait_for_any_reply(struct ends *ends, int64_t timeout_ns) {
    uint64_t id;
    uint32_t type;
    size_t size;
    return tachyon_rpc_wait_any(ends->caller, &id, &size, &type, 10, timeout_ns);
}

static bool wait_for_reply(struct ends *ends, int64_t timeout_ns) {
    uint32_t type;
    size_t size;
    return tachyon_rpc_wait_timed(ends->caller, ends->id, &size, &type, 10, timeout_ns);
}

static bool serve(struct ends *ends, int64_t timeout_ns) {
    uint64_t id;
    uint32_t type;
    size_t size;
    return tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 10, timeout_ns);
}

static bool acquire_call(struct ends *ends, int64_t timeout_ns) {
    return tachyon_rpc_acquire_tx_timed(ends->caller, 3968, 10, timeout_ns);
}

static bool call(struct ends *ends, int64_t timeout_ns) {
    static const char payload[3968];
    uint64_t id;
    return tachyon_rpc_call_timed(ends->caller, payload, sizeof payload, 1, &id, 10,
                                  timeout_ns) == TACHYON_SUCCESS;
}

static bool acquire_reply(struct ends *ends, int64_t timeout_ns) {
    return tachyon_rpc_acquire_reply_tx_timed(ends->callee, 3968, 10, timeout_ns);
}

static bool reply(struct ends *ends, int64_t timeout_ns) {
    static const char payload[3968];
    return tachyon_rpc_reply_timed(ends->callee, ends->id, payload, sizeof payload, 1,
                                   10, timeout_ns) == TACHYON_SUCCESS;
}

/* For listen and connect 0 has another meaning. */
static bool listen_alone(struct ends *ends, int64_t timeout_ns) {
    tachyon_options_t options = options_of(timeout_ns ? timeout_ns : 1);
    tachyon_bus_t *bus;
    return tachyon_bus_listen_with(ends->path, 4096, &options, &bus) == TACHYON_SUCCESS;
}

static bool connect_alone(struct ends *ends, int64_t timeout_ns) {
    tachyon_options_t options = options_of(timeout_ns ? timeout_ns : 1);
    tachyon_bus_t *bus;
    return tachyon_bus_connect_with(ends->path, &options, &bus) == TACHYON_SUCCESS;
}

static bool listen_for_caller(struct ends *ends, int64_t timeout_ns) {
    tachyon_options_t options = options_of(timeout_ns ? timeout_ns : 1);
    tachyon_rpc_bus_t *rpc;
    return tachyon_rpc_listen_with(ends->path, 4096, 4096, &options, &rpc) ==
           TACHYON_SUCCESS;
}

static bool connect_to_callee(struct ends *ends, int64_t timeout_ns) {
    tachyon_options_t options = options_of(timeout_ns ? timeout_ns : 1);
    tachyon_rpc_bus_t *rpc;
    return tachyon_rpc_connect_with(ends->path, &options, &rpc) == TACHYON_SUCCESS;
}

/* The time-out of a step is no outcome: it says EMPTY, whatever it was. */
static bool step(struct ends *ends, int64_t timeout_ns) {
    tachyon_options_t options = options_of(0);
    tachyon_opening_t *opening;
    CHECK_OK(tachyon_bus_listen_start(ends->path, 4096, &options, &opening));
    tachyon_error_t error = tachyon_opening_step(opening, timeout_ns);
    tachyon_opening_cancel(opening);
    if (error == TACHYON_ERR_EMPTY && timeout_ns > 0)
        ty_fail_plain(TACHYON_ERR_TIMEOUT);
    return error == TACHYON_SUCCESS;
}

static const struct blocking {
    const char *name;
    bool (*body)(struct ends *ends, int64_t timeout_ns);
    tachyon_error_t without_waiting; /* what a time-out of 0 gives */
} calls[] = {
    {"acquire_rx_timed", receive, TACHYON_ERR_EMPTY},
    {"acquire_rx_next_timed", receive_next, TACHYON_ERR_EMPTY},
    {"drain_batch_timed", drain, TACHYON_ERR_EMPTY},
    {"recv_batch", receive_array, TACHYON_ERR_EMPTY},
    {"recv", receive_copy, TACHYON_ERR_EMPTY},
    {"acquire_rx_timed of many", receive_from_many, TACHYON_ERR_EMPTY},
    {"acquire_rx_timed of one of many", read_feed, TACHYON_ERR_EMPTY},
    {"bus_accept", accept_peer, TACHYON_ERR_EMPTY},
    {"rpc_wait_timed", wait_for_reply, TACHYON_ERR_EMPTY},
    {"rpc_wait_any", wait_for_any_reply, TACHYON_ERR_EMPTY},
    {"rpc_serve_timed", serve, TACHYON_ERR_EMPTY},
    {"rpc_serve_timed of many", serve_many, TACHYON_ERR_EMPTY},
    {"rpc_accept", accept_caller, TACHYON_ERR_EMPTY},
    {"listen_with", listen_alone, TACHYON_ERR_TIMEOUT},
    {"connect_with", connect_alone, TACHYON_ERR_TIMEOUT},
    {"rpc_listen_with", listen_for_caller, TACHYON_ERR_TIMEOUT},
    {"rpc_connect_with", connect_to_callee, TACHYON_ERR_TIMEOUT},
    {"opening_step", step, TACHYON_ERR_EMPTY},
    /* From here on the rings are full. */
    {"acquire_tx_timed", acquire, TACHYON_ERR_FULL},
    {"send", send_message, TACHYON_ERR_FULL},
    {"send to many", send_to_many, TACHYON_ERR_FULL},
    {"send_batch", send_array, TACHYON_ERR_FULL},
    {"acquire_tx_batch", acquire_several, TACHYON_ERR_FULL},
    {"rpc_acquire_reply_tx_timed", acquire_reply, TACHYON_ERR_FULL},
    {"rpc_reply_timed", reply, TACHYON_ERR_FULL},
    /* A caller that waits for room takes the replies off their ring. */
    {"rpc_acquire_tx_timed", acquire_call, TACHYON_ERR_FULL},
    {"rpc_call_timed", call, TACHYON_ERR_FULL},
};
#define CALLS (sizeof calls / sizeof calls[0])
#define FIRST_SENDER 18

static void fill(struct ends *ends) {
    uint64_t id;
    uint32_t type;
    size_t size;
    CHECK_OK(tachyon_send(ends->pair.listener, "x", 1, 1, 0, 0));
    CHECK_OK(tachyon_send(ends->feed, "x", 1, 1, 0, 0));
    CHECK_OK(tachyon_rpc_call(ends->caller, "x", 1, 1, &id));
    CHECK(tachyon_rpc_serve_timed(ends->callee, &id, &type, &size, 0, 0));
    CHECK_OK(tachyon_rpc_call(ends->caller, "x", 1, 1, &id));
    static const char payload[3000];
    CHECK_OK(tachyon_rpc_reply(ends->callee, 2, payload, sizeof payload, 1));
}

/* ---- The storm ---- */

static _Atomic uint64_t signals_taken;

static void on_signal(int signal_number) {
    (void)signal_number;
    atomic_fetch_add(&signals_taken, 1);
}

/* For one thread after the other, each a thread that is not joined yet. */
struct storm {
    const pthread_t *targets;
    size_t target_count;
    pthread_t thread;
    _Atomic bool over;
};

static void *blow(void *context) {
    struct storm *storm = context;
    for (size_t i = 0; !atomic_load(&storm->over); i++) {
        pthread_kill(storm->targets[i % storm->target_count], SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void storm_begin(struct storm *storm, const pthread_t *targets, size_t count) {
    *storm = (struct storm){.targets = targets, .target_count = count};
    storm->thread = test_thread(blow, storm);
}

static void storm_end(struct storm *storm) {
    atomic_store(&storm->over, true);
    test_join(storm->thread);
}

/* ---- The measurement ---- */

/* How long until it gives up, in ns; INTERRUPTED is gone on after. */
static int64_t time_out(const struct blocking *blocking, struct ends *ends,
                        int64_t timeout_ns) {
    int64_t begin = ty_now_ns(), left = timeout_ns;
    for (;;) {
        if (blocking->body(ends, left))
            FAIL("%s gives something", blocking->name);
        int64_t now = ty_now_ns();
        tachyon_error_t error = tachyon_last_error();
        left = begin + timeout_ns - now;
        if (error == TACHYON_ERR_INTERRUPTED && left > 0 && !rules.restart)
            continue;
        if ((rules.restart || error != TACHYON_ERR_INTERRUPTED) &&
            error != (timeout_ns ? TACHYON_ERR_TIMEOUT : blocking->without_waiting))
            FAIL("%s with %jd ns gives %s", blocking->name, (intmax_t)timeout_ns,
                 tachyon_last_error_message());
        return now - begin;
    }
}

static _Atomic int64_t worst_ns;

static void check_timeout(const struct blocking *blocking, struct ends *ends,
                          int64_t timeout_ms, const char *weather) {
    int64_t took = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        took = time_out(blocking, ends, timeout_ms * MS);
        if (took < timeout_ms * MS)
            FAIL("%s with %jd ms is back after %jd us", blocking->name,
                 (intmax_t)timeout_ms, (intmax_t)(took / 1000));
        if (took <= (timeout_ms + TOLERANCE_MS) * MS)
            break;
    }
    int64_t over = took - timeout_ms * MS, worst = atomic_load(&worst_ns);
    while (over > worst && !atomic_compare_exchange_weak(&worst_ns, &worst, over))
        continue;
    if (over > TOLERANCE_MS * MS)
        FAIL("%s with %jd ms takes %jd us, %s", blocking->name, (intmax_t)timeout_ms,
             (intmax_t)(took / 1000), weather);
}

/* ---- Short time-outs one by one, the long one of all calls at once ---- */

static void check_short(bool stormy, const char *weather) {
    static const int64_t timeouts_ms[] = {0, 1, 50};
    const pthread_t self = pthread_self();
    struct ends ends = ends_open(0);
    struct storm storm;
    if (stormy)
        storm_begin(&storm, &self, 1);
    for (size_t i = 0; i < CALLS; i++) {
        if (i == FIRST_SENDER)
            fill(&ends);
        for (size_t t = 0; t < sizeof timeouts_ms / sizeof timeouts_ms[0]; t++)
            check_timeout(&calls[i], &ends, timeouts_ms[t], weather);
    }
    if (stormy)
        storm_end(&storm);
    ends_close(&ends);
}

struct caller {
    const struct blocking *blocking;
    struct ends ends;
    const char *weather;
    _Atomic size_t *done;
};

static void *time_out_after_long(void *context) {
    struct caller *caller = context;
    check_timeout(caller->blocking, &caller->ends, LONG_MS, caller->weather);
    atomic_fetch_add(caller->done, 1);
    return NULL;
}

/* Those of calls[first] and on, AT_ONCE of them or what is left. */
static void check_some_long(size_t first, bool stormy, const char *weather) {
    struct caller callers[AT_ONCE];
    pthread_t threads[AT_ONCE];
    struct storm storm;
    _Atomic size_t done = 0;
    size_t count = CALLS - first < AT_ONCE ? CALLS - first : AT_ONCE;
    for (size_t i = 0; i < count; i++) {
        callers[i] =
            (struct caller){&calls[first + i], ends_open(first + i), weather, &done};
        if (first + i >= FIRST_SENDER)
            fill(&callers[i].ends);
    }
    for (size_t i = 0; i < count; i++)
        threads[i] = test_thread(time_out_after_long, &callers[i]);
    if (stormy)
        storm_begin(&storm, threads, count);
    while (atomic_load(&done) < count)
        test_sleep_ms(10);
    if (stormy)
        storm_end(&storm);
    for (size_t i = 0; i < count; i++) {
        test_join(threads[i]);
        ends_close(&callers[i].ends);
    }
}

static void check_long(bool stormy, const char *weather) {
    for (size_t first = 0; first < CALLS; first += AT_ONCE)
        check_some_long(first, stormy, weather);
}

TEST(time_outs_are_kept_in_quiet) {
    check_short(false, "in quiet");
    check_long(false, "in quiet");
}

static void catch_signals(int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
}

TEST(time_outs_are_kept_in_a_storm_of_signals) {
    static const int flags[] = {0, SA_RESTART};
    const char *weather = "in a storm of signals";
    struct length length = length_begin("R7", "storms", 2, 2);
    for (; length.done < 2; length.done++) {
        catch_signals(flags[length.done]);
        check_short(true, weather);
        check_long(true, weather);
    }
    length_end(
        &length, "%zu blocking calls, %" PRIu64 " signals, at most %.1f ms over time",
        CALLS, atomic_load(&signals_taken), (double)atomic_load(&worst_ns) / 1e6);
    CHECK(atomic_load(&signals_taken) > 500);
}

TEST(a_wait_that_restarts_is_ended_by_no_signal) {
    const char *weather = "in a storm of signals, restarting";
    catch_signals(0);
    rules.restart = 1;
    check_short(true, weather);
    check_long(true, weather);
    CHECK(atomic_load(&signals_taken) > 250);
}

/* ---- A descriptor that ends waits ---- */

struct waiting {
    const struct blocking *blocking;
    struct ends *ends;
    int64_t ended_ns;
    tachyon_error_t error;
};

static void *wait_for_ever(void *context) {
    struct waiting *waiting = context;
    if (waiting->blocking->body(waiting->ends, -1))
        FAIL("%s gives something", waiting->blocking->name);
    waiting->error = tachyon_last_error();
    waiting->ended_ns = ty_now_ns();
    return NULL;
}

/* It is written to while the call waits. */
static int64_t end_by_event(const struct blocking *blocking, struct ends *ends,
                            bool stormy) {
    struct waiting waiting = {.blocking = blocking, .ends = ends};
    struct storm storm;
    uint64_t count = 1;
    pthread_t thread = test_thread(wait_for_ever, &waiting);
    if (stormy)
        storm_begin(&storm, &thread, 1);
    test_sleep_ms(20);
    if (stormy) /* who ends meanwhile must still be there for the storm's last signal */
        storm_end(&storm);
    int64_t written_ns = ty_now_ns();
    CHECK_EQ(write(rules.interrupt_fd, &count, sizeof count), sizeof count);
    test_join(thread);
    if (waiting.error != TACHYON_ERR_INTERRUPTED || waiting.ended_ns < written_ns)
        FAIL("%s gives %s", blocking->name, tachyon_strerror(waiting.error));
    return waiting.ended_ns - written_ns;
}

static void check_event(const struct blocking *blocking, struct ends *ends,
                        bool stormy) {
    uint64_t count;
    int64_t late = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        late = end_by_event(blocking, ends, stormy);
        if (late > TOLERANCE_MS * MS && tries == TRIES - 1)
            FAIL("%s ends %jd us after the event", blocking->name,
                 (intmax_t)(late / 1000));
        /* It stays readable: the next wait ends too, one that does not wait does not. */
        CHECK(!blocking->body(ends, 10000 * MS));
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INTERRUPTED);
        if (blocking->without_waiting != TACHYON_ERR_TIMEOUT) {
            CHECK(!blocking->body(ends, 0));
            CHECK_EQ(tachyon_last_error(), blocking->without_waiting);
        }
        CHECK_EQ(read(rules.interrupt_fd, &count, sizeof count), sizeof count);
        if (late <= TOLERANCE_MS * MS)
            break;
    }
    CHECK_EQ(time_out(blocking, ends, 2 * MS) / (2 * MS) > 0, 1); /* as before */
}

TEST(an_event_ends_every_wait) {
    catch_signals(0);
    rules.interrupt_fd = eventfd(0, EFD_CLOEXEC);
    CHECK(rules.interrupt_fd > 0);
    for (int stormy = 0; stormy < 2; stormy++)
        for (int pure_spin = 0; pure_spin < 2; pure_spin++) {
            rules.restart = (uint32_t)stormy;
            struct ends ends = ends_open(0);
            tachyon_bus_set_polling_mode(ends.pair.listener, pure_spin);
            tachyon_bus_set_polling_mode(ends.pair.connector, pure_spin);
            tachyon_rpc_set_polling_mode(ends.caller, pure_spin);
            tachyon_rpc_set_polling_mode(ends.callee, pure_spin);
            for (size_t i = 0; i < CALLS; i++) {
                if (i == FIRST_SENDER)
                    fill(&ends);
                check_event(&calls[i], &ends, stormy);
            }
            ends_close(&ends);
        }
    close(rules.interrupt_fd);
}

/* A message that is there is taken, and room that is there is given. */
TEST(an_event_ends_nothing_that_need_not_wait) {
    char item[8];
    uint32_t type;
    size_t size;
    uint64_t id;
    rules.interrupt_fd = eventfd(0, EFD_CLOEXEC);
    struct ends ends = ends_open(0);
    CHECK_EQ(eventfd_write(rules.interrupt_fd, 1), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_OK(tachyon_send(ends.pair.listener, "x", 1, 1, 0, -1));
        CHECK_OK(
            tachyon_recv(ends.pair.connector, item, sizeof item, &size, &type, 0, -1));
        CHECK_OK(tachyon_rpc_call_timed(ends.caller, "x", 1, 1, &id, 0, -1));
        CHECK(tachyon_rpc_serve(ends.callee, &id, &type, &size, 0));
        CHECK_OK(tachyon_rpc_commit_serve(ends.callee));
        CHECK_OK(tachyon_rpc_reply_timed(ends.callee, id, "x", 1, 1, 0, -1));
        CHECK(tachyon_rpc_wait(ends.caller, id, &size, &type, 0));
        CHECK_OK(tachyon_rpc_commit_rx(ends.caller));
    }
    ends_close(&ends);
    close(rules.interrupt_fd);
}

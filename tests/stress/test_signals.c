/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time-outs of every blocking call, in quiet and in a storm of signals. A caller that
 * goes on after INTERRUPTED with the time that is left is back 20 ms after the time-out
 * at the latest, and never before it.
 *
 * A machine that is busy with other things may keep a thread waiting for longer; each
 * case may be tried three times, which no fault of ours survives.
 */
#include "length.h"
#include "peers.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define TOLERANCE_MS 20
#define TRIES 3

struct ends {
    struct pair pair;                   /* the listener sends; its ring is full */
    tachyon_rpc_bus_t *callee, *caller; /* both rings are full */
    uint64_t id;                        /* of a call that gets no reply */
    const char *path;
};

static void *listen_for_calls(void *context) {
    struct ends *ends = context;
    CHECK_OK(tachyon_rpc_listen(ends->path, 4096, 4096, &ends->callee));
    return NULL;
}

static struct ends ends_open(void) {
    struct ends ends = {.path = test_path("calls"), .pair = pair_open(4096)};
    tachyon_options_t options = options_with_timeout_ms(5000);
    uint32_t type;
    size_t size;
    uint64_t id;
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
    tachyon_rpc_destroy(ends->caller);
    tachyon_rpc_destroy(ends->callee);
}

/* ---- Every blocking call: true if it gave something ---- */

static bool receive(struct ends *ends, int64_t timeout_ns) {
    uint32_t type;
    size_t size;
    return tachyon_acquire_rx_timed(ends->pair.connector, &type, &size, 10, timeout_ns);
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
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = timeout_ns ? timeout_ns : 1};
    tachyon_bus_t *bus;
    return tachyon_bus_listen_with(ends->path, 4096, &options, &bus) == TACHYON_SUCCESS;
}

static bool connect_alone(struct ends *ends, int64_t timeout_ns) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = timeout_ns ? timeout_ns : 1};
    tachyon_bus_t *bus;
    return tachyon_bus_connect_with(ends->path, &options, &bus) == TACHYON_SUCCESS;
}

static const struct blocking {
    const char *name;
    bool (*body)(struct ends *ends, int64_t timeout_ns);
    tachyon_error_t without_waiting; /* what a time-out of 0 gives */
} calls[] = {
    {"acquire_rx_timed", receive, TACHYON_ERR_EMPTY},
    {"drain_batch_timed", drain, TACHYON_ERR_EMPTY},
    {"rpc_wait_timed", wait_for_reply, TACHYON_ERR_EMPTY},
    {"rpc_serve_timed", serve, TACHYON_ERR_EMPTY},
    {"listen_with", listen_alone, TACHYON_ERR_TIMEOUT},
    {"connect_with", connect_alone, TACHYON_ERR_TIMEOUT},
    /* From here on the rings are full. */
    {"acquire_tx_timed", acquire, TACHYON_ERR_FULL},
    {"send", send_message, TACHYON_ERR_FULL},
    {"rpc_acquire_reply_tx_timed", acquire_reply, TACHYON_ERR_FULL},
    {"rpc_reply_timed", reply, TACHYON_ERR_FULL},
    /* A caller that waits for room takes the replies off their ring. */
    {"rpc_acquire_tx_timed", acquire_call, TACHYON_ERR_FULL},
    {"rpc_call_timed", call, TACHYON_ERR_FULL},
};
#define CALLS (sizeof calls / sizeof calls[0])
#define FIRST_SENDER 6

static void fill(struct ends *ends) {
    uint64_t id;
    uint32_t type;
    size_t size;
    CHECK_OK(tachyon_send(ends->pair.listener, "x", 1, 1, 0, 0));
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

struct storm {
    pthread_t target, thread;
    _Atomic bool over;
};

static void *blow(void *context) {
    struct storm *storm = context;
    while (!atomic_load(&storm->over)) {
        pthread_kill(storm->target, SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void storm_begin(struct storm *storm, int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    storm->target = pthread_self();
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
        if (error == TACHYON_ERR_INTERRUPTED && left > 0)
            continue;
        if (error != TACHYON_ERR_INTERRUPTED &&
            error != (timeout_ns ? TACHYON_ERR_TIMEOUT : blocking->without_waiting))
            FAIL("%s with %jd ns gives %s", blocking->name, (intmax_t)timeout_ns,
                 tachyon_last_error_message());
        return now - begin;
    }
}

static int64_t worst_ns;

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
    int64_t over = took - timeout_ms * MS;
    worst_ns = over > worst_ns ? over : worst_ns;
    if (over > TOLERANCE_MS * MS)
        FAIL("%s with %jd ms takes %jd us, %s", blocking->name, (intmax_t)timeout_ms,
             (intmax_t)(took / 1000), weather);
}

static void check_all(struct ends *ends, const char *weather) {
    static const int64_t timeouts_ms[] = {0, 1, 50, 1000};
    bool full = getenv("TACHYON_FULL_SECONDS") != NULL;
    for (size_t i = 0; i < CALLS; i++) {
        if (i == FIRST_SENDER)
            fill(ends);
        /* 1000 ms for a few only, unless there is time. */
        for (size_t t = 0; t < (full || i % 6 == 0 ? 4u : 3u); t++)
            check_timeout(&calls[i], ends, timeouts_ms[t], weather);
    }
}

TEST(time_outs_are_kept_in_quiet) {
    struct ends ends = ends_open();
    check_all(&ends, "in quiet");
    ends_close(&ends);
}

TEST(time_outs_are_kept_in_a_storm_of_signals) {
    struct length length = length_begin("R7", "storms", 2, 2);
    static const int flags[] = {0, SA_RESTART};
    for (; length.done < 2; length.done++) {
        struct ends ends = ends_open();
        struct storm storm = {0};
        storm_begin(&storm, flags[length.done]);
        check_all(&ends, "in a storm of signals");
        storm_end(&storm);
        ends_close(&ends);
    }
    length_end(&length,
               "%zu blocking calls, %" PRIu64 " signals, at most %.1f ms over time",
               CALLS, atomic_load(&signals_taken), (double)worst_ns / 1e6);
    CHECK(atomic_load(&signals_taken) > 500);
}

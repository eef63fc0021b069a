/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners with many peers, of each kind at once, for a long time: peers come, exchange
 * some hundred messages or calls, and go, in order or cut off. Descriptors and memory of
 * the listeners stay where they were, and so does p99.
 */
#include "length.h"
#include "peers.h"
#include "soak.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define MILLI INT64_C(1000000)
#define CAPACITY 65536
#define VISITORS 2 /* of each kind */
#define AT_A_TIME 200

/* Many producers; many readers; one reader at a time; many callers. */
enum kind { COLLECTOR, FEED, TAP, SERVER, KINDS };

static const char *const names[KINDS] = {"collector", "feed", "tap", "server"};

struct stamp {
    int64_t sent_ns;
    uint64_t number;
};

/* ---- Who comes and goes ---- */

struct visitor {
    enum kind kind;
    uint64_t seed;
};

static tachyon_error_t exchange(enum kind kind, tachyon_bus_t *bus) {
    struct stamp stamp = {0};
    tachyon_error_t error = TACHYON_SUCCESS;
    uint32_t type;
    size_t size;
    for (uint64_t i = 0, next = 0; i < 500 && error == TACHYON_SUCCESS; i++) {
        if (kind == COLLECTOR) {
            stamp = (struct stamp){ty_now_ns(), i};
            error = tachyon_send(bus, &stamp, sizeof stamp, 1, 100, 20 * SECOND);
            continue;
        }
        error = tachyon_recv(bus, &stamp, sizeof stamp, &size, &type, 100, 20 * SECOND);
        CHECK(error != TACHYON_SUCCESS || i == 0 || stamp.number == next);
        next = stamp.number + 1;
    }
    return error;
}

static tachyon_error_t call_some(tachyon_rpc_bus_t *rpc) {
    uint64_t id;
    uint32_t type;
    size_t size;
    for (uint64_t i = 0; i < 100; i++) {
        tachyon_error_t error =
            tachyon_rpc_call_timed(rpc, &i, sizeof i, 1, &id, 100, 20 * SECOND);
        if (error != TACHYON_SUCCESS)
            return error;
        const uint64_t *reply =
            tachyon_rpc_wait_timed(rpc, id, &size, &type, 100, 20 * SECOND);
        if (!reply)
            return tachyon_last_error();
        CHECK(size == sizeof i && *reply == i);
        CHECK_OK(tachyon_rpc_commit_rx(rpc));
    }
    return TACHYON_SUCCESS;
}

/* One visit. BUSY: there is no place yet. */
static tachyon_error_t visit(enum kind kind, const char *path, uint64_t *random) {
    tachyon_options_t options = options_with_timeout_ms(1000);
    tachyon_rpc_bus_t *rpc = NULL;
    tachyon_bus_t *bus = NULL;
    tachyon_error_t error = kind == SERVER
                                ? tachyon_rpc_connect_with(path, &options, &rpc)
                                : tachyon_bus_connect_with(path, &options, &bus);
    if (error == TACHYON_SUCCESS)
        error = kind == SERVER ? call_some(rpc) : exchange(kind, bus);
    if (error == TACHYON_SUCCESS && test_random_below(random, 4) == 0) {
        tachyon_rpc_abort(rpc);
        tachyon_bus_abort(bus);
    }
    tachyon_rpc_destroy(rpc);
    tachyon_bus_destroy(bus);
    return error;
}

static _Atomic bool *stop;

static void visit_until_the_end(void *context) {
    const struct visitor *visitor = context;
    char path[256];
    uint64_t random = visitor->seed;
    snprintf(path, sizeof path, "%s", test_path(names[visitor->kind]));
    while (!atomic_load(stop)) {
        tachyon_error_t error = visit(visitor->kind, path, &random);
        if (error == TACHYON_ERR_BUSY)
            nanosleep(&(struct timespec){.tv_nsec = MILLI}, NULL);
        else if (error != TACHYON_SUCCESS && !atomic_load(stop))
            FAIL("%s: %s", names[visitor->kind], tachyon_last_error_message());
    }
}

/* ---- The listeners ---- */

struct listeners {
    tachyon_bus_t *bus[SERVER];
    tachyon_rpc_bus_t *server;
    uint64_t sent[SERVER], messages, joined;
};

static void open_listeners(struct listeners *l) {
    tachyon_options_t options[KINDS] = {
        [COLLECTOR] = {.role = TACHYON_ROLE_CONSUMER, .max_peers = 4},
        [FEED] = {.role = TACHYON_ROLE_PRODUCER,
                  .max_peers = 4,
                  .slow_peer = TACHYON_SLOW_DISCONNECT,
                  .slow_after_ns = 20 * SECOND,
                  .without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN,
                  .keep_place_ns = SECOND},
        [TAP] = {.role = TACHYON_ROLE_PRODUCER, .max_peers = 1},
        [SERVER] = {.max_peers = 4},
    };
    *l = (struct listeners){0};
    for (int kind = 0; kind < KINDS; kind++) {
        options[kind].size = sizeof options[kind];
        const char *path = test_path(names[kind]);
        CHECK_OK(kind == SERVER ? tachyon_rpc_listen_with(path, CAPACITY, CAPACITY,
                                                          &options[kind], &l->server)
                                : tachyon_bus_listen_with(
                                      path, CAPACITY, &options[kind], &l->bus[kind]));
    }
}

static void close_listeners(struct listeners *l) {
    for (int kind = 0; kind < SERVER; kind++)
        tachyon_bus_destroy(l->bus[kind]);
    tachyon_rpc_destroy(l->server);
}

static void collect(struct listeners *l) {
    struct stamp stamp;
    uint32_t type;
    size_t size;
    for (int i = 0; i < AT_A_TIME; i++) {
        tachyon_error_t error = tachyon_recv(l->bus[COLLECTOR], &stamp, sizeof stamp,
                                             &size, &type, 100, MILLI / 10);
        if (error != TACHYON_SUCCESS) {
            CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
            return;
        }
        bucket(ty_now_ns() - stamp.sent_ns);
        l->messages++;
    }
}

static void feed(struct listeners *l, enum kind kind) {
    for (int i = 0; i < AT_A_TIME; i++) {
        struct stamp stamp = {ty_now_ns(), l->sent[kind]};
        tachyon_error_t error =
            tachyon_send(l->bus[kind], &stamp, sizeof stamp, 1, 100, MILLI / 10);
        if (error != TACHYON_SUCCESS) {
            CHECK_EQ(error, TACHYON_ERR_TIMEOUT);
            return;
        }
        l->sent[kind]++;
        l->messages++;
    }
}

static void serve(struct listeners *l) {
    uint64_t id;
    uint32_t type;
    size_t size;
    for (int i = 0; i < AT_A_TIME; i++) {
        const void *request =
            tachyon_rpc_serve_timed(l->server, &id, &type, &size, 100, MILLI / 10);
        if (!request) {
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_TIMEOUT);
            return;
        }
        tachyon_error_t error = tachyon_rpc_reply(l->server, id, request, size, type);
        CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_PEER_DEAD);
        CHECK_OK(tachyon_rpc_commit_serve(l->server));
        l->messages++;
    }
}

static void look_at(struct listeners *l, enum kind kind) {
    tachyon_event_t event;
    while ((kind == SERVER
                ? tachyon_rpc_accept(l->server, &event, 0)
                : tachyon_bus_accept(l->bus[kind], &event, 0)) == TACHYON_SUCCESS) {
        l->joined += event.kind == TACHYON_EVENT_JOINED;
        CHECK(event.kind == TACHYON_EVENT_JOINED ||
              event.reason == TACHYON_ERR_CLOSED ||
              event.reason == TACHYON_ERR_ABORTED);
    }
}

static void turn(struct listeners *l) {
    collect(l);
    feed(l, FEED);
    feed(l, TAP);
    serve(l);
    for (int kind = 0; kind < KINDS; kind++)
        look_at(l, (enum kind)kind);
}

/* The rings that are mapped now; their pages come and go with the peers. */
static size_t count_rings(void) {
    char line[512];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, "memfd:") != NULL;
    fclose(maps);
    return count;
}

/* All that is not shared with peers. */
static size_t own_kib(void) {
    size_t total = 0, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%zu %zu %zu", &total, &resident, &shared) == 3);
    fclose(file);
    return (resident - shared) * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

TEST(nothing_grows_with_many_peers) {
    static struct visitor visitors[KINDS * VISITORS];
    struct length length = soak_begin();
    pid_t pids[KINDS * VISITORS];
    struct listeners l;
    double p99[SLICES], least, most;
    stop = mmap(NULL, sizeof *stop, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    CHECK(stop != MAP_FAILED);
    for (int i = 0; i < KINDS * VISITORS; i++) {
        visitors[i] = (struct visitor){(enum kind)(i % KINDS), (uint64_t)i + 1};
        pids[i] = test_spawn(visit_until_the_end, &visitors[i]);
    }
    open_listeners(&l);
    size_t fds = test_count_fds(), rings = count_rings();
    while (l.joined < 200)
        turn(&l);
    take_p99();
    size_t own = own_kib();
    int64_t length_ms = soak_ms(&length), begin = test_now_ms();
    for (int slice = 0; slice < SLICES; slice++) {
        do
            turn(&l);
        while (test_now_ms() < begin + length_ms * (slice + 1) / SLICES);
        p99[slice] = take_p99();
        if (!test_sanitized() && own_kib() > own + GROWTH_KIB)
            FAIL("%zu KiB of its own, %zu at the beginning", own_kib(), own);
    }
    length.done = (uint64_t)(test_now_ms() - begin + 500) / 1000;
    atomic_store(stop, true);
    for (int i = 0; i < KINDS * VISITORS; i++) {
        int status;
        while (waitpid(pids[i], &status, WNOHANG) == 0)
            turn(&l);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (int i = 0; i < 1000 && test_count_fds() > fds; i++)
        turn(&l); /* those that have gone are let out */
    CHECK_EQ(test_count_fds(), fds);
    CHECK_EQ(count_rings(), rings);
    size_t own_then = own_kib();
    close_listeners(&l);
    check_p99(p99, &least, &most);
    length_end(&length,
               "%" PRIu64 " peers came and went, %" PRIu64
               " messages, %zu descriptors and %zu rings afterwards, %zu to %zu KiB "
               "of its own, p99 %.0f to %.0f us",
               l.joined, l.messages, fds, rings, own, own_then, least, most);
}

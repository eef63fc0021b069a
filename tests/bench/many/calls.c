/* SPDX-License-Identifier: Apache-2.0 */
/* A callee with many callers, beside one with a single caller: as many calls under way. */
#define _GNU_SOURCE
#include "many.h"

#include <stdio.h>
#include <unistd.h>

#define RING (1u << 16)
#define UNDER_WAY 16u
#define CALLS 8192u /* of a sample */
#define MOST_ROUNDS 1000u
#define SPINS 10000u /* so that nobody sleeps while a sample is taken */

/* A callee with so many callers; 0: on an ordinary pair of rings. */
struct service {
    unsigned callers;
    struct other other;
    tachyon_rpc_bus_t *rpc;
    double rounds[MOST_ROUNDS]; /* nanoseconds a call */
};

static const unsigned crowds[] = {0, 1, UNDER_WAY};
#define SERVICES (sizeof crowds / sizeof *crowds)
static struct service services[SERVICES];

static unsigned pairs_of(const struct service *service) {
    return service->callers > 0 ? service->callers : 1;
}

static void service_path(const struct service *service, char path[64]) {
    snprintf(path, 64, "@tachyon-many-%d-%u", service->other.pid, service->callers);
}

static uint64_t call_one(tachyon_rpc_bus_t *rpc) {
    uint64_t payload[PAYLOAD / 8] = {0}, id;
    MUST(tachyon_rpc_call(rpc, payload, sizeof payload, 1, &id) == TACHYON_SUCCESS);
    return id;
}

static void take_reply(tachyon_rpc_bus_t *rpc, uint64_t id) {
    size_t size;
    uint32_t type;
    MUST(tachyon_rpc_wait_timed(rpc, id, &size, &type, SPINS, 10 * SECOND));
    MUST(size == PAYLOAD && tachyon_rpc_commit_rx(rpc) == TACHYON_SUCCESS);
}

/* In the other process: join, or call, the next when the oldest is answered. */
static void call_many(void *context, char command, int to) {
    static tachyon_rpc_bus_t *callers[UNDER_WAY];
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 10 * SECOND};
    uint64_t ids[UNDER_WAY];
    struct service *service = context;
    unsigned pairs = pairs_of(service);
    char path[64];
    (void)to;
    service->other.pid = getpid();
    service_path(service, path);
    for (unsigned i = 0; i < pairs && command == 'j'; i++)
        MUST(tachyon_rpc_connect_with(path, &options, &callers[i]) == TACHYON_SUCCESS);
    for (unsigned i = 0; i < UNDER_WAY + CALLS && command == 'c'; i++) {
        if (i >= UNDER_WAY)
            take_reply(callers[i % pairs], ids[i % UNDER_WAY]);
        if (i < CALLS)
            ids[i % UNDER_WAY] = call_one(callers[i % pairs]);
    }
}

static void open_service(struct service *service, unsigned callers, int core) {
    tachyon_options_t options = {
        .size = sizeof options, .timeout_ns = 10 * SECOND, .max_peers = callers};
    tachyon_event_t event;
    char path[64];
    service->callers = callers;
    other_start(&service->other, core, call_many, service);
    service_path(service, path);
    other_begin(&service->other, 'j');
    MUST(tachyon_rpc_listen_with(path, RING, RING, &options, &service->rpc) ==
         TACHYON_SUCCESS);
    for (unsigned i = 0; i < callers; i++)
        MUST(tachyon_rpc_accept(service->rpc, &event, 10 * SECOND) == TACHYON_SUCCESS);
    other_done(&service->other);
}

static void answer_one(tachyon_rpc_bus_t *rpc) {
    size_t size;
    uint32_t type;
    uint64_t id;
    const void *request =
        tachyon_rpc_serve_timed(rpc, &id, &type, &size, SPINS, 10 * SECOND);
    MUST(request && tachyon_rpc_reply(rpc, id, request, size, type) == TACHYON_SUCCESS);
    MUST(tachyon_rpc_commit_serve(rpc) == TACHYON_SUCCESS);
}

/* Nanoseconds a call, from the first request to the last reply. */
static double sample_calls(struct service *service) {
    other_begin(&service->other, 'c');
    answer_one(service->rpc);
    double begin = now_ns();
    for (unsigned i = 1; i < CALLS; i++)
        answer_one(service->rpc);
    double took = now_ns() - begin;
    other_done(&service->other);
    return took / (CALLS - 1);
}

/* The median of rounds: of these two sides, which wait for each other, the lowest shows
 * how lucky one can be with what comes in one go. */
static void print_service(struct service *service, unsigned rounds) {
    static double ordinary;
    char name[64], title[128];
    unsigned pairs = pairs_of(service);
    snprintf(name, sizeof name, "calls_%u", service->callers);
    if (service->callers == 0)
        snprintf(title, sizeof title, "a call, %u under way, ordinary RPC", UNDER_WAY);
    else
        snprintf(title, sizeof title, "a call, %u caller%s with %u under way each",
                 pairs, pairs > 1 ? "s" : "", UNDER_WAY / pairs);
    double call = median(service->rounds, rounds);
    if (service->callers == 0)
        ordinary = call;
    print_row(&(struct row){.id = name,
                            .title = title,
                            .unit = "ns",
                            .ratio_to = "ordinary RPC",
                            .value = call,
                            .ratio = service->callers ? call / ordinary : 0,
                            .limit_ratio = service->callers == UNDER_WAY ? 1.11 : 0,
                            .samples = rounds});
}

void bench_calls(const struct settings *settings) {
    for (unsigned i = 0; i < SERVICES; i++)
        open_service(&services[i], crowds[i], settings->other);
    unsigned rounds = settings->rounds < MOST_ROUNDS ? settings->rounds : MOST_ROUNDS;
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < SERVICES; i++)
            services[i].rounds[round] = sample_calls(&services[i]);
    for (unsigned i = 0; i < SERVICES; i++) {
        print_service(&services[i], rounds);
        other_stop(&services[i].other);
        tachyon_rpc_destroy(services[i].rpc);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One consumer of many producers, beside one of a single producer. */
#define _GNU_SOURCE
#include "many.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RING (1u << 16)
#define MESSAGES 960u /* of each ring: they fit */
#define LOOKS 48u     /* fewer than a ring is looked at before it goes cold */

/* A consumer of so many producers; 0: of an ordinary bus. */
struct sink {
    unsigned producers;
    struct other other;
    tachyon_bus_t *bus;
    struct low single, arrays, look;
    double least, most; /* shares of fair, of all rounds */
};

static const unsigned crowds[] = {0, 1, 4, 16, 64};
#define SINKS (sizeof crowds / sizeof *crowds)
static struct sink sinks[SINKS];

static unsigned rings_of(const struct sink *sink) {
    return sink->producers > 0 ? sink->producers : 1;
}

static void sink_path(const struct sink *sink, char path[64]) {
    snprintf(path, 64, "@tachyon-many-%d-%u", sink->other.pid, sink->producers);
}

/* In the other process: join, fill all rings, or send one message each. */
static void fill(void *context, char command, int to) {
    static tachyon_bus_t *buses[MOST];
    static uint8_t items[MESSAGES * PAYLOAD];
    struct sink *sink = context;
    size_t count = command == 'f' ? MESSAGES : 1;
    char path[64];
    (void)to;
    sink->other.pid = getpid();
    sink_path(sink, path);
    for (unsigned i = 0; i < rings_of(sink); i++)
        if (command == 'j')
            buses[i] = connect_to(path);
        else
            MUST(tachyon_send_batch(buses[i], items, PAYLOAD, count, 1, 0, SECOND) ==
                 count);
}

static void open_sink(struct sink *sink, unsigned producers, int core) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = 10 * SECOND,
                                 .role = TACHYON_ROLE_CONSUMER,
                                 .max_peers = producers};
    char path[64];
    sink->producers = producers;
    sink->least = 1;
    sink->most = 1;
    other_start(&sink->other, core, fill, sink);
    sink_path(sink, path);
    other_begin(&sink->other, 'j');
    MUST(tachyon_bus_listen_with(path, RING, &options, &sink->bus) == TACHYON_SUCCESS);
    if (producers > 0)
        accept_all(sink->bus, producers);
    other_done(&sink->other);
}

static void take_one(tachyon_bus_t *bus) {
    size_t size;
    uint32_t type_id;
    MUST(tachyon_acquire_rx_timed(bus, &type_id, &size, 1000, 10 * SECOND));
    MUST(tachyon_commit_rx(bus) == TACHYON_SUCCESS);
}

/* Nanoseconds a message from full rings. */
static double sample_single(struct sink *sink) {
    unsigned count = MESSAGES * rings_of(sink);
    other_tell(&sink->other, 'f');
    double begin = now_ns();
    for (unsigned i = 0; i < count; i++)
        take_one(sink->bus);
    return (now_ns() - begin) / count;
}

static double sample_arrays(struct sink *sink) {
    static uint8_t items[64 * PAYLOAD];
    unsigned count = MESSAGES * rings_of(sink), left = count;
    uint32_t type_id;
    other_tell(&sink->other, 'f');
    double begin = now_ns();
    while (left > 0)
        left -= (unsigned)tachyon_recv_batch(sink->bus, items, PAYLOAD, 64, &type_id,
                                             1000, 10 * SECOND);
    return (now_ns() - begin) / count;
}

/* Half of what full rings have: as much of each? */
static void look_at_shares(struct sink *sink) {
    unsigned rings = rings_of(sink), of[MOST + 1] = {0};
    other_tell(&sink->other, 'f');
    for (unsigned i = 0; i < MESSAGES / 2 * rings; i++) {
        take_one(sink->bus);
        of[tachyon_bus_sender(sink->bus)]++;
    }
    for (unsigned i = 0; i < MESSAGES / 2 * rings; i++)
        take_one(sink->bus);
    for (unsigned i = 1; i <= rings; i++) {
        double share = of[i] / (MESSAGES / 2.0);
        sink->least = share < sink->least ? share : sink->least;
        sink->most = share > sink->most ? share : sink->most;
    }
}

/* Nanoseconds of a look that finds nothing, while all rings are hot. */
static double sample_look(struct sink *sink) {
    size_t size;
    uint32_t type_id;
    other_tell(&sink->other, 'o');
    for (unsigned i = 0; i < rings_of(sink); i++)
        take_one(sink->bus);
    double begin = now_ns();
    MUST(!tachyon_acquire_rx_spin(sink->bus, &type_id, &size, LOOKS));
    return (now_ns() - begin) / LOOKS;
}

static void print_sink(const char *id, const char *what, const struct sink *sink,
                       const struct low *own, const struct low *spsc, double limit) {
    char name[64], title[128];
    snprintf(name, sizeof name, "%s_%u", id, sink->producers);
    if (sink->producers == 0)
        snprintf(title, sizeof title, "%s, an ordinary bus", what);
    else
        snprintf(title, sizeof title, "%s, %u producer%s", what, sink->producers,
                 sink->producers > 1 ? "s" : "");
    print_row(&(struct row){.id = name,
                            .title = title,
                            .unit = "ns",
                            .ratio_to = "SPSC",
                            .value = own->value,
                            .ratio = sink->producers ? own->value / spsc->value : 0,
                            .limit = sink->producers ? limit : 0,
                            .samples = own->samples});
}

void bench_fanin(const struct settings *settings) {
    double unfair = 0;
    for (unsigned i = 0; i < SINKS; i++)
        open_sink(&sinks[i], crowds[i], settings->other);
    for (unsigned round = 0; round < settings->rounds; round++)
        for (unsigned i = 0; i < SINKS; i++) {
            low_note(&sinks[i].single, sample_single(&sinks[i]));
            low_note(&sinks[i].arrays, sample_arrays(&sinks[i]));
            low_note(&sinks[i].look, sample_look(&sinks[i]));
            if (sinks[i].producers > 0)
                look_at_shares(&sinks[i]);
        }
    for (unsigned i = 0; i < SINKS; i++)
        print_sink("fanin_single", "from full rings", &sinks[i], &sinks[i].single,
                   &sinks[0].single, 11);
    for (unsigned i = 0; i < SINKS; i++)
        print_sink("fanin_arrays", "from full rings, arrays of 64", &sinks[i],
                   &sinks[i].arrays, &sinks[0].arrays, 11);
    for (unsigned i = 0; i < SINKS; i++) {
        unfair = 1 - sinks[i].least > unfair ? 1 - sinks[i].least : unfair;
        unfair = sinks[i].most - 1 > unfair ? sinks[i].most - 1 : unfair;
    }
    print_row(&(struct row){.id = "fanin_unfair",
                            .title = "farthest share of a ring from a fair one",
                            .unit = "%",
                            .value = 100 * unfair,
                            .limit = 5,
                            .samples = settings->rounds});
    print_row(&(struct row){.id = "fanin_look",
                            .title = "an empty look, each further hot ring",
                            .unit = "ns",
                            .value = (sinks[4].look.value - sinks[2].look.value) / 60,
                            .limit = 2,
                            .samples = settings->rounds});
    for (unsigned i = 0; i < SINKS; i++) {
        other_stop(&sinks[i].other);
        tachyon_bus_destroy(sinks[i].bus);
    }
}

/* ---- Idle ---- */

static double processor_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec) * 1e9 +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) * 1e3;
}

void bench_idle(const struct settings *settings) {
    static struct sink sink;
    size_t size;
    uint32_t type_id;
    int64_t wait = settings->rounds > 8 ? SECOND : SECOND / 10;
    open_sink(&sink, 64, settings->other);
    double begin = processor_ns();
    MUST(!tachyon_acquire_rx_timed(sink.bus, &type_id, &size, 100, wait));
    double used = processor_ns() - begin;
    print_row(&(struct row){.id = "fanin_idle",
                            .title = "processor use with 64 idle peers",
                            .unit = "%",
                            .value = 100 * used / (double)wait,
                            .limit = 0.1,
                            .samples = 1});
    other_stop(&sink.other);
    tachyon_bus_destroy(sink.bus);
}

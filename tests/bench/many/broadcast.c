/* SPDX-License-Identifier: Apache-2.0 */
/* One producer of many readers, beside one of a single consumer. */
#define _GNU_SOURCE
#include "many.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Sending ---- */

#define RING (1u << 20)
#define MESSAGES 8192u /* of a sample: they fit, so that no sample waits for room */

/* A producer of so many readers; 0: on an ordinary bus. */
struct feed {
    unsigned readers;
    struct other other;
    tachyon_bus_t *bus;
    struct low arrays, arrays_read, flushes, flushes_read;
};

static const unsigned crowds[] = {0, 1, 2, 4, 8, 16};
#define FEEDS (sizeof crowds / sizeof *crowds)
static struct feed feeds[FEEDS];

static unsigned readers_of(const struct feed *feed) {
    return feed->readers > 0 ? feed->readers : 1;
}

static void feed_path(const struct feed *feed, char path[64]) {
    snprintf(path, 64, "@tachyon-many-%d-%u", feed->other.pid, feed->readers);
}

/* In the other process: join, or read all of a sample. */
static void read_feed(void *context, char command, int to) {
    static tachyon_bus_t *buses[MOST];
    static uint8_t items[64 * PAYLOAD];
    struct feed *feed = context;
    unsigned left[MOST], reading = readers_of(feed);
    char path[64];
    uint32_t type_id;
    feed->other.pid = getpid();
    feed_path(feed, path);
    if (command == 'j') {
        for (unsigned i = 0; i < reading; i++)
            buses[i] = connect_to(path);
        return;
    }
    if (command == 'p') /* reading already when the first message comes */
        MUST(write(to, "r", 1) == 1);
    for (unsigned i = 0; i < readers_of(feed); i++)
        left[i] = MESSAGES;
    while (reading > 0)
        for (unsigned i = 0; i < readers_of(feed); i++) {
            if (left[i] == 0)
                continue;
            left[i] -= (unsigned)tachyon_recv_batch(buses[i], items, PAYLOAD, 64,
                                                    &type_id, 0, 0);
            reading -= left[i] == 0;
        }
}

static void open_feed(struct feed *feed, unsigned readers, int core) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = 10 * SECOND,
                                 .role = TACHYON_ROLE_PRODUCER,
                                 .max_peers = readers == 1 ? 2 : readers};
    char path[64];
    feed->readers = readers;
    other_start(&feed->other, core, read_feed, feed);
    feed_path(feed, path);
    other_begin(&feed->other, 'j');
    MUST(tachyon_bus_listen_with(path, RING, &options, &feed->bus) == TACHYON_SUCCESS);
    if (readers > 0)
        accept_all(feed->bus, readers);
    other_done(&feed->other);
}

/* Nanoseconds a message, in arrays or flushed one by one. */
static double sample_feed(struct feed *feed, bool arrays, bool read_meanwhile) {
    static uint8_t items[MESSAGES * PAYLOAD];
    if (read_meanwhile) {
        other_begin(&feed->other, 'p');
        other_done(&feed->other);
    }
    double begin = now_ns();
    if (arrays)
        MUST(tachyon_send_batch(feed->bus, items, PAYLOAD, MESSAGES, 1, 0, SECOND) ==
             MESSAGES);
    else
        for (unsigned i = 0; i < MESSAGES; i++)
            send_one(feed->bus, i);
    double took = now_ns() - begin;
    if (!read_meanwhile)
        other_begin(&feed->other, 'r');
    other_done(&feed->other);
    return took / MESSAGES;
}

static struct feed *feed_of(unsigned readers) {
    unsigned i = 0;
    while (crowds[i] != readers)
        i++;
    return &feeds[i];
}

/* Of a feed, against the ordinary bus. */
static void print_feed(const char *id, const char *what, unsigned readers,
                       size_t offset, double limit_ratio) {
    char name[64], title[128];
    const struct low *own = (const void *)((const char *)feed_of(readers) + offset);
    const struct low *spsc = (const void *)((const char *)feed_of(0) + offset);
    if (readers == 0)
        snprintf(title, sizeof title, "%s, an ordinary bus", what);
    else
        snprintf(title, sizeof title, "%s, broadcast to %u", what, readers);
    snprintf(name, sizeof name, "%s_%u", id, readers);
    print_row(&(struct row){.id = name,
                            .title = title,
                            .unit = "ns",
                            .ratio_to = "SPSC",
                            .value = own->value,
                            .ratio = readers ? own->value / spsc->value : 0,
                            .limit_ratio = readers ? limit_ratio : 0,
                            .samples = own->samples});
}

/* What each reader from the third to the 16th adds to a flush. */
static void print_further(const char *id, const char *title, size_t offset,
                          double limit) {
    const struct low *two = (const void *)((const char *)feed_of(2) + offset);
    const struct low *all = (const void *)((const char *)feed_of(16) + offset);
    print_row(&(struct row){.id = id,
                            .title = title,
                            .unit = "ns",
                            .value = (all->value - two->value) / 14,
                            .limit = limit,
                            .samples = all->samples});
}

void bench_broadcast(const struct settings *settings) {
    for (unsigned i = 0; i < FEEDS; i++)
        open_feed(&feeds[i], crowds[i], settings->other);
    for (unsigned round = 0; round < settings->rounds; round++)
        for (unsigned i = 0; i < FEEDS; i++) {
            low_note(&feeds[i].arrays, sample_feed(&feeds[i], true, false));
            low_note(&feeds[i].flushes, sample_feed(&feeds[i], false, false));
            low_note(&feeds[i].arrays_read, sample_feed(&feeds[i], true, true));
            low_note(&feeds[i].flushes_read, sample_feed(&feeds[i], false, true));
        }
    for (unsigned i = 0; i < FEEDS; i++)
        print_feed("broadcast_arrays", "arrays", crowds[i],
                   offsetof(struct feed, arrays), 1.05);
    for (unsigned i = 0; i < FEEDS; i++)
        print_feed("broadcast_arrays_read", "arrays that are read meanwhile", crowds[i],
                   offsetof(struct feed, arrays_read), 0);
    for (unsigned i = 0; i < FEEDS; i++)
        print_feed("broadcast_flushes", "a flush each", crowds[i],
                   offsetof(struct feed, flushes), 0);
    for (unsigned i = 0; i < FEEDS; i++)
        print_feed("broadcast_flushes_read", "a flush each, read meanwhile", crowds[i],
                   offsetof(struct feed, flushes_read), crowds[i] == 1 ? 1.1 : 0);
    print_further("broadcast_further", "each further reader, a flush each",
                  offsetof(struct feed, flushes), 1);
    print_further("broadcast_further_read",
                  "each further reader, a flush each, read meanwhile",
                  offsetof(struct feed, flushes_read), 0);
    for (unsigned i = 0; i < FEEDS; i++) {
        other_stop(&feeds[i].other);
        tachyon_bus_destroy(feeds[i].bus);
    }
}

/* ---- Waking ---- */

#define SLEEPERS 8
#define WAKES 200u

static void *sleep_and_read(void *context) {
    tachyon_bus_t *bus = context;
    uint64_t item[PAYLOAD / 8];
    size_t size;
    uint32_t type_id;
    for (unsigned i = 0; i < WAKES; i++)
        MUST(tachyon_recv(bus, item, sizeof item, &size, &type_id, 0, 10 * SECOND) ==
             TACHYON_SUCCESS);
    tachyon_bus_destroy(bus);
    return NULL;
}

static void sleep_in_threads(void *context, char command, int to) {
    unsigned count = *(unsigned *)context;
    pthread_t threads[SLEEPERS];
    tachyon_bus_t *buses[SLEEPERS];
    char path[64];
    (void)command;
    snprintf(path, sizeof path, "@tachyon-many-%d-wake", getpid());
    for (unsigned i = 0; i < count; i++)
        buses[i] = connect_to(path);
    MUST(write(to, "j", 1) == 1);
    for (unsigned i = 0; i < count; i++)
        MUST(pthread_create(&threads[i], NULL, sleep_and_read, buses[i]) == 0);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Median time of a send to so many that sleep. */
static double time_wakes(unsigned count, int core, unsigned wakes) {
    double times[WAKES];
    struct other other;
    tachyon_bus_t *bus;
    tachyon_options_t options = {
        .size = sizeof options, .role = TACHYON_ROLE_PRODUCER, .max_peers = SLEEPERS};
    char path[64];
    other_start(&other, core, sleep_in_threads, &count);
    snprintf(path, sizeof path, "@tachyon-many-%d-wake", other.pid);
    MUST(tachyon_bus_listen_with(path, 1u << 16, &options, &bus) == TACHYON_SUCCESS);
    other_begin(&other, 's');
    accept_all(bus, count);
    other_done(&other);
    for (unsigned i = 0; i < WAKES; i++) {
        if (i < wakes)
            usleep(1500); /* all of them sleep */
        double begin = now_ns();
        send_one(bus, i);
        times[i] = now_ns() - begin;
    }
    other_done(&other);
    other_stop(&other);
    tachyon_bus_destroy(bus);
    return median(times, wakes);
}

void bench_wakes(const struct settings *settings) {
    struct low one = {0}, all = {0};
    unsigned rounds = settings->rounds / 8 + 1;
    for (unsigned round = 0; round < rounds; round++) {
        unsigned wakes = settings->rounds > 8 ? WAKES : 20;
        low_note(&one, time_wakes(1, settings->other, wakes));
        low_note(&all, time_wakes(SLEEPERS, settings->other, wakes));
    }
    print_row(&(struct row){.id = "wake_one",
                            .title = "a flush that wakes one reader, p50",
                            .unit = "ns",
                            .value = one.value,
                            .samples = one.samples});
    print_row(&(struct row){.id = "wake_further",
                            .title = "each further sleeper, of 8",
                            .unit = "ns",
                            .value = (all.value - one.value) / (SLEEPERS - 1),
                            .limit = 2500,
                            .samples = all.samples});
}

/* ---- Joining ---- */

static _Atomic bool enough;

static void *send_for_ever(void *context) {
    for (uint64_t i = 0; !atomic_load_explicit(&enough, memory_order_relaxed); i++)
        send_one(context, i);
    return NULL;
}

static void *accept_for_ever(void *context) {
    tachyon_event_t event;
    while (tachyon_bus_accept(context, &event, -1) == TACHYON_SUCCESS)
        ;
    return NULL;
}

/* In the other process: connect again and again. */
static void join_and_leave(void *context, char command, int to) {
    unsigned count = *(unsigned *)context;
    double times[300];
    char path[64];
    (void)command;
    snprintf(path, sizeof path, "@tachyon-many-%d-join", getpid());
    for (unsigned i = 0; i < count; i++) {
        double begin = now_ns();
        tachyon_bus_t *bus = connect_to(path);
        times[i] = now_ns() - begin;
        tachyon_bus_destroy(bus);
        usleep(500);
    }
    double p50 = median(times, count);
    MUST(write(to, &p50, sizeof p50) == sizeof p50);
}

void bench_join(const struct settings *settings) {
    unsigned count = settings->rounds > 8 ? 300 : 30;
    tachyon_options_t options = {.size = sizeof options,
                                 .role = TACHYON_ROLE_PRODUCER,
                                 .max_peers = 16,
                                 .without_peers = TACHYON_WITHOUT_PEERS_FREE_RUN};
    struct other other;
    struct low low = {0};
    pthread_t sender, accepter;
    cpu_set_t cores;
    tachyon_bus_t *bus;
    char path[64];
    double p50;
    other_start(&other, settings->other, join_and_leave, &count);
    snprintf(path, sizeof path, "@tachyon-many-%d-join", other.pid);
    MUST(tachyon_bus_listen_with(path, 1u << 16, &options, &bus) == TACHYON_SUCCESS);
    MUST(pthread_create(&sender, NULL, send_for_ever, bus) == 0);
    MUST(pthread_create(&accepter, NULL, accept_for_ever, bus) == 0);
    CPU_ZERO(&cores); /* the sender has a core to itself */
    CPU_SET((unsigned)settings->other, &cores);
    pthread_setaffinity_np(accepter, sizeof cores, &cores);
    for (unsigned round = 0; round < settings->rounds / 8 + 1; round++) {
        other_begin(&other, 'j');
        MUST(read(other.from, &p50, sizeof p50) == sizeof p50);
        other_done(&other);
        low_note(&low, p50);
    }
    atomic_store(&enough, true);
    pthread_join(sender, NULL);
    tachyon_bus_close(bus);
    pthread_join(accepter, NULL);
    tachyon_bus_destroy(bus);
    other_stop(&other);
    print_row(&(struct row){.id = "join",
                            .title = "connect to a producer that is busy, p50",
                            .unit = "us",
                            .value = low.value / 1000,
                            .limit = 150,
                            .samples = low.samples});
}

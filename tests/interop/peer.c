/* SPDX-License-Identifier: Apache-2.0 */
/* The C peer of the conformance tests; README.md has the rules it follows. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tachyon.h"

enum { SPIN = 10000, BATCH = 100, TICKS = 1000, MAX_SIZES = 32, MAX_CALLS = 256 };

/* ---- The command line ------------------------------------------------------- */

static struct settings {
    const char *end, *open, *capacity, *schema, *role, *wait, *count, *size, *how,
        *seed, *finish, *outstanding, *order, *cancel, *types, *required, *pause;
} text = {"connect", "20",    "65536", "0",  "0", "20", "1", "32", "single",
          "0",       "close", "1",     "in", "0", "",   "0", "0"};
static const struct key {
    const char *name;
    const char **value;
} keys[] = {{"end", &text.end},           {"open", &text.open},
            {"capacity", &text.capacity}, {"schema", &text.schema},
            {"role", &text.role},         {"wait", &text.wait},
            {"count", &text.count},       {"size", &text.size},
            {"how", &text.how},           {"seed", &text.seed},
            {"finish", &text.finish},     {"outstanding", &text.outstanding},
            {"order", &text.order},       {"cancel", &text.cancel},
            {"types", &text.types},       {"required", &text.required},
            {"pause", &text.pause}};

static size_t sizes[MAX_SIZES], size_count;
static uint64_t count, seed;
static int64_t wait_ns, pause_ns;
static bool batch, in_place, tells_why;

static bool is(const char *value, const char *wanted) {
    return !strcmp(value, wanted);
}

_Noreturn static void usage(const char *what) {
    fprintf(stderr, "peer OPERATION PATH [key=value ...]: %s?\n", what);
    exit(2);
}

static uint64_t number(const char *value) {
    char *end;
    errno = 0;
    uint64_t n = strtoull(value, &end, 10);
    if (end == value || (*end && *end != ',') || errno)
        usage(value);
    return n;
}

static int64_t nanoseconds(const char *seconds) {
    return (int64_t)(strtod(seconds, NULL) * 1e9);
}

static void parse(char **arguments) {
    for (; *arguments; arguments++) {
        char *value = strchr(*arguments, '=');
        const struct key *key = keys, *end = keys + sizeof keys / sizeof *keys;
        while (value && key < end &&
               (strlen(key->name) != (size_t)(value - *arguments) ||
                strncmp(key->name, *arguments, strlen(key->name)) != 0))
            key++;
        if (!value || key == end)
            usage(*arguments);
        *key->value = value + 1;
    }
    for (const char *size = text.size; size && size_count < MAX_SIZES;
         size = strchr(size, ',')) {
        size += *size == ',';
        sizes[size_count++] = number(size);
    }
    count = number(text.count);
    seed = number(text.seed);
    wait_ns = nanoseconds(text.wait);
    pause_ns = nanoseconds(text.pause);
    batch = is(text.how, "batch");
    in_place = is(text.how, "in_place");
}

/* ---- What is printed -------------------------------------------------------- */

static void say(const char *what, uint64_t value) {
    printf("%s %" PRIu64 "\n", what, value);
    fflush(stdout);
}

static void say_error(tachyon_error_t error) {
    say("error", error);
}

static void wrong(uint64_t i) {
    say("wrong", i);
    exit(1);
}

/* ---- Messages --------------------------------------------------------------- */

static size_t size_of(uint64_t i) {
    return sizes[(batch ? i / BATCH : i) % size_count];
}

static uint32_t type_of(uint64_t i) {
    return batch ? 1 : (uint32_t)(i % 7) + 1;
}

static uint8_t byte_of(uint64_t i, size_t j) {
    return (uint8_t)(31 * i + 7 * j + seed);
}

static void write_message(uint8_t *at, uint64_t i) {
    for (size_t j = 0, size = size_of(i); j < size; j++)
        at[j] = byte_of(i, j);
}

static void check(uint64_t i, const uint8_t *bytes, size_t size, uint32_t type_id) {
    bool right = size == size_of(i) && type_id == type_of(i);
    for (size_t j = 0; right && j < size; j++)
        right = bytes[j] == byte_of(i, j);
    if (!right)
        wrong(i);
}

static void *room(size_t size) {
    void *bytes = malloc(size ? size : 1);
    if (!bytes)
        abort();
    return bytes;
}

/* ---- One way ---------------------------------------------------------------- */

static tachyon_bus_t *open_bus(const char *path) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = nanoseconds(text.open),
                                 .role = (uint32_t)number(text.role),
                                 .schema = number(text.schema),
                                 .types = *text.types ? text.types : NULL,
                                 .types_size = strlen(text.types),
                                 .types_required = (uint32_t)number(text.required)};
    tachyon_bus_t *bus;
    tachyon_error_t error =
        is(text.end, "listen")
            ? tachyon_bus_listen_with(path, number(text.capacity), &options, &bus)
            : tachyon_bus_connect_with(path, &options, &bus);
    if (error) {
        say_error(error);
        if (tells_why)
            printf("why %s\n", tachyon_last_error_message());
        exit(0);
    }
    return bus;
}

static void finish(tachyon_bus_t *bus) {
    if (is(text.finish, "kill"))
        raise(SIGKILL);
    if (is(text.finish, "abort"))
        tachyon_bus_abort(bus);
    if (!is(text.finish, "leave"))
        tachyon_bus_destroy(bus);
}

/* Message i, or with batches those up to the next hundred; *done counts them. */
static tachyon_error_t send_next(tachyon_bus_t *bus, uint64_t *done, int64_t timeout) {
    static uint8_t *items;
    uint64_t i = *done;
    size_t size = size_of(i), n = 1;
    if (in_place) {
        uint8_t *slot = tachyon_acquire_tx_timed(bus, size, SPIN, timeout);
        if (!slot)
            return tachyon_last_error();
        write_message(slot, i);
        tachyon_error_t error = tachyon_commit_tx(bus, size, type_of(i));
        *done += !error;
        return error;
    }
    if (batch)
        n = BATCH - i % BATCH < count - i ? BATCH - i % BATCH : count - i;
    free(items);
    items = room(n * size);
    for (size_t k = 0; k < n; k++)
        write_message(items + k * size, i + k);
    if (batch) {
        size_t sent =
            tachyon_send_batch(bus, items, size, n, type_of(i), SPIN, timeout);
        *done += sent;
        return sent < n ? tachyon_last_error() : TACHYON_SUCCESS;
    }
    tachyon_error_t error = tachyon_send(bus, items, size, type_of(i), SPIN, timeout);
    *done += !error;
    return error;
}

static tachyon_error_t recv_next(tachyon_bus_t *bus, uint64_t *done, int64_t timeout) {
    static uint8_t *items;
    uint64_t i = *done;
    uint32_t type_id;
    size_t size = size_of(i), n = 1;
    if (in_place) {
        tachyon_msg_view_t views[BATCH];
        n = tachyon_drain_batch_timed(bus, views, BATCH, SPIN, timeout);
        for (size_t k = 0; k < n; k++)
            check(i + k, views[k].ptr, views[k].actual_size, views[k].type_id);
        if (n && tachyon_commit_rx_batch(bus, views, n))
            wrong(i);
    } else if (batch) {
        free(items);
        items = room(BATCH * size);
        n = tachyon_recv_batch(bus, items, size, BATCH - i % BATCH, &type_id, SPIN,
                               timeout);
        for (size_t k = 0; k < n; k++)
            check(i + k, items + k * size, size, type_id);
    } else {
        const void *bytes =
            tachyon_acquire_rx_timed(bus, &type_id, &size, SPIN, timeout);
        if (!bytes)
            return tachyon_last_error();
        check(i, bytes, size, type_id);
        tachyon_commit_rx(bus);
    }
    *done += n;
    return n ? TACHYON_SUCCESS : tachyon_last_error();
}

static void op_open(const char *path) {
    tachyon_bus_t *bus = open_bus(path);
    puts("opened");
    fflush(stdout);
    finish(bus);
}

static void op_meet(const char *path) {
    puts("ready");
    fflush(stdout);
    tells_why = true;
    op_open(path);
}

static void op_send(const char *path) {
    tachyon_bus_t *bus = open_bus(path);
    tachyon_error_t error = TACHYON_SUCCESS;
    uint64_t done = 0;
    while (done < count && !error)
        error = send_next(bus, &done, wait_ns);
    tachyon_flush(bus);
    say("sent", done);
    if (error)
        say_error(error);
    finish(bus);
}

static void op_recv(const char *path) {
    tachyon_bus_t *bus = open_bus(path);
    tachyon_error_t error = TACHYON_SUCCESS;
    uint64_t done = 0;
    while (!error)
        error = recv_next(bus, &done, wait_ns);
    say("received", done);
    say_error(error);
    tachyon_bus_destroy(bus);
}

static void op_fill(const char *path) {
    tachyon_bus_t *bus = open_bus(path);
    tachyon_error_t error = TACHYON_SUCCESS;
    uint64_t done = 0;
    count = UINT64_MAX;
    while (!error)
        error = send_next(bus, &done, 0);
    say("sent", done);
    say_error(error);
    say_error(send_next(bus, &done, wait_ns));
    tachyon_flush(bus);
    finish(bus);
}

static void op_drain(const char *path) {
    tachyon_bus_t *bus = open_bus(path);
    uint64_t done = 0;
    puts("ready");
    say_error(recv_next(bus, &done, 0));
    say_error(recv_next(bus, &done, wait_ns));
    tachyon_bus_destroy(bus);
}

static void op_hold(const char *path) {
    open_bus(path);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static void op_misuse(const char *path) {
    tachyon_bus_t *bus = open_bus(path);
    tachyon_bus_close(bus);
    tachyon_bus_close(bus);
    tachyon_bus_t *objects[] = {bus, NULL};
    for (int k = 0; k < 2; k++) {
        uint64_t done = 0;
        say_error(send_next(objects[k], &done, wait_ns));
        say_error(recv_next(objects[k], &done, wait_ns));
        tachyon_flush(objects[k]);
    }
    tachyon_bus_destroy(bus);
}

/* ---- Calls ------------------------------------------------------------------ */

struct request {
    uint64_t id;
    uint8_t *bytes;
    size_t size;
    uint32_t type;
};

static bool take_request(tachyon_rpc_bus_t *rpc, struct request *request) {
    const uint8_t *bytes = tachyon_rpc_serve_timed(rpc, &request->id, &request->type,
                                                   &request->size, SPIN, wait_ns);
    if (!bytes)
        return false;
    request->bytes = room(request->size);
    for (size_t j = 0; j < request->size; j++)
        request->bytes[j] = bytes[request->size - 1 - j];
    return tachyon_rpc_commit_serve(rpc) == TACHYON_SUCCESS;
}

static tachyon_rpc_bus_t *open_rpc(const char *path, bool listens) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = nanoseconds(text.open),
                                 .schema = number(text.schema)};
    size_t capacity = number(text.capacity);
    tachyon_rpc_bus_t *rpc;
    tachyon_error_t error =
        listens ? tachyon_rpc_listen_with(path, capacity, capacity, &options, &rpc)
                : tachyon_rpc_connect_with(path, &options, &rpc);
    if (error) {
        say_error(error);
        exit(0);
    }
    return rpc;
}

static void op_serve(const char *path) {
    static struct request requests[MAX_CALLS];
    size_t group = number(text.outstanding);
    if (group < 1 || group > MAX_CALLS)
        usage("outstanding");
    tachyon_rpc_bus_t *rpc = open_rpc(path, true);
    uint64_t served = 0;
    for (bool on = true; on;) {
        size_t n = 0;
        while (n < group && (on = take_request(rpc, &requests[n])))
            n++;
        for (size_t k = 0; on && k < n; k++) {
            struct request *request = &requests[is(text.order, "in") ? k : n - 1 - k];
            on = !tachyon_rpc_reply_timed(rpc, request->id, request->bytes,
                                          request->size, request->type + 1, SPIN,
                                          wait_ns);
            served += on;
        }
        tachyon_error_t error = tachyon_last_error();
        for (size_t k = 0; k < n; k++)
            free(requests[k].bytes);
        if (!on) {
            say("served", served);
            say_error(error);
        }
    }
    tachyon_rpc_destroy(rpc);
}

static bool await(tachyon_rpc_bus_t *rpc, uint64_t id, uint64_t i) {
    size_t size;
    uint32_t type;
    const uint8_t *bytes = tachyon_rpc_wait_timed(rpc, id, &size, &type, SPIN, wait_ns);
    if (!bytes)
        return false;
    bool right = size == size_of(i) && type == type_of(i) + 1;
    for (size_t j = 0; right && j < size; j++)
        right = bytes[j] == byte_of(i, size - 1 - j);
    if (!right)
        wrong(i);
    return tachyon_rpc_commit_rx(rpc) == TACHYON_SUCCESS;
}

static void op_call(const char *path) {
    uint64_t ids[MAX_CALLS], answered = 0, cancelled = 0;
    uint64_t group = number(text.outstanding), every = number(text.cancel);
    if (group < 1 || group > MAX_CALLS)
        usage("outstanding");
    tachyon_rpc_bus_t *rpc = open_rpc(path, false);
    bool on = true;
    for (uint64_t first = 0; on && first < count; first += group) {
        uint64_t n = count - first < group ? count - first : group;
        for (uint64_t k = 0; on && k < n; k++) {
            uint8_t *bytes = room(size_of(first + k));
            write_message(bytes, first + k);
            on = !tachyon_rpc_call_timed(rpc, bytes, size_of(first + k),
                                         type_of(first + k), &ids[k], SPIN, wait_ns);
            free(bytes);
        }
        for (uint64_t k = 0; on && k < n; k++) {
            if (every && (first + k + 1) % every == 0) {
                on = !tachyon_rpc_cancel(rpc, ids[k]);
                cancelled += on;
            } else {
                on = await(rpc, ids[k], first + k);
                answered += on;
            }
        }
    }
    tachyon_error_t error = tachyon_last_error();
    say("answered", answered);
    if (on)
        say("cancelled", cancelled);
    else
        say_error(error);
    if (is(text.finish, "kill"))
        raise(SIGKILL);
    if (is(text.finish, "abort"))
        tachyon_rpc_abort(rpc);
    if (!is(text.finish, "leave"))
        tachyon_rpc_destroy(rpc);
}

/* ---- Speed ------------------------------------------------------------------ */

struct tick {
    char symbol[8];
    double price;
    uint32_t qty, pad;
    uint64_t ts;
};
_Static_assert(sizeof(struct tick) == 32, "a tick is 32 bytes");

struct sums {
    uint64_t count, qty, symbols;
    double price;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void set(struct tick *tick, uint64_t i) {
    *tick = (struct tick){"TCHY", 100 + (double)i * 0.25, (uint32_t)(i % 1000), 0, i};
}

static void add(struct sums *sums, const struct tick *tick) {
    if (tick->ts != sums->count || tick->pad || memcmp(tick->symbol, "TCHY\0\0\0", 8))
        wrong(sums->count);
    sums->count++;
    sums->qty += tick->qty;
    sums->price += tick->price;
}

static void report(const struct sums *sums, double ns) {
    printf("count %" PRIu64 " qty %" PRIu64 " price %.2f ns %.1f\n", sums->count,
           sums->qty, sums->price, ns / (double)(sums->count ? sums->count : 1));
}

static void stopped(void) {
    say_error(tachyon_last_error());
    exit(1);
}

static void op_produce(const char *path) {
    static struct tick ticks[TICKS];
    tachyon_bus_t *bus = open_bus(path);
    double start = now();
    for (uint64_t i = 0; i < count;) {
        if (batch) {
            size_t n = count - i < TICKS ? count - i : TICKS;
            for (size_t k = 0; k < n; k++)
                set(&ticks[k], i + k);
            if (tachyon_send_batch(bus, ticks, sizeof *ticks, n, 7, SPIN, wait_ns) < n)
                stopped();
            i += n;
        } else if (in_place) {
            struct tick *tick =
                tachyon_acquire_tx_timed(bus, sizeof *tick, SPIN, wait_ns);
            if (!tick)
                stopped();
            set(tick, i++);
            if (tachyon_commit_tx(bus, sizeof *tick, 7))
                stopped();
        } else {
            struct tick tick;
            set(&tick, i++);
            if (tachyon_send(bus, &tick, sizeof tick, 7, SPIN, wait_ns))
                stopped();
        }
    }
    tachyon_flush(bus);
    double ns = now() - start;
    struct sums sums = {0};
    for (uint64_t i = 0; i < count; i++) {
        struct tick tick;
        set(&tick, i);
        add(&sums, &tick);
    }
    report(&sums, ns);
    tachyon_bus_destroy(bus);
}

static void op_consume(const char *path) {
    static struct tick ticks[TICKS];
    static tachyon_msg_view_t views[TICKS];
    tachyon_bus_t *bus = open_bus(path);
    struct sums sums = {0};
    double start = 0;
    for (size_t n = 1; n;) {
        uint32_t type = 7;
        size_t size = sizeof *ticks;
        const void *one = NULL;
        if (batch)
            n = tachyon_recv_batch(bus, ticks, size, TICKS, &type, SPIN, wait_ns);
        else if (in_place)
            n = tachyon_drain_batch_timed(bus, views, TICKS, SPIN, wait_ns);
        else
            n = (one = tachyon_acquire_rx_timed(bus, &type, &size, SPIN, wait_ns)) != 0;
        if (!start)
            start = now();
        if (type != 7 || size != sizeof *ticks)
            wrong(sums.count);
        if (one) {
            memcpy(ticks, one, sizeof *ticks);
            tachyon_commit_rx(bus);
        }
        for (size_t k = 0; k < n; k++) {
            if (in_place &&
                (views[k].type_id != 7 || views[k].actual_size != sizeof *ticks))
                wrong(sums.count);
            add(&sums, in_place ? views[k].ptr : &ticks[k]);
        }
        if (n && in_place && tachyon_commit_rx_batch(bus, views, n))
            stopped();
    }
    if (tachyon_last_error() != TACHYON_ERR_CLOSED)
        stopped();
    report(&sums, now() - start);
    tachyon_bus_destroy(bus);
}

/* ---- Round trips ------------------------------------------------------------ */

enum { TRIP = 32, PAUSES = 300 };
static const uint8_t question[TRIP] = "there and back";

static tachyon_bus_t *open_back(const char *path) {
    char *back = room(strlen(path) + sizeof "-back");
    sprintf(back, "%s-back", path);
    tachyon_bus_t *bus = open_bus(back);
    free(back);
    return bus;
}

static void take(uint8_t *into, const void *bytes, size_t size, uint64_t i) {
    if (!bytes)
        stopped();
    if (size != TRIP)
        wrong(i);
    memcpy(into, bytes, TRIP);
}

static void say_answered(const uint8_t *last) {
    if (memcmp(last, question, TRIP) != 0)
        wrong(count - 1);
    say("answered", count);
}

static void op_ping(const char *path) {
    tachyon_bus_t *bus = open_bus(path), *back = open_back(path);
    uint8_t answer[TRIP] = {0};
    for (uint64_t i = 0; i < count; i++) {
        uint32_t type;
        size_t size;
        if (tachyon_send(bus, question, TRIP, 1, SPIN, wait_ns))
            stopped();
        const void *bytes = tachyon_acquire_rx_timed(back, &type, &size, SPIN, wait_ns);
        take(answer, bytes, size, i);
        tachyon_commit_rx(back);
    }
    say_answered(answer);
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(back);
}

static void op_ask(const char *path) {
    tachyon_rpc_bus_t *rpc = open_rpc(path, false);
    uint8_t answer[TRIP] = {0};
    for (uint64_t i = 0; i < count; i++) {
        uint64_t id;
        uint32_t type;
        size_t size;
        if (tachyon_rpc_call_timed(rpc, question, TRIP, 1, &id, SPIN, wait_ns))
            stopped();
        const void *bytes =
            tachyon_rpc_wait_timed(rpc, id, &size, &type, SPIN, wait_ns);
        take(answer, bytes, size, i);
        tachyon_rpc_commit_rx(rpc);
    }
    say_answered(answer);
    tachyon_rpc_destroy(rpc);
}

/* The times from an answer to the next message. The first ones do not count: a compiler
 * at run time is not done by then. */
static double *trips, answered;
static uint64_t trip_count, uncounted;

static void expect_trips(void) {
    if (count < 2)
        usage("count");
    trips = room(count * sizeof *trips);
    uncounted = pause_ns && count > 2 * PAUSES ? count - PAUSES : count / 2;
}

static void came(uint8_t *message, const void *bytes, size_t size) {
    double at = now();
    if (trip_count == count)
        wrong(count);
    take(message, bytes, size, trip_count);
    trips[trip_count++] = at - answered;
}

static void answers(void) {
    if (pause_ns && trip_count >= uncounted)
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
    answered = now();
}

static int by_time(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report_trips(void) {
    if (tachyon_last_error() != TACHYON_ERR_CLOSED)
        stopped();
    if (trip_count < count)
        wrong(trip_count);
    double *counted = trips + uncounted;
    uint64_t n = count - uncounted;
    qsort(counted, n, sizeof *counted, by_time);
    printf("count %" PRIu64 " p50 %.1f p99 %.1f\n", count, counted[n / 2],
           counted[n * 99 / 100]);
}

static void op_echo(const char *path) {
    tachyon_bus_t *bus = open_bus(path), *back = open_back(path);
    uint8_t message[TRIP];
    const void *bytes;
    size_t size;
    uint32_t type;
    expect_trips();
    while ((bytes = tachyon_acquire_rx_timed(bus, &type, &size, SPIN, wait_ns))) {
        came(message, bytes, size);
        tachyon_commit_rx(bus);
        answers();
        if (tachyon_send(back, message, TRIP, type, SPIN, wait_ns))
            stopped();
    }
    report_trips();
    tachyon_bus_destroy(bus);
    tachyon_bus_destroy(back);
}

static void op_answer(const char *path) {
    tachyon_rpc_bus_t *rpc = open_rpc(path, true);
    uint8_t message[TRIP];
    const void *bytes;
    uint64_t id;
    size_t size;
    uint32_t type;
    expect_trips();
    while ((bytes = tachyon_rpc_serve_timed(rpc, &id, &type, &size, SPIN, wait_ns))) {
        came(message, bytes, size);
        tachyon_rpc_commit_serve(rpc);
        answers();
        if (tachyon_rpc_reply_timed(rpc, id, message, TRIP, type, SPIN, wait_ns))
            stopped();
    }
    report_trips();
    tachyon_rpc_destroy(rpc);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(const char *path);
    } operations[] = {
        {"open", op_open},       {"send", op_send},       {"recv", op_recv},
        {"fill", op_fill},       {"drain", op_drain},     {"hold", op_hold},
        {"misuse", op_misuse},   {"serve", op_serve},     {"call", op_call},
        {"produce", op_produce}, {"consume", op_consume}, {"meet", op_meet},
        {"ping", op_ping},       {"ask", op_ask},         {"echo", op_echo},
        {"answer", op_answer}};
    if (argc < 3)
        usage("OPERATION PATH");
    parse(argv + 3);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (is(argv[1], operations[i].name)) {
            operations[i].run(argv[2]);
            return 0;
        }
    }
    usage(argv[1]);
}

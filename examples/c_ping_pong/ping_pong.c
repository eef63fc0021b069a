/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips of a 32-byte message between two processes, and of a bare cache line as
   the yardstick. ping (the parent) takes the times, pong (the child) echoes; a series
   of messages stands between two of the line. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tachyon.h>

#include "clock.h"
#include "report.h"
#include "trip.types.h"

#define CAPACITY ((size_t)1 << 16)
#define SPIN_THRESHOLD 10000
#define MEET_NS INT64_C(10000000000)
#define WARM_UP 100            /* trips of a series that are not timed */
#define LOOKS (1 << 20)        /* at the bare line, between two at the peer */
#define MOST UINT32_C(1000000) /* of anything that can be asked for */
#define SKIPPED 77             /* what CTest takes for a skipped test */

/* Far enough apart that no prefetcher takes them for one. */
struct lines {
    _Alignas(128) _Atomic uint64_t ping;
    _Alignas(128) _Atomic uint64_t pong;
};

/* What one process holds of the connection. */
struct end {
    const char *name;
    tachyon_bus_t *tx;
    tachyon_bus_t *rx;
    struct lines *lines;
};

/* How much is measured; the same in both processes. */
struct plan {
    size_t rounds;
    size_t trips;
    uint32_t near_below_ns;
};

static _Noreturn void fail(const struct end *end, const char *doing) {
    fprintf(stderr, "%s: %s: %s\n", end->name, doing, tachyon_last_error_message());
    exit(1);
}

static _Noreturn void fail_errno(const char *doing) {
    fprintf(stderr, "ping_pong: %s: %s\n", doing, strerror(errno));
    exit(1);
}

/* ---- Messages ---- */

static void send_message(const struct end *end, Trip message) {
    Trip *slot = tachyon_acquire_tx(end->tx, sizeof *slot);
    if (slot == NULL)
        fail(end, "acquire_tx");
    *slot = message;
    if (tachyon_commit_tx(end->tx, sizeof *slot, Trip_TYPE) != TACHYON_SUCCESS)
        fail(end, "commit_tx");
    tachyon_flush(end->tx);
}

static Trip receive_message(const struct end *end) {
    uint32_t type_id;
    size_t size;
    const void *slot;
    do {
        slot = tachyon_acquire_rx_blocking(end->rx, &type_id, &size, SPIN_THRESHOLD);
    } while (slot == NULL && tachyon_last_error() == TACHYON_ERR_INTERRUPTED);
    if (slot == NULL)
        fail(end, "acquire_rx");
    const Trip *trip = Trip_of(slot, type_id, size);
    if (trip == NULL) {
        fprintf(stderr, "%s: a message of %zu bytes came\n", end->name, size);
        exit(1);
    }
    Trip message = *trip;
    tachyon_commit_rx(end->rx);
    return message;
}

static void send_and_await(const struct end *end, uint64_t number) {
    send_message(end, (Trip){.number = number});
    uint64_t echo = receive_message(end).number;
    if (echo != number) {
        fprintf(stderr, "ping: %" PRIu64 " came back as %" PRIu64 "\n", number, echo);
        exit(1);
    }
}

static void echo(const struct end *end, uint64_t number) {
    (void)number;
    send_message(end, receive_message(end));
}

/* ---- The bare line ---- */

/* Nothing ends the spinning when the peer dies, so this asks now and then. */
static void await_line(const struct end *end, _Atomic uint64_t *line, uint64_t number) {
    for (uint32_t look = 1; atomic_load_explicit(line, memory_order_acquire) != number;
         look++)
        if (look % LOOKS == 0 && tachyon_get_state(end->rx) != TACHYON_STATE_READY)
            fail(end, "raw line");
}

static void store_and_await(const struct end *end, uint64_t number) {
    atomic_store_explicit(&end->lines->ping, number, memory_order_release);
    await_line(end, &end->lines->pong, number);
}

static void echo_line(const struct end *end, uint64_t number) {
    await_line(end, &end->lines->ping, number);
    atomic_store_explicit(&end->lines->pong, number, memory_order_release);
}

/* ---- Series ---- */

typedef void trip_fn(const struct end *end, uint64_t number);

/* Makes the trips of the nth series of its kind. `times` may be NULL. */
static void run(const struct end *end, trip_fn *trip, size_t trips, size_t nth,
                uint32_t *times) {
    uint64_t number = nth * (WARM_UP + trips), before = 0;
    for (size_t i = 0; i < WARM_UP + trips; i++) {
        trip(end, ++number);
        uint64_t now = ticks();
        if (times != NULL && i >= WARM_UP) {
            uint64_t time = now - before;
            times[i - WARM_UP] = time < UINT32_MAX ? (uint32_t)time : UINT32_MAX;
        }
        before = now;
    }
}

static void ping(const struct end *end, const struct plan *plan) {
    struct report report;
    report_open(&report, plan->rounds, plan->trips, plan->near_below_ns);
    uint32_t *line = malloc(plan->trips * sizeof *line);
    uint32_t *messages = malloc(plan->trips * sizeof *messages);
    if (line == NULL || messages == NULL)
        fail_errno("malloc");

    run(end, store_and_await, plan->trips, 0, line);
    uint32_t before = report_median(&report, line);
    for (size_t round = 0; round < plan->rounds; round++) {
        run(end, send_and_await, plan->trips, round, messages);
        run(end, store_and_await, plan->trips, round + 1, line);
        uint32_t median = report_median(&report, messages);
        uint32_t after = report_median(&report, line);
        report_add(&report, messages, line, median, before, after);
        before = after;
    }
    report_print(&report);
    report_close(&report);
    free(line);
    free(messages);
}

static void pong(const struct end *end, const struct plan *plan) {
    run(end, echo_line, plan->trips, 0, NULL);
    for (size_t round = 0; round < plan->rounds; round++) {
        run(end, echo, plan->trips, round, NULL);
        run(end, echo_line, plan->trips, round + 1, NULL);
    }
}

/* ---- Two processes ---- */

static void pin_to(size_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        fail_errno("sched_setaffinity");
}

/* The first two cores that this process may run on; 0 when there is only one. */
static int choose_cores(size_t cores[2]) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        fail_errno("sched_getaffinity");
    int found = 0;
    for (size_t core = 0; core < CPU_SETSIZE && found < 2; core++)
        if (CPU_ISSET(core, &allowed))
            cores[found++] = core;
    return found == 2;
}

/* "@": the abstract namespace, which leaves no file behind. */
static void open_both(struct end *end, pid_t ping) {
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = MEET_NS,
                                 .types = TRIP_TYPES,
                                 .types_size = TRIP_TYPES_SIZE};
    char forth[32], back[32];
    snprintf(forth, sizeof forth, "@tachyon-ping-%ld", (long)ping);
    snprintf(back, sizeof back, "@tachyon-pong-%ld", (long)ping);
    tachyon_error_t error;
    if (getpid() == ping) {
        error = tachyon_bus_listen_with(forth, CAPACITY, &options, &end->tx);
        if (error == TACHYON_SUCCESS)
            error = tachyon_bus_connect_with(back, &options, &end->rx);
    } else {
        error = tachyon_bus_connect_with(forth, &options, &end->rx);
        if (error == TACHYON_SUCCESS)
            error = tachyon_bus_listen_with(back, CAPACITY, &options, &end->tx);
    }
    if (error != TACHYON_SUCCESS)
        fail(end, "open");
}

static uint32_t parse_number(int option, const char *text) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > MOST) {
        fprintf(stderr, "ping_pong: -%c %s: not a number from 1 to %" PRIu32 "\n",
                option, text, MOST);
        exit(2);
    }
    return (uint32_t)value;
}

static struct plan parse_arguments(int argc, char **argv) {
    struct plan plan = {.rounds = 50, .trips = 10000, .near_below_ns = 200};
    for (int option; (option = getopt(argc, argv, "b:n:r:")) != -1;) {
        switch (option) {
        case 'b':
            plan.near_below_ns = parse_number(option, optarg);
            break;
        case 'n':
            plan.trips = parse_number(option, optarg);
            break;
        case 'r':
            plan.rounds = parse_number(option, optarg);
            break;
        default:
            fprintf(stderr,
                    "usage: %s [-b NS] [-n TRIPS] [-r ROUNDS]\n"
                    "  -b  cores whose line takes less are near, others far (200)\n"
                    "  -n  round trips in a series (10000)\n"
                    "  -r  rounds: a series of messages and one of the line (50)\n",
                    argv[0]);
            exit(2);
        }
    }
    return plan;
}

int main(int argc, char **argv) {
    struct plan plan = parse_arguments(argc, argv);
    size_t cores[2];
    if (!choose_cores(cores)) {
        fprintf(stderr, "ping_pong: needs two cores, may use only one\n");
        return SKIPPED;
    }
    struct end end = {.name = "ping"};
    end.lines = mmap(NULL, sizeof *end.lines, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (end.lines == MAP_FAILED)
        fail_errno("mmap");

    pid_t parent = getpid();
    /* Before anything is opened: a bus belongs to the process that made it. */
    pid_t child = fork();
    if (child < 0)
        fail_errno("fork");
    if (child == 0)
        end.name = "pong";
    pin_to(cores[child == 0]);
    open_both(&end, parent);
    if (child == 0) {
        pong(&end, &plan);
    } else {
        printf("32 bytes between cores %zu and %zu, %zu rounds of %zu round trips\n",
               cores[0], cores[1], plan.rounds, plan.trips);
        fflush(stdout);
        ping(&end, &plan);
    }
    tachyon_bus_destroy(end.tx);
    tachyon_bus_destroy(end.rx);

    int status = 0;
    if (child != 0 && waitpid(child, &status, 0) < 0)
        fail_errno("waitpid");
    if (status != 0) {
        fprintf(stderr, "ping_pong: pong ended with wait status %#x\n",
                (unsigned)status);
        return 1;
    }
    return 0;
}

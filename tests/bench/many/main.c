/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage: bench_many <core> <core> [rounds] [cases]. Prints a JSON array of rows for the
 * program `benchmarks`; of the cases whose names begin so, or all.
 *
 * Two processes on two cores; the other one has all the peers. Each value is the lowest of
 * interleaved rounds: what the machine does meanwhile only ever adds.
 */
#define _GNU_SOURCE
#include "many.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Noreturn void fail_at(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, tachyon_last_error_message());
    exit(1);
}

double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void pin(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    MUST(sched_setaffinity(0, sizeof cores, &cores) == 0);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

void low_note(struct low *low, double value) {
    if (low->samples++ == 0 || value < low->value)
        low->value = value;
}

static void print_number(const char *key, double value, bool is_there) {
    if (is_there)
        printf(", \"%s\": %.6g", key, value);
    else
        printf(", \"%s\": null", key);
}

void print_row(const struct row *row) {
    static const char *comma = "";
    char goal[64] = "", ratio[32] = "";
    if (row->limit_ratio > 0)
        snprintf(ratio, sizeof ratio, "<= %g x", row->limit_ratio);
    if (row->limit > 0)
        snprintf(goal, sizeof goal, "<= %g %s", row->limit, row->unit);
    bool is_goal = row->limit > 0 || row->limit_ratio > 0;
    bool met = (row->limit == 0 || row->value <= row->limit) &&
               (row->limit_ratio == 0 || row->ratio <= row->limit_ratio);
    printf("%s\n {\"id\": \"%s\", \"title\": \"%s\", \"regime\": \"any\"", comma,
           row->id, row->title);
    print_number("value", row->value, true);
    printf(", \"unit\": \"%s\", \"ratio_to\": \"%s\"", row->unit,
           row->ratio > 0 ? row->ratio_to : "");
    print_number("ratio", row->ratio, row->ratio > 0);
    if (is_goal)
        printf(", \"goal\": \"%s%s%s\", \"met\": %s", ratio,
               *ratio && *goal ? ", " : "", goal, met ? "true" : "false");
    else
        printf(", \"goal\": null, \"met\": null");
    printf(", \"samples\": %u}", row->samples);
    fflush(stdout);
    comma = ",";
}

/* ---- The other process ---- */

#define QUIT 'q'

void other_start(struct other *other, int core, work_t *work, void *context) {
    int to[2], from[2];
    char command;
    MUST(pipe(to) == 0 && pipe(from) == 0);
    fflush(stdout);
    other->pid = fork();
    MUST(other->pid >= 0);
    if (other->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        close(from[0]);
        pin(core);
        while (read(to[0], &command, 1) == 1 && command != QUIT) {
            work(context, command, from[1]);
            MUST(write(from[1], "d", 1) == 1);
        }
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    other->to = to[1];
    other->from = from[0];
}

void other_begin(struct other *other, char command) {
    MUST(write(other->to, &command, 1) == 1);
}

void other_done(struct other *other) {
    char done;
    MUST(read(other->from, &done, 1) == 1);
}

void other_tell(struct other *other, char command) {
    other_begin(other, command);
    other_done(other);
}

void other_stop(struct other *other) {
    int status;
    other_begin(other, QUIT); /* others have inherited our end */
    close(other->to);
    close(other->from);
    MUST(waitpid(other->pid, &status, 0) == other->pid && status == 0);
}

/* ---- Peers ---- */

tachyon_bus_t *connect_to(const char *path) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 10 * SECOND};
    tachyon_bus_t *bus;
    MUST(tachyon_bus_connect_with(path, &options, &bus) == TACHYON_SUCCESS);
    return bus;
}

void accept_all(tachyon_bus_t *bus, unsigned count) {
    tachyon_event_t event;
    while (count-- > 0)
        MUST(tachyon_bus_accept(bus, &event, 10 * SECOND) == TACHYON_SUCCESS);
}

void send_one(tachyon_bus_t *bus, uint64_t number) {
    uint64_t payload[PAYLOAD / 8] = {number};
    MUST(tachyon_send(bus, payload, sizeof payload, 1, 0, 10 * SECOND) ==
         TACHYON_SUCCESS);
}

static const struct {
    const char *name;
    void (*measure)(const struct settings *settings);
} cases[] = {{"broadcast", bench_broadcast}, {"wake", bench_wakes},
             {"join", bench_join},           {"fanin", bench_fanin},
             {"idle", bench_idle},           {"calls", bench_calls}};

int main(int argc, char **argv) {
    struct settings settings = {.rounds = 40};
    if (argc < 3) {
        fprintf(stderr, "usage: %s <core> <core> [rounds] [cases]\n", argv[0]);
        return 2;
    }
    const char *wanted = argc > 4 ? argv[4] : "";
    settings.lead = atoi(argv[1]);
    settings.other = atoi(argv[2]);
    if (argc > 3)
        settings.rounds = (unsigned)atoi(argv[3]);
    pin(settings.lead);
    printf("[");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strncmp(cases[i].name, wanted, strlen(wanted)) == 0)
            cases[i].measure(&settings);
    printf("\n]\n");
    return 0;
}

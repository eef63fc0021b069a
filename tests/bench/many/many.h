/* SPDX-License-Identifier: Apache-2.0 */
/* What one listener with many peers costs; see docs/BENCHMARKS.md. */
#ifndef BENCH_MANY_H
#define BENCH_MANY_H

#include "tachyon.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MOST 64 /* peers in any case */
#define PAYLOAD 32
#define SECOND INT64_C(1000000000)

/* Ends the program where a benchmark cannot go on. */
#define MUST(condition)                                                                \
    ((condition) ? (void)0 : fail_at(__FILE__, __LINE__, #condition))
_Noreturn void fail_at(const char *file, int line, const char *what);

double now_ns(void);
void pin(int core);
double median(double *values, size_t count); /* sorts them */

/* The lowest of each round's values; what is printed. */
struct low {
    double value;
    unsigned samples;
};
void low_note(struct low *low, double value);

/* A row as docs/BENCHMARKS.md has them. A ratio of 0, a limit of 0: there is none. */
struct row {
    const char *id, *title, *unit, *ratio_to;
    double value, ratio, limit, limit_ratio;
    unsigned samples;
};
void print_row(const struct row *row);

struct settings {
    int lead, other; /* cores */
    unsigned rounds;
};

/* ---- The other process: it does what it is told, byte by byte ---- */

struct other {
    pid_t pid;
    int to, from;
};
typedef void work_t(void *context, char command, int to);
/* Fork it, pinned; it calls work() for each command and says when that is done. */
void other_start(struct other *other, int core, work_t *work, void *context);
void other_begin(struct other *other, char command);
void other_done(struct other *other); /* waits for that */
void other_tell(struct other *other, char command);
void other_stop(struct other *other);

/* ---- A listener, and its peers in the other process ---- */

tachyon_bus_t *connect_to(const char *path);
/* Let them in. */
void accept_all(tachyon_bus_t *bus, unsigned count);
void send_one(tachyon_bus_t *bus, uint64_t number);

void bench_broadcast(const struct settings *settings);
void bench_wakes(const struct settings *settings);
void bench_join(const struct settings *settings);
void bench_fanin(const struct settings *settings);
void bench_idle(const struct settings *settings);
void bench_calls(const struct settings *settings);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "report.h"

static int compare_ticks(const void *a, const void *b) {
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
    return (one > other) - (one < other);
}

static int compare_ratios(const void *a, const void *b) {
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fprintf(stderr, "ping_pong: no memory for %zu times of %zu bytes\n", count,
                size);
        exit(1);
    }
    return memory;
}

void report_open(struct report *report, size_t rounds, size_t trips,
                 double near_below_ns) {
    *report = (struct report){.trips = trips, .near_below_ns = near_below_ns};
    report->ns_per_tick = ns_per_tick();
    for (int i = 0; i < 2; i++) {
        struct regime *regime = i == 0 ? &report->near : &report->far;
        regime->line = allocate(rounds * trips, sizeof *regime->line);
        regime->messages = allocate(rounds * trips, sizeof *regime->messages);
        regime->ratios = allocate(rounds, sizeof *regime->ratios);
    }
}

uint32_t report_median(const struct report *report, uint32_t *series) {
    qsort(series, report->trips, sizeof *series, compare_ticks);
    return series[report->trips / 2];
}

static int is_near(const struct report *report, uint32_t line_median) {
    return line_median * report->ns_per_tick < report->near_below_ns;
}

void report_add(struct report *report, const uint32_t *messages, const uint32_t *line,
                uint32_t messages_median, uint32_t before, uint32_t after) {
    if (is_near(report, before) != is_near(report, after)) {
        report->left_out++;
        return;
    }
    struct regime *regime = is_near(report, after) ? &report->near : &report->far;
    size_t place = regime->rounds * report->trips;
    memcpy(regime->line + place, line, report->trips * sizeof *line);
    memcpy(regime->messages + place, messages, report->trips * sizeof *messages);
    regime->ratios[regime->rounds++] = 2.0 * messages_median / (before + after);
}

/* Sorts the times. */
static void print_times(const char *title, uint32_t *times, size_t count, double ns) {
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    qsort(times, count, sizeof *times, compare_ticks);
    printf("  %-10s", title);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        printf(" %9.0f", times[(size_t)(quantiles[i] * (double)(count - 1))] * ns);
    printf("\n");
}

static void print_regime(const char *name, const struct regime *regime,
                         const struct report *report) {
    if (regime->rounds == 0)
        return;
    size_t rounds = regime->rounds, count = rounds * report->trips;
    printf("cores %s, %zu round%s\n", name, rounds, rounds == 1 ? "" : "s");
    print_times("raw line", regime->line, count, report->ns_per_tick);
    print_times("tachyon", regime->messages, count, report->ns_per_tick);
    qsort(regime->ratios, rounds, sizeof *regime->ratios, compare_ratios);
    printf("  ratio of the p50, median of the rounds: %.2f (%.2f to %.2f)\n",
           regime->ratios[rounds / 2], regime->ratios[0], regime->ratios[rounds - 1]);
}

void report_print(struct report *report) {
    printf("  %-10s %9s %9s %9s %9s %9s\n", "ns", "p50", "p90", "p99", "p99.9", "max");
    print_regime("near", &report->near, report);
    print_regime("far", &report->far, report);
    if (report->left_out > 0)
        printf("left out: %zu, the cores moved meanwhile\n", report->left_out);
}

void report_close(struct report *report) {
    for (int i = 0; i < 2; i++) {
        struct regime *regime = i == 0 ? &report->near : &report->far;
        free(regime->line);
        free(regime->messages);
        free(regime->ratios);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "length.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t full_seconds(void) {
    const char *text = getenv("TACHYON_FULL_SECONDS");
    return text ? atoll(text) : 0;
}

struct length length_begin(const char *goal, const char *unit, uint64_t quick,
                           uint64_t full) {
    struct length length = {.goal = goal, .unit = unit, .full = full, .wanted = full};
    length.begin_ms = test_now_ms();
    length.deadline_ms = length.begin_ms + full_seconds() * 1000;
    if (full_seconds() == 0) {
        length.deadline_ms = INT64_MAX;
        bool slow = test_sanitized() && strcmp(unit, "seconds") != 0;
        length.wanted = slow ? quick / 10 + 1 : quick;
    }
    return length;
}

bool length_goes_on(const struct length *length) {
    return length->done < length->wanted && test_now_ms() < length->deadline_ms;
}

void length_end(const struct length *length, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    double seconds = (double)(test_now_ms() - length->begin_ms) / 1000;
    printf("    %s: %" PRIu64 " of %" PRIu64 " %s in %.1f s%s%s\n", length->goal,
           length->done, length->full, length->unit, seconds, *text ? "; " : "", text);
    const char *path = getenv("TACHYON_REPORT");
    FILE *report = path ? fopen(path, "a") : NULL;
    if (!report)
        return;
    fprintf(report, "%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%.1f\t%s\n", length->goal,
            length->unit, length->done, length->full, seconds, text);
    fclose(report);
}

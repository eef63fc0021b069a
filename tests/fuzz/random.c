/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for where there is no fuzzer: it feeds a target random inputs, or those in
 * the files that are named. Its options are those of libFuzzer's that make sense here:
 * -runs=N, -max_total_time=SECONDS, -seed=N.
 */
#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static uint64_t next(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static int64_t seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* ty_now_ns() belongs to the target */
    return now.tv_sec;
}

static bool replay(const char *path) {
    static uint8_t bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees its end */
    if (!exact)
        return false;
    memcpy(exact, bytes, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return true;
}

/* The number behind `name`, if this is that option. */
static bool is_option(const char *argument, const char *name, uint64_t *value) {
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return false;
    *value = strtoull(argument + length, NULL, 10);
    return true;
}

int main(int argc, char **argv) {
    uint64_t most = UINT64_MAX, seconds = 0, state = 1, runs = 0, input[64];
    bool replayed = false;
    for (int i = 1; i < argc; i++) {
        if (is_option(argv[i], "-runs=", &most) ||
            is_option(argv[i], "-max_total_time=", &seconds) ||
            is_option(argv[i], "-seed=", &state))
            continue;
        if (!replay(argv[i])) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        replayed = true;
    }
    if (replayed)
        return 0;
    int64_t end = seconds > 0 ? seconds_now() + (int64_t)seconds : INT64_MAX;
    for (; runs < most && (runs % 64 != 0 || seconds_now() < end); runs++) {
        /* Few bits set make small numbers, and those the likelier choices. */
        bool sparse = next(&state) & 1;
        for (size_t i = 0; i < 64; i++)
            input[i] =
                sparse ? next(&state) & next(&state) & next(&state) : next(&state);
        LLVMFuzzerTestOneInput((const uint8_t *)input, next(&state) % sizeof input);
    }
    printf("%" PRIu64 " random inputs\n", runs);
    return 0;
}

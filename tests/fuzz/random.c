/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for where there is no libFuzzer: NAME [SECONDS [SEED]] feeds a target random
 * inputs, NAME FILE... those that a fuzzer has saved.
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

int main(int argc, char **argv) {
    if (argc > 1 && !strspn(argv[1], "0123456789")) {
        for (int i = 1; i < argc; i++)
            if (!replay(argv[i])) {
                fprintf(stderr, "cannot read %s\n", argv[i]);
                return 1;
            }
        return 0;
    }
    int64_t end = ty_now_ns() + (argc > 1 ? atoll(argv[1]) : 5) * 1000000000;
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1, runs = 0;
    uint64_t input[64];
    for (; runs % 64 != 0 || ty_now_ns() < end; runs++) {
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

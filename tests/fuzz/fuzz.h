/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share. A target reads an input as a list of actions: what the
 * hostile peer writes where, and what the honest side calls meanwhile. It uses the
 * product's sources, on memory that lies between two inaccessible pages.
 *
 * Each target is one program: with libFuzzer where the compiler has it, otherwise with
 * random.c, which feeds it random inputs.
 */
#ifndef TACHYON_FUZZ_H
#define TACHYON_FUZZ_H

#include "arena.h"
#include "bus.h"
#include "handshake.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* For functions whose branches tell a fuzzer nothing about the core. */
#ifdef __clang__
#define unguided __attribute__((no_sanitize("coverage")))
#else
#define unguided
#endif

/* ---- Reading the input; when it is used up, everything is 0 ---- */

struct input {
    const uint8_t *at;
    size_t left;
};

static inline unguided uint64_t input_number(struct input *input, size_t bytes) {
    uint64_t number = 0;
    for (size_t i = 0; i < bytes && input->left > 0; i++, input->left--)
        number |= (uint64_t)*input->at++ << 8 * i;
    return number;
}

static inline unguided uint64_t input_below(struct input *input, uint64_t bound) {
    return input_number(input, bound <= 256 ? 1 : 2) % bound;
}

/* A size around the interesting ones. */
static inline uint64_t input_size(struct input *input, uint64_t most) {
    static const uint64_t edges[] = {0, 1, 31, 32, 33, 63, 64, 65, 128};
    uint64_t choice = input_below(input, 16);
    if (choice < 9)
        return edges[choice];
    if (choice < 12)
        return most + 2 - input_below(input, 256);
    return choice < 15 ? input_below(input, most + 1) : input_number(input, 8);
}

/* ---- Descriptions ---- */

/* One that an end of ours has, and of the peers' the first that fit it. */
#define FUZZ_OURS "tachyon-types 1 little\nmessage 1 T +\n a u8 @0\n = 1 align 1\n"
#define FUZZ_FITTING 2
extern const char *const fuzz_theirs[4];

static inline void fuzz_declare_types(tachyon_options_t *options) {
    options->types = FUZZ_OURS;
    options->types_size = sizeof FUZZ_OURS - 1;
    options->schema = tachyon_types_fingerprint(options->types, options->types_size);
}

/* What a peer with this one says. */
static inline void fuzz_say_types(struct greeting *greeting, const char *types) {
    greeting->types_size = (uint32_t)strlen(types);
    greeting->schema = tachyon_types_fingerprint(types, greeting->types_size);
}

/* ---- Greetings ---- */

/* May an end with these options get into a connection with who has said this, both their
 * messages having been compared or not? The answer's status is not looked at. */
static inline bool fuzz_is_good(const struct greeting *said, enum handshake_kind kind,
                                const tachyon_options_t *options, bool agreed) {
    bool fits = said->schema == 0      ? !options->types_required
                : options->schema == 0 ? true
                                       : said->schema == options->schema ||
                                             (agreed && said->types_size > 0);
    return fits && said->magic == WIRE_MAGIC && said->version == WIRE_VERSION &&
           said->kind == (uint32_t)kind && said->start <= TACHYON_START_POSITION &&
           said->position % RING_LINE == 0 && said->name[31] == 0 &&
           said->types_size <= 65536 &&
           (said->role == TACHYON_ROLE_NONE || said->role != options->role);
}

/* ---- A bus whose peer is the input ---- */

#define FUZZ_CAPACITY 4096u

/* Open descriptors: as many as before when none has leaked. */
size_t fuzz_count_fds(void);

extern struct arena fuzz_arenas[HANDSHAKE_MAX_RINGS];

/* A session on so many empty rings, with a socket that swallows wake-ups. */
struct session fuzz_session(enum ring_side side, unsigned rings);

/* When the input says so, let the bus be watched from an event loop. */
void fuzz_watch(struct input *input, struct tachyon_bus *bus);
/* The end of a bus on such a session. */
void fuzz_end(struct tachyon_bus *bus);

/* A publication word as the hostile peer makes them: mostly just about right. */
uint64_t fuzz_word(struct input *input);
/* Write a shared word, near what the honest side works on. */
void fuzz_write(struct input *input, struct arena *arena, uint64_t position);

/* Read all of it, of a ring's size at most. */
void fuzz_read(const void *bytes, size_t size);
/* The span lies in the ring, so touching it is harmless; touch it. */
void fuzz_touch(const struct arena *arena, const void *payload, size_t size);
void fuzz_fill(const struct arena *arena, void *payload, size_t size);

#endif

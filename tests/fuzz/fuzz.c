/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

const char *const fuzz_theirs[4] = {
    "tachyon-types 1 little\nmessage 1 T +\n a u8 @0\n b u8 @1\n = 2 align 1\n",
    "tachyon-types 1 little\nenum E u8\n A 1\nmessage 1 T +\n a u8 @0\n = 1 align 1\n",
    "tachyon-types 1 little\nmessage 1 T +\n a i8 @0\n = 1 align 1\n",
    "tachyon-types 1 little\n a u8 @0\n",
};

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

struct arena fuzz_arenas[HANDSHAKE_MAX_RINGS];

/* Freed memory is soon used again: fresh pages take most of the time otherwise. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "quarantine_size_mb=16";
}

/* The checks of the harness, without its main(): a failure is what a fuzzer looks for.
 */
void test_fail(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

void test_equal(const char *file, int line, const char *text, intmax_t actual,
                intmax_t expected) {
    if (actual != expected)
        test_fail(file, line, "%s is %jd, expected %jd", text, actual, expected);
}

unguided size_t fuzz_count_fds(void) {
    size_t count = 0;
    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static unguided void open_arenas(unsigned rings) {
    for (unsigned i = 0; i < rings; i++) {
        struct arena *arena = &fuzz_arenas[i];
        if (!arena->base)
            *arena = arena_make(FUZZ_CAPACITY);
        atomic_store(&arena->shared->producer_side, 0);
        atomic_store(&arena->shared->consumer_side, 0);
        atomic_store(&arena->shared->wanted_tail, 0);
        atomic_store(&arena->shared->wanted_head, 0);
        atomic_store(&arena->shared->tail, 0);
        memset(arena->data, 0, FUZZ_CAPACITY);
    }
}

struct session fuzz_session(enum ring_side side, unsigned rings) {
    static int sockets[2] = {-1, -1};
    char bytes[256];
    open_arenas(rings);
    if (sockets[0] < 0)
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    while (recv(sockets[1], bytes, sizeof bytes, MSG_DONTWAIT) == sizeof bytes)
        continue;
    struct session session = {.side = side,
                              .socket = sockets[0],
                              .pidfd = -1,
                              .regions = {REGION_NONE, REGION_NONE}};
    for (unsigned i = 0; i < rings; i++)
        session.regions[i] = (struct region){.fd = -1,
                                             .data_fd = -1,
                                             .map = (uint8_t *)fuzz_arenas[i].shared,
                                             .capacity = FUZZ_CAPACITY,
                                             .data_offset = RING_SHARED_BYTES};
    return session;
}

void fuzz_watch(struct input *input, struct tachyon_bus *bus) {
    if (input_below(input, 4) == 0)
        CHECK(ty_bus_fileno(bus) >= 0);
}

void fuzz_end(struct tachyon_bus *bus) {
    ty_close(&bus->link.epoll);
    ty_fork_unwatch(&bus->watch);
}

uint64_t fuzz_word(struct input *input) {
    uint64_t choice = input_below(input, 8);
    if (choice == 0)
        return input_number(input, 8);
    if (choice == 1)
        return 0;
    uint64_t size = input_size(input, FUZZ_CAPACITY - RING_OVERHEAD);
    bool next_line = choice < 5 ? size > RING_INLINE_BYTES : choice & 1;
    return input_number(input, 1) << 32 | (next_line ? RING_NEXT_LINE_BIT : 0) |
           ((size + 1) & RING_LENGTH_BITS);
}

void fuzz_write(struct input *input, struct arena *arena, uint64_t position) {
    _Atomic uint64_t *words[] = {&arena->shared->tail, &arena->shared->wanted_head,
                                 &arena->shared->wanted_tail};
    uint64_t choice = input_below(input, 16);
    if (choice < 3) { /* a shared word: near the truth, or anything */
        uint64_t value =
            input_below(input, 4)
                ? position + 64 * input_below(input, 80) - 1024 * (choice + 1)
                : input_number(input, 8);
        atomic_store(words[choice], value);
    } else if (choice == 3) {
        atomic_store(&arena->shared->producer_side, (uint32_t)input_number(input, 1));
        atomic_store(&arena->shared->consumer_side, (uint32_t)input_number(input, 1));
    } else { /* records, one behind the other or anywhere */
        uint64_t at = choice < 12 ? position + 64 * input_below(input, 8)
                                  : 64 * input_below(input, FUZZ_CAPACITY / 64);
        for (uint64_t count = 1 + input_below(input, 4); count > 0; count--) {
            struct ring_line *line = ring_line_at(arena->data, FUZZ_CAPACITY - 1, at);
            uint64_t word = fuzz_word(input);
            line->correlation_id = input_number(input, 1);
            atomic_store(&line->word, word);
            at += ring_record_bytes(word & RING_NEXT_LINE_BIT,
                                    (word & RING_LENGTH_BITS) % FUZZ_CAPACITY);
        }
    }
}

/* By memcpy(), all of which a sanitizer checks at once. */
unguided void fuzz_read(const void *bytes, size_t size) {
    static uint8_t copy[FUZZ_CAPACITY];
    CHECK(size <= sizeof copy);
    memcpy(copy, bytes, size);
    __asm__ volatile("" : : "r"(copy) : "memory"); /* it is needed */
}

unguided void fuzz_touch(const struct arena *arena, const void *payload, size_t size) {
    const uint8_t *begin = payload, *data = arena->data;
    CHECK(begin >= data && begin <= data + 2 * FUZZ_CAPACITY);
    CHECK(size <= (size_t)(data + 2 * FUZZ_CAPACITY - begin));
    fuzz_read(payload, size);
}

void fuzz_fill(const struct arena *arena, void *payload, size_t size) {
    fuzz_touch(arena, payload, size);
    memset(payload, 0xA5, size);
}

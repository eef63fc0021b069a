/* SPDX-License-Identifier: Apache-2.0 */
/* What an adapter is: a connection of two processes in both directions, as a shared object
 * that the driver loads. The Rust crate `link` beside this has the same structs. */
#ifndef PEERS_LINK_H
#define PEERS_LINK_H

#include <stddef.h>
#include <stdint.h>

/* How a receive waits. */
enum mode {
    MODE_SPIN = 0,     /* looks until there is something */
    MODE_ADAPTIVE = 1, /* as the library does when it is asked nothing */
    MODE_SLEEP = 2     /* sleeps at once */
};

struct setting {
    const char *directory; /* of this sample alone */
    void *shared;          /* SHARED_BYTES of zeros that both processes have */
    uint32_t lead;         /* 1: this process measures; 0: it is the other one */
    uint32_t mode;
    uint64_t size;  /* of every message, 8 at least */
    uint64_t batch; /* messages to a batch */
    /* 1: requests and replies. The lead's send is a call, and its receive the reply to it;
     * the other's receive takes a request, and its send answers it. */
    uint32_t rpc;
    uint32_t in_place; /* 1: what counts are the calls in place */
};

#define SHARED_BYTES (UINT64_C(160) << 20)
#define RING_BYTES (UINT64_C(4) << 20)

/* Of every ring, where one can say: room for some messages of any size. */
static inline size_t ring_bytes(const struct setting *setting) {
    uint64_t some = 4 * setting->size;
    return (size_t)(some > RING_BYTES ? some : RING_BYTES);
}

/* All end the program when they fail, with the reason: see cannot(). */
struct link {
    void (*open)(const struct setting *setting); /* both processes at the same time */
    void (*send)(const void *payload, size_t size); /* to be seen at once */
    void (*receive)(void *payload, size_t size);
    /* `count` messages without gaps, seen at once. NULL: there is no such call. */
    void (*send_batch)(const void *items, size_t size, size_t count);
    /* 1 to `most` messages; NULL: one at a time. */
    size_t (*receive_batch)(void *items, size_t size, size_t most);
    /* Leave nothing behind. NULL: nothing would be. */
    void (*close)(void);
    /* In place: `write` writes a message where it is read, to be seen at once, `read` reads
     * the next one there. NULL: there are no such calls. */
    void (*send_in_place)(size_t size, void (*write)(void *room, size_t size));
    void (*receive_in_place)(size_t size,
                             void (*read)(const void *message, size_t size));
    uint32_t has_rpc; /* 1: knows what `rpc` of a setting asks for */
};

/* What the driver looks up. */
extern const struct link tachyon_peer_link;

/* Say why there is no number, and end both processes: the row has that text. */
_Noreturn void cannot(const char *why);
/* The same where errno has the reason. */
_Noreturn void failed(const char *what);

#define MUST(condition)                                                                \
    do {                                                                               \
        if (!(condition)) {                                                            \
            failed(#condition);                                                        \
        }                                                                              \
    } while (0)

#endif

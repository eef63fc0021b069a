/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving from many peers by turns; the data thread's. */
#ifndef TACHYON_TURNS_H
#define TACHYON_TURNS_H

#include "many.h"

/* The word to look at stands here, so that an empty look touches nothing of the peer. */
struct hot {
    const struct ring_line *line; /* where its next record begins */
    struct peer *peer;
};

struct turns {
    struct ring_shared *reached; /* what bus->rx has for control words */
    struct peer *current;        /* on whose ring bus->rx is; NULL: on none */
    uint64_t began, until;       /* bus->rx.messages as its turn begins, is over */
    unsigned at;                 /* in `hot`: of the last turn */
    unsigned rounds;             /* times that all of them had their turn */
    unsigned hot_count, count;
    unsigned records, turns; /* since the last look at the set */
    bool asleep;             /* the words of all hot rings stand ... */
    bool quiet;              /* ... and then all were found empty */
    bool held;               /* one that is to leave has lent something */
    uint32_t sender;
    uint64_t messages, bytes; /* of those that have left */
    struct hot *hot;          /* behind `reached`, in one piece of memory; ... */
    struct peer **all;        /* ... as many each as there are slots */
};

/* The first member of what a kind owns that receives by turns. */
static inline struct turns *turns_of(const struct tachyon_bus *bus) {
    return bus->peers->own;
}

tachyon_error_t ty_turns_open(struct turns *turns, uint32_t slots);
void ty_turns_free(struct turns *turns);

/* It wrote what no peer may write: let it go, with what it has sent. */
void ty_turns_distrust(struct tachyon_bus *bus, struct peer *peer);

/* The hooks of such a kind. */
bool ty_turns_ready(void *context); /* a struct rx_wait */
void ty_turns_asleep(void *context, bool flag);
tachyon_error_t ty_turns_released(struct tachyon_bus *bus);
void ty_turns_drop(struct tachyon_bus *bus, struct peer *peer);
void ty_turns_told(struct tachyon_bus *bus, struct peer *peer);
void ty_turns_took(struct tachyon_bus *bus);
void ty_turns_stats(struct tachyon_bus *bus, tachyon_stats_t *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile peers of a listener, which write over all that they can write to, at any time,
 * come and go. */
#ifndef TACHYON_VILLAINS_H
#define TACHYON_VILLAINS_H

#include "many.h"
/* Of the core; peers.h restates it. */
#undef WIRE_MAGIC
#undef WIRE_VERSION
#include "rpc.h"

#include "crowd.h"
#include "hostile.h"

#define VILLAINS 4
#define MOST 1500 /* bytes of an honest message */

struct villain {
    tachyon_bus_t *bus; /* NULL: not here */
    uint32_t id;
    struct region guarded[2]; /* the listener's side of its rings */
};

struct villains {
    pthread_mutex_t mutex; /* held while they write, and while one comes or goes */
    struct villain all[VILLAINS];
    bool read; /* they are readers: of the ring they have the control words */
    bool call; /* they are callers, whose buses are RPC buses */
    bool over;
    uint64_t writes;
    pthread_t thread;
};

/* Memory is one bus to both kinds. */
static inline tachyon_rpc_bus_t *rpc_of_bus(tachyon_bus_t *bus) {
    return (tachyon_rpc_bus_t *)(void *)bus;
}

/* Of one kind of peer or the other. */
tachyon_error_t try_to_join(tachyon_bus_t *listener, const char *path, bool call,
                            tachyon_bus_t **out);
void leave(tachyon_bus_t *bus, bool call);

/* The thread in which they write: a struct villains. */
void *be_hostile(void *context);
/* False: there is no place, for one that was let go is still being heard. */
bool let_villain_in(struct villains *villains, struct villain *villain,
                    tachyon_bus_t *listener, const char *path);
void let_villain_go(struct villains *villains, struct villain *villain);

#endif

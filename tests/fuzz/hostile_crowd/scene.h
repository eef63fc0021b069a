/* SPDX-License-Identifier: Apache-2.0 */
/* A listener with honest peers and hostile ones, and what became of it. */
#ifndef TACHYON_SCENE_H
#define TACHYON_SCENE_H

#include "villains.h"

#include <inttypes.h>
#include <stdio.h>

#define MS INT64_C(1000000)
#define HONEST 3
#define ACTIONS 1000 /* of one listener */
#define WAITING 64   /* requests without one */

struct outcome {
    uint64_t calls, messages, spans, joined, corrupt, lagged, most_others;
    int64_t longest_ns;
};

/* A request without a reply, and what it asks for; HONEST: one of a hostile caller. */
struct request {
    uint64_t id, number;
    unsigned who;
};

struct scene {
    struct villains *villains;
    tachyon_bus_t *listener, *honest[HONEST];
    uint64_t sent[HONEST], got[HONEST], others[HONEST];
    uint64_t replied[HONEST];
    struct request waiting[WAITING];
    unsigned waits;
    struct region guarded[2 * ACTIONS];
    unsigned guards;
    const char *path;
    uint64_t *random;
    struct outcome *outcome;
};

void open_scene(struct scene *scene, tachyon_options_t options);
void close_scene(struct scene *scene);

/* None of the honest has left, and the hostile ones for no other reason than they may. */
void look_at_events(struct scene *scene);
/* One comes, or goes, or is shown the door. */
void change_villain(struct scene *scene);

/* A call of the listener's has ended. */
void measure(struct outcome *outcome, int64_t begin_ns);
bool is_temporary(tachyon_error_t error);
/* The next message of an honest one. */
void expect_message(struct scene *scene, unsigned who, const void *payload,
                    size_t size);
/* Messages of one peer, the sender, in its ring or copied. */
void see(struct scene *scene, const void *payload, size_t size, bool in_place);

/* One listener among hostile peers of a kind. */
void suffer_readers(struct scene scene);
void suffer_producers(struct scene scene);
void suffer_callers(struct scene scene);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor on which an event loop waits for the next step of an opening. */
#ifndef TACHYON_DOOR_H
#define TACHYON_DOOR_H

#include "os.h"

struct door {
    int set;   /* epoll: of what is watched, and ... */
    int timer; /* ... this, for the deadlines; both -1 until asked for */
};

#define DOOR_NONE ((struct door){.set = -1, .timer = -1})

bool ty_door_open(struct door *door);
void ty_door_close(struct door *door);

/* Without the descriptor these do nothing, with success. */

/* Readable while `fd` is, or with `events` 0 kept for later. */
bool ty_door_watch(const struct door *door, int fd, uint32_t events);
bool ty_door_change(const struct door *door, int fd, uint32_t events);
void ty_door_forget(const struct door *door, int fd);
/* Readable from this time on, whatever else happens. */
void ty_door_ring_at(const struct door *door, int64_t deadline);

#endif

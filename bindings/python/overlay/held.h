/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that stay in the ring while later ones are received. The ring gives back room
   in order, so what is let go out of turn waits for what is older. */
#ifndef TACHYON_PYTHON_HELD_H
#define TACHYON_PYTHON_HELD_H

#include "object.h"

typedef struct Frame Frame;
typedef struct End End;

/* What is handed out, oldest first. It is empty as long as nothing is held: then what is
   handed out is at most one message or batch, which is another's matter. */
typedef struct Held {
    tachyon_msg_view_t *views; /* from `first` on */
    Frame **frames;            /* who holds each, borrowed; NULL: nobody any more */
    size_t first, count, capacity;
    uint64_t
        released; /* before the first: the place of a message is a number for good */
    bool pending; /* the last is nobody's yet: what is received next is that again */
} Held;

/* Room for one more, and one behind that: 0, or -1 with an exception. */
int held_reserve(Held *held);

/* What was handed out last, behind all the others, is pending. */
void held_push(Held *held, const tachyon_msg_view_t *view);

/* The pending one has an owner; or it stays in the ring, for the next receive. */
void held_take(End *end, Frame *frame);
void held_put_back(Held *held);

/* It is let go: SUCCESS, or why the release has failed. While a thread waits it is that
   one which releases. */
tachyon_error_t held_free(End *end, const Frame *frame);

/* The pending one was copied. */
tachyon_error_t held_copied(End *end);

/* Was this reader of a broadcast let go? What it has not released may be overwritten. */
bool held_lagged(const End *end);

/* Release the oldest run that nobody holds. */
tachyon_error_t held_settle(End *end);

/* Views of all of them; and the bus is closed: each keeps the memory while it has views. */
Py_ssize_t held_views(const Held *held);
void held_lose(End *end);
void held_delete(Held *held);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The listening side of the handshake. It outlives its calls: whoever owns it holds one
 * round after the other, as often as it likes, and closes it at any time. */
#ifndef TACHYON_LISTENER_H
#define TACHYON_LISTENER_H

#include "address.h"
#include "door.h"
#include "handshake.h"

#define LISTENER_MAX_CLIENTS 64

struct client {
    int socket;
    bool answered; /* one at a time: asked for its types, or offered memory */
    bool asked;    /* ... the former */
    bool agreed;   /* they have been compared, and fit */
    size_t received;
    int64_t deadline;
    struct greeting hello;
    tachyon_peer_t peer;
};

/* Who has a say in what a client is offered. */
struct listener_host {
    /* Make the memory for it, and say in the answer what it is. An error: refused so; what
     * there is of the memory goes. NULL: one peer, and rings as the kind has them. */
    tachyon_error_t (*offer)(void *context, const struct client *client,
                             struct greeting *answer, struct region *regions);
    void *context;
};

struct listener {
    struct address address;
    struct listener_host host;
    struct door *door; /* the owner's */
    enum handshake_kind kind;
    tachyon_options_t options;
    int64_t deadline; /* of the whole, TY_NEVER: none */
    struct greeting answer;
    size_t capacities[HANDSHAKE_MAX_RINGS];
    struct region regions[HANDSHAKE_MAX_RINGS]; /* seen by no client but the answered */
    struct greeting hello; /* of the client that a round has handed out last */
    struct client clients[LISTENER_MAX_CLIENTS]; /* in the order of their arrival */
    size_t client_count;
    struct {
        struct greeting hello; /* its second one */
        size_t received;
        struct description types;
    } asked;               /* of the client that is asked for its types */
    char misfit[256];      /* why the last one that did not fit had to go */
    int64_t starved_until; /* accept found no free descriptor; 0: it has not */
    bool deaf;             /* the door does not tell of new clients */
};

/* The options have been checked. From here on it may be closed. */
void ty_listener_init(struct listener *listener, enum handshake_kind kind,
                      const tachyon_options_t *options, struct door *door);

/* Bind and listen, with memory for the first peer. */
tachyon_error_t ty_listener_open(struct listener *listener, const char *path,
                                 const size_t *capacities);

/*
 * Wait for what happens next and deal with it. SUCCESS: *out is a connection, and
 * listening may go on with new memory. EMPTY: nothing so far. TIMEOUT, and errors of
 * which nothing is known to help. INTERRUPTED: nothing is lost, another round may
 * follow.
 */
tachyon_error_t ty_listener_round(struct listener *listener,
                                  const struct patience *patience, struct session *out);

/* No more rounds. True: a client has acknowledged meanwhile, and so believes in the
 * connection that *out is. */
bool ty_listener_last(struct listener *listener, struct session *out);

/* Say in the memory of a ring what it is. */
void ty_listener_describe(const struct region *region, size_t capacity);
/* Memory for a client, as it stands at the start. */
tachyon_error_t ty_listener_create_ring(struct region *region, size_t capacity);

/* From now on the door, which has just been opened, is readable when a round would do
 * something. False: the kernel refuses. */
bool ty_listener_watch(struct listener *listener);

/* Stop listening, at any time, and leave nothing behind. */
void ty_listener_close(struct listener *listener);
void ty_listener_in_child(struct listener *listener); /* after fork */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The connecting side of the handshake: tries, each in rounds, until one succeeds or
 * the time is over. */
#ifndef TACHYON_CONNECTOR_H
#define TACHYON_CONNECTOR_H

#include "door.h"
#include "handshake.h"

/* That an answer may bring; the kernel drops the others. */
#define CONNECTOR_MAX_FDS 8

struct connector {
    const char *path;  /* the caller's, for as long as this lives, ... */
    int start;         /* ... and where it begins */
    struct door *door; /* the owner's */
    enum handshake_kind kind;
    tachyon_options_t options;
    bool once;        /* one try */
    int64_t began;    /* the first try */
    int64_t deadline; /* of all tries */
    int64_t due;      /* of the answer; between two tries: of the next one */
    int socket;       /* -1 between two tries */
    tachyon_peer_t peer;
    struct greeting hello;
    struct greeting answer; /* so far */
    size_t received;
    struct description types; /* the listener's, where it differs from ours ... */
    bool agreed;              /* ... and fits */
    int fds[CONNECTOR_MAX_FDS];
    size_t fd_count;
    struct region
        regions[HANDSHAKE_MAX_RINGS]; /* mapped and acknowledged: when it has */
    bool acknowledged;                /* ... let us in, we are connected */
};

/* The options have been checked. From here on it may be closed. */
void ty_connector_init(struct connector *connector, enum handshake_kind kind,
                       const tachyon_options_t *options, struct door *door);

/* Begin the first try. An error is final. */
tachyon_error_t ty_connector_open(struct connector *connector, const char *path);

/* As those of the listener. */
tachyon_error_t ty_connector_round(struct connector *connector,
                                   const struct patience *patience,
                                   struct session *out);
bool ty_connector_watch(struct connector *connector);
void ty_connector_close(struct connector *connector); /* and in a forked child */

#endif

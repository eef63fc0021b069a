/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to a connected pair of ends: what the handshake leaves of it. */
#ifndef TACHYON_SESSION_H
#define TACHYON_SESSION_H

#include "region.h"

#define HANDSHAKE_MAX_RINGS 2u

enum handshake_kind { HANDSHAKE_BUS = 1, HANDSHAKE_RPC = 2 };

struct session {
    enum ring_side side;
    uint32_t role; /* declared, a tachyon_role_t */
    int socket, pidfd;
    bool expedited;
    tachyon_peer_t peer;
    int (*interrupted)(void *context); /* of the options */
    void *interrupted_context;
    struct region regions[HANDSHAKE_MAX_RINGS];
};

/* The number of rings is that of kind: 1 or 2. */
tachyon_error_t ty_handshake_listen(const char *path, enum handshake_kind kind,
                                    const size_t *capacities,
                                    const tachyon_options_t *options,
                                    struct session *out);
tachyon_error_t ty_handshake_connect(const char *path, enum handshake_kind kind,
                                     const tachyon_options_t *given,
                                     struct session *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to a connected pair of ends: what the handshake leaves of it. */
#ifndef TACHYON_SESSION_H
#define TACHYON_SESSION_H

#include "interrupt.h"
#include "region.h"

#define HANDSHAKE_MAX_RINGS 2u

enum handshake_kind { HANDSHAKE_BUS = 1, HANDSHAKE_RPC = 2 };

struct session {
    enum ring_side side;
    uint32_t role; /* declared, a tachyon_role_t */
    int socket, pidfd;
    bool expedited;
    tachyon_peer_t peer;
    uint64_t start, epoch; /* of a broadcast: where it begins; else 0 */
    struct interrupt interrupt;
    struct region regions[HANDSHAKE_MAX_RINGS]; /* as many as the kind has: 1 or 2 */
};

#define SESSION_NONE                                                                   \
    ((struct session){.socket = -1, .pidfd = -1, .regions = {REGION_NONE, REGION_NONE}})

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake: from a socket path to two ends that share sealed memory.
 *
 *   connector                     listener
 *   hello      ------------------>            who I am, what I expect
 *              <------------------  answer    status, capacities, one memfd a ring
 *   ack 'A'    ------------------>            mapped, this one counts
 *              <------------------  joined 'J'  broadcast only: `tail` says from where on
 *
 * Of two ends that describe their messages differently, each gets the other's text first,
 * and both compare (types.h). If they fit, an answer as above follows.
 *
 *              <------------------  answer    with WIRE_FLAG_TYPES, and its text
 *   hello      ------------------>            again, with that flag, and its text
 *
 * Hello and answer are the same 128 bytes. Their first two words never change, so ends
 * of different versions can tell. The listener reads all hellos at once but answers
 * one client at a time, with memory that no other client has seen, and goes on
 * listening until one acknowledges. Every step has a deadline.
 *
 * A connector of the forerunner is silent and waits for 32 bytes and a descriptor; the
 * refusal that silence earns starts with magic and version and carries an empty memfd,
 * so that it reports the mismatch. Its listener writes without reading a hello.
 */
#ifndef TACHYON_HANDSHAKE_H
#define TACHYON_HANDSHAKE_H

#include "session.h"

#define WIRE_MAGIC UINT32_C(0x54414348)
#define WIRE_VERSION UINT32_C(101)
#define WIRE_FLAG_MEMBARRIER UINT32_C(1)
#define WIRE_FLAG_BROADCAST UINT32_C(2) /* answer: the data is everybody's to read */
#define WIRE_FLAG_LOSSY UINT32_C(4)     /* answer: slow consumers are let go */
#define WIRE_FLAG_TYPES UINT32_C(8)     /* a description follows; no memory yet */
#define WIRE_ACKNOWLEDGE 'A'
#define WIRE_JOINED 'J' /* the listener's answer to that, in broadcast */

#define HANDSHAKE_NAME_BYTES 32

#define MILLISECOND INT64_C(1000000)

struct greeting {
    uint32_t magic;
    uint32_t version;
    uint32_t status; /* answer: a tachyon_error_t */
    uint32_t kind;   /* enum handshake_kind */
    uint32_t flags;
    uint32_t role; /* a tachyon_role_t */
    uint32_t pid;
    uint32_t start; /* hello: a tachyon_start_t */
    uint64_t schema;
    uint64_t epoch;                         /* that positions belong to */
    uint64_t capacity[HANDSHAKE_MAX_RINGS]; /* answer: bytes */
    uint64_t position;   /* hello: to start at. Answer: where the stream stands */
    uint32_t peer;       /* answer: the connector's id with the listener */
    uint32_t types_size; /* of its description, 0: none */
    char name[HANDSHAKE_NAME_BYTES]; /* hello: ends with a 0; none: all 0 */
    uint64_t unused[2];
};
_Static_assert(sizeof(struct greeting) == 128, "wire format");

static inline unsigned handshake_rings(enum handshake_kind kind) {
    return kind == HANDSHAKE_RPC ? 2 : 1;
}

/* Take the options that the caller's struct has, and check them. What they point to is
 * the caller's, but for the description of several that were given: that is in `merged`,
 * to be freed in any case, or NULL. */
tachyon_error_t ty_handshake_options(const tachyon_options_t *given,
                                     enum handshake_kind kind, bool listens,
                                     tachyon_options_t *out, char **merged);

/* Let the options point to copies, all in one block of memory, which is to be freed after
 * them. False: no memory. */
bool ty_handshake_keep(tachyon_options_t *options, void **kept);

/* Without flags, which are said as late as can be. */
struct greeting ty_handshake_greeting(enum handshake_kind kind,
                                      const tachyon_options_t *options);
/* What this process can do. To find out takes the kernel up to 30 ms, once in a process
 * with threads. */
uint32_t ty_handshake_flags(void);

/* Are these first bytes those of another protocol, or of another version? */
bool ty_handshake_foreign(const struct greeting *theirs, size_t received);

/* Does what the peer says of itself fit us? The same check on both sides. */
tachyon_error_t ty_handshake_check(const struct greeting *theirs,
                                   enum handshake_kind kind,
                                   const tachyon_options_t *options);

/* Are there two descriptions, to be compared before anything is offered? */
bool ty_handshake_types_differ(const struct greeting *theirs,
                               const tachyon_options_t *options);

/* What follows a greeting with WIRE_FLAG_TYPES, as far as it has come. */
struct description {
    char *text; /* NULL: none yet */
    size_t size, received;
};

/* Receive more of it. SUCCESS: it is here. EMPTY: not yet. NETWORK: the peer has gone;
 * MEM. */
tachyon_error_t ty_handshake_receive_types(int socket, const struct greeting *greeting,
                                           struct description *theirs);
/* Is what is here what its greeting said, and does it fit ours? ABI_MISMATCH: it does not
 * fit; CORRUPT: it lies; MEM. */
tachyon_error_t ty_handshake_compare_types(const struct greeting *greeting,
                                           const tachyon_options_t *options,
                                           const struct description *theirs);
void ty_handshake_free_types(struct description *theirs);
/* A greeting with our description behind it; as ty_handshake_send(). */
bool ty_handshake_send_types(int socket, struct greeting greeting,
                             const tachyon_options_t *options);

/* Who is the peer, and may it be? */
tachyon_error_t ty_handshake_check_peer(int socket, const tachyon_options_t *options,
                                        tachyon_peer_t *out);

/* How long a caller waits. */
struct patience {
    int64_t until;    /* 0: not at all ... */
    bool elsewhere;   /* ... but perhaps on the door */
    int cancel_state; /* the thread's, outside the library */
};

/* ppoll() until a deadline or the end of patience. Signals and pthread_cancel() are let
 * in only here, and the caller's hook is asked before; who does not wait meets none of
 * them. fds[count] is room for the options' interrupt_fd. */
tachyon_error_t ty_handshake_poll(struct pollfd *fds, size_t count, int64_t deadline,
                                  const struct patience *patience,
                                  const tachyon_options_t *options);

/* Never blocks; false unless all of it went out. */
bool ty_handshake_send(int socket, const struct greeting *greeting, const int *fds,
                       size_t fd_count);

void ty_handshake_free_regions(struct region *regions);

/* The connection stands: nothing is needed but socket, pidfd and mappings. */
void ty_handshake_establish(struct session *session, const tachyon_options_t *options,
                            uint32_t our_flags, uint32_t their_flags);

#endif

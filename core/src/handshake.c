/* SPDX-License-Identifier: Apache-2.0 */
/* What both sides of the handshake do; handshake.h describes it. */
#include "handshake.h"
#include "types.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static const char *kind_name(uint32_t kind) {
    return kind == HANDSHAKE_BUS   ? "a bus"
           : kind == HANDSHAKE_RPC ? "an RPC bus"
                                   : "something unknown";
}

/* An option that is given although nothing looks at it is a mistake. */
static tachyon_error_t misplaced(const char *name, const char *where) {
    return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "options.%s is for %s only", name, where);
}

static tachyon_error_t above(const char *name, uint32_t value, uint32_t most) {
    return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                   "options.%s is %" PRIu32 ", above %" PRIu32, name, value, most);
}

/* Those of a listener with many peers; zero on any other. */
static tachyon_error_t check_listener(const tachyon_options_t *options,
                                      enum handshake_kind kind, bool listens) {
    bool many = kind == HANDSHAKE_BUS && options->role == TACHYON_ROLE_PRODUCER &&
                options->max_peers > 1;
    const char *given = options->slow_peer       ? "slow_peer"
                        : options->without_peers ? "without_peers"
                        : options->slow_after_ns ? "slow_after_ns"
                        : options->keep_place_ns ? "keep_place_ns"
                                                 : NULL;
    if (options->max_peers && !listens)
        return misplaced("max_peers", "listen");
    if (given && !(listens && many))
        return misplaced(given, "listen as producer with max_peers above 1");
    if (options->max_peers > TACHYON_MAX_PEERS)
        return above("max_peers", options->max_peers, TACHYON_MAX_PEERS);
    if (options->max_peers && kind == HANDSHAKE_BUS &&
        options->role == TACHYON_ROLE_NONE)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.max_peers is %" PRIu32
                       " and options.role 0: who may have many peers says which way "
                       "messages go",
                       options->max_peers);
    if (options->slow_peer > TACHYON_SLOW_DISCONNECT)
        return above("slow_peer", options->slow_peer, TACHYON_SLOW_DISCONNECT);
    if (options->without_peers > TACHYON_WITHOUT_PEERS_FREE_RUN)
        return above("without_peers", options->without_peers,
                     TACHYON_WITHOUT_PEERS_FREE_RUN);
    if ((options->slow_peer == TACHYON_SLOW_DISCONNECT) != (options->slow_after_ns > 0))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.slow_after_ns is %" PRId64
                       "; it goes with TACHYON_SLOW_DISCONNECT, and is above 0 there",
                       options->slow_after_ns);
    if (options->keep_place_ns < 0)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.keep_place_ns is %" PRId64 ", below 0",
                       options->keep_place_ns);
    return TACHYON_SUCCESS;
}

/* Those of a connector. */
static tachyon_error_t check_connector(const tachyon_options_t *options, bool listens) {
    bool position = options->start == TACHYON_START_POSITION;
    size_t length = options->name ? strnlen(options->name, HANDSHAKE_NAME_BYTES) : 0;
    if (length > 0 && listens)
        return misplaced("name", "connect");
    if (options->start && (listens || options->role != TACHYON_ROLE_CONSUMER))
        return misplaced("start", "connect as consumer");
    if (options->start > TACHYON_START_POSITION)
        return above("start", options->start, TACHYON_START_POSITION);
    if ((options->start_position || options->start_epoch) && !position)
        return misplaced(options->start_position ? "start_position" : "start_epoch",
                         "TACHYON_START_POSITION");
    if (options->start_position % RING_LINE != 0)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.start_position is %" PRIu64
                       ", no multiple of %u: take what tachyon_bus_position() said",
                       options->start_position, RING_LINE);
    if (length >= HANDSHAKE_NAME_BYTES)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "options.name has more than %d bytes",
                       HANDSHAKE_NAME_BYTES - 1);
    return TACHYON_SUCCESS;
}

/* Those of typed messages. Merges the descriptions and sets the schema. */
static tachyon_error_t check_types(tachyon_options_t *options, char **merged) {
    const char *types = options->types;
    tachyon_error_t error = TACHYON_SUCCESS;
    if (options->types_required > 1)
        return above("types_required", options->types_required, 1);
    if (!types && options->types_size > 0)
        return ty_fail_null("options.types");
    if (!types && options->types_required)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.types_required is 1, and options.types is NULL");
    if (!types)
        return TACHYON_SUCCESS;
    uint64_t fingerprint = 0;
    error = ty_types_merge(types, options->types_size, merged, &options->types_size,
                           &fingerprint);
    if (error != TACHYON_SUCCESS)
        return error;
    if (*merged)
        options->types = *merged;
    if (options->schema != 0 && options->schema != fingerprint)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.schema is %016" PRIx64 ", and that of options.types "
                       "%016" PRIx64 ": leave it 0",
                       options->schema, fingerprint);
    options->schema = fingerprint;
    return TACHYON_SUCCESS;
}

tachyon_error_t ty_handshake_options(const tachyon_options_t *given,
                                     enum handshake_kind kind, bool listens,
                                     tachyon_options_t *out, char **merged) {
    *out = (tachyon_options_t){0};
    *merged = NULL;
    if (given) {
        const unsigned char *bytes = (const unsigned char *)given;
        if (given->size < sizeof given->size || given->size > 4096)
            return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                           "options.size is %zu; set it to sizeof(tachyon_options_t)",
                           given->size);
        for (size_t i = sizeof *out; i < given->size; i++)
            if (bytes[i] != 0)
                return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                               "this library does not know the option at byte %zu", i);
        memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
    }
    if (out->socket_mode > 0777)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.socket_mode is %o, above 777", out->socket_mode);
    uint32_t last_role = kind == HANDSHAKE_BUS ? TACHYON_ROLE_CONSUMER : 0;
    if (out->role > last_role)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.role of %s is %" PRIu32 ", above %" PRIu32,
                       kind_name(kind), out->role, last_role);
    if (out->allowed_uid_count > 0 && !out->allowed_uids)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "options.allowed_uids is NULL");
    if (out->restart > 1)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.restart is %" PRIu32 ", not 0 or 1", out->restart);
    if (out->interrupt_fd != 0 && fcntl(out->interrupt_fd, F_GETFD) < 0)
        return ty_fail(TACHYON_ERR_INVALID_SZ, errno,
                       "options.interrupt_fd is %" PRId32, out->interrupt_fd);
    if (out->socket_mode == 0)
        out->socket_mode = 0600;
    tachyon_error_t error = check_listener(out, kind, listens);
    if (error == TACHYON_SUCCESS)
        error = check_connector(out, listens);
    return error == TACHYON_SUCCESS ? check_types(out, merged) : error;
}

bool ty_handshake_keep(tachyon_options_t *options, void **kept) {
    size_t uids = options->allowed_uid_count * sizeof *options->allowed_uids;
    char *copy = NULL;
    *kept = NULL;
    if (uids + options->types_size == 0)
        return true;
    *kept = copy = malloc(uids + options->types_size);
    if (!copy)
        return false;
    if (uids > 0)
        options->allowed_uids = memcpy(*kept, options->allowed_uids, uids);
    if (options->types_size > 0)
        options->types = memcpy(copy + uids, options->types, options->types_size);
    return true;
}

struct greeting ty_handshake_greeting(enum handshake_kind kind,
                                      const tachyon_options_t *options) {
    struct greeting greeting = {
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION,
        .kind = kind,
        .role = options->role,
        .pid = (uint32_t)getpid(),
        .start = options->start,
        .schema = options->schema,
        .epoch = options->start_epoch,
        .position = options->start_position,
        .types_size = (uint32_t)options->types_size,
    };
    if (options->name) /* its length has been checked */
        memcpy(greeting.name, options->name, strlen(options->name));
    return greeting;
}

uint32_t ty_handshake_flags(void) {
    return ty_membarrier_register() ? WIRE_FLAG_MEMBARRIER : 0;
}

bool ty_handshake_foreign(const struct greeting *theirs, size_t received) {
    return (received >= sizeof theirs->magic && theirs->magic != WIRE_MAGIC) ||
           (received >= 2 * sizeof theirs->magic && theirs->version != WIRE_VERSION);
}

static bool schemas_differ(const struct greeting *theirs,
                           const tachyon_options_t *options) {
    return theirs->schema != 0 && options->schema != 0 &&
           theirs->schema != options->schema;
}

bool ty_handshake_types_differ(const struct greeting *theirs,
                               const tachyon_options_t *options) {
    return schemas_differ(theirs, options) && theirs->types_size > 0 &&
           options->types_size > 0;
}

tachyon_error_t ty_handshake_check(const struct greeting *theirs,
                                   enum handshake_kind kind,
                                   const tachyon_options_t *options) {
    if (theirs->magic != WIRE_MAGIC)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer is no Tachyon: it begins with %08" PRIx32,
                       theirs->magic);
    if (theirs->version != WIRE_VERSION)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer speaks wire version %" PRIu32
                       ", this library %" PRIu32,
                       theirs->version, WIRE_VERSION);
    if (theirs->kind != (uint32_t)kind)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0, "the peer opened %s, not %s",
                       kind_name(theirs->kind), kind_name(kind));
    if (theirs->start > TACHYON_START_POSITION || theirs->position % RING_LINE != 0 ||
        theirs->name[HANDSHAKE_NAME_BYTES - 1] != 0)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer's greeting says what none may (start %" PRIu32 ")",
                       theirs->start);
    if (theirs->types_size > TYPES_MAX_BYTES)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer's description of its messages has %" PRIu32
                       " bytes, above %u",
                       theirs->types_size, TYPES_MAX_BYTES);
    if (theirs->schema == 0 && options->types_required)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer does not say what messages it has");
    if (schemas_differ(theirs, options) && !ty_handshake_types_differ(theirs, options))
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer's message schema is %016" PRIx64 ", ours %016" PRIx64,
                       theirs->schema, options->schema);
    if (theirs->role != TACHYON_ROLE_NONE && theirs->role == options->role)
        return ty_fail(TACHYON_ERR_BUSY, 0, "both ends declared the role of %s",
                       options->role == TACHYON_ROLE_PRODUCER ? "producer"
                                                              : "consumer");
    return TACHYON_SUCCESS;
}

tachyon_error_t ty_handshake_check_peer(int socket, const tachyon_options_t *options,
                                        tachyon_peer_t *out) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return ty_fail(TACHYON_ERR_NETWORK, errno, "cannot learn who the peer is");
    *out = (tachyon_peer_t){
        .pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
    const uint32_t *list = options->allowed_uids;
    bool allowed = !list && credentials.uid == geteuid();
    for (size_t i = 0; list && i < options->allowed_uid_count && !allowed; i++)
        allowed = list[i] == credentials.uid || list[i] == UINT32_MAX;
    if (!allowed)
        return ty_fail(TACHYON_ERR_PERMISSION, EPERM,
                       "user id %" PRIu32 " (process %" PRId32 ") is not allowed",
                       out->uid, out->pid);
    return TACHYON_SUCCESS;
}

static int open_pidfd(int socket, pid_t pid) {
    int pidfd = -1;
    socklen_t length = sizeof pidfd;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
        return pidfd;          /* close-on-exec by nature */
    return ty_pidfd_open(pid); /* none for 0, of a process in another namespace */
}

/* Sleep until a deadline, with signals and cancellation let in. */
static int sleep_until(struct pollfd *fds, size_t count, int64_t deadline,
                       const struct patience *patience,
                       const struct interrupt *interrupt) {
    struct calm before = {.cancel = patience->cancel_state};
    int polled = -1, refused = ECANCELED;
    ty_block_signals(&before.signals);
    if (!interrupt_asked(interrupt)) {
        polled = ty_sleep(fds, count, ty_earlier(deadline, patience->until), &before);
        refused = errno;
    }
    ty_restore_signals(&before.signals);
    errno = refused;
    return polled;
}

tachyon_error_t ty_handshake_poll(struct pollfd *fds, size_t count, int64_t deadline,
                                  const struct patience *patience,
                                  const tachyon_options_t *options) {
    struct interrupt interrupt = interrupt_of(options);
    bool waits = patience->until != 0;
    fds[count] = interrupt_poll(&interrupt);
    if (!waits && !patience->elsewhere)
        fds[count].fd = -1;
    int polled = waits ? sleep_until(fds, count + 1, deadline, patience, &interrupt)
                       : ty_poll(fds, count + 1, 0, NULL);
    if (polled >= 0 && fds[count].revents == 0)
        return TACHYON_SUCCESS;
    if (polled < 0 && errno != EINTR && errno != ECANCELED)
        return ty_fail(TACHYON_ERR_SYSTEM, errno, "cannot wait for the peer");
    if (polled >= 0 || (waits && interrupt_ends(&interrupt, errno)))
        return ty_fail_plain(TACHYON_ERR_INTERRUPTED);
    for (size_t i = 0; i < count; i++)
        fds[i].revents = 0; /* nothing was looked at */
    return TACHYON_SUCCESS;
}

/* All of it in one call, or false. */
static bool send_all(int socket, struct msghdr *message) {
    size_t size = 0, parts = message->msg_iovlen; /* an int with musl */
    for (size_t i = 0; i < parts; i++)
        size += message->msg_iov[i].iov_len;
    return sendmsg(socket, message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

bool ty_handshake_send(int socket, const struct greeting *greeting, const int *fds,
                       size_t fd_count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * HANDSHAKE_MAX_RINGS)];
        struct cmsghdr header; /* the first one stands at the start */
    } control = {{0}};
    struct iovec data = {.iov_base = (void *)(uintptr_t)greeting,
                         .iov_len = sizeof *greeting};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(control.bytes + CMSG_LEN(0), fds, sizeof(int) * fd_count);
    }
    return send_all(socket, &message);
}

bool ty_handshake_send_types(int socket, struct greeting greeting,
                             const tachyon_options_t *options) {
    struct iovec data[] = {
        {.iov_base = &greeting, .iov_len = sizeof greeting},
        {.iov_base = (void *)(uintptr_t)options->types, .iov_len = options->types_size},
    };
    greeting.flags |= WIRE_FLAG_TYPES;
    return send_all(socket, &(struct msghdr){.msg_iov = data, .msg_iovlen = 2});
}

void ty_handshake_free_types(struct description *theirs) {
    free(theirs->text);
    *theirs = (struct description){0};
}

tachyon_error_t ty_handshake_receive_types(int socket, const struct greeting *greeting,
                                           struct description *theirs) {
    if (!theirs->text) {
        theirs->size = greeting->types_size; /* has been checked */
        theirs->text = malloc(theirs->size);
    }
    if (!theirs->text)
        return ty_fail_plain(TACHYON_ERR_MEM);
    ssize_t count = recv(socket, theirs->text + theirs->received,
                         theirs->size - theirs->received, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return TACHYON_ERR_EMPTY;
    if (count <= 0)
        return ty_fail(TACHYON_ERR_NETWORK, count < 0 ? errno : 0,
                       "the peer ended the connection during the handshake");
    theirs->received += (size_t)count;
    return theirs->received < theirs->size ? TACHYON_ERR_EMPTY : TACHYON_SUCCESS;
}

tachyon_error_t ty_handshake_compare_types(const struct greeting *greeting,
                                           const tachyon_options_t *options,
                                           const struct description *theirs) {
    uint64_t fingerprint = 0;
    tachyon_error_t error =
        ty_types_check(theirs->text, theirs->size, "the peer's description",
                       TACHYON_ERR_CORRUPT, &fingerprint);
    if (error != TACHYON_SUCCESS)
        return error;
    if (fingerprint != greeting->schema)
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "the peer's description is not the one of its fingerprint");
    return ty_types_compare(options->types, options->types_size, theirs->text,
                            theirs->size);
}

void ty_handshake_free_regions(struct region *regions) {
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_free(&regions[i]);
}

void ty_handshake_establish(struct session *session, const tachyon_options_t *options,
                            uint32_t our_flags, uint32_t their_flags) {
    session->role = options->role;
    session->interrupt = interrupt_of(options);
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++) {
        ty_region_close_fds(&session->regions[i]);
        ty_region_populate(&session->regions[i]);
    }
    session->expedited = (our_flags & their_flags & WIRE_FLAG_MEMBARRIER) != 0;
    session->pidfd = open_pidfd(session->socket, session->peer.pid);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake: from a socket path to two ends that share sealed memory.
 *
 *   connector                     listener
 *   hello      ------------------>            who I am, what I expect
 *              <------------------  answer    status, capacities, one memfd a ring
 *   ack 'A'    ------------------>            mapped, this one counts
 *
 * Hello and answer are the same 64 bytes. Their first two words never change, so ends
 * of different versions can tell. The listener reads all hellos at once but answers
 * one client at a time, with memory that no other client has seen, and goes on
 * listening until one acknowledges. Every step has a deadline.
 *
 * A connector of the forerunner is silent and waits for 32 bytes and a descriptor; the
 * refusal that silence earns starts with magic and version and carries an empty memfd,
 * so that it reports the mismatch. Its listener writes without reading a hello.
 */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC UINT32_C(0x54414348)
#define WIRE_VERSION UINT32_C(100)
#define FLAG_MEMBARRIER UINT32_C(1)
#define BYTE_ACKNOWLEDGE 'A'

#define MILLISECOND INT64_C(1000000)
#define ANSWER_NS (5000 * MILLISECOND)  /* connector: longest wait for the answer */
#define HELLO_NS (1000 * MILLISECOND)   /* listener: for a hello, or for the ack ... */
#define IMPATIENT_NS (50 * MILLISECOND) /* ... while another client waits */
#define RETRY_NS (2 * MILLISECOND)      /* connector: between two tries */
#define STARVED_NS (10 * MILLISECOND)   /* listener: without descriptors for accept */
#define MAX_CLIENTS 64
#define MAX_PASSED_FDS 8

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

struct greeting {
    uint32_t magic;
    uint32_t version;
    uint32_t status; /* answer: a tachyon_error_t */
    uint32_t kind;   /* enum handshake_kind */
    uint32_t flags;
    uint32_t role; /* a tachyon_role_t */
    uint32_t pid;
    uint32_t reserved;
    uint64_t schema;
    uint64_t epoch;                         /* for resuming; 0 */
    uint64_t capacity[HANDSHAKE_MAX_RINGS]; /* answer: bytes */
};
_Static_assert(sizeof(struct greeting) == 64, "wire format");

static unsigned ring_count(enum handshake_kind kind) {
    return kind == HANDSHAKE_RPC ? 2 : 1;
}

static const char *kind_name(uint32_t kind) {
    return kind == HANDSHAKE_BUS ? "bus" : kind == HANDSHAKE_RPC ? "RPC bus" : "unknown";
}

/* ---- What both sides do ---- */

/* Take the options that the caller's struct has, and check them. */
static tachyon_error_t read_options(const tachyon_options_t *given,
                                    enum handshake_kind kind, tachyon_options_t *out) {
    *out = (tachyon_options_t){0};
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
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "options.socket_mode is %o, above 777",
                       out->socket_mode);
    uint32_t last_role = kind == HANDSHAKE_BUS ? TACHYON_ROLE_CONSUMER : 0;
    if (out->role > last_role)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "options.role of a %s is %" PRIu32 ", above %" PRIu32,
                       kind_name(kind), out->role, last_role);
    if (out->allowed_uid_count > 0 && !out->allowed_uids)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "options.allowed_uids is NULL");
    if (out->socket_mode == 0)
        out->socket_mode = 0600;
    return TACHYON_SUCCESS;
}

static struct greeting greet(enum handshake_kind kind, const tachyon_options_t *options) {
    return (struct greeting){
        .magic = MAGIC,
        .version = WIRE_VERSION,
        .kind = kind,
        .flags = ty_membarrier_register() ? FLAG_MEMBARRIER : 0,
        .role = options->role,
        .pid = (uint32_t)getpid(),
        .schema = options->schema,
    };
}

/* Does what the peer says of itself fit us? The same check on both sides. */
static tachyon_error_t check_greeting(const struct greeting *theirs,
                                      enum handshake_kind kind,
                                      const tachyon_options_t *options) {
    if (theirs->magic != MAGIC)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer is no Tachyon: it begins with %08" PRIx32,
                       theirs->magic);
    if (theirs->version != WIRE_VERSION)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer speaks wire version %" PRIu32 ", this library %" PRIu32,
                       theirs->version, WIRE_VERSION);
    if (theirs->kind != (uint32_t)kind)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0, "the peer opened a %s, not a %s",
                       kind_name(theirs->kind), kind_name(kind));
    if (theirs->schema != 0 && options->schema != 0 && theirs->schema != options->schema)
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the peer's message schema is %016" PRIx64 ", ours %016" PRIx64,
                       theirs->schema, options->schema);
    if (theirs->role != TACHYON_ROLE_NONE && theirs->role == options->role)
        return ty_fail(TACHYON_ERR_BUSY, 0, "both ends declared themselves %s",
                       options->role == TACHYON_ROLE_PRODUCER ? "producer" : "consumer");
    return TACHYON_SUCCESS;
}

/* Who is the peer, and may it be? */
static tachyon_error_t check_peer(int socket, const tachyon_options_t *options,
                                  tachyon_peer_t *out) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return ty_fail(TACHYON_ERR_NETWORK, errno, "cannot learn who the peer is");
    *out = (tachyon_peer_t){
        .pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
    bool allowed = !options->allowed_uids && credentials.uid == geteuid();
    for (size_t i = 0; i < options->allowed_uid_count && !allowed; i++)
        allowed = options->allowed_uids[i] == credentials.uid ||
                  options->allowed_uids[i] == UINT32_MAX;
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
        return pidfd; /* close-on-exec by nature */
    return pid > 0 ? ty_pidfd_open(pid) : -1;
}

/* ppoll() with signals let in only here, and the caller's hook asked before. */
static tachyon_error_t wait_for(struct pollfd *fds, size_t count, int64_t deadline,
                                const tachyon_options_t *options) {
    sigset_t before;
    int polled = -1, refused = EINTR;
    ty_block_signals(&before);
    if (!options->interrupted || !options->interrupted(options->interrupted_context)) {
        polled = ty_poll(fds, count, deadline, &before);
        refused = errno;
    }
    ty_restore_signals(&before);
    if (polled >= 0)
        return TACHYON_SUCCESS;
    if (refused == EINTR)
        return ty_fail_plain(TACHYON_ERR_INTERRUPTED);
    return ty_fail(TACHYON_ERR_SYSTEM, refused, "cannot wait for the peer");
}

static bool send_greeting(int socket, const struct greeting *greeting, const int *fds,
                          size_t fd_count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * HANDSHAKE_MAX_RINGS)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec data = {.iov_base = (void *)(uintptr_t)greeting,
                         .iov_len = sizeof *greeting};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           (ssize_t)sizeof *greeting;
}

static void free_regions(struct region *regions) {
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_free(&regions[i]);
}

/* The connection stands: nothing is needed but socket, pidfd and mappings. */
static void establish(struct session *session, const tachyon_options_t *options,
                      uint32_t our_flags, uint32_t their_flags) {
    session->role = options->role;
    session->interrupted = options->interrupted;
    session->interrupted_context = options->interrupted_context;
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_close_fd(&session->regions[i]);
    session->expedited = (our_flags & their_flags & FLAG_MEMBARRIER) != 0;
    session->pidfd = open_pidfd(session->socket, session->peer.pid);
}

/* ---- Listener ---- */

struct client {
    int socket;
    bool answered;
    size_t received;
    int64_t deadline;
    struct greeting hello;
    tachyon_peer_t peer;
};

struct listener {
    struct fork_watch watch;
    struct address address;
    enum handshake_kind kind;
    tachyon_options_t options;
    struct greeting answer;
    size_t capacities[HANDSHAKE_MAX_RINGS];
    struct region regions[HANDSHAKE_MAX_RINGS]; /* seen by no client but the answered */
    struct client clients[MAX_CLIENTS];         /* in the order of their arrival */
    size_t client_count;
    bool starved; /* accept found no free descriptor */
};

static void close_in_child(struct fork_watch *watch) {
    struct listener *listener = (struct listener *)(void *)watch; /* first member */
    ty_close(&listener->address.socket);
    ty_close(&listener->address.lock);
    for (size_t i = 0; i < listener->client_count; i++)
        ty_close(&listener->clients[i].socket);
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        ty_region_close_fd(&listener->regions[i]);
}

static tachyon_error_t create_regions(struct listener *listener) {
    free_regions(listener->regions);
    for (unsigned i = 0; i < ring_count(listener->kind); i++) {
        struct region *region = &listener->regions[i];
        tachyon_error_t error = ty_region_create(region, listener->capacities[i]);
        if (error != TACHYON_SUCCESS)
            return error;
        struct ring_shared *shared = region_shared(region);
        shared->about.magic = MAGIC;
        shared->about.version = WIRE_VERSION;
        shared->about.capacity_bytes = region->capacity;
        shared->about.data_offset = region->data_offset;
        shared->about.max_payload_bytes = ring_max_payload(region->capacity);
    }
    return TACHYON_SUCCESS;
}

/* Tell a client why, as far as it can be told. */
static void refuse(const struct listener *listener, int socket, tachyon_error_t status) {
    struct greeting answer = listener->answer;
    answer.status = (uint32_t)status;
    int empty = memfd_create("tachyon-refused", MFD_CLOEXEC);
    send_greeting(socket, &answer, &empty, empty >= 0 ? 1 : 0);
    ty_close(&empty);
}

static void drop_client(struct listener *listener, size_t index) {
    ty_close(&listener->clients[index].socket);
    listener->client_count--;
    memmove(&listener->clients[index], &listener->clients[index + 1],
            (listener->client_count - index) * sizeof listener->clients[0]);
    listener->starved = false;
}

static void accept_clients(struct listener *listener) {
    for (;;) {
        int socket = accept4(listener->address.socket, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) {
            listener->starved = errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                                errno == ENOBUFS;
            return;
        }
        struct client client = {.socket = socket, .deadline = ty_now_ns() + HELLO_NS};
        if (check_peer(socket, &listener->options, &client.peer) != TACHYON_SUCCESS) {
            refuse(listener, socket, TACHYON_ERR_PERMISSION);
            ty_close(&socket);
            continue;
        }
        if (listener->client_count == MAX_CLIENTS)
            drop_client(listener, listener->clients[0].answered ? 1 : 0);
        listener->clients[listener->client_count++] = client;
    }
}

static bool hello_complete(const struct client *client) {
    return client->received == sizeof client->hello;
}

/* Read more of a hello. False: this client is done for. */
static bool read_hello(const struct listener *listener, struct client *client) {
    if (hello_complete(client)) /* must wait for its answer in silence */
        return false;
    ssize_t count = recv(client->socket, (char *)&client->hello + client->received,
                         sizeof client->hello - client->received, MSG_DONTWAIT);
    if (count <= 0)
        return count < 0 && (errno == EAGAIN || errno == EINTR);
    client->received += (size_t)count;
    if (!hello_complete(client))
        return true;
    tachyon_error_t status =
        check_greeting(&client->hello, listener->kind, &listener->options);
    if (status != TACHYON_SUCCESS)
        refuse(listener, client->socket, status);
    return status == TACHYON_SUCCESS;
}

static bool read_acknowledge(const struct client *client) {
    char byte = 0; /* exactly one: a bye may follow at once */
    return recv(client->socket, &byte, 1, MSG_DONTWAIT) == 1 && byte == BYTE_ACKNOWLEDGE;
}

/* Answer the first client that has greeted, unless one is being answered. */
static tachyon_error_t answer_next(struct listener *listener) {
    struct client *waiting = NULL, *answered = NULL;
    for (size_t i = 0; i < listener->client_count; i++) {
        struct client *client = &listener->clients[i];
        if (client->answered)
            answered = client;
        else if (!waiting && hello_complete(client))
            waiting = client;
    }
    if (!waiting)
        return TACHYON_SUCCESS;
    int64_t now = ty_now_ns();
    if (answered) {
        answered->deadline = ty_earlier(answered->deadline, now + IMPATIENT_NS);
        waiting->deadline = now + HELLO_NS; /* it is our turn to act, not its */
        return TACHYON_SUCCESS;
    }
    if (!listener->regions[0].map) {
        tachyon_error_t error = create_regions(listener);
        if (error != TACHYON_SUCCESS)
            return error;
    }
    int fds[HANDSHAKE_MAX_RINGS];
    for (unsigned i = 0; i < ring_count(listener->kind); i++)
        fds[i] = listener->regions[i].fd;
    waiting->answered = true;
    waiting->deadline = now + HELLO_NS;
    if (!send_greeting(waiting->socket, &listener->answer, fds,
                       ring_count(listener->kind)))
        waiting->deadline = now; /* expires at once */
    return TACHYON_SUCCESS;
}

/* Drop a client; the memory that an answered one has seen goes with it. */
static void dismiss(struct listener *listener, size_t index) {
    if (listener->clients[index].answered)
        free_regions(listener->regions);
    drop_client(listener, index);
}

static void expire_clients(struct listener *listener) {
    int64_t now = ty_now_ns();
    for (size_t i = 0; i < listener->client_count;) {
        struct client *client = &listener->clients[i];
        if (now < client->deadline) {
            i++;
            continue;
        }
        if (!client->answered)
            refuse(listener, client->socket, TACHYON_ERR_ABI_MISMATCH);
        dismiss(listener, i);
    }
}

/* One round. EMPTY: go on. SUCCESS: clients[*chosen] has acknowledged. */
static tachyon_error_t listen_round(struct listener *listener, int64_t deadline,
                                    size_t *chosen) {
    expire_clients(listener);
    tachyon_error_t error = answer_next(listener);
    if (error != TACHYON_SUCCESS)
        return error;

    int64_t now = ty_now_ns();
    if (now >= deadline)
        return ty_fail(TACHYON_ERR_TIMEOUT, 0, "no peer connected to %s in time",
                       listener->address.path);
    int64_t until = deadline;
    struct pollfd fds[1 + MAX_CLIENTS];
    size_t count = listener->client_count;
    fds[0] = (struct pollfd){.fd = listener->starved ? -1 : listener->address.socket,
                             .events = POLLIN};
    if (listener->starved) {
        until = ty_earlier(until, now + STARVED_NS);
        listener->starved = false;
    }
    for (size_t i = 0; i < count; i++) {
        fds[i + 1] =
            (struct pollfd){.fd = listener->clients[i].socket, .events = POLLIN};
        until = ty_earlier(until, listener->clients[i].deadline);
    }
    error = wait_for(fds, count + 1, until, &listener->options);
    if (error != TACHYON_SUCCESS)
        return error;

    for (size_t i = count; i-- > 0;) { /* backwards: dismissing moves those behind */
        struct client *client = &listener->clients[i];
        if (fds[i + 1].revents == 0)
            continue;
        if (client->answered && read_acknowledge(client)) {
            *chosen = i;
            return TACHYON_SUCCESS;
        }
        if (client->answered || !read_hello(listener, client))
            dismiss(listener, i);
    }
    if (fds[0].revents)
        accept_clients(listener);
    return TACHYON_ERR_EMPTY;
}

tachyon_error_t ty_handshake_listen(const char *path, enum handshake_kind kind,
                                    const size_t *capacities,
                                    const tachyon_options_t *options,
                                    struct session *out) {
    struct listener listener = {.kind = kind,
                                .address = ADDRESS_NONE,
                                .regions = {REGION_NONE, REGION_NONE},
                                .watch.in_child = close_in_child};
    tachyon_error_t error = read_options(options, kind, &listener.options);
    if (error != TACHYON_SUCCESS)
        return error;
    int64_t deadline = listener.options.timeout_ns == 0
                           ? TY_NEVER
                           : ty_deadline(listener.options.timeout_ns);
    listener.answer = greet(kind, &listener.options);
    for (unsigned i = 0; i < ring_count(kind); i++) {
        listener.capacities[i] = capacities[i];
        if ((error = ty_region_round(&listener.capacities[i])) != TACHYON_SUCCESS)
            return error;
        listener.answer.capacity[i] = listener.capacities[i];
    }
    if ((error = ty_fork_watch(&listener.watch)) != TACHYON_SUCCESS)
        return error;
    if ((error = ty_address_listen(&listener.address, path,
                                   listener.options.socket_mode)) != TACHYON_SUCCESS ||
        (error = create_regions(&listener)) != TACHYON_SUCCESS)
        goto end;

    size_t chosen = 0;
    do
        error = listen_round(&listener, deadline, &chosen);
    while (error == TACHYON_ERR_EMPTY);
    if (error != TACHYON_SUCCESS)
        goto end;

    struct client *client = &listener.clients[chosen];
    *out = (struct session){.side = RING_SIDE_LISTENER,
                            .socket = client->socket,
                            .peer = client->peer};
    client->socket = -1;
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++) {
        out->regions[i] = listener.regions[i];
        listener.regions[i] = REGION_NONE;
    }
    establish(out, &listener.options, listener.answer.flags, client->hello.flags);

end:
    ty_fork_unwatch(&listener.watch);
    while (listener.client_count > 0)
        drop_client(&listener, 0);
    free_regions(listener.regions);
    ty_address_release(&listener.address);
    return error;
}

/* ---- Connector ---- */

/* Receive the answer and its descriptors; those beyond MAX_PASSED_FDS the kernel
 * drops. *fd_count may exceed what was asked for: the caller closes them all. */
static tachyon_error_t receive_answer(int socket, struct greeting *answer, int *fds,
                                      size_t *fd_count, int64_t deadline,
                                      const tachyon_options_t *options) {
    size_t received = 0;
    *fd_count = 0;
    while (received < sizeof *answer) {
        struct pollfd poll = {.fd = socket, .events = POLLIN};
        tachyon_error_t error = wait_for(&poll, 1, deadline, options);
        if (error != TACHYON_SUCCESS)
            return error;
        if (poll.revents == 0)
            return ty_fail(TACHYON_ERR_TIMEOUT, 0,
                           "the listener accepted but did not answer in time");
        union {
            char bytes[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
            struct cmsghdr align;
        } control;
        struct iovec data = {.iov_base = (char *)answer + received,
                             .iov_len = sizeof *answer - received};
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (count < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        for (struct cmsghdr *header = count > 0 ? CMSG_FIRSTHDR(&message) : NULL; header;
             header = CMSG_NXTHDR(&message, header)) {
            if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                continue;
            size_t passed = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < passed; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
                if (*fd_count < MAX_PASSED_FDS)
                    fds[(*fd_count)++] = fd;
                else
                    close(fd);
            }
        }
        if (count <= 0) {
            if (received >= 2 * sizeof(uint32_t) && answer->version != WIRE_VERSION)
                return TACHYON_SUCCESS; /* shorter, from another version */
            return ty_fail(TACHYON_ERR_NETWORK, count < 0 ? errno : 0,
                           "the listener ended the connection before it answered");
        }
        received += (size_t)count;
    }
    return TACHYON_SUCCESS;
}

/* The status is the listener's word; anything but a few known causes is noise. */
static tachyon_error_t refusal(const struct greeting *answer) {
    switch (answer->status) {
    case TACHYON_SUCCESS:
        return TACHYON_SUCCESS;
    case TACHYON_ERR_PERMISSION:
        return ty_fail(TACHYON_ERR_PERMISSION, EPERM,
                       "the listener does not allow our user id");
    case TACHYON_ERR_BUSY:
        return ty_fail(TACHYON_ERR_BUSY, 0, "the listener declared our role its own");
    default:
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the listener refused this client (status %" PRIu32 ")",
                       answer->status);
    }
}

static tachyon_error_t connect_once(const char *path, enum handshake_kind kind,
                                    const tachyon_options_t *options, int64_t deadline,
                                    struct session *session) {
    const char acknowledge = BYTE_ACKNOWLEDGE;
    struct greeting hello = greet(kind, options), answer = {0};
    int fds[MAX_PASSED_FDS];
    size_t fd_count = 0, needed = ring_count(kind);
    *session = (struct session){.side = RING_SIDE_CONNECTOR,
                                .socket = -1,
                                .pidfd = -1,
                                .regions = {REGION_NONE, REGION_NONE}};

    tachyon_error_t error = ty_address_connect(path, &session->socket);
    if (error != TACHYON_SUCCESS)
        return error;
    if ((error = check_peer(session->socket, options, &session->peer)) !=
        TACHYON_SUCCESS)
        goto fail;
    /* A listener of another version may be gone already; what it wrote tells. */
    send_greeting(session->socket, &hello, NULL, 0);
    if ((error = receive_answer(session->socket, &answer, fds, &fd_count, deadline,
                                options)) != TACHYON_SUCCESS)
        goto fail;
    /* A refusal need not fit us in anything but its first words. */
    if (answer.magic == MAGIC && answer.version == WIRE_VERSION &&
        answer.kind == (uint32_t)kind && (error = refusal(&answer)) != TACHYON_SUCCESS)
        goto fail;
    if ((error = check_greeting(&answer, kind, options)) != TACHYON_SUCCESS)
        goto fail;
    if (fd_count != needed) {
        error = ty_fail(TACHYON_ERR_CORRUPT, 0,
                        "the listener passed %zu descriptors instead of %zu", fd_count,
                        needed);
        goto fail;
    }
    for (size_t i = 0; i < needed; i++) {
        int fd = fds[i];
        fds[i] = -1;
        if ((error = ty_region_attach(&session->regions[i], fd, answer.capacity[i])) !=
            TACHYON_SUCCESS)
            goto fail;
    }
    if (send(session->socket, &acknowledge, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
        error = ty_fail(TACHYON_ERR_NETWORK, errno,
                        "the listener ended the connection during the handshake");
        goto fail;
    }
    establish(session, options, hello.flags, answer.flags);
    return TACHYON_SUCCESS;

fail:
    for (size_t i = 0; i < fd_count; i++)
        ty_close(&fds[i]);
    free_regions(session->regions);
    ty_close(&session->socket);
    return error;
}

tachyon_error_t ty_handshake_connect(const char *path, enum handshake_kind kind,
                                     const tachyon_options_t *given,
                                     struct session *out) {
    tachyon_options_t options;
    tachyon_error_t error = read_options(given, kind, &options);
    if (error != TACHYON_SUCCESS)
        return error;
    bool once = options.timeout_ns == 0;
    int64_t deadline = ty_deadline(once ? ANSWER_NS : options.timeout_ns);
    for (;;) {
        error = connect_once(path, kind, &options,
                             ty_earlier(deadline, ty_now_ns() + ANSWER_NS), out);
        bool queue_full = error == TACHYON_ERR_NETWORK && tachyon_last_errno() == EAGAIN;
        bool again = once ? queue_full
                          : error == TACHYON_ERR_NETWORK || error == TACHYON_ERR_TIMEOUT;
        if (!again)
            return error;
        if (ty_now_ns() >= deadline)
            return error == TACHYON_ERR_TIMEOUT
                       ? error
                       : ty_fail(TACHYON_ERR_TIMEOUT, tachyon_last_errno(),
                                 "no listener answered on %s in time", path);
        error = wait_for(NULL, 0, ty_earlier(deadline, ty_now_ns() + RETRY_NS), &options);
        if (error != TACHYON_SUCCESS)
            return error;
    }
}

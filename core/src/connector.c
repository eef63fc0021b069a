/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connecting side of the handshake. It trusts nothing that the listener sends: the
 * number of descriptors, their type, seals and size are checked before mapping.
 */
#include "connector.h"
#include "address.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_NS (5000 * MILLISECOND)   /* longest wait for the answer in one try */
#define RETRY_NS (2 * MILLISECOND)       /* between two tries at first, and ... */
#define RETRY_MOST_NS (32 * MILLISECOND) /* ... when there have been many */

/* Keep the descriptors that came with a message; more than could be right are closed.
 */
static void keep_descriptors(struct connector *connector, struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t passed = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < passed; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (connector->fd_count < CONNECTOR_MAX_FDS)
                connector->fds[connector->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

/* Receive more of the answer. EMPTY: not yet all of it. */
static tachyon_error_t receive_answer(struct connector *connector) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * CONNECTOR_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec data = {.iov_base = (char *)&connector->answer + connector->received,
                         .iov_len = sizeof connector->answer - connector->received};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    if (connector->received == sizeof connector->answer)
        return TACHYON_SUCCESS; /* and more than that was sent */
    ssize_t count =
        recvmsg(connector->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return TACHYON_ERR_EMPTY;
    if (count <= 0)
        return ty_fail(TACHYON_ERR_NETWORK, count < 0 ? errno : 0,
                       "the listener ended the connection before it answered");
    keep_descriptors(connector, &message);
    if ((message.msg_flags & MSG_CTRUNC) && connector->fd_count < CONNECTOR_MAX_FDS)
        return ty_fail(TACHYON_ERR_OPEN, EMFILE,
                       "no descriptor left for the listener's shared memory (see "
                       "ulimit -n)");
    connector->received += (size_t)count;
    /* A foreign one may be shorter; its first words say enough. */
    return connector->received == sizeof connector->answer ||
                   ty_handshake_foreign(&connector->answer, connector->received)
               ? TACHYON_SUCCESS
               : TACHYON_ERR_EMPTY;
}

/* The status is the listener's word; anything but a few known causes is noise. */
static tachyon_error_t refusal(const struct greeting *hello,
                               const struct greeting *answer) {
    switch (answer->status) {
    case TACHYON_SUCCESS:
        return TACHYON_SUCCESS;
    case TACHYON_ERR_PERMISSION:
        return ty_fail(TACHYON_ERR_PERMISSION, EPERM,
                       "the listener does not allow our user id");
    case TACHYON_ERR_BUSY:
        return ty_fail(TACHYON_ERR_BUSY, 0,
                       "the listener has no place for another peer now, or one of our "
                       "name lives");
    case TACHYON_ERR_LAGGED:
        return ty_fail(TACHYON_ERR_LAGGED, 0,
                       "what is asked for, position %" PRIu64 " of epoch %016" PRIx64
                       ", is not there: the listener is in epoch %016" PRIx64,
                       hello->position, hello->epoch, answer->epoch);
    default:
        return ty_fail(TACHYON_ERR_ABI_MISMATCH, 0,
                       "the listener refused this client (status %" PRIu32 ")%s",
                       answer->status,
                       hello->schema == 0 && answer->schema != 0
                           ? "; it may require options.types, of which there are none"
                           : "");
    }
}

/* ---- One try ---- */

static void end_try(struct connector *connector) {
    if (connector->socket >= 0)
        ty_door_forget(connector->door, connector->socket);
    ty_close(&connector->socket);
    ty_handshake_free_regions(connector->regions);
    connector->acknowledged = connector->agreed = false;
    ty_handshake_free_types(&connector->types);
    while (connector->fd_count > 0)
        ty_close(&connector->fds[--connector->fd_count]);
}

static tachyon_error_t begin_try(struct connector *connector) {
    connector->answer = (struct greeting){0};
    connector->received = 0;
    tachyon_error_t error =
        ty_address_connect(connector->path, connector->start, &connector->socket);
    if (error != TACHYON_SUCCESS)
        return error;
    if ((error = ty_handshake_check_peer(connector->socket, &connector->options,
                                         &connector->peer)) != TACHYON_SUCCESS)
        return error;
    connector->hello.flags = ty_handshake_flags();
    connector->due = ty_earlier(connector->deadline, ty_now_ns() + ANSWER_NS);
    /* A listener of another version may be gone already; what it wrote tells. */
    if (!ty_handshake_send(connector->socket, &connector->hello, NULL, 0) &&
        errno != EPIPE && errno != ECONNRESET)
        return ty_fail(TACHYON_ERR_NETWORK, errno, "cannot greet the listener");
    if (!ty_door_watch(connector->door, connector->socket, EPOLLIN))
        return ty_fail(TACHYON_ERR_SYSTEM, errno, "cannot watch the connection");
    return TACHYON_SUCCESS;
}

static bool is_broadcast(const struct connector *connector) {
    return connector->kind == HANDSHAKE_BUS &&
           (connector->answer.flags & WIRE_FLAG_BROADCAST) != 0;
}

/* The answer is here: map what it offers and acknowledge it. */
static tachyon_error_t accept_offer(struct connector *connector) {
    const char acknowledge = WIRE_ACKNOWLEDGE;
    const struct greeting *answer = &connector->answer;
    size_t rings = handshake_rings(connector->kind);
    unsigned each = is_broadcast(connector) ? 2 : 1;
    /* What we find ourselves says more than the listener's status. */
    tachyon_error_t error =
        ty_handshake_check(answer, connector->kind, &connector->options);
    if (error != TACHYON_SUCCESS ||
        (error = refusal(&connector->hello, answer)) != TACHYON_SUCCESS)
        return error;
    if (!connector->agreed && ty_handshake_types_differ(answer, &connector->options))
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "the listener has other messages and does not say which");
    if (each > 1 && connector->options.role == TACHYON_ROLE_PRODUCER)
        return ty_fail(TACHYON_ERR_BUSY, 0,
                       "the listener broadcasts: this end can only receive");
    if (connector->fd_count != rings * each)
        return ty_fail(TACHYON_ERR_CORRUPT, 0,
                       "the listener passed %zu descriptors instead of %zu",
                       connector->fd_count, rings * each);
    for (size_t i = 0; i < rings && error == TACHYON_SUCCESS; i++) {
        int fds[REGION_MAX_FDS];
        for (unsigned k = 0; k < each; k++) {
            fds[k] = connector->fds[i * each + k];
            connector->fds[i * each + k] = -1;
        }
        error =
            ty_region_attach(&connector->regions[i], fds, each, answer->capacity[i]);
    }
    if (error != TACHYON_SUCCESS)
        return error;
    if (send(connector->socket, &acknowledge, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        return ty_fail(TACHYON_ERR_NETWORK, errno,
                       "the listener ended the connection during the handshake");
    connector->acknowledged = true;
    return TACHYON_SUCCESS;
}

/* The listener has other messages, and says which: say what ours are, compare while it
 * does, too, and expect its offer. EMPTY: not yet. */
static tachyon_error_t exchange_types(struct connector *connector) {
    const struct greeting *answer = &connector->answer;
    tachyon_error_t error =
        ty_handshake_check(answer, connector->kind, &connector->options);
    if (error == TACHYON_SUCCESS &&
        (connector->agreed || !ty_handshake_types_differ(answer, &connector->options)))
        error = ty_fail(TACHYON_ERR_CORRUPT, 0,
                        "the listener asks for our messages without a reason");
    if (error != TACHYON_SUCCESS)
        return error;
    error = ty_handshake_receive_types(connector->socket, answer, &connector->types);
    if (error != TACHYON_SUCCESS)
        return error;
    bool sent = ty_handshake_send_types(connector->socket, connector->hello,
                                        &connector->options);
    int refused = errno;
    error = ty_handshake_compare_types(answer, &connector->options, &connector->types);
    if (error == TACHYON_SUCCESS && !sent)
        return ty_fail(TACHYON_ERR_NETWORK, refused,
                       "the listener ended the connection during the handshake");
    connector->agreed = error == TACHYON_SUCCESS;
    ty_handshake_free_types(&connector->types);
    connector->answer = (struct greeting){0};
    connector->received = 0;
    return connector->agreed ? TACHYON_ERR_EMPTY : error;
}

/* A listener that broadcasts says when it has let us in. EMPTY: not yet. */
static tachyon_error_t receive_joined(struct connector *connector) {
    char byte = 0; /* exactly one: a wake-up may follow at once */
    ssize_t count = recv(connector->socket, &byte, 1, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return TACHYON_ERR_EMPTY;
    return count == 1 && byte == WIRE_JOINED
               ? TACHYON_SUCCESS
               : ty_fail(TACHYON_ERR_NETWORK, count < 0 ? errno : 0,
                         "the listener ended the connection during the handshake");
}

/* Where a consumer of a broadcast begins. */
static tachyon_error_t find_start(const struct connector *connector, uint64_t *start) {
    const struct greeting *hello = &connector->hello;
    /* Pairs with the release store in cursors_insert(). */
    *start = atomic_load_explicit(&region_shared(&connector->regions[0])->tail,
                                  memory_order_acquire);
    if (*start % RING_LINE != 0)
        return ty_fail(TACHYON_ERR_CORRUPT, 0, "the listener lets us begin at %" PRIu64,
                       *start);
    if (hello->start == TACHYON_START_POSITION && *start != hello->position)
        return ty_fail(TACHYON_ERR_LAGGED, 0,
                       "position %" PRIu64 " was overwritten during the handshake",
                       hello->position);
    return TACHYON_SUCCESS;
}

/* The connection stands. */
static tachyon_error_t conclude(struct connector *connector, struct session *out) {
    uint64_t start = 0;
    tachyon_error_t error = TACHYON_SUCCESS;
    if (is_broadcast(connector))
        error = find_start(connector, &start);
    if (error != TACHYON_SUCCESS)
        return error;
    ty_door_forget(connector->door, connector->socket);
    *out = (struct session){.side = RING_SIDE_CONNECTOR,
                            .socket = connector->socket,
                            .peer = connector->peer,
                            .start = start,
                            .epoch =
                                is_broadcast(connector) ? connector->answer.epoch : 0};
    memcpy(out->regions, connector->regions, sizeof out->regions);
    for (unsigned i = 0; i < HANDSHAKE_MAX_RINGS; i++)
        connector->regions[i] = REGION_NONE;
    connector->socket = -1;
    ty_handshake_establish(out, &connector->options, connector->hello.flags,
                           connector->answer.flags);
    return TACHYON_SUCCESS;
}

/* ---- Tries ---- */

/* A try has failed. EMPTY: there will be another one. */
static tachyon_error_t try_again(struct connector *connector, tachyon_error_t error) {
    bool queue_full = error == TACHYON_ERR_NETWORK && tachyon_last_errno() == EAGAIN;
    bool again = connector->once
                     ? queue_full
                     : error == TACHYON_ERR_NETWORK || error == TACHYON_ERR_TIMEOUT;
    int64_t now = ty_now_ns(), pause = (now - connector->began) / 16;
    end_try(connector);
    if (!again)
        return error;
    if (now >= connector->deadline)
        return error == TACHYON_ERR_TIMEOUT
                   ? error
                   : ty_fail(TACHYON_ERR_TIMEOUT, tachyon_last_errno(),
                             "no listener answered on %s in time", connector->path);
    if (pause < RETRY_NS)
        pause = RETRY_NS;
    connector->due =
        ty_earlier(connector->deadline, now + ty_earlier(pause, RETRY_MOST_NS));
    return TACHYON_ERR_EMPTY;
}

tachyon_error_t ty_connector_round(struct connector *connector,
                                   const struct patience *patience,
                                   struct session *out) {
    struct pollfd fds[2] = {{.fd = connector->socket, .events = POLLIN}};
    tachyon_error_t error =
        ty_handshake_poll(fds, 1, connector->due, patience, &connector->options);
    if (error != TACHYON_SUCCESS)
        return error;
    bool due = ty_now_ns() >= connector->due;
    error = TACHYON_ERR_EMPTY;
    if (connector->socket < 0) {
        if (due && (error = begin_try(connector)) == TACHYON_SUCCESS)
            error = TACHYON_ERR_EMPTY;
    } else if (fds[0].revents) {
        if (!connector->acknowledged &&
            (error = receive_answer(connector)) == TACHYON_SUCCESS)
            error = (connector->answer.flags & WIRE_FLAG_TYPES)
                        ? exchange_types(connector)
                        : accept_offer(connector);
        if (connector->acknowledged && is_broadcast(connector))
            error = receive_joined(connector);
        if (connector->acknowledged && error == TACHYON_SUCCESS)
            error = conclude(connector, out);
    } else if (due) {
        error = ty_fail(TACHYON_ERR_TIMEOUT, 0,
                        "the listener accepted but did not answer in time");
    }
    if (error != TACHYON_SUCCESS && error != TACHYON_ERR_EMPTY)
        error = try_again(connector, error);
    ty_door_ring_at(connector->door, connector->due);
    return error;
}

bool ty_connector_watch(struct connector *connector) {
    ty_door_ring_at(connector->door, connector->due);
    return connector->socket < 0 ||
           ty_door_watch(connector->door, connector->socket, EPOLLIN);
}

/* ---- Opening and closing ---- */

void ty_connector_init(struct connector *connector, enum handshake_kind kind,
                       const tachyon_options_t *options, struct door *door) {
    bool once = options->timeout_ns == 0;
    *connector = (struct connector){
        .door = door,
        .kind = kind,
        .options = *options,
        .hello = ty_handshake_greeting(kind, options),
        .once = once,
        .began = ty_now_ns(),
        .deadline = ty_deadline(once ? ANSWER_NS : options->timeout_ns),
        .start = -1,
        .socket = -1,
        .regions = {REGION_NONE, REGION_NONE}};
}

tachyon_error_t ty_connector_open(struct connector *connector, const char *path) {
    tachyon_error_t error = ty_address_hold_start(path, &connector->start);
    if (error != TACHYON_SUCCESS)
        return error;
    connector->path = path;
    error = begin_try(connector);
    if (error != TACHYON_SUCCESS)
        error = try_again(connector, error);
    return error == TACHYON_ERR_EMPTY ? TACHYON_SUCCESS : error;
}

void ty_connector_close(struct connector *connector) {
    end_try(connector);
    ty_close(&connector->start);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connecting side of the handshake. It trusts nothing that the listener sends: the
 * number of descriptors, their type, seals and size are checked before mapping.
 */
#include "address.h"
#include "handshake.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_NS (5000 * MILLISECOND) /* longest wait for the answer in one try */
#define RETRY_NS (2 * MILLISECOND)     /* between two tries */
#define MAX_PASSED_FDS 8

static bool is_foreign(const struct greeting *answer, size_t received) {
    return (received >= sizeof answer->magic && answer->magic != WIRE_MAGIC) ||
           (received >= 2 * sizeof answer->magic && answer->version != WIRE_VERSION);
}

/* Receive the answer and its descriptors; those beyond MAX_PASSED_FDS the kernel
 * drops. *fd_count may exceed what was asked for: the caller closes them all. */
static tachyon_error_t receive_answer(int socket, struct greeting *answer, int *fds,
                                      size_t *fd_count, int64_t deadline,
                                      const tachyon_options_t *options) {
    size_t received = 0;
    *fd_count = 0;
    while (received < sizeof *answer) {
        struct pollfd poll = {.fd = socket, .events = POLLIN};
        tachyon_error_t error = ty_handshake_poll(&poll, 1, deadline, options);
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
        for (struct cmsghdr *header = count > 0 ? CMSG_FIRSTHDR(&message) : NULL;
             header; header = CMSG_NXTHDR(&message, header)) {
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
        if (count <= 0)
            return ty_fail(TACHYON_ERR_NETWORK, count < 0 ? errno : 0,
                           "the listener ended the connection before it answered");
        received += (size_t)count;
        if (is_foreign(answer, received))
            return TACHYON_SUCCESS; /* may be shorter; its first words say enough */
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
    const char acknowledge = WIRE_ACKNOWLEDGE;
    struct greeting hello = ty_handshake_greeting(kind, options), answer = {0};
    int fds[MAX_PASSED_FDS];
    size_t fd_count = 0, needed = handshake_rings(kind);
    *session = (struct session){.side = RING_SIDE_CONNECTOR,
                                .socket = -1,
                                .pidfd = -1,
                                .regions = {REGION_NONE, REGION_NONE}};

    tachyon_error_t error = ty_address_connect(path, &session->socket);
    if (error != TACHYON_SUCCESS)
        return error;
    if ((error = ty_handshake_check_peer(session->socket, options, &session->peer)) !=
        TACHYON_SUCCESS)
        goto fail;
    /* A listener of another version may be gone already; what it wrote tells. */
    if (!ty_handshake_send(session->socket, &hello, NULL, 0) && errno != EPIPE &&
        errno != ECONNRESET) {
        error = ty_fail(TACHYON_ERR_NETWORK, errno, "cannot greet the listener");
        goto fail;
    }
    if ((error = receive_answer(session->socket, &answer, fds, &fd_count, deadline,
                                options)) != TACHYON_SUCCESS)
        goto fail;
    /* What we find ourselves says more than the listener's status. */
    if ((error = ty_handshake_check(&answer, kind, options)) != TACHYON_SUCCESS ||
        (error = refusal(&answer)) != TACHYON_SUCCESS)
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
    ty_handshake_establish(session, options, hello.flags, answer.flags);
    return TACHYON_SUCCESS;

fail:
    for (size_t i = 0; i < fd_count; i++)
        ty_close(&fds[i]);
    ty_handshake_free_regions(session->regions);
    ty_close(&session->socket);
    return error;
}

tachyon_error_t ty_handshake_connect(const char *path, enum handshake_kind kind,
                                     const tachyon_options_t *given,
                                     struct session *out) {
    tachyon_options_t options;
    tachyon_error_t error = ty_handshake_options(given, kind, &options);
    if (error != TACHYON_SUCCESS)
        return error;
    bool once = options.timeout_ns == 0;
    int64_t deadline = ty_deadline(once ? ANSWER_NS : options.timeout_ns);
    for (;;) {
        error = connect_once(path, kind, &options,
                             ty_earlier(deadline, ty_now_ns() + ANSWER_NS), out);
        bool queue_full =
            error == TACHYON_ERR_NETWORK && tachyon_last_errno() == EAGAIN;
        bool again = once
                         ? queue_full
                         : error == TACHYON_ERR_NETWORK || error == TACHYON_ERR_TIMEOUT;
        if (!again)
            return error;
        if (ty_now_ns() >= deadline)
            return error == TACHYON_ERR_TIMEOUT
                       ? error
                       : ty_fail(TACHYON_ERR_TIMEOUT, tachyon_last_errno(),
                                 "no listener answered on %s in time", path);
        error = ty_handshake_poll(NULL, 0, ty_earlier(deadline, ty_now_ns() + RETRY_NS),
                                  &options);
        if (error != TACHYON_SUCCESS)
            return error;
    }
}

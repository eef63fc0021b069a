/* SPDX-License-Identifier: Apache-2.0 */
/* A UNIX socket that keeps messages apart (SOCK_SEQPACKET); those that are larger than
 * its buffer may be go in parts. */
#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PART ((size_t)64 << 10)
#define MOST 256

static int fd, flags;

static void open_it(const struct setting *setting) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket",
             setting->directory);
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    MUST(made >= 0);
    if (setting->lead) {
        while (connect(made, (struct sockaddr *)&address, sizeof(address))) {
            MUST(errno == ENOENT || errno == ECONNREFUSED);
        }
        fd = made;
    } else {
        MUST(!bind(made, (struct sockaddr *)&address, sizeof(address)));
        MUST(!listen(made, 1));
        fd = accept4(made, NULL, NULL, SOCK_CLOEXEC);
        MUST(fd >= 0);
        close(made);
    }
    int room = 1 << 20; /* granted as far as the system has it */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    flags = setting->mode == MODE_SPIN ? MSG_DONTWAIT : 0;
}

static void send_one(const void *payload, size_t size) {
    for (size_t sent = 0; sent < size;) {
        size_t part = size - sent < PART ? size - sent : PART;
        ssize_t done = send(fd, (const char *)payload + sent, part, flags);
        MUST(done > 0 || errno == EAGAIN);
        sent += done > 0 ? (size_t)done : 0;
    }
}

static void receive_one(void *payload, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t done = recv(fd, (char *)payload + got, size - got, flags);
        MUST(done > 0 || errno == EAGAIN);
        got += done > 0 ? (size_t)done : 0;
    }
}

static size_t describe(struct mmsghdr *messages, struct iovec *parts, char *items,
                       size_t size, size_t count) {
    count = count < MOST ? count : MOST;
    memset(messages, 0, count * sizeof(*messages));
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct iovec){items + i * size, size};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    return count;
}

static void send_many(const void *items, size_t size, size_t count) {
    struct mmsghdr messages[MOST];
    struct iovec parts[MOST];
    for (size_t sent = 0; sent < count;) {
        size_t described =
            describe(messages, parts, (char *)items + sent * size, size, count - sent);
        int done = sendmmsg(fd, messages, (unsigned)described, flags);
        MUST(done > 0 || errno == EAGAIN);
        sent += done > 0 ? (size_t)done : 0;
    }
}

static size_t receive_many(void *items, size_t size, size_t most) {
    struct mmsghdr messages[MOST];
    struct iovec parts[MOST];
    size_t described = describe(messages, parts, items, size, most);
    int got;
    do {
        got = recvmmsg(fd, messages, (unsigned)described, flags | MSG_WAITFORONE, NULL);
        MUST(got > 0 || errno == EAGAIN);
    } while (got <= 0);
    return (size_t)got;
}

const struct link tachyon_peer_link = {open_it,   send_one,     receive_one,
                                       send_many, receive_many, NULL};

/* SPDX-License-Identifier: Apache-2.0 */
/* Yardstick: an eventfd and a cache line for the message. */
#define _GNU_SOURCE
#include "link.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int out_fd, in_fd;
static unsigned char *out, *in;

/* Made before the two processes part: the driver loads an adapter after the fork, so the
 * descriptors go through /proc. */
static void open_it(const struct setting *setting) {
    if (setting->mode != MODE_SLEEP) {
        cannot("only sleeps");
    }
    if (setting->size > 64) {
        cannot("a message has to fit into a cache line");
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/eventfds",
             setting->directory);
    int fds[2] = {-1, -1};
    union {
        char bytes[CMSG_SPACE(sizeof(fds))];
        struct cmsghdr align;
    } control = {{0}};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(made >= 0);
    if (setting->lead) {
        while (connect(made, (struct sockaddr *)&address, sizeof(address))) {
        }
        MUST(recvmsg(made, &message, 0) == 1);
        memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fds));
    } else {
        MUST(!bind(made, (struct sockaddr *)&address, sizeof(address)));
        MUST(!listen(made, 1));
        int fd = accept(made, NULL, NULL);
        MUST(fd >= 0);
        fds[0] = eventfd(0, EFD_CLOEXEC);
        fds[1] = eventfd(0, EFD_CLOEXEC);
        MUST(fds[0] >= 0 && fds[1] >= 0);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(fds));
        memcpy(CMSG_DATA(header), fds, sizeof(fds));
        MUST(sendmsg(fd, &message, 0) == 1);
    }
    out_fd = fds[setting->lead ? 0 : 1];
    in_fd = fds[setting->lead ? 1 : 0];
    out = (unsigned char *)setting->shared + (setting->lead ? 0 : 128);
    in = (unsigned char *)setting->shared + (setting->lead ? 128 : 0);
}

static void send_one(const void *payload, size_t size) {
    uint64_t one = 1;
    memcpy(out, payload, size);
    MUST(write(out_fd, &one, sizeof(one)) == sizeof(one));
}

static void receive_one(void *payload, size_t size) {
    uint64_t count;
    MUST(read(in_fd, &count, sizeof(count)) == sizeof(count));
    memcpy(payload, in, size);
}

const struct link tachyon_peer_link = {open_it, send_one, receive_one,
                                       NULL,    NULL,     NULL};

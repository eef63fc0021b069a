/* SPDX-License-Identifier: Apache-2.0 */
/* A named pipe in each direction, with records of a size that both know. */
#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int out, in;

static int end(const struct setting *setting, const char *name, int flags) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", setting->directory, name);
    MUST(!mkfifo(path, 0600) || errno == EEXIST);
    int fd = open(path, flags | O_CLOEXEC); /* waits for the other end */
    MUST(fd >= 0);
    fcntl(fd, F_SETPIPE_SZ, 1 << 20); /* the most that any user may have */
    if (setting->mode == MODE_SPIN) {
        MUST(!fcntl(fd, F_SETFL, O_NONBLOCK));
    }
    return fd;
}

static void open_both(const struct setting *setting) {
    if (setting->lead) {
        out = end(setting, "forth", O_WRONLY);
        in = end(setting, "back", O_RDONLY);
    } else {
        in = end(setting, "forth", O_RDONLY);
        out = end(setting, "back", O_WRONLY);
    }
}

static void send_bytes(const void *payload, size_t size) {
    for (size_t sent = 0; sent < size;) {
        ssize_t done = write(out, (const char *)payload + sent, size - sent);
        MUST(done > 0 || errno == EAGAIN);
        sent += done > 0 ? (size_t)done : 0;
    }
}

static void receive_bytes(void *payload, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t done = read(in, (char *)payload + got, size - got);
        MUST(done > 0 || errno == EAGAIN);
        got += done > 0 ? (size_t)done : 0;
    }
}

static void send_many(const void *items, size_t size, size_t count) {
    send_bytes(items, size * count);
}

static size_t receive_many(void *items, size_t size, size_t most) {
    ssize_t got;
    do {
        got = read(in, items, size * most);
        MUST(got > 0 || errno == EAGAIN);
    } while (got <= 0);
    size_t whole = ((size_t)got + size - 1) / size;
    receive_bytes((char *)items + got, whole * size - (size_t)got);
    return whole;
}

const struct link tachyon_peer_link = {open_both, send_bytes,   receive_bytes,
                                       send_many, receive_many, NULL};

/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include "bus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- Honest ends ---- */

tachyon_options_t options_with_timeout_ms(int64_t milliseconds) {
    return (tachyon_options_t){.size = sizeof(tachyon_options_t),
                               .timeout_ns = milliseconds * 1000000};
}

static void *listen_body(void *context) {
    struct listening *listening = context;
    listening->error = tachyon_bus_listen_with(listening->path, listening->capacity,
                                               &listening->options, &listening->bus);
    if (listening->error != TACHYON_SUCCESS)
        snprintf(listening->message, sizeof listening->message, "%s",
                 tachyon_last_error_message());
    atomic_store(&listening->done, true);
    return NULL;
}

/* Asking the kernel disturbs nobody, as connecting would. */
static bool is_listening(const char *path) {
    FILE *sockets = fopen("/proc/net/unix", "r");
    char line[512], name[256];
    unsigned flags;
    bool found = false;
    if (!sockets)
        FAIL("/proc/net/unix: %s", strerror(errno));
    while (!found && fgets(line, sizeof line, sockets))
        found = sscanf(line, "%*s %*s %*s %x %*s %*s %*s %255s", &flags, name) == 2 &&
                strcmp(name, path) == 0 && (flags & 0x10000); /* it accepts */
    fclose(sockets);
    return found;
}

void listening_start(struct listening *listening) {
    listening->options.size = sizeof listening->options;
    if (listening->options.timeout_ns == 0)
        listening->options.timeout_ns = INT64_C(30000000000);
    listening->thread = test_thread(listen_body, listening);
    int64_t end = test_now_ms() + 20000;
    while (!atomic_load(&listening->done) && !is_listening(listening->path)) {
        if (test_now_ms() > end)
            FAIL("nobody listens on %s", listening->path);
        test_sleep_ms(1);
    }
}

tachyon_error_t listening_join(struct listening *listening) {
    test_join(listening->thread);
    return listening->error;
}

struct pair pair_open_with(size_t capacity, const tachyon_options_t *listener,
                           const tachyon_options_t *connector) {
    struct pair pair;
    struct listening listening = {.path = test_path("pair"), .capacity = capacity};
    tachyon_options_t options = connector ? *connector : options_with_timeout_ms(0);
    if (listener)
        listening.options = *listener;
    options.timeout_ns = INT64_C(10000000000);
    listening_start(&listening);
    CHECK_OK(tachyon_bus_connect_with(listening.path, &options, &pair.connector));
    if (listening_join(&listening) != TACHYON_SUCCESS)
        FAIL("listen: %s", listening.message);
    pair.listener = listening.bus;
    return pair;
}

struct pair pair_open(size_t capacity) {
    return pair_open_with(capacity, NULL, NULL);
}

void pair_close(struct pair *pair) {
    tachyon_bus_destroy(pair->listener);
    tachyon_bus_destroy(pair->connector);
    *pair = (struct pair){NULL, NULL};
}

void pair_without_membarrier(struct pair *pair) {
    for (int i = 0; i < 2; i++) {
        struct link *link = &(i ? pair->connector : pair->listener)->link;
        link->expedited = false;
        link->flushes_freely = false;
    }
}

size_t message_size(uint64_t number, size_t most) {
    uint64_t state = number;
    uint64_t choice = test_random(&state);
    switch (choice % 8) {
    case 0:
        return test_random(&state) % (most + 1);
    case 1:
        return test_random(&state) % (most / 4 + 1);
    default: /* mostly around one line */
        return test_random(&state) % (most < 100 ? most + 1 : 101);
    }
}

static uint8_t message_byte(uint64_t number, size_t index) {
    return (uint8_t)(number * 31 + index * 7 + (index >> 8) + 1);
}

void message_write(uint64_t number, void *payload, size_t size) {
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)payload)[i] = message_byte(number, i);
}

bool message_is(uint64_t number, const void *payload, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)payload)[i] != message_byte(number, i))
            return false;
    return true;
}

/* ---- The wire ---- */

struct wire_greeting wire_hello(void) {
    return (struct wire_greeting){.magic = WIRE_MAGIC,
                                  .version = WIRE_VERSION,
                                  .kind = WIRE_BUS,
                                  .pid = (uint32_t)getpid()};
}

static struct sockaddr_un path_name(const char *path) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    CHECK(strlen(path) < sizeof name.sun_path);
    strcpy(name.sun_path, path);
    return name;
}

int wire_listen(const char *path) {
    struct sockaddr_un name = path_name(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    CHECK_EQ(listen(listener, 16), 0);
    return listener;
}

int wire_accept(int listener) {
    int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(socket >= 0);
    return socket;
}

int wire_connect(const char *path) {
    struct sockaddr_un name = path_name(path);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0)
        FAIL("socket: %s", strerror(errno));
    for (int64_t end = test_now_ms() + 20000; test_now_ms() < end; test_sleep_ms(1))
        if (connect(client, (struct sockaddr *)&name, sizeof name) == 0)
            return client;
    FAIL("cannot connect to %s: %s", path, strerror(errno));
}

void wire_send(int socket, const void *bytes, size_t size, const int *fds,
               size_t count) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 16)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec data = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    /* That the other side has gone already is no failure of the sender's. */
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE &&
        errno != ECONNRESET)
        FAIL("sendmsg: %s", strerror(errno));
}

bool test_readable(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, timeout_ms) == 1 && (poll_fd.revents & POLLIN);
}

static bool readable(int socket, int64_t deadline_ms) {
    struct pollfd poll_fd = {.fd = socket, .events = POLLIN};
    int64_t left = deadline_ms - test_now_ms();
    return poll(&poll_fd, 1, left > 0 ? (int)left : 0) > 0;
}

ssize_t wire_receive(int socket, void *bytes, size_t size, int *fds, size_t *fd_count,
                     int64_t timeout_ms) {
    size_t received = 0, found = 0, room = fd_count ? *fd_count : 0;
    int64_t deadline_ms = test_now_ms() + timeout_ms;
    while (received < size) {
        union {
            char bytes[CMSG_SPACE(sizeof(int) * 16)];
            struct cmsghdr align;
        } control;
        struct iovec data = {.iov_base = (char *)bytes + received,
                             .iov_len = size - received};
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        if (!readable(socket, deadline_ms))
            return -1;
        ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (count <= 0)
            break;
        for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
             header = CMSG_NXTHDR(&message, header)) {
            size_t passed = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < passed; i++) {
                int fd;
                memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
                if (found < room)
                    fds[found++] = fd;
                else
                    close(fd);
            }
        }
        received += (size_t)count;
    }
    if (fd_count)
        *fd_count = found;
    return (ssize_t)received;
}

/* Reads on until the other side has closed, within the time. */
bool wire_ends(int socket, int64_t timeout_ms) {
    int64_t deadline_ms = test_now_ms() + timeout_ms;
    char bytes[256];
    while (readable(socket, deadline_ms))
        if (recv(socket, bytes, sizeof bytes, 0) <= 0)
            return true;
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockets.c does what the kernel does: any sequence of the calls that the targets make
 * has the same results, errors and bytes with both.
 */
#include "sockets.h"

#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAIRS 3
#define MOST_PASSED 3
#define PIECE 40

/* The calls, once with sockets.c and once with the kernel. */
struct world {
    const char *name;
#define X(result, name, parameters) result(*name) parameters;
    SOCKETS_WRAPPED(X)
#undef X
    int ends[PAIRS][2]; /* -1: closed */
    int memory;
};

static struct world ours = {.name = "sockets.c",
#define X(result, name, parameters) .name = __wrap_##name,
                            SOCKETS_WRAPPED(X)
#undef X
};

static struct world kernels = {.name = "the kernel",
#define X(result, name, parameters) .name = __real_##name,
                               SOCKETS_WRAPPED(X)
#undef X
};

/* Everything that one call lets its caller see. */
struct outcome {
    intmax_t result;
    int error;
    intmax_t detail; /* revents, descriptors, size ... */
    uint8_t bytes[2 * PIECE];
};

enum action {
    SEND,
    SEND_MANY,
    PASS,
    RECV,
    PEEK,
    RECVMSG,
    RECVMSG_SHORT,
    POLL,
    SHUTDOWN,
    CLOSE,
    MEMORY,
    ACTIONS
};

/* One call, drawn beforehand so that both worlds make the same. */
struct step {
    enum action action;
    size_t pair, end, size, count;
    int how;
    uint8_t bytes[PIECE];
};

static ssize_t send_step(struct world *world, const struct step *step, int fd,
                         size_t passed) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * MOST_PASSED)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec data = {.iov_base = (void *)(uintptr_t)step->bytes,
                         .iov_len = step->size};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (passed > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * passed);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * passed);
        for (size_t i = 0; i < passed; i++)
            memcpy(CMSG_DATA(header) + i * sizeof(int), &world->memory, sizeof(int));
    }
    return world->sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* With room for `most` descriptors. */
static ssize_t receive_step(struct world *world, const struct step *step, int fd,
                            size_t most, struct outcome *outcome) {
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 8)];
        struct cmsghdr align;
    } control;
    struct iovec data = {.iov_base = outcome->bytes, .iov_len = step->size};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_LEN(sizeof(int) * most)};
    ssize_t count = world->recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count < 0)
        return count;
    outcome->detail = (message.msg_flags & MSG_CTRUNC) ? 100 : 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
         header = CMSG_NXTHDR(&message, header))
        for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int passed;
            struct stat about;
            memcpy(&passed, CMSG_DATA(header) + i * sizeof passed, sizeof passed);
            CHECK_EQ(world->fstat(passed, &about), 0);
            CHECK(S_ISREG(about.st_mode));
            world->close(passed);
            outcome->detail++;
        }
    return count;
}

/* The life of a memory file: allocated, sealed, and then nothing more. */
static void memory_step(struct world *world, const struct step *step,
                        struct outcome *outcome) {
    struct stat about;
    unsigned flags = MFD_CLOEXEC | (step->how == 0 ? 0 : MFD_ALLOW_SEALING);
    int fd = world->memfd_create("compared", flags);
    CHECK(fd >= 0);
    off_t size = (off_t)(1 + step->size * 300);
    const int results[] = {
        step->count & 1 ? world->fallocate(fd, 0, 0, size) : world->ftruncate(fd, size),
        world->fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW),
        world->ftruncate(fd, size + step->how - 1),
        world->fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL),
        world->fcntl(fd, F_ADD_SEALS, F_SEAL_GROW),
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        outcome->result = 10 * outcome->result - results[i];
    outcome->error = errno; /* of the last that failed */
    CHECK_EQ(world->fstat(fd, &about), 0);
    outcome->detail = (intmax_t)about.st_size << 32 | (intmax_t)about.st_blocks << 8 |
                      world->fcntl(fd, F_GET_SEALS);
    world->close(fd);
}

static struct outcome take_step(struct world *world, const struct step *step) {
    struct outcome outcome = {0};
    int fd = world->ends[step->pair][step->end];
    errno = 0;
    switch (step->action) {
    case SEND:
        outcome.result =
            world->send(fd, step->bytes, step->size, MSG_NOSIGNAL | MSG_DONTWAIT);
        break;
    case SEND_MANY:
        for (size_t i = 0; i < step->count; i++)
            outcome.result += send_step(world, step, fd, 0);
        break;
    case PASS:
        outcome.result = send_step(world, step, fd, step->count);
        break;
    case RECV:
    case PEEK:
        outcome.result =
            world->recv(fd, outcome.bytes, step->size,
                        MSG_DONTWAIT | (step->action == PEEK ? MSG_PEEK : 0));
        break;
    case RECVMSG:
    case RECVMSG_SHORT:
        outcome.result = receive_step(
            world, step, fd, step->action == RECVMSG ? 8 : step->count % 3, &outcome);
        break;
    case POLL: {
        struct pollfd polled[2] = {{.fd = -1, .events = POLLIN},
                                   {.fd = fd, .events = POLLIN}};
        outcome.result = world->ppoll(polled, 2, &(struct timespec){0}, NULL);
        outcome.detail = polled[1].revents;
        break;
    }
    case SHUTDOWN:
        outcome.result = world->shutdown(fd, step->how);
        break;
    case CLOSE:
        outcome.result = world->close(fd);
        world->ends[step->pair][step->end] = -1;
        break;
    default:
        memory_step(world, step, &outcome);
        return outcome;
    }
    outcome.error = outcome.result < 0 ? errno : 0;
    return outcome;
}

static void open_pair(struct world *world, size_t pair) {
    for (size_t end = 0; end < 2; end++)
        if (world->ends[pair][end] >= 0)
            world->close(world->ends[pair][end]);
    CHECK_EQ(world->socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                               world->ends[pair]),
             0);
}

static void open_world(struct world *world) {
    for (size_t pair = 0; pair < PAIRS; pair++) {
        world->ends[pair][0] = world->ends[pair][1] = -1;
        open_pair(world, pair);
    }
    world->memory = world->memfd_create("passed", MFD_CLOEXEC);
    CHECK(world->memory >= 0);
}

static uint64_t below(uint64_t bound) { /* the same on every run */
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 33) % bound;
}

static struct step draw(void) {
    static const enum action actions[] = {
        SEND,    SEND, SEND_MANY,     PASS, PASS, RECV,     PEEK,  RECVMSG,
        RECVMSG, RECV, RECVMSG_SHORT, POLL, POLL, SHUTDOWN, CLOSE, MEMORY};
    struct step step = {.action = actions[below(sizeof actions / sizeof actions[0])],
                        .pair = below(PAIRS),
                        .end = below(2),
                        .size = 1 + below(PIECE),
                        .count = 1 + below(MOST_PASSED),
                        .how = (int)below(3)};
    for (size_t i = 0; i < PIECE; i++)
        step.bytes[i] = (uint8_t)below(256);
    return step;
}

int main(void) {
    enum { STEPS = 200000 };
    uint64_t compared[ACTIONS] = {0};
    open_world(&ours);
    open_world(&kernels);
    for (int i = 0; i < STEPS; i++) {
        struct step step = draw();
        if (step.action != MEMORY && ours.ends[step.pair][step.end] < 0) {
            open_pair(&ours, step.pair);
            open_pair(&kernels, step.pair);
        }
        struct outcome mine = take_step(&ours, &step);
        struct outcome theirs = take_step(&kernels, &step);
        if (mine.result != theirs.result || mine.error != theirs.error ||
            mine.detail != theirs.detail ||
            memcmp(mine.bytes, theirs.bytes, sizeof mine.bytes) != 0)
            FAIL("step %d, action %d: %s gives %jd (errno %d, %jd), %s %jd (%d, %jd)",
                 i, step.action, ours.name, mine.result, mine.error, mine.detail,
                 kernels.name, theirs.result, theirs.error, theirs.detail);
        compared[step.action]++;
    }
    for (int action = 0; action < ACTIONS; action++)
        CHECK(compared[action] > STEPS / 100);
    printf("%d calls, the same with both\n", STEPS);
    return 0;
}

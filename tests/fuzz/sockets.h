/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of libc that sockets.c stands in front of. */
#ifndef TACHYON_FUZZ_SOCKETS_H
#define TACHYON_FUZZ_SOCKETS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

/* Of each: X(its result, name, parameters). sockets.cmake reads this list. */
#define SOCKETS_WRAPPED(X)                                                             \
    X(int, close, (int fd))                                                            \
    X(int, epoll_create1, (int flags))                                                 \
    X(int, epoll_ctl, (int epoll, int operation, int fd, struct epoll_event *event))   \
    X(int, fallocate, (int fd, int mode, off_t offset, off_t length))                  \
    X(int, fcntl, (int fd, int command, ...))                                          \
    X(int, fstat, (int fd, struct stat *out))                                          \
    X(int, ftruncate, (int fd, off_t size))                                            \
    X(size_t, fuzz_count_fds, (void))                                                  \
    X(int, getsockopt,                                                                 \
      (int fd, int level, int option, void *value, socklen_t *length))                 \
    X(int, memfd_create, (const char *name, unsigned flags))                           \
    X(void *, mmap,                                                                    \
      (void *at, size_t size, int protection, int flags, int fd, off_t offset))        \
    X(int, munmap, (void *at, size_t size))                                            \
    X(int, open, (const char *path, int flags, ...))                                   \
    X(int, pipe2, (int ends[2], int flags))                                            \
    X(int, ppoll,                                                                      \
      (struct pollfd * fds, nfds_t count, const struct timespec *timeout,              \
       const sigset_t *signals))                                                       \
    X(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *before))          \
    X(ssize_t, recv, (int fd, void *bytes, size_t size, int flags))                    \
    X(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags))                   \
    X(ssize_t, send, (int fd, const void *bytes, size_t size, int flags))              \
    X(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags))             \
    X(int, shutdown, (int fd, int how))                                                \
    X(int, socketpair, (int domain, int type, int protocol, int ends[2]))              \
    X(long, syscall, (long number, ...))                                               \
    X(int64_t, ty_now_ns, (void))

#define X(result, name, parameters)                                                    \
    result __wrap_##name parameters;                                                   \
    result __real_##name parameters;
SOCKETS_WRAPPED(X)
#undef X

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MEMBARRIER_REGISTER_GLOBAL_EXPEDITED (1 << 2)

static _Thread_local int (*refuse)(enum kernel_call call);
static _Thread_local unsigned left;
static _Thread_local bool reached;
static _Atomic int always[KERNEL_CALL_COUNT];
static _Atomic unsigned counts[KERNEL_CALL_COUNT];

const char *kernel_call_name(enum kernel_call call) {
    static const char *const names[] = {
#define X(name, text) text,
        KERNEL_CALLS(X)
#undef X
    };
    return names[call];
}

void kernel_arm(unsigned nth, int (*callback)(enum kernel_call call)) {
    left = nth;
    reached = false;
    refuse = callback;
}

bool kernel_disarm(void) {
    refuse = NULL;
    return reached;
}

void kernel_refuse_always(enum kernel_call call, int error) {
    atomic_store(&always[call], error);
}

unsigned kernel_count(enum kernel_call call) {
    return atomic_load(&counts[call]);
}

/* MemorySanitizer's runtime comes through here when it registers its own fork handlers,
 * before it has made the shadow memory that instrumented code needs. */
#if __has_attribute(disable_sanitizer_instrumentation)
#define WITHOUT_SHADOW __attribute__((disable_sanitizer_instrumentation))
#else
#define WITHOUT_SHADOW
#endif

/* Must this call fail? errno is set then. */
WITHOUT_SHADOW static bool refused(enum kernel_call call) {
    int error = atomic_load(&always[call]);
    atomic_fetch_add(&counts[call], 1);
    if (error == 0 && refuse && !reached && left-- == 0) {
        int (*callback)(enum kernel_call) = refuse;
        reached = true;
        refuse = NULL; /* what the callback itself calls is let through */
        error = callback(call);
        refuse = callback;
    }
    if (error == 0)
        return false;
    errno = error;
    return true;
}

/* WRAP(result, on refusal, CALL, name, (parameters), (arguments)) */
#define WRAP(type, failure, call, name, parameters, arguments)                         \
    type __real_##name parameters;                                                     \
    type __wrap_##name parameters;                                                     \
    type __wrap_##name parameters {                                                    \
        return refused(call) ? failure : __real_##name arguments;                      \
    }

WRAP(int, -1, CALL_ACCEPT, accept4,
     (int fd, struct sockaddr *name, socklen_t *length, int flags),
     (fd, name, length, flags))
WRAP(void *, NULL, CALL_ALIGNED_ALLOC, aligned_alloc, (size_t alignment, size_t size),
     (alignment, size))
WRAP(int, -1, CALL_BIND, bind, (int fd, const struct sockaddr *name, socklen_t length),
     (fd, name, length))
WRAP(void *, NULL, CALL_CALLOC, calloc, (size_t count, size_t size), (count, size))
WRAP(int, -1, CALL_CHMOD, chmod, (const char *path, mode_t mode), (path, mode))
WRAP(int, -1, CALL_FALLOCATE, fallocate, (int fd, int mode, off_t offset, off_t length),
     (fd, mode, offset, length))
WRAP(int, -1, CALL_FCHMOD, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, -1, CALL_EPOLL_CREATE, epoll_create1, (int flags), (flags))
WRAP(int, -1, CALL_EPOLL_CTL, epoll_ctl,
     (int fd, int operation, int target, struct epoll_event *event),
     (fd, operation, target, event))
WRAP(int, -1, CALL_EPOLL_WAIT, epoll_wait,
     (int fd, struct epoll_event *events, int most, int timeout),
     (fd, events, most, timeout))
WRAP(int, -1, CALL_SOCKETPAIR, socketpair,
     (int domain, int type, int protocol, int out[2]), (domain, type, protocol, out))
WRAP(int, -1, CALL_TIMERFD_CREATE, timerfd_create, (clockid_t clock, int flags),
     (clock, flags))
WRAP(int, -1, CALL_FLOCK, flock, (int fd, int operation), (fd, operation))
WRAP(int, -1, CALL_FSTAT, fstat, (int fd, struct stat *out), (fd, out))
WRAP(int, -1, CALL_FSTATAT, fstatat,
     (int directory, const char *path, struct stat *out, int flags),
     (directory, path, out, flags))
WRAP(int, -1, CALL_GETRLIMIT, getrlimit,
     (__rlimit_resource_t resource, struct rlimit *out), (resource, out))
WRAP(int, -1, CALL_LISTEN, listen, (int fd, int backlog), (fd, backlog))
WRAP(void *, NULL, CALL_MALLOC, malloc, (size_t size), (size))
WRAP(int, -1, CALL_MEMFD, memfd_create, (const char *name, unsigned flags),
     (name, flags))
WRAP(void *, MAP_FAILED, CALL_MMAP, mmap,
     (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
WRAP(int, -1, CALL_PPOLL, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout,
      const sigset_t *signals),
     (fds, count, timeout, signals))
WRAP(ssize_t, -1, CALL_RECV, recv, (int fd, void *bytes, size_t size, int flags),
     (fd, bytes, size, flags))
WRAP(ssize_t, -1, CALL_RECVMSG, recvmsg, (int fd, struct msghdr *message, int flags),
     (fd, message, flags))
WRAP(ssize_t, -1, CALL_SEND, send, (int fd, const void *bytes, size_t size, int flags),
     (fd, bytes, size, flags))
WRAP(ssize_t, -1, CALL_SENDMSG, sendmsg,
     (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, -1, CALL_SHUTDOWN, shutdown, (int fd, int how), (fd, how))
WRAP(int, -1, CALL_STAT, stat, (const char *path, struct stat *out), (path, out))
WRAP(int, -1, CALL_UNLINKAT, unlinkat, (int directory, const char *path, int flags),
     (directory, path, flags))
/* Returns its error instead of setting errno. */
WITHOUT_SHADOW int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void),
                                         void (*child)(void));
WRAP(int, errno, CALL_ATFORK, pthread_atfork,
     (void (*prepare)(void), void (*parent)(void), void (*child)(void)),
     (prepare, parent, child))
WRAP(int, -1, (type & 0xF) == SOCK_DGRAM ? CALL_SOCKET_PROBE : CALL_SOCKET, socket,
     (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, -1, option == SO_PEERCRED ? CALL_PEERCRED : CALL_PEERPIDFD, getsockopt,
     (int fd, int level, int option, void *value, socklen_t *length),
     (fd, level, option, value, length))

static bool is_datagram(int fd) {
    int type = 0;
    socklen_t length = sizeof type;
    return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 &&
           type == SOCK_DGRAM;
}

WRAP(int, -1, is_datagram(fd) ? CALL_CONNECT_PROBE : CALL_CONNECT, connect,
     (int fd, const struct sockaddr *name, socklen_t length), (fd, name, length))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) { /* never creates a file */
    return refused(CALL_OPEN_DIRECTORY) ? -1 : __real_open(path, flags);
}

int __real_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return refused(flags & O_CREAT ? CALL_OPEN_LOCK : CALL_OPEN_FILE)
               ? -1
               : __real_openat(directory, path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    int value = va_arg(arguments, int);
    va_end(arguments);
    return refused(CALL_FCNTL) ? -1 : __real_fcntl(fd, command, value);
}

static bool syscall_refused(long number, long first) {
    if (number == SYS_membarrier)
        return refused(first == MEMBARRIER_REGISTER_GLOBAL_EXPEDITED
                           ? CALL_MEMBARRIER_REGISTER
                           : CALL_MEMBARRIER);
    return number == SYS_pidfd_open && refused(CALL_PIDFD_OPEN);
}

long __real_syscall(long number, ...);
/* Passes on six arguments, however many there are. */
WITHOUT_SHADOW long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...) {
    long value[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        value[i] = va_arg(arguments, long);
    va_end(arguments);
    return syscall_refused(number, value[0])
               ? -1
               : __real_syscall(number, value[0], value[1], value[2], value[3],
                                value[4], value[5]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel, and an allocator, that refuse on demand. The linker's --wrap puts the
 * functions of kernel.c in front of those of libc that the core calls.
 */
#ifndef TACHYON_FAULT_KERNEL_H
#define TACHYON_FAULT_KERNEL_H

#include <stdbool.h>

/* What can be refused; a call that serves two purposes has two names. */
#define KERNEL_CALLS(X)                                                                \
    X(ACCEPT, "accept4")                                                               \
    X(ALIGNED_ALLOC, "aligned_alloc")                                                  \
    X(ATFORK, "pthread_atfork")                                                        \
    X(BIND, "bind")                                                                    \
    X(CALLOC, "calloc")                                                                \
    X(CHMOD, "chmod")                                                                  \
    X(CONNECT, "connect")                                                              \
    X(CONNECT_PROBE, "connect of a datagram socket")                                   \
    X(EPOLL_CREATE, "epoll_create1")                                                   \
    X(EPOLL_CTL, "epoll_ctl")                                                          \
    X(EPOLL_WAIT, "epoll_wait")                                                        \
    X(FALLOCATE, "fallocate")                                                          \
    X(FCHMOD, "fchmod")                                                                \
    X(FCNTL, "fcntl")                                                                  \
    X(FLOCK, "flock")                                                                  \
    X(FSTAT, "fstat")                                                                  \
    X(FSTATAT, "fstatat")                                                              \
    X(GETRLIMIT, "getrlimit")                                                          \
    X(LISTEN, "listen")                                                                \
    X(MALLOC, "malloc")                                                                \
    X(MEMBARRIER, "membarrier")                                                        \
    X(MEMBARRIER_REGISTER, "membarrier, to register")                                  \
    X(MEMFD, "memfd_create")                                                           \
    X(MMAP, "mmap")                                                                    \
    X(OPEN_DIRECTORY, "open of a directory")                                           \
    X(OPEN_FILE, "openat of the socket file")                                          \
    X(OPEN_LOCK, "openat of the lock")                                                 \
    X(PEERCRED, "getsockopt(SO_PEERCRED)")                                             \
    X(PEERPIDFD, "getsockopt(SO_PEERPIDFD)")                                           \
    X(PIDFD_OPEN, "pidfd_open")                                                        \
    X(PPOLL, "ppoll")                                                                  \
    X(RECV, "recv")                                                                    \
    X(RECVMSG, "recvmsg")                                                              \
    X(SEND, "send")                                                                    \
    X(SENDMSG, "sendmsg")                                                              \
    X(SHUTDOWN, "shutdown")                                                            \
    X(SOCKET, "socket")                                                                \
    X(SOCKETPAIR, "socketpair")                                                        \
    X(SOCKET_PROBE, "socket, of a probe")                                              \
    X(STAT, "stat")                                                                    \
    X(TIMERFD_CREATE, "timerfd_create")                                                \
    X(UNLINKAT, "unlinkat")

enum kernel_call {
#define X(name, text) CALL_##name,
    KERNEL_CALLS(X)
#undef X
        KERNEL_CALL_COUNT
};

const char *kernel_call_name(enum kernel_call call);

/*
 * In the calling thread, the nth refusable call from now on (from 0) fails; `refuse`
 * says with which errno, or 0 to let it pass. Ends with kernel_disarm(), which returns
 * whether the nth call was reached.
 */
void kernel_arm(unsigned nth, int (*refuse)(enum kernel_call call));
bool kernel_disarm(void);

/* From now on, in every thread, this call fails (0: no more). */
void kernel_refuse_always(enum kernel_call call, int error);
/* How often it was made, by any thread. */
unsigned kernel_count(enum kernel_call call);

#endif

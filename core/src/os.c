/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that libc does not wrap, time, and pauses. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The kernel's numbers: its headers are not there with every C library. */
#define MEMBARRIER_GLOBAL_EXPEDITED (1 << 1)
#define MEMBARRIER_REGISTER_GLOBAL_EXPEDITED (1 << 2)
#define FCHMODAT2 452 /* from Linux 6.6 on; the same on each architecture but Alpha */
#define MEMPOLICY_PREFERRED 1
#define MEMPOLICY_MOVE (1 << 1)

#define BURST_PAUSE_NS INT64_C(1500)

int64_t ty_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t ty_deadline(int64_t timeout_ns) {
    int64_t now = ty_now_ns();
    return timeout_ns < 0 || timeout_ns > TY_NEVER - now ? TY_NEVER : now + timeout_ns;
}

int64_t ty_earlier(int64_t deadline_a, int64_t deadline_b) {
    return deadline_a < deadline_b ? deadline_a : deadline_b;
}

int ty_poll(struct pollfd *fds, size_t count, int64_t deadline,
            const sigset_t *signals) {
    struct timespec timeout = {0};
    if (deadline != TY_NEVER) {
        int64_t left = deadline - ty_now_ns();
        if (left > 0) {
            timeout.tv_sec = (time_t)(left / 1000000000);
            timeout.tv_nsec = (long)(left % 1000000000);
        }
    }
    return ppoll(fds, count, deadline == TY_NEVER ? NULL : &timeout, signals);
}

void ty_block_signals(sigset_t *before) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void ty_restore_signals(const sigset_t *before) {
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

int ty_cancel_off(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void ty_cancel_back(int before) {
    pthread_setcancelstate(before, NULL);
}

void ty_calm_begin(struct calm *before) {
    before->cancel = ty_cancel_off();
    ty_block_signals(&before->signals);
}

void ty_calm_end(const struct calm *before) {
    ty_restore_signals(&before->signals);
    ty_cancel_back(before->cancel);
}

static void restore_signals(void *before) {
    ty_restore_signals(before);
}

int ty_sleep(struct pollfd *fds, size_t count, int64_t deadline,
             const struct calm *before) {
    int result, refused;
    pthread_cleanup_push(restore_signals, (void *)(uintptr_t)&before->signals);
    ty_cancel_back(before->cancel);
    result = ty_poll(fds, count, deadline, &before->signals);
    refused = errno;
    ty_cancel_off();
    pthread_cleanup_pop(false);
    errno = refused;
    return result;
}

#ifdef memfd_create
int ty_memfd_create(const char *name, unsigned flags) {
    return (int)syscall(SYS_memfd_create, name, flags);
}
#endif

int ty_pidfd_open(pid_t pid) {
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

int ty_mbind_preferred(void *address, size_t bytes, int node_id) {
    uint64_t nodes = UINT64_C(1) << node_id;
    return (int)syscall(SYS_mbind, address, bytes, MEMPOLICY_PREFERRED, &nodes,
                        sizeof nodes * 8 + 1, MEMPOLICY_MOVE);
}

int ty_chmod_fd(int fd, mode_t mode) {
    return (int)syscall(FCHMODAT2, fd, "", mode, AT_EMPTY_PATH);
}

bool ty_membarrier_register(void) {
    return syscall(SYS_membarrier, MEMBARRIER_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

bool ty_membarrier(void) {
    return syscall(SYS_membarrier, MEMBARRIER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void ty_close(int *fd) {
    int saved = errno, cancel = ty_cancel_off();
    int closing = *fd;
    *fd = -1; /* first: a child forked in between must not close what has its number */
    if (closing >= 0)
        close(closing);
    ty_cancel_back(cancel);
    errno = saved;
}

void ty_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* A pause is 5 ns on one machine and 50 on another: measured once per process. */
static unsigned pauses_per_burst(void) {
    static _Atomic unsigned measured;
    unsigned pauses = atomic_load_explicit(&measured, memory_order_relaxed);
    if (pauses != 0)
        return pauses;
    int64_t shortest = INT64_MAX;
    for (int sample = 0; sample < 5; sample++) {
        int64_t begin = ty_now_ns();
        for (int i = 0; i < 32; i++)
            ty_pause();
        shortest = ty_earlier(shortest, ty_now_ns() - begin);
    }
    pauses = 1 + (unsigned)(32 * BURST_PAUSE_NS / (shortest > 0 ? shortest : 1));
    atomic_store_explicit(&measured, pauses, memory_order_relaxed);
    return pauses;
}

void ty_pause_burst(void) {
    for (unsigned i = pauses_per_burst(); i > 0; i--)
        ty_pause();
}

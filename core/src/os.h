/* SPDX-License-Identifier: Apache-2.0 */
/* What libc and the compiler do not offer, or offer inconveniently. */
#ifndef TACHYON_OS_H
#define TACHYON_OS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create, ppoll, accept4, struct ucred */
#endif

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* For slow paths: keeps their stack and saved registers out of the fast path. */
#define out_of_line __attribute__((noinline))
/* For fast paths that the compiler would take for too long to be worth it. */
#define forced_inline inline __attribute__((always_inline))

int64_t ty_now_ns(void);
/* Absolute deadline of a time-out; negative time-outs never end. */
int64_t ty_deadline(int64_t timeout_ns);
int64_t ty_earlier(int64_t deadline_a, int64_t deadline_b);
#define TY_NEVER INT64_MAX
/* ppoll() until a deadline, with `signals` in force while it sleeps. */
int ty_poll(struct pollfd *fds, size_t count, int64_t deadline,
            const sigset_t *signals);
void ty_block_signals(sigset_t *before);
void ty_restore_signals(const sigset_t *before);

/* A thread may be cancelled (pthread_cancel) where it sleeps, nowhere else: around
 * every other system call that libc would be cancelled in stand these two. */
int ty_cancel_off(void); /* the state before */
void ty_cancel_back(int before);

/* A thread about to sleep: no signal is handled, it is not cancelled. */
struct calm {
    sigset_t signals; /* as they were */
    int cancel;
};
void ty_calm_begin(struct calm *before);
void ty_calm_end(const struct calm *before);
/* ppoll() with both as they were. Who is cancelled in it goes on in the cleanup
 * handlers of its callers, with its signals. */
int ty_sleep(struct pollfd *fds, size_t count, int64_t deadline,
             const struct calm *before);

int ty_pidfd_open(pid_t pid);
#ifdef __GLIBC__
#if !__GLIBC_PREREQ(2, 27) /* such as manylinux_2_17 has */
int ty_memfd_create(const char *name, unsigned flags);
#define memfd_create ty_memfd_create
#endif
#endif
int ty_mbind_preferred(void *address, size_t bytes, int node_id);
int ty_chmod_fd(int fd, mode_t mode); /* also of one that is open with O_PATH */
bool ty_membarrier_register(void);
bool ty_membarrier(void);
void ty_close(int *fd); /* closes once, keeps errno, leaves -1 */

void ty_pause(void);
void ty_pause_burst(void); /* about 1.5 us of ty_pause() */

#endif

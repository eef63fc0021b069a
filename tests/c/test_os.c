/* SPDX-License-Identifier: Apache-2.0 */
/* os.c: time, signals, and the system calls that libc does not wrap. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS INT64_C(1000000)

/* ---- Time ---- */

TEST(time_goes_on) {
    int64_t last = ty_now_ns();
    CHECK(last > 0);
    for (int i = 0; i < 10000; i++) {
        int64_t now = ty_now_ns();
        CHECK(now >= last);
        last = now;
    }
}

TEST(a_deadline_is_now_and_the_timeout_or_never) {
    int64_t before = ty_now_ns(), zero = ty_deadline(0),
            second = ty_deadline(1000 * MS);
    int64_t after = ty_now_ns();
    CHECK_IN(zero, before, after);
    CHECK_IN(second, before + 1000 * MS, after + 1000 * MS);
    /* Neither a negative one nor one beyond the end of time wraps. */
    CHECK_EQ(ty_deadline(-1), TY_NEVER);
    CHECK_EQ(ty_deadline(INT64_MIN), TY_NEVER);
    CHECK_EQ(ty_deadline(INT64_MAX), TY_NEVER);
    CHECK_EQ(ty_deadline(INT64_MAX - before / 2), TY_NEVER);
    CHECK(ty_deadline(INT64_MAX / 2) > after);
    CHECK_EQ(ty_earlier(1, 2), 1);
    CHECK_EQ(ty_earlier(2, 1), 1);
    CHECK_EQ(ty_earlier(TY_NEVER, -1), -1);
}

TEST(a_poll_lasts_until_its_deadline_and_not_longer_for_one_that_has_passed) {
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    struct pollfd poll_fd = {.fd = fds[0], .events = POLLIN};
    int64_t begin = ty_now_ns();
    CHECK_EQ(ty_poll(&poll_fd, 1, begin + 30 * MS, NULL), 0);
    CHECK(ty_now_ns() >= begin + 30 * MS);
    CHECK_EQ(ty_poll(&poll_fd, 1, begin, NULL), 0); /* does not wait */
    CHECK_EQ(ty_poll(&poll_fd, 1, INT64_MIN / 2, NULL), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(ty_poll(&poll_fd, 1, TY_NEVER, NULL), 1);
    CHECK_EQ(poll_fd.revents, POLLIN);
    close(fds[0]);
    close(fds[1]);
}

/* ---- Signals ---- */

static _Atomic int signals;

static void count_signal(int number) {
    (void)number;
    atomic_fetch_add(&signals, 1);
}

TEST(blocked_signals_wait_for_the_poll_or_for_the_end_of_the_block) {
    struct sigaction action = {.sa_handler = count_signal};
    sigset_t before, now;
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    ty_block_signals(&before);
    CHECK_EQ(sigismember(&before, SIGUSR1), 0);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    CHECK(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGINT) == 1 &&
          sigismember(&now, SIGTERM) == 1);
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(atomic_load(&signals), 0);
    CHECK_EQ(ty_poll(NULL, 0, TY_NEVER, &before), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(atomic_load(&signals), 1);

    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(atomic_load(&signals), 1);
    ty_restore_signals(&before);
    CHECK_EQ(atomic_load(&signals), 2);
}

/* ---- Descriptors ---- */

TEST(a_descriptor_is_closed_once_and_errno_is_kept) {
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    int fd = fds[0];
    errno = ENOENT;
    ty_close(&fds[0]);
    CHECK_EQ(fds[0], -1);
    CHECK_EQ(fcntl(fd, F_GETFD), -1);
    CHECK_EQ(dup2(fds[1], fd), fd); /* somebody else's now */
    errno = ENOENT;
    ty_close(&fds[0]);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    int closed = 4000; /* never open: close() fails */
    errno = ENOENT;
    ty_close(&closed);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(closed, -1);
    close(fd);
    close(fds[1]);
}

/* ---- What not every kernel has ---- */

static void leave_at_once(void *context) {
    (void)context;
}

TEST(a_pidfd_tells_the_end_of_its_process) {
    pid_t pid = test_spawn(leave_at_once, NULL);
    int pidfd = ty_pidfd_open(pid);
    if (pidfd < 0 && (errno == ENOSYS || errno == EPERM)) {
        test_wait(pid);
        test_skip("this kernel gives no pidfd");
    }
    CHECK(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    CHECK_EQ(ty_poll(&poll_fd, 1, ty_deadline(10000 * MS), NULL), 1);
    CHECK_EQ(test_wait(pid), 0);
    close(pidfd);
    CHECK_EQ(ty_pidfd_open(-1), -1);
    CHECK_EQ(errno, EINVAL);
}

TEST(membarrier_works_once_it_is_registered) {
    if (!ty_membarrier_register())
        test_skip("this kernel has no membarrier");
    CHECK(ty_membarrier_register()); /* again and again */
    for (int i = 0; i < 100; i++)
        CHECK(ty_membarrier());
}

TEST(a_node_that_is_not_there_is_refused_by_the_kernel) {
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    if (ty_mbind_preferred(page, bytes, 0) != 0)
        test_skip("this kernel has no NUMA, or does not allow it");
    CHECK_EQ(ty_mbind_preferred(page, bytes, 63), -1);
    CHECK(errno != 0);
    munmap(page, bytes);
}

/* ---- Pauses ---- */

/* The shortest of many: whatever else the machine does, it cannot make one shorter, and
 * one in a thousand it will leave alone. */
TEST(a_pause_in_a_burst_takes_about_a_microsecond_and_a_half) {
    int64_t shortest = INT64_MAX;
    ty_pause_burst(); /* measures */
    for (int i = 0; i < 2000; i++) {
        int64_t begin = ty_now_ns();
        ty_pause_burst();
        shortest = ty_earlier(shortest, ty_now_ns() - begin);
    }
    CHECK_IN(shortest, 100, 20000);
}

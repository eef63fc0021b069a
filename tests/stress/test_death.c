/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From SIGKILL to the error in a call that is asleep: a receive, a send, an RPC wait.
 * A second thread polls a pidfd of the same victim: what the kernel itself takes to
 * tell, on a machine that is busy with other things, is not held against us.
 */
#include "bus.h"
#include "length.h"
#include "peers.h"
#include "samples.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define P99_MS 2
#define MAX_MS 50

static const char *path;

struct watch {
    int pidfd;
    _Atomic int64_t noticed_ns;
};

/* The control: what the kernel takes to wake a sleeper. */
static void *watch_pidfd(void *context) {
    struct watch *watch = context;
    struct pollfd poll_fd = {.fd = watch->pidfd, .events = POLLIN};
    while (poll(&poll_fd, 1, -1) < 0)
        continue;
    atomic_store(&watch->noticed_ns, ty_now_ns());
    return NULL;
}

struct killing {
    pid_t victim;
    tachyon_bus_t *bus; /* whose sleep to wait for, or NULL */
    _Atomic int64_t killed_ns;
};

static void *kill_when_asleep(void *context) {
    struct killing *killing = context;
    for (int64_t end = test_now_ms() + 5000;
         killing->bus && atomic_load(&killing->bus->link.sleeps) == 0 &&
         test_now_ms() < end;)
        test_sleep_ms(1);
    test_sleep_ms(2);
    atomic_store(&killing->killed_ns, ty_now_ns());
    kill(killing->victim, SIGKILL);
    return NULL;
}

static void be_bus(void *context) {
    tachyon_bus_t *bus;
    tachyon_options_t options = options_with_timeout_ms(5000);
    (void)context;
    CHECK_OK(tachyon_bus_connect_with(path, &options, &bus));
    for (;;)
        pause();
}

static void be_callee(void *context) {
    tachyon_rpc_bus_t *rpc;
    (void)context;
    CHECK_OK(tachyon_rpc_listen(path, 4096, 4096, &rpc));
    for (;;)
        pause();
}

enum blocked_in { IN_RECEIVE, IN_SEND, IN_WAIT, KINDS };

static void sample(enum blocked_in kind, struct samples *ours,
                   struct samples *kernels) {
    tachyon_options_t options = options_with_timeout_ms(5000);
    tachyon_bus_t *bus = NULL;
    tachyon_rpc_bus_t *rpc = NULL;
    uint32_t type;
    size_t size;
    uint64_t id;
    pid_t victim = test_spawn(kind == IN_WAIT ? be_callee : be_bus, NULL);
    if (kind == IN_WAIT) {
        CHECK_OK(tachyon_rpc_connect_with(path, &options, &rpc));
        CHECK_OK(tachyon_rpc_call(rpc, "x", 1, 1, &id));
    } else {
        CHECK_OK(tachyon_bus_listen_with(path, 4096, &options, &bus));
        while (kind == IN_SEND && tachyon_send(bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
            continue;
    }
    struct watch watch = {.pidfd = (int)syscall(SYS_pidfd_open, victim, 0)};
    if (watch.pidfd < 0)
        test_skip("the kernel has no pidfd_open to compare with");
    struct killing killing = {.victim = victim, .bus = bus};
    pthread_t watcher = test_thread(watch_pidfd, &watch);
    pthread_t killer = test_thread(kill_when_asleep, &killing);
    switch (kind) {
    case IN_RECEIVE:
        CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, 10 * SECOND),
                      TACHYON_ERR_PEER_DEAD);
        break;
    case IN_SEND:
        CHECK_ERROR(tachyon_send(bus, "x", 1, 1, 0, 10 * SECOND),
                    TACHYON_ERR_PEER_DEAD);
        break;
    default:
        CHECK_REFUSED(tachyon_rpc_wait_timed(rpc, id, &size, &type, 0, 10 * SECOND),
                      TACHYON_ERR_PEER_DEAD);
    }
    int64_t noticed_ns = ty_now_ns();
    test_join(killer);
    test_join(watcher);
    close(watch.pidfd);
    samples_add(ours, noticed_ns - killing.killed_ns);
    samples_add(kernels, watch.noticed_ns - killing.killed_ns);
    tachyon_bus_destroy(bus);
    tachyon_rpc_destroy(rpc);
    CHECK_EQ(test_wait(victim), -SIGKILL);
}

TEST(a_blocked_call_learns_of_a_death_at_once) {
    struct length length = length_begin("R2", "deaths", 2000, 2000);
    struct samples ours = {0}, kernels = {0};
    path = test_path("death");
    for (; length_goes_on(&length); length.done++)
        sample((enum blocked_in)(length.done % KINDS), &ours, &kernels);
    double p99 = samples_us(&ours, 0.99), most = samples_us(&ours, 1);
    double kernel_p99 = samples_us(&kernels, 0.99),
           kernel_most = samples_us(&kernels, 1);
    length_end(&length,
               "p50 %.0f us, p99 %.0f us, max %.0f us (a bare pidfd: %.0f, %.0f, %.0f)",
               samples_us(&ours, 0.5), p99, most, samples_us(&kernels, 0.5), kernel_p99,
               kernel_most);
    CHECK_OR_AGAIN(p99 <= P99_MS * 1000 + kernel_p99);
    CHECK_OR_AGAIN(most <= MAX_MS * 1000 + kernel_most);
    free(ours.ns);
    free(kernels.ns);
}

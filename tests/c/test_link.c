/* SPDX-License-Identifier: Apache-2.0 */
/* link.c: sleeping, waking, time-outs, signals, and how the end of a peer
 * shows. */
#include "bus.h"
#include "peers.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define SLACK_MS 250 /* what a busy machine may add */

/* ---- Two links over a socket pair ---- */

struct ends {
    struct link ours, theirs;
};

static void ends_open(struct ends *ends) {
    int sockets[2];
    CHECK_EQ(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets), 0);
    ty_link_init(&ends->ours);
    ty_link_init(&ends->theirs);
    ends->ours.socket = sockets[0];
    ends->theirs.socket = sockets[1];
}

static void ends_free(struct ends *ends) {
    ty_link_free(&ends->ours);
    ty_link_free(&ends->theirs);
}

/* A wait for a flag. */
struct waiting {
    struct link *link;
    _Atomic bool flag;
    _Atomic int looks, to_sleep, to_wake;
    void (*on_sleep)(struct waiting *waiting);
    struct ends *ends;
    int64_t timeout_ms;
    uint64_t spins;
    bool never_sleep;
    tachyon_error_t error;
};

static bool flag_is_set(void *context) {
    struct waiting *waiting = context;
    atomic_fetch_add(&waiting->looks, 1);
    return atomic_load(&waiting->flag);
}

static void flag_asleep(void *context, bool asleep) {
    struct waiting *waiting = context;
    atomic_fetch_add(asleep ? &waiting->to_sleep : &waiting->to_wake, 1);
    if (asleep && waiting->on_sleep)
        waiting->on_sleep(waiting);
}

static tachyon_error_t wait_for_flag(struct waiting *waiting) {
    return ty_link_wait(
        waiting->link,
        &(struct wait){.ready = flag_is_set,
                       .asleep = flag_asleep,
                       .context = waiting,
                       .spins = waiting->spins,
                       .timeout_ns =
                           waiting->timeout_ms < 0 ? -1 : waiting->timeout_ms * 1000000,
                       .never_sleep = waiting->never_sleep});
}

static void *wait_body(void *context) {
    struct waiting *waiting = context;
    waiting->error = wait_for_flag(waiting);
    return NULL;
}

/* Returns when the thread sleeps, or spins if it never does. */
static pthread_t start_waiting(struct waiting *waiting) {
    pthread_t thread = test_thread(wait_body, waiting);
    while (atomic_load(waiting->spins > 1000 ? &waiting->looks : &waiting->to_sleep) ==
           0)
        test_sleep_ms(1);
    if (waiting->spins <= 1000)
        test_await_sleep();
    return thread;
}

TEST(a_wait_for_what_is_there_ends_at_once) {
    struct ends ends;
    ends_open(&ends);
    struct waiting waiting = {.link = &ends.ours, .flag = true, .timeout_ms = -1};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_SUCCESS);
    CHECK_EQ(ends.ours.sleeps, 0);
    CHECK_EQ(atomic_load(&waiting.to_sleep), atomic_load(&waiting.to_wake));
    ends_free(&ends);
}

TEST(a_wakeup_ends_a_sleep) {
    for (uint64_t spins = 0; spins <= 1000; spins += 500) {
        struct ends ends;
        ends_open(&ends);
        struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1, .spins = spins};
        pthread_t thread = start_waiting(&waiting);
        CHECK_EQ(ends.ours.sleeps, 1);
        atomic_store(&waiting.flag, true);
        ty_link_wake(&ends.theirs);
        test_join(thread);
        CHECK_EQ(waiting.error, TACHYON_SUCCESS);
        CHECK_EQ(ends.theirs.wakes, 1);
        CHECK_EQ(atomic_load(&waiting.to_sleep), 1);
        CHECK_EQ(atomic_load(&waiting.to_wake), 1);
        ends_free(&ends);
    }
}

/* A look may take what it finds, as that for an event of accept does. */
TEST(a_sleep_ends_with_one_look_and_its_byte_ends_no_other) {
    struct ends ends;
    ends_open(&ends);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
    pthread_t thread = start_waiting(&waiting);
    int looks = atomic_load(&waiting.looks);
    atomic_store(&waiting.flag, true);
    ty_link_wake(&ends.theirs);
    test_join(thread);
    CHECK_EQ(waiting.error, TACHYON_SUCCESS);
    CHECK_EQ(atomic_load(&waiting.looks), looks + 1);

    atomic_store(&waiting.flag, false);
    waiting.timeout_ms = 50;
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT);
    CHECK_EQ(ends.ours.sleeps, 2);
    ends_free(&ends);
}

TEST(a_wakeup_for_nothing_lets_the_wait_go_on) {
    struct ends ends;
    ends_open(&ends);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
    pthread_t thread = start_waiting(&waiting);
    for (int i = 0; i < 10; i++) {
        ty_link_wake(&ends.theirs);
        test_await_sleep(); /* again */
    }
    atomic_store(&waiting.flag, true);
    ty_link_wake(&ends.theirs);
    test_join(thread);
    CHECK_EQ(waiting.error, TACHYON_SUCCESS);
    CHECK_EQ(ends.ours.sleeps, 11);
    ends_free(&ends);
}

TEST(a_wait_lasts_as_long_as_its_timeout) {
    static const int64_t timeouts_ms[] = {0, 1, 50, 200};
    static const uint64_t spins[] = {0, 100, WAIT_SPIN_FOR_EVER};
    for (size_t t = 0; t < 4; t++)
        for (size_t s = 0; s < 3; s++) {
            struct ends ends;
            ends_open(&ends);
            struct waiting waiting = {
                .link = &ends.ours, .timeout_ms = timeouts_ms[t], .spins = spins[s]};
            CHECK_TAKES(timeouts_ms[t] - 1, timeouts_ms[t] + SLACK_MS,
                        CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT));
            ends_free(&ends);
        }
}

TEST(pure_spin_never_sleeps) {
    struct ends ends;
    ends_open(&ends);
    atomic_store(&ends.ours.pure_spin, true);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = 20};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT);
    CHECK_EQ(ends.ours.sleeps, 0);
    CHECK_EQ(atomic_load(&waiting.to_sleep), 0);
    CHECK(atomic_load(&waiting.looks) > 500); /* between two glances at the clock */
    ends_free(&ends);
}

TEST(a_wait_that_never_sleeps_ends_after_its_looks) {
    static const uint64_t spins[] = {0, 1, 10, 5000};
    for (size_t i = 0; i < 4; i++) {
        struct ends ends;
        ends_open(&ends);
        struct waiting waiting = {.link = &ends.ours,
                                  .timeout_ms = -1,
                                  .spins = spins[i],
                                  .never_sleep = true};
        CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_EMPTY);
        CHECK_EQ(atomic_load(&waiting.looks), spins[i]);
        CHECK_EQ(atomic_load(&waiting.to_sleep), 0);
        ends_free(&ends);
    }
}

TEST(a_second_thread_that_waits_is_told_busy) {
    struct ends ends;
    ends_open(&ends);
    struct waiting first = {.link = &ends.ours, .timeout_ms = -1};
    struct waiting second = {.link = &ends.ours, .timeout_ms = -1};
    pthread_t thread = start_waiting(&first);
    CHECK_EQ(wait_for_flag(&second), TACHYON_ERR_BUSY);
    atomic_store(&first.flag, true);
    ty_link_wake(&ends.theirs);
    test_join(thread);
    CHECK_EQ(first.error, TACHYON_SUCCESS);
    second.timeout_ms = 0;
    CHECK_EQ(wait_for_flag(&second), TACHYON_ERR_TIMEOUT); /* its turn now */
    ends_free(&ends);
}

/* ---- The end of a peer ---- */

enum end { END_BYE, END_DEATH, END_OUR_CLOSE };

static void end_now(struct ends *ends, enum end end) {
    if (end == END_BYE)
        ty_link_close(&ends->theirs);
    if (end == END_OUR_CLOSE)
        ty_link_close(&ends->ours);
    else
        ty_link_free(&ends->theirs); /* all that is left of a dead process */
}

static tachyon_error_t end_error(enum end end) {
    return end == END_DEATH ? TACHYON_ERR_PEER_DEAD : TACHYON_ERR_CLOSED;
}

TEST(fault_6_every_end_of_a_peer_ends_a_wait_and_tells_which_it_was) {
    static const uint64_t spins[] = {0, WAIT_SPIN_FOR_EVER};
    for (enum end end = END_BYE; end <= END_OUR_CLOSE; end++)
        for (int before = 0; before < 2; before++)
            for (size_t s = 0; s < 2; s++) {
                struct ends ends;
                ends_open(&ends);
                struct waiting waiting = {
                    .link = &ends.ours, .timeout_ms = -1, .spins = spins[s]};
                if (before)
                    end_now(&ends, end);
                pthread_t thread =
                    before ? test_thread(wait_body, &waiting) : start_waiting(&waiting);
                if (!before)
                    end_now(&ends, end);
                test_join(thread);
                if (waiting.error != end_error(end))
                    FAIL("end %d (before %d, spins %zu) gives %d", (int)end, before, s,
                         (int)waiting.error);
                ends_free(&ends);
            }
}

TEST(what_was_published_before_the_end_is_found_first) {
    for (enum end end = END_BYE; end <= END_DEATH; end++)
        for (uint64_t spins = 0; spins <= 100; spins += 100) {
            struct ends ends;
            ends_open(&ends);
            struct waiting waiting = {
                .link = &ends.ours, .timeout_ms = -1, .spins = spins};
            pthread_t thread = start_waiting(&waiting);
            atomic_store(&waiting.flag, true);
            end_now(&ends, end);
            test_join(thread);
            CHECK_EQ(waiting.error, TACHYON_SUCCESS);
            atomic_store(&waiting.flag, false);
            CHECK_EQ(wait_for_flag(&waiting), end_error(end));
            ends_free(&ends);
        }
}

TEST(a_look_notices_the_end_and_keeps_what_it_saw_first) {
    for (enum end end = END_BYE; end <= END_DEATH; end++) {
        struct ends ends;
        ends_open(&ends);
        CHECK_EQ(ty_link_look(&ends.ours), LINK_ALIVE);
        CHECK_EQ(ty_link_error(&ends.ours), TACHYON_SUCCESS);
        end_now(&ends, end);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(ty_link_look(&ends.ours),
                     end == END_BYE ? LINK_CLOSED : LINK_DEAD);
        CHECK_EQ(ty_link_error(&ends.ours), end_error(end));
        ends_free(&ends);
    }
}

TEST(a_peer_that_shuts_down_its_sending_half_alone_has_gone) {
    for (int sleeps = 0; sleeps < 2; sleeps++) {
        struct ends ends;
        ends_open(&ends);
        struct waiting waiting = {.link = &ends.ours, .timeout_ms = 1000};
        CHECK_EQ(shutdown(ends.theirs.socket, SHUT_WR), 0);
        if (sleeps)
            CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_PEER_DEAD);
        CHECK_EQ(ty_link_look(&ends.ours), LINK_DEAD);
        ends_free(&ends);
    }
}

TEST(a_look_takes_no_wakeup_from_the_sleeper) {
    struct ends ends;
    char byte;
    ends_open(&ends);
    ty_link_wake(&ends.theirs);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(ty_link_look(&ends.ours), LINK_ALIVE);
    CHECK_EQ(recv(ends.ours.socket, &byte, 1, MSG_DONTWAIT), 1);
    ends_free(&ends);
}

TEST(a_wakeup_of_a_peer_that_is_gone_raises_no_signal_and_is_noticed) {
    for (enum end end = END_BYE; end <= END_DEATH; end++) {
        struct ends ends;
        ends_open(&ends);
        end_now(&ends, end);
        ty_link_wake(&ends.ours);
        CHECK_EQ(ty_link_error(&ends.ours), end_error(end));
        ends_free(&ends);
    }
}

/* A waker that is always a little early: the sleeper finds what it waits for on
 * its second look, so it never polls and the wake-up's byte stays in the
 * socket. */
static void wake_early(struct waiting *waiting) {
    ty_link_wake(&waiting->ends->theirs);
    atomic_store(&waiting->flag, true);
}

TEST(wakeups_that_came_early_do_not_hide_the_end_of_the_stream) {
    static const int counts[] = {1, 100, 255, 256, 257, 270, 1000, 10000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int look = 0; look < 2; look++) {
            struct ends ends;
            ends_open(&ends);
            for (int n = 0; n < counts[i]; n++) {
                struct waiting waiting = {.link = &ends.ours,
                                          .timeout_ms = -1,
                                          .on_sleep = wake_early,
                                          .ends = &ends};
                CHECK_EQ(wait_for_flag(&waiting), TACHYON_SUCCESS);
            }
            end_now(&ends, END_BYE);
            struct waiting last = {.link = &ends.ours, .timeout_ms = 2000};
            if (look)
                ty_link_look(&ends.ours);
            tachyon_error_t error = wait_for_flag(&last);
            if (error != TACHYON_ERR_CLOSED)
                FAIL("after %d early wake-ups (look %d): %s", counts[i], look,
                     tachyon_strerror(error));
            ends_free(&ends);
        }
}

TEST(wakeups_that_nobody_reads_never_block) {
    struct ends ends;
    ends_open(&ends);
    for (int i = 0; i < 100000; i++)
        ty_link_wake(&ends.theirs);
    CHECK_EQ(ends.theirs.wakes, 100000);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = 50};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT);
    ends_free(&ends);
}

struct flood {
    int socket;
    _Atomic bool stop;
};

static void *flood_body(void *context) {
    struct flood *flood = context;
    char bytes[512];
    memset(bytes, 'x', sizeof bytes);
    while (!atomic_load(&flood->stop))
        if (send(flood->socket, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            sched_yield();
    return NULL;
}

TEST(a_flood_of_bytes_holds_nobody_beyond_the_timeout) {
    struct ends ends;
    ends_open(&ends);
    struct flood flood = {.socket = ends.theirs.socket};
    pthread_t thread = test_thread(flood_body, &flood);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = 100};
    CHECK_TAKES(99, 100 + SLACK_MS,
                CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT));
    atomic_store(&flood.stop, true);
    test_join(thread);
    ends_free(&ends);
}

/* ---- Signals ---- */

static _Atomic int signals;

static void count_signal(int number) {
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static void catch_signal(int number, int flags) {
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = flags};
    CHECK_EQ(sigaction(number, &action, NULL), 0);
}

TEST(a_signal_ends_a_sleep) {
    static const int flags[] = {0, SA_RESTART};
    for (size_t i = 0; i < 2; i++) {
        struct ends ends;
        ends_open(&ends);
        catch_signal(SIGUSR1, flags[i]);
        struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
        pthread_t thread = start_waiting(&waiting);
        CHECK_EQ(pthread_kill(thread, SIGUSR1), 0);
        test_join(thread);
        CHECK_EQ(waiting.error, TACHYON_ERR_INTERRUPTED);
        CHECK_EQ(atomic_load(&waiting.to_wake), 1);
        ends_free(&ends);
    }
    CHECK_EQ(atomic_load(&signals), 2);
}

TEST(a_blocked_signal_ends_no_sleep) {
    struct ends ends;
    sigset_t usr1;
    ends_open(&ends);
    catch_signal(SIGUSR1, 0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = 50};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT);
    CHECK_EQ(atomic_load(&signals), 0);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    CHECK_EQ(atomic_load(&signals), 1);
    ends_free(&ends);
}

static int signals_before;

static void signal_ourselves(struct waiting *waiting) {
    (void)waiting;
    CHECK_EQ(pthread_kill(pthread_self(), SIGUSR1), 0);
    CHECK_EQ(atomic_load(&signals), signals_before++); /* not yet: it is held back */
}

TEST(a_signal_right_before_the_sleep_is_not_slept_through) {
    struct ends ends;
    ends_open(&ends);
    catch_signal(SIGUSR1, SA_RESTART);
    struct waiting waiting = {
        .link = &ends.ours, .timeout_ms = 5000, .on_sleep = signal_ourselves};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED); /* not TIMEOUT */
    CHECK_EQ(atomic_load(&signals), 1);
    ends_free(&ends);
}

static void signal_six_times(struct waiting *waiting) {
    if (atomic_load(&waiting->to_sleep) <= 6)
        signal_ourselves(waiting);
    else
        atomic_store(&waiting->flag, true);
}

TEST(a_signal_ends_no_sleep_that_restarts) {
    struct ends ends;
    ends_open(&ends);
    ends.ours.interrupt.restart = true;
    catch_signal(SIGUSR1, 0);
    struct waiting waiting = {
        .link = &ends.ours, .timeout_ms = 5000, .on_sleep = signal_six_times};
    signals_before = 0;
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_SUCCESS);
    CHECK_EQ(atomic_load(&signals), 6);
    CHECK_EQ(atomic_load(&waiting.to_sleep), 7); /* each signal ends one sleep */
    CHECK_EQ(atomic_load(&waiting.to_wake), 7);
    ends_free(&ends);
}

/* No sleep is without one, so none ends by its time-out. */
TEST(a_wait_that_restarts_keeps_its_timeout_whatever_ends_its_sleeps) {
    struct ends ends;
    ends_open(&ends);
    ends.ours.interrupt.restart = true;
    catch_signal(SIGUSR1, 0);
    struct waiting waiting = {
        .link = &ends.ours, .timeout_ms = 30, .on_sleep = signal_ourselves};
    do
        CHECK_TAKES(30, 30 + SLACK_MS,
                    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT))
    while (atomic_load(&signals) <= 10); /* a busy machine lets us run less often */
    ends_free(&ends);
}

static int hook_result;
static _Atomic int hook_calls;

static int hook(void *context) {
    sigset_t blocked;
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    if (context == NULL) /* before a sleep; while it spins nothing is blocked */
        CHECK_EQ(sigismember(&blocked, SIGINT), 1);
    atomic_fetch_add(&hook_calls, 1);
    return hook_result;
}

TEST(the_interrupted_hook_is_asked_with_signals_blocked_and_can_end_the_wait) {
    struct ends ends;
    sigset_t after;
    ends_open(&ends);
    ends.ours.interrupt.hook = hook;
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = 20};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_TIMEOUT);
    CHECK_EQ(atomic_load(&hook_calls), 1);
    hook_result = 1;
    waiting.timeout_ms = -1;
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(atomic_load(&hook_calls), 2);
    waiting.flag = true;
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_SUCCESS);
    CHECK_EQ(atomic_load(&hook_calls), 2); /* not asked when there is no sleep */
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    CHECK_EQ(sigismember(&after, SIGINT), 0);
    ends_free(&ends);
}

TEST(the_interrupted_hook_ends_a_wait_that_only_spins) {
    struct ends ends;
    ends_open(&ends);
    ends.ours.interrupt.hook = hook;
    ends.ours.interrupt.context = &ends;
    hook_result = 1;
    atomic_store(&ends.ours.pure_spin, true);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED);
    ends_free(&ends);
}

static void stop_at_the_third(struct waiting *waiting) {
    if (atomic_load(&waiting->to_sleep) == 3)
        hook_result = 1;
    else
        signal_ourselves(waiting);
}

TEST(a_wait_that_restarts_asks_the_hook_after_each_signal) {
    struct ends ends;
    ends_open(&ends);
    ends.ours.interrupt = (struct interrupt){.hook = hook, .fd = -1, .restart = true};
    catch_signal(SIGUSR1, SA_RESTART);
    struct waiting waiting = {
        .link = &ends.ours, .timeout_ms = 5000, .on_sleep = stop_at_the_third};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(atomic_load(&signals), 2);
    CHECK_EQ(atomic_load(&hook_calls), 3);
    ends_free(&ends);
}

TEST(an_event_ends_a_sleep_but_a_message_goes_first) {
    struct ends ends;
    ends_open(&ends);
    int event = ends.ours.interrupt.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
    pthread_t thread = start_waiting(&waiting);
    CHECK_EQ(eventfd_write(event, 1), 0);
    test_join(thread);
    CHECK_EQ(waiting.error, TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED); /* and the next one */
    waiting.flag = true;
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_SUCCESS);
    waiting.flag = false;
    ty_link_close(&ends.theirs); /* the end of the stream goes first too */
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_CLOSED);
    eventfd_t count;
    CHECK_EQ(eventfd_read(event, &count), 0); /* nobody else has read it */
    ends_free(&ends);
    close(event); /* the link has not */
}

TEST(an_event_ends_a_wait_that_only_spins) {
    struct ends ends;
    ends_open(&ends);
    int event = ends.ours.interrupt.fd = eventfd(0, EFD_CLOEXEC);
    atomic_store(&ends.ours.pure_spin, true);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1, .spins = 2000};
    pthread_t thread = start_waiting(&waiting);
    CHECK_EQ(eventfd_write(event, 1), 0);
    test_join(thread);
    CHECK_EQ(waiting.error, TACHYON_ERR_INTERRUPTED);
    CHECK_EQ(atomic_load(&waiting.to_sleep), 0);
    ends_free(&ends);
    close(event);
}

/* Its owner has closed it too early: no wait sleeps, and none goes round and round. */
TEST(a_descriptor_that_was_closed_ends_each_wait) {
    struct ends ends;
    ends_open(&ends);
    ends.ours.interrupt.fd = eventfd(0, EFD_CLOEXEC);
    close(ends.ours.interrupt.fd);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED);
    atomic_store(&ends.ours.pure_spin, true);
    CHECK_EQ(wait_for_flag(&waiting), TACHYON_ERR_INTERRUPTED);
    ends_free(&ends);
}

/* As a user does who wants to wait on. */
static void wait_through_signals(tachyon_bus_t *bus, int call, int64_t timeout_ns) {
    int64_t end = ty_now_ns() + timeout_ns;
    tachyon_error_t error;
    do {
        tachyon_msg_view_t view;
        uint32_t type;
        size_t size;
        int64_t left = end - ty_now_ns();
        left = left < 0 ? 0 : left;
        if (call == 0)
            CHECK(!tachyon_acquire_rx_timed(bus, &type, &size, 10, left));
        else if (call == 1)
            CHECK(!tachyon_drain_batch_timed(bus, &view, 1, 10, left));
        else
            CHECK(!tachyon_acquire_tx_timed(bus, 1000, 10, left));
        error = tachyon_last_error();
    } while (error == TACHYON_ERR_INTERRUPTED);
    if (error != TACHYON_ERR_TIMEOUT &&
        error != (call == 2 ? TACHYON_ERR_FULL : TACHYON_ERR_EMPTY))
        FAIL("call %d gives %s", call, tachyon_last_error_message());
}

TEST(fault_10_timeouts_hold_in_a_storm_of_signals) {
    static const int64_t timeouts_ms[] = {0, 1, 50, 300};
    struct itimerval storm = {.it_interval.tv_usec = 500, .it_value.tv_usec = 500};
    catch_signal(SIGALRM, SA_RESTART);
    struct pair full = pair_open(4096), idle = pair_open(4096);
    while (tachyon_acquire_tx(full.connector, 1000))
        CHECK_OK(tachyon_commit_tx(full.connector, 1000, 1));
    CHECK_EQ(setitimer(ITIMER_REAL, &storm, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        for (int call = 0; call < 3; call++)
            CHECK_TAKES(timeouts_ms[i] - 1, timeouts_ms[i] + SLACK_MS,
                        wait_through_signals(call == 2 ? full.connector : idle.listener,
                                             call, timeouts_ms[i] * 1000000));
    while (atomic_load(&signals) <= 100) /* those that a busy machine has joined */
        wait_through_signals(idle.listener, 0, 10000000);
    storm = (struct itimerval){0};
    CHECK_EQ(setitimer(ITIMER_REAL, &storm, NULL), 0);
    pair_close(&full);
    pair_close(&idle);
}

/* ---- Closing from another thread ---- */

TEST(join_returns_when_the_waiting_thread_has_left) {
    struct ends ends;
    ends_open(&ends);
    struct waiting waiting = {.link = &ends.ours, .timeout_ms = -1};
    pthread_t thread = start_waiting(&waiting);
    ty_link_close(&ends.ours);
    ty_link_close(&ends.ours); /* idempotent */
    ty_link_join(&ends.ours);
    CHECK(!atomic_load(&ends.ours.waiting));
    test_join(thread);
    CHECK_EQ(waiting.error, TACHYON_ERR_CLOSED);
    ends_free(&ends);
}

struct blocked {
    tachyon_bus_t *bus;
    bool sending;
    tachyon_error_t error;
    _Atomic bool entered;
};

static void *blocked_body(void *context) {
    struct blocked *blocked = context;
    uint32_t type;
    size_t size;
    const void *slot;
    atomic_store(&blocked->entered, true);
    if (blocked->sending)
        slot = tachyon_acquire_tx_timed(blocked->bus, 3000, 0, -1);
    else
        slot = tachyon_acquire_rx_blocking(blocked->bus, &type, &size, 0);
    blocked->error = slot ? TACHYON_SUCCESS : tachyon_last_error();
    return NULL;
}

TEST(destroy_from_another_thread_ends_a_blocked_call_and_waits_for_it) {
    /* From long before the sleep to long after: the blocked call must have left
     * the handle before its memory goes. */
    uint64_t state = 11;
    for (int i = 0; i < 300; i++) {
        struct pair pair = pair_open(4096);
        struct blocked blocked = {.bus = pair.listener, .sending = i % 2};
        if (blocked.sending) /* fill the ring */
            CHECK_OK(tachyon_send(pair.listener, (char[3000]){0}, 3000, 1, 0, 0));
        tachyon_bus_ref(pair.listener); /* the other thread's */
        pthread_t thread = test_thread(blocked_body, &blocked);
        while (!atomic_load(&blocked.entered))
            test_let_others_run();
        if (i % 4 < 2) /* asleep, mostly */
            while (atomic_load(&pair.listener->link.sleeps) == 0)
                test_let_others_run();
        for (uint64_t n = test_random_below(&state, 20000); n > 0; n--)
            ty_pause();
        bool was_waiting = atomic_load(&pair.listener->link.waiting);
        tachyon_bus_close(pair.listener);
        test_join(thread);
        if (was_waiting || i % 4 < 2)
            CHECK_EQ(blocked.error, TACHYON_ERR_CLOSED);
        tachyon_bus_destroy(pair.listener);
        pair_close(&pair);
    }
}

TEST(destroy_frees_nothing_under_a_blocked_call) {
    for (int i = 0; i < 300; i++) {
        struct pair pair = pair_open(4096);
        struct blocked blocked = {.bus = pair.listener};
        pthread_t thread = test_thread(blocked_body, &blocked);
        while (!atomic_load(&blocked.entered) ||
               atomic_load(&pair.listener->link.sleeps) == 0)
            test_let_others_run();
        tachyon_bus_destroy(pair.listener);
        pair.listener = NULL;
        test_join(thread);
        CHECK_EQ(blocked.error, TACHYON_ERR_CLOSED);
        pair_close(&pair);
    }
}

/* ---- Death ---- */

enum peer_does { PEER_SLEEPS, PEER_SENDS, PEER_CLONES };

/* What a peer has told the kernel to be visible, however it dies. */
struct progress {
    _Atomic uint64_t committed, flushed;
};

struct peer {
    const char *path;
    enum peer_does does;
    int ready[2];
    struct progress *progress;
};

/* Messages of all sizes, flushed one by one or in batches, for ever. */
static void send_for_ever(tachyon_bus_t *bus, struct progress *progress) {
    uint64_t state = (uint64_t)getpid();
    size_t most = tachyon_max_payload(bus);
    for (uint64_t number = 0;;) {
        for (uint64_t n = test_random_below(&state, 70); n > 0; n--) {
            size_t size = message_size(number, most < 3000 ? most : 3000);
            void *slot = tachyon_acquire_tx_timed(bus, size, 100, -1);
            if (!slot)
                FAIL("%s", tachyon_last_error_message());
            message_write(number, slot, size);
            if (test_random_below(&state, 8) == 0) {
                CHECK_OK(tachyon_rollback_tx(bus));
                continue;
            }
            number++;
            atomic_store(&progress->committed, number);
            CHECK_OK(tachyon_commit_tx(bus, size, (uint32_t)number));
        }
        tachyon_flush(bus);
        atomic_store(&progress->flushed, number);
    }
}

static void peer_body(void *context) {
    struct peer *peer = context;
    tachyon_bus_t *bus;
    tachyon_options_t options = options_with_timeout_ms(10000);
    CHECK_OK(tachyon_bus_connect_with(peer->path, &options, &bus));
    if (peer->does == PEER_CLONES && syscall(SYS_clone, 0, 0, 0, 0, 0) == 0)
        for (;;) /* holds the socket, unknown to libc; ends with the group */
            pause();
    CHECK_EQ(write(peer->ready[1], "r", 1), 1);
    if (peer->does == PEER_SENDS)
        send_for_ever(bus, peer->progress);
    for (;;)
        pause();
}

static pid_t start_peer(struct peer *peer, struct listening *listening) {
    char byte;
    listening->path = peer->path = test_path("death");
    CHECK_EQ(pipe(peer->ready), 0);
    pid_t pid = test_spawn(peer_body, peer);
    listening_start(listening);
    if (listening_join(listening) != TACHYON_SUCCESS)
        FAIL("%s", listening->message);
    CHECK_EQ(read(peer->ready[0], &byte, 1), 1);
    close(peer->ready[0]);
    close(peer->ready[1]);
    return pid;
}

static void check_death_noticed(enum peer_does does) {
    for (int sending = 0; sending < 2; sending++) {
        struct peer peer = {.does = does};
        struct listening listening = {.capacity = 4096};
        pid_t pid = start_peer(&peer, &listening);
        struct blocked blocked = {.bus = listening.bus, .sending = sending};
        if (sending)
            CHECK_OK(tachyon_send(listening.bus, (char[3000]){0}, 3000, 1, 0, 0));
        pthread_t thread = test_thread(blocked_body, &blocked);
        while (atomic_load(&listening.bus->link.sleeps) == 0)
            test_sleep_ms(1);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        test_join(thread); /* stress.death measures it */
        CHECK_EQ(test_wait(pid), -SIGKILL);
        CHECK_EQ(blocked.error, TACHYON_ERR_PEER_DEAD);
        CHECK_EQ(tachyon_get_state(listening.bus), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
        tachyon_bus_destroy(listening.bus);
    }
}

TEST(a_killed_peer_ends_a_blocked_call_at_once) {
    check_death_noticed(PEER_SLEEPS);
}

TEST(a_killed_peer_is_noticed_although_a_raw_clone_holds_its_socket) {
    int pidfd = ty_pidfd_open(getpid());
    if (pidfd < 0)
        test_skip("this kernel gives no pidfd");
    close(pidfd);
    check_death_noticed(PEER_CLONES);
}

TEST(an_end_that_never_waits_learns_of_the_death_too) {
    for (int sending = 0; sending < 3; sending++) {
        struct peer peer = {.does = PEER_SLEEPS};
        struct listening listening = {.capacity = 4096};
        pid_t pid = start_peer(&peer, &listening);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        CHECK_EQ(test_wait(pid), -SIGKILL);
        uint32_t type;
        size_t size;
        int calls = 0;
        if (sending == 0)
            while (!tachyon_acquire_rx(listening.bus, &type, &size) &&
                   tachyon_last_error() == TACHYON_ERR_EMPTY)
                CHECK(++calls < 100000);
        else if (sending == 1) /* the ring is full soon */
            while (tachyon_send(listening.bus, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
                CHECK(++calls < 100);
        else
            CHECK_EQ(tachyon_get_state(listening.bus), TACHYON_STATE_FATAL_ERROR);
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
        tachyon_bus_destroy(listening.bus);
    }
}

TEST(fault_7_what_was_flushed_before_a_kill_is_delivered) {
    uint64_t state = 7;
    struct progress *progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(progress != MAP_FAILED);
    for (int run = 0; run < 100; run++) {
        *progress = (struct progress){0};
        struct peer peer = {.does = PEER_SENDS, .progress = progress};
        struct listening listening = {.capacity = run % 2 ? 4096 : 1 << 16};
        pid_t pid = start_peer(&peer, &listening);
        int64_t until = ty_now_ns() + (int64_t)test_random_below(&state, 3000000);
        bool drains = run % 4 < 2; /* or lets it run into the full ring */
        uint64_t received = 0;
        for (bool killed = false;;) {
            uint32_t type;
            size_t size;
            if (!killed && ty_now_ns() >= until) {
                CHECK_EQ(kill(pid, SIGKILL), 0);
                killed = true;
            }
            if (!killed && !drains)
                continue;
            const void *message =
                tachyon_acquire_rx_timed(listening.bus, &type, &size, 100,
                                         killed ? INT64_C(5000000000) : 100000);
            if (!message && !killed)
                continue;
            if (!message)
                break;
            CHECK_EQ(size, message_size(received, 3000));
            CHECK(message_is(received, message, size));
            received++;
            CHECK_EQ(type, (uint32_t)received);
            CHECK_OK(tachyon_commit_rx(listening.bus));
        }
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
        CHECK_EQ(test_wait(pid), -SIGKILL);
        CHECK_IN(received, progress->flushed, progress->committed);
        tachyon_bus_destroy(listening.bus);
    }
    munmap(progress, sizeof *progress);
}

/* ---- No wake-up is lost ---- */

struct stream {
    tachyon_bus_t *bus;
    uint64_t count;
    uint32_t spins;
    unsigned delay; /* pauses between two messages, at most */
    bool single_fences;
};

static void hesitate(uint64_t *state, unsigned most) {
    if (most > 0)
        for (uint64_t n = test_random_below(state, most); n > 0; n--)
            ty_pause();
}

static void *stream_send(void *context) {
    struct stream *stream = context;
    uint64_t state = stream->spins;
    for (uint64_t number = 0; number < stream->count; number++) {
        hesitate(&state, stream->delay);
        size_t size = message_size(number, 1000);
        uint8_t *slot = tachyon_acquire_tx_timed(stream->bus, size, stream->spins,
                                                 INT64_C(10000000000));
        if (!slot)
            FAIL("message %ju: %s", (uintmax_t)number, tachyon_last_error_message());
        message_write(number, slot, size);
        CHECK_OK(tachyon_commit_tx(stream->bus, size, (uint32_t)number));
        tachyon_flush(stream->bus);
    }
    return NULL;
}

static void stream_receive(struct stream *stream) {
    uint64_t state = ~(uint64_t)stream->spins;
    for (uint64_t number = 0; number < stream->count; number++) {
        uint32_t type;
        size_t size;
        hesitate(&state, stream->delay);
        /* Longer than any scheduling delay: this passes only if a wake-up is lost.
         */
        const void *message = tachyon_acquire_rx_timed(
            stream->bus, &type, &size, stream->spins, INT64_C(10000000000));
        if (!message)
            FAIL("message %ju: %s", (uintmax_t)number, tachyon_last_error_message());
        CHECK_EQ(type, (uint32_t)number);
        CHECK_EQ(size, message_size(number, 1000));
        CHECK(message_is(number, message, size));
        CHECK_OK(tachyon_commit_rx(stream->bus));
    }
}

/*
 * The window: between the sleeper's word and its second look, the waker's publication
 * must not pass unseen. The sender sees each release, and publishes as much later as
 * it takes this end to fall asleep, give or take.
 */
struct window {
    tachyon_bus_t *bus;
    uint32_t count;
    unsigned widest; /* pauses */
};

static void *aim_at_the_window(void *context) {
    struct window *window = context;
    tachyon_bus_t *bus = window->bus;
    uint64_t state = 1;
    for (uint32_t number = 0; number < window->count; number++) {
        CHECK(tachyon_acquire_tx(bus, 8));
        CHECK_OK(tachyon_commit_tx(bus, 8, number));
        while (atomic_load_explicit(&bus->tx.shared->tail, memory_order_relaxed) !=
               (uint64_t)number * 64)
            ty_pause();
        hesitate(&state, window->widest);
        tachyon_flush(bus);
    }
    return NULL;
}

static void hit_the_window(bool expedited) {
    struct pair pair = pair_open(4096);
    if (!expedited)
        pair_without_membarrier(&pair);
    struct window window = {
        .bus = pair.connector, .count = test_sanitized() ? 5000 : 20000, .widest = 150};
    pthread_t thread = test_thread(aim_at_the_window, &window);
    for (uint32_t number = 0; number < window.count; number++) {
        uint32_t type;
        size_t size;
        if (!tachyon_acquire_rx_timed(pair.listener, &type, &size, 0,
                                      INT64_C(5000000000)))
            FAIL("message %u: %s", number, tachyon_last_error_message());
        CHECK_EQ(type, number);
        CHECK_OK(tachyon_commit_rx(pair.listener));
    }
    test_join(thread);
    pair_close(&pair);
}

TEST(fault_2_no_wakeup_is_lost_in_the_window) {
    hit_the_window(true);
}

TEST(fault_2_no_wakeup_is_lost_in_the_window_without_membarrier) {
    hit_the_window(false);
}

static void run_streams(bool expedited) {
    static const uint32_t spins[] = {0, 1, 100, 1000};
    static const unsigned delays[][2] = {{0, 0}, {300, 0}, {0, 300}, {100, 100}};
    for (size_t s = 0; s < 4; s++)
        for (size_t d = 0; d < 4; d++) {
            struct pair pair = pair_open(4096);
            if (!expedited)
                pair_without_membarrier(&pair);
            struct stream sender = {.bus = pair.connector,
                                    .count = test_sanitized() ? 1500 : 6000,
                                    .spins = spins[s],
                                    .delay = delays[d][0]};
            struct stream receiver = sender;
            receiver.bus = pair.listener;
            receiver.delay = delays[d][1];
            pthread_t thread = test_thread(stream_send, &sender);
            stream_receive(&receiver);
            test_join(thread);
            pair_close(&pair);
        }
}

TEST(fault_2_no_wakeup_is_lost) {
    run_streams(true);
}

TEST(fault_2_no_wakeup_is_lost_without_membarrier) {
    run_streams(false);
}

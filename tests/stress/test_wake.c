/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single messages to a consumer that is about to sleep. The producer waits until the
 * last message has been taken, then for a delay that is swept over the time in which
 * the consumer gives up spinning and goes to sleep.
 *
 * A message is lost asleep if the consumer's time-out had to end its sleep although the
 * message was there and no wake-up had been sent for it. A consumer that was sent one
 * but did not run, or that did not run before it could go to sleep, is the scheduler's
 * affair (or that of who runs the virtual machine); such messages are counted as late.
 *
 * Built with a core whose protocol is broken (EXPECT_LOST_WAKEUPS), the same must fail.
 */
#include "length.h"
#include "peers.h"
#include "samples.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define TIMEOUT_MS 200
#define LATE_MS 50
/* For the producer, which learns late that it is its turn. */
#define HEAD_START_NS 1000
/* The time from the last look to the sleep is the machine's (membarrier interrupts the
 * other processor): the sweep is widened until enough messages come after it. */
#define WINDOW_NS 4000
#define WINDOW_MOST_NS 1000000
#define STEP_NS 37

#ifdef EXPECT_LOST_WAKEUPS
#define QUICK 2000000 /* ends at the first */
#else
#define QUICK 200000
#endif

struct shared {
    _Atomic uint64_t taken, sent; /* messages */
    _Atomic int64_t sent_ns;      /* when the last send had returned */
    _Atomic uint64_t wakes;       /* of the producer, after that send */
};

static struct shared *shared;
static const char *path;

struct sweep {
    uint32_t spin;
    uint64_t messages;
    int64_t from_ns, to_ns; /* delays */
    bool swap;              /* the consumer listens */
};

/* Delays around the moment when the consumer, having spun, goes to sleep. */
static struct sweep make_sweep(uint32_t spin, int64_t window_ns, uint64_t messages,
                               bool swap) {
    int64_t begin = ty_now_ns();
    for (int i = 0; i < 1000; i++)
        ty_pause();
    int64_t spin_ns = (ty_now_ns() - begin) * spin / 1000;
    return (struct sweep){.spin = spin,
                          .messages =
                              spin < 1000 ? messages : 1 + messages * 100 / spin,
                          .from_ns = spin_ns * 9 / 10,
                          .to_ns = HEAD_START_NS + spin_ns * 11 / 10 + window_ns,
                          .swap = swap};
}

/* Room is made for the next by the consumer: both directions of wake-ups. */
static void be_producer(void *context) {
    const struct sweep *sweep = context;
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    CHECK_OK(sweep->swap ? tachyon_bus_connect_with(path, &options, &bus)
                         : tachyon_bus_listen_with(path, 4096, &options, &bus));
    for (uint64_t number = 0; number < sweep->messages; number++) {
        uint64_t looks = 0;
        while (atomic_load(&shared->taken) < number)
            if (++looks % 1000 == 0)
                sched_yield(); /* one processor may be all there is */
        int64_t until = ty_now_ns() + sweep->from_ns +
                        (int64_t)(number * STEP_NS) % (sweep->to_ns - sweep->from_ns);
        while (ty_now_ns() < until)
            continue;
        int64_t now = ty_now_ns();
        if (tachyon_send(bus, &now, sizeof now, (uint32_t)number, 0, -1) !=
            TACHYON_SUCCESS)
            break;
        tachyon_stats_t stats;
        CHECK_OK(tachyon_bus_get_stats(bus, &stats));
        atomic_store(&shared->wakes, stats.wakes);
        atomic_store(&shared->sent_ns, ty_now_ns());
        atomic_store(&shared->sent, number + 1);
    }
    tachyon_bus_destroy(bus);
}

struct outcome {
    struct samples latencies;
    uint64_t late, lost, sleeps;
};

static uint64_t sleeps_of(const tachyon_bus_t *bus) {
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(bus, &stats));
    return stats.sleeps;
}

static void consume(const struct sweep *sweep, struct outcome *outcome) {
    pid_t producer = test_spawn(be_producer, (void *)(uintptr_t)sweep);
    tachyon_options_t options = options_with_timeout_ms(10000);
    tachyon_bus_t *bus;
    CHECK_OK(sweep->swap ? tachyon_bus_listen_with(path, 4096, &options, &bus)
                         : tachyon_bus_connect_with(path, &options, &bus));
    uint64_t number = 0;
    while (number < sweep->messages) {
        uint64_t wakes = atomic_load(&shared->wakes), sleeps = sleeps_of(bus);
        uint32_t type;
        size_t size;
        int64_t begin = ty_now_ns();
        const int64_t *sent_ns =
            tachyon_acquire_rx_timed(bus, &type, &size, sweep->spin, TIMEOUT_MS * MS);
        int64_t end = ty_now_ns();
        if (!sent_ns && tachyon_last_error() == TACHYON_ERR_TIMEOUT)
            continue; /* the producer did not run for so long */
        if (!sent_ns)
            FAIL("message %" PRIu64 ": %s", number, tachyon_last_error_message());
        CHECK_EQ(type, number);
        samples_add(&outcome->latencies, end - *sent_ns);
        if (end - *sent_ns > LATE_MS * MS) {
            /* The producer may have been interrupted in its send. */
            while (atomic_load(&shared->sent) <= number)
                sched_yield();
            bool slept_through = end - begin >= TIMEOUT_MS * MS &&
                                 sleeps_of(bus) > sleeps &&
                                 atomic_load(&shared->wakes) == wakes &&
                                 end - atomic_load(&shared->sent_ns) > LATE_MS * MS;
            outcome->lost += slept_through;
            outcome->late += !slept_through;
        }
        CHECK_OK(tachyon_commit_rx(bus));
        atomic_store(&shared->taken, ++number);
        for (int64_t until = ty_now_ns() + HEAD_START_NS; ty_now_ns() < until;)
            continue;
#ifdef EXPECT_LOST_WAKEUPS
        if (outcome->lost > 0)
            break;
#endif
    }
    outcome->sleeps += sleeps_of(bus);
    atomic_store(&shared->taken, UINT64_MAX);
    tachyon_bus_destroy(bus);
    CHECK_EQ(test_wait(producer), 0);
}

TEST(no_message_is_slept_through) {
    static const uint32_t spins[] = {0, 1, 100, 1000, 10000};
    struct length length = length_begin("R3", "messages", QUICK, 10000000);
    struct outcome outcome = {0};
    path = test_path("wake");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    int64_t window_ns = WINDOW_NS;
    uint64_t chunk = length.wanted / 20 > 10000 ? 10000 : length.wanted / 20 + 1;
    for (uint64_t round = 0; length_goes_on(&length); round++) {
        struct sweep sweep =
            make_sweep(spins[round % 5], window_ns, chunk, round / 5 % 2);
        memset(shared, 0, sizeof *shared);
        uint64_t sleeps = outcome.sleeps;
        consume(&sweep, &outcome);
        sleeps = outcome.sleeps - sleeps;
        if (sleeps < sweep.messages / 5 && window_ns < WINDOW_MOST_NS)
            window_ns *= 2;
        else if (sleeps > sweep.messages / 2 && window_ns > WINDOW_NS)
            window_ns /= 2;
        length.done += sweep.messages;
#ifdef EXPECT_LOST_WAKEUPS
        if (outcome.lost > 0) {
            printf("    the broken protocol lost a wake-up within %zu messages\n",
                   outcome.latencies.count);
            free(outcome.latencies.ns);
            return;
        }
    }
    FAIL("%zu messages did not show that the protocol is broken",
         outcome.latencies.count);
#else
    }
    length_end(
        &length,
        "%" PRIu64 " sleeps, %" PRIu64 " lost, %" PRIu64
        " late for want of a processor; p50 %.1f us, p99.9 %.0f us, max %.0f us",
        outcome.sleeps, outcome.lost, outcome.late, samples_us(&outcome.latencies, 0.5),
        samples_us(&outcome.latencies, 0.999), samples_us(&outcome.latencies, 1));
    CHECK_EQ(outcome.lost, 0);
    CHECK(outcome.sleeps > length.done / 50);
    free(outcome.latencies.ns);
#endif
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Either side killed under load and started again on the same path, many times: the
 * next connection stands within 100 ms and carries messages; nothing piles up.
 */
#include "length.h"
#include "peers.h"
#include "samples.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define BACK_MS 100

static const char *path;

/* Sends for ever, to one consumer after the other. */
static void be_producer(void *context) {
    bool listens = *(const bool *)context;
    for (;;) {
        tachyon_options_t options = options_with_timeout_ms(10000);
        tachyon_bus_t *bus;
        if ((listens
                 ? tachyon_bus_listen_with(path, 65536, &options, &bus)
                 : tachyon_bus_connect_with(path, &options, &bus)) != TACHYON_SUCCESS)
            _exit(1);
        for (uint64_t i = 0;; i++)
            if (tachyon_send(bus, &i, sizeof i, 1, 100, -1) != TACHYON_SUCCESS)
                break;
        tachyon_bus_destroy(bus);
    }
}

/* Open, receive some messages in order, and leave them coming. */
static tachyon_bus_t *open_and_receive(bool listens, int64_t *ready_ns) {
    tachyon_options_t options = options_with_timeout_ms(5000);
    int64_t begin = ty_now_ns();
    tachyon_bus_t *bus;
    tachyon_error_t error;
    error = listens ? tachyon_bus_listen_with(path, 65536, &options, &bus)
                    : tachyon_bus_connect_with(path, &options, &bus);
    CHECK_OK(error);
    for (uint64_t i = 0; i < 100; i++) {
        uint32_t type;
        size_t size;
        const uint64_t *number =
            tachyon_acquire_rx_timed(bus, &type, &size, 100, 10 * SECOND);
        if (!number)
            FAIL("message %" PRIu64 ": %s", i, tachyon_last_error_message());
        CHECK_EQ(*number, i);
        CHECK_OK(tachyon_commit_rx(bus));
        if (i == 0)
            *ready_ns = ty_now_ns() - begin;
    }
    return bus;
}

static void restart_many_times(bool producer_listens, struct length *length,
                               struct samples *samples, uint64_t times) {
    size_t fds = test_count_fds();
    int64_t ready_ns = 0;
    pid_t producer = test_spawn(be_producer, &producer_listens);
    for (uint64_t i = 0; i < times; i++, length->done++) {
        tachyon_bus_t *bus = open_and_receive(!producer_listens, &ready_ns);
        samples_add(samples, ready_ns);
        if (i % 2 == 0) { /* the producer dies and a new one is started */
            kill(producer, SIGKILL);
            CHECK_EQ(test_wait(producer), -SIGKILL);
            uint32_t type;
            size_t size;
            while (tachyon_acquire_rx_timed(bus, &type, &size, 100, SECOND))
                CHECK_OK(tachyon_commit_rx(bus));
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_PEER_DEAD);
            producer = test_spawn(be_producer, &producer_listens);
        } /* else it is we who leave; the producer comes back for the next consumer */
        tachyon_bus_destroy(bus);
        CHECK_EQ(test_count_fds(), fds);
    }
    kill(producer, SIGKILL);
    CHECK_EQ(test_wait(producer), -SIGKILL);
}

TEST(either_side_can_be_killed_and_started_again_on_one_path) {
    struct length length = length_begin("restart", "restarts", 400, 10000);
    struct samples samples = {0};
    path = test_path("restart");
    for (bool listens = false; length_goes_on(&length); listens = !listens)
        restart_many_times(listens, &length, &samples, length.wanted < 100 ? 10 : 50);
    double p99 = samples_us(&samples, 0.99);
    length_end(&length, "first message after p50 %.0f us, p99 %.0f us, max %.0f us",
               samples_us(&samples, 0.5), p99, samples_us(&samples, 1));
    CHECK_OR_AGAIN(p99 <= BACK_MS * 1000);
    free(samples.ns);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything at once for a long time: messages of all sizes, batches, sleeps, calls,
 * new connections. Descriptors and memory stay where they were, and so does p99.
 */
#include "length.h"
#include "peers.h"
#include "soak.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define CAPACITY 65536

static const char *path, *calls_path;

/* Sends time stamps followed by a message's bytes, then what is left of a batch. */
static void be_producer(void *context) {
    uint64_t random = 22;
    (void)context;
    for (;;) {
        tachyon_options_t options = options_with_timeout_ms(20000);
        tachyon_bus_t *bus;
        if (tachyon_bus_connect_with(path, &options, &bus) != TACHYON_SUCCESS)
            _exit(1);
        for (uint64_t number = 0;; number++) {
            size_t size = 8 + message_size(number, 4000);
            uint8_t *slot = tachyon_acquire_tx_timed(bus, size, 100, -1);
            if (!slot)
                break;
            int64_t now = ty_now_ns();
            memcpy(slot, &now, 8);
            message_write(number, slot + 8, size - 8);
            tachyon_commit_tx(bus, size, (uint32_t)number);
            if (test_random_below(&random, 4) == 0)
                tachyon_flush(bus);
            if (test_random_below(&random, 200) == 0) {
                tachyon_flush(bus);
                nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
            }
        }
        tachyon_bus_destroy(bus);
    }
}

static void be_callee(void *context) {
    (void)context;
    for (;;) {
        tachyon_rpc_bus_t *rpc;
        if (tachyon_rpc_listen(calls_path, CAPACITY, CAPACITY, &rpc) != TACHYON_SUCCESS)
            _exit(1);
        uint64_t id;
        uint32_t type;
        size_t size;
        const void *request;
        while ((request = tachyon_rpc_serve(rpc, &id, &type, &size, 100))) {
            if (tachyon_rpc_reply_timed(rpc, id, request, size, type, 100, -1) !=
                TACHYON_SUCCESS)
                break;
            tachyon_rpc_commit_serve(rpc);
        }
        tachyon_rpc_destroy(rpc);
    }
}

/* 1,000 messages over a connection of their own. */
static void receive_some(void) {
    tachyon_options_t options = options_with_timeout_ms(20000);
    tachyon_bus_t *bus;
    tachyon_msg_view_t views[16];
    CHECK_OK(tachyon_bus_listen_with(path, CAPACITY, &options, &bus));
    for (uint64_t number = 0; number < 1000;) {
        size_t count = tachyon_drain_batch_timed(bus, views, 16, 100, 10 * SECOND);
        if (count == 0)
            FAIL("message %" PRIu64 ": %s", number, tachyon_last_error_message());
        for (size_t i = 0; i < count; i++, number++) {
            const uint8_t *payload = views[i].ptr;
            int64_t sent_ns;
            memcpy(&sent_ns, payload, 8);
            bucket(ty_now_ns() - sent_ns);
            CHECK(views[i].type_id == (uint32_t)number &&
                  message_is(number, payload + 8, views[i].actual_size - 8));
        }
        CHECK_OK(tachyon_commit_rx_batch(bus, views, count));
    }
    tachyon_bus_destroy(bus);
}

static void call_some(void) {
    tachyon_options_t options = options_with_timeout_ms(20000);
    tachyon_rpc_bus_t *rpc;
    uint64_t ids[100];
    CHECK_OK(tachyon_rpc_connect_with(calls_path, &options, &rpc));
    for (int i = 0; i < 100; i++)
        CHECK_OK(tachyon_rpc_call_timed(rpc, &i, sizeof i, 1, &ids[i], 100, SECOND));
    for (int i = 99; i >= 0; i--) { /* so that replies are kept */
        uint32_t type;
        size_t size;
        const int *reply =
            tachyon_rpc_wait_timed(rpc, ids[i], &size, &type, 100, 10 * SECOND);
        CHECK(reply && *reply == i);
        CHECK_OK(tachyon_rpc_commit_rx(rpc));
    }
    tachyon_rpc_destroy(rpc);
}

TEST(nothing_grows) {
    struct length length = soak_begin();
    path = test_path("bus");
    calls_path = test_path("calls");
    pid_t producer = test_spawn(be_producer, NULL),
          callee = test_spawn(be_callee, NULL);
    for (int i = 0; i < 20; i++) {
        receive_some();
        call_some();
    }
    take_p99();
    size_t fds = test_count_fds(), resident = resident_kib();
    int64_t length_ms = soak_ms(&length);
    int64_t begin = test_now_ms();
    uint64_t connections = 0;
    double p99[SLICES];
    for (int slice = 0; slice < SLICES; slice++) {
        do {
            receive_some();
            call_some();
            connections += 2;
        } while (test_now_ms() < begin + length_ms * (slice + 1) / SLICES);
        p99[slice] = take_p99();
        CHECK_EQ(test_count_fds(), fds);
        check_resident(resident);
    }
    length.done = (uint64_t)(test_now_ms() - begin + 500) / 1000;
    kill(producer, SIGKILL);
    kill(callee, SIGKILL);
    CHECK_EQ(test_wait(producer), -SIGKILL);
    CHECK_EQ(test_wait(callee), -SIGKILL);
    double least, most;
    check_p99(p99, &least, &most);
    length_end(&length,
               "%" PRIu64 " connections, %zu descriptors throughout, resident %zu to "
               "%zu KiB, p99 %.0f to %.0f us",
               connections, fds, resident, resident_kib(), least, most);
}

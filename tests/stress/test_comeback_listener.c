/* SPDX-License-Identifier: Apache-2.0 */
/* A listener that is killed, of readers and of producers. */
#include "comeback.h"

/* Reads each life of the listener to its end, then waits for the next. */
static void follow(void *context) {
    const struct survivor *survivor = context;
    uint64_t position = 0, epoch = 0;
    for (unsigned round = 0; !atomic_load(&board->stop); round++) {
        tachyon_options_t options = reading();
        tachyon_bus_t *bus;
        struct message message, last = {.number = 0};
        uint32_t type;
        size_t size;
        if (epoch != 0 && round % 4 == 0) { /* of the life before */
            options.start = TACHYON_START_POSITION;
            options.start_position = position;
            options.start_epoch = epoch;
            tachyon_error_t refused = find_listener(&options, &bus, NULL);
            CHECK(refused == TACHYON_ERR_LAGGED || atomic_load(&board->stop));
            atomic_fetch_add(&board->lagged, 1);
            options = reading();
            options.start = TACHYON_START_OLDEST;
        }
        if (find_listener(&options, &bus, NULL) != TACHYON_SUCCESS)
            break;
        tachyon_error_t error;
        while ((error = tachyon_recv(bus, &message, sizeof message, &size, &type, 100,
                                     20 * SECOND)) == TACHYON_SUCCESS) {
            if (last.life != 0)
                CHECK(message.number == last.number + 1 && message.life == last.life);
            else if (survivor->leads)
                at_work(message.life, message.number);
            last = message;
        }
        CHECK_OK(tachyon_bus_position(bus, &position, &epoch));
        tachyon_bus_destroy(bus);
        if (error == TACHYON_ERR_CLOSED)
            break;
        CHECK_EQ(error, TACHYON_ERR_PEER_DEAD);
        /* All that it had flushed was read before that was said. */
        if (last.life != 0)
            CHECK(last.number + 1 >=
                  atomic_load(&board->flushed_in[last.life % LIVES]));
    }
}

/* Sends to each life of the listener; what that had no time to take is lost. */
static void write_on(void *context) {
    const struct survivor *survivor = context;
    struct message message = {.writer = survivor->number};
    while (!atomic_load(&board->stop)) {
        tachyon_options_t options = options_with_timeout_ms(20000);
        tachyon_bus_t *bus;
        if (find_listener(&options, &bus, NULL) != TACHYON_SUCCESS)
            break;
        message.life++;
        tachyon_error_t error;
        while ((error = tachyon_send(bus, &message, sizeof message, 1, 100,
                                     20 * SECOND)) == TACHYON_SUCCESS)
            message.number++;
        tachyon_bus_destroy(bus);
        CHECK(error == TACHYON_ERR_PEER_DEAD || error == TACHYON_ERR_CLOSED);
    }
}

static void gather(void *context) {
    tachyon_options_t options = {
        .size = sizeof options, .role = TACHYON_ROLE_CONSUMER, .max_peers = WRITERS};
    uint64_t life = atomic_load(&board->life);
    struct message last[WRITERS] = {0}, message;
    tachyon_bus_t *bus;
    uint32_t type;
    size_t size;
    (void)context;
    CHECK_OK(tachyon_bus_listen_with(path, 16384, &options, &bus));
    while (!atomic_load(&board->stop)) {
        tachyon_error_t error =
            tachyon_recv(bus, &message, sizeof message, &size, &type, 100, 50 * MILLI);
        if (error == TACHYON_ERR_TIMEOUT)
            continue;
        CHECK_OK(error);
        CHECK(message.writer < WRITERS);
        struct message *before = &last[message.writer];
        if (before->life == message.life)
            CHECK_EQ(message.number, before->number + 1);
        CHECK(message.life >= before->life);
        if (message.writer == 0 && before->life == 0)
            at_work(life, message.number);
        *before = message;
    }
    tachyon_bus_destroy(bus);
}

TEST(readers_of_a_listener_that_dies_read_all_it_flushed_and_find_the_next) {
    struct length length =
        length_begin("comeback", "kills of a listener with readers", QUICK, FULL);
    struct broadcaster how = {.capacity = 65536, .max_peers = 4};
    run_listeners(broadcast, &how, follow, &length);
}

TEST(producers_of_a_listener_that_dies_are_told_and_find_the_next) {
    struct length length =
        length_begin("comeback", "kills of a listener with producers", QUICK, FULL);
    run_listeners(gather, NULL, write_on, &length);
}

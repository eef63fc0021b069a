/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One listener, many peers, while the kernel or the allocator refuses the Nth call, for
 * every N: at listen, in the accept step, asleep in a receive or a send, at a wake-up.
 * Nothing stays behind, whoever is connected stays so, no message is lost, and the next
 * try succeeds.
 */
#include "bus.h"
#include "crowd.h"
#include "kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define CAPACITY 4096
#define FULL (CAPACITY / 64 - 1)
#define MOST_CALLS 500

static const int errors[] = {ENOMEM, EMFILE, EPERM, EINTR};
#define ERRORS (sizeof errors / sizeof errors[0])

static int chosen_error;
static enum kernel_call refused_call;

static int choose(enum kernel_call call) {
    refused_call = call;
    return chosen_error;
}

/* ---- The three kinds ---- */

static const struct kind {
    const char *name;
    tachyon_options_t options;
} kinds[] = {
    {"fan-in", {.role = TACHYON_ROLE_CONSUMER, .max_peers = 4}},
    {"broadcast", {.role = TACHYON_ROLE_PRODUCER, .max_peers = 4}},
    {"broadcast that disconnects",
     {.role = TACHYON_ROLE_PRODUCER,
      .max_peers = 4,
      .slow_peer = TACHYON_SLOW_DISCONNECT,
      .slow_after_ns = 60 * SECOND}},
    {"one consumer at a time", {.role = TACHYON_ROLE_PRODUCER, .max_peers = 1}},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static tachyon_error_t try_listen(const struct kind *kind, const char *path,
                                  tachyon_bus_t **bus) {
    tachyon_options_t options = kind->options;
    options.size = sizeof options;
    return tachyon_bus_listen_with(path, CAPACITY, &options, bus);
}

static bool receives(const struct kind *kind) {
    return kind->options.role == TACHYON_ROLE_CONSUMER;
}

static tachyon_error_t send_number(tachyon_bus_t *bus, uint64_t number,
                                   int64_t timeout_ns) {
    return tachyon_send(bus, &number, sizeof number, 1, 0, timeout_ns);
}

static void expect(tachyon_bus_t *bus, uint64_t number) {
    uint64_t got = 0;
    uint32_t type;
    size_t size;
    CHECK_OK(tachyon_recv(bus, &got, sizeof got, &size, &type, 0, 5 * SECOND));
    CHECK_EQ(got, number);
}

/* A message from one to the other, whichever way it goes. */
static void talk(const struct kind *kind, tachyon_bus_t *bus, tachyon_bus_t *peer,
                 uint64_t number) {
    CHECK_OK(send_number(receives(kind) ? peer : bus, number, 5 * SECOND));
    expect(receives(kind) ? bus : peer, number);
}

/* ---- What stays behind ---- */

struct footprint {
    size_t fds, memfds;
};

static struct footprint footprint(void) {
    struct footprint now = {.fds = test_count_fds()};
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    while (fgets(line, sizeof line, maps))
        now.memfds += strstr(line, "memfd:") != NULL;
    fclose(maps);
    return now;
}

static void expect_footprint(const struct kind *kind, unsigned nth,
                             struct footprint before) {
    struct footprint now = footprint();
    if (now.fds != before.fds || now.memfds != before.memfds)
        FAIL("%s: %s (call %u, %s) leaves %zu descriptors and %zu mappings, not %zu "
             "and %zu",
             kind->name, kernel_call_name(refused_call), nth,
             strerrorname_np(chosen_error), now.fds, now.memfds, before.fds,
             before.memfds);
}

/* ---- Listen ---- */

TEST(listen_survives_the_refusal_of_every_call) {
    for (size_t k = 0; k < KINDS; k++) {
        unsigned nth = 0, failures = 0;
        for (bool reached = true; reached; nth++) {
            CHECK(nth < MOST_CALLS);
            for (size_t e = 0; e < ERRORS; e++) {
                const char *path = test_path("bus");
                struct footprint before = footprint();
                tachyon_bus_t *bus;
                chosen_error = errors[e];
                kernel_arm(nth, choose);
                tachyon_error_t error = try_listen(&kinds[k], path, &bus);
                reached = kernel_disarm();
                failures += error != TACHYON_SUCCESS;
                if (error != TACHYON_SUCCESS) {
                    CHECK_EQ(tachyon_last_error(), error);
                    CHECK(reached && !bus && error != TACHYON_ERR_CORRUPT);
                    expect_footprint(&kinds[k], nth, before);
                    unlink(path); /* where unlinking it was refused */
                    CHECK_OK(try_listen(&kinds[k], path, &bus));
                }
                tachyon_bus_t *peer = crowd_join(bus, path, NULL);
                talk(&kinds[k], bus, peer, nth);
                tachyon_bus_destroy(peer);
                tachyon_bus_destroy(bus);
                expect_footprint(&kinds[k], nth, before);
            }
        }
        printf("    %s: %u calls, %u failures\n", kinds[k].name, nth - 1, failures);
        CHECK(nth > 15 && failures > 20);
    }
}

/* ---- Joins ---- */

struct knocking {
    const char *path;
    tachyon_bus_t *bus;
    tachyon_error_t error;
    _Atomic bool done;
};

static void *knock(void *context) {
    struct knocking *knocking = context;
    tachyon_options_t options = options_with_timeout_ms(60);
    knocking->error =
        tachyon_bus_connect_with(knocking->path, &options, &knocking->bus);
    atomic_store(&knocking->done, true);
    return NULL;
}

/* Nobody is left but `stays`: the others are let out by a step of the data thread too. */
static void let_out(const struct kind *kind, tachyon_bus_t *bus, tachyon_bus_t *stays,
                    struct footprint before) {
    tachyon_event_t event;
    uint32_t type;
    size_t size;
    for (int tries = 0; tries < 200 && footprint().fds != before.fds; tries++) {
        if (receives(kind))
            CHECK_REFUSED(tachyon_acquire_rx_timed(bus, &type, &size, 0, MS),
                          TACHYON_ERR_TIMEOUT);
        else if (stays)
            talk(kind, bus, stays, 0);
        else
            (void)send_number(bus, 0, MS);
        tachyon_bus_accept(bus, &event, MS);
    }
}

/* The one that knocks is let in, or is not; who is there already never notices. */
static bool join_with(const struct kind *kind, unsigned nth) {
    bool others = kind->options.max_peers > 1;
    const char *path = test_path("bus");
    struct knocking knocking = {.path = path};
    tachyon_bus_t *bus, *stays = NULL, *again;
    tachyon_event_t event;
    CHECK_OK(try_listen(kind, path, &bus));
    if (others)
        stays = crowd_join(bus, path, NULL);
    if (stays) /* so that each has its first message behind it */
        talk(kind, bus, stays, 1);
    struct footprint before = footprint();
    pthread_t thread = test_thread(knock, &knocking);
    kernel_arm(nth, choose);
    while (!atomic_load(&knocking.done)) {
        tachyon_error_t error = tachyon_bus_accept(bus, &event, MS);
        CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_TIMEOUT ||
              error == TACHYON_ERR_INTERRUPTED || error == TACHYON_ERR_SYSTEM);
        if (stays)
            talk(kind, bus, stays, 2);
    }
    tachyon_bus_accept(bus, &event, 0);
    bool reached = kernel_disarm();
    test_join(thread);
    CHECK(reached || knocking.error == TACHYON_SUCCESS ||
          knocking.error == TACHYON_ERR_TIMEOUT); /* on a machine that is busy */
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_READY);
    tachyon_bus_destroy(knocking.bus);
    let_out(kind, bus, stays, before);
    expect_footprint(kind, nth, before);
    while (tachyon_bus_accept(bus, &event, 0) == TACHYON_SUCCESS)
        continue;
    again = crowd_join(bus, path, NULL);
    if (receives(kind) || !others) {
        talk(kind, bus, again, 3);
    } else {
        CHECK_OK(send_number(bus, 3, SECOND));
        expect(again, 3);
        expect(stays, 3);
    }
    tachyon_bus_destroy(again);
    tachyon_bus_destroy(stays);
    tachyon_bus_destroy(bus);
    return reached;
}

TEST(a_join_survives_the_refusal_of_every_call) {
    mallopt(M_ARENA_MAX, 1);
    for (size_t k = 0; k < KINDS; k++) {
        unsigned nth = 0;
        for (bool reached = true; reached; nth++) {
            CHECK(nth < MOST_CALLS);
            for (size_t e = nth % 2; e < ERRORS; e += 2) { /* each takes its time */
                chosen_error = errors[e];
                reached = join_with(&kinds[k], nth) && reached;
            }
        }
        printf("    %s: %u calls\n", kinds[k].name, nth - 1);
        CHECK(nth > 10);
    }
}

/* ---- Asleep ---- */

struct delayed {
    tachyon_bus_t *bus;
    uint64_t number;
};

static void *send_later(void *context) {
    const struct delayed *delayed = context;
    test_sleep_ms(5);
    CHECK_OK(send_number(delayed->bus, delayed->number, 0));
    return NULL;
}

static void *release_later(void *context) {
    const struct delayed *delayed = context;
    test_sleep_ms(5);
    expect(delayed->bus, delayed->number);
    return NULL;
}

static bool is_refusal(tachyon_error_t error) {
    return error == TACHYON_SUCCESS || error == TACHYON_ERR_SYSTEM ||
           error == TACHYON_ERR_INTERRUPTED;
}

TEST(a_sleeping_receiver_of_many_survives_the_refusal_of_every_call) {
    unsigned refusals = 0, nth = 0;
    for (bool reached = true; reached; nth++) {
        CHECK(nth < MOST_CALLS);
        for (size_t e = 0; e < ERRORS; e++) {
            const char *path = test_path("bus");
            tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
            tachyon_bus_t *a = crowd_join(bus, path, NULL),
                          *b = crowd_join(bus, path, NULL);
            struct delayed delayed = {nth % 2 ? a : b, 7};
            uint32_t type;
            size_t size;
            talk(&kinds[0], bus, a, 1);
            chosen_error = errors[e];
            pthread_t sender = test_thread(send_later, &delayed);
            kernel_arm(nth, choose);
            const uint64_t *number =
                tachyon_acquire_rx_timed(bus, &type, &size, 0, 5 * SECOND);
            tachyon_error_t error = number ? TACHYON_SUCCESS : tachyon_last_error();
            reached = kernel_disarm();
            refusals += reached;
            if (!is_refusal(error) || (!reached && error != TACHYON_SUCCESS))
                FAIL("a refused %s gives %s", kernel_call_name(refused_call),
                     tachyon_last_error_message());
            expect(bus, 7);
            test_join(sender);
            talk(&kinds[0], bus, a, 8);
            talk(&kinds[0], bus, b, 9);
            tachyon_bus_destroy(a);
            tachyon_bus_destroy(b);
            tachyon_bus_destroy(bus);
        }
    }
    printf("    %u refusals\n", refusals);
    CHECK_OR_AGAIN(refusals >= 16);
}

TEST(a_sleeping_sender_to_many_survives_the_refusal_of_every_call) {
    for (size_t k = 1; k < KINDS; k++) {
        unsigned refusals = 0, nth = 0;
        for (bool reached = true; reached; nth++) {
            CHECK(nth < MOST_CALLS);
            for (size_t e = 0; e < ERRORS; e++) {
                const char *path = test_path("bus");
                tachyon_bus_t *bus, *other = NULL;
                CHECK_OK(try_listen(&kinds[k], path, &bus));
                tachyon_bus_t *slow = crowd_join(bus, path, NULL);
                if (kinds[k].options.max_peers > 1)
                    other = crowd_join(bus, path, NULL);
                uint64_t number = 0;
                while (send_number(bus, number, 0) == TACHYON_SUCCESS)
                    number++;
                CHECK_EQ(number, FULL);
                for (uint64_t i = 0; other && i < number; i++)
                    expect(other, i);
                struct delayed delayed = {slow, 0};
                chosen_error = errors[e];
                pthread_t reader = test_thread(release_later, &delayed);
                kernel_arm(nth, choose);
                tachyon_error_t error = send_number(bus, number, 5 * SECOND);
                reached = kernel_disarm();
                refusals += reached;
                if (!is_refusal(error) || (!reached && error != TACHYON_SUCCESS))
                    FAIL("%s: a refused %s gives %s", kinds[k].name,
                         kernel_call_name(refused_call), tachyon_last_error_message());
                if (error != TACHYON_SUCCESS)
                    CHECK_OK(send_number(bus, number, 5 * SECOND));
                test_join(reader);
                for (uint64_t i = 1; i <= number; i++)
                    expect(slow, i);
                if (other)
                    expect(other, number);
                CHECK_OK(send_number(bus, number + 1, 0));
                expect(slow, number + 1);
                tachyon_bus_destroy(slow);
                tachyon_bus_destroy(other);
                tachyon_bus_destroy(bus);
            }
        }
        printf("    %s: %u refusals\n", kinds[k].name, refusals);
        CHECK_OR_AGAIN(refusals >= 16); /* of a sender that had to sleep */
    }
}

/* ---- Wake-ups ---- */

static void *receive_twice(void *context) {
    expect(context, 1);
    expect(context, 2);
    return NULL;
}

static void await_sleep(tachyon_bus_t *bus) {
    while (atomic_load(&bus->link.sleeps) == 0)
        test_sleep_ms(1);
    test_sleep_ms(2);
}

TEST(wakeups_of_readers_that_were_refused_are_sent_with_the_next_flush) {
    static const int send_errors[] = {ENOBUFS, ENOMEM, EINTR};
    for (size_t k = 1; k < KINDS; k++)
        for (size_t e = 0; e < 3; e++) {
            const char *path = test_path("bus");
            unsigned count = kinds[k].options.max_peers > 1 ? 2 : 1;
            tachyon_bus_t *bus, *reader[2];
            pthread_t thread[2];
            CHECK_OK(try_listen(&kinds[k], path, &bus));
            for (unsigned i = 0; i < count; i++)
                reader[i] = crowd_join(bus, path, NULL);
            CHECK_OK(send_number(bus, 0, 0)); /* takes them in */
            for (unsigned i = 0; i < count; i++) {
                expect(reader[i], 0);
                atomic_store(&reader[i]->link.sleeps, 0);
                thread[i] = test_thread(receive_twice, reader[i]);
                await_sleep(reader[i]);
            }
            int64_t begin = test_now_ms();
            kernel_refuse_always(CALL_SEND, send_errors[e]);
            CHECK_OK(send_number(bus, 1, 0));
            kernel_refuse_always(CALL_SEND, 0);
            CHECK_OK(send_number(bus, 2, 0));
            for (unsigned i = 0; i < count; i++)
                test_join(thread[i]);
            CHECK_IN(test_now_ms() - begin, 0, 1000);
            for (unsigned i = 0; i < count; i++)
                tachyon_bus_destroy(reader[i]);
            tachyon_bus_destroy(bus);
        }
}

static void *send_when_there_is_room(void *context) {
    CHECK_OK(send_number(context, 99, 5 * SECOND));
    return NULL;
}

TEST(a_producer_of_many_whose_wakeup_was_refused_wakes_at_the_next_release) {
    const char *path = test_path("bus");
    tachyon_bus_t *bus = crowd_listen(path, TACHYON_ROLE_CONSUMER, 4);
    tachyon_bus_t *peer = crowd_join(bus, path, NULL);
    uint64_t number = 0;
    while (send_number(peer, number, 0) == TACHYON_SUCCESS)
        number++;
    pthread_t sender = test_thread(send_when_there_is_room, peer);
    await_sleep(peer);
    int64_t begin = test_now_ms();
    kernel_refuse_always(CALL_SEND, ENOBUFS);
    expect(bus, 0);
    kernel_refuse_always(CALL_SEND, 0);
    expect(bus, 1);
    test_join(sender);
    CHECK_IN(test_now_ms() - begin, 0, 1000);
    tachyon_bus_destroy(peer);
    tachyon_bus_destroy(bus);
}

/* ---- membarrier and pidfd: what may be missing ---- */

#define ROUNDS 200

static void *send_rounds(void *context) {
    for (uint64_t i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0)
            test_sleep_ms(1); /* so that the receiver goes to sleep */
        CHECK_OK(send_number(context, i, 5 * SECOND));
    }
    return NULL;
}

static void *receive_rounds(void *context) {
    for (uint64_t i = 0; i < ROUNDS; i++)
        expect(context, i);
    return NULL;
}

static void wake_up_each_time(const struct kind *kind) {
    const char *path = test_path("bus");
    unsigned count = kind->options.max_peers > 1 ? 2 : 1;
    tachyon_bus_t *bus, *peer[2];
    pthread_t thread[2];
    CHECK_OK(try_listen(kind, path, &bus));
    for (unsigned i = 0; i < count; i++) {
        peer[i] = crowd_join(bus, path, NULL);
        thread[i] = test_thread(receives(kind) ? send_rounds : receive_rounds, peer[i]);
    }
    if (receives(kind)) {
        uint64_t next[2] = {0}, number;
        uint32_t type;
        size_t size;
        for (int i = 0; i < 2 * ROUNDS; i++) {
            CHECK_OK(
                tachyon_recv(bus, &number, sizeof number, &size, &type, 0, 2 * SECOND));
            CHECK_EQ(number, next[tachyon_bus_sender(bus) - 1]++);
        }
    } else {
        send_rounds(bus);
    }
    for (unsigned i = 0; i < count; i++) {
        test_join(thread[i]);
        tachyon_bus_destroy(peer[i]);
    }
    tachyon_bus_destroy(bus);
}

TEST(without_membarrier_no_sleeper_of_many_is_forgotten) {
    for (int later = 0; later < 2; later++) {
        enum kernel_call call = later ? CALL_MEMBARRIER : CALL_MEMBARRIER_REGISTER;
        kernel_refuse_always(call, EPERM);
        for (size_t k = 0; k < KINDS; k++)
            wake_up_each_time(&kinds[k]);
        kernel_refuse_always(call, 0);
    }
}

TEST(without_pidfds_peers_are_still_seen_to_leave) {
    kernel_refuse_always(CALL_PEERPIDFD, ENOPROTOOPT);
    kernel_refuse_always(CALL_PIDFD_OPEN, ENOSYS);
    for (size_t k = 0; k < KINDS; k++) {
        const char *path = test_path("bus");
        tachyon_bus_t *bus;
        CHECK_OK(try_listen(&kinds[k], path, &bus));
        tachyon_bus_t *peer = crowd_join(bus, path, NULL);
        struct footprint before = footprint();
        talk(&kinds[k], bus, peer, 1);
        tachyon_bus_abort(peer);
        tachyon_bus_destroy(peer);
        before.fds -= 3; /* its end and page, and our end */
        let_out(&kinds[k], bus, NULL, before);
        CHECK_EQ(tachyon_bus_get_peers(bus, NULL, 0), 0);
        tachyon_bus_destroy(bus);
    }
}

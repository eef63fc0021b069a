/* SPDX-License-Identifier: Apache-2.0 */
/* callers.c: one callee, many callers. */
#include "crowd.h"

/* For what it knows of each slot. It brings the wire itself, which crowd.h restates. */
#undef WIRE_MAGIC
#undef WIRE_VERSION
#include "callers.c"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MILLI INT64_C(1000000)
#define MOST (4096 - 128) /* bytes of a reply */

static uint32_t type;
static size_t size;

static tachyon_rpc_bus_t *listen_for(const char *path, uint32_t max_peers) {
    tachyon_options_t options = {.size = sizeof options, .max_peers = max_peers};
    tachyon_rpc_bus_t *rpc;
    CHECK_OK(tachyon_rpc_listen_with(path, 4096, 4096, &options, &rpc));
    return rpc;
}

static tachyon_rpc_bus_t *come_as(tachyon_rpc_bus_t *callee, const char *path,
                                  const char *name) {
    tachyon_options_t options = {.size = sizeof options, .name = name};
    tachyon_rpc_bus_t *caller;
    CHECK_OK(crowd_try_rpc(callee, path, &options, &caller));
    CHECK_EQ(crowd_event(rpc_bus(callee), TACHYON_EVENT_JOINED).who.pid, getpid());
    return caller;
}

static tachyon_rpc_bus_t *come(tachyon_rpc_bus_t *callee, const char *path) {
    return come_as(callee, path, NULL);
}

static void take_nothing(tachyon_rpc_bus_t *callee) {
    uint64_t id;
    CHECK_REFUSED(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, 0),
                  TACHYON_ERR_EMPTY);
}

/* One has left like this, as the next event says. */
static void gone(tachyon_rpc_bus_t *callee, uint32_t peer, tachyon_error_t reason) {
    take_nothing(callee); /* hears of it, or takes it in and finds out; ... */
    take_nothing(callee); /* ... and lets it go */
    crowd_left(rpc_bus(callee), peer, reason);
    CHECK_EQ(tachyon_rpc_get_state(callee), TACHYON_STATE_READY);
}

static uint64_t ask(tachyon_rpc_bus_t *caller, uint64_t what) {
    uint64_t id;
    CHECK_OK(tachyon_rpc_call_timed(caller, &what, sizeof what, 7, &id, 0, SECOND));
    return id;
}

/* The next request, which asks for `what`: its id. */
static uint64_t take(tachyon_rpc_bus_t *callee, uint64_t what) {
    uint64_t id = 0, asked;
    const void *request = tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, SECOND);
    CHECK(request);
    CHECK_EQ(size, sizeof asked);
    memcpy(&asked, request, sizeof asked);
    CHECK_EQ(asked, what);
    CHECK_EQ(type, 7);
    CHECK_OK(tachyon_rpc_commit_serve(callee));
    return id;
}

static tachyon_error_t answer(tachyon_rpc_bus_t *callee, uint64_t id, uint64_t what) {
    return tachyon_rpc_reply(callee, id, &what, sizeof what, 8);
}

static void get(tachyon_rpc_bus_t *caller, uint64_t id, uint64_t what) {
    uint64_t reply;
    const void *got = tachyon_rpc_wait_timed(caller, id, &size, &type, 0, SECOND);
    CHECK(got);
    CHECK_EQ(size, sizeof reply);
    memcpy(&reply, got, sizeof reply);
    CHECK_EQ(reply, what);
    CHECK_EQ(type, 8);
    CHECK_OK(tachyon_rpc_commit_rx(caller));
}

/* Ask, answer, get. */
static void exchange(tachyon_rpc_bus_t *callee, tachyon_rpc_bus_t *caller,
                     uint64_t what) {
    uint64_t id = ask(caller, what);
    CHECK_OK(answer(callee, take(callee, what), ~what));
    get(caller, id, ~what);
}

/* ---- Whose request it is ---- */

TEST(each_caller_gets_the_replies_to_its_own_calls_in_any_order) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8), *callers[3];
    tachyon_rpc_stats_t stats;
    tachyon_peer_t who;
    uint64_t ids[3][2], served[3][2];
    CHECK_EQ(tachyon_rpc_sender(callee), 0);
    CHECK_ERROR(tachyon_rpc_get_peer(callee, &who), TACHYON_ERR_EMPTY);
    take_nothing(callee);
    for (unsigned i = 0; i < 3; i++)
        callers[i] = come(callee, path);
    for (unsigned n = 0; n < 2; n++)
        for (unsigned i = 0; i < 3; i++) {
            ids[i][n] = ask(callers[i], 10 * i + n);
            CHECK_EQ(ids[i][n], n + 1);
            served[i][n] = take(callee, 10 * i + n);
            CHECK_EQ(served[i][n], (uint64_t)i << 48 | (n + 1));
            CHECK_EQ(tachyon_rpc_sender(callee), i + 1);
        }
    CHECK_OK(tachyon_rpc_get_peer(callee, &who));
    CHECK_EQ(who.pid, getpid());
    CHECK_OK(tachyon_rpc_get_stats(callee, &stats));
    CHECK_EQ(stats.calls, 6);
    CHECK_EQ(stats.outstanding, 6);
    for (unsigned n = 2; n-- > 0;)
        for (unsigned i = 3; i-- > 0;)
            CHECK_OK(answer(callee, served[i][n], 100 + 10 * i + n));
    for (unsigned n = 0; n < 2; n++)
        for (unsigned i = 0; i < 3; i++)
            get(callers[i], ids[i][n], 100 + 10 * i + n);
    CHECK_OK(tachyon_rpc_get_stats(callee, &stats));
    CHECK_EQ(stats.replies, 6);
    CHECK_EQ(stats.outstanding, 0);
    tachyon_peer_info_t infos[4];
    CHECK_EQ(tachyon_rpc_get_peers(callee, infos, 4), 3);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(infos[i].messages, 2);
    for (unsigned i = 0; i < 3; i++)
        tachyon_rpc_destroy(callers[i]);
    tachyon_rpc_destroy(callee);
}

TEST(a_request_that_is_not_committed_comes_again_under_its_id) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *a = come(callee, path), *b = come(callee, path);
    uint64_t first = 0, id;
    ask(a, 1);
    ask(b, 2);
    const void *held = tachyon_rpc_serve_timed(callee, &first, &type, &size, 0, SECOND);
    for (int i = 0; i < 300; i++) {
        CHECK(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, 0) == held);
        CHECK_EQ(id, first);
    }
    tachyon_rpc_stats_t stats;
    CHECK_OK(tachyon_rpc_get_stats(callee, &stats));
    CHECK_EQ(stats.calls, 1);
    CHECK_OK(answer(callee, first, 5)); /* before it is committed */
    CHECK_OK(tachyon_rpc_commit_serve(callee));
    CHECK_ERROR(tachyon_rpc_commit_serve(callee), TACHYON_ERR_EMPTY);
    get(tachyon_rpc_sender(callee) == 1 ? a : b, 1, 5);
    CHECK(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, SECOND) != held);
    CHECK(id != first);
    tachyon_rpc_destroy(a);
    tachyon_rpc_destroy(b);
    tachyon_rpc_destroy(callee);
}

TEST(ids_that_were_never_given_out_or_are_answered_are_refused) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 2);
    tachyon_rpc_bus_t *caller = come(callee, path);
    exchange(callee, caller, 3);
    ask(caller, 4);
    uint64_t id = take(callee, 4);
    const uint64_t wrong[] = {0,
                              1,
                              id + 1,
                              id | UINT64_C(1) << 48,
                              UINT64_MAX,
                              id | UINT64_C(4) << 48,
                              UINT64_C(1) << 48,
                              UINT64_C(0xFFFF) << 48,
                              id + ((UINT64_C(1) << 48) - 1)};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_ERROR(answer(callee, wrong[i], 0), TACHYON_ERR_INVALID_SZ);
        CHECK_SAYS("is outstanding");
        CHECK_ERROR(tachyon_rpc_commit_reply(callee, wrong[i], 0, 0),
                    TACHYON_ERR_INVALID_SZ);
    }
    CHECK_ERROR(tachyon_rpc_reply(callee, id, NULL, 1, 0), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_reply(callee, id, "x", MOST + 1, 0),
                TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("can never fit");
    CHECK_OK(tachyon_rpc_reply(callee, id, NULL, 0, 8));
    CHECK(tachyon_rpc_wait_timed(caller, 2, &size, &type, 0, SECOND));
    CHECK_EQ(size, 0);
    tachyon_rpc_destroy(caller);
    tachyon_rpc_destroy(callee);
}

TEST(ids_begin_again_after_2_to_the_48_and_none_is_0) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 2);
    struct callers *callers = callers_of(rpc_bus(callee));
    tachyon_rpc_bus_t *both[2];
    for (uint64_t slot = 0; slot < 2; slot++) {
        struct served *served = &callers->served[slot];
        served->calls.last = served->base = 3 * IDS - 3;
        tachyon_rpc_bus_t *caller = both[slot] = come(callee, path);
        uint64_t ids[6];
        for (unsigned i = 0; i < 6; i++) {
            ask(caller, i);
            ids[i] = take(callee, i);
            CHECK_EQ(ids[i] >> 48, slot);
            CHECK_EQ(ids[i] & IDS, i < 3 ? IDS - 2 + i : i - 2);
        }
        for (unsigned i = 6; i-- > 0;)
            CHECK_OK(answer(callee, ids[i], 100 + i));
        for (unsigned i = 0; i < 6; i++)
            get(caller, i + 1, 100 + i);
    }
    for (unsigned slot = 0; slot < 2; slot++)
        tachyon_rpc_destroy(both[slot]);
    tachyon_rpc_destroy(callee);
}

/* ---- Replies in place ---- */

TEST(a_reply_in_place_goes_to_any_caller) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8), *callers[3];
    uint64_t ids[3], *slot;
    for (unsigned i = 0; i < 3; i++)
        callers[i] = come(callee, path);
    CHECK_ERROR(tachyon_rpc_commit_reply(callee, 1, 0, 0), TACHYON_ERR_INVALID_SZ);
    for (uint64_t round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 3; i++) {
            ask(callers[i], i);
            ids[i] = take(callee, i);
        }
        for (unsigned i = 0; i < 3; i++) { /* the last is in its own ring */
            slot = tachyon_rpc_acquire_reply_tx(callee, i == 1 ? MOST : 8);
            CHECK(slot);
            *slot = round + i;
            if (round == 0) {
                CHECK_ERROR(tachyon_rpc_commit_reply(callee, ids[i], MOST + 1, 8),
                            TACHYON_ERR_INVALID_SZ);
                CHECK_SAYS("are reserved");
            }
            CHECK_OK(tachyon_rpc_commit_reply(callee, ids[i], sizeof *slot, 8));
            CHECK_ERROR(tachyon_rpc_commit_reply(callee, ids[2], 8, 8),
                        i == 2 ? TACHYON_ERR_INVALID_SZ : TACHYON_ERR_EMPTY);
        }
        for (unsigned i = 0; i < 3; i++)
            get(callers[i], round + 1, round + i);
    }
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(callee, MOST + 1),
                  TACHYON_ERR_INVALID_SZ);
    ask(callers[0], 5);
    ids[0] = take(callee, 5);
    CHECK(tachyon_rpc_acquire_reply_tx(callee, 8));
    tachyon_rpc_rollback_reply(callee);
    CHECK_ERROR(tachyon_rpc_commit_reply(callee, ids[0], 8, 8), TACHYON_ERR_EMPTY);
    CHECK(tachyon_rpc_acquire_reply_tx(callee, 8));
    CHECK_OK(answer(callee, ids[0], 6)); /* takes its place */
    get(callers[0], 201, 6);
    for (unsigned i = 0; i < 3; i++)
        tachyon_rpc_destroy(callers[i]);
    tachyon_rpc_destroy(callee);
}

TEST(a_reply_is_reserved_whether_or_not_the_last_caller_is_there) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *stays = come(callee, path), *goes = come(callee, path);
    ask(stays, 1);
    uint64_t id = take(callee, 1);
    ask(goes, 2);
    take(callee, 2);
    /* Reserved when one had asked last who goes. */
    uint64_t *slot = tachyon_rpc_acquire_reply_tx(callee, 2000);
    tachyon_rpc_destroy(goes);
    gone(callee, 2, TACHYON_ERR_CLOSED);
    memset(slot, 1, 2000);
    clock_t begin = clock();
    CHECK_REFUSED(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, SECOND / 5),
                  TACHYON_ERR_TIMEOUT);
    CHECK_IN((clock() - begin) * 1000 / CLOCKS_PER_SEC, 0, 50);
    *slot = 11;
    CHECK_OK(tachyon_rpc_commit_reply(callee, id, 8, 8));
    get(stays, 1, 11);
    /* And when it has left before. */
    goes = come(callee, path);
    for (uint64_t round = 2; round < 200; round++) {
        ask(stays, round);
        id = take(callee, round);
        if (round == 2) {
            ask(goes, 1);
            take(callee, 1);
            tachyon_rpc_destroy(goes);
            gone(callee, 3, TACHYON_ERR_CLOSED);
        }
        slot = tachyon_rpc_acquire_reply_tx(callee, round == 2 ? MOST : 8);
        CHECK_EQ((uintptr_t)slot % 32, 0);
        *slot = round;
        if (round % 2)
            tachyon_rpc_rollback_reply(callee);
        else
            CHECK_OK(tachyon_rpc_commit_reply(callee, id, 8, 8));
        if (round % 2)
            CHECK_OK(answer(callee, id, round));
        get(stays, round, round);
    }
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(callee, MOST + 1),
                  TACHYON_ERR_INVALID_SZ);
    tachyon_rpc_destroy(stays);
    tachyon_rpc_destroy(callee);
}

/* ---- Callers that leave ---- */

static void call_and_die(void *path) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 5 * SECOND};
    tachyon_rpc_bus_t *caller;
    CHECK_OK(tachyon_rpc_connect_with(path, &options, &caller));
    for (uint64_t i = 0; i < 5; i++)
        ask(caller, i);
    kill(getpid(), SIGKILL);
}

TEST(replies_to_those_that_have_left_say_how_and_the_handle_remains_usable) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8), *caller;
    uint64_t id[4], before = test_count_fds();
    caller = come(callee, path);
    ask(caller, 1);
    id[0] = take(callee, 1);
    tachyon_rpc_destroy(caller);
    gone(callee, 1, TACHYON_ERR_CLOSED);
    CHECK_ERROR(answer(callee, id[0], 1), TACHYON_ERR_CLOSED);
    CHECK_SAYS("has left");
    CHECK_EQ(tachyon_rpc_get_state(callee), TACHYON_STATE_READY);

    caller = come(callee, path); /* in the same slot */
    ask(caller, 2);
    id[1] = take(callee, 2);
    CHECK_EQ(id[1], id[0] + 1);
    tachyon_rpc_abort(caller);
    tachyon_rpc_destroy(caller);
    gone(callee, 2, TACHYON_ERR_ABORTED);
    CHECK_ERROR(answer(callee, id[1], 1), TACHYON_ERR_ABORTED);
    CHECK_ERROR(answer(callee, id[0], 1), TACHYON_ERR_PEER_DEAD); /* long ago */

    caller = come(callee, path);
    uint64_t sent = ask(caller, 3);
    id[2] = take(callee, 3);
    pid_t pid = test_spawn(call_and_die, (void *)(uintptr_t)path);
    for (uint64_t i = 0; i < 5; i++)
        id[3] = take(callee, i); /* what was asked before its death is still served */
    CHECK_EQ(test_wait(pid), -SIGKILL);
    CHECK_EQ(crowd_event(rpc_bus(callee), TACHYON_EVENT_JOINED).who.pid, pid);
    CHECK_REFUSED(tachyon_rpc_serve_timed(callee, id, &type, &size, 0, 20 * MILLI),
                  TACHYON_ERR_TIMEOUT);
    crowd_left(rpc_bus(callee), 4, TACHYON_ERR_PEER_DEAD);
    CHECK_ERROR(answer(callee, id[3], 1), TACHYON_ERR_PEER_DEAD);
    CHECK(tachyon_rpc_acquire_reply_tx(callee, 8));
    CHECK_ERROR(tachyon_rpc_commit_reply(callee, id[3] - 1, 8, 8),
                TACHYON_ERR_PEER_DEAD);
    CHECK_OK(tachyon_rpc_commit_reply(callee, id[2], 0, 8)); /* it is still reserved */
    CHECK(tachyon_rpc_wait_timed(caller, sent, &size, &type, 0, SECOND));
    tachyon_rpc_destroy(caller);
    gone(callee, 3, TACHYON_ERR_CLOSED);
    CHECK_EQ(test_count_fds(), before);
    tachyon_rpc_destroy(callee);
}

TEST(a_reply_to_one_that_has_left_fails_before_anybody_has_looked) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *caller = come(callee, path);
    tachyon_rpc_stats_t stats;
    tachyon_event_t event;
    ask(caller, 1);
    ask(caller, 2);
    uint64_t id = take(callee, 1);
    tachyon_rpc_destroy(caller);
    CHECK_ERROR(tachyon_rpc_accept(callee, &event, 0), TACHYON_ERR_EMPTY);
    CHECK_ERROR(answer(callee, id, 1), TACHYON_ERR_CLOSED);
    CHECK_ERROR(answer(callee, id, 1), TACHYON_ERR_INVALID_SZ); /* it is done with */
    CHECK_ERROR(answer(callee, take(callee, 2), 1), TACHYON_ERR_CLOSED);
    CHECK_OK(tachyon_rpc_get_stats(callee, &stats));
    CHECK_EQ(stats.outstanding, 0);
    CHECK_EQ(stats.replies, 0);
    gone(callee, 1, TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(callee);
}

TEST(an_old_id_never_answers_a_call_of_the_next_caller_in_its_slot) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 1);
    uint64_t old[400], count = 0;
    for (uint32_t life = 1; life <= 50; life++) {
        tachyon_rpc_bus_t *caller = come(callee, path);
        uint64_t calls = life % 8;
        for (uint64_t i = 0; i < calls; i++) {
            ask(caller, i);
            old[count + i] = take(callee, i);
        }
        for (uint64_t i = 0; i < count; i++) {
            CHECK(answer(callee, old[i], 666) != TACHYON_SUCCESS);
            CHECK_EQ(tachyon_last_error(),
                     i + 7 < count ? TACHYON_ERR_PEER_DEAD : tachyon_last_error());
        }
        if (life % 2 && calls > 0) {
            CHECK_OK(answer(callee, old[count], 5));
            get(caller, 1, 5);
        }
        for (uint64_t i = life % 2 ? 1 : 0; i < calls; i++)
            CHECK_REFUSED(tachyon_rpc_wait_timed(caller, i + 1, &size, &type, 0, 0),
                          TACHYON_ERR_EMPTY);
        count += calls;
        tachyon_rpc_destroy(caller);
        gone(callee, life, TACHYON_ERR_CLOSED);
    }
    for (uint64_t i = 1; i < count; i++)
        CHECK_EQ(old[i], old[i - 1] + 1);
    tachyon_rpc_destroy(callee);
}

TEST(a_caller_of_the_same_name_is_served_after_its_predecessor) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 4), *more;
    tachyon_rpc_bus_t *first = come_as(callee, path, "me");
    tachyon_options_t options = {.size = sizeof options, .name = "me"};
    CHECK_ERROR(crowd_try_rpc(callee, path, &options, &more), TACHYON_ERR_BUSY);
    ask(first, 1);
    ask(first, 2);
    tachyon_rpc_destroy(first);
    tachyon_rpc_bus_t *second = come_as(callee, path, "me");
    uint64_t id = ask(second, 3);
    CHECK_ERROR(answer(callee, take(callee, 1), 0), TACHYON_ERR_CLOSED);
    CHECK_ERROR(answer(callee, take(callee, 2), 0), TACHYON_ERR_CLOSED);
    CHECK_OK(answer(callee, take(callee, 3), 4));
    get(second, id, 4);
    crowd_left(rpc_bus(callee), 1, TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(second);
    tachyon_rpc_destroy(callee);
}

TEST(a_dropped_caller_is_told_and_not_served_any_more) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *a = come(callee, path), *b = come(callee, path);
    for (uint64_t i = 0; i < 10; i++)
        ask(a, i);
    uint64_t id = take(callee, 0);
    ask(b, 70);
    CHECK_OK(tachyon_rpc_drop_peer(callee, 1));
    CHECK_ERROR(tachyon_rpc_drop_peer(callee, 1), TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(answer(callee, id, 0), TACHYON_ERR_CLOSED);
    CHECK_OK(answer(callee, take(callee, 70), 71));
    get(b, 1, 71);
    gone(callee, 1, TACHYON_ERR_CLOSED);
    CHECK_REFUSED(tachyon_rpc_wait_timed(a, 1, &size, &type, 0, SECOND),
                  TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(a);
    tachyon_rpc_destroy(b);
    tachyon_rpc_destroy(callee);
}

TEST(one_more_than_max_peers_is_refused_until_one_has_gone) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 2), *callers[2], *more;
    tachyon_bus_t *bus;
    for (int i = 0; i < 2; i++)
        callers[i] = come(callee, path);
    CHECK_ERROR(crowd_try_rpc(callee, path, NULL, &more), TACHYON_ERR_BUSY);
    CHECK_SAYS("no place for another peer");
    CHECK_ERROR(crowd_try(rpc_bus(callee), path, NULL, &bus), TACHYON_ERR_ABI_MISMATCH);
    exchange(callee, callers[0], 5);
    tachyon_rpc_destroy(callers[0]);
    callers[0] = come(callee, path);
    exchange(callee, callers[0], 6);
    exchange(callee, callers[1], 7);
    for (int i = 0; i < 2; i++)
        tachyon_rpc_destroy(callers[i]);
    tachyon_rpc_destroy(callee);
}

/* ---- A caller that does not take its replies ---- */

struct stuck {
    tachyon_rpc_bus_t *callee, *lazy, *other;
    uint64_t id, waiting; /* to be answered: of the lazy one, of the other */
};

/* The lazy one's reply ring is full. */
static struct stuck get_stuck(const char *path) {
    static const char reply[MOST];
    struct stuck stuck = {.callee = listen_for(path, 8)};
    stuck.lazy = come(stuck.callee, path);
    stuck.other = come(stuck.callee, path);
    for (uint64_t i = 0; i < 2; i++) {
        ask(stuck.lazy, i);
        stuck.id = take(stuck.callee, i);
        if (i == 0)
            CHECK_OK(tachyon_rpc_reply(stuck.callee, stuck.id, reply, MOST, 8));
    }
    ask(stuck.other, 5);
    stuck.waiting = take(stuck.callee, 5);
    return stuck;
}

static void end_stuck(struct stuck *stuck) {
    tachyon_rpc_destroy(stuck->lazy);
    tachyon_rpc_destroy(stuck->other);
    tachyon_rpc_destroy(stuck->callee);
}

TEST(a_full_ring_refuses_replies_to_its_own_caller_only) {
    struct stuck stuck = get_stuck(test_path("rpc"));
    tachyon_rpc_stats_t stats;
    for (int i = 0; i < 100; i++)
        CHECK_ERROR(answer(stuck.callee, stuck.id, 1), TACHYON_ERR_FULL);
    CHECK_TAKES(20, 60,
                CHECK_ERROR(tachyon_rpc_reply_timed(stuck.callee, stuck.id, "x", 1, 8,
                                                    0, 20 * MILLI),
                            TACHYON_ERR_TIMEOUT));
    /* Reserved for the other, who has asked last, and it is for this one after all. */
    uint64_t *slot = tachyon_rpc_acquire_reply_tx(stuck.callee, 8);
    *slot = 17;
    CHECK_ERROR(tachyon_rpc_commit_reply(stuck.callee, stuck.id, 8, 8),
                TACHYON_ERR_FULL);
    CHECK_OK(tachyon_rpc_commit_reply(stuck.callee, stuck.waiting, 8, 8));
    get(stuck.other, 1, 17);
    for (uint64_t i = 0; i < 1000; i++)
        exchange(stuck.callee, stuck.other, i);
    CHECK_OK(tachyon_rpc_get_stats(stuck.callee, &stats));
    CHECK_EQ(stats.outstanding, 1);
    /* It takes the first one at last. */
    CHECK(tachyon_rpc_wait_timed(stuck.lazy, 1, &size, &type, 0, SECOND));
    CHECK_OK(tachyon_rpc_commit_rx(stuck.lazy));
    CHECK_OK(answer(stuck.callee, stuck.id, 1));
    get(stuck.lazy, 2, 1);
    end_stuck(&stuck);
}

static void *take_soon(void *context) {
    struct stuck *stuck = context;
    size_t got;
    uint32_t of_type;
    test_sleep_ms(20);
    CHECK(tachyon_rpc_wait_timed(stuck->lazy, 1, &got, &of_type, 0, SECOND));
    CHECK_OK(tachyon_rpc_commit_rx(stuck->lazy));
    return NULL;
}

static void *leave_soon(void *context) {
    test_sleep_ms(20);
    tachyon_rpc_close(((struct stuck *)context)->lazy);
    return NULL;
}

static void *drop_soon(void *context) {
    test_sleep_ms(20);
    CHECK_OK(tachyon_rpc_drop_peer(((struct stuck *)context)->callee, 1));
    return NULL;
}

static void *close_soon(void *context) {
    test_sleep_ms(20);
    tachyon_rpc_close(((struct stuck *)context)->callee);
    return NULL;
}

static void *overwrite_soon(void *context) {
    struct tachyon_bus *bus = rpc_bus(((struct stuck *)context)->lazy);
    test_sleep_ms(20);
    atomic_store(&region_shared(&bus->regions[1])->tail, 12345);
    ty_link_wake(&bus->link);
    return NULL;
}

TEST(a_reply_that_waits_for_room_ends_when_there_is_some_or_nobody_any_more) {
    static const struct {
        void *(*meanwhile)(void *stuck);
        tachyon_error_t error, event;
    } ways[] = {{take_soon, TACHYON_SUCCESS, TACHYON_SUCCESS},
                {leave_soon, TACHYON_ERR_CLOSED, TACHYON_ERR_CLOSED},
                {drop_soon, TACHYON_ERR_CLOSED, TACHYON_ERR_CLOSED},
                {overwrite_soon, TACHYON_ERR_CORRUPT, TACHYON_ERR_CORRUPT},
                {close_soon, TACHYON_ERR_CLOSED, TACHYON_SUCCESS}};
    for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct stuck stuck = get_stuck(test_path("rpc"));
        pthread_t thread = test_thread(ways[i].meanwhile, &stuck);
        uint32_t spins = i % 2 ? 0 : 1000;
        CHECK_ERROR(
            tachyon_rpc_reply_timed(stuck.callee, stuck.id, "x", 1, 8, spins, -1),
            ways[i].error);
        if (ways[i].event != TACHYON_SUCCESS)
            CHECK_SAYS("has left");
        test_join(thread);
        bool closed = ways[i].meanwhile == close_soon;
        CHECK_EQ(tachyon_rpc_get_state(stuck.callee),
                 closed ? TACHYON_STATE_DISCONNECTED : TACHYON_STATE_READY);
        CHECK_ERROR(answer(stuck.callee, stuck.waiting, 9),
                    closed ? TACHYON_ERR_CLOSED : TACHYON_SUCCESS);
        if (!closed)
            get(stuck.other, 1, 9);
        if (ways[i].event != TACHYON_SUCCESS)
            gone(stuck.callee, 1, ways[i].event);
        end_stuck(&stuck);
    }
}

TEST(a_reservation_that_waits_for_room_ends_so_too) {
    struct stuck stuck = get_stuck(test_path("rpc"));
    ask(stuck.lazy, 3);
    take(stuck.callee, 3);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(stuck.callee, 8), TACHYON_ERR_FULL);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx_timed(stuck.callee, 8, 0, 10 * MILLI),
                  TACHYON_ERR_TIMEOUT);
    pthread_t thread = test_thread(leave_soon, &stuck);
    uint64_t *slot = tachyon_rpc_acquire_reply_tx_timed(stuck.callee, 8, 0, -1);
    CHECK(slot); /* apart */
    *slot = 5;
    test_join(thread);
    CHECK_ERROR(tachyon_rpc_commit_reply(stuck.callee, stuck.id, 8, 8),
                TACHYON_ERR_CLOSED);
    CHECK_OK(tachyon_rpc_commit_reply(stuck.callee, stuck.waiting, 8, 8));
    get(stuck.other, 1, 5);
    end_stuck(&stuck);
}

/* ---- Callers that lie ---- */

/* The caller's rings, in its hands. */
static struct ring_line *requests(tachyon_rpc_bus_t *caller) {
    return tachyon_rpc_memory(caller, 1, &size);
}

TEST(ids_that_no_caller_may_have_end_their_own_caller_only) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *honest = come(callee, path);
    static const uint64_t lies[] = {0, 2, UINT64_MAX, UINT64_C(1) << 48,
                                    (UINT64_C(1) << 48) + 1};
    uint32_t peer = 1;
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++)
        for (uint64_t good = 0; good < 3; good++) {
            tachyon_rpc_bus_t *liar = come(callee, path);
            uint64_t id = 0;
            peer++;
            for (uint64_t n = 0; n < good; n++) {
                ask(liar, n);
                id = take(callee, n);
            }
            for (uint64_t n = good; n < 5; n++)
                ask(liar, n);
            requests(liar)[good].correlation_id = lies[i] == 2   ? good + 2
                                                  : lies[i] == 0 ? good
                                                                 : lies[i];
            if (i % 2)
                exchange(callee, honest, 9);
            gone(callee, peer, TACHYON_ERR_CORRUPT);
            if (good > 0)
                CHECK_ERROR(answer(callee, id, 1), TACHYON_ERR_CORRUPT);
            CHECK_REFUSED(tachyon_rpc_wait_timed(liar, 1, &size, &type, 0, SECOND),
                          TACHYON_ERR_CLOSED);
            tachyon_rpc_destroy(liar);
        }
    exchange(callee, honest, 10);
    tachyon_rpc_destroy(honest);
    tachyon_rpc_destroy(callee);
}

TEST(who_lies_and_leaves_at_once_is_not_looked_at_for_ever) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *honest = come(callee, path), *liar = come(callee, path);
    uint64_t id;
    exchange(callee, honest, 1);
    exchange(callee, liar, 2);
    /* After a sleep its end is told before anybody looks at its ring. */
    CHECK_REFUSED(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, 20 * MILLI),
                  TACHYON_ERR_TIMEOUT);
    struct ring_line *lines = requests(liar);
    ask(liar, 3);
    lines[1].correlation_id = 7;
    tachyon_rpc_destroy(liar);
    gone(callee, 2, TACHYON_ERR_CORRUPT);
    exchange(callee, honest, 4);
    tachyon_rpc_destroy(honest);
    tachyon_rpc_destroy(callee);
}

TEST(an_id_that_changes_while_it_is_read_changes_nothing) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *liar = come(callee, path);
    uint64_t id, again;
    ask(liar, 1);
    CHECK(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, SECOND));
    requests(liar)[0].correlation_id = 77;
    CHECK(tachyon_rpc_serve_timed(callee, &again, &type, &size, 0, SECOND));
    CHECK_EQ(again, id);
    CHECK_OK(tachyon_rpc_commit_serve(callee));
    CHECK_OK(answer(callee, id, 2));
    get(liar, 1, 2);
    tachyon_rpc_destroy(liar);
    tachyon_rpc_destroy(callee);
}

TEST(liars_do_not_keep_a_callee_longer_than_its_time_out) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 64), *liars[32];
    uint64_t id;
    for (unsigned i = 0; i < 32; i++) {
        liars[i] = come(callee, path);
        ask(liars[i], i);
        requests(liars[i])[0].correlation_id = 5;
    }
    CHECK_TAKES(
        50, 100,
        CHECK_REFUSED(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, 50 * MILLI),
                      TACHYON_ERR_TIMEOUT));
    CHECK_EQ(tachyon_rpc_get_peers(callee, NULL, 0), 0);
    for (unsigned i = 0; i < 32; i++)
        tachyon_rpc_destroy(liars[i]);
    tachyon_rpc_destroy(callee);
}

TEST(a_tail_that_no_caller_may_have_ends_its_own_caller_only) {
    struct stuck stuck = get_stuck(test_path("rpc"));
    static const uint64_t tails[] = {1, 1 << 20};
    struct tachyon_bus *lazy = rpc_bus(stuck.lazy);
    atomic_store(&region_shared(&lazy->regions[1])->tail, tails[0]);
    CHECK_ERROR(answer(stuck.callee, stuck.id, 1), TACHYON_ERR_CORRUPT);
    CHECK_SAYS("has left");
    CHECK_OK(answer(stuck.callee, stuck.waiting, 3));
    get(stuck.other, 1, 3);
    gone(stuck.callee, 1, TACHYON_ERR_CORRUPT);
    end_stuck(&stuck);
}

/* ---- Many at once ---- */

struct crowd {
    const char *path;
    unsigned lives, calls, outstanding;
    _Atomic unsigned done;
    _Atomic uint64_t *begun; /* shared with processes: lives that have got a reply */
};

static uint64_t reply_to(uint64_t what) {
    return what * UINT64_C(0x9E3779B97F4A7C15);
}

/* One life of a caller: so many calls, up to `outstanding` at a time; some are given up. */
static void live(const struct crowd *crowd, uint64_t seed) {
    tachyon_options_t options = {.size = sizeof options, .timeout_ns = 20 * SECOND};
    tachyon_rpc_bus_t *caller;
    size_t got_size;
    uint32_t got_type;
    uint64_t asked = 0, got = 0, id, reply;
    bool begun = false;
    CHECK_OK(tachyon_rpc_connect_with(crowd->path, &options, &caller));
    while (got < crowd->calls) {
        if (asked < crowd->calls && asked - got < crowd->outstanding) {
            uint64_t what = seed + ++asked;
            CHECK_OK(tachyon_rpc_call_timed(caller, &what, sizeof what, 7, &id, 0, -1));
            CHECK_EQ(id, asked);
            if (asked % 16 == 0) {
                CHECK_OK(tachyon_rpc_cancel(caller, id));
                got++;
            }
            continue;
        }
        const void *answer =
            tachyon_rpc_wait_any(caller, &id, &got_size, &got_type, 10, 20 * SECOND);
        CHECK(answer);
        CHECK_EQ(got_size, sizeof reply);
        memcpy(&reply, answer, sizeof reply);
        CHECK(reply == reply_to(seed + id));
        CHECK_OK(tachyon_rpc_commit_rx(caller));
        got++;
        if (!begun && crowd->begun)
            atomic_fetch_add(crowd->begun, 1);
        begun = true;
    }
    tachyon_rpc_destroy(caller);
}

static void *live_often(void *context) {
    struct crowd *crowd = context;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    for (unsigned life = 0; life < crowd->lives; life++)
        live(crowd, seed += 1000);
    atomic_fetch_add(&crowd->done, 1);
    return NULL;
}

/* Serve until so many have come and gone, with replies out of order, some in place. */
static void serve_all(tachyon_rpc_bus_t *callee, unsigned lives) {
    uint64_t waiting[256], random = 3, id, what;
    unsigned count = 0, left = 0;
    while (left < lives) {
        tachyon_event_t event;
        bool took = count < 256;
        const void *request =
            took ? tachyon_rpc_serve_timed(callee, &id, &type, &size, 10,
                                           count > 0 ? 0 : 20 * MILLI)
                 : NULL;
        if (request) {
            memcpy(&what, request, sizeof what);
            CHECK_OK(tachyon_rpc_commit_serve(callee));
            waiting[count++] = id;
            waiting[count++] = what;
        } else if (took) {
            CHECK(tachyon_last_error() == TACHYON_ERR_EMPTY ||
                  tachyon_last_error() == TACHYON_ERR_TIMEOUT);
        }
        if (!request && count > 0) {
            unsigned at = (unsigned)test_random_below(&random, count / 2) * 2;
            tachyon_error_t error;
            what = reply_to(waiting[at + 1]);
            uint64_t *slot = test_random_below(&random, 2)
                                 ? tachyon_rpc_acquire_reply_tx(callee, sizeof what)
                                 : NULL;
            if (slot) {
                *slot = what;
                error = tachyon_rpc_commit_reply(callee, waiting[at], sizeof what, 8);
            } else {
                error = answer(callee, waiting[at], what);
            }
            /* To a call that was given up, whose caller may have gone, long ago even. */
            CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_FULL ||
                  error == TACHYON_ERR_CLOSED || error == TACHYON_ERR_PEER_DEAD);
            if (error != TACHYON_ERR_FULL) {
                waiting[at + 1] = waiting[--count];
                waiting[at] = waiting[--count];
            }
        }
        while (tachyon_rpc_accept(callee, &event, 0) == TACHYON_SUCCESS)
            if (event.kind == TACHYON_EVENT_LEFT) {
                CHECK_EQ(event.reason, TACHYON_ERR_CLOSED);
                left++;
            }
    }
    CHECK_EQ(tachyon_rpc_get_state(callee), TACHYON_STATE_READY);
}

static void run_crowd(unsigned callers, unsigned lives, unsigned calls,
                      unsigned outstanding) {
    struct crowd crowd = {.path = test_path("rpc"),
                          .lives = lives,
                          .calls = calls,
                          .outstanding = outstanding};
    tachyon_rpc_bus_t *callee = listen_for(crowd.path, callers);
    pthread_t threads[64];
    for (unsigned i = 0; i < callers; i++)
        threads[i] = test_thread(live_often, &crowd);
    serve_all(callee, callers * lives);
    for (unsigned i = 0; i < callers; i++)
        test_join(threads[i]);
    CHECK_EQ(tachyon_rpc_get_peers(callee, NULL, 0), 0);
    tachyon_rpc_destroy(callee);
}

TEST(each_reply_is_right_with_many_calls_outstanding) {
    run_crowd(1, 1, 20000, 64);
    run_crowd(8, 2, 2000, 64);
    run_crowd(16, 1, 500, 1);
    run_crowd(64, 1, 100, 8);
}

TEST(each_reply_is_right_over_a_thousand_joins_and_leaves) {
    run_crowd(8, 125, 20, 7);
}

static void live_in_a_process(void *context) {
    const struct crowd *crowd = context;
    live(crowd, (uint64_t)getpid() << 20);
}

static void live_for_ever(void *context) {
    const struct crowd *crowd = context;
    struct crowd endless = *crowd;
    endless.calls = 1000000000;
    live(&endless, (uint64_t)getpid() << 20);
}

struct killing {
    const struct crowd *crowd;
    unsigned kills;
};

/* Processes that call, and are killed in the middle of it; others are left alone. */
static void start_and_kill(void *context) {
    const struct killing *killing = context;
    void *crowd = (void *)(uintptr_t)killing->crowd;
    pid_t living[3];
    for (int i = 0; i < 3; i++)
        living[i] = test_spawn(live_in_a_process, crowd);
    while (atomic_load(killing->crowd->begun) < 3)
        test_sleep_ms(1);
    for (unsigned i = 0; i < killing->kills; i++) {
        pid_t pid = test_spawn(live_for_ever, crowd);
        while (atomic_load(killing->crowd->begun) < 3 + i + 1)
            test_sleep_ms(1);
        test_sleep_ms(i % 5);
        kill(pid, SIGKILL);
        CHECK_EQ(test_wait(pid), -SIGKILL);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(test_wait(living[i]), 0);
}

TEST(killed_callers_take_nothing_with_them_but_their_own_calls) {
    struct crowd crowd = {
        .path = test_path("rpc"), .calls = 3000, .outstanding = 64, .lives = 1};
    struct killing killing = {&crowd, 30};
    size_t before = test_count_fds();
    crowd.begun = mmap(NULL, sizeof *crowd.begun, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK((void *)crowd.begun != MAP_FAILED);
    /* Those that are not drained yet have their places, too. */
    tachyon_rpc_bus_t *callee = listen_for(crowd.path, 16);
    pid_t pid = test_spawn(start_and_kill, &killing);
    uint64_t id, what;
    unsigned left = 0, dead = 0;
    uint64_t late[64] = {0}; /* answered when their callers have long gone */
    for (uint64_t n = 0; left < 33; n++) {
        tachyon_event_t event;
        const void *request =
            tachyon_rpc_serve_timed(callee, &id, &type, &size, 10, 10 * MILLI);
        if (request) {
            memcpy(&what, request, sizeof what);
            CHECK_OK(tachyon_rpc_commit_serve(callee));
            what = reply_to(what);
            tachyon_error_t error = tachyon_rpc_reply_timed(
                callee, id, &what, sizeof what, 8, 0, 20 * SECOND);
            CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_PEER_DEAD ||
                  error == TACHYON_ERR_CLOSED);
            CHECK(answer(callee, late[n % 64], 666) != TACHYON_SUCCESS);
            late[n % 64] = id;
        }
        while (tachyon_rpc_accept(callee, &event, 0) == TACHYON_SUCCESS)
            if (event.kind == TACHYON_EVENT_LEFT) {
                dead += event.reason == TACHYON_ERR_PEER_DEAD;
                left++;
            }
    }
    CHECK_EQ(dead, 30);
    CHECK_EQ(test_wait(pid), 0);
    CHECK_EQ(tachyon_rpc_get_peers(callee, NULL, 0), 0);
    tachyon_rpc_destroy(callee);
    CHECK_EQ(test_count_fds(), before);
    munmap((void *)crowd.begun, sizeof *crowd.begun);
}

/* ---- The handle ---- */

TEST(what_is_for_the_other_kinds_of_end_is_refused) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *caller = come(callee, path);
    tachyon_event_t event;
    uint64_t id;
    CHECK_ERROR(tachyon_rpc_call(callee, "x", 1, 1, &id), TACHYON_ERR_BUSY);
    CHECK_SAYS("listens");
    CHECK_REFUSED(tachyon_rpc_acquire_tx(callee, 1), TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_rpc_wait_timed(callee, 1, &size, &type, 0, 0),
                  TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_cancel(callee, 1), TACHYON_ERR_BUSY);
    CHECK_ERROR(tachyon_rpc_commit_rx(callee), TACHYON_ERR_BUSY);
    CHECK_REFUSED(tachyon_rpc_memory(callee, 0, &size), TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(tachyon_rpc_max_payload(callee), MOST);
    CHECK_REFUSED(tachyon_rpc_serve_timed(callee, NULL, &type, &size, 0, 0),
                  TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_accept(caller, &event, 0), TACHYON_ERR_INVALID_SZ);
    CHECK_SAYS("max_peers was 0");
    CHECK_EQ(tachyon_rpc_get_peers(caller, NULL, 0), 0);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_INVALID_SZ);
    CHECK_ERROR(tachyon_rpc_drop_peer(caller, 1), TACHYON_ERR_INVALID_SZ);
    CHECK_EQ(tachyon_rpc_sender(caller), 0);
    CHECK_EQ(tachyon_rpc_sender(NULL), 0);
    CHECK_ERROR(tachyon_rpc_accept(NULL, &event, 0), TACHYON_ERR_NULL_PTR);
    CHECK_ERROR(tachyon_rpc_accept(callee, NULL, 0), TACHYON_ERR_NULL_PTR);
    CHECK_EQ(tachyon_rpc_get_peers(NULL, NULL, 0), 0);
    CHECK_ERROR(tachyon_rpc_drop_peer(NULL, 1), TACHYON_ERR_NULL_PTR);
    tachyon_rpc_destroy(caller);
    tachyon_rpc_destroy(callee);
}

static void *serve_until_closed(void *context) {
    uint64_t id;
    uint32_t of_type;
    size_t of_size;
    CHECK_REFUSED(tachyon_rpc_serve(context, &id, &of_type, &of_size, 0),
                  TACHYON_ERR_CLOSED);
    return NULL;
}

TEST(close_from_another_thread_ends_a_serve_and_tells_each_caller) {
    for (int aborts = 0; aborts < 2; aborts++) {
        const char *path = test_path("rpc");
        tachyon_rpc_bus_t *callee = listen_for(path, 8), *callers[3];
        for (int i = 0; i < 3; i++)
            callers[i] = come(callee, path);
        uint64_t id = ask(callers[0], 1);
        CHECK_OK(answer(callee, take(callee, 1), 2));
        pthread_t thread = test_thread(serve_until_closed, callee);
        test_await_sleep();
        CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(callee, 8), TACHYON_ERR_BUSY);
        if (aborts)
            tachyon_rpc_abort(callee);
        else
            tachyon_rpc_close(callee);
        test_join(thread);
        get(callers[0], id, 2); /* it was sent before */
        for (int i = 0; i < 3; i++) {
            uint64_t none = 0;
            tachyon_rpc_call(callers[i], "x", 1, 7, &none);
            CHECK_REFUSED(tachyon_rpc_wait_any(callers[i], &none, &size, &type, 0, -1),
                          aborts ? TACHYON_ERR_ABORTED : TACHYON_ERR_CLOSED);
        }
        CHECK_ERROR(answer(callee, 1, 1), TACHYON_ERR_CLOSED);
        CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(callee, 8), TACHYON_ERR_CLOSED);
        for (int i = 0; i < 3; i++)
            tachyon_rpc_destroy(callers[i]);
        tachyon_rpc_destroy(callee);
    }
}

static void *accept_until_closed(void *context) {
    tachyon_event_t event;
    uintptr_t joined = 0;
    while (tachyon_rpc_accept(context, &event, -1) == TACHYON_SUCCESS)
        joined += event.kind == TACHYON_EVENT_JOINED;
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    return (void *)joined;
}

TEST(accept_in_a_thread_of_its_own_lets_callers_in_while_others_are_served) {
    struct crowd crowd = {
        .path = test_path("rpc"), .lives = 10, .calls = 100, .outstanding = 8};
    tachyon_rpc_bus_t *callee = listen_for(crowd.path, 4);
    pthread_t accepting = test_thread(accept_until_closed, callee), callers[4];
    for (int i = 0; i < 4; i++)
        callers[i] = test_thread(live_often, &crowd);
    while (atomic_load(&crowd.done) < 4) {
        uint64_t id, what;
        const void *request =
            tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, MILLI);
        if (!request)
            continue;
        memcpy(&what, request, sizeof what);
        CHECK_OK(tachyon_rpc_commit_serve(callee));
        tachyon_error_t error = answer(callee, id, reply_to(what));
        CHECK(error == TACHYON_SUCCESS || error == TACHYON_ERR_CLOSED);
    }
    for (int i = 0; i < 4; i++)
        test_join(callers[i]);
    tachyon_rpc_close(callee);
    CHECK_EQ((uintptr_t)test_join(accepting), 40);
    tachyon_rpc_destroy(callee);
}

static void use_in_child(void *context) {
    tachyon_rpc_bus_t *callee = context;
    tachyon_event_t event;
    uint64_t id;
    CHECK_REFUSED(tachyon_rpc_serve(callee, &id, &type, &size, 0), TACHYON_ERR_FORKED);
    CHECK_ERROR(answer(callee, 1, 1), TACHYON_ERR_FORKED);
    CHECK_REFUSED(tachyon_rpc_acquire_reply_tx(callee, 8), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_rpc_commit_reply(callee, 1, 1, 1), TACHYON_ERR_FORKED);
    CHECK_ERROR(tachyon_rpc_accept(callee, &event, 0), TACHYON_ERR_FORKED);
    CHECK_EQ(tachyon_rpc_get_peers(callee, NULL, 0), 0);
    CHECK_ERROR(tachyon_rpc_drop_peer(callee, 1), TACHYON_ERR_FORKED);
    tachyon_rpc_rollback_reply(callee);
    tachyon_rpc_close(callee);
    tachyon_rpc_destroy(callee);
}

TEST(a_forked_child_can_do_nothing_and_harms_nobody) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *caller = come(callee, path);
    ask(caller, 1);
    uint64_t id = take(callee, 1);
    uint64_t *slot = tachyon_rpc_acquire_reply_tx(callee, 8);
    CHECK_EQ(test_wait(test_spawn(use_in_child, callee)), 0);
    *slot = 2;
    CHECK_OK(tachyon_rpc_commit_reply(callee, id, 8, 8));
    get(caller, 1, 2);
    exchange(callee, caller, 5);
    tachyon_rpc_destroy(caller);
    gone(callee, 1, TACHYON_ERR_CLOSED);
    tachyon_rpc_destroy(callee);
}

static bool is_readable(tachyon_rpc_bus_t *rpc) {
    struct pollfd fd = {.fd = tachyon_rpc_fileno(rpc), .events = POLLIN};
    CHECK(fd.fd >= 0);
    return poll(&fd, 1, 0) == 1;
}

TEST(the_descriptor_tells_of_requests_of_room_and_of_callers) {
    struct stuck stuck = get_stuck(test_path("rpc"));
    tachyon_rpc_bus_t *callee = stuck.callee;
    CHECK(is_readable(callee));
    for (uint64_t round = 0; round < 50; round++) {
        while (is_readable(callee))
            take_nothing(callee);
        ask(stuck.other, round);
        CHECK(is_readable(callee));
        CHECK_OK(answer(callee, take(callee, round), 1));
        get(stuck.other, round + 2, 1);
    }
    take_nothing(callee);
    CHECK_ERROR(answer(callee, stuck.id, 1), TACHYON_ERR_FULL);
    while (is_readable(callee)) {
        take_nothing(callee);
        CHECK_ERROR(answer(callee, stuck.id, 1), TACHYON_ERR_FULL);
    }
    CHECK(tachyon_rpc_wait_timed(stuck.lazy, 1, &size, &type, 0, SECOND));
    CHECK_OK(tachyon_rpc_commit_rx(stuck.lazy));
    CHECK(is_readable(callee)); /* now it fits */
    CHECK_OK(answer(callee, stuck.id, 1));
    get(stuck.lazy, 2, 1);
    while (is_readable(callee))
        take_nothing(callee);
    tachyon_rpc_close(stuck.lazy);
    CHECK(is_readable(callee));
    gone(callee, 1, TACHYON_ERR_CLOSED);
    end_stuck(&stuck);
}

TEST(a_caller_that_leaves_while_a_reply_to_it_is_reserved_is_let_go) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *caller = come(callee, path);
    ask(caller, 1);
    uint64_t id = take(callee, 1), *slot = tachyon_rpc_acquire_reply_tx(callee, 8);
    tachyon_rpc_destroy(caller);
    CHECK(is_readable(callee));
    gone(callee, 1, TACHYON_ERR_CLOSED);
    *slot = 2;
    CHECK_ERROR(tachyon_rpc_commit_reply(callee, id, 8, 1), TACHYON_ERR_CLOSED);
    tachyon_rpc_rollback_reply(callee);
    tachyon_rpc_destroy(callee);
}

TEST(who_asked_last_cannot_write_a_reply_to_another) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8);
    tachyon_rpc_bus_t *honest = come(callee, path), *villain = come(callee, path);
    uint64_t call = ask(honest, 1), id = take(callee, 1);
    ask(villain, 2);
    take(callee, 2);
    uint64_t *slot = tachyon_rpc_acquire_reply_tx(callee, 8);
    *slot = 3;
    size_t mapped;
    memset(tachyon_rpc_memory(villain, 0, &mapped), 0xFF, 4096);
    CHECK_OK(tachyon_rpc_commit_reply(callee, id, 8, 8));
    get(honest, call, 3);
    tachyon_rpc_destroy(honest);
    tachyon_rpc_destroy(villain);
    tachyon_rpc_destroy(callee);
}

TEST(who_watches_no_messages_is_told_of_room_only) {
    struct stuck stuck = get_stuck(test_path("rpc"));
    tachyon_rpc_bus_t *callee = stuck.callee;
    CHECK(is_readable(callee));
    take_nothing(callee);
    tachyon_rpc_watch_messages(callee, 0);
    for (int i = 0; i < 3; i++) { /* whoever asks, once for each */
        CHECK_ERROR(answer(callee, stuck.id, 1), TACHYON_ERR_FULL);
        ask(stuck.other, 1);
    }
    CHECK_ERROR(answer(callee, stuck.id, 1), TACHYON_ERR_FULL);
    CHECK(!is_readable(callee));
    ask(stuck.other, 2);
    CHECK(!is_readable(callee));
    CHECK(tachyon_rpc_wait_timed(stuck.lazy, 1, &size, &type, 0, SECOND));
    CHECK_OK(tachyon_rpc_commit_rx(stuck.lazy));
    CHECK(is_readable(callee));
    CHECK_OK(answer(callee, stuck.id, 1));
    tachyon_rpc_watch_messages(callee, 1);
    CHECK(is_readable(callee));
    take(callee, 1);
    end_stuck(&stuck);
}

TEST(it_takes_no_processor_time_while_nobody_calls) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 64), *callers[64];
    uint64_t id;
    for (unsigned i = 0; i < 64; i++)
        callers[i] = come(callee, path);
    clock_t begin = clock();
    CHECK_REFUSED(tachyon_rpc_serve_timed(callee, &id, &type, &size, 100, SECOND),
                  TACHYON_ERR_TIMEOUT);
    CHECK_IN((clock() - begin) * 1000 / CLOCKS_PER_SEC, 0, 100); /* of a second */
    for (unsigned i = 0; i < 64; i++)
        tachyon_rpc_destroy(callers[i]);
    tachyon_rpc_destroy(callee);
}

/* ---- Turns ---- */

TEST(callers_that_ask_all_the_time_are_served_in_equal_shares) {
    const char *path = test_path("rpc");
    tachyon_rpc_bus_t *callee = listen_for(path, 8), *callers[8];
    uint64_t id, served[9] = {0};
    for (unsigned i = 0; i < 8; i++)
        callers[i] = come(callee, path);
    for (unsigned round = 1; round <= 50; round++) {
        for (unsigned i = 0; i < 8; i++)
            while (tachyon_rpc_call(callers[i], "x", 1, 7, &id) == TACHYON_SUCCESS)
                continue;
        for (unsigned n = 0; n < 8 * 32; n++) {
            CHECK(tachyon_rpc_serve_timed(callee, &id, &type, &size, 0, 0));
            CHECK_OK(tachyon_rpc_commit_serve(callee));
            served[tachyon_rpc_sender(callee)]++;
        }
        for (unsigned i = 1; i <= 8; i++)
            CHECK_IN(served[i], 32 * round - 31, 32 * round + 31);
    }
    for (unsigned i = 0; i < 8; i++)
        tachyon_rpc_destroy(callers[i]);
    tachyon_rpc_destroy(callee);
}

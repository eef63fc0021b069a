/* SPDX-License-Identifier: Apache-2.0 */
/* A callee of honest and hostile callers. */
#include "scene.h"

#define OPEN 16 /* calls of an honest caller without a reply */

static void ask_some(struct scene *scene, unsigned who) {
    static uint8_t payload[MOST];
    uint64_t id;
    for (uint64_t count = test_random_below(scene->random, 6);
         count > 0 && scene->sent[who] - scene->replied[who] < OPEN; count--) {
        size_t size = message_size(scene->sent[who], MOST);
        message_write(scene->sent[who], payload, size);
        if (tachyon_rpc_call(rpc_of_bus(scene->honest[who]), payload, size, 1, &id) !=
            TACHYON_SUCCESS) {
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
            return;
        }
        if (scene->sent[who]++ == scene->got[who])
            scene->others[who] = 0; /* from now on it waits */
        CHECK_EQ(id, scene->sent[who]);
    }
}

/* Each reply is that to its own call. */
static void take_replies(struct scene *scene, unsigned who) {
    tachyon_rpc_bus_t *rpc = rpc_of_bus(scene->honest[who]);
    uint64_t id;
    uint32_t type;
    size_t size;
    const void *reply;
    while (scene->replied[who] < scene->sent[who] &&
           (reply = tachyon_rpc_wait_any(rpc, &id, &size, &type, 0, 0))) {
        CHECK(size == message_size(id, MOST) && message_is(id, reply, size));
        CHECK_OK(tachyon_rpc_commit_rx(rpc));
        scene->replied[who]++;
    }
    CHECK(scene->replied[who] == scene->sent[who] ||
          tachyon_last_error() == TACHYON_ERR_EMPTY);
}

static void serve_one(struct scene *scene) {
    tachyon_rpc_bus_t *callee = rpc_of_bus(scene->listener);
    struct request *request = &scene->waiting[scene->waits];
    int64_t timeout_ns = test_random_below(scene->random, 16) / 15 * MS,
            begin_ns = ty_now_ns();
    uint32_t type;
    size_t size;
    const void *payload =
        tachyon_rpc_serve_timed(callee, &request->id, &type, &size, 5, timeout_ns);
    measure(scene->outcome, begin_ns);
    if (!payload) {
        if (!is_temporary(tachyon_last_error()))
            FAIL("hostile callers cause %s", tachyon_last_error_message());
        return;
    }
    uint32_t sender = tachyon_rpc_sender(callee);
    request->who = sender <= HONEST ? sender - 1 : HONEST;
    request->number = request->who < HONEST ? scene->got[request->who] : 0;
    see(scene, payload, size, true);
    CHECK_OK(tachyon_rpc_commit_serve(callee));
    scene->waits++;
}

/* Of a request that waits, in place or copied. The honest take theirs: FULL passes. */
static tachyon_error_t reply_to(struct scene *scene, const struct request *request) {
    static uint8_t payload[MOST];
    tachyon_rpc_bus_t *callee = rpc_of_bus(scene->listener);
    uint64_t number = request->number + 1; /* its caller's id */
    size_t size = message_size(number, MOST);
    int64_t timeout_ns =
                request->who == HONEST && test_random_below(scene->random, 16) == 0 ? MS
                                                                                    : 0,
            begin_ns = ty_now_ns();
    tachyon_error_t error;
    message_write(number, payload, size);
    if (test_random_below(scene->random, 2) == 0) {
        error = tachyon_rpc_reply_timed(callee, request->id, payload, size, 2, 5,
                                        timeout_ns);
    } else {
        uint8_t *slot = tachyon_rpc_acquire_reply_tx_timed(callee, MOST, 5, timeout_ns);
        if (slot) {
            memset(slot, 0xAA, MOST); /* all of it is there */
            memcpy(slot, payload, size);
            for (uint64_t pauses = test_random_below(scene->random, 300); pauses > 0;
                 pauses--)
                ty_pause(); /* in which they write where they can */
        }
        error = slot ? tachyon_rpc_commit_reply(callee, request->id, size, 2)
                     : tachyon_last_error();
        if (!slot && !is_temporary(error))
            FAIL("no room among hostile callers: %s", tachyon_last_error_message());
        if (slot && error != TACHYON_SUCCESS)
            tachyon_rpc_rollback_reply(callee);
    }
    measure(scene->outcome, begin_ns);
    return error;
}

static void reply_one(struct scene *scene) {
    if (scene->waits == 0)
        return;
    struct request *request =
        &scene->waiting[test_random_below(scene->random, scene->waits)];
    tachyon_error_t error = reply_to(scene, request);
    bool hostile = request->who == HONEST;
    if (is_temporary(error)) {
        if (!hostile)
            take_replies(scene, request->who);
        if (!hostile || test_random_below(scene->random, 4) > 0)
            return; /* else we do not wait for it any longer */
    } else if (error != TACHYON_SUCCESS) {
        if (!hostile || (error != TACHYON_ERR_CLOSED && error != TACHYON_ERR_CORRUPT &&
                         error != TACHYON_ERR_PEER_DEAD))
            FAIL("a reply among hostile callers: %s", tachyon_last_error_message());
    }
    *request = scene->waiting[--scene->waits];
}

static void serve_some(struct scene *scene) {
    for (uint64_t count = test_random_below(scene->random, 6); count > 0; count--)
        if (scene->waits < WAITING)
            serve_one(scene);
    for (uint64_t count = test_random_below(scene->random, 8); count > 0; count--)
        reply_one(scene);
}

static bool all_are_answered(const struct scene *scene) {
    bool all = true;
    for (unsigned who = 0; who < HONEST; who++)
        all = all && scene->replied[who] == scene->sent[who];
    return all;
}

void suffer_callers(struct scene scene) {
    open_scene(&scene, (tachyon_options_t){0});
    for (int i = 0; i < ACTIONS; i++) {
        unsigned who = (unsigned)test_random_below(scene.random, HONEST);
        if (test_random_below(scene.random, 10) == 0)
            change_villain(&scene);
        ask_some(&scene, who);
        serve_some(&scene);
        take_replies(&scene, who);
        look_at_events(&scene);
    }
    for (unsigned rounds = 0; !all_are_answered(&scene); rounds++) {
        serve_some(&scene);
        for (unsigned who = 0; who < HONEST; who++)
            take_replies(&scene, who);
        CHECK(rounds < 100000);
    }
    close_scene(&scene);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#define CALL_MS 2000 /* no call may take longer; each is given 1 ms */

void measure(struct outcome *outcome, int64_t begin_ns) {
    int64_t took_ns = ty_now_ns() - begin_ns;
    outcome->calls++;
    outcome->longest_ns = took_ns > outcome->longest_ns ? took_ns : outcome->longest_ns;
    CHECK_OR_AGAIN(took_ns <= CALL_MS * MS);
}

void open_scene(struct scene *scene, tachyon_options_t options) {
    options.size = sizeof options;
    options.max_peers = HONEST + VILLAINS;
    scene->path = test_path("crowd");
    bool call = options.role == 0;
    if (call) {
        tachyon_rpc_bus_t *rpc;
        CHECK_OK(
            tachyon_rpc_listen_with(scene->path, CAPACITY, CAPACITY, &options, &rpc));
        scene->listener = rpc_bus(rpc);
    } else {
        CHECK_OK(
            tachyon_bus_listen_with(scene->path, CAPACITY, &options, &scene->listener));
    }
    for (int i = 0; i < HONEST; i++) {
        CHECK_OK(try_to_join(scene->listener, scene->path, call, &scene->honest[i]));
        crowd_event(scene->listener, TACHYON_EVENT_JOINED);
    }
    scene->villains->read = options.role == TACHYON_ROLE_PRODUCER;
    scene->villains->call = call;
}

void look_at_events(struct scene *scene) {
    tachyon_event_t event;
    while (tachyon_bus_accept(scene->listener, &event, 0) == TACHYON_SUCCESS) {
        CHECK(event.peer > HONEST);
        if (event.kind == TACHYON_EVENT_JOINED) {
            scene->outcome->joined++;
            continue;
        }
        scene->outcome->corrupt += event.reason == TACHYON_ERR_CORRUPT;
        scene->outcome->lagged += event.reason == TACHYON_ERR_LAGGED;
        CHECK(event.reason == TACHYON_ERR_CORRUPT ||
              event.reason == TACHYON_ERR_LAGGED || event.reason == TACHYON_ERR_CLOSED);
        for (int i = 0; i < VILLAINS; i++)
            if (scene->villains->all[i].bus && scene->villains->all[i].id == event.peer)
                let_villain_go(scene->villains, &scene->villains->all[i]);
    }
    CHECK_EQ(tachyon_get_state(scene->listener), TACHYON_STATE_READY);
}

void change_villain(struct scene *scene) {
    struct villains *villains = scene->villains;
    struct villain *villain =
        &villains->all[test_random_below(scene->random, VILLAINS)];
    if (!villain->bus) {
        if (let_villain_in(villains, villain, scene->listener, scene->path) &&
            !villains->read)
            for (int i = 0; i <= villains->call; i++)
                scene->guarded[scene->guards++] = villain->guarded[i];
    } else if (test_random_below(scene->random, 3) == 0)
        tachyon_bus_drop_peer(scene->listener, villain->id);
    else
        let_villain_go(villains, villain);
}

void close_scene(struct scene *scene) {
    for (int i = 0; i < VILLAINS; i++)
        if (scene->villains->all[i].bus)
            let_villain_go(scene->villains, &scene->villains->all[i]);
    for (int i = 0; i < HONEST; i++)
        leave(scene->honest[i], scene->villains->call);
    leave(scene->listener, scene->villains->call);
    for (unsigned i = 0; i < scene->guards; i++)
        hostile_remove_guards(&scene->guarded[i]);
}

bool is_temporary(tachyon_error_t error) {
    return error == TACHYON_ERR_TIMEOUT || error == TACHYON_ERR_EMPTY ||
           error == TACHYON_ERR_FULL;
}

void expect_message(struct scene *scene, unsigned who, const void *payload,
                    size_t size) {
    uint64_t number = scene->got[who]++;
    if (size != message_size(number, MOST) || !message_is(number, payload, size))
        FAIL("message %" PRIu64 " of an honest peer has %zu other bytes", number, size);
    scene->outcome->messages++;
}

void see(struct scene *scene, const void *payload, size_t size, bool in_place) {
    uint32_t sender = tachyon_bus_sender(scene->listener);
    for (unsigned who = 0; who < HONEST; who++)
        if (sender == who + 1) {
            CHECK(scene->got[who] < scene->sent[who]);
            expect_message(scene, who, payload, size);
            scene->others[who] = 0;
        } else if (scene->got[who] < scene->sent[who] &&
                   ++scene->others[who] > scene->outcome->most_others) {
            scene->outcome->most_others = scene->others[who];
        }
    for (unsigned i = 0; i < VILLAINS && in_place; i++)
        if (scene->villains->all[i].id == sender)
            scene->outcome->spans +=
                hostile_span(&scene->villains->all[i].guarded[0], payload, size);
}

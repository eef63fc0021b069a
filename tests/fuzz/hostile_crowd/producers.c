/* SPDX-License-Identifier: Apache-2.0 */
/* A listener that receives from honest and hostile producers. */
#include "scene.h"

static void send_some(struct scene *scene) {
    static uint8_t payload[MOST];
    unsigned who = (unsigned)test_random_below(scene->random, HONEST);
    for (uint64_t count = test_random_below(scene->random, 6); count > 0; count--) {
        size_t size = message_size(scene->sent[who], MOST);
        message_write(scene->sent[who], payload, size);
        if (tachyon_send(scene->honest[who], payload, size, 1, 0, 0) !=
            TACHYON_SUCCESS) {
            CHECK_EQ(tachyon_last_error(), TACHYON_ERR_FULL);
            return;
        }
        if (scene->sent[who]++ == scene->got[who])
            scene->others[who] = 0; /* from now on it waits */
    }
}

static bool receive_one(struct scene *scene) {
    static uint8_t copy[CAPACITY];
    tachyon_bus_t *bus = scene->listener;
    int64_t begin_ns = ty_now_ns(),
            timeout_ns = test_random_below(scene->random, 16) / 15 * MS;
    tachyon_msg_view_t views[16];
    uint32_t type;
    size_t size, count = 0;
    switch (test_random_below(scene->random, 4)) {
    case 0: {
        const void *message =
            tachyon_acquire_rx_timed(bus, &type, &size, 5, timeout_ns);
        if (message) {
            see(scene, message, size, true);
            CHECK_OK(tachyon_commit_rx(bus));
            count = 1;
        }
        break;
    }
    case 1:
        count = tachyon_drain_batch_timed(bus, views, 16, 5, timeout_ns);
        for (size_t i = 0; i < count; i++)
            see(scene, views[i].ptr, views[i].actual_size, true);
        if (count > 0)
            CHECK_OK(tachyon_commit_rx_batch(bus, views, count));
        break;
    case 2:
        count = tachyon_recv(bus, copy, sizeof copy, &size, &type, 5, timeout_ns) ==
                TACHYON_SUCCESS;
        if (count > 0)
            see(scene, copy, size, false);
        break;
    default: /* of one size, which they may or may not have */
        count = tachyon_recv_batch(bus, copy, 8, 32, &type, 5, timeout_ns);
        for (size_t i = 0; i < count; i++)
            see(scene, copy + 8 * i, 8, false);
    }
    measure(scene->outcome, begin_ns);
    if (count == 0 && !is_temporary(tachyon_last_error()) &&
        tachyon_last_error() != TACHYON_ERR_INVALID_SZ)
        FAIL("hostile producers cause %s", tachyon_last_error_message());
    return count > 0;
}

static bool all_are_read(const struct scene *scene) {
    bool all = true;
    for (unsigned who = 0; who < HONEST; who++)
        all = all && scene->got[who] == scene->sent[who];
    return all;
}

void suffer_producers(struct scene scene) {
    open_scene(&scene, (tachyon_options_t){.role = TACHYON_ROLE_CONSUMER});
    for (int i = 0; i < ACTIONS; i++) {
        if (test_random_below(scene.random, 10) == 0)
            change_villain(&scene);
        send_some(&scene);
        for (uint64_t count = test_random_below(scene.random, 6); count > 0; count--)
            receive_one(&scene);
        look_at_events(&scene);
    }
    for (unsigned calls = 0; !all_are_read(&scene); calls++) {
        receive_one(&scene);
        CHECK(calls < 100000);
    }
    close_scene(&scene);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A listener that sends to honest and hostile readers. */
#include "scene.h"

#define STUCK 4 /* refused sends in a row: somebody is told to go */

/* Until it has nothing more. */
static void read_all(struct scene *scene, unsigned who) {
    tachyon_msg_view_t views[16];
    size_t count;
    while ((count = tachyon_drain_batch_timed(scene->honest[who], views, 16, 0, 0)) >
           0) {
        for (size_t i = 0; i < count; i++)
            expect_message(scene, who, views[i].ptr, views[i].actual_size);
        CHECK_OK(tachyon_commit_rx_batch(scene->honest[who], views, count));
    }
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_EMPTY);
}

/* Who waits waits for hostile ones only: else the honest were those that are slow. A send
 * that is kept from the processor has waited, too, whatever its time-out. */
static bool send_one(struct scene *scene, uint64_t number, int64_t timeout_ns,
                     bool evicts) {
    static uint8_t payload[MOST];
    size_t size = message_size(number, MOST);
    message_write(number, payload, size);
    for (unsigned who = 0; who < HONEST && (timeout_ns > 0 || evicts); who++)
        read_all(scene, who);
    int64_t begin_ns = ty_now_ns();
    tachyon_error_t error =
        tachyon_send(scene->listener, payload, size, 1, 5, timeout_ns);
    measure(scene->outcome, begin_ns);
    if (error != TACHYON_SUCCESS && !is_temporary(error))
        FAIL("hostile readers cause %s", tachyon_last_error_message());
    return error == TACHYON_SUCCESS;
}

void suffer_readers(struct scene scene) {
    uint64_t sent = 0;
    unsigned refused = 0;
    uint32_t slow = (uint32_t)test_random_below(scene.random, 2);
    open_scene(&scene,
               (tachyon_options_t){
                   .role = TACHYON_ROLE_PRODUCER,
                   .slow_peer = slow,
                   .slow_after_ns = slow * 3 * MS,
                   .without_peers = (uint32_t)test_random_below(scene.random, 2),
                   .keep_place_ns = test_random_below(scene.random, 2) * MS});
    for (int i = 0; i < ACTIONS; i++) {
        if (test_random_below(scene.random, 10) == 0)
            change_villain(&scene);
        if (send_one(&scene, sent, refused > 0 ? MS : 0, slow)) {
            sent++;
            refused = 0;
        } else if (++refused > STUCK) {
            change_villain(&scene);
        }
        if (test_random_below(scene.random, 20) == 0)
            read_all(&scene, (unsigned)test_random_below(scene.random, HONEST));
        look_at_events(&scene);
    }
    for (unsigned who = 0; who < HONEST; who++) {
        read_all(&scene, who);
        CHECK_EQ(scene.got[who], sent);
    }
    close_scene(&scene);
}

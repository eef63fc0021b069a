/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener with honest peers and hostile ones, which write over all that they can write
 * to, at any time, come and go. Whoever is honest reads, or is read, every message in
 * order; the listener gets no signal, no span outside a ring, no endless call and no error
 * of its own. What is lost is time: how much is counted.
 */
#include "hostile_crowd/scene.h"
#include "length.h"

#define IMPATIENCE 512 /* messages of others while one has something to be read */

static void suffer(const char *whom, void (*suffer_once)(struct scene scene),
                   struct length *length) {
    struct villains villains = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct outcome outcome = {0};
    uint64_t random = 45;
    villains.thread = test_thread(be_hostile, &villains);
    while (length_goes_on(length) || outcome.messages <= 1000 || outcome.corrupt <= 5) {
        size_t fds = test_count_fds();
        suffer_once((struct scene){
            .villains = &villains, .random = &random, .outcome = &outcome});
        CHECK_EQ(test_count_fds(), fds);
        length->done = (uint64_t)(test_now_ms() - length->begin_ms) / 1000;
    }
    pthread_mutex_lock(&villains.mutex);
    villains.over = true;
    pthread_mutex_unlock(&villains.mutex);
    test_join(villains.thread);
    length_end(length,
               "%s: %" PRIu64 " hostile peers, %" PRIu64 " writes, %" PRIu64
               " calls, %" PRIu64 " honest messages, %" PRIu64 " spans, %" PRIu64
               " times corrupt, %" PRIu64 " lagged, at most %" PRIu64
               " messages of others before an honest one, longest call %.1f ms",
               whom, outcome.joined, villains.writes, outcome.calls, outcome.messages,
               outcome.spans, outcome.corrupt, outcome.lagged, outcome.most_others,
               (double)outcome.longest_ns / 1e6);
    CHECK_IN(outcome.most_others, 0, IMPATIENCE);
}

TEST(hostile_readers_cost_the_others_nothing_but_time) {
    struct length length = length_begin("crowd", "seconds", 2, 1800);
    suffer("readers", suffer_readers, &length);
}

TEST(hostile_producers_cost_the_others_nothing_but_time) {
    struct length length = length_begin("crowd", "seconds", 2, 1800);
    suffer("producers", suffer_producers, &length);
}

TEST(hostile_callers_cost_the_others_nothing_but_time) {
    struct length length = length_begin("crowd", "seconds", 2, 1800);
    suffer("callers", suffer_callers, &length);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* calls.h by itself: examples, and random use beside a plain list. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static bool no_memory;

static void *malloc_or_not(size_t size) {
    return no_memory ? NULL : malloc(size);
}

static void *calloc_or_not(size_t count, size_t size) {
    return no_memory ? NULL : calloc(count, size);
}

#define malloc malloc_or_not
#define calloc calloc_or_not
#include "calls.h"

static struct calls new_calls(size_t count) {
    struct calls calls;
    CHECK(calls_init(&calls, count));
    return calls;
}

/* Enter the next `count` calls. */
static void enter(struct calls *calls, size_t count) {
    while (count-- > 0) {
        struct call *slot = calls_vacate(calls, 0);
        CHECK(slot);
        uint64_t before = calls->last;
        CHECK_EQ(calls_enter(calls, slot), before + 1);
    }
}

static void end(struct calls *calls, uint64_t id) {
    struct call *call = calls_find(calls, id);
    if (!call)
        FAIL("call %ju is not outstanding", (uintmax_t)id);
    calls_end(calls, call);
    CHECK(!calls_find(calls, id));
}

static bool settle(struct calls *calls, uint64_t id) {
    return calls_settle(calls, id, &id, sizeof id, (uint32_t)id + 7);
}

static void expect_kept(struct calls *calls, uint64_t id) {
    struct call *call = calls_find(calls, id);
    CHECK(call && call_settled(call) && !call->lost);
    CHECK_EQ(call->size, sizeof id);
    CHECK_EQ(call->type, (uint32_t)id + 7);
    CHECK_EQ(memcmp(call->reply, &id, sizeof id), 0);
}

/* ---- Entering, finding, ending ---- */

TEST(ids_grow_by_one_and_are_found_until_they_end) {
    struct calls calls = new_calls(4);
    enter(&calls, 3);
    CHECK_EQ(calls.outstanding, 3);
    for (uint64_t id = 1; id <= 3; id++)
        CHECK_EQ(calls_find(&calls, id)->id, id);
    end(&calls, 2);
    CHECK_EQ(calls.outstanding, 2);
    CHECK(calls_find(&calls, 1) && calls_find(&calls, 3));
    enter(&calls, 1);
    CHECK_EQ(calls_find(&calls, 4)->id, 4); /* an id is never given twice */
    calls_free(&calls);
}

TEST(an_id_that_was_not_given_is_not_found) {
    struct calls calls = new_calls(4);
    CHECK(!calls_find(&calls, 0)); /* every slot of an empty table names it */
    enter(&calls, 3);
    static const uint64_t others[] = {0,          4, 5, 6, 7, 1 + (UINT64_C(1) << 32),
                                      UINT64_MAX, 8};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        CHECK(!calls_find(&calls, others[i]));
    calls_free(&calls);
}

TEST(a_slot_that_is_not_entered_leaves_no_trace) {
    struct calls calls = new_calls(4);
    for (int i = 0; i < 10; i++)
        CHECK(calls_vacate(&calls, 0));
    CHECK_EQ(calls.last, 0);
    CHECK_EQ(calls.outstanding, 0);
    CHECK_EQ(calls.count, 4);
    calls_free(&calls);
}

TEST(calls_that_end_in_time_need_no_larger_table) {
    struct calls calls = new_calls(4);
    for (uint64_t id = 1; id <= 1000; id++) {
        enter(&calls, 1);
        if (id >= 4)
            end(&calls, id - 3);
    }
    CHECK_EQ(calls.count, 4);
    CHECK_EQ(calls.outstanding, 3);
    calls_free(&calls);
}

TEST(a_call_that_outlives_its_round_makes_the_table_grow) {
    struct calls calls = new_calls(4);
    enter(&calls, 1);
    CHECK(settle(&calls, 1));
    for (uint64_t id = 2; id <= 4; id++) {
        enter(&calls, 1);
        end(&calls, id);
    }
    CHECK_EQ(calls.count, 4);
    enter(&calls, 1); /* 5 falls on 1 */
    CHECK_EQ(calls.count, 8);
    enter(&calls, 95);
    CHECK_EQ(calls.count, 128);
    CHECK_EQ(calls.outstanding, 97);
    expect_kept(&calls, 1); /* through every size */
    for (uint64_t id = 5; id <= 100; id++)
        CHECK_EQ(calls_find(&calls, id)->id, id);
    calls_free(&calls);
}

TEST(growing_moves_every_call_past_free_slots) {
    for (uint64_t stays = 1; stays <= 32; stays++) {
        struct calls calls = new_calls(4);
        for (uint64_t id = 1; id < stays + 8; id++) {
            enter(&calls, 1);
            if (id != stays)
                end(&calls, id);
        }
        CHECK_EQ(calls.count, 8);
        CHECK_EQ(calls_find(&calls, stays)->id, stays);
        calls_free(&calls);
    }
}

TEST(at_the_largest_size_the_oldest_call_is_forgotten) {
    struct calls calls = new_calls(CALLS_MIN);
    enter(&calls, CALLS_MAX);
    CHECK(settle(&calls, 1));
    CHECK_EQ(calls.outstanding, CALLS_MAX);
    enter(&calls, 2);
    CHECK_EQ(calls.count, CALLS_MAX);
    CHECK_EQ(calls.outstanding, CALLS_MAX);
    CHECK_EQ(calls.settled, 0); /* its copy went with it */
    CHECK(!calls_find(&calls, 1) && !calls_find(&calls, 2));
    CHECK(calls_find(&calls, 3) && calls_find(&calls, CALLS_MAX + 2));
    calls_free(&calls);
}

TEST(a_pinned_call_is_not_forgotten) {
    struct calls calls = new_calls(CALLS_MIN);
    enter(&calls, CALLS_MAX);
    CHECK(settle(&calls, 1));
    CHECK(!calls_vacate(&calls, 1));
    expect_kept(&calls, 1);
    CHECK_EQ(calls.last, CALLS_MAX);
    CHECK_EQ(calls.outstanding, CALLS_MAX);
    CHECK(calls_vacate(&calls, 2)); /* that one's turn has not come */
    calls_free(&calls);
}

TEST(without_memory_for_a_larger_table_no_call_is_entered_or_forgotten) {
    struct calls calls = new_calls(4);
    enter(&calls, 4);
    no_memory = true;
    CHECK(!calls_vacate(&calls, 0));
    CHECK_EQ(calls.count, 4);
    for (uint64_t id = 1; id <= 4; id++)
        CHECK(calls_find(&calls, id));
    no_memory = false;
    enter(&calls, 1);
    CHECK_EQ(calls.outstanding, 5);
    calls_free(&calls);
}

TEST(without_memory_for_a_first_table_there_is_nothing_to_free) {
    struct calls calls;
    no_memory = true;
    CHECK(!calls_init(&calls, CALLS_MIN));
    calls_free(&calls);
}

/* ---- Replies that came early ---- */

TEST(a_reply_that_must_wait_is_copied) {
    struct calls calls = new_calls(4);
    char text[] = "reply";
    enter(&calls, 2);
    CHECK(calls_settle(&calls, 2, text, sizeof text, 9));
    memset(text, 'x', sizeof text);
    CHECK_EQ(strcmp(calls_find(&calls, 2)->reply, "reply"), 0);
    CHECK(calls_settle(&calls, 1, text, 0, 9)); /* of nothing */
    CHECK(calls_find(&calls, 1)->reply);
    CHECK_EQ(calls_find(&calls, 1)->size, 0);
    CHECK_EQ(calls.settled, 2);
    end(&calls, 1);
    CHECK_EQ(calls.settled, 1);
    calls_free(&calls);
}

TEST(a_second_reply_and_one_to_no_call_are_dropped) {
    struct calls calls = new_calls(4);
    enter(&calls, 3);
    CHECK(settle(&calls, 2));
    CHECK(!calls_settle(&calls, 2, "other", 5, 1));
    expect_kept(&calls, 2);
    CHECK(!settle(&calls, 0) && !settle(&calls, 4) && !settle(&calls, 6));
    end(&calls, 3);
    CHECK(!settle(&calls, 3)); /* cancelled */
    CHECK_EQ(calls.settled, 1);
    calls_free(&calls);
}

TEST(a_reply_without_memory_is_lost_and_a_second_one_does_not_replace_it) {
    struct calls calls = new_calls(4);
    enter(&calls, 1);
    no_memory = true;
    CHECK(!settle(&calls, 1));
    no_memory = false;
    struct call *call = calls_find(&calls, 1);
    CHECK(call->lost && !call->reply && call_settled(call));
    CHECK_EQ(calls.settled, 1);
    CHECK(!settle(&calls, 1));
    CHECK(call->lost);
    CHECK_EQ(calls_oldest_settled(&calls)->id, 1);
    end(&calls, 1);
    CHECK_EQ(calls.settled, 0);
    calls_free(&calls);
}

TEST(the_oldest_reply_that_waits_comes_first) {
    struct calls calls = new_calls(16);
    enter(&calls, 10);
    static const uint64_t order[] = {5, 3, 9, 4};
    for (size_t i = 0; i < 4; i++)
        CHECK(settle(&calls, order[i]));
    for (uint64_t id = 3; id <= 5; id++) {
        CHECK_EQ(calls_oldest_settled(&calls)->id, id);
        end(&calls, id);
    }
    CHECK(settle(&calls, 1)); /* older than all that were looked at */
    CHECK_EQ(calls_oldest_settled(&calls)->id, 1);
    end(&calls, 1);
    CHECK_EQ(calls_oldest_settled(&calls)->id, 9);
    end(&calls, 9);
    CHECK(settle(&calls, 2)); /* after none was left */
    CHECK_EQ(calls_oldest_settled(&calls)->id, 2);
    calls_free(&calls);
}

TEST(the_oldest_is_found_although_older_ones_were_forgotten) {
    struct calls calls = new_calls(CALLS_MIN);
    enter(&calls, CALLS_MAX);
    CHECK(settle(&calls, 1));
    CHECK(settle(&calls, 50));
    enter(&calls, 40);
    CHECK(settle(&calls, CALLS_MAX + 40)); /* its slot is before that of 50 */
    CHECK_EQ(calls_oldest_settled(&calls)->id, 50);
    enter(&calls, CALLS_MAX - 1);
    CHECK_EQ(calls.settled, 1);
    CHECK_EQ(calls_oldest_settled(&calls)->id, CALLS_MAX + 40);
    calls_free(&calls);
}

TEST(the_oldest_is_looked_for_no_further_back_than_the_table_reaches) {
    struct calls calls = new_calls(4);
    enter(&calls, 1);
    CHECK(settle(&calls, 1));
    end(&calls, 1);
    calls.last = UINT64_C(1) << 50;
    enter(&calls, 2);
    CHECK(settle(&calls, calls.last));
    CHECK_EQ(calls_oldest_settled(&calls)->id, (UINT64_C(1) << 50) + 2); /* in time */
    calls_free(&calls);
}

/* ---- Random use beside a list ---- */

enum state { NEVER, WAITS, KEPT, LOST, ENDED };

struct model {
    enum state *states; /* by id */
    uint64_t last, oldest;
    size_t count, outstanding, settled;
};

static bool is_open(const struct model *model, uint64_t id) {
    return id >= 1 && id <= model->last && model->states[id] != ENDED;
}

static void close_call(struct model *model, uint64_t id) {
    model->settled -= model->states[id] != WAITS;
    model->outstanding--;
    model->states[id] = ENDED;
}

static void step_enter(struct calls *calls, struct model *model, uint64_t pinned,
                       bool abandoned) {
    uint64_t id = model->last + 1;
    bool room = true;
    while (id > model->count && is_open(model, id - model->count) && room) {
        if (model->count < CALLS_MAX)
            room = !no_memory && (model->count *= 2);
        else if ((room = id - model->count != pinned))
            close_call(model, id - model->count);
    }
    struct call *slot = calls_vacate(calls, pinned);
    CHECK_EQ(slot != NULL, room);
    if (!slot || abandoned)
        return;
    CHECK_EQ(calls_enter(calls, slot), id);
    model->last = id;
    model->outstanding++;
    model->states[id] = WAITS;
}

static void step_settle(struct calls *calls, struct model *model, uint64_t id) {
    bool first = is_open(model, id) && model->states[id] == WAITS;
    CHECK_EQ(settle(calls, id), first && !no_memory);
    if (first) {
        model->states[id] = no_memory ? LOST : KEPT;
        model->settled++;
    }
}

static void step_end(struct calls *calls, struct model *model, uint64_t id) {
    struct call *call = calls_find(calls, id);
    CHECK_EQ(call != NULL, is_open(model, id));
    if (call) {
        calls_end(calls, call);
        close_call(model, id);
    }
}

static void step_oldest(struct calls *calls, struct model *model) {
    uint64_t id = model->last > CALLS_MAX ? model->last - CALLS_MAX : 1;
    if (model->settled == 0)
        return;
    while (model->states[id] != KEPT && model->states[id] != LOST)
        id++;
    CHECK_EQ(calls_oldest_settled(calls)->id, id);
    step_end(calls, model, id);
}

static void expect_the_same(struct calls *calls, const struct model *model) {
    for (uint64_t id = 0; id <= model->last + 1; id++) {
        struct call *call = calls_find(calls, id);
        CHECK_EQ(call != NULL, is_open(model, id));
        if (!call)
            continue;
        CHECK_EQ(call_settled(call), model->states[id] != WAITS);
        CHECK_EQ(call->lost, model->states[id] == LOST);
        if (model->states[id] == KEPT)
            expect_kept(calls, id);
    }
}

/* `ends` of a hundred steps end a call: few let the table grow to its largest. */
static void use_at_random(uint64_t seed, unsigned ends, int steps) {
    struct model model = {.count = 2};
    no_memory = false;
    model.states = calloc((size_t)steps + 2, sizeof *model.states);
    CHECK(model.states);
    struct calls calls = new_calls(model.count);
    for (int step = 0; step < steps; step++) {
        uint64_t span = test_random_below(&seed, 8) ? 8 : 2 * CALLS_MAX;
        uint64_t id = model.last + 1 - test_random_below(&seed, span);
        uint64_t choice = test_random_below(&seed, 100);
        no_memory = test_random_below(&seed, 16) == 0;
        if (choice < ends)
            step_end(&calls, &model, id);
        else if (choice < ends + 20)
            step_settle(&calls, &model, id);
        else if (choice < ends + 21)
            step_oldest(&calls, &model);
        else
            step_enter(&calls, &model, test_random_below(&seed, 2) ? 0 : id,
                       choice == 99);
        CHECK_EQ(calls.last, model.last);
        CHECK_EQ(calls.count, model.count);
        CHECK_EQ(calls.outstanding, model.outstanding);
        CHECK_EQ(calls.settled, model.settled);
        if (step % (steps / 4) == 0)
            expect_the_same(&calls, &model);
    }
    expect_the_same(&calls, &model);
    calls_free(&calls);
    free(model.states);
}

TEST(random_use_is_that_of_a_list) {
    for (uint64_t seed = 1; seed <= 20; seed++)
        use_at_random(seed, 35, 5000);
}

TEST(random_use_of_the_largest_table_is_that_of_a_list) {
    use_at_random(1, 2, 200000);
    use_at_random(2, 10, 200000);
}

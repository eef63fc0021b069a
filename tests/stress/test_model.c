/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus is a list: whatever is reserved, committed, given back, flushed, received one
 * by one or in batches, released in part, and closed by either end, what comes out is
 * what a list would give. The same for the ring alone is in tests/c/test_ring.c.
 */
#include "length.h"
#include "peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MOST_MESSAGES 2048
#define MOST_VIEWS 24
#define UNFLUSHED 32 /* commits that flush by themselves */

struct entry {
    uint64_t number;
    uint64_t type_of; /* the message whose number is its type */
    size_t size;
    uint64_t bytes; /* of ring */
};

/* What the honest ends must agree with. Entries go round in the array. */
struct model {
    struct pair pair;
    tachyon_bus_t *producer, *consumer;
    size_t capacity;
    struct entry list[MOST_MESSAGES];
    uint64_t first, visible, last; /* first..visible is flushed, ..last committed */
    uint64_t used;                 /* bytes of ring from first to last */
    uint64_t committed, released;  /* messages, since it was opened */
    uint64_t reserved;             /* bytes + 1 of the open reservation, 0: none */
    uint64_t batch;                /* messages in it; 0: it is not of a batch */
    uint64_t handed;               /* messages handed out, not released */
    tachyon_msg_view_t views[MOST_VIEWS];
    uint64_t viewed; /* the first of those that have views; all, or none */
    uint64_t random;
};

static struct entry *entry(struct model *model, uint64_t index) {
    return &model->list[index % MOST_MESSAGES];
}

static uint64_t record_bytes(uint64_t reserved, uint64_t size) {
    return reserved <= 32 ? 64 : 64 + (size + 63) / 64 * 64;
}

static uint64_t below(struct model *model, uint64_t bound) {
    return test_random_below(&model->random, bound);
}

static size_t any_size(struct model *model) {
    size_t most = model->capacity - 128;
    switch (below(model, 64)) {
    case 0:
        return below(model, most + 200);
    case 1:
        return most;
    case 2:
        return below(model, 600);
    case 3:
    case 4:
        return 32 + below(model, 2);
    default:
        return below(model, 100);
    }
}

/* ---- Opening and closing ---- */

static void open_both(struct model *model) {
    static const size_t capacities[] = {4096, 4096, 8192, 65536};
    uint64_t random = model->random;
    size_t capacity = capacities[test_random_below(&random, 4)];
    bool swap = test_random_below(&random, 2);
    *model = (struct model){
        .pair = pair_open(capacity), .capacity = capacity, .random = random};
    model->producer = swap ? model->pair.listener : model->pair.connector;
    model->consumer = swap ? model->pair.connector : model->pair.listener;
    /* Claim both directions, so that a close finds them claimed. */
    uint32_t type;
    size_t size;
    CHECK_REFUSED(tachyon_acquire_rx(model->consumer, &type, &size), TACHYON_ERR_EMPTY);
    CHECK(tachyon_acquire_tx(model->producer, 0));
    CHECK_OK(tachyon_rollback_tx(model->producer));
}

static void check_message(struct model *model, uint64_t index, const void *payload,
                          size_t size, uint32_t type) {
    const struct entry *expected = entry(model, index);
    CHECK(index < model->visible);
    if (size != expected->size || type != (uint32_t)(expected->type_of * 3) ||
        !message_is(expected->number, payload, size))
        FAIL("message %" PRIu64 " of %zu bytes comes as %zu bytes of type %" PRIu32,
             expected->number, expected->size, size, type);
}

static void release(struct model *model, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        model->used -= entry(model, model->first + i)->bytes;
    model->first += count;
    model->released += count;
    model->handed -= count;
    model->viewed = 0;
}

static void close_producer(struct model *model) {
    tachyon_bus_destroy(model->producer); /* flushes */
    model->visible = model->last;
    model->handed = model->viewed = 0;
    uint32_t type;
    size_t size;
    const void *message;
    while ((message = tachyon_acquire_rx_blocking(model->consumer, &type, &size, 0))) {
        check_message(model, model->first, message, size, type);
        model->handed = 1;
        CHECK_OK(tachyon_commit_rx(model->consumer));
        release(model, 1);
    }
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    CHECK_EQ(model->first, model->last);
    tachyon_bus_destroy(model->consumer);
}

static void close_consumer(struct model *model) {
    tachyon_bus_destroy(model->consumer);
    CHECK_EQ(tachyon_get_state(model->producer), TACHYON_STATE_DISCONNECTED);
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    while (tachyon_send(model->producer, "x", 1, 1, 0, 0) == TACHYON_SUCCESS)
        continue; /* a ring full at most */
    CHECK_EQ(tachyon_last_error(), TACHYON_ERR_CLOSED);
    tachyon_bus_destroy(model->producer);
}

/* ---- Sending ---- */

static void flush(struct model *model) {
    tachyon_flush(model->producer);
    model->visible = model->last;
}

static uint64_t flush_count(const struct model *model) {
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(model->producer, &stats));
    return stats.flushes;
}

static void acquire(struct model *model) {
    size_t size = any_size(model);
    uint64_t bytes = record_bytes(size, size);
    bool room = model->last - model->first < MOST_MESSAGES - 1;
    if (!room)
        return;
    uint64_t flushes = flush_count(model);
    model->batch = 0;
    uint8_t *slot = tachyon_acquire_tx(model->producer, size);
    /* It flushes before it looks how far the consumer has come. */
    if (flush_count(model) != flushes)
        model->visible = model->last;
    if (size > model->capacity - 128) {
        CHECK_REFUSED(slot, TACHYON_ERR_INVALID_SZ);
        model->reserved = 0; /* the open one was to be replaced */
        return;
    }
    bool fits = model->used + bytes + 64 <= model->capacity;
    if (!fits) {
        CHECK_REFUSED(slot, TACHYON_ERR_FULL);
        CHECK_EQ(model->visible, model->last);
        model->reserved = 0;
        return;
    }
    CHECK(slot && (uintptr_t)slot % (size <= 32 ? 32 : 64) == 0);
    memset(slot, 0x81, size); /* the word of a record, if it were taken for one */
    message_write(model->committed, slot, size);
    model->reserved = size + 1;
}

static void acquire_batch(struct model *model) {
    size_t size = 1 + below(model, below(model, 8) ? 100 : 2000), count, stride;
    size_t most = 1 + below(model, below(model, 8) ? 20 : 2000);
    uint64_t bytes = record_bytes(size, size);
    if (MOST_MESSAGES - (model->last - model->first) <= model->capacity / 64)
        return;
    uint64_t flushes = flush_count(model);
    uint8_t *at =
        tachyon_acquire_tx_batch(model->producer, size, most, &count, &stride, 0, 0);
    if (flush_count(model) != flushes)
        model->visible = model->last;
    model->reserved = model->batch = 0;
    if (model->used + bytes + 64 > model->capacity) {
        CHECK_REFUSED(at, TACHYON_ERR_FULL);
        CHECK_EQ(model->visible, model->last);
        return;
    }
    uint64_t room = (model->capacity - model->used - 64) / bytes;
    CHECK(at && stride == bytes);
    CHECK_EQ(count, most < room ? most : room);
    for (size_t i = 0; i < count; i++) {
        memset(at + i * stride, 0x81, size);
        message_write(model->committed + i, at + i * stride, size);
    }
    model->reserved = size + 1;
    model->batch = count;
}

static void commit_batch(struct model *model) {
    size_t count = below(model, 2) ? model->batch : below(model, model->batch + 1);
    size_t size = model->reserved - 1;
    /* All have one type: that of the first. */
    CHECK_ERROR(tachyon_commit_tx(model->producer, 0, 1), TACHYON_ERR_EMPTY);
    CHECK_ERROR(tachyon_commit_tx_batch(model->producer, model->batch + 1, 1),
                TACHYON_ERR_INVALID_SZ);
    CHECK_OK(tachyon_commit_tx_batch(model->producer, count,
                                     (uint32_t)(model->committed * 3)));
    for (uint64_t i = 0, type_of = model->committed; i < count; i++) {
        *entry(model, model->last++) =
            (struct entry){model->committed++, type_of, size, record_bytes(size, size)};
        model->used += record_bytes(size, size);
    }
    model->reserved = model->batch = 0;
    if (model->last - model->visible >= UNFLUSHED)
        model->visible = model->last;
}

static void commit(struct model *model) {
    if (model->batch > 0) {
        commit_batch(model);
        return;
    }
    if (model->reserved == 0) {
        CHECK_ERROR(tachyon_commit_tx(model->producer, 0, 1), TACHYON_ERR_EMPTY);
        CHECK_ERROR(tachyon_commit_tx_batch(model->producer, 0, 1), TACHYON_ERR_EMPTY);
        return;
    }
    if (below(model, 16) == 0)
        CHECK_ERROR(tachyon_commit_tx_batch(model->producer, 1, 1), TACHYON_ERR_EMPTY);
    uint64_t reserved = model->reserved - 1;
    size_t size = below(model, 4) ? reserved : below(model, reserved + 1);
    if (below(model, 16) == 0)
        CHECK_ERROR(tachyon_commit_tx(model->producer, reserved + 1, 1),
                    TACHYON_ERR_INVALID_SZ);
    CHECK_OK(
        tachyon_commit_tx(model->producer, size, (uint32_t)(model->committed * 3)));
    *entry(model, model->last++) = (struct entry){model->committed, model->committed,
                                                  size, record_bytes(reserved, size)};
    model->committed++;
    model->used += entry(model, model->last - 1)->bytes;
    model->reserved = 0;
    if (model->last - model->visible == UNFLUSHED)
        model->visible = model->last;
}

static void roll_back(struct model *model) {
    CHECK_EQ(tachyon_rollback_tx(model->producer),
             model->reserved ? TACHYON_SUCCESS : TACHYON_ERR_EMPTY);
    model->reserved = model->batch = 0;
}

/* ---- Receiving ---- */

static void receive(struct model *model) {
    uint32_t type;
    size_t size;
    const void *message = tachyon_acquire_rx(model->consumer, &type, &size);
    if (model->first == model->visible) {
        CHECK_REFUSED(message, TACHYON_ERR_EMPTY);
        return;
    }
    CHECK(message);
    check_message(model, model->first, message, size, type);
    model->handed = 1;
    model->viewed = 0;
}

static void receive_batch(struct model *model) {
    size_t most = 1 + below(model, MOST_VIEWS);
    uint64_t there = model->visible - model->first;
    size_t count = tachyon_acquire_rx_batch(model->consumer, model->views, most);
    CHECK_EQ(count, there < most ? there : most);
    for (size_t i = 0; i < count; i++)
        check_message(model, model->first + i, model->views[i].ptr,
                      model->views[i].actual_size, model->views[i].type_id);
    if (count > 0)
        model->handed = model->viewed = count;
}

/* The one behind all that is handed out, unless that is more than half of the ring. */
static void receive_next(struct model *model) {
    tachyon_msg_view_t view;
    uint64_t next = model->first + model->handed, bytes = 0;
    for (uint64_t i = model->first; i < next; i++)
        bytes += entry(model, i)->bytes;
    const void *message = tachyon_acquire_rx_next_timed(model->consumer, &view, 0, 0);
    if (bytes > model->capacity / 2 || next == model->visible) {
        CHECK_REFUSED(message, bytes > model->capacity / 2 ? TACHYON_ERR_FULL
                                                           : TACHYON_ERR_EMPTY);
        return;
    }
    CHECK(message && message == view.ptr);
    check_message(model, next, message, view.actual_size, view.type_id);
    bool all = model->viewed == model->handed && model->viewed < MOST_VIEWS;
    if (all)
        model->views[model->viewed] = view;
    model->handed++;
    model->viewed = all ? model->viewed + 1 : 0;
    for (uint64_t i = 0; i < model->viewed;
         i++) /* what was handed out before is whole */
        check_message(model, model->first + i, model->views[i].ptr,
                      model->views[i].actual_size, model->views[i].type_id);
}

static void commit_rx(struct model *model) {
    CHECK_EQ(tachyon_commit_rx(model->consumer),
             model->handed ? TACHYON_SUCCESS : TACHYON_ERR_EMPTY);
    release(model, model->handed);
}

static void commit_part(struct model *model) {
    if (model->viewed == 0)
        return;
    uint64_t count = below(model, model->viewed + 1);
    if (below(model, 16) == 0) { /* not what was handed out */
        tachyon_msg_view_t wrong = model->views[0];
        wrong.reserved_ += 64 * model->capacity;
        CHECK_ERROR(tachyon_commit_rx_batch(model->consumer, &wrong, 1),
                    TACHYON_ERR_INVALID_SZ);
    }
    CHECK_OK(tachyon_commit_rx_batch(model->consumer, model->views, count));
    uint64_t left = model->viewed - count;
    release(model, count);
    model->viewed = left;
    memmove(model->views, model->views + count, left * sizeof *model->views);
}

static void compare_counters(struct model *model) {
    tachyon_stats_t stats;
    CHECK_OK(tachyon_bus_get_stats(model->producer, &stats));
    CHECK_EQ(stats.messages, model->committed);
    CHECK_EQ(stats.capacity, model->capacity);
    CHECK_OK(tachyon_bus_get_stats(model->consumer, &stats));
    CHECK_EQ(stats.messages, model->released);
}

TEST(any_operations_agree_with_a_list) {
    static struct model model = {.random = 9};
    struct length length = length_begin("R9", "operations", 10000000, 10000000);
    uint64_t messages = 0, closes = 0;
    open_both(&model);
    for (; length.done % 1024 != 0 || length_goes_on(&length); length.done++) {
        uint64_t sends = 6 + length.done / 4096 % 5; /* fuller and emptier rings */
        uint64_t choice = below(&model, 16);
        if (choice < sends / 2)
            (below(&model, 8) ? acquire : acquire_batch)(&model);
        else if (choice < sends)
            commit(&model);
        else if (choice == 15 && below(&model, 2))
            flush(&model);
        else if (choice == 15)
            roll_back(&model);
        else if (below(&model, 2))
            commit_rx(&model);
        else
            (below(&model, 2)   ? receive
             : below(&model, 2) ? receive_next
             : below(&model, 2) ? receive_batch
                                : commit_part)(&model);
        if (below(&model, 4096) != 0)
            continue;
        compare_counters(&model);
        if (below(&model, 4) != 0)
            continue;
        messages += model.committed;
        closes++;
        (below(&model, 4) ? close_producer : close_consumer)(&model);
        open_both(&model);
    }
    messages += model.committed;
    close_producer(&model);
    length_end(&length, "%" PRIu64 " messages, %" PRIu64 " connections closed",
               messages, closes + 1);
    CHECK(messages > length.done / 10 && closes > 0);
}

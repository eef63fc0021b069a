/* SPDX-License-Identifier: Apache-2.0 */
/* ring.h by itself: both ends over one buffer that ends at a guard page. */
#include "arena.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Examples ---- */

static void send_one(struct arena *arena, size_t reserve, size_t size, uint32_t type,
                     int fill) {
    void *payload = ring_reserve(&arena->producer, reserve);
    CHECK(payload);
    memset(payload, fill, size);
    ring_commit(&arena->producer, size, type, 0);
}

static struct ring_record expect_record(struct arena *arena) {
    struct ring_record record;
    CHECK_EQ(ring_look_at(&arena->consumer, 0, &record), RING_FOUND);
    return record;
}

static void take_one(struct arena *arena, size_t size, uint32_t type, int fill) {
    struct ring_record record = expect_record(arena);
    CHECK_EQ(record.size, size);
    CHECK_EQ(record.type_id, type);
    for (size_t i = 0; i < size; i++)
        CHECK_EQ(record.payload[i], (uint8_t)fill);
    arena->consumer.handed = record.bytes;
    arena->consumer.handed_count = 1;
    ring_release(&arena->consumer, record.bytes, 1);
}

static void expect_empty(struct arena *arena) {
    struct ring_record record;
    CHECK_EQ(ring_look_at(&arena->consumer, 0, &record), RING_EMPTY);
}

TEST(a_record_has_the_size_alignment_and_place_of_its_reservation) {
    static const struct {
        size_t reserve, size, bytes, alignment;
    } table[] = {
        {0, 0, 64, 32},
        {1, 1, 64, 32},
        {32, 32, 64, 32},
        {33, 33, 128, 64},
        {64, 64, 128, 64},
        {65, 65, 192, 64},
        {128, 128, 192, 64},
        {3000, 3000, 3072, 64},
        {3968, 3968, 4032, 64},
        /* The place follows what is reserved, the length what is committed. */
        {32, 0, 64, 32},
        {33, 32, 128, 64},
        {33, 1, 128, 64},
        {33, 0, 64, 64},
        {3000, 4, 128, 64},
        {3968, 0, 64, 64},
        {3000, 64, 128, 64},
        {3000, 65, 192, 64},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct arena arena = arena_make(4096);
        const uint8_t *payload = ring_reserve(&arena.producer, table[i].reserve);
        CHECK(payload);
        CHECK_EQ((uintptr_t)payload % table[i].alignment, 0);
        ring_commit(&arena.producer, table[i].size, 77, 88);
        CHECK_EQ(arena.producer.head, table[i].bytes);
        ring_publish(&arena.producer);

        struct ring_record record = expect_record(&arena);
        CHECK(record.payload == payload);
        CHECK_EQ(record.size, table[i].size);
        CHECK_EQ(record.bytes, table[i].bytes);
        CHECK_EQ(record.type_id, 77);
        CHECK_EQ(record.correlation_id, 88);
        arena_free(&arena);
    }
}

TEST(publish_without_flush_stays_invisible) {
    struct arena arena = arena_make(4096);
    for (int i = 0; i < 10; i++) {
        send_one(&arena, 20, 20, (uint32_t)i, i);
        expect_empty(&arena);
    }
    ring_publish(&arena.producer);
    for (int i = 0; i < 10; i++)
        take_one(&arena, 20, (uint32_t)i, i);
    expect_empty(&arena);
    arena_free(&arena);
}

TEST(an_empty_message_of_type_0_is_a_message) {
    struct arena arena = arena_make(4096);
    send_one(&arena, 0, 0, 0, 0);
    send_one(&arena, 100, 0, 0, 0);
    ring_publish(&arena.producer);
    take_one(&arena, 0, 0, 0);
    take_one(&arena, 0, 0, 0);
    expect_empty(&arena);
    arena_free(&arena);
}

TEST(every_type_and_correlation_id_arrives_as_it_was) {
    static const uint32_t types[] = {0, 1, 0x7FFFFFFF, 0x80000000, UINT32_MAX};
    static const uint64_t ids[] = {0, 1, UINT64_C(1) << 63, UINT64_MAX};
    struct arena arena = arena_make(4096);
    for (size_t t = 0; t < 5; t++)
        for (size_t c = 0; c < 4; c++) {
            CHECK(ring_reserve(&arena.producer, 33));
            ring_commit(&arena.producer, 33, types[t], ids[c]);
            ring_publish(&arena.producer);
            struct ring_record record = expect_record(&arena);
            CHECK_EQ(record.type_id, types[t]);
            CHECK_EQ(record.correlation_id, ids[c]);
            arena.consumer.handed = record.bytes;
            arena.consumer.handed_count = 1;
            ring_release(&arena.consumer, record.bytes, 1);
            CHECK(ring_refresh(&arena.producer));
        }
    arena_free(&arena);
}

TEST(fault_3_rolled_back_reservation_leaves_no_phantom) {
    /* At every offset, for reservations of one line, of two, and over the wrap: what
     * was written into one that was given back must never look like a record. */
    static const size_t sizes[] = {0, 32, 33, 100, 1000, 3968};
    struct arena arena = arena_make(4096);
    uint32_t number = 0;
    for (int lap = 0; lap < 300; lap++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint8_t *payload = ring_reserve(&arena.producer, sizes[i]);
            CHECK(payload);
            memset(payload, 0x01, sizes[i]); /* 0x01...: a valid record word */
            arena.producer.offset = 0;       /* rolled back */
            expect_empty(&arena);

            size_t size = (size_t)lap % 70;
            number++;
            send_one(&arena, size, size, number, (int)number);
            expect_empty(&arena);
            ring_publish(&arena.producer);
            take_one(&arena, size, number, (int)number);
            expect_empty(&arena);
            CHECK(ring_refresh(&arena.producer));
        }
    arena_free(&arena);
}

TEST(a_rollback_between_commits_keeps_what_was_committed) {
    struct arena arena = arena_make(4096);
    send_one(&arena, 10, 10, 1, 1);
    memset(ring_reserve(&arena.producer, 2000), 1, 2000);
    arena.producer.offset = 0;
    send_one(&arena, 10, 10, 2, 2);
    memset(ring_reserve(&arena.producer, 3000), 1, 3000);
    arena.producer.offset = 0;
    ring_publish(&arena.producer);
    take_one(&arena, 10, 1, 1);
    take_one(&arena, 10, 2, 2);
    expect_empty(&arena);
    arena_free(&arena);
}

TEST(a_flush_leaves_an_open_reservation_alone) {
    struct arena arena = arena_make(4096);
    send_one(&arena, 1, 1, 1, 1); /* not flushed yet */
    uint8_t *payload = ring_reserve(&arena.producer, 100);
    memset(payload, 0x5A, 100);
    ring_publish(&arena.producer);
    for (size_t i = 0; i < 100; i++)
        CHECK_EQ(payload[i], 0x5A);
    memset(payload, 0xA5, 100);
    arena.producer.offset = 0; /* rolled back: what it held must not be a record */
    send_one(&arena, 1, 1, 2, 2);
    ring_publish(&arena.producer);
    take_one(&arena, 1, 1, 1);
    take_one(&arena, 1, 2, 2);
    struct ring_record record;
    CHECK_EQ(ring_look_at(&arena.consumer, 0, &record), RING_EMPTY);
    arena_free(&arena);
}

TEST(fault_11_an_emptied_ring_takes_any_legal_message_at_any_offset) {
    for (size_t capacity = 4096; capacity <= 16384; capacity *= 2) {
        struct arena arena = arena_make(capacity);
        size_t most = (size_t)ring_max_payload(capacity);
        for (size_t offset = 0; offset < capacity; offset += RING_LINE) {
            const size_t sizes[] = {most, most - 1, capacity / 2, capacity / 2 + 1, 0};
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                struct ring_producer *p = &arena.producer;
                CHECK(ring_refresh(p));
                CHECK(ring_reserve(p, most));
                p->offset = 0;
                send_one(&arena, sizes[i], sizes[i], 5, (int)offset);
                ring_publish(p);
                take_one(&arena, sizes[i], 5, (int)offset);
                /* On to the next offset, by messages of one line. */
                CHECK(ring_refresh(p));
                while ((p->head & p->mask) != offset) {
                    send_one(&arena, 1, 1, 6, 7);
                    ring_publish(p);
                    take_one(&arena, 1, 6, 7);
                    CHECK(ring_refresh(p));
                }
            }
            send_one(&arena, 1, 1, 6, 7);
            ring_publish(&arena.producer);
            take_one(&arena, 1, 6, 7);
        }
        arena_free(&arena);
    }
}

TEST(fault_1_a_ring_of_few_records_never_stalls) {
    /* 15 records of 64 KiB fill 1 MiB: each release makes room at once. */
    struct arena arena = arena_make(1 << 20);
    uint32_t sent = 0, taken = 0;
    while (taken < 200) {
        while (ring_reserve(&arena.producer, 65536)) {
            arena.producer.offset = 0;
            send_one(&arena, 65536, 65536, sent, (int)sent);
            sent++;
            ring_publish(&arena.producer);
        }
        CHECK_IN(sent - taken, 15, 16);
        take_one(&arena, 65536, taken, (int)taken);
        taken++;
        CHECK(ring_refresh(&arena.producer));
    }
    arena_free(&arena);
}

TEST(full_means_that_record_and_next_word_do_not_fit) {
    struct arena arena = arena_make(4096);
    CHECK(!ring_reserve(&arena.producer, 3969));
    CHECK(ring_reserve(&arena.producer, 3968));
    for (int i = 0; i < 63; i++)
        send_one(&arena, 32, 32, 1, 1);
    CHECK(!ring_reserve(&arena.producer, 0));
    ring_publish(&arena.producer);
    CHECK(ring_refresh(&arena.producer));
    CHECK(!ring_reserve(&arena.producer, 0));
    take_one(&arena, 32, 1, 1);
    CHECK(ring_refresh(&arena.producer));
    CHECK(!ring_reserve(&arena.producer, 33));
    CHECK(ring_reserve(&arena.producer, 32));
    arena_free(&arena);
}

TEST(sizes_that_overflow_are_no_reservation) {
    static const size_t sizes[] = {4097,           SIZE_MAX,       SIZE_MAX - 63,
                                   SIZE_MAX - 64,  SIZE_MAX - 127, SIZE_MAX / 2,
                                   (size_t)1 << 32};
    struct arena arena = arena_make(4096);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        CHECK(!ring_reserve(&arena.producer, sizes[i]));
    arena_free(&arena);
}

TEST(a_disarmed_end_finds_nothing_and_has_no_room) {
    struct arena arena = arena_make(4096);
    struct ring_record record;
    send_one(&arena, 5, 5, 1, 1);
    ring_publish(&arena.producer);
    ring_producer_disarm(&arena.producer);
    ring_consumer_disarm(&arena.consumer);
    CHECK(!ring_reserve(&arena.producer, 0));
    CHECK_EQ(ring_look_at(&arena.consumer, 0, &record), RING_EMPTY);
    CHECK(!ring_consumer_sleeps(&arena.producer));
    CHECK(!ring_producer_sleeps(&arena.consumer));
    arena_free(&arena);
}

/* ---- Wake-ups ---- */

TEST(a_wakeup_is_for_a_position_that_is_reached_and_given_once) {
    struct arena arena = arena_make(4096);
    struct ring_producer *p = &arena.producer;
    CHECK(!ring_consumer_sleeps(p));
    ring_want_record(&arena.consumer, true);
    CHECK(!ring_consumer_sleeps(p)); /* nothing to wake it for */
    send_one(&arena, 1, 1, 1, 1);
    ring_publish(p);
    CHECK(ring_consumer_sleeps(p));
    CHECK(!ring_consumer_sleeps(p));
    ring_want_record(&arena.consumer, false);
    take_one(&arena, 1, 1, 1);
    send_one(&arena, 1, 1, 1, 1);
    ring_publish(p);
    CHECK(!ring_consumer_sleeps(p)); /* it is awake */
    take_one(&arena, 1, 1, 1);
    ring_want_record(&arena.consumer, true);
    send_one(&arena, 1000, 1000, 1, 1);
    ring_publish(p);
    CHECK(ring_consumer_sleeps(p));
    arena_free(&arena);
}

TEST(a_producer_is_woken_when_its_message_fits_and_not_before) {
    for (size_t size = 0; size <= 3968; size += 31) {
        struct arena arena = arena_make(4096);
        struct ring_producer *p = &arena.producer;
        int sent = 0;
        for (; ring_reserve(p, 32); sent++)
            send_one(&arena, 32, 32, 1, 1);
        ring_publish(p);
        ring_want_space(p, ring_record_bytes(size > RING_INLINE_BYTES, size));
        for (; sent > 0; sent--) {
            CHECK(ring_refresh(p));
            bool fits = ring_reserve(p, size) != NULL;
            p->offset = 0;
            CHECK(!fits);
            take_one(&arena, 32, 1, 1);
            CHECK(ring_refresh(p));
            fits = ring_reserve(p, size) != NULL;
            p->offset = 0;
            CHECK_EQ(ring_producer_sleeps(&arena.consumer), fits);
            if (fits)
                break;
        }
        CHECK(sent > 0);
        CHECK(!ring_producer_sleeps(&arena.consumer));
        arena_free(&arena);
    }
}

TEST(records_come_in_bursts_when_more_than_four_came_since_the_last_look) {
    struct arena arena = arena_make(4096);
    static const int counts[] = {0, 1, 2, 4, 5, 1, 10, 0};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int n = 0; n < counts[i]; n++) {
            send_one(&arena, 1, 1, 1, 1);
            ring_publish(&arena.producer);
            take_one(&arena, 1, 1, 1);
        }
        CHECK_EQ(ring_saw_burst(&arena.consumer), counts[i] > 4);
    }
    arena_free(&arena);
}

/* ---- A hostile peer ---- */

/* What a word says, restated from the layout; false: no honest producer writes it. */
static bool is_legal(uint64_t word, uint64_t capacity, uint64_t ahead) {
    uint64_t length = word & 0x7FFFFFFF;
    bool next_line = word >> 31 & 1;
    if (length == 0)
        return false;
    uint64_t size = length - 1;
    uint64_t bytes = next_line ? 64 + (size + 63) / 64 * 64 : 64;
    return (next_line || size <= 32) && ahead + bytes + 64 <= capacity;
}

static void check_word(struct arena *arena, uint64_t word, uint64_t ahead) {
    const struct ring_consumer *c = &arena->consumer;
    struct ring_line *line = ring_line_at(arena->data, c->mask, c->tail + ahead);
    struct ring_record record = {0};
    atomic_store_explicit(&line->word, word, memory_order_relaxed);
    enum ring_look look = ring_look_at(c, ahead, &record);
    atomic_store_explicit(&line->word, 0, memory_order_relaxed);
    if (word == 0) {
        CHECK_EQ(look, RING_EMPTY);
        return;
    }
    CHECK_EQ(look, is_legal(word, c->capacity, ahead) ? RING_FOUND : RING_CORRUPT);
    if (look != RING_FOUND)
        return;
    CHECK(record.payload >= arena->data);
    CHECK(record.payload + record.size <= arena->data + 2 * c->capacity);
    CHECK(record.size <= c->capacity - 128);
    CHECK(record.bytes % 64 == 0 && record.bytes >= 64);
    CHECK(ahead + record.bytes <= c->capacity - 64);
    /* Every byte can be read: the buffer ends at a guard page. */
    const volatile uint8_t *payload = record.payload;
    for (size_t i = 0; i < record.size; i += 64)
        (void)payload[i];
    if (record.size > 0)
        (void)payload[record.size - 1];
}

TEST(fault_4_a_word_that_no_peer_may_write_is_corrupt_and_bounded) {
    struct arena arena = arena_make(4096);
    uint64_t state = 4;
    for (uint64_t tail = 0; tail < 3 * 4096; tail += 64) {
        arena.consumer.tail = tail;
        for (uint64_t length = 0; length < 9000; length += tail == 0 ? 1 : 257) {
            check_word(&arena, length, 0);
            check_word(&arena, length | RING_NEXT_LINE_BIT, 0);
            check_word(&arena, length | UINT64_C(0xFFFFFFFF80000000), tail % 4096);
        }
        for (int i = 0; i < 1000; i++)
            check_word(&arena, test_random(&state), 64 * test_random_below(&state, 64));
        for (int bit = 0; bit < 64; bit++)
            check_word(&arena, UINT64_C(1) << bit, 0);
        check_word(&arena, UINT64_MAX, 0);
        check_word(&arena, 0x7FFFFFFF, 0);
    }
    arena_free(&arena);
}

TEST(a_batch_of_hostile_words_is_bounded_by_the_ring) {
    /* A ring whose every line is a record would go round for ever. */
    struct arena arena = arena_make(4096);
    for (size_t i = 0; i < 4096; i += 64)
        atomic_store(&ring_line_at(arena.data, 4095, i)->word, 1);
    uint64_t ahead = 0;
    struct ring_record record;
    enum ring_look look;
    int count = 0;
    while ((look = ring_look_at(&arena.consumer, ahead, &record)) == RING_FOUND) {
        ahead += record.bytes;
        CHECK(++count <= 63);
    }
    CHECK_EQ(look, RING_CORRUPT);
    CHECK_EQ(count, 63);
    arena_free(&arena);
}

TEST(a_tail_that_no_peer_may_write_is_refused) {
    struct arena arena = arena_make(4096);
    struct ring_producer *p = &arena.producer;
    for (int i = 0; i < 40; i++)
        send_one(&arena, 32, 32, 1, 1);
    ring_publish(p);
    for (int i = 0; i < 10; i++)
        take_one(&arena, 32, 1, 1);
    CHECK(ring_refresh(p)); /* tail 640, published 2560 */
    send_one(&arena, 32, 32, 1, 1);
    send_one(&arena, 32, 32, 1, 1); /* two that are not published yet */
    uint64_t limit = p->limit;
    static const struct {
        uint64_t tail;
        bool legal;
    } table[] = {
        {640, true},         {704, true},
        {2560, true},        {2624, false},
        {2688, false},       {0, false},
        {576, false},        {641, false},
        {703, false},        {4736, false},
        {UINT64_MAX, false}, {UINT64_MAX - 63, false},
        {1 << 20, false},    {UINT64_C(1) << 63, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        p->limit = limit;
        atomic_store(&arena.shared->tail, table[i].tail);
        if (ring_refresh(p) != table[i].legal)
            FAIL("tail %ju is %s", (uintmax_t)table[i].tail,
                 table[i].legal ? "legal" : "not legal");
        CHECK_EQ(p->limit, table[i].legal ? table[i].tail + 4096 : limit);
    }
    p->limit = limit;
    ring_publish(p);
    atomic_store(&arena.shared->tail, 2688);
    CHECK(ring_refresh(p)); /* legal once all is published */
    arena_free(&arena);
}

TEST(flushed_is_always_the_end_of_what_is_published) {
    struct arena arena = arena_make(4096);
    struct ring_producer *p = &arena.producer;
    CHECK_EQ(ring_flushed(p), 0);
    send_one(&arena, 32, 32, 1, 1);
    send_one(&arena, 100, 100, 1, 2);
    CHECK_EQ(ring_flushed(p), 0);
    ring_publish(p);
    CHECK_EQ(ring_flushed(p), 64 + 192);
    CHECK(ring_reserve(p, 8)); /* an open reservation is not published either */
    CHECK_EQ(ring_flushed(p), 64 + 192);
    ring_reserve_batch(p, 64, 3);
    ring_commit_batch(p, 3, 1);
    CHECK_EQ(ring_flushed(p), 64 + 192);
    ring_publish(p);
    CHECK_EQ(ring_flushed(p), p->head);
    CHECK_EQ(p->head, 64 + 192 + 3 * 64);
    arena_free(&arena);
}

TEST(an_evicted_consumer_learns_of_it_at_its_next_release) {
    struct arena arena = arena_make(4096);
    send_one(&arena, 32, 8, 1, 1);
    ring_publish(&arena.producer);
    atomic_store(&arena.shared->wanted_tail, RING_EVICTED);
    take_one(&arena, 8, 1, 1);
    CHECK(ring_producer_sleeps(&arena.consumer));
    arena_free(&arena);
}

/* ---- The list model ---- */

struct model_message {
    size_t size;
    uint64_t bytes; /* of ring */
    uint64_t number;
};

struct model {
    struct arena arena;
    struct model_message queue[2048]; /* what is not released, oldest first */
    size_t count, visible;            /* of those, how many are flushed */
    uint64_t used;                    /* bytes they take */
    uint64_t number;
    uint64_t state;
};

static uint8_t model_byte(uint64_t number, size_t index) {
    return (uint8_t)(number * 37 + index * 11 + (index >> 8) + 3);
}

static void model_flush(struct model *model) {
    if (model->arena.producer.first_word)
        ring_publish(&model->arena.producer);
    model->visible = model->count;
}

static void model_send(struct model *model, size_t size) {
    struct ring_producer *p = &model->arena.producer;
    uint64_t capacity = p->capacity;
    uint64_t bytes = size <= 32 ? 64 : 64 + (size + 63) / 64 * 64;
    bool fits = model->used + bytes + 64 <= capacity;
    uint8_t *payload = ring_reserve(p, size);
    if (!payload) {
        model_flush(model);
        CHECK(ring_refresh(p));
        payload = ring_reserve(p, size);
    }
    CHECK_EQ(payload != NULL, fits);
    if (!payload)
        return;
    CHECK_EQ((uintptr_t)payload % (size <= 32 ? 32 : 64), 0);
    CHECK(payload >= model->arena.data &&
          payload + size <= model->arena.data + 2 * capacity);
    if (test_random_below(&model->state, 8) == 0)
        model_flush(model); /* under the open reservation */
    uint64_t choice = test_random_below(&model->state, 16);
    if (choice < 4) { /* spoil it; given back, or replaced by the next one */
        memset(payload, (int)test_random(&model->state), size);
        if (choice < 3)
            p->offset = 0;
        return;
    }
    size_t actual =
        choice < 7 ? (size_t)test_random_below(&model->state, size + 1) : size;
    uint64_t number = model->number++;
    for (size_t i = 0; i < actual; i++)
        payload[i] = model_byte(number, i);
    for (size_t i = actual; i < size; i++)
        payload[i] = 0x81;
    ring_commit(p, actual, (uint32_t)(number * 3), number);
    model->queue[model->count] =
        (struct model_message){.size = actual,
                               .bytes = size <= 32 ? 64 : 64 + (actual + 63) / 64 * 64,
                               .number = number};
    model->used += model->queue[model->count].bytes;
    model->count++;
    CHECK(model->count < 2048);
}

static void model_receive(struct model *model, size_t most, size_t commit) {
    struct ring_consumer *c = &model->arena.consumer;
    uint64_t ahead = 0, released = 0;
    size_t count = 0;
    struct ring_record record;
    while (count < most) {
        enum ring_look look = ring_look_at(c, ahead, &record);
        CHECK(look != RING_CORRUPT);
        if (look == RING_EMPTY)
            break;
        CHECK(count < model->visible);
        const struct model_message *expected = &model->queue[count];
        CHECK_EQ(record.size, expected->size);
        CHECK_EQ(record.bytes, expected->bytes);
        CHECK_EQ(record.type_id, (uint32_t)(expected->number * 3));
        CHECK_EQ(record.correlation_id, expected->number);
        for (size_t i = 0; i < record.size; i++)
            if (record.payload[i] != model_byte(expected->number, i))
                FAIL("byte %zu of message %ju", i, (uintmax_t)expected->number);
        ahead += record.bytes;
        if (count++ < commit)
            released = ahead;
    }
    CHECK_EQ(count, most < model->visible ? most : model->visible);
    if (commit > count)
        commit = count;
    if (commit == 0)
        return;
    c->handed = ahead;
    c->handed_count = count;
    ring_release(c, released, commit);
    CHECK_EQ(c->handed, ahead - released);
    CHECK_EQ(c->handed_count, count - commit);
    model->count -= commit;
    model->visible -= commit;
    model->used -= released;
    memmove(model->queue, model->queue + commit, model->count * sizeof model->queue[0]);
}

static size_t model_size(struct model *model) {
    size_t most = (size_t)ring_max_payload(model->arena.producer.capacity);
    switch (test_random_below(&model->state, 8)) {
    case 0:
        return (size_t)test_random_below(&model->state, most + 200);
    case 1:
        return most;
    case 2:
        return 32 + (size_t)test_random_below(&model->state, 2);
    case 3:
        return (size_t)test_random_below(&model->state, 600);
    default:
        return (size_t)test_random_below(&model->state, 150);
    }
}

TEST(random_operations_agree_with_a_list) {
    static struct model model;
    static const size_t capacities[] = {4096,  4096, 8192,  4096,
                                        16384, 4096, 65536, 8192};
    size_t rounds = 40, operations = (test_race_detector() ? 100000 : 1000000) / rounds;
    for (size_t round = 0; round < rounds; round++) {
        model =
            (struct model){.arena = arena_make(capacities[round % 8]), .state = round};
        uint64_t sends = 3 + round % 5; /* of 10 operations: emptier, fuller rings */
        for (size_t i = 0; i < operations; i++) {
            uint64_t choice = test_random_below(&model.state, 10);
            if (choice < sends) {
                model_send(&model, model_size(&model));
            } else if (choice < sends + 1) {
                model_flush(&model);
            } else {
                size_t most = 1 + (size_t)test_random_below(&model.state, 20);
                model_receive(&model, most,
                              (size_t)test_random_below(&model.state, most + 2));
            }
        }
        model_flush(&model);
        model_receive(&model, SIZE_MAX, SIZE_MAX);
        CHECK_EQ(model.count, 0);
        CHECK_EQ(model.arena.producer.messages, model.number);
        CHECK_EQ(model.arena.consumer.messages, model.number);
        arena_free(&model.arena);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving, one by one, in batches and one behind the other, from a ring that a hostile
 * producer writes. */
#include "fuzz.h"

#define MOST_VIEWS 16

static struct arena *const arena = &fuzz_arenas[0];

/* The wire format, restated: what stands in the ring is what was handed out. Nobody
 * writes meanwhile. */
static unguided void check_decoded(uint64_t position, const void *payload, size_t size,
                                   uint32_t type) {
    const uint8_t *line = arena->data + position % FUZZ_CAPACITY;
    uint64_t word;
    memcpy(&word, line, sizeof word);
    CHECK_EQ(size, (word & 0x7FFFFFFF) - 1);
    CHECK_EQ(type, word >> 32);
    CHECK(payload == line + (word & 0x80000000 ? 64 : 32));
    fuzz_touch(arena, payload, size);
}

/* Once over, for ever over, and nothing is handed out. */
static void check_state(struct tachyon_bus *bus, tachyon_error_t *over,
                        const void *got) {
    if (got) {
        CHECK(!*over);
        return;
    }
    tachyon_error_t error = tachyon_last_error();
    CHECK(error == TACHYON_ERR_EMPTY || error == TACHYON_ERR_CORRUPT ||
          error == TACHYON_ERR_LAGGED || /* it says that it has let us go */
          error == TACHYON_ERR_BUSY);    /* the peer has claimed our direction */
    CHECK(!*over || error == *over);
    if (error != TACHYON_ERR_CORRUPT && error != TACHYON_ERR_LAGGED)
        return;
    *over = error;
    CHECK_EQ(tachyon_get_state(bus), TACHYON_STATE_FATAL_ERROR);
}

/* What a release says. It has released, also if it says that this was too late. */
static bool check_release(tachyon_error_t *over, tachyon_error_t error) {
    if (error == TACHYON_ERR_LAGGED)
        *over = error;
    return error == TACHYON_SUCCESS || error == TACHYON_ERR_LAGGED;
}

static void take_one(struct tachyon_bus *bus, tachyon_error_t *over, bool spin) {
    uint32_t type;
    size_t size;
    const void *payload = spin ? tachyon_acquire_rx_spin(bus, &type, &size, 3)
                               : tachyon_acquire_rx(bus, &type, &size);
    if (payload)
        check_decoded(bus->rx.tail, payload, size, type);
    check_state(bus, over, payload);
}

static size_t take_batch(struct tachyon_bus *bus, tachyon_error_t *over,
                         tachyon_msg_view_t *views, size_t most) {
    size_t count = tachyon_acquire_rx_batch(bus, views, most);
    uint64_t bytes = 0;
    CHECK(count <= most);
    for (size_t i = 0; i < count; i++) {
        check_decoded(bus->rx.tail + bytes, views[i].ptr, views[i].actual_size,
                      views[i].type_id);
        bytes += views[i].reserved_;
    }
    CHECK(bytes <=
          FUZZ_CAPACITY - RING_LINE); /* what an honest producer can have out */
    check_state(bus, over, count > 0 ? views : NULL);
    return count;
}

/* One more, behind those that `views` has if that is all that is handed out. */
static size_t take_next(struct tachyon_bus *bus, tachyon_error_t *over,
                        tachyon_msg_view_t *views, size_t count) {
    uint64_t handed = bus->rx.handed, before = bus->rx.handed_count, word;
    bool too_much = handed > FUZZ_CAPACITY / 2;
    tachyon_msg_view_t view;
    ty_fail_plain(TACHYON_SUCCESS);
    const void *payload = tachyon_acquire_rx_next_timed(bus, &view, 0, 0);
    if (handed == 0)
        check_state(bus, over, payload);
    if (payload) {
        CHECK(!too_much && payload == view.ptr);
        check_decoded(bus->rx.tail + handed, payload, view.actual_size, view.type_id);
        CHECK_EQ(bus->rx.handed, handed + view.reserved_);
        CHECK_EQ(bus->rx.handed_count, before + 1);
        if (count != before || count == MOST_VIEWS)
            return 0;
        views[count] = view;
        return count + 1;
    }
    if (handed == 0)
        return 0;
    /* Whatever lies behind it, what is handed out stays so. */
    tachyon_error_t error = tachyon_last_error();
    memcpy(&word, arena->data + (bus->rx.tail + handed) % FUZZ_CAPACITY, sizeof word);
    CHECK_EQ(error, too_much    ? TACHYON_ERR_FULL
                    : word == 0 ? TACHYON_ERR_EMPTY
                                : TACHYON_ERR_CORRUPT);
    CHECK_EQ(bus->rx.handed, handed);
    CHECK_EQ(bus->rx.handed_count, before);
    return count;
}

/* Where tachyon_batch_stride() says that message i lies. */
static unguided void check_stride(const tachyon_msg_view_t *views, size_t count) {
    size_t stride = tachyon_batch_stride(views, count);
    for (size_t i = 0; i < count && stride > 0; i++) {
        const uint8_t *message = (const uint8_t *)views[0].ptr + i * stride;
        CHECK_EQ(views[i].actual_size, views[0].actual_size);
        fuzz_touch(arena, message, views[i].actual_size);
        CHECK(message == views[i].ptr ||
              message == (const uint8_t *)views[i].ptr + FUZZ_CAPACITY);
    }
}

/* The items are those that stood in the ring, one behind the other. */
static unguided void check_items(uint64_t position, const uint8_t *items, size_t size,
                                 size_t count, uint32_t type) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *line = arena->data + position % FUZZ_CAPACITY;
        uint64_t word;
        memcpy(&word, line, sizeof word);
        bool next_line = word & 0x80000000;
        check_decoded(position, line + (next_line ? 64 : 32), size, type);
        CHECK(memcmp(line + (next_line ? 64 : 32), items + i * size, size) == 0);
        position += ring_record_bytes(next_line, size);
    }
}

/* Copies into an array that is no larger than it must be. */
static bool take_array(struct tachyon_bus *bus, tachyon_error_t *over,
                       struct input *input) {
    struct ring_record next;
    uint64_t tail = bus->rx.tail;
    uint32_t type = 0;
    size_t size = ring_look_at(&bus->rx, 0, &next) == RING_FOUND ? next.size : 1;
    if (input_below(input, 8) == 0)
        size = input_size(input, FUZZ_CAPACITY);
    if (size > FUZZ_CAPACITY)
        size = FUZZ_CAPACITY;
    size_t most = input_below(input, MOST_VIEWS);
    uint8_t *items = malloc(size * most + 1);
    CHECK(items);
    size_t count = tachyon_recv_batch(bus, items + 1, size, most, &type, 0, 0);
    CHECK(count <= most);
    check_items(tail, items + 1, size, count, type);
    free(items);
    if (count > 0 || tachyon_last_error() != TACHYON_ERR_INVALID_SZ)
        check_state(bus, over, count > 0 ? bus : NULL);
    return count > 0 || *over == TACHYON_ERR_LAGGED;
}

/* Into room that is just enough, or not. */
static bool take_copy(struct tachyon_bus *bus, tachyon_error_t *over,
                      struct input *input) {
    struct ring_record next;
    uint64_t tail = bus->rx.tail;
    uint32_t type = 0;
    size_t room = ring_look_at(&bus->rx, 0, &next) == RING_FOUND ? next.size : 1, size;
    if (room > 0 && input_below(input, 4) == 0)
        room--;
    uint8_t *item = malloc(room + 1);
    CHECK(item);
    bool taken = tachyon_recv(bus, item + 1, room, &size, &type, 0, 0) == 0;
    CHECK(!taken || size <= room);
    if (taken)
        check_items(tail, item + 1, size, 1, type);
    free(item);
    if (taken || tachyon_last_error() != TACHYON_ERR_INVALID_SZ)
        check_state(bus, over, taken ? bus : NULL);
    return taken || *over == TACHYON_ERR_LAGGED;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct tachyon_bus bus;
    struct input input = {bytes, size};
    struct session session = fuzz_session(RING_SIDE_LISTENER, 1);
    tachyon_msg_view_t views[MOST_VIEWS] = {0};
    size_t count = 0, taken = 0;
    tachyon_error_t over = TACHYON_SUCCESS;
    CHECK_EQ(ty_bus_init(&bus, &session), TACHYON_SUCCESS);
    fuzz_watch(&input, &bus);
    while (input.left > 0) {
        uint64_t tail = bus.rx.tail, handed = bus.rx.handed;
        bool released = false;
        switch (input_below(&input, 10)) {
        case 0:
        case 1:
        case 2:
            fuzz_write(&input, arena, bus.rx.tail);
            break;
        case 3:
            take_one(&bus, &over, input_below(&input, 8) == 0);
            count = 0;
            break;
        case 4:
            released = check_release(&over, tachyon_commit_rx(&bus));
            CHECK(!released || bus.rx.tail == tail + handed);
            break;
        case 5:
            count = take_batch(&bus, &over, views, 1 + input_below(&input, MOST_VIEWS));
            check_stride(views, count);
            break;
        case 6: /* the first few of the batch; now and then of a wrong one */
            taken = count > 0 ? input_below(&input, count + 2) : 1;
            if (input_below(&input, 8) == 0 && count > 0)
                views[input_below(&input, count)].reserved_ ^= input_number(&input, 2);
            released = check_release(
                &over, tachyon_commit_rx_batch(
                           &bus, views, taken < MOST_VIEWS ? taken : MOST_VIEWS));
            count = 0;
            break;
        case 7:
            released = take_array(&bus, &over, &input);
            handed = FUZZ_CAPACITY - RING_LINE;
            count = 0;
            break;
        case 8:
            count = take_next(&bus, &over, views, count);
            check_stride(views, count);
            break;
        default:
            if (input_below(&input, 2) == 0) {
                tachyon_get_state(&bus);
                break;
            }
            released = take_copy(&bus, &over, &input);
            handed = FUZZ_CAPACITY - RING_LINE;
            count = 0;
        }
        /* The tail moves by what was handed out, in whole lines, and is published. */
        CHECK(bus.rx.tail - tail <= handed && bus.rx.tail % RING_LINE == 0);
        CHECK(released || bus.rx.tail == tail);
        CHECK(bus.rx.handed <= FUZZ_CAPACITY - RING_LINE);
        CHECK(!released || bus.rx.tail == tail ||
              atomic_load(&arena->shared->tail) == bus.rx.tail);
    }
    fuzz_end(&bus);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sending into a ring whose consumer writes what it likes. */
#include "fuzz.h"

static struct arena *const arena = &fuzz_arenas[0];

/* The bounds that the producer keeps privately. */
static unguided void check_bounds(const struct tachyon_bus *bus) {
    const struct ring_producer *p = &bus->tx;
    if (p->limit == 0)
        return; /* disarmed */
    uint64_t tail = p->limit - p->capacity;
    uint64_t published = ring_flushed(p);
    CHECK(tail % RING_LINE == 0 && p->head % RING_LINE == 0);
    CHECK(tail <= published && published <= p->head);
    CHECK(p->first_word != 0 || published == p->head);
    CHECK(p->head + RING_LINE <= p->limit); /* I2 */
}

static bool is_fatal(tachyon_error_t error) {
    return error == TACHYON_ERR_CORRUPT || error == TACHYON_ERR_BUSY;
}

/* Several at once, some of which are committed, and the next operation meets the rest. */
static void reserve_batch(struct tachyon_bus *bus, struct input *input, bool *corrupt) {
    size_t size = input_size(input, FUZZ_CAPACITY - RING_OVERHEAD);
    size_t most = input_number(input, 1), count = 0, stride = 0;
    uint8_t *at = tachyon_acquire_tx_batch(bus, size, most, &count, &stride, 0, 0);
    if (!at) {
        tachyon_error_t error = tachyon_last_error();
        CHECK(error == TACHYON_ERR_FULL || error == TACHYON_ERR_INVALID_SZ ||
              is_fatal(error));
        *corrupt |= error == TACHYON_ERR_CORRUPT;
        return;
    }
    CHECK(!*corrupt && size > 0 && size <= FUZZ_CAPACITY - RING_OVERHEAD);
    CHECK(count > 0 && count <= most && count * stride <= FUZZ_CAPACITY - RING_LINE);
    CHECK(stride == ring_record_bytes(size > RING_INLINE_BYTES, size));
    for (size_t i = 0; i < count; i++)
        fuzz_fill(arena, at + i * stride, size);
    uint64_t head = bus->tx.head, commits = input_below(input, count + 3);
    bool sent = tachyon_commit_tx_batch(bus, commits, 1) == TACHYON_SUCCESS;
    CHECK_EQ(sent, commits <= count);
    CHECK_EQ(bus->tx.head - head, sent ? commits * stride : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct tachyon_bus bus;
    struct input input = {bytes, size};
    struct session session = fuzz_session(RING_SIDE_CONNECTOR, 1);
    bool corrupt = false;
    uint64_t wanted_writes = 0;
    CHECK_EQ(ty_bus_init(&bus, &session), TACHYON_SUCCESS);
    fuzz_watch(&input, &bus);
    while (input.left > 0) {
        uint8_t *slot = NULL;
        size_t most = 0;
        switch (input_below(&input, 9)) {
        case 0:
        case 1:
            fuzz_write(&input, arena, bus.tx.head);
            wanted_writes++;
            break;
        case 2:
        case 3:
        case 4:
            most = input_size(&input, FUZZ_CAPACITY - RING_OVERHEAD);
            slot = tachyon_acquire_tx(&bus, most);
            if (slot) {
                CHECK(!corrupt && most <= FUZZ_CAPACITY - RING_OVERHEAD);
                CHECK((uintptr_t)slot % (most > RING_INLINE_BYTES ? 64 : 32) == 0);
                fuzz_fill(arena, slot, most);
                size_t written = input_below(&input, most + 2);
                bool sent = tachyon_commit_tx(&bus, written, 1) == TACHYON_SUCCESS;
                CHECK_EQ(sent, written <= most);
                CHECK(sent || tachyon_last_error() == TACHYON_ERR_INVALID_SZ);
            } else {
                tachyon_error_t error = tachyon_last_error();
                CHECK(error == TACHYON_ERR_FULL || error == TACHYON_ERR_INVALID_SZ ||
                      is_fatal(error));
                CHECK(!corrupt || error == TACHYON_ERR_CORRUPT);
                corrupt = error == TACHYON_ERR_CORRUPT;
            }
            break;
        case 5:
            tachyon_flush(&bus);
            break;
        case 6:
            tachyon_rollback_tx(&bus);
            break;
        case 7: {
            if (input_below(&input, 4) == 0) {
                reserve_batch(&bus, &input, &corrupt);
                break;
            }
            static const uint8_t items[8 * FUZZ_CAPACITY];
            size_t count = input_below(&input, 9);
            most = input_size(&input, FUZZ_CAPACITY - RING_OVERHEAD);
            if (most > FUZZ_CAPACITY)
                most = FUZZ_CAPACITY;
            uint64_t messages = bus.tx.messages;
            size_t sent = tachyon_send_batch(&bus, items, most, count, 1, 0, 0);
            CHECK(sent <= count && bus.tx.messages - messages == sent);
            CHECK(sent == 0 || bus.tx.first_word == 0); /* all of them flushed */
            CHECK(sent == 0 || !corrupt);
            break;
        }
        default:
            tachyon_send(&bus, "0123456789", input_below(&input, 11), 1, 0, 0);
        }
        check_bounds(&bus);
    }
    /* A wake-up answers a word that the peer wrote: no more of them than such words. */
    CHECK(atomic_load(&bus.link.wakes) <= wanted_writes);
    fuzz_end(&bus);
    return 0;
}

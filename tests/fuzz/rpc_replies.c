/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of an RPC bus, on rings that a hostile peer writes. */
#include "rpc.c" /* the product's: its struct is nobody else's business */

#include "fuzz.h"

static unguided void check_calls(const struct tachyon_rpc_bus *rpc) {
    uint64_t entries = 0, kept = 0, settled = 0;
    for (size_t i = 0; i < rpc->calls.count; i++) {
        const struct call *call = &rpc->calls.slots[i];
        entries += call->id != 0;
        kept += call->reply != NULL;
        settled += call_settled(call);
        CHECK(call->id != 0 || !call->reply);
        CHECK(call->id == 0 || calls_slot(&rpc->calls, call->id) == call);
    }
    CHECK_EQ(entries, rpc->calls.outstanding);
    CHECK_EQ(settled, rpc->calls.settled);
    CHECK(kept <= entries && entries <= rpc->stats.calls);
    CHECK(rpc->calls.outstanding + rpc->stats.replies <= rpc->stats.calls);
}

static void call(struct tachyon_rpc_bus *rpc, struct input *input) {
    uint64_t last = rpc->calls.last, id = 0;
    size_t size = input_size(input, FUZZ_CAPACITY - RING_OVERHEAD);
    if (size > FUZZ_CAPACITY)
        size = FUZZ_CAPACITY;
    static const uint8_t payload[FUZZ_CAPACITY];
    if (tachyon_rpc_call(rpc, payload, size, 1, &id) == TACHYON_SUCCESS)
        CHECK_EQ(id, last + 1);
    else
        CHECK_EQ(rpc->calls.last, last);
}

/* What is held is the reply to `id`, all of it. */
static void check_held(const struct tachyon_rpc_bus *rpc, uint64_t id, bool was_kept,
                       const uint8_t *reply, size_t size) {
    CHECK(id != 0 && rpc->held_id == id);
    if (rpc->held_in_ring) {
        const struct ring_line *line =
            ring_line_at(fuzz_arenas[1].data, FUZZ_CAPACITY - 1, rpc->bus.rx.tail);
        CHECK_EQ(line->correlation_id, id); /* nobody writes while this runs */
        CHECK(!was_kept);
        fuzz_touch(&fuzz_arenas[1], reply, size);
        return;
    }
    CHECK(was_kept);
    fuzz_read(reply, size); /* a copy: all of it must be there */
}

static void expect(struct tachyon_rpc_bus *rpc, struct input *input) {
    uint64_t id = input_below(input, 8) ? rpc->calls.last - input_below(input, 4)
                                        : input_number(input, 8);
    uint32_t type;
    size_t size;
    const struct call *entry = calls_find(&rpc->calls, id);
    bool outstanding = entry != NULL, was_kept = entry && entry->reply;
    const uint8_t *reply = tachyon_rpc_wait_timed(rpc, id, &size, &type, 0, 0);
    if (!reply)
        return;
    CHECK(outstanding);
    check_held(rpc, id, was_kept, reply, size);
}

static void expect_any(struct tachyon_rpc_bus *rpc) {
    uint64_t id = 0;
    uint32_t type;
    size_t size;
    bool was_kept = rpc->calls.settled > 0;
    const uint8_t *reply = tachyon_rpc_wait_any(rpc, &id, &size, &type, 0, 0);
    if (!reply)
        return;
    CHECK(calls_find(&rpc->calls, id));
    check_held(rpc, id, was_kept, reply, size);
}

static void be_caller(struct tachyon_rpc_bus *rpc, struct input *input) {
    void *slot;
    size_t size;
    uint64_t id;
    switch (input_below(input, 9)) {
    case 0:
    case 1:
        call(rpc, input);
        break;
    case 2:
    case 3:
        expect(rpc, input);
        break;
    case 4:
        tachyon_rpc_commit_rx(rpc);
        break;
    case 5:
        tachyon_rpc_cancel(rpc, rpc->calls.last - input_below(input, 4));
        break;
    case 6: /* this takes replies off the ring */
        size = input_size(input, FUZZ_CAPACITY - RING_OVERHEAD);
        slot = tachyon_rpc_acquire_tx(rpc, size);
        if (slot)
            fuzz_fill(&fuzz_arenas[0], slot, size);
        if (slot && input_below(input, 2))
            tachyon_rpc_commit_call(rpc, input_below(input, size + 2), 1, &id);
        else
            tachyon_rpc_rollback_call(rpc);
        break;
    case 7:
        expect_any(rpc);
        break;
    default:
        tachyon_rpc_get_state(rpc);
    }
}

static void be_callee(struct tachyon_rpc_bus *rpc, struct input *input) {
    uint64_t id;
    uint32_t type;
    size_t size;
    const void *request;
    static const uint8_t payload[200];
    switch (input_below(input, 4)) {
    case 0:
        request = tachyon_rpc_serve_timed(rpc, &id, &type, &size, 0, 0);
        if (request) {
            fuzz_touch(&fuzz_arenas[0], request, size);
            CHECK_EQ(id, rpc->calls.last);
            CHECK(id != 0 && id <= rpc->stats.calls);
        }
        break;
    case 1:
        tachyon_rpc_commit_serve(rpc);
        break;
    case 2:
        id = rpc->calls.last - input_below(input, 4);
        bool outstanding = calls_find(&rpc->calls, id) != NULL;
        if (tachyon_rpc_reply(rpc, id, payload, input_below(input, 200), 1) ==
            TACHYON_SUCCESS)
            CHECK(outstanding && !calls_find(&rpc->calls, id));
        break;
    default:
        tachyon_rpc_get_state(rpc);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, size};
    bool caller = input_below(&input, 2);
    struct session session =
        fuzz_session(caller ? RING_SIDE_CONNECTOR : RING_SIDE_LISTENER, 2);
    struct tachyon_rpc_bus *rpc =
        aligned_alloc(alignof(tachyon_rpc_bus_t), sizeof *rpc);
    CHECK(rpc);
    *rpc = (struct tachyon_rpc_bus){.held_id = 0};
    CHECK(calls_init(&rpc->calls, 4)); /* so that it has to grow */
    CHECK_EQ(ty_bus_init(&rpc->bus, &session), TACHYON_SUCCESS);
    atomic_store(&rpc->bus.role, BUS_ROLE_BOTH);
    ty_bus_arm_tx(&rpc->bus, &rpc->bus.regions[caller ? 0 : 1]);
    ty_bus_arm_rx(&rpc->bus, &rpc->bus.regions[caller ? 1 : 0]);
    fuzz_watch(&input, &rpc->bus);
    while (input.left > 0) {
        uint64_t choice = input_below(&input, 3);
        if (choice == 0)
            fuzz_write(&input, &fuzz_arenas[caller ? 1 : 0], rpc->bus.rx.tail);
        else if (choice == 1 && input_below(&input, 4) == 0)
            fuzz_write(&input, &fuzz_arenas[caller ? 0 : 1], rpc->bus.tx.head);
        else if (caller)
            be_caller(rpc, &input);
        else
            be_callee(rpc, &input);
        check_calls(rpc);
    }
    fuzz_end(&rpc->bus);
    ty_rpc_deallocate(&rpc->bus);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Yardstick: the ring behind the same calls that can do nothing but be fast. Slots of one
 * size that both know, no header, copies of the other's index, no sleeping, nobody who is
 * looked after. The shared head and tail are written once a call. */
#include "link.h"

#include <stdatomic.h>
#include <string.h>

struct ring {
    _Alignas(64) _Atomic uint64_t head; /* messages sent; the producer's */
    _Alignas(64) _Atomic uint64_t tail; /* messages taken; the consumer's */
    _Alignas(4096) unsigned char data[];
};

static struct {
    struct ring *ring;
    uint64_t own, other; /* the other's index as it was last seen */
} out, in;
static size_t slot, slots;

static void open_it(const struct setting *setting) {
    if (setting->mode == MODE_SLEEP) {
        cannot("does not sleep");
    }
    size_t bytes = ring_bytes(setting), each = sizeof(struct ring) + bytes;
    MUST(2 * each <= SHARED_BYTES);
    char *rings = setting->shared;
    out.ring = (struct ring *)(rings + (setting->lead ? 0 : each));
    in.ring = (struct ring *)(rings + (setting->lead ? each : 0));
    slot = (setting->size + 7) / 8 * 8;
    slots = 1;
    while (slots * 2 * slot <= bytes) {
        slots *= 2;
    }
}

static unsigned char *place(struct ring *ring, uint64_t number) {
    return ring->data + (number & (slots - 1)) * slot;
}

static void send_many(const void *items, size_t size, size_t count) {
    const unsigned char *item = items;
    for (size_t i = 0; i < count; i++, item += size) {
        while (out.own - out.other == slots) {
            /* Ahead of what is not yet seen nobody gets anywhere. */
            atomic_store_explicit(&out.ring->head, out.own, memory_order_release);
            out.other = atomic_load_explicit(&out.ring->tail, memory_order_acquire);
        }
        memcpy(place(out.ring, out.own++), item, size);
    }
    /* Pairs with the load of `head` in receive_many(). */
    atomic_store_explicit(&out.ring->head, out.own, memory_order_release);
}

static size_t receive_many(void *items, size_t size, size_t most) {
    while (in.own == in.other) {
        in.other = atomic_load_explicit(&in.ring->head, memory_order_acquire);
    }
    size_t there = (size_t)(in.other - in.own);
    size_t count = there < most ? there : most;
    unsigned char *item = items;
    for (size_t i = 0; i < count; i++, item += size) {
        memcpy(item, place(in.ring, in.own++), size);
    }
    /* Pairs with the load of `tail` in send_many(). */
    atomic_store_explicit(&in.ring->tail, in.own, memory_order_release);
    return count;
}

static void send_one(const void *payload, size_t size) {
    send_many(payload, size, 1);
}

static void send_in_place(size_t size, void (*write)(void *room, size_t size)) {
    while (out.own - out.other == slots) {
        out.other = atomic_load_explicit(&out.ring->tail, memory_order_acquire);
    }
    write(place(out.ring, out.own), size);
    atomic_store_explicit(&out.ring->head, ++out.own, memory_order_release);
}

static void receive_in_place(size_t size,
                             void (*read)(const void *message, size_t size)) {
    while (in.own == in.other) {
        in.other = atomic_load_explicit(&in.ring->head, memory_order_acquire);
    }
    read(place(in.ring, in.own), size);
    atomic_store_explicit(&in.ring->tail, ++in.own, memory_order_release);
}

static void receive_one(void *payload, size_t size) {
    receive_many(payload, size, 1);
}

const struct link tachyon_peer_link = {
    .open = open_it,
    .send = send_one,
    .receive = receive_one,
    .send_batch = send_many,
    .receive_batch = receive_many,
    .send_in_place = send_in_place,
    .receive_in_place = receive_in_place,
};

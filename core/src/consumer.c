/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving. The hot path is ring_look_at and ring_release; whatever else may be the
 * matter, ring_look_at finds nothing and the slow path finds out.
 */
#include "many.h"

/* Empty looks between two questions whether the peer lives. */
#define EMPTY_LOOKS_PER_LOOK 4096u

static bool rx_ready(void *context) {
    struct rx_wait *want = context;
    want->rx = &want->bus->rx;
    want->look = ring_look_at(want->rx, 0, &want->record);
    if (want->look == RING_CORRUPT)
        ty_bus_fail(want->bus, TACHYON_ERR_CORRUPT);
    return want->look != RING_EMPTY;
}

static void rx_asleep(void *context, bool flag) {
    ring_want_record(&((struct rx_wait *)context)->bus->rx, flag);
}

static void rx_failed(void *context, tachyon_error_t error) {
    ty_bus_wait_failed(((struct rx_wait *)context)->bus, error);
}

static void rx_news(void *context) {
    ty_peers_news(((struct rx_wait *)context)->bus);
}

/* One look has found nothing; has the set anything to tell? */
static void look_empty_of_many(struct rx_wait *want, const struct wait *how) {
    struct tachyon_bus *bus = want->bus;
    how->news(want);
    if (how->ready(want))
        return;
    if (link_watched(&bus->link)) {
        ty_link_signal(&bus->link, false);
        bool ready = ty_link_arm(&bus->link, how);
        how->asleep(want, false); /* the words of cold rings stay */
        if (ready)
            return;
    }
    ty_bus_wait_failed(bus, TACHYON_ERR_EMPTY);
}

/* One look has found nothing; is there nobody left to send? */
static void look_empty(struct rx_wait *want, const struct wait *how) {
    struct tachyon_bus *bus = want->bus;
    if (link_watched(&bus->link)) {
        ty_link_take_wakes(&bus->link);
        if (ty_link_arm(&bus->link, how))
            return;
    }
    if (++bus->empty_looks % EMPTY_LOOKS_PER_LOOK == 0)
        ty_link_look(&bus->link);
    tachyon_error_t error = ty_link_error(&bus->link);
    if (error == TACHYON_SUCCESS)
        ty_bus_wait_failed(bus, TACHYON_ERR_EMPTY);
    else if (!how->ready(want)) /* it may have published right before its end */
        ty_bus_wait_failed(bus, error);
}

/* Of many peers each record comes by the slow path: this is the shortest way to it. */
static inline bool next_of_many(struct rx_wait *want) {
    const struct tachyon_bus *bus = want->bus;
    want->look = RING_EMPTY;
    return bus->peers && bus->peers->kind->rx_ready && likely(!bus_closing(bus)) &&
           likely(atomic_load_explicit(&bus->error, memory_order_relaxed) ==
                  TACHYON_SUCCESS) &&
           bus->peers->kind->rx_ready(want);
}

bool ty_bus_wait_rx(struct rx_wait *want, struct wait how) {
    struct tachyon_bus *bus = want->bus;
    const struct peers_kind *many = bus->peers ? bus->peers->kind : NULL;
    if (next_of_many(want))
        return true;
    if (ty_bus_claim(bus, TACHYON_ROLE_CONSUMER, how.timeout_ns) != TACHYON_SUCCESS)
        return false;
    if (!how.ready)
        how.ready = many ? many->rx_ready : rx_ready;
    how.asleep = many ? many->rx_asleep : rx_asleep;
    how.news = many ? rx_news : NULL;
    how.failed = rx_failed;
    how.context = want;
    if (!many && how.ready(want))
        return want->look == RING_FOUND;
    if (how.timeout_ns == 0 && many) {
        look_empty_of_many(want, &how);
    } else if (how.timeout_ns == 0) {
        look_empty(want, &how);
    } else {
        /* While records come in bursts, looking often only takes the line away from
         * the producer. */
        if (!many && ring_saw_burst(&bus->rx))
            ty_pause_burst();
        if (ty_link_wait(&bus->link, &how) == TACHYON_ERR_BUSY)
            ty_bus_wait_failed(bus, TACHYON_ERR_BUSY);
    }
    return want->look == RING_FOUND;
}

/* By itself, so that who need not wait does not prepare for it. */
static out_of_line bool wait_for_one(struct rx_wait *want, uint64_t spins,
                                     int64_t timeout_ns, bool never_sleep) {
    return ty_bus_wait_rx(want, (struct wait){.spins = spins,
                                              .timeout_ns = timeout_ns,
                                              .never_sleep = never_sleep});
}

static out_of_line const void *take_slow(struct tachyon_bus *bus, uint32_t *type_id,
                                         size_t *actual_size, uint64_t spins,
                                         int64_t timeout_ns, bool never_sleep) {
    if (is_null(bus) || is_null(type_id) || is_null(actual_size))
        return NULL;
    struct rx_wait want = {.bus = bus};
    if (!next_of_many(&want) && !wait_for_one(&want, spins, timeout_ns, never_sleep))
        return NULL;
    return bus_hand_out(want.rx, &want.record, type_id, actual_size);
}

/* The fast look; what a wait needs is only put together when there must be one. */
static inline const void *take(struct tachyon_bus *bus, uint32_t *type_id,
                               size_t *actual_size, uint64_t spins, int64_t timeout_ns,
                               bool never_sleep) {
    struct ring_record record;
    if (likely(bus && type_id && actual_size) &&
        likely(ring_look_at(&bus->rx, 0, &record) == RING_FOUND && !bus_closing(bus)))
        return bus_hand_out(&bus->rx, &record, type_id, actual_size);
    return take_slow(bus, type_id, actual_size, spins, timeout_ns, never_sleep);
}

const void *tachyon_acquire_rx(tachyon_bus_t *bus, uint32_t *type_id,
                               size_t *actual_size) {
    return take(bus, type_id, actual_size, 0, 0, false);
}

const void *tachyon_acquire_rx_spin(tachyon_bus_t *bus, uint32_t *type_id,
                                    size_t *actual_size, uint32_t max_spins) {
    /* A number of looks ends the call like a time-out. */
    return take(bus, type_id, actual_size, max_spins ? max_spins : WAIT_SPIN_FOR_EVER,
                max_spins ? TY_NEVER : -1, true);
}

const void *tachyon_acquire_rx_timed(tachyon_bus_t *bus, uint32_t *type_id,
                                     size_t *actual_size, uint32_t spin_threshold,
                                     int64_t timeout_ns) {
    return take(bus, type_id, actual_size, spin_threshold, timeout_ns, false);
}

const void *tachyon_acquire_rx_blocking(tachyon_bus_t *bus, uint32_t *type_id,
                                        size_t *actual_size, uint32_t spin_threshold) {
    return tachyon_acquire_rx_timed(bus, type_id, actual_size, spin_threshold, -1);
}

/* The producer sleeps for what was released; or it has evicted us. */
static out_of_line tachyon_error_t release_slow(struct tachyon_bus *bus) {
    if (bus->rx.woken == RING_EVICTED)
        return ty_bus_fail(bus, TACHYON_ERR_LAGGED);
    if (!ty_link_wake(&bus->link))
        bus->rx.woken = 0; /* the next release tries again */
    return TACHYON_SUCCESS;
}

/* LAGGED: what has just been read may have been overwritten before. */
static inline tachyon_error_t release(struct tachyon_bus *bus, uint64_t bytes,
                                      uint64_t count) {
    ring_release(&bus->rx, bytes, count);
    ty_link_order_waker(bus->link.expedited);
    if (unlikely(ring_producer_sleeps(&bus->rx)))
        return release_slow(bus);
    return TACHYON_SUCCESS;
}

void ty_bus_release(struct tachyon_bus *bus, uint64_t bytes, uint64_t count) {
    release(bus, bytes, count);
}

void ty_bus_consume(struct tachyon_bus *bus, uint64_t bytes, uint64_t count) {
    ring_hand_out(&bus->rx, bytes, count);
    ty_bus_release(bus, bytes, count);
}

/* The same of a ring that need not be the bus's own. */
static inline tachyon_error_t release_from(struct tachyon_bus *bus,
                                           const struct ring_consumer *rx,
                                           uint64_t bytes, uint64_t count) {
    if (rx == &bus->rx)
        return release(bus, bytes, count);
    bus->peers->kind->release(bus, bytes, count);
    return TACHYON_SUCCESS;
}

/* The ring of many from which something is handed out. */
static struct ring_consumer *handed_of_many(struct tachyon_bus *bus) {
    return bus->peers && bus->peers->kind->handed ? bus->peers->kind->handed(bus)
                                                  : NULL;
}

/* How many of them count: none, if they may have been overwritten. */
static inline uint64_t consume_from(struct tachyon_bus *bus, struct ring_consumer *rx,
                                    uint64_t bytes, uint64_t count) {
    ring_hand_out(rx, bytes, count);
    return release_from(bus, rx, bytes, count) == TACHYON_SUCCESS ? count : 0;
}

static tachyon_error_t not_handed_out(struct tachyon_bus *bus) {
    if (atomic_load(&bus->error) != TACHYON_SUCCESS)
        return ty_bus_report(bus);
    return ty_fail(TACHYON_ERR_EMPTY, 0, "no message is handed out");
}

static out_of_line tachyon_error_t commit_slow(struct tachyon_bus *bus) {
    const struct ring_consumer *rx = handed_of_many(bus);
    if (!rx)
        return not_handed_out(bus);
    return release_from(bus, rx, rx->handed, rx->handed_count);
}

tachyon_error_t tachyon_commit_rx(tachyon_bus_t *bus) {
    if (unlikely(!bus))
        return ty_fail_null("bus");
    if (unlikely(bus->rx.handed == 0))
        return commit_slow(bus);
    return release(bus, bus->rx.handed, bus->rx.handed_count);
}

/* Room for less: the message stays. */
static out_of_line tachyon_error_t too_large(size_t size, size_t room) {
    return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                   "the next message has %zu bytes, there is room for %zu", size, room);
}

static inline tachyon_error_t copy_out(struct tachyon_bus *bus,
                                       struct ring_consumer *rx,
                                       const struct ring_record *record, void *into,
                                       size_t room, size_t *size, uint32_t *type_id) {
    *size = record->size;
    *type_id = record->type_id;
    if (unlikely(record->size > room))
        return too_large(record->size, room);
    if (likely(record->size > 0))
        copy_item(into, record->payload, record->size);
    ring_hand_out(rx, record->bytes, 1);
    return release_from(bus, rx, record->bytes, 1);
}

static out_of_line tachyon_error_t recv_slow(struct tachyon_bus *bus, void *into,
                                             size_t room, size_t *size,
                                             uint32_t *type_id, uint32_t spins,
                                             int64_t timeout_ns) {
    if (is_null(bus) || is_null(size) || is_null(type_id))
        return TACHYON_ERR_NULL_PTR;
    if (!into && room > 0)
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "into is NULL, room is %zu", room);
    struct rx_wait want = {.bus = bus};
    if (!next_of_many(&want) && !wait_for_one(&want, spins, timeout_ns, false))
        return tachyon_last_error();
    return copy_out(bus, want.rx, &want.record, into, room, size, type_id);
}

tachyon_error_t tachyon_recv(tachyon_bus_t *bus, void *into, size_t room, size_t *size,
                             uint32_t *type_id, uint32_t spin_threshold,
                             int64_t timeout_ns) {
    struct ring_record record;
    if (likely(bus && size && type_id && (into || room == 0)) &&
        likely(ring_look_at(&bus->rx, 0, &record) == RING_FOUND && !bus_closing(bus)))
        return copy_out(bus, &bus->rx, &record, into, room, size, type_id);
    return recv_slow(bus, into, room, size, type_id, spin_threshold, timeout_ns);
}

/* Those that are there from the record that `want` has found. */
static size_t batch_from(struct ring_consumer *rx, struct rx_wait *want,
                         tachyon_msg_view_t *views, size_t max_msgs) {
    uint64_t ahead = 0;
    size_t count = 0;
    do { /* what is wrong behind a good record shows when it is the first */
        views[count++] = (tachyon_msg_view_t){.ptr = want->record.payload,
                                              .actual_size = want->record.size,
                                              .reserved_ = (size_t)want->record.bytes,
                                              .type_id = want->record.type_id};
        ahead += want->record.bytes;
    } while (count < max_msgs && ring_look_at(rx, ahead, &want->record) == RING_FOUND);
    ring_hand_out(rx, ahead, count);
    return count;
}

static size_t take_batch(struct tachyon_bus *bus, tachyon_msg_view_t *views,
                         size_t max_msgs, uint32_t spins, int64_t timeout_ns) {
    if (is_null(bus) || is_null(views))
        return 0;
    if (max_msgs == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "max_msgs is 0");
        return 0;
    }
    struct rx_wait want;
    if (!bus_next(bus, &want, spins, timeout_ns))
        return 0;
    return batch_from(want.rx, &want, views, max_msgs);
}

size_t tachyon_acquire_rx_batch(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                                size_t max_msgs) {
    return take_batch(bus, views, max_msgs, 0, 0);
}

size_t tachyon_drain_batch_timed(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                                 size_t max_msgs, uint32_t spin_threshold,
                                 int64_t timeout_ns) {
    return take_batch(bus, views, max_msgs, spin_threshold, timeout_ns);
}

size_t tachyon_drain_batch(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                           size_t max_msgs, uint32_t spin_threshold) {
    return tachyon_drain_batch_timed(bus, views, max_msgs, spin_threshold, -1);
}

tachyon_error_t tachyon_commit_rx_batch(tachyon_bus_t *bus,
                                        const tachyon_msg_view_t *views, size_t count) {
    if (is_null(bus) || (count > 0 && is_null(views)))
        return TACHYON_ERR_NULL_PTR;
    if (count == 0)
        return TACHYON_SUCCESS;
    struct ring_consumer *rx = bus->rx.handed ? &bus->rx : handed_of_many(bus);
    if (!rx)
        return not_handed_out(bus);
    /* The views are the caller's memory: each must stand where the one before ends. */
    uint64_t bytes = 0;
    bool match = count <= rx->handed_count;
    for (size_t i = 0; i < count && match; i++) {
        const struct ring_line *line =
            ring_line_at(rx->data, rx->mask, rx->tail + bytes);
        bool next_line = views[i].ptr == line + 1;
        match =
            (next_line || views[i].ptr == line->payload) &&
            views[i].reserved_ == ring_record_bytes(next_line, views[i].actual_size);
        bytes += views[i].reserved_;
    }
    if (!match || bytes > rx->handed ||
        (count == rx->handed_count) != (bytes == rx->handed))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "these %zu views are not the first of the %zu handed out", count,
                       (size_t)rx->handed_count);
    return release_from(bus, rx, bytes, count);
}

size_t tachyon_batch_stride(const tachyon_msg_view_t *views, size_t count) {
    if (!views || count == 0)
        return 0;
    uintptr_t in_line = (uintptr_t)views[0].ptr % RING_LINE;
    for (size_t i = 1; i < count; i++)
        if (views[i].actual_size != views[0].actual_size ||
            views[i].reserved_ != views[0].reserved_ ||
            (uintptr_t)views[i].ptr % RING_LINE != in_line)
            return 0;
    return views[0].reserved_;
}

size_t tachyon_recv_batch(tachyon_bus_t *bus, void *items, size_t item_size,
                          size_t max_count, uint32_t *type_id, uint32_t spin_threshold,
                          int64_t timeout_ns) {
    if (is_null(bus) || is_null(items) || is_null(type_id))
        return 0;
    if (item_size == 0 || max_count == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "%s is 0",
                item_size == 0 ? "item_size" : "max_count");
        return 0;
    }
    struct rx_wait want;
    if (!bus_next(bus, &want, spin_threshold, timeout_ns))
        return 0;
    struct ring_consumer *rx = want.rx;
    if (want.record.size != item_size) {
        if (ty_bus_evicted(bus)) { /* so that the size may be anything */
            ty_bus_fail(bus, TACHYON_ERR_LAGGED);
            return 0;
        }
        ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                "the next message has %zu bytes, the items of the array have %zu",
                want.record.size, item_size);
        return 0;
    }
    *type_id = want.record.type_id;
    uint8_t *item = items;
    uint64_t ahead = 0;
    size_t released = 0, unreleased = 0;
    do {
        copy_item(item, want.record.payload, item_size);
        item += item_size;
        ahead += want.record.bytes;
        if (++unreleased == RING_ARRAY_BATCH) {
            if (consume_from(bus, rx, ahead, RING_ARRAY_BATCH) == 0)
                return released;
            released += RING_ARRAY_BATCH;
            ahead = unreleased = 0;
        }
    } while (released + unreleased < max_count && !bus_closing(bus) &&
             ring_look_at(rx, ahead, &want.record) == RING_FOUND &&
             want.record.size == item_size && want.record.type_id == *type_id);
    if (unreleased > 0)
        released += consume_from(bus, rx, ahead, unreleased);
    return released;
}

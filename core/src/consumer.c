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
    want->look = ring_look_at(&want->bus->rx, 0, &want->record);
    if (want->look == RING_CORRUPT)
        ty_bus_fail(want->bus, TACHYON_ERR_CORRUPT);
    return want->look != RING_EMPTY;
}

static void rx_asleep(void *context, bool flag) {
    struct tachyon_bus *bus = ((struct rx_wait *)context)->bus;
    if (flag)
        ty_page_date(bus);
    if (bus->peers)
        bus->peers->kind->rx_asleep(context, flag);
    else
        ring_want_record(&bus->rx, flag);
    if (!flag)
        ty_page_show(bus);
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
        how->failed(want, TACHYON_ERR_EMPTY);
    else if (!how->ready(want)) /* it may have published right before its end */
        how->failed(want, error);
}

bool ty_bus_wait_rx(struct rx_wait *want, struct wait how) {
    struct tachyon_bus *bus = want->bus;
    const struct peers_kind *many = bus->peers ? bus->peers->kind : NULL;
    if (!how.ready)
        how.ready = many ? many->rx_ready : rx_ready;
    how.asleep = rx_asleep;
    how.news = many ? rx_news : NULL;
    if (!how.failed)
        how.failed = rx_failed;
    how.context = want;
    /* Sending has found the end; what the peer had sent before it is still there. */
    if (!many && !bus_closing(bus) && atomic_load(&bus->error) != TACHYON_SUCCESS &&
        how.ready(want))
        return want->look == RING_FOUND;
    if (ty_bus_claim(bus, TACHYON_ROLE_CONSUMER, how.timeout_ns) != TACHYON_SUCCESS)
        return false;
    if (how.ready(want))
        return want->look == RING_FOUND;
    if (!many)
        ty_page_follow(bus);
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

static out_of_line const void *take_slow(struct tachyon_bus *bus, uint32_t *type_id,
                                         size_t *actual_size, uint64_t spins,
                                         int64_t timeout_ns, bool never_sleep) {
    if (is_null(bus) || is_null(type_id) || is_null(actual_size))
        return NULL;
    struct rx_wait want = {.bus = bus};
    if (!ty_bus_wait_rx(&want, (struct wait){.spins = spins,
                                             .timeout_ns = timeout_ns,
                                             .never_sleep = never_sleep}))
        return NULL;
    return bus_hand_out(bus, &want.record, type_id, actual_size);
}

/* The fast look; what a wait needs is only put together when there must be one. */
static inline const void *take(struct tachyon_bus *bus, uint32_t *type_id,
                               size_t *actual_size, uint64_t spins, int64_t timeout_ns,
                               bool never_sleep) {
    struct ring_record record;
    if (likely(bus && type_id && actual_size) &&
        likely(ring_look_at(&bus->rx, 0, &record) == RING_FOUND && !bus_disturbed(bus)))
        return bus_hand_out(bus, &record, type_id, actual_size);
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

/* The producer sleeps for what was released; or it has evicted us; or this is a ring of
 * many, whose releases all come here. */
static out_of_line tachyon_error_t release_slow(struct tachyon_bus *bus) {
    if (bus->peers)
        return bus->peers->kind->released(bus);
    if (bus->rx.woken == RING_EVICTED)
        return ty_bus_fail(bus, TACHYON_ERR_LAGGED);
    if (!ty_link_wake(&bus->link))
        bus->rx.woken = 0; /* the next release tries again */
    ty_page_show(bus);
    return TACHYON_SUCCESS;
}

/* LAGGED: what has just been read may have been overwritten before. */
static inline tachyon_error_t release(struct tachyon_bus *bus, uint64_t bytes,
                                      uint64_t count) {
    struct ring_shared *shared = bus->rx.shared;
    ring_release(&bus->rx, bytes, count);
    uint64_t tail = bus->rx.tail; /* not to be read again behind the order */
    ty_link_order_waker(bus->link.expedited);
    if (unlikely(ring_must_wake(
            atomic_load_explicit(&shared->wanted_tail, memory_order_relaxed), tail,
            &bus->rx.woken)))
        return release_slow(bus);
    return TACHYON_SUCCESS;
}

/* Of several messages: a call is nothing then, and the loops keep their registers. */
static out_of_line tachyon_error_t release_batch(struct tachyon_bus *bus,
                                                 uint64_t bytes, uint64_t count) {
    return release(bus, bytes, count);
}

void ty_bus_consume(struct tachyon_bus *bus, uint64_t bytes, uint64_t count) {
    ring_hand_out(&bus->rx, bytes, count);
    release_batch(bus, bytes, count);
}

static tachyon_error_t not_handed_out(struct tachyon_bus *bus) {
    if (atomic_load(&bus->error) != TACHYON_SUCCESS)
        return ty_bus_report(bus);
    return ty_fail(TACHYON_ERR_EMPTY, 0, "no message is handed out");
}

tachyon_error_t tachyon_commit_rx(tachyon_bus_t *bus) {
    if (unlikely(!bus))
        return ty_fail_null("bus");
    if (unlikely(bus->rx.handed == 0))
        return not_handed_out(bus);
    return release(bus, bus->rx.handed, bus->rx.handed_count);
}

static inline tachyon_error_t copy_out(struct tachyon_bus *bus,
                                       const struct ring_record *record, void *into,
                                       size_t *size, uint32_t *type_id) {
    *size = record->size;
    *type_id = record->type_id;
    copy_item(into, record->payload, record->size);
    ring_hand_out(&bus->rx, record->bytes, 1);
    return release(bus, record->bytes, 1);
}

/* Room for less: the message stays. */
static tachyon_error_t too_large(struct tachyon_bus *bus,
                                 const struct ring_record *record, size_t room,
                                 size_t *size, uint32_t *type_id) {
    if (ty_bus_evicted(bus)) /* so that the size may be anything */
        return ty_bus_fail(bus, TACHYON_ERR_LAGGED);
    *size = record->size;
    *type_id = record->type_id;
    return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                   "the next message has %zu bytes, there is room for %zu",
                   record->size, room);
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
    if (!ty_bus_wait_rx(&want, (struct wait){.spins = spins, .timeout_ns = timeout_ns}))
        return tachyon_last_error();
    if (want.record.size > room)
        return too_large(bus, &want.record, room, size, type_id);
    if (want.record.size > 0)
        return copy_out(bus, &want.record, into, size, type_id);
    *size = 0;
    *type_id = want.record.type_id;
    ring_hand_out(&bus->rx, want.record.bytes, 1);
    return release_batch(bus, want.record.bytes, 1);
}

tachyon_error_t tachyon_recv(tachyon_bus_t *bus, void *into, size_t room, size_t *size,
                             uint32_t *type_id, uint32_t spin_threshold,
                             int64_t timeout_ns) {
    struct ring_record record;
    if (!bus || !size || !type_id || !into)
        return recv_slow(bus, into, room, size, type_id, spin_threshold, timeout_ns);
    /* One comparison for what fits and is not empty. */
    if (likely(ring_look_at(&bus->rx, 0, &record) == RING_FOUND &&
               record.size - 1 < room && !bus_disturbed(bus)))
        return copy_out(bus, &record, into, size, type_id);
    return recv_slow(bus, into, room, size, type_id, spin_threshold, timeout_ns);
}

static inline void fill_in(tachyon_msg_view_t *view, const struct ring_record *record) {
    *view = (tachyon_msg_view_t){.ptr = record->payload,
                                 .actual_size = record->size,
                                 .reserved_ = (size_t)record->bytes,
                                 .type_id = record->type_id};
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
    uint64_t ahead = 0;
    size_t count = 0;
    do { /* what is wrong behind a good record shows when it is the first */
        fill_in(&views[count++], &want.record);
        ahead += want.record.bytes;
    } while (count < max_msgs &&
             ring_look_at(&bus->rx, ahead, &want.record) == RING_FOUND);
    ring_hand_out(&bus->rx, ahead, count);
    return count;
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

/* ---- Behind what is handed out ----
 *
 * Nothing in here ends the handle as long as what is handed out is good: it can still be
 * released, and once that is done the next receive meets the same again.
 */

static tachyon_error_t fail_behind(struct tachyon_bus *bus, tachyon_error_t error) {
    if (ty_bus_evicted(bus)) /* what is handed out is not good any more */
        return ty_bus_fail(bus, TACHYON_ERR_LAGGED);
    return ty_bus_say(bus, error);
}

static bool ready_behind(void *context) {
    struct rx_wait *want = context;
    const struct ring_consumer *rx = &want->bus->rx;
    want->look = ring_look_at(rx, rx->handed, &want->record);
    if (want->look == RING_CORRUPT)
        fail_behind(want->bus, TACHYON_ERR_CORRUPT);
    return want->look != RING_EMPTY;
}

static void failed_behind(void *context, tachyon_error_t error) {
    fail_behind(((struct rx_wait *)context)->bus, error);
}

/* More would leave the producer no room, and each would wait for the other. */
static inline bool holds_too_much(const struct tachyon_bus *bus) {
    return bus->rx.handed > bus->rx.capacity / 2;
}

/* There is something handed out. */
static bool may_look_behind(struct tachyon_bus *bus, int64_t timeout_ns) {
    struct ring_record record;
    tachyon_error_t error = ty_link_error(&bus->link);
    if (bus->peers)
        ty_fail(TACHYON_ERR_BUSY, 0,
                "of many peers one message, or batch, is handed out at a time: release "
                "it first");
    else if (ty_bus_evicted(bus))
        ty_bus_fail(bus, TACHYON_ERR_LAGGED);
    else if (holds_too_much(bus))
        ty_fail(TACHYON_ERR_FULL, 0,
                "what is handed out takes %zu of the ring's %zu bytes, more than half: "
                "release the oldest first",
                (size_t)bus->rx.handed, (size_t)bus->rx.capacity);
    else if (error != TACHYON_SUCCESS && !bus_closing(bus) &&
             ring_look_at(&bus->rx, bus->rx.handed, &record) == RING_EMPTY)
        ty_bus_tell_again(bus, error, timeout_ns);
    else
        return true;
    return false;
}

static const void *hand_out_behind(struct tachyon_bus *bus,
                                   const struct ring_record *record,
                                   tachyon_msg_view_t *view) {
    fill_in(view, record);
    ring_hand_out(&bus->rx, bus->rx.handed + record->bytes, bus->rx.handed_count + 1);
    return record->payload;
}

static out_of_line const void *next_slow(struct tachyon_bus *bus,
                                         tachyon_msg_view_t *view, uint32_t spins,
                                         int64_t timeout_ns) {
    if (is_null(bus) || is_null(view))
        return NULL;
    struct rx_wait want = {.bus = bus};
    struct wait how = {.spins = spins, .timeout_ns = timeout_ns};
    if (bus->rx.handed > 0) {
        if (!may_look_behind(bus, timeout_ns))
            return NULL;
        how.ready = ready_behind;
        how.failed = failed_behind;
    }
    if (!ty_bus_wait_rx(&want, how))
        return NULL;
    if (bus->rx.handed > 0 && ty_bus_evicted(bus)) {
        ty_bus_fail(bus, TACHYON_ERR_LAGGED);
        return NULL;
    }
    return hand_out_behind(bus, &want.record, view);
}

const void *tachyon_acquire_rx_next_timed(tachyon_bus_t *bus, tachyon_msg_view_t *view,
                                          uint32_t spin_threshold, int64_t timeout_ns) {
    struct ring_record record;
    if (likely(bus && view) && bus->epoch == 0 && !bus->peers && !holds_too_much(bus) &&
        ring_look_at(&bus->rx, bus->rx.handed, &record) == RING_FOUND &&
        !bus_disturbed(bus))
        return hand_out_behind(bus, &record, view);
    return next_slow(bus, view, spin_threshold, timeout_ns);
}

tachyon_error_t tachyon_commit_rx_batch(tachyon_bus_t *bus,
                                        const tachyon_msg_view_t *views, size_t count) {
    if (is_null(bus) || (count > 0 && is_null(views)))
        return TACHYON_ERR_NULL_PTR;
    if (count == 0)
        return TACHYON_SUCCESS;
    if (bus->rx.handed == 0)
        return not_handed_out(bus);
    /* The views are the caller's memory: each must stand where the one before ends. */
    uint64_t bytes = 0;
    bool match = count <= bus->rx.handed_count;
    for (size_t i = 0; i < count && match; i++) {
        const struct ring_line *line =
            ring_line_at(bus->rx.data, bus->rx.mask, bus->rx.tail + bytes);
        bool next_line = views[i].ptr == line + 1;
        match =
            (next_line || views[i].ptr == line->payload) &&
            views[i].reserved_ == ring_record_bytes(next_line, views[i].actual_size);
        bytes += views[i].reserved_;
    }
    if (!match || bytes > bus->rx.handed ||
        (count == bus->rx.handed_count) != (bytes == bus->rx.handed))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "these %zu views are not the first of the %zu handed out", count,
                       (size_t)bus->rx.handed_count);
    return release_batch(bus, bytes, count);
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

/* Is there another item behind what was copied? */
static inline bool next_item(struct tachyon_bus *bus, uint64_t ahead, size_t item_size,
                             uint32_t type_id, struct ring_record *record) {
    return !bus_disturbed(bus) && ring_look_at(&bus->rx, ahead, record) == RING_FOUND &&
           record->size == item_size && record->type_id == type_id;
}

/* Copy up to `most` items from `record` on, and release them. How many count: none, if
 * they may have been overwritten. */
static inline size_t copy_items(struct tachyon_bus *bus, struct ring_record record,
                                uint8_t *items, size_t item_size, size_t most) {
    uint64_t ahead = 0;
    size_t left = most;
    uint32_t type_id = record.type_id;
    do {
        copy_item(items, record.payload, item_size);
        items += item_size;
        ahead += record.bytes;
    } while (--left > 0 && next_item(bus, ahead, item_size, type_id, &record));
    ring_hand_out(&bus->rx, ahead, most - left);
    return release_batch(bus, ahead, most - left) == TACHYON_SUCCESS ? most - left : 0;
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
    size_t count = 0, copied;
    do {
        size_t most =
            max_count - count < RING_ARRAY_BATCH ? max_count - count : RING_ARRAY_BATCH;
        copied = copy_items(bus, want.record, (uint8_t *)items + count * item_size,
                            item_size, most);
        count += copied;
    } while (copied == RING_ARRAY_BATCH && count < max_count &&
             next_item(bus, 0, item_size, *type_id, &want.record));
    return count;
}

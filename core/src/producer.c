/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending. The hot path is ring_reserve, ring_commit and ring_publish; whatever else
 * may be the matter, ring_reserve finds no room and the slow path finds out.
 */
#include "many.h"

bool ty_bus_tx_ready(void *context) {
    struct tx_wait *want = context;
    struct tachyon_bus *bus = want->bus;
    want->corrupt = !ring_refresh(&bus->tx);
    if (want->corrupt)
        ty_bus_fail(bus, TACHYON_ERR_CORRUPT);
    else
        want->slot = ring_reserve(&bus->tx, want->size);
    return want->corrupt || want->slot;
}

void ty_bus_tx_asleep(void *context, bool flag) {
    const struct tx_wait *want = context;
    uint64_t bytes = ring_record_bytes(want->size > RING_INLINE_BYTES, want->size);
    ring_want_space(&want->bus->tx, flag ? bytes : 0);
}

static void tx_failed(void *context, tachyon_error_t error) {
    ty_bus_wait_tx_failed(((struct tx_wait *)context)->bus, error);
}

static void tx_news(void *context) {
    ty_peers_news(((struct tx_wait *)context)->bus);
}

/* The wait for room has begun: by looking at the peer, or by waiting for it. */
static void wait_for_room(struct tachyon_bus *bus, const struct wait *how) {
    bus->tx.full++;
    ty_page_date(bus);
    if (how->timeout_ns != 0) {
        if (ty_link_wait(&bus->link, how) == TACHYON_ERR_BUSY)
            ty_bus_wait_failed(bus, TACHYON_ERR_BUSY);
        else
            ty_page_show(bus);
        return;
    }
    ty_link_look(&bus->link);
    if (how->news) {
        how->news(how->context);
        if (how->ready(how->context))
            return;
    }
    if (link_watched(&bus->link) && ty_link_arm(&bus->link, how))
        return;
    tachyon_error_t error = ty_link_error(&bus->link);
    ty_bus_wait_tx_failed(bus, error == TACHYON_SUCCESS ? TACHYON_ERR_FULL : error);
}

bool ty_bus_fits(const struct tachyon_bus *bus, size_t size) {
    /* Without a peer of many there is no ring: each has one as large as this. */
    uint64_t most =
        ring_max_payload(bus->peers ? bus->regions[bus->peers->kind->tx_ring].capacity
                                    : bus->tx.capacity);
    if (size > most)
        ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                "a message of %zu bytes can never fit: this ring takes %zu at most",
                size, (size_t)most);
    return size <= most;
}

void *ty_bus_wait_tx(struct tachyon_bus *bus, size_t size, struct wait how) {
    bus->tx.offset = 0;
    tachyon_flush(bus); /* may find the peer gone: before the claim reports that */
    if (ty_bus_claim(bus, TACHYON_ROLE_PRODUCER, how.timeout_ns) != TACHYON_SUCCESS)
        return NULL;
    if (!ty_bus_fits(bus, size))
        return NULL;
    const struct peers_kind *many = bus->peers ? bus->peers->kind : NULL;
    struct tx_wait want = {.bus = bus, .size = size};
    if (!how.ready)
        how.ready = many ? many->tx_ready : ty_bus_tx_ready;
    if (!how.asleep)
        how.asleep = many ? many->tx_asleep : ty_bus_tx_asleep;
    how.news = many ? tx_news : NULL;
    how.failed = tx_failed;
    how.context = &want;
    /* What woke us for room is seen now. On an RPC bus it may tell of a message too. */
    if (link_watched(&bus->link) && !bus->link.receives) {
        ty_link_take_wakes(&bus->link);
        if (many) /* theirs came by sockets of their own */
            ty_peers_news(bus);
    }
    if (!how.ready(&want))
        wait_for_room(bus, &how);
    bus->refused = !want.slot;
    return want.slot;
}

static out_of_line void *acquire_tx_slow(struct tachyon_bus *bus, size_t size,
                                         uint32_t spins, int64_t timeout_ns) {
    return ty_bus_wait_tx(bus, size,
                          (struct wait){.spins = spins, .timeout_ns = timeout_ns});
}

void *tachyon_acquire_tx_timed(tachyon_bus_t *bus, size_t max_payload_size,
                               uint32_t spin_threshold, int64_t timeout_ns) {
    if (is_null(bus))
        return NULL;
    void *slot = ring_reserve(&bus->tx, max_payload_size);
    if (likely(slot && !bus_closing(bus)))
        return slot;
    return acquire_tx_slow(bus, max_payload_size, spin_threshold, timeout_ns);
}

void *tachyon_acquire_tx(tachyon_bus_t *bus, size_t max_payload_size) {
    return tachyon_acquire_tx_timed(bus, max_payload_size, 0, 0);
}

/* Wake the consumer, or only ask whether it still lives. */
static out_of_line void flush_slow(struct tachyon_bus *bus, bool wake) {
    if (bus->peers) {
        bus->peers->kind->flush_slow(bus, wake);
        return;
    }
    if (wake && !ty_link_wake(&bus->link))
        bus->tx.woken = 0; /* the next flush tries again */
    else if (unlikely(bus->tx.flushes % FLUSHES_PER_LOOK == 0))
        ty_link_look(&bus->link);
    if (wake || bus->tx.flushes % FLUSHES_PER_PAGE == 0)
        ty_page_date(bus);
    tachyon_error_t error = ty_link_error(&bus->link);
    if (error != TACHYON_SUCCESS)
        ty_bus_fail_tx(bus, error);
}

static inline void publish(struct tachyon_bus *bus, bool freely) {
    ring_publish(&bus->tx);
    ty_link_order_waker(freely);
    bool wake = ring_consumer_sleeps(&bus->tx);
    if (unlikely(wake || bus->tx.flushes % FLUSHES_PER_LOOK == 0))
        flush_slow(bus, wake);
}

/* What an aborted end has not flushed by then is never seen. */
static out_of_line tachyon_error_t flush_carefully(struct tachyon_bus *bus) {
    if (ty_link_aborted(&bus->link))
        return ty_bus_fail(bus, TACHYON_ERR_CLOSED);
    if (bus->peers && bus->peers->kind->before_flush)
        bus->peers->kind->before_flush(bus);
    if (bus->tx.first_word != 0) /* what nobody is there for may have gone meanwhile */
        publish(bus, false);
    return TACHYON_SUCCESS;
}

/* CLOSED: nothing was shown, and never will be. */
static forced_inline tachyon_error_t flush(struct tachyon_bus *bus) {
    if (bus->tx.first_word == 0)
        return TACHYON_SUCCESS;
    if (unlikely(
            !atomic_load_explicit(&bus->link.flushes_freely, memory_order_relaxed)))
        return flush_carefully(bus);
    publish(bus, true);
    return TACHYON_SUCCESS;
}

tachyon_error_t ty_bus_flush(struct tachyon_bus *bus) {
    return flush(bus);
}

/* Nothing to show, but time to look around. */
static out_of_line void flush_nothing(struct tachyon_bus *bus) {
    const struct peers_kind *many = bus->peers ? bus->peers->kind : NULL;
    if (many && many->idle && !bus_closing(bus) &&
        atomic_load(&bus->error) == TACHYON_SUCCESS)
        many->idle(bus);
    ty_page_show(bus);
}

void tachyon_flush(tachyon_bus_t *bus) {
    if (likely(bus && bus->tx.first_word != 0))
        flush(bus);
    else if (bus)
        flush_nothing(bus);
}

/* For the commit that finds enough to flush: a tail call, so that the others, which do
 * not, save no register. */
static out_of_line tachyon_error_t flush_full(struct tachyon_bus *bus) {
    tachyon_flush(bus);
    return TACHYON_SUCCESS;
}

/* There is no open reservation of what is to be finished. */
static tachyon_error_t not_reserved(struct tachyon_bus *bus, const char *what) {
    if (atomic_load(&bus->error) != TACHYON_SUCCESS)
        return ty_bus_report(bus);
    return ty_fail(TACHYON_ERR_EMPTY, 0, "no %s is reserved%s", what,
                   bus->tx.offset == 0            ? ""
                   : bus->tx.offset == RING_BATCH ? ", but a batch"
                                                  : ", but a message");
}

static inline tachyon_error_t commit(struct tachyon_bus *bus, size_t actual_size,
                                     uint32_t type_id, uint64_t correlation_id) {
    if (unlikely(!ring_reserved_one(&bus->tx)))
        return not_reserved(bus, "message");
    if (unlikely(actual_size > bus->tx.reserved))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "the message has %zu bytes, but only %zu are reserved",
                       actual_size, (size_t)bus->tx.reserved);
    ring_commit(&bus->tx, actual_size, type_id, correlation_id);
    if (unlikely(bus->tx.unflushed >= RING_MAX_UNFLUSHED))
        return flush_full(bus);
    return TACHYON_SUCCESS;
}

tachyon_error_t ty_bus_commit(struct tachyon_bus *bus, size_t actual_size,
                              uint32_t type_id, uint64_t correlation_id) {
    return commit(bus, actual_size, type_id, correlation_id);
}

tachyon_error_t tachyon_commit_tx(tachyon_bus_t *bus, size_t actual_size,
                                  uint32_t type_id) {
    if (unlikely(!bus))
        return ty_fail_null("bus");
    return commit(bus, actual_size, type_id, 0);
}

tachyon_error_t tachyon_rollback_tx(tachyon_bus_t *bus) {
    if (is_null(bus))
        return TACHYON_ERR_NULL_PTR;
    if (bus->tx.offset == 0)
        return not_reserved(bus, "message");
    bus->tx.offset = 0; /* its record word is still 0, so nothing was there */
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_send(tachyon_bus_t *bus, const void *payload, size_t size,
                             uint32_t type_id, uint32_t spin_threshold,
                             int64_t timeout_ns) {
    if (unlikely(!payload && size > 0))
        return ty_fail(TACHYON_ERR_NULL_PTR, 0, "payload is NULL, size is %zu", size);
    void *slot = tachyon_acquire_tx_timed(bus, size, spin_threshold, timeout_ns);
    if (unlikely(!slot))
        return tachyon_last_error();
    if (size > 0)
        memcpy(slot, payload, size);
    ring_commit(&bus->tx, size, type_id, 0);
    return flush(bus);
}

/* ---- Several at once ---- */

void *tachyon_acquire_tx_batch(tachyon_bus_t *bus, size_t item_size, size_t max_count,
                               size_t *count, size_t *stride, uint32_t spin_threshold,
                               int64_t timeout_ns) {
    if (is_null(bus) || is_null(count) || is_null(stride))
        return NULL;
    if (item_size == 0 || max_count == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "%s is 0",
                item_size == 0 ? "item_size" : "max_count");
        return NULL;
    }
    uint64_t bytes = ring_record_bytes(item_size > RING_INLINE_BYTES, item_size);
    void *slot = ring_reserve(&bus->tx, item_size);
    if (unlikely(!slot || bus_closing(bus)) ||
        (bus->peers && ring_room_for(&bus->tx, bytes) < max_count))
        slot = acquire_tx_slow(bus, item_size, spin_threshold, timeout_ns);
    if (!slot)
        return NULL;
    uint64_t room = ring_room_for(&bus->tx, bytes);
    if (room < max_count && !bus->peers) { /* the consumer may have come further */
        if (!ring_refresh(&bus->tx)) {
            ty_bus_fail(bus, TACHYON_ERR_CORRUPT);
            return NULL;
        }
        room = ring_room_for(&bus->tx, bytes);
    }
    ring_reserve_batch(&bus->tx, bytes, room < max_count ? room : max_count);
    *count = (size_t)bus->tx.batch_count;
    *stride = (size_t)bytes;
    return slot;
}

tachyon_error_t tachyon_commit_tx_batch(tachyon_bus_t *bus, size_t count,
                                        uint32_t type_id) {
    if (is_null(bus))
        return TACHYON_ERR_NULL_PTR;
    if (unlikely(bus->tx.offset != RING_BATCH))
        return not_reserved(bus, "batch");
    if (unlikely(count > bus->tx.batch_count))
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0,
                       "%zu messages cannot be committed: %zu are reserved", count,
                       (size_t)bus->tx.batch_count);
    if (count == 0)
        return tachyon_rollback_tx(bus);
    ring_commit_batch(&bus->tx, count, type_id);
    return bus->tx.unflushed >= RING_MAX_UNFLUSHED ? flush_full(bus) : TACHYON_SUCCESS;
}

size_t tachyon_send_batch(tachyon_bus_t *bus, const void *items, size_t item_size,
                          size_t count, uint32_t type_id, uint32_t spin_threshold,
                          int64_t timeout_ns) {
    if (is_null(bus) || (count > 0 && is_null(items)))
        return 0;
    if (item_size == 0) {
        ty_fail(TACHYON_ERR_INVALID_SZ, 0, "item_size is 0");
        return 0;
    }
    const uint8_t *item = items;
    int64_t deadline = 0; /* the clock is read when the ring is full */
    size_t sent = 0, flushed = 0;
    for (; sent < count; sent++, item += item_size) {
        void *slot = ring_reserve(&bus->tx, item_size);
        if (unlikely(!slot || bus_closing(bus))) {
            if (ty_bus_flush(bus) != TACHYON_SUCCESS)
                return flushed;
            flushed = sent;
            if (timeout_ns > 0 && deadline == 0)
                deadline = ty_deadline(timeout_ns);
            else if (timeout_ns > 0 && (timeout_ns = deadline - ty_now_ns()) <= 0)
                timeout_ns = 1; /* over; but still TIMEOUT, not FULL */
            slot = acquire_tx_slow(bus, item_size, spin_threshold, timeout_ns);
            if (!slot)
                return sent;
        }
        copy_item(slot, item, item_size);
        ring_commit(&bus->tx, item_size, type_id, 0);
        if (bus->tx.unflushed >= RING_ARRAY_BATCH) {
            if (ty_bus_flush(bus) != TACHYON_SUCCESS)
                return flushed;
            flushed = sent + 1;
        }
    }
    return ty_bus_flush(bus) == TACHYON_SUCCESS ? sent : flushed;
}

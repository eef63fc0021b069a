/* SPDX-License-Identifier: Apache-2.0 */
/* Sending, receiving, calling, and what an open bus tells of itself. */
#include "end.h"

#include <stdlib.h>
#include <string.h>

/* ---- Looking at it ---- */

int Bus_state(Bus *bus) {
    if (!visit(bus))
        return atomic_load(&whole(bus)->ended) ? TACHYON_STATE_DISCONNECTED
                                               : TACHYON_STATE_UNINITIALIZED;
    tachyon_state_t state =
        bus->rpc ? tachyon_rpc_get_state(bus->rpc) : tachyon_get_state(bus->bus);
    depart(bus);
    return (int)state;
}

const char *Bus_error_text(Bus *bus) {
    return bus->text;
}

Result Bus_max_payload(Bus *bus) {
    VISITED((Result)(bus->rpc ? tachyon_rpc_max_payload(bus->rpc)
                              : tachyon_max_payload(bus->bus)));
}

void Bus_set_polling_mode(Bus *bus, int pure_spin) {
    set_error(bus, 0);
    if (!visit(bus)) {
        facade_fail_closed(bus);
        return;
    }
    if (bus->rpc)
        tachyon_rpc_set_polling_mode(bus->rpc, pure_spin);
    else
        tachyon_bus_set_polling_mode(bus->bus, pure_spin);
    depart(bus);
}

Result Bus_set_numa_node(Bus *bus, int node_id) {
    VISITED(checked(bus, tachyon_bus_set_numa_node(bus->bus, node_id)));
}

/* A struct with the answer, all zero with an error. */
#define ANSWER(type, call)                                                             \
    type answer = {0};                                                                 \
    BETWEEN(visit, depart, (facade_fail_closed(bus), answer), checked(bus, call),      \
            answer)

tachyon_peer_t Bus_peer(Bus *bus) {
    ANSWER(tachyon_peer_t, bus->rpc ? tachyon_rpc_get_peer(bus->rpc, &answer)
                                    : tachyon_bus_get_peer(bus->bus, &answer));
}

tachyon_stats_t Bus_stats(Bus *bus) {
    ANSWER(tachyon_stats_t, tachyon_bus_get_stats(bus->bus, &answer));
}

tachyon_rpc_stats_t RpcBus_stats(Bus *bus) {
    ANSWER(tachyon_rpc_stats_t, tachyon_rpc_get_stats(bus->rpc, &answer));
}

/* ---- Many peers ---- */

static bool try_accept(Call *call, int64_t timeout_ns) {
    const Bus *bus = call->bus;
    return (bus->rpc ? tachyon_rpc_accept(bus->rpc, call->room, timeout_ns)
                     : tachyon_bus_accept(bus->bus, call->room, timeout_ns)) ==
           TACHYON_SUCCESS;
}

tachyon_event_t Bus_accept(Bus *bus, double timeout) {
    tachyon_event_t event = {0};
    Result result =
        facade_visit(try_accept, &(Call){.bus = bus, .room = &event}, timeout);
    if (result < 0)
        event = (tachyon_event_t){.reason = (tachyon_error_t)-result};
    return event;
}

Peers *Bus_peers(Bus *bus) {
    Peers *peers = malloc(sizeof *peers + TACHYON_MAX_PEERS * sizeof peers->all[0]);
    set_error(bus, 0);
    if (!peers) {
        facade_fail(bus, TACHYON_ERR_MEM, "no memory for a list of peers");
    } else if (!visit(bus)) {
        facade_fail_closed(bus);
    } else {
        peers->count = (uint32_t)(bus->rpc ? tachyon_rpc_get_peers(bus->rpc, peers->all,
                                                                   TACHYON_MAX_PEERS)
                                           : tachyon_bus_get_peers(bus->bus, peers->all,
                                                                   TACHYON_MAX_PEERS));
        if (peers->count == 0)
            checked(bus, tachyon_last_error());
        depart(bus);
    }
    if (!facade_error) /* bus->error may be another thread's by now */
        return peers;
    free(peers);
    return NULL;
}

void delete_Peers(Peers *peers) {
    free(peers);
}

tachyon_peer_info_t Peers_at(Peers *peers, uint32_t index) {
    return index < peers->count ? peers->all[index] : (tachyon_peer_info_t){0};
}

Result Bus_drop_peer(Bus *bus, uint32_t peer) {
    VISITED(checked(bus, bus->rpc ? tachyon_rpc_drop_peer(bus->rpc, peer)
                                  : tachyon_bus_drop_peer(bus->bus, peer)));
}

Result Bus_sender(Bus *bus) {
    VISITED((Result)(bus->rpc ? tachyon_rpc_sender(bus->rpc)
                              : tachyon_bus_sender(bus->bus)));
}

Result Bus_position(Bus *bus) {
    uint64_t position = 0;
    VISITED(checked(bus, tachyon_bus_position(bus->bus, &position, &bus->epoch)) < 0
                ? -(Result)facade_error
                : (Result)position);
}

/* ---- Sending ---- */

static bool try_send(Call *call, int64_t timeout_ns) {
    return tachyon_send(call->bus->bus, call->data, call->size, call->type_id,
                        call->bus->spin, timeout_ns) == TACHYON_SUCCESS;
}

Result Bus_send(Bus *bus, const void *data, size_t size, uint32_t type_id,
                double timeout) {
    Call call = {.bus = bus, .data = data, .size = size, .type_id = type_id};
    return perform_whole(try_send, &call, timeout);
}

static bool try_send_batch(Call *call, int64_t timeout_ns) {
    call->done += tachyon_send_batch(
        call->bus->bus, (const char *)call->data + call->done * call->size, call->size,
        call->count - call->done, call->type_id, call->bus->spin, timeout_ns);
    call->bus->count = (uint32_t)call->done; /* a handler may jump out of the wait */
    return call->done == call->count;
}

Result Bus_send_batch(Bus *bus, const void *items, size_t size, size_t item_size,
                      uint32_t type_id, double timeout) {
    if (item_size == 0 || size % item_size != 0)
        return facade_fail(bus, TACHYON_ERR_INVALID_SZ,
                           "the data are not a whole number of items of item_size");
    Call call = {.bus = bus,
                 .data = items,
                 .size = item_size,
                 .count = size / item_size,
                 .type_id = type_id};
    Result result = perform_whole(try_send_batch, &call, timeout);
    bool interrupted = result == -TACHYON_ERR_INTERRUPTED;
    if (result < 0 && (call.done == 0 || (interrupted && !host.interruptible)))
        return result; /* also what a handler raises, which it does once */
    if (interrupted)
        Bus_interrupt(bus); /* it was for the whole of it */
    set_error(bus, 0);      /* the next call says what was the matter */
    return (Result)call.done;
}

/* ---- In place ---- */

/* Refused where each of many peers has a ring of its own, which goes with the peer. */
static bool has_ring(Bus *bus) {
    bool open = !(atomic_load(&whole(bus)->visitors) & CLOSED);
    if (!open || whole(bus)->ring.data)
        return true;
    facade_fail(bus, TACHYON_ERR_INVALID_SZ,
                "each of many peers has memory of its own: send and receive copies");
    return false;
}

static Result perform_in_place(Attempt *attempt, Call *call, double timeout) {
    return has_ring(call->bus) ? perform(attempt, call, timeout)
                               : -TACHYON_ERR_INVALID_SZ;
}

static Result offset_of(Bus *bus, const void *pointer) {
    Result offset = (const char *)pointer - whole(bus)->ring.data;
    leave(bus);
    return offset;
}

static bool try_reserve(Call *call, int64_t timeout_ns) {
    call->room = tachyon_acquire_tx_timed(call->bus->bus, call->size, call->bus->spin,
                                          timeout_ns);
    return call->room != NULL;
}

Result Bus_reserve(Bus *bus, size_t size, double timeout) {
    Call call = {.bus = bus, .size = size};
    Result result = perform_in_place(try_reserve, &call, timeout);
    return result < 0 ? result : offset_of(bus, call.room);
}

Result Bus_commit(Bus *bus, size_t size, uint32_t type_id) {
    ENTERED(checked(bus, tachyon_commit_tx(bus->bus, size, type_id)));
}

static bool try_reserve_batch(Call *call, int64_t timeout_ns) {
    call->room =
        tachyon_acquire_tx_batch(call->bus->bus, call->size, call->count, &call->done,
                                 &call->bus->stride, call->bus->spin, timeout_ns);
    return call->room != NULL;
}

Result Bus_reserve_batch(Bus *bus, size_t item_size, size_t max_count, double timeout) {
    Call call = {.bus = bus, .size = item_size, .count = max_count};
    Result result = perform_in_place(try_reserve_batch, &call, timeout);
    if (result < 0)
        return result;
    bus->count = (uint32_t)call.done;
    return offset_of(bus, call.room);
}

Result Bus_commit_batch(Bus *bus, size_t count, uint32_t type_id) {
    ENTERED(checked(bus, tachyon_commit_tx_batch(bus->bus, count, type_id)));
}

Result Bus_rollback(Bus *bus) {
    ENTERED(checked(bus, tachyon_rollback_tx(bus->bus)));
}

Result Bus_flush(Bus *bus) {
    ENTERED((tachyon_flush(bus->bus), 0));
}

/* ---- Receiving ---- */

static void let_go(Bus *bus) {
    whole(bus)->held = HELD_NONE;
    leave(bus);
}

static bool holds(Bus *bus) {
    Whole *w = whole(bus);
    return w->held != HELD_NONE && pthread_equal(w->holder, pthread_self());
}

/* What the language is to copy: the caller stays inside until bytes_taken(). One that was
 * never copied is not in the way of the thread's next, which is the same again; but a
 * reply, which the core gives once, has to be copied. */
static Bytes hold(Attempt *attempt, Call *call, double timeout, enum held held) {
    Bus *bus = call->bus;
    Whole *w = whole(bus);
    if (holds(bus) && w->held != HELD_REPLY)
        let_go(bus);
    if (perform(attempt, call, timeout) < 0)
        return (Bytes){NULL, 0};
    bus->type_id = call->type_id;
    bus->size = call->size;
    bus->id = call->id;
    w->held_data = call->data;
    w->holder = pthread_self(); /* first: others look whether it is theirs */
    w->held = held;
    return (Bytes){call->data, call->size};
}

void bytes_taken(Bus *bus) {
    enum held held = whole(bus)->held;
    if (held == HELD_MESSAGE && tachyon_commit_rx(bus->bus) == TACHYON_ERR_LAGGED)
        facade_fail_last(bus);
    else if (held == HELD_REPLY)
        tachyon_rpc_commit_rx(bus->rpc);
    else if (held == HELD_REQUEST)
        tachyon_rpc_commit_serve(bus->rpc);
    if (held != HELD_NONE)
        let_go(bus);
}

/* What begins at the oldest takes views back. */
static void forget_views(Bus *bus) {
    whole(bus)->taken = whole(bus)->released = 0;
    whole(bus)->one = false;
}

static bool try_recv(Call *call, int64_t timeout_ns) {
    forget_views(call->bus);
    call->data = tachyon_acquire_rx_timed(call->bus->bus, &call->type_id, &call->size,
                                          call->bus->spin, timeout_ns);
    return call->data != NULL;
}

Bytes Bus_recv(Bus *bus, double timeout) {
    return hold(try_recv, &(Call){.bus = bus}, timeout, HELD_MESSAGE);
}

static bool try_recv_into(Call *call, int64_t timeout_ns) {
    forget_views(call->bus);
    tachyon_error_t error =
        tachyon_recv(call->bus->bus, call->room, call->count, &call->size,
                     &call->bus->type_id, call->bus->spin, timeout_ns);
    if (error == TACHYON_SUCCESS || error == TACHYON_ERR_INVALID_SZ)
        call->bus->size = call->size;
    return error == TACHYON_SUCCESS;
}

Result Bus_recv_into(Bus *bus, void *into, size_t room, double timeout) {
    Call call = {.bus = bus, .room = into, .count = room};
    Result result = perform_whole(try_recv_into, &call, timeout);
    return result < 0 ? result : (Result)call.size;
}

static bool try_recv_batch(Call *call, int64_t timeout_ns) {
    forget_views(call->bus);
    call->done = tachyon_recv_batch(call->bus->bus, call->room, call->size, call->count,
                                    &call->bus->type_id, call->bus->spin, timeout_ns);
    return call->done > 0;
}

Result Bus_recv_batch_into(Bus *bus, void *into, size_t room, size_t item_size,
                           double timeout) {
    Call call = {.bus = bus,
                 .room = into,
                 .size = item_size,
                 .count = item_size ? room / item_size : 0};
    Result result = perform_whole(try_recv_batch, &call, timeout);
    return result < 0 ? result : (Result)call.done;
}

/* Room for `room` bytes of the object's own: inside, since another thread, or a handler
 * that runs while this one waits, may make it larger. */
static bool make_scratch(Whole *w, size_t room) {
    char *grown = room > w->scratch_size ? realloc(w->scratch, room) : w->scratch;
    if (!grown)
        return room == 0;
    if (room > w->scratch_size)
        w->scratch_size = room;
    w->scratch = grown;
    return true;
}

static bool try_recv_scratch(Call *call, int64_t timeout_ns) {
    call->room = whole(call->bus)->scratch;
    return try_recv_batch(call, timeout_ns);
}

Bytes Bus_recv_batch(Bus *bus, size_t item_size, size_t max_count, double timeout) {
    Whole *w = whole(bus);
    Call call = {.bus = bus, .size = item_size};
    Bytes none = {NULL, 0};
    if (!enter(bus)) {
        facade_refuse(bus);
        return none;
    }
    size_t ring = tachyon_max_payload(bus->bus);
    if (item_size == 0 || item_size > ring || max_count == 0) {
        facade_fail(bus, TACHYON_ERR_INVALID_SZ,
                    "item_size or max_count is 0, or no such item fits the ring");
        leave(bus);
        return none;
    }
    size_t most = ring / item_size; /* never more than the ring holds */
    call.count = max_count < most ? max_count : most;
    if (!make_scratch(w, item_size * call.count)) {
        facade_fail(bus, TACHYON_ERR_MEM, "no memory for the batch");
        leave(bus);
        return none;
    }
    if (perform_inside(try_recv_scratch, &call, timeout) < 0)
        return none;
    leave(bus);
    return (Bytes){w->scratch, call.done * item_size};
}

Memory Bus_ring_memory(Bus *bus) {
    set_error(bus, 0);
    if (!visit(bus)) {
        facade_fail_closed(bus);
        return (Memory){NULL, 0};
    }
    if (bus->rpc)
        facade_fail(bus, TACHYON_ERR_BUSY, "an RPC bus has no ring to look into");
    else if (has_ring(bus))
        bus_ref(bus);
    depart(bus);
    return whole(bus)->ring;
}

Memory Bus_view_memory(Bus *bus) {
    bus_ref(bus);
    return (Memory){(char *)whole(bus)->views, sizeof whole(bus)->views};
}

static bool try_take(Call *call, int64_t timeout_ns) {
    forget_views(call->bus);
    call->done = tachyon_drain_batch_timed(call->bus->bus, whole(call->bus)->raw,
                                           call->count, call->bus->spin, timeout_ns);
    return call->done > 0;
}

/* Show the language the view of the message at `i`. */
static void show(Whole *w, size_t i) {
    w->views[i] = (View){(uint32_t)((const char *)w->raw[i].ptr - w->ring.data),
                         (uint32_t)w->raw[i].actual_size, w->raw[i].type_id, 0};
}

Result Bus_acquire(Bus *bus, double timeout) {
    Whole *w = whole(bus);
    Call call = {.bus = bus, .count = 1};
    Result result = perform_in_place(try_take, &call, timeout);
    if (result < 0)
        return result;
    w->one = true;
    bus->type_id = w->raw[0].type_id;
    bus->size = w->raw[0].actual_size;
    return offset_of(bus, w->raw[0].ptr);
}

Result Bus_take(Bus *bus, uint32_t max_count, double timeout) {
    Whole *w = whole(bus);
    Call call = {.bus = bus,
                 .count = max_count && max_count < MAX_VIEWS ? max_count : MAX_VIEWS};
    Result result = perform_in_place(try_take, &call, timeout);
    if (result < 0)
        return result;
    for (size_t i = 0; i < call.done; ++i)
        show(w, i);
    w->taken = bus->count = (uint32_t)call.done;
    leave(bus);
    return (Result)call.done;
}

static bool try_take_next(Call *call, int64_t timeout_ns) {
    call->data = tachyon_acquire_rx_next_timed(call->bus->bus,
                                               &whole(call->bus)->raw[call->count],
                                               call->bus->spin, timeout_ns);
    return call->data != NULL;
}

/* What is still held begins at the beginning. */
static void gather_views(Whole *w) {
    unsigned held = w->one ? 1 : w->taken - w->released;
    memmove(w->raw, w->raw + w->released, held * sizeof w->raw[0]);
    for (unsigned i = 0; i < held; ++i)
        show(w, i);
    forget_views(&w->bus);
    w->taken = held;
}

Result Bus_take_next(Bus *bus, double timeout) {
    Whole *w = whole(bus);
    if (!has_ring(bus))
        return -TACHYON_ERR_INVALID_SZ;
    if (!enter(bus))
        return facade_refuse(bus);
    gather_views(w);
    Call call = {.bus = bus, .count = w->taken > 0 ? w->taken : 1};
    if (call.count == MAX_VIEWS) {
        leave(bus);
        return facade_fail(bus, TACHYON_ERR_FULL,
                           "1024 messages are held: release the oldest first");
    }
    Result result =
        perform_inside(w->taken > 0 ? try_take_next : try_take, &call, timeout);
    if (result < 0)
        return result;
    show(w, w->taken);
    bus->count = ++w->taken;
    leave(bus);
    return (Result)bus->count;
}

static tachyon_error_t release(Whole *w, uint32_t count) {
    Bus *bus = &w->bus;
    if (count == 0 || (count == 1 && w->one)) {
        bus->count = 0;
        forget_views(bus);
        return tachyon_commit_rx(bus->bus);
    }
    if (count > w->taken - w->released) /* the core says so */
        count = (uint32_t)MAX_VIEWS + 1;
    tachyon_error_t error =
        tachyon_commit_rx_batch(bus->bus, w->raw + w->released, count);
    if (error == TACHYON_SUCCESS)
        w->released += count;
    return error;
}

Result Bus_release(Bus *bus, uint32_t count) {
    ENTERED(checked(bus, release(whole(bus), count)));
}

/* ---- Calls and replies ---- */

static bool try_call(Call *call, int64_t timeout_ns) {
    return tachyon_rpc_call_timed(call->bus->rpc, call->data, call->size, call->type_id,
                                  &call->id, call->bus->spin,
                                  timeout_ns) == TACHYON_SUCCESS;
}

Result RpcBus_call(Bus *bus, const void *data, size_t size, uint32_t type_id,
                   double timeout) {
    Call call = {.bus = bus, .data = data, .size = size, .type_id = type_id};
    Result result = perform_whole(try_call, &call, timeout);
    return result < 0 ? result : (Result)call.id;
}

static bool try_wait(Call *call, int64_t timeout_ns) {
    tachyon_rpc_bus_t *rpc = call->bus->rpc;
    call->data =
        call->id ? tachyon_rpc_wait_timed(rpc, call->id, &call->size, &call->type_id,
                                          call->bus->spin, timeout_ns)
                 : tachyon_rpc_wait_any(rpc, &call->id, &call->size, &call->type_id,
                                        call->bus->spin, timeout_ns);
    return call->data != NULL;
}

static bool try_serve(Call *call, int64_t timeout_ns) {
    call->data = tachyon_rpc_serve_timed(call->bus->rpc, &call->id, &call->type_id,
                                         &call->size, call->bus->spin, timeout_ns);
    return call->data != NULL;
}

Bytes RpcBus_wait_for(Bus *bus, uint64_t id, double timeout) {
    Whole *w = whole(bus);
    if (!holds(bus) || w->held != HELD_REPLY)
        return hold(try_wait, &(Call){.bus = bus, .id = id}, timeout, HELD_REPLY);
    if (id == 0 || id == bus->id)
        return (Bytes){w->held_data, bus->size}; /* not copied yet */
    facade_fail(bus, TACHYON_ERR_BUSY, "the last reply has not been copied yet");
    return (Bytes){NULL, 0};
}

Bytes RpcBus_serve(Bus *bus, double timeout) {
    return hold(try_serve, &(Call){.bus = bus}, timeout, HELD_REQUEST);
}

static Result size_of(Bytes bytes) {
    return bytes.data ? (Result)bytes.len : -(Result)facade_error;
}

Result RpcBus_next_reply(Bus *bus, uint64_t id, double timeout) {
    return size_of(RpcBus_wait_for(bus, id, timeout));
}

Result RpcBus_next_request(Bus *bus, double timeout) {
    return size_of(RpcBus_serve(bus, timeout));
}

Result RpcBus_copy_held(Bus *bus, void *into, size_t room) {
    set_error(bus, 0);
    if (whole(bus)->held == HELD_NONE)
        return facade_fail(bus, TACHYON_ERR_EMPTY, "no request or reply is held");
    if (room < bus->size)
        return facade_fail(bus, TACHYON_ERR_INVALID_SZ,
                           "the message is longer than the room");
    size_t size = bus->size; /* another thread's from bytes_taken() on */
    if (size > 0)
        memcpy(into, whole(bus)->held_data, size);
    bytes_taken(bus);
    return (Result)size;
}

static bool try_reply(Call *call, int64_t timeout_ns) {
    return tachyon_rpc_reply_timed(call->bus->rpc, call->id, call->data, call->size,
                                   call->type_id, call->bus->spin,
                                   timeout_ns) == TACHYON_SUCCESS;
}

Result RpcBus_reply(Bus *bus, uint64_t id, const void *data, size_t size,
                    uint32_t type_id, double timeout) {
    Call call = {.bus = bus, .id = id, .data = data, .size = size, .type_id = type_id};
    return perform_whole(try_reply, &call, timeout);
}

Result RpcBus_cancel(Bus *bus, uint64_t id) {
    ENTERED(checked(bus, tachyon_rpc_cancel(bus->rpc, id)));
}

void RpcBus_watch_messages(Bus *bus, int watch) {
    if (enter(bus)) {
        tachyon_rpc_watch_messages(bus->rpc, watch);
        leave(bus);
    }
}

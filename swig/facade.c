/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may use the core's handle is one word, `inside`: the calls that are in the core,
 * and CLOSED until it is open and again from its close on. Who finds CLOSED leaves at
 * once. The handle goes when an ended bus has nobody inside and no share handed out;
 * both the last to leave and the last to give back look at both, and one of them sees it.
 */
#include "facade.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum held { HELD_NONE, HELD_MESSAGE, HELD_REPLY, HELD_REQUEST };

typedef struct Whole {
    Bus bus; /* first: what the language sees */
    _Atomic unsigned inside;
    _Atomic unsigned shares; /* handed out: the mapping stays */
    _Atomic unsigned owners; /* shares, and the language's object: the struct stays */
    _Atomic bool ended;
    _Atomic bool gone; /* the handle is */
    tachyon_opening_t *opening;
    int interrupt_fd;
    Memory ring;
    enum held held; /* what bytes_taken() releases, who got it is inside */
    const void *held_data;
    unsigned released; /* of the views of the last Bus_take() */
    char *scratch;
    size_t scratch_size;
    View views[MAX_VIEWS];
    tachyon_msg_view_t raw[MAX_VIEWS];
} Whole;

static const unsigned CLOSED = 1u << 31;

static void wait_here(void (*call)(void *), void *context) {
    call(context);
}

Host host = {.wait = wait_here};

static Whole *whole(Bus *bus) {
    return (Whole *)bus;
}

/* ---- Errors ---- */

static Result fail(Bus *bus, tachyon_error_t error, const char *text) {
    bus->error = (int)error;
    snprintf(bus->text, sizeof bus->text, "%s", text);
    return -(Result)error;
}

static Result fail_last(Bus *bus) {
    return fail(bus, tachyon_last_error(), tachyon_last_error_message());
}

static Result checked(Bus *bus, tachyon_error_t error) {
    return error == TACHYON_SUCCESS ? 0 : fail_last(bus);
}

static Result fail_closed(Bus *bus) {
    return fail(bus, TACHYON_ERR_CLOSED,
                atomic_load(&whole(bus)->ended) ? "the bus is closed"
                                                : "the bus is not open");
}

static Result fail_not_a_time(Bus *bus) {
    return fail(bus, TACHYON_ERR_INVALID_SZ, "the time-out is not a number");
}

/* ---- Who is inside ---- */

static void settle(Whole *w) {
    if (!atomic_load(&w->ended) || atomic_load(&w->inside) != CLOSED ||
        atomic_load(&w->shares) != 0 || atomic_exchange(&w->gone, true))
        return;
    tachyon_bus_destroy(w->bus.bus);
    tachyon_rpc_destroy(w->bus.rpc);
    w->bus.bus = NULL;
    w->bus.rpc = NULL;
}

static void leave(Bus *bus) {
    if (atomic_fetch_sub(&whole(bus)->inside, 1) == CLOSED + 1)
        settle(whole(bus));
}

static bool enter(Bus *bus) {
    if (!(atomic_fetch_add(&whole(bus)->inside, 1) & CLOSED))
        return true;
    leave(bus);
    return false;
}

/* ---- Waiting ---- */

typedef struct Call {
    Bus *bus;
    const void *data;
    void *room;
    size_t size, count, done;
    uint64_t id;
    uint32_t type_id;
} Call;

/* One attempt; false: tachyon_last_error(). */
typedef bool Attempt(Call *call, int64_t timeout_ns);

struct waiting {
    Attempt *attempt;
    Call *call;
    int64_t timeout_ns;
    bool done;
};

static void run(void *context) {
    struct waiting *waiting = context;
    waiting->done = waiting->attempt(waiting->call, waiting->timeout_ns);
    if (!waiting->done) /* here: the error is this thread's, right now */
        fail_last(waiting->call->bus);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t to_ns(double seconds) {
    return seconds >= 0 && seconds < 9e9 ? (int64_t)ceil(seconds * 1e9) : -1;
}

/* Was it Bus_interrupt()? */
static bool take_interrupt(Bus *bus) {
    uint64_t count;
    return whole(bus)->interrupt_fd > 0 &&
           read(whole(bus)->interrupt_fd, &count, sizeof count) == sizeof count;
}

/* `within`: the call has entered, and leaves here. */
static Result wait_on(Attempt *attempt, Call *call, int64_t timeout_ns, bool within) {
    Bus *bus = call->bus;
    int64_t deadline = timeout_ns > 0 ? now_ns() + timeout_ns : 0;
    struct waiting waiting = {attempt, call, timeout_ns, false};
    for (;;) {
        host.wait(run, &waiting);
        bool asked = !waiting.done && bus->error == TACHYON_ERR_INTERRUPTED &&
                     !take_interrupt(bus) && host.interrupted;
        if (!asked && waiting.done && within)
            return 0; /* still inside */
        if (within)
            leave(bus);
        if (!asked)
            return waiting.done ? 0 : -(Result)bus->error;
        if (host.interrupted())
            return fail(bus, TACHYON_ERR_INTERRUPTED, "interrupted by a signal");
        if (within && !enter(bus))
            return fail_closed(bus);
        if (deadline) {
            int64_t left = deadline - now_ns();
            waiting.timeout_ns = left > 0 ? left : 1;
        }
    }
}

static __attribute__((noinline)) Result perform_slow(Attempt *attempt, Call *call,
                                                     double timeout) {
    tachyon_error_t error = tachyon_last_error();
    if (timeout != 0 && (error == TACHYON_ERR_FULL || error == TACHYON_ERR_EMPTY)) {
        if (!isnan(timeout))
            return wait_on(attempt, call, to_ns(timeout), true);
        leave(call->bus);
        return fail_not_a_time(call->bus);
    }
    Result result = fail_last(call->bus);
    leave(call->bus);
    return result;
}

/* 0: done, and still inside. First without waiting, and so without giving up the
   interpreter's lock. */
static inline Result perform(Attempt *attempt, Call *call, double timeout) {
    if (!enter(call->bus))
        return fail_closed(call->bus);
    call->bus->error = 0;
    return attempt(call, 0) ? 0 : perform_slow(attempt, call, timeout);
}

/* The same for what needs nothing from the handle afterwards. */
static inline Result perform_whole(Attempt *attempt, Call *call, double timeout) {
    Result result = perform(attempt, call, timeout);
    if (result == 0)
        leave(call->bus);
    return result;
}

/* ---- Options ---- */

Options *new_Options(void) {
    Options *options = calloc(1, sizeof *options);
    if (options)
        options->timeout = -1;
    return options;
}

void delete_Options(Options *options) {
    if (options)
        free(options->uids);
    free(options);
}

void Options_allow_uid(Options *options, uint32_t uid) {
    uint32_t *grown =
        realloc(options->uids, (options->uid_count + 1) * sizeof *options->uids);
    if (!grown) {
        options->error = TACHYON_ERR_MEM;
        return;
    }
    options->uids = grown;
    options->uids[options->uid_count++] = uid;
}

/* ---- Opening ---- */

static Whole none = {
    .inside = CLOSED, .ended = true, .gone = true, .shares = 1, .owners = 1};

Bus *bus_none(void) {
    return &none.bus;
}

Bus *new_Bus(void) {
    Whole *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->inside = CLOSED;
    w->owners = 1;
    w->bus.spin = TACHYON_DEFAULT_SPIN;
    w->interrupt_fd = host.interruptible ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    return &w->bus;
}

static void disown(Whole *w) {
    if (atomic_fetch_sub(&w->owners, 1) != 1)
        return;
    if (!atomic_exchange(&w->gone, true)) {
        tachyon_bus_destroy(w->bus.bus);
        tachyon_rpc_destroy(w->bus.rpc);
    }
    if (w->interrupt_fd > 0)
        close(w->interrupt_fd);
    free(w->scratch);
    free(w);
}

void delete_Bus(Bus *bus) {
    if (!bus || bus == &none.bus)
        return;
    Bus_close(bus);
    tachyon_opening_cancel(whole(bus)->opening);
    disown(whole(bus));
}

void bus_ref(Bus *bus) {
    atomic_fetch_add(&whole(bus)->owners, 1);
    atomic_fetch_add(&whole(bus)->shares, 1);
}

void bus_unref(Bus *bus) {
    atomic_fetch_sub(&whole(bus)->shares, 1);
    settle(whole(bus));
    disown(whole(bus));
}

static int ask_host(void *context) {
    return host.pending ? host.pending(context) : 0;
}

struct address {
    const char *path;
    bool listen, rpc;
    size_t size, back;
};

static tachyon_error_t start_at(const struct address *at,
                                const tachyon_options_t *options,
                                tachyon_opening_t **out) {
    if (at->rpc)
        return at->listen ? tachyon_rpc_listen_start(at->path, at->size, at->back,
                                                     options, out)
                          : tachyon_rpc_connect_start(at->path, options, out);
    return at->listen ? tachyon_bus_listen_start(at->path, at->size, options, out)
                      : tachyon_bus_connect_start(at->path, options, out);
}

static Result start(Bus *bus, const struct address *at, const Options *given) {
    Whole *w = whole(bus);
    double timeout = given ? given->timeout : at->listen ? -1 : 0;
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = to_ns(timeout),
                                 .interrupted = ask_host,
                                 .interrupted_context = bus};
    bus->error = 0;
    if (atomic_load(&w->ended))
        return fail_closed(bus);
    if (bus->bus || bus->rpc || w->opening)
        return fail(bus, TACHYON_ERR_BUSY, "the bus is open already");
    if (isnan(timeout))
        return fail_not_a_time(bus);
    if (at->listen && timeout == 0)
        options.timeout_ns = 1; /* the core's 0 is for ever there */
    if (given) {
        options.socket_mode = given->mode;
        options.role = (uint32_t)given->role;
        options.schema = given->schema;
        options.allowed_uids = given->uids;
        options.allowed_uid_count = given->uid_count;
        if (given->error)
            return fail(bus, (tachyon_error_t)given->error, "no memory for user ids");
    }
    return checked(bus, start_at(at, &options, &w->opening));
}

/* What has become of the opening: 0 when the bus is open. */
static Result finish(Bus *bus, Result outcome) {
    Whole *w = whole(bus);
    tachyon_opening_t *opening = w->opening;
    bool rpc = false;
    if (outcome == 0) {
        tachyon_error_t error = tachyon_opening_finish_bus(opening, &bus->bus);
        if ((rpc = error == TACHYON_ERR_INVALID_SZ))
            error = tachyon_opening_finish_rpc(opening, &bus->rpc);
        outcome = checked(bus, error);
    }
    w->opening = NULL;
    tachyon_opening_cancel(opening);
    if (outcome == 0) {
        if (!rpc)
            w->ring.data = tachyon_bus_memory(bus->bus, &w->ring.len);
        atomic_fetch_and(&w->inside, ~CLOSED);
    }
    if (atomic_load(&w->ended)) { /* meanwhile, by another thread */
        Bus_close(bus);
        return fail_closed(bus);
    }
    return outcome;
}

static bool try_step(Call *call, int64_t timeout_ns) {
    return tachyon_opening_step(whole(call->bus)->opening, timeout_ns) ==
           TACHYON_SUCCESS;
}

static Result open_at(Bus *bus, const struct address *at, const Options *options) {
    Result result = start(bus, at, options);
    return result < 0 ? result
                      : finish(bus, wait_on(try_step, &(Call){.bus = bus}, -1, false));
}

Result Bus_open_step(Bus *bus) {
    if (!whole(bus)->opening)
        return atomic_load(&whole(bus)->inside) & CLOSED ? fail_closed(bus) : 1;
    tachyon_error_t error = tachyon_opening_step(whole(bus)->opening, 0);
    if (error == TACHYON_ERR_EMPTY && !atomic_load(&whole(bus)->ended))
        return 0;
    Result result = finish(bus, checked(bus, error));
    return result < 0 ? result : 1;
}

#define TO_LISTEN(...) (&(struct address){path, true, __VA_ARGS__})
#define TO_CONNECT(rpc) (&(struct address){path, false, rpc, 0, 0})

Result Bus_listen(Bus *bus, const char *path, size_t capacity, const Options *options) {
    return open_at(bus, TO_LISTEN(false, capacity, 0), options);
}

Result Bus_connect(Bus *bus, const char *path, const Options *options) {
    return open_at(bus, TO_CONNECT(false), options);
}

Result RpcBus_listen(Bus *bus, const char *path, size_t forward, size_t back,
                     const Options *options) {
    return open_at(bus, TO_LISTEN(true, forward, back), options);
}

Result RpcBus_connect(Bus *bus, const char *path, const Options *options) {
    return open_at(bus, TO_CONNECT(true), options);
}

Result Bus_listen_start(Bus *bus, const char *path, size_t capacity,
                        const Options *options) {
    return start(bus, TO_LISTEN(false, capacity, 0), options);
}

Result Bus_connect_start(Bus *bus, const char *path, const Options *options) {
    return start(bus, TO_CONNECT(false), options);
}

Result RpcBus_listen_start(Bus *bus, const char *path, size_t forward, size_t back,
                           const Options *options) {
    return start(bus, TO_LISTEN(true, forward, back), options);
}

Result RpcBus_connect_start(Bus *bus, const char *path, const Options *options) {
    return start(bus, TO_CONNECT(true), options);
}

/* ---- The end ---- */

static void end(Bus *bus, bool abort) {
    Whole *w = whole(bus);
    if (bus == &none.bus)
        return;
    if (!atomic_exchange(&w->ended, true))
        Bus_interrupt(bus); /* what it may be opening */
    if (!enter(bus))
        return;
    unsigned before = atomic_fetch_or(&w->inside, CLOSED);
    if (!(before & CLOSED)) {
        if (abort) {
            tachyon_bus_abort(bus->bus);
            tachyon_rpc_abort(bus->rpc);
        } else if (before == 1) { /* nobody else is inside, or can come */
            tachyon_flush(bus->bus);
        }
        tachyon_bus_close(bus->bus);
        tachyon_rpc_close(bus->rpc);
    }
    leave(bus);
}

void Bus_close(Bus *bus) {
    end(bus, false);
}

void Bus_abort(Bus *bus) {
    end(bus, true);
}

void Bus_interrupt(Bus *bus) {
    const uint64_t one = 1;
    if (whole(bus)->interrupt_fd > 0)
        (void)!write(whole(bus)->interrupt_fd, &one, sizeof one);
}

void Bus_clear_interrupt(Bus *bus) {
    take_interrupt(bus);
}

/* ---- Looking at it ---- */

/* Without waiting: `call` where the bus is open, else the error, or `otherwise`. */
#define INSIDE(otherwise, call)                                                        \
    do {                                                                               \
        bus->error = 0;                                                                \
        if (!enter(bus))                                                               \
            return otherwise;                                                          \
        Result result = call;                                                          \
        leave(bus);                                                                    \
        return result;                                                                 \
    } while (0)

int Bus_state(Bus *bus) {
    if (!enter(bus))
        return atomic_load(&whole(bus)->ended) ? TACHYON_STATE_DISCONNECTED
                                               : TACHYON_STATE_UNINITIALIZED;
    tachyon_state_t state =
        bus->rpc ? tachyon_rpc_get_state(bus->rpc) : tachyon_get_state(bus->bus);
    leave(bus);
    return (int)state;
}

const char *Bus_error_text(Bus *bus) {
    return bus->text;
}

static Result described(Bus *bus, int fd) {
    return fd < 0 ? fail_last(bus) : fd;
}

Result Bus_fileno(Bus *bus) {
    if (whole(bus)->opening)
        return described(bus, tachyon_opening_fileno(whole(bus)->opening));
    INSIDE(fail_closed(bus), described(bus, bus->rpc ? tachyon_rpc_fileno(bus->rpc)
                                                     : tachyon_bus_fileno(bus->bus)));
}

Result Bus_max_payload(Bus *bus) {
    INSIDE(fail_closed(bus), (Result)(bus->rpc ? tachyon_rpc_max_payload(bus->rpc)
                                               : tachyon_max_payload(bus->bus)));
}

void Bus_set_polling_mode(Bus *bus, int pure_spin) {
    bus->error = 0;
    if (!enter(bus)) {
        fail_closed(bus);
        return;
    }
    if (bus->rpc)
        tachyon_rpc_set_polling_mode(bus->rpc, pure_spin);
    else
        tachyon_bus_set_polling_mode(bus->bus, pure_spin);
    leave(bus);
}

Result Bus_set_numa_node(Bus *bus, int node_id) {
    INSIDE(fail_closed(bus),
           checked(bus, tachyon_bus_set_numa_node(bus->bus, node_id)));
}

/* A struct with the answer, all zero with an error. */
#define ANSWER(type, call)                                                             \
    type answer = {0};                                                                 \
    bus->error = 0;                                                                    \
    if (!enter(bus)) {                                                                 \
        fail_closed(bus);                                                              \
        return answer;                                                                 \
    }                                                                                  \
    checked(bus, call);                                                                \
    leave(bus);                                                                        \
    return answer

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
    return call->done == call->count;
}

Result Bus_send_batch(Bus *bus, const void *items, size_t size, size_t item_size,
                      uint32_t type_id, double timeout) {
    if (item_size == 0 || size % item_size != 0)
        return fail(bus, TACHYON_ERR_INVALID_SZ,
                    "the data are not a whole number of items of item_size");
    Call call = {.bus = bus,
                 .data = items,
                 .size = item_size,
                 .count = size / item_size,
                 .type_id = type_id};
    Result result = perform_whole(try_send_batch, &call, timeout);
    if (result < 0 && call.done == 0)
        return result;
    bus->error = 0; /* the next call says what was the matter */
    return (Result)call.done;
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
    Result result = perform(try_reserve, &call, timeout);
    return result < 0 ? result : offset_of(bus, call.room);
}

Result Bus_commit(Bus *bus, size_t size, uint32_t type_id) {
    INSIDE(fail_closed(bus), checked(bus, tachyon_commit_tx(bus->bus, size, type_id)));
}

/* Until the core has them. */
Result Bus_reserve_batch(Bus *bus, size_t item_size, size_t max_count, double timeout) {
    (void)item_size, (void)max_count, (void)timeout;
    return fail(bus, TACHYON_ERR_FULL, "not there yet");
}

Result Bus_commit_batch(Bus *bus, size_t count, uint32_t type_id) {
    (void)count, (void)type_id;
    return fail(bus, TACHYON_ERR_EMPTY, "not there yet");
}

Result Bus_rollback(Bus *bus) {
    INSIDE(fail_closed(bus), checked(bus, tachyon_rollback_tx(bus->bus)));
}

Result Bus_flush(Bus *bus) {
    INSIDE(fail_closed(bus), (tachyon_flush(bus->bus), 0));
}

/* ---- Receiving ---- */

/* What the language is to copy: the caller stays inside until bytes_taken(). */
static Bytes hold(Call *call, enum held held) {
    Whole *w = whole(call->bus);
    call->bus->type_id = call->type_id;
    call->bus->size = call->size;
    call->bus->id = call->id;
    w->held = held;
    w->held_data = call->data;
    return (Bytes){call->data, call->size};
}

/* One that was never copied is not in the way of the next. */
static void drop_held(Bus *bus) {
    if (whole(bus)->held != HELD_NONE)
        leave(bus);
    whole(bus)->held = HELD_NONE;
}

void bytes_taken(Bus *bus) {
    enum held held = whole(bus)->held;
    if (held == HELD_MESSAGE)
        tachyon_commit_rx(bus->bus);
    else if (held == HELD_REPLY)
        tachyon_rpc_commit_rx(bus->rpc);
    else if (held == HELD_REQUEST)
        tachyon_rpc_commit_serve(bus->rpc);
    drop_held(bus);
}

static bool try_recv(Call *call, int64_t timeout_ns) {
    call->data = tachyon_acquire_rx_timed(call->bus->bus, &call->type_id, &call->size,
                                          call->bus->spin, timeout_ns);
    return call->data != NULL;
}

Bytes Bus_recv(Bus *bus, double timeout) {
    Call call = {.bus = bus};
    drop_held(bus);
    if (perform(try_recv, &call, timeout) < 0)
        return (Bytes){NULL, 0};
    return hold(&call, HELD_MESSAGE);
}

static bool try_recv_into(Call *call, int64_t timeout_ns) {
    return tachyon_recv(call->bus->bus, call->room, call->count, &call->bus->size,
                        &call->bus->type_id, call->bus->spin,
                        timeout_ns) == TACHYON_SUCCESS;
}

Result Bus_recv_into(Bus *bus, void *into, size_t room, double timeout) {
    Call call = {.bus = bus, .room = into, .count = room};
    Result result = perform_whole(try_recv_into, &call, timeout);
    return result < 0 ? result : (Result)bus->size;
}

static bool try_recv_batch(Call *call, int64_t timeout_ns) {
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

Bytes Bus_recv_batch(Bus *bus, size_t item_size, size_t max_count, double timeout) {
    Whole *w = whole(bus);
    Result largest = Bus_max_payload(bus);
    if (largest < 0)
        return (Bytes){NULL, 0};
    if (item_size == 0 || item_size > (size_t)largest || max_count == 0) {
        fail(bus, TACHYON_ERR_INVALID_SZ,
             "item_size or max_count is 0, or no such item fits the ring");
        return (Bytes){NULL, 0};
    }
    size_t most = w->ring.len / 2 / item_size; /* never more than the ring holds */
    size_t room = item_size * (max_count < most ? max_count : most);
    if (room > w->scratch_size) {
        char *grown = realloc(w->scratch, room);
        if (!grown) {
            fail(bus, TACHYON_ERR_MEM, "no memory for the batch");
            return (Bytes){NULL, 0};
        }
        w->scratch = grown;
        w->scratch_size = room;
    }
    Result count = Bus_recv_batch_into(bus, w->scratch, room, item_size, timeout);
    return count < 0 ? (Bytes){NULL, 0}
                     : (Bytes){w->scratch, (size_t)count * item_size};
}

Memory Bus_ring_memory(Bus *bus) {
    bus->error = 0;
    if (!enter(bus)) {
        fail_closed(bus);
        return (Memory){NULL, 0};
    }
    if (bus->rpc)
        fail(bus, TACHYON_ERR_BUSY, "an RPC bus has no ring to look into");
    else
        bus_ref(bus);
    leave(bus);
    return whole(bus)->ring;
}

Memory Bus_view_memory(Bus *bus) {
    bus_ref(bus);
    return (Memory){(char *)whole(bus)->views, sizeof whole(bus)->views};
}

Result Bus_acquire(Bus *bus, double timeout) {
    Call call = {.bus = bus};
    Result result = perform(try_recv, &call, timeout);
    if (result < 0)
        return result;
    bus->type_id = call.type_id;
    bus->size = call.size;
    return offset_of(bus, call.data);
}

static bool try_take(Call *call, int64_t timeout_ns) {
    call->done = tachyon_drain_batch_timed(call->bus->bus, whole(call->bus)->raw,
                                           call->count, call->bus->spin, timeout_ns);
    return call->done > 0;
}

Result Bus_take(Bus *bus, uint32_t max_count, double timeout) {
    Whole *w = whole(bus);
    Call call = {.bus = bus,
                 .count = max_count && max_count < MAX_VIEWS ? max_count : MAX_VIEWS};
    Result result = perform(try_take, &call, timeout);
    if (result < 0)
        return result;
    for (size_t i = 0; i < call.done; ++i)
        w->views[i] = (View){(uint32_t)((const char *)w->raw[i].ptr - w->ring.data),
                             (uint32_t)w->raw[i].actual_size, w->raw[i].type_id, 0};
    w->released = 0;
    bus->count = (uint32_t)call.done;
    leave(bus);
    return (Result)call.done;
}

static tachyon_error_t release(Whole *w, uint32_t count) {
    Bus *bus = &w->bus;
    if (count == 0) {
        bus->count = w->released = 0;
        return tachyon_commit_rx(bus->bus);
    }
    if (count > bus->count - w->released) /* the core says so */
        count = (uint32_t)MAX_VIEWS - w->released;
    tachyon_error_t error =
        tachyon_commit_rx_batch(bus->bus, w->raw + w->released, count);
    if (error == TACHYON_SUCCESS)
        w->released += count;
    return error;
}

Result Bus_release(Bus *bus, uint32_t count) {
    INSIDE(fail_closed(bus), checked(bus, release(whole(bus), count)));
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
    if (w->held == HELD_REPLY && (id == 0 || id == bus->id)) /* not copied yet */
        return (Bytes){w->held_data, bus->size};
    Call call = {.bus = bus, .id = id};
    drop_held(bus);
    if (perform(try_wait, &call, timeout) < 0)
        return (Bytes){NULL, 0};
    return hold(&call, HELD_REPLY);
}

Bytes RpcBus_serve(Bus *bus, double timeout) {
    Call call = {.bus = bus};
    drop_held(bus);
    if (perform(try_serve, &call, timeout) < 0)
        return (Bytes){NULL, 0};
    return hold(&call, HELD_REQUEST);
}

static Result size_of(Bus *bus, Bytes bytes) {
    return bytes.data ? (Result)bytes.len : -(Result)bus->error;
}

Result RpcBus_next_reply(Bus *bus, uint64_t id, double timeout) {
    return size_of(bus, RpcBus_wait_for(bus, id, timeout));
}

Result RpcBus_next_request(Bus *bus, double timeout) {
    return size_of(bus, RpcBus_serve(bus, timeout));
}

Result RpcBus_copy_held(Bus *bus, void *into, size_t room) {
    bus->error = 0;
    if (whole(bus)->held == HELD_NONE)
        return fail(bus, TACHYON_ERR_EMPTY, "no request or reply is held");
    if (room < bus->size)
        return fail(bus, TACHYON_ERR_INVALID_SZ, "the message is longer than the room");
    if (bus->size > 0)
        memcpy(into, whole(bus)->held_data, bus->size);
    bytes_taken(bus);
    return (Result)bus->size;
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
    INSIDE(fail_closed(bus), checked(bus, tachyon_rpc_cancel(bus->rpc, id)));
}

void RpcBus_watch_messages(Bus *bus, int watch) {
    if (enter(bus)) {
        tachyon_rpc_watch_messages(bus->rpc, watch);
        leave(bus);
    }
}

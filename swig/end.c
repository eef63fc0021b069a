/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, waiting and ending, whatever is sent or called in between. */
#include "end.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_here(void (*call)(void *), void *context) {
    call(context);
}

Host host = {.wait = wait_here};

/* ---- Errors ---- */

_Thread_local int facade_error;

int *bus_error_here(void) {
    return &facade_error;
}

/* Of two threads that fail at once, one of which waits for peers, one leaves its text. */
static Result tell(Bus *bus, tachyon_error_t error, int number, const char *text) {
    set_error(bus, (int)error);
    if (!atomic_exchange(&whole(bus)->tells, true)) {
        bus->system_errno = number;
        snprintf(bus->text, sizeof bus->text, "%s", text);
        atomic_store(&whole(bus)->tells, false);
    }
    return -(Result)error;
}

Result facade_fail(Bus *bus, tachyon_error_t error, const char *text) {
    return tell(bus, error, 0, text);
}

Result facade_fail_last(Bus *bus) {
    return tell(bus, tachyon_last_error(), tachyon_last_errno(),
                tachyon_last_error_message());
}

Result facade_fail_closed(Bus *bus) {
    return facade_fail(bus, TACHYON_ERR_CLOSED,
                       atomic_load(&whole(bus)->ended) ? "the bus is closed"
                                                       : "the bus is not open");
}

static Result not_a_time(Bus *bus) {
    return facade_fail(bus, TACHYON_ERR_INVALID_SZ, "the time-out is not a number");
}

/* ---- Who is inside ---- */

bool facade_fences;

/* Of linux/membarrier.h, which not every C library comes with. */
enum { MEMBARRIER_PRIVATE_EXPEDITED = 1 << 3, MEMBARRIER_REGISTER_PRIVATE = 1 << 4 };

static int membarrier_now(int command) {
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

static void ask_for_membarrier(void) {
    facade_fences = membarrier_now(MEMBARRIER_REGISTER_PRIVATE) != 0;
}

/* Pairs with leave(): either it sees `ended`, or we see that it has left. */
static void order_leavers(void) {
    atomic_thread_fence(memory_order_seq_cst);
    if (!facade_fences)
        membarrier_now(MEMBARRIER_PRIVATE_EXPEDITED);
}

/* An interrupt may come late: the descriptor goes with the handle, not with the object,
   for which a collector may take its time. Counted, without a lock: a process may fork
   while a thread of it interrupts. */
static bool take_interrupt_fd(Whole *w) {
    unsigned others = atomic_load(&w->interrupters);
    while (others &&
           !atomic_compare_exchange_weak(&w->interrupters, &others, others + 1))
        ;
    return others != 0;
}

static void give_interrupt_fd(Whole *w) {
    if (atomic_fetch_sub(&w->interrupters, 1) == 1)
        close(w->interrupt_fd);
}

static bool make_interruptible(Whole *w) {
    if (atomic_load(&w->interrupters))
        return w->interruptible;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd <= 0)
        return false;
    w->interrupt_fd = fd;
    w->interruptible = true;
    w->interrupters = 1;
    return true;
}

static void drop_interrupt_fd(Whole *w) {
    if (atomic_exchange(&w->interruptible, false))
        give_interrupt_fd(w);
}

static bool becomes(Whole *w, enum left from, enum left to) {
    return atomic_compare_exchange_strong(&w->remains, &from, to);
}

static void release_handle(Whole *w) {
    tachyon_bus_destroy(w->bus.bus);
    tachyon_rpc_destroy(w->bus.rpc);
    w->bus.bus = NULL;
    w->bus.rpc = NULL;
    drop_interrupt_fd(w);
}

void facade_settle(Whole *w) {
    atomic_thread_fence(memory_order_seq_cst); /* what we gave back, then the rest */
    while (atomic_load(&w->ended) && !atomic_load(&w->busy) &&
           atomic_load(&w->visitors) == CLOSED) {
        if (atomic_load(&w->shares) == 0) {
            if (becomes(w, LEFT_WHOLE, LEFT_NOTHING) ||
                becomes(w, LEFT_MEMORY, LEFT_NOTHING))
                release_handle(w);
            return;
        }
        if (!becomes(w, LEFT_WHOLE, LEFT_HANGING_UP))
            return;
        tachyon_bus_hang_up(w->bus.bus);
        tachyon_rpc_hang_up(w->bus.rpc);
        drop_interrupt_fd(w);
        atomic_store(&w->remains, LEFT_MEMORY); /* whose last share may have gone */
    }
}

static Result refuse(Bus *bus, bool closed) {
    return closed ? facade_fail_closed(bus)
                  : facade_fail(bus, TACHYON_ERR_BUSY,
                                "another thread is in a call of this bus");
}

Result facade_refuse(Bus *bus) {
    return refuse(bus, atomic_load(&whole(bus)->visitors) & CLOSED);
}

/* One opens at a time, too: the handshake's state is no more than one thread's. */
static bool enter_opening(Bus *bus) {
    return !atomic_exchange(&whole(bus)->busy, true);
}

static Result refuse_opening(Bus *bus) {
    return refuse(bus, atomic_load(&whole(bus)->ended));
}

#define OPENING(call)                                                                  \
    BETWEEN(enter_opening, leave, refuse_opening(bus), Result result = call, result)

int bus_enter(Bus *bus) {
    return enter(bus);
}

void bus_leave(Bus *bus) {
    leave(bus);
}

/* ---- Waiting ---- */

struct waiting {
    Attempt *attempt;
    Call *call;
    int64_t timeout_ns;
    bool done;
    tachyon_error_t error;
    int system_errno;
    char text[sizeof((Bus *)0)->text];
};

/* The error is kept here: it is this thread's right now, and what the object says is of
   others as long as these have the interpreter's lock. */
static void run(void *context) {
    struct waiting *waiting = context;
    waiting->done = waiting->attempt(waiting->call, waiting->timeout_ns);
    if (waiting->done)
        return;
    waiting->error = tachyon_last_error();
    waiting->system_errno = tachyon_last_errno();
    snprintf(waiting->text, sizeof waiting->text, "%s", tachyon_last_error_message());
}

static Result failed(const struct waiting *waiting) {
    Bus *bus = waiting->call->bus;
    return tell(bus, waiting->error, waiting->system_errno, waiting->text);
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
    if (!take_interrupt_fd(whole(bus)))
        return false;
    bool taken = read(whole(bus)->interrupt_fd, &count, sizeof count) == sizeof count;
    give_interrupt_fd(whole(bus));
    return taken;
}

static Result by_a_signal(Bus *bus) {
    return facade_fail(bus, TACHYON_ERR_INTERRUPTED, "interrupted by a signal");
}

/* As what a call is inside. */
enum inside { USING, VISITING, OPENING_IT };

static void go_out(Bus *bus, enum inside as) {
    if (as == VISITING)
        depart(bus);
    else
        leave(bus);
}

/* Run the language's handlers, outside, for they may jump, or call us. 0: back inside. */
static Result resume(Bus *bus, enum inside as) {
    go_out(bus, as);
    if (host.interrupted())
        return by_a_signal(bus);
    if (as == VISITING)
        return visit(bus) ? 0 : facade_fail_closed(bus);
    return enter(bus) ? 0 : facade_refuse(bus);
}

/* The same for an opening, which is left where it is: after a jump whoever opens next
   gives it up. When it is lost, to a handler or to a thread, call->done is 1. */
static Result resume_opening(Call *call) {
    Whole *w = whole(call->bus);
    tachyon_opening_t *ours = w->opening;
    w->left = true;
    leave(call->bus);
    bool stops = host.interrupted() != 0;
    if (enter_opening(call->bus)) {
        if (w->left && w->opening == ours) {
            w->left = false;
            return stops ? by_a_signal(call->bus) : 0;
        }
        leave(call->bus);
    }
    call->done = 1;
    if (stops)
        return by_a_signal(call->bus);
    return atomic_load(&w->ended)
               ? facade_fail_closed(call->bus)
               : facade_fail(call->bus, TACHYON_ERR_BUSY, "it was opened meanwhile");
}

/* Between two looks at what the language has queued. */
#define SLICE_LEAST_NS INT64_C(1000000)
#define SLICE_MOST_NS INT64_C(128000000)

/* Has the attempt ended for its slice of the time alone? */
static bool is_over(const struct waiting *waiting, enum inside as) {
    return waiting->error ==
           (as == OPENING_IT ? TACHYON_ERR_EMPTY : TACHYON_ERR_TIMEOUT);
}

/* 0: done, and still inside. Less: the error; an opening is still inside, unless it is
   lost, and any other call is outside. */
static Result wait_on(Attempt *attempt, Call *call, int64_t timeout_ns,
                      enum inside as) {
    Bus *bus = call->bus;
    int64_t deadline = timeout_ns > 0 ? now_ns() + timeout_ns : 0;
    int64_t slice_ns = SLICE_LEAST_NS;
    struct waiting waiting = {.attempt = attempt, .call = call};
    for (;;) {
        bool sliced = host.queues && (timeout_ns < 0 || timeout_ns > slice_ns);
        waiting.timeout_ns = sliced ? slice_ns : timeout_ns;
        host.wait(run, &waiting);
        if (waiting.done) {
            set_error(bus, 0); /* of an attempt that a signal has ended */
            return 0;
        }
        Result result = failed(&waiting);
        bool interrupted = waiting.error == TACHYON_ERR_INTERRUPTED;
        bool over = sliced && is_over(&waiting, as);
        if (interrupted && atomic_load(&whole(bus)->ended)) { /* by whoever ended it */
            result = facade_fail_closed(bus);
            interrupted = false;
        }
        if (!over && (!interrupted || take_interrupt(bus) || !host.interrupted)) {
            if (as != OPENING_IT)
                go_out(bus, as);
            return result;
        }
        if (!over || host.pending(bus)) /* else there is nothing to go outside for */
            result = as == OPENING_IT ? resume_opening(call) : resume(bus, as);
        else
            result = 0;
        if (result < 0)
            return result;
        slice_ns = !over                      ? SLICE_LEAST_NS
                   : slice_ns < SLICE_MOST_NS ? 2 * slice_ns
                                              : slice_ns;
        if (deadline) {
            int64_t left = deadline - now_ns();
            timeout_ns = left > 0 ? left : 1;
        }
    }
}

Result facade_not_a_time(Bus *bus) {
    leave(bus);
    return not_a_time(bus);
}

void bus_refuse_path(Bus *bus) {
    facade_fail(bus, TACHYON_ERR_INVALID_SZ, "a NUL in the path");
}

const Bus *options_nul_in_name(void) {
    static const Bus refused = {.error = TACHYON_ERR_INVALID_SZ,
                                .text = "a NUL in options.name"};
    facade_error = refused.error;
    return &refused;
}

const Bus *options_nul_in_types(void) {
    static const Bus refused = {.error = TACHYON_ERR_INVALID_SZ,
                                .text = "a NUL in options.types"};
    facade_error = refused.error;
    return &refused;
}

static Result wait_as(enum inside as, Attempt *attempt, Call *call, double timeout) {
    tachyon_error_t error = tachyon_last_error();
    if (timeout != 0 && (error == TACHYON_ERR_FULL || error == TACHYON_ERR_EMPTY))
        return wait_on(attempt, call, to_ns(timeout), as);
    Result result = facade_fail_last(call->bus);
    go_out(call->bus, as);
    return result;
}

Result facade_wait(Attempt *attempt, Call *call, double timeout) {
    return wait_as(USING, attempt, call, timeout);
}

Result facade_visit(Attempt *attempt, Call *call, double timeout) {
    Bus *bus = call->bus;
    set_error(bus, 0);
    if (isnan(timeout))
        return not_a_time(bus);
    if (!visit(bus))
        return facade_fail_closed(bus);
    Result result = attempt(call, 0) ? 0 : wait_as(VISITING, attempt, call, timeout);
    if (result == 0)
        depart(bus);
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
    if (options) {
        free(options->uids);
        free(options->name);
        free(options->types);
    }
    free(options);
}

static void set_text(Options *options, char **to, const char *text) {
    free(*to);
    *to = text ? strdup(text) : NULL;
    if (text && !*to)
        options->error = TACHYON_ERR_MEM;
}

void Options_set_name(Options *options, const char *name) {
    set_text(options, &options->name, name);
}

void Options_set_types(Options *options, const char *types) {
    set_text(options, &options->types, types);
    options->types_size = options->types ? strlen(types) : 0;
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

static Whole none = {.visitors = CLOSED, .ended = true, .shares = 1, .owners = 1};

Bus *bus_none(void) {
    return &none.bus;
}

Bus *new_Bus(void) {
    static pthread_once_t asked = PTHREAD_ONCE_INIT;
    Whole *w = calloc(1, sizeof *w);
    pthread_once(&asked, ask_for_membarrier);
    if (!w)
        return NULL;
    w->visitors = CLOSED;
    w->owners = 1;
    w->bus.spin = TACHYON_DEFAULT_SPIN;
    if (host.interruptible)
        make_interruptible(w);
    return &w->bus;
}

static void disown(Whole *w) {
    if (atomic_fetch_sub(&w->owners, 1) != 1)
        return;
    release_handle(w); /* if a call that was jumped out of has kept it */
    free(w->scratch);
    free(w);
}

void delete_Bus(Bus *bus) {
    if (!bus || bus == &none.bus)
        return;
    Bus_close(bus);
    disown(whole(bus));
}

void bus_ref(Bus *bus) {
    atomic_fetch_add(&whole(bus)->owners, 1);
    atomic_fetch_add(&whole(bus)->shares, 1);
}

void bus_unref(Bus *bus) {
    atomic_fetch_sub(&whole(bus)->shares, 1);
    facade_settle(whole(bus));
    disown(whole(bus));
}

int bus_watch(Bus *bus) {
    if (!visit(bus))
        return 0;
    atomic_fetch_add(&whole(bus)->owners, 1);
    return 1;
}

void bus_unwatch(Bus *bus) {
    depart(bus);
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

/* Those that say nothing of this side are at their defaults. */
static void set_options(tachyon_options_t *options, const Options *given) {
    options->socket_mode = given->mode;
    options->role = (uint32_t)given->role;
    options->schema = given->schema;
    options->allowed_uids = given->uids;
    options->allowed_uid_count = given->uid_count;
    options->max_peers = given->max_peers;
    options->slow_peer = (uint32_t)given->slow_peer;
    options->slow_after_ns = to_ns(given->slow_after);
    options->without_peers = (uint32_t)given->without_peers;
    options->keep_place_ns = to_ns(given->keep_place);
    options->start = (uint32_t)given->start;
    options->start_position = given->start_position;
    options->start_epoch = given->start_epoch;
    options->name = given->name;
    options->types = given->types;
    options->types_size = given->types_size;
    options->types_required = (uint32_t)given->types_required;
    if (given->start && given->role == TACHYON_ROLE_NONE)
        options->role = TACHYON_ROLE_CONSUMER;
}

static void cancel_opening(Whole *w) {
    tachyon_opening_cancel(w->opening);
    w->opening = NULL;
    w->left = false;
}

static Result start(Bus *bus, const struct address *at, const Options *given) {
    Whole *w = whole(bus);
    double timeout = given ? given->timeout : at->listen ? -1 : 0;
    tachyon_options_t options = {.size = sizeof options,
                                 .timeout_ns = to_ns(timeout),
                                 .interrupted = ask_host,
                                 .interrupted_context = bus,
                                 .restart = !host.queues};
    set_error(bus, 0);
    if (atomic_load(&w->ended))
        return facade_fail_closed(bus);
    if (w->left) /* a handler has jumped out of the call that opened */
        cancel_opening(w);
    if (bus->bus || bus->rpc || w->opening)
        return facade_fail(bus, TACHYON_ERR_BUSY, "the bus is open already");
    if (isnan(timeout))
        return not_a_time(bus);
    if (at->listen && timeout == 0)
        options.timeout_ns = 1; /* the core's 0 is for ever there */
    if (given)
        set_options(&options, given);
    if (given && given->error)
        return facade_fail(bus, (tachyon_error_t)given->error,
                           "no memory for user ids or a text");
    /* Again, if a failed opening has dropped it. Without one from the beginning, what
       should have interrupted us may be lost. */
    if (host.interruptible && (w->interrupt_fd == 0 || !make_interruptible(w)))
        return facade_fail(bus, TACHYON_ERR_OPEN,
                           "no descriptor was left for interrupts");
    options.interrupt_fd = w->interruptible ? w->interrupt_fd : 0;
    Result result = checked(bus, start_at(at, &options, &w->opening));
    if (result < 0)
        drop_interrupt_fd(w);
    return result;
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
    cancel_opening(w);
    if (outcome < 0) {
        drop_interrupt_fd(w);
    } else {
        if (!rpc)
            w->ring.data = tachyon_bus_memory(bus->bus, &w->ring.len);
        atomic_fetch_add(&w->visitors, 1); /* so that nobody settles in between */
        atomic_store(&w->remains, LEFT_WHOLE);
        atomic_fetch_and(&w->visitors, ~CLOSED);
        depart(bus);
    }
    if (atomic_load(&w->ended)) { /* meanwhile, by another thread */
        Bus_close(bus);
        return facade_fail_closed(bus);
    }
    return outcome;
}

static bool try_step(Call *call, int64_t timeout_ns) {
    return tachyon_opening_step(whole(call->bus)->opening, timeout_ns) ==
           TACHYON_SUCCESS;
}

static Result open_at(Bus *bus, const struct address *at, const Options *options) {
    Call call = {.bus = bus};
    if (!enter_opening(bus))
        return refuse_opening(bus);
    Result result = start(bus, at, options);
    if (result == 0) {
        result = wait_on(try_step, &call, -1, OPENING_IT);
        if (call.done)
            return result;
        result = finish(bus, result);
    }
    leave(bus);
    return result;
}

static Result step(Bus *bus) {
    Whole *w = whole(bus);
    if (!w->opening)
        return facade_fail_closed(bus);
    tachyon_error_t error = tachyon_opening_step(w->opening, 0);
    if (error == TACHYON_ERR_EMPTY && !atomic_load(&w->ended))
        return 0;
    if (error == TACHYON_ERR_INTERRUPTED)
        take_interrupt(bus); /* it has ended this one */
    Result result = finish(bus, checked(bus, error));
    return result < 0 ? result : 1;
}

Result Bus_open_step(Bus *bus) {
    if (!(atomic_load(&whole(bus)->visitors) & CLOSED))
        return 1;
    OPENING(step(bus));
}

static Result fileno_of(Bus *bus) {
    tachyon_opening_t *opening = whole(bus)->opening;
    if (!opening && (atomic_load(&whole(bus)->visitors) & CLOSED))
        return facade_fail_closed(bus);
    int fd = opening    ? tachyon_opening_fileno(opening)
             : bus->rpc ? tachyon_rpc_fileno(bus->rpc)
                        : tachyon_bus_fileno(bus->bus);
    return fd < 0 ? facade_fail_last(bus) : fd;
}

Result Bus_fileno(Bus *bus) {
    OPENING(fileno_of(bus));
}

#define OPENS(name, parameters, ...)                                                   \
    Result name parameters {                                                           \
        return open_at(bus, &(struct address){path, __VA_ARGS__}, options);            \
    }                                                                                  \
    Result name##_start parameters {                                                   \
        OPENING(start(bus, &(struct address){path, __VA_ARGS__}, options));            \
    }
OPENS(Bus_listen,
      (Bus * bus, const char *path, size_t capacity, const Options *options),
      .listen = true, .size = capacity)
OPENS(Bus_connect, (Bus * bus, const char *path, const Options *options), .rpc = false)
OPENS(RpcBus_listen,
      (Bus * bus, const char *path, size_t forward, size_t back,
       const Options *options),
      .listen = true, .rpc = true, .size = forward, .back = back)
OPENS(RpcBus_connect, (Bus * bus, const char *path, const Options *options),
      .rpc = true)

/* ---- The end ---- */

static void end(Bus *bus, bool abort) {
    Whole *w = whole(bus);
    if (bus == &none.bus)
        return;
    bool first = !atomic_exchange(&w->ended, true);
    if (!visit(bus)) {
        if (first)
            Bus_interrupt(bus);   /* what it may be opening */
        if (enter_opening(bus)) { /* or what nobody is inside of, until a next step */
            cancel_opening(w);
            drop_interrupt_fd(w);
            leave(bus);
        }
        return;
    }
    if (!(atomic_fetch_or(&w->visitors, CLOSED) & CLOSED)) {
        bool idle = !atomic_exchange(&w->busy, true); /* and nobody can come */
        if (abort) {
            tachyon_bus_abort(bus->bus);
            tachyon_rpc_abort(bus->rpc);
        } else if (idle) {
            tachyon_flush(bus->bus);
        }
        tachyon_bus_close(bus->bus);
        tachyon_rpc_close(bus->rpc);
        if (idle)
            atomic_store(&w->busy, false);
        order_leavers();
    }
    depart(bus);
}

void Bus_close(Bus *bus) {
    end(bus, false);
}

void Bus_abort(Bus *bus) {
    end(bus, true);
}

void Bus_interrupt(Bus *bus) {
    const uint64_t one = 1;
    if (!take_interrupt_fd(whole(bus)))
        return;
    (void)!write(whole(bus)->interrupt_fd, &one, sizeof one);
    give_interrupt_fd(whole(bus));
}

void Bus_clear_interrupt(Bus *bus) {
    take_interrupt(bus);
}

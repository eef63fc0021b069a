/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and releasing a bus or an RPC bus.
 *
 * Owns: an opening in progress, from its start until what it became is handed out. The
 * calls that block are an opening that is stepped until it has an outcome, so there is
 * one way to a connection. Whatever has an outcome keeps no path and no client.
 *
 * A thread may be cancelled (pthread_cancel) in a step that waits, nowhere else in
 * here: close(), open() and others would be cancellation points.
 */
#include "bus.h"
#include "connector.h"
#include "listener.h"
#include "many.h"
#include "rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct tachyon_opening {
    struct fork_watch watch;
    enum handshake_kind kind;
    bool listens;
    bool forked;             /* this is a child's copy */
    tachyon_error_t outcome; /* EMPTY while there is none */
    struct tachyon_bus *bus; /* its memory; NULL once it is handed out */
    int interrupt_fd;        /* of the options; -1: none */
    struct door door;
    union {
        struct listener listener;
        struct connector connector;
    };
    void *kept; /* what the options point to; the caller's own may go */
    char name[HANDSHAKE_NAME_BYTES];
    char path[];
};

/* ---- Either kind of bus ---- */

static struct tachyon_bus *allocate(enum handshake_kind kind) {
    struct tachyon_bus *bus = kind == HANDSHAKE_RPC
                                  ? ty_rpc_allocate()
                                  : aligned_alloc(alignof(tachyon_bus_t), sizeof *bus);
    if (!bus)
        ty_fail_plain(TACHYON_ERR_MEM);
    return bus;
}

static void deallocate(struct tachyon_bus *bus, enum handshake_kind kind) {
    if (bus && kind == HANDSHAKE_RPC)
        ty_rpc_deallocate(bus);
    else
        free(bus);
}

static tachyon_error_t set_up(struct tachyon_bus *bus, enum handshake_kind kind,
                              const struct session *session) {
    tachyon_error_t error = ty_bus_init(bus, session);
    if (error != TACHYON_SUCCESS)
        ty_bus_free(bus);
    else if (kind == HANDSHAKE_RPC)
        ty_rpc_arm(bus);
    return error;
}

static void hang_up(struct tachyon_bus *bus) {
    ty_link_join(&bus->link); /* a thread may still be blocked in a call */
    if (bus->peers)
        ty_peers_join(bus);
    bus->tx.offset = 0;
    tachyon_flush(bus);
    if (bus->peers)
        ty_peers_hang_up(bus);
    ty_link_close(&bus->link);
    ty_link_free(&bus->link);
    ty_page_hide(bus);
}

static void release(struct tachyon_bus *bus, enum handshake_kind kind) {
    if (!bus || atomic_fetch_sub_explicit(&bus->owners, 1, memory_order_acq_rel) != 1)
        return;
    int cancel = ty_cancel_off();
    hang_up(bus);
    ty_bus_free(bus);
    deallocate(bus, kind);
    ty_cancel_back(cancel);
}

/* ---- An opening ---- */

/* Give up path, sockets and memory of a handshake that has not ended. */
static void close_handshake(struct tachyon_opening *opening) {
    if (opening->listens)
        ty_listener_close(&opening->listener);
    else
        ty_connector_close(&opening->connector);
}

static void in_child(struct fork_watch *watch) {
    struct tachyon_opening *opening = (struct tachyon_opening *)(void *)watch;
    opening->forked = true;
    ty_door_close(&opening->door);
    if (opening->outcome != TACHYON_ERR_EMPTY)
        return; /* a bus has a watch of its own */
    if (opening->listens)
        ty_listener_in_child(&opening->listener);
    else
        ty_connector_close(&opening->connector);
    opening->outcome = TACHYON_ERR_FORKED;
}

/* As callers may know it. */
static tachyon_error_t outcome_of(const struct tachyon_opening *opening) {
    return opening->forked ? TACHYON_ERR_FORKED : opening->outcome;
}

/* A failure names the path. */
static tachyon_error_t about_path(const struct tachyon_opening *opening,
                                  tachyon_error_t error) {
    if (error == TACHYON_SUCCESS || error == TACHYON_ERR_EMPTY ||
        error == TACHYON_ERR_INVALID_SZ)
        return error; /* what is invalid is in its text, a path as far as it fits */
    return ty_fail_about(error, opening->path);
}

static void free_opening(struct tachyon_opening *opening) {
    ty_door_close(&opening->door);
    if (opening->outcome == TACHYON_ERR_EMPTY)
        close_handshake(opening);
    ty_fork_unwatch(&opening->watch); /* now that a child can inherit nothing of it */
    if (opening->outcome == TACHYON_SUCCESS)
        release(opening->bus, opening->kind);
    else
        deallocate(opening->bus, opening->kind);
    free(opening->kept);
    free(opening);
}

/* The memory of an opening, and the caller's arguments as far as they may go. */
static struct tachyon_opening *new_opening(const char *path, enum handshake_kind kind,
                                           tachyon_options_t *options) {
    size_t length = strlen(path) + 1;
    struct tachyon_opening *opening = calloc(1, sizeof *opening + length);
    if (!opening) {
        ty_fail_plain(TACHYON_ERR_MEM);
        return NULL;
    }
    opening->kind = kind;
    opening->interrupt_fd = interrupt_of(options).fd;
    opening->watch.in_child = in_child;
    opening->door = DOOR_NONE;
    opening->outcome = TACHYON_ERR_MEM; /* nothing else is to be freed */
    memcpy(opening->path, path, length);
    if (options->name)
        memcpy(opening->name, options->name,
               strnlen(options->name, sizeof opening->name - 1));
    if (ty_handshake_keep(options, &opening->kept))
        opening->bus = allocate(kind);
    else
        ty_fail_plain(TACHYON_ERR_MEM);
    if (!opening->bus) {
        free_opening(opening);
        return NULL;
    }
    return opening;
}

/* The connection stands: others may look at it. */
static void show(const struct tachyon_opening *opening) {
    ty_page_open(opening->bus, opening->kind,
                 opening->listens ? RING_SIDE_LISTENER : RING_SIDE_CONNECTOR,
                 opening->name, opening->path);
}

/* A listener with many peers stands as soon as it listens. */
static tachyon_error_t begin_many(struct tachyon_opening *opening,
                                  const size_t *capacities,
                                  const tachyon_options_t *options) {
    const struct peers_kind *which = opening->kind == HANDSHAKE_RPC ? &ty_callers
                                     : options->role == TACHYON_ROLE_CONSUMER
                                         ? &ty_fanin
                                     : options->max_peers == 1 ? &ty_solo
                                                               : &ty_broadcast;
    tachyon_error_t error = ty_fork_watch(&opening->watch);
    if (error == TACHYON_SUCCESS)
        error = ty_peers_open(opening->bus, which, opening->kind, options,
                              opening->path, capacities);
    if (error != TACHYON_SUCCESS)
        return error;
    show(opening);
    opening->outcome = TACHYON_SUCCESS;
    return TACHYON_SUCCESS;
}

/* listen, or connect when capacities is NULL. Cancellation is disabled. */
static tachyon_error_t begin(struct tachyon_opening *opening, const size_t *capacities,
                             const tachyon_options_t *options) {
    opening->listens = capacities != NULL;
    if (options->max_peers > 0)
        return begin_many(opening, capacities, options);
    if (opening->listens)
        ty_listener_init(&opening->listener, opening->kind, options, &opening->door);
    else
        ty_connector_init(&opening->connector, opening->kind, options, &opening->door);
    opening->outcome = TACHYON_ERR_EMPTY;
    tachyon_error_t error = ty_fork_watch(&opening->watch);
    if (error != TACHYON_SUCCESS)
        return error;
    return opening->listens
               ? ty_listener_open(&opening->listener, opening->path, capacities)
               : ty_connector_open(&opening->connector, opening->path);
}

static tachyon_error_t start(const char *socket_path, enum handshake_kind kind,
                             const size_t *capacities, const tachyon_options_t *given,
                             struct tachyon_opening **out) {
    tachyon_options_t options;
    struct tachyon_opening *opening = NULL;
    char *merged;
    if (out)
        *out = NULL;
    if (is_null(out) || is_null(socket_path))
        return TACHYON_ERR_NULL_PTR;
    tachyon_error_t error =
        ty_handshake_options(given, kind, capacities != NULL, &options, &merged);
    if (error == TACHYON_SUCCESS)
        opening = new_opening(socket_path, kind, &options); /* which copies */
    free(merged);
    if (!opening)
        return tachyon_last_error();
    int cancel = ty_cancel_off();
    error = begin(opening, capacities, &options);
    if (error == TACHYON_SUCCESS) {
        *out = opening;
    } else {
        error = about_path(opening, error);
        free_opening(opening);
    }
    ty_cancel_back(cancel);
    return error;
}

/* One round, and what comes of it. */
static tachyon_error_t advance(struct tachyon_opening *opening,
                               const struct patience *patience) {
    struct session session;
    tachyon_error_t error =
        opening->listens ? ty_listener_round(&opening->listener, patience, &session)
                         : ty_connector_round(&opening->connector, patience, &session);
    if (error == TACHYON_ERR_EMPTY || error == TACHYON_ERR_INTERRUPTED)
        return error;
    if (error == TACHYON_SUCCESS)
        error = set_up(opening->bus, opening->kind, &session);
    if (error == TACHYON_SUCCESS)
        show(opening);
    error = about_path(opening, error);
    close_handshake(opening);
    ty_door_ring_at(&opening->door, 0); /* readable for good */
    opening->outcome = error;
    return error;
}

tachyon_error_t tachyon_opening_step(tachyon_opening_t *opening, int64_t timeout_ns) {
    struct patience patience = {.until = timeout_ns == 0 ? 0 : ty_deadline(timeout_ns)};
    tachyon_error_t error;
    if (is_null(opening))
        return TACHYON_ERR_NULL_PTR;
    if ((error = outcome_of(opening)) != TACHYON_ERR_EMPTY)
        return error == TACHYON_SUCCESS ? TACHYON_SUCCESS : ty_fail_plain(error);
    patience.elsewhere = opening->door.set >= 0;
    patience.cancel_state = ty_cancel_off();
    do
        error = advance(opening, &patience);
    while (error == TACHYON_ERR_EMPTY && timeout_ns != 0 &&
           (patience.until == TY_NEVER || ty_now_ns() < patience.until));
    ty_cancel_back(patience.cancel_state);
    return error == TACHYON_ERR_EMPTY ? ty_fail_plain(error) : error;
}

int tachyon_opening_fileno(tachyon_opening_t *opening) {
    if (is_null(opening))
        return -1;
    if (opening->forked) {
        ty_fail_plain(TACHYON_ERR_FORKED);
        return -1;
    }
    if (opening->door.set >= 0)
        return opening->door.set;
    bool opened = ty_door_open(&opening->door) &&
                  (opening->interrupt_fd < 0 ||
                   ty_door_watch(&opening->door, opening->interrupt_fd, EPOLLIN));
    if (opened && opening->outcome != TACHYON_ERR_EMPTY)
        ty_door_ring_at(&opening->door, 0); /* readable: there is an outcome */
    else if (!opened || !(opening->listens ? ty_listener_watch(&opening->listener)
                                           : ty_connector_watch(&opening->connector)))
        ty_door_close(&opening->door);
    if (opening->door.set < 0)
        ty_fail(TACHYON_ERR_SYSTEM, errno, "no descriptor to wait on");
    return opening->door.set;
}

/* Hand out what it became. */
static tachyon_error_t finish(struct tachyon_opening *opening, enum handshake_kind kind,
                              struct tachyon_bus **out) {
    if (is_null(opening))
        return TACHYON_ERR_NULL_PTR;
    tachyon_error_t error = outcome_of(opening);
    if (error == TACHYON_ERR_EMPTY)
        return ty_fail(TACHYON_ERR_EMPTY, 0, "the connection does not stand yet");
    if (error != TACHYON_SUCCESS)
        return ty_fail_plain(error);
    if (opening->kind != kind)
        return ty_fail(TACHYON_ERR_INVALID_SZ, 0, "this opening is of %s",
                       kind == HANDSHAKE_RPC ? "a bus, not an RPC bus"
                                             : "an RPC bus, not a bus");
    if (!opening->bus)
        return ty_fail(TACHYON_ERR_EMPTY, 0, "the connection was handed out before");
    *out = opening->bus;
    opening->bus = NULL;
    return TACHYON_SUCCESS;
}

tachyon_error_t tachyon_opening_finish_bus(tachyon_opening_t *opening,
                                           tachyon_bus_t **out) {
    if (is_null(out))
        return TACHYON_ERR_NULL_PTR;
    *out = NULL;
    return finish(opening, HANDSHAKE_BUS, out);
}

tachyon_error_t tachyon_opening_finish_rpc(tachyon_opening_t *opening,
                                           tachyon_rpc_bus_t **out) {
    struct tachyon_bus *bus = NULL;
    if (is_null(out))
        return TACHYON_ERR_NULL_PTR;
    tachyon_error_t error = finish(opening, HANDSHAKE_RPC, &bus);
    *out = (tachyon_rpc_bus_t *)(void *)bus; /* its first member */
    return error;
}

void tachyon_opening_cancel(tachyon_opening_t *opening) {
    const struct patience none = {.until = 0};
    if (!opening)
        return;
    int cancel = ty_cancel_off();
    /* A client that has acknowledged believes in the connection: it is to end in order,
     * as one that nobody has taken. */
    if (opening->outcome == TACHYON_ERR_EMPTY && opening->listens)
        advance(opening, &none);
    free_opening(opening);
    ty_cancel_back(cancel);
}

tachyon_error_t tachyon_bus_listen_start(const char *socket_path, size_t capacity,
                                         const tachyon_options_t *options,
                                         tachyon_opening_t **out) {
    return start(socket_path, HANDSHAKE_BUS, &capacity, options, out);
}

tachyon_error_t tachyon_bus_connect_start(const char *socket_path,
                                          const tachyon_options_t *options,
                                          tachyon_opening_t **out) {
    return start(socket_path, HANDSHAKE_BUS, NULL, options, out);
}

tachyon_error_t tachyon_rpc_listen_start(const char *socket_path, size_t cap_fwd,
                                         size_t cap_rev,
                                         const tachyon_options_t *options,
                                         tachyon_opening_t **out) {
    return start(socket_path, HANDSHAKE_RPC, (const size_t[]){cap_fwd, cap_rev},
                 options, out);
}

tachyon_error_t tachyon_rpc_connect_start(const char *socket_path,
                                          const tachyon_options_t *options,
                                          tachyon_opening_t **out) {
    return start(socket_path, HANDSHAKE_RPC, NULL, options, out);
}

/* ---- Opening and waiting for it ---- */

static void cancelled(void *opening) {
    tachyon_opening_cancel(opening);
}

/* By itself, since a cleanup handler is a setjmp() to the compiler. */
static out_of_line tachyon_error_t step_on(struct tachyon_opening *opening) {
    tachyon_error_t error;
    pthread_cleanup_push(cancelled, opening); /* if this thread is cancelled */
    do
        error = tachyon_opening_step(opening, -1);
    while (error == TACHYON_ERR_EMPTY);
    pthread_cleanup_pop(false);
    return error;
}

static tachyon_error_t open_now(const char *path, enum handshake_kind kind,
                                const size_t *capacities,
                                const tachyon_options_t *options,
                                struct tachyon_bus **out) {
    struct tachyon_opening *opening = NULL;
    tachyon_error_t error = start(path, kind, capacities, options, &opening);
    if (error != TACHYON_SUCCESS)
        return error;
    error = step_on(opening);
    if (error == TACHYON_SUCCESS)
        finish(opening, kind, out);
    tachyon_opening_cancel(opening);
    if (error == TACHYON_ERR_INTERRUPTED)
        ty_fail_plain(error); /* giving up may have met with another error */
    return error;
}

static tachyon_error_t open_bus(const char *path, const size_t *capacity,
                                const tachyon_options_t *options, tachyon_bus_t **out) {
    if (is_null(out))
        return TACHYON_ERR_NULL_PTR;
    *out = NULL;
    return open_now(path, HANDSHAKE_BUS, capacity, options, out);
}

static tachyon_error_t open_rpc(const char *path, const size_t *capacities,
                                const tachyon_options_t *options,
                                tachyon_rpc_bus_t **out) {
    struct tachyon_bus *bus = NULL;
    if (is_null(out))
        return TACHYON_ERR_NULL_PTR;
    tachyon_error_t error = open_now(path, HANDSHAKE_RPC, capacities, options, &bus);
    *out = (tachyon_rpc_bus_t *)(void *)bus;
    return error;
}

tachyon_error_t tachyon_bus_listen_with(const char *socket_path, size_t capacity,
                                        const tachyon_options_t *options,
                                        tachyon_bus_t **out) {
    return open_bus(socket_path, &capacity, options, out);
}

tachyon_error_t tachyon_bus_listen(const char *socket_path, size_t capacity,
                                   tachyon_bus_t **out) {
    return tachyon_bus_listen_with(socket_path, capacity, NULL, out);
}

tachyon_error_t tachyon_bus_connect_with(const char *socket_path,
                                         const tachyon_options_t *options,
                                         tachyon_bus_t **out) {
    return open_bus(socket_path, NULL, options, out);
}

tachyon_error_t tachyon_bus_connect(const char *socket_path, tachyon_bus_t **out) {
    return tachyon_bus_connect_with(socket_path, NULL, out);
}

tachyon_error_t tachyon_rpc_listen_with(const char *socket_path, size_t cap_fwd,
                                        size_t cap_rev,
                                        const tachyon_options_t *options,
                                        tachyon_rpc_bus_t **out) {
    return open_rpc(socket_path, (const size_t[]){cap_fwd, cap_rev}, options, out);
}

tachyon_error_t tachyon_rpc_listen(const char *socket_path, size_t cap_fwd,
                                   size_t cap_rev, tachyon_rpc_bus_t **out) {
    return tachyon_rpc_listen_with(socket_path, cap_fwd, cap_rev, NULL, out);
}

tachyon_error_t tachyon_rpc_connect_with(const char *socket_path,
                                         const tachyon_options_t *options,
                                         tachyon_rpc_bus_t **out) {
    return open_rpc(socket_path, NULL, options, out);
}

tachyon_error_t tachyon_rpc_connect(const char *socket_path, tachyon_rpc_bus_t **out) {
    return tachyon_rpc_connect_with(socket_path, NULL, out);
}

/* ---- Owners, and the end ---- */

void tachyon_bus_ref(tachyon_bus_t *bus) {
    if (bus)
        atomic_fetch_add_explicit(&bus->owners, 1, memory_order_relaxed);
}

void tachyon_rpc_ref(tachyon_rpc_bus_t *rpc) {
    tachyon_bus_ref(rpc_bus(rpc));
}

void tachyon_bus_close(tachyon_bus_t *bus) {
    if (!bus)
        return;
    ty_link_close(&bus->link);
    if (bus->peers)
        ty_peers_close(bus, false);
}

void tachyon_rpc_close(tachyon_rpc_bus_t *rpc) {
    tachyon_bus_close(rpc_bus(rpc));
}

void tachyon_bus_abort(tachyon_bus_t *bus) {
    if (!bus)
        return;
    ty_link_abort(&bus->link);
    if (bus->peers)
        ty_peers_close(bus, true);
}

void tachyon_rpc_abort(tachyon_rpc_bus_t *rpc) {
    tachyon_bus_abort(rpc_bus(rpc));
}

void tachyon_bus_hang_up(tachyon_bus_t *bus) {
    if (!bus)
        return;
    int cancel = ty_cancel_off();
    hang_up(bus);
    ty_cancel_back(cancel);
}

void tachyon_rpc_hang_up(tachyon_rpc_bus_t *rpc) {
    tachyon_bus_hang_up(rpc_bus(rpc));
}

void tachyon_bus_destroy(tachyon_bus_t *bus) {
    release(bus, HANDSHAKE_BUS);
}

void tachyon_rpc_destroy(tachyon_rpc_bus_t *rpc) {
    release(rpc_bus(rpc), HANDSHAKE_RPC);
}

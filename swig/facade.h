/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facade: tachyon.h for generated bindings. Each call takes one object, returns one
 * value and leaves one error in the object, so that any target of SWIG can have it as it
 * is. Plain C, compiled by itself; nothing here is about one language.
 *
 * The names are those that SWIG gives to the C function of a method, so that tachyon.i has
 * declarations only.
 *
 * Times are seconds: negative waits for ever, 0 does not wait. A Result below 0 is the
 * negative of a tachyon_error_t, and Bus.error and Bus.text say the same.
 *
 * Lifetime: a Bus is counted. The language's object owns one share until Bus_free(), each
 * Memory handed out another until bus_unref(), which any thread may call, a finalizer's
 * too. Bus_close() ends the stream and every call that waits, from any thread; the ring
 * is unmapped as soon as nobody is in a call and no memory is handed out. So a view of
 * the ring is never of unmapped memory, and who hands out none leaves nothing behind.
 *
 * Threads: one sends or receives; any may close, abort, interrupt or ask for the state.
 */
#ifndef TACHYON_FACADE_H
#define TACHYON_FACADE_H

#include "tachyon.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t Result; /* 0 or more; less: -error */

typedef struct Bytes { /* to be copied, then bytes_taken() */
    const char *data;  /* NULL: an error */
    size_t len;
} Bytes;

typedef struct Memory { /* to be looked at, until bus_unref() */
    char *data;         /* NULL: an error */
    size_t len;
} Memory;

/* What the language's runtime has to say about waiting; its module sets it at load. */
typedef struct Host {
    /* Run a call that may sleep, without the interpreter's lock; it must return. */
    void (*wait)(void (*call)(void *), void *context);
    /* Asked inside of such a call, with signals blocked, before each sleep and after each
     * signal: non-zero ends the wait. NULL: signals are none of the language's. */
    int (*pending)(void *context);
    /* Asked when that has ended a wait, outside of everything (it may jump): 0 goes on
     * with what is left of the time. NULL: the call ends with INTERRUPTED. */
    int (*interrupted)(void);
    int interruptible; /* Bus_interrupt() works, for one descriptor a bus */
} Host;
extern Host host;

enum { MAX_VIEWS = 1024 };

/* A message that is handed out in place. */
typedef struct View {
    uint32_t offset; /* in the ring memory */
    uint32_t size, type_id, reserved;
} View;

typedef struct Options {
    double timeout; /* of opening */
    unsigned mode;  /* of the socket; 0: 0600 */
    int role;       /* TACHYON_ROLE_* */
    uint64_t schema;
    uint32_t *uids; /* who may connect; NULL: only our own user */
    size_t uid_count;
    int error; /* TACHYON_ERR_MEM: a user id is missing, nothing opens */
} Options;

Options *new_Options(void);
void delete_Options(Options *options);
void Options_allow_uid(Options *options, uint32_t uid);

/* One end of a bus or, with `rpc`, of an RPC bus. */
typedef struct Bus {
    tachyon_bus_t *bus;
    tachyon_rpc_bus_t *rpc;
    int error;        /* TACHYON_ERR_* of the last call, 0 */
    uint32_t spin;    /* looks before going to sleep */
    uint32_t type_id; /* of the last message */
    uint32_t count;   /* messages taken, or reserved, in place */
    size_t size;      /* of the last message */
    size_t stride;    /* from one message of a reserved batch to the next */
    uint64_t id;      /* of the last request or reply */
    char text[384];   /* of the error */
} Bus;
typedef Bus RpcBus;

/* ---- One end, of either kind ---- */

Bus *new_Bus(void);
Bus *bus_none(void); /* stands in for an object that the language has deleted */
void delete_Bus(Bus *bus);
void bus_ref(Bus *bus);
void bus_unref(Bus *bus);
Result Bus_listen(Bus *bus, const char *path, size_t capacity, const Options *options);
Result Bus_connect(Bus *bus, const char *path, const Options *options);
Result RpcBus_listen(Bus *bus, const char *path, size_t forward, size_t back,
                     const Options *options);
Result RpcBus_connect(Bus *bus, const char *path, const Options *options);
/* The same without waiting: begin, then step when Bus_fileno() is readable. */
Result Bus_listen_start(Bus *bus, const char *path, size_t capacity,
                        const Options *options);
Result Bus_connect_start(Bus *bus, const char *path, const Options *options);
Result RpcBus_listen_start(Bus *bus, const char *path, size_t forward, size_t back,
                           const Options *options);
Result RpcBus_connect_start(Bus *bus, const char *path, const Options *options);
Result Bus_open_step(Bus *bus); /* 1: open; 0: not yet */
void Bus_close(Bus *bus);
void Bus_abort(Bus *bus);
/* End the call that waits, or the next that would, with INTERRUPTED. */
void Bus_interrupt(Bus *bus);
void Bus_clear_interrupt(Bus *bus); /* it has come too late */
int Bus_state(Bus *bus);
const char *Bus_error_text(Bus *bus); /* of the last call that failed */
Result Bus_fileno(Bus *bus);
Result Bus_max_payload(Bus *bus);
void Bus_set_polling_mode(Bus *bus, int pure_spin);
Result Bus_set_numa_node(Bus *bus, int node_id);
tachyon_peer_t Bus_peer(Bus *bus);
tachyon_stats_t Bus_stats(Bus *bus);
tachyon_rpc_stats_t RpcBus_stats(Bus *bus);
/* After a copy has been made of what recv, wait or serve returned: release it. */
void bytes_taken(Bus *bus);

/* ---- What is the same for both kinds ---- */

#define new_RpcBus new_Bus
#define delete_RpcBus delete_Bus
#define RpcBus_open_step Bus_open_step
#define RpcBus_close Bus_close
#define RpcBus_abort Bus_abort
#define RpcBus_interrupt Bus_interrupt
#define RpcBus_clear_interrupt Bus_clear_interrupt
#define RpcBus_state Bus_state
#define RpcBus_fileno Bus_fileno
#define RpcBus_max_payload Bus_max_payload
#define RpcBus_set_polling_mode Bus_set_polling_mode
#define RpcBus_peer Bus_peer
#define RpcBus_error_text Bus_error_text

/* ---- Messages, copied ---- */

Result Bus_send(Bus *bus, const void *data, size_t size, uint32_t type_id,
                double timeout);
Bytes Bus_recv(Bus *bus, double timeout);
/* The size. INVALID_SZ: longer than `room`; it stays, and Bus.size is its size. */
Result Bus_recv_into(Bus *bus, void *into, size_t room, double timeout);
/* How many items went, which may be fewer than all when an error came in between. */
Result Bus_send_batch(Bus *bus, const void *items, size_t size, size_t item_size,
                      uint32_t type_id, double timeout);
Bytes Bus_recv_batch(Bus *bus, size_t item_size, size_t max_count, double timeout);
/* How many items were written to `into`. */
Result Bus_recv_batch_into(Bus *bus, void *into, size_t room, size_t item_size,
                           double timeout);

/* ---- Messages in place ---- */

Memory Bus_ring_memory(Bus *bus); /* the ring, twice in a row; takes a share */
Memory Bus_view_memory(Bus *bus); /* MAX_VIEWS of View, as Bus_take() fills them in */
Result Bus_reserve(Bus *bus, size_t size, double timeout); /* its offset */
Result Bus_commit(Bus *bus, size_t size, uint32_t type_id);
Result Bus_rollback(Bus *bus);
Result Bus_flush(Bus *bus);
Result Bus_reserve_batch(Bus *bus, size_t item_size, size_t max_count, double timeout);
Result Bus_commit_batch(Bus *bus, size_t count, uint32_t type_id);
Result Bus_acquire(Bus *bus, double timeout); /* the offset of the next message */
Result Bus_take(Bus *bus, uint32_t max_count, double timeout); /* how many */
Result Bus_release(Bus *bus, uint32_t count);                  /* 0: all */

/* ---- Calls and replies ---- */

Result RpcBus_call(Bus *bus, const void *data, size_t size, uint32_t type_id,
                   double timeout); /* its correlation id */
Bytes RpcBus_wait_for(Bus *bus, uint64_t id,
                      double timeout); /* 0: any; Bus.id tells which */
Bytes RpcBus_serve(Bus *bus, double timeout);
/* The same in two steps, for who must make room first: the size, then the copy. */
Result RpcBus_next_reply(Bus *bus, uint64_t id, double timeout);
Result RpcBus_next_request(Bus *bus, double timeout);
Result RpcBus_copy_held(Bus *bus, void *into, size_t room);
Result RpcBus_reply(Bus *bus, uint64_t id, const void *data, size_t size,
                    uint32_t type_id, double timeout);
Result RpcBus_cancel(Bus *bus, uint64_t id);
void RpcBus_watch_messages(Bus *bus, int watch);

#ifdef __cplusplus
}
#endif

#endif

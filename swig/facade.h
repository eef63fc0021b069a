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
 * Lifetime: an object is counted. The language's own part holds one share until
 * delete_Bus(), each Memory handed out another until bus_unref(), which any thread may
 * call, a finalizer's too. Bus_close() ends the stream. As soon as nobody is in a call, all
 * descriptors are closed, and if no memory is handed out, the ring is unmapped. So a view of
 * the ring is never of unmapped memory, and one that is never collected costs memory alone.
 *
 * Threads: one at a time opens, sends, receives or calls, a second is refused with BUSY;
 * the rest of the calls are for any thread, at any time. Bus_accept() waits beside them,
 * and is refused with BUSY where another thread waits in it.
 *
 * Errors: a call that fails has taken and sent nothing, but for Bus_send_batch(), which
 * says how much it sent. Bus.error is exact for the thread that made the call. Bus.text is
 * the object's: who looks at it while another thread closes or interrupts may read of that
 * instead. What kind of error it is, and so of which class in the language, says
 * tachyon_error_kind(). CLOSED is the end of the stream on either side, and also what any
 * call says of an object that is not open; PEER_DEAD and ABORTED are no orderly end.
 *
 * Waiting: each call is tried once without waiting. Only if there is nothing to take, or no
 * room, and the time-out is not 0, does it wait, in Host.wait(). Four things end a wait: what
 * it waits for, the time-out, Bus_interrupt() or a signal that the language's handlers say
 * ends it, and the end of the bus on either side.
 *
 * Fork: a child inherits the objects and may delete them. Its calls fail with FORKED, and
 * its views are still of the parent's ring, which it must not write to.
 */
#ifndef TACHYON_FACADE_H
#define TACHYON_FACADE_H

#include "tachyon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What calls give ---- */

/* 0 or more, as the call says; less than 0: the negative of a tachyon_error_t. */
typedef int64_t Result;

/* A message to be copied, read-only. Whoever has copied it says bytes_taken(), which
 * releases it; until then the object is busy, so that no other thread can, and what this
 * thread receives next is the same message again. */
typedef struct Bytes {
    const char *data; /* NULL: an error; of an empty message it is not NULL */
    size_t len;       /* bytes */
} Bytes;

/* Memory to be looked at in place. It comes with a share of the object: it stays mapped,
 * whatever becomes of bus and object, until bus_unref() gives that share back, from
 * whichever thread collects garbage. What is written there after the end reaches nobody,
 * and a message that was released may be overwritten by the next: mapped does not mean
 * unchanged. */
typedef struct Memory {
    char *data; /* NULL: an error, and no share */
    size_t len; /* bytes */
} Memory;

/* One message that is handed out in place, as Bus_take() describes it. */
typedef struct View {
    uint32_t offset;            /* bytes from the start of Bus_ring_memory() */
    uint32_t size;              /* bytes of payload */
    uint32_t type_id, reserved; /* reserved is 0 */
} View;

enum { MAX_VIEWS = 1024 };

/* Who is connected, as they were when they were asked for: it comes from Bus_peers(). */
typedef struct Peers {
    uint32_t count;
    tachyon_peer_info_t all[];
} Peers;
void delete_Peers(Peers *peers); /* NULL is ignored */

/* The one of an index from 0 to count - 1; all zero for any other. */
tachyon_peer_info_t Peers_at(Peers *peers, uint32_t index);

/* ---- The language's runtime ---- */

/* What it has to say about waiting. A module sets it when it is loaded, before the first
 * object is made; the default waits where it is called, and knows no signals. */
typedef struct Host {
    /* Run call(context), which may sleep, without the interpreter's lock. It must return,
     * not jump, and in the same thread. Every call is first tried without waiting, and
     * that keeps the lock. */
    void (*wait)(void (*call)(void *), void *context);
    /* Asked inside of such a call, with signals blocked, before each sleep and after each
     * signal. Non-zero ends the wait. It must not jump. NULL: signals are none of the
     * language's. */
    int (*pending)(void *context);
    /* Asked when that has ended a wait, back outside with the lock: run the language's
     * handlers. 0 goes on with what is left of the time; non-zero ends the call with
     * INTERRUPTED; or it may jump, as an exception does in Perl or Ruby. NULL: as
     * non-zero. */
    int (*interrupted)(void);
    /* 1: a thread of the language's queues the handlers, some time after the signal. So
     * each signal ends a wait, and pending() is asked from time to time besides. */
    int queues;
    /* 1: Bus_interrupt() works, for one descriptor an object. */
    int interruptible;
} Host;
extern Host host;

/* ---- How to open ----
 *
 * Options may be shared by openings and freed once those have returned or been started;
 * what they hold is copied.
 */

typedef struct Options {
    double timeout;  /* of listening or connecting, in seconds; less than 0: for ever */
    unsigned mode;   /* permission bits of the socket; 0: 0600 */
    int role;        /* TACHYON_ROLE_*; 0: the first send or receive decides */
    uint64_t schema; /* fingerprint of the message types; 0: not compared */
    /* One listener, many peers. */
    uint32_t
        max_peers; /* listen: with a role, at most so many; 0: a single peer, ever */
    int slow_peer; /* listen as producer: TACHYON_SLOW_* ... */
    double slow_after; /* ... and after how many seconds it is let go */
    int without_peers; /* likewise: TACHYON_WITHOUT_PEERS_* */
    double keep_place; /* likewise: seconds that the place of a dead name is kept */
    int start;         /* connect: TACHYON_START_*; but NOW makes a consumer of it */
    uint64_t
        start_position;   /* of TACHYON_START_POSITION: what Bus_position() said ... */
    uint64_t start_epoch; /* ... and Bus.epoch */
    uint32_t *uids;       /* who may connect; NULL: our own user only */
    size_t uid_count;
    char *name;         /* connect: of at most 31 bytes; NULL: none */
    char *types;        /* description of the message types, which sets schema; ... */
    size_t types_size;  /* ... its bytes; NULL: none */
    int types_required; /* 1: a peer that declares neither types nor schema is refused */
    int error; /* TACHYON_ERR_MEM: a user id or a text is missing: nothing opens */
} Options;

/* All defaults, with a time-out of for ever. NULL: no memory. */
Options *new_Options(void);
void delete_Options(Options *options); /* NULL is ignored */

/* One user more who may connect; UINT32_MAX: anyone. */
void Options_allow_uid(Options *options, uint32_t uid);

/* The name that this end has at a listener with many peers. NULL: none. */
void Options_set_name(Options *options, const char *name);

/* What the generated files of the messages have as their types: of two ends that differ
 * each one's error says in what. NULL: none. */
void Options_set_types(Options *options, const char *types);

/* ---- The object ---- */

/* One end of a bus or, with `rpc`, of an RPC bus. What stands here is of the last call of
 * the thread that uses it; `spin` is for it to set, all else to read. The struct is larger
 * than this: it comes from new_Bus() and is not copied. */
typedef struct Bus {
    tachyon_bus_t *bus;     /* NULL: not open, or closed and gone */
    tachyon_rpc_bus_t *rpc; /* of the two, one at most */
    int error;              /* TACHYON_ERR_*, 0 after a success */
    int system_errno;       /* errno behind an error, 0: none */
    uint32_t spin;          /* looks before going to sleep; TACHYON_DEFAULT_SPIN */
    uint32_t type_id;       /* of the last message received */
    uint32_t count;         /* messages that Bus_take() or Bus_reserve_batch() gave, or
                               Bus_send_batch() sent */
    size_t size;            /* bytes of the last message received, or too long to be */
    size_t stride;          /* bytes from one to the next of Bus_reserve_batch() */
    uint64_t id;            /* of the last request or reply received */
    uint64_t epoch;         /* of the last Bus_position() */
    char text[384];         /* of the last error: cause and value */
} Bus;
typedef Bus RpcBus;

/* An object that is not open: every call but the openings fails with CLOSED. NULL: no
 * memory. */
Bus *new_Bus(void);

/* The language's object has gone: close, and give its share back. NULL is ignored. */
void delete_Bus(Bus *bus);

/* What stands in for an object that the language has deleted: it is closed. */
Bus *bus_none(void);

/* One share more, and one less, from any thread. The last one frees everything. */
void bus_ref(Bus *bus);
void bus_unref(Bus *bus);

/* For an event loop that polls Bus_fileno(): the descriptor stays until the loop has let go
 * of it, in spite of a close, which makes it readable. 0: the bus is not open. */
int bus_watch(Bus *bus);
void bus_unwatch(Bus *bus);

/* For a language that calls the core by itself, without the interpreter's lock: who is
 * inside keeps the handle, and no close flushes under it. 0: the bus is not open. */
int bus_enter(Bus *bus);
void bus_leave(Bus *bus);

/* After a copy of what recv, wait_for or serve gave: release that message. */
void bytes_taken(Bus *bus);

/* The error of the last call that this thread has made, for a language without a lock:
 * there another thread's call may be the last of the object. */
int *bus_error_here(void);

/* ---- Opening ---- */

/* For a typemap: in the language the path goes on behind its first NUL. */
void bus_refuse_path(Bus *bus);

/* Likewise for a text of the options: the error, to be raised at once. */
const Bus *options_nul_in_name(void);
const Bus *options_nul_in_types(void);

/*
 * As the calls of tachyon.h, in at most options->timeout seconds. Without options, listen
 * waits for ever and connect tries once. An object opens once; an opening that has failed
 * may be tried again.
 *
 * Result: 0; or the error of that call; BUSY: it is open already; CLOSED: it has been
 * closed, perhaps by another thread meanwhile; INTERRUPTED. One that host.interrupted()
 * has jumped out of is given up by the next.
 */
Result Bus_listen(Bus *bus, const char *path, size_t capacity, const Options *options);
Result Bus_connect(Bus *bus, const char *path, const Options *options);
Result RpcBus_listen(Bus *bus, const char *path, size_t forward, size_t back,
                     const Options *options);
Result RpcBus_connect(Bus *bus, const char *path, const Options *options);

/* The same without waiting: begin, and then step whenever Bus_fileno() is readable. */
Result Bus_listen_start(Bus *bus, const char *path, size_t capacity,
                        const Options *options);
Result Bus_connect_start(Bus *bus, const char *path, const Options *options);
Result RpcBus_listen_start(Bus *bus, const char *path, size_t forward, size_t back,
                           const Options *options);
Result RpcBus_connect_start(Bus *bus, const char *path, const Options *options);

/* 1: it is open; 0: not yet; or the outcome, after which it may be begun anew. */
Result Bus_open_step(Bus *bus);

/* ---- Ending; from any thread, and as often as one likes ---- */

/* End the stream in order and every call that waits, which then says CLOSED. What was
 * committed is flushed, unless another thread is in a call right now. */
void Bus_close(Bus *bus);

/* Cut the stream off: the peer is told ABORTED. */
void Bus_abort(Bus *bus);

/* End the call that waits, or else the next that would, with INTERRUPTED. One that has
 * come too late, since the call had ended, can be forgotten. Nothing where the host is
 * not interruptible. */
void Bus_interrupt(Bus *bus);
void Bus_clear_interrupt(Bus *bus);

/* ---- Looking at it; from any thread, but for the descriptor ---- */

int Bus_state(Bus *bus); /* TACHYON_STATE_* */

/* Of the object's last call that failed; it lives as long as the object. */
const char *Bus_error_text(Bus *bus);

/* The descriptor of tachyon_bus_fileno(), or of the opening while there is one. */
Result Bus_fileno(Bus *bus);

Result Bus_max_payload(Bus *bus); /* bytes */
void Bus_set_polling_mode(Bus *bus, int pure_spin);
Result Bus_set_numa_node(Bus *bus, int node_id);

/* All zero, with Bus.error set, when it is not open. */
tachyon_peer_t Bus_peer(Bus *bus);
tachyon_stats_t Bus_stats(Bus *bus);
tachyon_rpc_stats_t RpcBus_stats(Bus *bus);

/* ---- Many peers: a bus that listens with max_peers; from any thread ---- */

/* Let peers in and out, in at most `timeout` seconds, and say who has come or gone. Its
 * kind is 0 where nobody has, or with an error, which is its `reason`: EMPTY, TIMEOUT,
 * BUSY, CLOSED and those of tachyon_bus_accept(). */
tachyon_event_t Bus_accept(Bus *bus, double timeout);

/* Who is connected, for delete_Peers(). NULL: an error. */
Peers *Bus_peers(Bus *bus);

Result Bus_drop_peer(Bus *bus, uint32_t peer); /* INVALID_SZ: none of that number */

/* Number of the peer whose message or request was received last, 0: none. */
Result Bus_sender(Bus *bus);

/* Where this end of a broadcast stands, for Options.start_position of a later connection.
 * Result: that; Bus.epoch is the epoch in which it means anything. */
Result Bus_position(Bus *bus);

/* What is the same for both kinds: SWIG names by kind. */
#define new_RpcBus new_Bus
#define delete_RpcBus delete_Bus
#define RpcBus_open_step Bus_open_step
#define RpcBus_close Bus_close
#define RpcBus_abort Bus_abort
#define RpcBus_interrupt Bus_interrupt
#define RpcBus_clear_interrupt Bus_clear_interrupt
#define RpcBus_state Bus_state
#define RpcBus_error_text Bus_error_text
#define RpcBus_fileno Bus_fileno
#define RpcBus_max_payload Bus_max_payload
#define RpcBus_set_polling_mode Bus_set_polling_mode
#define RpcBus_peer Bus_peer
#define RpcBus_accept Bus_accept
#define RpcBus_peers Bus_peers
#define RpcBus_drop_peer Bus_drop_peer
#define RpcBus_sender Bus_sender

/* ---- Messages, copied ----
 *
 * `timeout` is in seconds, as above. TIMEOUT after it has passed; with 0 FULL or EMPTY at
 * once. Beside the errors of the call of tachyon.h: CLOSED for an object that is not
 * open, and BUSY while another thread is in a call of it.
 */

/* Send and flush one message. Result: 0. */
Result Bus_send(Bus *bus, const void *data, size_t size, uint32_t type_id,
                double timeout);

/* The next message; Bus.type_id is its type. One that was not copied comes again. Of a
 * broadcast bytes_taken() may find that the copy came too late: then Bus.error is LAGGED,
 * and the copy is worth nothing. */
Bytes Bus_recv(Bus *bus, double timeout);

/* The next message, copied to the `room` bytes at `into`. Result: its size; INVALID_SZ:
 * it is longer than that and stays, and Bus.size is its size. */
Result Bus_recv_into(Bus *bus, void *into, size_t room, double timeout);

/* The `size` bytes at `items` as messages of item_size bytes each. Result: how many were
 * sent, at least one; fewer than all where an error came in between, which the next call
 * meets again. INVALID_SZ: not a whole number of items. INTERRUPTED, by a signal, or a jump
 * out of host.interrupted(): Bus.count were sent. */
Result Bus_send_batch(Bus *bus, const void *items, size_t size, size_t item_size,
                      uint32_t type_id, double timeout);

/* Up to max_count messages of item_size bytes and one type, without gaps: released
 * already, in a buffer of the object's that lives until the next of these calls. */
Bytes Bus_recv_batch(Bus *bus, size_t item_size, size_t max_count, double timeout);

/* The same to the `room` bytes at `into`. Result: how many messages. */
Result Bus_recv_batch_into(Bus *bus, void *into, size_t room, size_t item_size,
                           double timeout);

/* ---- Messages in place ----
 *
 * A language gets the memory once; then messages are offsets in it, which need no object
 * and no call. An offset may lie in the second half, and a message may end beyond the
 * first: the ring is mapped twice in a row.
 *
 * One reservation is open at a time, and one message or set of views is held: a second
 * reservation replaces the first, a second Bus_acquire() or Bus_take() gives what is held
 * again; only Bus_take_next() adds to it. EMPTY from a commit or release: there is none. INVALID_SZ: more than was reserved
 * or is held, and nothing has been done. Until a flush the peer sees nothing; the core
 * flushes by itself every 32 messages.
 */

/* 2 x capacity bytes. INVALID_SZ, of this and of all in place: each of many peers has a ring
 * of its own; but a broadcast has one. */
Memory Bus_ring_memory(Bus *bus);
Memory Bus_view_memory(Bus *bus); /* MAX_VIEWS of View */

/* Room for one message. Result: its offset; write there, then commit. */
Result Bus_reserve(Bus *bus, size_t size, double timeout);
Result Bus_commit(Bus *bus, size_t size, uint32_t type_id); /* visible after a flush */

/* Room for up to max_count messages of one size: Bus.count of them, Bus.stride bytes
 * apart. Result: the offset of the first. Then commit the first `count`. */
Result Bus_reserve_batch(Bus *bus, size_t item_size, size_t max_count, double timeout);
Result Bus_commit_batch(Bus *bus, size_t count, uint32_t type_id);

Result Bus_rollback(Bus *bus); /* of either reservation */
Result Bus_flush(Bus *bus);

/* The next message. Result: its offset; Bus.size and Bus.type_id tell the rest. */
Result Bus_acquire(Bus *bus, double timeout);

/* Up to max_count messages, 0: MAX_VIEWS. Result: how many, in Bus_view_memory(). */
Result Bus_take(Bus *bus, uint32_t max_count, double timeout);

/* One more, behind those that are held already by Bus_acquire(), Bus_take() or this, which
 * stay so. Result: how many are held now; Bus_view_memory() has them from its beginning,
 * oldest first. FULL: they take more than half of the ring, or are MAX_VIEWS: release the
 * oldest first. CLOSED and the like: nothing will come behind them; they are still held.
 * BUSY: of many peers only what one call gave is held at a time. */
Result Bus_take_next(Bus *bus, double timeout);

/* Release the first `count` of those that are still held, 0: all that is handed out.
 * LAGGED: what was read may have been overwritten before. */
Result Bus_release(Bus *bus, uint32_t count);

/* ---- Calls and replies ----
 *
 * One thread's at a time, as a bus is. A call sends and returns; its reply is asked for
 * later, in any order, and kept meanwhile outside of the ring. A reply is given once: until
 * it is copied, every call but the same fails with BUSY. A request that is not copied comes
 * again.
 */

/* Send a request. Result: its correlation id, 1 or more. */
Result RpcBus_call(Bus *bus, const void *data, size_t size, uint32_t type_id,
                   double timeout);

/* The reply to call `id`, 0: to any call; the next request. Bus.id tells whose. */
Bytes RpcBus_wait_for(Bus *bus, uint64_t id, double timeout);
Bytes RpcBus_serve(Bus *bus, double timeout);

/* The same in two steps, for who must make room first. Result: the size in bytes; then
 * the copy, which releases it. A reply may lie outside the ring, so there is no offset. */
Result RpcBus_next_reply(Bus *bus, uint64_t id, double timeout);
Result RpcBus_next_request(Bus *bus, double timeout);
Result RpcBus_copy_held(Bus *bus, void *into, size_t room);

/* Answer request `id`. Result: 0. */
Result RpcBus_reply(Bus *bus, uint64_t id, const void *data, size_t size,
                    uint32_t type_id, double timeout);

Result RpcBus_cancel(Bus *bus, uint64_t id);     /* its reply will be dropped */
void RpcBus_watch_messages(Bus *bus, int watch); /* as tachyon_rpc_watch_messages() */

#ifdef __cplusplus
}
#endif

#endif

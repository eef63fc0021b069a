/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tachyon.h
 * Same-machine messaging through shared memory: one producer, one consumer,
 * variable-size messages, no copy on either side, no system call per message.
 *
 * This header is the only description of the API: every language binding is
 * generated from it.
 *
 * Life of a bus: one process calls tachyon_bus_listen() on a socket path, another
 * tachyon_bus_connect(). Either end may send; the first send or receive on a handle
 * claims that direction for good, and the peer has the other one. The producer
 * repeats acquire_tx, write, commit_tx, flush; the consumer acquire_rx, read,
 * commit_rx. tachyon_bus_destroy() ends the stream; a producer that cannot finish it
 * says so with tachyon_bus_abort().
 *
 * Errors: a function that returns tachyon_error_t says what went wrong; one that
 * returns a pointer or a count says NULL or 0, and then tachyon_last_error() has
 * the reason and tachyon_last_error_message() a text with cause and value.
 *
 * Time: timeout_ns is in nanoseconds of CLOCK_MONOTONIC; negative waits for ever,
 * 0 does not wait. spin_threshold is the number of looks before going to sleep.
 *
 * Caveats
 * - Threads: at most one thread sends and one receives on a handle at a time. Any
 *   thread may call tachyon_bus_close(), _ref(), _destroy(), _get_state() and the
 *   setters. tachyon_last_error() is per thread.
 * - fork: a handle belongs to the process that made it. In a child every call fails
 *   with TACHYON_ERR_FORKED; destroying it there is harmless and recommended. No
 *   descriptor survives exec.
 * - Peer death: noticed by the kernel, not by heartbeat. What was flushed before a
 *   death is still delivered; then TACHYON_ERR_PEER_DEAD.
 * - After the end: the error stays, and every call says it at once; but a blocking call
 *   without a time-out that is made again on a handle that is over, of any kind, sleeps
 *   first, 1 ms and then up to 16 ms, so that a loop that ignores the error does not
 *   keep a processor busy. Who stops at the first error never meets this. Each call of
 *   RPC that is waited for counts by itself.
 * - Cancellation: a thread may be cancelled (pthread_cancel, deferred) while it waits
 *   in a blocking call, which then leaves the handle as if it had failed: usable, nothing
 *   taken, nothing sent. No other call is a cancellation point. Asynchronous cancellation
 *   may strike anywhere: like most of libc, nothing here stands it. In C++ cancel no thread
 *   that may be in here: these functions are noexcept, and unwinding through them ends
 *   the program. tachyon_bus_close() from another thread ends a blocked call; so do, with
 *   INTERRUPTED, options.interrupted, options.interrupt_fd, and a signal, unless
 *   options.restart is set.
 * - Hostile peer: it can send nonsense or nothing, and change a message while it is
 *   being read; copy first what must not change under you. It cannot make this side
 *   read or write outside the ring, nor raise a signal.
 * - Alignment: a payload is aligned to 32 bytes where up to 32 were reserved, to 64
 *   where more were.
 */
#ifndef TACHYON_H
#define TACHYON_H

#include <stddef.h>
#include <stdint.h>

/** Every function is exported, whatever a build's default visibility ... */
#ifdef __GNUC__
#define TACHYON_ABI __attribute__((visibility("default")))
#else
#define TACHYON_ABI
#endif

/** ... and raises no C++ exception. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define TACHYON_NOEXCEPT noexcept
#else
#define TACHYON_NOEXCEPT
#endif

/** What `python -m tachyon.schema` is to know of messages in a header of your own, and no
 * compiler: a struct of which later versions may have more fields, as in
 * `typedef struct TACHYON_MAY_GROW { ... } Tick;`, ... */
#ifdef __TACHYON_SCHEMA__
#define TACHYON_MAY_GROW __attribute__((annotate("tachyon:extensible")))
#else
#define TACHYON_MAY_GROW
#endif

/** ... and the version that has a field first, as in `uint32_t venue TACHYON_SINCE(2);`. */
#ifdef __TACHYON_SCHEMA__
#define TACHYON_SINCE(version) __attribute__((annotate("tachyon:since=" #version)))
#else
#define TACHYON_SINCE(version)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version, errors, states ------------------------------------------------ */

/** Release of this library; tachyon_version() gives that of the library loaded. */
#define TACHYON_VERSION_MAJOR 1
#define TACHYON_VERSION_MINOR 0
#define TACHYON_VERSION_PATCH 0

/** Why a call failed. Values are part of the ABI. */
typedef enum {
    TACHYON_SUCCESS = 0,
    TACHYON_ERR_NULL_PTR = 1,      /**< a required pointer is NULL */
    TACHYON_ERR_MEM = 2,           /**< no memory */
    TACHYON_ERR_OPEN = 3,          /**< the shared memory cannot be created */
    TACHYON_ERR_TRUNCATE = 4,      /**< the shared memory cannot be sized */
    TACHYON_ERR_CHMOD = 5,         /**< the socket's mode cannot be set */
    TACHYON_ERR_SEAL = 6,          /**< seals cannot be set, or the peer's miss */
    TACHYON_ERR_MAP = 7,           /**< the shared memory cannot be mapped */
    TACHYON_ERR_INVALID_SZ = 8,    /**< a size, path or argument is out of range */
    TACHYON_ERR_FULL = 9,          /**< no room until the consumer releases */
    TACHYON_ERR_EMPTY = 10,        /**< no message yet, or nothing to finish */
    TACHYON_ERR_NETWORK = 11,      /**< nobody listens, or the socket failed */
    TACHYON_ERR_SYSTEM = 12,       /**< another system call failed */
    TACHYON_ERR_INTERRUPTED = 13,  /**< told to stop waiting, as by a signal */
    TACHYON_ERR_ABI_MISMATCH = 14, /**< the peer speaks another protocol */
    TACHYON_ERR_PEER_DEAD = 15,    /**< the peer died without closing */
    TACHYON_ERR_CLOSED = 16,       /**< closed in order: end of stream */
    TACHYON_ERR_TIMEOUT = 17,      /**< the time-out passed */
    TACHYON_ERR_BUSY = 18,         /**< direction or handle is in use by another */
    TACHYON_ERR_CORRUPT = 19,      /**< the peer wrote what no peer may write */
    TACHYON_ERR_ADDR_IN_USE = 20,  /**< the path is taken: a listener or a file */
    TACHYON_ERR_PERMISSION = 21,   /**< access refused by mode or user id */
    TACHYON_ERR_FORKED = 22,       /**< the handle belongs to the parent process */
    TACHYON_ERR_ABORTED = 23,      /**< the peer gave up in the middle */
    TACHYON_ERR_LAGGED = 24        /**< what was to be read is overwritten, or may be */
} tachyon_error_t;

/** What kind of failure an error is: what a caller does about it, and what class of its
 * own errors a language maps it to. Values are part of the ABI. */
typedef enum {
    TACHYON_KIND_NONE = 0,       /**< SUCCESS: no failure */
    TACHYON_KIND_ARGUMENT = 1,   /**< the caller's mistake: NULL_PTR, INVALID_SZ */
    TACHYON_KIND_MEMORY = 2,     /**< MEM */
    TACHYON_KIND_SYSTEM = 3,     /**< the system refuses: OPEN, TRUNCATE, MAP, SYSTEM */
    TACHYON_KIND_CONNECTION = 4, /**< NETWORK, ABI_MISMATCH, ADDR_IN_USE */
    TACHYON_KIND_PERMISSION = 5, /**< CHMOD, SEAL, PERMISSION */
    TACHYON_KIND_WOULD_BLOCK = 6, /**< not now, without waiting: FULL, EMPTY */
    TACHYON_KIND_TIMEOUT = 7,     /**< TIMEOUT */
    TACHYON_KIND_INTERRUPTED = 8, /**< INTERRUPTED */
    TACHYON_KIND_CLOSED = 9,      /**< the stream is over, in order: CLOSED */
    TACHYON_KIND_PEER_DEAD = 10,  /**< PEER_DEAD */
    TACHYON_KIND_STATE = 11,      /**< not with this handle, or not now: BUSY, FORKED */
    TACHYON_KIND_CORRUPT = 12,    /**< CORRUPT */
    TACHYON_KIND_ABORTED = 13     /**< the stream is cut off: ABORTED, LAGGED */
} tachyon_error_kind_t;

/** State of a connection as this end sees it. */
typedef enum {
    TACHYON_STATE_UNINITIALIZED = 0,
    TACHYON_STATE_INITIALIZING = 1,
    TACHYON_STATE_READY = 2,        /**< usable; a consumer's until it has drained */
    TACHYON_STATE_DISCONNECTED = 3, /**< closed, by either end */
    TACHYON_STATE_FATAL_ERROR = 4,  /**< aborted or dead peer, corrupt ring, forked */
    TACHYON_STATE_UNKNOWN = 5       /**< the handle is NULL */
} tachyon_state_t;

/** Version of the loaded library, "major.minor.patch"; static storage. */
TACHYON_ABI const char *tachyon_version(void) TACHYON_NOEXCEPT;

/** One-line English text for an error value; static storage, never NULL. */
TACHYON_ABI const char *tachyon_strerror(tachyon_error_t error) TACHYON_NOEXCEPT;

/** Name of an error's enumerator, "TACHYON_ERR_FULL"; static storage, never NULL. A value
 * that is none is "unknown". */
TACHYON_ABI const char *tachyon_error_name(tachyon_error_t error) TACHYON_NOEXCEPT;

/** Kind of an error; of a value that is none, TACHYON_KIND_SYSTEM. */
TACHYON_ABI tachyon_error_kind_t tachyon_error_kind(tachyon_error_t error)
    TACHYON_NOEXCEPT;

/**
 * Why the last call in this thread failed; meaningful right after a call that said
 * that it did, and after tachyon_get_state() returned anything but READY.
 */
TACHYON_ABI tachyon_error_t tachyon_last_error(void) TACHYON_NOEXCEPT;

/** Text of that error with cause and value; valid until this thread's next call. */
TACHYON_ABI const char *tachyon_last_error_message(void) TACHYON_NOEXCEPT;

/** errno of the system call behind that error, 0 when there was none. */
TACHYON_ABI int tachyon_last_errno(void) TACHYON_NOEXCEPT;

/* ---- Message types ---------------------------------------------------------- */

/** A type_id is free for use; by convention a route and a message type. */
#define TACHYON_TYPE_ID(route, type)                                                   \
    (TACHYON_CAST_(uint32_t, route) << 16 | (TACHYON_CAST_(uint32_t, type) & 0xFFFFu))
#define TACHYON_ROUTE_ID(id) TACHYON_CAST_(uint16_t, TACHYON_CAST_(uint32_t, id) >> 16)
#define TACHYON_MSG_TYPE(id)                                                           \
    TACHYON_CAST_(uint16_t, TACHYON_CAST_(uint32_t, id) & 0xFFFFu)

/* Casts of a constant expression that neither language warns about. */
#if defined(__cplusplus) && __cplusplus >= 201103L
extern "C++" {
namespace tachyon_detail {
template <class To, class From> constexpr To cast(From value) noexcept {
    return static_cast<To>(value);
}
} // namespace tachyon_detail
}
#define TACHYON_CAST_(to, value) ::tachyon_detail::cast<to>(value)
#elif defined(__cplusplus)
#define TACHYON_CAST_(to, value) static_cast<to>(value)
#else
#define TACHYON_CAST_(to, value) ((to)(value))
#endif

/** A spin_threshold for who has no reason for another: some tens of microseconds, more
 * than a peer that is at work takes to answer, and little beside the cost of a sleep. */
#define TACHYON_DEFAULT_SPIN 10000

/** Most peers of one listener at a time, and most events it keeps for who fetches them. */
#define TACHYON_MAX_PEERS 1024
#define TACHYON_MAX_EVENTS 1024

/* ---- Opening and closing ---------------------------------------------------- */

/** One end of a connection. */
typedef struct tachyon_bus tachyon_bus_t;

/** Direction of an end. */
typedef enum {
    TACHYON_ROLE_NONE = 0, /**< decided by the first send or receive */
    TACHYON_ROLE_PRODUCER = 1,
    TACHYON_ROLE_CONSUMER = 2
} tachyon_role_t;

/** What a producer with many consumers does with one that is slow. */
typedef enum {
    TACHYON_SLOW_BLOCK = 0,     /**< wait for it, as long as it lives */
    TACHYON_SLOW_DISCONNECT = 1 /**< after options.slow_after_ns let it go: LAGGED */
} tachyon_slow_peer_t;

/** What a producer with many consumers does while there is none. */
typedef enum {
    TACHYON_WITHOUT_PEERS_WAIT = 0,    /**< fill the ring, then wait for one */
    TACHYON_WITHOUT_PEERS_FREE_RUN = 1 /**< go on and overwrite */
} tachyon_without_peers_t;

/** Where a consumer of a producer with many consumers begins. */
typedef enum {
    TACHYON_START_NOW = 0,     /**< with what is flushed from now on */
    TACHYON_START_OLDEST = 1,  /**< with the oldest message that is still there */
    TACHYON_START_POSITION = 2 /**< at options.start_position */
} tachyon_start_t;

/**
 * Options of listen and connect. Zero every field but `size`: zero is the default.
 * The struct may grow at its end; `size` tells which fields the caller knows.
 */
typedef struct tachyon_options {
    size_t size;          /**< sizeof(tachyon_options_t) */
    int64_t timeout_ns;   /**< listen: longest wait for a peer, 0 for ever. connect: how
                               long to keep trying, 0 one try. Negative: for ever. */
    uint32_t socket_mode; /**< permission bits of the socket, 0 means 0600 */
    uint32_t role;        /**< a tachyon_role_t; both ends alike is refused */
    const uint32_t *allowed_uids; /**< peers' user ids; NULL: only our own.
                                       UINT32_MAX in the list allows anyone */
    size_t allowed_uid_count;     /**< length of allowed_uids */
    uint64_t schema; /**< fingerprint of the message types; two ends with different
                          non-zero values are refused, 0 is not compared */
    int (*interrupted)(void *context); /**< called with signals blocked before each
                          sleep of listen, connect and later calls; non-zero ends the
                          call with TACHYON_ERR_INTERRUPTED. NULL: none */
    void *interrupted_context;         /**< passed to interrupted() */
    uint32_t restart; /**< 1: a signal does not end a wait, of opening and of later
                               calls, it only makes it ask interrupted() again. 0: it ends
                               the call with TACHYON_ERR_INTERRUPTED */
    int32_t
        interrupt_fd; /**< a descriptor of the caller's, such as an eventfd: while it is
                               readable, a wait of listen, connect and of later calls ends
                               with TACHYON_ERR_INTERRUPTED; a call that need not wait
                               does not look at it. Only its owner makes it unreadable
                               again. It must be open as long as the handle. 0: none */
    /* One listener, many peers. */
    uint32_t
        max_peers; /**< listen: peers at a time, 1 to TACHYON_MAX_PEERS, on a bus with
                                 `role` set; see "One listener, many peers". 0: a single
                                 peer, ever */
    uint32_t slow_peer;     /**< listen as producer, max_peers above 1: a
                                 tachyon_slow_peer_t */
    uint32_t without_peers; /**< likewise: a tachyon_without_peers_t */
    uint32_t start;         /**< connect as consumer: a tachyon_start_t. Of no meaning
                                 where the producer has one consumer, but a position is
                                 refused there: LAGGED */
    int64_t slow_after_ns; /**< with SLOW_DISCONNECT: the time a peer is waited for, all
                                  waits together in which half a ring was sent */
    uint64_t start_position; /**< with START_POSITION: what tachyon_bus_position() of an
                                  earlier connection said, a multiple of 64, ... */
    uint64_t start_epoch;    /**< ... and the epoch it said */
    const char
        *name; /**< connect: at most 31 bytes; at one listener no two living peers
                           of one user have the same. NULL or empty: none */
    int64_t
        keep_place_ns; /**< as slow_peer: how long the place of a consumer with a name
                                that died is kept for the next of that name, 0: not */
    /* Typed messages. */
    const char
        *types; /**< description of the message types, as the generated files have
                            it, or several of them, one after another, which are merged;
                            copied. It sets `schema`. Of two ends whose descriptions
                            differ the first difference is named, unless it is one that
                            messages may have (ABI_MISMATCH). NULL: none */
    size_t types_size;       /**< bytes of it, without a final 0; at most 65,536, where
                                  several are merged 16 MiB before that */
    uint32_t types_required; /**< 1: a peer that declares neither types nor schema is
                                  refused. 0: it is not */
} tachyon_options_t;

/**
 * Create a ring, bind a socket and wait for one good peer.
 *
 * A stale socket at the path is replaced; a live listener or any other file is left
 * alone. Clients that are silent, wrong or not allowed are refused and listening
 * goes on. On return the path is free for the next listen.
 *
 * @param socket_path  File system path (107 bytes at most; a relative one stays with the
 *                     directory in which the call began), or "@name" for the
 *                     abstract namespace.
 * @param capacity     Bytes of the ring: a power of two, at most 2 GiB; less than a
 *                     page is rounded up to one.
 * @param out          The new handle, or NULL on failure. Release it with
 *                     tachyon_bus_destroy().
 * @return SUCCESS; NULL_PTR; INVALID_SZ; ADDR_IN_USE; PERMISSION; NETWORK (no such
 *         directory, socket failure); MEM, OPEN, TRUNCATE, SEAL, MAP, CHMOD, SYSTEM;
 *         INTERRUPTED; TIMEOUT.
 *
 * Threads: any.  Blocks: until a peer has connected.  System calls: yes.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_listen(const char *socket_path, size_t capacity,
                                               tachyon_bus_t **out) TACHYON_NOEXCEPT;

/** tachyon_bus_listen() with options; NULL means all defaults. */
TACHYON_ABI tachyon_error_t tachyon_bus_listen_with(
    const char *socket_path, size_t capacity, const tachyon_options_t *options,
    tachyon_bus_t **out) TACHYON_NOEXCEPT;

/**
 * Attach to a listener, in one try.
 *
 * @param socket_path  As for tachyon_bus_listen().
 * @param out          The new handle, or NULL on failure.
 * @return SUCCESS; NULL_PTR; INVALID_SZ; NETWORK at once when nobody listens;
 *         ABI_MISMATCH; PERMISSION; OPEN (no descriptor left); SEAL, MAP,
 *         CORRUPT (the listener's memory is not
 *         what it said); BUSY (both ends declared one role); MEM; INTERRUPTED;
 *         TIMEOUT (5 s without an answer, or options->timeout_ns).
 *
 * Threads: any.  Blocks: for the handshake.  System calls: yes.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_connect(const char *socket_path,
                                                tachyon_bus_t **out) TACHYON_NOEXCEPT;

/** tachyon_bus_connect() with options; NULL means all defaults. */
TACHYON_ABI tachyon_error_t
tachyon_bus_connect_with(const char *socket_path, const tachyon_options_t *options,
                         tachyon_bus_t **out) TACHYON_NOEXCEPT;

/** Add an owner: one more tachyon_bus_destroy() is needed. NULL is ignored. */
TACHYON_ABI void tachyon_bus_ref(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Release a handle; NULL is ignored. The last release ends a blocked call of another
 * thread and waits until it has left, rolls back an open reservation, flushes what was
 * committed, tells the peer that the stream has ended, and frees everything. No other
 * thread may be in a call that does not block.
 */
TACHYON_ABI void tachyon_bus_destroy(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * End the stream, from any thread: a blocked call on this handle returns, and it and
 * every later acquire fail with TACHYON_ERR_CLOSED. Does not flush: a producer calls
 * tachyon_flush() first; what is committed afterwards may not arrive. The memory stays
 * mapped until tachyon_bus_destroy(). Idempotent; NULL is ignored.
 *
 * Threads: any.  Blocks: no.  System calls: yes.
 */
TACHYON_ABI void tachyon_bus_close(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * The last tachyon_bus_destroy(), but for the memory: it stays mapped for those who still
 * look at it, and every call fails with TACHYON_ERR_CLOSED, until tachyon_bus_destroy(),
 * which is still needed. For a language that has lent the ring and does not know when it
 * is given back: no descriptor waits for that. Idempotent; NULL is ignored.
 *
 * Threads: no other in a call that does not block.  Blocks: until a blocked call has left.
 * System calls: yes.
 */
TACHYON_ABI void tachyon_bus_hang_up(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Cut the stream off: tachyon_bus_close() for an end that has failed, so that half of a
 * stream is never taken for the whole. The peer, sending or receiving, gets everything
 * whose flush had returned, and then TACHYON_ERR_ABORTED instead of CLOSED. This end's
 * calls fail with TACHYON_ERR_CLOSED as after a close.
 *
 * An open reservation is rolled back, and what was only committed is dropped, not
 * flushed: a batch that was not finished is not shown. Nothing is sent any more, not by
 * a later flush, nor by tachyon_bus_destroy(), which is still needed. After a close it
 * does nothing, and a close after it neither: the peer is told once.
 *
 * Threads: any.  Blocks: no.  System calls: yes.
 */
TACHYON_ABI void tachyon_bus_abort(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Prefer a NUMA node for the ring's pages.
 *
 * @param node_id  0 to 63.
 * @return SUCCESS; NULL_PTR; INVALID_SZ; FORKED; SYSTEM with the kernel's reason.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_set_numa_node(const tachyon_bus_t *bus,
                                                      int node_id) TACHYON_NOEXCEPT;

/** pure_spin 1: this end never sleeps while it waits. 0 (default): spin, then sleep. */
TACHYON_ABI void tachyon_bus_set_polling_mode(const tachyon_bus_t *bus,
                                              int pure_spin) TACHYON_NOEXCEPT;

/**
 * Fingerprint of a description of message types: FNV-1a, 64 bits, of its bytes, with 1 in
 * the place of 0. It is what options.types sets options.schema to, of one that is merged
 * already.
 *
 * @param types  The text; need not end with a 0. NULL: 0, and an error.
 * @param size   Its bytes.
 *
 * Threads: any.  Blocks: never.  System calls: none.
 */
TACHYON_ABI uint64_t tachyon_types_fingerprint(const char *types,
                                               size_t size) TACHYON_NOEXCEPT;

/* ---- One listener, many peers ----------------------------------------------- */

/**
 * With options.max_peers, and on a bus a role, listen returns as soon as clients can
 * connect, and goes on listening as long as the handle lives. Nothing changes for those
 * who connect, nor in how this end sends or receives, but: peers that leave, in whatever
 * way, never end the handle; they are events.
 *
 * A consumer receives from each producer by turns, up to 32 messages at a time; the order
 * is kept for each producer, and one batch comes from one of them. What a producer had
 * flushed when it left is still delivered, then the event follows. A ring of `capacity`
 * bytes is made for each producer when it connects.
 *
 * A producer with max_peers above 1 broadcasts: there is one ring of `capacity` bytes, of
 * which each consumer reads every message, read-only. The slowest says how far it may go:
 * with TACHYON_SLOW_BLOCK sending waits for it as long as it lives; with
 * TACHYON_SLOW_DISCONNECT who is in the way for options.slow_after_ns is let go; waits
 * count together until half a ring was sent, so that who releases one message right before
 * each end is let go all the same, and who keeps up is not. Such a
 * one finds LAGGED where it releases: what it has just read, in place or into its memory,
 * may have been overwritten before; recv and recv_batch do not count it. While there is
 * no consumer, sending waits for one or (TACHYON_WITHOUT_PEERS_FREE_RUN) goes on. With
 * options.keep_place_ns the place of a consumer with a name that dies without closing is
 * kept that long: the next one of its name goes on after what it had released, and until
 * then sending waits as for one that lives.
 *
 * A producer with max_peers 1 has one consumer after the other, each with a ring of its
 * own: what one has not taken is gone with it. While there is none, sending waits.
 *
 * An RPC bus serves many callers, each with two rings of its own, of cap_fwd and cap_rev
 * bytes: see tachyon_rpc_serve() and tachyon_rpc_reply(). Requests are taken by turns as
 * messages are in the consumer's case, and those of a caller that has left are still
 * delivered. tachyon_rpc_accept(), _get_peers(), _drop_peer() and _sender() are for it
 * what the functions below are for a bus.
 *
 * Who is let in by whom: the handshake needs this end now and then, for it has no thread
 * of its own. A call that waits on the handle sees to it, and so does a receive that finds
 * nothing; a program that never waits calls tachyon_bus_accept() now and then, or in a
 * thread of its own. A peer counts from its acknowledge to its end; one more than
 * max_peers is refused with BUSY, and so is any while as many have gone and are not yet
 * drained. Consumers that have gone leave when this end sends: who has nothing to send for
 * long calls tachyon_flush() now and then, which lets them out even if it has nothing to
 * flush.
 *
 * options.timeout_ns has no meaning for such a listener. Two descriptors are held for each
 * peer, and its memory until this end has been in a call after the peer's end.
 */

/** Who is at the other end, as the kernel said at the handshake. */
typedef struct {
    int32_t pid; /**< 0 when it lives in a pid namespace we cannot see */
    uint32_t uid;
    uint32_t gid;
} tachyon_peer_t;

/** What has happened to a peer. */
typedef enum {
    TACHYON_EVENT_JOINED = 1, /**< it is connected */
    TACHYON_EVENT_LEFT = 2,   /**< it is gone, `reason` says how; all is delivered */
    TACHYON_EVENT_MISSED = 3  /**< this many (`peer`) events were not kept */
} tachyon_event_kind_t;

/** A peer has come or gone. */
typedef struct {
    uint32_t kind;          /**< a tachyon_event_kind_t */
    uint32_t peer;          /**< its number: they grow, and none is used again */
    tachyon_error_t reason; /**< LEFT: CLOSED (by either end), ABORTED, PEER_DEAD,
                                 CORRUPT, LAGGED (it was too slow) */
    tachyon_peer_t who;
    char name[32]; /**< options.name of the peer, "" for none */
} tachyon_event_t;

/** A peer that is connected. */
typedef struct {
    uint32_t peer;
    tachyon_peer_t who;
    char name[32];
    uint64_t messages; /**< messages or requests received from it and released; of a
                            consumer 0: what it has read is not counted, see `behind` */
    uint64_t behind;   /**< of a consumer of many: bytes it has still to read; else 0 */
    uint64_t sleeps;   /**< times this end slept for it alone */
    uint64_t wakes;    /**< times this end woke it */
} tachyon_peer_info_t;

/**
 * Let peers in and out: one step of the handshake of whoever knocks, and the next event.
 * Events are kept until they are fetched here, TACHYON_MAX_EVENTS of them; what comes on
 * top of those is only counted.
 *
 * @param out         Set to the event; must not be NULL.
 * @param timeout_ns  Longest wait for one; negative for ever, 0 not at all.
 * @return SUCCESS; EMPTY (timeout_ns is 0) or TIMEOUT: nothing has happened; BUSY: another
 *         thread waits in this call; INVALID_SZ: the bus has a single peer; INTERRUPTED;
 *         CLOSED: this handle is; FORKED; NULL_PTR; SYSTEM.
 *
 * Threads: any, while others send and receive.  Blocks: up to timeout_ns, and never the
 * one that sends or receives.  System calls: yes.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_accept(tachyon_bus_t *bus, tachyon_event_t *out,
                                               int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Who is connected.
 *
 * @param out  Room for `max` entries; may be NULL when max is 0.
 * @return How many there are, of which at most `max` are filled in, in no order. 0 also
 *         for NULL_PTR, INVALID_SZ (a bus with a single peer) and FORKED; otherwise
 *         tachyon_last_error() is SUCCESS.
 *
 * Threads: any.  Blocks: never.  System calls: none.
 */
TACHYON_ABI size_t tachyon_bus_get_peers(const tachyon_bus_t *bus,
                                         tachyon_peer_info_t *out,
                                         size_t max) TACHYON_NOEXCEPT;

/**
 * Disconnect a peer. It is told that the stream has ended: CLOSED, after what there is
 * to read, or LAGGED once a broadcast goes on without it. What it has sent and nobody has
 * received yet is not delivered. The event LEFT follows as for any other.
 *
 * @param peer  Its number.
 * @return SUCCESS; INVALID_SZ: none of this number is connected, or the bus has a single
 *         peer; FORKED; NULL_PTR.
 *
 * Threads: any.  Blocks: never.  System calls: yes.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_drop_peer(tachyon_bus_t *bus,
                                                  uint32_t peer) TACHYON_NOEXCEPT;

/**
 * Number of the peer whose message was found last: the one that is handed out, or was
 * copied. 0 before the first, on a bus with a single peer, on one that sends, and of NULL.
 *
 * Threads: the one that receives.  Blocks: never.  System calls: none.
 */
TACHYON_ABI uint32_t tachyon_bus_sender(const tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Where this end of a broadcast stands: after what it has released (consumer) or flushed
 * (producer), and the epoch in which that means anything: the life of one listener. With
 * options.start_position and start_epoch a later connect goes on from there, as long as
 * it is still in the ring; else it fails with LAGGED.
 *
 * @return SUCCESS, also after the end; INVALID_SZ: the bus is no broadcast; NULL_PTR;
 *         LAGGED: this consumer was let go, and what it has released last does not count.
 *
 * Threads: the one that receives, or sends.  Blocks: never.  System calls: none.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_position(const tachyon_bus_t *bus,
                                                 uint64_t *position,
                                                 uint64_t *epoch) TACHYON_NOEXCEPT;

/* ---- Sending ---------------------------------------------------------------- */

/** Largest payload of one message: capacity - 128. 0 when bus is NULL. */
TACHYON_ABI size_t tachyon_max_payload(const tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Reserve room for one outgoing message. A reservation that is still open is
 * replaced. When the ring is full, what was committed is flushed first.
 *
 * @param bus               Sending end.
 * @param max_payload_size  Bytes wanted, 0 to tachyon_max_payload(bus).
 * @return Writable bytes, aligned to 32 up to 32 bytes and to 64 above,
 *         uninitialised; owned by the bus and valid until commit or rollback. NULL
 *         when nothing was reserved; then tachyon_last_error() says why:
 *         FULL        no room until the consumer releases a message
 *         INVALID_SZ  can never fit this ring
 *         CLOSED, ABORTED, PEER_DEAD, CORRUPT, FORKED
 *         BUSY        this handle receives, or the peer sends
 *         NULL_PTR
 *
 * Threads: one producer.  Blocks: never.  System calls: only when full or to wake.
 */
TACHYON_ABI void *tachyon_acquire_tx(tachyon_bus_t *bus,
                                     size_t max_payload_size) TACHYON_NOEXCEPT;

/**
 * tachyon_acquire_tx() that waits for room: spins, then sleeps.
 *
 * @param spin_threshold  Looks before sleeping.
 * @param timeout_ns      Longest wait; negative for ever, 0 not at all.
 * @return As tachyon_acquire_tx(), but TIMEOUT instead of FULL (FULL when timeout_ns
 *         is 0); INTERRUPTED.
 */
TACHYON_ABI void *tachyon_acquire_tx_timed(tachyon_bus_t *bus, size_t max_payload_size,
                                           uint32_t spin_threshold,
                                           int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Finish the reservation: it becomes a message, visible after the next flush. The
 * 32nd message since the last flush flushes by itself.
 *
 * @param actual_size  Bytes written, at most those reserved.
 * @param type_id      Free for use.
 * @return SUCCESS; NULL_PTR; EMPTY when nothing is reserved; INVALID_SZ when
 *         actual_size exceeds the reservation, which is kept.
 *
 * Threads: one producer.  Blocks: never.  System calls: only to wake a sleeper.
 */
TACHYON_ABI tachyon_error_t tachyon_commit_tx(tachyon_bus_t *bus, size_t actual_size,
                                              uint32_t type_id) TACHYON_NOEXCEPT;

/** Give the reservation back; nothing is sent. SUCCESS, EMPTY or NULL_PTR. */
TACHYON_ABI tachyon_error_t tachyon_rollback_tx(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Make all committed messages visible, all at once, and wake a sleeping consumer. In a
 * broadcast consumers that have gone leave here, even if nothing was committed.
 *
 * Threads: one producer.  Blocks: never.  System calls: only to wake a sleeper.
 */
TACHYON_ABI void tachyon_flush(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Copy, commit and flush one message: acquire_tx_timed + memcpy + commit_tx + flush.
 *
 * @param payload  May be NULL when size is 0.
 * @return SUCCESS, or the error of the step that failed; nothing is sent then.
 */
TACHYON_ABI tachyon_error_t tachyon_send(tachyon_bus_t *bus, const void *payload,
                                         size_t size, uint32_t type_id,
                                         uint32_t spin_threshold,
                                         int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Send an array: one message for each item, copied, as tachyon_send() in a loop would,
 * but with few flushes and at the speed of the ring. Where the ring is full, what is in
 * it is flushed and the rest waits for room.
 *
 * @param items       count * item_size bytes without gaps; not NULL unless count is 0.
 * @param item_size   Bytes of each message, 1 to tachyon_max_payload(bus).
 * @param count       Number of items; 0 sends nothing.
 * @param type_id     Of every message.
 * @param timeout_ns  Longest wait in all; negative for ever, 0 not at all.
 * @return How many were sent, all of them flushed. Fewer than count: then
 *         tachyon_last_error() says why, as after tachyon_acquire_tx_timed(), and
 *         items[return value] is the first that was not sent.
 *
 * Threads: one producer.  Blocks: while the ring is full.  System calls: as flush.
 */
TACHYON_ABI size_t tachyon_send_batch(tachyon_bus_t *bus, const void *items,
                                      size_t item_size, size_t count, uint32_t type_id,
                                      uint32_t spin_threshold,
                                      int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Reserve room for several messages of one size at once, to be written in place: an array
 * in the ring, also where it wraps. A reservation that is still open is replaced, and a
 * later acquire replaces this one. When not even one fits, what was committed is flushed.
 *
 * @param item_size  Bytes of each message, exactly: 1 to tachyon_max_payload(bus).
 * @param max_count  Messages wanted, at least 1.
 * @param count      Set to how many are reserved: as many as there is room for now, 1 to
 *                   max_count; must not be NULL.
 * @param stride     Set to the distance from one to the next, which depends on item_size
 *                   only; must not be NULL. Only item_size bytes of each are the caller's.
 * @return Where the first is to be written; message i at (char *)pointer + i * stride.
 *         NULL as tachyon_acquire_tx_timed(), which waits for room for one message, and
 *         INVALID_SZ when item_size or max_count is 0.
 *
 * Threads: one producer.  Blocks: while not one fits.  System calls: as acquire_tx.
 */
TACHYON_ABI void *tachyon_acquire_tx_batch(tachyon_bus_t *bus, size_t item_size,
                                           size_t max_count, size_t *count,
                                           size_t *stride, uint32_t spin_threshold,
                                           int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Finish that reservation: its first `count` become messages of item_size bytes, and the
 * others are given back. As after tachyon_commit_tx() they are visible after the next
 * flush, and 32 messages or more since the last flush are flushed here, all at once.
 *
 * @param count    0 to what was reserved; 0 sends nothing.
 * @param type_id  Of every message.
 * @return SUCCESS; NULL_PTR; EMPTY when no batch is reserved (what tachyon_acquire_tx()
 *         reserves is none, and what is reserved here tachyon_commit_tx() does not
 *         commit); INVALID_SZ when fewer are reserved: they stay so.
 *         tachyon_rollback_tx() gives all of them back.
 *
 * Threads: one producer.  Blocks: never.  System calls: only to wake a sleeper.
 */
TACHYON_ABI tachyon_error_t tachyon_commit_tx_batch(tachyon_bus_t *bus, size_t count,
                                                    uint32_t type_id) TACHYON_NOEXCEPT;

/* ---- Receiving -------------------------------------------------------------- */

/**
 * Look at the next message. Without tachyon_commit_rx() the same one comes again.
 *
 * @param type_id      Its type; must not be NULL.
 * @param actual_size  Its size in bytes; must not be NULL.
 * @return The payload, read-only, owned by the bus and valid until it is committed
 *         (never NULL for a message, not even for an empty one), or NULL: EMPTY,
 *         CLOSED, ABORTED or PEER_DEAD (all is drained), CORRUPT, FORKED, BUSY (this
 *         handle sends, or the peer receives), NULL_PTR.
 *
 * Threads: one consumer.  Blocks: never.  System calls: one per thousands of looks.
 */
TACHYON_ABI const void *tachyon_acquire_rx(tachyon_bus_t *bus, uint32_t *type_id,
                                           size_t *actual_size) TACHYON_NOEXCEPT;

/** tachyon_acquire_rx() that looks max_spins times; 0 means for ever. */
TACHYON_ABI const void *tachyon_acquire_rx_spin(tachyon_bus_t *bus, uint32_t *type_id,
                                                size_t *actual_size,
                                                uint32_t max_spins) TACHYON_NOEXCEPT;

/**
 * tachyon_acquire_rx() that spins, then sleeps until a message comes, the stream
 * ends, the peer aborts or dies, or a signal arrives (INTERRUPTED).
 */
TACHYON_ABI const void *
tachyon_acquire_rx_blocking(tachyon_bus_t *bus, uint32_t *type_id, size_t *actual_size,
                            uint32_t spin_threshold) TACHYON_NOEXCEPT;

/** tachyon_acquire_rx_blocking() with a time-out: TIMEOUT (EMPTY when it is 0). */
TACHYON_ABI const void *tachyon_acquire_rx_timed(tachyon_bus_t *bus, uint32_t *type_id,
                                                 size_t *actual_size,
                                                 uint32_t spin_threshold,
                                                 int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Release everything handed out. SUCCESS, NULL_PTR, or EMPTY if there is nothing. */
TACHYON_ABI tachyon_error_t tachyon_commit_rx(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/**
 * Copy one message out and release it: acquire_rx_timed + memcpy + commit_rx, the
 * counterpart of tachyon_send().
 *
 * @param into     Room for `room` bytes; may be NULL when room is 0.
 * @param size     Set to the size of the message; must not be NULL.
 * @param type_id  Set to its type; must not be NULL.
 * @return SUCCESS; as tachyon_acquire_rx_timed() fails; or INVALID_SZ when the message has
 *         more than `room` bytes: then it is still the next message, *size and *type_id
 *         tell of it, and nothing is copied.
 *
 * Threads: one consumer.  Blocks: until there is a message.  System calls: to sleep.
 */
TACHYON_ABI tachyon_error_t tachyon_recv(tachyon_bus_t *bus, void *into, size_t room,
                                         size_t *size, uint32_t *type_id,
                                         uint32_t spin_threshold,
                                         int64_t timeout_ns) TACHYON_NOEXCEPT;

/** One message of a batch. */
typedef struct {
    const void *ptr;    /**< payload, read-only, owned by the bus */
    size_t actual_size; /**< bytes of payload */
    size_t reserved_;   /**< bytes it takes in the ring; commit needs it unchanged */
    uint32_t type_id;
    uint32_t padding_;
} tachyon_msg_view_t;

/**
 * Take up to max_msgs messages that are already there. What is not committed comes
 * again with the next acquire.
 *
 * @return How many were filled in; 0 as NULL of tachyon_acquire_rx().
 */
TACHYON_ABI size_t tachyon_acquire_rx_batch(tachyon_bus_t *bus,
                                            tachyon_msg_view_t *views,
                                            size_t max_msgs) TACHYON_NOEXCEPT;

/** tachyon_acquire_rx_batch() that waits for the first message, for ever. */
TACHYON_ABI size_t tachyon_drain_batch(tachyon_bus_t *bus, tachyon_msg_view_t *views,
                                       size_t max_msgs,
                                       uint32_t spin_threshold) TACHYON_NOEXCEPT;

/** tachyon_drain_batch() with a time-out: TIMEOUT (EMPTY when it is 0). */
TACHYON_ABI size_t tachyon_drain_batch_timed(tachyon_bus_t *bus,
                                             tachyon_msg_view_t *views, size_t max_msgs,
                                             uint32_t spin_threshold,
                                             int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Look behind what is handed out, and release nothing: the next message is handed out as
 * well. So a message can be kept while others are received, and released when it suits,
 * oldest first. Where nothing is handed out this is tachyon_acquire_rx_timed().
 *
 *     if (tachyon_acquire_rx_next_timed(bus, views + count, spin, timeout_ns))
 *         count++;
 *     ...
 *     tachyon_commit_rx_batch(bus, views, 1); // the oldest; views + 1 are still held
 *
 * Every other receive begins at the oldest that is not released, and makes what lies behind
 * that not handed out again: who holds several takes each message with this one, and copies
 * it where tachyon_recv() would have.
 *
 * @param view  Filled in as one of a batch, whose next it is: views of what is handed out,
 *              in order and one behind the other in memory, are for
 *              tachyon_commit_rx_batch(). Must not be NULL.
 * @return The payload, as view->ptr, valid until it is released; or NULL:
 *         EMPTY (timeout_ns is 0), TIMEOUT, INTERRUPTED: nothing lies behind it yet.
 *         FULL: what is handed out takes more than half of the ring. Release the oldest
 *         first, for else the producer would have no room; this is said without a look or
 *         a wait.
 *         CLOSED, ABORTED, PEER_DEAD: nothing will come behind it. CORRUPT: what lies behind
 *         it is no message. What is handed out stays so, and is released as ever.
 *         LAGGED: this consumer was let go, and what is handed out may be overwritten.
 *         BUSY: a listener with many peers hands out one message or batch at a time, for
 *         each peer has a ring of its own; and as tachyon_acquire_rx().
 *         FORKED, NULL_PTR.
 *
 * Threads: one consumer.  Blocks: up to timeout_ns.  System calls: to sleep.
 */
TACHYON_ABI const void *
tachyon_acquire_rx_next_timed(tachyon_bus_t *bus, tachyon_msg_view_t *view,
                              uint32_t spin_threshold,
                              int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Release the first `count` messages of what is handed out.
 *
 * @param views  As filled in by the last acquire_rx_batch or drain_batch, and by
 *               acquire_rx_next since.
 * @return SUCCESS; NULL_PTR; INVALID_SZ when they are not what was handed out
 *         (nothing is released then).
 */
TACHYON_ABI tachyon_error_t tachyon_commit_rx_batch(tachyon_bus_t *bus,
                                                    const tachyon_msg_view_t *views,
                                                    size_t count) TACHYON_NOEXCEPT;

/**
 * Are these messages one array in the ring? Then message i, payload and all, lies at
 * (const char *)views[0].ptr + i * stride, also where the ring wraps.
 *
 * @param views  As of tachyon_commit_rx_batch().
 * @return The stride in bytes, when all messages have one size and take the same room;
 *         0 when they do not, or there are none.
 */
TACHYON_ABI size_t tachyon_batch_stride(const tachyon_msg_view_t *views,
                                        size_t count) TACHYON_NOEXCEPT;

/**
 * Receive into an array: wait for the first message, then copy and release what is
 * there, up to max_count, as long as size and type stay the same.
 *
 * A message of another size or type ends the batch and stays in the ring: it is the
 * next message of whatever call comes next. No message is lost or cut.
 *
 * @param items       Room for max_count * item_size bytes.
 * @param item_size   Bytes of each message, exactly; at least 1.
 * @param type_id     Set to the type of all messages received; must not be NULL.
 * @param timeout_ns  As for tachyon_acquire_rx_timed().
 * @return How many were copied, all of them released; 0 as NULL of
 *         tachyon_acquire_rx_timed(), and INVALID_SZ when the next message has another
 *         size, or item_size or max_count is 0.
 *
 * Threads: one consumer.  Blocks: until there is a message.  System calls: to sleep.
 */
TACHYON_ABI size_t tachyon_recv_batch(tachyon_bus_t *bus, void *items, size_t item_size,
                                      size_t max_count, uint32_t *type_id,
                                      uint32_t spin_threshold,
                                      int64_t timeout_ns) TACHYON_NOEXCEPT;

/* ---- Waiting elsewhere ------------------------------------------------------ */

/**
 * A descriptor for poll, epoll, select and event loops: readable while there may be
 * something to do for this end, level-triggered.
 *
 * Receiving end: readable while a message is there, or the stream has ended or the peer
 * is gone. It may be readable once more than needed; a receive without waiting that
 * says EMPTY makes it unreadable until there is news. So: poll; receive with a time-out
 * of 0 until EMPTY, or as much as you like; poll again. Blocking calls may be mixed in.
 * Sending end: readable when the peer is gone, and, after an acquire or send without
 * waiting has said FULL, when that message fits.
 * Listener with many peers: readable also when one comes or goes. A receive that says
 * EMPTY sees to that. A sending end calls tachyon_flush(), though it has nothing to
 * flush, then tachyon_bus_accept() until EMPTY: no event is left, and it is unreadable.
 *
 * @return The descriptor, the same each time, owned by the bus: do not read, write or
 *         close it. It lives until tachyon_bus_destroy(), not across fork or exec. -1:
 *         NULL_PTR, FORKED, SYSTEM (no descriptor to be had).
 *
 * Threads: the one that sends or receives.  Blocks: never.  System calls: yes; from
 * then on also each look that finds EMPTY or FULL.
 */
TACHYON_ABI int tachyon_bus_fileno(tachyon_bus_t *bus) TACHYON_NOEXCEPT;

/* ---- Looking at a bus ------------------------------------------------------- */

/**
 * State of the connection; asks the kernel whether the peer is still there. When it
 * is not READY, tachyon_last_error() says why: CLOSED, ABORTED, PEER_DEAD, CORRUPT,
 * FORKED.
 */
TACHYON_ABI tachyon_state_t tachyon_get_state(const tachyon_bus_t *bus)
    TACHYON_NOEXCEPT;

/**
 * Where the ring lies, for languages that look at it as one buffer: the payloads that
 * acquire and the views of a batch give, and reservations, all lie in it, whole, and their
 * distances from its start are the same as long as the bus lives.
 *
 * @param mapped  Set to the bytes there: the capacity twice, for the ring is mapped twice
 *                in a row; may be NULL.
 * @return The first byte; writable by whoever holds a reservation, and only there. It
 *         lives until tachyon_bus_destroy(). NULL: NULL_PTR, FORKED; INVALID_SZ: each of
 *         many peers has memory of its own, but those of a broadcast.
 *
 * Threads: any.  Blocks: never.  System calls: none.
 */
TACHYON_ABI void *tachyon_bus_memory(const tachyon_bus_t *bus,
                                     size_t *mapped) TACHYON_NOEXCEPT;

/** Order later loads of this thread after earlier ones (an acquire fence). */
TACHYON_ABI void tachyon_memory_barrier_acquire(void) TACHYON_NOEXCEPT;

/** SUCCESS or NULL_PTR. Of many peers it is the one that tachyon_bus_sender() names, on the
 * thread that receives; EMPTY: there is none. */
TACHYON_ABI tachyon_error_t tachyon_bus_get_peer(const tachyon_bus_t *bus,
                                                 tachyon_peer_t *out) TACHYON_NOEXCEPT;

/** Counters of one end since it was opened. */
typedef struct {
    uint64_t capacity;   /**< bytes of the ring, of each of many peers; the rest is of
                              all of them, those that have left included */
    uint64_t used;       /**< bytes of it that this end knows to be in use */
    uint64_t messages;   /**< committed (producer) or released (consumer) */
    uint64_t ring_bytes; /**< bytes of ring they took, headers and padding included */
    uint64_t flushes;    /**< producer: times the ring was published */
    uint64_t full;       /**< producer: times acquire found no room */
    uint64_t sleeps;     /**< times this end went to sleep */
    uint64_t wakes;      /**< times this end woke its peer */
} tachyon_stats_t;

/** Read the counters, on the thread that uses the bus. SUCCESS or NULL_PTR. */
TACHYON_ABI tachyon_error_t
tachyon_bus_get_stats(const tachyon_bus_t *bus, tachyon_stats_t *out) TACHYON_NOEXCEPT;

/* ---- Remote procedure calls ------------------------------------------------- */

/**
 * Two rings over one socket: requests from the connector (the caller) to the listener
 * (the callee), replies back. Each call has a correlation id; ids start at 1 and grow
 * by 1. Replies may come in any order and any number of calls may be outstanding; a
 * reply to a call that is not (cancelled, or 65,536 calls old) is dropped and counted.
 *
 * A caller that waits for room or for one reply takes other replies off the ring and
 * keeps them (copied) until they are waited for, so that neither end can block the
 * other for ever. A reply that is held stays in the ring, and what is behind it too:
 * release it before a call that waits for room.
 *
 * Threads: one at a time on each end. A call made while another thread waits inside
 * one is refused with TACHYON_ERR_BUSY. Errors are those of a bus; in addition the
 * caller's functions on a callee, and the reverse, fail with TACHYON_ERR_BUSY.
 */
typedef struct tachyon_rpc_bus tachyon_rpc_bus_t;

/**
 * tachyon_bus_listen() for the callee.
 *
 * @param cap_fwd  Bytes of the request ring, as capacity of tachyon_bus_listen().
 * @param cap_rev  Bytes of the reply ring.
 */
TACHYON_ABI tachyon_error_t tachyon_rpc_listen(const char *socket_path, size_t cap_fwd,
                                               size_t cap_rev, tachyon_rpc_bus_t **out)
    TACHYON_NOEXCEPT;

/** tachyon_rpc_listen() with options; `role` must be 0. With `max_peers` it serves as many
 * callers at a time: see "One listener, many peers". */
TACHYON_ABI tachyon_error_t tachyon_rpc_listen_with(
    const char *socket_path, size_t cap_fwd, size_t cap_rev,
    const tachyon_options_t *options, tachyon_rpc_bus_t **out) TACHYON_NOEXCEPT;

/** tachyon_bus_connect() for the caller. ABI_MISMATCH when a plain bus listens. */
TACHYON_ABI tachyon_error_t
tachyon_rpc_connect(const char *socket_path, tachyon_rpc_bus_t **out) TACHYON_NOEXCEPT;

/** tachyon_rpc_connect() with options; `role` must be 0. */
TACHYON_ABI tachyon_error_t
tachyon_rpc_connect_with(const char *socket_path, const tachyon_options_t *options,
                         tachyon_rpc_bus_t **out) TACHYON_NOEXCEPT;

/** As tachyon_bus_ref(). */
TACHYON_ABI void tachyon_rpc_ref(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/** As tachyon_bus_destroy(). */
TACHYON_ABI void tachyon_rpc_destroy(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/** As tachyon_bus_close(). */
TACHYON_ABI void tachyon_rpc_close(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/** As tachyon_bus_hang_up(). */
TACHYON_ABI void tachyon_rpc_hang_up(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/** As tachyon_bus_abort(). Requests and replies that were sent still arrive. */
TACHYON_ABI void tachyon_rpc_abort(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/** As tachyon_get_state(). */
TACHYON_ABI tachyon_state_t tachyon_rpc_get_state(const tachyon_rpc_bus_t *rpc)
    TACHYON_NOEXCEPT;

/** As tachyon_bus_set_polling_mode(). */
TACHYON_ABI void tachyon_rpc_set_polling_mode(const tachyon_rpc_bus_t *rpc,
                                              int pure_spin) TACHYON_NOEXCEPT;

/**
 * tachyon_bus_fileno(): readable while a reply (caller) or request (callee) is there or
 * the peer is gone, and when a request or reply fits that was refused with FULL. Who
 * waits for both takes messages until EMPTY first, then tries to send, then polls.
 */
TACHYON_ABI int tachyon_rpc_fileno(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/**
 * For a time in which nobody takes messages, and one that came would only keep the
 * descriptor readable: with 0 it tells of room and of the end only, and an attempt that
 * is refused with FULL makes it unreadable until that message fits. 1 (the default, and
 * again): of messages too. NULL is ignored.
 *
 * Threads: the one that sends or receives.  Blocks: never.  System calls: perhaps.
 */
TACHYON_ABI void tachyon_rpc_watch_messages(tachyon_rpc_bus_t *rpc,
                                            int watch) TACHYON_NOEXCEPT;

/** tachyon_bus_accept() for a callee with many callers. */
TACHYON_ABI tachyon_error_t tachyon_rpc_accept(tachyon_rpc_bus_t *rpc,
                                               tachyon_event_t *out,
                                               int64_t timeout_ns) TACHYON_NOEXCEPT;

/** tachyon_bus_get_peers() of a callee with many callers. */
TACHYON_ABI size_t tachyon_rpc_get_peers(const tachyon_rpc_bus_t *rpc,
                                         tachyon_peer_info_t *out,
                                         size_t max) TACHYON_NOEXCEPT;

/** tachyon_bus_drop_peer() of a callee with many callers. It gets CLOSED, and what it has
 * asked and nobody has taken yet is not served. */
TACHYON_ABI tachyon_error_t tachyon_rpc_drop_peer(tachyon_rpc_bus_t *rpc,
                                                  uint32_t peer) TACHYON_NOEXCEPT;

/** Number of the caller whose request was found last. 0 before the first, and on an RPC
 * bus with a single caller. As tachyon_bus_sender(). */
TACHYON_ABI uint32_t tachyon_rpc_sender(const tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/** As tachyon_bus_get_peer(). */
TACHYON_ABI tachyon_error_t tachyon_rpc_get_peer(const tachyon_rpc_bus_t *rpc,
                                                 tachyon_peer_t *out) TACHYON_NOEXCEPT;

/** Largest payload this end can send: a caller's request, a callee's reply. */
TACHYON_ABI size_t tachyon_rpc_max_payload(const tachyon_rpc_bus_t *rpc)
    TACHYON_NOEXCEPT;

/** As tachyon_bus_memory(), of the ring that this end receives from, or with `sending`
 * not 0 of the one that it sends into. */
TACHYON_ABI void *tachyon_rpc_memory(const tachyon_rpc_bus_t *rpc, int sending,
                                     size_t *mapped) TACHYON_NOEXCEPT;

/** Counters of one end since it was opened. */
typedef struct {
    uint64_t calls;       /**< requests sent (caller) or taken (callee) */
    uint64_t replies;     /**< replies delivered (caller) or sent (callee) */
    uint64_t dropped;     /**< caller: replies to calls that were not outstanding */
    uint64_t kept;        /**< caller: replies copied because another was awaited */
    uint64_t outstanding; /**< calls without a delivered (sent) reply */
} tachyon_rpc_stats_t;

/** SUCCESS or NULL_PTR. */
TACHYON_ABI tachyon_error_t tachyon_rpc_get_stats(
    const tachyon_rpc_bus_t *rpc, tachyon_rpc_stats_t *out) TACHYON_NOEXCEPT;

/**
 * Send a request (copied) without waiting.
 *
 * @param payload  May be NULL when size is 0.
 * @param out_cid  Its correlation id; must not be NULL.
 * @return SUCCESS; FULL; NULL_PTR; INVALID_SZ; BUSY; CLOSED, ABORTED, PEER_DEAD,
 *         CORRUPT, FORKED; MEM.
 */
TACHYON_ABI tachyon_error_t tachyon_rpc_call(tachyon_rpc_bus_t *rpc,
                                             const void *payload, size_t size,
                                             uint32_t msg_type,
                                             uint64_t *out_cid) TACHYON_NOEXCEPT;

/** tachyon_rpc_call() that waits for room: TIMEOUT, INTERRUPTED. */
TACHYON_ABI tachyon_error_t tachyon_rpc_call_timed(tachyon_rpc_bus_t *rpc,
                                                   const void *payload, size_t size,
                                                   uint32_t msg_type, uint64_t *out_cid,
                                                   uint32_t spin_threshold,
                                                   int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Reserve room for a request; as tachyon_acquire_tx(). */
TACHYON_ABI void *tachyon_rpc_acquire_tx(tachyon_rpc_bus_t *rpc,
                                         size_t max_payload_size) TACHYON_NOEXCEPT;

/** As tachyon_acquire_tx_timed(). */
TACHYON_ABI void *tachyon_rpc_acquire_tx_timed(tachyon_rpc_bus_t *rpc,
                                               size_t max_payload_size,
                                               uint32_t spin_threshold,
                                               int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Send the reserved request. SUCCESS; NULL_PTR; EMPTY; INVALID_SZ; MEM. */
TACHYON_ABI tachyon_error_t tachyon_rpc_commit_call(tachyon_rpc_bus_t *rpc,
                                                    size_t actual_size,
                                                    uint32_t msg_type,
                                                    uint64_t *out_cid) TACHYON_NOEXCEPT;

/** Give the reserved request back; it takes no correlation id. */
TACHYON_ABI void tachyon_rpc_rollback_call(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/**
 * Wait for the reply to one call, for ever.
 *
 * @param correlation_id  Of an outstanding call; 0 is refused.
 * @return The reply, read-only, owned by the bus and valid until
 *         tachyon_rpc_commit_rx(), or NULL: INVALID_SZ (no such call is outstanding),
 *         BUSY (the last reply is still held), INTERRUPTED, and the errors of a bus.
 */
TACHYON_ABI const void *tachyon_rpc_wait(tachyon_rpc_bus_t *rpc,
                                         uint64_t correlation_id, size_t *actual_size,
                                         uint32_t *msg_type,
                                         uint32_t spin_threshold) TACHYON_NOEXCEPT;

/** tachyon_rpc_wait() with a time-out: TIMEOUT (EMPTY when it is 0). The call stays
 * outstanding: wait again or cancel it. */
TACHYON_ABI const void *tachyon_rpc_wait_timed(tachyon_rpc_bus_t *rpc,
                                               uint64_t correlation_id,
                                               size_t *actual_size, uint32_t *msg_type,
                                               uint32_t spin_threshold,
                                               int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Wait for a reply to any outstanding call. Of those that were taken off the ring while
 * another was awaited, that to the oldest call comes first. Release it with
 * tachyon_rpc_commit_rx().
 *
 * @param out_cid  Set to its correlation id; must not be NULL.
 * @return As tachyon_rpc_wait_timed(); INVALID_SZ when no call is outstanding. When
 *         there was no memory to keep a reply (MEM), that call has ended and *out_cid
 *         tells which it was.
 */
TACHYON_ABI const void *tachyon_rpc_wait_any(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                                             size_t *actual_size, uint32_t *msg_type,
                                             uint32_t spin_threshold,
                                             int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Release the reply that is held; its call is no longer outstanding. */
TACHYON_ABI tachyon_error_t tachyon_rpc_commit_rx(tachyon_rpc_bus_t *rpc)
    TACHYON_NOEXCEPT;

/** Give a call up; its reply will be dropped. SUCCESS, NULL_PTR, INVALID_SZ, BUSY. */
TACHYON_ABI tachyon_error_t
tachyon_rpc_cancel(tachyon_rpc_bus_t *rpc, uint64_t correlation_id) TACHYON_NOEXCEPT;

/**
 * Wait for the next request, for ever. Without tachyon_rpc_commit_serve() the same one
 * comes again.
 *
 * @param out_cid  Set to its correlation id; must not be NULL. With a single caller it is
 *                 the caller's own. With many it is this end's: no two requests of a
 *                 handle have the same, whoever made them, and it says nothing about them.
 * @return The request, read-only, owned by the bus and valid until
 *         tachyon_rpc_commit_serve(), or NULL as tachyon_acquire_rx_blocking().
 */
TACHYON_ABI const void *tachyon_rpc_serve(tachyon_rpc_bus_t *rpc, uint64_t *out_cid,
                                          uint32_t *msg_type, size_t *actual_size,
                                          uint32_t spin_threshold) TACHYON_NOEXCEPT;

/** tachyon_rpc_serve() with a time-out: TIMEOUT (EMPTY when it is 0). */
TACHYON_ABI const void *tachyon_rpc_serve_timed(tachyon_rpc_bus_t *rpc,
                                                uint64_t *out_cid, uint32_t *msg_type,
                                                size_t *actual_size,
                                                uint32_t spin_threshold,
                                                int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Release the request; it may be answered before or after. */
TACHYON_ABI tachyon_error_t tachyon_rpc_commit_serve(tachyon_rpc_bus_t *rpc)
    TACHYON_NOEXCEPT;

/**
 * Answer a request (copied) without waiting.
 *
 * With many callers it goes to the one whose request that was. FULL (of the call that
 * waits: TIMEOUT) says that this caller does not take its replies; the others have rings of
 * their own. Who cannot wait for such a one lets it go: tachyon_rpc_drop_peer(). CLOSED,
 * ABORTED, PEER_DEAD and CORRUPT say how the caller of this request has left, and
 * PEER_DEAD, however it was, once a later caller in its place has left too. The request is
 * done with, and the handle remains usable, as tachyon_rpc_get_state() tells.
 *
 * @param correlation_id  Of a request taken and not yet answered; 0 is refused.
 * @return SUCCESS; FULL; NULL_PTR; INVALID_SZ (no such request, or too large); BUSY;
 *         CLOSED, ABORTED, PEER_DEAD, CORRUPT, FORKED.
 */
TACHYON_ABI tachyon_error_t tachyon_rpc_reply(tachyon_rpc_bus_t *rpc,
                                              uint64_t correlation_id,
                                              const void *payload, size_t size,
                                              uint32_t msg_type) TACHYON_NOEXCEPT;

/** tachyon_rpc_reply() that waits for room: TIMEOUT, INTERRUPTED. */
TACHYON_ABI tachyon_error_t tachyon_rpc_reply_timed(
    tachyon_rpc_bus_t *rpc, uint64_t correlation_id, const void *payload, size_t size,
    uint32_t msg_type, uint32_t spin_threshold, int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Reserve room for a reply; as tachyon_acquire_tx(). With many callers that is memory
 * which none of them can write, copied when it is sent; there must be room for the one
 * whose request was taken last. MEM: there is no memory. */
TACHYON_ABI void *
tachyon_rpc_acquire_reply_tx(tachyon_rpc_bus_t *rpc,
                             size_t max_payload_size) TACHYON_NOEXCEPT;

/** As tachyon_acquire_tx_timed(). */
TACHYON_ABI void *
tachyon_rpc_acquire_reply_tx_timed(tachyon_rpc_bus_t *rpc, size_t max_payload_size,
                                   uint32_t spin_threshold,
                                   int64_t timeout_ns) TACHYON_NOEXCEPT;

/** Send the reserved reply. SUCCESS; NULL_PTR; EMPTY; INVALID_SZ keeps it reserved. So do,
 * with many callers, FULL (it is for another than it was reserved for) and the errors that
 * say how the caller of this request has left, as of tachyon_rpc_reply(): what is reserved
 * can still be sent to another. */
TACHYON_ABI tachyon_error_t
tachyon_rpc_commit_reply(tachyon_rpc_bus_t *rpc, uint64_t correlation_id,
                         size_t actual_size, uint32_t msg_type) TACHYON_NOEXCEPT;

/** Give the reserved reply back. */
TACHYON_ABI void tachyon_rpc_rollback_reply(tachyon_rpc_bus_t *rpc) TACHYON_NOEXCEPT;

/* ---- Opening without waiting ------------------------------------------------ */

/**
 * A listen or connect in progress, for event loops: start it, step it until it has an
 * outcome, take the connection, release it. It can be given up at any time.
 *
 *     error = tachyon_bus_listen_start(path, capacity, NULL, &opening);
 *     while ((error = tachyon_opening_step(opening, 0)) == TACHYON_ERR_EMPTY)
 *         ... wait until tachyon_opening_fileno(opening) is readable ...
 *     if (error == TACHYON_SUCCESS)
 *         error = tachyon_opening_finish_bus(opening, &bus);
 *     tachyon_opening_cancel(opening);
 *
 * Threads: one at a time. fork: in a child every call fails with FORKED, and cancelling
 * is harmless and recommended.
 */
typedef struct tachyon_opening tachyon_opening_t;

/**
 * Begin what tachyon_bus_listen_with() does: check the arguments, create the ring, bind.
 * From then on clients can connect. Arguments and errors are those of that call, and
 * options->timeout_ns is for the whole of it; path, options and user ids are copied.
 *
 * @param out  The opening, or NULL on failure. Release it with tachyon_opening_cancel().
 *
 * Threads: any.  Blocks: never.  System calls: yes.
 */
TACHYON_ABI tachyon_error_t tachyon_bus_listen_start(
    const char *socket_path, size_t capacity, const tachyon_options_t *options,
    tachyon_opening_t **out) TACHYON_NOEXCEPT;

/** Begin what tachyon_bus_connect_with() does; for the rest as the above. */
TACHYON_ABI tachyon_error_t
tachyon_bus_connect_start(const char *socket_path, const tachyon_options_t *options,
                          tachyon_opening_t **out) TACHYON_NOEXCEPT;

/** Begin what tachyon_rpc_listen_with() does. */
TACHYON_ABI tachyon_error_t tachyon_rpc_listen_start(
    const char *socket_path, size_t cap_fwd, size_t cap_rev,
    const tachyon_options_t *options, tachyon_opening_t **out) TACHYON_NOEXCEPT;

/** Begin what tachyon_rpc_connect_with() does. */
TACHYON_ABI tachyon_error_t
tachyon_rpc_connect_start(const char *socket_path, const tachyon_options_t *options,
                          tachyon_opening_t **out) TACHYON_NOEXCEPT;

/**
 * A descriptor for poll, epoll, select and event loops: readable when a step has
 * something to do, because a client or an answer has come or because it is time (no
 * timer of the caller's is needed, options->timeout_ns included), while
 * options->interrupt_fd is, and from the outcome on. Level-triggered; it may be readable
 * once too often, never too seldom.
 *
 * @return The descriptor, the same each time, owned by the opening: do not read, write
 *         or close it. It lives until tachyon_opening_cancel(), not across fork or exec.
 *         -1: NULL_PTR, FORKED, SYSTEM (no descriptor to be had).
 *
 * Blocks: never.  System calls: yes; from then on also some more in each step.
 */
TACHYON_ABI int tachyon_opening_fileno(tachyon_opening_t *opening) TACHYON_NOEXCEPT;

/**
 * Go on with an opening.
 *
 * @param timeout_ns  Longest wait; negative for ever, 0 not at all. It ends this step
 *                    only, with EMPTY.
 * @return SUCCESS: the connection stands. A listener's path is free again.
 *         EMPTY: not yet, step again.
 *         INTERRUPTED: by a signal, or the options' interrupted() or interrupt_fd, while
 *         it waited (not with 0, but by interrupt_fd with 0 too once there is a
 *         descriptor to wait on). Nothing is lost: step again, or cancel.
 *         Anything else is the outcome, as of the call that waits, TIMEOUT included;
 *         nothing but the memory is left of it then.
 *         Further steps say the outcome again.
 *
 * Blocks: up to timeout_ns.  System calls: yes.
 */
TACHYON_ABI tachyon_error_t tachyon_opening_step(tachyon_opening_t *opening,
                                                 int64_t timeout_ns) TACHYON_NOEXCEPT;

/**
 * Take the bus that the opening has become. The opening remains to be released.
 *
 * @param out  The handle, as tachyon_bus_listen() gives it, or NULL on failure.
 * @return SUCCESS; NULL_PTR; EMPTY (no outcome yet, or taken already); INVALID_SZ (it
 *         is of an RPC bus); or the outcome, when that is a failure.
 */
TACHYON_ABI tachyon_error_t tachyon_opening_finish_bus(
    tachyon_opening_t *opening, tachyon_bus_t **out) TACHYON_NOEXCEPT;

/** The same for an RPC bus. */
TACHYON_ABI tachyon_error_t tachyon_opening_finish_rpc(
    tachyon_opening_t *opening, tachyon_rpc_bus_t **out) TACHYON_NOEXCEPT;

/**
 * Release an opening, whatever has become of it; NULL is ignored. One in progress is
 * given up: its path, sockets and memory go, and clients in the handshake are turned
 * away. A connection that nobody has taken, or that the peer has just made, is closed in
 * order.
 */
TACHYON_ABI void tachyon_opening_cancel(tachyon_opening_t *opening) TACHYON_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tachyon for every language that SWIG knows. Nothing here is about one of them: what a
 * language wants otherwise (its own types for bytes, its own exceptions, its names) is in
 * bindings/<language>/<language>.i, which sets it and then includes this file: a typemap
 * or feature has to stand before the declaration it applies to.
 *
 * What a language's file may define:
 *   TACHYON_OWN_BYTES      it has typemaps for Bytes and (const void *data, size_t size)
 *   TACHYON_OWN_MEMORY     it has typemaps for Memory and (void *into, size_t room):
 *                          views of the ring, receiving into a buffer
 *   TACHYON_ALL_ARGUMENTS  it has no arguments that may be left out
 *   TACHYON_TEXT_HAS_NUL   whether there is a NUL within the text that is the argument
 *                          behind the object: SWIG's strings end there
 *   TACHYON_RAISE(bus)     how the error in `bus` becomes the language's
 *   TACHYON_ERROR(bus)     where that error is, if not there: other threads may be at it
 *
 * Times are in seconds: negative waits for ever, 0 does not wait. An error raises the
 * language's exception with the text of the core; `error` of the bus has its number.
 */
%module tachyon

%{
#include "facade.h"
%}

%include <stdint.i>
typedef int64_t Result; /* 0 or more; less is an error, and raises */

/* ---- Payloads: SWIG's binary strings, unless the language has something better ---- */

#ifndef TACHYON_OWN_BYTES
%import <cdata.i> /* its typemaps: including it would offer its memmove() too */
%apply SWIGCDATA { Bytes };
%apply (const void *BYTES, size_t LENGTH) {
    (const void *data, size_t size), (const void *items, size_t size)
};
#endif
#ifndef TACHYON_OWN_MEMORY
%ignore Bus::recv_into; %ignore Bus::recv_batch_into;
%ignore Bus::ring_memory; %ignore Bus::view_memory;
%ignore RpcBus::copy_held;
#endif
%newobject Bus::recv; %newobject RpcBus::wait_for; %newobject RpcBus::serve;

#ifdef TACHYON_ALL_ARGUMENTS
#define OR(value)
#else
#define OR(value) = value
#endif

/* ---- Errors ---- */

#ifndef TACHYON_RAISE
%include <exception.i>
%{
static int raised_as(int error) { /* SWIG's exceptions, for want of better */
    switch (tachyon_error_kind((tachyon_error_t)error)) {
    case TACHYON_KIND_ARGUMENT: return SWIG_ValueError;
    case TACHYON_KIND_MEMORY: return SWIG_MemoryError;
    case TACHYON_KIND_SYSTEM: case TACHYON_KIND_CONNECTION: return SWIG_IOError;
    default: return SWIG_RuntimeError;
    }
}
%}
#define TACHYON_RAISE(bus) SWIG_exception(raised_as(bus->error), bus->text)
#endif
#ifndef TACHYON_ERROR
#define TACHYON_ERROR(bus) bus->error
#endif
%typemap(newfree) Bytes { /* after the copy is made, which may have come too late */
    bytes_taken(arg1);
    if (TACHYON_ERROR(arg1)) { TACHYON_RAISE(arg1); }
}

/* ---- Constants, texts, and structs to look at: tachyon.h itself ---- */

%rename("%(strip:[TACHYON_])s", %$isenumitem) "";
%rename("$ignore", regextarget=1, %$isfunction) "^tachyon_";
%rename(version) tachyon_version; %rename(strerror) tachyon_strerror;
%rename(error_name) tachyon_error_name; %rename(error_kind) tachyon_error_kind;
%rename(Stats) tachyon_stats_t; %rename(RpcStats) tachyon_rpc_stats_t;
%rename(Peer) tachyon_peer_t; %rename(Event) tachyon_event_t;
%rename(PeerInfo) tachyon_peer_info_t;
%ignore tachyon_options; %ignore tachyon_options_t; %ignore tachyon_msg_view_t;
%ignore who; /* see %extend: no object is a part of another */
%apply const char * { char name[32] };
%ignore tachyon_bus; %ignore tachyon_rpc_bus; %ignore tachyon_opening;
%immutable;
%include "tachyon.h"
%define TACHYON_FLAT(type)
%{
#define type##_pid_get(self) (self)->who.pid
#define type##_uid_get(self) (self)->who.uid
#define type##_gid_get(self) (self)->who.gid
%}
%extend type { const int32_t pid; const uint32_t uid; const uint32_t gid; }
%enddef
TACHYON_FLAT(tachyon_event_t)
TACHYON_FLAT(tachyon_peer_info_t)
%mutable;

%nodefaultctor; %nodefaultdtor;

/* ---- How to open ---- */

#ifdef TACHYON_TEXT_HAS_NUL
%typemap(check) const char *name {
    if (TACHYON_TEXT_HAS_NUL) { TACHYON_RAISE(options_nul_in_name()); }
}
%typemap(check) const char *types {
    if (TACHYON_TEXT_HAS_NUL) { TACHYON_RAISE(options_nul_in_types()); }
}
#endif
typedef struct {
    double timeout;  /* of listening or connecting, in seconds; less than 0: for ever */
    unsigned mode;   /* permission bits of the socket; 0: 0600 */
    int role;        /* ROLE_*; 0: the first send or receive decides */
    uint64_t schema; /* fingerprint of the message types; 0: not compared */
    /* One listener, many peers. */
    uint32_t max_peers;      /* listen: with a role; 0: a single peer, ever */
    int slow_peer;           /* listen as producer: SLOW_* ... */
    double slow_after;       /* ... and after how many seconds it is let go */
    int without_peers;       /* likewise: WITHOUT_PEERS_* */
    double keep_place;       /* likewise: seconds that the place of a dead name is kept */
    int start;               /* connect: START_*; but NOW makes a consumer of it */
    uint64_t start_position; /* of START_POSITION: what position() said ... */
    uint64_t start_epoch;    /* ... and `epoch` */
    int types_required;      /* 1: a peer that does not say its types is refused */
} Options;
%extend Options {
    Options();
    ~Options();
    /* Let a user connect who is not ourselves; 4294967295: anyone. */
    void allow_uid(uint32_t uid);
    /* The name of who connects, of at most 31 bytes. */
    void set_name(const char *name);
    /* The message types, as the generated files describe them; it sets schema. */
    void set_types(const char *types);
}

/* ---- Who is connected ---- */

%newobject Bus::peers; %newobject RpcBus::peers;
typedef struct { %immutable; uint32_t count; %mutable; } Peers;
%extend Peers {
    ~Peers();
    tachyon_peer_info_t at(uint32_t index); /* from 0 to count - 1 */
}

/* ---- What both kinds of bus have ---- */

%typemap(check) Bus *self, RpcBus *self "if (!$1) $1 = bus_none();" /* deleted: CLOSED */
%exception {
    TACHYON_ERROR(arg1) = 0;
    $action
    if (TACHYON_ERROR(arg1)) { TACHYON_RAISE(arg1); }
}

#ifdef TACHYON_TEXT_HAS_NUL
%typemap(check) const char *path {
    if (TACHYON_TEXT_HAS_NUL) { bus_refuse_path(arg1); TACHYON_RAISE(arg1); }
}
#endif

%define TACHYON_QUIET(kind) /* from any thread, or of the last call: error stays */
%noexception kind(); %noexception ~kind();
%noexception kind::close; %noexception kind::abort; %noexception kind::state;
%noexception kind::interrupt; %noexception kind::clear_interrupt;
%noexception kind::error_text;
%enddef
TACHYON_QUIET(Bus)
TACHYON_QUIET(RpcBus)
%noexception error; %noexception spin; %noexception type_id; %noexception size;
%noexception count; %noexception stride; %noexception id; %noexception epoch;

%define TACHYON_BOTH(kind)
    kind();
    ~kind();
    Result connect(const char *path, Options *options OR(NULL));
    /* Without waiting: start, then step when fileno() is readable, until that gives 1. */
    Result connect_start(const char *path, Options *options OR(NULL));
    Result open_step();
    /* End the stream, and every call that waits; from any thread, once or more. */
    void close();
    /* The same, but the peer is told that the stream was cut off. */
    void abort();
    /* End the call that waits, or the next that would, with ERR_INTERRUPTED. */
    void interrupt();
    void clear_interrupt();
    int state();
    const char *error_text();
    Result fileno();
    Result max_payload();
    void set_polling_mode(int pure_spin);
    tachyon_peer_t peer();
    /* Of one listener with many peers: who has come or gone, and who is there. */
    tachyon_event_t accept(double timeout OR(-1));
    Peers *peers();
    Result drop_peer(uint32_t peer);
    Result sender(); /* number of the peer whose message was received last */
%enddef

/* ---- Messages ---- */

typedef struct {
    %immutable;
    int error;        /* of the last call: ERR_*, 0 */
    uint32_t type_id; /* of the last message received */
    size_t size;      /* of the last message acquired, or too long for recv_into() */
    uint32_t count;   /* messages that reserve_batch() or take() gave, send_batch() sent */
    size_t stride;    /* bytes from one of reserve_batch() to the next */
    uint64_t epoch;   /* of the last position() */
    %mutable;
    uint32_t spin; /* looks before going to sleep */
} Bus;
%extend Bus {
    TACHYON_BOTH(Bus)
    Result listen(const char *path, size_t capacity, Options *options OR(NULL));
    Result listen_start(const char *path, size_t capacity, Options *options OR(NULL));
    Result set_numa_node(int node_id);
    tachyon_stats_t stats();
    Result position(); /* in a broadcast; `epoch` tells of which listener */

    /* One message, copied, and flushed. */
    Result send(const void *data, size_t size, uint32_t type_id OR(0),
                double timeout OR(-1));
    Bytes recv(double timeout OR(-1));
    Result recv_into(void *into, size_t room, double timeout OR(-1));
    /* Items of one size and type, copied; how many went, as `count` says after a signal. */
    Result send_batch(const void *items, size_t size, size_t item_size,
                      uint32_t type_id OR(0), double timeout OR(-1));
    Bytes recv_batch(size_t item_size, size_t max_count OR(1024),
                     double timeout OR(-1));
    Result recv_batch_into(void *into, size_t room, size_t item_size,
                           double timeout OR(-1));

    /* In place: offsets in ring_memory(); take() fills view_memory() in. */
    Memory ring_memory();
    Memory view_memory();
    Result reserve(size_t size, double timeout OR(-1));
    Result commit(size_t size, uint32_t type_id OR(0));
    Result reserve_batch(size_t item_size, size_t max_count, double timeout OR(-1));
    Result commit_batch(size_t count, uint32_t type_id OR(0));
    Result rollback();
    Result flush();
    Result acquire(double timeout OR(-1));
    Result take(uint32_t max_count OR(0), double timeout OR(-1));
    Result take_next(double timeout OR(-1)); /* what is held stays so */
    Result release(uint32_t count OR(0));
}

/* ---- Calls and replies ---- */

typedef struct {
    %immutable;
    int error;
    uint32_t type_id;
    size_t size;
    uint64_t id; /* of the last request or reply received */
    %mutable;
    uint32_t spin;
} RpcBus;
%extend RpcBus {
    TACHYON_BOTH(RpcBus)
    Result listen(const char *path, size_t forward, size_t back,
                  Options *options OR(NULL));
    Result listen_start(const char *path, size_t forward, size_t back,
                        Options *options OR(NULL));
    tachyon_rpc_stats_t stats();

    /* A request; its correlation id. */
    Result call(const void *data, size_t size, uint32_t type_id OR(0),
                double timeout OR(-1));
    /* The reply to one call, 0: to any; `id` tells which. */
    Bytes wait_for(uint64_t id OR(0), double timeout OR(-1));
    Bytes serve(double timeout OR(-1));
    /* The same in two steps: the size, then the copy. */
    Result next_reply(uint64_t id OR(0), double timeout OR(-1));
    Result next_request(double timeout OR(-1));
    Result copy_held(void *into, size_t room);
    Result reply(uint64_t id, const void *data, size_t size, uint32_t type_id OR(0),
                 double timeout OR(-1));
    Result cancel(uint64_t id);
    void watch_messages(int watch);
}
%exception; /* else it lands in the constructors that SWIG adds for Stats and Peer */

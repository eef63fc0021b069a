/* SPDX-License-Identifier: Apache-2.0 */
/* Java: NativeBus and NativeRpcBus are generated; TachyonBus and TachyonRpcBus extend
   them. Payloads go by address, so that a call has no array to copy or to pin, and
   exceptions are thrown in Java, from the Result. */
%module(jniclassname="Native") Tachyon
#define TACHYON_OWN_BYTES
#define TACHYON_OWN_MEMORY
#define TACHYON_ALL_ARGUMENTS
#define TACHYON_RAISE(bus)
%rename("%(lowercamelcase)s", %$ismember) "";
%rename("%(lowercamelcase)s", %$isfunction) "";
%rename(NativeBus) Bus;
%rename(NativeRpcBus) RpcBus;
%rename(wake) interrupt; /* which Endpoint has */
%javamethodmodifiers tachyon_error_name "";
%javamethodmodifiers tachyon_error_kind "";
%javamethodmodifiers address "";
%javamethodmodifiers attempt "";
%javamethodmodifiers attempt_address "";
%javamethodmodifiers unref "";
%javamethodmodifiers error_here "";
%rename(ErrorCode) tachyon_error_t;
%rename(ErrorKind) tachyon_error_kind_t;
%rename(TachyonState) tachyon_state_t;
%rename(Role) tachyon_role_t;
%rename(SlowPeer) tachyon_slow_peer_t;
%rename(WithoutPeers) tachyon_without_peers_t;
%rename(Start) tachyon_start_t;
%rename(EventKind) tachyon_event_kind_t;
%rename(listenAt) listen;
%rename(connectTo) connect;
%rename("$ignore", regextarget=1) "^(recv(_batch)?|wait_for|serve|.*_start|open_step)$";
%rename("$ignore", regextarget=1) "^(acquire|commit|release|fileno|watch_.*)$";
%include "enums.swg"
%include <typemaps/swigmacros.swg>
%pragma(java) jniclasscode="static { Library.load(); }"
%wrapper %{
JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *reserved) {
    host.interruptible = 1;
    find_avx();
    return JNI_VERSION_1_8;
}
%}

/* Numbers: Java has no unsigned ones, and takes the same bits. */
%include <stdint.i>
%apply int { uint32_t, unsigned int };
%apply long long { uint64_t };
%typemap(in) size_t {
    if ($input < 0) {
        SWIG_JavaThrowException(jenv, SWIG_JavaIllegalArgumentException,
                                "$1_name is negative");
        return $null;
    }
    $1 = (size_t)$input;
}
%typemap(jni) void *, const void * "jlong"
%typemap(jtype) void *, const void * "long"
%typemap(jstype) void *, const void * "long"
%typemap(javain) void *, const void * "$javainput"
%typemap(in) void *, const void * "$1 = ($1_ltype)(intptr_t)$input;"
%typemap(jni) void *buffer "jobject"
%typemap(jtype) void *buffer "java.nio.ByteBuffer"
%typemap(jstype) void *buffer "java.nio.ByteBuffer"
%typemap(in) void *buffer { $1 = JCALL1(GetDirectBufferAddress, jenv, $input); }

/* Text: UTF-8, which is not what JNI's strings are. */
%typemap(jni) const char * "jbyteArray"
%typemap(jtype) const char * "byte[]"
%typemap(javain) const char * "Endpoint.text($javainput, \"$javainput\")"
%typemap(in) const char * {
    $1 = (char *)JCALL2(GetByteArrayElements, jenv, $input, NULL);
    if (!$1) return $null;
}
%typemap(freearg) const char * {
    JCALL3(ReleaseByteArrayElements, jenv, $input, (jbyte *)$1, JNI_ABORT);
}
%typemap(argout) const char * ""
%typemap(out) const char * {
    jsize length = (jsize)strlen($1);
    if (($result = JCALL1(NewByteArray, jenv, length)))
        JCALL4(SetByteArrayRegion, jenv, $result, 0, length, (const jbyte *)$1);
}
%typemap(javaout) const char * {
    return new String($jnicall, java.nio.charset.StandardCharsets.UTF_8);
}

/* Memory keeps its bus mapped until the collector finds that no buffer looks at it. */
%typemap(jni) Memory "jobject"
%typemap(jtype) Memory "java.nio.ByteBuffer"
%typemap(jstype) Memory "java.nio.ByteBuffer"
%typemap(javaout) Memory { return share($jnicall, swigCPtr); }
%typemap(out) Memory {
    jlong length = $1.len < INT32_MAX ? (jlong)$1.len : INT32_MAX;
    $result = $1.data ? JCALL2(NewDirectByteBuffer, jenv, $1.data, length) : NULL;
    if ($1.data && !$result) bus_unref(arg1);
}
%typemap(javaout) Memory last_type { /* the object's own, and never handed out */
    java.nio.ByteBuffer memory = $jnicall;
    Tachyon.unref(swigCPtr);
    return memory.order(java.nio.ByteOrder.nativeOrder());
}
%ignore Bus::ring_memory;

/* Objects: the cleaner frees them, on a thread of its own, and nothing else does. */
%typemap(javabody) SWIGTYPE %{
    final long swigCPtr;
    private final java.lang.ref.Cleaner.Cleanable owned;

    $javaclassname(long cPtr, boolean cMemoryOwn) {
        swigCPtr = cPtr;
        owned = Library.CLEANER.register(this,
                () -> Native.delete_$javaclassname(cPtr));
    }

    final void free() {
        owned.clean();
    }

    static long getCPtr($javaclassname object) {
        return object == null ? 0 : object.swigCPtr;
    }
%}
%typemap(javadestruct, methodname="delete", methodmodifiers="private") SWIGTYPE ""
%typemap(javafinalize) SWIGTYPE ""
%typemap(javaclassmodifiers) Bus, RpcBus "abstract class"
%typemap(javabase) Bus, RpcBus "Endpoint"

/* What the classes of 0.5.1 have, and what is not for their users. */
%typemap(jstype) int state "TachyonState"
%typemap(javaout) int state { return TachyonState.swigToEnum($jnicall); }
%rename(getState) state;
%define ENUM(field, type)
%typemap(jstype) int field "type"
%typemap(javain) int field "$javainput.swigValue()"
%typemap(javaout) int field { return type.swigToEnum($jnicall); }
%enddef
ENUM(role, Role) ENUM(slow_peer, SlowPeer) ENUM(without_peers, WithoutPeers)
ENUM(start, Start)
%typemap(jstype) uint32_t kind "EventKind"
%typemap(javaout) uint32_t kind { /* null: there was none, and accept() throws */
    int kind = $jnicall;
    return kind == 0 ? null : EventKind.swigToEnum(kind);
}
%typemap(jstype) int types_required "boolean"
%typemap(javain) int types_required "$javainput ? 1 : 0"
%typemap(javaout) int types_required { return $jnicall != 0; }
%typemap(javaout) tachyon_peer_t, tachyon_stats_t, tachyon_rpc_stats_t {
    $javaclassname answer = new $javaclassname($jnicall, true);
    maxPayload(); /* throws when closed; the error is of whoever receives meanwhile */
    return answer;
}
%typemap(javaout) tachyon_event_t accept {
    Event[] event = {null};
    await(timeout, t -> {
        event[0] = new Event($jnicall, true);
        return -event[0].getReason().swigValue() * (event[0].getKind() == null ? 1 : 0);
    });
    return event[0];
}
%typemap(javaout) Peers * {
    long peers = $jnicall;
    if (peers == 0) throw TachyonException.of(Tachyon.errorHere(), errorText());
    return new Peers(peers, true);
}
%typemap(javaout) void set_polling_mode { $jnicall; maxPayload(); }
%typemap(javaout) Result { return check($jnicall); }
%define VOID(method)
%typemap(jstype) Result method "void"
%typemap(javaout) Result method { check($jnicall); }
%enddef
%formacro(VOID, Bus::flush, Bus::set_numa_node, RpcBus::cancel)
%formacro(VOID, Bus::drop_peer, RpcBus::drop_peer)
%typemap(jstype) Result sender "int"
%typemap(javaout) Result sender { return (int) check($jnicall); }
%typemap(javabase) Peers "java.util.AbstractList<PeerInfo>"
%typemap(javacode) Peers %{
    @Override
    public int size() {
        return getCount();
    }

    @Override
    public PeerInfo get(int index) {
        return at(java.util.Objects.checkIndex(index, getCount()));
    }
%}
%define ABOUT(method, text)
%javamethodmodifiers method "/** " text " */
  public";
%enddef
%define ABOUT_BOTH(method, text)
ABOUT(Bus::method, text) ABOUT(RpcBus::method, text)
%enddef
ABOUT_BOTH(accept, "Lets peers in and out and waits until one has come or gone, in any thread.")
ABOUT_BOTH(peers, "Who is connected, in no order; for any thread.")
ABOUT_BOTH(drop_peer, "Disconnects a peer; the event that it has left follows.")
ABOUT_BOTH(sender, "Number of the peer whose message was received last; 0: none.")
ABOUT(Bus::position, "Where this end of a broadcast stands; getEpoch() tells of which listener.")
ABOUT(epoch, "Of the last position().")
ABOUT(max_peers, "Listening, with a role: at most so many peers; 0: a single one.")
ABOUT(slow_peer, "As producer of many: whether to wait for one that is slow ...")
ABOUT(slow_after, "... or to let it go, and after how long.")
ABOUT(without_peers, "As producer of many: what to do while there is none.")
ABOUT(keep_place, "As producer of many: how long to keep the place of a dead name.")
ABOUT(start, "Connecting to a broadcast: where to begin.")
ABOUT(start_position, "Of START_POSITION: what position() said ...")
ABOUT(start_epoch, "... and getEpoch().")
ABOUT(Options::set_name, "The name of who connects, of at most 31 bytes.")
%define HIDDEN(method)
%javamethodmodifiers method "";
%enddef
%formacro(HIDDEN, Bus::error, Bus::size, Bus::spin, Bus::type_id, Bus::clear_interrupt)
%formacro(HIDDEN, Bus::interrupt, RpcBus::interrupt)
%formacro(HIDDEN, Bus::error_text, Bus::view_memory, Bus::ring_from, Bus::last_type)
%formacro(HIDDEN, Bus::rollback, Bus::listen, Bus::connect)
%formacro(HIDDEN, Bus::commit_batch, Bus::count, Bus::stride)
%formacro(HIDDEN, RpcBus::error, RpcBus::size, RpcBus::spin, RpcBus::id)
%formacro(HIDDEN, RpcBus::type_id, RpcBus::clear_interrupt, RpcBus::error_text)
%formacro(HIDDEN, RpcBus::copy_held, RpcBus::listen, RpcBus::connect)

/* Time is a Duration, and Endpoint waits as Java does. */
%typemap(jstype) double "java.time.Duration"
%typemap(javain) double "t"
%define DURATION(field)
%typemap(javaout) void field { double t = Endpoint.seconds(value); $jnicall; }
%typemap(javaout) double Options::field { return Endpoint.duration($jnicall); }
%enddef
%formacro(DURATION, timeout, slow_after, keep_place)
%typemap(javaout) Result listen, Result connect { return $jnicall; }
%define WAITS(method)
%typemap(javaout) Result method { return await(timeout, t -> $jnicall); }
HIDDEN(method)
%enddef
%formacro(WAITS, Bus::recv_batch_into, RpcBus::call, RpcBus::reply, RpcBus::next_reply)
WAITS(RpcBus::next_request)
WAITS(Bus::reserve_batch)
HIDDEN(Bus::send_batch)
/* What runs once a message goes by attempt(), below. */
%define TRIED(method, what, a, b, c)
%typemap(javaout) Result method {
    long result = attempt(what, a, b, c);
    return result >= 0 ? result : sleepWhere(result, timeout, t -> $jnicall);
}
HIDDEN(method)
%enddef
TRIED(Bus::send, SEND, data, size, type_id)
TRIED(Bus::recv_into, RECV, into, room, 0)
TRIED(Bus::reserve, RESERVE, 0, size, 0)
TRIED(Bus::take, TAKE, 0, 0, max_count)
%typemap(javaout) Result Bus::flush { check(attempt(FLUSH, 0, 0, 0)); }
%typemap(javacode) Bus %{
    static final int SEND = 0, RECV = 1, RESERVE = 2, COMMIT = 3, COMMIT_FLUSH = 4,
            FLUSH = 5, TAKE = 6, RELEASE = 7; /* as in C */

    final long attempt(int what, long memory, long size, int number) {
        if (size < 0) throw new IllegalArgumentException("size is " + size);
        long result = Attempt.call(swigCPtr, what, memory, size, number);
        java.lang.ref.Reference.reachabilityFence(this);
        return result;
    }
%}
%typemap(javaout) Result Bus::send_batch {
    double t = Endpoint.seconds(timeout);
    return $jnicall;
}

%ignore Bus::take_next; /* a guard holds what one call gave */
%include "tachyon.i"

%extend Bus {
    Memory last_type() { /* a read of memory is ten times as fast as a call */
        Memory memory = {(char *)&$self->type_id, sizeof $self->type_id};
        bus_ref($self);
        return memory;
    }
    Memory ring_from(size_t offset) {
        Memory ring = Bus_ring_memory($self);
        if (ring.data) {
            ring.data += offset;
            ring.len -= offset;
        }
        return ring;
    }
}
%{
enum { SEND, RECV, RESERVE, COMMIT, COMMIT_FLUSH, FLUSH, TAKE, RELEASE }; /* as in Java */

/* A plain call leaves the upper halves of the vector registers as Java had them, and with
   these each instruction of SSE takes several times as long. */
#ifdef __x86_64__
#include <cpuid.h>
static int has_avx; /* __builtin_cpu_supports() needs libgcc, which zig does not have */
static void find_avx(void) {
    unsigned a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE) && (c & bit_AVX)) {
        __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        has_avx = (a & 6) == 6; /* the kernel keeps both halves */
    }
}
static void clean_registers(void) {
    if (has_avx)
        __asm__ volatile("vzeroupper");
}
#else
static void find_avx(void) {}
static void clean_registers(void) {}
#endif
%}
%inline %{
/* What does not wait, all by one function: Java 22 calls it without leaving the state in
   which a thread runs Java; coming back to that costs a fence. */
static int64_t attempt(int64_t object, int what, int64_t at, int64_t size, int number) {
    Bus *bus = (Bus *)(intptr_t)object;
    void *memory = (void *)(intptr_t)at;
    Result result = 0;
    clean_registers();
    switch (what) {
    case SEND: return Bus_send(bus, memory, (size_t)size, (uint32_t)number, 0);
    case RECV: return Bus_recv_into(bus, memory, (size_t)size, 0);
    case RESERVE: return Bus_reserve(bus, (size_t)size, 0);
    case TAKE: return Bus_take(bus, (uint32_t)number, 0);
    case RELEASE: return Bus_release(bus, (uint32_t)number);
    case COMMIT:
    case COMMIT_FLUSH: result = Bus_commit(bus, (size_t)size, (uint32_t)number);
    }
    return result < 0 || what == COMMIT ? result : Bus_flush(bus);
}
static int64_t attempt_address(void) { return (int64_t)(intptr_t)attempt; }
static int64_t address(void *buffer) { return (int64_t)(intptr_t)buffer; }
static void unref(int64_t bus) { bus_unref((Bus *)(intptr_t)bus); }
static int error_here(void) { return *bus_error_here(); }
%}

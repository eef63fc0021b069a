/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C# on the neutral interface: the P/Invokes of class Native, whose hot ones have only
 * blittable types, the enums, and Options, Stats, RpcStats, Peer, Event and
 * PeerInfo as they are public. Bus and RpcBus are in src/, over Native: with spans,
 * guards, tokens and tasks.
 */
%module(imclassname="Native") Tachyon
#define TACHYON_OWN_BYTES
#define TACHYON_OWN_MEMORY
#define TACHYON_ALL_ARGUMENTS
#define TACHYON_RAISE(bus) /* Connection.Check() raises, by the result */

%{
#include <dlfcn.h>
#include "facade.h"
static _Atomic int exiting; /* the runtime ends, and waits for the threads that wait */
static int is_exiting(void *context) { (void)context; return exiting; }
__attribute__((constructor)) static void set_host(void) {
    host.interruptible = 1;
    host.pending = is_exiting;
}
/* Whatever sends or receives is one call with one number, so that mono needs one way in. */
static long long Bus_perform(Bus *bus, int op, void *data, size_t size, size_t count,
                             uint32_t type_id, double timeout) {
    Result result = 0;
    switch (op) {
    case 0: return Bus_send(bus, data, size, type_id, timeout);
    case 1: return Bus_send_batch(bus, data, size, count, type_id, timeout);
    case 2: return Bus_recv_into(bus, data, size, timeout);
    case 3: return Bus_recv_batch_into(bus, data, size, count, timeout);
    case 4: return Bus_reserve(bus, size, timeout);
    case 5: return Bus_reserve_batch(bus, size, count, timeout);
    case 6: return Bus_acquire(bus, timeout);
    case 7: return Bus_take(bus, (uint32_t)count, timeout);
    case 8: return Bus_commit(bus, size, type_id);
    case 9: return Bus_commit_batch(bus, count, type_id);
    case 10: return Bus_rollback(bus);
    case 11: return Bus_release(bus, 0);
    case 12: result = Bus_commit(bus, size, type_id); /* fall through */
    default: return result < 0 ? result : Bus_flush(bus);
    }
}
/* mono's way into C that leaves the thread's state as it is, which costs it more than a
   message does. It may not wait. The name is one for all modules of a process, so the
   function that is meant comes as an argument. */
typedef long long Entry(Bus *, int, void *, size_t, size_t, uint32_t, double);
static long long without_waiting(Entry *entry, Bus *bus, int op, void *data, size_t size,
                                 size_t count, uint32_t type_id) {
    return entry(bus ? bus : bus_none(), op, data, size, count, type_id, 0);
}
%}
/* Nothing here calls C#, so SWIG's delegates for that are left out (by -D). */
%pragma(csharp) imclasscode=%{
  internal static class SWIGPendingException {
    internal static bool Pending => false;
    internal static global::System.Exception Retrieve() => null;
  }
%}
%pragma(csharp) imclassimports=%{using System.Security;%}
%pragma(csharp) imclassclassmodifiers=%{[SuppressUnmanagedCodeSecurity]
static unsafe class%}
%typemap(csimports) tachyon_error_t %{#pragma warning disable 162, 1591%} /* in all */

/* ---- Names ---- */

%rename("%(camelcase)s", %$isfunction) "";
%rename("%(camelcase)s", %$ismember) "";
%rename(RawBus) Bus; %rename(RawRpcBus) RpcBus;
%rename(TachyonError) tachyon_error_t; %rename(Kind) tachyon_error_kind_t;
%rename(TachyonState) tachyon_state_t; %rename(Role) tachyon_role_t;
%rename(SlowPeer) tachyon_slow_peer_t; %rename(WithoutPeers) tachyon_without_peers_t;
%rename(Start) tachyon_start_t; %rename(EventKind) tachyon_event_kind_t;
%define E(name, NAME) %rename(name) TACHYON_##NAME; %enddef
E(Success, SUCCESS) E(NullPtr, ERR_NULL_PTR) E(Mem, ERR_MEM) E(Open, ERR_OPEN)
E(Truncate, ERR_TRUNCATE) E(Chmod, ERR_CHMOD) E(Seal, ERR_SEAL) E(Map, ERR_MAP)
E(InvalidSz, ERR_INVALID_SZ) E(Full, ERR_FULL) E(Empty, ERR_EMPTY)
E(Network, ERR_NETWORK) E(System, ERR_SYSTEM) E(Interrupted, ERR_INTERRUPTED)
E(AbiMismatch, ERR_ABI_MISMATCH) E(PeerDead, ERR_PEER_DEAD) E(Closed, ERR_CLOSED)
E(Timeout, ERR_TIMEOUT) E(Busy, ERR_BUSY) E(Corrupt, ERR_CORRUPT)
E(AddrInUse, ERR_ADDR_IN_USE) E(Permission, ERR_PERMISSION) E(Forked, ERR_FORKED)
E(Aborted, ERR_ABORTED) E(Lagged, ERR_LAGGED)
E(Uninitialized, STATE_UNINITIALIZED) E(Initializing, STATE_INITIALIZING)
E(Ready, STATE_READY) E(Disconnected, STATE_DISCONNECTED)
E(FatalError, STATE_FATAL_ERROR) E(Unknown, STATE_UNKNOWN)
E(Block, SLOW_BLOCK) E(Disconnect, SLOW_DISCONNECT)
E(Wait, WITHOUT_PEERS_WAIT) E(FreeRun, WITHOUT_PEERS_FREE_RUN)
E(Now, START_NOW) E(Oldest, START_OLDEST) E(AtPosition, START_POSITION)
E(Joined, EVENT_JOINED) E(Left, EVENT_LEFT) E(Missed, EVENT_MISSED)
E(None, ROLE_NONE) E(Producer, ROLE_PRODUCER) E(Consumer, ROLE_CONSUMER)
%pragma(csharp) moduleclassmodifiers="static unsafe class"
%typemap(csclassmodifiers) tachyon_error_kind_t "enum" /* public are the exceptions */

/* ---- Types ---- */

%apply unsigned long long { size_t };
%typemap(ctype) const void *, void *, Memory "void *"
%typemap(imtype) const void *, void *, Memory "void*"
%typemap(cstype) const void *, void *, Memory "void*"
%typemap(csin) const void *, void * "$csinput"
%typemap(in) const void *, void * "$1 = $input;"
%typemap(out) void * "$result = $1;"
%typemap(out, null="NULL") Memory "$result = $1.data;"
%typemap(csout, excode=SWIGEXCODE) void *, Memory { return $imcall;$excode }
%typemap(imtype, out="global::System.IntPtr") const char * "string"
%typemap(out) const char * "$result = (char *)$1;"
%typemap(csout, excode="") const char * {$excode
    return global::System.Runtime.InteropServices.Marshal.PtrToStringAnsi($imcall);
  }
%typemap(csvarout, excode="") const char * %{get {
      return global::System.Runtime.InteropServices.Marshal.PtrToStringAnsi($imcall);
    } %}
%typemap(cstype) double "global::System.TimeSpan"
%typemap(csin) double "Connection.Seconds($csinput)"
%typemap(csvarout, excode="") double "get { return Connection.Time($imcall); }"
%define ENUM(declaration, type)
%typemap(cstype) declaration "type"
%typemap(csin) declaration "(int)$csinput"
%typemap(csvarout, excode="") declaration "get { return (type)$imcall; }"
%enddef
ENUM(int role, Role) ENUM(int slow_peer, SlowPeer) ENUM(int start, Start)
ENUM(int without_peers, WithoutPeers) ENUM(uint32_t kind, EventKind)
%typemap(csin) const char *name "Connection.Text($csinput, \"name\")"
%typemap(cstype) int types_required "bool"
%typemap(csin) int types_required "$csinput ? 1 : 0"
%typemap(csvarout, excode="") int types_required "get { return $imcall != 0; }"
%csmethodmodifiers set_types "internal";
%typemap(cscode) Options %{
  /// <summary>The message types, as the generated files describe them; it sets Schema.
  /// Of two ends that differ each one's exception says in what.</summary>
  public string Types { set { SetTypes(Connection.Text(value, "types")); } }
%}
%typemap(csconstruct) Options %{: this(Connection.Loaded(() => $imcall), true) { }
%}
%define ABOUT(name, text)
%csmethodmodifiers name "/// <summary>" text "</summary>\n  public";
%enddef
ABOUT(timeout, "How long to listen, or to try to connect; unless set, for ever.")
ABOUT(mode, "Permission bits of the socket; 0: 0600.")
ABOUT(role, "What this end will do; None: what it does first.")
ABOUT(schema, "Fingerprint of the message types; 0: not compared.")
ABOUT(types_required, "Whether to refuse a peer that does not say its types.")
ABOUT(max_peers, "Listening, with a role: at most so many peers; 0: a single one, ever.")
ABOUT(slow_peer, "As producer of many: whether to wait for one that is slow ...")
ABOUT(slow_after, "... or to let it go, and after how long.")
ABOUT(without_peers, "As producer of many: what to do while there is none.")
ABOUT(keep_place, "As producer of many: how long to keep the place of a dead name.")
ABOUT(start, "Connecting to a broadcast: where to begin; but Now makes a consumer of it.")
ABOUT(start_position, "Of AtPosition: what Bus.Position said ...")
ABOUT(start_epoch, "... and its epoch.")
ABOUT(set_name, "The name of who connects, of at most 31 bytes; null: none.")
ABOUT(allow_uid, "Lets a user connect who is not our own; 4294967295: anyone.")
%typemap(check) SWIGTYPE *self "if (!$1) return $null;" /* disposed: all is 0 */

%typemap(csclassmodifiers) Peers "class"
%typemap(csclassmodifiers) Bus, RpcBus "unsafe class"
%typemap(csinterfaces) Bus, RpcBus ""
%typemap(csbody) Bus, RpcBus %{
  readonly global::System.IntPtr swigCPtr;
  $csclassname(global::System.IntPtr pointer, bool owned) { swigCPtr = pointer; }
%}
%typemap(csdispose) Bus, RpcBus ""
%typemap(csdisposing, methodname="", methodmodifiers="") Bus, RpcBus ""
%typemap(imtype) Bus *, RpcBus * "global::System.IntPtr"

%ignore Bus::recv; %ignore Bus::recv_batch; %ignore RpcBus::wait_for;
%ignore RpcBus::serve; %ignore Bus::send; %ignore Bus::send_batch;
%ignore Bus::recv_into; %ignore Bus::recv_batch_into; %ignore Bus::reserve;
%ignore Bus::commit; %ignore Bus::reserve_batch; %ignore Bus::commit_batch;
%ignore Bus::rollback; %ignore Bus::flush; %ignore Bus::acquire; %ignore Bus::take;
%ignore Bus::release; %ignore Bus::take_next;
%extend Bus {
    void unref() { bus_unref($self); }
    int error_here() { (void)$self; return *bus_error_here(); }
    Result perform(int op, void *data, size_t size, size_t count, uint32_t type_id,
                   double timeout);
}
/* Where in the struct the last call has left it, to be read without a call. */
%define AT(name, field) %constant int At##name = offsetof(Bus, field); %enddef
AT(Spin, spin) AT(TypeId, type_id) AT(Count, count) AT(Size, size)
AT(Stride, stride) AT(Id, id) AT(Epoch, epoch) AT(Text, text)
%constant int TextBytes = sizeof(((Bus *)0)->text);
%inline %{
void end_waits(void) { exiting = 1; }
void *ended(void) { return bus_none(); }
void *quick_entry(void) {
    void (*add)(const char *, const void *) =
        (void (*)(const char *, const void *))dlsym(RTLD_DEFAULT,
                                                    "mono_dangerous_add_raw_internal_call");
    if (add) add("TachyonIpc.Mono::Perform", without_waiting);
    return add ? Bus_perform : NULL;
}
%}
%include "tachyon.i"

/* SPDX-License-Identifier: Apache-2.0 */
/* The Go package `native`, from which tachyon.go makes the public one. */
#define TACHYON_OWN_BYTES
#define TACHYON_OWN_MEMORY
#define TACHYON_ALL_ARGUMENTS
#define TACHYON_RAISE(bus) /* tachyon.go makes an error value of the result */

%rename("%(camelcase)s", %$ismember) "";
%ignore recv; %ignore recv_batch; %ignore wait_for; %ignore serve; /* there is _into */
%ignore Bus::send; %ignore Bus::recv_into; /* by hand below */
%ignore Bus::take_next; /* a guard holds what one call gave */

/* A []byte, lent to C for the call. */
%typemap(gotype) (const void *data, size_t size) "[]byte"
%typemap(in) (const void *data, size_t size) {
    $1 = $input.array;
    $2 = (size_t)$input.len;
}
%apply (const void *data, size_t size) {
    (const void *items, size_t size), (void *into, size_t room)
};
/* A []byte of C's memory, not copied; nil after an error. */
%typemap(gotype) Memory "[]byte"
%typemap(imtype) Memory "[]byte"
%typemap(goout) Memory "$result = $1"
%typemap(out) Memory {
    $result.array = $1.data;
    $result.len = $result.cap = (intgo)$1.len;
}

/* A string, which SWIG would allocate in C and copy in a way that go vet dislikes. */
%go_import("strings")
%typemap(out) const char * {
    $result.p = (char *)$1;
    $result.n = (intgo)strlen($1);
}
%typemap(goout) const char * "$result = strings.Clone($1)"

%insert(cgo_comment_typedefs) %{
#cgo CFLAGS: -std=gnu11 -O2 -fvisibility=hidden
#cgo CFLAGS: -I${SRCDIR}/../../../../core/include -I${SRCDIR}/../../../../swig
#cgo LDFLAGS: -lm
#include "facade.h"
// To cgo a void * may lead to Go pointers, which it would look for in each call.
typedef struct { char *array; intgo len; intgo cap; } bytes;
#define _goslice_ bytes

// Once a message: nothing between cgo and the facade, and the bytes may be of the stack.
#cgo noescape bus_send
#cgo nocallback bus_send
static inline Result bus_send(uintptr_t bus, const char *data, size_t size,
                              uint32_t type_id, double timeout) {
    return Bus_send((Bus *)bus, data, size, type_id, timeout);
}
#cgo noescape bus_recv_into
#cgo nocallback bus_recv_into
static inline Result bus_recv_into(uintptr_t bus, char *into, size_t room,
                                   double timeout) {
    return Bus_recv_into((Bus *)bus, into, room, timeout);
}
%}

/* What a call leaves in the object, read and set without calling C. */
%insert(go_wrapper) %{
func init() { C.host.interruptible = 1 }

type Fields C.Bus

func FieldsOf(bus SwigcptrBus) *Fields {
	return (*Fields)(unsafe.Pointer(unsafe.SliceData(bus.Self())))
}
func (f *Fields) TypeID() uint32   { return uint32(f.type_id) }
func (f *Fields) Size() int        { return int(f.size) }
func (f *Fields) Count() int       { return int(f.count) }
func (f *Fields) Stride() int      { return int(f.stride) }
func (f *Fields) ID() uint64       { return uint64(f.id) }
func (f *Fields) Epoch() uint64    { return uint64(f.epoch) }
func (f *Fields) SetSpin(n uint32) { f.spin = C.uint32_t(n) }

func (bus SwigcptrBus) Send(data []byte, typeID uint32, timeout float64) int64 {
	return int64(C.bus_send(C.uintptr_t(bus), (*C.char)(unsafe.Pointer(unsafe.SliceData(data))),
		C.size_t(len(data)), C.uint32_t(typeID), C.double(timeout)))
}
func (bus SwigcptrBus) RecvInto(into []byte, timeout float64) int64 {
	return int64(C.bus_recv_into(C.uintptr_t(bus), (*C.char)(unsafe.Pointer(unsafe.SliceData(into))),
		C.size_t(len(into)), C.double(timeout)))
}
%}

%include "tachyon.i"

%extend Bus {
    Memory self() { return (Memory){(char *)$self, sizeof *$self}; }
    void unref() { bus_unref($self); }
    Result error_here() { (void)$self; return -(Result)*bus_error_here(); }
    Result publish(size_t size, uint32_t type_id) {
        Result result = Bus_commit($self, size, type_id);
        return result < 0 ? result : Bus_flush($self);
    }
}

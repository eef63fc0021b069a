/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Node wants otherwise: bytes are Buffers and typed arrays, the ring is an
 * ArrayBuffer that keeps it mapped, correlation ids are BigInts. Errors are results
 * below 0, which lib/end.js throws. watcher.h is what SWIG has no word for: a
 * descriptor in the event loop.
 */
%module tachyon
#define TACHYON_ALL_ARGUMENTS
#define TACHYON_OWN_BYTES
#define TACHYON_OWN_MEMORY
#define TACHYON_RAISE(bus)
%rename("%(lowercamelcase)s", %$ismember) "";
%rename(RawBus) Bus;
%rename(RawRpcBus) RpcBus;
%ignore Bus::recv;        /* receive() below is one call instead of three */
%ignore RpcBus::wait_for; /* next_reply(), next_request() and copy_held() instead */
%ignore RpcBus::serve;
%ignore Bus::listen; /* by steps, so that a worker can be terminated */
%ignore Bus::connect;
%ignore RpcBus::listen;
%ignore RpcBus::connect;
%ignore Bus::take_next; /* a guard holds what one call gave */

%{
#include <mutex>
#include <poll.h>
#include <string.h>
#include "facade.h"
#include "watcher.h"

/* Workers load the module at the same time, and SWIG fills in its types once. */
static std::mutex loading;
#undef NODE_API_MODULE
#define NODE_API_MODULE(name, init)                                                    \
    NAPI_MODULE_INIT() {                                                               \
        std::lock_guard<std::mutex> one_at_a_time(loading);                            \
        return Napi::RegisterModule(env, exports, init);                               \
    }

/* Any view of an ArrayBuffer. One that was transferred away looks like an empty one. */
static bool bytes_of(Napi::Env env, Napi::Value value, void **data, size_t *size) {
    bool detached = false;
    napi_value buffer;
    if (napi_get_buffer_info(env, value, data, size) == napi_ok) {
        if (*size == 0 &&
            napi_get_named_property(env, value, "buffer", &buffer) == napi_ok)
            napi_is_detached_arraybuffer(env, buffer, &detached);
        if (!detached)
            return true;
    }
    Napi::TypeError::New(env, detached ? "the buffer is detached"
                                       : "a Buffer or typed array is needed")
        .ThrowAsJavaScriptException();
    return false;
}

/* null where the runtime has no buffers over memory that is not its own. */
static Napi::Value lend(Napi::Env env, Bus *bus, Memory memory) {
    napi_value buffer;
    if (!memory.data)
        return env.Null();
    if (napi_create_external_arraybuffer(
            env, memory.data, memory.len,
            [](napi_env, void *, void *hint) { bus_unref(static_cast<Bus *>(hint)); },
            bus, &buffer) == napi_ok)
        return Napi::Value(env, buffer);
    bus_unref(bus);
    if (env.IsExceptionPending())
        env.GetAndClearPendingException();
    return env.Null();
}

/* Memory to look at now, while the object has its own share. */
static Memory shared_by(Bus *bus, Memory memory) {
    if (memory.data)
        bus_unref(bus);
    return memory;
}
static char *within(Memory memory, size_t offset, size_t size) {
    bool inside = memory.data && offset <= memory.len && size <= memory.len - offset;
    return inside ? memory.data + offset : nullptr;
}

/* open_step(), once there is something to do or after so many seconds. */
static Result open_slice(Bus *bus, double seconds) {
    Result descriptor = Bus_fileno(bus);
    if (descriptor < 0) {
        Bus_close(bus);
        return descriptor;
    }
    struct pollfd due = {static_cast<int>(descriptor), POLLIN, 0};
    poll(&due, 1, seconds < 0 ? -1 : static_cast<int>(seconds * 1000));
    return Bus_open_step(bus);
}
%}
%init %{ exports.Set("Watcher", Watcher::define(env)); %}

/* Only the layer sees these classes, so that `this` is what it should be. */
%typemap(in) Bus *self, RpcBus *self "$1 = static_cast<$1_ltype>(this->self);"
%typemap(in) (const void *data, size_t size), (const void *items, size_t size),
             (void *into, size_t room) {
    void *bytes = nullptr;
    if (!bytes_of(env, $input, &bytes, &$2)) SWIG_fail;
    $1 = bytes;
}
%typemap(in) size_t, uint32_t, unsigned, int, double { /* the layer checks the range */
    double number = 0;
    if (napi_get_value_double(env, $input, &number) != napi_ok)
        SWIG_exception_fail(SWIG_TypeError, "a number is needed");
    $1 = static_cast<$1_ltype>(number);
}
%typemap(out) Result "$result = Napi::Number::New(env, static_cast<double>($1));"
%typemap(out) Bytes
    "$result = $1.data ? Napi::Buffer<char>::Copy(env, $1.data, $1.len) : env.Null();"
%typemap(out) Memory "$result = lend(env, arg1, $1);"
%typemap(in) uint64_t id {
    bool lossless = false;
    if (napi_get_value_bigint_uint64(env, $input, &$1, &lossless) != napi_ok ||
        !lossless)
        SWIG_exception_fail(SWIG_TypeError, "a BigInt of 64 bits is needed");
}
%typemap(out) uint64_t id "$result = Napi::BigInt::New(env, $1);"
%apply uint64_t id {
    uint64_t schema, uint64_t start_position, uint64_t start_epoch, uint64_t epoch
};

%include "tachyon.i"

%extend RpcBus {
    Result open_slice(double seconds) { return open_slice($self, seconds); }
}
%extend Bus {
    Result open_slice(double seconds) { return open_slice($self, seconds); }
    /* recv_into() with the type before the message: into[0..3], and from into[8] on. */
    Result receive(void *into, size_t room, double timeout) {
        Result size = Bus_recv_into($self, (char *)into + 8, room - 8, timeout);
        memcpy(into, &$self->type_id, sizeof $self->type_id);
        return size;
    }
    Result publish(size_t size, uint32_t type_id) {
        Result result = Bus_commit($self, size, type_id);
        return result < 0 ? result : Bus_flush($self);
    }
    Result publish_batch(size_t count, uint32_t type_id) {
        Result result = Bus_commit_batch($self, count, type_id);
        return result < 0 ? result : Bus_flush($self);
    }
    /* For runtimes in which ring_memory() and view_memory() are null. */
    Bytes peek(size_t offset, size_t size) {
        Memory ring = shared_by($self, Bus_ring_memory($self));
        Bytes bytes = {within(ring, offset, size), size};
        return bytes;
    }
    Result poke(size_t offset, const void *data, size_t size) {
        char *to = within(shared_by($self, Bus_ring_memory($self)), offset, size);
        if (!to)
            return -TACHYON_ERR_CLOSED;
        memcpy(to, data, size);
        return 0;
    }
    Bytes views() {
        Bytes bytes = {shared_by($self, Bus_view_memory($self)).data,
                       $self->count * sizeof(View)};
        return bytes;
    }
}

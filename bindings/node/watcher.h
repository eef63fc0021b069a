/* SPDX-License-Identifier: Apache-2.0 */
#include <napi.h>
#include <uv.h>

/*
 * new Watcher(descriptor, bus): its ready() is called by the event loop while the
 * descriptor is readable, between start() and stop(); in between it keeps the process
 * alive.
 *
 * The handle belongs to the loop, which frees it some time after close(), the object's
 * end or the environment's. libuv touches the descriptor until then, so the bus, whose
 * it is, is held until the object's end. ready() is a property, since what C++ holds is
 * never collected and would hold this object in turn.
 */
class Watcher : public Napi::ObjectWrap<Watcher> {
    struct Handle {
        uv_poll_t poll; /* first: libuv hands it back */
        Watcher *watcher;
        napi_async_cleanup_hook_handle hook;
    };
    Handle *handle = nullptr;
    Napi::ObjectReference bus;

    static void release(uv_handle_t *poll) {
        Handle *handle = reinterpret_cast<Handle *>(poll);
        napi_remove_async_cleanup_hook(handle->hook);
        delete handle;
    }
    static void end(napi_async_cleanup_hook_handle, void *data) {
        Handle *handle = static_cast<Handle *>(data);
        if (handle->watcher)
            handle->watcher->handle = nullptr;
        handle->watcher = nullptr;
        uv_handle_t *poll = reinterpret_cast<uv_handle_t *>(&handle->poll);
        if (!uv_is_closing(poll))
            uv_close(poll, release);
    }
    /* Plain C: an exception of C++, as when a worker is terminated, has no catcher. */
    static void ready(uv_poll_t *poll, int, int) {
        Watcher *watcher = reinterpret_cast<Handle *>(poll)->watcher;
        napi_env env = watcher->Env();
        Napi::HandleScope scope(env);
        napi_value self = watcher->Value(), function, error;
        if (napi_get_named_property(env, self, "ready", &function) == napi_ok &&
            napi_make_callback(env, nullptr, self, function, 0, nullptr, nullptr) ==
                napi_pending_exception &&
            napi_get_and_clear_last_exception(env, &error) == napi_ok)
            napi_fatal_exception(env, error);
    }
    bool active() const {
        return handle && uv_is_active(reinterpret_cast<uv_handle_t *>(&handle->poll));
    }

  public:
    explicit Watcher(const Napi::CallbackInfo &info) : ObjectWrap(info) {
        uv_loop_t *loop = nullptr;
        Handle *made = new Handle();
        napi_get_uv_event_loop(info.Env(), &loop);
        int status =
            uv_poll_init(loop, &made->poll, info[0].As<Napi::Number>().Int32Value());
        if (status != 0) {
            delete made;
            Napi::Error::New(info.Env(), uv_strerror(status))
                .ThrowAsJavaScriptException();
            return;
        }
        bus = Napi::Persistent(info[1].As<Napi::Object>());
        made->watcher = this;
        handle = made;
        napi_add_async_cleanup_hook(info.Env(), end, made, &made->hook);
    }
    ~Watcher() override {
        if (handle)
            end(nullptr, handle);
    }
    void start(const Napi::CallbackInfo &) {
        if (handle && !active() &&
            uv_poll_start(&handle->poll, UV_READABLE, ready) == 0)
            Ref();
    }
    void stop(const Napi::CallbackInfo &) {
        if (active() && uv_poll_stop(&handle->poll) == 0)
            Unref();
    }
    void close(const Napi::CallbackInfo &info) {
        stop(info);
        if (handle)
            end(nullptr, handle);
    }
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Watcher",
                           {InstanceMethod("start", &Watcher::start),
                            InstanceMethod("stop", &Watcher::stop),
                            InstanceMethod("close", &Watcher::close)});
    }
};

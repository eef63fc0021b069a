/* SPDX-License-Identifier: Apache-2.0 */
#include <napi.h>
#include <uv.h>

/* new Watcher(descriptor, callback): calls back while the descriptor is readable, between
 * start() and stop(), and until rest() keeps the process alive. The handle belongs to the
 * loop, which frees it after close(), the object's end or that of the environment. */
class Watcher : public Napi::ObjectWrap<Watcher> {
    struct Handle {
        uv_poll_t poll; /* first: libuv hands it back */
        Watcher *watcher;
        napi_async_cleanup_hook_handle hook;
    };
    Handle *handle = nullptr;
    bool awake = false;
    Napi::FunctionReference callback;

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
    /* Plain C here: an exception of C++, as when a worker is terminated, has no catcher. */
    static void ready(uv_poll_t *poll, int, int) {
        Watcher *watcher = reinterpret_cast<Handle *>(poll)->watcher;
        napi_env env = watcher->Env();
        Napi::HandleScope scope(env);
        napi_value global, error;
        if (napi_get_global(env, &global) == napi_ok &&
            napi_make_callback(env, nullptr, global, watcher->callback.Value(), 0, nullptr,
                               nullptr) == napi_pending_exception &&
            napi_get_and_clear_last_exception(env, &error) == napi_ok)
            napi_fatal_exception(env, error); /* nobody above could catch it */
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
        callback = Napi::Persistent(info[1].As<Napi::Function>());
        made->watcher = this;
        handle = made;
        napi_add_async_cleanup_hook(info.Env(), end, made, &made->hook);
    }
    ~Watcher() override {
        if (handle)
            end(nullptr, handle);
    }
    void start(const Napi::CallbackInfo &) {
        if (!handle || awake)
            return;
        if (!uv_is_active(reinterpret_cast<uv_handle_t *>(&handle->poll)))
            uv_poll_start(&handle->poll, UV_READABLE, ready);
        uv_ref(reinterpret_cast<uv_handle_t *>(&handle->poll));
        awake = true;
        Ref();
    }
    void rest(const Napi::CallbackInfo &) { /* cheaper than stop() when start() follows */
        if (!awake)
            return;
        awake = false;
        if (handle)
            uv_unref(reinterpret_cast<uv_handle_t *>(&handle->poll));
        Unref();
    }
    void stop(const Napi::CallbackInfo &info) {
        rest(info);
        if (handle)
            uv_poll_stop(&handle->poll);
    }
    void close(const Napi::CallbackInfo &info) {
        stop(info);
        if (handle)
            end(nullptr, handle);
    }
    static Napi::Function define(Napi::Env env) {
        return DefineClass(env, "Watcher",
                           {InstanceMethod("start", &Watcher::start),
                            InstanceMethod("rest", &Watcher::rest),
                            InstanceMethod("stop", &Watcher::stop),
                            InstanceMethod("close", &Watcher::close)});
    }
};

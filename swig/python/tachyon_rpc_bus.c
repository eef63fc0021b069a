/* SPDX-License-Identifier: Apache-2.0 */
/* A TachyonBus round an RPC handle: each end both sends and receives, and one thread at
   a time is inside the handle. */

typedef TachyonBus TachyonRpcBus; /* the same struct, of another kind */

static tachyon_error_t start_rpc(const char *path, const size_t *capacities,
                                 const tachyon_options_t *options,
                                 tachyon_opening_t **opening) {
    return capacities ? tachyon_rpc_listen_start(path, capacities[0], capacities[1],
                                                 options, opening)
                      : tachyon_rpc_connect_start(path, options, opening);
}

static tachyon_error_t finish_rpc(tachyon_opening_t *opening, void **handle) {
    tachyon_rpc_bus_t *rpc;
    tachyon_error_t error = tachyon_opening_finish_rpc(opening, &rpc);
    *handle = rpc;
    return error;
}

static void close_rpc(void *handle) {
    tachyon_rpc_close(handle);
}

static void abort_rpc(void *handle) {
    tachyon_rpc_abort(handle);
}

static void destroy_rpc(void *handle) {
    tachyon_rpc_destroy(handle);
}

static size_t max_payload_of_rpc(const void *handle) {
    return tachyon_rpc_max_payload(handle);
}

static tachyon_error_t get_peer_of_rpc(const void *handle, tachyon_peer_t *peer) {
    return tachyon_rpc_get_peer(handle, peer);
}

static void set_polling_mode_of_rpc(const void *handle, int pure_spin) {
    tachyon_rpc_set_polling_mode(handle, pure_spin);
}

static int fileno_of_rpc(void *handle) {
    return tachyon_rpc_fileno(handle);
}

static const BusKind rpc_kind = {
    .start = start_rpc,
    .finish = finish_rpc,
    .close = close_rpc,
    .abort = abort_rpc,
    .destroy = destroy_rpc,
    .max_payload = max_payload_of_rpc,
    .get_peer = get_peer_of_rpc,
    .set_polling_mode = set_polling_mode_of_rpc,
    .fileno = fileno_of_rpc,
    .purpose = {{"call", "get a reply"}, {"reply", "serve"}},
    .lack = {{NO_ROOM("call"), "no reply to any call yet"},
             {NO_ROOM("reply"), "no request to serve yet"}},
    .one_thread = true,
};

static PyObject *tachyon_rpc_bus_new(PyTypeObject *type, PyObject *args,
                                     PyObject *kwargs) {
    (void)args;
    (void)kwargs;
    return low_bus_new(type, SWIGTYPE_p_TachyonRpcBus, &rpc_kind);
}

static PyObject *TachyonRpcBus_listen(TachyonRpcBus *bus, const char *socket_path,
                                      size_t cap_fwd, size_t cap_rev, seconds_t timeout,
                                      uint32_t mode, PyObject *allowed_uids,
                                      uint64_t schema) {
    return listen_by(bus_open, bus, socket_path, (const size_t[]){cap_fwd, cap_rev},
                     timeout, mode, allowed_uids, TACHYON_ROLE_NONE, schema);
}

static PyObject *TachyonRpcBus_listen_start(TachyonRpcBus *bus, const char *socket_path,
                                            size_t cap_fwd, size_t cap_rev,
                                            seconds_t timeout, uint32_t mode,
                                            PyObject *allowed_uids, uint64_t schema) {
    return listen_by(bus_open_in_steps, bus, socket_path,
                     (const size_t[]){cap_fwd, cap_rev}, timeout, mode, allowed_uids,
                     TACHYON_ROLE_NONE, schema);
}

static PyObject *TachyonRpcBus_connect(TachyonRpcBus *bus, const char *socket_path,
                                       seconds_t timeout, PyObject *allowed_uids,
                                       uint64_t schema) {
    return connect_by(bus_open, bus, socket_path, timeout, allowed_uids,
                      TACHYON_ROLE_NONE, schema);
}

static PyObject *TachyonRpcBus_connect_start(TachyonRpcBus *bus,
                                             const char *socket_path, seconds_t timeout,
                                             PyObject *allowed_uids, uint64_t schema) {
    return connect_by(bus_open_in_steps, bus, socket_path, timeout, allowed_uids,
                      TACHYON_ROLE_NONE, schema);
}

static PyObject *TachyonRpcBus_watch_messages(TachyonRpcBus *bus, bool watch) {
    if (bus->open) {
        tachyon_rpc_watch_messages(bus->handle, watch);
    }
    Py_RETURN_NONE;
}

static PyObject *TachyonRpcBus_stats(TachyonRpcBus *bus) {
    tachyon_rpc_stats_t stats;
    if (!bus->open) {
        return raise_not_open(bus);
    }
    if (tachyon_rpc_get_stats(bus->handle, &stats) != TACHYON_SUCCESS) {
        return raise_last();
    }
    return struct_object(SWIGTYPE_p_tachyon_rpc_stats_t, &stats, sizeof stats);
}

/* Ids start at 1. */
static int parse_correlation_id(PyObject *value, uint64_t *id) {
    return parse_integer(value, "correlation_id", 1, UINT64_MAX, id);
}

static PyObject *rpc_cancel(TachyonRpcBus *bus, PyObject *correlation_id) {
    uint64_t id = 0;
    if (parse_correlation_id(correlation_id, &id) < 0) {
        return NULL;
    }
    if (!bus->open) {
        return raise_not_open(bus);
    }
    if (bus->rx.waiting) {
        raise_waited_on(&bus->rx);
        return NULL;
    }
    return none_or_raise(tachyon_rpc_cancel(bus->handle, id));
}

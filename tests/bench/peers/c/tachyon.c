/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon: a bus in each direction, or an RPC bus. */
#include "tachyon.h"

#include "link.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_NS INT64_C(20000000000)

static tachyon_bus_t *out, *in;
static tachyon_rpc_bus_t *rpc;
static uint32_t spin, leads;
static uint64_t id; /* of the call that is under way */

static void must(tachyon_error_t error) {
    if (error) {
        cannot(tachyon_last_error_message());
    }
}

static tachyon_bus_t *bus(const struct setting *setting, const char *name,
                          int listens) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", setting->directory, name);
    tachyon_options_t options = {.size = sizeof(options), .timeout_ns = TIMEOUT_NS};
    tachyon_bus_t *made = NULL;
    must(listens ? tachyon_bus_listen_with(path, ring_bytes(setting), &options, &made)
                 : tachyon_bus_connect_with(path, &options, &made));
    tachyon_bus_set_polling_mode(made, setting->mode == MODE_SPIN);
    return made;
}

static void open_rpc(const struct setting *setting) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/rpc", setting->directory);
    tachyon_options_t options = {.size = sizeof(options), .timeout_ns = TIMEOUT_NS};
    size_t capacity = ring_bytes(setting);
    must(setting->lead
             ? tachyon_rpc_connect_with(path, &options, &rpc)
             : tachyon_rpc_listen_with(path, capacity, capacity, &options, &rpc));
    tachyon_rpc_set_polling_mode(rpc, setting->mode == MODE_SPIN);
}

static void open_both(const struct setting *setting) {
    spin = setting->mode == MODE_SLEEP ? 0 : TACHYON_DEFAULT_SPIN;
    leads = setting->lead;
    if (setting->rpc) {
        open_rpc(setting);
        return;
    }
    if (setting->lead) {
        out = bus(setting, "forth", 0);
        in = bus(setting, "back", 1);
    } else {
        in = bus(setting, "forth", 1);
        out = bus(setting, "back", 0);
    }
}

static void call_or_reply(const void *payload, size_t size) {
    must(leads ? tachyon_rpc_call_timed(rpc, payload, size, 1, &id, spin, -1)
               : tachyon_rpc_reply_timed(rpc, id, payload, size, 1, spin, -1));
}

static void take_reply_or_request(void *payload, size_t size) {
    size_t got;
    uint32_t type;
    const void *message = leads ? tachyon_rpc_wait(rpc, id, &got, &type, spin)
                                : tachyon_rpc_serve(rpc, &id, &type, &got, spin);
    if (!message) {
        must(tachyon_last_error());
    }
    memcpy(payload, message, size);
    must(leads ? tachyon_rpc_commit_rx(rpc) : tachyon_rpc_commit_serve(rpc));
}

static void send_one(const void *payload, size_t size) {
    if (rpc) {
        call_or_reply(payload, size);
        return;
    }
    must(tachyon_send(out, payload, size, 1, spin, -1));
}

static void receive_one(void *payload, size_t size) {
    if (rpc) {
        take_reply_or_request(payload, size);
        return;
    }
    size_t got;
    uint32_t type_id;
    must(tachyon_recv(in, payload, size, &got, &type_id, spin, -1));
}

static void send_many(const void *items, size_t size, size_t count) {
    if (tachyon_send_batch(out, items, size, count, 1, spin, -1) != count) {
        must(tachyon_last_error());
    }
}

static size_t receive_many(void *items, size_t size, size_t most) {
    uint32_t type_id;
    size_t got = tachyon_recv_batch(in, items, size, most, &type_id, spin, -1);
    if (!got) {
        must(tachyon_last_error());
    }
    return got;
}

static void send_in_place(size_t size, void (*write)(void *room, size_t size)) {
    void *room = tachyon_acquire_tx_timed(out, size, spin, -1);
    if (!room) {
        must(tachyon_last_error());
    }
    write(room, size);
    must(tachyon_commit_tx(out, size, 1));
    tachyon_flush(out);
}

static void receive_in_place(size_t size,
                             void (*read)(const void *message, size_t size)) {
    uint32_t type_id;
    const void *message = tachyon_acquire_rx_blocking(in, &type_id, &size, spin);
    if (!message) {
        must(tachyon_last_error());
    }
    read(message, size);
    must(tachyon_commit_rx(in));
}

const struct link tachyon_peer_link = {
    .open = open_both,
    .send = send_one,
    .receive = receive_one,
    .send_batch = send_many,
    .receive_batch = receive_many,
    .send_in_place = send_in_place,
    .receive_in_place = receive_in_place,
    .has_rpc = 1,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Tachyon: a bus in each direction. */
#include "tachyon.h"

#include "link.h"

#include <stdio.h>

#define TIMEOUT_NS INT64_C(20000000000)

static tachyon_bus_t *out, *in;
static uint32_t spin;

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
    must(listens ? tachyon_bus_listen_with(path, RING_BYTES, &options, &made)
                 : tachyon_bus_connect_with(path, &options, &made));
    tachyon_bus_set_polling_mode(made, setting->mode == MODE_SPIN);
    return made;
}

static void open_both(const struct setting *setting) {
    spin = setting->mode == MODE_SLEEP ? 0 : TACHYON_DEFAULT_SPIN;
    if (setting->lead) {
        out = bus(setting, "forth", 0);
        in = bus(setting, "back", 1);
    } else {
        in = bus(setting, "forth", 1);
        out = bus(setting, "back", 0);
    }
}

static void send_one(const void *payload, size_t size) {
    must(tachyon_send(out, payload, size, 1, spin, -1));
}

static void receive_one(void *payload, size_t size) {
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

const struct link tachyon_peer_link = {open_both, send_one,     receive_one,
                                       send_many, receive_many, NULL};

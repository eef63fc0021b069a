/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"
#include "rpc.h"

#include <unistd.h>

/* Its header defines what peers.h restates. */
void ty_peers_step(struct peers *peers);

tachyon_bus_t *crowd_listen(const char *path, uint32_t role, uint32_t max_peers) {
    tachyon_options_t options = {
        .size = sizeof options, .role = role, .max_peers = max_peers};
    tachyon_bus_t *bus;
    CHECK_OK(tachyon_bus_listen_with(path, 4096, &options, &bus));
    return bus;
}

/* Step both ends until the opening has an outcome. */
static tachyon_error_t step(struct tachyon_bus *listener, tachyon_opening_t *opening) {
    tachyon_error_t error;
    do
        ty_peers_step(listener->peers);
    while ((error = tachyon_opening_step(opening, 1000000)) == TACHYON_ERR_EMPTY);
    return error;
}

tachyon_error_t crowd_try(tachyon_bus_t *listener, const char *path,
                          const tachyon_options_t *options, tachyon_bus_t **out) {
    tachyon_opening_t *opening;
    *out = NULL;
    tachyon_error_t error = tachyon_bus_connect_start(path, options, &opening);
    if (error == TACHYON_SUCCESS)
        error = step(listener, opening);
    if (error == TACHYON_SUCCESS)
        error = tachyon_opening_finish_bus(opening, out);
    tachyon_opening_cancel(opening);
    return error;
}

tachyon_error_t crowd_try_rpc(tachyon_rpc_bus_t *callee, const char *path,
                              const tachyon_options_t *options,
                              tachyon_rpc_bus_t **out) {
    tachyon_opening_t *opening;
    *out = NULL;
    tachyon_error_t error = tachyon_rpc_connect_start(path, options, &opening);
    if (error == TACHYON_SUCCESS)
        error = step(rpc_bus(callee), opening);
    if (error == TACHYON_SUCCESS)
        error = tachyon_opening_finish_rpc(opening, out);
    tachyon_opening_cancel(opening);
    return error;
}

tachyon_bus_t *crowd_join(tachyon_bus_t *listener, const char *path, const char *name) {
    tachyon_options_t options = {.size = sizeof options, .name = name};
    tachyon_bus_t *bus;
    CHECK_OK(crowd_try(listener, path, &options, &bus));
    tachyon_event_t event = crowd_event(listener, TACHYON_EVENT_JOINED);
    CHECK_EQ(strcmp(event.name, name ? name : ""), 0);
    CHECK_EQ(event.who.pid, getpid());
    return bus;
}

tachyon_event_t crowd_event(tachyon_bus_t *listener, uint32_t kind) {
    tachyon_event_t event;
    CHECK_OK(tachyon_bus_accept(listener, &event, INT64_C(20000000000)));
    CHECK_EQ(event.kind, kind);
    return event;
}

void crowd_left(tachyon_bus_t *listener, uint32_t peer, tachyon_error_t reason) {
    tachyon_event_t event = crowd_event(listener, TACHYON_EVENT_LEFT);
    CHECK_EQ(event.peer, peer);
    CHECK_EQ(event.reason, reason);
}

tachyon_error_t crowd_send(tachyon_bus_t *bus, uint64_t number, int64_t timeout_ns) {
    return tachyon_send(bus, &number, sizeof number, 1, 0, timeout_ns);
}

tachyon_error_t crowd_take(tachyon_bus_t *bus, uint64_t *number, int64_t timeout_ns) {
    size_t size;
    uint32_t type;
    return tachyon_recv(bus, number, sizeof *number, &size, &type, 0, timeout_ns);
}

unsigned crowd_quiet(tachyon_bus_t *listener) {
    struct pollfd fd = {.fd = tachyon_bus_fileno(listener), .events = POLLIN};
    tachyon_event_t event;
    unsigned left = 0;
    for (unsigned rounds = 0; poll(&fd, 1, 50) != 0; rounds++) {
        CHECK(rounds < 5);
        tachyon_flush(listener);
        while (tachyon_bus_accept(listener, &event, 0) == TACHYON_SUCCESS)
            left += event.kind == TACHYON_EVENT_LEFT;
        CHECK_EQ(tachyon_last_error(), TACHYON_ERR_EMPTY);
    }
    CHECK_ERROR(tachyon_bus_accept(listener, &event, 0), TACHYON_ERR_EMPTY);
    return left;
}

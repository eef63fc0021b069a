/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"
#include "bus.h"

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

tachyon_error_t crowd_try(tachyon_bus_t *listener, const char *path,
                          const tachyon_options_t *options, tachyon_bus_t **out) {
    tachyon_opening_t *opening;
    *out = NULL;
    tachyon_error_t error = tachyon_bus_connect_start(path, options, &opening);
    if (error != TACHYON_SUCCESS)
        return error;
    do
        ty_peers_step(listener->peers);
    while ((error = tachyon_opening_step(opening, 1000000)) == TACHYON_ERR_EMPTY);
    if (error == TACHYON_SUCCESS)
        error = tachyon_opening_finish_bus(opening, out);
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
    CHECK_OK(tachyon_bus_accept(listener, &event, INT64_C(3000000000)));
    CHECK_EQ(event.kind, kind);
    return event;
}

void crowd_left(tachyon_bus_t *listener, uint32_t peer, tachyon_error_t reason) {
    tachyon_event_t event = crowd_event(listener, TACHYON_EVENT_LEFT);
    CHECK_EQ(event.peer, peer);
    CHECK_EQ(event.reason, reason);
}

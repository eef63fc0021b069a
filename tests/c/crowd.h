/* SPDX-License-Identifier: Apache-2.0 */
/* A listener with many peers, and peers, in one thread. */
#ifndef TACHYON_TEST_CROWD_H
#define TACHYON_TEST_CROWD_H

#include "peers.h"

tachyon_bus_t *crowd_listen(const char *path, uint32_t role, uint32_t max_peers);
/* Connect while the listener is stepped; the event of it is not fetched. */
tachyon_error_t crowd_try(tachyon_bus_t *listener, const char *path,
                          const tachyon_options_t *options, tachyon_bus_t **out);
/* The same of a callee with many callers. */
tachyon_error_t crowd_try_rpc(tachyon_rpc_bus_t *callee, const char *path,
                              const tachyon_options_t *options,
                              tachyon_rpc_bus_t **out);
/* That must succeed: with a name or NULL; the event must be the next one. */
tachyon_bus_t *crowd_join(tachyon_bus_t *listener, const char *path, const char *name);
/* The next event, which must be of this kind and come within twenty seconds. */
tachyon_event_t crowd_event(tachyon_bus_t *listener, uint32_t kind);
void crowd_left(tachyon_bus_t *listener, uint32_t peer, tachyon_error_t reason);
/* A message that is a number. */
tachyon_error_t crowd_send(tachyon_bus_t *bus, uint64_t number, int64_t timeout_ns);
tachyon_error_t crowd_take(tachyon_bus_t *bus, uint64_t *number, int64_t timeout_ns);
/* As a loop does that has nothing to send, flush and fetch events until the descriptor is
 * unreadable; returns how many have left. */
unsigned crowd_quiet(tachyon_bus_t *listener);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* An RPC bus, as others see it: a bus with a table of calls round it. */
#ifndef TACHYON_RPC_H
#define TACHYON_RPC_H

#include "bus.h"

/* It is the first member; NULL of NULL. */
static inline struct tachyon_bus *rpc_bus(const tachyon_rpc_bus_t *rpc) {
    return (struct tachyon_bus *)(uintptr_t)rpc;
}

struct tachyon_bus *ty_rpc_allocate(void); /* the bus in it; NULL: no memory */
void ty_rpc_deallocate(struct tachyon_bus *bus);
/* The bus is set up: take both directions. */
void ty_rpc_arm(struct tachyon_bus *bus);

/* The calls of a callee with many callers; whether they may be made has been checked. */
const void *ty_callers_serve(struct tachyon_bus *bus, uint64_t *out_cid,
                             uint32_t *msg_type, size_t *actual_size, uint32_t spins,
                             int64_t timeout_ns);
void *ty_callers_acquire(struct tachyon_bus *bus, size_t size, uint32_t spins,
                         int64_t timeout_ns);
tachyon_error_t ty_callers_commit(struct tachyon_bus *bus, uint64_t id, size_t size,
                                  uint32_t type);
tachyon_error_t ty_callers_reply(struct tachyon_bus *bus, uint64_t id,
                                 const void *payload, size_t size, uint32_t type,
                                 uint32_t spins, int64_t timeout_ns);
void ty_callers_rollback(struct tachyon_bus *bus);
void ty_callers_stats(struct tachyon_bus *bus, tachyon_rpc_stats_t *out);

#endif

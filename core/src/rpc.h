/* SPDX-License-Identifier: Apache-2.0 */
/* An RPC bus, as open.c and look.c see it: a bus with a table of calls round it. */
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

#endif

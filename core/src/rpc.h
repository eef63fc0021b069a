/* SPDX-License-Identifier: Apache-2.0 */
/* An RPC bus, as open.c sees it: a bus with a table of calls round it. */
#ifndef TACHYON_RPC_H
#define TACHYON_RPC_H

#include "bus.h"

struct tachyon_bus *ty_rpc_allocate(void); /* the bus in it; NULL: no memory */
void ty_rpc_deallocate(struct tachyon_bus *bus);
/* The bus is set up: take both directions. */
void ty_rpc_arm(struct tachyon_bus *bus);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Part of core.c. */
#include "../../../../core/src/accept.c"
#include "../../../../core/src/address.c"
#include "../../../../core/src/connector.c"
#include "../../../../core/src/door.c"
#include "../../../../core/src/fork.c"
#include "../../../../core/src/handshake.c"
#include "../../../../core/src/listener.c"
#include "../../../../core/src/open.c"
#include "../../../../core/src/rpc.c"
#include "../../../../core/src/types.c"

/* SPDX-License-Identifier: Apache-2.0 */
/* What code written for the forerunner relies on: names, values, layouts and
 * prototypes, written down a second time. A prototype that differs from the header's
 * does not compile, one that the library does not export does not link. */
#include "tachyon.h"

#include <stdio.h>

#define IS(name, number) _Static_assert((name) == (number), #name)
IS(TACHYON_SUCCESS, 0);
IS(TACHYON_ERR_NULL_PTR, 1);
IS(TACHYON_ERR_MEM, 2);
IS(TACHYON_ERR_OPEN, 3);
IS(TACHYON_ERR_TRUNCATE, 4);
IS(TACHYON_ERR_CHMOD, 5);
IS(TACHYON_ERR_SEAL, 6);
IS(TACHYON_ERR_MAP, 7);
IS(TACHYON_ERR_INVALID_SZ, 8);
IS(TACHYON_ERR_FULL, 9);
IS(TACHYON_ERR_EMPTY, 10);
IS(TACHYON_ERR_NETWORK, 11);
IS(TACHYON_ERR_SYSTEM, 12);
IS(TACHYON_ERR_INTERRUPTED, 13);
IS(TACHYON_ERR_ABI_MISMATCH, 14);
IS(TACHYON_STATE_UNINITIALIZED, 0);
IS(TACHYON_STATE_INITIALIZING, 1);
IS(TACHYON_STATE_READY, 2);
IS(TACHYON_STATE_DISCONNECTED, 3);
IS(TACHYON_STATE_FATAL_ERROR, 4);
IS(TACHYON_STATE_UNKNOWN, 5);
IS(sizeof(tachyon_error_t), 4);
IS(sizeof(tachyon_state_t), 4);
IS(sizeof(tachyon_msg_view_t), 32);
IS(offsetof(tachyon_msg_view_t, ptr), 0);
IS(offsetof(tachyon_msg_view_t, actual_size), 8);
IS(offsetof(tachyon_msg_view_t, reserved_), 16);
IS(offsetof(tachyon_msg_view_t, type_id), 24);
IS(offsetof(tachyon_msg_view_t, padding_), 28);
IS(TACHYON_TYPE_ID(0x1234, 0xABCD), 0x1234ABCD);
IS(TACHYON_ROUTE_ID(0x1234ABCD), 0x1234);
IS(TACHYON_MSG_TYPE(0x1234ABCD), 0xABCD);

tachyon_error_t tachyon_bus_listen(const char *, size_t, tachyon_bus_t **);
tachyon_error_t tachyon_bus_connect(const char *, tachyon_bus_t **);
void tachyon_bus_ref(tachyon_bus_t *);
void tachyon_bus_destroy(tachyon_bus_t *);
tachyon_error_t tachyon_bus_set_numa_node(const tachyon_bus_t *, int);
void tachyon_bus_set_polling_mode(const tachyon_bus_t *, int);
void *tachyon_acquire_tx(tachyon_bus_t *, size_t);
tachyon_error_t tachyon_commit_tx(tachyon_bus_t *, size_t, uint32_t);
tachyon_error_t tachyon_rollback_tx(tachyon_bus_t *);
void tachyon_flush(tachyon_bus_t *);
const void *tachyon_acquire_rx(tachyon_bus_t *, uint32_t *, size_t *);
const void *tachyon_acquire_rx_spin(tachyon_bus_t *, uint32_t *, size_t *, uint32_t);
const void *tachyon_acquire_rx_blocking(tachyon_bus_t *, uint32_t *, size_t *,
                                        uint32_t);
tachyon_error_t tachyon_commit_rx(tachyon_bus_t *);
size_t tachyon_acquire_rx_batch(tachyon_bus_t *, tachyon_msg_view_t *, size_t);
size_t tachyon_drain_batch(tachyon_bus_t *, tachyon_msg_view_t *, size_t, uint32_t);
tachyon_error_t tachyon_commit_rx_batch(tachyon_bus_t *, const tachyon_msg_view_t *,
                                        size_t);
tachyon_state_t tachyon_get_state(const tachyon_bus_t *);
void tachyon_memory_barrier_acquire(void);

tachyon_error_t tachyon_rpc_listen(const char *, size_t, size_t, tachyon_rpc_bus_t **);
tachyon_error_t tachyon_rpc_connect(const char *, tachyon_rpc_bus_t **);
void tachyon_rpc_destroy(tachyon_rpc_bus_t *);
tachyon_state_t tachyon_rpc_get_state(const tachyon_rpc_bus_t *);
void tachyon_rpc_set_polling_mode(const tachyon_rpc_bus_t *, int);
tachyon_error_t tachyon_rpc_call(tachyon_rpc_bus_t *, const void *, size_t, uint32_t,
                                 uint64_t *);
void *tachyon_rpc_acquire_tx(tachyon_rpc_bus_t *, size_t);
tachyon_error_t tachyon_rpc_commit_call(tachyon_rpc_bus_t *, size_t, uint32_t,
                                        uint64_t *);
void tachyon_rpc_rollback_call(tachyon_rpc_bus_t *);
const void *tachyon_rpc_wait(tachyon_rpc_bus_t *, uint64_t, size_t *, uint32_t *,
                             uint32_t);
tachyon_error_t tachyon_rpc_commit_rx(tachyon_rpc_bus_t *);
const void *tachyon_rpc_serve(tachyon_rpc_bus_t *, uint64_t *, uint32_t *, size_t *,
                              uint32_t);
tachyon_error_t tachyon_rpc_commit_serve(tachyon_rpc_bus_t *);
tachyon_error_t tachyon_rpc_reply(tachyon_rpc_bus_t *, uint64_t, const void *, size_t,
                                  uint32_t);
void *tachyon_rpc_acquire_reply_tx(tachyon_rpc_bus_t *, size_t);
tachyon_error_t tachyon_rpc_commit_reply(tachyon_rpc_bus_t *, uint64_t, size_t,
                                         uint32_t);
void tachyon_rpc_rollback_reply(tachyon_rpc_bus_t *);

typedef void (*function_t)(void);

#define AT(name) (function_t) name
static const function_t functions[] = {
    AT(tachyon_bus_listen),
    AT(tachyon_bus_connect),
    AT(tachyon_bus_ref),
    AT(tachyon_bus_destroy),
    AT(tachyon_bus_set_numa_node),
    AT(tachyon_bus_set_polling_mode),
    AT(tachyon_acquire_tx),
    AT(tachyon_commit_tx),
    AT(tachyon_rollback_tx),
    AT(tachyon_flush),
    AT(tachyon_acquire_rx),
    AT(tachyon_acquire_rx_spin),
    AT(tachyon_acquire_rx_blocking),
    AT(tachyon_commit_rx),
    AT(tachyon_acquire_rx_batch),
    AT(tachyon_drain_batch),
    AT(tachyon_commit_rx_batch),
    AT(tachyon_get_state),
    AT(tachyon_memory_barrier_acquire),
    AT(tachyon_rpc_listen),
    AT(tachyon_rpc_connect),
    AT(tachyon_rpc_destroy),
    AT(tachyon_rpc_get_state),
    AT(tachyon_rpc_set_polling_mode),
    AT(tachyon_rpc_call),
    AT(tachyon_rpc_acquire_tx),
    AT(tachyon_rpc_commit_call),
    AT(tachyon_rpc_rollback_call),
    AT(tachyon_rpc_wait),
    AT(tachyon_rpc_commit_rx),
    AT(tachyon_rpc_serve),
    AT(tachyon_rpc_commit_serve),
    AT(tachyon_rpc_reply),
    AT(tachyon_rpc_acquire_reply_tx),
    AT(tachyon_rpc_commit_reply),
    AT(tachyon_rpc_rollback_reply),
};
_Static_assert(sizeof functions / sizeof *functions == 36, "36 functions");

int main(void) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (functions[i] == NULL) {
            fprintf(stderr, "function %zu is NULL\n", i);
            return 1;
        }
    }
    /* A NULL handle is an error, not a crash, wherever NULL can be passed. */
    if (tachyon_get_state(NULL) != TACHYON_STATE_UNKNOWN ||
        tachyon_commit_rx(NULL) != TACHYON_ERR_NULL_PTR) {
        fprintf(stderr, "a NULL handle is not refused\n");
        return 1;
    }
    return 0;
}

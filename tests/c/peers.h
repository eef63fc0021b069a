/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of a test: an honest pair of handles, and the wire in the hands of a
 * peer that need not be honest. */
#ifndef TACHYON_TEST_PEERS_H
#define TACHYON_TEST_PEERS_H

#include "harness.h"

/* ---- Two honest ends in one process ---- */

struct pair {
    tachyon_bus_t *listener, *connector;
};

struct pair pair_open(size_t capacity);
struct pair pair_open_with(size_t capacity, const tachyon_options_t *listener,
                           const tachyon_options_t *connector);
void pair_close(struct pair *pair);
/* As if one of the processes had not been allowed to register for it. */
void pair_without_membarrier(struct pair *pair);

/* A listener in a thread of its own. */
struct listening {
    const char *path;
    size_t capacity;
    tachyon_options_t options; /* .size is filled in */
    tachyon_error_t error;
    char message[384]; /* of that error */
    tachyon_bus_t *bus;
    _Atomic bool done;
    pthread_t thread;
};

/* Returns when it can be reached, or has ended. */
void listening_start(struct listening *listening);
tachyon_error_t listening_join(struct listening *listening);

tachyon_options_t options_with_timeout_ms(int64_t milliseconds);

/* Message `number` of a stream: its size and every byte follow from the number. */
size_t message_size(uint64_t number, size_t most);
void message_write(uint64_t number, void *payload, size_t size);
bool message_is(uint64_t number, const void *payload, size_t size);

/* ---- The wire, restated: it must not change unnoticed ---- */

struct wire_greeting {
    uint32_t magic, version, status, kind, flags, role, pid, start;
    uint64_t schema, epoch, capacity[2], position;
    uint32_t peer, types_size;
    char name[32];
    uint64_t unused[2];
};

#define WIRE_MAGIC 0x54414348u
#define WIRE_VERSION 101u
#define WIRE_BUS 1u
#define WIRE_RPC 2u
#define WIRE_BROADCAST 2u /* a flag */

struct wire_greeting wire_hello(void);

/* Stream sockets, blocking. */
int wire_listen(const char *path);
int wire_accept(int listener);
int wire_connect(const char *path); /* waits for a listener */
void wire_send(int socket, const void *bytes, size_t size, const int *fds,
               size_t count);
/* Reads until `size` bytes or the end, at most `timeout_ms`; -1 when that passes. */
ssize_t wire_receive(int socket, void *bytes, size_t size, int *fds, size_t *fd_count,
                     int64_t timeout_ms);
bool wire_ends(int socket, int64_t timeout_ms);

/* Has a descriptor something to tell, now or within that time? */
bool test_readable(int fd, int timeout_ms);

#endif

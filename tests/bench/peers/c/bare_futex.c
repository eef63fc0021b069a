/* SPDX-License-Identifier: Apache-2.0 */
/* Yardstick: a word and the futex on it, the least that the kernel asks for a wake-up. One
 * message of 8 bytes at a time, which is the word. */
#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct slot {
    _Alignas(64) _Atomic uint32_t sent; /* how many; what is slept on */
    _Alignas(64) unsigned char bytes[64];
};

static struct slot *out, *in;
static uint32_t received;

static void open_it(const struct setting *setting) {
    if (setting->mode != MODE_SLEEP) {
        cannot("only sleeps");
    }
    if (setting->size > sizeof(out->bytes)) {
        cannot("a message has to fit into a cache line");
    }
    struct slot *slots = setting->shared;
    out = &slots[setting->lead ? 0 : 1];
    in = &slots[setting->lead ? 1 : 0];
}

static void send_one(const void *payload, size_t size) {
    memcpy(out->bytes, payload, size);
    atomic_fetch_add(&out->sent, 1);
    MUST(syscall(SYS_futex, &out->sent, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0);
}

static void receive_one(void *payload, size_t size) {
    while (atomic_load(&in->sent) == received) {
        MUST(!syscall(SYS_futex, &in->sent, FUTEX_WAIT, received, NULL, NULL, 0) ||
             errno == EAGAIN || errno == EINTR);
    }
    received++;
    memcpy(payload, in->bytes, size);
}

const struct link tachyon_peer_link = {open_it, send_one, receive_one,
                                       NULL,    NULL,     NULL};

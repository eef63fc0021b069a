/* SPDX-License-Identifier: Apache-2.0 */
/* What may end a wait besides what it waits for: the options' hook, their descriptor,
 * and any signal, unless they say that a wait goes on after one. */
#ifndef TACHYON_INTERRUPT_H
#define TACHYON_INTERRUPT_H

#include "error.h"

#include <errno.h>

struct interrupt {
    int (*hook)(void *context); /* NULL: none */
    void *context;
    int fd; /* the caller's; -1: none, which ppoll() passes over */
    bool restart;
};

static inline struct interrupt interrupt_of(const tachyon_options_t *options) {
    return (struct interrupt){.hook = options->interrupted,
                              .context = options->interrupted_context,
                              .fd = options->interrupt_fd ? options->interrupt_fd : -1,
                              .restart = options->restart != 0};
}

/* Does the hook end this wait? Asked before each sleep. */
static inline bool interrupt_asked(const struct interrupt *interrupt) {
    return interrupt->hook && interrupt->hook(interrupt->context);
}

/* The descriptor's place among those of a ppoll(). Whatever it has to say, that it was
 * closed too, ends the wait: else ppoll() would never sleep again. */
static inline struct pollfd interrupt_poll(const struct interrupt *interrupt) {
    return (struct pollfd){.fd = interrupt->fd, .events = POLLIN};
}

/* ppoll() has failed so: does the wait end? */
static inline bool interrupt_ends(const struct interrupt *interrupt, int error) {
    return error != EINTR || !interrupt->restart;
}

#endif

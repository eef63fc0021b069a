/* SPDX-License-Identifier: Apache-2.0 */
/* Who must be told in a forked child. */
#ifndef TACHYON_FORK_H
#define TACHYON_FORK_H

#include "error.h"

struct fork_watch {
    struct fork_watch *next, **link;
    void (*in_child)(struct fork_watch *watch);
};

tachyon_error_t ty_fork_watch(struct fork_watch *watch);
void ty_fork_unwatch(struct fork_watch *watch);

#endif
